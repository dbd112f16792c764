"""Recourse by a plan's own rule: matrix products, no solver.

``p(ζ) = p⁰ + A_t ζ`` of `scenarios.response.ResponseRule`, in equal parts on each DER's phases;
reactive power and held magnitudes stay as planned. What events take of a DER comes off what it is
told where the trial delivers it (`scenarios.carried.deliver`), not here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from gridproof.optimizer.recourse.fixed import base_setpoints
from gridproof.scenarios.errors import ConfigError

if TYPE_CHECKING:
    from gridproof.scenarios.carried import Carried
    from gridproof.scenarios.plan import Plan
    from gridproof.scenarios.realization import Realizations
    from gridproof.scenarios.scenario import Scenario
    from gridproof.scenarios.setpoints import Setpoints

__all__ = ["RuleRecourse"]


class RuleRecourse:
    """Set-points by the response rule that a plan brought; ``found`` is always true.

    Parameters
    ----------
    plan, scenario, time
        What is held, where, and which step.

    Raises
    ------
    ConfigError
        If the plan has no rule, or one over other directions than the scenario's.
    """

    def __init__(self, plan: Plan, scenario: Scenario, time: int = 0) -> None:
        if plan.rule is None:
            raise ConfigError(
                f"the plan of family {plan.family} brings no response rule; choose another "
                "[campaign] recourse, such as fixed, or a family that makes one"
            )
        if plan.rule.direction_ids != scenario.direction_ids:
            raise ConfigError(
                f"the plan's rule answers {', '.join(plan.rule.direction_ids)}; the study draws "
                f"{', '.join(scenario.direction_ids)}: plan this study, or choose another recourse"
            )
        self._plan, self._rule, self._time = plan, plan.rule, time
        self._part = scenario.ders.phase_share

    def respond(self, realizations: Realizations, carried: Carried | None = None) -> Setpoints:  # noqa: ARG002
        """Answer each realization by products."""
        found = np.ones(len(realizations), dtype=bool)
        base = base_setpoints(self._plan, self._time, realizations, found)
        change = self._rule.answer_kw(realizations.zeta_at(self._time), self._time)
        return replace(base, p_kw=base.p_kw + change[:, :, None] * self._part)
