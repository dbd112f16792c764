"""LinDist3Flow under the engine contract: the planner's own physics, solved, not optimised.

Where an optimizer may choose, this engine computes: DERs follow their set-points, the
grid-forming one of each island holds its magnitude and takes up the mismatch per phase.
Of several formers in one island the first holds (a substation before any DER) and the others
follow their set-points: without angles, magnitudes alone do not say how formers share. A
substation holds its magnitude behind its own impedance.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from gridproof.scenarios.arrays import FloatArray
from gridproof.scenarios.errors import EngineError
from gridproof.scenarios.fleet import Ders
from gridproof.scenarios.linearisation import Linearisation
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.realization import Realizations
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.setpoints import Setpoints
from gridproof.scenarios.snapshot import Snapshots
from gridproof.simulator.islands import live_components
from gridproof.simulator.linear.flow import FlowSolution, LinearFlow
from gridproof.simulator.linear.tangent import constants_at
from numpy.typing import NDArray

__all__ = ["LinearEngine"]

ComplexArray = NDArray[np.complex128]


class LinearEngine:
    """LinDist3Flow as an `Engine`.

    Parameters
    ----------
    scenario
        What is studied; its loads' models are those of ``scenario.load_model``.
    """

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._plan: Plan | None = None

    def hold(self, plan: Plan, time: int = 0) -> None:
        """Build and factorise the linear system of one step of a plan."""
        feeder, ders = self._scenario.feeder, self._scenario.ders
        if plan.switch_ids != feeder.switch_ids or plan.der_ids != ders.ids:
            raise EngineError(
                f"the plan has switches {plan.switch_ids} and DERs {plan.der_ids}, the scenario "
                f"{feeder.switch_ids} and {ders.ids}; read the plan for this scenario"
            )
        islands = live_components(self._scenario, plan, time)
        # of each island a substation holds, else the first former, on every phase it feeds
        first = ders.is_substation
        self._holding = [
            min(formers, key=lambda der: (not first[der], der))
            for formers in islands.formers
            if formers
        ]
        held = [
            (int(ders.bus[der]), phase, der)
            for der in self._holding
            for phase in np.flatnonzero(ders.phases[der]).tolist()
        ]
        self._held_at = [(der, phase) for _, phase, der in held]
        self._flow = LinearFlow(
            feeder,
            islands.closed,
            islands.live,
            [(bus, phase) for bus, phase, _ in held],
            self._scenario.load_model,
            behind=_impedances(ders, self._holding),
            at=self._scenario.linearisation,
        )
        self._following = ders.phases & islands.live[ders.bus]
        self._following[self._holding] = False
        self._plan, self._time, self._closed = plan, time, islands.closed

    def observe(self, realizations: Realizations, setpoints: Setpoints) -> Snapshots:
        """Solve each realization with its own set-points under the held plan."""
        if self._plan is None:
            raise EngineError("no plan is held; call hold(plan) before observe()")
        if not np.array_equal(realizations.index, setpoints.index):
            raise EngineError(
                f"set-points answer realizations {setpoints.index[:5]}…, the batch holds "
                f"{realizations.index[:5]}…; send them in the same order"
            )
        rows = [self._one(realizations, setpoints, k) for k in range(len(realizations))]
        solutions = [row[0] for row in rows]
        load_kw = np.array([solution.load_kw for solution in solutions])
        count, feeder, ders = len(rows), self._scenario.feeder, self._scenario.ders
        return Snapshots(
            index=realizations.index,
            converged=np.array([solution.converged for solution in solutions], bool),
            iterations=np.zeros(count, np.int64),
            v_pu=_stack([s.v_pu for s in solutions], (len(feeder.buses.ids), 3)),
            v_ll_pu=_stack([s.v_ll_pu for s in solutions], (len(feeder.buses.ids), 3)),
            current_a=_stack(
                [self._flow.current_a(s) for s in solutions], (len(feeder.lines.ids), 3)
            ),
            transformer_kva=_stack(
                [s.transformer_kva for s in solutions], (len(feeder.transformers.ids),)
            ),
            der_p_kw=_stack([row[1] for row in rows], (len(ders.ids), 3)),
            der_q_kvar=_stack([row[2] for row in rows], (len(ders.ids), 3)),
            delivered_kw=load_kw,
            requested_kw=load_kw,
            losses_kw=np.zeros(count),
        )

    def _one(
        self, realizations: Realizations, setpoints: Setpoints, k: int
    ) -> tuple[FlowSolution, FloatArray, FloatArray]:
        ders = self._scenario.ders
        injected, p, q = self._injected(setpoints.p_kw[k], setpoints.q_kvar[k])
        told = ders.held_pu(setpoints.source_v_pu[k])
        v_held = np.array([told[der] for der, _ in self._held_at])
        p_kw, q_kvar = realizations.demand_at(self._time)
        solution = self._flow.solve(p_kw[k], q_kvar[k], injected, v_held)
        for place, (der, phase) in enumerate(self._held_at):
            p[der, phase], q[der, phase] = solution.held_kw[place], solution.held_kvar[place]
        return solution, p, q

    def linearisation(self, v_pu: ComplexArray) -> Linearisation:
        """Return the constants with which the held plan's nominal state is an AC state.

        Parameters
        ----------
        v_pu
            (bus, 3) voltages of that state, complex; 0 where dead.
        """
        if self._plan is None:
            raise EngineError("no plan is held; call hold(plan) before linearisation()")
        plan, time, ders = self._plan, self._time, self._scenario.ders
        told = ders.held_pu(plan.source_v_pu[time])
        return constants_at(
            self._flow,
            self._closed,
            v_pu,
            (self._scenario.load_p_kw[time], self._scenario.load_q_kvar[time]),
            self._injected(plan.p_kw[time], plan.q_kvar[time])[0],
            np.array([told[der] for der, _ in self._held_at]),
        )

    def _injected(
        self, p_kw: FloatArray, q_kvar: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """(2, bus, 3) what the DERs that follow inject, and their (der, 3) powers."""
        ders = self._scenario.ders
        p = np.where(self._following, p_kw, 0.0)
        q = np.where(self._following, q_kvar, 0.0)
        injected = np.zeros((2, len(self._scenario.feeder.buses.ids), 3))
        np.add.at(injected[0], ders.bus, p)
        np.add.at(injected[1], ders.bus, q)
        return injected, p, q

    def close(self) -> None:
        """Forget the held plan; there is nothing else to release."""
        self._plan = None


def _impedances(ders: Ders, holding: Sequence[int]) -> dict[int, tuple[FloatArray, FloatArray]]:
    """By bus, what stands between a holding substation's voltage and its bus, ohm."""
    own = ders.substations
    if own is None:
        return {}
    return {
        int(ders.bus[der]): (r, x)
        for der, r, x in zip(own.at.tolist(), own.r_ohm, own.x_ohm, strict=True)
        if der in holding
    }


def _stack(rows: Sequence[FloatArray], shape: tuple[int, ...]) -> FloatArray:
    return np.array(rows, float).reshape(len(rows), *shape)
