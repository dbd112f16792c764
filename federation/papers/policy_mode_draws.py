"""Draws that every plan of a mode is judged by, made once; and which of them leave a plan's set."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from gridproof.federation.studies.study import Study, load_study
from gridproof.optimizer.policy_mode.options import PolicyModeOptions
from gridproof.scenarios.arrays import BoolArray, FloatArray, frozen
from gridproof.scenarios.sampling import sample
from gridproof.scenarios.scenario import Scenario

if TYPE_CHECKING:  # solver libraries take a third of a second, and most commands run no paper
    from gridproof.optimizer.policy_mode.hedge import Hedge

__all__ = ["coordinates", "held_for", "inside_set", "share_outside"]

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
    from gridproof.optimizer.policy_mode.hedge import hedge  # noqa: PLC0415
    from gridproof.optimizer.policy_mode.planner import (  # noqa: PLC0415
        disturbance_of,
        log_of,
        settings_of,
    )

    asked = PolicyModeOptions(**study.config.planner.options)
    scenario = study.scenario
    shape = disturbance_of(scenario).shape
    return hedge(asked.method, log_of(scenario), shape, settings_of(asked))


def inside_set(scenario: Scenario, held: Hedge, drawn: tuple[FloatArray, ...]) -> BoolArray | None:
    """(draw, step) whether the disturbance lies in the set; None where the method has none."""
    from gridproof.optimizer.policy_mode.hedge import outside  # noqa: PLC0415

    left = [outside(held, scenario.disturbance_of(zeta)) for zeta in drawn]
    known = [~one for one in left if one is not None]
    return np.stack(known, axis=1) if known else None


def share_outside(scenario: Scenario, held: Hedge, drawn: tuple[FloatArray, ...]) -> float | None:
    """Share of (draw, step) pairs whose disturbance lies outside the set; None where it is none."""
    inside = inside_set(scenario, held, drawn)
    return None if inside is None else float(1.0 - inside.mean())
