"""Recourse corrected by measurements: the linear answer first, then what the physics showed.

Round 0 is `LinearRecourse`. Where the physics then finds a limit violated, it is measured, and
the linear model's constants are moved by the difference (`optimizer.recourse.correction`), so
that the model is exact at the set-points that were tried; the same program is solved again,
margin first, then cost. Realizations that the linear model has no re-dispatch for are tried,
and measured, at the base set-points.

An answer is a function of (plan, scenario, realization, what was tried and measured) alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from gridproof.optimizer.network.branches import BASE_KVA
from gridproof.optimizer.recourse.correction import Correction
from gridproof.optimizer.recourse.dispatch import Dispatch
from gridproof.optimizer.recourse.linear import LinearRecourse
from gridproof.scenarios.arrays import BoolArray, FloatArray
from gridproof.scenarios.setpoints import Setpoints

if TYPE_CHECKING:
    from gridproof.scenarios.plan import Plan
    from gridproof.scenarios.realization import Realizations
    from gridproof.scenarios.scenario import Scenario
    from gridproof.scenarios.snapshot import Snapshots

__all__ = ["AcRecourse"]


class AcRecourse(LinearRecourse):
    """Linear re-dispatch, mended by measurements."""

    def __init__(self, plan: Plan, scenario: Scenario, time: int = 0) -> None:
        super().__init__(plan, scenario, time)
        self._corrections = [
            Correction(self.network, island.stage, island.lossy) for island in self.islands
        ]

    def correct(
        self, realizations: Realizations, tried: Setpoints, measured: Snapshots
    ) -> Setpoints:
        """Re-dispatch in the model that the measurements have moved.

        Parameters
        ----------
        realizations
            Those that are not settled yet.
        tried, measured
            Their last set-points and what came of them, in the same order.

        Returns
        -------
        Setpoints
            ``found`` is false where the corrected model has no re-dispatch, or nothing was
            measured; the numbers are then those tried.
        """
        inside = self.inside(realizations)
        found = measured.converged.copy()
        p, q = tried.p_kw.copy(), tried.q_kvar.copy()
        for island, correction in zip(self.islands, self._corrections, strict=True):
            at = island.outputs
            for boxed in (True, False):
                rows = np.flatnonzero(found & (inside == boxed))
                if not len(rows):
                    continue
                dispatch = island.program(boxed=boxed, lossy=True)
                asked = island.parameters(realizations, rows, self.time, boxed=boxed)
                moved = correction(dispatch, asked, tried.take(rows), measured.take(rows))
                found[rows], p_here, q_here = _answers(dispatch, asked, moved)
                p[rows[:, None], at[:, 0], at[:, 1]] = p_here * BASE_KVA
                q[rows[:, None], at[:, 0], at[:, 1]] = q_here * BASE_KVA
        return Setpoints(
            index=realizations.index,
            found=found,
            p_kw=np.where(found[:, None, None], p, tried.p_kw),
            q_kvar=np.where(found[:, None, None], q, tried.q_kvar),
            source_v_pu=tried.source_v_pu,
        )


def _answers(
    dispatch: Dispatch, asked: FloatArray, moved: FloatArray
) -> tuple[BoolArray, FloatArray, FloatArray]:
    """Found (row,) and powers (row, output), per unit; zero where there is none."""
    found = np.zeros(len(asked), dtype=bool)
    p = np.zeros((len(asked), len(dispatch.state.outputs)))
    q = np.zeros_like(p)
    for k in np.flatnonzero(np.isfinite(moved).all(axis=1)).tolist():
        answer = dispatch.answer_corrected(asked[k], moved[k])
        if answer is not None:
            found[k], (p[k], q[k]) = True, answer
    return found, p, q
