"""Profiles: the same whatever the batches, and the same numbers as from everything at once."""

import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from gridproof.federation.records.environment import environment_record
from gridproof.federation.records.profile import BIN_PU, Profile
from gridproof.federation.records.profile_store import encode_profile, profile_path, read_profile
from gridproof.federation.records.sink import CampaignSink
from gridproof.federation.records.store import CampaignStore
from gridproof.scenarios.errors import StoreError
from gridproof.scenarios.plan import plan_digest
from gridproof.scenarios.verdict import MarginKind, Outcome, Verdicts
from hypothesis import given, settings
from hypothesis import strategies as st

SOLVED = (Outcome.FEASIBLE, Outcome.VIOLATED)


@pytest.fixture(scope="module")
def scenario(tiny_scenario):
    return tiny_scenario(3, ((0, 1), (1, 2)))


@pytest.fixture(scope="module")
def plan(tiny_plan, scenario):
    return tiny_plan(scenario, closed=[True, False], energized=[True, True, False])


def filled(scenario, plan, batches):
    profile = Profile.of(scenario, plan)
    for _, _, snapshots, verdicts in batches:
        profile.add(scenario, plan, snapshots, verdicts)
    return profile


def encoded(profile, scenario):
    return encode_profile(profile, scenario, chunk=0, fingerprint="f", plan_digest="d")


def test_batches_and_their_order_change_no_byte(scenario, plan, made_up_batch):
    whole = filled(scenario, plan, [made_up_batch(scenario, plan, 0, 300)])
    parts = [made_up_batch(scenario, plan, first, 50) for first in (200, 0, 250, 100, 50, 150)]
    assert encoded(filled(scenario, plan, parts), scenario) == encoded(whole, scenario)


def test_numbers_are_those_of_all_voltages_at_once(scenario, plan, made_up_batch):
    batch = made_up_batch(scenario, plan, 0, 500)
    _, _, snapshots, verdicts = batch
    profile = filled(scenario, plan, [batch])
    solved = np.isin(verdicts.outcome, SOLVED)
    assert 0 < solved.sum() < 500
    assert profile.solved == solved.sum()
    v_pu = snapshots.v_pu[solved][:, profile.bus, profile.phase]
    assert set(profile.bus.tolist()) == {0, 1, 2, 3}  # the third block is dead
    np.testing.assert_array_equal(profile.low_pu, v_pu.min(axis=0))
    np.testing.assert_array_equal(profile.high_pu, v_pu.max(axis=0))
    np.testing.assert_allclose(profile.mean_pu, v_pu.mean(axis=0), rtol=0, atol=1e-9)
    assert (profile.histogram.sum(axis=1) == profile.solved).all()
    for level in (0.05, 0.5, 0.95):
        true = np.quantile(v_pu, level, axis=0, method="inverted_cdf")
        assert np.abs(profile.quantile_pu(level) - true).max() <= BIN_PU


def test_every_element_outside_is_counted_not_only_the_worst(scenario, tiny_plan, made_up_batch):
    plan = tiny_plan(scenario)
    batch = made_up_batch(scenario, plan, 0, 400)
    _, _, snapshots, verdicts = batch
    profile = filled(scenario, plan, [batch])
    solved = np.isin(verdicts.outcome, SOLVED)
    least = scenario.limits.v_min_pu - scenario.limits.tolerance
    low = (snapshots.v_pu[solved] < least).any(axis=2)
    live = plan.energized[0][scenario.feeder.blocks.of_bus]
    expected = np.where(live, low.sum(axis=0), 0)
    assert expected.max() > 0
    assert (expected > 0).sum() > 1
    np.testing.assert_array_equal(profile.breached[MarginKind.VOLTAGE], expected)
    assert profile.share(MarginKind.VOLTAGE).max() == expected.max() / solved.sum()


def test_voltages_beyond_the_bins_are_kept_as_extremes(scenario, plan, made_up_batch):
    drawn, setpoints, snapshots, verdicts = made_up_batch(scenario, plan, 0, 20)
    wild = snapshots.v_pu.copy()
    wild[0], wild[1] = 0.1, 1e15
    verdicts = Verdicts(
        index=verdicts.index, outcome=np.full(20, Outcome.VIOLATED),
        margin=np.full_like(verdicts.margin, -1.0), element=verdicts.element, phase=verdicts.phase,
    )  # fmt: skip
    snapshots = replace(snapshots, v_pu=wild, converged=np.ones(20, bool))
    profile = filled(scenario, plan, [(drawn, setpoints, snapshots, verdicts)])
    assert (profile.low_pu == 0.1).all()
    assert (profile.high_pu == 1e15).all()
    assert (profile.histogram[:, [0, -1]] == 1).all()
    assert (profile.quantile_pu(0.0) == 0.1).all()
    assert (profile.quantile_pu(1.0) == 1e15).all()
    assert np.isfinite(profile.mean_pu).all()


@pytest.fixture
def store(scenario, plan, made_up_batch, tmp_path):
    asked = {"samples": 3000, "judge": "ac", "recourse": "fixed", "sampler": "uniform",
             "confidence": 0.95}  # fmt: skip
    study = {"name": "tiny", "fingerprint": "f", "config": {"campaign": asked}}
    store = CampaignStore.create(tmp_path / "c", json.dumps(study), environment_record(1))
    sink = CampaignSink(store=store, scenario=scenario, mode="local")
    sink.accept(plan)
    for first in range(0, 3000, 500):  # batches that cross the bounds of a chunk
        sink.write(*made_up_batch(scenario, plan, first, 500))
    return store


def test_a_campaign_keeps_them_and_they_add_up(store, scenario, plan, made_up_batch):
    owner = str(store.study["fingerprint"]), plan_digest(plan)
    whole, missing = read_profile(store.root, store.finished(), scenario, plan, owner)
    again = filled(scenario, plan, [made_up_batch(scenario, plan, 0, 3000)])
    assert missing == 0
    assert encoded(whole, scenario) == encoded(again, scenario)
    profile_path(store.root, 1).unlink()
    part, missing = read_profile(store.root, store.finished(), scenario, plan, owner)
    assert missing == 1
    assert 0 < part.solved < whole.solved


def test_a_torn_or_foreign_profile_is_refused(store, scenario, plan):
    owner = str(store.study["fingerprint"]), plan_digest(plan)
    with pytest.raises(StoreError, match="another campaign or plan"):
        read_profile(store.root, (0,), scenario, plan, (owner[0], "another"))
    path = profile_path(store.root, 0)
    table = pq.read_table(path)
    pq.write_table(table.slice(1), path)
    with pytest.raises(StoreError, match=r"profile-00000000.*not a profile.*delete it"):
        read_profile(store.root, (0,), scenario, plan, owner)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(StoreError, match=r"profile-00000000.*torn"):
        read_profile(store.root, (0,), scenario, plan, owner)


@given(seed=st.integers(0, 2**32 - 1), scale=st.floats(0.0, 300.0), rows=st.integers(1, 40))
@settings(max_examples=40, deadline=None)
def test_what_is_counted_compiled_is_what_is_counted_without(scenario, plan, seed, scale, rows):
    pytest.importorskip("numba")
    source = np.random.default_rng(seed)
    magnitude = 1.0 + scale * source.standard_normal((rows, 3 * len(scenario.feeder.buses.ids)))
    some = np.flatnonzero(source.random(rows) < source.random())
    one, other = Profile.of(scenario, plan), Profile.of(scenario, plan)
    for _ in range(2 if len(some) else 0):
        one.count(magnitude, some, compiled=True)
        other.count(magnitude, some, compiled=False)
    for name in ("low_pu", "high_pu", "total_npu", "histogram"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
