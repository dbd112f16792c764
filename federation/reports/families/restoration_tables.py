"""A restoration for people: its phases as a table, the switching orders, and the verdicts."""

from __future__ import annotations

from collections.abc import Sequence

from gridproof.federation.families.restoration_facts import PhaseFigures, RestorationFigures
from gridproof.federation.proof_words import scope_words
from gridproof.federation.records.campaign_report import CampaignReport
from gridproof.federation.records.report import StepReport, StepsReport
from gridproof.federation.reports.campaign_words import (
    erred_words,
    interval_words,
    why_stopped,
)
from gridproof.federation.reports.table import Table, number, text
from gridproof.federation.reports.view_table import blank_table
from gridproof.federation.wording import (
    decimals,
    fixed,
    per_cent,
    percent,
    plain,
    served_words,
    whole,
)
from rich.console import Group, RenderableType
from rich.table import Table as Grid
from rich.text import Text

__all__ = ["phase_table", "restoration_facts", "restoration_view", "steps_view"]

_GOOD, _BAD, _LIVE = "green", "red", "bold blue"
_LISTED = 40  # ids of a phase that are printed; all of them are in --json


def restoration_view(plan: RestorationFigures) -> RenderableType:
    """Set a restoration plan: proof, cost, phases, switching orders, who feeds what."""
    facts = Grid.grid(padding=(0, 2))
    facts.add_column(style="bold", no_wrap=True)
    facts.add_column(overflow="fold")
    for label, value in _facts(plan):
        facts.add_row(label, value)
    phases = plan.phases
    parts: list[RenderableType] = [
        Text("Plan", style="bold underline"),
        facts,
        Text(),
        _phase_grid(phases),
        Text(),
        _order_table(phases),
        Text(),
        _feed_table(phases),
    ]
    return Group(*parts)


def _facts(plan: RestorationFigures) -> list[tuple[str, Text]]:
    gap = "none" if plan.gap is None else f"{decimals(100.0 * plan.gap, 4)} %"
    proof = Text.assemble(
        ("optimal", _GOOD) if plan.proof.optimal else ("not proven optimal", _BAD),
        f" for the nominal load (search ended: {plan.termination}, gap {gap}); "
        + ("robust" if plan.proof.robust else "nothing is proven of other loads"),
    )
    elsewhere = scope_words(plan.proof)
    if elsewhere:
        proof = Text.assemble(("not proven here", _BAD), f"\n{elsewhere}")
    costs = ", ".join(
        f"{name.replace('_', ' ')} {_figure(value)}"
        for name, value in plan.costs.items()
        if name != "total"
    )
    failed, seconds = plan.failed_lines, plan.seconds
    said: list[tuple[str, Text]] = [
        ("family", Text(plan.family)),
        ("proof", proof),
        ("objective", Text(f"{_figure(plan.objective)}, at least {_figure(plan.bound)}")),
        ("of which", Text(costs or "not stated")),
        (
            "network",
            Text(
                f"{plan.buses} buses, {plan.lines} lines, {plan.moving_lines} may move, "
                f"{decimals(plan.demand_kw, 1)} kW"
            ),
        ),
        (
            "failed",
            Text(
                f"{len(failed)} lines, {plan.underground_failed} of them underground: "
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
    if plan.isolated_buses:
        lost = plan.isolated_buses
        text = f"{len(lost)} buses have no supply even before the event: {_ids(lost)}"
        said.append(("isolated", Text(text, style=_BAD)))
    if plan.phases[-1].supplied_kw == 0.0 < plan.demand_kw:
        text = "NOTHING is supplied in the end: no substation is left, or none can be reached"
        said.append(("supply", Text(text, style=_BAD)))
    return said


def restoration_facts(plan: RestorationFigures) -> tuple[tuple[str, str], ...]:
    """Return the facts of a plan as plain text, and a line for each phase."""
    facts = [(label, value.plain) for label, value in _facts(plan)]
    facts += [
        (
            f"{phase.step} {phase.name}",
            f"{percent(phase.supplied_share)} supplied, {phase.damaged_buses} buses damaged, "
            f"{phase.dead_safe_buses} dead but safe; open {_ids(phase.opened)}; close "
            f"{_ids(phase.closed)}",
        )
        for phase in plan.phases
    ]
    return tuple(facts)


def phase_table(about: RestorationFigures) -> Table:
    """Return the phases of a plan as a table for pages and files."""
    return Table(
        name="phases",
        caption="What the plan supplies, loses and switches in each phase",
        columns=(
            text("phase"),
            number("supplied %", per_cent),
            number("supplied kW", lambda value: fixed(value, 1)),
            number("live buses", whole),
            number("damaged", whole),
            number("dead but safe", whole),
            number("operations", plain),
        ),
        rows=tuple(
            (
                f"{phase.step} {phase.name}",
                phase.supplied_share,
                phase.supplied_kw,
                phase.supplied_buses,
                phase.damaged_buses,
                phase.dead_safe_buses,
                phase.operations,
            )
            for phase in about.phases
        ),
    )


def _phase_grid(phases: Sequence[PhaseFigures]) -> Grid:
    table = blank_table("Phases: load supplied, and buses")
    table.add_column("phase", no_wrap=True)
    for name in ("supply %", "MW", "live", "damaged", "dead safe", "ops"):
        table.add_column(name, justify="right", no_wrap=True)
    for phase in phases:
        table.add_row(
            f"{phase.step} {phase.name}",
            decimals(100.0 * phase.supplied_share, 2),
            decimals(phase.supplied_kw / 1e3, 3),
            str(phase.supplied_buses),
            str(phase.damaged_buses),
            str(phase.dead_safe_buses),
            str(phase.operations),
        )
    return table


def _order_table(phases: Sequence[PhaseFigures]) -> Grid:
    table = blank_table("Switching orders")
    table.add_column("phase", no_wrap=True)
    table.add_column("open", overflow="fold")
    table.add_column("close", overflow="fold", style=_LIVE)
    for phase in phases[1:]:
        table.add_row(f"{phase.step} {phase.name}", _ids(phase.opened), _ids(phase.closed))
    return table


def _feed_table(phases: Sequence[PhaseFigures]) -> Grid:
    """Who feeds how much of the load in each phase, kW."""
    table = blank_table("Fed by, kW (buses)")
    table.add_column("source", no_wrap=True)
    for phase in phases:
        table.add_column(str(phase.step), justify="right", no_wrap=True)
    for name in {name: None for phase in phases for name in phase.feeds}:
        cells = [phase.feeds.get(name) for phase in phases]
        table.add_row(
            name,
            *(f"{decimals(cell.supplied_kw, 1)} ({cell.buses})" if cell else "" for cell in cells),
        )
    return table


def steps_view(found: StepsReport) -> RenderableType:
    """Set the verdicts of every step in one table, then what holds at all of them.

    A phase that serves nothing passes every limit, so what was served stands beside.
    """
    joint = found.joint
    table = blank_table("Verdicts by step")
    table.add_column("step", no_wrap=True)
    table.add_column("tried", justify="right", no_wrap=True)
    table.add_column("served %", justify="right", no_wrap=True)
    table.add_column("feasible %", justify="right", no_wrap=True)
    table.add_column(f"{100.0 * joint.confidence:g} % interval", no_wrap=True)
    for step in found.steps:
        table.add_row(f"{step.step} {step.name}", *_verdict_cells(step.campaign))
    low, high = joint.interval
    share = joint.feasible_share
    headline = Text.assemble(
        ("feasible at every step ", "bold"),
        ("none judged yet" if share is None else percent(share), "bold"),
        f" of {joint.realizations - joint.unjudged} realizations, paired by index "
        f"({interval_words(joint)} {percent(low)} to {percent(high)}), ",
        (served_words(joint.served_share), _BAD if joint.served_share == 0.0 else "bold"),
        "" if joint.served_share == 0.0 else " of the load, all steps together",
    )
    parts: list[RenderableType] = [Text("Verdicts", style="bold underline"), headline]
    failed = [f"{count} at {name}" for name, count in joint.first_failed.items() if count]
    if failed:
        parts.append(Text(f"first not feasible: {', '.join(failed)}", style=_BAD))
    if joint.stopping:
        parts.append(Text(why_stopped(joint.stopping)))
    if joint.unjudged:
        parts.append(Text(f"{joint.unjudged} erred at some step, left out", _BAD))
    parts += [Text(), table]
    parts += [Text(line, style=_BAD) for step in found.steps for line in _worst_words(step)]
    return Group(*parts)


def _worst_words(step: StepReport) -> list[str]:
    """Say what became of those not feasible, and how far each kind of limit is exceeded."""
    campaign, where = step.campaign, f"{step.step} {step.name}"
    if campaign is None:
        return [f"{where}: not tried yet"]
    others = [
        f"{count} {name.replace('_', ' ')}"
        for name, count in campaign.outcomes.items()
        if count and name != "feasible"
    ]
    cause = [f"{where}: {erred_words(campaign)}"] if campaign.outcomes["erred"] else []
    return (
        [f"{where}: {', '.join(others)}"] * bool(others)
        + cause
        + [
            f"{where}: {kind} {fixed(worst.margin, 4)} {worst.unit} at "
            f"{worst.element}, realization {worst.index}"
            for kind, worst in campaign.worst.items()
            if worst.margin < 0.0
        ]
    )


def _verdict_cells(campaign: CampaignReport | None) -> tuple[str, ...]:
    if campaign is None:
        return ("0", "", "", "")
    share, (low, high) = campaign.feasible_share, campaign.interval
    return (
        str(campaign.samples),
        per_cent(campaign.served_share),
        per_cent(share),
        f"{per_cent(low)} to {per_cent(high)}",
    )


def _ids(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"{', '.join(names[:_LISTED])}{more}" if names else "none"


def _figure(value: float | None) -> str:
    return "not known" if value is None else decimals(value, 4)
