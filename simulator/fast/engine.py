"""OpenDSS's engine that can also estimate: the same network solved for many realizations at once.

What `FastEngine.estimate` says is what OpenDSS would say to the tolerance of both, and not more:
whoever asks decides which realizations OpenDSS shall answer after all (`federation.trial.guarded`).
Everything else is OpenDSS's, `observe` included.
"""

from __future__ import annotations

import numpy as np
from gridproof.scenarios.arrays import FloatArray, IntArray
from gridproof.scenarios.load_models import LoadModel
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.realization import Realizations
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.setpoints import Setpoints
from gridproof.scenarios.snapshot import Snapshots
from gridproof.simulator.engine import Estimate
from gridproof.simulator.fast.meter import FastMeter, Readings
from gridproof.simulator.fast.network import Network, Slots, Solved, Sources
from gridproof.simulator.fast.room import Room
from gridproof.simulator.fast.totals import summed
from gridproof.simulator.opendss.circuit import ComplexArray
from gridproof.simulator.opendss.engine import TOLERANCE, OpenDssEngine
from gridproof.simulator.opendss.engine_thread import on_engine_thread
from gridproof.simulator.opendss.snapshot import Held
from gridproof.simulator.opendss.sources import total

__all__ = ["FastEngine"]

_AT_ONCE = 1 << 16  # node voltages solved, then measured, in a core's cache
_AGREES_PU = 1e-6
"""How far the base, solved here, may be from OpenDSS's: beyond, it is not the same network."""


class FastEngine(OpenDssEngine):
    """`OpenDssEngine`, and estimates of what it would say.

    Parameters
    ----------
    scenario, tolerance
        As there.
    """

    _sums = staticmethod(summed)

    def __init__(self, scenario: Scenario, *, tolerance: float = TOLERANCE) -> None:
        super().__init__(scenario, tolerance=tolerance)
        self._networks: dict[int, tuple[Network, FastMeter] | None] = {}  # by step, of one plan
        self._plan: Plan | None = None
        self._room = Room()

    @on_engine_thread
    def hold(self, plan: Plan, time: int = 0) -> None:
        """Hold a step of a plan; the network of a plan's step is factored once."""
        super().hold(plan, time)
        if self._plan is not plan:
            self._plan, self._networks = plan, {}

    @property
    def models(self) -> bool:
        """Whether what is held is a network that can be solved here as OpenDSS solves it."""
        return self._network() is not None

    @on_engine_thread
    def estimate(self, realizations: Realizations, setpoints: Setpoints) -> Estimate | None:
        """Solve each realization with its own set-points under the held plan.

        Returns
        -------
        Estimate or None
            None where the network is one that cannot be solved here.
        """
        held, asked = self._ready(realizations, setpoints)
        made = self._network()
        if made is None:
            return None
        network, meter = made
        count = len(realizations)
        filled = _Filled(self._scenario, held, count, self._room)
        at_once = max(16, _AT_ONCE // (len(self._elements.nodes) + 1) // 16 * 16)
        for first in range(0, count, at_once):
            rows = slice(first, first + at_once)
            kw, kvar, p, q, v_pu = self._told(asked, setpoints, rows)
            told = self._writers.injections.told(p, q)  # type: ignore[union-attr]
            solved = network.solve(
                np.concatenate([kw, told[0]], axis=1),
                np.concatenate([kvar, told[1]], axis=1),
                v_pu[:, held.formers],
            )
            meter.read(solved.blocks, filled.readings, rows)
            filled.add(rows, solved, p + 1j * q)
        return filled.estimate(realizations.index)

    def _network(self) -> tuple[Network, FastMeter] | None:
        """Return the network that is held; None if it solves its base otherwise than OpenDSS."""
        assert self._held is not None
        time = self._held.time
        if time not in self._networks:
            self._networks[time] = self._made(time)
        return self._networks[time]

    @on_engine_thread
    def _made(self, time: int) -> tuple[Network, FastMeter] | None:
        held, scenario = self._held, self._scenario
        assert held is not None
        assert self._plan is not None
        super().hold(self._plan, time)  # so that the base does not depend on what came before
        base = np.array(self._circuit.voltages())
        base[~held.live_nodes] = 0.0
        settled = self._circuit.active.Solution.Converged and np.isfinite(base).all()
        if not settled or (base[held.live_nodes] == 0.0).any():
            return None
        told = self._nominal(self._plan, time)
        network = Network(
            held.meter.network,
            held.live_nodes,
            self._sources(),
            self._slots(*told),
            base,
            room=self._room,
        )
        v_pu = scenario.ders.held_pu(self._plan.source_v_pu[time])[None, held.formers]
        found = network.solve(told[0][None], told[1][None], v_pu)
        apart = np.abs(network.volts(found)[:, 0] - base)[held.live_nodes]
        near = apart <= _AGREES_PU * np.abs(base[held.live_nodes])
        if not found.converged[0] or not near.all():
            return None
        told_to = self._elements, held, scenario, self._plan, network.position
        return network, FastMeter(*told_to)

    def _nominal(self, plan: Plan, time: int) -> tuple[FloatArray, FloatArray]:
        """Return what is told at the nominal state: loads, then DERs that follow."""
        assert self._writers is not None
        scenario, writers = self._scenario, self._writers
        at = tuple(writers.injections.places.T)
        ders = writers.injections.told(plan.p_kw[time][at], plan.q_kvar[time][at])
        loads = (
            demand[time].sum(axis=1)[writers.load_places]
            for demand in (scenario.load_p_kw, scenario.load_q_kvar)
        )
        p, q = (np.concatenate(both) for both in zip(loads, ders, strict=True))
        return p, q

    def _sources(self) -> Sources:
        held, circuit, elements = self._held, self._circuit, self._elements
        assert held is not None
        count = len(held.formers)
        node = np.zeros((count, 3), np.int64)
        Y, current = np.zeros((count, 3, 3), complex), np.zeros((count, 3), complex)
        for k, g in enumerate(held.formers.tolist()):
            handle = elements.formers[g]
            volt = circuit.number(handle, circuit.property_number("vsource", "basekv"))
            angle = circuit.number(handle, circuit.property_number("vsource", "angle"))
            turned = np.radians(angle - np.array([0.0, 120.0, 240.0]))
            size = elements.former_pu[g] * volt * 1000.0 / np.sqrt(3.0)
            Y[k] = circuit.yprim(handle)[:3, :3]
            node[k] = circuit.node_refs(handle)[:3]
            current[k] = Y[k] @ (size * np.exp(1j * turned))
        told = held.kirchhoff.nodes.ravel()
        return Sources(told=told, node=node, current=current, admittance=Y)

    def _slots(self, p: FloatArray, q: FloatArray) -> Slots:
        """Return what draws; ``p`` and ``q`` are told at the nominal state."""
        held, elements, ders = self._held, self._elements, self._scenario.ders
        assert held is not None
        assert self._writers is not None
        table, injections = held.loads, self._writers.injections
        load, slot = np.nonzero(table.share > 0.0)
        der, phase = injections.places.T
        bus = ders.bus[der]
        after = elements.bus_nodes[bus, (phase + 1) % 3]
        rated = elements.base_v[bus] * np.where(injections.paired, np.sqrt(3.0), 1.0)
        share = np.concatenate([1e3 * table.share[load, slot], np.full(len(der), -1e3)])
        column = np.concatenate([load, len(held.served) + np.arange(len(der))])
        return Slots(
            loads=len(load),
            plus=np.concatenate([table.plus[load, slot], elements.bus_nodes[bus, phase]]),
            minus=np.concatenate([table.minus[load, slot], np.where(injections.paired, after, 0)]),
            share=share,
            column=column,
            rated_v=np.concatenate([table.rated_v[load], rated]),
            model=(*(table.model[k] for k in load), *[LoadModel.CONSTANT_POWER] * len(der)),
            base_va=(p + 1j * q)[column] * share,
        )


class _Filled:
    """The snapshots of a batch, being filled in."""

    def __init__(self, scenario: Scenario, held: Held, count: int, room: Room) -> None:
        sources, ders = held.kirchhoff.nodes.size, len(scenario.ders.ids)
        self.readings = Readings.of(scenario, count, sources, room)
        self._held = held
        self._output = np.zeros((count, ders, 3), complex)
        self._delivered, self._requested = np.empty(count), np.empty(count)
        self._converged, self._trusted = np.zeros(count, bool), np.zeros(count, bool)
        self._steps = np.zeros(count, np.int64)

    def add(self, rows: slice, solved: Solved, injected: ComplexArray) -> None:
        """Take what was read of some rows, and what DERs injected (realization, generator)."""
        kirchhoff, read = self._held.kirchhoff, self.readings
        injected = np.ascontiguousarray(injected.T)
        drawn, far_kw = kirchhoff.less_injected(solved.near_kva, injected)
        taken = read.source_kva[:, rows]
        output = self._output[rows]
        output[:, *self._held.generators.T] = injected.T
        output[:, self._held.formers] = kirchhoff.supply(taken + drawn)
        supplied = total(taken.real) - read.losses_kw[rows]  # what leaves at all other nodes
        self._delivered[rows] = supplied + far_kw + solved.near_kw
        self._requested[rows] = solved.asked_kw
        self._converged[rows], self._trusted[rows] = solved.converged, solved.trusted
        self._steps[rows] = solved.steps

    def estimate(self, index: IntArray) -> Estimate:
        """Close it; what was not solved is NaN throughout."""
        read = self.readings
        values = {
            "v_pu": read.v_pu,
            "v_ll_pu": read.v_ll_pu,
            "current_a": read.current_a,
            "transformer_kva": read.transformer_kva,
            "der_p_kw": np.ascontiguousarray(self._output.real),
            "der_q_kvar": np.ascontiguousarray(self._output.imag),
            "delivered_kw": self._delivered,
            "requested_kw": self._requested,
            "losses_kw": read.losses_kw,
        }
        for value in values.values():
            if not self._converged.all():
                value[~self._converged] = np.nan
            value.setflags(write=False)  # so that the snapshots need no copy
        snapshots = Snapshots(
            index=index, converged=self._converged, iterations=self._steps, **values
        )
        return Estimate(snapshots=snapshots, trusted=self._trusted, worst=read.worst)
