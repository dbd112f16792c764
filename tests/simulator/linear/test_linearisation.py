"""Around an AC state the linear model is that state, and stays near it, for planner and engine."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gridproof.federation.inquiries.feeder_facts import as_it_stands, observed
from gridproof.federation.studies.linearised import around_ac, base_plan
from gridproof.optimizer.network.first_stage import FirstStage
from gridproof.optimizer.network.network import Network
from gridproof.optimizer.network.statemap import island_state
from gridproof.scenarios.errors import ConfigError
from gridproof.simulator.linear.engine import LinearEngine
from gridproof.simulator.opendss.engine import OpenDssEngine
from gridproof.simulator.reader.feeder import read_feeder

LONG = """Clear
New Circuit.long bus1=s basekv=24.9 pu=1.03 r1=0.5 x1=2 r0=0.8 x0=3
New LineCode.three nphases=3 rmatrix=(0.8 | 0.12 0.82 | 0.13 0.14 0.83) units=km
~ xmatrix=(0.84 | 0.36 0.83 | 0.31 0.35 0.82) cmatrix=(9 | -2 9 | -1 -2 9)
New LineCode.one nphases=1 rmatrix=(1.7) xmatrix=(0.93) cmatrix=(7) units=km
New Line.a bus1=s bus2=a linecode=three length=34 units=km
New Transformer.r1 phases=1 buses=(a.1 r.1) kvs=(14.4 14.4) kvas=(2000 2000) xhl=1 taps=(1 1.05)
New Transformer.r2 phases=1 buses=(a.2 r.2) kvs=(14.4 14.4) kvas=(2000 2000) xhl=1 taps=(1 1.025)
New Transformer.r3 phases=1 buses=(a.3 r.3) kvs=(14.4 14.4) kvas=(2000 2000) xhl=1 taps=(1 1.0375)
New Line.b bus1=r bus2=b linecode=three length=36 units=km switch=yes
New Line.lateral bus1=b.2 bus2=c.2 phases=1 linecode=one length=9 units=km
New Line.stub bus1=c.2 bus2=e.2 phases=1 linecode=one length=9 units=km
New Transformer.t buses=(b d) conns=(delta wye) kvs=(24.9 4.16) kvas=(900 900) xhl=5 %loadloss=2
New Load.a bus1=a.1 phases=1 kv=14.4 kw=510 kvar=204
New Load.b bus1=b conn=delta kv=24.9 kw=765 kvar=374
New Load.ab bus1=b.1.2 phases=1 conn=delta kv=24.9 kw=340 kvar=153 model=5
New Load.c bus1=c.2 phases=1 kv=14.4 kw=306 kvar=102 model=2
New Load.d bus1=d kv=4.16 kw=408 kvar=187 model=8 zipv=(0.3 0.3 0.4 0.2 0.3 0.5 0)
New Load.da bus1=d.1 phases=1 kv=2.4 kw=204 kvar=85
New Capacitor.k bus1=d kv=4.16 kvar=150
Set VoltageBases=[24.9 4.16]
CalcVoltageBases
Solve
"""


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    path = tmp_path_factory.mktemp("long") / "long.dss"
    path.write_text(LONG)
    return as_it_stands(read_feeder(path))[0]


def voltages(kind, scenario):
    with closing(kind(scenario)) as engine:
        seen = observed(engine, scenario, base_plan(scenario))
    assert seen.converged[0]
    return seen.v_pu[0]


def errors(scenario, scale=1.0):
    """Of the flat model and of the one around the base state, loads scaled, against OpenDSS."""
    around = around_ac(scenario)
    moved = [
        replace(one, load_p_kw=scale * one.load_p_kw, load_q_kvar=scale * one.load_q_kvar)
        for one in (scenario, around)
    ]
    truth = voltages(OpenDssEngine, moved[0])
    return [float(np.nanmax(np.abs(voltages(LinearEngine, one) - truth))) for one in moved]


def test_at_its_state_the_model_is_ac(long):
    flat, around = errors(long)
    assert flat > 0.02
    assert around < 1e-6


@pytest.mark.parametrize("scale", [0.85, 1.15])
def test_beside_its_state_the_model_is_nearer_than_the_flat_one(long, scale):
    flat, around = errors(long, scale)
    assert around < flat / 1.8


def test_on_the_123_bus_feeder(shipped_123):
    flat, around = errors(shipped_123)
    assert flat > 0.01
    assert around < 1e-6


@pytest.fixture(scope="module")
def shipped_123():
    configs = Path(__file__).parents[3] / "configs"
    return as_it_stands(read_feeder(configs / "feeders" / "ieee123" / "ieee123.dss"))[0]


def test_planner_and_engine_have_one_model(long):
    """The planner's state map at the base state, against OpenDSS's squared voltages."""
    around, plan = around_ac(long), base_plan(long)
    network = Network.of(around)
    stage = FirstStage.of(plan)
    state = island_state(network, stage, tuple(range(len(long.feeder.blocks.ids))))
    truth = voltages(OpenDssEngine, long) ** 2
    at = tuple(state.nodes.T)
    np.testing.assert_allclose(state.w.constant, truth[at], atol=1e-7)


def test_the_flat_model_is_what_it_was(long):
    assert long.linearisation is None
    network = Network.of(long)
    assert not network.lost.any()
    assert not any(len(branch.offset) for branch in network.branches)


def test_without_an_ac_state_there_is_nothing_to_stand_at(long, monkeypatch):
    monkeypatch.setattr(OpenDssEngine, "phasors", lambda _: None)
    with pytest.raises(ConfigError, match="linearise"):
        around_ac(long)
