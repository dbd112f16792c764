"""A sweep as a table: one row a point."""

from __future__ import annotations

from gridproof.federation.campaigns.sweep import Point, Sweep, spoken_intervals
from gridproof.federation.tables.table import Column, Place, Table, count, interval, number, share

__all__ = ["sweep_table"]


def sweep_table(found: Sweep) -> Table:
    """Say of each point what it serves, and how often it is feasible."""
    keys = [found.over.key, *([] if found.by is None else [found.by.key])]
    points = (*found.points, *([found.reference] if found.reference else []))
    aged = any(point.age_s is not None for point in points)
    widened = any(point.widening != 1.0 for point in points)
    spoken = f"{spoken_intervals(found)} interval"
    return Table(
        name="sweep",
        title=found.title,
        columns=(
            *(Column(title=key.split(".")[-1], key=key, numeric=True) for key in keys),
            number("served", 0, "kW"),
            share("served", place=Place.PAGE),
            share("feasible"),
            count("tried"),
            *interval(spoken, share("from"), share("to"), unit=""),
            number("unserved", 0, "kWh", place=Place.PAGE),
            number("plan and re-dispatch", 0, "USD", short="cost"),
            *([number("mean age", 1, "s")] if aged else ()),  # said of none: room for others
            *([number("widened by", 2)] if widened else ()),
        ),
        rows=tuple(
            (
                *(point.settings.get(key) for key in keys),
                point.served_kw,
                point.served,
                point.share,
                point.tried,
                point.low,
                point.high,
                point.unserved_kwh,
                _cost(point),
                *([point.age_s] if aged else ()),
                *([point.widening] if widened else ()),
            )
            for point in points
        ),
    )


def _cost(point: Point) -> float | None:
    """Planned cost and the mean re-dispatch together; the plan's alone where none was solved."""
    if point.planned_cost is None:
        return None
    return point.planned_cost + (point.redispatch_usd or 0.0)
