"""What a report says in sentences: its headline, the lead of each section, its figures."""

from __future__ import annotations

import numpy as np
from gridproof.federation.proof_words import scope_words
from gridproof.federation.records.campaign_report import CrossedJudges
from gridproof.federation.records.intervals import ANYTIME
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.records.summary import about_plan
from gridproof.federation.reports.campaign_words import (
    interval_words,
    sentences,
)
from gridproof.federation.reports.data import ReportData, breach_table
from gridproof.federation.reports.families.views import view_of
from gridproof.federation.reports.page import Headline
from gridproof.federation.reports.plan_words import (
    cost_words,
    in_part_words,
    linear_words,
    proof_notes,
    unrated_words,
)
from gridproof.federation.wording import fixed, percent, place_words, served_words, whole
from gridproof.scenarios.arrays import FloatArray
from gridproof.scenarios.scenario import Scenario

__all__ = ["described", "environment_facts", "headline", "leads", "plan_facts"]

_JUDGES = {
    "ac": "AC power flow (OpenDSS)",
    "linear": "the linear model (LinDist3Flow)",
    "both": "AC power flow (OpenDSS), the linear model beside it",
}


def headline(data: ReportData, title: str) -> Headline:
    """Return the one figure, what it is of, and what must be known before it is quoted.

    Of several steps the step is said after the title.
    """
    verdicts = data.verdicts
    share, (low, high) = verdicts.feasible_share, verdicts.interval
    counts = verdicts.outcomes
    notes, served = [], verdicts.served_share
    if served == 0.0:
        notes.append(
            "NOTHING is served: no load is connected, so no limit can be left, and the share "
            "feasible says nothing of the plan."
        )
    if verdicts.samples < verdicts.asked:
        notes.append(
            f"The campaign is not whole: {whole(verdicts.samples)} of "
            f"{whole(verdicts.asked)} realizations are done."
        )
    if counts["erred"]:
        notes.append(
            f"{whole(counts['erred'])} realizations are erred and stand outside the feasible share."
        )
    if counts["stale"]:
        notes.append(f"{whole(counts['stale'])} realizations are stale and count as not feasible.")
    for told in (verdicts.devices, verdicts.pace, verdicts.fast):
        notes += [] if told is None else [f"{one.strip()}." for one in told.words()]
    notes += proof_notes(data.plan_facts.proof)
    if len(data.plan.closed) > 1:
        title = f"{title}: step {data.step}, {data.scenario.step_names[data.step]}"
    return Headline(
        title=title,
        share="none judged" if share is None else percent(share),
        interval=f"{interval_words(verdicts)} {percent(low)} to {percent(high)}; "
        f"{served_words(served)}" + ("" if served == 0.0 else " of the load"),
        what=f"of {whole(verdicts.samples)} drawn realizations stay inside every limit, "
        f"judged by {_JUDGES.get(verdicts.judge, verdicts.judge)}, recourse "
        f"{verdicts.recourse}",
        notes=tuple(notes),
    )


def leads(data: ReportData) -> dict[str, tuple[str, ...]]:
    """First paragraphs of the sections that need one."""
    verdicts, limits = data.verdicts, data.scenario.limits
    said: dict[str, tuple[str, ...]] = {
        "plan": (_plan_lead(data), *([] if data.lacking is None else [data.lacking.words()])),
        "margins": (
            "Each realization counts with its worst margin to each kind of limit: voltage in pu, "
            "the others as a share of the element's rating. Below zero is outside.",
        )
        if verdicts.margins
        else ("No realization was solved; there is no margin to show.",),
        "voltages": (
            f"Limits {fixed(limits.v_min_pu, 3)} to {fixed(limits.v_max_pu, 3)} pu, "
            f"{limits.voltage_test.value.replace('_', '-')} voltages, "
            f"{whole(data.profile.solved)} solved realizations.",
            *_missing(data),
            *([] if data.holding is None else [data.holding.words()]),
        ),
        "worst": (
            "Ranked by the least margin to any limit; a voltage margin counts as a share of half "
            "the band. Of each kind of limit the worst element is named.",
        ),
        "convergence": (
            f"Share of feasible realizations among those judged, in the order they were drawn, "
            f"with its {interval_words(verdicts)} at each point. "
            + (
                "The intervals hold at all points together, however the campaign ended."
                if verdicts.interval_kind == ANYTIME
                else "The interval holds for a number of realizations fixed beforehand, not for "
                "one chosen by looking."
            ),
        ),
    }
    said["verdicts"] = tuple(f"{line[0].upper()}{line[1:]}." for line in sentences(verdicts))
    crossed = verdicts.crossed
    if crossed is not None and crossed.difference.value is not None:
        said["verdicts"] += (_crossed_lead(crossed, crossed.difference.value),)
    return said


def _plan_lead(data: ReportData) -> str:
    rows = breach_table(data)
    if not data.profile.solved:
        return "No realization was solved under this plan."
    if not rows:
        return (
            f"No element left its limits in any of {whole(data.profile.solved)} solved "
            "realizations."
        )
    most = rows[0]
    count = len({(row.kind, row.element) for row in rows})
    return (
        f"{count} limit{' was' if count == 1 else 's were'} left at least once. "
        f"Most often: {most.kind} of {most.element}, in {percent(most.share)} of "
        f"{whole(data.profile.solved)} solved realizations."
    )


def _missing(data: ReportData) -> tuple[str, ...]:
    if not data.profile_missing:
        return ()
    return (
        f"{data.profile_missing} parts hold no voltages (made by an earlier version); they are "
        "left out here and on the map.",
    )


def _crossed_lead(crossed: CrossedJudges, value: float) -> str:
    difference = crossed.difference
    low, high = difference.interval
    return (
        "Feasible share of the linear model less that of AC: "
        f"{fixed(100 * value, 2)} percentage points "
        f"({100 * difference.confidence:g} % interval {fixed(100 * low, 2)} to "
        f"{fixed(100 * high, 2)}, Tango's score). {whole(crossed.linear_only)} realizations "
        f"are feasible in the linear model only, {whole(crossed.ac_only)} in AC only."
    )


def plan_facts(data: ReportData) -> tuple[tuple[str, str], ...]:
    """Facts of the plan as a list of terms; of all its steps where its family has its own."""
    view = view_of(data.scenario)
    if view is not None:
        return view.facts(about_plan(data.plan, data.scenario))
    plan = data.plan_facts
    gap = "none" if plan.gap is None else percent(plan.gap)
    live, shut = plan.blocks_that_are("live"), plan.switches_that_are("closed")
    elsewhere = scope_words(plan.proof)
    return (
        ("family", plan.family),
        (
            "proof",
            f"{'certified' if plan.proof.certified else 'not certified'}, "
            f"{'robust' if plan.proof.robust else 'not proven robust'}; search ended "
            f"{plan.termination}, gap {gap}"
            + (f"; {elsewhere}" if elsewhere else "")
            + (f"; {plan.proof.proven_over}" if plan.proof.proven_over else ""),
        ),
        ("cost", f"{cost_words(plan)} USD"),
        *(
            [
                (
                    "re-dispatch",
                    f"{fixed(plan.redispatch_cost_usd, 2)} USD: the {plan.redispatch_policy} "
                    "there is, at the worst load of the set",
                )
            ]
            if plan.redispatch_policy and plan.redispatch_cost_usd is not None
            else []
        ),
        (
            "served",
            f"{fixed(plan.served_kw, 1)} of {fixed(plan.demand_kw, 1)} kW nominal demand"
            f"{in_part_words(plan)}"
            + (": NOTHING is served" if plan.served_kw == 0.0 < plan.demand_kw else ""),
        ),
        *_dead_hint(data),
        ("live blocks", f"{len(live)} of {len(plan.blocks)}: {', '.join(live) or 'none'}"),
        (
            "closed switches",
            f"{len(shut)} of {len(plan.switches)}: {', '.join(shut) or 'none'}",
        ),
        *([("unrated lines", unrated_words(plan))] if plan.unrated_lines else []),
        *([("linear model", linear_words(plan.linear))] if plan.linear else []),
    )


def _dead_hint(data: ReportData) -> tuple[tuple[str, str], ...]:
    plan = data.plan_facts
    if not plan.blocks_that_are("dead") or plan.why is not None or plan.family != "partitioning":
        return ()
    return (("why blocks are dead", "not asked; gridproof report DIR --why says it here"),)


def environment_facts(store: CampaignStore, scenario: Scenario) -> tuple[tuple[str, str], ...]:
    """Say what it takes to make the same campaign again."""
    study, environment = store.study, store.environment
    campaign, host = study["config"]["campaign"], environment.get("host", {})
    return (
        ("study", str(study["name"])),
        ("fingerprint", str(study["fingerprint"])),
        ("seed", str(campaign.get("seed", environment.get("seed")))),
        ("uncertainty", _uncertainty(scenario)),
        ("sampler", str(campaign.get("sampler", ""))),
        ("recourse", store.recourse),
        ("judge", str(campaign.get("judge", ""))),
        (
            "host",
            f"{host.get('system')} {host.get('release')}, {host.get('machine')}, "
            f"{host.get('cpus')} CPUs",
        ),
    )


def _uncertainty(scenario: Scenario) -> str:
    """Say how far loads may move; a study's title tells only what it was written for."""
    box = scenario.uncertainty
    if not box.size:
        return "none: every load is nominal"
    if box.even:
        spread = f"±{_span(box.spread)} %".replace(" to ", " to ±")
    else:
        down, up = -box.low * box.spread, box.high * box.spread
        spread = f"{_span(down)} % down and {_span(up)} % up"
    return f"{box.size} of {len(scenario.feeder.loads.ids)} loads, {spread} of nominal"


def _span(shares: FloatArray) -> str:
    """Return one number in per cent where all are alike, else the least and the most."""
    least, most = (float(f"{100.0 * end:.6g}") for end in (shares.min(), shares.max()))
    return f"{most:g}" if least == most else f"{least:g} to {most:g}"


def described(name: str, data: ReportData) -> tuple[str, str]:
    """Title and description of a figure: what it shows, and its main numbers."""
    makers = {
        "shares": _shares,
        "one-line": _one_line,
        "margins": _margins,
        "voltages": _voltages,
        "convergence": _convergence,
    }
    return makers[name](data)


def _shares(data: ReportData) -> tuple[str, str]:
    samples, kind = data.verdicts.samples, data.verdicts.interval_kind
    parts = [
        f"{outcome.replace('_', ' ')} {percent(count / samples)}"
        for outcome, count in data.verdicts.outcomes.items()
        if count
    ]
    return f"Share of every outcome with its {kind} interval", f"Bars: {', '.join(parts)}."


def _one_line(data: ReportData) -> tuple[str, str]:
    plan = data.plan_facts
    rows = breach_table(data)[:6]
    told = "; ".join(f"{row.kind} of {row.element} {percent(row.share)}" for row in rows)
    return (
        "One-line diagram of the plan; halos show how often an element is outside a limit"
        + ("" if data.lacking is None else ", crosses what a re-dispatch lacks"),
        f"{plan.energized_blocks} of {len(plan.blocks)} blocks are live, formed by "
        f"{', '.join(plan.grid_forming) or 'no DER'}. "
        + (f"Most often outside: {told}." if told else "No element is ever outside a limit.")
        + ("" if data.lacking is None else f" {data.lacking.words()}"),
    )


def _margins(data: ReportData) -> tuple[str, str]:
    told = "; ".join(
        f"{kind}: least {fixed(one.min, 4)}, median {fixed(one.quantiles['0.5'], 4)} {one.unit}"
        for kind, one in data.verdicts.margins.items()
    )
    return (
        "Distribution of the worst margin of a realization, by kind of limit",
        f"Histograms; what lies below zero is hatched. {told}.",
    )


def _voltages(data: ReportData) -> tuple[str, str]:
    profile, buses = data.profile, data.scenario.feeder.buses.ids
    low, high = int(np.argmin(profile.low_pu)), int(np.argmax(profile.high_pu))
    return (
        "Voltages of every live bus against its electrical distance from the grid-forming DER",
        f"One panel per phase. Least {fixed(profile.low_pu[low], 4)} pu at "
        f"{place_words(buses[profile.bus[low]], None)}, greatest "
        f"{fixed(profile.high_pu[high], 4)} pu at {buses[profile.bus[high]]}.",
    )


def _convergence(data: ReportData) -> tuple[str, str]:
    one = data.convergence
    return (
        "Running feasible share with its interval against the number of realizations",
        f"After {whole(one.judged[-1])} judged realizations {percent(one.share[-1])}, interval "
        f"{percent(one.low[-1])} to {percent(one.high[-1])}.",
    )
