"""Watching from outside counts whole parts only, each once, and never ends what it watches."""

import json

import numpy as np
import pytest
from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.campaigns.follow import Follower, following
from gridproof.federation.records.environment import environment_record
from gridproof.federation.records.parts import CHUNK_ROWS
from gridproof.federation.records.rows import counted, joint_outcome, outcome_codes
from gridproof.federation.records.sink import CampaignSink
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.studies.study import load_study
from gridproof.scenarios.errors import StoreError
from gridproof.scenarios.verdict import Outcome

SAMPLES = 3 * CHUNK_ROWS


@pytest.fixture
def store(tmp_path):
    campaign = {
        "samples": SAMPLES, "judge": "ac", "recourse": "linear", "sampler": "uniform",
        "confidence": 0.95,
    }  # fmt: skip
    study = {"name": "tiny", "fingerprint": "f", "config": {"campaign": campaign}}
    return CampaignStore.create(tmp_path / "c", json.dumps(study), environment_record(1))


@pytest.fixture
def sink(store, tiny_scenario, tiny_plan):
    scenario = tiny_scenario()
    sink = CampaignSink(store=store, scenario=scenario, mode="local")
    sink.accept(tiny_plan(scenario))
    return sink


@pytest.fixture
def feed(sink, tiny_scenario, tiny_plan, made_up_batch):
    scenario = tiny_scenario()
    plan = tiny_plan(scenario)
    return lambda first, count: sink.write(*made_up_batch(scenario, plan, first, count))


def test_only_whole_parts_count_and_each_once(store, sink, feed):
    feed(0, CHUNK_ROWS)
    follower = Follower(store)
    assert (follower.look().done, follower.look().resumed) == (CHUNK_ROWS, CHUNK_ROWS)
    feed(CHUNK_ROWS, 100)
    assert follower.look().done == CHUNK_ROWS
    feed(CHUNK_ROWS + 100, CHUNK_ROWS - 100)
    for _ in range(2):
        seen = follower.look()
        assert (seen.done, seen.total, seen.resumed) == (2 * CHUNK_ROWS, SAMPLES, CHUNK_ROWS)
    assert dict(seen.counts) == dict(sink.tally().counts)
    assert sum(seen.counts.values()) == seen.done
    assert seen.counts[Outcome.FEASIBLE] > 0


def test_the_last_parts_are_told_too(store, feed):
    told = []
    with following(store, told.append):
        for chunk in range(3):
            feed(chunk * CHUNK_ROWS, CHUNK_ROWS)
    assert told[-1].done == SAMPLES


def test_a_torn_part_ends_the_watching_not_the_run(store, feed):
    told = []
    with following(store, told.append):
        feed(0, CHUNK_ROWS)
        store.part_path(1).write_bytes(b"PAR1")
    with pytest.raises(StoreError, match="torn"):
        Follower(store)


def test_nobody_watching_costs_nothing(store, monkeypatch):
    monkeypatch.setattr("gridproof.federation.campaigns.follow.Follower", None)
    with following(store, None):
        pass


def joint(store, chunks):
    """Count outcomes over all steps by hand: of each chunk, step beside step."""
    counts = dict.fromkeys(Outcome, 0)
    for chunk in chunks:
        tables = (next(store.of_step(step).tables(["outcome"], [chunk])) for step in store.tried)
        codes = np.stack([outcome_codes(table.column("outcome")) for table in tables])
        for outcome, number in counted(joint_outcome(codes)).items():
            counts[outcome] += number
    return counts


@pytest.mark.slow
def test_a_realization_of_several_steps_counts_once(storm, tmp_path):
    """As feasible where it is so at every step; in whole parts and in what is begun alike."""
    samples, first = CHUNK_ROWS + 100, CHUNK_ROWS + 50
    asked = [f"campaign.samples={samples}", "campaign.batch=50", "campaign.judge=linear"]
    seen = run_campaign(load_study(storm, ["campaign.judge=linear"]), tmp_path / "few").store
    (table,) = seen.tables(["margin_voltage"], [0])
    least = table.column("margin_voltage").to_numpy().reshape(4, -1).min(axis=0)
    study = load_study(storm, [*asked, f"limits.v_min_pu={0.95 + np.median(least):.9f}"])

    def stop(tally):
        if tally.done >= first:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_campaign(study, tmp_path / "c", progress=stop)
    store = CampaignStore.open(tmp_path / "c")
    follower = Follower(store)
    look = follower.look()
    assert (look.done, look.total, look.resumed) == (first, samples, first)
    assert dict(look.counts) == joint(store, [0, 1])
    assert not follower.complete
    told = []
    run_campaign(study, tmp_path / "c", progress=told.append)
    look = follower.look()
    assert (look.done, look.total, look.resumed) == (samples, samples, first)
    assert follower.complete
    assert dict(look.counts) == joint(store, [0, 1]) == dict(told[-1].counts)
    assert 0 < look.counts[Outcome.FEASIBLE] < samples
    assert (told[-1].done, told[-1].total) == (samples, samples)
