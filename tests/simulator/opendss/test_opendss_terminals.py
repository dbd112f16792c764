"""What each equipment draws at each node: against Kirchhoff's law and OpenDSS's own word."""

import numpy as np
import pytest
from gridproof.scenarios.errors import EngineError
from gridproof.simulator.opendss.engine import OpenDssEngine

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
