"""The resiliency publication's tables 4 to 8, ours beside the printed ones."""

from __future__ import annotations

from typing import Any

from gridproof.federation.papers.paper_table import paper_table
from gridproof.federation.papers.resiliency import ResiliencyRow, ResiliencyRun, ResiliencyTable
from gridproof.federation.papers.resiliency_data import TERMS
from gridproof.federation.tables.table import Table

__all__ = ["resiliency_rows", "resiliency_tables"]

_COSTS = (
    ("objective_kusd", "OF", 2),
    ("energy_kusd", "TEC", 2),
    ("interruption_kusd", "TCIC", 2),
    ("emission_kusd", "TCEM", 2),
)
_ENERGY = (
    ("grid_kusd", "grid", 2),
    ("gas_kusd", "gas", 2),
    ("response_kusd", "response", 2),
    ("chp_kusd", "CHP", 2),
    ("storage_kusd", "storage", 2),
)
_SEARCH = (
    ("worst_found_kusd", "worst found", 2),
    ("bound_kusd", "bound", 2),
    ("gap_percent", "gap, %", 3),
    ("iterations", "iterations", 0),
    ("seconds", "s", 1),
    ("closed", "switches", 0),
    ("placed", "sites", 0),
)


def resiliency_tables(run: ResiliencyRun) -> tuple[Table, ...]:
    """Make three of each printed table: costs, terms of the energy, and how they were found."""
    return tuple(
        made
        for table in run.tables
        for made in (
            _beside(table, table.key, "costs", _COSTS),
            _beside(table, f"{table.key}_energy", "terms of TEC", _ENERGY),
            _search(table),
        )
    )


def resiliency_rows(run: ResiliencyRun) -> list[dict[str, Any]]:
    """Return every row once, in figures."""
    return [row.figures.to_json() for row in run.rows]


def _asked(row: ResiliencyRow) -> dict[str, Any]:
    own = row.asked
    return {
        "case": own.case,
        "crews": own.crews,
        "mobile": own.mobile,
        "gamma": own.gamma,
        "outage_hour": own.outage_hour,
    }


_WHICH = (
    ("case", "case", 0),
    ("crews", "crews", 0),
    ("mobile", "mobile", 0),
    ("gamma", "Γ", 0),
    ("outage_hour", "hour", 0),
)


def _varied(table: ResiliencyTable) -> tuple[tuple[str, str, int], ...]:
    """Columns that tell the rows of a table apart: what all share is in its title."""
    asked = [_asked(row) for row in table.rows]
    return tuple(one for one in _WHICH if len({row[one[0]] for row in asked}) > 1) or _WHICH[:1]


def _beside(
    table: ResiliencyTable, name: str, what: str, columns: tuple[tuple[str, str, int], ...]
) -> Table:
    rows = []
    for row in table.rows:
        printed = dict(zip(TERMS, row.asked.printed_kusd, strict=True))
        own = {key: getattr(row.figures, key) for key, *_ in columns}
        beside = {f"printed_{key}": printed[key.removesuffix("_kusd")] for key in own}
        rows.append({**_asked(row), **own, **beside})
    return paper_table(
        name=name,
        title=f"{table.title}: {what} in k$, ours/printed",
        columns=(*_varied(table), *columns),
        rows=tuple(rows),
    )


def _search(table: ResiliencyTable) -> Table:
    rows = []
    for row in table.rows:
        held = row.figures
        rows.append(
            {
                **_asked(row),
                **{key: getattr(held, key, None) for key, *_ in (*_COSTS[:1], *_SEARCH)},
                "gap_percent": 100.0 * held.gap,
                "closed": ", ".join(held.switches) or "none",
                "placed": ", ".join(held.sites) or "none",
            }
        )
    return paper_table(
        name=f"{table.key}_search",
        title=f"{table.title}: what was proven in k$, and how it was found",
        columns=(*_varied(table), _COSTS[0], *_SEARCH),
        rows=tuple(rows),
    )
