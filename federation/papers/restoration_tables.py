"""The restoration publication's tables and figures, ours beside the printed numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gridproof.federation.jsonable import Interval
from gridproof.federation.papers.output import Picture
from gridproof.federation.papers.paper_table import paper_table
from gridproof.federation.papers.restoration import CaseResult, RestorationRun, StormResult
from gridproof.federation.reports.storm_summary import restored_shares
from gridproof.federation.tables.table import Table
from gridproof.scenarios.restoration import Outage
from gridproof.scenarios.restoration_states import states_of

__all__ = ["restoration_pictures", "restoration_tables"]


def restoration_tables(run: RestorationRun) -> tuple[Table, ...]:
    """Make every table that has rows."""
    tables = [_supplied(run), _ac(run), _formulations(run), _program(run)]
    tables += [_growth(run)] if run.growth else []
    tables += [_unbalanced(run)] if run.unbalanced else []
    tables += [_storms(run)] if run.storms else []
    return tuple(tables)


def _supplied(run: RestorationRun) -> Table:
    return paper_table(
        name="supplied",
        title="Load supplied by phase, %: ours/printed (Fig. 3); buses at t = 3",
        columns=(
            ("case", "case", 0),
            ("supplied_0_percent", "t = 0", 2),
            ("supplied_1_percent", "t = 1", 2),
            ("supplied_2_percent", "t = 2", 2),
            ("supplied_3_percent", "t = 3", 2),
            ("damaged_3", "lost", 0),
            ("dead_safe_3", "dead", 0),
            ("optimal", "proven", 0),
            ("audit_faults", "faults", 0),
        ),
        rows=tuple(_supplied_row(one) for one in run.cases),
    )


def _supplied_row(one: CaseResult) -> dict[str, Any]:
    row: dict[str, Any] = {"case": one.row.key, "about": one.row.about}
    for time, phase in enumerate(one.summary.phases):
        row[f"supplied_{time}_percent"] = 100.0 * phase.supplied_share
        row[f"damaged_{time}"] = phase.damaged_buses
        row[f"dead_safe_{time}"] = phase.dead_safe_buses
        row[f"operations_{time}"] = phase.operations
    return {
        **row,
        "printed_supplied_3_percent": one.row.printed_supplied_percent,
        "optimal": one.summary.proof.optimal,
        "gap": one.summary.gap,
        "objective": one.summary.objective,
        "audit_faults": len(one.audit_faults),
        **{f"{name}_seconds": one.summary.seconds.get(name) for name in ("solve", "total")},
        "command": f"gridproof run {one.row.study}",
    }


def _ac(run: RestorationRun) -> Table:
    return paper_table(
        name="ac",
        title="Every phase under AC power flow, loads drawn: feasible, exact interval",
        columns=(
            ("row", "case, phase", 0),
            ("samples", "drawn", 0),
            ("feasible_percent", "share %", 2),
            ("low_percent to high_percent", "interval %", 2),
            ("violated", "violated", 0),
            ("no_solution", "unsolved", 0),
            ("erred", "erred", 0),
        ),
        rows=tuple(row for one in run.cases for row in _ac_rows(one)),
    )


def _ac_rows(one: CaseResult) -> list[dict[str, Any]]:
    rows = []
    for step in one.trials.steps:
        campaign = step.tried
        rows.append(
            {
                "row": f"{one.row.key}, t = {step.step}",
                "case": one.row.key,
                "phase": step.name,
                "samples": campaign.samples,
                **_share(campaign.feasible_share, campaign.interval),
                **campaign.outcomes,
                "confidence": campaign.confidence,
            }
        )
    joint = one.trials.joint
    nothing = dict.fromkeys(rows[0], None)
    rows.append(
        {
            **nothing,
            "row": f"{one.row.key}, all",
            "case": one.row.key,
            "phase": "all",
            "samples": joint.realizations,
            "feasible": joint.feasible,
            **_share(joint.feasible_share, joint.interval),
            "confidence": joint.confidence,
        }
    )
    return rows


def _unbalanced(run: RestorationRun) -> Table:
    return paper_table(
        name="unbalanced",
        title="An unbalanced network after reconfiguration, by the model it is planned with, %",
        columns=(
            ("row", "planned", 0),
            ("supplied_percent", "supplied", 2),
            ("feasible_percent", "feasible in AC", 2),
            ("low_percent", "from", 2),
            ("high_percent", "to", 2),
            ("violated", "violated", 0),
            ("no_solution", "unsolved", 0),
            ("optimal", "proven", 0),
            ("audit_faults", "faults", 0),
        ),
        rows=tuple(_unbalanced_row(one) for one in run.unbalanced),
    )


def _unbalanced_row(one: CaseResult) -> dict[str, Any]:
    last = _ac_rows(one)[-2]  # the phase after reconfiguration; all phases together follow
    supplied = _supplied_row(one)
    return {
        **last,
        "row": one.row.key,
        "about": one.row.about,
        "supplied_percent": supplied["supplied_3_percent"],
        "optimal": supplied["optimal"],
        "audit_faults": supplied["audit_faults"],
    }


def _share(value: float | None, interval: Interval) -> dict[str, float | None]:
    return {
        "feasible_percent": None if value is None else 100.0 * value,
        "low_percent": 100.0 * interval[0],
        "high_percent": 100.0 * interval[1],
    }


def _formulations(run: RestorationRun) -> Table:
    return paper_table(
        name="formulations",
        title="Radiality of one phase, built/printed (Table I); solver s in one run",
        columns=(
            ("row", "formulation", 0),
            ("variables", "variables", 0),
            ("constraints", "constraints", 0),
            ("last_solver_seconds", "t = 3, s", 2),
            ("last_optimal", "proven", 0),
            ("all_solver_seconds", "all t, s", 2),
        ),
        rows=tuple({"row": _short(row["formulation"]), **row} for row in run.formulations),
    )


def _short(formulation: str) -> str:
    return formulation.removeprefix("directed_").replace("_", " ")


def _program(run: RestorationRun) -> Table:
    """Set the whole program of the publication's own formulation beside its size and times."""
    size = run.data.size
    own = next(row for row in run.formulations if row["formulation"] == "directed_local_flow")
    rows = tuple(
        {
            "extent": name,
            "variables": own[f"{key}_variables"],
            "printed_variables": size.printed_variables,
            "free_variables": own[f"{key}_free_variables"],
            "constraints": own[f"{key}_constraints"],
            "printed_constraints": size.printed_constraints,
            "solver_seconds": own[f"{key}_solver_seconds"],
            "printed_solver_seconds": size.printed_solver_seconds,
            "total_seconds": own[f"{key}_total_seconds"],
            "printed_total_seconds": size.printed_total_seconds,
            "optimal": own[f"{key}_optimal"],
        }
        for key, name in (("all", "all phases"), ("last", "t = 3 alone"))
    )
    return paper_table(
        name="program",
        title=f"Whole program of {size.case}, directed local flow: ours/printed",
        columns=(
            ("extent", "program", 0),
            ("variables", "variables", 0),
            ("constraints", "constraints", 0),
            ("solver_seconds", "solver s", 2),
            ("total_seconds", "in all s", 2),
            ("optimal", "proven", 0),
        ),
        rows=rows,
    )


def _growth(run: RestorationRun) -> Table:
    return paper_table(
        name="growth",
        title="Growth: one search a row; where the limit came first, its gap",
        columns=(
            ("row", "buses, formulation", 0),
            ("solver_seconds", "solver s", 2),
            ("total_seconds", "all s", 2),
            ("optimal", "proven", 0),
            ("gap", "gap", 6),
            ("supplied_percent", "% fed", 2),
            ("audit_faults", "faults", 0),
        ),
        rows=tuple({"row": f"{r['mv_buses']} {_short(r['formulation'])}", **r} for r in run.growth),
    )


def _storms(run: RestorationRun) -> Table:
    return paper_table(
        name="storms",
        title="Failures from damage models: load supplied at t = 3, %",
        columns=(
            ("storm", "storms", 0),
            ("draws", "drawn", 0),
            ("median_percent", "median", 2),
            ("median_low_percent to median_high_percent", "interval", 2),
            ("audit_faults", "faults", 0),
            ("ac_feasible_percent", "AC %", 2),
            ("ac_low_percent to ac_high_percent", "interval", 2),
        ),
        rows=tuple(_storm_row(one) for one in run.storms),
    )


def _storm_row(one: StormResult) -> dict[str, Any]:
    found = one.summary
    last = (found.supplied_share or {}).get("remote reconfiguration")
    quantiles = {} if last is None else last.quantiles
    row: dict[str, Any] = {
        "storm": one.row.key,
        "about": one.row.about,
        "draws": found.draws,
        "without_plan": found.without_plan,
        "optimal": found.optimal,
        "worst_gap": found.worst_gap,
        "failures_mean": found.failures.mean,
        "failures_standard_deviation": found.failures.standard_deviation,
        "mean_percent": None if last is None else 100.0 * last.mean,
        "audit_faults": found.audit.faults,
    }
    for level, name in (("0.05", "p5"), ("0.5", "median"), ("0.95", "p95")):
        held = quantiles.get(level)
        low, high = (None, None) if held is None else held.interval
        row[f"{name}_percent"] = None if held is None else 100.0 * held.value
        row[f"{name}_low_percent"] = None if low is None else 100.0 * low
        row[f"{name}_high_percent"] = None if high is None else 100.0 * high
    ac = found.ac
    shares = _share(ac.share, ac.interval)
    return {
        **row,
        **{f"ac_{name}": value for name, value in shares.items()},
        "ac_v_min_pu": ac.v_min_pu,
    }


def restoration_pictures(run: RestorationRun, root: Path) -> dict[str, Picture]:
    """Draw Fig. 3, Fig. 4 for every case, and the storms' distributions."""
    from gridproof.federation.reports.families.restoration_figures import (  # noqa: PLC0415  (matplotlib is slow)
        figure_stages,
        figure_storms,
        figure_supplied,
        stage_maps,
    )

    folder = root / "figures"
    folder.mkdir(parents=True, exist_ok=True)

    def kept(files: tuple[Path, ...], caption: str) -> Picture:
        names = tuple(path.relative_to(root).as_posix() for path in files)
        return Picture(files=names, caption=caption)

    shares = {
        one.row.key: tuple(phase.supplied_share for phase in one.summary.phases)
        for one in run.cases
    }
    printed = {
        one.row.key: one.row.printed_supplied_percent / 100.0
        for one in run.cases
        if one.row.printed_supplied_percent is not None
    }
    pictures = {
        "supplied": kept(
            figure_supplied(shares, folder / "supplied", printed=printed),
            "Load supplied by phase and case (Fig. 3); the star is the publication's number.",
        )
    }
    for one in run.cases:
        case, decided = Outage.of(one.scenario), states_of(one.plan, one.scenario)
        name = f"stages-{one.row.key.replace(' ', '-')}"
        files = figure_stages(case, stage_maps(case, decided), folder / name)
        pictures[name] = kept(files, f"The four stages of {one.row.key} (Fig. 4).")
    if run.storms:
        groups = {one.row.key: restored_shares(one.draws) for one in run.storms}
        pictures["storms"] = kept(
            figure_storms(groups, folder / "storms"),
            "Load supplied over storms, by damage model, with 95 % bands.",
        )
    return pictures
