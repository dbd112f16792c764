"""Separation island by island, by the means asked for, with a budget shared among islands.

A plan's islands share nothing but the sum of their costs and, if there is one, the budget Γ.
Without a budget each is bracketed on its own. With one, each is bracketed at every share of
the budget it could get (whole loads, and the one fractional load a vertex may have), and the
shares that sum to the highest cost within Γ are put together: the maximum over the joint set.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
from gridproof.optimizer.network.network import Network
from gridproof.optimizer.separation.dual_bound import bracket_by_duals
from gridproof.optimizer.separation.enumeration import enumerate_island
from gridproof.optimizer.separation.island_recourse import IslandRecourse, uncertain_directions
from gridproof.optimizer.separation.region import Region
from gridproof.optimizer.separation.worst_case import Bracket, bracket
from gridproof.optimizer.solver.decomposition import Worst
from gridproof.scenarios.arrays import FloatArray, IntArray
from gridproof.scenarios.errors import ScenarioError
from gridproof.scenarios.sets import Box

if TYPE_CHECKING:
    from gridproof.optimizer.network.first_stage import FirstStage

__all__ = ["IslandSeparation", "check_budget"]

_ROUND = 1e-9
_SHARE = 0.1  # of the asked gap, left to separation


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class IslandSeparation:
    """The worst realization of a plan, with what none can exceed.

    Attributes
    ----------
    network
        Per-unit network, with the margins the plan is to keep.
    kind
        One of `optimizer.partitioning.options.SEPARATIONS`. ``auto``: heuristics, enumeration
        of few vertices, affine rules on ever smaller parts of the set. ``affine``: heuristics
        and one affine rule, which may prove too little. ``dual_milp``: heuristics and
        mixed-integer duals. ``enumeration``: every vertex, at most 12 loads in an island.
    budget
        Most loads off nominal at once, Γ; no limit if None.
    gap
        Relative gap the whole search is asked for.
    reach
        Bounds on flows over the whole set, for enumeration.
    slack_usd_per_kw
        Price ω of a kW of violated balance, for enumeration.
    """

    network: Network
    kind: str = "auto"
    budget: float | None = None
    gap: float = 1e-4
    reach: FloatArray | None = None
    slack_usd_per_kw: float = 705.0

    def first_stage_usd(self, candidate: FirstStage) -> float:
        """Shed and generation cost."""
        return candidate.cost_usd(self.network.scenario)

    def worst(self, candidate: FirstStage, *, time_limit_s: float) -> Worst:
        """Return the worst realization found and the cost that none exceeds.

        Loads in dead blocks cost nothing; they are put at their highest, or at nominal if
        there is a budget to spend elsewhere.

        Raises
        ------
        ScenarioError
            If ``enumeration`` meets an island with too many uncertain loads.
        """
        scenario = self.network.scenario
        deadline = perf_counter() + time_limit_s
        islands = candidate.islands(scenario)
        owned = [uncertain_directions(self.network, blocks) for blocks in islands]
        moving = sum(len(directions) for directions in owned)
        limited = self.budget is not None and self.budget < moving - _ROUND
        every = int((scenario.uncertainty.spread > 0.0).sum())
        spare = self.budget is None or self.budget >= every - _ROUND
        # what is put in a dead block must leave ζ inside the set: other plans are tried on it
        box = scenario.uncertainty
        zeta = box.high.copy() if spare else np.zeros(box.size)
        tables = []
        for blocks, directions in zip(islands, owned, strict=True):
            table = {}
            for share in self._shares(len(directions), limited, alone=len(islands) == 1):
                table[share] = self._island(candidate, blocks, directions, share, deadline)
                if table[share].violation > 0.0:  # breaks the plan whatever the others do
                    break
            tables.append(table)
            if _broken(table):
                break
        return _joined(tables, owned, self.budget if limited else None, zeta)

    def _shares(self, size: int, limited: bool, *, alone: bool) -> list[float]:
        """Budgets an island of so many loads may get, the largest first."""
        if not limited or self.budget is None:
            return [float(size)]
        most = min(float(size), self.budget)
        if alone:
            return [most]
        rest = self.budget - np.floor(self.budget + _ROUND)
        whole = np.arange(np.floor(most + _ROUND) + 1.0)
        shares = {*whole.tolist(), *(whole + rest)[whole + rest <= most + _ROUND].tolist()}
        return sorted(shares, reverse=True)

    def _island(
        self,
        candidate: FirstStage,
        blocks: tuple[int, ...],
        directions: IntArray,
        share: float,
        deadline: float,
    ) -> Bracket:
        region = Region.of(self.network.scenario.uncertainty, directions, share)
        left = max(0.0, deadline - perf_counter())
        if self.kind == "enumeration":
            return enumerate_island(
                self.network,
                candidate,
                blocks,
                region,
                reach=self.reach,
                slack_usd_per_kw=self.slack_usd_per_kw,
                time_limit_s=left,
            )
        recourse = IslandRecourse(self.network, candidate, blocks, directions)
        tolerance = _SHARE * self.gap * max(1.0, abs(self.first_stage_usd(candidate)))
        if self.kind == "dual_milp":
            return bracket_by_duals(recourse, region, tolerance_usd=tolerance, time_limit_s=left)
        return bracket(
            recourse,
            region,
            tolerance_usd=tolerance,
            time_limit_s=left,
            branch=self.kind == "auto",
        )


def _broken(table: dict[float, Bracket]) -> Bracket | None:
    """Bracket whose realization cannot be served; only the largest share can have one."""
    first = next(iter(table.values()))
    return first if first.violation > 0.0 else None


def _joined(
    tables: list[dict[float, Bracket]],
    owned: list[IntArray],
    budget: float | None,
    zeta: FloatArray,
) -> Worst:
    """Put islands together: each at its whole set, or at the worst split of a budget."""
    if tables and (last := _broken(tables[-1])) is not None:
        for directions, table in zip(owned, tables, strict=False):
            if budget is None or table is tables[-1]:
                zeta[directions] = next(iter(table.values())).zeta
        return Worst(zeta=zeta, cost_usd=np.inf, violation=last.violation)
    cost, chosen = _best(tables, budget, "cost_usd")
    bound, _ = _best(tables, budget, "bound_usd")
    for directions, one in zip(owned, chosen, strict=True):
        zeta[directions] = one.zeta
    return Worst(
        zeta=zeta,
        cost_usd=cost,
        violation=0.0,
        complete=bool(np.isfinite(bound)),
        bound_usd=max(bound, cost),
    )


def _best(
    tables: list[dict[float, Bracket]], budget: float | None, name: str
) -> tuple[float, list[Bracket]]:
    """Highest sum of one figure over the ways to split a budget."""
    if budget is None:
        chosen = [next(iter(table.values())) for table in tables]
        return sum(getattr(one, name) for one in chosen), chosen
    best: dict[float, tuple[float, list[Bracket]]] = {0.0: (0.0, [])}
    for table in tables:
        grown: dict[float, tuple[float, list[Bracket]]] = {}
        for spent, (value, chosen) in best.items():
            for share, one in table.items():
                total = round(spent + share, 9)
                if total > budget + _ROUND:
                    continue
                sum_ = value + getattr(one, name)
                if total not in grown or sum_ > grown[total][0]:
                    grown[total] = (sum_, [*chosen, one])
        best = grown
    return max(best.values(), key=lambda item: item[0])


def check_budget(budget: float | None, box: Box) -> None:
    """Refuse a budget that a box cannot have.

    Raises
    ------
    ScenarioError
        If it is above the number of loads that move, or if one of them may fall farther than it
        may rise: a part of a load off nominal would then mean another share each way.
    """
    moving = int((box.spread > 0.0).sum())
    if budget is not None and not box.even:
        raise ScenarioError(
            f"[planner] budget = {budget:g} counts loads that fall as far as they rise; state "
            "[uncertainty] spread alone, without spread_down and spread_up, or leave budget out"
        )
    if budget is not None and budget > moving:
        raise ScenarioError(
            f"[planner] budget = {budget:g}, but only {moving} loads are uncertain; set it "
            f"between 0 and {moving}, or leave it out for all of them"
        )
