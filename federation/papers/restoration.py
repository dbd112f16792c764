"""The restoration publication, run: cases under AC, formulations side by side, growth, storms.

::

    DIR/cases/case-1/ …            campaign directories, one step per phase
    DIR/solves/*.json              one search each: Table I and the growth table
    DIR/storms/independent/ …      draws of a damage model

What is there whole is only read, so a run that was stopped goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.campaigns.progress import CampaignBar
from gridproof.federation.campaigns.steps import steps_summary
from gridproof.federation.campaigns.storms import StormDraw, StormRun, run_storms
from gridproof.federation.families.restoration_facts import RestorationFigures, restoration_summary
from gridproof.federation.files import json_text, read_json, write_whole
from gridproof.federation.papers.restoration_data import CaseRow, RestorationPaper, StormRow
from gridproof.federation.papers.restoration_sizes import (
    grown_case,
    printed_size,
    radiality_size,
    solve_row,
)
from gridproof.federation.records.report import StepsReport
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.reports.storm_report import StormReport
from gridproof.federation.reports.storm_summary import storm_summary
from gridproof.federation.studies.study import Study, load_study
from gridproof.federation.wording import decimals
from gridproof.optimizer.network.radiality import FORMULATIONS
from gridproof.scenarios.damage import StormDamage
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.restoration import Outage
from gridproof.scenarios.restoration_audit import audit_restoration
from gridproof.scenarios.restoration_states import states_of
from gridproof.scenarios.scenario import Scenario

__all__ = [
    "CaseResult",
    "RestorationEffort",
    "RestorationRun",
    "StormResult",
    "run_restoration_paper",
]

_SQUARED = "multi_commodity"  # its size grows with the square of the network
_SQUARED_BUSES = 500
_STORM_LOADS, _STORM_SEED = 20, 1

Tell = Callable[[str], None]
Watch = Callable[[], AbstractContextManager[CampaignBar]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RestorationEffort:
    """How much of the publication's tables to fill.

    Attributes
    ----------
    growth_buses
        Largest network of the growth table.
    time_limit_s
        Of each search of the tables; one that it ends shows its gap.
    draws
        Storms of each damage model.
    """

    growth_buses: int = 1000
    time_limit_s: float = 120.0
    draws: int = 40


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CaseResult:
    """A case: its plan in figures, the audit of its graph, and its phases under AC."""

    row: CaseRow
    study: Study
    plan: Plan
    summary: RestorationFigures
    audit_faults: tuple[str, ...]
    trials: StepsReport

    @property
    def scenario(self) -> Scenario:
        """What failed where."""
        return self.study.scenario


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StormResult:
    """A damage model: its draws, and their figures."""

    row: StormRow
    draws: tuple[StormDraw, ...]
    summary: StormReport


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RestorationRun:
    """Everything the tables and figures are made of.

    Attributes
    ----------
    formulations
        Rows of Table I: sizes printed and built, and searches of both extents.
    growth
        Rows of the growth table.
    unbalanced
        One network, planned under several models of its physics.
    """

    data: RestorationPaper
    cases: tuple[CaseResult, ...]
    formulations: tuple[dict[str, Any], ...]
    growth: tuple[dict[str, Any], ...]
    unbalanced: tuple[CaseResult, ...]
    storms: tuple[StormResult, ...]


def run_restoration_paper(
    data: RestorationPaper,
    out: Path,
    *,
    samples: int | None = None,
    effort: RestorationEffort | None = None,
    tell: Tell,
    watch: Watch,
) -> RestorationRun:
    """Run what is not there yet, and read all.

    Parameters
    ----------
    data
        The rows.
    out
        Where their directories are.
    samples
        Realizations of each phase; the studies' own if None.
    effort
        How much.
    tell
        Told one line at the end of each row.
    watch
        Opens a progress bar for one case.

    Raises
    ------
    StoreError
        If a directory is of another configuration.
    PlanError, FederationError
        As `federation.campaigns.campaign.run_campaign`; finished rows stay.
    """
    effort = effort or RestorationEffort()
    cases = tuple(_case(row, out, samples, tell, watch) for row in data.cases)
    sized = next(one for one in cases if one.row.key == data.size.case)
    desk = _Desk(out=out / "solves", limit_s=effort.time_limit_s, tell=tell)
    desk.out.mkdir(parents=True, exist_ok=True)
    formulations = tuple(_formulation(desk, sized.scenario, name) for name in FORMULATIONS)
    growth = tuple(
        row
        for buses in data.growth.buses
        if buses <= effort.growth_buses
        for row in _grown(desk, data, buses)
    )
    unbalanced = tuple(_case(row, out, samples, tell, watch) for row in data.unbalanced)
    storms = tuple(_storm(row, data, out, effort, tell) for row in data.storms if effort.draws)
    return RestorationRun(
        data=data,
        cases=cases,
        formulations=formulations,
        growth=growth,
        unbalanced=unbalanced,
        storms=storms,
    )


def _case(row: CaseRow, out: Path, samples: int | None, tell: Tell, watch: Watch) -> CaseResult:
    drawn = [] if samples is None else [f"campaign.samples={samples}"]
    study = load_study(row.study, [*row.set, *drawn])
    root = out / "cases" / row.key.replace(" ", "-")
    with watch() as bar:
        done = run_campaign(study, root, progress=bar, planning=bar.planning)
    scenario = study.scenario
    summary = restoration_summary(done.plan, scenario)
    faults = audit_restoration(Outage.of(scenario), states_of(done.plan, scenario))
    shares = ", ".join(decimals(100.0 * one.supplied_share, 2) for one in summary.phases)
    tell(f"{row.key}: {shares} % supplied; {len(faults)} audit faults")
    return CaseResult(
        row=row,
        study=study,
        plan=done.plan,
        summary=summary,
        audit_faults=faults,
        trials=steps_summary(CampaignStore.open(root)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Desk:
    """Makes searches, or reads those of an earlier run with the same limit."""

    out: Path
    limit_s: float
    tell: Tell

    def solved(self, case: Scenario, name: str, extent: str, label: str) -> dict[str, Any]:
        path = self.out / f"{label}-{extent}-{name}-{self.limit_s:g}s.json"
        if path.exists():
            kept = read_json(path)
            if kept.get("case") == case.digest():
                return kept
        row = {"case": case.digest(), **solve_row(case, name, extent, self.limit_s)}
        write_whole(path, json_text(row))
        proof = "optimal" if row["optimal"] else f"gap {row['gap']}, {row['termination']}"
        self.tell(
            f"{label} {extent} {name}: {proof}, solver {decimals(row['solver_seconds'], 2)} s"
        )
        return row


def _formulation(desk: _Desk, case: Scenario, name: str) -> dict[str, Any]:
    """Count one formulation as printed and as built, and solve with it; one row of Table I."""
    buses, lines = len(case.feeder.buses.ids), len(case.feeder.lines.ids)
    radiality = radiality_size(case, name)
    printed = printed_size(buses, lines, name) or (None, None)
    last = desk.solved(case, name, "reconfiguration", "table-one")
    every = None if name == _SQUARED else desk.solved(case, name, "all_phases", "table-one")
    return {
        "formulation": name,
        "variables": radiality.variables,
        "printed_variables": printed[0],
        "added_variables": radiality.added,
        "added_whole_variables": radiality.whole,
        "constraints": radiality.constraints,
        "printed_constraints": printed[1],
        **{f"last_{k}": v for k, v in _told(last).items()},
        **{f"all_{k}": v for k, v in _told(every).items()},
    }


_KEPT = (
    "variables", "free_variables", "constraints", "solver_seconds", "total_seconds",
    "termination", "optimal", "gap", "supplied_percent", "audit_faults",
)  # fmt: skip


def _told(row: dict[str, Any] | None) -> dict[str, Any]:
    return {name: None if row is None else row[name] for name in _KEPT}


def _grown(desk: _Desk, data: RestorationPaper, buses: int) -> list[dict[str, Any]]:
    seeds = {"network_seed": data.growth.network_seed, "failure_seed": data.growth.failure_seed}
    case = grown_case(buses, **seeds)
    names = [name for name in FORMULATIONS if name != _SQUARED or buses <= _SQUARED_BUSES]
    return [
        {"mv_buses": buses, "lines": len(case.feeder.lines.ids), "formulation": name,
         "failures": len(case.events.kind), "time_limit_s": desk.limit_s,
         **_told(desk.solved(case, name, "reconfiguration", f"growth-{buses}"))}
        for name in names
    ]  # fmt: skip


def _storm(
    row: StormRow, data: RestorationPaper, out: Path, effort: RestorationEffort, tell: Tell
) -> StormResult:
    run = StormRun(
        study=load_study(data.cases[0].study),
        storm=StormDamage(
            rate_per_km=row.rate_per_km, sigma=row.sigma, correlation_km=row.correlation_km
        ),
        seed=_STORM_SEED,
        loads=_STORM_LOADS,
    )
    root = out / "storms" / row.key.replace(" ", "-")
    root.mkdir(parents=True, exist_ok=True)

    def told(one: StormDraw) -> None:
        share = f"{decimals(100.0 * one.supplied_share[3], 2)} %" if one.planned else "no plan"
        tell(f"storm {row.key} {one.index + 1}/{effort.draws}: {share}")

    draws = run_storms(run, root, effort.draws, tell=told)
    return StormResult(row=row, draws=draws, summary=storm_summary(run, draws))
