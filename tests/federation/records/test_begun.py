"""A run that stops keeps what it did: shown, gone on with, and in the end the same bytes."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.campaigns.chunks import Share, try_chunks
from gridproof.federation.cli.main import app
from gridproof.federation.field.realtime import Pace
from gridproof.federation.records import sink as sinks
from gridproof.federation.records.begun import begun_chunks, begun_path, missing_ranges, read_begun
from gridproof.federation.records.digests import DIGESTS
from gridproof.federation.records.environment import environment_record
from gridproof.federation.records.keeper import Keeper
from gridproof.federation.records.parts import CHUNK_ROWS
from gridproof.federation.records.sink import CampaignSink
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.records.summary import campaign_summary
from gridproof.federation.reports.data import gather
from gridproof.federation.studies.study import load_study
from gridproof.scenarios.errors import FederationError, StoreError
from gridproof.scenarios.plan import plan_digest
from typer.testing import CliRunner

SAMPLES = 5000
OVERRIDES = [
    f"campaign.samples={SAMPLES}", "campaign.batch=256",
    "campaign.judge=linear", "campaign.recourse=fixed",
]  # fmt: skip


def files(root: Path) -> dict[str, bytes]:
    found = [*root.glob("parts/*"), *root.glob("profiles/*"), *root.glob("begun/*")]
    return {str(path.relative_to(root)): path.read_bytes() for path in found}


def stop_at(count: int, error: type[BaseException] = KeyboardInterrupt):
    def stop(tally):
        if tally.done >= count:
            raise error("stopped")

    return stop


@pytest.fixture(scope="module")
def whole(tmp_path_factory, write_toy):
    folder = tmp_path_factory.mktemp("whole")
    study = load_study(write_toy(folder), OVERRIDES)
    return study, run_campaign(study, folder / "c", mode="local")


@pytest.fixture
def stopped(whole, tmp_path):
    """Stopped in the second chunk, after 3072 realizations."""
    study, result = whole
    out = tmp_path / "c"
    with pytest.raises(KeyboardInterrupt):
        run_campaign(study, out, mode="local", plan=result.plan, progress=stop_at(3000))
    return study, CampaignStore.open(out), result


@pytest.mark.parametrize(
    "error",
    [
        KeyboardInterrupt,
        *(
            pytest.param(one, marks=pytest.mark.slow)
            for one in (FederationError, RuntimeError, MemoryError)
        ),
    ],
)
def test_every_stop_keeps_what_was_done_and_the_end_has_the_same_bytes(whole, tmp_path, error):
    study, result = whole
    out = tmp_path / "c"
    with pytest.raises(error):
        run_campaign(study, out, mode="local", plan=result.plan, progress=stop_at(700, error))
    store = CampaignStore.open(out)
    assert (store.finished(), begun_chunks(store)) == ((), (0,))
    assert campaign_summary(store).samples == 768
    tried = []
    done = run_campaign(study, out, mode="local", progress=tried.append)
    assert done.resumed == 768
    assert tried[0].done == 768 + 256  # nothing is tried twice
    assert tried[0].resumed == 768
    assert files(out) == files(result.out)
    assert not (out / "begun").exists()
    runs = store.environment["runs"]
    assert [run["realizations"] for run in runs] == [768, SAMPLES - 768]


@pytest.mark.parametrize(
    "batch", [1, *(pytest.param(one, marks=pytest.mark.slow) for one in (7, 256, 4096))]
)
def test_another_batch_goes_on_to_the_same_bytes(stopped, batch):
    study, store, result = stopped
    other = load_study(study.path, [*OVERRIDES, f"campaign.batch={batch}"])
    if batch == 1:  # quick: only whether what is left is cut right
        ranges = missing_ranges(store, store.finished(), 1)
        assert ranges == tuple((k, 1) for k in range(3072, SAMPLES))
        return
    run_campaign(other, store.root, mode="local")
    assert files(store.root) == files(result.out)


def test_stopped_again_and_again(stopped):
    study, store, result = stopped
    for count in (3300, 3900, 4300):
        with pytest.raises(KeyboardInterrupt):
            run_campaign(study, store.root, mode="local", progress=stop_at(count))
        assert campaign_summary(store).samples >= count
    run_campaign(study, store.root, mode="local")
    assert files(store.root) == files(result.out)
    assert sum(run["realizations"] for run in store.environment["runs"]) == SAMPLES


def test_what_was_begun_is_in_every_view(stopped):
    study, store, result = stopped
    found, data = campaign_summary(store), gather(store, study.scenario)
    (rows,) = result.store.tables(["outcome", "margin_voltage"], [1])
    (first,) = result.store.tables(["outcome", "margin_voltage"], [0])
    outcome = first.column("outcome").to_pylist() + rows.column("outcome").to_pylist()[:1024]
    assert found.samples == data.convergence.judged[-1] == data.profile.solved == 3072
    assert found.outcomes["feasible"] == outcome.count("feasible")
    margins = np.concatenate(
        [first.column(1).to_numpy(), rows.column("margin_voltage").to_numpy()[:1024]]
    )
    assert found.margins["voltage"].min == margins.min()
    said = CliRunner().invoke(app, ["report", str(store.root), "--json"])
    assert json.loads(said.stdout)["campaign"]["samples"] == 3072
    compared = CliRunner().invoke(app, ["compare", str(store.root), str(result.out), "--json"])
    assert json.loads(compared.stdout)["realizations"] == 3072


def test_workers_do_a_begun_chunk_whole(stopped):
    """They hold no rows of it; what they hand over takes its place."""
    study, store, result = stopped

    def spread(_study, kept, plan, _progress):
        keeper = Keeper(store=kept, scenario=study.scenario, mode="local")
        keeper.begin(plan)
        share = Share.of(kept.read("study.json"), kept.read("plan.json"))
        try_chunks(share, kept.missing(kept.finished()), keeper.keep)

    run_campaign(study, store.root, mode="local", spread=spread)
    assert files(store.root) == files(result.out)


def torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def inside(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 4] ^= 0xFF
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [torn, inside])
def test_a_damaged_begun_file_is_named_and_made_anew(stopped, damage):
    study, store, result = stopped
    path = begun_path(store, 1)
    damage(path)
    with pytest.raises(StoreError, match=r"begun/part-00000001\.parquet is torn"):
        run_campaign(study, store.root, mode="local")
    path.unlink()
    run_campaign(study, store.root, mode="local")
    assert files(store.root) == files(result.out)


def test_begun_rows_of_another_plan_or_campaign_are_refused(stopped, tmp_path):
    study, store, _ = stopped
    with pytest.raises(StoreError, match="was made under another plan"):
        read_begun(store, 1, "another")
    other = CampaignStore(root=store.root, study={**store.study, "fingerprint": "f"})
    with pytest.raises(StoreError, match="does not hold the first rows of chunk 1"):
        read_begun(other, 1)
    (store.root / "begun" / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match=r"notes\.txt does not belong to a campaign"):
        run_campaign(study, store.root, mode="local")


def test_a_part_damaged_inside_is_found_before_going_on(stopped):
    """The footer of such a part is whole: without a digest, nothing but reading it tells."""
    study, store, result = stopped
    (store.root / DIGESTS).unlink()
    inside(store.part_path(0))
    assert store.finished() == (0,)
    with pytest.raises(StoreError, match=r"part-00000000\.parquet is torn.*delete it and run"):
        run_campaign(study, store.root, mode="local")
    store.part_path(0).unlink()
    run_campaign(study, store.root, mode="local")
    assert files(store.root) == files(result.out)


def test_every_damaged_part_is_named_at_once(whole, tmp_path):
    _, result = whole
    out = tmp_path / "c"
    shutil.copytree(result.out, out)
    store = CampaignStore.open(out)
    for chunk in (0, 2):
        inside(store.part_path(chunk))
    said = CliRunner().invoke(app, ["resume", str(out), "-q"])
    assert said.exit_code == 2
    assert "part-00000000" in said.stderr
    assert "part-00000002" in said.stderr
    assert "part-00000001" not in said.stderr


def test_a_slow_run_keeps_what_it_did_before_it_is_asked_to(
    tmp_path, tiny_scenario, tiny_plan, made_up_batch, monkeypatch
):
    """A process that is killed says nothing; so much as half a minute of it is lost."""
    now = [0.0]
    monkeypatch.setattr(sinks.time, "monotonic", lambda: now[0])
    scenario = tiny_scenario()
    plan = tiny_plan(scenario)
    campaign = {
        "samples": CHUNK_ROWS, "judge": "ac", "recourse": "linear", "sampler": "uniform",
        "confidence": 0.95,
    }  # fmt: skip
    study = {"name": "tiny", "fingerprint": "f", "config": {"campaign": campaign}}
    store = CampaignStore.create(tmp_path / "c", json.dumps(study), environment_record(1))
    sink = CampaignSink(store=store, scenario=scenario, mode="local")
    sink.accept(plan)
    for second in range(65):
        now[0] = float(second)
        sink.write(*made_up_batch(scenario, plan, second, 1))
    kept = read_begun(store, 0, plan_digest(plan))
    assert 30 < kept.rows.num_rows < 65
    assert 65 - kept.rows.num_rows <= 31


def strict(study_path, out, monkeypatch, late_at: int):
    """Run in real time on a clock of our own that loses a second at one step."""
    study = load_study(
        study_path,
        ["campaign.samples=40", "realtime.step_s=1.0", "realtime.strict=true",
         "campaign.judge=linear", "campaign.recourse=fixed"],
    )  # fmt: skip
    clock = {"s": 0.0, "slept": 0}

    def sleep(seconds):
        clock["s"] += seconds
        clock["slept"] += 1
        if clock["slept"] == late_at:
            clock["s"] += 5.0

    def pace(of, **_):
        return Pace(of.config.realtime, monotonic=lambda: clock["s"], sleep=sleep, wall=lambda: 0.0)

    monkeypatch.setattr("gridproof.federation.campaigns.study_jobs.pace_of", pace)
    return study, lambda **more: run_campaign(study, out, mode="local", **more)


def test_a_strict_run_keeps_every_step_before_the_late_one(toy, tmp_path, monkeypatch):
    out = tmp_path / "c"
    monkeypatch.setattr(Pace, "arrived", lambda *_: dict.fromkeys(
        ("lateness_s", "loads_age_s", "setpoints_age_s"), np.zeros(1)))  # fmt: skip
    _, run = strict(toy, out, monkeypatch, late_at=17)
    with pytest.raises(FederationError, match=r"step 18 began 5\.000 s late"):
        run()
    store = CampaignStore.open(out)
    assert campaign_summary(store).samples == 17
    assert store.environment["runs"][-1]["realizations"] == 17
    _, again = strict(toy, out, monkeypatch, late_at=0)
    assert again().resumed == 17
    (table,) = store.tables(["index"], [0])
    assert table.column("index").to_pylist() == list(range(40))
