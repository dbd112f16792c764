"""What the realizations of a campaign lose: limits by kind, and energy; read chunk by chunk."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from gridproof.federation.jsonable import Interval
from gridproof.federation.records.campaign_report import (
    KindShare,
    RedispatchReport,
    UnservedReport,
)
from gridproof.federation.records.rows import outcome_codes
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.statistics.means import Moments
from gridproof.scenarios.arrays import BoolArray, FloatArray
from gridproof.scenarios.limits import Limits
from gridproof.scenarios.verdict import MarginKind, Outcome

__all__ = ["KindCounts", "TriedRedispatch", "UnservedEnergy", "lit_kw", "served_share"]


@dataclass(slots=True, kw_only=True)
class KindCounts:
    """How often each kind of limit is violated among the realizations that were solved.

    A realization counts once for every kind it violates, so the shares may add up to more
    than that of ``violated``. Realizations without a solution have no margins; ``erred``
    ones say nothing of the plan: both are left out of the trials.
    """

    violated: dict[MarginKind, int] = field(default_factory=lambda: dict.fromkeys(MarginKind, 0))
    solved: int = 0

    def add(self, table: pa.Table) -> None:
        """Count a chunk's rows; needs ``outcome`` and every ``margin_<kind>``."""
        erred = _is(table, Outcome.ERRED)
        margins = {
            kind: table.column(f"margin_{kind.value}").to_numpy().astype(float)
            for kind in MarginKind
        }
        solved = ~erred & ~np.isnan(margins[MarginKind.VOLTAGE])
        self.solved += int(solved.sum())
        for kind, margin in margins.items():
            self.violated[kind] += int((margin[solved] < -Limits().tolerance).sum())

    def shares(self, interval: Callable[[int, int], Interval]) -> dict[str, KindShare]:
        """Share of every kind, as the summary prints it.

        Parameters
        ----------
        interval
            Of so many out of so many.
        """
        return {
            kind.value: KindShare(
                count=count,
                solved=self.solved,
                share=count / self.solved if self.solved else None,
                interval=interval(count, self.solved),
            )
            for kind, count in self.violated.items()
        }


@dataclass(slots=True, kw_only=True)
class UnservedEnergy:
    """Expected energy not served, over a horizon of ``hours`` per realization.

    ``EUE = (T/n) Σ_i (L_i - [i feasible] S_i)`` with ``L_i`` the demand drawn, all blocks, and
    ``S_i`` what the physics served. A realization that is not feasible counts as wholly
    unserved: an upper estimate, since protection may shed less. In a feasible one ``L_i - S_i``
    is what the plan leaves dark. ``erred`` realizations are left out.

    Attributes
    ----------
    hours
        ``T``, h.
    """

    hours: float
    unserved: Moments = field(default_factory=Moments)
    dark: Moments = field(default_factory=Moments)
    demand: Moments = field(default_factory=Moments)

    def add(self, table: pa.Table) -> None:
        """Take a chunk's rows; needs ``outcome``, ``load_kw`` and ``served_kw``."""
        counted, feasible = ~_is(table, Outcome.ERRED), _is(table, Outcome.FEASIBLE)
        load = table.column("load_kw").to_numpy().astype(float)
        left = load - lit_kw(table)
        self.unserved.add(left[counted])
        self.dark.add(left[feasible])
        self.demand.add(load[counted])

    def figures(self) -> UnservedReport:
        """Return the energies, as the report prints them; None without a realization."""
        error = self.unserved.standard_error
        known = self.unserved.count > 0
        return UnservedReport(
            horizon_h=self.hours,
            expected_unserved_kwh=self.hours * self.unserved.mean if known else None,
            standard_error_kwh=None if error is None else self.hours * error,
            shed_by_plan_kwh=self.hours * self.dark.mean if self.dark.count else None,
            demand_kwh=self.hours * self.demand.mean if known else None,
            unserved_share=self.unserved.mean / self.demand.mean
            if known and self.demand.mean > 0.0
            else None,
        )


@dataclass(slots=True, kw_only=True)
class TriedRedispatch:
    """What the policy tried costs in re-dispatch, over what was solved and did not err.

    Not what the proof speaks of: that is the cheapest re-dispatch of the worst realization,
    while a policy keeps margins, or moves nobody but the DER that forms.

    Attributes
    ----------
    policy
        The recourse by name.
    cost
        Moments of ``redispatch_usd``.
    most_usd
        The largest.
    """

    policy: str
    cost: Moments = field(default_factory=Moments)
    most_usd: float = -math.inf

    def add(self, table: pa.Table) -> None:
        """Take a chunk's rows; parts of a time before the column say nothing."""
        if "redispatch_usd" not in table.column_names:
            return
        cost = table.column("redispatch_usd").to_numpy().astype(float)
        kept = cost[np.isfinite(cost) & ~_is(table, Outcome.ERRED)]
        self.cost.add(kept)
        self.most_usd = max(self.most_usd, float(kept.max(initial=-math.inf)))

    def figures(self) -> RedispatchReport:
        """Return the figures, as the report prints them; None where nothing was solved."""
        known = self.cost.count > 0
        return RedispatchReport(
            policy=self.policy,
            count=self.cost.count,
            mean_usd=self.cost.mean if known else None,
            most_usd=self.most_usd if known else None,
        )


def lit_kw(table: pa.Table) -> FloatArray:
    """(realization,) power served, kW: nothing where it is not feasible."""
    served = table.column("served_kw").to_numpy().astype(float)
    return np.where(_is(table, Outcome.FEASIBLE), served, 0.0)


def served_share(stores: Iterable[CampaignStore], chunks: Sequence[int]) -> float | None:
    """Share of the demand, as drawn, that some campaigns of one plan serve over these parts."""
    energy = UnservedEnergy(hours=1.0)
    for store in stores:
        for table in store.tables(["outcome", "load_kw", "served_kw"], chunks):
            energy.add(table)
    return energy.figures().served_share


def _is(table: pa.Table, outcome: Outcome) -> BoolArray:
    return np.asarray(outcome_codes(table.column("outcome")) == outcome)
