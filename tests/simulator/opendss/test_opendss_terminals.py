"""What each equipment draws at each node: against Kirchhoff's law and OpenDSS's own word."""

import numpy as np
import pytest
from gridproof.scenarios.errors import EngineError
from gridproof.scenarios.realization import realize
from gridproof.simulator.opendss.engine import OpenDssEngine
from gridproof.simulator.reader.feeder import read_feeder

pytestmark = pytest.mark.engine_thread


@pytest.fixture(scope="module")
def state(ieee37):
    """Engine, snapshot and terminals of one realization, a part of the feeder dead."""
    engine = OpenDssEngine(ieee37.scenario)
    engine.hold(ieee37.parts)
    draws = ieee37.draws(3).take(np.array([2]))
    told = ieee37.answer(ieee37.parts, draws)
    yield engine, engine.observe(draws, told), engine.terminals(draws, told), draws
    engine.close()


def test_all_draws_and_the_losses_cancel(state) -> None:
    _, seen, found, _ = state
    assert found.p_kw.sum() == pytest.approx(-seen.losses_kw[0], abs=1e-4)


def test_loads_draw_what_they_ask_and_ders_supply(state, ieee37) -> None:
    _, seen, found, draws = state
    kinds = np.array([name.partition(".")[0] for name in found.equipment])
    assert found.p_kw[kinds == "load"].sum() == pytest.approx(seen.delivered_kw[0], rel=1e-6)
    for k, name in enumerate(ieee37.scenario.ders.ids):
        mine = np.array([one == f"generator.{name}" for one in found.equipment])
        assert -found.p_kw[mine] == pytest.approx(seen.der_p_kw[0, k])
        assert -found.q_kvar[mine] == pytest.approx(seen.der_q_kvar[0, k])
    loads = ieee37.scenario.feeder.loads
    for k, name in enumerate(loads.ids):
        drawn = sum(p for p, one in zip(found.p_kw, found.equipment, strict=True)
                    if one == f"load.{name}")  # fmt: skip
        dead = np.isnan(seen.v_pu[0, loads.bus[k]]).any()
        asked = 0.0 if dead else draws.p_kw[0, 0, k].sum()
        assert drawn == pytest.approx(asked, abs=1e-6)


def test_a_delta_load_draws_at_its_nodes_what_opendss_says(state, ieee37) -> None:
    engine, seen, found, _ = state
    active = engine._circuit.active
    loads, buses = ieee37.scenario.feeder.loads, ieee37.scenario.feeder.buses
    compared = 0
    for k, name in enumerate(loads.ids):
        if np.isnan(seen.v_pu[0, loads.bus[k]]).any():
            continue
        active.SetActiveElement(f"Load.{name}")
        element = active.ActiveCktElement
        nodes = list(element.NodeOrder)
        powers = np.asarray(element.Powers, float).view(complex)
        for node, power in zip(nodes, powers, strict=False):
            if node == 0:
                continue
            (mine,) = [
                i for i, one in enumerate(found.equipment)
                if one == f"load.{name}" and found.phase[i] == node - 1
            ]  # fmt: skip
            assert buses.ids[found.bus[mine]] == buses.ids[loads.bus[k]]
            assert found.p_kw[mine] == pytest.approx(power.real, abs=1e-3)
            assert found.q_kvar[mine] == pytest.approx(power.imag, abs=1e-3)
            compared += 1
    assert compared > 30


def test_terminals_are_of_one_realization_and_a_held_plan(state, ieee37) -> None:
    engine, *_ = state
    draws = ieee37.draws(2)
    with pytest.raises(EngineError, match="of one realization; 2"):
        engine.terminals(draws, ieee37.answer(ieee37.parts, draws))


BANK = """\
Clear
New Circuit.bank basekv=4.16 pu=1.0 phases=3 bus1=a MVAsc3=2000 MVAsc1=2100
New Line.ab bus1=a bus2=b length=1 r1=0.3 x1=0.5 r0=0.6 x0=1.2 c1=0 c0=0 normamps=400
New Load.mill bus1=b phases=3 conn=wye kv=4.16 kw=300 kvar=150 model=1
New Capacitor.bank bus1=b phases=3 kv=4.16 kvar=120
Set VoltageBases=[4.16]
CalcVoltageBases
"""


def test_the_only_capacitor_draws_what_its_voltage_makes_of_its_rating(ieee37, tmp_path) -> None:
    path = tmp_path / "bank.dss"
    path.write_text(BANK, encoding="utf-8")
    scenario = ieee37.make_scenario(read_feeder(path), {"a": 600.0}, ("mill",))
    plan = ieee37.make_plan(scenario, set(), {"dera": 1.03})
    draws = realize(scenario, np.zeros((1, 1)))
    engine = OpenDssEngine(scenario)
    engine.hold(plan)
    told = ieee37.answer(plan, draws)
    seen, found = engine.observe(draws, told), engine.terminals(draws, told)
    engine.close()
    mine = np.array([name == "capacitor.bank" for name in found.equipment])
    b = scenario.feeder.buses.ids.index("b")
    assert found.bus[mine].tolist() == [b] * 3
    assert found.phase[mine].tolist() == [0, 1, 2]
    assert seen.v_pu[0, b].min() > 1.01  # so that its square is not 1
    np.testing.assert_allclose(found.q_kvar[mine], -40.0 * seen.v_pu[0, b] ** 2, rtol=1e-6)
    np.testing.assert_allclose(found.p_kw[mine], 0.0, atol=1e-6)
    assert found.p_kw.sum() == pytest.approx(-seen.losses_kw[0], abs=1e-4)
