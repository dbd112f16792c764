"""A campaign that may end early ends at the same chunk however it is run or taken up."""

import pytest
from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.campaigns.follow import Follower
from gridproof.federation.campaigns.workers import Workers
from gridproof.federation.records.parts import CHUNK_ROWS
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.records.summary import campaign_summary
from gridproof.federation.statistics.sequential import confidence_sequence
from gridproof.federation.studies.study import load_study
from gridproof.scenarios.verdict import Outcome

STOP = "campaign.stop={kind='target', share=%s, confidence=0.99}"


@pytest.fixture
def load(toy):
    entries = ("campaign.samples=9000", "campaign.recourse=fixed", "campaign.judge=linear")
    return lambda *more: load_study(toy, [*entries, "ders.defaults.ramp=0.05", *more])


def parts(root):
    return {path.name: path.read_bytes() for path in sorted((root / "parts").glob("*.parquet"))}


@pytest.fixture(scope="module")
def whole(tmp_path_factory, write_toy, toy_plan):
    """Stopped by width after some chunks, run in this process without HELICS."""
    folder = tmp_path_factory.mktemp("stopped")
    study = load_study(
        write_toy(folder),
        [
            "campaign.samples=9000",
            "campaign.stop={kind='width', width=0.021}",
            "campaign.judge=linear",
            "campaign.recourse=fixed",
            "ders.defaults.ramp=0.05",
        ],
    )
    plan = toy_plan(study.scenario)
    return study, run_campaign(study, folder / "c", mode="local", plan=plan)


def test_it_stops_where_the_rule_says_and_says_why(whole):
    _, result = whole
    about = campaign_summary(result.store)
    done = len(parts(result.out))
    assert 1 < done < 5
    assert about.samples == about.asked == done * CHUNK_ROWS
    assert about.stopping.reason == "width"
    assert about.stopping.looks == done
    low, high = about.interval
    assert (low, high) == about.stopping.interval
    assert high - low <= 0.021
    assert low < about.feasible_share < high
    assert 0.9 < about.feasible_share < 0.99
    (run,) = result.store.environment["runs"]
    assert (run["ended"], run["realizations"]) == ("finished", done * CHUNK_ROWS)


def test_every_interval_of_a_stopped_campaign_is_the_one_that_may_be_looked_at(whole):
    about = campaign_summary(whole[1].store)
    for name, count in about.outcomes.items():
        bounds = confidence_sequence(count, about.samples, about.stopping.confidence)
        assert about.outcome_intervals[name] == bounds
    for one in about.violations.values():
        assert one.interval == confidence_sequence(one.count, one.solved, about.confidence)


def test_who_follows_counts_only_the_parts_that_count(whole):
    follower = Follower(whole[1].store)
    tally = follower.look()
    follower._counts[len(parts(whole[1].out))] = {Outcome.FEASIBLE: CHUNK_ROWS}  # a faster worker's
    again = follower.look()
    assert (again.done, again.counts) == (tally.done, tally.counts)
    stopping = campaign_summary(whole[1].store).stopping
    assert tally.looked == (stopping.feasible, stopping.judged)


@pytest.mark.parametrize(
    "how",
    [
        "batch",
        "helics",
        pytest.param("workers", marks=pytest.mark.slow),
        pytest.param("processes", marks=pytest.mark.slow),
    ],
)
def test_however_it_is_run_the_parts_are_the_same(whole, tmp_path, how):
    _, result = whole
    batch = ["campaign.batch=500"] if how == "batch" else []
    again = load_study(result.out / "study.json", batch)
    mode = {"batch": "local", "helics": "in_process", "processes": "processes"}.get(how, "local")
    spread = Workers(count=2) if how == "workers" else None
    run_campaign(again, tmp_path / "c", mode=mode, plan=result.plan, spread=spread)
    assert parts(tmp_path / "c") == parts(result.out)
    assert campaign_summary(CampaignStore.open(tmp_path / "c")).stopping.reason == "width"


def test_taken_up_after_an_interruption_it_stops_at_the_same_chunk(whole, tmp_path):
    study, result = whole

    def stop(tally):
        if tally.done >= CHUNK_ROWS + 100:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_campaign(study, tmp_path / "c", mode="local", plan=result.plan, progress=stop)
    assert len(parts(tmp_path / "c")) == 1
    run_campaign(study, tmp_path / "c", mode="local")
    assert parts(tmp_path / "c") == parts(result.out)
    seen = []
    run_campaign(study, tmp_path / "c", mode="local", progress=seen.append)  # whole: only read
    assert not seen


def test_a_target_is_shown_or_refuted_or_left_open(load, toy, whole, tmp_path):
    _, result = whole
    for share, reason in ((0.9, "shown"), (0.995, "refuted")):
        out = tmp_path / reason
        run_campaign(load(STOP % share), out, mode="local", plan=result.plan)
        about = campaign_summary(CampaignStore.open(out))
        assert about.stopping.reason == reason
        assert (about.samples, about.confidence) == (CHUNK_ROWS, 0.99)
    near = load("campaign.stop={kind='width', width=0.0001}", "campaign.samples=2500")
    run_campaign(near, tmp_path / "open", mode="local", plan=result.plan)
    left = campaign_summary(CampaignStore.open(tmp_path / "open"))
    assert (left.stopping.reason, left.samples, left.asked) == (None, 2500, 2500)
