"""The held circuit as matrices: what a proof is about, read from what OpenDSS compiled.

Per unit on 1 MVA per phase and each bus's line-to-neutral base. Lines, transformers and shunts
are the same primitive matrices that a snapshot's currents are measured with; what holds a voltage
is its electromotive force behind its impedance; what loads and DERs draw is no part of the matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from gridproof.scenarios.arrays import FloatArray, IntArray
from gridproof.scenarios.errors import ConfigError
from gridproof.scenarios.load_models import LoadModel
from gridproof.scenarios.scenario import Scenario
from gridproof.simulator.opendss.circuit import ComplexArray, DssCircuit
from gridproof.simulator.opendss.elements import Elements
from gridproof.simulator.opendss.injections import Injections
from gridproof.simulator.opendss.snapshot import Held
from gridproof.simulator.opendss.split import SplitLoads
from scipy import sparse

__all__ = ["BASE_VA", "SIDES", "Drawing", "Forming", "IslandNetwork", "Measured", "networks_of"]

SIDES = 3
"""Most sides of a transformer: a service has a primary and two legs."""

BASE_VA = 1e6
"""Of one phase."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Forming:
    """What holds the voltage of an island: ``v + z i = e`` at three nodes each.

    Attributes
    ----------
    der
        (former,) positions of the DERs.
    node
        (former, 3) their nodes.
    z_pu
        (former, 3, 3) impedance in front of the electromotive force.
    emf_pu
        (former, 3) complex.
    """

    der: IntArray
    node: IntArray
    z_pu: ComplexArray
    emf_pu: ComplexArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Drawing:
    """The slots that loads and following DERs stand on, loads first.

    Attributes
    ----------
    across
        (element, node) voltage across each, on the line-to-neutral base of its bus.
    rated_pu
        (element,) voltage at which a load's nominal power holds; 1 for a DER.
    load, slot
        (load slot,) position of the load as the scenario has it, and its slot where the circuit
        has a load for each slot, else -1.
    share
        (load slot,) share of the load's power, all slots together, that it takes.
    terms
        (load slot, 2, 3) shares of active and reactive power that follow the voltage by the
        exponents 0, 1 and 2.
    der
        (generator,) positions of the DERs.
    of_phase
        (generator, 3) complex share of the power told for each phase of the DER.
    """

    across: sparse.csr_array
    rated_pu: FloatArray
    load: IntArray
    slot: IntArray
    share: FloatArray
    terms: FloatArray
    der: IntArray
    of_phase: ComplexArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measured:
    """What a snapshot shows of the island, as rows over its nodes.

    Attributes
    ----------
    neutral, neutral_at
        (node, node) voltages whose magnitudes are judged line to neutral, and (node, 2) the bus
        and phase of each.
    across, across_at
        (pair, node) voltages judged line to line, and (pair, 2) bus and first phase.
    current, current_at
        (line end, node) currents as a share of the line's rating, and (line end, 2) line and phase.
    winding, winding_node, winding_side
        (conductor, node) currents into transformers, per unit; the node each enters at; and
        `SIDES` times the transformer's position plus its side.
    rating_pu
        (transformer,) of all the scenario's transformers.
    """

    neutral: sparse.csr_array
    neutral_at: IntArray
    across: sparse.csr_array
    across_at: IntArray
    current: sparse.csr_array
    current_at: IntArray
    winding: sparse.csr_array
    winding_node: IntArray
    winding_side: IntArray
    rating_pu: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class IslandNetwork:
    """One island of the held circuit.

    Attributes
    ----------
    number
        Of the island, as `simulator.islands.live_components` counts.
    node_at
        (node, 2) bus and phase of each live node.
    Y
        (node, node) lines, transformers and shunts: ``Y v`` is what they take out of the nodes.
    forming, drawing, measured
        What holds voltages, what draws power, and what is judged.
    v_pu
        (node,) the engine's solution with the plan's set-points and nominal loads.
    """

    number: int
    node_at: IntArray
    Y: sparse.csr_array
    forming: Forming
    drawing: Drawing
    measured: Measured
    v_pu: ComplexArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Part:
    """One island's nodes within the circuit's voltage vector."""

    at: IntArray  # (node,) positions in the voltage vector
    place: IntArray  # (1 + node,) positions in the island, -1 outside
    base_v: FloatArray  # (node,)
    node_at: IntArray

    def row(self, plus: int, minus: int = 0) -> dict[int, float]:
        found = {int(self.place[plus]): 1.0}
        if minus:
            found[int(self.place[minus])] = -1.0
        return found

    def holds(self, *nodes: int) -> bool:
        return all(node == 0 or self.place[node] >= 0 for node in nodes)


def networks_of(  # noqa: PLR0917
    circuit: DssCircuit,
    scenario: Scenario,
    elements: Elements,
    held: Held,
    injections: Injections,
    split: SplitLoads | None,
) -> tuple[IslandNetwork, ...]:
    """Read every island of the circuit as it stands, solved at the plan's nominal state.

    Parameters
    ----------
    circuit, scenario, elements, held, injections, split
        As the engine has them; ``scenario`` is the one whose loads the circuit has.
    """
    for g in held.formers.tolist():
        if not scenario.ders.phases[g].all():
            raise ConfigError(
                f"{scenario.ders.ids[g]} feeds its island by one phase; a certificate knows "
                "sources of three: gridproof run tries it on samples"
            )
    around = scenario.feeder.buses.neutral & held.live_phases.any(axis=1)
    if around.any():
        bus = scenario.feeder.buses.ids[int(np.argmax(around))]
        raise ConfigError(
            f"bus {bus} has a neutral of its own; a certificate knows neutrals at earth: gridproof "
            "run tries it on samples"
        )
    volts = np.array(circuit.voltages())
    parts = []
    for number in range(int(held.island_of_bus.max(initial=-1)) + 1):
        inside = held.live_phases & (held.island_of_bus == number)[:, None]
        node_at = np.argwhere(inside)
        at = elements.bus_nodes[inside]
        place = np.full(len(elements.nodes) + 1, -1)
        place[at] = np.arange(len(at))
        base_v = elements.base_v[node_at[:, 0]]
        parts.append((number, _Part(at=at, place=place, base_v=base_v, node_at=node_at)))
    found = []
    for number, part in parts:
        measured, Y = _measured(scenario, elements, held, part)
        found.append(
            IslandNetwork(
                number=number,
                node_at=part.node_at,
                Y=Y,
                forming=_forming(circuit, scenario, elements, held, part),
                drawing=_drawing(scenario, elements, held, injections, split, part),
                measured=measured,
                v_pu=volts[part.at] / part.base_v,
            )
        )
    return tuple(found)


def _forming(
    circuit: DssCircuit, scenario: Scenario, elements: Elements, held: Held, part: _Part
) -> Forming:
    rows = [g for g in held.formers if part.holds(*elements.bus_nodes[scenario.ders.bus[g]])]
    z = np.zeros((len(rows), 3, 3), complex)
    emf = np.zeros((len(rows), 3), complex)
    node = np.zeros((len(rows), 3), np.int64)
    for k, g in enumerate(rows):
        handle, base = elements.formers[g], elements.base_v[scenario.ders.bus[g]]
        refs = circuit.node_refs(handle)[:3]
        z[k] = np.linalg.inv(circuit.yprim(handle)[:3, :3]) * BASE_VA / base**2

        def told(name: str, handle: object = handle) -> float:
            return circuit.number(handle, circuit.property_number("vsource", name))

        size = told("pu") * told("basekv") * 1000.0 / np.sqrt(3.0) / base
        turned = np.radians(told("angle") - np.array([0.0, 120.0, 240.0]))
        emf[k], node[k] = size * np.exp(1j * turned), part.place[refs]
    return Forming(der=np.array(rows, np.int64), node=node, z_pu=z, emf_pu=emf)


def _drawing(  # noqa: PLR0917
    scenario: Scenario,
    elements: Elements,
    held: Held,
    injections: Injections,
    split: SplitLoads | None,
    part: _Part,
) -> Drawing:
    loads, rows, rated, at = held.loads, [], [], []
    for k, slot in np.argwhere(loads.share > 0.0).tolist():
        plus, minus = int(loads.plus[k, slot]), int(loads.minus[k, slot])
        if plus and part.holds(plus, minus):
            rows.append(part.row(plus, minus))
            rated.append(loads.rated_v[k] / part.base_v[part.place[plus]])
            at.append((k, slot))
    chosen = np.array(at, np.int64).reshape(-1, 2)
    original = held.served[chosen[:, 0]]
    slots = np.full(len(chosen), -1)
    if split is not None:
        original, slots = split.load[original], split.slot[original]
    buses, ders, shares = elements.bus_nodes, [], []
    to_pairs = injections.pair_shares()
    for (g, phase), paired in zip(injections.places.tolist(), injections.paired, strict=True):
        here = buses[scenario.ders.bus[g]]
        ends = (int(here[phase]), int(here[(phase + 1) % 3]) if paired else 0)
        if part.holds(*ends):
            rows.append(part.row(*ends))
            ders.append(g)
            shares.append(to_pairs[phase] if paired else np.eye(3, dtype=complex)[phase])
    return Drawing(
        across=_stacked(rows, len(part.at)),
        rated_pu=np.concatenate([np.array(rated, float), np.ones(len(ders))]),
        load=original,
        slot=slots,
        share=loads.share[chosen[:, 0], chosen[:, 1]],
        terms=_terms(scenario, original, [loads.model[k] for k in chosen[:, 0]]),
        der=np.array(ders, np.int64),
        of_phase=np.array(shares, complex).reshape(-1, 3),
    )


def _terms(scenario: Scenario, loads: IntArray, models: Sequence[LoadModel]) -> FloatArray:
    """(load slot, 2, 3) shares by exponent.

    Raises
    ------
    ConfigError
        If a load follows its voltage by another power than 0, 1 or 2.
    """
    found = np.zeros((len(models), 2, 3))
    for k, model in enumerate(models):
        for side, told in enumerate((model.active, model.reactive)):
            for share, exponent in told:
                if exponent not in (0.0, 1.0, 2.0):
                    raise ConfigError(
                        f"load {scenario.feeder.loads.ids[loads[k]]} follows its voltage by the "
                        f"power {exponent:g}; a certificate knows 0, 1 and 2: gridproof run tries "
                        "it on samples"
                    )
                found[k, side, int(exponent)] += share
    return found


def _measured(
    scenario: Scenario, elements: Elements, held: Held, part: _Part
) -> tuple[Measured, sparse.csr_array]:
    conductors, lines = elements.conductors, len(elements.lines)
    in_service = np.ones(elements.count, bool)
    in_service[:lines] = held.closed
    works = in_service[conductors.element] & (part.place[conductors.node] >= 0)
    rows = np.flatnonzero(works)
    admittance = conductors.admittance[rows][:, part.at] @ sparse.diags_array(part.base_v)
    node, element = part.place[conductors.node[rows]], conductors.element[rows]
    into = sparse.csr_array(
        (part.base_v[node] / BASE_VA, (node, np.arange(len(rows)))), shape=(len(part.at), len(rows))
    )
    Y = sparse.csr_array(into @ admittance)
    Y.sum_duplicates()
    back = np.full(len(works), -1)
    back[rows] = np.arange(len(rows))
    ends = elements.line_slots
    rated = np.isfinite(scenario.feeder.lines.rating_a)[:, None, None]
    present = np.argwhere(rated & (ends >= 0) & (back[ends] >= 0))  # line, end, phase
    chosen = back[ends[tuple(present.T)]]
    rating = scenario.feeder.lines.rating_a[present[:, 0]]
    wound = np.flatnonzero((element >= lines) & (element < lines + elements.transformer_count))
    at = node[wound]
    scaled = sparse.diags_array(part.base_v[at] / BASE_VA) @ admittance[wound]
    neutral, across, across_at = _voltages(held, part, elements)
    measured = Measured(
        neutral=neutral,
        neutral_at=part.node_at,
        across=across,
        across_at=across_at,
        current=sparse.csr_array(sparse.diags_array(1.0 / rating) @ admittance[chosen]),
        current_at=present[:, [0, 2]],
        winding=sparse.csr_array(scaled),
        winding_node=at,
        winding_side=SIDES * (element[wound] - lines) + conductors.terminal[rows[wound]],
        rating_pu=scenario.feeder.transformers.rating_kva * 1000.0 / BASE_VA,
    )
    return measured, Y


def _voltages(
    held: Held, part: _Part, elements: Elements
) -> tuple[sparse.csr_array, sparse.csr_array, IntArray]:
    """Rows of the magnitudes that a snapshot has (`simulator.opendss.snapshot`)."""
    centres, nodes = held.centres, elements.bus_nodes
    floating = {int(bus): k for k, bus in enumerate(centres.bus)}
    neutral, across, pairs = [], [], []
    for bus, phase in part.node_at.tolist():
        own = int(part.place[nodes[bus, phase]])
        row = {own: 1.0}
        if bus in floating:
            k = floating[bus]
            row = {own: float(centres.scale[k])}
            for slot in np.flatnonzero(centres.weight[k]).tolist():
                other = int(part.place[nodes[centres.reference[k], slot]])
                row[other] = row.get(other, 0.0) - float(centres.scale[k] * centres.weight[k, slot])
        neutral.append(row)
        following = int(part.place[nodes[bus, (phase + 1) % 3]])  # of ground, -1
        if following >= 0:
            share = 1.0 / float(elements.pair_base[bus, phase])
            across.append({own: share, following: -share})
            pairs.append((bus, phase))
    size = len(part.at)
    return (
        _stacked(neutral, size),
        _stacked(across, size),
        np.array(pairs, np.int64).reshape(-1, 2),
    )


def _stacked(rows: list[dict[int, float]], width: int) -> sparse.csr_array:
    place = [(r, c) for r, row in enumerate(rows) for c in row]
    values = [value for row in rows for value in row.values()]
    at = np.array(place, np.int64).reshape(-1, 2).T
    return sparse.csr_array((values, (at[0], at[1])), shape=(len(rows), width))
