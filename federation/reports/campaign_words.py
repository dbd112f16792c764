"""Sentences beside a campaign's table: why it stopped, what it loses, what a search found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gridproof.federation.records.losses import served_share as share_of_energy
from gridproof.federation.wording import decimals

__all__ = [
    "erred_words",
    "interval_kind",
    "interval_words",
    "sentences",
    "served_share",
    "why_stopped",
]


def interval_kind(campaign: Mapping[str, Any]) -> str:
    """Say which interval a summary or a comparison has; `federation.records.intervals` decided."""
    return str(campaign["interval_kind"])


def interval_words(campaign: Mapping[str, Any]) -> str:
    """Name the interval with its confidence: ``95 % exact interval``."""
    return f"{100 * campaign['confidence']:g} % {interval_kind(campaign)} interval"


def served_share(campaign: Mapping[str, Any]) -> float | None:
    """Return the share of the demand the plan serves, as drawn; None where nothing says."""
    return share_of_energy(campaign["energy"])


def erred_words(campaign: Mapping[str, Any]) -> str:
    """Say how many realizations erred, and why the first did."""
    text = f"{campaign['outcomes']['erred']} of {campaign['samples']} realizations erred"
    text += " and say nothing of the plan"
    cause = campaign.get("erred")
    return f"{text}; the first, #{cause['first']}: {cause['said']}" if cause else text


def sentences(campaign: Mapping[str, Any]) -> list[str]:
    """One line each for what the summary holds beyond shares and margins."""
    lines = []
    if served_share(campaign) == 0.0:
        lines.append(
            "NOTHING is served: no load is connected, so no limit can be left, and the share "
            "feasible says nothing of the plan"
        )
    stopping, energy = campaign.get("stopping"), campaign.get("energy")
    if campaign["outcomes"].get("erred"):
        lines.append(erred_words(campaign))
    if stopping:
        lines.append(why_stopped(stopping))
    if not campaign.get("independent_draws", True):
        lines.append(
            f"sampler {campaign['sampler']}: draws are not independent, so the interval is "
            "nominal, not exact"
        )
    if campaign["interval_kind"] == "widened":
        lines.append(
            "realizations are tied to those before them, so the interval is widened by their "
            f"autocorrelation ({decimals(campaign['widening'], 2)} for one independent one), "
            "an estimate"
        )
    if energy and energy["expected_unserved_kwh"] is not None:
        lines.append(
            f"expected unserved energy {decimals(energy['expected_unserved_kwh'], 1)} of "
            f"{decimals(energy['demand_kwh'], 1)} kWh in {energy['horizon_h']:g} h, every "
            "realization that is not feasible counted whole"
        )
    moved = campaign.get("redispatch")
    if moved and moved["mean_usd"] is not None:
        lines.append(
            f"re-dispatch as tried, by recourse {moved['policy']}: mean {moved['mean_usd']:,.2f}, "
            f"at most {moved['most_usd']:,.2f} USD; the plan's figure is the cheapest re-dispatch "
            "there is, and what this recourse costs is its own"
        )
    worst, rare = campaign.get("adversary"), campaign.get("rare")
    if worst:
        least = worst["least_margin"]
        drawn = worst["monte_carlo"] and worst["monte_carlo"]["least_margin"]
        beside = "" if drawn is None else f"; least drawn {decimals(drawn, 5)}"
        found = "nothing solved" if least is None else decimals(least, 5)
        lines.append(
            f"worst realization found by search: least scaled margin {found} "
            f"({str(worst['outcome']).replace('_', ' ')}){beside}"
        )
    if rare and rare["reached"]:
        lines.append(
            f"probability of failure by subset simulation {rare['probability']:.2g} "
            f"(coefficient of variation {decimals(rare['cov'], 2)} to "
            f"{decimals(rare['cov_upper'], 2)})"
        )
    elif rare:
        lines.append(f"failure by subset simulation: rarer than about {rare['below']:.0e}")
    return lines


def why_stopped(stopping: Mapping[str, Any]) -> str:
    """Say why a campaign with a stopping rule ended, or that the rule did not end it."""
    low, high = stopping["interval"]
    share, percent = 100.0 * stopping.get("share", 0.0), f"{100.0 * stopping['confidence']:g} %"
    error = 100.0 * (1.0 - stopping["confidence"])
    looked = f"after {stopping['looks']} looks; error at most {error:.2g} %, all looks together"
    if stopping["reason"] == "width":
        wide = decimals(100.0 * (high - low), 2)
        return f"stopped: the {percent} interval is {wide} % wide, {looked}"
    if stopping["reason"]:
        return f"stopped: a feasible share of {share:g} % is {stopping['reason']}, {looked}"
    if "width" in stopping:
        return f"not stopped early: the interval is wider than {100.0 * stopping['width']:g} %"
    return f"not stopped early: {share:g} % is neither shown nor refuted"
