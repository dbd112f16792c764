"""The tables of a report."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from gridproof.federation.records.profile import slot_names
from gridproof.federation.reports.data import ReportData, breach_table
from gridproof.federation.reports.holding import holding_table
from gridproof.federation.reports.lacking import lacking_table
from gridproof.federation.reports.plan_tables import der_table, island_table, switch_table
from gridproof.federation.reports.study_words import capability_table, fleet_table
from gridproof.federation.reports.verdict_tables import (
    crossed_table,
    interval_columns,
    margin_table,
    verdict_table,
)
from gridproof.federation.reports.why_view import why_table
from gridproof.federation.reports.worst import drawn_table, unsolved_table, worst_table
from gridproof.federation.tables.table import Table, count, number, share, text

__all__ = ["all_tables"]


def all_tables(data: ReportData) -> dict[str, Table]:
    """Every table of a report by its name; those with nothing to say are left out."""
    makers: Iterable[Callable[[ReportData], Table | None]] = (
        lambda one: verdict_table(one.verdicts), _kinds, _crossed,
        lambda one: island_table(one.plan_facts), _dead, lambda one: der_table(one.plan_facts),
        lambda one: switch_table(one.plan_facts), lambda one: margin_table(one.verdicts),
        _envelope, _breaches,
        lambda one: lacking_table(one.lacking), lambda one: holding_table(one.holding),
        worst_table, drawn_table, unsolved_table,
        _convergence, lambda one: fleet_table(one.scenario),
        lambda one: capability_table(one.scenario), _runs, _versions,
    )  # fmt: skip
    made = [table for table in (maker(data) for maker in makers) if table is not None]
    return {table.name: table for table in made if table.rows}


def _crossed(data: ReportData) -> Table | None:
    crossed = data.verdicts.crossed
    return None if crossed is None else crossed_table(crossed)


def _kinds(data: ReportData) -> Table:
    rows = []
    for kind, one in data.verdicts.violations.items():
        rows.append((kind, one.count, one.share, *one.interval))
    return Table(
        name="violations-by-kind",
        title="Realizations that left each kind of limit, of those solved, with "
        f"{data.verdicts.interval_kind} intervals",
        columns=(
            text("limit"),
            count("count"),
            share("share"),
            *interval_columns(data.verdicts.confidence, keyed=False),
        ),
        rows=tuple(rows),
    )


def _dead(data: ReportData) -> Table | None:
    found = data.plan_facts.why
    return None if found is None else why_table(found)


def _envelope(data: ReportData) -> Table | None:
    profile, distances, limits = data.profile, data.distances, data.scenario.limits
    if not profile.solved:
        return None
    buses, names = data.scenario.feeder.buses.ids, slot_names(data.scenario)
    room = np.minimum(profile.low_pu - limits.v_min_pu, limits.v_max_pu - profile.high_pu)
    columns = [profile.quantile_pu(level) for level in (0.05, 0.5, 0.95)]
    rows = []
    for k in np.argsort(room, kind="stable").tolist():
        bus = int(profile.bus[k])
        island = int(distances.island[bus])
        rows.append(
            (
                buses[bus], names[profile.phase[k]],
                distances.forming[island] if island >= 0 else None, float(distances.ohm[bus]),
                float(profile.low_pu[k]), float(columns[0][k]), float(columns[1][k]),
                float(profile.mean_pu[k]), float(columns[2][k]), float(profile.high_pu[k]),
            )
        )  # fmt: skip
    return Table(
        name="voltages",
        title="Voltages of the buses and phases that come nearest to a limit, pu",
        columns=(
            text("bus"), text("phase"), text("island of"),
            number("distance", 3, "Ω"), number("least", 4), number("5 %", 4),
            number("median", 4), number("mean", 4), number("95 %", 4), number("greatest", 4),
        ),
        rows=tuple(rows),
        shown=12,
    )  # fmt: skip


def _breaches(data: ReportData) -> Table:
    return Table(
        name="violations-by-element",
        title="Elements outside a limit, and in how many of the solved realizations",
        columns=(
            text("element"),
            text("limit"),
            count("realizations"),
            share("share"),
        ),
        rows=tuple((row.element, row.kind, row.count, row.share) for row in breach_table(data)),
        shown=15,
    )


def _convergence(data: ReportData) -> Table:
    one = data.convergence
    rows = list(
        zip(
            one.judged.tolist(),
            one.share.tolist(),
            one.low.tolist(),
            one.high.tolist(),
            strict=True,
        )
    )
    return Table(
        name="convergence",
        title="Feasible share after so many realizations",
        columns=(
            text("judged"), share("share"), share("from"),
            share("to"),
        ),
        rows=tuple(rows),
        shown=0,
    )  # fmt: skip


def _runs(data: ReportData) -> Table:
    runs = data.environment.get("runs", [])
    keys = ("started", "mode", "realizations", "seconds", "ended")
    return Table(
        name="runs",
        title="Runs that made this campaign",
        columns=(
            text("started"),
            text("mode"),
            count("realizations"),
            number("seconds", 1),
            text("ended"),
        ),
        rows=tuple(tuple(run.get(key) for key in keys) for run in runs),
    )


def _versions(data: ReportData) -> Table:
    return Table(
        name="versions",
        title="Versions the results may depend on",
        columns=(text("what"), text("version")),
        rows=tuple(data.environment.get("versions", {}).items()),
    )
