"""The tables of a report."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from gridproof.federation.records.profile import slot_names
from gridproof.federation.records.rows import MARGIN_UNITS
from gridproof.federation.reports.data import ReportData, breach_table
from gridproof.federation.reports.table import Table, number, number_of, prose, text
from gridproof.federation.reports.why_view import why_table
from gridproof.federation.reports.worst import drawn_table, unsolved_table, worst_table
from gridproof.federation.wording import MEANING, fixed, percent, place_words, whole

__all__ = ["all_tables"]


def all_tables(data: ReportData) -> dict[str, Table]:
    """Every table of a report by its name; those with nothing to say are left out."""
    makers: Iterable[Callable[[ReportData], Table | None]] = (
        _outcomes, _kinds, _crossed, _islands, _dead, _ders, _switches, _margins, _envelope,
        _breaches, worst_table, drawn_table, unsolved_table, _convergence, _runs, _versions,
    )  # fmt: skip
    made = [table for table in (maker(data) for maker in makers) if table is not None]
    return {table.name: table for table in made if table.rows}


def _outcomes(data: ReportData) -> Table:
    verdicts = data.verdicts
    confidence = f"{100 * verdicts.confidence:g} %"
    return Table(
        name="outcomes",
        caption=f"Outcomes of all {whole(verdicts.samples)} realizations, with "
        f"{verdicts.interval_kind} intervals",
        columns=(
            text("outcome"),
            number("count", whole),
            number("share", percent),
            number(f"{confidence} from", percent),
            number("to", percent),
            prose("meaning"),
        ),
        rows=tuple(
            (
                name.replace("_", " "),
                count,
                count / verdicts.samples,
                *verdicts.outcome_intervals[name],
                MEANING.get(name, ""),
            )
            for name, count in verdicts.outcomes.items()
        ),
    )


def _kinds(data: ReportData) -> Table:
    rows = []
    for kind, one in data.verdicts.violations.items():
        rows.append((kind, one.count, one.share, *one.interval))
    return Table(
        name="violations-by-kind",
        caption="Realizations that left each kind of limit, of those solved, with "
        f"{data.verdicts.interval_kind} intervals",
        columns=(
            text("limit"),
            number("count", whole),
            number("share", percent),
            number("from", percent),
            number("to", percent),
        ),
        rows=tuple(rows),
    )


def _crossed(data: ReportData) -> Table | None:
    crossed = data.verdicts.crossed
    if crossed is None:
        return None
    a, b = crossed.both_feasible, crossed.linear_only
    c, d = crossed.ac_only, crossed.neither
    return Table(
        name="linear-against-ac",
        caption="Linear judge (rows) against AC judge (columns), realizations",
        columns=(
            text("judged by LinDist3Flow"),
            number("feasible in AC", whole),
            number("not feasible in AC", whole),
            number("sum", whole),
        ),
        rows=(
            ("feasible", a, b, a + b),
            ("not feasible", c, d, c + d),
            ("sum", a + c, b + d, a + b + c + d),
        ),
    )


def _islands(data: ReportData) -> Table:
    return Table(
        name="islands",
        caption="Islands of the plan",
        columns=(
            text("grid-forming DER"),
            prose("blocks"),
            number("nominal demand, kW", lambda v: fixed(v, 1)),
            number("DER capacity, kW", lambda v: fixed(v, 1)),
        ),
        rows=tuple(
            (
                data.plan_facts.formers_of(one),
                ", ".join(one.blocks),
                one.demand_kw,
                one.capacity_kw,
            )
            for one in data.plan_facts.islands
        ),
    )


def _ders(data: ReportData) -> Table:
    return Table(
        name="ders",
        caption="Set-points of the DERs",
        columns=(
            text("DER"),
            text("bus"),
            text("block"),
            text("role"),
            number("P, kW", lambda v: fixed(v, 1)),
            number("of, kW", lambda v: fixed(v, 0)),
            number("Q, kvar", lambda v: fixed(v, 1)),
            number("held voltage, pu", lambda v: fixed(v, 4)),
        ),
        rows=tuple(
            (
                name,
                der.bus,
                der.block,
                der.role,
                der.p_kw,
                der.capacity_kw,
                der.q_kvar,
                der.source_v_pu,
            )
            for name, der in data.plan_facts.ders.items()
        ),
    )


def _dead(data: ReportData) -> Table | None:
    found = data.plan_facts.why
    return None if found is None else why_table(found)


def _switches(data: ReportData) -> Table:
    return Table(
        name="switches",
        caption="Switch states",
        columns=(text("switch"), text("state")),
        rows=tuple(data.plan_facts.switches.items()),
    )


def _margins(data: ReportData) -> Table:
    verdicts = data.verdicts
    levels = list(next(iter(verdicts.margins.values())).quantiles) if verdicts.margins else []
    four = number_of(4)
    rows = []
    for kind, one in verdicts.margins.items():
        worst = verdicts.worst[kind]
        rows.append(
            (
                f"{kind}, {MARGIN_UNITS[kind]}", one.min, one.cvar.mean,
                *(one.quantiles[level] for level in levels), one.max,
                place_words(worst.element, worst.phase), worst.index,
            )
        )  # fmt: skip
    tail = next(iter(verdicts.margins.values())).cvar.share if rows else 0.0
    return Table(
        name="margins",
        caption="Worst margin of a realization to each kind of limit; below zero is outside",
        columns=(
            text("limit"),
            four("least"),
            four(f"mean of worst {100 * tail:g} %"),
            *(four(f"{100 * float(level):g} % quantile") for level in levels),
            four("greatest"),
            prose("least at"),
            number("in realization"),
        ),
        rows=tuple(rows),
    )


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
    four = number_of(4)
    return Table(
        name="voltages",
        caption="Voltages of the buses and phases that come nearest to a limit, pu",
        columns=(
            text("bus"), text("phase"), text("island of"),
            number("distance, Ω", lambda v: fixed(v, 3)), four("least"), four("5 %"),
            four("median"), four("mean"), four("95 %"), four("greatest"),
        ),
        rows=tuple(rows),
        shown=12,
    )  # fmt: skip


def _breaches(data: ReportData) -> Table:
    return Table(
        name="violations-by-element",
        caption="Elements outside a limit, and in how many of the solved realizations",
        columns=(
            text("element"),
            text("limit"),
            number("realizations", whole),
            number("share", percent),
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
        caption="Feasible share after so many realizations",
        columns=(
            text("judged"), number("share", percent), number("from", percent),
            number("to", percent),
        ),
        rows=tuple(rows),
        shown=0,
    )  # fmt: skip


def _runs(data: ReportData) -> Table:
    runs = data.environment.get("runs", [])
    keys = ("started", "mode", "realizations", "seconds", "ended")
    return Table(
        name="runs",
        caption="Runs that made this campaign",
        columns=(
            text("started"),
            text("mode"),
            number("realizations", whole),
            number("seconds", lambda v: fixed(v, 1)),
            text("ended"),
        ),
        rows=tuple(tuple(run.get(key) for key in keys) for run in runs),
    )


def _versions(data: ReportData) -> Table:
    return Table(
        name="versions",
        caption="Versions the results may depend on",
        columns=(text("what"), text("version")),
        rows=tuple(data.environment.get("versions", {}).items()),
    )
