"""A day of three hours: energy is carried from hour to hour, the same bytes whatever the batch."""

import json
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.campaigns.steps import joint_summary, steps_summary
from gridproof.federation.campaigns.sweep import Axis, run_sweep
from gridproof.federation.cli.main import app
from gridproof.federation.members.launch import program
from gridproof.federation.records.begun import read_begun
from gridproof.federation.records.campaign_report import FirstCause
from gridproof.federation.records.parts import CHUNK_ROWS
from gridproof.federation.records.rows import outcome_codes
from gridproof.federation.records.sink import CampaignSink
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.reports.steps_page import write_steps_report
from gridproof.federation.statistics.sequential import confidence_sequence
from gridproof.federation.studies.study import load_study
from gridproof.scenarios.verdict import Outcome
from typer.testing import CliRunner

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


@pytest.mark.parametrize("recourse", ["participation", "linear"])
def test_a_day_says_of_an_hour_what_the_hour_alone_says(day, tmp_path, recourse):
    """What re-dispatch learns in one hour must not be taken for another's answer."""
    done, path = day
    asked = ["campaign.samples=40", f"campaign.recourse={recourse}", "campaign.batch=16"]
    whole = run_campaign(load_study(path, asked), tmp_path / "day", mode="local", plan=done.plan)
    for step in range(len(SCHEDULE)):
        study = load_study(path, [*asked, f"campaign.step={step}"])
        alone = run_campaign(study, tmp_path / str(step), mode="local", plan=done.plan)
        (table,) = alone.store.tables(None, [0])
        told = rows(whole.store, step).drop(["step", "margin_energy"])  # stored before: carried
        assert told.equals(table.drop(["margin_energy"]))
    assert not rows(whole.store, 0).equals(rows(whole.store, 2))


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
    assert joint_summary(done.store).feasible_share == 1.0


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
    assert joint.feasible == 0
    assert list(joint.first_failed.values()) == [0, 0, SAMPLES]


def broken(monkeypatch, where, stop_at=None):
    """Let realizations err at a step, {(index, step): why}, as an engine would report it."""
    real = CampaignSink.write

    def write(self, drawn, setpoints, snapshots, verdicts, *second):
        outcome = verdicts.outcome.copy()
        for (index, step), said in where.items():
            hit = verdicts.index == index
            if step == drawn.first_step and hit.any():
                outcome[hit] = Outcome.ERRED
                self.keep_cause(index, said)
        if stop_at == (int(drawn.index[0]), drawn.first_step):
            raise KeyboardInterrupt
        real(self, drawn, setpoints, snapshots, replace(verdicts, outcome=outcome), *second)

    monkeypatch.setattr(CampaignSink, "write", write)


ERRED = {(5, 1): "one thing", (3, 2): "another", (60, 0): "a third"}


@pytest.mark.parametrize("stop_at", [None, (64, 1), (64, 2)])
def test_each_step_names_its_own_first_cause(day, tmp_path, monkeypatch, stop_at):
    """Whether it was tried at once, or stopped within a batch after it erred and gone on with."""
    done, path = day
    study = load_study(path, [*OVERRIDES, "campaign.batch=32"])
    if stop_at is not None:
        with monkeypatch.context() as patched:
            broken(patched, ERRED, stop_at)
            with pytest.raises(KeyboardInterrupt):
                run_campaign(study, tmp_path / "c", plan=done.plan)
        store = CampaignStore.open(tmp_path / "c")
        assert read_begun(store, 0).realizations == stop_at[0]  # and every step of them
        assert store.of_step(2).first_cause([0]).said == "another"
    broken(monkeypatch, ERRED)
    store = run_campaign(study, tmp_path / "c", plan=done.plan).store
    causes = [one.campaign.erred for one in steps_summary(store).steps]
    assert [(one.first, one.said) for one in causes] == [
        (60, "a third"), (5, "one thing"), (3, "another"),
    ]  # fmt: skip
    assert store.first_cause([0]) == FirstCause(first=3, said="another")
    assert joint_summary(store).unjudged == 3


def test_a_cause_outlives_a_stop_where_one_step_is_tried(day, tmp_path, monkeypatch):
    done, path = day
    study = load_study(path, [*OVERRIDES, "campaign.batch=32", "campaign.step=0"])
    found = {(5, 0): "one thing"}
    with monkeypatch.context() as patched:
        broken(patched, found, (64, 0))
        with pytest.raises(KeyboardInterrupt):
            run_campaign(study, tmp_path / "c", plan=done.plan)
    broken(monkeypatch, found)
    store = run_campaign(study, tmp_path / "c", plan=done.plan).store
    assert store.first_cause([0]) == FirstCause(first=5, said="one thing")


def test_a_step_without_an_error_has_no_cause(day, tmp_path, monkeypatch):
    done, path = day
    broken(monkeypatch, {(5, 1): "one thing"})
    store = run_campaign(load_study(path, OVERRIDES), tmp_path / "c", plan=done.plan).store
    assert [store.of_step(step).first_cause([0]) is None for step in range(3)] == [
        True,
        False,
        True,
    ]
    assert [one.campaign.erred is not None for one in steps_summary(store).steps] == [
        False, True, False,
    ]  # fmt: skip


def middle_floor(done):
    """A floor, pu, that half of the realizations leave at some step."""
    lows = [rows(done.store, step).column("margin_voltage").to_numpy() for step in range(3)]
    return 0.95 + float(np.median(np.min(lows, axis=0)))


@pytest.mark.slow
def test_a_rule_looks_at_what_is_feasible_at_every_step(day, tmp_path):
    """Whole chunks; the interval of each step is one that may be looked at at any time."""
    done, path = day
    asked = [
        f"campaign.samples={3 * CHUNK_ROWS}", "campaign.recourse=fixed", "campaign.batch=1024",
        f"limits.v_min_pu={middle_floor(done):.9f}",
        "campaign.stop={kind='width', width=0.2, confidence=0.9}",
    ]  # fmt: skip
    plan = replace(done.plan, scenario_digest="")
    store = run_campaign(load_study(path, asked), tmp_path / "c", plan=plan).store
    assert store.finished() == (0,)
    found = steps_summary(store)
    feasible = np.stack(
        [
            outcome_codes(rows(store, step).column("outcome")) == Outcome.FEASIBLE
            for step in range(3)
        ]
    )
    joint, together = found.joint, int(feasible.all(axis=0).sum())
    assert 0 < together < CHUNK_ROWS
    assert (joint.realizations, joint.feasible) == (CHUNK_ROWS, together)
    assert joint.stopping.reason == "width"
    assert (joint.stopping.feasible, joint.stopping.judged) == (together, CHUNK_ROWS)
    bounds = confidence_sequence(together, CHUNK_ROWS, 0.9)
    assert joint.interval == joint.stopping.interval == bounds
    for step, one in enumerate(found.steps):
        own = confidence_sequence(int(feasible[step].sum()), CHUNK_ROWS, 0.9)
        assert one.campaign.interval == own
        assert (one.campaign.asked, one.campaign.stopping) == (CHUNK_ROWS, None)
    scenario = load_study(path, asked).scenario
    page = write_steps_report(store, scenario, tmp_path / "page", found).read_text()
    assert "Stopped: the 90 % interval" in page
    assert "not whole" not in page
    own = (tmp_path / "page" / "step-1" / "report.html").read_text()
    assert "hold at all points together" in own
    assert run_campaign(load_study(path, asked), tmp_path / "c").resumed == CHUNK_ROWS


def test_each_step_names_a_directory_that_is_there(day):
    found = steps_summary(day[0].store).steps
    assert {one.directory for one in found} == {str(day[0].out)}
    assert all(CampaignStore.open(Path(one.directory)) for one in found)


def test_a_sweep_counts_realizations_at_every_step(day, tmp_path):
    """A point is what the campaign of its own says of all steps together."""
    done, path = day
    axis = Axis(key="limits.v_min_pu", values=("0.95", f"{middle_floor(done):.9f}"))
    swept = run_sweep(str(path), OVERRIDES, tmp_path / "s", over=axis)
    for point in swept.points:
        store = CampaignStore.open(tmp_path / "s" / point.campaign)
        joint = joint_summary(store)
        assert point.tried == SAMPLES == joint.realizations
        assert sum(point.counts.values()) == SAMPLES
        assert point.counts["feasible"] == joint.feasible
        assert point.share == joint.feasible_share
        assert (point.low, point.high) == joint.interval
        assert point.served == pytest.approx(joint.served_share)


@pytest.mark.slow
def test_a_planner_of_ones_own_answers_every_step(day, tmp_path):
    """Started as somebody else's would be; the rows are those of our own."""
    done, path = day
    asked = [word for entry in OVERRIDES for word in ("--set", entry)]
    own = [*program(), "federate", "planner", path, *asked]
    command = f"{shlex.join(map(str, own))} --broker {{broker}}"
    told = CliRunner().invoke(
        app,
        ["launch", str(path), *asked, "--planner", command, "--out", str(tmp_path / "c"), "--json"],
    )
    assert told.exit_code == 0, told.output
    found = json.loads(told.stdout)
    assert found["joint"]["realizations"] == SAMPLES
    store = CampaignStore.open(tmp_path / "c")
    for step in range(3):
        assert rows(store, step).equals(rows(done.store, step))
