"""Loads that a federate of somebody else's publishes, in the place of a sampler's draws.

They come as multiples of nominal, row after row, by `wire.messages.SentLoads`. What has come is
kept, so that whoever asks for a realization again (a rehearsal, a declared latency) gets the same.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from gridproof.federation.wire.messages import LOADS_PORT, SentLoads, parse
from gridproof.scenarios.arrays import FloatArray
from gridproof.scenarios.errors import FederationError
from gridproof.scenarios.scenario import Scenario

__all__ = ["OUTSIDE", "OutsideLoads"]

OUTSIDE = "federate"
"""The sampler of a study whose loads come from outside."""
_EDGE = 1e-9  # a multiple printed with a few digits may pass the set's edge by its rounding


@dataclass(frozen=True, kw_only=True, eq=False)
class OutsideLoads:
    """A sampler without a law: its rows are what came.

    Attributes
    ----------
    scenario
        Its directions are what a message names; what a load may be is its set.
    clip
        Whether a load beyond its set is put at its edge; else it ends the run.
    """

    independent: ClassVar[bool] = False
    scenario: Scenario = field(compare=False)
    clip: bool = False
    _rows: list[FloatArray] = field(default_factory=list, compare=False, repr=False)
    _first: list[int] = field(default_factory=list, compare=False, repr=False)

    @property
    def end(self) -> int:
        """One beyond the last realization that has come; 0 before the first."""
        return self._first[-1] + len(self._rows[-1]) if self._first else 0

    def take(self, payload: bytes) -> None:
        """Take a message.

        Raises
        ------
        FederationError
            Naming what is not as it should be: an id, a number, a row, its place.
        """
        told = parse(SentLoads, payload, LOADS_PORT)
        if self._first and told.first != self.end:
            raise FederationError(
                f"{LOADS_PORT}: first is {told.first}; expected {self.end}, the next one: a "
                "message was lost, sent twice, or two were sent within one second of the federation"
            )
        columns = self._columns(told.ids)
        multiple = np.array(told.multiple, float)[:, columns]
        self._rows.append(self._inside(multiple, told.first))
        self._first.append(told.first)

    def coordinates(self, first: int, count: int) -> FloatArray:
        """Rows that have come, in coordinates of the set.

        Raises
        ------
        FederationError
            If one has not.
        """
        begin = self._first[0] if self._first else 0
        if first < begin or first + count > self.end:
            missing = first if first < begin else max(first, self.end)
            came = f"#{begin} to #{self.end - 1} came" if self._first else "none came"
            raise FederationError(
                f"{LOADS_PORT}: realization #{missing} has not come when its exchange began, "
                f"{came}; a source sends each before, and each that is asked for"
            )
        held = slice(bisect_right(self._first, first) - 1, bisect_left(self._first, first + count))
        skipped = first - self._first[held][0]
        return np.concatenate(self._rows[held])[skipped : skipped + count]

    def _columns(self, ids: tuple[str, ...]) -> list[int]:
        """Where each direction stands in a message's row."""
        wanted, given = self.scenario.direction_ids, [one.lower() for one in ids]
        unknown = [name for name in given if name not in wanted]
        absent = [name for name in wanted if given.count(name) != 1]
        if unknown or absent:
            faults = [f"{name} is no uncertain load of the study" for name in unknown]
            faults += [f"{name} is there {given.count(name)} times, not once" for name in absent]
            raise FederationError(f"{LOADS_PORT}: ids: {'; '.join(faults[:8])}")
        return [given.index(name) for name in wanted]

    def _inside(self, multiple: FloatArray, first: int) -> FloatArray:
        """Turn multiples of nominal into coordinates of the set, -1 at its low end."""
        spread, (low, high) = self.scenario.direction_spread, self.scenario.direction_range
        with np.errstate(divide="ignore", invalid="ignore"):
            zeta = np.where(spread > 0.0, (multiple - 1.0) / spread, 0.0)
        moved = (spread == 0.0) & (np.abs(multiple - 1.0) > _EDGE)
        outside = (zeta > high + _EDGE) | (zeta < low - _EDGE) | moved
        if outside.any() and not self.clip:
            row, k = (int(one) for one in np.argwhere(outside)[0])
            ends = f"{1.0 + low[k] * spread[k]:g} to {1.0 + high[k] * spread[k]:g}"
            raise FederationError(
                f"{LOADS_PORT}: {self.scenario.direction_ids[k]} of #{first + row} is "
                f"{multiple[row, k]:g} times nominal; the declared set is {ends}. Widen "
                '[uncertainty] spread, or set [campaign] history_outside = "clip"'
            )
        unit = (zeta - (low + high) / 2.0) / ((high - low) / 2.0)
        return np.clip(unit, -1.0, 1.0)
