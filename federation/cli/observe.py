"""``gridproof observe``: a federate that only listens, from another terminal or machine."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable
from typing import Annotated

import typer
from gridproof.federation.cli.options import note
from gridproof.federation.files import unsigned_zeros
from gridproof.federation.members.children import broker_key
from gridproof.federation.members.observer import Seen
from gridproof.federation.members.observer import observe as listen
from gridproof.federation.plain_text import shown
from gridproof.federation.signals import held
from gridproof.federation.wire.broker_address import BrokerAddress
from gridproof.federation.wire.schedule import RECORDER_GRID
from gridproof.scenarios.errors import FederateLost

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
    key = broker_key()

    def tell(seen: Seen) -> None:
        line = json.dumps(unsigned_zeros(seen.to_json()), allow_nan=False) if as_json else ""
        typer.echo(line or shown(seen.words()))

    address = BrokerAddress.parse(broker, key)
    phase = _listen(address, name, join_deadline_s, tell)
    if phase == "failed":
        raise FederateLost("the feeder said that the run failed; its own terminal says why")
    note("left; the run goes on" if phase == "left" else "the run is done")


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

    thread = threading.Thread(target=body, name="federate-observer", daemon=True)
    with held(signal.SIGINT, signal.SIGTERM):  # one would end the HELICS core they serve
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
