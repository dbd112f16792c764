"""What each piece of equipment draws at each node, of one solved flow.

A snapshot keeps sums over the network; who states powers node by node (an OEDISI system, a
state estimator) needs each load, shunt and DER apart. A delta load draws at two nodes, and
how much at which follows from the complex voltages that only the engine has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from gridproof.scenarios.arrays import FloatArray, IntArray
from gridproof.scenarios.scenario import Scenario
from gridproof.simulator.opendss.circuit import ComplexArray
from gridproof.simulator.opendss.elements import Elements
from gridproof.simulator.opendss.snapshot import Held

__all__ = ["Terminals", "terminals_of"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Terminals:
    """Powers of all equipment at the nodes it stands at; the same places in every state.

    Attributes
    ----------
    equipment
        ``load.<id>``, ``generator.<DER id>``, ``capacitor.<id>``, ``reactor.<id>``.
    bus, phase
        (terminal,) bus position and phase slot.
    p_kw, q_kvar
        (terminal,) drawn from the network: positive for a load, negative for a DER that
        supplies. 0 where the node is dead.
    """

    equipment: tuple[str, ...]
    bus: IntArray
    phase: IntArray
    p_kw: FloatArray
    q_kvar: FloatArray


def terminals_of(
    scenario: Scenario,
    elements: Elements,
    held: Held,
    *,
    x: ComplexArray,
    demand_kva: ComplexArray,
    supply_kva: ComplexArray,
) -> Terminals:
    """Split what equipment draws onto nodes.

    A slot of power ``s`` between nodes ``m`` and ``n`` draws ``s·v_m/(v_m - v_n)`` at ``m``
    and ``-s·v_n/(v_m - v_n)`` at ``n``.

    Parameters
    ----------
    scenario, elements, held
        The circuit and the plan's step in it.
    x
        (1 + node,) voltages, volt; zero where dead.
    demand_kva
        (served load,) nominal demand.
    supply_kva
        (der, 3) what the DERs supply.
    """
    names: list[str] = []
    nodes: list[IntArray] = []
    powers: list[ComplexArray] = []

    def add(equipment: Sequence[str], at: IntArray, drawn: ComplexArray) -> None:
        names.extend(equipment)
        nodes.append(at)
        powers.append(drawn)

    loads = scenario.feeder.loads.ids
    of_load, at, drawn = _loads(elements, held, x, demand_kva)
    add([f"load.{loads[k]}" for k in of_load], at, drawn)
    of_der, slot = np.nonzero(scenario.ders.phases)
    at = elements.bus_nodes[scenario.ders.bus[of_der], slot]
    add([f"generator.{scenario.ders.ids[k]}" for k in of_der], at, -supply_kva[of_der, slot])
    of_shunt, at, drawn = _shunts(elements, x)
    add([elements.shunts[k] for k in of_shunt], at, drawn)
    where = np.concatenate(nodes)
    place = np.full((len(elements.nodes) + 1, 2), -1)
    place[elements.bus_nodes.ravel()] = np.indices(elements.bus_nodes.shape).reshape(2, -1).T
    of_phase = place[where, 0] >= 0  # what is drawn at a neutral is drawn at no phase
    bus, phase = place[where[of_phase]].T
    power = np.concatenate(powers)[of_phase]
    names = [name for name, kept in zip(names, of_phase.tolist(), strict=True) if kept]
    return Terminals(
        equipment=tuple(names), bus=bus, phase=phase, p_kw=power.real, q_kvar=power.imag
    )


def _loads(
    elements: Elements, held: Held, x: ComplexArray, demand_kva: ComplexArray
) -> tuple[IntArray, IntArray, ComplexArray]:
    """Load, node and draw; every load has its nodes, also one that is not served."""
    table = elements.load_table
    asked = np.zeros(table.share.shape, complex)
    kva = demand_kva[:, None]
    everyone = np.arange(len(held.served))
    asked[held.served] = held.loads.asked_kva(x[:, None], kva.real, kva.imag, everyone)[..., 0]
    load, slot = np.nonzero(table.share > 0.0)
    plus, minus = table.plus[load, slot], table.minus[load, slot]
    across = x[plus] - x[minus]
    current = asked[load, slot] / np.where(across == 0.0, 1.0, across)
    return _gathered(
        np.concatenate([load, load]),
        np.concatenate([plus, minus]),
        np.concatenate([current * x[plus], -current * x[minus]]),
    )


def _shunts(elements: Elements, x: ComplexArray) -> tuple[IntArray, IntArray, ComplexArray]:
    """Shunt, node and draw, kVA."""
    conductors = elements.conductors
    first = len(elements.lines) + elements.transformer_count
    rows = np.flatnonzero(conductors.element >= first)
    nodes = conductors.node[rows]
    drawn = x[nodes] * np.conj(conductors.admittance[rows] @ x) / 1000.0
    return _gathered(conductors.element[rows] - first, nodes, drawn)


def _gathered(
    owner: IntArray, node: IntArray, power: ComplexArray
) -> tuple[IntArray, IntArray, ComplexArray]:
    """Add up what one owner draws at one node; ground is no node."""
    keep = node > 0
    pairs = np.stack([owner[keep], node[keep]], axis=1)
    places, which = np.unique(pairs, axis=0, return_inverse=True)
    total = np.zeros(len(places), complex)
    np.add.at(total, which.ravel(), power[keep])
    return places[:, 0], places[:, 1], total
