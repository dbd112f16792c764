"""What is dead or joined to nothing decides nothing: the live part solves as if it stood alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gridproof.federation.studies.study import Study, load_study
from gridproof.optimizer.planner import make_planner
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.realization import Realizations, realize
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.setpoints import Setpoints
from gridproof.scenarios.snapshot import Snapshots
from gridproof.scenarios.verdict import Outcome, judge
from gridproof.simulator.engine import Engine
from gridproof.simulator.linear.engine import LinearEngine
from gridproof.simulator.opendss.engine import OpenDssEngine

CIRCUIT = """clear
new circuit.afloat basekv=4.16 pu=1.0 bus1=head r1=0.001 x1=0.01 r0=0.001 x0=0.01
new line.gate bus1=head bus2=one switch=yes r1=1e-3 x1=1e-3 r0=1e-3 x0=1e-3 c1=0 c0=0 length=0.001
new line.one-two bus1=one bus2=two r1=0.3 x1=0.6 r0=0.9 x0=1.8 c1=0 c0=0 length=0.3 normamps=400
new line.tie bus1=two bus2=far switch=yes r1=1e-3 x1=1e-3 r0=1e-3 x0=1e-3 c1=0 c0=0 length=0.001
~ normamps=400
new line.far-end bus1=far bus2=end r1=0.3 x1=0.6 r0=0.9 x0=1.8 c1=0 c0=0 length=0.3 normamps=400
new load.near bus1=one phases=3 kv=4.16 kw=90 kvar=30
new load.side bus1=two.1 phases=1 kv=2.4 kw=60 kvar=20
new load.end bus1=end.1.2.3 phases=3 conn=delta kv=4.16 kw=120 kvar=40
{more}
set voltagebases=[4.16 0.48]
calcvoltagebases
{bases}
solve
"""

STUDY = """[feeder]
path = "feeder.dss"
locked_open = ["gate"]
[ders.fleet]
big = { bus = "two", capacity_kw = 300 }
small = { bus = "end", capacity_kw = 200 }
[uncertainty]
loads = ["side", "end"]
spread = 0.2
"""

_LINE = "new line.alone bus1=z1 bus2=z2 r1=0.3 x1=0.6 r0=0.9 x0=1.8 c1=0 c0=0 length=1"
AFLOAT = {
    "line": _LINE,
    "line of one phase": "new line.alone phases=1 bus1=z1.2 bus2=z2.2 r1=0.3 x1=0.6 c1=0 c0=0",
    "line with a load": f"{_LINE}\nnew load.lost bus1=z2 kv=4.16 kw=10",
    "line with a capacitor": f"{_LINE}\nnew capacitor.lost bus1=z2 kv=4.16 kvar=10 conn=delta",
    "two lines": f"{_LINE}\nnew line.more bus1=z2 bus2=z3 r1=0.3 x1=0.6 c1=0 c0=0 length=1",
    "delta-delta unit": f"{_LINE}\nnew transformer.lost windings=2 buses=[z2 z3] "
    "conns=[delta delta] kvs=[4.16 0.48] kvas=[100 100] xhl=4",
    "delta-wye unit with a load": f"{_LINE}\nnew transformer.lost windings=2 buses=[z2 z3] "
    "conns=[delta wye] kvs=[4.16 0.48] kvas=[100 100] xhl=4\n"
    "new load.lost bus1=z3 kv=0.48 kw=10",
    "lines behind an open one": "new line.cut bus1=end bus2=z1 r1=0.3 x1=0.6 c1=0 c0=0 length=1\n"
    f"{_LINE}\nopen line.cut 1\nopen line.cut 2",
}


def _study(folder: Path, more: str) -> Study:
    # no voltage reaches a floating part, from which its base could be found
    bases = "setkvbase bus=z3 kvll=0.48" if "0.48" in more else ""
    (folder / "feeder.dss").write_text(CIRCUIT.format(more=more, bases=bases))
    (folder / "study.toml").write_text(STUDY)
    return load_study(folder / "study.toml")


def _observe(engine: Engine, scenario: Scenario, plan: Plan) -> tuple[Realizations, Snapshots]:
    draws = realize(scenario, np.array([[0.0, 0.0], [1.0, -1.0], [-0.5, 1.0]]))
    count = len(draws)
    told = Setpoints(
        index=draws.index,
        found=np.ones(count, bool),
        p_kw=np.repeat(plan.p_kw, count, axis=0),
        q_kvar=np.repeat(plan.q_kvar, count, axis=0),
        source_v_pu=np.repeat(plan.source_v_pu, count, axis=0),
    )
    engine.hold(plan)
    return draws, engine.observe(draws, told)


@pytest.mark.parametrize("kind", [OpenDssEngine, LinearEngine])
@pytest.mark.parametrize("more", AFLOAT.values(), ids=AFLOAT)
def test_the_live_part_solves_as_if_it_stood_alone(tmp_path, kind, more) -> None:
    alone = _study(tmp_path, "")
    plan = make_planner("partitioning", {}).plan(alone.scenario)
    engine = kind(alone.scenario)
    _, wanted = _observe(engine, alone.scenario, plan)
    engine.close()
    assert wanted.converged.all()

    beside = _study(tmp_path, more).scenario
    plan = make_planner("partitioning", {}).plan(beside)
    engine = kind(beside)
    draws, found = _observe(engine, beside, plan)
    engine.close()
    assert found.converged.all()
    mine = [beside.feeder.buses.ids.index(bus) for bus in alone.scenario.feeder.buses.ids]
    np.testing.assert_allclose(found.v_pu[:, mine], wanted.v_pu, atol=1e-9)
    others = np.setdiff1d(np.arange(len(beside.feeder.buses.ids)), mine)
    assert np.isnan(found.v_pu[:, others]).all()
    np.testing.assert_allclose(found.delivered_kw, wanted.delivered_kw, atol=1e-5)
    outcome = judge(found, plan, beside).outcome[:1]  # the nominal load: nothing to re-dispatch
    assert (outcome == Outcome.FEASIBLE).all()
    assert draws.p_kw.shape[2] == len(beside.feeder.loads.ids)


@pytest.mark.parametrize("kind", [OpenDssEngine, LinearEngine])
def test_a_part_that_was_dead_comes_back_to_the_last_bit(tmp_path, kind) -> None:
    """Lines of dead parts are opened, and closed again with the part."""
    scenario = _study(tmp_path, _LINE).scenario
    whole = make_planner("partitioning", {}).plan(scenario)
    tie = scenario.feeder.switch_ids.index("tie")
    half = replace(
        whole,
        closed=np.array([[k != tie and on for k, on in enumerate(whole.closed[0])]]),
        energized=np.array([[name == "one" for name in scenario.feeder.blocks.ids]]),
        grid_forming=np.array([[True, False]]),
        source_v_pu=np.array([[1.0, np.nan]]),
    )
    engine = kind(scenario)
    _, first = _observe(engine, scenario, whole)
    _, between = _observe(engine, scenario, half)
    _, again = _observe(engine, scenario, whole)
    engine.close()
    end = scenario.feeder.buses.ids.index("end")
    assert np.isnan(between.v_pu[:, end]).all()
    assert np.isfinite(between.v_pu[:, scenario.feeder.buses.ids.index("two")]).all()
    np.testing.assert_array_equal(first.v_pu, again.v_pu)
