"""The scenario's elements inside a compiled circuit: handles, nodes, and what is added to it.

Added are, in words of our own: for each DER that can form an island a stiff balanced
three-phase source, and for each DER and phase a constant-power generator. A substation that
feeds is the file's own source, as the file has it. Nothing is ever enabled or disabled; what
must not act is opened at its terminals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray
from gridproof.scenarios.errors import EngineError
from gridproof.scenarios.scenario import Scenario
from gridproof.simulator.opendss.circuit import DssCircuit
from gridproof.simulator.opendss.injections import may_float
from gridproof.simulator.opendss.loads import V_MAX_PU, V_MIN_PU, load_table, shape_loads
from gridproof.simulator.opendss.measure import Conductors, LoadTable

__all__ = ["Elements", "ends_live"]

_SOURCE_PU = 1e-6  # impedance of a forming source on 1 MVA per phase: 1e-6 pu of droop
_WYE, _DELTA = 0, 1  # of the choice "conn"
_KNOWN = {
    "vsource", "line", "transformer", "capacitor", "reactor", "load", "regcontrol", "capcontrol",
    "swtcontrol", "relay", "recloser", "fuse", "energymeter", "monitor", "sensor",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Elements:
    """Handles and nodes, in the scenario's own order.

    Attributes
    ----------
    lines, loads
        Handles of the feeder's lines and loads.
    sources
        Handles of every source of the file, by name.
    formers
        (der,) handle of the source of each DER that can form, None for the others; a
        substation's is the file's own source, with the impedance the file gives it.
    former_pu
        (der,) magnitude to set on that source, for each pu of the bus's base.
    generators
        Handles of the generators, one per DER and phase it feeds.
    generator_of
        (der, 3) position of each generator; -1 where the DER does not feed the phase.
    pair_generator_of
        (der, 3) position of the generator on each pair; -1 for a DER that never floats.
    nodes
        Node names, in the order of the voltage vector without ground.
    bus_nodes
        (bus, 3) position of each phase in the voltage vector; 0 where the bus has it not.
    neutrals
        (neutral, 2) bus, and position in the voltage vector, of nodes past a bus's phases.
    base_v
        (bus,) line-to-neutral voltage base of the intact circuit, volt.
    pair_base
        (bus, 3) nominal voltage across pairs on that base.
    conductors, line_slots, transformer_count, load_table
        What the measurements need.
    shunts
        Capacitors and reactors, ``class.name``, as they follow the transformers.
    load_columns
        Positions of kW and kvar among a load's properties.
    generator_columns
        The same for generators.
    """

    lines: tuple[Any, ...]
    loads: tuple[Any, ...]
    sources: Mapping[str, Any]
    formers: tuple[Any, ...]
    former_pu: FloatArray
    generators: tuple[Any, ...]
    generator_of: IntArray
    pair_generator_of: IntArray
    nodes: tuple[str, ...]
    bus_nodes: IntArray
    neutrals: IntArray
    base_v: FloatArray
    pair_base: FloatArray
    conductors: Conductors
    line_slots: IntArray
    transformer_count: int
    load_table: LoadTable
    shunts: tuple[str, ...]
    load_columns: tuple[int, int]
    generator_columns: tuple[int, int]

    @property
    def count(self) -> int:
        """Lines, transformers and shunts together."""
        return int(self.conductors.element.max(initial=-1)) + 1

    def live_nodes(self, phases: BoolArray) -> BoolArray:
        """(1 + node,) live nodes of the voltage vector, from (bus, 3) live phases."""
        live = np.zeros(len(self.nodes) + 1, bool)
        live[self.bus_nodes[phases]] = True
        bus, node = self.neutrals.T
        live[node] = phases[bus].any(axis=1)
        live[0] = False
        return live

    @classmethod
    def of(cls, circuit: DssCircuit, scenario: Scenario) -> Elements:
        """Add the scenario's DERs to a compiled circuit and read all that will be needed.

        Raises
        ------
        EngineError
            If the circuit is not the scenario's feeder, or holds what cannot be measured.
        """
        _refuse_unknown(circuit)
        base_v = _bases(circuit, scenario)
        sources = circuit.handles("vsource")
        lines = _series(circuit, scenario.feeder.lines.ids)
        loads = _named(circuit, "load", scenario.feeder.loads.ids)
        _add_ders(circuit, scenario, base_v)
        former_of, generator_of = circuit.handles("vsource"), circuit.handles("generator")
        formers = _formers(scenario, former_of)
        shape_loads(circuit, scenario, loads)
        for position in scenario.feeder.switches:
            circuit.switch(lines[position], closed=True, what=f"line {_line(scenario, position)}")
        _keep_open(circuit, scenario, lines)
        circuit.solve_cold()
        if not np.array_equal(base_v, _bases(circuit, scenario)):
            raise EngineError("the voltage bases moved when the DERs were added")
        nodes = circuit.nodes
        place = {name: k + 1 for k, name in enumerate(nodes)}
        transformers = _named(circuit, "transformer", scenario.feeder.transformers.ids)
        shunts = {
            f"{kind}.{name}": handle
            for kind in ("capacitor", "reactor")
            for name, handle in circuit.handles(kind).items()
            if f"{kind}.{name}" not in scenario.feeder.lines.ids
        }
        elements = (*lines, *transformers, *shunts.values())
        conductors = Conductors.of(circuit, elements, len(nodes))
        slot_of_node = np.array([-1, *(int(name.rsplit(".", 1)[1]) - 1 for name in nodes)])
        return cls(
            lines=lines,
            loads=loads,
            sources=sources,
            formers=formers,
            former_pu=_former_pu(circuit, scenario, formers, base_v),
            generators=tuple(generator_of.values()),
            generator_of=_generator_places(scenario, tuple(generator_of), _generator_name),
            pair_generator_of=_generator_places(scenario, tuple(generator_of), _pair_name),
            nodes=nodes,
            bus_nodes=np.array(
                [
                    [place.get(f"{bus}.{phase}", 0) for phase in (1, 2, 3)]
                    for bus in scenario.feeder.buses.ids
                ]
            ),
            neutrals=_neutrals(scenario, nodes),
            base_v=base_v,
            pair_base=scenario.feeder.buses.pair_base,
            conductors=conductors,
            line_slots=_line_slots(conductors, slot_of_node, len(lines)),
            transformer_count=len(transformers),
            load_table=load_table(circuit, scenario, loads),
            shunts=tuple(shunts),
            load_columns=_power_columns(circuit, "load", loads),
            generator_columns=_power_columns(circuit, "generator", tuple(generator_of.values())),
        )


def ends_live(live: BoolArray, plus: IntArray, minus: IntArray) -> Any:
    """Whether both ends of load slots are energised or ground."""
    return (live[plus] | (plus == 0)) & (live[minus] | (minus == 0))


# ------------------------------------------------------------------------------ building


def _refuse_unknown(circuit: DssCircuit) -> None:
    unknown = sorted(circuit.kinds() - _KNOWN)
    if unknown:
        raise EngineError(
            f"the circuit holds elements of class {', '.join(unknown)}, whose currents are not "
            "measured; describe DERs in the study, not in the .dss file"
        )


def _named(circuit: DssCircuit, kind: str, ids: tuple[str, ...]) -> tuple[Any, ...]:
    found = circuit.handles(kind)
    missing = [name for name in ids if name not in found]
    if missing:
        raise EngineError(f"the compiled circuit has no {kind} named {', '.join(missing)}")
    return tuple(found[name] for name in ids)


def _series(circuit: DssCircuit, ids: tuple[str, ...]) -> tuple[Any, ...]:
    """Return lines, and the reactors and capacitors that stand in series as lines do."""
    found = circuit.handles("line")
    for kind in ("reactor", "capacitor"):
        if any(name.startswith(f"{kind}.") and name not in found for name in ids):
            found = {**{f"{kind}.{k}": one for k, one in circuit.handles(kind).items()}, **found}
    missing = [name for name in ids if name not in found]
    if missing:
        raise EngineError(f"the compiled circuit has no line named {', '.join(missing)}")
    return tuple(found[name] for name in ids)


def _keep_open(circuit: DssCircuit, scenario: Scenario, lines: tuple[Any, ...]) -> None:
    """Open what the file's own solve left open: setting a mode resets reclosers, relays, fuses."""
    table = scenario.feeder.lines
    for k in np.flatnonzero(~table.closed & ~table.switchable).tolist():
        if not any(circuit.is_open(lines[k], end) for end in (1, 2)):
            circuit.switch(lines[k], closed=False, what=f"line {_line(scenario, k)}")


def _line(scenario: Scenario, position: int) -> str:
    return scenario.feeder.lines.ids[position]


def _bases(circuit: DssCircuit, scenario: Scenario) -> FloatArray:
    base = np.zeros(len(scenario.feeder.buses.ids))
    for k, bus in enumerate(scenario.feeder.buses.ids):
        if circuit.active.SetActiveBus(bus) < 0:
            raise EngineError(f"the compiled circuit has no bus {bus}")
        base[k] = circuit.active.ActiveBus.kVBase * 1000.0
    if not (base > 0.0).all():
        names = [scenario.feeder.buses.ids[k] for k in np.flatnonzero(base <= 0.0)]
        raise EngineError(f"no voltage base at {', '.join(names)}; set VoltageBases in the file")
    return base


def _formers(scenario: Scenario, found: Mapping[str, Any]) -> tuple[Any, ...]:
    ders = scenario.ders
    names = {k: _former_name(k) for k in range(len(ders.ids))}
    if ders.substations is not None:
        names |= dict(zip(ders.substations.at.tolist(), ders.substations.source_ids, strict=True))
    return tuple(found.get(names[k]) for k in range(len(ders.ids)))


def _former_pu(
    circuit: DssCircuit, scenario: Scenario, formers: tuple[Any, ...], base_v: FloatArray
) -> FloatArray:
    """Return 1 for our own sources; a file's source counts pu on a base of its own."""
    scale, ders = np.ones(len(formers)), scenario.ders
    for k in np.flatnonzero(ders.is_substation).tolist():
        own_kv = circuit.number(formers[k], circuit.property_number("vsource", "basekv"))
        whole = np.sqrt(3.0) if ders.phases[k].sum() > 1 else 1.0  # of one phase: to neutral
        scale[k] = whole * base_v[ders.bus[k]] / (1000.0 * own_kv)
    return scale


def _former_name(der: int) -> str:
    return f"gridproof_former_{der}"


def _generator_name(der: int, phase: int) -> str:
    return f"gridproof_der_{der}_{phase + 1}"


def _pair_name(der: int, pair: int) -> str:
    return f"gridproof_der_{der}_{pair + 1}_{(pair + 1) % 3 + 1}"


def _add_ders(circuit: DssCircuit, scenario: Scenario, base_v: FloatArray) -> None:
    """Add sources (opened at once) and generators at zero; names are numbers, not ids."""
    ders, buses = scenario.ders, scenario.feeder.buses
    floats = may_float(scenario.feeder, ders)
    for k, bus in enumerate(ders.bus):
        if ders.is_substation[k]:
            continue  # the file's own source; it forms or is not there, and never follows
        name, kv = buses.ids[bus], float(base_v[bus] / 1000.0)
        has = buses.phases[bus]
        if ders.can_form[k]:
            if not (has & ders.phases[k]).all():
                raise EngineError(
                    f"DER {ders.ids[k]} can form, but it or its bus {name} lacks a "
                    "phase; an island's source needs all three"
                )
            x = _rounded(_SOURCE_PU * kv * kv, 6)  # ohm, on 1 MVA per phase
            handle = circuit.add(
                "vsource",
                _former_name(k),
                bus1=f"{name}.1.2.3",
                phases=3,
                basekv=_rounded(kv * np.sqrt(3.0), 12),
                pu=1.0,
                angle=_angle(circuit, name),
                r1=0.0,
                x1=x,
                r0=0.0,
                x0=x,
            )
            circuit.switch(handle, closed=False, what=f"source of DER {ders.ids[k]}")
        for phase in np.flatnonzero(ders.phases[k]).tolist():
            if not has[phase]:
                raise EngineError(f"DER {ders.ids[k]} feeds a phase its bus lacks: {phase + 1}")
            _add_generator(circuit, _generator_name(k, phase), f"{name}.{phase + 1}", _WYE, kv)
        for phase in range(3 if floats[k] else 0):
            ends = f"{name}.{phase + 1}.{(phase + 1) % 3 + 1}"
            _add_generator(circuit, _pair_name(k, phase), ends, _DELTA, kv * np.sqrt(3.0))


def _add_generator(circuit: DssCircuit, name: str, at: str, conn: int, kv: float) -> None:
    """Add one phase or pair of a DER, which gives nothing until it is told."""
    circuit.add(
        "generator",
        name,
        bus1=at,
        phases=1,
        conn=conn,
        kv=_rounded(kv, 12),
        model=1,
        vminpu=V_MIN_PU,
        vmaxpu=V_MAX_PU,
        kw=0.0,
        kvar=0.0,
    )


def _rounded(value: float, digits: int) -> float:
    """Round to significant digits."""
    return float(f"{value:.{digits}g}")


def _angle(circuit: DssCircuit, bus: str) -> float:
    """Angle of a bus's source, degrees: the intact circuit's vector group, in whole 30°.

    Two sources of one island on the two sides of a delta-wye transformer then agree.
    """
    circuit.active.SetActiveBus(bus)
    flat = np.asarray(circuit.active.ActiveBus.SeqVoltages, float)  # magnitudes 0, 1, 2
    if len(flat) < 3 or flat[1] < 0.1 * circuit.active.ActiveBus.kVBase * 1000.0:
        return 0.0  # dead in the file as it stands
    positive = np.asarray(circuit.active.ActiveBus.CplxSeqVoltages, float).view(complex)[1]
    return 30.0 * round(float(np.degrees(np.angle(positive))) / 30.0)


def _power_columns(circuit: DssCircuit, kind: str, handles: tuple[Any, ...]) -> tuple[int, int]:
    if not handles:
        return 0, 0
    return circuit.property_number(kind, "kw"), circuit.property_number(kind, "kvar")


def _generator_places(
    scenario: Scenario, names: tuple[str, ...], name: Callable[[int, int], str]
) -> IntArray:
    place = {name: k for k, name in enumerate(names)}
    count = len(scenario.ders.ids)
    return np.array(
        [[place.get(name(k, phase), -1) for phase in range(3)] for k in range(count)],
        np.int64,
    ).reshape(count, 3)


def _neutrals(scenario: Scenario, nodes: tuple[str, ...]) -> IntArray:
    place, found = {bus: k for k, bus in enumerate(scenario.feeder.buses.ids)}, []
    for k, name in enumerate(nodes):
        bus, number = name.rsplit(".", 1)
        if int(number) > 3 and bus in place:
            found.append((place[bus], k + 1))
    return np.array(found, np.int64).reshape(-1, 2)


def _line_slots(conductors: Conductors, slot_of_node: IntArray, lines: int) -> IntArray:
    slots = np.full((lines, 2, 3), -1, np.int64)
    for row in np.flatnonzero(conductors.element < lines):
        slot = slot_of_node[conductors.node[row]]
        if 0 <= slot < 3:
            slots[conductors.element[row], conductors.terminal[row], slot] = row
    return slots
