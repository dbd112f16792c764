"""The IEEE 123-node feeder as a restoration: planned as balanced, tried in three phases."""

import numpy as np
import pytest
from gridproof.federation.studies.study import load_study
from gridproof.optimizer.planner import make_planner
from gridproof.optimizer.recourse.policies import make_recourse
from gridproof.scenarios.realization import draw
from gridproof.scenarios.restoration import Outage
from gridproof.scenarios.restoration_audit import audit_restoration
from gridproof.scenarios.restoration_states import states_of
from gridproof.scenarios.verdict import Outcome, judge
from gridproof.simulator.opendss.engine import OpenDssEngine


@pytest.fixture(scope="module")
def study():
    return load_study("ieee123-restoration")


def test_it_is_one_voltage_level_between_two_substations(study) -> None:
    case = Outage.of(study.scenario)
    assert case.feeder.sources.ids == ("source", "second")
    assert len(case.feeder.transformers.ids) == 0
    assert case.bus_demand()[0].sum() == pytest.approx(3490.0)
    assert np.isfinite(case.feeder.buses.xy).all()


def test_a_lateral_drops_in_the_balanced_model_what_it_drops_on_its_own_phase(study) -> None:
    case = Outage.of(study.scenario)
    lines, base = case.feeder.lines, 4.16
    r, x = case.impedance_ohm()
    one = lines.ids.index("113-114")
    assert lines.phases[one].sum() == 1
    p, q = 0.02, 0.01  # MW, Mvar, all of it on the one phase
    own = lines.r_ohm[one].max() * p + lines.x_ohm[one].max() * q
    expected = own / (base / np.sqrt(3)) ** 2  # pu of the phase voltage
    assert (r[one] * p + x[one] * q) / base**2 == pytest.approx(expected)
    three = lines.ids.index("1-7")
    z = lines.r_ohm[three]
    mutual = z[~np.eye(3, dtype=bool)].mean()
    assert r[three] == pytest.approx(np.diag(z).mean() - mutual)
    assert case.rating_mva()[three] == pytest.approx(3 * case.rating_mva()[one])


def test_the_balanced_plan_is_sound_and_three_phases_see_what_it_does_not(study) -> None:
    scenario = study.scenario
    config = study.config.planner
    plan = make_planner(config.family, config.options).plan(scenario)
    case, decided = Outage.of(scenario), states_of(plan, scenario)
    assert audit_restoration(case, decided) == ()
    shares = decided.supplied_share(case)
    assert shares[3] > shares[2] + 0.3
    loads = draw(scenario, 1, 0, 40)
    engine = OpenDssEngine(scenario)
    try:
        for time in (0, 3):
            engine.hold(plan, time)
            answer = make_recourse("fixed", plan, scenario, time).respond(loads)
            seen = engine.observe(loads, answer)
            verdicts = judge(seen, plan, scenario, time)
            assert seen.converged.all()
            lowest = np.nanmin(seen.v_pu, axis=(0, 1))
            assert lowest.max() - lowest.min() > 0.005  # phases differ; the planner has one
            if time == 0:
                assert (verdicts.outcome == Outcome.FEASIBLE).all()
            else:
                # the capacitor at 83 and a light phase b raise what the model calls lower
                assert 1.045 < np.nanmax(seen.v_pu) < 1.06
                assert 0 < (verdicts.outcome == Outcome.VIOLATED).sum() < len(loads)
    finally:
        engine.close()
