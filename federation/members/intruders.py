"""Who else is at a broker's port: HELICS asks for the key at the door, and for nothing after it."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Protocol

from gridproof.federation.wire.broker_address import BrokerAddress
from gridproof.scenarios.errors import FederateLost

__all__ = ["ENDED_BY_NO_MEMBER", "watch_for_intruders"]

ENDED_BY_NO_MEMBER = (
    "no member sent what ended this federation: HELICS takes an end from whoever reaches the "
    "broker's port, without its key (docs/security.md)"
)
_EVERY_S = 0.5


class Watched(Protocol):
    """What is asked of the supervisor's own broker."""

    address: BrokerAddress

    @property
    def alive(self) -> bool:
        """False once the federation has ended, well or badly."""

    def joined(self) -> tuple[str, ...]:
        """Names of the federates that have joined until now."""


def watch_for_intruders(
    broker: Watched, members: Collection[str], *, observers: int = 0, every_s: float = _EVERY_S
) -> Callable[[], None]:
    """Return a look at the broker of a federation, to be called often.

    Parameters
    ----------
    broker
        The supervisor's own: who lives in this process and is not heard at its port has been told
        to close it, by a message of somebody else's.
    members
        Names of the federates that belong there.
    observers
        How many more belong there, whatever their names.
    every_s
        How often it really looks.

    Returns
    -------
    callable
        Raises `FederateLost`, naming what was found: a federate that has the key and is no member,
        or a port that was closed, seen twice.
    """
    next_s, closed = time.monotonic() + every_s, 0

    def look() -> None:
        nonlocal next_s, closed
        if time.monotonic() < next_s:
            return
        next_s = time.monotonic() + every_s
        strangers = sorted(set(broker.joined()) - set(members))
        if len(strangers) > observers:
            raise FederateLost(
                f"{' and '.join(map(repr, strangers))} joined this federation with its key, and is "
                f"none of its members {', '.join(members)}"
                + (f", and of {observers} seats for observers none was free" if observers else "")
                + "; what it may have said is not trusted"
            )
        closed = closed + 1 if broker.alive and not broker.address.listens() else 0
        if closed > 1:
            raise FederateLost(
                f"somebody closed port {broker.address.port} of the broker, which itself is well; "
                + ENDED_BY_NO_MEMBER
            )

    return look
