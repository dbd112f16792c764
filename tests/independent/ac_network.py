"""An island of a plan as matrices, built from the feeder's columns and nothing else.

Written to check verdicts, so it shares no line with the simulator, the optimizer or their
algebra: its own graph search, its own admittances. Per unit on 1 MVA per phase and each
bus's line-to-neutral base; ``Y @ v`` is what the network draws out of its nodes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from gridproof.scenarios.feeder import Connection, Feeder
from gridproof.scenarios.load_models import LoadModel
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.scenario import Scenario
from numpy.typing import NDArray
from scipy import sparse

__all__ = ["Island", "islands_of"]

BASE_VA = 1e6
FLOATING_PPM = 1e-6
"""Shunt of each transformer terminal to ground, of the rating: it says where a winding with
nothing else on it floats (zero sequence 0), as the simulator's own does."""

EXPONENTS = {
    LoadModel.CONSTANT_POWER: (0, 0),
    LoadModel.CONSTANT_CURRENT: (1, 1),
    LoadModel.CONSTANT_IMPEDANCE: (2, 2),
    LoadModel.VOLTAGE_REDUCTION: (1, 2),
}
"""How p and q of a load follow the voltage across it."""

Node = tuple[int, int]  # bus position, phase


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Island:
    """What one grid-forming DER reaches.

    Attributes
    ----------
    former
        Position of the DER that holds its voltage.
    nodes
        (bus, phase) of each node.
    Y
        (node, node) admittance of lines, shunts and transformers.
    line_current
        (line end, node) currents into lines, as a share of their rating.
    unit_current, unit_node
        (transformer conductor, node) currents into transformer terminals, and the node each
        enters at.
    unit_side
        (side, transformer conductor) sums conductors into sides, over the unit's rating.
    across
        (load slot, node) voltage across each load slot.
    load, slot
        (load slot,) which load and slot it is.
    rated
        (load slot,) voltage across it at which its nominal demand holds.
    powers
        (load slot, 2) exponents of p and q in the voltage.
    der, der_phase, der_node
        (der phase,) which DER and phase, and its node in the island.
    pairs
        (pair, node) line-to-line voltages on the line-to-line base.
    floating
        (group, 3) nodes that only a delta winding touches: their three currents add up to
        next to nothing whatever the voltages, which is the equation ``v_a + v_b + v_c = 0``
        in a form no solver can read.
    """

    former: int
    nodes: tuple[Node, ...]
    Y: sparse.csr_array
    line_current: sparse.csr_array
    unit_current: sparse.csr_array
    unit_node: NDArray[np.int64]
    unit_side: sparse.csr_array
    across: sparse.csr_array
    load: NDArray[np.int64]
    slot: NDArray[np.int64]
    rated: NDArray[np.float64]
    powers: NDArray[np.int64]
    der: NDArray[np.int64]
    der_phase: NDArray[np.int64]
    der_node: NDArray[np.int64]
    pairs: sparse.csr_array
    floating: NDArray[np.int64]


def islands_of(scenario: Scenario, plan: Plan, time: int = 0) -> tuple[Island, ...]:
    """Build every live island of one step of a plan.

    Raises
    ------
    ValueError
        If two DERs form one island, the plan calls another set of blocks live than is
        reached, or a live part holds what is not modelled here.
    """
    feeder = scenario.feeder
    closed = feeder.lines.closed.copy()
    closed[feeder.switches] = plan.closed[time]
    reached: set[Node] = set()
    islands = []
    for former in np.flatnonzero(plan.grid_forming[time]).tolist():
        nodes = _reach(feeder, closed, int(scenario.ders.bus[former]))
        if reached & nodes:
            raise ValueError(f"DER {scenario.ders.ids[former]} forms an island that has a former")
        reached |= nodes
        islands.append(_island(scenario, closed, former, tuple(sorted(nodes))))
    live = {
        (bus, phase)
        for bus, phase in np.argwhere(feeder.buses.phases).tolist()
        if plan.energized[time, feeder.blocks.of_bus[bus]]
    }
    if live != reached:
        raise ValueError("the blocks the plan calls live are not those its formers reach")
    return tuple(islands)


def _reach(feeder: Feeder, closed: NDArray[np.bool_], bus: int) -> set[Node]:
    """Search over closed lines' conductors and whole transformers."""
    neighbours: dict[Node, list[Node]] = {}
    for k in np.flatnonzero(closed).tolist():
        ends = int(feeder.lines.from_bus[k]), int(feeder.lines.to_bus[k])
        for phase in np.flatnonzero(feeder.lines.phases[k]).tolist():
            _join(neighbours, [(end, phase) for end in ends])
    for k in range(len(feeder.transformers.ids)):
        _join(neighbours, [node for side in (0, 1) for node in _terminal(feeder, k, side)])
    front: list[Node] = [(bus, phase) for phase in range(3)]
    found = set(front)
    while front:
        fresh = set(neighbours.get(front.pop(), ())) - found
        found |= fresh
        front.extend(fresh)
    return found


def _join(neighbours: dict[Node, list[Node]], nodes: list[Node]) -> None:
    for node in nodes:
        neighbours.setdefault(node, []).extend(nodes)


def _terminal(feeder: Feeder, unit: int, side: int) -> list[Node]:
    """Nodes of one side of a transformer."""
    units = feeder.transformers
    bus = int((units.from_bus, units.to_bus)[side][unit])
    delta = (units.from_connection, units.to_connection)[side][unit] is Connection.DELTA
    slots = np.flatnonzero(units.windings[unit]).tolist()
    phases = {phase for slot in slots for phase in ((slot, (slot + 1) % 3) if delta else (slot,))}
    return [(bus, phase) for phase in sorted(phases)]


def _island(
    scenario: Scenario, closed: NDArray[np.bool_], former: int, nodes: tuple[Node, ...]
) -> Island:
    feeder, ders = scenario.feeder, scenario.ders
    place = {node: k for k, node in enumerate(nodes)}
    _refuse(feeder, place)
    base_v = 1000.0 * feeder.buses.base_kv[[bus for bus, _ in nodes]]
    ends, units = _line_ends(feeder, closed, place), _unit_ends(feeder, place)
    to_pu = sparse.diags_array(base_v)
    line_rows = _stack([rows for _, rows, _ in ends], len(nodes))
    line_rating = np.array([feeder.lines.rating_a[k] for _, _, k in ends])
    unit_rows = _stack([rows for _, rows, _ in units], len(nodes))
    into = np.array([node for node, _, _ in (*ends, *units)], np.int64)
    gather = sparse.csr_array(
        (np.ones(len(into)), (into, np.arange(len(into)))), shape=(len(nodes), len(into))
    )
    drawn = gather @ sparse.vstack([line_rows, unit_rows])
    slots = _load_slots(scenario, place)
    fed = [
        (g, phase, place[int(ders.bus[g]), phase])
        for g, phase in np.argwhere(ders.phases).tolist()
        if (int(ders.bus[g]), phase) in place
    ]
    unit_node = into[len(ends) :]
    return Island(
        former=former,
        nodes=nodes,
        Y=sparse.csr_array(to_pu @ drawn @ to_pu / BASE_VA),
        line_current=sparse.csr_array(sparse.diags_array(1.0 / line_rating) @ line_rows @ to_pu),
        unit_current=sparse.csr_array(
            sparse.diags_array(base_v[unit_node] / BASE_VA) @ unit_rows @ to_pu
        ),
        unit_node=unit_node,
        unit_side=_sides(feeder, [side for _, _, side in units]),
        across=_stack([row for *_, row in slots], len(nodes)),
        load=np.array([slot[0] for slot in slots], np.int64),
        slot=np.array([slot[1] for slot in slots], np.int64),
        rated=np.array([slot[2] for slot in slots]),
        powers=np.array([EXPONENTS[scenario.load_model[slot[0]]] for slot in slots], np.int64),
        der=np.array([row[0] for row in fed], np.int64),
        der_phase=np.array([row[1] for row in fed], np.int64),
        der_node=np.array([row[2] for row in fed], np.int64),
        pairs=_pairs(nodes, place),
        floating=_floating(feeder, place, into, {node for *_, node in fed}),
    )


def _refuse(feeder: Feeder, place: dict[Node, int]) -> None:
    live = {bus for bus, _ in place}
    if live & set(feeder.capacitors.bus.tolist()):
        raise ValueError("a live capacitor is not modelled here")


Row = dict[int, complex]
End = tuple[int, Row, int]  # node, current into the element there (A per V), which element


def _line_ends(feeder: Feeder, closed: NDArray[np.bool_], place: dict[Node, int]) -> list[End]:
    """Currents into both ends of each line: series ``(R + jX)⁻¹``, half the shunt at each."""
    lines = feeder.lines
    ends: list[End] = []
    for k in np.flatnonzero(closed).tolist():
        phases = np.flatnonzero(lines.phases[k])
        one = [place.get((int(lines.from_bus[k]), int(phase))) for phase in phases]
        other = [place.get((int(lines.to_bus[k]), int(phase))) for phase in phases]
        if not any(node is not None for node in (*one, *other)):
            continue
        if None in one or None in other:
            raise ValueError(f"line {lines.ids[k]}: live in some phases only, not modelled here")
        Z = (lines.r_ohm[k] + 1j * lines.x_ohm[k])[np.ix_(phases, phases)]
        series = np.linalg.inv(Z)
        shunt = 0.5j * lines.b_siemens[k][np.ix_(phases, phases)]
        for here, there in ((one, other), (other, one)):
            for row, node in enumerate(here):
                current: Row = {}
                for column in range(len(phases)):
                    _add(current, here[column], series[row, column] + shunt[row, column])
                    _add(current, there[column], -series[row, column])
                ends.append((node, current, k))
    return ends


def _unit_ends(feeder: Feeder, place: dict[Node, int]) -> list[End]:
    """Currents into transformer terminals; the element is ``2·unit + side``.

    Winding by winding ``i = y (u_from - n u_to)`` into the from winding and ``-n i`` into the
    to winding; then from windings to terminals by the connection's incidence.
    """
    units, ends = feeder.transformers, []
    for k in range(len(units.ids)):
        terminals = [_terminal(feeder, k, side) for side in (0, 1)]
        if not all(node in place for terminal in terminals for node in terminal):
            continue
        slots = np.flatnonzero(units.windings[k]).tolist()
        delta = [units.from_connection[k] is Connection.DELTA] * 2
        if delta[0] is not (units.to_connection[k] is Connection.DELTA):
            raise ValueError(f"transformer {units.ids[k]}: mixed connections are not modelled here")
        per_winding = units.rating_kva[k] * 1e3 / len(slots)
        rated = 1e3 * units.from_kv[k] / (1.0 if delta[0] or len(slots) == 1 else np.sqrt(3.0))
        y = per_winding / rated**2 / complex(units.r_pu[k], units.x_pu[k])
        i, j = int(units.from_bus[k]), int(units.to_bus[k])
        n = units.ratio[k] * feeder.buses.base_kv[i] / feeder.buses.base_kv[j]
        rows: dict[tuple[int, Node], Row] = {
            (side, node): {place[node]: -1j * FLOATING_PPM * y0}
            for side, y0 in enumerate((per_winding / rated**2, per_winding / (rated / n) ** 2))
            for node in terminals[side]
        }
        for slot in slots:
            legs = [(slot, 1.0), ((slot + 1) % 3, -1.0)] if delta[0] else [(slot, 1.0)]
            winding = [((0, i), 1.0), ((1, j), -n)]
            for (side, bus), turns in winding:
                for phase, sign in legs:
                    row = rows[side, (bus, phase)]
                    for (_, bus2), turns2 in winding:
                        for phase2, sign2 in legs:
                            _add(row, place[bus2, phase2], y * turns * turns2 * sign * sign2)
        ends += [(place[node], row, 2 * k + side) for (side, node), row in rows.items()]
    return ends


def _sides(feeder: Feeder, sides: list[int]) -> sparse.csr_array:
    """Sum each side's conductors, as a share of the unit's rating."""
    kinds = {side: k for k, side in enumerate(sorted(set(sides)))}
    share = [BASE_VA / (1e3 * feeder.transformers.rating_kva[side // 2]) for side in sides]
    rows = [kinds[side] for side in sides]
    return sparse.csr_array((share, (rows, np.arange(len(sides)))), shape=(len(kinds), len(sides)))


def _floating(
    feeder: Feeder, place: dict[Node, int], into: NDArray[np.int64], fed: set[int]
) -> NDArray[np.int64]:
    grounded = {
        int(bus)
        for bus, connection in zip(feeder.loads.bus, feeder.loads.connection, strict=True)
        if connection is Connection.WYE
    }
    groups = []
    for k in range(len(feeder.transformers.ids)):
        for side in (0, 1):
            terminal = _terminal(feeder, k, side)
            nodes = [place[node] for node in terminal if node in place]
            alone = all(np.count_nonzero(into == node) == 1 and node not in fed for node in nodes)
            if len(nodes) == 3 and alone and terminal[0][0] not in grounded:
                groups.append(nodes)
    return np.array(groups, np.int64).reshape(-1, 3)


def _load_slots(scenario: Scenario, place: dict[Node, int]) -> list[tuple[int, int, float, Row]]:
    loads = scenario.feeder.loads
    found = []
    for k, slot in np.argwhere(loads.slots).tolist():
        bus, delta = int(loads.bus[k]), loads.connection[k] is Connection.DELTA
        if (bus, slot) not in place:
            continue
        row: Row = {place[bus, slot]: 1.0}
        if delta:
            row[place[bus, (slot + 1) % 3]] = -1.0
        found.append((k, slot, loads.v_rated_pu[k] * (np.sqrt(3.0) if delta else 1.0), row))
    return found


def _pairs(nodes: Iterable[Node], place: dict[Node, int]) -> sparse.csr_array:
    rows: list[Row] = [
        {place[bus, phase]: 1 / np.sqrt(3.0), place[bus, (phase + 1) % 3]: -1 / np.sqrt(3.0)}
        for bus, phase in nodes
        if (bus, (phase + 1) % 3) in place
    ]
    return _stack(rows, len(place))


def _add(row: Row, column: int | None, value: complex) -> None:
    assert column is not None
    row[column] = row.get(column, 0.0) + value


def _stack(rows: list[Row], width: int) -> sparse.csr_array:
    place = [(r, c) for r, row in enumerate(rows) for c in row]
    values = [value for row in rows for value in row.values()]
    at = np.array(place, np.int64).reshape(-1, 2).T
    return sparse.csr_array((values, (at[0], at[1])), shape=(len(rows), width))
