"""Sentences beside a campaign's table: why it stopped, what it loses, what a search found."""

from __future__ import annotations

from gridproof.federation.records.campaign_report import Bounded, CampaignReport, StoppingReport
from gridproof.federation.records.certificate_report import CertificateReport, Claim
from gridproof.federation.records.intervals import WIDENED
from gridproof.federation.records.one_cause import OneCause
from gridproof.federation.wording import MEANING, decimals, fixed

__all__ = [
    "erred_words",
    "interval_words",
    "none_feasible_words",
    "sentences",
    "why_stopped",
]


def interval_words(told: Bounded) -> str:
    """Name the interval with its confidence: ``95 % exact interval``."""
    return f"{100 * told.confidence:g} % {told.interval_kind} interval"


def erred_words(campaign: CampaignReport) -> str:
    """Say how many realizations erred, and why the first did."""
    text = f"{campaign.outcomes['erred']} of {campaign.samples} realizations erred"
    text += " and say nothing of the plan"
    cause = campaign.erred
    return f"{text}; the first, #{cause.first}: {cause.said}" if cause else text


def none_feasible_words(cause: OneCause) -> str:
    """Say in one line what ended the realizations, of which none is feasible."""
    those = (
        "every realization"
        if cause.count == cause.judged
        else f"{cause.count} of {cause.judged} realizations"
    )
    named = cause.outcome.replace("_", " ")
    if cause.place is None:
        return f"none is feasible; {those}: {named}, {MEANING[cause.outcome]}"
    place, away = cause.place, -cause.place.mean_margin
    where = f"{place.element} phase {place.phase}" if place.phase else place.element
    if place.unit == "pu":
        told = f"is on average {decimals(away, 4)} pu outside its band"
    elif place.unit == "of rating":
        told = f"is on average {decimals(100.0 * away, 2)} % of its rating beyond its limit"
    else:
        told = "is live, and failed"
    share = "" if place.count == cause.count else f" in {place.count} of them"
    return f"none is feasible; {those}: {named}, {where} {told}{share} ({place.kind})"


def sentences(campaign: CampaignReport) -> list[str]:
    """One line each for what the summary holds beyond shares and margins."""
    lines = []
    if campaign.served_share == 0.0:
        lines.append(
            "NOTHING is served: no load is connected, so no limit can be left, and the share "
            "feasible says nothing of the plan"
        )
    if campaign.none_feasible is not None:
        lines.append(none_feasible_words(campaign.none_feasible))
    stopping = campaign.stopping
    if campaign.outcomes["erred"]:
        lines.append(erred_words(campaign))
    if campaign.devices is not None:
        lines += campaign.devices.words()
    if campaign.pace is not None:
        lines += campaign.pace.words()
    if campaign.fast is not None:
        lines += campaign.fast.words()
    if stopping:
        lines.append(why_stopped(stopping))
    if campaign.loads_from is not None:
        lines.append(
            f"loads were not drawn but sent by {campaign.loads_from}: they are no random sample, "
            "so the interval is nominal, not exact"
        )
    elif not campaign.independent_draws:
        lines.append(
            f"sampler {campaign.sampler}: draws are not independent, so the interval is "
            "nominal, not exact"
        )
    if campaign.widening is not None and campaign.interval_kind == WIDENED:
        lines.append(
            "realizations are tied to those before them, so the interval is widened by their "
            f"autocorrelation ({decimals(campaign.widening, 2)} for one independent one), "
            "an estimate"
        )
    lines += [*_costs(campaign), *_proven(campaign.certificate), *_searched(campaign)]
    return lines


def _costs(campaign: CampaignReport) -> list[str]:
    """Energy that is not served, and what re-dispatch costs as it was tried."""
    lines, energy = [], campaign.energy
    if energy.expected_unserved_kwh is not None:
        lines.append(
            f"expected unserved energy {decimals(energy.expected_unserved_kwh, 1)} of "
            f"{fixed(energy.demand_kwh, 1)} kWh in {energy.horizon_h:g} h, every "
            "realization that is not feasible counted whole"
        )
    moved = campaign.redispatch
    if moved.mean_usd is not None:
        lines.append(
            f"re-dispatch as tried, by recourse {moved.policy}: mean {moved.mean_usd:,.2f}, "
            f"at most {moved.most_usd:,.2f} USD; the plan's figure is the cheapest re-dispatch "
            "there is, and what this recourse costs is its own"
        )
    return lines


def _searched(campaign: CampaignReport) -> list[str]:
    """Worst realization and rare failures: looked for, where the rest is drawn."""
    lines = []
    worst, rare = campaign.adversary, campaign.rare
    if worst:
        least = worst.least_margin
        drawn = None if worst.monte_carlo is None else worst.monte_carlo.least_margin
        beside = "" if drawn is None else f"; least drawn {decimals(drawn, 5)}"
        found = "nothing solved" if least is None else decimals(least, 5)
        how = "found by search" if worst.bound is None else "certified"
        lines.append(
            f"worst realization {how}: least scaled margin {found} "
            f"({worst.outcome.replace('_', ' ')}){beside}"
        )
    if rare and rare.reached:
        lines.append(
            f"probability of failure by subset simulation {rare.probability:.2g} "
            f"(coefficient of variation {fixed(rare.cov, 2)} to "
            f"{fixed(rare.cov_upper, 2)})"
        )
    elif rare:
        lines.append(f"failure by subset simulation: rarer than about {rare.below:.0e}")
    return lines


def _proven(found: CertificateReport | None) -> list[str]:
    """Say what is known of every load of the set, which no share of a sample says."""
    if found is None:
        return []
    over = f"every load of the {found.load_set.kind}, recourse {found.recourse}"
    if found.verdict is Claim.PROVEN and found.least_margin is not None:
        least = decimals(found.least_margin, 5)
        return [f"proven for {over}: no least scaled margin is below {least}"]
    if found.verdict is Claim.REFUTED and found.worst is not None:
        loads = ", ".join(f"{k} {decimals(z, 2, sign=True)}" for k, z in found.worst.zeta.items())
        return [f"refuted for {over}: outside at {loads}"]
    return [f"undecided for {over}; gridproof prove says what is missing"]


def why_stopped(stopping: StoppingReport) -> str:
    """Say why a campaign with a stopping rule ended, or that the rule did not end it."""
    low, high = stopping.interval
    share, percent = 100.0 * (stopping.share or 0.0), f"{100.0 * stopping.confidence:g} %"
    error = 100.0 * (1.0 - stopping.confidence)
    looked = f"after {stopping.looks} looks; error at most {error:.2g} %, all looks together"
    if stopping.reason == "width":
        wide = decimals(100.0 * (high - low), 2)
        return f"stopped: the {percent} interval is {wide} % wide, {looked}"
    if stopping.reason:
        return f"stopped: a feasible share of {share:g} % is {stopping.reason}, {looked}"
    if stopping.width is not None:
        return f"not stopped early: the interval is wider than {100.0 * stopping.width:g} %"
    return f"not stopped early: {share:g} % is neither shown nor refuted"
