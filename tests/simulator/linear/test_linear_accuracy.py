"""How far LinDist3Flow is from AC, measured on the reference feeders.

Bounds stand just above what was measured, so that a change of the model shows.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gridproof.scenarios.load_models import LoadModel
from gridproof.simulator.reader.feeder import read_feeder

OUR_37 = Path(__file__).parents[3] / "configs" / "feeders" / "ieee37" / "ieee37.dss"


def errors(flow, v: np.ndarray, *, centred: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Line-to-neutral and line-to-line errors (bus, 3) in pu.

    ``centred`` counts from the centre of the voltage triangle: on a three-wire feeder the
    ground is no part of the flow.
    """
    pairs = np.abs(v - np.roll(v, -1, axis=1)) / np.sqrt(3.0)
    phases = np.abs(v - v.mean(axis=1, keepdims=True)) if centred else np.abs(v)
    return np.abs(flow.v_pu - phases), np.abs(flow.v_ll_pu - pairs)


@pytest.mark.parametrize(
    ("name", "bounds"),  # worst and mean line-to-neutral, worst line-to-line
    [
        ("ieee13", (6.2e-3, 3.0e-3, 1.92e-2)),
        ("ieee33", (2.9e-3, 2.0e-3, 2.9e-3)),
        ("ieee37", (1.42e-2, 1.03e-2, 2.1e-2)),
        ("ieee123", (4.6e-3, 1.9e-3, 1.13e-2)),
    ],
)
def test_grid_connected(name, bounds, reference, opendss_voltages, solve_feeder):
    path = reference(name)
    feeder = read_feeder(path)
    flow = solve_feeder(feeder)
    assert flow.converged
    assert not np.isnan(flow.v_pu).all(axis=1).any() or name == "ieee123"
    ln, ll = errors(flow, opendss_voltages(path, feeder), centred=name == "ieee37")
    ln[np.isin(feeder.buses.ids, ("610",))] = np.nan  # a floating delta side: only ll is defined
    measured = np.nanmax(ln), np.nanmean(ln), np.nanmax(ll)
    assert all(value < bound for value, bound in zip(measured, bounds, strict=True)), measured


@pytest.mark.parametrize("magnitude", [1.0, 1.03])
def test_ieee37_islanded_at_701(magnitude, opendss_voltages, solve_feeder):
    whole = read_feeder(OUR_37)
    closed = whole.lines.closed.copy()
    closed[whole.lines.ids.index("799r-701")] = False
    feeder = replace(whole, lines=replace(whole.lines, closed=closed))
    model = (LoadModel.CONSTANT_POWER,) * len(feeder.loads.ids)
    flow = solve_feeder(feeder, held={"701": magnitude}, load_model=model)
    v = opendss_voltages(
        OUR_37,
        feeder,
        (
            "BatchEdit Load..* model=1",
            "Open Line.799r-701 1",
            f"New Vsource.island bus1=701 basekv=4.8 pu={magnitude} "
            "r1=1e-6 x1=1e-6 r0=1e-6 x0=1e-6",
        ),
    )
    ln, ll = errors(flow, v)
    substation = np.isin(feeder.buses.ids, ("sourcebus", "799", "799r"))
    assert np.isnan(flow.v_pu[substation]).all()
    ln[np.isin(feeder.buses.ids, ("775",))] = np.nan  # floats; carries no load
    assert np.nanmin(flow.v_pu) < 0.97 * magnitude
    measured = np.nanmax(ln), np.nanmean(ln), np.nanmax(ll)
    assert measured[0] < 5e-4
    assert measured[1] < 2.5e-4
    assert measured[2] < 5.2e-3
    demand = feeder.loads.p_kw.sum(), feeder.loads.q_kvar.sum()
    assert (flow.held_kw.sum(), flow.held_kvar.sum()) == pytest.approx(demand)
