"""Are the columns all there is? An AC solution from them alone must be OpenDSS's own."""

from __future__ import annotations

import numpy as np
import pytest
from gridproof.scenarios.feeder import Connection, Feeder
from gridproof.scenarios.load_models import LoadModel
from gridproof.simulator.reader.feeder import read_feeder

ROOT3 = np.sqrt(3.0)
EXPONENTS = {
    LoadModel.CONSTANT_POWER: (0.0, 0.0),
    LoadModel.CONSTANT_IMPEDANCE: (2.0, 2.0),
    LoadModel.CONSTANT_CURRENT: (1.0, 1.0),
    LoadModel.VOLTAGE_REDUCTION: (1.0, 2.0),
}
FLOATING = {"ieee123": ("610",), "ieee37": ("775",)}
"""Buses behind a delta winding with no line: only line-to-line voltages mean anything."""
NO_SHUNTS = {
    "ieee37": [f"Transformer.{name}.ppm_antifloat=0" for name in ("subxf", "reg1a", "reg1c")]
}
"""OpenDSS grounds every winding by 1 ppm of its rating, which columns leave out. On the
three-wire feeder that is a share of the cables' charging and moves the neutral by 1.3e-4 pu."""


def winding(slot: int, connection: Connection, lagging: bool = False) -> np.ndarray:
    row = np.zeros(3)
    row[slot] = 1.0
    if connection is Connection.DELTA:
        row[(slot + (-1 if lagging else 1)) % 3] = -1.0
    return row


def admittance(feeder: Feeder) -> np.ndarray:
    """Siemens and volts: node 3·bus + phase."""
    size = 3 * len(feeder.buses.ids)
    Y = np.zeros((size, size), complex)
    lines, units, caps = feeder.lines, feeder.transformers, feeder.capacitors
    for k in np.flatnonzero(lines.closed):
        on = np.flatnonzero(lines.phases[k])
        at = np.ix_(on, on)
        y = np.linalg.inv(lines.r_ohm[k][at] + 1j * lines.x_ohm[k][at])
        b = 0.5j * lines.b_siemens[k][at]
        i, j = 3 * lines.from_bus[k] + on, 3 * lines.to_bus[k] + on
        Y[np.ix_(i, i)] += y + b
        Y[np.ix_(j, j)] += y + b
        Y[np.ix_(i, j)] -= y
        Y[np.ix_(j, i)] -= y
    base = feeder.buses.base_kv * 1e3 * ROOT3
    for k in range(len(units.ids)):
        slots = np.flatnonzero(units.windings[k])
        one, other = units.from_connection[k], units.to_connection[k]
        mixed = one is not other
        i, j = units.from_bus[k], units.to_bus[k]
        across = [
            base[b] / (1.0 if c is Connection.DELTA else ROOT3) for b, c in ((i, one), (j, other))
        ]
        turns = units.ratio[k] * across[0] / across[1]
        rated = units.from_kv[k] * 1e3
        if one is Connection.WYE and len(slots) > 1:
            rated /= ROOT3
        ohm = rated**2 / (units.rating_kva[k] * 1e3 / len(slots))
        y = 1.0 / ((units.r_pu[k] + 1j * units.x_pu[k]) * ohm)
        for slot in slots:
            lag = mixed and bool(units.lagging[k])
            f, t = winding(slot, one, lag), winding(slot, other, lag)
            # a turned pair on a lagging unit is pair (k, k-1): V_k - V_(k-1)
            pair = np.zeros(size)
            pair[3 * i : 3 * i + 3] += f
            pair[3 * j : 3 * j + 3] -= turns * t
            Y += y * np.outer(pair, pair)
    for k in range(len(caps.ids)):
        for slot in np.flatnonzero(caps.q_kvar[k]):
            row = np.zeros(size)
            bus = caps.bus[k]
            row[3 * bus : 3 * bus + 3] = winding(slot, caps.connection[k])
            delta = caps.connection[k] is Connection.DELTA
            volts = caps.v_rated_pu[k] * base[bus] / (1.0 if delta else ROOT3)
            Y += 1j * caps.q_kvar[k, slot] * 1e3 / volts**2 * np.outer(row, row)
    return Y


def fixed_point(feeder: Feeder, at_source: np.ndarray, ground: float = 1e-11) -> np.ndarray:
    """(bus, 3) per-unit voltages, the source buses held at ``at_source`` (bus, 3)."""
    Y, loads = admittance(feeder), feeder.loads
    size, base = len(Y), np.repeat(feeder.buses.base_kv * 1e3, 3)
    held = np.zeros((len(feeder.buses.ids), 3), bool)
    held[feeder.sources.bus] = True
    there = (feeder.buses.phases | held).ravel() & (np.abs(Y).sum(axis=1) > 0)
    held = held.ravel()
    free = np.flatnonzero(there & ~held)
    Y[free, free] += ground  # grounds what floats, as any solver must
    known = np.flatnonzero(held)
    v = np.zeros(size, complex)
    v[known] = at_source.ravel()[known] * base[known]
    inverse = np.linalg.inv(Y[np.ix_(free, free)])
    rows, powers = [], []
    for k in range(len(loads.ids)):
        for slot in np.flatnonzero(loads.slots[k]):
            row = np.zeros(size)
            row[3 * loads.bus[k] : 3 * loads.bus[k] + 3] = winding(slot, loads.connection[k])
            delta = loads.connection[k] is Connection.DELTA
            volts = loads.v_rated_pu[k] * base[3 * loads.bus[k]] * (ROOT3 if delta else 1.0)
            rows.append(row)
            powers.append((loads.p_kw[k, slot], loads.q_kvar[k, slot], volts, loads.model[k]))
    A = np.array(rows)
    p, q, rated = (np.array([item[n] for item in powers]) for n in range(3))
    e = np.array([EXPONENTS[item[3]] for item in powers])
    v[free] = -inverse @ (Y[np.ix_(free, known)] @ v[known])
    for _ in range(400):
        across = A @ v
        u = np.abs(across) / rated
        power = 1e3 * (p * u ** e[:, 0] + 1j * q * u ** e[:, 1])
        drawn = A.T @ np.conj(power / across)
        new = inverse @ (-drawn[free] - Y[np.ix_(free, known)] @ v[known])
        change = np.abs((new - v[free]) / base[free]).max()
        v[free] = new
        if change < 1e-12:
            break
    assert change < 1e-10
    v[~there] = np.nan
    return (v / base).reshape(-1, 3)


@pytest.mark.parametrize("name", ["ieee13", "ieee33", "ieee37", "ieee123"])
def test_columns_alone_give_the_voltages_of_opendss(name, reference, opendss_voltages):
    path = reference(name)
    feeder = read_feeder(path)
    theirs = opendss_voltages(path, feeder, NO_SHUNTS.get(name, ()))
    ours = fixed_point(feeder, theirs)
    both = ~np.isnan(ours) & ~np.isnan(theirs)
    assert both.sum() >= {"ieee13": 41, "ieee33": 99, "ieee37": 117, "ieee123": 270}[name]
    floating = np.isin(feeder.buses.ids, FLOATING.get(name, ()))
    pair = np.abs((ours - np.roll(ours, -1, axis=1)) - (theirs - np.roll(theirs, -1, axis=1)))[
        both.all(axis=1)
    ]
    ground = np.abs(ours - theirs)[~floating][both[~floating]]
    assert ground.max() < 1e-6, ground.max()
    assert pair.max() / ROOT3 < 1e-6


UNITS = """
Clear
New Circuit.units bus1=s basekv=12.47
New Line.l bus1=s bus2=m r1=0.4 x1=0.7 r0=0.9 x0=2.1 c1=9 c0=4 length=3 units=km
New Transformer.lag phases=3 ppm=0 xhl=6 %loadloss=1.2 buses=(m d) conns=(delta wye)
~ kvs=(12.47 4.16) kvas=(750 750) wdg=1 tap=0.97 wdg=2 tap=1.04
New Transformer.lead phases=3 xhl=5 %loadloss=1 buses=(d e) conns=(wye delta) leadlag=lead
~ kvs=(4.16 2.4) kvas=(500 500)
New Transformer.single phases=1 ppm=0 xhl=2 %loadloss=1 buses=(d.2 f.2)
~ kvs=(2.4 0.24) kvas=(100 100)
~ wdg=1 tap=1.05
New Transformer.across phases=1 ppm=0 xhl=2 %loadloss=1 buses=(d.3.1 g.3) conns=(delta wye)
~ kvs=(4.16 0.24) kvas=(100 100)
New Load.d bus1=d kv=4.16 kw=60 kvar=20 model=5
New Load.pair bus1=e.3.1 phases=1 conn=delta kv=2.3 kw=50 kvar=10 model=2
New Load.three bus1=e conn=delta kv=2.4 kw=90 kvar=30
New Load.f bus1=f.2 phases=1 kv=0.24 kw=30 kvar=5 model=4
New Load.g bus1=g.3 phases=1 kv=0.24 kw=25 kvar=5
New Capacitor.delta bus1=e conn=delta kv=2.4 kvar=45
New Capacitor.step bus1=d kv=4.16 kvar=(30 30) numsteps=2 states=(1 0)
Set VoltageBases=[12.47 4.16 2.4 0.415]
CalcVoltageBases
Solve
"""


def test_every_connection_tap_and_shunt(tmp_path, opendss_voltages):
    """Lagging and leading banks, single units within and across phases, taps on either side."""
    path = tmp_path / "units.dss"
    path.write_text(UNITS)
    feeder = read_feeder(path)
    theirs = opendss_voltages(path, feeder)
    ours = fixed_point(feeder, theirs, ground=1e-7)
    floating = np.isin(feeder.buses.ids, ("e",))
    pair = np.abs((ours - np.roll(ours, -1, axis=1)) - (theirs - np.roll(theirs, -1, axis=1)))
    assert np.nanmax(np.abs(ours - theirs)[~floating]) < 1e-6
    assert np.nanmax(pair) / ROOT3 < 1e-6
    assert np.isfinite(ours[~floating]).sum() == 3 * 3 + 2
