"""The AC engine: OpenDSS holds a plan and solves realizations, one by one, from a fixed start.

The order-independent recipe: after each switching every base power is set so that the
admittance matrix is rebuilt around it, and solved from the fixed start; each realization
then only changes injections, starts from the same fixed start and leaves the matrix alone.
A realization's voltages are so the same to the last bit whatever was solved before.
"""

from __future__ import annotations

import numpy as np
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray
from gridproof.scenarios.centres import floating_centres
from gridproof.scenarios.errors import EngineError
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.realization import Realizations
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.setpoints import Setpoints
from gridproof.scenarios.snapshot import Snapshots
from gridproof.simulator.islands import Islands, conducting, live_components
from gridproof.simulator.opendss.alone import written_alone
from gridproof.simulator.opendss.batches import Batch
from gridproof.simulator.opendss.checks import Sums, check_batch, check_plan, load_totals, summed
from gridproof.simulator.opendss.circuit import ComplexArray, DssCircuit
from gridproof.simulator.opendss.elements import Elements
from gridproof.simulator.opendss.engine_thread import on_engine_thread
from gridproof.simulator.opendss.explain import furthest_from_told
from gridproof.simulator.opendss.measure import Meter
from gridproof.simulator.opendss.network import IslandNetwork, networks_of
from gridproof.simulator.opendss.newton import SecondTry
from gridproof.simulator.opendss.snapshot import Flows, Held, Record
from gridproof.simulator.opendss.sources import Kirchhoff, moves
from gridproof.simulator.opendss.split import SplitLoads
from gridproof.simulator.opendss.terminals import Terminals, terminals_of
from gridproof.simulator.opendss.writers import Writers

__all__ = ["MAX_ITERATIONS", "TOLERANCE", "OpenDssEngine"]

TOLERANCE = 1e-8
"""Largest per-unit change of a node voltage at the end: errors stay far below a verdict's
own tolerance of 1e-6 pu (at 1e-6 they would reach 2e-6 pu on a large feeder)."""

MAX_ITERATIONS = 100
"""A fixed point that has not settled by then is tried again by Newton's method."""

_AT_ONCE = 1 << 15
"""Node voltages solved, then measured: arrays that stay in a core's cache. Realizations at a
time so depend on the feeder's size, and no result does."""


class OpenDssEngine:
    """AC power flow under the `simulator.engine.Engine` contract.

    Parameters
    ----------
    scenario
        Its feeder's file is compiled, its DERs are added. Taps and capacitor states are
        those of the compiled and once-solved circuit, and stay.
    tolerance
        Largest per-unit change of a node voltage at which a flow counts as solved.
    max_iterations
        After so many of the fixed point a flow is tried again (`simulator.opendss.newton`).

    Raises
    ------
    EngineError
        If the file cannot be compiled or is not the scenario's feeder.
    """

    _sums: Sums = staticmethod(summed)  # who adds up what loads ask for

    @on_engine_thread
    def __init__(
        self,
        scenario: Scenario,
        *,
        tolerance: float = TOLERANCE,
        max_iterations: int = MAX_ITERATIONS,
    ) -> None:
        self._circuit = DssCircuit(
            scenario.feeder.path, tolerance=tolerance, max_iterations=max_iterations
        )
        self._tolerance = tolerance
        self._split: SplitLoads | None = None
        self._drawn_loads = len(scenario.feeder.loads.ids)
        if scenario.draws_per_phase:
            self._split = SplitLoads.of(scenario)
            self._split.apply(self._circuit, scenario.feeder.loads.ids)
            scenario = self._split.scenario
        self._scenario = scenario
        self._elements = Elements.of(self._circuit, scenario)
        self._held: Held | None = None
        self._writers: Writers | None = None
        self._source_v_pu = np.full(len(scenario.ders.ids), np.nan)
        for name, handle in self._elements.sources.items():
            self._circuit.switch(handle, closed=False, what=f"vsource {name}")
            self._circuit.set_source(handle, 0.0)  # an open terminal leaks 1e-12 S

    # ------------------------------------------------------------------ hold
    @on_engine_thread
    def hold(self, plan: Plan, time: int = 0) -> None:
        """Put switches, sources and roles into the states of one step of a plan.

        The feeder's own sources stay open, except a substation that the plan lets feed: what
        lives, lives from the plan's grid-forming rows. Which nodes are live is found by
        `live_components`, not read from the plan.
        """
        self._held = None
        check_plan(plan, time, self._scenario, self._elements)
        self._circuit.check("waiting for a plan")
        islands = live_components(self._scenario, plan, time)
        self._switch(plan, time, islands)
        self._writers = Writers.of(
            self._circuit, self._scenario, self._elements, islands, plan.grid_forming[time]
        )
        for k in np.flatnonzero(~plan.grid_forming[time] & (self._source_v_pu != 0.0)):
            if self._elements.formers[k] is not None:
                self._circuit.set_source(self._elements.formers[k], 0.0)
            self._source_v_pu[k] = 0.0
        held = self._scenario.ders.held_pu(plan.source_v_pu[time])
        self._set_sources(held, plan.grid_forming[time])
        self._set_base(plan, time)
        if self._circuit.nodes != self._elements.nodes:
            raise EngineError("switching changed the circuit's nodes; results would be misread")
        self._held = self._prepare(islands, plan.grid_forming[time], time)

    def _switch(self, plan: Plan, time: int, islands: Islands) -> None:
        """Open and close lines and sources; every state is read back.

        Generators and loads are set to zero instead: an open generator still injects, and
        one closed again after zero stays at zero.
        """
        lines, circuit = self._scenario.feeder.lines, self._circuit
        conducts = conducting(self._scenario.feeder, islands)
        for k in np.flatnonzero(lines.closed | lines.switchable).tolist():
            what = f"line {lines.ids[k]}"
            circuit.switch(self._elements.lines[k], closed=bool(conducts[k]), what=what)
        for k, handle in enumerate(self._elements.formers):
            if handle is not None:
                forms = bool(plan.grid_forming[time, k])
                circuit.switch(handle, closed=forms, what=f"source of DER {plan.der_ids[k]}")

    def _set_sources(self, v_pu: FloatArray, forming: BoolArray) -> None:
        """Set what has changed; sources that do not form stand open, and at zero volts."""
        for k in np.flatnonzero(forming):
            if not np.isfinite(v_pu[k]):
                raise EngineError(
                    f"DER {self._scenario.ders.ids[k]} forms an island at {v_pu[k]} pu; "
                    "state the magnitude it holds"
                )
            if v_pu[k] != self._source_v_pu[k]:
                own_pu = float(v_pu[k] * self._elements.former_pu[k])
                self._circuit.set_source(self._elements.formers[k], own_pu)
                self._source_v_pu[k] = v_pu[k]

    def _set_base(self, plan: Plan, time: int) -> None:
        """Nominal powers where alive and zero elsewhere; rebuild the matrix; solve."""
        writers, elements, scenario = self._writers, self._elements, self._scenario
        assert writers is not None
        for position, demand in zip(
            elements.load_columns,
            (scenario.load_p_kw[time], scenario.load_q_kvar[time]),
            strict=True,
        ):  # kW before kvar: setting kW rescales kvar
            values = np.zeros(len(elements.loads))
            values[writers.load_places] = demand.sum(axis=1)[writers.load_places]
            Batch(self._circuit, elements.loads).write(position, values)
        at = tuple(writers.injections.places.T)
        told = writers.injections.told(plan.p_kw[time][at], plan.q_kvar[time][at])
        for position, power in zip(elements.generator_columns, told, strict=True):
            values = np.zeros(len(elements.generators))
            values[writers.injections.chosen] = power
            Batch(self._circuit, elements.generators).write(position, values)
        self._circuit.solve_cold()

    def _prepare(self, islands: Islands, forming: BoolArray, time: int) -> Held:
        elements, writers = self._elements, self._writers
        assert writers is not None
        in_service = np.ones(elements.count, bool)
        in_service[: len(elements.lines)] = islands.closed
        live = elements.live_nodes(islands.live)
        loads = elements.load_table.at(writers.load_places)
        kirchhoff = Kirchhoff(
            self._scenario,
            elements,
            formers=np.flatnonzero(forming),
            served=writers.load_places,
            loads=loads,
            generators=writers.injections.places,
        )
        meter = Meter(
            elements.conductors,
            in_service=in_service,
            live=live,
            transformers=elements.transformer_count,
            line_slots=elements.line_slots,
            source_nodes=kirchhoff.nodes,
        )
        return Held(
            time=time,
            closed=islands.closed,
            island_of_bus=islands.of_bus,
            live_nodes=live,
            live_phases=islands.live,
            formers=np.flatnonzero(forming),
            served=writers.load_places,
            loads=loads,
            generators=writers.injections.places,
            meter=meter,
            kirchhoff=kirchhoff,
            centres=floating_centres(self._scenario.feeder, islands.closed, kirchhoff.buses),
        )

    @on_engine_thread
    def networks(self) -> tuple[IslandNetwork, ...]:
        """Return the held circuit as matrices, island by island, solved at its nominal state."""
        if self._held is None or self._writers is None:
            raise EngineError("no plan is held; call hold(plan) first")
        self._circuit.solve_cold()
        injections, known = self._writers.injections, (self._circuit, self._scenario)
        return networks_of(*known, self._elements, self._held, injections, self._split)

    @on_engine_thread
    def phasors(self) -> ComplexArray | None:
        """Voltages of the held plan at its nominal state.

        Returns
        -------
        ndarray of shape (bus, 3) or None
            Per unit of the buses' bases, complex; 0 where dead, counted from the neutral of what
            floats. None where no solution is found.
        """
        if self._held is None:
            raise EngineError("no plan is held; call hold(plan) first")
        self._circuit.solve_cold()
        elements, held, volts = self._elements, self._held, np.array(self._circuit.voltages())
        found = self._circuit.active.Solution.Converged and np.isfinite(volts).all()
        v = volts[elements.bus_nodes] / elements.base_v[:, None]
        v[held.centres.bus] = held.centres.counted(v)
        return np.where(held.live_phases, v, 0.0) if found else None

    @on_engine_thread
    def observe(self, realizations: Realizations, setpoints: Setpoints) -> Snapshots:
        """Solve each realization with its own set-points under the held plan."""
        held, asked = self._ready(realizations, setpoints)
        count = len(realizations)
        record = Record(self._scenario, count)
        at_once = max(16, _AT_ONCE // (len(self._elements.nodes) + 1))
        for first in range(0, count, at_once):
            rows = slice(first, first + at_once)
            record.add(self._elements, held, rows, self._flows(asked, setpoints, rows))
        return record.snapshots(realizations.index)

    @on_engine_thread
    def terminals(self, realizations: Realizations, setpoints: Setpoints) -> Terminals | None:
        """Solve one realization; return what each equipment draws at its nodes.

        Returns
        -------
        Terminals or None
            None where no solution of the flow was found.
        """
        held, asked = self._ready(realizations, setpoints)
        if len(realizations) != 1:
            raise EngineError(f"terminals are of one realization; {len(realizations)} were given")
        flows = self._flows(asked, setpoints, slice(0, 1))
        record = Record(self._scenario, 1)
        record.add(self._elements, held, slice(0, 1), flows)
        seen = record.snapshots(realizations.index)
        if not seen.converged[0]:
            return None
        return terminals_of(
            self._scenario,
            self._elements,
            held,
            x=np.where(held.live_nodes, flows.volts[0], 0.0),
            demand_kva=flows.kw[0] + 1j * flows.kvar[0],
            supply_kva=seen.der_p_kw[0] + 1j * seen.der_q_kvar[0],
        )

    @on_engine_thread
    def alone(self, realizations: Realizations, setpoints: Setpoints) -> tuple[str, float]:
        """Solve one realization, and write the circuit so that OpenDSS alone solves the same.

        Returns
        -------
        text, apart_pu
            The circuit, and the largest difference of a live node's voltage when it is compiled.
        """
        held, asked = self._ready(realizations, setpoints)
        volts = self._flows(asked, setpoints, slice(0, 1)).volts[0]
        told = self._tolerance, MAX_ITERATIONS
        return written_alone(self._circuit, volts, held.live_nodes, *told)

    @on_engine_thread
    def explain(self, realizations: Realizations, setpoints: Setpoints) -> str:
        """Solve one realization; name the load or DER that is furthest from what it was told.

        Returns
        -------
        str
            A sentence without a full stop; empty if all do as they are told.
        """
        held, asked = self._ready(realizations, setpoints)
        flows = self._flows(asked, setpoints, slice(0, 1))
        return furthest_from_told(self._circuit, self._scenario, self._elements, held, flows)

    def _ready(self, realizations: Realizations, setpoints: Setpoints) -> tuple[Held, Realizations]:
        """Return what is held, and the realizations as the circuit's loads have them."""
        if self._held is None or self._writers is None:
            raise EngineError("no plan is held; call hold(plan) first")
        ders = len(self._scenario.ders.ids)
        check_batch(realizations, setpoints, self._held, loads=self._drawn_loads, ders=ders)
        if self._split is not None:
            realizations = self._split.realizations(realizations)
        return self._held, realizations

    def _flows(self, asked: Realizations, setpoints: Setpoints, rows: slice) -> Flows:
        """Solve some rows of a batch that was checked."""
        kw, kvar, p, q, v_pu = self._told(asked, setpoints, rows)
        volts, converged, iterations = self._solve(kw, kvar, p, q, v_pu)
        return Flows(
            volts=volts,
            converged=converged,
            iterations=iterations,
            kw=kw,
            kvar=kvar,
            p_kw=p,
            q_kvar=q,
        )

    def _told(
        self, asked: Realizations, setpoints: Setpoints, rows: slice
    ) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
        """Of some rows what loads ask for, what DERs inject, and magnitudes of sources.

        (realization, served load) kW and kvar, (realization, generator) the same by phase of the
        DER, and (realization, der) pu.
        """
        assert self._held is not None
        assert self._writers is not None
        der, phase = self._writers.injections.places.T
        p_kw, q_kvar = asked.demand_at(self._held.time)
        loads = self._writers.load_places, self._writers.load_share
        kw, kvar = (
            load_totals(name, asked_of[rows], *loads, self._sums)
            for name, asked_of in (("p_kw", p_kw), ("q_kvar", q_kvar))
        )
        p = np.ascontiguousarray(setpoints.p_kw[rows, der, phase])
        q = np.ascontiguousarray(setpoints.q_kvar[rows, der, phase])
        return kw, kvar, p, q, self._scenario.ders.held_pu(setpoints.source_v_pu[rows])

    def _solve(
        self, kw: FloatArray, kvar: FloatArray, p: FloatArray, q: FloatArray, v_pu: FloatArray
    ) -> tuple[ComplexArray, BoolArray, IntArray]:
        """Voltages (realization, 1 + node), converged and iterations, one flow after another."""
        assert self._writers is not None
        assert self._held is not None
        circuit, elements, formers = self._circuit, self._elements, self._held.formers
        count = len(kw)
        volts = np.empty((count, len(elements.nodes) + 1), complex)
        converged, iterations = np.zeros(count, bool), np.zeros(count, np.int64)
        set_loads = self._writers.loads.writer(kw, kvar)
        set_ders = self._writers.generators.writer(*self._writers.injections.told(p, q))
        live, solve, status = circuit.voltages(), circuit.solver(), circuit.status()
        forming = np.zeros(v_pu.shape[1], bool)
        forming[formers] = True
        moved = moves(v_pu[:, formers], self._source_v_pu[formers])
        again = SecondTry(circuit, elements, self._scenario, self._held, self._tolerance)
        for row in range(count):
            if moved[row]:
                self._set_sources(v_pu[row], forming)
            set_loads(row)
            set_ders(row)
            solve()
            volts[row] = live
            converged[row], iterations[row] = status()
            if not converged[row]:
                converged[row], more = again.solve(volts[row])
                iterations[row] += more
        circuit.check("solving realizations")
        self._writers.loads.written()
        self._writers.generators.written()
        return volts, converged, iterations

    @on_engine_thread
    def close(self) -> None:
        """Drop the circuit."""
        self._held = None
        self._circuit.clear()
