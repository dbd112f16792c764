"""``gridproof observe``: a federate that only listens, from another terminal or machine."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from gridproof.federation.cli.options import note
from gridproof.federation.files import unsigned_zeros
from gridproof.federation.members.children import KEY
from gridproof.federation.members.observer import Seen
from gridproof.federation.members.observer import observe as listen
from gridproof.federation.plain_text import shown
from gridproof.federation.wire.broker_address import BrokerAddress
from gridproof.federation.wire.schedule import RECORDER_GRID
from gridproof.scenarios.errors import ConfigError

__all__ = ["observe"]


def observe(
    broker: Annotated[str, typer.Argument(metavar="HOST:PORT", help="The broker's address.")],
    name: Annotated[
        str, typer.Option("--name", help="The federate's name, its own in the federation.")
    ] = "observer",
    join_deadline_s: Annotated[
        float, typer.Option("--join-deadline-s", min=0.1, help="Longest wait for the broker, s.")
    ] = 60.0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a line for every message.")
    ] = False,
) -> None:
    """Sit in a federation and print set-points and verdicts as they cross the wire.

    It takes a seat that ``launch --observers`` left. Ctrl-C leaves it at the next exchange, and the
    run goes on.
    """
    key = os.environ.get(KEY, "")
    if not key:
        raise ConfigError(
            f"the broker's key is not there: set {KEY}, to the word that launch was given"
        )

    def tell(seen: Seen) -> None:
        line = json.dumps(unsigned_zeros(seen.to_json()), allow_nan=False) if as_json else ""
        typer.echo(line or shown(seen.words()))

    address = BrokerAddress.parse(broker, key)
    phase = _listen(address, name, join_deadline_s, tell)
    note({"done": "the run is done", "left": "left; the run goes on"}.get(phase, f"it {phase}"))


def _listen(
    address: BrokerAddress, name: str, join_deadline_s: float, tell: Callable[[Seen], None]
) -> str:
    """Listen on a thread of its own, so that Ctrl-C is heard while HELICS waits."""
    # HELICS is slow to load
    from gridproof.federation.wire.helics_broker import close_library, watch_broker  # noqa: PLC0415
    from gridproof.federation.wire.helics_link import ObserverLink  # noqa: PLC0415

    leave, over, ended = threading.Event(), threading.Event(), list[str | BaseException]()

    def body() -> None:
        try:
            ended.append(listen(link, tell, leave))
        except BaseException as error:  # raised again by whoever waits
            ended.append(error)
        over.set()

    thread = threading.Thread(target=body, name="observer", daemon=True)
    with _deaf():
        link = ObserverLink(name, RECORDER_GRID, address, join_deadline_s=join_deadline_s)
        thread.start()
    look = watch_broker(address)
    while not over.is_set():  # an interrupted join would take the thread for ended
        try:
            if not over.wait(0.1):
                look()
        except KeyboardInterrupt:
            if leave.is_set():
                raise
            leave.set()
    link.close()
    close_library()
    if isinstance(ended[0], BaseException):
        raise ended[0]
    return ended[0]


@contextmanager
def _deaf() -> Iterator[None]:
    """Let threads that begin here hear no signal: one would end the HELICS core they serve."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
