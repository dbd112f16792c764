"""A trial under an engine that estimates: what an estimate cannot settle, OpenDSS answers.

Which realizations that is depends on each of them alone, so what becomes of it does not depend on
its batch: those within the guard of a limit, those that found no solution, that left the voltages
where loads keep their models or miss their load, and a share of all, drawn by the seed, that audits
the rest. An audited one whose margins differ by more than a tenth of the guard condemns the
estimates of its whole stretch of the campaign: whoever runs it does that stretch again
(`GuardedTrial.failed`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from gridproof.federation.trial.trial import Looked, Trace, Trial, put_rows
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray
from gridproof.scenarios.carried import Carried
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.realization import Realizations
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.setpoints import Setpoints
from gridproof.scenarios.snapshot import Snapshots
from gridproof.scenarios.verdict import DELIVERY_TOLERANCE, Outcome, Verdicts
from gridproof.simulator.engine import Estimates

__all__ = ["FAST_COLUMNS", "Guard", "GuardedTrial", "SolvedBy"]

FAST_COLUMNS = ("fast_reason", "fast_difference")
"""Kept beside every verdict: why OpenDSS answered (`SolvedBy`), and how far its margins are from
those of the estimate where that was audited."""

_AUDIT_SHARE_OF_GUARD = 0.1


class SolvedBy(IntEnum):
    """Who answered a realization, and why."""

    FAST = 0
    NEAR_LIMIT = 1
    NO_SOLUTION = 2
    OUT_OF_RANGE = 3
    MISSED_LOAD = 4
    AUDIT = 5
    OTHER_NETWORK = 6
    NOT_MODELLED = 7
    FAILED_AUDIT = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """What an estimate may settle.

    Attributes
    ----------
    width
        Of the band about a limit, in what margins are in: pu, or a share of a rating.
    audit
        Share of realizations that OpenDSS answers whatever they are.
    seed
        Draws them.
    span
        Realizations that one failed audit condemns together: ``k · span …``.
    """

    width: float
    audit: float
    seed: int
    span: int

    def audits(self, index: IntArray) -> BoolArray:
        """(realization,) those that are audited, each by (seed, index) alone."""
        with np.errstate(over="ignore"):  # SplitMix64: its sums wrap around
            z = index.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
            z += np.uint64(self.seed % 2**64) ^ np.uint64(0xD1B54A32D192ED03)
            z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            z ^= z >> np.uint64(31)
        return np.asarray((z >> np.uint64(11)).astype(float) * 2.0**-53 < self.audit)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Noted:
    """(realization,) index, ascending, with what `FAST_COLUMNS` say."""

    index: IntArray
    reason: IntArray
    difference: FloatArray


_NOTHING = _Noted(index=np.zeros(0, np.int64), reason=np.zeros(0, np.int64), difference=np.zeros(0))


class GuardedTrial(Trial):
    """`Trial`, its batches estimated and, where that does not settle them, observed.

    Parameters
    ----------
    engine, scenario, plan
        As there.
    guard
        What an estimate may settle.
    """

    def __init__(self, engine: Estimates, scenario: Scenario, plan: Plan, guard: Guard) -> None:
        super().__init__(engine, scenario, plan)
        self._estimates, self.guard = engine, guard
        self._condemned: set[int] = set()
        self._noted = _NOTHING

    def enter(
        self, step: int, index: IntArray | None = None, carried: Carried | None = None
    ) -> None:
        """Hold one step of the plan, with nothing noted of it yet."""
        super().enter(step, index, carried)
        self._noted = _NOTHING

    def observe(
        self, batch: Realizations, setpoints: Setpoints, standing: Plan | None = None
    ) -> tuple[Snapshots, Verdicts]:
        """Estimate, and put to OpenDSS what that does not settle."""
        plan = self.plan if standing is None else standing
        self._hold(plan)
        count = len(batch)
        difference = np.full(count, np.nan)
        if plan is not self.plan:  # a network of a few realizations is not worth its factors
            reason = np.full(count, SolvedBy.OTHER_NETWORK)
            seen = self._tried(self._observed, batch, setpoints, plan)
        else:
            estimate = self._estimated(batch, setpoints)
            if estimate is None:
                reason = np.full(count, SolvedBy.NOT_MODELLED)
                seen = self._tried(self._observed, batch, setpoints, plan)
            else:
                seen, reason, difference = self._settled(batch, setpoints, *estimate)
        self._note(batch.index, reason, difference)
        return seen

    def _estimated(
        self, batch: Realizations, setpoints: Setpoints
    ) -> tuple[Snapshots, Verdicts, BoolArray] | None:
        trusted: list[BoolArray] = []

        def observe(asked: Realizations, told: Setpoints) -> Looked:
            found = self._estimates.estimate(asked, told)
            if found is None:
                raise _NotModelled
            trusted.append(found.trusted)
            return found.snapshots, found.worst

        try:
            snapshots, verdicts = self._tried(observe, batch, setpoints, self.plan)
        except _NotModelled:
            return None
        return snapshots, verdicts, trusted[0]

    def _settled(
        self,
        batch: Realizations,
        setpoints: Setpoints,
        snapshots: Snapshots,
        verdicts: Verdicts,
        trusted: BoolArray,
    ) -> tuple[tuple[Snapshots, Verdicts], IntArray, FloatArray]:
        """Put what an estimate does not settle to OpenDSS, and compare what is audited."""
        reason = self._doubts(snapshots, verdicts, trusted)
        audited = self.guard.audits(batch.index) & np.isin(reason, _SOUND)
        reason = np.where((reason == SolvedBy.FAST) & audited, SolvedBy.AUDIT, reason)
        condemned = np.isin(batch.index // self.guard.span, list(self._condemned))
        reason = np.where(condemned, SolvedBy.FAILED_AUDIT, reason)
        difference = np.full(len(batch), np.nan)
        rows = np.flatnonzero(reason)
        if not len(rows):
            return (snapshots, verdicts), reason, difference
        part = batch.take(rows), setpoints.take(rows)
        seen, judged = self._tried(self._observed, *part, self.plan)
        difference[rows] = np.where(audited[rows], _apart(judged, verdicts.take(rows)), np.nan)
        return (
            (
                put_rows(snapshots, rows, seen, ours=True),
                put_rows(verdicts, rows, judged, ours=True),
            ),
            reason,
            difference,
        )

    def _doubts(self, snapshots: Snapshots, verdicts: Verdicts, trusted: BoolArray) -> IntArray:
        """(realization,) why an estimate settles nothing, if so; the first reason counts."""
        least = verdicts.margin.min(axis=1) + self.scenario.limits.tolerance
        asked = np.abs(snapshots.requested_kw)
        missed = np.abs(snapshots.delivered_kw - snapshots.requested_kw)
        reasons = {
            SolvedBy.NO_SOLUTION: verdicts.outcome == Outcome.NO_SOLUTION,
            SolvedBy.OUT_OF_RANGE: ~trusted,
            SolvedBy.MISSED_LOAD: ~(missed <= 0.5 * DELIVERY_TOLERANCE * np.maximum(1.0, asked)),
            SolvedBy.NEAR_LIMIT: ~(np.abs(least) > self.guard.width),
        }
        return np.select(list(reasons.values()), [int(one) for one in reasons], SolvedBy.FAST)

    # ------------------------------------------------------------------ what is kept
    def _note(self, index: IntArray, reason: IntArray, difference: FloatArray) -> None:
        """Note of each realization the last reason, and the largest difference of its step."""
        before = self._noted
        whole = np.union1d(before.index, index)
        noted = _Noted(
            index=whole,
            reason=np.zeros(len(whole), np.int64),
            difference=np.full(len(whole), np.nan),
        )
        for told in (before, _Noted(index=index, reason=reason, difference=difference)):
            at = np.searchsorted(whole, told.index)
            noted.reason[at] = np.where(told.reason > 0, told.reason, noted.reason[at])
            noted.difference[at] = np.fmax(told.difference, noted.difference[at])
        self._noted = noted

    def noted(self, index: IntArray) -> Trace:
        """Return `FAST_COLUMNS` of realizations of the batch that was entered with."""
        reason, difference = np.zeros(len(index)), np.full(len(index), np.nan)
        there = np.isin(index, self._noted.index)
        at = np.searchsorted(self._noted.index, index[there])
        reason[there], difference[there] = self._noted.reason[at], self._noted.difference[at]
        return dict(zip(FAST_COLUMNS, (reason, difference), strict=True))

    def failed(self) -> bool:
        """Condemn the stretch of what was noted if an audit failed; False if it is condemned."""
        most = _AUDIT_SHARE_OF_GUARD * self.guard.width
        worst = self._noted.index[self._noted.difference > most]
        spans = set((worst // self.guard.span).tolist()) - self._condemned
        self._condemned |= spans
        return bool(spans)


_SOUND = (SolvedBy.FAST, SolvedBy.NEAR_LIMIT)  # an estimate that claims to be right


class _NotModelled(Exception):
    """The engine cannot estimate what is held."""


def _apart(one: Verdicts, other: Verdicts) -> FloatArray:
    """(realization,) largest difference of a margin; ``inf`` where one alone has a number."""
    with np.errstate(invalid="ignore"):
        apart = np.abs(one.margin - other.margin)
    same = (one.margin == other.margin) | (np.isnan(one.margin) & np.isnan(other.margin))
    apart = np.where(same, 0.0, np.where(np.isnan(apart), np.inf, apart))
    return np.asarray(apart.max(axis=1))
