"""The linear judge: for which realizations LinDist3Flow has a re-dispatch at a fixed plan.

One small program per island, ``max t`` over the controls with every limit inside by ``t ≥ 0``.
Only right-hand sides move, so most realizations are settled by products:

- a Farkas ray refutes all that violate it;
- a basis feasible for one gives controls affine in the realization, ``u = u₀ + U θ``, and
  proves all for which they keep every limit. Few such rules are needed, and a limit that a
  rule keeps over the whole set need not be looked at.

What neither settles is walked to the region it lies in (`optimizer.solver.parametric`). The
verdict is that of solving one by one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from gridproof.optimizer.network.network import ENOUGH, MARGINS
from gridproof.optimizer.recourse.dispatch import DispatchLimits
from gridproof.optimizer.recourse.linear import LinearRecourse
from gridproof.optimizer.solver.parametric import ParametricProgram
from gridproof.scenarios.arrays import BoolArray, FloatArray

if TYPE_CHECKING:
    from gridproof.scenarios.plan import Plan
    from gridproof.scenarios.realization import Realizations
    from gridproof.scenarios.scenario import Scenario

__all__ = ["Certificates", "LinearJudge"]


_RULES = 16  # most rules per island
_AT_ONCE = 512
_KEPT = 1e-9  # pu by which a limit may be missed and still count as kept


class LinearJudge(LinearRecourse):
    """Tells feasible from infeasible without a dispatch.

    Parameters
    ----------
    plan, scenario, time
        What is held, where, and which step.
    """

    def __init__(self, plan: Plan, scenario: Scenario, time: int = 0) -> None:
        super().__init__(plan, scenario, time)
        self._certificates: dict[tuple[int, bool], Certificates | None] = {}

    def feasible(self, realizations: Realizations) -> BoolArray:
        """(realization,) whether a re-dispatch within every limit exists.

        Raises
        ------
        ScenarioError
            If a load that follows its voltage is not at its nominal demand.
        """
        inside = self.inside(realizations)
        feasible = np.ones(len(realizations), dtype=bool)
        for number, island in enumerate(self.islands):
            for boxed in (True, False):
                rows = np.flatnonzero(feasible & (inside == boxed))
                if len(rows):
                    settle = self.certificates(number, boxed=boxed)
                    asked = island.parameters(realizations, rows, self.time, boxed=boxed)
                    feasible[rows] = False if settle is None else settle.feasible(asked)
        return feasible

    def certificates(self, number: int, *, boxed: bool = True) -> Certificates | None:
        """Return what settles an island; None if some DER there has no room at all."""
        key = number, boxed
        if key not in self._certificates:
            island = self.islands[number]
            direction = island.direction() if boxed else None
            limits = DispatchLimits(
                self.network, island.stage, island.state, direction, shifted=0.0
            )
            examples = island.examples() if boxed else np.zeros((1, island.deviations))
            self._certificates[key] = None if limits.hopeless else Certificates(limits, examples)
        return self._certificates[key]


class Certificates:
    """Rays and rules of one island.

    Parameters
    ----------
    limits
        The island's.
    examples
        (sample, parameter) what they are learnt from.

    Attributes
    ----------
    program
        ``max t`` itself, for what they do not settle.
    rules
        (guard,) and (guard, parameter): at a parameter where all guards of one rule are at
        least 0, its controls keep every limit.
    """

    def __init__(self, limits: DispatchLimits, examples: FloatArray) -> None:
        low, high = limits.box
        self.program = ParametricProgram(
            cost=np.append(np.zeros(len(low)), -1.0),
            lower=np.append(low, 0.0),
            upper=np.append(high, ENOUGH),
            rows=limits.rows(np.ones((len(MARGINS), 1))),
            reach=limits.reach,
        )
        self.program.learn(examples)
        self.rules = self._few(examples)

    def feasible(self, parameters: FloatArray) -> BoolArray:
        """Tell for (sample, parameter) whether a re-dispatch exists."""
        feasible = np.zeros(len(parameters), dtype=bool)
        left = np.flatnonzero(~self.program.refuted(parameters))
        for rule in self.rules:
            if not len(left):
                return feasible
            kept = _holds(rule, parameters[left])
            feasible[left[kept]] = True
            left = left[~kept]
        feasible[left] = self.program.feasible(parameters[left])
        return feasible

    def _few(self, examples: FloatArray) -> list[tuple[FloatArray, FloatArray]]:
        """Choose rules, each time the one that proves most of what is not proven yet."""
        rules = [self._rule(*rule) for rule in self.program.rules()]
        proven = np.array([_holds(rule, examples) for rule in rules]).reshape(len(rules), -1)
        chosen: list[tuple[FloatArray, FloatArray]] = []
        while len(chosen) < _RULES and proven.any():
            best = int(proven.sum(axis=1).argmax())
            chosen.append(rules[best])
            proven &= ~proven[best]
        return chosen

    def _rule(self, constant: FloatArray, slope: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Guards of a region's controls; the margin in its limits is given up."""
        form = self.program.form
        constant, slope = constant.copy(), slope.copy()
        constant[-1], slope[-1] = 0.0, 0.0
        value = np.hstack([form.every @ constant[:, None], form.every @ slope + form.moved])
        low, high = np.isfinite(form.low), np.isfinite(form.high)
        guard = np.concatenate([value[low], -value[high]])
        guard[:, 0] += np.concatenate([-form.low[low], form.high[high]]) + _KEPT
        kept = form.may_fail(guard)
        return guard[kept, 0], guard[kept, 1:]


def _holds(rule: tuple[FloatArray, FloatArray], parameters: FloatArray) -> BoolArray:
    """Tell for (sample, parameter) whether all guards of a rule hold."""
    held = np.ones(len(parameters), dtype=bool)
    for first in range(0, len(parameters), _AT_ONCE):
        part = parameters[first : first + _AT_ONCE]
        value = np.broadcast_to(rule[0], (len(part), len(rule[0]))).copy()
        for k in range(part.shape[1]):
            value += part[:, k, None] * rule[1][None, :, k]
        held[first : first + _AT_ONCE] = (value >= 0.0).all(axis=1)
    return held
