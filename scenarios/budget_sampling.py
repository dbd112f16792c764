"""Draws inside a budgeted set: how often a load may leave its nominal over the steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from gridproof.scenarios.arrays import FloatArray
from gridproof.scenarios.realization import uniforms
from gridproof.scenarios.sets import Budget

__all__ = ["Budgeted"]

_BUDGETED = 17
"""Stream of the counter-based generator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budgeted:
    """Draws each load anew at every step, within ``Σ_t |ζ_kt| ≤ Γ`` over the steps of a load.

    Uniform in the box, then each load's steps drawn in towards nominal until its budget holds, as
    `sets.Budget.draw` has it: at Γ = the number of steps all are free.

    Attributes
    ----------
    seed
        The campaign's.
    width
        Number of loads.
    steps
        Number of steps of the scenario.
    gamma
        ``Γ``.
    """

    independent: ClassVar[bool] = True
    seed: int
    width: int
    steps: int
    gamma: float

    def coordinates(self, first: int, count: int) -> FloatArray:
        """(count, load) rows of the first step."""
        return self.coordinates_at(first, count, 0)

    def coordinates_at(self, first: int, count: int, step: int) -> FloatArray:
        """(count, load) rows at one step: a function of (seed, row, step) alone."""
        size = self.steps * self.width
        budget = Budget(
            group=np.tile(np.arange(self.width), self.steps),
            gamma=np.full(self.width, self.gamma),
        )
        drawn = budget.draw(uniforms(self.seed, first, count, size, _BUDGETED))
        return np.ascontiguousarray(drawn.reshape(count, self.steps, self.width)[:, step])
