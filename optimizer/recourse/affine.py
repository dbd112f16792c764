"""Recourse by an affine rule of every phase: matrix products, no solver.

``s(ζ) = s⁰ + r_t + R_t ζ`` of `scenarios.response.AffineRule`, active and reactive power alike;
held magnitudes stay as planned. A rule is made to keep every limit over the AC tangent, and
certified (docs/proof.md); the plan carries it.
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

__all__ = ["AffineRecourse"]


class AffineRecourse:
    """Set-points by the affine rule that a plan brought; ``found`` is always true.

    Parameters
    ----------
    plan, scenario, time
        What is held, where, and which step.

    Raises
    ------
    ConfigError
        If the plan has no affine rule, or one over other directions than the scenario's.
    """

    def __init__(self, plan: Plan, scenario: Scenario, time: int = 0) -> None:
        if plan.affine is None:
            raise ConfigError(
                "the plan brings no affine rule; gridproof plan STUDY --set "
                'campaign.recourse="affine" --out FILE makes one, or choose another recourse'
            )
        if plan.affine.direction_ids != scenario.direction_ids:
            raise ConfigError(
                f"the plan's affine rule answers {', '.join(plan.affine.direction_ids)}; the study "
                f"draws {', '.join(scenario.direction_ids)}: plan this study, or choose another "
                "recourse"
            )
        self._plan, self._rule, self._time = plan, plan.affine, time

    def respond(self, realizations: Realizations, carried: Carried | None = None) -> Setpoints:  # noqa: ARG002
        """Answer each realization by products."""
        found = np.ones(len(realizations), dtype=bool)
        base = base_setpoints(self._plan, self._time, realizations, found)
        p, q = self._rule.change(realizations.zeta_at(self._time), self._time)
        return replace(base, p_kw=base.p_kw + p, q_kvar=base.q_kvar + q)
