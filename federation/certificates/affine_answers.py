"""A recourse's answer as an affine function of the draw, where it is one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from gridproof.optimizer.recourse.policies import make_recourse
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.realization import realize
from gridproof.scenarios.scenario import Scenario
from gridproof.simulator.proof.powers import AffineAnswer

__all__ = ["AFFINE", "affine_answer", "affine_policy", "as_asked"]

AFFINE = ("fixed", "participation", "rule", "affine")
"""Recourses whose answer is affine in the draw, but for some rules (`affine_policy`)."""


def affine_policy(policy: str, plan: Plan) -> tuple[str, str]:
    """Choose the recourse that a proof is made with.

    Returns
    -------
    policy, said
        The policy itself where its answer is affine in the draw, else another and why: of those
        that solve a program for each draw, ``affine``.
    """
    rule = plan.rule
    if policy == "rule" and rule is not None and (rule.gain_down is not None or rule.load_ids):
        return "fixed", (
            "the plan's rule answers up and down by different gains, or cuts loads: it is not "
            "affine; what is said holds for set-points that stay"
        )
    if policy in AFFINE:
        return policy, ""
    return "affine", (
        f"the recourse {policy} solves a program for each draw and is not affine; what is said "
        "holds for the affine rule of recourse affine, and says nothing of that recourse"
    )


def affine_answer(policy: str, plan: Plan, scenario: Scenario, time: int = 0) -> AffineAnswer:
    """Read ``s(ζ) = base + slope ζ`` off an affine recourse, at the centre and along each axis.

    Parameters
    ----------
    policy
        One whose answer is affine (`affine_policy`).
    plan, scenario, time
        What is held.
    """
    width = len(scenario.direction_ids)
    points = np.concatenate([np.zeros((1, width)), np.eye(width)])
    drawn = plan.asked(realize(scenario, points, step=time), scenario)
    told = make_recourse(policy, plan, scenario, time).respond(drawn)
    power = told.p_kw + 1j * told.q_kvar
    return AffineAnswer(
        base_kva=power[0], slope_kva=np.moveaxis(power[1:] - power[0], 0, -1).copy()
    )


def as_asked(plan: Plan, scenario: Scenario) -> Scenario:
    """Return the scenario with the share of each load that the plan asks for."""
    if not plan.partial_ids:
        return scenario
    share = plan.share_of(scenario.feeder.loads.ids)[:, :, None]
    p_kw, q_kvar = scenario.load_p_kw * share, scenario.load_q_kvar * share
    return replace(scenario, load_p_kw=p_kw, load_q_kvar=q_kvar)
