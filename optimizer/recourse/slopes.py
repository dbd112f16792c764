"""What moves with an island's controls beside the lossless model: losses, and delta loads.

LinDist3Flow holds the voltages' angles 120° apart and loses nothing, so it does not know that
power sent round a line shifts active power between its phases. Its constants come from
measurements (`optimizer.recourse.correction`); its slopes would stay wrong. Along the lines from
the DER that forms, with phase impedances ``Z`` and currents ``i`` of the model's flows ::

    v_end = v_start - Z i,      i_b = conj(s_b / v_b)

two things are added to what that DER supplies on each phase, both linearised at the plan's
base set-points and nominal load:

- the series elements take ``s_a = Σ_b Z_ab i_b conj(i_a)``;
- a delta load takes its ``S_ab`` from phase a as ``S_ab v_a / (v_a - v_b)``, the rest from b.

What lies behind a transformer is left to the constants.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

import numpy as np
from gridproof.optimizer.network.branches import BASE_KVA
from gridproof.optimizer.network.first_stage import FirstStage
from gridproof.optimizer.network.network import Network
from gridproof.optimizer.network.statemap import Affine, IslandState
from gridproof.scenarios.arrays import FloatArray, IntArray
from gridproof.scenarios.feeder import Connection
from numpy.typing import NDArray

__all__ = ["with_slopes"]

ComplexArray = NDArray[np.complex128]


def with_slopes(network: Network, stage: FirstStage, state: IslandState) -> IslandState:
    """Return the state map with these slopes in the forming DER's output.

    Parameters
    ----------
    network, stage, state
        The island; at base set-points and nominal load the map's values stay as they are.
    """
    at = (state.controls[:, 0], state.controls[:, 1])
    u = np.concatenate([stage.p[at], stage.q[at]])
    sweep = _Sweep(network, stage, state, u)
    supplied = sweep.supplied
    width = state.w.of_u.shape[1]
    of_u, of_d = supplied[:, :width], supplied[:, width:]
    return replace(
        state,
        der_p=_steeper(state, state.der_p, u, of_u.real, of_d.real),
        der_q=_steeper(state, state.der_q, u, of_u.imag, of_d.imag),
    )


@dataclass(slots=True, eq=False)
class _Phasors:
    """Voltages (3,) of one bus and their slopes (3, control + deviation)."""

    v: ComplexArray
    slope: ComplexArray


class _Sweep:
    """Voltages and their slopes, line by line from the DER that forms.

    Attributes
    ----------
    supplied
        (3, control + deviation) slopes of what the forming DER supplies beside the model.
    """

    def __init__(
        self, network: Network, stage: FirstStage, state: IslandState, u: FloatArray
    ) -> None:
        self._network, self._state = network, state
        maps = state.flow_p, state.flow_q
        self._flow = [power.constant + power.of_u @ u for power in maps]
        self._of_flow = [np.hstack([power.of_u, power.of_d]) for power in maps]
        width = self._of_flow[0].shape[1]
        self.supplied = np.zeros((3, width), complex)
        controlled = set(state.controls[:, 0].tolist())
        former = next(g for g in state.outputs[:, 0].tolist() if g not in controlled)
        turn = np.exp(-2j * np.pi / 3.0 * np.arange(3))
        held = np.sqrt(stage.source_w[former]) * turn
        first = int(network.der_bus[former])
        self._buses = {first: _Phasors(held, np.zeros((3, width), complex))}
        self._run(first, self._lines(stage))
        for bus, phasors in self._buses.items():
            self._add_delta_loads(bus, phasors)

    def _lines(self, stage: FirstStage) -> dict[int, list[tuple[int, int, int]]]:
        """Line, position of its first channel and far end, by near end."""
        around: dict[int, list[tuple[int, int, int]]] = {}
        for e in np.unique(self._state.channels[:, 0]).tolist():
            branch = self._network.branches[e]
            shut = branch.switch < 0 or bool(stage.closed[branch.switch])
            if branch.name.startswith("line ") and shut:
                rows = np.flatnonzero(self._state.channels[:, 0] == e)
                around.setdefault(branch.start, []).append((e, int(rows[0]), branch.end))
                around.setdefault(branch.end, []).append((e, int(rows[0]), branch.start))
        return around

    def _run(self, first: int, around: dict[int, list[tuple[int, int, int]]]) -> None:
        left = deque([first])
        while left:
            bus = left.popleft()
            for e, row, far in around.get(bus, ()):
                if far not in self._buses:
                    self._cross(e, row, bus, far)
                    left.append(far)

    def _cross(self, e: int, row: int, near: int, far: int) -> None:
        """Take one line: its losses, and the voltages behind it."""
        branch, lines = self._network.branches[e], self._network.scenario.feeder.lines
        line = lines.ids.index(branch.name.removeprefix("line "))
        phases = np.flatnonzero(lines.phases[line])
        rows = row + np.arange(len(phases))
        sign = 1.0 if branch.start == near else -1.0
        Z, here = self._impedance(line, phases), self._buses[near]
        v, of_v = here.v[phases], here.slope[phases]
        i = sign * np.conj((self._flow[0][rows] + 1j * self._flow[1][rows]) / v)
        of_i = sign * (self._of_flow[0][rows] - 1j * self._of_flow[1][rows]) / np.conj(v)[:, None]
        of_i -= (i / np.conj(v))[:, None] * np.conj(of_v)
        drop, of_drop = Z @ i, Z @ of_i
        self.supplied[phases] += of_drop * np.conj(i)[:, None] + drop[:, None] * np.conj(of_i)
        there = _Phasors(here.v.copy(), here.slope.copy())
        there.v[phases], there.slope[phases] = v - drop, of_v - of_drop
        self._buses[far] = there

    def _impedance(self, line: int, phases: IntArray) -> ComplexArray:
        feeder, grid = self._network.scenario.feeder, np.ix_(phases, phases)
        z_base = feeder.buses.base_kv[feeder.lines.from_bus[line]] ** 2 / (BASE_KVA / 1000.0)
        ohm = feeder.lines.r_ohm[line][grid] + 1j * feeder.lines.x_ohm[line][grid]
        return np.asarray(ohm / z_base)

    def _add_delta_loads(self, bus: int, at: _Phasors) -> None:
        """How a bus's delta loads share their power between phases as its voltages turn."""
        scenario, time = self._network.scenario, self._network.time
        loads = scenario.feeder.loads
        for k in np.flatnonzero(loads.bus == bus).tolist():
            if loads.connection[k] is not Connection.DELTA:
                continue
            asked = (scenario.load_p_kw[time, k] + 1j * scenario.load_q_kvar[time, k]) / BASE_KVA
            for a in np.flatnonzero(loads.slots[k]).tolist():
                b = (a + 1) % 3
                across = at.v[a] - at.v[b]
                turned = (at.v[a] * at.slope[b] - at.v[b] * at.slope[a]) / across**2
                self.supplied[a] += asked[a] * turned
                self.supplied[b] -= asked[a] * turned


def _steeper(
    state: IslandState, power: Affine, u: FloatArray, of_u: FloatArray, of_d: FloatArray
) -> Affine:
    """Add slopes to the outputs of the DER that is no control, and keep the values at ``u``."""
    controlled = set(state.controls[:, 0].tolist())
    rows = [k for k, (g, _) in enumerate(state.outputs.tolist()) if g not in controlled]
    phases = state.outputs[rows, 1]
    constant, more_u, more_d = power.constant.copy(), power.of_u.copy(), power.of_d.copy()
    more_u[rows] += of_u[phases]
    more_d[rows] += of_d[phases]
    constant[rows] -= of_u[phases] @ u
    return Affine(constant=constant, of_u=more_u, of_d=more_d)
