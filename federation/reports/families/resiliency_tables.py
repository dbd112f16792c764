"""A day with an outage for people: proof and cost, hours, and who forms which island when."""

from __future__ import annotations

from itertools import groupby

from gridproof.federation.families.resiliency_facts import (
    HourFigures,
    HourIsland,
    ResiliencyFigures,
)
from gridproof.federation.proof_words import scope_words
from gridproof.federation.tables.table import Table, Tone, count, number, prose, share, text
from gridproof.federation.tables.terminal import STYLES, TableView, facts_view
from gridproof.federation.wording import decimals, fixed
from rich.console import Group, RenderableType
from rich.text import Text

__all__ = ["resiliency_facts", "resiliency_tables", "resiliency_view"]

_GOOD, _BAD = STYLES[Tone.GOOD], STYLES[Tone.BAD]


def resiliency_view(plan: ResiliencyFigures) -> RenderableType:
    """Set a plan for the terminal."""
    tables = resiliency_tables(plan).values()
    return Group(
        Text("Plan", style="bold underline"),
        facts_view(_facts(plan)),
        *(part for table in tables for part in (Text(), TableView(table))),
    )


def resiliency_facts(plan: ResiliencyFigures) -> tuple[tuple[str, str], ...]:
    """Return the facts of a plan as plain text."""
    return tuple((label, value.plain) for label, value in _facts(plan))


def _facts(plan: ResiliencyFigures) -> list[tuple[str, Text]]:
    gap = "none" if plan.gap is None else f"{decimals(100.0 * plan.gap, 3)} %"
    proof = Text.assemble(
        ("certified", _GOOD) if plan.proof.certified else ("not certified", _BAD),
        f" (search ended: {plan.termination}, gap {gap})"
        + (f"; over {plan.proof.proven_over}" if plan.proof.proven_over else ""),
    )
    elsewhere = scope_words(plan.proof)
    if elsewhere:
        proof = Text.assemble(("not proven here", _BAD), f"\n{elsewhere}")
    costs = ", ".join(f"{name} {_usd(value)}" for name, value in plan.costs.items() if value)
    return [
        ("family", Text(plan.family)),
        ("proof", proof),
        (
            "objective",
            Text(
                f"{_usd(plan.objective)} USD at most, worst found {_usd(plan.worst_found)}, "
                f"no plan below {_usd(plan.bound)}"
            ),
        ),
        ("published", Text(f"{_usd(plan.published)} USD with all loads up, margins included")),
        ("of which", Text(costs or "not stated")),
        ("damaged", Text(", ".join(plan.damaged) or "none")),
        ("crews close", Text(", ".join(plan.crews_close) or "nothing")),
        ("generators at", Text(", ".join(plan.generators_at) or "no bus")),
        ("search", Text(f"{decimals(plan.seconds.get('total', 0.0), 1)} s")),
    ]


def _usd(value: float | None) -> str:
    return "none" if value is None else fixed(value, 0)


def resiliency_tables(plan: ResiliencyFigures) -> dict[str, Table]:
    """Return the tables of a plan by name: its hours, and its islands."""
    return {table.name: table for table in (_hour_table(plan), _island_table(plan))}


def _hour_table(plan: ResiliencyFigures) -> Table:
    return Table(
        name="hours",
        title="What the plan supplies by hour",
        columns=(
            count("hour"),
            share("supplied", key="supplied %"),
            number("supplied", 1, "kW", key="supplied kW"),
            count("islands"),
            count("dead buses", short="dead"),
            prose("open", words=", ".join),
            prose("close", words=", ".join, tone=Tone.LIVE),
        ),
        rows=tuple(
            (
                one.hour,
                one.supplied_share,
                one.supplied_kw,
                len(one.islands),
                len(one.dead_buses),
                one.opened,
                one.closed,
            )
            for one in plan.hours
        ),
    )


def _island_table(plan: ResiliencyFigures) -> Table:
    """Islands by hour; hours that follow each other with the same ones are told together."""
    rows = []
    for _, run in groupby(plan.hours, key=_who):
        hours = list(run)
        for k, island in enumerate(hours[0].islands):
            held = [one.islands[k] for one in hours]
            rows.append((_span(hours), island.former, island.buses, *_range(held)))
    return Table(
        name="islands",
        title="Islands by hour, and who forms them",
        columns=(
            text("hours"),
            text("forming source", tone=Tone.LIVE),
            count("buses"),
            number("least supplied", 1, "kW"),
            number("most supplied", 1, "kW"),
            number("least held", 3, "pu"),
            number("most held", 3, "pu"),
        ),
        rows=tuple(rows),
    )


def _who(hour: HourFigures) -> tuple[tuple[str, int], ...]:
    return tuple((one.former, one.buses) for one in hour.islands)


def _span(hours: list[HourFigures]) -> str:
    first, last = hours[0].hour, hours[-1].hour
    return f"{first}" if first == last else f"{first} to {last}"


def _range(held: list[HourIsland]) -> tuple[float, float, float, float]:
    supplied = [one.supplied_kw for one in held]
    volts = [one.held_pu for one in held]
    return min(supplied), max(supplied), min(volts), max(volts)
