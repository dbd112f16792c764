"""Federates that only listen, and what becomes of the run when one of them dies.

Nobody waits for a bystander's words, so a run can do without it; but it is still sent every
message, and HELICS, which looks after nobody's post, ends all for one that is not fetched. So
the supervisor looks whether each still listens: of one that was killed it takes the place, and
one that lives and does not read ends the run, by its name.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from functools import partial
from typing import Protocol, TypeVar

from gridproof.federation.wire.broker_address import listens_at
from gridproof.federation.wire.stand_in import StandIn
from gridproof.scenarios.errors import FederateLost

__all__ = ["Bystanders", "Overseen"]

_EVERY_S = 0.25
_SILENT_S = 5.0
_ASK_S = 1.0
T = TypeVar("T")
_GONE = ("disconnected", "error", "request_disconnect")


class Overseen(Protocol):
    """What is asked of the supervisor's own broker."""

    def states(self) -> Mapping[str, str]:
        """State of each federate that has joined, by name, as HELICS has it."""

    @property
    def phase(self) -> str:
        """``joining``, ``running``, or ``ending``, when whoever leaves has not died."""

    def place_of(self, name: str) -> tuple[str, int] | None:
        """Where a federate's core listens; None if it does not say."""

    def answers(self, name: str) -> bool:
        """Ask a federate's core for a sign of life; of a dead one it waits for the broker's end."""

    def exchange(self) -> int | None:
        """How many exchanges there were, as the feeder's clock has it; None if it is not known."""


class Bystanders:
    """Looks after the federates of a broker that are no members.

    Parameters
    ----------
    broker
        The supervisor's own.
    members
        Names of those that are looked after otherwise.
    tell
        Hears, in a sentence, of one that died and is done without.
    every_s, silent_s
        How often it looks; how long one that lives may be silent.
    """

    def __init__(
        self,
        broker: Overseen,
        members: Collection[str],
        tell: Callable[[str], None],
        *,
        every_s: float = _EVERY_S,
        silent_s: float = _SILENT_S,
    ) -> None:
        self._broker, self._members, self._tell = broker, members, tell
        self._every_s, self._silent_s = every_s, silent_s
        self._places: dict[str, tuple[str, int] | None] = {}
        self._refused: dict[str, int] = {}
        self._heard_s: dict[str, float] = {}
        self._stand_ins: list[StandIn] = []
        self._over: set[str] = set()
        self._next_s = 0.0
        self._ended = threading.Event()
        self._asked = self._held_up = False

    def look(self) -> None:
        """See whether each still listens; to be called often.

        Raises
        ------
        FederateLost
            Naming one that died before the run began, one that does not read, or one whose place
            somebody else has taken.
        """
        if time.monotonic() < self._next_s:
            return
        self._next_s = time.monotonic() + self._every_s
        states = self._broker.states()
        for name in states:
            if name not in self._members and name not in self._places:
                self._places[name] = _soon(partial(self._broker.place_of, name))
                self._heard_s[name] = time.monotonic()
        for name, place in self._places.items():
            if name in self._over:
                continue
            if states.get(name) in _GONE:
                self._over.add(name)
            elif place is not None:
                self._knock(name, place)
        self._listen_for_silence()

    def close(self) -> None:
        """Let go of the places taken."""
        self._ended.set()
        for one in self._stand_ins:
            one.close()

    @property
    def all_are_gone(self) -> bool:
        """Whether nobody is left who would use the time to leave."""
        return self._held_up or (bool(self._places) and set(self._places) <= self._over)

    def _knock(self, name: str, place: tuple[str, int]) -> None:
        self._refused[name] = 0 if listens_at(*place) else self._refused.get(name, 0) + 1
        if self._refused[name] > 1 and self._broker.states().get(name) not in _GONE:
            self._over.add(name)
            self._do_without(name, *place)

    def _do_without(self, name: str, host: str, port: int) -> None:
        phase = self._broker.phase
        if phase == "ending":
            return
        if phase == "joining":
            raise FederateLost(
                f"observer {name!r} died before the run began: nobody listens at {host}:{port} "
                "any more; start again, with it or with one seat less"
            )
        try:
            self._stand_ins.append(StandIn(host, port))
        except OSError as error:
            raise FederateLost(
                f"observer {name!r} died, and its place at {host}:{port} could not be taken: "
                f"{error.strerror}; HELICS would hold up all others for what it is sent"
            ) from error
        number = _soon(self._broker.exchange)
        when = "" if number is None else f" at exchange {number}"
        self._tell(
            f"observer {name!r} died{when}: nobody listens at {host}:{port} any more. The run "
            "goes on without it"
        )

    def _listen_for_silence(self) -> None:
        """Ask for signs of life on a thread of its own: an answer may be long in coming."""
        left = [name for name in self._places if name not in self._over]
        if not left or self._broker.phase != "running":
            return
        if not self._asked:
            self._asked, self._heard_s = True, dict.fromkeys(self._places, time.monotonic())
            for name in self._places:
                _thread(self._ask, name)
        now_s = time.monotonic()
        silent = [name for name in left if now_s - self._heard_s[name] > self._silent_s]
        if silent:
            self._held_up, whom = True, " or ".join(map(repr, silent))
            raise FederateLost(
                f"observer {whom} lives and has not answered for {self._silent_s:g} s; what it "
                "does not fetch holds up all others. End it, and go on without it"
            )

    def _ask(self, name: str) -> None:
        while name not in self._over and not self._ended.wait(self._every_s):
            with suppress(Exception):  # a broker that ends; the supervisor sees that
                if self._broker.answers(name):
                    self._heard_s[name] = time.monotonic()


def _thread(body: Callable[..., None], *args: object) -> threading.Thread:
    """Start a thread that may stay in HELICS; its name lets the program leave all the same."""
    one = threading.Thread(target=body, args=args, name="helics-signs", daemon=True)
    one.start()
    return one


def _soon(ask: Callable[[], T]) -> T | None:
    """Return what a broker says within a second; None if it does not: a dead core never does."""
    said: list[T] = []
    _thread(lambda: said.append(ask())).join(_ASK_S)
    return said[0] if said else None
