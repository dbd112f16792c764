"""Draws that every plan of a mode is judged by, made once; and which of them leave a plan's set."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from gridproof.federation.studies.study import Study, load_study
from gridproof.optimizer.policy_mode.hedge import Hedge, hedge, outside
from gridproof.optimizer.policy_mode.options import PolicyModeOptions
from gridproof.optimizer.policy_mode.planner import disturbance_of, log_of, settings_of
from gridproof.scenarios.arrays import FloatArray, frozen
from gridproof.scenarios.sampling import sample
from gridproof.scenarios.scenario import Scenario

__all__ = ["coordinates", "held_for", "share_outside"]

_MODES_KEPT = 8  # four modes, sampled and actual


@lru_cache(maxsize=_MODES_KEPT)
def coordinates(study: str, mode: str, draws: str, count: int) -> tuple[FloatArray, ...]:
    """(draw, direction) coordinates of each step; neither method nor log changes them.

    Parameters
    ----------
    study, mode, draws
        The study's name, ``[events] mode`` and ``[events] draws``.
    count
        How many.
    """
    made = load_study(study, [f"events.mode={mode}", f"events.draws={draws}"])
    if hasattr(made.sampler, "coordinates_at"):  # loads are none of a judge's that only multiplies
        at = made.sampler.coordinates_at
        return tuple(frozen(at(0, count, t), float) for t in range(len(made.scenario.hours)))
    every = range(len(made.scenario.hours))
    return tuple(sample(made.scenario, made.sampler, 0, count, step=t).zeta for t in every)


def held_for(study: Study) -> Hedge:
    """Return the set that a study's planner holds its rows for."""
    asked = PolicyModeOptions(**study.config.planner.options)
    scenario = study.scenario
    shape = disturbance_of(scenario).shape
    return hedge(asked.method, log_of(scenario), shape, settings_of(asked))


def share_outside(scenario: Scenario, held: Hedge, drawn: tuple[FloatArray, ...]) -> float | None:
    """Share of (draw, step) pairs whose disturbance lies outside the set; None where it is none."""
    left = [outside(held, scenario.disturbance_of(zeta)) for zeta in drawn]
    known = [one for one in left if one is not None]
    return float(np.mean(known)) if known else None
