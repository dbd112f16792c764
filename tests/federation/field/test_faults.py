"""Declared faults are functions of (seed, index), and each does what it says and no more."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.config.faults import FaultsConfig
from gridproof.federation.field.channel import Channel
from gridproof.federation.field.faults import (
    commands_in_force,
    follow_ramp,
    instants,
    loads_at,
    measured,
    quantised,
    stuck,
)
from gridproof.federation.studies.study import load_study
from gridproof.scenarios.errors import ConfigError
from gridproof.scenarios.realization import draw, realize, uniforms
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError


@pytest.fixture(scope="module")
def study(tmp_path_factory, write_toy):
    return load_study(write_toy(tmp_path_factory.mktemp("toy")), ["campaign.samples=60"])


def rows(result):
    (path,) = sorted((result.out / "parts").glob("*.parquet"))
    return pq.read_table(path)


# ------------------------------------------------------------------------------- commands


def newest_arrived(faults, seed, time_s):
    """By hand: every command ever sent, the newest of those that have arrived."""
    best = -1
    for k in range(int(time_s / faults.command_every_s + 1e-9) + 1):
        sent = k * faults.command_every_s
        jitter, fate = uniforms(seed, k, 1, 2, stream=1)[0]
        arrives = sent + faults.latency_s + faults.jitter_s * jitter
        if fate >= faults.loss and arrives <= time_s + 1e-9:
            best = k
    return best


@given(
    st.floats(0.0, 9.0),
    st.floats(0.0, 9.0),
    st.sampled_from([0.0, 0.3, 0.8]),
    st.sampled_from([0.5, 1.0, 3.0]),
    st.integers(0, 99),
)
@settings(deadline=None, max_examples=60)
def test_the_newest_command_that_has_arrived_is_in_force(latency, jitter, loss, every, seed):
    faults = FaultsConfig(
        interval_s=10.0, command_every_s=every, latency_s=latency, jitter_s=jitter, loss=loss
    )
    times = np.array([[0.0, 4.2], [10.0, 20.0], [33.3, 50.0]])
    found = commands_in_force(faults, seed, times)
    by_hand = np.array([[newest_arrived(faults, seed, t) for t in row] for row in times])
    np.testing.assert_array_equal(found.number, by_hand)
    np.testing.assert_array_equal(found.sent_s, np.maximum(by_hand, 0) * every)


def test_a_command_that_takes_hours_arrives():
    faults = FaultsConfig(latency_s=7200.0)
    found = commands_in_force(faults, 1, np.array([[7199.0, 7200.0, 9000.5]]))
    np.testing.assert_array_equal(found.number, [[-1, 0, 1800]])


def test_a_command_lost_for_ever_leaves_the_base(study):
    faults = FaultsConfig(latency_s=1e9)
    found = commands_in_force(faults, 1, np.array([[60.0, 6e6]]))
    assert (found.number == -1).all()
    assert (found.sent_s == 0.0).all()


def test_commands_do_not_depend_on_who_else_is_asked():
    faults = FaultsConfig(jitter_s=30.0, loss=0.4)
    times = np.arange(1, 200)[:, None] * 60.0
    whole = commands_in_force(faults, 5, times).number
    alone = [commands_in_force(faults, 5, times[k : k + 1]).number[0, 0] for k in range(199)]
    np.testing.assert_array_equal(whole[:, 0], alone)


# ---------------------------------------------------------------------------------- loads


def test_loads_move_in_a_straight_line_between_draws(study):
    scenario, faults = study.scenario, FaultsConfig(interval_s=60.0)

    def of(first, count):
        return draw(scenario, 3, first, count)

    times = np.array([0.0, 60.0, 90.0, 120.0, 15.0])
    found = loads_at(of, scenario, faults, times, np.arange(5))
    zeta = of(0, 2).zeta
    np.testing.assert_array_equal(found.zeta[1], zeta[0])  # to the last bit: a draw is a draw
    np.testing.assert_array_equal(found.zeta[3], zeta[1])
    np.testing.assert_allclose(found.zeta[2], (zeta[0] + zeta[1]) / 2)
    np.testing.assert_allclose(found.zeta[4], zeta[0] / 4)
    np.testing.assert_array_equal(found.p_kw[0], scenario.load_p_kw)  # nominal at the start
    later = loads_at(of, scenario, faults, times[2:3], np.arange(1))
    np.testing.assert_array_equal(later.p_kw[0], found.p_kw[2])


def test_without_delay_the_question_is_the_draw(study):
    faults = FaultsConfig(quantisation_kw=1e-9)
    channel = Channel(study.scenario, faults, 1, lambda f, n: draw(study.scenario, 1, f, n))
    batch = draw(study.scenario, 1, 4, 7)
    asked = channel.question(batch)
    np.testing.assert_array_equal(asked.index, batch.index)
    np.testing.assert_array_equal(asked.p_kw, batch.p_kw)


def test_meters_err_as_declared_and_by_command(study):
    scenario = study.scenario
    faults = FaultsConfig(noise=0.01)  # small beside the spread: few readings are clipped
    centre = realize(scenario, np.zeros((4000, 2)))
    told = measured(centre, scenario, faults, 9, np.arange(4000))
    share = 1.0 + scenario.direction_spread * told.zeta
    assert share.mean() == pytest.approx(1.0, abs=0.001)
    assert share.std() == pytest.approx(0.01, rel=0.03)
    np.testing.assert_array_equal(told.p_kw, realize(scenario, told.zeta).p_kw)
    some = measured(realize(scenario, np.zeros((1, 2))), scenario, faults, 9, np.array([5]))
    np.testing.assert_array_equal(some.p_kw[0], told.p_kw[5])
    base = measured(centre, scenario, faults, 9, np.full(4000, -1))  # no command, no meter
    np.testing.assert_array_equal(base.p_kw, centre.p_kw)


def test_a_reading_outside_the_set_is_taken_to_be_at_its_edge(study):
    edge = realize(study.scenario, np.ones((500, 2)))
    told = measured(edge, study.scenario, FaultsConfig(noise=0.5), 9, np.arange(500))
    assert np.abs(told.zeta).max() == 1.0
    assert (told.zeta == 1.0).mean() == pytest.approx(0.5, abs=0.07)


# ------------------------------------------------------------------------------- devices


def test_quantisation():
    np.testing.assert_array_equal(quantised(np.array([0.4, 0.6, -1.2]), 1.0), [0.0, 1.0, -1.0])
    values = np.array([0.123])
    assert quantised(values, 0.0) is values


def test_a_ramp_is_followed_at_its_rate_and_then_exactly():
    commanded = np.array([[5.0, 5.0, 5.0, 5.0, 0.0]])[..., None]  # newest first
    np.testing.assert_allclose(follow_ramp(commanded, 2.0)[0, :, 0], [5.0, 5.0, 4.0, 2.0, 0.0])
    np.testing.assert_array_equal(follow_ramp(commanded, 9.0), commanded)


def test_a_ramp_remembers_as_long_as_its_band_takes(study):
    faults = FaultsConfig(ramp_kw_per_s=10.0, command_every_s=1.0)
    back = instants(faults, study.scenario.ders)
    band = 2.0 * study.scenario.ders.ramp_kw.max()
    assert -back[-1] >= band / 10.0 > -back[-1] - 1.0
    assert back[0] == 0.0


@pytest.mark.parametrize(
    ("override", "part"),
    [
        ("faults.stuck_switches=['nowhere']", "switch nowhere is not one of the study's"),
        ("faults.ramp_kw_per_s=0.01", "instants, 64 at most"),
        ("faults.ride_through_s=2.5", "must be a multiple of command_every_s"),
        ("faults.command_every_s=90", "must not exceed interval_s"),
    ],
)
def test_a_contradiction_is_one_sentence(toy, override, part):
    with pytest.raises(ConfigError, match=part):
        load_study(toy, [override, "faults.latency_s=1"])


@pytest.mark.parametrize(
    "override",
    ["campaign.judge=both", "campaign.stop={kind='width', width=0.1}"],
)
def test_what_faults_cannot_be_combined_with_is_refused(toy, override):
    with pytest.raises(ConfigError):
        load_study(toy, [override, "faults.latency_s=1"])
    load_study(toy, [override])


def test_a_negative_latency_is_refused():
    with pytest.raises(ValidationError):
        FaultsConfig(latency_s=-1.0)


# ------------------------------------------------------------------------------- switches


def test_stuck_and_slow_switches(study):
    scenario = study.scenario
    names = scenario.feeder.switch_ids
    faults = FaultsConfig(stuck_switches=(names[0],), slow_switches_s={names[1]: 100.0})
    held = stuck(faults, scenario, 1, np.arange(3), np.array([60.0, 120.0, 180.0]))
    assert held[:, 0].all()
    np.testing.assert_array_equal(held[:, 1], [True, False, False])
    chance = FaultsConfig(stuck_probability=0.25)
    many = stuck(chance, scenario, 1, np.arange(4000), np.arange(4000) * 60.0)
    assert many.mean() == pytest.approx(0.25, abs=0.02)
    some = stuck(chance, scenario, 1, np.arange(50, 60), np.arange(10) * 60.0)
    np.testing.assert_array_equal(some, many[50:60])


# --------------------------------------------------------------------------- in a campaign

ALL = (
    "faults.latency_s=20", "faults.jitter_s=30", "faults.loss=0.2", "faults.quantisation_kw=0.5",
    "faults.ramp_kw_per_s=4", "faults.noise=0.02", "faults.command_every_s=5",
    "faults.ride_through_s=10", "faults.stuck_probability=0.1",
)  # fmt: skip


def test_faults_are_the_same_whatever_the_batch(toy, tmp_path):
    made = [
        run_campaign(
            load_study(toy, [*ALL, "campaign.samples=60", f"campaign.batch={batch}"]),
            tmp_path / str(batch),
            mode="local",
        )
        for batch in (7, 60)
    ]
    one, other = (rows(result) for result in made)
    assert one.equals(other)
    assert len(set(one["age_s"].to_pylist())) > 3


def test_every_set_point_lost_is_the_base_plan(toy, tmp_path):
    fixed = run_campaign(load_study(toy, ["campaign.recourse=fixed"]), tmp_path / "a", mode="local")
    late = load_study(toy, ["faults.latency_s=1e9"])
    never = run_campaign(late, tmp_path / "b", mode="local", plan=fixed.plan)
    for name in ("outcome", "margin_voltage", "margin_ramp", "served_kw"):
        assert rows(never)[name].equals(rows(fixed)[name])
    table = rows(never)
    assert table["age_s"].to_pylist() == [60.0 * (i + 1) for i in range(40)]
    for name in ("east", "west"):
        assert len(set(table[f"applied_kw_{name}"].to_pylist())) == 1


def test_what_was_commanded_and_applied_is_kept(toy, tmp_path):
    study = load_study(toy, ["faults.quantisation_kw=5", "campaign.samples=30"])
    table = rows(run_campaign(study, tmp_path / "c", mode="local"))
    for name in ("east", "west"):
        commanded = np.array(table[f"commanded_kw_{name}"])
        applied = np.array(table[f"applied_kw_{name}"])
        np.testing.assert_allclose(applied % 5.0 % 5.0, 0.0, atol=1e-9)
        assert np.abs(applied - commanded).max() <= 7.5 + 1e-9  # half a step on each phase
        assert np.abs(applied - commanded).max() > 0.0
