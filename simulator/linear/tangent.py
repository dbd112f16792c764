"""The linear model's constants around an AC state: what its own equations are short of there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from gridproof.scenarios.arrays import BoolArray, FloatArray
from gridproof.scenarios.linearisation import Linearisation
from gridproof.simulator.admittance import admittance, unit_entries
from gridproof.simulator.linear.flow import LinearFlow
from gridproof.simulator.linear.unknowns import KVA_PER_UNIT
from numpy.typing import NDArray

__all__ = ["constants_at"]

ComplexArray = NDArray[np.complex128]
_BASE_VA = KVA_PER_UNIT * 1e3


def constants_at(  # noqa: PLR0917
    flow: LinearFlow,
    closed: BoolArray,
    v_pu: ComplexArray,
    demand: tuple[FloatArray, FloatArray],
    injected: FloatArray,
    v_held: FloatArray,
) -> Linearisation:
    """Find the constants with which a linear flow has an AC state as its solution.

    Parameters
    ----------
    flow
        At no current, of one switch state.
    closed
        (line,) lines that conduct.
    v_pu
        (bus, 3) voltages of the AC state, complex; 0 where dead.
    demand, injected, v_held
        Of that state, as `LinearFlow.solve` takes them.
    """
    network, live = flow.network, flow.live
    unknown = np.zeros(network.size)
    w = (np.abs(v_pu) ** 2)[live]
    unknown[: network.nodes] = w
    volts = np.asarray(np.where(live, v_pu, 0.0) * network.base_kv[:, None] * 1e3, complex)
    _put_lines(flow, volts, unknown)
    _put_units(flow, volts, unknown)
    drawn = flow.drawn_at(*demand, injected, w)
    feeder = replace(flow.feeder, lines=replace(flow.feeder.lines, closed=closed))
    flat = volts.ravel()
    leaves = (flat * np.conj(admittance(feeder) @ flat)).reshape(live.shape) / _BASE_VA
    for k, (bus, phase) in enumerate(network.held):
        at = network.node[bus, phase]
        unknown[network.held_p[k]] = leaves[bus, phase].real + drawn[0][at]
        unknown[network.held_q[k]] = leaves[bus, phase].imag + drawn[1][at]
    return network.short_of(unknown, network.right_side(*drawn, v_held**2))


def _put_lines(flow: LinearFlow, volts: ComplexArray, unknown: FloatArray) -> None:
    """Put what enters each line at its from end."""
    network, lines = flow.network, flow.feeder.lines
    for k in network.lines:
        on = np.flatnonzero(network.line_p[k] >= 0)
        at = np.ix_(on, on)
        y = np.linalg.inv(lines.r_ohm[k][at] + 1j * lines.x_ohm[k][at])
        one, other = volts[lines.from_bus[k], on], volts[lines.to_bus[k], on]
        current = y @ (one - other) + 0.5j * lines.b_siemens[k][at] @ one
        power = one * np.conj(current) / _BASE_VA
        unknown[network.line_p[k, on]], unknown[network.line_q[k, on]] = power.real, power.imag


def _put_units(flow: LinearFlow, volts: ComplexArray, unknown: FloatArray) -> None:
    """Put what enters each transformer on its from side, as powers of its windings."""
    network, units = flow.network, flow.feeder.transformers
    flat = volts.ravel()
    for k in network.units:
        bus, current = int(units.from_bus[k]), np.zeros(3, complex)
        for row, column, y in unit_entries(flow.feeder, k):
            if row // 3 == bus:
                current[row % 3] += y * flat[column]
        p, q = network.unit_flows(k, volts[bus] * np.conj(current) / _BASE_VA)
        slots = np.flatnonzero(units.windings[k])
        unknown[network.unit_p[k, slots]], unknown[network.unit_q[k, slots]] = p, q
