"""The second stage at a fixed plan: what to set the DERs to once the load is known.

Policies, by name:

``fixed``
    Set-points stay; the grid-forming DER takes up the mismatch.
``participation``
    Each DER of an island takes a fixed share of its mismatch (`optimizer.recourse_participation`).
``linear``
    Re-dispatch in LinDist3Flow within capability and ramp, held voltages as planned: first as
    far inside the limits as possible, then as cheap as possible (`optimizer.dispatch`).

An answer is a function of (plan, scenario, realization) alone: batch size, order and earlier
answers cannot change a bit of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

import numpy as np

from optimizer.constraints.network import BASE_KVA, Network
from optimizer.dispatch import Dispatch
from optimizer.first_stage import FirstStage
from optimizer.methods.separation import gray_signs, uncertain_directions
from optimizer.methods.statemap import island_state
from optimizer.recourse_participation import ParticipationRecourse
from scenarios.arrays import BoolArray, FloatArray, IntArray
from scenarios.errors import ConfigError, ScenarioError
from scenarios.lindist import load_shares
from scenarios.plan import Setpoints
from scenarios.realization import Realizations, realize, uniforms

if TYPE_CHECKING:
    from scenarios.plan import Plan
    from scenarios.scenario import Scenario

__all__ = ["POLICIES", "FixedRecourse", "LinearRecourse", "Recourse", "make_recourse"]

_SAMPLES = 1600  # realizations that regions are learnt from, beside the vertices
_CORNERS = 6  # most directions whose vertices are all learnt from
_STREAM = 7  # of the counter-based generator; keeps clear of the campaign's own draws


class Recourse(Protocol):
    """Answers realizations under a held plan."""

    def respond(self, realizations: Realizations) -> Setpoints:
        """Return set-points for every realization; ``found`` is false where none exist."""
        ...


class FixedRecourse:
    """Set-points stay at the plan's base."""

    def __init__(self, plan: Plan, scenario: Scenario, time: int = 0) -> None:  # noqa: ARG002
        self._plan, self._time = plan, time

    def respond(self, realizations: Realizations) -> Setpoints:
        """Return the base set-points for every realization."""
        found = np.ones(len(realizations), dtype=bool)
        return _base(self._plan, self._time, realizations, found)


class LinearRecourse:
    """Re-dispatch by the linear model, island by island."""

    def __init__(self, plan: Plan, scenario: Scenario, time: int = 0) -> None:
        self._plan, self._scenario, self._time = plan, scenario, time
        self._network = Network.of(scenario, time)
        stage = FirstStage.of(plan, time)
        self._islands = [
            _Island(self._network, stage, blocks) for blocks in stage.islands(scenario)
        ]

    def respond(self, realizations: Realizations) -> Setpoints:
        """Return re-dispatched set-points; the base's where no re-dispatch exists.

        Raises
        ------
        ScenarioError
            If a load that follows its voltage is not at its nominal demand.
        SolverError
            If a program ended neither solved nor infeasible; never read as infeasible.
        """
        inside = self._inside(realizations)
        found = np.ones(len(realizations), dtype=bool)
        base = _base(self._plan, self._time, realizations, found)
        p, q = base.p_kw.copy(), base.q_kvar.copy()
        for island in self._islands:
            here, p_here, q_here = island.respond(realizations, inside, self._time)
            found &= here
            at = island.outputs
            p[:, at[:, 0], at[:, 1]] = p_here * BASE_KVA
            q[:, at[:, 0], at[:, 1]] = q_here * BASE_KVA
        return Setpoints(
            index=realizations.index,
            found=found,
            p_kw=np.where(found[:, None, None], p, base.p_kw),
            q_kvar=np.where(found[:, None, None], q, base.q_kvar),
            source_v_pu=base.source_v_pu,
        )

    def _inside(self, realizations: Realizations) -> BoolArray:
        """(realization,) whether its loads are what its coordinates in the set say."""
        if realizations.zeta.shape[1] != len(self._scenario.direction_ids):
            return np.zeros(len(realizations), dtype=bool)
        told = realize(self._scenario, realizations.zeta)
        t = self._time
        same = (told.p_kw[:, t] == realizations.p_kw[:, t]).all(axis=(1, 2))
        same &= (told.q_kvar[:, t] == realizations.q_kvar[:, t]).all(axis=(1, 2))
        inside = np.asarray(same & (np.abs(realizations.zeta) <= 1.0).all(axis=1))
        self._check_models(realizations, ~inside)
        return inside

    def _check_models(self, realizations: Realizations, which: BoolArray) -> None:
        scenario, t = self._scenario, self._time
        follows = np.array(
            [bool(s.p_per_w or s.q_per_w) for s in map(load_shares, scenario.load_model)],
            dtype=bool,
        )
        moved = (realizations.p_kw[which, t] != scenario.load_p_kw[t]).any(axis=(0, 2))
        moved |= (realizations.q_kvar[which, t] != scenario.load_q_kvar[t]).any(axis=(0, 2))
        wrong = [scenario.feeder.loads.ids[k] for k in np.flatnonzero(follows & moved)]
        if wrong:
            raise ScenarioError(
                f"loads {', '.join(wrong)} follow their voltage and are not at nominal demand; the "
                "linear recourse needs moving loads of constant power: set load model to "
                '"constant_power"'
            )


class _Island:
    """One island: a program over the set's coordinates, and one over any demand."""

    def __init__(self, network: Network, stage: FirstStage, blocks: tuple[int, ...]) -> None:
        self._network, self._stage = network, stage
        self._state = island_state(network, stage, blocks)
        self._directions = _drawn_directions(network, blocks)
        self.outputs = self._state.outputs
        self._boxed: Dispatch | None = None
        self._open: Dispatch | None = None

    def respond(
        self, realizations: Realizations, inside: BoolArray, time: int
    ) -> tuple[BoolArray, FloatArray, FloatArray]:
        found = np.zeros(len(realizations), dtype=bool)
        p = np.zeros((len(realizations), len(self.outputs)))
        q = np.zeros_like(p)
        ins, outs = np.flatnonzero(inside), np.flatnonzero(~inside)
        if len(ins):
            answer = self._over_box().answer(realizations.zeta[ins][:, self._directions])
            found[ins], p[ins], q[ins] = answer.found, answer.p, answer.q
        if len(outs):
            deviation = self._deviation(
                realizations.p_kw[outs, time], realizations.q_kvar[outs, time]
            )
            answer = self._over_demand().answer(deviation)
            found[outs], p[outs], q[outs] = answer.found, answer.p, answer.q
        return found, p, q

    def _deviation(self, p_kw: FloatArray, q_kvar: FloatArray) -> FloatArray:
        at = (self._state.loaded[:, 0], self._state.loaded[:, 1])
        both = self._network.demand(p_kw, q_kvar)
        moved = [
            use[:, at[0], at[1]] - nominal[at]
            for use, nominal in zip(both, self._network.nominal, strict=True)
        ]
        return np.concatenate(moved, axis=1)

    def _over_box(self) -> Dispatch:
        """Build at first use: the directions' program, with its regions learnt."""
        if self._boxed is None:
            scenario, count = self._network.scenario, len(self._directions)
            zeta = np.zeros((count, len(scenario.direction_ids)))
            zeta[np.arange(count), self._directions] = 1.0
            draws, t = realize(scenario, zeta), self._network.time
            direction = self._deviation(draws.p_kw[:, t], draws.q_kvar[:, t]).T
            self._boxed = Dispatch(self._network, self._stage, self._state, direction)
            samples = 2.0 * uniforms(0, 0, _SAMPLES if count else 1, count, _STREAM) - 1.0
            corners = gray_signs(count) if 0 < count <= _CORNERS else np.zeros((0, count))
            self._boxed.learn(np.concatenate([corners, samples]))
        return self._boxed

    def _over_demand(self) -> Dispatch:
        if self._open is None:
            self._open = Dispatch(self._network, self._stage, self._state)
        return self._open


def _drawn_directions(network: Network, blocks: tuple[int, ...]) -> IntArray:
    """Positions of the directions a campaign draws, of an island's blocks, that move at all."""
    scenario = network.scenario
    if not scenario.draws_per_phase:
        return uncertain_directions(network, blocks)
    inside = np.isin(scenario.feeder.block_of_load[scenario.uncertain_slots[:, 0]], blocks)
    return np.flatnonzero(inside & (scenario.direction_spread > 0.0))


def _base(plan: Plan, time: int, realizations: Realizations, found: BoolArray) -> Setpoints:
    count = len(realizations)

    def repeat(values: FloatArray) -> FloatArray:
        return np.broadcast_to(values, (count, *values.shape)).copy()

    return Setpoints(
        index=realizations.index,
        found=found,
        p_kw=repeat(plan.p_kw[time]),
        q_kvar=repeat(plan.q_kvar[time]),
        source_v_pu=repeat(plan.source_v_pu[time]),
    )


POLICIES: Mapping[str, Callable[[Plan, Scenario, int], Recourse]] = MappingProxyType(
    {"fixed": FixedRecourse, "participation": ParticipationRecourse, "linear": LinearRecourse}
)
"""Recourse policies by the name a campaign gives."""


def make_recourse(policy: str, plan: Plan, scenario: Scenario, time: int = 0) -> Recourse:
    """Build a recourse policy by name.

    Parameters
    ----------
    policy
        A key of `POLICIES`.
    plan, scenario, time
        What is held, where, and which step.

    Raises
    ------
    ConfigError
        If the policy is unknown.
    ScenarioError
        If an island of the plan is not a tree or has no grid-forming DER.
    """
    if policy not in POLICIES:
        raise ConfigError(
            f"[campaign] recourse = {policy!r} is not known; "
            f"it must be one of {', '.join(POLICIES)}"
        )
    return POLICIES[policy](plan, scenario, time)
