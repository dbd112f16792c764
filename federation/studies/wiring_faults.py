"""What of ``[faults]``, ``[devices]`` and ``[campaign]`` contradicts the rest of a study."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gridproof.federation.field.faults import faults_of_config

if TYPE_CHECKING:
    from gridproof.federation.config.study import StudyConfig
    from gridproof.scenarios.scenario import Scenario

__all__ = ["wiring_faults"]


def wiring_faults(config: StudyConfig, scenario: Scenario) -> list[str]:
    """Every contradiction of ``[faults]`` and ``[devices]`` with the rest, one sentence each."""
    found = faults_of_config(config.faults, scenario)
    found += [
        f"[devices] at.{name}: there is no DER of this id; DERs: {', '.join(scenario.ders.ids)}"
        for name in config.devices.at
        if name not in scenario.ders.ids
    ]
    found += [
        f"[devices] at.{name}: this is the substation, which nobody commands; name a DER"
        for name, grid in zip(scenario.ders.ids, scenario.ders.is_substation, strict=True)
        if grid and name in config.devices.at
    ]
    if (config.campaign.sampler == "events") == scenario.disturbances.empty:
        found.append(
            f'[campaign] sampler = "{config.campaign.sampler}": '
            + (
                "there is no [events]; state what may happen, or choose another sampler"
                if scenario.disturbances.empty
                else 'disturbances are drawn from [events]; set sampler = "events"'
            )
        )
    found += _step_faults(config, scenario)
    between = config.faults.declared or bool(config.devices.at)
    if between and config.campaign.judge == "both":
        found.append(
            '[campaign] judge = "both" holds the same set-points against two models, [faults] and '
            "[devices] change them on the way to one; use ac or linear"
        )
    if config.faults.ride_through_s and config.campaign.sampler in (
        "latin_hypercube",
        "sobol",
        "federate",
    ):
        found.append(
            f'[campaign] sampler = "{config.campaign.sampler}" ends with its last sample, '
            "ride_through_s looks beyond it; use another sampler or leave ride_through_s out"
        )
    if between and config.campaign.stop is not None:
        found.append(
            "[campaign] stop needs independent realizations; late set-points tie each to the one "
            "before, so leave stop out"
        )
    return found + _recourse_faults(config, between) + _set_faults(config, scenario)


def _recourse_faults(config: StudyConfig, between: bool) -> list[str]:
    """Find what nothing corrects; ``between``: something stands before the physics."""
    found, campaign = [], config.campaign
    if campaign.recourse == "ac" and (between or config.realtime.step_s is not None):
        found.append(
            '[campaign] recourse = "ac" corrects by measuring again, which [faults], [devices] and '
            "[realtime] do not model; use linear, participation or fixed"
        )
    if campaign.recourse == "ac" and campaign.judge == "linear":
        found.append(
            '[campaign] recourse = "ac" corrects by AC measurements, judge = "linear" has none; '
            'use judge = "ac" or "both"'
        )
    if campaign.recourse == "ac" and config.realtime.step_s is not None:
        found.append(
            '[campaign] recourse = "ac" takes further exchanges for a realization, [realtime] '
            'step_s gives it one; use recourse = "linear"'
        )
    return found


def _set_faults(config: StudyConfig, scenario: Scenario) -> list[str]:
    """Find load sets that a planner or a sampler cannot take, or that no proof is of."""
    found, campaign, planner = [], config.campaign, config.planner.options
    if planner.get("budget") is not None and not scenario.uncertainty.even:
        found.append(
            f"[planner] budget = {planner['budget']:g} counts loads that fall as far as they rise; "
            "leave [uncertainty] spread_down, spread_up, spreads_down and spreads_up out, or budget"
        )
    if campaign.sampler == "budgeted" and not scenario.uncertainty.even:
        found.append(
            '[campaign] sampler = "budgeted" counts loads that fall as far as they rise; state '
            "[uncertainty] spread alone, or choose another sampler"
        )
    if planner.get("ac_proof") and planner.get("per_phase") and not campaign.per_phase:
        found.append(
            "[planner] ac_proof proves the set that the campaign draws, whose loads move whole; "
            "the planner's moves each phase: set [campaign] per_phase = true, too"
        )
    return found


def _step_faults(config: StudyConfig, scenario: Scenario) -> list[str]:
    names, campaign = scenario.step_names, config.campaign
    listed = ", ".join(f"{k} {name}" for k, name in enumerate(names))
    if campaign.step is not None and campaign.step >= len(names):
        return [f"[campaign] step = {campaign.step} is not a step of this study; it has {listed}"]
    if campaign.step is not None or len(names) == 1:
        return []
    found = []
    if config.realtime.step_s is not None or config.devices.at:
        found.append(
            "[realtime] and [devices] are of one clock and one grid, this study has "
            f"{len(names)} steps ({listed}); name one with [campaign] step"
        )
    return found
