"""The tables of a report: the same rows for the page, as text, and for CSV files, as numbers."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from federation.profile import slot_names
from federation.report_data import ReportData, breach_table
from federation.rows import MARGIN_UNITS
from federation.wording import MEANING, fixed, percent, place_words, plain, whole

__all__ = ["Column", "Table", "all_tables", "csv_text"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column: its heading, how a value of it is put in words, and how it is set."""

    title: str
    words: Callable[[Any], str] = plain
    numeric: bool = False
    prose: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table.

    Attributes
    ----------
    name
        File name of its CSV, without the ending.
    caption
        What it shows, in one line.
    columns, rows
        Values as they are; the first column names its row.
    shown
        Rows on the page, the first ones; the CSV has all.
    """

    name: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]
    shown: int = 1000

    def words(self) -> list[list[str]]:
        """Cells of the rows on the page."""
        return [
            [column.words(cell) for column, cell in zip(self.columns, row, strict=True)]
            for row in self.rows[: self.shown]
        ]


def csv_text(table: Table) -> str:
    """Print a table as CSV: a heading, then values with full precision, nothing for None."""
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow([column.title for column in table.columns])
    for row in table.rows:
        writer.writerow(["" if _void(cell) else cell for cell in row])
    return sink.getvalue()


def _void(cell: Any) -> bool:
    return cell is None or (isinstance(cell, float) and not np.isfinite(cell))


def _text(title: str) -> Column:
    return Column(title=title)


def _prose(title: str) -> Column:
    return Column(title=title, prose=True)


def _number(title: str, words: Callable[[Any], str] = plain) -> Column:
    return Column(title=title, words=words, numeric=True)


def all_tables(data: ReportData) -> dict[str, Table]:
    """Every table of a report by its name; those with nothing to say are left out."""
    makers: Iterable[Callable[[ReportData], Table | None]] = (
        _outcomes, _kinds, _crossed, _islands, _ders, _switches, _margins, _envelope, _breaches,
        _worst, _drawn, _unsolved, _convergence, _runs, _versions,
    )  # fmt: skip
    made = [table for table in (maker(data) for maker in makers) if table is not None]
    return {table.name: table for table in made if table.rows}


def _outcomes(data: ReportData) -> Table:
    verdicts = data.verdicts
    confidence = f"{100 * verdicts['confidence']:g} %"
    return Table(
        name="outcomes",
        caption=f"Outcomes of all {whole(verdicts['samples'])} realizations, with exact "
        "(Clopper-Pearson) intervals",
        columns=(
            _text("outcome"),
            _number("count", whole),
            _number("share", percent),
            _number(f"{confidence} from", percent),
            _number("to", percent),
            _prose("meaning"),
        ),
        rows=tuple(
            (
                name.replace("_", " "),
                count,
                count / verdicts["samples"],
                *verdicts["outcome_intervals"][name],
                MEANING.get(name, ""),
            )
            for name, count in verdicts["outcomes"].items()
        ),
    )


def _kinds(data: ReportData) -> Table:
    rows = []
    for kind, one in data.verdicts.get("violations", {}).items():
        rows.append((kind, one["count"], one["share"], *one["interval"]))
    return Table(
        name="violations-by-kind",
        caption="Realizations that left each kind of limit, of those solved, with exact intervals",
        columns=(
            _text("limit"),
            _number("count", whole),
            _number("share", percent),
            _number("from", percent),
            _number("to", percent),
        ),
        rows=tuple(rows),
    )


def _crossed(data: ReportData) -> Table | None:
    crossed = data.verdicts.get("crossed")
    if crossed is None:
        return None
    a, b = crossed["both_feasible"], crossed["linear_only"]
    c, d = crossed["ac_only"], crossed["neither"]
    return Table(
        name="linear-against-ac",
        caption="Linear judge (rows) against AC judge (columns), realizations",
        columns=(
            _text("judged by LinDist3Flow"),
            _number("feasible in AC", whole),
            _number("not feasible in AC", whole),
            _number("sum", whole),
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
            _text("grid-forming DER"),
            _prose("blocks"),
            _number("nominal demand, kW", lambda v: fixed(v, 1)),
            _number("DER capacity, kW", lambda v: fixed(v, 1)),
        ),
        rows=tuple(
            (
                ", ".join(one["grid_forming"]) or "none",
                ", ".join(one["blocks"]),
                one["demand_kw"],
                one["capacity_kw"],
            )
            for one in data.plan_facts["islands"]
        ),
    )


def _ders(data: ReportData) -> Table:
    return Table(
        name="ders",
        caption="Set-points of the DERs",
        columns=(
            _text("DER"),
            _text("bus"),
            _text("block"),
            _text("role"),
            _number("P, kW", lambda v: fixed(v, 1)),
            _number("of, kW", lambda v: fixed(v, 0)),
            _number("Q, kvar", lambda v: fixed(v, 1)),
            _number("held voltage, pu", lambda v: fixed(v, 4)),
        ),
        rows=tuple(
            (
                name,
                *(der[key] for key in ("bus", "block", "role", "p_kw", "capacity_kw", "q_kvar")),
                der["source_v_pu"],
            )
            for name, der in data.plan_facts["ders"].items()
        ),
    )


def _switches(data: ReportData) -> Table:
    return Table(
        name="switches",
        caption="Switch states",
        columns=(_text("switch"), _text("state")),
        rows=tuple(data.plan_facts["switches"].items()),
    )


def _margins(data: ReportData) -> Table:
    verdicts = data.verdicts
    levels = (
        list(next(iter(verdicts["margins"].values()))["quantiles"]) if verdicts["margins"] else []
    )
    four = _number_of(4)
    rows = []
    for kind, one in verdicts["margins"].items():
        worst = verdicts["worst"][kind]
        rows.append(
            (
                f"{kind}, {MARGIN_UNITS[kind]}", one["min"], one["cvar"]["mean"],
                *(one["quantiles"][level] for level in levels), one["max"],
                place_words(worst["element"], worst["phase"]), worst["index"],
            )
        )  # fmt: skip
    tail = next(iter(verdicts["margins"].values()))["cvar"]["share"] if rows else 0.0
    return Table(
        name="margins",
        caption="Worst margin of a realization to each kind of limit; below zero is outside",
        columns=(
            _text("limit"),
            four("least"),
            four(f"mean of worst {100 * tail:g} %"),
            *(four(f"{100 * float(level):g} % quantile") for level in levels),
            four("greatest"),
            _prose("least at"),
            _number("in realization"),
        ),
        rows=tuple(rows),
    )


def _number_of(digits: int) -> Callable[[str], Column]:
    return lambda title: _number(title, lambda value: fixed(value, digits))


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
    four = _number_of(4)
    return Table(
        name="voltages",
        caption="Voltages of the buses and phases that come nearest to a limit, pu",
        columns=(
            _text("bus"), _text("phase"), _text("island of"),
            _number("distance, Ω", lambda v: fixed(v, 3)), four("least"), four("5 %"),
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
            _text("element"),
            _text("limit"),
            _number("realizations", whole),
            _number("share", percent),
        ),
        rows=tuple(
            (row["element"], row["kind"], row["count"], row["share"]) for row in breach_table(data)
        ),
        shown=15,
    )


def _worst(data: ReportData) -> Table:
    return Table(
        name="worst",
        caption="The realizations with the least margin, worst first",
        columns=(
            _text("realization"),
            _text("outcome"),
            _number("relative margin", percent),
            _prose("what failed, and where it was worst"),
            _number("drawn load, kW", lambda v: fixed(v, 1)),
            _number("served, kW", lambda v: fixed(v, 1)),
            _number("losses, kW", lambda v: fixed(v, 2)),
        ),
        rows=tuple(
            (
                f"#{row['index']}", row["outcome"].replace("_", " "), row["relative"],
                _failures(row), row["load_kw"], row["served_kw"], row["losses_kw"],
            )
            for row in data.worst
        ),
    )  # fmt: skip


def _failures(row: dict[str, Any]) -> str:
    if row["failed"]:
        return "; ".join(_failure(place) for place in row["failed"])
    if not row["places"]:
        return "nothing to measure"
    return f"nothing; nearest: {_failure(min(row['places'], key=lambda place: place['margin']))}"


def _failure(place: dict[str, Any]) -> str:
    where = place_words(place["element"], place["phase"])
    return f"{place['kind']} {fixed(place['margin'], 4)} {place['unit']} at {where}"


def _loads_of(data: ReportData, rows: Sequence[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Drawn load of every direction in each realization, as a share of nominal."""
    spread = data.scenario.direction_spread
    return [
        (name, *(1.0 + float(spread[k]) * row[f"zeta_{name}"] for row in rows))
        for k, name in enumerate(data.scenario.direction_ids)
    ]


def _drawn(data: ReportData) -> Table | None:
    loads = _loads_of(data, data.worst)
    if not loads or not data.worst:
        return None
    loads.sort(key=lambda row: -float(np.abs(np.array(row[1:]) - 1.0).mean()))
    return Table(
        name="worst-loads",
        caption="Drawn loads of these realizations, % of nominal; furthest from nominal first",
        columns=(
            _text("load"),
            *(_number(f"#{row['index']}", lambda v: fixed(100.0 * v, 1)) for row in data.worst),
        ),
        rows=tuple(loads),
        shown=30,
    )


def _unsolved(data: ReportData) -> Table:
    ids = data.scenario.direction_ids
    rows = []
    for row in data.unsolved:
        spread = data.scenario.direction_spread
        shift = [float(spread[k]) * row[f"zeta_{name}"] for k, name in enumerate(ids)]
        far = int(np.argmax(np.abs(shift))) if shift else None
        words = None if far is None else f"{ids[far]} at {100 * (1 + shift[far]):.1f} %"
        name = row["outcome"]
        rows.append((f"#{row['index']}", name.replace("_", " "), row["load_kw"], words))
    return Table(
        name="unsolved",
        caption="First realizations of each outcome that leaves no margin to rank",
        columns=(
            _text("realization"),
            _text("outcome"),
            _number("drawn load, kW", lambda v: fixed(v, 1)),
            _prose("load furthest from nominal"),
        ),
        rows=tuple(rows),
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
            _text("judged"), _number("share", percent), _number("from", percent),
            _number("to", percent),
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
            _text("started"),
            _text("mode"),
            _number("realizations", whole),
            _number("seconds", lambda v: fixed(v, 1)),
            _text("ended"),
        ),
        rows=tuple(tuple(run.get(key) for key in keys) for run in runs),
    )


def _versions(data: ReportData) -> Table:
    return Table(
        name="versions",
        caption="Versions the results may depend on",
        columns=(_text("what"), _text("version")),
        rows=tuple(data.environment.get("versions", {}).items()),
    )
