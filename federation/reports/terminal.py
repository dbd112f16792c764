"""Tables for people: a plan and a campaign on 80 columns, legible without colour.

The figures are those of `federation.records.summary`; here is only how they are set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gridproof.federation.proof_words import PlanFigures, scope_words
from gridproof.federation.records.campaign_report import CampaignReport
from gridproof.federation.records.environment import versions
from gridproof.federation.records.plan_report import PlanReport
from gridproof.federation.records.report import RunReport, StepsReport
from gridproof.federation.records.summary import about_plan, campaign_summary, plan_summary
from gridproof.federation.reports.campaign_words import sentences
from gridproof.federation.reports.families.views import view_of_figures
from gridproof.federation.reports.plan_tables import der_table, island_table
from gridproof.federation.reports.plan_words import (
    cost_words,
    in_part_words,
    linear_words,
    stage_words,
    unrated_words,
)
from gridproof.federation.reports.verdict_tables import crossed_table, margin_table, verdict_table
from gridproof.federation.reports.why_view import why_view
from gridproof.federation.statistics.paired import PairedDifference
from gridproof.federation.tables.table import Tone
from gridproof.federation.tables.terminal import STYLES, TableView, facts_view
from gridproof.federation.wording import decimals, per_cent, served_words
from gridproof.scenarios.provenance import Scope
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
    plan: PlanFigures | None,
    tried: CampaignReport | StepsReport | None,
    version: Mapping[str, str] | None = None,
) -> RunReport:
    """Put one run into one object, the one that ``--json`` prints.

    Where each step has a campaign, ``steps`` and ``joint`` stand in the place of ``campaign``.
    """
    several = tried if isinstance(tried, StepsReport) else None
    return RunReport(
        study=study,
        seed=seed,
        versions=dict(versions() if version is None else version),
        plan=plan,
        campaign=tried if isinstance(tried, CampaignReport) else None,
        steps=None if several is None else several.steps,
        joint=None if several is None else several.joint,
    )


def plan_view(plan: PlanFigures) -> RenderableType:
    """Set a plan: proof, costs, islands, switches and set-points; or as its family does."""
    if not isinstance(plan, PlanReport):
        return view_of_figures(plan).terminal(plan)
    parts: list[RenderableType] = [
        Text("Plan", style="bold underline"),
        facts_view(_plan_facts(plan)),
    ]
    for table in (island_table(plan), der_table(plan)):
        parts += [Text(), TableView(table)] if table.rows else []
    if plan.why is not None:
        parts += [Text(), why_view(plan.why)]
    return Group(*parts)


def _terms(plan: PlanReport) -> list[str]:
    """Terms that a family counts its costs by, where they are others than the usual three."""
    own = plan.cost_terms or {}
    return [f"{name} {_usd(value)}" for name, value in own.items()]


def _plan_facts(plan: PlanReport) -> list[tuple[str, RenderableType]]:
    gap = "none" if plan.gap is None else f"{decimals(100.0 * plan.gap, 4)} %"
    proven = Text.assemble(
        ("certified", _GOOD) if plan.proof.certified else ("not certified", _BAD),
        f" ({'robust' if plan.proof.robust else 'not proven robust'}, search ended: "
        f"{plan.termination}, gap {gap})",
    )
    elsewhere = scope_words(plan.proof)
    if elsewhere:
        ended = "certified" if plan.proof.proven_elsewhere else f"search ended: {plan.termination}"
        proven = Text.assemble(("not certified here", _BAD), f" ({ended}, gap {gap} where made)")
        if plan.proof.proof_holds is Scope.NOWHERE:
            proven = Text("not certified", _BAD)
        proven.append(f"\n{elsewhere}")
    elif plan.proof.proven_over and plan.ac_proof is None:
        proven.append(f"\n{plan.proof.proven_over}")
    live, dead = plan.blocks_that_are("live"), plan.blocks_that_are("dead")
    shut, open_ = plan.switches_that_are("closed"), plan.switches_that_are("open")
    costs = [
        f"{label} {_usd(cost)}"
        for label, cost in (
            ("shed", plan.shed_cost_usd),
            ("generation", plan.generation_cost_usd),
            ("re-dispatch", plan.redispatch_cost_usd),
        )
    ]
    if plan.redispatch_policy and plan.redispatch_cost_usd is not None:
        costs[-1] += f" ({plan.redispatch_policy}, at the worst load of the set)"
    return [
        ("family", Text(plan.family)),
        ("proof", proven),
        ("cost (USD)", Text(cost_words(plan))),
        ("of which", Text(", ".join(_terms(plan) or costs))),
        *_tried(plan),
        *_under_ac(plan),
        ("live blocks", Text(_listed(live, len(plan.blocks)), style=_GOOD)),
        ("dead blocks", Text(_listed(dead, len(plan.blocks)), style=_DIM)),
        ("closed", Text(_listed(shut, len(plan.switches)), style=_LIVE)),
        ("open", Text(_listed(open_, len(plan.switches)))),
        ("served", _served(plan)),
        *([("unrated lines", Text(unrated_words(plan)))] if plan.unrated_lines else []),
        *([("linear model", Text(linear_words(plan.linear)))] if plan.linear else []),
        (
            "search",
            Text(f"{plan.iterations} iterations, {decimals(plan.seconds or 0.0, 2)} s"),
        ),
        *([("time", Text(stage_words(plan)))] if plan.stages_s else []),
    ]


def _tried(plan: PlanReport) -> list[tuple[str, RenderableType]]:
    tried = plan.redispatch_tried
    if tried is None:
        return []
    words = (
        f"re-dispatch {_usd(tried.most_usd)} by recourse {tried.policy} (margins before "
        f"cost), at the dearest of {tried.corners} corners"
    )
    return [("as tried", Text(words))]


def _under_ac(plan: PlanReport) -> list[tuple[str, RenderableType]]:
    """Say what is proven under AC power flow, at what price, and what bound there is."""
    told = plan.ac_proof
    if told is None:
        return []
    least = "" if told.least_margin is None else f", least margin {decimals(told.least_margin, 4)}"
    bound = "" if told.bound_usd is None else f"{_usd(told.bound_usd)} USD at least: "
    text = Text.assemble(
        ("proven", _GOOD),
        f" for every load of the {told.load_set}, recourse {told.recourse}{least}",
    )
    text.append(
        f"\nplan {len(told.rounds)}, {decimals(told.price_usd, 2, sign=True)} USD on the first"
    )
    text.append(f"\n{bound}{told.bound_words}")
    return [("under AC", text)]


def _served(plan: PlanReport) -> Text:
    text = Text(f"{decimals(plan.served_kw, 1)} of {decimals(plan.demand_kw, 1)} kW nominal")
    text.append(in_part_words(plan))
    if plan.served_kw == 0.0 < plan.demand_kw:
        # a plan that serves nothing passes every limit, and would read as a success below
        text.append(
            "\nNOTHING is served: see with `gridproof plan STUDY --why` what stands against each "
            "block, or what serving it would cost"
            if plan.why is None
            else "\nNOTHING is served: what stands against each block is told below",
            style=_BAD,
        )
    return text


def verdict_view(campaign: CampaignReport) -> RenderableType:
    """Set a campaign: outcomes with exact intervals, margins and where they are worst."""
    low, high = campaign.interval
    share, served = campaign.feasible_share, campaign.served_share
    percent = f"{100.0 * campaign.confidence:g} %"
    headline = Text.assemble(
        ("feasible ", "bold"),
        ("none judged" if share is None else f"{per_cent(share)} %", "bold"),
        f"  ({percent} {campaign.interval_kind} interval {per_cent(low)} to {per_cent(high)} %), ",
        (served_words(served), _BAD if served == 0.0 else "bold"),
    )
    rate = campaign.samples_per_s
    how = (
        f"{campaign.samples} realizations, recourse {campaign.recourse}, "
        f"judge {campaign.judge}, {decimals(campaign.seconds, 2)} s"
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
    if campaign.samples < campaign.asked:
        missing = campaign.asked - campaign.samples
        parts.insert(2, Text(f"{missing} of {campaign.asked} realizations not done", _BAD))
    if campaign.crossed is not None:
        parts += [Text(), TableView(crossed_table(campaign.crossed))]
        parts += _crossed_words(campaign.crossed.difference)
    if campaign.margins:
        parts += [Text(), TableView(margin_table(campaign))]
    return Group(*parts)


def _crossed_words(difference: PairedDifference) -> list[RenderableType]:
    if difference.value is None:
        return []
    low, high = (100.0 * one for one in difference.interval)
    return [
        Text(
            f"linear less AC: {decimals(100.0 * difference.value, 2, sign=True)} percentage "
            "points "
            f"({100.0 * difference.confidence:g} % interval {decimals(low, 2, sign=True)} to "
            f"{decimals(high, 2, sign=True)})"
        )
    ]


def _usd(value: float | None) -> str:
    return "not known" if value is None else decimals(value, 2)


def _listed(names: Sequence[str], total: int) -> str:
    return f"{len(names)} of {total}" + (f": {', '.join(names)}" if names else "")


def print_views(console: Console, *views: RenderableType) -> None:
    """Print views with a blank line between them."""
    for number, view in enumerate(views):
        if number:
            console.print()
        console.print(view)
