"""Neutrals of their own: whole in AC, earth for the columns and the linear model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from gridproof.federation.inquiries.feeder_facts import as_it_stands, feeder_facts, observed
from gridproof.federation.studies.study import load_study
from gridproof.optimizer.planner import make_planner
from gridproof.optimizer.recourse.policies import make_recourse
from gridproof.scenarios.errors import ConfigError
from gridproof.scenarios.realization import draw, realize
from gridproof.scenarios.setpoints import Setpoints
from gridproof.simulator.opendss.engine import OpenDssEngine
from gridproof.simulator.reader.agreement import opendss_flow
from gridproof.simulator.reader.feeder import read_feeder

R = np.array(
    [[0.4, 0.1, 0.1, 0.1], [0.1, 0.4, 0.1, 0.1], [0.1, 0.1, 0.4, 0.1], [0.1, 0.1, 0.1, 0.5]]
)
X = np.array(
    [[1.0, 0.4, 0.4, 0.4], [0.4, 1.0, 0.4, 0.4], [0.4, 0.4, 1.0, 0.4], [0.4, 0.4, 0.4, 1.1]]
)


def lower(matrix: np.ndarray) -> str:
    return " | ".join(" ".join(f"{v:g}" for v in row[: k + 1]) for k, row in enumerate(matrix))


FEEDER = f"""Clear
New Circuit.four bus1=s basekv=12.47 pu=1.02 r1=0.1 x1=0.5 r0=0.2 x0=0.8
New Line.gate bus1=s bus2=a switch=yes r1=0.01 x1=0.01 r0=0.01 x0=0.01 c1=0 c0=0 length=1
New LineCode.four nphases=4 rmatrix=({lower(R)}) xmatrix=({lower(X)})
~ cmatrix=(0 | 0 0 | 0 0 0 | 0 0 0 0)
New Line.main phases=4 linecode=four bus1=a.1.2.3.0 bus2=b.1.2.3.4 length=1.5
New Reactor.earth bus1=b.4 phases=1 r=2 x=0
New Transformer.t phases=3 buses=(b c.1.2.3.4) conns=(delta wye) kvs=(12.47 0.48) kvas=(500 500)
~ xhl=4 %loadloss=1 %imag=0.5
New Reactor.star bus1=c.4 bus2=c.0 phases=1 r=0.01 x=0.002
New Line.service phases=4 linecode=four bus1=c.1.2.3.4 bus2=d.1.2.3.4 length=0.005
New Load.b bus1=b.1.4 phases=1 kv=7.2 kw=200 kvar=60
New Load.c bus1=c.1.2.3.4 phases=3 kv=0.48 kw=90 kvar=30 model=2
New Load.d bus1=d.2.4 phases=1 kv=0.277 kw=20 kvar=5
New Capacitor.d bus1=d bus2=d.4.4.4 phases=3 kv=0.48 kvar=15
Set VoltageBases=[12.47 0.48]
CalcVoltageBases
Solve
"""


@pytest.fixture
def four(tmp_path: Path) -> Path:
    path = tmp_path / "four.dss"
    path.write_text(FEEDER)
    return path


def test_the_engine_has_them_whole(four):
    feeder = read_feeder(four)
    assert [feeder.buses.ids[k] for k in np.flatnonzero(feeder.buses.neutral)] == ["b", "c", "d"]
    told = feeder_facts(feeder, ()).agreement
    assert told.engine_pu < 1e-6
    assert 1e-3 < told.linear_pu < 3e-2  # what is left out, and told
    assert "3 buses have a neutral of their own" in told.remarks[0]


def test_columns_have_lines_reduced_to_their_phases(four):
    lines = read_feeder(four).lines
    z = R + 1j * X
    reduced = z[:3, :3] - z[:3, 3:] @ z[3:, :3] / z[3, 3]
    main = lines.ids.index("main")
    np.testing.assert_allclose(lines.r_ohm[main] + 1j * lines.x_ohm[main], 1.5 * reduced, atol=1e-9)
    assert lines.phases[main].all()


def test_what_is_drawn_between_phase_and_neutral_returns_there(four):
    feeder = read_feeder(four)
    scenario, plan = as_it_stands(feeder)
    engine = OpenDssEngine(scenario)
    seen = observed(engine, scenario, plan)
    assert seen.delivered_kw[0] == pytest.approx(seen.requested_kw[0], rel=1e-6)
    supplied = seen.der_p_kw[0].sum()
    assert supplied == pytest.approx(seen.delivered_kw[0] + seen.losses_kw[0], abs=1e-3)
    none = np.zeros(plan.p_kw.shape)
    told = Setpoints(
        index=np.zeros(1, np.int64),
        found=np.ones(1, bool),
        p_kw=none,
        q_kvar=none,
        source_v_pu=plan.source_v_pu,
    )
    drawn = engine.terminals(realize(scenario, np.zeros((1, 0))), told)
    assert (drawn.bus >= 0).all()
    with pytest.raises(ConfigError, match="bus b has a neutral of its own"):
        engine.networks()


@pytest.mark.parametrize("per_phase", [False, True])
def test_a_study_runs(four, per_phase):
    study = four.with_name("study.toml")
    study.write_text(
        '[feeder]\npath = "four.dss"\n[substation]\nlost = false\n'
        '[uncertainty]\nloads = ["b", "c"]\nspread = 0.2\n[limits]\nv_min_pu = 0.9\n'
        f"v_max_pu = 1.1\n[campaign]\nper_phase = {str(per_phase).lower()}\n"
    )
    scenario = load_study(study).scenario
    plan = make_planner("partitioning", {}).plan(scenario)
    assert plan.energized.all()
    draws = draw(scenario, 3, 0, 4)
    engine = OpenDssEngine(scenario)
    engine.hold(plan)
    seen = engine.observe(draws, make_recourse("linear", plan, scenario, 0).respond(draws))
    assert seen.converged.all()
    np.testing.assert_allclose(seen.delivered_kw, seen.requested_kw, rtol=1e-6)
    flow = opendss_flow(four, scenario.feeder)
    assert np.nanmax(np.abs(seen.v_pu - np.abs(flow))) < 2e-2


def test_more_than_a_neutral_is_refused_by_bus(four):
    more = "New Line.more phases=2 bus1=b.4.5 bus2=c.4.5 r1=1 x1=1 c1=0 c0=0\nSet VoltageB"
    four.write_text(FEEDER.replace("Set VoltageB", more))
    with pytest.raises(ConfigError, match="nodes 4, 5 stand beside") as caught:
        read_feeder(four)
    assert len(caught.value.faults) <= 3
