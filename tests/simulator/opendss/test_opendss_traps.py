"""Every trap OpenDSS has set us, sprung on purpose."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import opendssdirect
import pytest
from gridproof.scenarios.errors import ConfigError, EngineError
from gridproof.scenarios.feeder import Feeder
from gridproof.scenarios.realization import Realizations
from gridproof.scenarios.verdict import Outcome, judge
from gridproof.simulator.opendss.circuit import DssCircuit
from gridproof.simulator.opendss.engine import OpenDssEngine
from gridproof.simulator.reader.feeder import read_feeder

pytestmark = pytest.mark.engine_thread


@pytest.fixture(scope="module")
def engine(ieee37):
    engine = OpenDssEngine(ieee37.scenario)
    yield engine
    engine.close()


def times(realizations: Realizations, factor: float) -> Realizations:
    return Realizations(
        index=realizations.index,
        zeta=realizations.zeta,
        p_kw=realizations.p_kw * factor,
        q_kvar=realizations.q_kvar * factor,
    )


def test_twenty_times_the_load_has_no_solution(ieee37, engine) -> None:
    """With OpenDSS's own voltage band the same overload 'converges'."""
    plan, draws = ieee37.whole, times(ieee37.draws(2), 20.0)
    engine.hold(plan)
    seen = engine.observe(draws, ieee37.answer(plan, draws))
    assert not seen.converged.any()
    assert np.isnan(seen.v_pu).all()
    assert (judge(seen, plan, ieee37.scenario).outcome == Outcome.NO_SOLUTION).all()
    dss = opendssdirect.NewContext()
    dss.Basic.AllowChangeDir(False)
    dss.Text.Command(f'compile "{ieee37.feeder_path}"')
    dss.Text.Command("set controlmode=off loadmult=20")
    dss.Text.Command("close line.799r-701 1")
    dss.Solution.Solve()
    assert dss.Solution.Converged()


def test_a_wholly_dead_circuit_is_nan_although_converged(ieee37, engine) -> None:
    plan = ieee37.make_plan(ieee37.scenario, set(), {}, energized=set())
    draws = ieee37.draws(3)
    engine.hold(plan)
    seen = engine.observe(draws, ieee37.answer(plan, draws))
    assert seen.converged.all()
    assert np.isnan(seen.v_pu).all()
    assert np.isnan(seen.v_ll_pu).all()
    for name in ("current_a", "transformer_kva", "der_p_kw", "delivered_kw", "requested_kw"):
        assert not getattr(seen, name).any()


def test_a_block_the_plan_calls_live_but_nothing_feeds_has_no_solution(ieee37, engine) -> None:
    """The engine finds out what is live; the plan's word is not taken for it."""
    plan = ieee37.make_plan(
        ieee37.scenario, {"702-703"}, {"der701": 1.0}, energized={"701", "703", "705"}
    )
    draws = ieee37.draws(1)
    engine.hold(plan)
    seen = engine.observe(draws, ieee37.answer(plan, draws))
    assert np.isnan(seen.v_pu[0, ieee37.scenario.feeder.buses.ids.index("705")]).all()
    assert judge(seen, plan, ieee37.scenario).outcome[0] == Outcome.NO_SOLUTION


def test_two_sources_in_one_island_are_both_held_to_account(ieee37, engine) -> None:
    plan = ieee37.make_plan(
        ieee37.scenario,
        {"702-705", "702-713", "702-703", "703-727", "708-709", "734-737"},
        {"der701": 1.02, "der738": 1.0},
        energized=set(ieee37.scenario.feeder.blocks.ids) - {"sourcebus"},
    )
    draws = ieee37.draws(4)
    engine.hold(plan)
    seen = engine.observe(draws, ieee37.answer(plan, draws))
    formers = np.flatnonzero(plan.grid_forming[0])
    for k in formers:
        engine._circuit.active.SetActiveElement(f"vsource.gridproof_former_{k}")
        powers = np.asarray(engine._circuit.active.ActiveCktElement.Powers).view(complex)[:3]
        np.testing.assert_allclose(seen.der_p_kw[-1, k], -powers.real, rtol=1e-6, atol=1e-3)
    assert (seen.der_p_kw[:, formers].sum(axis=-1) != 0.0).all()
    supplied = seen.der_p_kw.sum(axis=(1, 2))
    np.testing.assert_allclose(supplied, seen.requested_kw + seen.losses_kw, rtol=1e-6)
    assert (judge(seen, plan, ieee37.scenario).outcome == Outcome.VIOLATED).all()


def test_reactive_power_is_what_was_set_not_what_kw_rescaled(ieee37, engine) -> None:
    plan, draws = ieee37.whole, ieee37.draws(3)
    p = np.repeat(plan.p_kw, 3, axis=0) * np.array([1.0, 0.3, 0.0])[:, None, None]
    q = np.repeat(plan.q_kvar, 3, axis=0) * np.array([1.0, -1.0, 0.5])[:, None, None]
    engine.hold(plan)
    engine.observe(draws, ieee37.answer(plan, draws, p_kw=p, q_kvar=q))
    active = engine._circuit.active
    for k in range(1, len(plan.der_ids)):
        for phase in range(3):
            active.SetActiveElement(f"generator.gridproof_der_{k}_{phase + 1}")
            power = np.asarray(active.ActiveCktElement.Powers).view(complex)[0]
            assert -power == pytest.approx(p[2, k, phase] + 1j * q[2, k, phase], abs=1e-4)
    active.SetActiveElement("load.s728")
    load = np.asarray(active.ActiveCktElement.Powers).view(complex).sum()
    at = ieee37.scenario.feeder.loads.ids.index("s728")
    asked = draws.p_kw[2, 0, at].sum() + 1j * draws.q_kvar[2, 0, at].sum()
    assert load == pytest.approx(asked, rel=1e-6)


def test_a_generator_that_was_dead_comes_back(ieee37, engine) -> None:
    """An opened generator set to zero would stay at zero after closing; ours is never opened."""
    draws = ieee37.draws(2)
    for plan in (ieee37.parts, ieee37.whole):
        engine.hold(plan)
        seen = engine.observe(draws, ieee37.answer(plan, draws))
    active = engine._circuit.active
    active.SetActiveElement(f"generator.gridproof_der_{plan.der_ids.index('der734')}_1")
    assert -active.ActiveCktElement.Powers[0] == pytest.approx(0.8 * 100 / 3, rel=1e-6)
    np.testing.assert_allclose(seen.delivered_kw, seen.requested_kw, rtol=1e-7)


def test_taps_and_bases_stay_as_they_were_recorded(reference, ieee37) -> None:
    """IEEE 123 has regulators: 1.6 times the load would move them, were controls on."""
    feeder = read_feeder(reference("ieee123"))
    bus = feeder.buses.ids[feeder.sources.bus[0]]
    scenario = ieee37.make_scenario(feeder, {bus: 9000}, feeder.loads.ids)
    plan = ieee37.make_plan(scenario, set(feeder.switch_ids), {f"der{bus}": 1.0})
    engine = OpenDssEngine(scenario)
    active = engine._circuit.active

    def state():
        taps = {}
        for name in active.Transformers.AllNames:
            active.Transformers.Name = name
            for winding in (1, 2):
                active.Transformers.Wdg = winding
                taps[name, winding] = active.Transformers.Tap
        bases = {}
        for name in active.AllBusNames:
            active.SetActiveBus(name)
            bases[name] = active.ActiveBus.kVBase
        return taps, bases

    before = state()
    assert len(set(before[0].values())) > 1
    engine.hold(plan)
    light = Realizations(
        index=np.array([0]),
        zeta=np.zeros((1, len(feeder.loads.ids))),
        p_kw=scenario.load_p_kw[None],
        q_kvar=scenario.load_q_kvar[None],
    )
    first = engine.observe(light, ieee37.answer(plan, light))
    engine.observe(times(light, 1.3), ieee37.answer(plan, light))
    again = engine.observe(light, ieee37.answer(plan, light))
    assert first.converged.all()
    assert first.v_pu.tobytes() == again.v_pu.tobytes()
    assert state() == before
    np.testing.assert_allclose(first.delivered_kw, first.requested_kw, rtol=1e-6)
    engine.close()


def test_switching_keeps_nodes_and_bases(ieee37, engine) -> None:
    for plan in (ieee37.parts, ieee37.whole, ieee37.parts):
        engine.hold(plan)
        assert engine._circuit.nodes == engine._elements.nodes
        for bus in ieee37.scenario.feeder.buses.ids:
            engine._circuit.active.SetActiveBus(bus)
            assert engine._circuit.active.ActiveBus.kVBase > 0.2


def test_a_number_that_is_not_finite_is_no_solution(ieee37, engine, monkeypatch) -> None:
    plan, draws = ieee37.whole, ieee37.draws(3)
    engine.hold(plan)
    solve = engine._solve

    def with_nan(*arrays):
        volts, converged, iterations = solve(*arrays)
        volts[1, 40] = np.nan
        assert converged.all()
        return volts, converged, iterations

    monkeypatch.setattr(engine, "_solve", with_nan)
    seen = engine.observe(draws, ieee37.answer(plan, draws))
    assert seen.converged.tolist() == [True, False, True]
    assert np.isnan(seen.current_a[1]).all()
    verdicts = judge(seen, plan, ieee37.scenario)
    assert verdicts.outcome[1] == Outcome.NO_SOLUTION
    assert verdicts.outcome[0] != Outcome.NO_SOLUTION


def test_a_switch_that_does_not_obey_is_our_error(ieee37, engine, monkeypatch) -> None:
    monkeypatch.setattr(engine._circuit, "is_open", lambda *_: True)
    with pytest.raises(EngineError, match="told to close, reads back the opposite"):
        engine.hold(ieee37.whole)
    monkeypatch.undo()
    draws = ieee37.draws(1)
    with pytest.raises(EngineError, match="no plan is held"):
        engine.observe(draws, ieee37.answer(ieee37.whole, draws))
    engine.hold(ieee37.whole)


def test_a_switch_under_a_control_of_the_feeder_is_ours_alone(ieee37, tmp_path: Path) -> None:
    path = tmp_path / "locked.dss"
    path.write_text(
        f'redirect "{ieee37.feeder_path}"\n'
        "new swtcontrol.keep switchedobj=line.702-703 switchedterm=1 normal=open state=open\n"
        "solve\n"
    )
    switches = ("799r-701", "702-705", "702-713", "702-703", "703-727", "708-709", "734-737")
    feeder = read_feeder(path, switches=switches)
    scenario = ieee37.make_scenario(feeder, {"701": 460, "738": 420}, ("s728",))
    plan = ieee37.make_plan(
        scenario,
        set(switches) - {"799r-701"},
        {"der701": 1.02},
        energized=set(feeder.blocks.ids) - {"sourcebus"},
    )
    engine = OpenDssEngine(scenario)
    engine.hold(plan)
    draws = Realizations(
        index=np.array([0]),
        zeta=np.zeros((1, 1)),
        p_kw=scenario.load_p_kw[None],
        q_kvar=scenario.load_q_kvar[None],
    )
    seen = engine.observe(draws, ieee37.answer(plan, draws))
    assert seen.current_a[0, feeder.lines.ids.index("702-703")].min() > 1.0
    engine.close()


def test_a_stiff_switch_keeps_the_balance(ieee37, tmp_path: Path) -> None:
    """Half a micro-ohm between two buses: no loss of accuracy in its current."""
    path = tmp_path / "stiff.dss"
    path.write_text(
        f'redirect "{ieee37.feeder_path}"\n'
        "new line.bridge bus1=744 bus2=bridged switch=no length=1 r1=5e-7 x1=5e-7 r0=5e-7 "
        "x0=5e-7 c1=0 c0=0 normamps=400\n"
        "new load.beyond bus1=bridged phases=3 conn=wye kv=4.8 kw=30 kvar=12 model=1\n"
        "solve\nsetkvbase bus=bridged kvll=4.8\nsolve\n"
    )
    feeder = read_feeder(path, switches=("799r-701",))
    scenario = ieee37.make_scenario(feeder, {"701": 460}, ("beyond",))
    plan = ieee37.make_plan(scenario, set(), {"der701": 1.02}, energized={"701"})
    engine = OpenDssEngine(scenario)
    engine.hold(plan)
    draws = Realizations(
        index=np.array([0]),
        zeta=np.zeros((1, 1)),
        p_kw=scenario.load_p_kw[None],
        q_kvar=scenario.load_q_kvar[None],
    )
    seen = engine.observe(draws, ieee37.answer(plan, draws))
    v = seen.v_pu[0, feeder.buses.ids.index("bridged")] * 4800 / np.sqrt(3.0)
    expected = 1000.0 * np.hypot(10.0, 4.0) / v
    np.testing.assert_allclose(
        seen.current_a[0, feeder.lines.ids.index("bridge")], expected, rtol=1e-5
    )
    np.testing.assert_allclose(seen.delivered_kw, seen.requested_kw, rtol=1e-6)
    engine.close()


def test_bases_found_after_switching_give_themselves_away(ieee37, tmp_path: Path) -> None:
    """A file that calculates voltage bases with its feeder cut off has them all wrong."""
    path = tmp_path / "late.dss"
    path.write_text(
        f'redirect "{ieee37.feeder_path}"\n'
        "set voltagebases=[230 4.8 0.48]\ncalcvoltagebases\nsolve\n"
    )
    with pytest.raises(ConfigError) as caught:
        read_feeder(path, switches=("799r-701",))
    text = "\n".join(caught.value.faults)
    assert "Line.799r-701: joins bus 799r with a voltage base of 2.7713 kV to bus 701" in text


def test_what_cannot_be_measured_is_refused(ieee37, tmp_path: Path) -> None:
    path = tmp_path / "with_source.dss"
    path.write_text(
        f'redirect "{ieee37.feeder_path}"\nnew generator.own bus1=701 kv=4.8 kw=10\n'
        "new isource.own bus1=701 phases=3 amps=1\nsolve\n"
    )
    circuit = DssCircuit(str(path), tolerance=1e-6, max_iterations=50)
    assert "isource" in circuit.kinds()
    assert "generator" not in circuit.kinds()  # the file's machines do nothing
    scenario = replace(ieee37.scenario, feeder=_moved(ieee37.scenario.feeder, str(path)))
    with pytest.raises(EngineError, match="class isource"):
        OpenDssEngine(scenario)


def _moved(feeder, path: str):
    parts = ("name", "buses", "lines", "transformers", "loads", "capacitors", "sources")
    return Feeder(path=path, **{name: getattr(feeder, name) for name in parts})


def test_an_engine_disturbs_no_other_and_not_the_process(ieee37, monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    draws = ieee37.draws(4)
    one, other = OpenDssEngine(ieee37.scenario), OpenDssEngine(ieee37.scenario)
    one.hold(ieee37.whole)
    other.hold(ieee37.parts)
    first = one.observe(draws, ieee37.answer(ieee37.whole, draws))
    other.observe(times(draws, 1.2), ieee37.answer(ieee37.parts, draws))
    other.close()
    again = one.observe(draws, ieee37.answer(ieee37.whole, draws))
    assert first.v_pu.tobytes() == again.v_pu.tobytes()
    assert Path.cwd() == tmp_path
    one.close()


def test_a_ders_id_never_reaches_opendss(ieee37) -> None:
    ids = ("x kw=1; clear", *ieee37.scenario.ders.ids[1:])
    scenario = replace(ieee37.scenario, ders=replace(ieee37.scenario.ders, ids=ids))
    plan = replace(ieee37.whole, der_ids=ids)
    draws = ieee37.draws(2)
    engine = OpenDssEngine(scenario)
    engine.hold(plan)
    assert engine.observe(draws, ieee37.answer(plan, draws)).converged.all()
    engine.close()


def test_plans_and_batches_that_do_not_fit_are_refused(ieee37, engine) -> None:
    plan, draws = ieee37.whole, ieee37.draws(2)
    with pytest.raises(EngineError, match="not the scenario's"):
        engine.hold(replace(plan, switch_ids=tuple(reversed(plan.switch_ids))))
    with pytest.raises(EngineError, match="step 1 asked for"):
        engine.hold(plan, 1)
    with pytest.raises(EngineError, match="forms an island at nan pu"):
        engine.hold(replace(plan, source_v_pu=np.full_like(plan.source_v_pu, np.nan)))
    engine.hold(plan)
    uneven = draws.p_kw.copy()
    at = ieee37.scenario.feeder.loads.ids.index("s728")
    uneven[0, 0, at] *= [1.1, 1.0, 0.9]
    with pytest.raises(EngineError, match="differs between the slots"):
        engine.observe(replace(draws, p_kw=uneven), ieee37.answer(plan, draws))
    broken = draws.q_kvar.copy()
    broken[1, 0, 3] = np.inf
    with pytest.raises(EngineError, match="not finite"):
        engine.observe(replace(draws, q_kvar=broken), ieee37.answer(plan, draws))
    told = ieee37.answer(plan, draws)
    with pytest.raises(EngineError, match="not finite"):
        engine.observe(draws, replace(told, p_kw=np.full_like(told.p_kw, np.nan)))


def test_a_file_opendss_refuses_is_our_error(ieee37, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="OpenDSS refused"):
        DssCircuit(str(tmp_path / "missing.dss"), tolerance=1e-6, max_iterations=10)
    with pytest.raises(ConfigError, match="quote or a line break"):
        DssCircuit('a"\nclear', tolerance=1e-6, max_iterations=10)


@pytest.mark.parametrize(
    ("read", "said"),
    [
        ("node_refs", "the nodes of an element"),
        ("power_kva", "the power of an element"),
        ("yprim", "a primitive admittance matrix"),
    ],
)
def test_an_error_that_the_library_only_notes_is_raised_by_the_read_it_met(engine, read, said):
    """The library's plain calls answer as if nothing had been; what went wrong stands beside."""
    circuit, handle = engine._circuit, engine._elements.loads[0]
    sound = getattr(circuit, read)(handle)
    circuit.lib.Text_Set_Command(b"nosuchcommand")
    with pytest.raises(EngineError, match=rf"while reading {said}: \(#\d+\) .*nosuchcommand"):
        getattr(circuit, read)(handle)
    np.testing.assert_array_equal(getattr(circuit, read)(handle), sound)  # said once
