"""What happens when: lines fail, substations are lost, DERs trip, attacks mask load."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray, frozen

__all__ = ["EventKind", "Events"]


class EventKind(StrEnum):
    """What an event does to its element."""

    LINE_FAILS = "line fails"
    SUBSTATION_LOST = "substation lost"
    DER_TRIPS = "DER trips"
    LOAD_MASKED = "load masked"  # by an attack: it draws what nobody is told of


def _none() -> FloatArray:
    return np.zeros(0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Events:
    """Events as columns; none, as when left out, is the normal case.

    Attributes
    ----------
    kind
        (event,) what happens.
    element
        (event,) position of what it happens to: a line or a source of the feeder, a DER, a load.
    start_h, end_h
        (event,) hours between which it lasts, the end not included; ``inf`` where nothing is
        mended inside the study.
    probability
        (event,) in (0, 1]; 1 for what is known to happen.
    """

    kind: tuple[EventKind, ...] = ()
    element: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    start_h: FloatArray = field(default_factory=_none)
    end_h: FloatArray = field(default_factory=_none)
    probability: FloatArray = field(default_factory=_none)

    def __post_init__(self) -> None:
        n = len(self.kind)
        object.__setattr__(self, "element", frozen(self.element, np.int64, (n,)))
        for name in ("start_h", "end_h", "probability"):
            object.__setattr__(self, name, frozen(getattr(self, name), float, (n,)))

    @classmethod
    def failures(cls, lines: IntArray, start_h: float) -> Events:
        """Return lines that fail for certain at an hour and stay so."""
        n = len(lines)
        return cls(
            kind=(EventKind.LINE_FAILS,) * n,
            element=lines,
            start_h=np.full(n, start_h),
            end_h=np.full(n, np.inf),
            probability=np.ones(n),
        )

    @property
    def empty(self) -> bool:
        """Whether nothing happens."""
        return not self.kind

    def of(self, kind: EventKind) -> IntArray:
        """(event,) positions in this table of the events of a kind, in its order."""
        return np.array([k for k, own in enumerate(self.kind) if own is kind], np.int64)

    def lasts(self, hour: float) -> BoolArray:
        """(event,) which last at an hour, if they happen."""
        return np.asarray((self.start_h <= hour) & (hour < self.end_h))

    def faults(self, sizes: Mapping[EventKind, int]) -> list[str]:
        """Every contradiction, one sentence each.

        Parameters
        ----------
        sizes
            How many elements there are for each kind of event.
        """
        found = []
        for k, kind in enumerate(self.kind):
            name, at = f"event {k} ({kind})", int(self.element[k])
            if not 0 <= at < sizes[kind]:
                found.append(f"{name}: its element is at position {at}; there are {sizes[kind]}")
            start, end, share = (float(c[k]) for c in (self.start_h, self.end_h, self.probability))
            if not start < end:
                found.append(f"{name}: it lasts from {start:g} h to {end:g} h; it must last")
            if not 0.0 < share <= 1.0:
                found.append(f"{name}: probability = {share:g} must lie in (0, 1]")
        return found
