"""Tables for people: a plan and a campaign on 80 columns, legible without colour.

The figures are those of `federation.records.summary`; here is only how they are set.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gridproof.federation.proof_words import scope_words
from gridproof.federation.records.environment import versions
from gridproof.federation.records.summary import about_plan, campaign_summary, plan_summary
from gridproof.federation.reports.campaign_words import interval_kind, sentences, served_share
from gridproof.federation.reports.families.views import view_of_figures
from gridproof.federation.reports.plan_tables import der_table, island_table
from gridproof.federation.reports.plan_words import cost_words, in_part_words
from gridproof.federation.reports.verdict_tables import crossed_table, margin_table, verdict_table
from gridproof.federation.reports.why_view import why_view
from gridproof.federation.tables.table import Tone
from gridproof.federation.tables.terminal import STYLES, TableView, facts_view
from gridproof.federation.wording import decimals, per_cent, served_words
from rich.console import Console, Group, RenderableType
from rich.text import Text

__all__ = [
    "about_plan",
    "campaign_summary",
    "plan_summary",
    "plan_view",
    "print_views",
    "run_summary",
    "verdict_view",
]

_GOOD, _BAD, _DIM, _LIVE = (STYLES[tone] for tone in (Tone.GOOD, Tone.BAD, Tone.QUIET, Tone.LIVE))


def run_summary(
    study: str,
    seed: int,
    plan: Mapping[str, Any] | None,
    campaign: Mapping[str, Any] | None,
    version: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Put one run into one object, the one that ``--json`` prints.

    ``campaign`` is a `campaign_summary`, or a `federation.campaigns.steps.steps_summary` where
    each step has a campaign: its ``steps`` and ``joint`` then stand in the place of ``campaign``.
    """
    tried = {} if campaign is None else {"campaign": dict(campaign)}
    return {
        "study": study,
        "seed": seed,
        "versions": dict(versions() if version is None else version),
        **({"plan": dict(plan)} if plan is not None else {}),
        **(dict(campaign) if campaign is not None and "steps" in campaign else tried),
    }


def plan_view(plan: Mapping[str, Any]) -> RenderableType:
    """Set a plan: proof, costs, islands, switches and set-points; or as its family does."""
    view = view_of_figures(plan)
    if view is not None:
        return view.terminal(plan)
    parts: list[RenderableType] = [
        Text("Plan", style="bold underline"),
        facts_view(_plan_facts(plan)),
    ]
    for table in (island_table(plan), der_table(plan)):
        parts += [Text(), TableView(table)] if table.rows else []
    if "why" in plan:
        parts += [Text(), why_view(plan["why"])]
    return Group(*parts)


def _terms(plan: Mapping[str, Any]) -> list[str]:
    """Terms that a family counts its costs by, where they are others than the usual three."""
    own = plan.get("cost_terms", {})
    return [f"{name} {decimals(value, 2)}" for name, value in own.items()]


def _plan_facts(plan: Mapping[str, Any]) -> list[tuple[str, RenderableType]]:
    gap = "none" if plan["gap"] is None else f"{decimals(100.0 * plan['gap'], 4)} %"
    proven = Text.assemble(
        ("certified", _GOOD) if plan["certified"] else ("not certified", _BAD),
        f" ({'robust' if plan['robust'] else 'not proven robust'}, search ended: "
        f"{plan['termination']}, gap {gap})",
    )
    elsewhere = scope_words(plan)
    if elsewhere:
        ended = "certified" if plan["proven_elsewhere"] else f"search ended: {plan['termination']}"
        proven = Text.assemble(("not certified here", _BAD), f" ({ended}, gap {gap} where made)")
        if plan["proof_holds"] == "nowhere":
            proven = Text("not certified", _BAD)
        proven.append(f"\n{elsewhere}")
    elif plan.get("proven_over"):
        proven.append(f"\n{plan['proven_over']}")
    live = [name for name, state in plan["blocks"].items() if state == "live"]
    dead = [name for name, state in plan["blocks"].items() if state != "live"]
    shut = [name for name, state in plan["switches"].items() if state == "closed"]
    open_ = [name for name, state in plan["switches"].items() if state != "closed"]
    costs = [
        f"{label} {_usd(plan[key])}"
        for label, key in (
            ("shed", "shed_cost_usd"),
            ("generation", "generation_cost_usd"),
            ("re-dispatch", "redispatch_cost_usd"),
        )
    ]
    if plan.get("redispatch_policy") and plan["redispatch_cost_usd"] is not None:
        costs[-1] += f" ({plan['redispatch_policy']}, at the worst load of the set)"
    return [
        ("family", Text(plan["family"])),
        ("proof", proven),
        ("cost (USD)", Text(cost_words(plan))),
        ("of which", Text(", ".join(_terms(plan) or costs))),
        *_tried(plan),
        ("live blocks", Text(_listed(live, len(plan["blocks"])), style=_GOOD)),
        ("dead blocks", Text(_listed(dead, len(plan["blocks"])), style=_DIM)),
        ("closed", Text(_listed(shut, len(plan["switches"])), style=_LIVE)),
        ("open", Text(_listed(open_, len(plan["switches"])))),
        ("served", _served(plan)),
        (
            "search",
            Text(f"{plan['iterations']} iterations, {decimals(plan['seconds'] or 0.0, 2)} s"),
        ),
    ]


def _tried(plan: Mapping[str, Any]) -> list[tuple[str, RenderableType]]:
    tried = plan.get("redispatch_tried")
    if tried is None:
        return []
    words = (
        f"re-dispatch {_usd(tried['most_usd'])} by recourse {tried['policy']} (margins before "
        f"cost), at the dearest of {tried['corners']} corners"
    )
    return [("as tried", Text(words))]


def _served(plan: Mapping[str, Any]) -> Text:
    text = Text(f"{decimals(plan['served_kw'], 1)} of {decimals(plan['demand_kw'], 1)} kW nominal")
    text.append(in_part_words(plan))
    if plan["served_kw"] == 0.0 < plan["demand_kw"]:
        # a plan that serves nothing passes every limit, and would read as a success below
        text.append(
            "\nNOTHING is served: see with `gridproof plan STUDY --why` what stands against each "
            "block, or what serving it would cost"
            if "why" not in plan
            else "\nNOTHING is served: what stands against each block is told below",
            style=_BAD,
        )
    return text


def verdict_view(campaign: Mapping[str, Any]) -> RenderableType:
    """Set a campaign: outcomes with exact intervals, margins and where they are worst."""
    low, high = campaign["interval"]
    share, served = campaign["feasible_share"], served_share(campaign)
    percent = f"{100.0 * campaign['confidence']:g} %"
    headline = Text.assemble(
        ("feasible ", "bold"),
        ("none judged" if share is None else f"{per_cent(share)} %", "bold"),
        f"  ({percent} {interval_kind(campaign)} interval {per_cent(low)} to {per_cent(high)} %), ",
        (served_words(served), _BAD if served == 0.0 else "bold"),
    )
    rate = campaign["samples_per_s"]
    how = (
        f"{campaign['samples']} realizations, recourse {campaign['recourse']}, "
        f"judge {campaign['judge']}, {decimals(campaign['seconds'], 2)} s"
        + (f" ({decimals(rate, 0)} per s)" if rate else "")
    )
    parts: list[RenderableType] = [
        Text("Verdicts", style="bold underline"),
        headline,
        Text(how),
        *(Text(line) for line in sentences(campaign)),
        Text(),
        TableView(verdict_table(campaign)),
    ]
    if campaign["samples"] < campaign["asked"]:
        missing = campaign["asked"] - campaign["samples"]
        parts.insert(2, Text(f"{missing} of {campaign['asked']} realizations not done", _BAD))
    if "crossed" in campaign:
        parts += [Text(), TableView(crossed_table(campaign["crossed"]))]
        parts += _crossed_words(campaign["crossed"]["difference"])
    if campaign["margins"]:
        parts += [Text(), TableView(margin_table(campaign))]
    return Group(*parts)


def _crossed_words(difference: Mapping[str, Any]) -> list[RenderableType]:
    if difference["value"] is None:
        return []
    low, high = (100.0 * one for one in difference["interval"])
    return [
        Text(
            f"linear less AC: {decimals(100.0 * difference['value'], 2, sign=True)} percentage "
            "points "
            f"({100.0 * difference['confidence']:g} % interval {decimals(low, 2, sign=True)} to "
            f"{decimals(high, 2, sign=True)})"
        )
    ]


def _usd(value: float | None) -> str:
    return "not known" if value is None else decimals(value, 2)


def _listed(names: list[str], total: int) -> str:
    return f"{len(names)} of {total}" + (f": {', '.join(names)}" if names else "")


def print_views(console: Console, *views: RenderableType) -> None:
    """Print views with a blank line between them."""
    for number, view in enumerate(views):
        if number:
            console.print()
        console.print(view)
