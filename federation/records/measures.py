"""What a campaign is worth: how often feasible, what is served, what is not, and what it costs.

Each measure is one number a realization, so two campaigns of the same draws are compared by the
mean of their differences: what one gains is not blurred by the luck of the draw.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from gridproof.federation.records.bounded import column_names
from gridproof.federation.records.losses import lit_kw
from gridproof.federation.records.rows import outcome_codes
from gridproof.federation.records.store import CampaignStore
from gridproof.scenarios.arrays import BoolArray, FloatArray
from gridproof.scenarios.errors import StoreError
from gridproof.scenarios.verdict import Outcome

__all__ = ["MEASURES", "Measure", "PlannedCost", "measured_chunks", "planned_cost"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One number a realization.

    Attributes
    ----------
    key, title, unit
        Its name in JSON, in words, and what it is in.
    more_is_better
        Which way is better.
    digits
        Behind the point, as people read it.
    """

    key: str
    title: str
    unit: str
    more_is_better: bool
    digits: int


MEASURES = (
    Measure(key="feasible", title="feasible", unit="%", more_is_better=True, digits=2),
    Measure(key="served_kw", title="served", unit="kW", more_is_better=True, digits=1),
    Measure(key="unserved_kwh", title="unserved", unit="kWh", more_is_better=False, digits=1),
    Measure(
        key="redispatch_usd", title="re-dispatch", unit="USD", more_is_better=False, digits=2
    ),
)  # fmt: skip
"""Share feasible; power served, a realization that is not feasible counted as none; energy not
served, so counted as well; and what moving the DERs from the plan costs, where that was solved."""

_NEEDED = ("index", "outcome", "load_kw", "served_kw", "redispatch_usd")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCost:
    """What a plan says that it costs, the dearest re-dispatch left out, in ``unit``."""

    value: float
    unit: str


def planned_cost(store: CampaignStore) -> PlannedCost | None:
    """Read what the plan in a campaign's directory costs by itself; None where it says nothing.

    Re-dispatch is left out: what was tried is measured, and a plan made elsewhere states none.
    """
    text = store.read("plan.json")
    if text is None:
        return None
    try:
        file = json.loads(text)
        costs: Mapping[str, Any] = file.get("costs") or {}
        terms = {name: float(value) for name, value in costs.items() if value is not None}
    except (ValueError, TypeError, AttributeError) as error:
        raise StoreError(f"{store.root / 'plan.json'} is no plan: {error}") from error
    whole = next((terms[name] for name in ("objective", "total") if name in terms), None)
    moved = terms.get("redispatch", 0.0)
    if whole is None:
        whole = sum(terms.values())
    if not terms:
        return None
    return PlannedCost(value=whole - moved, unit=str(file.get("cost_unit", "USD")))


def measured_chunks(
    stores: Sequence[CampaignStore], chunks: Sequence[int]
) -> Iterator[tuple[FloatArray, BoolArray]]:
    """Yield each part's measures, all steps of a study together.

    Parameters
    ----------
    stores
        One for each step, in order; a campaign of one step is alone. Power served is the mean over
        the steps, energy and cost are their sums, and feasible is what is so at every step.
    chunks
        Parts that all of them have.

    Yields
    ------
    tuple
        (realization, measure) values, NaN where there is none, and (realization,) whether no step
        erred; rows that did say nothing of the plan.
    """
    for chunk in chunks:
        tables = [next(iter(store.tables(_columns(store, chunk), [chunk]))) for store in stores]
        rows = min(table.num_rows for table in tables)  # one that was stopped may hold fewer
        steps = [
            _of_step(table.slice(0, rows), _hours(store))
            for store, table in zip(stores, tables, strict=True)
        ]
        values, sound = (np.stack([one[k] for one in steps]) for k in (0, 1))
        yield (
            np.stack(
                [
                    values[:, :, 0].min(axis=0),
                    values[:, :, 1].mean(axis=0),
                    values[:, :, 2].sum(axis=0),
                    values[:, :, 3].sum(axis=0),
                ],
                axis=1,
            ),
            np.asarray(sound.all(axis=0)),
        )


def _columns(store: CampaignStore, chunk: int) -> list[str]:
    """Return what is read; parts of a time before the last column have none of it."""
    there = column_names(store.rows_path(chunk))
    return [name for name in _NEEDED if name in there]


def _of_step(table: Any, hours: float) -> tuple[FloatArray, BoolArray]:
    outcome = outcome_codes(table.column("outcome"))
    feasible = outcome == Outcome.FEASIBLE
    load = table.column("load_kw").to_numpy().astype(float)
    served = lit_kw(table)
    moved = np.full(len(load), np.nan)
    if "redispatch_usd" in table.column_names:
        moved = table.column("redispatch_usd").to_numpy().astype(float)
    values = np.stack([feasible.astype(float), served, hours * (load - served), moved], axis=1)
    return values, np.asarray(outcome != Outcome.ERRED)


def _hours(store: CampaignStore) -> float:
    return float(store.study["config"]["campaign"].get("horizon_h", 1.0))
