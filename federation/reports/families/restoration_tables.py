"""A restoration for people: its phases as a table, the switching orders, and the verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gridproof.federation.proof_words import scope_words
from gridproof.federation.reports.campaign_words import erred_words, interval_words, why_stopped
from gridproof.federation.reports.verdict_tables import steps_table
from gridproof.federation.tables.table import Table, Tone, count, number, prose, share, text
from gridproof.federation.tables.terminal import STYLES, TableView, facts_view
from gridproof.federation.wording import decimals, fixed, percent, served_words
from rich.console import Group, RenderableType
from rich.text import Text

__all__ = ["restoration_facts", "restoration_tables", "restoration_view", "steps_view"]

_GOOD, _BAD = STYLES[Tone.GOOD], STYLES[Tone.BAD]
_LISTED = 40  # ids of a phase that are printed; all of them are in --json


def restoration_view(plan: Mapping[str, Any]) -> RenderableType:
    """Set a restoration plan: proof, cost, phases, switching orders, who feeds what."""
    return Group(
        Text("Plan", style="bold underline"),
        facts_view(_facts(plan)),
        *(
            part
            for table in restoration_tables(plan).values()
            for part in (Text(), TableView(table))
        ),
    )


def _facts(plan: Mapping[str, Any]) -> list[tuple[str, Text]]:
    gap = "none" if plan["gap"] is None else f"{decimals(100.0 * plan['gap'], 4)} %"
    proof = Text.assemble(
        ("optimal", _GOOD) if plan["optimal"] else ("not proven optimal", _BAD),
        f" for the nominal load (search ended: {plan['termination']}, gap {gap}); "
        + ("robust" if plan["robust"] else "nothing is proven of other loads"),
    )
    elsewhere = scope_words(plan)
    if elsewhere:
        proof = Text.assemble(("not proven here", _BAD), f"\n{elsewhere}")
    costs = ", ".join(
        f"{name.replace('_', ' ')} {_figure(value)}"
        for name, value in plan["costs"].items()
        if name != "total"
    )
    failed, seconds = plan["failed_lines"], plan["seconds"]
    said: list[tuple[str, Text]] = [
        ("family", Text(plan["family"])),
        ("proof", proof),
        ("objective", Text(f"{_figure(plan['objective'])}, at least {_figure(plan['bound'])}")),
        ("of which", Text(costs or "not stated")),
        (
            "network",
            Text(
                f"{plan['buses']} buses, {plan['lines']} lines, {plan['moving_lines']} may move, "
                f"{decimals(plan['demand_kw'], 1)} kW"
            ),
        ),
        (
            "failed",
            Text(
                f"{len(failed)} lines, {plan['underground_failed']} of them underground: "
                f"{_ids(failed)}"
            ),
        ),
        (
            "search",
            Text(
                f"{decimals(seconds.get('solve', 0.0), 2)} s solver, "
                f"{decimals(seconds.get('total', 0.0), 2)} s all"
            ),
        ),
    ]
    if plan["isolated_buses"]:
        lost = plan["isolated_buses"]
        text = f"{len(lost)} buses have no supply even before the event: {_ids(lost)}"
        said.append(("isolated", Text(text, style=_BAD)))
    if plan["phases"][-1]["supplied_kw"] == 0.0 < plan["demand_kw"]:
        text = "NOTHING is supplied in the end: no substation is left, or none can be reached"
        said.append(("supply", Text(text, style=_BAD)))
    return said


def restoration_facts(plan: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return the facts of a plan as plain text."""
    return tuple((label, value.plain) for label, value in _facts(plan))


def restoration_tables(plan: Mapping[str, Any]) -> dict[str, Table]:
    """Return the tables of a plan by name: its phases, switching orders, and who feeds what."""
    phases = plan["phases"]
    made = (_phase_table(phases), _order_table(phases), _feed_table(phases))
    return {table.name: table for table in made}


def _phase_table(phases: Sequence[Mapping[str, Any]]) -> Table:
    return Table(
        name="phases",
        title="What the plan supplies, loses and switches in each phase",
        columns=(
            text("phase"),
            share("supplied", key="supplied %"),
            number("supplied", 1, "kW", key="supplied kW"),
            count("live buses", short="live"),
            count("damaged"),
            count("dead but safe", short="dead safe"),
            count("operations", short="ops"),
        ),
        rows=tuple(
            (
                f"{phase['step']} {phase['name']}",
                phase["supplied_share"],
                phase["supplied_kw"],
                phase["supplied_buses"],
                phase["damaged_buses"],
                phase["dead_safe_buses"],
                phase["operations"],
            )
            for phase in phases
        ),
    )


def _order_table(phases: Sequence[Mapping[str, Any]]) -> Table:
    return Table(
        name="orders",
        title="Switching orders",
        columns=(
            text("phase"),
            prose("open", words=_ids),
            prose("close", words=_ids, tone=Tone.LIVE),
        ),
        rows=tuple(
            (f"{phase['step']} {phase['name']}", tuple(phase["opened"]), tuple(phase["closed"]))
            for phase in phases[1:]
        ),
    )


def _feed_table(phases: Sequence[Mapping[str, Any]]) -> Table:
    """Who feeds how much of the load in each phase, kW."""
    columns, nobody = [], {"supplied_kw": None, "buses": None}
    for phase in phases:
        step = str(phase["step"])
        columns.append(number(step, 1, key=f"{step}, kW"))
        columns.append(count("buses", key=f"{step}, buses", joined="{} ({})"))
    rows = []
    for name in {name: None for phase in phases for name in phase["feeds"]}:
        fed = [phase["feeds"].get(name, nobody) for phase in phases]
        rows.append((name, *(one[key] for one in fed for key in ("supplied_kw", "buses"))))
    return Table(
        name="feeds",
        title="Fed by each source in each phase, kW (buses)",
        columns=(text("source"), *columns),
        rows=tuple(rows),
    )


def steps_view(found: Mapping[str, Any]) -> RenderableType:
    """Set the verdicts of every step in one table, then what holds at all of them.

    A phase that serves nothing passes every limit, so what was served stands beside.
    """
    joint = found["joint"]
    low, high = joint["interval"]
    share = joint["feasible_share"]
    headline = Text.assemble(
        ("feasible at every step ", "bold"),
        ("none judged yet" if share is None else percent(share), "bold"),
        f" of {joint['realizations'] - joint['unjudged']} realizations, paired by index "
        f"({interval_words(joint)} {percent(low)} to {percent(high)}), ",
        (served_words(joint["served_share"]), _BAD if joint["served_share"] == 0.0 else "bold"),
        "" if joint["served_share"] == 0.0 else " of the load, all steps together",
    )
    parts: list[RenderableType] = [Text("Verdicts", style="bold underline"), headline]
    failed = [f"{count} at {name}" for name, count in joint["first_failed"].items() if count]
    if failed:
        parts.append(Text(f"first not feasible: {', '.join(failed)}", style=_BAD))
    if joint["stopping"]:
        parts.append(Text(why_stopped(joint["stopping"])))
    if joint["unjudged"]:
        parts.append(Text(f"{joint['unjudged']} erred at some step, left out", _BAD))
    parts += [Text(), TableView(steps_table(found))]
    parts += [Text(line, style=_BAD) for step in found["steps"] for line in _worst_words(step)]
    return Group(*parts)


def _worst_words(step: Mapping[str, Any]) -> list[str]:
    """Say what became of those not feasible, and how far each kind of limit is exceeded."""
    campaign, where = step["campaign"], f"{step['step']} {step['name']}"
    if campaign is None:
        return [f"{where}: not tried yet"]
    others = [
        f"{count} {name.replace('_', ' ')}"
        for name, count in campaign["outcomes"].items()
        if count and name != "feasible"
    ]
    cause = [f"{where}: {erred_words(campaign)}"] if campaign["outcomes"]["erred"] else []
    return (
        [f"{where}: {', '.join(others)}"] * bool(others)
        + cause
        + [
            f"{where}: {kind} {fixed(worst['margin'], 4)} {worst['unit']} at "
            f"{worst['element']}, realization {worst['index']}"
            for kind, worst in campaign["worst"].items()
            if worst["margin"] < 0.0
        ]
    )


def _ids(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"{', '.join(names[:_LISTED])}{more}" if names else "none"


def _figure(value: float | None) -> str:
    return "not known" if value is None else decimals(value, 4)
