"""From a batch of solved node voltages to snapshots: masks, loads asked and served, outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scenarios.arrays import BoolArray, FloatArray, IntArray
from scenarios.scenario import Scenario
from scenarios.snapshot import Snapshots
from simulator.opendss_circuit import ComplexArray
from simulator.opendss_elements import Elements
from simulator.opendss_measure import LoadTable, Meter

__all__ = ["Held", "snapshots_of"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Held:
    """The plan's step that is held.

    Attributes
    ----------
    time
        The step.
    live_nodes, live_phases
        (1 + node,) and (bus, 3) what is energised.
    formers
        Positions of the grid-forming DERs.
    held_buses
        Positions of the buses they stand at.
    served
        Positions of the loads that are alive.
    generators
        (generator, 2) DER and phase of every generator that acts.
    meter
        Products for this switch state.
    """

    time: int
    live_nodes: BoolArray
    live_phases: BoolArray
    formers: IntArray
    held_buses: IntArray
    served: IntArray
    generators: IntArray
    meter: Meter


def snapshots_of(
    scenario: Scenario,
    elements: Elements,
    held: Held,
    index: IntArray,
    flows: tuple[ComplexArray, BoolArray, IntArray],
    demand: tuple[FloatArray, FloatArray],
    injected: tuple[FloatArray, FloatArray],
) -> Snapshots:
    """Measure a batch.

    Parameters
    ----------
    scenario, elements, held
        What was solved.
    index
        (realization,).
    flows
        Node voltages (realization, 1 + node) in volt, converged and iterations.
    demand
        (realization, served load) kW and kvar asked for at rated voltage.
    injected
        (realization, generator) kW and kvar of the DERs that follow.

    Returns
    -------
    Snapshots
        A flow that did not converge, or gave a number that is not finite, is
        ``converged = False`` and NaN throughout.
    """
    volts, converged, iterations = flows
    finite = np.isfinite(volts[:, held.live_nodes]).all(axis=1)
    solved = converged & finite
    x = np.ascontiguousarray(volts.T)
    x[~held.live_nodes] = 0.0
    x[:, ~solved] = 0.0
    kw, kvar = (np.ascontiguousarray(part.T) for part in demand)
    p, q = (np.ascontiguousarray(part.T) for part in injected)
    found = held.meter.read(x)
    output = _der_output(scenario, elements, held, x, found["source_kva"], kw, kvar, p, q)
    requested, at_sources = _requested(scenario, elements, held, x, kw, kvar)
    far = ~np.isin(scenario.ders.bus[held.generators[:, 0]], held.held_buses)
    delivered = found["consumed_kw"] + _total(p[far]) + at_sources
    v_pu, v_ll_pu = _voltages(elements, held, x)
    values: dict[str, NDArray[Any]] = {
        "v_pu": v_pu,
        "v_ll_pu": v_ll_pu,
        "current_a": found["current_a"],
        "transformer_kva": found["transformer_kva"],
        "der_p_kw": np.ascontiguousarray(output.real),
        "der_q_kvar": np.ascontiguousarray(output.imag),
        "delivered_kw": delivered,
        "requested_kw": requested,
        "losses_kw": found["losses_kw"],
    }
    for value in values.values():
        value[~solved] = np.nan
    return Snapshots(index=index, converged=solved, iterations=iterations, **values)


def _voltages(elements: Elements, held: Held, x: ComplexArray) -> tuple[FloatArray, FloatArray]:
    """(realization, bus, 3) line-to-neutral and line-to-line magnitudes, pu; NaN where dead."""
    at_bus = x[elements.bus_nodes]  # (bus, 3, realization)
    base = elements.base_v[:, None, None]
    live = held.live_phases[:, :, None]
    neutral = np.where(live, np.abs(at_bus) / base, np.nan)
    pairs = live & np.roll(live, -1, axis=1)
    across = np.abs(at_bus - np.roll(at_bus, -1, axis=1)) / (base * np.sqrt(3.0))
    between = np.where(pairs, across, np.nan)
    return (
        np.ascontiguousarray(np.moveaxis(neutral, -1, 0)),
        np.ascontiguousarray(np.moveaxis(between, -1, 0)),
    )


def _requested(
    scenario: Scenario,
    elements: Elements,
    held: Held,
    x: ComplexArray,
    kw: FloatArray,
    kvar: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """(realization,) load asked for at the solved voltages: all of it, and at source buses."""
    table = _served(elements.load_table, held.served)
    everyone = np.arange(len(held.served))
    if table.follows_voltage:
        asked = table.asked_kva(x, kw, kvar, everyone).real
        each = asked[:, 0] + asked[:, 1] + asked[:, 2]
    else:
        each = kw
    near = np.isin(scenario.feeder.loads.bus[held.served], held.held_buses)
    return _total(each), _total(each[near])


def _der_output(
    scenario: Scenario,
    elements: Elements,
    held: Held,
    x: ComplexArray,
    taken: ComplexArray,
    kw: FloatArray,
    kvar: FloatArray,
    p: FloatArray,
    q: FloatArray,
) -> ComplexArray:
    """(realization, der, 3) what each DER supplies, kVA.

    A following DER supplies its set-point. A forming one supplies, by Kirchhoff's current
    law at its bus, what lines, transformers and shunts take out of the bus, plus its loads,
    less the other DERs' injections there; formers of one bus share equally.
    """
    count = x.shape[1]
    output = np.zeros((count, len(scenario.ders.ids), 3), complex)
    der, phase = held.generators.T
    output[:, der, phase] = (p + 1j * q).T
    nodes = elements.bus_nodes[held.held_buses]
    supplied = taken.reshape(*nodes.shape, count) + _drawn(scenario, elements, held, x, kw, kvar)
    for g, (k, slot) in enumerate(held.generators):
        here = np.flatnonzero(held.held_buses == scenario.ders.bus[k])
        for bus in here:
            supplied[bus, slot] -= p[g] + 1j * q[g]
    buses = scenario.ders.bus[held.formers]
    for k, bus in zip(held.formers, buses, strict=True):
        row = int(np.flatnonzero(held.held_buses == bus)[0])
        output[:, k] = supplied[row].T / int((buses == bus).sum())
    return output


def _drawn(
    scenario: Scenario,
    elements: Elements,
    held: Held,
    x: ComplexArray,
    kw: FloatArray,
    kvar: FloatArray,
) -> ComplexArray:
    """(source bus, 3, realization) what the loads at the source buses draw, kVA.

    A slot of power ``s`` between nodes ``m`` and ``n`` draws ``s·v_m/(v_m - v_n)`` at ``m``
    and ``-s·v_n/(v_m - v_n)`` at ``n``.
    """
    drawn = np.zeros((len(held.held_buses), 3, x.shape[1]), complex)
    bus_of_load = scenario.feeder.loads.bus[held.served]
    near = np.flatnonzero(np.isin(bus_of_load, held.held_buses))
    table = _served(elements.load_table, held.served)
    asked = table.asked_kva(x, kw, kvar, near)
    for row, load in enumerate(near):
        bus = int(np.flatnonzero(held.held_buses == bus_of_load[load])[0])
        nodes = elements.bus_nodes[held.held_buses[bus]]
        for slot in np.flatnonzero(table.share[load]):
            ends = (table.plus[load, slot], table.minus[load, slot])
            across = x[ends[0]] - x[ends[1]]
            across = np.where(across == 0.0, 1.0, across)  # a flow without solution
            for end, sign in zip(ends, (1.0, -1.0), strict=True):
                for phase in np.flatnonzero((nodes == end) & (end > 0)):
                    drawn[bus, phase] += sign * asked[row, slot] * x[end] / across
    return drawn


def _served(table: LoadTable, places: IntArray) -> LoadTable:
    return LoadTable(
        plus=table.plus[places],
        minus=table.minus[places],
        share=table.share[places],
        rated_v=table.rated_v[places],
        model=tuple(table.model[k] for k in places),
    )


def _total(rows: FloatArray) -> FloatArray:
    """Sum over the first axis, always row after row whatever the batch's size."""
    total = np.zeros(rows.shape[1])
    for row in rows:
        total += row
    return total
