"""A source of one phase: read, solved and planned like one of three."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from gridproof.federation.inquiries.feeder_facts import feeder_facts
from gridproof.federation.studies.study import load_study
from gridproof.optimizer.planner import make_planner
from gridproof.optimizer.recourse.policies import make_recourse
from gridproof.scenarios.errors import ConfigError
from gridproof.scenarios.realization import draw
from gridproof.simulator.linear.engine import LinearEngine
from gridproof.simulator.opendss.engine import OpenDssEngine
from gridproof.simulator.reader.feeder import read_feeder

FEEDER = """Clear
New Circuit.lateral basekv=7.2 pu=1.02 phases=1 bus1=s.2 r1=0.3 x1=0.9
New Line.main bus1=s.2 bus2=a.2 phases=1 r1=0.3 x1=0.4 c1=9 length=1
New Line.gate bus1=a.2 bus2=b.2 phases=1 switch=yes r1=1e-3 x1=1e-3 c1=0 length=1
New Transformer.tap phases=1 windings=3 buses=(b.2 h.1.0 h.0.2) kvs=(7.2 0.12 0.12)
~ kvas=(25 25 25) %Rs=(0.6 1.2 1.2) xhl=2.04 xht=2.04 xlt=1.36
New Load.a bus1=a.2 phases=1 kv=7.2 kw=100 kvar=20
New Load.h bus1=h.1.2 phases=1 conn=delta kv=0.24 kw=6 kvar=2
Set VoltageBases=[12.47 0.208]
CalcVoltageBases
Solve
"""


def written(folder: Path, more: str = "") -> Path:
    path = folder / "lateral.dss"
    path.write_text(FEEDER.replace("Set Volt", f"{more}\nSet Volt", 1))
    return path


def test_it_is_read_and_agrees_with_opendss(tmp_path):
    feeder = read_feeder(written(tmp_path))
    assert feeder.sources.phases.tolist() == [[False, True, False]]
    assert feeder.sources.v_pu[0] == pytest.approx(1.02 * 7.2 / feeder.buses.base_kv[0])
    assert feeder.sources.r_ohm[0, 1, 1] == pytest.approx(0.3)
    assert np.count_nonzero(feeder.sources.x_ohm) == 1
    told = feeder_facts(feeder, ()).agreement
    assert told.columns_pu < 1e-6
    assert told.engine_pu < 1e-5
    assert told.linear_pu < 1e-3


def test_it_is_planned_and_tried(tmp_path):
    written(tmp_path)
    study = tmp_path / "study.toml"
    study.write_text(
        '[feeder]\npath = "lateral.dss"\n[substation]\nlost = false\nrating_kva = 150\n'
        '[uncertainty]\nloads = ["a"]\nspread = 0.2\n'
    )
    scenario = load_study(study).scenario
    source = scenario.ders.ids.index("s")
    np.testing.assert_array_equal(scenario.ders.p_max_kw[source], [0.0, 150.0, 0.0])
    plan = make_planner("partitioning", {}).plan(scenario)
    assert plan.energized.all()
    draws = draw(scenario, 3, 0, 4)
    answers = make_recourse("linear", plan, scenario, 0).respond(draws)
    linear, ac = LinearEngine(scenario), OpenDssEngine(scenario)
    for engine, near in ((linear, 1e-3), (ac, 2.0)):  # losses, kW
        engine.hold(plan)
        seen = engine.observe(draws, answers)
        assert seen.converged.all()
        np.testing.assert_allclose(seen.der_p_kw, answers.p_kw, atol=near)
    with pytest.raises(ConfigError, match="feeds its island by one phase"):
        ac.networks()


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("New Vsource.t bus1=s.1 phases=1 basekv=7.2 pu=1.02", "beside another at its bus"),
        ("New Vsource.t bus1=t.1.2 phases=2 basekv=12.47 pu=1.02", "or one of them, can be held"),
    ],
)
def test_what_cannot_be_held_is_told(tmp_path, more, told):
    with pytest.raises(ConfigError, match=told):
        read_feeder(written(tmp_path, more))
