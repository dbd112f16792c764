"""Two judges on the same realizations: how often they agree, and which way they differ."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from gridproof.federation.records.campaign_report import CrossedJudges
from gridproof.federation.records.intervals import Intervals
from gridproof.federation.records.rows import outcome_codes
from gridproof.scenarios.arrays import IntArray
from gridproof.scenarios.verdict import Outcome

__all__ = ["CrossedOutcomes"]

_KINDS = len(Outcome)


@dataclass(slots=True, kw_only=True)
class CrossedOutcomes:
    """The linear judge's verdicts against those of AC, counted chunk by chunk."""

    table: IntArray = field(default_factory=lambda: np.zeros((_KINDS, _KINDS), np.int64))

    def add(self, part: pa.Table) -> None:
        """Count a chunk's rows; needs ``outcome`` and ``outcome_linear``."""
        linear = outcome_codes(part.column("outcome_linear"))
        self.table += np.bincount(
            linear * _KINDS + outcome_codes(part.column("outcome")), minlength=_KINDS * _KINDS
        ).reshape(_KINDS, _KINDS)

    def figures(self, intervals: Intervals) -> CrossedJudges:
        """Cross the verdicts; what either judge *erred* on is left out and counted beside.

        The difference has the interval that the campaign may show.
        """
        table, sound = self.table, [kind for kind in Outcome if kind is not Outcome.ERRED]
        judged = int(table[np.ix_(sound, sound)].sum())
        both = int(table[Outcome.FEASIBLE, Outcome.FEASIBLE])
        linear_only = int(table[Outcome.FEASIBLE, sound].sum()) - both
        ac_only = int(table[sound, Outcome.FEASIBLE].sum()) - both
        return CrossedJudges(
            both_feasible=both,
            linear_only=linear_only,
            ac_only=ac_only,
            neither=judged - both - linear_only - ac_only,
            erred=int(table.sum()) - judged,
            difference=intervals.difference(linear_only, ac_only, judged),
            outcomes={
                one.name.lower(): {
                    other.name.lower(): int(table[one, other])
                    for other in Outcome
                    if table[one, other]
                }
                for one in Outcome
                if table[one].any()
            },
        )
