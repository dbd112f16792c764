"""The linear engine: LinDist3Flow by hand on a tiny feeder, and the laws of every engine."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from gridproof.scenarios.errors import EngineError
from gridproof.scenarios.feeder import Capacitors, Connection
from gridproof.scenarios.lindist import line_matrices
from gridproof.scenarios.load_models import LoadModel
from gridproof.scenarios.realization import draw, realize
from gridproof.scenarios.setpoints import Setpoints
from gridproof.simulator.engine import Engine
from gridproof.simulator.linear.engine import LinearEngine
from gridproof.simulator.reader.feeder import read_feeder


def setpoints(plan, realizations, time=0) -> Setpoints:
    count = len(realizations)
    return Setpoints(
        index=realizations.index,
        found=np.ones(count, bool),
        p_kw=np.tile(plan.p_kw[time], (count, 1, 1)),
        q_kvar=np.tile(plan.q_kvar[time], (count, 1, 1)),
        source_v_pu=np.tile(plan.source_v_pu[time], (count, 1)),
    )


def observe(scenario, plan, realizations):
    engine = LinearEngine(scenario)
    engine.hold(plan)
    return engine.observe(realizations, setpoints(plan, realizations))


def nominal(scenario):
    return realize(scenario, np.zeros((1, scenario.uncertainty.size)))


def test_it_is_an_engine(tiny_scenario):
    assert isinstance(LinearEngine(tiny_scenario()), Engine)


def test_one_block_by_hand(tiny_scenario, tiny_plan):
    """One line, one load: the receiving w falls by Mp p + Mq q; the former supplies the load."""
    scenario = tiny_scenario(1, (), ders=(0,))
    plan = tiny_plan(scenario, v_pu=1.02)
    seen = observe(scenario, plan, nominal(scenario))
    lines, base = scenario.feeder.lines, 2.4**2
    Mp, Mq = line_matrices(lines.r_ohm[0] / base, lines.x_ohm[0] / base)
    w = 1.02**2 + Mp @ np.full(3, 0.010) + Mq @ np.full(3, 0.005)
    np.testing.assert_allclose(seen.v_pu[0, 0], 1.02)
    np.testing.assert_allclose(seen.v_pu[0, 1], np.sqrt(w))
    assert (w < 1.02**2).all()
    np.testing.assert_allclose(seen.der_p_kw[0, 0], 10.0)
    np.testing.assert_allclose(seen.der_q_kvar[0, 0], 5.0)
    amps = np.hypot(10.0, 5.0) / (np.sqrt(w) * 2.4)
    np.testing.assert_allclose(seen.current_a[0, 0], amps)
    assert seen.delivered_kw[0] == seen.requested_kw[0] == pytest.approx(30.0)
    assert seen.losses_kw[0] == 0.0


def test_the_former_takes_up_the_mismatch_per_phase(tiny_scenario, tiny_plan):
    scenario = tiny_scenario(3)
    plan = tiny_plan(scenario, p_kw=4.0, q_kvar=1.0)
    many = draw(scenario, 7, 0, 20)
    seen = observe(scenario, plan, many)
    asked = many.p_kw[:, 0].sum(axis=1)
    np.testing.assert_allclose(seen.der_p_kw[:, 0], asked - 4.0)
    np.testing.assert_allclose(seen.der_p_kw[:, 1], 4.0)
    np.testing.assert_allclose(seen.der_q_kvar[:, 0], many.q_kvar[:, 0].sum(axis=1) - 1.0)
    assert seen.converged.all()


def test_what_others_make_at_the_forming_bus_is_not_the_formers(tiny_scenario, tiny_plan):
    """Two DERs at one bus, one forms: it supplies what the other does not make there."""
    apart = tiny_scenario(3)
    scenario = replace(apart, ders=replace(apart.ders, bus=np.zeros(2, int)))
    for forming in ([True, False], [False, True]):
        plan = tiny_plan(scenario, forming=forming, p_kw=4.0, q_kvar=1.0)
        many = draw(scenario, 7, 0, 5)
        seen = observe(scenario, plan, many)
        held, other = (0, 1) if forming[0] else (1, 0)
        np.testing.assert_allclose(seen.der_p_kw[:, other], 4.0)
        np.testing.assert_allclose(seen.der_p_kw[:, held], many.p_kw[:, 0].sum(axis=1) - 4.0)
        np.testing.assert_allclose(seen.der_q_kvar[:, held], many.q_kvar[:, 0].sum(axis=1) - 1.0)


def test_dead_is_nan_draws_nothing_and_supplies_nothing(tiny_scenario, tiny_plan):
    scenario = tiny_scenario(3)
    plan = tiny_plan(scenario, closed=(True, False), energized=(True, True, False))
    seen = observe(scenario, plan, nominal(scenario))
    assert np.isnan(seen.v_pu[0, 4:]).all()
    assert np.isnan(seen.v_ll_pu[0, 4:]).all()
    assert not np.isnan(seen.v_pu[0, :4]).any()
    assert not seen.current_a[0, 2].any()
    assert not seen.current_a[0, 4].any()
    assert not seen.der_p_kw[0, 1].any()
    assert seen.delivered_kw[0] == pytest.approx(60.0)


def test_two_islands_each_hold_their_own_magnitude(tiny_scenario, tiny_plan):
    scenario = tiny_scenario(2, ((0, 1),))
    plan = tiny_plan(scenario, closed=(False,), forming=(True, True))
    plan = replace(plan, source_v_pu=np.array([[0.98, 1.04]]))
    seen = observe(scenario, plan, nominal(scenario))
    np.testing.assert_allclose(seen.v_pu[0, 0], 0.98)
    np.testing.assert_allclose(seen.v_pu[0, 2], 1.04)
    np.testing.assert_allclose(seen.der_p_kw[0], 10.0)


def test_of_two_formers_in_one_island_the_first_holds(tiny_scenario, tiny_plan):
    scenario = tiny_scenario(2, ((0, 1),))
    plan = tiny_plan(scenario, forming=(True, True), p_kw=6.0)
    seen = observe(scenario, plan, nominal(scenario))
    np.testing.assert_allclose(seen.der_p_kw[0, 1], 6.0)
    np.testing.assert_allclose(seen.der_p_kw[0, 0], 14.0)


def test_load_models_follow_the_voltage(tiny_scenario, tiny_plan):
    """At every fixed point the load served is the model's own at the voltage found."""
    scenario = tiny_scenario(1, (), ders=(0,), load_kw=150.0)
    plan = tiny_plan(scenario)
    served = {}
    for model in LoadModel:
        case = replace(scenario, load_model=(model,))
        seen = observe(case, plan, nominal(case))
        w = seen.v_pu[0, 1] ** 2
        p, q = seen.der_p_kw[0, 0], seen.der_q_kvar[0, 0]
        expected = {
            LoadModel.CONSTANT_POWER: (w * 0 + 1, w * 0 + 1),
            LoadModel.CONSTANT_IMPEDANCE: (w, w),
            LoadModel.CONSTANT_CURRENT: ((w + 1) / 2, (w + 1) / 2),
            LoadModel.VOLTAGE_REDUCTION: ((w + 1) / 2, w),
        }[model]
        np.testing.assert_allclose(p, 150.0 * expected[0], rtol=1e-10)
        np.testing.assert_allclose(q, 75.0 * expected[1], rtol=1e-10)
        served[model] = p.sum()
    assert served[LoadModel.CONSTANT_IMPEDANCE] < served[LoadModel.CONSTANT_CURRENT]
    assert served[LoadModel.CONSTANT_CURRENT] < served[LoadModel.CONSTANT_POWER]


@pytest.mark.parametrize("connection", list(Connection))
def test_a_capacitor_makes_b_times_w(tiny_scenario, tiny_plan, connection):
    scenario = tiny_scenario(1, (), ders=(0,))
    bank = Capacitors(
        ids=("c",), bus=np.array([1]), connection=(connection,), q_kvar=np.full((1, 3), 30.0)
    )
    scenario = replace(scenario, feeder=replace(scenario.feeder, capacitors=bank))
    seen = observe(scenario, tiny_plan(scenario), nominal(scenario))
    made = 30.0 * seen.v_pu[0, 1] ** 2
    np.testing.assert_allclose(seen.der_q_kvar[0, 0], 5.0 - made, rtol=1e-10)
    np.testing.assert_allclose(seen.der_p_kw[0, 0], 10.0)


def test_a_realization_alone_is_the_same_to_the_last_bit(tiny_scenario, tiny_plan):
    scenario = replace(tiny_scenario(3), load_model=(LoadModel.CONSTANT_CURRENT,) * 3)
    plan = tiny_plan(scenario)
    engine = LinearEngine(scenario)
    engine.hold(plan)
    batch = draw(scenario, 3, 0, 32)
    together = engine.observe(batch, setpoints(plan, batch))
    for k in (31, 0, 17):
        one = draw(scenario, 3, k, 1)
        alone = engine.observe(one, setpoints(plan, one))
        for name in ("v_pu", "v_ll_pu", "current_a", "der_p_kw", "der_q_kvar", "delivered_kw"):
            np.testing.assert_array_equal(getattr(alone, name)[0], getattr(together, name)[k])


def test_no_solution_is_a_value(tiny_scenario, tiny_plan):
    scenario = tiny_scenario(1, (), ders=(0,), load_kw=50_000.0)
    seen = observe(scenario, tiny_plan(scenario), nominal(scenario))
    assert not seen.converged[0]


def test_refusals(tiny_scenario, tiny_plan):
    scenario = tiny_scenario(3, ((0, 1), (1, 2), (0, 2)))
    engine = LinearEngine(scenario)
    batch = nominal(scenario)
    plan = tiny_plan(scenario)
    with pytest.raises(EngineError, match="no plan is held"):
        engine.observe(batch, setpoints(plan, batch))
    with pytest.raises(EngineError, match="loop"):
        engine.hold(plan)
    engine.hold(tiny_plan(scenario, closed=(True, True, False)))
    with pytest.raises(EngineError, match="same order"):
        engine.observe(batch, setpoints(plan, draw(scenario, 1, 5, 1)))
    with pytest.raises(EngineError, match="read the plan for this scenario"):
        engine.hold(tiny_plan(tiny_scenario(2)))
    engine.close()
    with pytest.raises(EngineError, match="no plan is held"):
        engine.observe(batch, setpoints(plan, batch))


UNIT = """
Clear
New Circuit.tiny bus1=s basekv=4.16 MVAsc3=1e7 MVAsc1=1e7
New Transformer.t phases=3 windings=2 xhl=4 %loadloss=1
~ buses=(s y) conns=({one} {other}) kvs=(4.16 0.48) kvas=(300 300)
~ wdg=2 tap=1.025
New Load.a bus1=y.1 phases=1 kv=0.277 kw=10 kvar=4 vminpu=0.5 vmaxpu=1.5
New Load.bc bus1=y.2.3 phases=1 conn=delta kv=0.48 kw=12 kvar=5 vminpu=0.5 vmaxpu=1.5
New Load.c bus1=y.3 phases=1 kv=0.277 kw=15 kvar=3 vminpu=0.5 vmaxpu=1.5
Set VoltageBases=[4.16 0.48]
CalcVoltageBases
Solve
"""


@pytest.mark.parametrize("lead", ["", "~ LeadLag=Lead"])
@pytest.mark.parametrize(("one", "other"), [("wye", "wye"), ("delta", "wye")])
def test_transformer_connections_and_taps_against_opendss(
    one, other, lead, *, tmp_path, opendss_voltages, solve_feeder
):
    path = tmp_path / "unit.dss"
    path.write_text(UNIT.format(one=one, other=other).replace("~ wdg=2", f"{lead}\n~ wdg=2"))
    feeder = read_feeder(path)
    assert feeder.transformers.ratio[0] == pytest.approx(1 / 1.025)
    assert bool(feeder.transformers.lagging[0]) == (one == "delta" and not lead)
    flow, v = solve_feeder(feeder), np.abs(opendss_voltages(path, feeder))
    at = feeder.buses.ids.index("y")
    assert np.ptp(v[at]) > 2e-3  # unbalanced enough to tell one phase from another
    np.testing.assert_allclose(flow.v_pu[at], v[at], atol=2e-4)
    assert flow.transformer_kva[0] == pytest.approx(np.hypot(37, 12), rel=1e-6)
    np.testing.assert_allclose(flow.held_kw.sum(), 37.0)
