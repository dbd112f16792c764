"""What a certificate covers of a study, and what is said beside it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from gridproof.federation.studies.study import Study
from gridproof.scenarios.arrays import BoolArray, FloatArray
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.sets import Box, UncertaintySet
from gridproof.scenarios.verdict import MarginKind
from gridproof.simulator.opendss.network import IslandNetwork
from gridproof.simulator.proof.limits import KINDS

__all__ = ["beside", "inside", "not_covered", "of_island"]


def of_island(scenario: Scenario, network: IslandNetwork, kind: MarginKind) -> BoolArray:
    """(element,) which elements of a kind stand in an island."""
    feeder = scenario.feeder
    buses = np.zeros(len(feeder.buses.ids), bool)
    buses[network.node_at[:, 0]] = True
    return {
        MarginKind.VOLTAGE: buses,
        MarginKind.CURRENT: buses[feeder.lines.from_bus],
        MarginKind.TRANSFORMER: buses[feeder.transformers.from_bus],
        MarginKind.CAPABILITY: buses[scenario.ders.bus],
        MarginKind.RAMP: buses[scenario.ders.bus],
    }[kind]


def inside(own: dict[MarginKind, FloatArray], network: IslandNetwork, scenario: Scenario) -> bool:
    """Whether the nominal state of an island is inside every limit."""
    worst = min(
        float(own[kind][0][of_island(scenario, network, kind)].min(initial=np.inf))
        for kind in KINDS
    )
    return worst >= -scenario.limits.tolerance


def not_covered(scenario: Scenario, plan: Plan) -> str:
    """Name what moves a scenario's state and is no part of a certificate."""
    if not scenario.disturbances.empty:
        return "disturbances take power by realization, which certificates do not cover"
    if not scenario.fleet.empty:
        return "storages, renewables or CHPs may not give what they are told, which is not covered"
    if plan.rule is not None and plan.rule.load_ids:
        return "the plan's rule cuts loads by what a draw lacks, which is not covered"
    if scenario.ders.ramp_kw_per_h is not None and len(plan.closed) > 1:
        return "ramps from step to step depend on what came before, which is not covered"
    return ""


def beside(study: Study, load_set: UncertaintySet) -> list[str]:
    """Say what the set is, beside what the campaign draws, and what no certificate speaks of."""
    config, said = study.config, []
    sampler = config.campaign.sampler
    if sampler == "truncated_normal":
        said.append(
            "the campaign draws normal errors cut off at the ends of the set: what is proven holds "
            "on the truncation, and says nothing of the tails beyond it"
        )
    elif sampler == "empirical":
        said.append("the campaign draws rows of a history; the set holds all between its ends, too")
    if not isinstance(load_set, Box):
        said.append("the set is smaller than the box that the campaign draws from")
    left_out: list[tuple[str, Callable[[], bool]]] = [
        ("[faults]", lambda: config.faults.declared),
        ("[realtime]", lambda: config.realtime.step_s is not None),
        ("[devices]", lambda: bool(config.devices.at)),
    ]
    named = [name for name, declared in left_out if declared()]
    if named:
        said.append(
            f"{', '.join(named)} of the study: every set-point is taken to act, and in time"
        )
    return said
