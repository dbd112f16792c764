"""A federate that only listens: set-points and verdicts as they cross the wire."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from gridproof.federation.jsonable import Jsonable
from gridproof.federation.wire.codec import split
from gridproof.federation.wire.frames import FrameKind, Header, decode
from gridproof.federation.wire.link import Link, PortKind
from gridproof.federation.wire.messages import Catalogue, Column, Status, parse
from gridproof.federation.wire.schedule import RECORDER_GRID
from gridproof.scenarios.arrays import FloatArray
from gridproof.scenarios.errors import FederationError
from gridproof.scenarios.verdict import Outcome

__all__ = ["Seen", "observe"]

_PORTS = {
    "feeder/catalogue": PortKind.TEXT,
    "feeder/status": PortKind.TEXT,
    "feeder/verdicts": PortKind.RAW,
    "planner/setpoints": PortKind.RAW,
}
_FOREVER_S = 1e9  # the members keep the deadlines, and end the federation for all
_ENDS = ("done", "failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen(Jsonable):
    """What crossed the wire once: the set-points, or the verdicts, of some realizations.

    Attributes
    ----------
    what
        ``setpoints`` or ``verdicts``.
    exchange, round, step, first, count
        As the frame's header has them.
    found
        Of set-points: rows for which a re-dispatch exists.
    mean_p_kw, mean_q_kvar
        Of set-points: by DER, the sum of its phases, the mean of the rows.
    outcomes
        Of verdicts: how many rows by outcome.
    """

    what: str
    exchange: int
    round: int
    step: int
    first: int
    count: int
    found: int | None = None
    mean_p_kw: Mapping[str, float] | None = None
    mean_q_kvar: Mapping[str, float] | None = None
    outcomes: Mapping[str, int] | None = None

    def words(self) -> str:
        """One line."""
        head = f"exchange {self.exchange}" + (f" round {self.round}" if self.round else "")
        head += f", #{self.first} to #{self.first + self.count - 1}"
        if self.outcomes is not None:
            told = (f"{count} {name}" for name, count in self.outcomes.items() if count)
            return f"{head}: verdicts {', '.join(told)}"
        assert self.mean_p_kw is not None
        powers = (f"{name} {power:.1f} kW" for name, power in self.mean_p_kw.items())
        return f"{head}: set-points, {self.found} found, mean {', '.join(powers)}"


def observe(link: Link, tell: Callable[[Seen], None], leave: threading.Event) -> str:
    """Listen until the feeder says done, the federation ends, or somebody asks to leave.

    Parameters
    ----------
    link
        On `RECORDER_GRID`; nothing is published on it.
    tell
        Called with everything seen, in its order.
    leave
        Set to leave at the next exchange.

    Returns
    -------
    str
        The feeder's last phase, ``left`` where it was left before.

    Raises
    ------
    FederateLost
        If the federation was ended.
    FederationError
        On a message that is none.
    """
    link.reads(_PORTS)
    link.enter(deadline_s=_FOREVER_S)
    catalogue: Catalogue | None = None
    time_s, phase = RECORDER_GRID.offset_s, ""
    while not leave.is_set():
        link.request(time_s, deadline_s=_FOREVER_S, awaited="anything", whom="planner and feeder")
        time_s += RECORDER_GRID.period_s
        told = link.read("feeder/catalogue")
        if told.updated:
            catalogue = parse(Catalogue, told.payload, "feeder/catalogue")
        for key, what in (("planner/setpoints", _setpoints), ("feeder/verdicts", _verdicts)):
            message = link.read(key)
            if message.updated:
                if catalogue is None:
                    raise FederationError(f"{key} came before feeder/catalogue")
                tell(what(message.payload, catalogue))
        status = link.read("feeder/status")
        if status.updated:
            phase = parse(Status, status.payload, "feeder/status").phase
        if phase in _ENDS:
            return phase
    return "left"


def _setpoints(payload: bytes, catalogue: Catalogue) -> Seen:
    columns = catalogue.setpoints
    header, parts = _parts(payload, FrameKind.SETPOINTS, columns, "planner/setpoints")
    powers = {
        column.quantity: _by_element(column.ids, part)
        for column, part in zip(columns, parts, strict=True)
        if column.quantity in ("p", "q")
    }
    found = int(parts[0].sum())
    seen = _of("setpoints", header)
    return replace(seen, found=found, mean_p_kw=powers["p"], mean_q_kvar=powers["q"])


def _verdicts(payload: bytes, catalogue: Catalogue) -> Seen:
    header, parts = _parts(payload, FrameKind.VERDICTS, catalogue.verdicts, "feeder/verdicts")
    outcome = parts[0][:, 0].astype(int)
    counts = {kind.name.lower(): int((outcome == kind).sum()) for kind in Outcome}
    return replace(_of("verdicts", header), outcomes=counts)


def _of(what: str, header: Header) -> Seen:
    return Seen(
        what=what,
        exchange=header.sequence,
        round=header.round,
        step=header.step,
        first=header.first,
        count=header.count,
    )


def _parts(
    payload: bytes, kind: FrameKind, columns: tuple[Column, ...], port: str
) -> tuple[Header, list[FloatArray]]:
    width = sum(column.width for column in columns)
    frame = decode(payload, kind=kind, width=width, port=port)
    return frame.header, split(frame.rows, columns)


def _by_element(ids: tuple[str, ...], part: FloatArray) -> dict[str, float]:
    """Sum the slots of each element, and take the mean of the rows."""
    total: dict[str, float] = {}
    for name, value in zip(ids, part.mean(axis=0).tolist(), strict=True):
        element = name.rpartition(".")[0]
        total[element] = total.get(element, 0.0) + value
    return total
