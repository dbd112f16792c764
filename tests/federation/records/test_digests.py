"""A campaign's own record of its parts: what was changed, mixed up or put there is named."""

import hashlib
import json
import os

import pyarrow.parquet as pq
import pytest
from gridproof.federation.cli.main import app
from gridproof.federation.files import append_whole
from gridproof.federation.records.bounded import read_table
from gridproof.federation.records.digests import DIGESTS
from gridproof.federation.records.environment import environment_record
from gridproof.federation.records.parts import CHUNK_ROWS
from gridproof.federation.records.sink import CampaignSink
from gridproof.federation.records.store import CampaignStore
from gridproof.scenarios.errors import StoreError
from typer.testing import CliRunner

STUDY = {
    "format": "gridproof-study/1", "name": "tiny", "fingerprint": "f" * 64,
    "config": {
        "campaign": {
            "samples": 2 * CHUNK_ROWS + 100, "judge": "ac", "recourse": "fixed",
            "sampler": "uniform", "confidence": 0.95,
        }
    },
}  # fmt: skip


@pytest.fixture
def store(tmp_path, tiny_scenario, tiny_plan, made_up_batch):
    """A campaign of three parts, run as any."""
    store = CampaignStore.create(tmp_path / "c", json.dumps(STUDY), environment_record(1))
    fill(store, tiny_scenario(), tiny_plan, made_up_batch)
    return store


def fill(store, scenario, tiny_plan, made_up_batch):
    plan = tiny_plan(scenario)
    sink = CampaignSink(store=store, scenario=scenario, mode="local")
    sink.accept(plan)
    for first, count in store.missing_ranges(CHUNK_ROWS, store.finished()):
        sink.write(*made_up_batch(scenario, plan, first, count))


def noted(root):
    pairs = [line.split("  ") for line in (root / DIGESTS).read_text().splitlines()]
    return {name: digest for digest, name in pairs}


def true_digests(root):
    parts = sorted((root / "parts").iterdir())
    return {f"parts/{one.name}": hashlib.sha256(one.read_bytes()).hexdigest() for one in parts}


def change(path):
    """Write other margins into a part: a whole part, with the stamp of the one that was there."""
    table = read_table(path)
    at = table.column_names.index("margin_voltage")
    table = table.set_column(at, "margin_voltage", [table.column(at).to_numpy() + 1.0])
    pq.write_table(table, path, compression="zstd", write_page_checksum=True)


def test_every_part_that_is_finished_has_its_digest_in_the_record(store):
    assert noted(store.root) == true_digests(store.root)
    assert len(noted(store.root)) == 3


def test_parts_that_were_changed_or_put_there_are_all_named(store):
    first, last = store.part_path(0), store.part_path(2)
    change(first)
    lines = (store.root / DIGESTS).read_text().splitlines(keepends=True)
    (store.root / DIGESTS).write_text("".join(lines[:-1]))
    with pytest.raises(StoreError) as told:
        store.finished()
    said = str(told.value)
    assert f"{first} was changed" in said
    assert f"{last} was not written by this campaign" in said
    assert str(store.part_path(1)) not in said


def test_a_part_that_is_deleted_and_computed_anew_counts(
    store, tiny_scenario, tiny_plan, made_up_batch
):
    change(store.part_path(0))
    store.part_path(0).unlink()
    fill(store, tiny_scenario(), tiny_plan, made_up_batch)
    assert store.finished() == (0, 1, 2)
    assert noted(store.root) == true_digests(store.root)


def test_a_campaign_of_a_time_before_is_read_and_noted_as_it_goes_on(
    store, tiny_scenario, tiny_plan, made_up_batch
):
    (store.root / DIGESTS).unlink()
    assert store.finished() == (0, 1, 2)
    store.part_path(1).unlink()
    fill(store, tiny_scenario(), tiny_plan, made_up_batch)
    assert noted(store.root) == true_digests(store.root)


def test_a_line_that_a_killed_writer_left_half_spoils_no_other(store):
    record = store.root / DIGESTS
    whole = record.read_bytes()
    record.write_bytes(whole + whole[:40])
    append_whole(record, whole.splitlines(keepends=True)[0])
    assert store.finished() == (0, 1, 2)


@pytest.mark.skipif(os.name == "nt", reason="links of another kind")
@pytest.mark.parametrize("kind", ["link", "name elsewhere", "pipe"])
def test_only_a_plain_file_is_added_to(tmp_path, kind):
    other, record = tmp_path / "other", tmp_path / DIGESTS
    other.write_text("somebody's\n")
    {"link": record.symlink_to, "name elsewhere": record.hardlink_to}.get(
        kind, lambda _: os.mkfifo(record)
    )(other)
    with pytest.raises(StoreError, match=DIGESTS):
        append_whole(record, b"ours\n")
    assert other.read_text() == "somebody's\n"


@pytest.mark.parametrize("command", ["report", "resume", "compare", "watch"])
def test_every_command_says_which_part_is_not_what_the_record_says(command, write_toy, tmp_path):
    from gridproof.federation.campaigns.campaign import run_campaign
    from gridproof.federation.studies.study import load_study

    run_campaign(load_study(write_toy(tmp_path)), tmp_path / "c", mode="local")
    path = tmp_path / "c" / "parts" / "part-00000000.parquet"
    change(path)
    given = [command, str(tmp_path / "c"), *([str(tmp_path / "c")] if command == "compare" else [])]
    said = CliRunner().invoke(app, given)
    assert said.exit_code == 2, said.output
    assert path.name in said.stderr
    assert "was changed" in " ".join(said.stderr.split())
