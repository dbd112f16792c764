"""A day of three hours: energy is carried from hour to hour, the same bytes whatever the batch."""

import numpy as np
import pytest
from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.campaigns.steps import joint_summary
from gridproof.federation.records.rows import outcome_codes
from gridproof.federation.studies.study import load_study
from gridproof.scenarios.verdict import Outcome

DAY = """
[horizon]
load_profile = [0.6, 0.8, 1.0]

[ders.fleet.store]
bus = "d"
capacity_kw = 30
[ders.fleet.store.storage]
energy_kwh = 100
floor_share = 0.10
start_share = 0.50
end_share = 0.20
charge_efficiency = 0.9
discharge_efficiency = 0.8
schedule_kw = {schedule}

[ders.fleet.sun]
bus = "b"
capacity_kw = 20
[ders.fleet.sun.renewable]
spread = 0.2
profile = [0.0, 0.5, 0.25]

[planner]
family = "partitioning"
hold_configuration = true
"""
SCHEDULE = (-20.0, 10.0, 24.0)
OVERDRAWN = (-20.0, 30.0, 30.0)
SAMPLES = 150
OVERRIDES = [f"campaign.samples={SAMPLES}", "campaign.recourse=fixed"]


def write_day(folder, write_toy, schedule):
    path = write_toy(folder)
    path.write_text(path.read_text() + DAY.format(schedule=list(schedule)))
    return path


@pytest.fixture(scope="module")
def day(tmp_path_factory, write_toy):
    folder = tmp_path_factory.mktemp("day")
    path = write_day(folder, write_toy, SCHEDULE)
    study = load_study(path, [*OVERRIDES, "campaign.batch=150"])
    return run_campaign(study, folder / "c", mode="local"), path


@pytest.fixture(scope="module")
def overdrawn(tmp_path_factory, write_toy):
    """Asks for more than is stored in the last hour."""
    folder = tmp_path_factory.mktemp("overdrawn")
    study = load_study(write_day(folder, write_toy, OVERDRAWN), OVERRIDES)
    return run_campaign(study, folder / "c", mode="local")


def results(root):
    found = [*root.glob("parts/*"), *root.glob("profiles/**/*")]
    return {str(p.relative_to(root)): p.read_bytes() for p in found if p.is_file()}


def rows(store, step):
    (table,) = store.of_step(step).tables(None, [0])
    return table


def stored(schedule):
    """kWh after each hour, by hand: 0.9 of what is taken, 1 / 0.8 of what is given."""
    energy, found = 50.0, []
    for p_kw in schedule:
        energy += 0.9 * -p_kw if p_kw < 0.0 else -p_kw / 0.8
        found.append(energy)
    return found


@pytest.mark.parametrize("mode", ["local", "in_process"])
@pytest.mark.parametrize("batch", [7, 64])
def test_neither_mode_nor_batch_is_seen_in_a_byte(day, tmp_path, mode, batch):
    done, path = day
    study = load_study(path, [*OVERRIDES, f"campaign.batch={batch}"])
    run_campaign(study, tmp_path / "c", mode=mode, plan=done.plan)
    assert results(tmp_path / "c") == results(done.out)


def test_a_stop_within_the_day_costs_no_byte(day, tmp_path):
    """What is carried is not taken up from the disk: a batch that is tried anew starts its day."""
    done, path = day

    def stop(tally):
        if tally.done >= 64:
            raise KeyboardInterrupt

    study = load_study(path, [*OVERRIDES, "campaign.batch=64"])
    with pytest.raises(KeyboardInterrupt):
        run_campaign(study, tmp_path / "c", mode="local", plan=done.plan, progress=stop)
    assert len(list((tmp_path / "c" / "begun").iterdir())) == 1
    run_campaign(study, tmp_path / "c", mode="local")
    assert results(tmp_path / "c") == results(done.out)


def test_the_plan_holds_its_configuration_and_the_schedule(day):
    plan = day[0].plan
    assert (plan.closed == plan.closed[0]).all()
    assert (plan.grid_forming == plan.grid_forming[0]).all()
    where = plan.der_ids.index("store")
    assert plan.energized.all(axis=0).any()
    np.testing.assert_allclose(plan.p_kw[:, where].sum(axis=1), SCHEDULE, atol=1e-6)


def test_the_energy_carried_is_that_of_the_schedule(day):
    done, _ = day
    edges = zip(stored(SCHEDULE), (10.0, 10.0, 20.0), strict=True)  # the end asks for 20 kWh
    for step, (energy, least) in enumerate(edges):
        margin = min(energy - least, 100.0 - energy) / 90.0
        table = rows(done.store, step)
        found = table.column("margin_energy").to_numpy()
        np.testing.assert_allclose(found, margin, atol=1e-6)
        assert set(table.column("element_energy").to_pylist()) == {"store"}
    assert joint_summary(done.store)["feasible_share"] == 1.0


def test_the_sun_moves_and_the_load_follows_the_profile(day):
    done, path = day
    scenario = load_study(path).scenario
    assert "sun" in scenario.direction_ids
    drawn = [rows(done.store, step).column("zeta_sun").to_numpy() for step in range(3)]
    assert np.ptp(drawn[0]) > 1.0
    assert all((one == drawn[0]).all() for one in drawn)
    load = [rows(done.store, step).column("load_kw").to_numpy() for step in range(3)]
    np.testing.assert_allclose(load[0], 0.6 * load[2], rtol=1e-12)
    np.testing.assert_allclose(load[1], 0.8 * load[2], rtol=1e-12)


def test_what_is_not_stored_is_a_violation_that_names_the_storage(overdrawn):
    """68 kWh less 37.5 leave 30.5: 20.5 above the floor give 16.4 kW, and 30 are asked."""
    before = stored(OVERDRAWN)[1]
    lacking = 30.0 - (before - 10.0) * 0.8
    # at the floor after the last hour: 10 kWh below what the end asks for, and so much was missing
    margin = min(10.0 - 20.0, -lacking) / 90.0
    for step in range(2):
        codes = outcome_codes(rows(overdrawn.store, step).column("outcome"))
        assert (codes == Outcome.FEASIBLE).all()
    last = rows(overdrawn.store, 2)
    assert (outcome_codes(last.column("outcome")) == Outcome.VIOLATED).all()
    assert set(last.column("element_energy").to_pylist()) == {"store"}
    np.testing.assert_allclose(last.column("margin_energy").to_numpy(), margin, atol=1e-6)
    joint = joint_summary(overdrawn.store)
    assert joint["feasible"] == 0
    assert list(joint["first_failed"].values()) == [0, 0, SAMPLES]
