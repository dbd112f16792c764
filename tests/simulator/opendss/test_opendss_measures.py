"""What the engine measures against what OpenDSS itself reports for the same solved circuit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import opendssdirect
import pytest
from gridproof.scenarios.load_models import LoadModel
from gridproof.scenarios.realization import Realizations
from gridproof.simulator.opendss.engine import OpenDssEngine

pytestmark = pytest.mark.engine_thread

MODELS = tuple(LoadModel)


@pytest.fixture(params=["whole", "parts"])
def solved(request, ieee37):
    """An engine that has just solved one realization, the plan, and its snapshot."""
    plan = getattr(ieee37, request.param)
    engine = OpenDssEngine(ieee37.scenario)
    engine.hold(plan)
    one = ieee37.draws(1, first=5)
    seen = engine.observe(one, ieee37.answer(plan, one))
    assert seen.converged.all()
    yield ieee37.scenario, plan, engine._circuit.active, seen
    engine.close()


def activate(active, name: str):
    active.SetActiveElement(name)
    return active.ActiveCktElement


def test_voltages_are_those_opendss_reports(solved) -> None:
    scenario, _, active, seen = solved
    reported = dict(zip(active.AllNodeNames, active.AllBusVmagPu, strict=True))
    live = 0
    for k, bus in enumerate(scenario.feeder.buses.ids):
        for phase in range(3):
            if not np.isnan(seen.v_pu[0, k, phase]):
                live += 1
                assert seen.v_pu[0, k, phase] == pytest.approx(
                    reported[f"{bus}.{phase + 1}"], rel=1e-12
                )
    assert live > 60


def test_line_to_line_voltages_follow_from_the_complex_ones(solved) -> None:
    scenario, _, active, seen = solved
    for k, bus in enumerate(scenario.feeder.buses.ids):
        if np.isnan(seen.v_ll_pu[0, k]).all():
            continue
        active.SetActiveBus(bus)
        v = np.asarray(active.ActiveBus.puVoltages).view(complex)
        np.testing.assert_allclose(
            seen.v_ll_pu[0, k], np.abs(v - np.roll(v, -1)) / np.sqrt(3.0), rtol=1e-10
        )


def test_line_currents_are_those_opendss_reports(solved) -> None:
    scenario, plan, active, seen = solved
    opened = {n for n, shut in zip(plan.switch_ids, plan.closed[0], strict=True) if not shut}
    for k, name in enumerate(scenario.feeder.lines.ids):
        element = activate(active, f"line.{name}")
        magnitudes = np.asarray(element.CurrentsMagAng)[::2].reshape(2, -1).max(axis=0)
        expected = np.zeros(3)
        expected[np.asarray(element.NodeOrder)[: len(magnitudes)] - 1] = magnitudes
        bus = scenario.feeder.lines.from_bus[k]
        if name in opened or np.isnan(seen.v_pu[0, bus]).all():
            assert not seen.current_a[0, k].any()
        else:
            np.testing.assert_allclose(seen.current_a[0, k], expected, rtol=1e-7, atol=1e-6)


def test_transformer_power_is_what_opendss_reports(solved) -> None:
    scenario, _, active, seen = solved
    for k, name in enumerate(scenario.feeder.transformers.ids):
        if np.isnan(seen.v_pu[0, scenario.feeder.transformers.from_bus[k]]).all():
            assert seen.transformer_kva[0, k] == 0.0
            continue
        powers = np.asarray(activate(active, f"transformer.{name}").Powers).view(complex)
        sides = np.abs(powers.reshape(2, -1).sum(axis=1))
        assert seen.transformer_kva[0, k] == pytest.approx(sides.max(), rel=1e-6, abs=1e-7)


def test_forming_output_is_the_sources_own_power(solved) -> None:
    scenario, plan, active, seen = solved
    for k in np.flatnonzero(plan.grid_forming[0]):
        powers = np.asarray(activate(active, f"vsource.gridproof_former_{k}").Powers)
        supplied = -powers.view(complex)[:3]
        np.testing.assert_allclose(seen.der_p_kw[0, k], supplied.real, rtol=1e-6, atol=1e-4)
        np.testing.assert_allclose(seen.der_q_kvar[0, k], supplied.imag, rtol=1e-6, atol=1e-4)
    assert scenario.ders.can_form.all()


def test_losses_are_the_circuits_own(solved) -> None:
    _, _, active, seen = solved
    assert seen.losses_kw[0] == pytest.approx(active.Losses[0] / 1000.0, rel=1e-5)


@pytest.mark.parametrize("forming", ["der701", "der705"])
def test_what_others_make_at_the_forming_bus_is_not_the_formers(ieee37, forming: str) -> None:
    """Two DERs at one bus, one forms: it supplies what the other does not make there."""
    apart = ieee37.scenario
    at = apart.ders.bus.copy()
    at[1] = at[0]
    scenario = replace(apart, ders=replace(apart.ders, bus=at))
    plan, draws = replace_former(ieee37, scenario, forming), ieee37.draws(5)
    engine = OpenDssEngine(scenario)
    engine.hold(plan)
    seen = engine.observe(draws, ieee37.answer(plan, draws))
    held, other = (0, 1) if forming == "der701" else (1, 0)
    np.testing.assert_allclose(seen.der_p_kw[:, other], plan.p_kw[0, other][None].repeat(5, 0))
    supplied = seen.der_p_kw.sum(axis=(1, 2))
    np.testing.assert_allclose(supplied, seen.requested_kw + seen.losses_kw, rtol=1e-6)
    for part, told in (("p_kw", seen.der_p_kw), ("q_kvar", seen.der_q_kvar)):
        # the same DERs, none of which makes anything at the forming bus
        idle = {part: getattr(ieee37.answer(plan, draws), part).copy()}
        idle[part][:, other] = 0.0
        engine.hold(plan)
        without = engine.observe(draws, ieee37.answer(plan, draws, **idle))
        seen_of = {"p_kw": without.der_p_kw, "q_kvar": without.der_q_kvar}[part]
        moved = seen_of[:, held] - told[:, held]
        np.testing.assert_allclose(
            moved, getattr(plan, part)[0, other][None].repeat(5, 0), rtol=1e-6, atol=1e-4
        )
    engine.close()


def replace_former(ieee37, scenario, forming: str):
    """The whole network as one island with another DER forming."""
    feeder = scenario.feeder
    closed = {
        name for name, shut in zip(feeder.switch_ids, ieee37.whole.closed[0], strict=True) if shut
    }
    live = {
        name for name, on in zip(feeder.blocks.ids, ieee37.whole.energized[0], strict=True) if on
    }
    return ieee37.make_plan(scenario, closed, {forming: 1.02}, energized=live)


@pytest.mark.parametrize("name", ["whole", "parts"])
def test_supply_is_load_and_losses(ieee37, name: str) -> None:
    plan, draws = getattr(ieee37, name), ieee37.draws(40)
    engine = OpenDssEngine(ieee37.scenario)
    engine.hold(plan)
    seen = engine.observe(draws, ieee37.answer(plan, draws))
    supplied = seen.der_p_kw.sum(axis=(1, 2))
    np.testing.assert_allclose(supplied, seen.requested_kw + seen.losses_kw, rtol=1e-6)
    np.testing.assert_allclose(seen.delivered_kw, seen.requested_kw, rtol=1e-7)
    engine.close()


def test_voltages_are_those_of_a_circuit_made_by_hand(ieee37) -> None:
    """The same islands written as plain OpenDSS text, solved at a tighter tolerance."""
    scenario, plan = ieee37.scenario, ieee37.parts
    draws = ieee37.draws(1, first=9)
    dss = opendssdirect.NewContext()
    dss.Basic.AllowChangeDir(False)
    text = dss.Text.Command
    text(f'compile "{scenario.feeder.path}"')
    text("set controlmode=off tolerance=1e-11 maxiterations=500")
    text("batchedit load..* model=1 vminpu=0.3 vmaxpu=1.7 vlowpu=0.2")
    for name, shut in zip(plan.switch_ids, plan.closed[0], strict=True):
        text(f"{'close' if shut else 'open'} line.{name} 1")
        text(f"{'close' if shut else 'open'} line.{name} 2")
    live = plan.energized[0][scenario.feeder.blocks.of_bus]
    for k, name in enumerate(scenario.feeder.loads.ids):
        alive = live[scenario.feeder.loads.bus[k]]
        text(f"load.{name}.kw={draws.p_kw[0, 0, k].sum() * alive:.12f}")
        text(f"load.{name}.kvar={draws.q_kvar[0, 0, k].sum() * alive:.12f}")
    for k, bus in enumerate(scenario.feeder.buses.ids[b] for b in scenario.ders.bus):
        if plan.grid_forming[0, k]:
            text(f"new vsource.s{k} bus1={bus} basekv=4.8 pu={plan.source_v_pu[0, k]} "
                 "r1=0 x1=1e-6 r0=0 x0=1e-6")  # fmt: skip
        elif live[scenario.ders.bus[k]]:
            for phase in (1, 2, 3):
                p, q = plan.p_kw[0, k, phase - 1], plan.q_kvar[0, k, phase - 1]
                text(f"new load.g{k}{phase} bus1={bus}.{phase} phases=1 conn=wye model=1 "
                     f"kv={4.8 / 3**0.5} kw={-p} kvar={-q} vminpu=0.3 vmaxpu=1.7")  # fmt: skip
    text("open vsource.source 1")
    dss.Solution.Solve()
    assert dss.Solution.Converged()
    engine = OpenDssEngine(scenario)
    engine.hold(plan)
    seen = engine.observe(draws, ieee37.answer(plan, draws))
    for k, bus in enumerate(scenario.feeder.buses.ids):
        if live[k]:
            dss.Circuit.SetActiveBus(bus)
            by_hand = np.array(dss.Bus.PuVoltage())
            np.testing.assert_allclose(
                seen.v_pu[0, k], np.hypot(by_hand[::2], by_hand[1::2]), atol=1e-6
            )
        else:
            assert np.isnan(seen.v_pu[0, k]).all()
    engine.close()


@pytest.mark.parametrize("model", MODELS)
def test_every_load_model_is_asked_and_served_alike(ieee37, model: LoadModel) -> None:
    """Served by Kirchhoff's law at the loads' nodes, asked for by the model at the voltages."""
    feeder = ieee37.scenario.feeder
    scenario = ieee37.make_scenario(
        feeder,
        {"701": 460, "720": 160, "738": 420},
        ("s728",),
        load_model=(model,) * len(feeder.loads.ids),
    )
    plan = ieee37.make_plan(
        scenario,
        {"702-705", "702-713", "702-703", "703-727", "708-709", "734-737"},
        {"der701": 0.97},
        energized=set(feeder.blocks.ids) - {"sourcebus"},
    )
    engine = OpenDssEngine(scenario)
    engine.hold(plan)
    nominal = Realizations(
        index=np.array([0]),
        zeta=np.zeros((1, 1)),
        p_kw=scenario.load_p_kw[None],
        q_kvar=scenario.load_q_kvar[None],
    )
    seen = engine.observe(nominal, ieee37.answer(plan, nominal))
    assert seen.converged.all()
    np.testing.assert_allclose(seen.delivered_kw, seen.requested_kw, rtol=1e-6)
    follows = model is not LoadModel.CONSTANT_POWER
    assert (seen.requested_kw[0] < 0.99 * scenario.load_p_kw.sum()) == follows
    powers = np.asarray(activate(engine._circuit.active, "vsource.gridproof_former_0").Powers).view(
        complex
    )[:3]
    np.testing.assert_allclose(seen.der_p_kw[0, 0], -powers.real, rtol=1e-6, atol=1e-4)
    np.testing.assert_allclose(seen.der_q_kvar[0, 0], -powers.imag, rtol=1e-6, atol=1e-4)
    engine.close()
