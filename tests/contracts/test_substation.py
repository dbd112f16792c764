"""The feeder's own source under both engines: OpenDSS as the file stands, and the planner's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import opendssdirect
import pytest
from gridproof.federation.studies.study import load_study
from gridproof.optimizer.network.first_stage import FirstStage
from gridproof.optimizer.network.network import Network
from gridproof.optimizer.network.statemap import island_state
from gridproof.optimizer.planner import make_planner
from gridproof.optimizer.recourse.policies import make_recourse
from gridproof.scenarios.realization import draw, realize
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.verdict import Outcome, judge
from gridproof.simulator.linear.engine import LinearEngine
from gridproof.simulator.opendss.engine import OpenDssEngine
from gridproof.simulator.opendss.engine_thread import on_engine_thread
from gridproof.simulator.reader.feeder import read_feeder

CIRCUIT = """clear
new circuit.weak bus1=head basekv={kv} pu={pu} angle=30 {strength}
new line.gate bus1=head bus2=one switch=yes r1=0.01 x1=0.01 r0=0.01 x0=0.01 c1=0 c0=0 length=1
new line.one-two bus1=one bus2=two r1=0.2 x1=0.4 r0=0.5 x0=1.1 c1=3 c0=2 length=2 units=km
new load.wye bus1=one phases=3 kv=12.47 kw=900 kvar=300
new load.delta bus1=two.1.2 phases=1 conn=delta kv=12.47 kw=300 kvar=90
new load.side bus1=two.2 phases=1 kv=7.2 kw=200 kvar=60
set voltagebases=[12.47]
calcvoltagebases
solve
"""

STUDY = """[feeder]
path = "feeder.dss"
[limits]
v_min_pu = 0.9
v_max_pu = 1.1
[ders.fleet]
idle = { bus = "one", capacity_kw = 1e-3 }
[uncertainty]
loads = ["wye", "side"]
spread = 0.2
"""

STRENGTHS = {
    "three-phase and one-phase power": "MVAsc3=40 MVAsc1=25",
    "sequence impedances": "r1=0.4 x1=3.5 r0=1.0 x0=6.0",
    "impedances per unit": "z1=[0.02,0.2] z0=[0.05,0.4] basemva=10",
    "stiff": "MVAsc3=20000 MVAsc1=21000",
}
KV_PU = {"own base": (12.47, 1.02), "base of another level": (13.2, 0.97)}


@pytest.fixture(params=STRENGTHS.values(), ids=STRENGTHS)
def strength(request) -> str:
    return request.param


def _scenario(folder: Path, strength: str, kv: float = 12.47, pu: float = 1.02) -> Scenario:
    text = CIRCUIT.format(strength=strength, kv=kv, pu=pu)
    (folder / "feeder.dss").write_text(text)
    (folder / "study.toml").write_text(STUDY)
    return load_study(folder / "study.toml").scenario


@on_engine_thread
def _as_the_file_stands(path: Path, buses: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """(bus, 3) voltages in pu and (3,) kVA out of the source, by OpenDSS alone."""
    dss = opendssdirect.NewContext()
    dss.Basic.AllowChangeDir(False)
    dss.Text.Command(f'compile "{path}"')
    dss.Text.Command("set controlmode=off tolerance=1e-9 maxiterations=200")
    dss.Text.Command("batchedit load..* vminpu=0.5 vmaxpu=1.5")
    dss.Solution.Solve()
    v = np.full((len(buses), 3), np.nan)
    for k, bus in enumerate(buses):
        dss.Circuit.SetActiveBus(bus)
        for node, pu in zip(dss.Bus.Nodes(), dss.Bus.puVmagAngle()[::2], strict=True):
            v[k, node - 1] = pu
    dss.Circuit.SetActiveElement("vsource.source")
    power = np.array(dss.CktElement.Powers()[:6]).reshape(3, 2)
    return v, -(power[:, 0] + 1j * power[:, 1])


@pytest.mark.parametrize(("kv", "pu"), KV_PU.values(), ids=KV_PU)
def test_the_ac_engine_solves_the_file_as_it_stands(tmp_path, strength, kv, pu) -> None:
    scenario = _scenario(tmp_path, strength, kv, pu)
    plan = make_planner("partitioning", {"method": "nominal"}).plan(scenario)
    assert plan.energized.all()
    engine = OpenDssEngine(scenario)
    engine.hold(plan)
    nominal = realize(scenario, np.zeros((1, 2)))
    answer = make_recourse("fixed", plan, scenario, 0).respond(nominal)
    seen = engine.observe(nominal, answer)
    engine.close()
    v, supplied = _as_the_file_stands(tmp_path / "feeder.dss", scenario.feeder.buses.ids)
    np.testing.assert_allclose(seen.v_pu[0], v, atol=2e-6)  # the idle DER's 1 W is the rest
    substation = scenario.ders.ids.index("head")
    np.testing.assert_allclose(seen.der_p_kw[0, substation], supplied.real, atol=0.01)
    np.testing.assert_allclose(seen.der_q_kvar[0, substation], supplied.imag, atol=0.01)
    assert judge(seen, plan, scenario).outcome.tolist() == [Outcome.FEASIBLE]


def test_planner_and_linear_engine_share_the_impedance(tmp_path, strength) -> None:
    scenario = _scenario(tmp_path, strength)
    plan = make_planner("partitioning", {}).plan(scenario)
    draws = draw(scenario, 5, 0, 12)
    answers = make_recourse("linear", plan, scenario, 0).respond(draws)
    assert answers.found.all()
    engine = LinearEngine(scenario)
    engine.hold(plan)
    seen = engine.observe(draws, answers)
    np.testing.assert_allclose(seen.der_p_kw, answers.p_kw, atol=1e-4)
    np.testing.assert_allclose(seen.der_q_kvar, answers.q_kvar, atol=1e-4)
    assert (judge(seen, plan, scenario).outcome == Outcome.FEASIBLE).all()
    stage = FirstStage.of(plan)
    state = island_state(Network.of(scenario), stage, stage.islands(scenario)[0])
    at = tuple(state.controls.T)
    planned = state.w.constant + state.w.of_u @ np.concatenate([stage.p[at], stage.q[at]])
    nominal = realize(scenario, np.zeros((1, 2)))
    base = make_recourse("fixed", plan, scenario, 0).respond(nominal)
    v_pu = engine.observe(nominal, base).v_pu[0]
    np.testing.assert_allclose(planned, v_pu[tuple(state.nodes.T)] ** 2, atol=1e-9)


@pytest.mark.parametrize("kind", [OpenDssEngine, LinearEngine])
def test_a_planner_cannot_command_the_grid_s_voltage(tmp_path, kind) -> None:
    scenario = _scenario(tmp_path, STRENGTHS["stiff"])
    plan = make_planner("partitioning", {"method": "nominal"}).plan(scenario)
    draws = draw(scenario, 5, 0, 4)
    answers = make_recourse("fixed", plan, scenario, 0).respond(draws)
    engine = kind(scenario)
    engine.hold(plan)
    wanted = engine.observe(draws, answers)
    told = replace(answers, source_v_pu=answers.source_v_pu + 0.03)
    np.testing.assert_array_equal(engine.observe(draws, told).v_pu, wanted.v_pu)
    engine.close()


def test_the_linear_model_falls_as_opendss_does(tmp_path) -> None:
    """At the source's bus the two differ by the model's error, a tenth of the fall itself."""
    scenario = _scenario(tmp_path, STRENGTHS["three-phase and one-phase power"])
    plan = make_planner("partitioning", {}).plan(scenario)
    draws = draw(scenario, 5, 0, 6)
    answers = make_recourse("linear", plan, scenario, 0).respond(draws)
    seen = []
    for kind in (OpenDssEngine, LinearEngine):
        engine = kind(scenario)
        engine.hold(plan)
        seen.append(engine.observe(draws, answers))
        engine.close()
    head = scenario.feeder.buses.ids.index("head")
    ac, linear = (one.v_pu[:, head] for one in seen)
    assert (1.02 - ac > 0.008).any()
    assert np.abs(ac - linear).max() < 0.1 * (1.02 - ac).max()


def test_the_reader_takes_the_impedance_however_it_is_stated(tmp_path) -> None:
    """Sequence impedances are the phase matrix's: z1 = zs - zm, z0 = zs + 2 zm."""
    (tmp_path / "feeder.dss").write_text(
        CIRCUIT.format(strength=STRENGTHS["sequence impedances"], kv=12.47, pu=1.0)
    )
    sources = read_feeder(tmp_path / "feeder.dss").sources
    z = sources.r_ohm[0] + 1j * sources.x_ohm[0]
    own, mutual = z[0, 0], z[0, 1]
    assert own - mutual == pytest.approx(0.4 + 3.5j, rel=1e-9)
    assert own + 2.0 * mutual == pytest.approx(1.0 + 6.0j, rel=1e-9)
