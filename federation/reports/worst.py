"""Tables of a report about single realizations: the worst, what they drew, those unsolved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gridproof.federation.reports.data import ReportData
from gridproof.federation.tables.table import Column, Table, number, prose, share, text
from gridproof.federation.wording import decimals, fixed, place_words

__all__ = ["drawn_table", "unsolved_table", "worst_table"]


def worst_table(data: ReportData) -> Table:
    """List the worst realizations, with what failed where."""
    return Table(
        name="worst",
        title="The realizations with the least margin, worst first",
        columns=(
            text("realization"),
            text("outcome"),
            share("relative margin"),
            prose("what failed, and where it was worst"),
            number("drawn load", 1, "kW"),
            number("served", 1, "kW"),
            number("losses", 2, "kW"),
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


def drawn_table(data: ReportData) -> Table | None:
    """List the loads drawn in them."""
    loads = _loads_of(data, data.worst)
    if not loads or not data.worst:
        return None
    loads.sort(key=lambda row: -float(np.abs(np.array(row[1:]) - 1.0).mean()))
    return Table(
        name="worst-loads",
        title="Drawn loads of these realizations, % of nominal; furthest from nominal first",
        columns=(
            text("load"),
            *(
                Column(title=f"#{row['index']}", words=lambda v: fixed(100.0 * v, 1), numeric=True)
                for row in data.worst
            ),
        ),
        rows=tuple(loads),
        shown=30,
    )


def unsolved_table(data: ReportData) -> Table:
    """List the first realizations of each outcome that has no margins."""
    ids = data.scenario.direction_ids
    rows = []
    for row in data.unsolved:
        spread = data.scenario.direction_spread
        shift = [float(spread[k]) * row[f"zeta_{name}"] for k, name in enumerate(ids)]
        far = int(np.argmax(np.abs(shift))) if shift else None
        words = None if far is None else f"{ids[far]} at {decimals(100 * (1 + shift[far]), 1)} %"
        name = row["outcome"]
        rows.append((f"#{row['index']}", name.replace("_", " "), row["load_kw"], words))
    return Table(
        name="unsolved",
        title="First realizations of each outcome that leaves no margin to rank",
        columns=(
            text("realization"),
            text("outcome"),
            number("drawn load", 1, "kW"),
            prose("load furthest from nominal"),
        ),
        rows=tuple(rows),
    )
