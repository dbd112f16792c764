"""Are a feeder's columns all there is? An AC flow from them alone, against OpenDSS's own.

The columns' flow is a fixed point on node admittances that are built from nothing but the
tables: what they leave out shows as a difference.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from gridproof.scenarios.arrays import BoolArray, FloatArray
from gridproof.scenarios.feeder import Connection, Feeder
from gridproof.scenarios.graph import connected_components
from gridproof.simulator.admittance import across, admittance, sparse_of
from gridproof.simulator.opendss.compiling import compile_feeder
from gridproof.simulator.opendss.contexts import borrow, give_back, refusal
from gridproof.simulator.opendss.engine_thread import on_engine_thread
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import splu

__all__ = ["columns_flow", "farthest_apart", "opendss_flow"]

ComplexArray = NDArray[np.complex128]

GROUND_VA, FLOATING_VA = 1e-4, 1.0
"""Put to earth at every node, as any solver must where nothing else ties a part to it; more where
that is all: magnitudes to earth are then known as well as the flow between phases."""

_MOST_STEPS, _SETTLED_PU = 300, 1e-11


@on_engine_thread
def opendss_flow(path: Path, feeder: Feeder) -> ComplexArray | None:
    """Solve the file as it stands, in a context of its own; None where it does not converge.

    Loads keep their model between 0.5 and 1.5 pu, as everywhere here, controls are off, and
    machines of the file do nothing. OpenDSS's own shunts of 1 ppm to earth, which no file asks
    for, are left out where no part floats without them.

    Returns
    -------
    ndarray of shape (bus, 3) or None
        Voltages, per unit of each bus's base; NaN where a bus has no such phase.
    """
    context = borrow()
    try:
        compile_feeder(context, path, as_written=True)
        for command in (
            "Set ControlMode=off", "BatchEdit Load..* vminpu=0.5 vlowpu=0.4 vmaxpu=1.5",
            "Set LoadMult=1", "Set Tolerance=1e-9", "Set MaxIterations=500",
        ):  # fmt: skip
            context.Text.Command(command)
        if len(feeder.transformers.ids) and not _floats(feeder).any():
            context.Text.Command("BatchEdit Transformer..* ppm_antifloat=0")
        return _solved(context, feeder)
    finally:
        give_back(context)


def _solved(context: Any, feeder: Feeder) -> ComplexArray | None:
    try:
        context.Solution.Solve()
    except refusal():
        return None
    if not context.Solution.Converged():
        return None
    v = _voltages(context, feeder)
    there = {str(name).lower() for name in context.Circuit.AllBusNames()}
    known = feeder.buses.phases & np.isin(feeder.buses.ids, list(there))[:, None]
    return v if np.isfinite(v[known]).all() else None


def _voltages(context: Any, feeder: Feeder) -> ComplexArray:
    v = np.full((len(feeder.buses.ids), 3), np.nan, complex)
    place = {name: k for k, name in enumerate(feeder.buses.ids)}
    flat = np.asarray(context.Circuit.AllBusVolts(), float)
    volts = flat[::2] + 1j * flat[1::2]
    for name, value in zip(context.Circuit.AllNodeNames(), volts, strict=True):
        bus, node = str(name).lower().rsplit(".", 1)
        if int(node) <= 3 and bus in place:
            v[place[bus], int(node) - 1] = value
    return np.asarray(v / (feeder.buses.base_kv[:, None] * 1e3), complex)


def columns_flow(feeder: Feeder, start: ComplexArray) -> ComplexArray | None:
    """AC flow from the columns alone, the source buses held where ``start`` has them.

    Parameters
    ----------
    feeder
        Lines that are closed conduct; loads follow their voltage as modelled.
    start
        (bus, 3) voltages, per unit; also what the iteration starts from.

    Returns
    -------
    ndarray of shape (bus, 3) or None
        Voltages, per unit; NaN where nothing stands; None if it does not settle.
    """
    size, base = start.size, np.repeat(feeder.buses.base_kv * 1e3, 3)
    Y = admittance(feeder)
    held = np.zeros(start.shape, bool)
    held[feeder.sources.bus] = np.isfinite(start[feeder.sources.bus])
    part = connected_components(size, *(np.asarray(at, np.int64) for at in Y.nonzero()))
    there = np.isin(part, part[held.ravel()])  # what no source reaches has no state
    free, known = np.flatnonzero(there & ~held.ravel()), np.flatnonzero(held.ravel())
    loads, power, volts, terms = _loads(feeder)
    v = np.where(np.isfinite(start), start, 0.0).ravel() * base
    to_earth = np.repeat(np.where(_floats(feeder), FLOATING_VA, GROUND_VA), 3)
    own = Y[free][:, free] + sparse.diags_array(to_earth[free] / base[free] ** 2)
    # loads of nominal impedance stand in the matrix, so that the iteration settles as OpenDSS's
    share = np.conj(power) / volts**2
    standing = sparse.csc_array(loads.T @ sparse.diags_array(share) @ loads)[free][:, free]
    factors = splu(sparse.csc_matrix(own + standing))
    fixed = Y[free][:, known] @ v[known]
    for _ in range(_MOST_STEPS):
        seen = loads @ v
        ratio = np.maximum(np.abs(seen) / volts, 1e-6)
        asked = power.real * _follow(ratio, terms[0]) + 1j * power.imag * _follow(ratio, terms[1])
        drawn = np.conj(asked / np.where(seen == 0.0, 1.0, seen)) - share * seen
        new = factors.solve(-(loads.T @ drawn)[free] - fixed)
        change = float(np.abs((new - v[free]) / base[free]).max(initial=0.0))
        v[free] = new
        if change < _SETTLED_PU:
            break

    if not change < 1e3 * _SETTLED_PU:
        return None
    v[~there] = np.nan
    return np.asarray((v / base).reshape(size // 3, 3))


def farthest_apart(feeder: Feeder, one: ComplexArray, other: ComplexArray) -> float:
    """Largest difference of two flows, pu: to neutral, and between phases where that floats."""
    apart = np.abs(one - other)
    pair = np.abs((one - np.roll(one, -1, axis=1)) - (other - np.roll(other, -1, axis=1)))
    both = np.where(_floats(feeder)[:, None], pair / feeder.buses.pair_base, apart)
    return float(np.nanmax(both)) if np.isfinite(both).any() else float("nan")


def _floats(feeder: Feeder) -> BoolArray:
    """(bus,) whether neither a source nor a wye winding ties the bus's part to earth."""
    lines, units = feeder.lines, feeder.transformers
    near, far = (
        np.array([end is Connection.WYE for end in ends], bool)
        for ends in (units.from_connection, units.to_connection)
    )
    through = near & far & (units.primary < 0)
    part = connected_components(
        len(feeder.buses.ids),
        np.concatenate([lines.from_bus[lines.closed], units.from_bus[through]]),
        np.concatenate([lines.to_bus[lines.closed], units.to_bus[through]]),
    )
    earthed = [feeder.sources.bus, units.from_bus[near], units.to_bus[far]]
    return np.asarray(~np.isin(part, part[np.concatenate(earthed)]))


def _follow(ratio: FloatArray, terms: tuple[FloatArray, FloatArray]) -> FloatArray:
    share, exponent = terms
    return np.asarray((share * ratio[:, None] ** exponent).sum(axis=1))


def _loads(
    feeder: Feeder,
) -> tuple[sparse.csr_array, ComplexArray, FloatArray, tuple[tuple[FloatArray, FloatArray], ...]]:
    """Voltage of every load's slot from the nodes', its VA, rated volts, and terms."""
    table, buses = feeder.loads, feeder.buses
    entries: list[tuple[int, int, float]] = []
    power: list[complex] = []
    volts, models = [], []
    for k, slot in np.argwhere(table.slots).tolist():
        bus, delta = int(table.bus[k]), table.connection[k] is Connection.DELTA
        ends = across(slot, table.connection[k])
        entries += [(len(power), 3 * bus + at, sign) for at, sign in ends]
        power.append(1e3 * complex(table.p_kw[k, slot], table.q_kvar[k, slot]))
        base = 1e3 * buses.base_kv[bus] * (buses.pair_base[bus, slot] if delta else 1.0)
        volts.append(base * table.v_rated_pu[k])
        models.append(table.model[k])
    terms = []
    for kind in ("active", "reactive"):
        rows = [(*getattr(model, kind), *[(0.0, 0.0)] * 3)[:3] for model in models]
        table_of = np.array(rows, float).reshape(-1, 3, 2)
        terms.append((table_of[..., 0], table_of[..., 1]))
    return (
        sparse.csr_array(sparse_of(entries, (len(power), 3 * len(buses.ids)))),
        np.array(power, complex),
        np.array(volts, float),
        tuple(terms),
    )
