"""Loops of lines that no switch opens: flows are what impedances make them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from gridproof.federation.inquiries.feeder_facts import as_it_stands, feeder_facts, observed
from gridproof.federation.studies.study import load_study
from gridproof.optimizer.network.first_stage import FirstStage
from gridproof.optimizer.network.network import Network
from gridproof.optimizer.network.statemap import island_state
from gridproof.optimizer.planner import make_planner
from gridproof.optimizer.recourse.policies import make_recourse
from gridproof.scenarios.errors import ConfigError
from gridproof.scenarios.loops import looped_buses, turning_blocks
from gridproof.scenarios.realization import draw
from gridproof.simulator.linear.engine import LinearEngine
from gridproof.simulator.opendss.engine import OpenDssEngine
from gridproof.simulator.reader.feeder import read_feeder

HEAD = """Clear
New Circuit.mesh bus1=s basekv=12.47 pu=1.02 r1=0.1 x1=0.5 r0=0.1 x0=0.6
New Line.gate bus1=s bus2=a switch=yes r1=0.01 x1=0.01 r0=0.01 x0=0.01 c1=0 c0=0 length=1
New LineCode.m nphases=3 r1=0.3 x1=0.6 r0=0.8 x0=1.9 c1=9 c0=4 units=km
"""
TAIL = """
New Load.b bus1=b.1 phases=1 kv=7.2 kw=300 kvar=90
New Load.c bus1=c kv=12.47 kw=600 kvar=200
Set VoltageBases=[12.47 0.48]
CalcVoltageBases
Solve
"""
MESHES = {
    "triangle": """
New Line.ab bus1=a bus2=b linecode=m length=1 units=km
New Line.bc bus1=b bus2=c linecode=m length=2 units=km
New Line.ca bus1=c bus2=a linecode=m length=1.5 units=km
""",
    "parallel": """
New Line.ab bus1=a bus2=b linecode=m length=1 units=km
New Line.ab2 bus1=a bus2=b linecode=m length=3 units=km
New Line.bc bus1=b bus2=c linecode=m length=2 units=km
""",
    "behind_delta_wye": """
New Transformer.t phases=3 buses=(a x) conns=(delta wye) kvs=(12.47 12.47) kvas=(2500 2500) xhl=5
New Line.xb bus1=x bus2=b linecode=m length=1 units=km
New Line.bc bus1=b bus2=c linecode=m length=2 units=km
New Line.cx bus1=c bus2=x linecode=m length=1.5 units=km
""",
    "over_delta_wye": """
New Line.ad bus1=a bus2=d linecode=m length=2 units=km
New Transformer.t phases=3 buses=(a b) conns=(delta wye) kvs=(12.47 12.47) kvas=(2500 2500) xhl=5
New Line.bc bus1=b bus2=c linecode=m length=1 units=km
New Transformer.u phases=3 buses=(c d) conns=(wye delta) kvs=(12.47 12.47) kvas=(1500 1500) xhl=4
~ leadlag=lead
New Load.d bus1=d.3 phases=1 kv=7.2 kw=200 kvar=50
""",
    "over_delta_wye_thrice": """
New Transformer.t phases=3 buses=(a b) conns=(delta wye) kvs=(12.47 12.47) kvas=(2500 2500) xhl=5
New Transformer.u phases=3 buses=(a c) conns=(delta wye) kvs=(12.47 12.47) kvas=(1500 1500) xhl=4
New Transformer.v phases=3 buses=(a d) conns=(delta wye) kvs=(12.47 12.47) kvas=(1500 1500) xhl=6
New Line.bc bus1=b bus2=c linecode=m length=1 units=km
New Line.cd bus1=c bus2=d linecode=m length=1 units=km
New Load.d bus1=d.3 phases=1 kv=7.2 kw=200 kvar=50
""",
    "over_delta_wye_and_back": """
New Line.ab bus1=a bus2=b linecode=m length=1 units=km
New Line.bc bus1=b bus2=c linecode=m length=1 units=km
New Transformer.t phases=3 buses=(a x) conns=(delta wye) kvs=(12.47 0.48) kvas=(2500 2500) xhl=5
New Transformer.u phases=3 buses=(x f) conns=(wye delta) kvs=(0.48 12.47) kvas=(2500 2500) xhl=5
New Transformer.v phases=3 buses=(f y) conns=(delta wye) kvs=(12.47 0.48) kvas=(2500 2500) xhl=5
New Line.xy bus1=x bus2=y r1=0.002 x1=0.004 r0=0.006 x0=0.012 c1=0 c0=0 length=1
New Load.f bus1=f.1.2 phases=1 conn=delta kv=12.47 kw=300 kvar=90
New Load.y bus1=y.3 phases=1 kv=0.277 kw=30 kvar=9
""",
    "one_phase": """
New Line.ab bus1=a bus2=b linecode=m length=1 units=km
New Line.bc bus1=b bus2=c linecode=m length=2 units=km
New Line.extra bus1=b.1 bus2=c.1 phases=1 r1=0.4 x1=0.5 c1=0 c0=0 length=1 units=km
""",
}


def written(folder: Path, mesh: str) -> Path:
    path = folder / "mesh.dss"
    path.write_text(HEAD + MESHES[mesh] + TAIL)
    return path


@pytest.mark.parametrize("mesh", MESHES)
def test_flows_in_a_loop_are_those_of_opendss(tmp_path, mesh):
    feeder = read_feeder(written(tmp_path, mesh))
    assert looped_buses(feeder, feeder.lines.closed).any() or "over" in mesh
    assert not turning_blocks(feeder)
    scenario, plan = as_it_stands(feeder)
    engines = (OpenDssEngine(scenario), LinearEngine(scenario))
    ac, linear = (observed(engine, scenario, plan) for engine in engines)
    floats = mesh == "over_delta_wye_and_back"  # a pair's load there turns all three phases
    assert np.nanmax(np.abs(ac.v_pu - linear.v_pu)) < (1e-2 if floats else 3e-3)
    atol = 3.0 if "over" in mesh else 2.0  # of 60 A; a pair's voltage leaves out angles
    if not floats:
        np.testing.assert_allclose(linear.current_a, ac.current_a, atol=atol)
    facts = feeder_facts(feeder, ())
    assert facts.loops
    assert facts.agreement.engine_pu < 1e-5


@pytest.mark.parametrize("mesh", MESHES)
def test_planner_and_linear_engine_agree_on_a_mesh(tmp_path, mesh):
    written(tmp_path, mesh)
    study = tmp_path / "study.toml"
    study.write_text(
        '[feeder]\npath = "mesh.dss"\n[limits]\nv_min_pu = 0.9\nv_max_pu = 1.1\n'
        '[ders.fleet]\nidle = { bus = "b", capacity_kw = 100, can_form = false }\n'
        '[uncertainty]\nloads = ["c"]\nspread = 0.2\n'
    )
    scenario = load_study(study).scenario
    plan = make_planner("partitioning", {}).plan(scenario)
    assert plan.energized.all()
    draws = draw(scenario, 3, 0, 4)
    answers = make_recourse("linear", plan, scenario, 0).respond(draws)
    assert answers.found.all()
    engine = LinearEngine(scenario)
    engine.hold(plan)
    seen = engine.observe(draws, answers)
    np.testing.assert_allclose(seen.der_p_kw, answers.p_kw, atol=1e-3)
    np.testing.assert_allclose(seen.der_q_kvar, answers.q_kvar, atol=1e-3)
    state = island_state(Network.of(scenario), FirstStage.of(plan), (0, 1))
    assert len(state.nodes) == int(scenario.feeder.buses.phases.sum())


TURNS = {
    "single_units": """
New Transformer.t phases=1 buses=(a.1.2 b.1) conns=(delta wye) kvs=(12.47 7.2)
New Line.bc bus1=b.1 bus2=c.1 phases=1 r1=0.3 x1=0.6 c1=0 c0=0 length=1 units=km
New Transformer.u phases=1 buses=(a.1.2 c.1) conns=(delta wye) kvs=(12.47 7.2)
""",
    "against_each_other": """
New Transformer.t phases=3 buses=(a b) conns=(delta wye) kvs=(12.47 12.47) leadlag=lead
New Line.bc bus1=b bus2=c linecode=m length=1 units=km
New Transformer.u phases=3 buses=(a c) conns=(delta wye) kvs=(12.47 12.47) leadlag=lag
""",
    "over_a_service_and_back": """
New Line.ab bus1=a bus2=b linecode=m length=1 units=km
New Transformer.t phases=1 buses=(a.2 h.1) kvs=(7.2 0.24) kvas=(25 25)
New Transformer.u phases=1 buses=(b.2 h.1) kvs=(7.2 0.24) kvas=(25 25)
""",
}


@pytest.mark.parametrize("turn", TURNS)
def test_a_loop_over_a_turning_transformer_is_named(tmp_path, turn):
    path = tmp_path / "turn.dss"
    load = "New Load.a bus1=a kv=12.47 kw=600 kvar=200\n"
    path.write_text(
        HEAD + TURNS[turn] + load + "Set VoltageBases=[12.47 0.416]\nCalcVoltageBases\n"
    )
    assert turning_blocks(read_feeder(path)) == ("a",)
    study = tmp_path / "study.toml"
    study.write_text(
        '[feeder]\npath = "turn.dss"\nswitches = ["gate"]\n[ders.fleet]\n'
        'd = { bus = "a", capacity_kw = 900 }\n'
    )
    with pytest.raises(ConfigError, match="leaves a loop that no switch can open"):
        load_study(study)
