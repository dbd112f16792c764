"""The resiliency publication's tables: every row planned once and kept when it is done.

::

    DIR/rows/IV-crews2-mobile2-gamma24-hour13.json      one row's figures

A row that is there whole is only read, so that a run which was stopped goes on where it was, and
rows that stand in several tables are planned once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
from gridproof.federation.families.resiliency_case import Asked, resiliency_case
from gridproof.federation.files import json_text, read_json, write_whole
from gridproof.federation.jsonable import read_as
from gridproof.federation.papers.resiliency_data import (
    TERMS,
    ResiliencyPaper,
    RowOfTable,
)
from gridproof.federation.papers.resiliency_row import ResiliencyFigures
from gridproof.federation.studies.shipped import feeder_file, shipped_root
from gridproof.federation.wording import decimals
from gridproof.optimizer.resiliency.options import ResiliencyOptions
from gridproof.optimizer.resiliency.planner import Solution, solve
from gridproof.scenarios.errors import ConfigError, StoreError
from gridproof.scenarios.feeder import Feeder
from gridproof.simulator.reader.feeder import read_feeder

__all__ = ["ResiliencyRow", "ResiliencyRun", "ResiliencyTable", "run_resiliency"]

Shares = tuple[float, ...]

_ENERGY = TERMS[4:]  # what TEC is the sum of


@dataclass(frozen=True, slots=True, kw_only=True)
class ResiliencyRow:
    """One row: what was asked and printed, and what came of it.

    Attributes
    ----------
    asked
        Case, crews, generators, budget, hour.
    figures
        What came of it.
    """

    asked: RowOfTable
    figures: ResiliencyFigures


@dataclass(frozen=True, slots=True, kw_only=True)
class ResiliencyTable:
    """One of the publication's tables."""

    key: str
    title: str
    rows: tuple[ResiliencyRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResiliencyRun:
    """All tables; rows that stand in several are the same value."""

    data: ResiliencyPaper
    tables: tuple[ResiliencyTable, ...]

    @property
    def rows(self) -> tuple[ResiliencyRow, ...]:
        """Every row once, in the order of the tables."""
        found = {row.asked.key: row for table in self.tables for row in table.rows}
        return tuple(found.values())


def run_resiliency(
    data: ResiliencyPaper,
    out: Path,
    *,
    time_limit_s: float | None = None,
    tell: Callable[[str], None],
) -> ResiliencyRun:
    """Plan every row that is not there yet, and read all.

    Parameters
    ----------
    time_limit_s
        Of each row's search; the family's own if None.

    Raises
    ------
    ConfigError
        If the instance contradicts its feeder.
    GridproofError
        As planning does; finished rows stay.
    """
    feeder = _feeder(data)
    options = ResiliencyOptions()
    if time_limit_s is not None:
        options = ResiliencyOptions(time_limit_s=time_limit_s)
    whole = {row.key: row for table in data.tables for row in table.rows}
    (out / "rows").mkdir(parents=True, exist_ok=True)
    done: dict[str, ResiliencyFigures] = {}
    for number, (key, asked) in enumerate(whole.items(), 1):
        path = out / "rows" / f"{key}.json"
        if not path.is_file():
            write_whole(path, json_text(_planned(data, asked, feeder, options).to_json()))
        done[key] = _kept(path)
        tell(f"[{number}/{len(whole)}] {key}: {_in_words(done[key])}")
    return ResiliencyRun(
        data=data,
        tables=tuple(
            ResiliencyTable(
                key=table.key,
                title=table.title,
                rows=tuple(ResiliencyRow(asked=r, figures=done[r.key]) for r in table.rows),
            )
            for table in data.tables
        ),
    )


def _kept(path: Path) -> ResiliencyFigures:
    remedy = f"delete {path} to plan it again"
    try:
        return read_as(ResiliencyFigures, read_json(path, remedy))
    except ValueError as error:
        raise StoreError(f"{path} is no row of this version ({error}); {remedy}") from error


def _feeder(data: ResiliencyPaper) -> Feeder:
    given = data.instance.feeder.path
    path = feeder_file(given, shipped_root() / "papers")
    if path is None:
        raise ConfigError(f"papers/resiliency.toml: feeder.path = {given!r} is no shipped feeder")
    return read_feeder(path)


def _planned(
    data: ResiliencyPaper, row: RowOfTable, feeder: Feeder, options: ResiliencyOptions
) -> ResiliencyFigures:
    asked = Asked(
        case=row.case,
        crews=row.crews,
        mobile=row.mobile,
        gamma=row.gamma,
        outage_hour=row.outage_hour,
    )
    case = resiliency_case(data.instance, asked, feeder)
    began, worked = perf_counter(), process_time()
    found = solve(case, options)
    seconds, processor_seconds = perf_counter() - began, process_time() - worked
    return figures_of(row, found, seconds=seconds, processor_seconds=processor_seconds)


def figures_of(
    row: RowOfTable, found: Solution, *, seconds: float, processor_seconds: float
) -> ResiliencyFigures:
    """Tell a solution in figures, k$ and shares."""
    proof, terms = found.proof, found.terms
    supplied, answered, warm = _supplied(found)
    return ResiliencyFigures(
        case=row.case,
        crews=row.crews,
        mobile=row.mobile,
        gamma=row.gamma,
        outage_hour=row.outage_hour,
        objective_kusd=proof.incumbent,
        worst_found_kusd=found.worst_found,
        bound_kusd=proof.bound,
        gap=proof.gap,
        certified=proof.certified,
        termination=proof.termination.value,
        iterations=proof.iterations,
        energy_kusd=sum(terms[name] for name in _ENERGY),
        interruption_kusd=terms["interruption"],
        emission_kusd=terms["emission"],
        grid_kusd=terms["grid"],
        gas_kusd=terms["gas"],
        response_kusd=terms["response"],
        chp_kusd=terms["chp"],
        storage_kusd=terms["storage"],
        switches=found.switches,
        sites=found.placed,
        supplied_share=supplied,
        response_share=answered,
        heat_supplied_share=warm,
        seconds=seconds,
        processor_seconds=processor_seconds,
    )


def _supplied(found: Solution) -> tuple[Shares, Shares, Shares]:
    """Supplied and answered shares of the worst load found and of heat, hour by hour."""
    x, at, demand = found.operated.point, found.recourse.operation, found.case.demand
    load = demand.p_kw * (1.0 + found.case.budgets.load_share * found.worst_up)
    heat = demand.heat_kw
    shed = 1e3 * x[at.shed].sum(axis=1)
    answered = 1e3 * x[at.answered].sum(axis=1)
    cold = 1e3 * x[at.heat_shed].sum(axis=1)
    whole, warm = np.maximum(load.sum(axis=1), 1e-9), np.maximum(heat.sum(axis=1), 1e-9)
    return _plain(1.0 - shed / whole), _plain(answered / whole), _plain(1.0 - cold / warm)


def _plain(shares: np.ndarray) -> Shares:
    return tuple(float(share) for share in np.clip(np.round(shares, 9), 0.0, 1.0))


def _in_words(figures: ResiliencyFigures) -> str:
    proven, found = figures.objective_kusd, figures.worst_found_kusd
    between = "" if proven - found <= 1e-3 else f" (worst found {decimals(found, 3)})"
    return (
        f"{decimals(proven, 3)} k${between}, at least {decimals(figures.bound_kusd, 3)}, "
        f"{decimals(figures.seconds, 1)} s"
    )
