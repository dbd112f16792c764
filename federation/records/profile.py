"""What a campaign keeps of every bus and element: voltages as histograms, breaches as counts.

A row per realization holds the worst element only; an envelope along the feeder and a map of
how often each element is outside its limit need all of them. Both are sums of whole numbers,
least and greatest values, so they are the same to the byte whatever the batches were, and
take the same memory for ten realizations as for a million.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from gridproof.scenarios.arrays import PHASES, FloatArray, IntArray, index_of
from gridproof.scenarios.limits import VoltageTest
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.snapshot import Snapshots
from gridproof.scenarios.verdict import MarginKind, Outcome, Verdicts, breaches, kinds_of
from numpy.typing import NDArray

__all__ = ["BINS", "BIN_PU", "LOWEST_PU", "Profile", "element_ids", "slot_names"]

LOWEST_PU, BIN_PU, BINS = 0.8, 0.0005, 800
"""Bins of 0.5 mpu from 0.8 to 1.2 pu; one more on each side takes what lies beyond."""

_NANO = 1e9  # voltages are summed in whole nano-pu: such sums have no order
_LARGEST_PU = 100.0
_AT_ONCE = 1 << 15  # voltages counted at once
_SOLVED = (Outcome.FEASIBLE, Outcome.VIOLATED, Outcome.NOT_MENDED)


def slot_names(scenario: Scenario) -> tuple[str, ...]:
    """Names of a bus's three voltage slots: the phases or pairs that the limit applies to."""
    pairs = scenario.limits.voltage_test is VoltageTest.LINE_TO_LINE
    return ("ab", "bc", "ca") if pairs else PHASES


def element_ids(scenario: Scenario) -> dict[MarginKind, tuple[str, ...]]:
    """Ids of the elements each kind of limit belongs to."""
    feeder = scenario.feeder
    return {
        MarginKind.VOLTAGE: feeder.buses.ids,
        MarginKind.CURRENT: feeder.lines.ids,
        MarginKind.TRANSFORMER: feeder.transformers.ids,
        MarginKind.CAPABILITY: scenario.ders.ids,
        MarginKind.RAMP: scenario.ders.ids,
        MarginKind.DAMAGE: feeder.lines.ids if MarginKind.DAMAGE in kinds_of(scenario) else (),
        MarginKind.ENERGY: scenario.ders.ids if MarginKind.ENERGY in kinds_of(scenario) else (),
        MarginKind.RESERVE: scenario.ders.ids if MarginKind.RESERVE in kinds_of(scenario) else (),
    }


@dataclass(slots=True, kw_only=True, eq=False)
class Profile:
    """Voltages and breaches of the solved realizations of a campaign, or of a part of it.

    Attributes
    ----------
    bus, phase
        (slot,) bus position and phase (or pair) of each live voltage.
    solved
        Realizations counted: those with a verdict on solved physics.
    low_pu, high_pu
        (slot,) least and greatest voltage; ``inf`` and ``-inf`` while nothing is counted.
    total_npu
        (slot,) sum of voltages in whole nano-pu.
    histogram
        (slot, BINS + 2) counts; the first and last bin take what is below and above.
    breached
        For each kind, (element,) realizations that had the element outside its limit.
    """

    bus: IntArray
    phase: IntArray
    breached: dict[MarginKind, IntArray]
    solved: int = 0
    low_pu: FloatArray = field(init=False)
    high_pu: FloatArray = field(init=False)
    total_npu: IntArray = field(init=False)
    histogram: NDArray[np.int32] = field(init=False)

    def __post_init__(self) -> None:
        slots = len(self.bus)
        self.low_pu, self.high_pu = np.full(slots, np.inf), np.full(slots, -np.inf)
        self.total_npu = np.zeros(slots, np.int64)
        self.histogram = np.zeros((slots, BINS + 2), np.int32)

    @classmethod
    def of(cls, scenario: Scenario, plan: Plan, time: int = 0) -> Profile:
        """Start an empty one for everything that is live under a plan."""
        has = scenario.feeder.buses.phases
        if scenario.limits.voltage_test is VoltageTest.LINE_TO_LINE:
            has = has & np.roll(has, -1, axis=1)
        live = plan.energized[time][scenario.feeder.blocks.of_bus][:, None] & has
        bus, phase = np.nonzero(live)
        none = {kind: np.zeros(len(ids), np.int64) for kind, ids in element_ids(scenario).items()}
        return cls(bus=bus, phase=phase, breached=none)

    def add(
        self,
        scenario: Scenario,
        plan: Plan,
        snapshots: Snapshots,
        verdicts: Verdicts,
        *,
        time: int = 0,
    ) -> None:
        """Count one batch; realizations without solved physics are left out.

        Parameters
        ----------
        scenario, plan, time
            As for `of`.
        snapshots
            Of the realizations that were put to the physics, in any order.
        verdicts
            Of the batch; outcome and margins decide what is counted.
        """
        wanted = np.isin(verdicts.outcome, _SOLVED) & ~np.isnan(verdicts.margin).any(axis=1)
        if np.array_equal(snapshots.index, verdicts.index):
            rows = np.flatnonzero(wanted)
        else:
            where = index_of(snapshots.index.tolist())
            rows = np.array([where[i] for i in verdicts.index[wanted].tolist()], np.int64)
        if len(rows) == 0:
            return
        self.solved += len(rows)
        pairs = scenario.limits.voltage_test is VoltageTest.LINE_TO_LINE
        magnitude = snapshots.v_ll_pu if pairs else snapshots.v_pu
        # numba is loaded where the fast engine is; for this alone it would take more than it saves
        self.count(magnitude.reshape(len(magnitude), -1), rows, compiled="numba" in sys.modules)
        outside = (verdicts.margin[wanted] < -scenario.limits.tolerance).any(axis=1)
        if outside.any():
            found = breaches(snapshots.take(rows[outside]), plan, scenario, time)
            for kind, hit in found.items():
                self.breached[kind] += hit.sum(axis=0)
        self._count_passing(verdicts, scenario)

    def _count_passing(self, verdicts: Verdicts, scenario: Scenario) -> None:
        """Count what lacked energy or reserve most: only a verdict knows what its step brought."""
        for kind in (MarginKind.ENERGY, MarginKind.RESERVE):
            k = list(MarginKind).index(kind)
            lacking = verdicts.margin[:, k] < -scenario.limits.tolerance
            if len(self.breached[kind]):
                np.add.at(self.breached[kind], verdicts.element[lacking, k], 1)

    def count(self, magnitude: FloatArray, rows: IntArray, *, compiled: bool) -> None:
        """Count voltages: some rows of (realization, bus and phase); compiled or not, the same."""
        at, whole = 3 * self.bus + self.phase, len(rows) == len(magnitude)
        if compiled:
            from gridproof.federation.records.counting import count  # noqa: PLC0415

            extremes, scale = (self.low_pu, self.high_pu), (LOWEST_PU, BIN_PU, _NANO, _LARGEST_PU)
            count(magnitude, rows, at, extremes, self.total_npu, self.histogram, scale)
            return
        some = max(1, _AT_ONCE // len(rows))
        for first in range(0, len(at), some):
            slots = slice(first, first + some)
            v_pu = magnitude[:, at[slots]]
            self._count_slots(slots, v_pu if whole else v_pu[rows])

    def _count_slots(self, slots: slice, v_pu: FloatArray) -> None:
        """Count voltages (realization, slot) of neighbouring slots, in a core's cache."""
        low, high = self.low_pu[slots], self.high_pu[slots]
        np.minimum(low, v_pu.min(axis=0), out=low)
        np.maximum(high, v_pu.max(axis=0), out=high)
        sound = np.minimum(v_pu, _LARGEST_PU)  # so that no sum overflows
        sound *= _NANO
        self.total_npu[slots] += np.rint(sound, out=sound).astype(np.int64).sum(axis=0)
        place = v_pu - LOWEST_PU
        place /= BIN_PU
        place += 1.0
        bins = np.clip(place, 0.0, BINS + 1.0, out=place).astype(np.int64)
        least, most = int(bins.min()), int(bins.max())
        width, count = most - least + 1, bins.shape[1]
        bins += width * np.arange(count) - least
        counts = np.bincount(bins.ravel(), minlength=width * count).reshape(count, width)
        self.histogram[slots, least : most + 1] += counts.astype(np.int32)

    def merge(self, other: Profile) -> None:
        """Take up another's counts; both must be of the same scenario and plan."""
        self.solved += other.solved
        np.minimum(self.low_pu, other.low_pu, out=self.low_pu)
        np.maximum(self.high_pu, other.high_pu, out=self.high_pu)
        self.total_npu += other.total_npu
        self.histogram += other.histogram
        for kind, counts in other.breached.items():
            self.breached[kind] += counts

    @property
    def mean_pu(self) -> FloatArray:
        """(slot,) mean voltage; NaN while nothing is counted."""
        if not self.solved:
            return np.full(len(self.bus), np.nan)
        return np.asarray(self.total_npu / (_NANO * self.solved))

    def quantile_pu(self, level: float) -> FloatArray:
        """(slot,) quantile, exact to `BIN_PU`: linear inside a bin, within the extremes."""
        if not self.solved:
            return np.full(len(self.bus), np.nan)
        running = np.cumsum(self.histogram, axis=1, dtype=np.int64)
        wanted = level * self.solved
        place = (running < wanted).sum(axis=1)
        slots = np.arange(len(self.bus))
        inside = self.histogram[slots, place]
        before = running[slots, place] - inside
        part = (wanted - before) / np.maximum(inside, 1)
        value = LOWEST_PU + (place - 1.0 + part) * BIN_PU
        value = np.where(place == 0, self.low_pu, np.where(place > BINS, self.high_pu, value))
        return np.asarray(np.clip(value, self.low_pu, self.high_pu))

    def share(self, kind: MarginKind) -> FloatArray:
        """(element,) share of the solved realizations that had the element outside."""
        counts: Any = self.breached[kind]
        return np.asarray(counts / max(1, self.solved), float)
