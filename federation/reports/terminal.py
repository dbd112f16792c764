"""Tables for people: a plan and a campaign on 80 columns, legible without colour.

The figures are those of `federation.records.summary`; here is only how they are set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gridproof.federation.proof_words import PlanFigures, scope_words
from gridproof.federation.records.campaign_report import CampaignReport, CrossedJudges
from gridproof.federation.records.environment import versions
from gridproof.federation.records.plan_report import PlanReport
from gridproof.federation.records.reading import QUANTILE_LEVELS
from gridproof.federation.records.report import RunReport, StepsReport
from gridproof.federation.records.summary import about_plan, campaign_summary, plan_summary
from gridproof.federation.reports.campaign_words import sentences
from gridproof.federation.reports.families.views import view_of_figures
from gridproof.federation.reports.plan_words import cost_words, in_part_words
from gridproof.federation.reports.view_table import blank_table
from gridproof.federation.reports.why_view import why_view
from gridproof.federation.statistics.paired import PairedDifference
from gridproof.federation.wording import MEANING, decimals, per_cent, served_words
from gridproof.scenarios.provenance import Scope
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

__all__ = [
    "about_plan",
    "campaign_summary",
    "crossed_table",
    "margin_table",
    "plan_summary",
    "plan_view",
    "print_views",
    "run_summary",
    "verdict_table",
    "verdict_view",
]

_GOOD, _BAD, _DIM, _LIVE = "green", "red", "dim", "bold blue"


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
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="bold", no_wrap=True)
    facts.add_column(overflow="fold")
    for label, value in _plan_facts(plan):
        facts.add_row(label, value)
    parts: list[RenderableType] = [Text("Plan", style="bold underline"), facts]
    if plan.islands:
        parts += [Text(), _island_table(plan)]
    if plan.ders:
        parts += [Text(), _der_table(plan)]
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
    elif plan.proof.proven_over:
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
        ("live blocks", Text(_listed(live, len(plan.blocks)), style=_GOOD)),
        ("dead blocks", Text(_listed(dead, len(plan.blocks)), style=_DIM)),
        ("closed", Text(_listed(shut, len(plan.switches)), style=_LIVE)),
        ("open", Text(_listed(open_, len(plan.switches)))),
        ("served", _served(plan)),
        (
            "search",
            Text(f"{plan.iterations} iterations, {decimals(plan.seconds or 0.0, 2)} s"),
        ),
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


def _island_table(plan: PlanReport) -> Table:
    table = blank_table("Islands")
    table.add_column("forming DER", no_wrap=True, style=_LIVE)
    table.add_column("blocks", overflow="fold")
    table.add_column("demand kW", justify="right", no_wrap=True)
    shed = any(island.served_kw < island.demand_kw for island in plan.islands)
    if shed:
        table.add_column("asked kW", justify="right", no_wrap=True)
    table.add_column("capacity kW", justify="right", no_wrap=True)
    for island in plan.islands:
        table.add_row(
            plan.formers_of(island),
            ", ".join(island.blocks),
            decimals(island.demand_kw, 1),
            *([decimals(island.served_kw, 1)] if shed else []),
            "∞" if island.capacity_kw is None else decimals(island.capacity_kw, 1),
        )
    return table


def _der_table(plan: PlanReport) -> Table:
    table = blank_table("DER set-points")
    for name in ("DER", "bus", "block", "role"):
        table.add_column(name, no_wrap=True)
    for name in ("P kW", "of kW", "Q kvar", "V pu"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, der in plan.ders.items():
        held = der.source_v_pu
        style = {"grid-forming": _LIVE, "substation": _LIVE, "off": _DIM}.get(der.role, "")
        table.add_row(
            name,
            der.bus,
            der.block,
            der.role,
            decimals(der.p_kw, 1),
            "∞" if der.capacity_kw is None else decimals(der.capacity_kw, 0),
            decimals(der.q_kvar, 1),
            "" if held is None else decimals(held, 4),
            style=style,
        )
    return table


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
        verdict_table(campaign),
    ]
    if campaign.samples < campaign.asked:
        missing = campaign.asked - campaign.samples
        parts.insert(2, Text(f"{missing} of {campaign.asked} realizations not done", _BAD))
    if campaign.crossed is not None:
        parts += [Text(), crossed_table(campaign.crossed)]
        parts += _crossed_words(campaign.crossed.difference)
    if campaign.margins:
        parts += [Text(), margin_table(campaign)]
    return Group(*parts)


def verdict_table(campaign: CampaignReport) -> Table:
    """Every outcome with its count, share and exact interval; ``erred`` always shown."""
    table = blank_table(None)
    table.add_column("outcome", no_wrap=True)
    table.add_column("count", justify="right", no_wrap=True)
    table.add_column("share %", justify="right", no_wrap=True)
    table.add_column(f"{100.0 * campaign.confidence:g} % interval", no_wrap=True)
    table.add_column("meaning", overflow="fold")
    samples = campaign.samples
    for name, count in campaign.outcomes.items():
        low, high = campaign.outcome_intervals[name]
        style = _DIM if not count else _GOOD if name == "feasible" else _BAD
        table.add_row(
            name.replace("_", " "),
            str(count),
            per_cent(count / samples),
            f"{per_cent(low):>6} to {per_cent(high):>6}",
            MEANING[name],
            style=style,
        )
    return table


def crossed_table(crossed: CrossedJudges) -> Table:
    """Linear judge against AC judge, realizations."""
    table = blank_table("Linear judge (rows) against AC")
    table.add_column("LinDist3Flow", no_wrap=True)
    for name in ("AC feasible", "AC not"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_row("feasible", str(crossed.both_feasible), str(crossed.linear_only))
    table.add_row("not", str(crossed.ac_only), str(crossed.neither))
    return table


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


def margin_table(campaign: CampaignReport) -> Table:
    """Quantiles of each kind's worst margin, and where the very worst is."""
    table = blank_table("Worst margin of a realization (positive = inside the limit)")
    table.add_column("limit", no_wrap=True)
    cvar = next(iter(campaign.margins.values())).cvar.share
    levels = [level for level in QUANTILE_LEVELS if level in (0.01, 0.5)]
    for name in ("least", f"CVaR {100.0 * cvar:g} %", *(f"{100.0 * k:g} %" for k in levels)):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("where, #index", overflow="fold")
    for kind, margin in campaign.margins.items():
        worst = campaign.worst[kind]
        place = worst.element + (f" {worst.phase}" if worst.phase else "")
        numbers = [margin.min, margin.cvar.mean]
        numbers += [margin.quantiles[f"{level:g}"] for level in levels]
        table.add_row(
            f"{kind}, {margin.unit}",
            *(decimals(number, 4) for number in numbers),
            f"{place} #{worst.index}",
            style=_BAD if margin.min < 0.0 else "",
        )
    return table


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
