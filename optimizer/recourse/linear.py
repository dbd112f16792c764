"""Re-dispatch in LinDist3Flow, island by island: a program over the set, one over any demand.

Demand inside the declared set is told by its coordinates ``ζ``, few and bounded, whose
program is known in advance (`optimizer.solver.parametric`). Any other demand is its own
deviation from nominal, node by node.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from gridproof.optimizer.network.branches import BASE_KVA
from gridproof.optimizer.network.first_stage import FirstStage
from gridproof.optimizer.network.network import Network
from gridproof.optimizer.network.statemap import IslandState, island_state, uncertain_nodes
from gridproof.optimizer.recourse.dispatch import Dispatch
from gridproof.optimizer.recourse.fixed import base_setpoints
from gridproof.optimizer.recourse.slopes import with_slopes
from gridproof.optimizer.separation.island_recourse import uncertain_directions
from gridproof.optimizer.separation.region import gray_signs
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray
from gridproof.scenarios.carried import Carried
from gridproof.scenarios.commitment import running
from gridproof.scenarios.errors import ScenarioError
from gridproof.scenarios.lindist import load_shares
from gridproof.scenarios.realization import Realizations, realize, uniforms
from gridproof.scenarios.setpoints import Setpoints

if TYPE_CHECKING:
    from gridproof.scenarios.plan import Plan
    from gridproof.scenarios.scenario import Scenario

__all__ = ["Island", "LinearRecourse"]

_SAMPLES = 1600  # realizations that regions are learnt from, beside the vertices
_CORNERS = 6  # most directions whose vertices are all learnt from
_AT_ONCE = 128  # realizations compared at a time, so that they stay in the cache
_STREAM = 7  # of the counter-based generator; keeps clear of the campaign's own draws


class LinearRecourse:
    """Re-dispatch by the linear model, island by island.

    Attributes
    ----------
    plan, scenario, time
        What is held, where, and which step.
    network, islands
        The same per unit.

    Parameters
    ----------
    learns
        Whether critical regions are learnt before the first answer, which pays where many are
        asked for; else every program is solved on its own.
    quick
        Whether programs are walked by compiled loops: numba is needed.
    """

    def __init__(
        self,
        plan: Plan,
        scenario: Scenario,
        time: int = 0,
        *,
        learns: bool = True,
        quick: bool = False,
    ) -> None:
        self.plan, self.scenario, self.time = plan, running(plan, scenario, time), time
        self.network = Network.of(self.scenario, time)
        stage = FirstStage.of(plan, time)
        self.islands = [
            Island(self.network, stage, blocks, learns=learns, quick=quick)
            for blocks in stage.islands(self.scenario)
        ]

    def respond(self, realizations: Realizations, carried: Carried | None = None) -> Setpoints:  # noqa: ARG002
        """Return re-dispatched set-points; the base's where no re-dispatch exists.

        Raises
        ------
        ScenarioError
            If a load that follows its voltage is not at its nominal demand.
        SolverError
            If a program ended neither solved nor infeasible; never read as infeasible.
        """
        inside = self.inside(realizations)
        found = np.ones(len(realizations), dtype=bool)
        base = base_setpoints(self.plan, self.time, realizations, found)
        p, q = base.p_kw.copy(), base.q_kvar.copy()
        for island in self.islands:
            here, p_here, q_here = island.respond(realizations, inside, self.time)
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

    def rest(self) -> None:
        """Take little memory until the next question; another step is answered meanwhile."""
        for island in self.islands:
            island.rest()

    def inside(self, realizations: Realizations) -> BoolArray:
        """(realization,) whether its loads are what its coordinates in the set say."""
        if realizations.zeta.shape[1] != len(self.scenario.direction_ids):
            return np.zeros(len(realizations), dtype=bool)
        low, high = self.scenario.direction_range
        inside: BoolArray = np.all(realizations.zeta >= low, axis=1)
        inside &= np.all(realizations.zeta <= high, axis=1)
        for first in range(0, len(realizations), _AT_ONCE):
            rows = slice(first, first + _AT_ONCE)
            told = realize(self.scenario, realizations.zeta[rows], step=self.time)
            asked = realizations.demand_at(self.time)
            for one, other in zip(told.demand_at(self.time), asked, strict=True):
                inside[rows] &= (one == other[rows]).all(axis=(1, 2))
        self._check_models(realizations, ~inside)
        return inside

    def _check_models(self, realizations: Realizations, which: BoolArray) -> None:
        scenario, t = self.scenario, self.time
        follows = np.array(
            [bool(s.p_per_w or s.q_per_w) for s in map(load_shares, scenario.load_model)],
            dtype=bool,
        )
        p_kw, q_kvar = realizations.demand_at(t)
        moved = (p_kw[which] != scenario.load_p_kw[t]).any(axis=(0, 2))
        moved |= (q_kvar[which] != scenario.load_q_kvar[t]).any(axis=(0, 2))
        wrong = [scenario.feeder.loads.ids[k] for k in np.flatnonzero(follows & moved)]
        if wrong:
            raise ScenarioError(
                f"loads {', '.join(wrong)} follow their voltage and are not at nominal demand; the "
                "linear recourse needs moving loads of constant power: set load model to "
                '"constant_power"'
            )


class Island:
    """One island and its programs, built when they are first asked for.

    Attributes
    ----------
    stage, state
        What is held, and how the island follows from its controls and from the loads of the set.
    outputs
        (output, 2) DER and phase of every live DER phase.
    """

    def __init__(
        self,
        network: Network,
        stage: FirstStage,
        blocks: tuple[int, ...],
        *,
        learns: bool = True,
        quick: bool = False,
    ) -> None:
        self._network, self.stage, self._blocks = network, stage, blocks
        self._learns, self._quick = learns, quick
        self.state: IslandState = island_state(network, stage, blocks, uncertain_nodes(network))
        self.outputs = self.state.outputs
        self._directions = _drawn_directions(network, blocks)
        self._programs: dict[tuple[bool, bool], Dispatch] = {}
        self._states: dict[tuple[bool, bool], IslandState] = {(True, False): self.state}

    def respond(
        self, realizations: Realizations, inside: BoolArray, time: int
    ) -> tuple[BoolArray, FloatArray, FloatArray]:
        """Tell found (realization,) and powers (realization, output), per unit."""
        found = np.zeros(len(realizations), dtype=bool)
        p = np.zeros((len(realizations), len(self.outputs)))
        q = np.zeros_like(p)
        for boxed in (True, False):
            rows = np.flatnonzero(inside == boxed)
            if len(rows):
                parameters = self.parameters(realizations, rows, time, boxed=boxed)
                answer = self.program(boxed=boxed).answer(parameters)
                found[rows], p[rows], q[rows] = answer.found, answer.p, answer.q
        return found, p, q

    def parameters(
        self, realizations: Realizations, rows: IntArray, time: int, *, boxed: bool
    ) -> FloatArray:
        """Return (row, parameter) what the program of either kind is asked with."""
        if boxed:
            return np.asarray(realizations.zeta[rows][:, self._directions])
        p_kw, q_kvar = realizations.demand_at(time)
        return self._deviation(p_kw[rows], q_kvar[rows], boxed=False)

    def program(self, *, boxed: bool, lossy: bool = False) -> Dispatch:
        """Return the program over the set's directions, or that over any demand.

        Parameters
        ----------
        boxed
            Which of the two.
        lossy
            Whether losses move with the controls, for `Dispatch.answer_corrected`.
        """
        key = boxed, lossy
        if key not in self._programs:
            direction = self.direction() if boxed else None
            told = self._network, self.stage, self._state(boxed=boxed, lossy=lossy), direction
            dispatch = Dispatch(*told, quick=self._quick)
            if self._learns:
                none = np.zeros((1, told[2].w.of_d.shape[1]))
                dispatch.learn(self.examples() if boxed else none)
            else:
                dispatch.program.one_by_one = True
            self._programs[key] = dispatch
        return self._programs[key]

    def rest(self) -> None:
        """Let the programs take little memory."""
        for dispatch in self._programs.values():
            dispatch.rest()

    @property
    def lossy(self) -> IslandState:
        """The state map with the slopes of `optimizer.recourse.slopes`."""
        return self._state(boxed=True, lossy=True)

    def _state(self, *, boxed: bool, lossy: bool) -> IslandState:
        """Return the map over the loads of the set, or over any load, built when asked for."""
        key = boxed, lossy
        if key not in self._states:
            plain = (boxed, False)
            if plain not in self._states:
                self._states[plain] = island_state(self._network, self.stage, self._blocks)
            if lossy:
                self._states[key] = with_slopes(self._network, self.stage, self._states[plain])
        return self._states[key]

    def direction(self) -> FloatArray:
        """(deviation, direction) how the set's directions move the demand."""
        scenario, count = self._network.scenario, len(self._directions)
        zeta = np.zeros((count, len(scenario.direction_ids)))
        zeta[np.arange(count), self._directions] = 1.0
        time = self._network.time
        return self._deviation(*realize(scenario, zeta, step=time).demand_at(time), boxed=True).T

    def examples(self) -> FloatArray:
        """(sample, direction) coordinates to learn from, the same for every plan.

        Where a load falls less than it rises, some lie beyond the set: what is learnt there is not
        wrong, only not asked for.
        """
        count = len(self._directions)
        samples = 2.0 * uniforms(0, 0, _SAMPLES if count else 1, count, _STREAM) - 1.0
        corners = gray_signs(count) if 0 < count <= _CORNERS else np.zeros((0, count))
        return np.concatenate([np.zeros((1, count)), corners, samples])

    def _deviation(self, p_kw: FloatArray, q_kvar: FloatArray, *, boxed: bool) -> FloatArray:
        loaded = self._state(boxed=boxed, lossy=False).loaded
        at = (loaded[:, 0], loaded[:, 1])
        both = self._network.demand(p_kw, q_kvar)
        moved = [
            use[:, at[0], at[1]] - nominal[at]
            for use, nominal in zip(both, self._network.nominal, strict=True)
        ]
        return np.concatenate(moved, axis=1)


def _drawn_directions(network: Network, blocks: tuple[int, ...]) -> IntArray:
    """Positions of the directions a campaign draws, of an island's blocks, that move at all."""
    scenario = network.scenario
    if not scenario.draws_per_phase:
        return uncertain_directions(network, blocks)
    inside = np.isin(scenario.feeder.block_of_load[scenario.uncertain_slots[:, 0]], blocks)
    return np.flatnonzero(inside & (scenario.direction_spread > 0.0))
