"""A linear flow with its loads: slot demands in, voltages and flows out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import scipy.sparse as sp
from gridproof.scenarios.arrays import BoolArray, FloatArray
from gridproof.scenarios.feeder import Connection, Feeder
from gridproof.scenarios.lindist import PAIR_W, load_shares
from gridproof.scenarios.linearisation import Linearisation
from gridproof.scenarios.load_models import LoadModel
from gridproof.simulator.linear.network import LinearNetwork
from gridproof.simulator.linear.unknowns import KVA_PER_UNIT

__all__ = ["FlowSolution", "LinearFlow"]

_STEP_TOLERANCE = 1e-12  # largest change of w that ends the iteration over load models, pu
_MOST_STEPS = 200
_DAMPED_FROM = 40  # steps after which two that swing about the solution are met halfway
_STRAY_PU = 1e-4  # 0.1 kW a phase; set-points of a plan are balanced to less


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FlowSolution:
    """One solved linear flow.

    Attributes
    ----------
    converged
        False if the load models found no fixed point, some ``w`` is not positive, or a part
        that only deltas feed is asked for a current that finds no way back.
    v_pu, v_ll_pu
        (bus, 3) magnitudes; NaN where dead.
    line_kw, line_kvar
        (line, 3) flow from ``from_bus`` to ``to_bus``; 0 where dead or open.
    transformer_kva
        (transformer,) magnitude of the whole unit's power.
    held_kw, held_kvar
        (held,) what each held bus and phase supplies.
    load_kw
        Load served.
    """

    converged: bool
    v_pu: FloatArray
    v_ll_pu: FloatArray
    line_kw: FloatArray
    line_kvar: FloatArray
    transformer_kva: FloatArray
    held_kw: FloatArray
    held_kvar: FloatArray
    load_kw: float


class LinearFlow:
    """A switch state's linear network with its loads, solved realization by realization.

    Parameters
    ----------
    feeder
        The feeder.
    closed
        (line,) lines that conduct.
    live
        (bus, 3) phases to model.
    held
        Bus and phase of every held magnitude.
    load_model
        Model of every load.
    behind, at
        Impedances behind which magnitudes are held, and the AC state that the model stands at, as
        `LinearNetwork` has them.
    """

    def __init__(
        self,
        feeder: Feeder,
        closed: BoolArray,
        live: BoolArray,
        held: Sequence[tuple[int, int]],
        load_model: Sequence[LoadModel],
        *,
        behind: Mapping[int, tuple[FloatArray, FloatArray]] = MappingProxyType({}),
        at: Linearisation | None = None,
    ) -> None:
        self.feeder, self.live = feeder, live
        self.network = LinearNetwork(feeder, closed, live, held, behind, at)
        shares = np.array([load_shares(model) for model in load_model]).reshape(-1, 4)
        self._shares = np.repeat(shares, 3, axis=0)
        self._follows_voltage = bool((shares[:, [1, 3]] != 0.0).any())
        self._active, self._reactive, self._slot_w, self.served = self._load_maps()

    def _load_maps(self) -> tuple[sp.csr_array, sp.csr_array, sp.csr_array, BoolArray]:
        """Build maps slot powers → node powers (two), node w → slot w; and slots served."""
        loads, network = self.feeder.loads, self.network
        served = np.zeros((len(loads.ids), 3), bool)
        maps: list[list[tuple[int, int, float]]] = [[], [], []]
        for k in range(len(loads.ids)):
            bus, delta = int(loads.bus[k]), loads.connection[k] is Connection.DELTA
            blocks = (*network.pair_shares_at(bus), PAIR_W.T) if delta else (
                np.eye(3), np.zeros((3, 3)), np.eye(3),
            )  # fmt: skip
            rated = (1.0, 1.0, float(loads.v_rated_pu[k] ** 2))
            for slot in np.flatnonzero(loads.slots[k]).tolist():
                touched = np.flatnonzero(blocks[2][:, slot])
                if not self.live[bus, touched].all():
                    continue
                served[k, slot] = True
                for entries, block, scale in zip(maps, blocks, rated, strict=True):
                    entries += [
                        (int(network.node[bus, phase]), 3 * k + slot, block[phase, slot] / scale)
                        for phase in touched.tolist()
                    ]
        shape = (network.nodes, 3 * len(loads.ids))
        active, reactive, weights = (_sparse(entries, shape) for entries in maps)
        return active, reactive, sp.csr_array(weights.T), served

    def solve(
        self, p_kw: FloatArray, q_kvar: FloatArray, injected: FloatArray, v_held: FloatArray
    ) -> FlowSolution:
        """Solve one realization.

        Parameters
        ----------
        p_kw, q_kvar
            (load, 3) nominal demand per slot.
        injected
            (2, bus, 3) active and reactive injection of everything that is not held, kW, kvar.
        v_held
            (held,) magnitude of every held bus and phase, pu.
        """
        network, live = self.network, self.live
        demand = np.where(self.served, [p_kw, q_kvar], 0.0).reshape(2, -1) / KVA_PER_UNIT
        supply = injected[:, live] / KVA_PER_UNIT
        w_slots = np.ones(demand.shape[1])
        unknown, w, settled = np.zeros(network.size), np.ones(network.nodes), False
        for step in range(_MOST_STEPS):
            p, drawn = self._drawn(demand, supply, w_slots)
            unknown = network.solve(*drawn, v_held**2)
            change = np.abs(unknown[: network.nodes] - w).max(initial=0.0)
            w = unknown[: network.nodes]
            found = self._slot_w @ w
            w_slots = found if step < _DAMPED_FROM else (found + w_slots) / 2.0
            settled = not self._follows_voltage or change < _STEP_TOLERANCE
            if settled:
                break
        stray = np.abs(unknown[network.zero_sequence.neutral]).max(initial=0.0)
        converged = bool(
            settled and np.isfinite(unknown).all() and (w > 0.0).all() and stray < _STRAY_PU
        )
        return self._solution(unknown, converged, float(p.sum() * KVA_PER_UNIT))

    def _drawn(
        self, demand: FloatArray, supply: FloatArray, w_slots: FloatArray
    ) -> tuple[FloatArray, tuple[FloatArray, FloatArray]]:
        """Active powers of the slots, and net active and reactive consumption of the nodes."""
        p = demand[0] * (self._shares[:, 0] + self._shares[:, 1] * w_slots)
        q = demand[1] * (self._shares[:, 2] + self._shares[:, 3] * w_slots)
        return p, (
            self._active @ p + self._reactive @ q - supply[0],
            self._active @ q - self._reactive @ p - supply[1],
        )

    def drawn_at(
        self, p_kw: FloatArray, q_kvar: FloatArray, injected: FloatArray, w: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """(node,) net active and reactive consumption, per unit, at squared magnitudes ``w``."""
        demand = np.where(self.served, [p_kw, q_kvar], 0.0).reshape(2, -1) / KVA_PER_UNIT
        supply = injected[:, self.live] / KVA_PER_UNIT
        return self._drawn(demand, supply, self._slot_w @ w)[1]

    def _solution(self, unknown: FloatArray, converged: bool, load_kw: float) -> FlowSolution:
        network = self.network
        v = np.full(self.live.shape, np.nan)
        w = unknown[: network.nodes]
        v[self.live] = np.sqrt(np.where(w > 0.0, w, np.nan))
        following = np.roll(v, -1, axis=1)
        padded = np.append(unknown, 0.0) * KVA_PER_UNIT  # position -1: no such flow
        unit = padded[network.unit_p].sum(axis=1), padded[network.unit_q].sum(axis=1)
        return FlowSolution(
            converged=converged,
            v_pu=v,
            v_ll_pu=self._across(v, following),
            line_kw=padded[network.line_p],
            line_kvar=padded[network.line_q],
            transformer_kva=np.hypot(*unit),
            held_kw=padded[network.held_p],
            held_kvar=padded[network.held_q],
            load_kw=load_kw,
        )

    def _across(self, v: FloatArray, following: FloatArray) -> FloatArray:
        """(bus, 3) magnitudes of pairs, at the nominal angles between their slots."""
        across = np.sqrt((v**2 + following**2 + v * following) / 3.0)
        buses = self.feeder.buses
        turned = buses.turned
        if turned.any():
            angle = buses.phasor * np.conj(np.roll(buses.phasor, -1, axis=1))
            sides = v**2 + following**2 - 2.0 * angle.real * v * following
            across[turned] = (np.sqrt(sides) / buses.pair_base)[turned]
        return across

    def current_a(self, solution: FlowSolution) -> FloatArray:
        """(line, 3) ``|s| / |v|`` at the end of the lower voltage; 0 where dead."""
        lines, v_kv = self.feeder.lines, solution.v_pu * self.network.base_kv[:, None]
        lower = np.fmin(v_kv[lines.from_bus], v_kv[lines.to_bus])
        power = np.hypot(solution.line_kw, solution.line_kvar)
        carries = power > 0.0
        return np.asarray(np.divide(power, lower, out=np.zeros_like(power), where=carries))


def _sparse(entries: list[tuple[int, int, float]], shape: tuple[int, int]) -> sp.csr_array:
    rows, columns, values = zip(*entries, strict=True) if entries else ((), (), ())
    return sp.csr_array((values, (rows, columns)), shape=shape, dtype=float)
