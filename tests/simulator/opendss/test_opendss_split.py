"""Phases of a load that move apart: equal ones change nothing, others are loads of their own."""

from dataclasses import replace

import numpy as np
import pytest
from gridproof.scenarios.realization import realize, uniforms
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.setpoints import Setpoints
from gridproof.scenarios.sets import Box
from gridproof.simulator.opendss.engine import OpenDssEngine
from gridproof.simulator.reader.feeder import read_feeder

HEAD = """\
Clear
New Circuit.apart basekv=4.16 pu=1.0 phases=3 bus1=a MVAsc3=2000 MVAsc1=2100
New Linecode.three nphases=3 units=km
~ rmatrix=(0.20 | 0.05 0.20 | 0.05 0.05 0.20)
~ xmatrix=(0.40 | 0.15 0.40 | 0.15 0.15 0.40)
~ cmatrix=(0 | 0 0 | 0 0 0)
New Line.ab bus1=a.1.2.3 bus2=b.1.2.3 linecode=three length=0.5 units=km normamps=400
New Line.bc bus1=b.1.2.3 bus2=c.1.2.3 linecode=three length=0.7 units=km normamps=400 switch=yes
"""
TAIL = "\nSet VoltageBases=[4.16]\nCalcVoltageBases\n"
WHOLE = """
New Load.wye bus1=b.1.2.3 phases=3 conn=wye kV=4.16 kW=240 kvar=90 model={model}
New Load.delta bus1=c.1.2.3 phases=3 conn=delta kV=4.16 kW=180 kvar=60 model={model}
New Load.one bus1=c.2 phases=1 conn=wye kV=2.4018 kW=30 kvar=10 model={model}
"""
APART = """
New Load.wa bus1=b.1 phases=1 conn=wye kV=2.40177712 kW=80 kvar=30 model=1
New Load.wb bus1=b.2 phases=1 conn=wye kV=2.40177712 kW=80 kvar=30 model=1
New Load.wc bus1=b.3 phases=1 conn=wye kV=2.40177712 kW=80 kvar=30 model=1
New Load.dab bus1=c.1.2 phases=1 conn=delta kV=4.16 kW=60 kvar=20 model=1
New Load.dbc bus1=c.2.3 phases=1 conn=delta kV=4.16 kW=60 kvar=20 model=1
New Load.dca bus1=c.3.1 phases=1 conn=delta kV=4.16 kW=60 kvar=20 model=1
New Load.one bus1=c.2 phases=1 conn=wye kV=2.4018 kW=30 kvar=10 model=1
"""


@pytest.fixture
def study(tmp_path, tiny_scenario, tiny_plan):
    """A scenario over a written feeder, its plan, and set-points for a batch."""

    def make(name, text, load_ids, *, per_phase):
        path = tmp_path / f"{name}.dss"
        path.write_text(HEAD + text + TAIL)
        feeder = read_feeder(path)
        tiny = tiny_scenario(1, [], [0], der_kw=400.0)
        scenario = Scenario(
            name=name,
            feeder=feeder,
            ders=replace(tiny.ders, bus=np.array([feeder.buses.ids.index("a")])),
            hours=np.zeros(1),
            load_p_kw=feeder.loads.p_kw[None],
            load_q_kvar=feeder.loads.q_kvar[None],
            load_model=feeder.loads.model,
            uncertainty=Box(load_ids=load_ids, spread=np.full(len(load_ids), 0.4)),
            limits=tiny.limits,
            locked=np.zeros(len(feeder.switches), bool),
            shed_usd=np.ones(len(feeder.blocks.ids)),
            draws_per_phase=per_phase,
        )
        plan = tiny_plan(scenario, p_kw=150.0)
        return scenario, plan

    return make


def solve(scenario, plan, zeta):
    batch = realize(scenario, zeta)
    count = len(zeta)
    answer = Setpoints(
        index=batch.index,
        found=np.ones(count, bool),
        p_kw=np.tile(plan.p_kw[0], (count, 1, 1)),
        q_kvar=np.tile(plan.q_kvar[0], (count, 1, 1)),
        source_v_pu=np.tile(plan.source_v_pu[0], (count, 1)),
    )
    engine = OpenDssEngine(scenario)
    try:
        engine.hold(plan)
        return engine.observe(batch, answer)
    finally:
        engine.close()


def agree(one, other):
    assert one.converged.all()
    assert other.converged.all()
    for name in ("v_pu", "v_ll_pu", "current_a", "der_p_kw", "der_q_kvar", "losses_kw"):
        np.testing.assert_allclose(
            getattr(one, name), getattr(other, name), rtol=2e-6, atol=2e-6, err_msg=name
        )
    np.testing.assert_allclose(one.delivered_kw, other.delivered_kw, rtol=1e-6)
    np.testing.assert_allclose(one.requested_kw, other.requested_kw, rtol=1e-6)


def draws(count, width):
    return 2.0 * uniforms(3, 0, count, width) - 1.0


@pytest.mark.parametrize("model", [1, 2, 5])
def test_equal_phases_are_the_unsplit_circuit(study, model):
    text, ids = WHOLE.format(model=model), ("wye", "delta", "one")
    zeta = draws(5, 3) if model == 1 else np.zeros((1, 3))
    whole = solve(*study("whole", text, ids, per_phase=False), zeta)
    apart = solve(*study("apart", text, ids, per_phase=True), zeta[:, [0, 0, 0, 1, 1, 1, 2]])
    agree(whole, apart)


def test_unequal_phases_are_single_phase_loads_of_a_hand_written_feeder(study):
    zeta = draws(6, 7)
    scenario, plan = study("split", WHOLE.format(model=1), ("wye", "delta", "one"), per_phase=True)
    assert scenario.direction_ids == (
        "wye.a", "wye.b", "wye.c", "delta.ab", "delta.bc", "delta.ca", "one.b",
    )  # fmt: skip
    split = solve(scenario, plan, zeta)
    names = ("wa", "wb", "wc", "dab", "dbc", "dca", "one")
    written = solve(*study("written", APART, names, per_phase=False), zeta)
    agree(split, written)
    unbalance = np.ptp(split.v_pu[:, scenario.feeder.buses.ids.index("c")], axis=1)
    assert unbalance.max() > 1e-3


def test_batches_change_no_bit(study):
    scenario, plan = study("bits", WHOLE.format(model=1), ("wye", "delta"), per_phase=True)
    zeta = draws(9, 6)
    whole = solve(scenario, plan, zeta)
    parts = [solve(scenario, plan, zeta[k : k + 4]) for k in (0, 4, 8)]
    assert np.concatenate([p.v_pu for p in parts]).tobytes() == whole.v_pu.tobytes()
    assert np.concatenate([p.der_p_kw for p in parts]).tobytes() == whole.der_p_kw.tobytes()
