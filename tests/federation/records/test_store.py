"""A part is whole or not there: torn, foreign, full disks, kills, and the same bytes each time."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from gridproof.federation.records.digests import DIGESTS
from gridproof.federation.records.environment import environment_record
from gridproof.federation.records.parts import CHUNK_ROWS
from gridproof.federation.records.sink import CampaignSink
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.records.summary import campaign_summary
from gridproof.scenarios.errors import StoreError
from gridproof.scenarios.plan import plan_digest
from gridproof.scenarios.verdict import MarginKind, Outcome

SAMPLES = 2 * CHUNK_ROWS + 100
STUDY = {
    "format": "gridproof-study/1",
    "name": "tiny",
    "fingerprint": "f" * 64,
    "config": {
        "campaign": {
            "samples": SAMPLES, "judge": "ac", "recourse": "fixed", "sampler": "uniform",
            "confidence": 0.95,
        }
    },
}  # fmt: skip


def create(root, **changes):
    environment = environment_record(1)
    return CampaignStore.create(root, json.dumps({**STUDY, **changes}), environment)


@pytest.fixture(scope="module")
def scenario(tiny_scenario):
    return tiny_scenario()


@pytest.fixture(scope="module")
def plan(tiny_plan, scenario):
    return tiny_plan(scenario)


@pytest.fixture
def fill(scenario, plan, made_up_batch):
    """Run what is missing of a campaign into a directory; ``stop`` after that many batches."""

    def run(store, batch=300, stop=None, order=1):
        sink = CampaignSink(store=store, scenario=scenario, mode="local")
        sink.accept(plan)
        for first, count in store.missing_ranges(batch, store.finished())[::order][:stop]:
            sink.write(*made_up_batch(scenario, plan, first, count))
        return sink

    return run


def parts(root):
    return {path.name: path.read_bytes() for path in sorted((root / "parts").iterdir())}


@pytest.fixture(scope="module")
def whole(tmp_path_factory, scenario, plan, made_up_batch):
    root = tmp_path_factory.mktemp("whole") / "c"
    store = create(root)
    sink = CampaignSink(store=store, scenario=scenario, mode="local")
    sink.accept(plan)
    for first, count in store.missing_ranges(CHUNK_ROWS, ()):
        sink.write(*made_up_batch(scenario, plan, first, count))
    return root


def test_what_went_in_comes_out(whole, scenario, plan, made_up_batch):
    store = CampaignStore.open(whole)
    assert store.finished() == (0, 1, 2)
    drawn, _, snapshots, verdicts = made_up_batch(scenario, plan, 0, SAMPLES)
    tables = list(store.tables(["index", "outcome", "zeta_d1", "losses_kw"], store.finished()))
    index = [i for table in tables for i in table.column("index").to_pylist()]
    assert index == list(range(SAMPLES))
    names = [name for table in tables for name in table.column("outcome").to_pylist()]
    assert names == [Outcome(code).name.lower() for code in verdicts.outcome]
    assert len(set(names)) == 5  # not_mended belongs to a recourse that corrects
    zeta = [value for table in tables for value in table.column("zeta_d1").to_pylist()]
    assert zeta == drawn.zeta[:, 1].tolist()
    losses = [value for table in tables for value in table.column("losses_kw").to_pylist()]
    unsolved = {"no_recourse", "no_solution"}
    assert losses == [
        None if name in unsolved else loss
        for name, loss in zip(names, snapshots.losses_kw.tolist(), strict=True)
    ]


def test_where_the_worst_margin_is_goes_in_by_name(whole, scenario, plan, made_up_batch):
    _, _, _, verdicts = made_up_batch(scenario, plan, 0, CHUNK_ROWS)
    table = pq.read_table(whole / "parts" / "part-00000000.parquet")
    for k, kind in enumerate(MarginKind):
        if kind in (MarginKind.VOLTAGE, MarginKind.CURRENT):
            ids = scenario.feeder.buses.ids if k == 0 else scenario.feeder.lines.ids
            expected = [ids[place] if place >= 0 else None for place in verdicts.element[:, k]]
            assert table.column(f"element_{kind}").to_pylist() == expected
            assert set(table.column(f"phase_{kind}").to_pylist()) <= {"a", "b", "c", None}
    assert set(table.column("margin_transformer").to_pylist()) == {float("inf"), None}


@pytest.mark.parametrize("batch", [1024, 300, 5000])
def test_batch_size_changes_no_byte(whole, fill, tmp_path, batch):
    fill(create(tmp_path / "c"), batch=batch)
    assert parts(tmp_path / "c") == parts(whole)


def test_order_of_batches_changes_no_byte(whole, fill, tmp_path):
    fill(create(tmp_path / "c"), batch=500, order=-1)
    assert parts(tmp_path / "c") == parts(whole)


def test_stopped_and_taken_up_changes_no_byte(whole, fill, tmp_path):
    for _ in range(5):
        fill(create(tmp_path / "c"), batch=1000, stop=3)
    assert parts(tmp_path / "c") == parts(whole)
    assert campaign_summary(CampaignStore.open(tmp_path / "c")).outcomes == (
        campaign_summary(CampaignStore.open(whole)).outcomes
    )


def test_ranges_stay_inside_chunks_and_cover_what_is_missing(tmp_path):
    store = create(tmp_path / "c")
    ranges = store.missing_ranges(300, (1,))
    covered = [i for first, count in ranges for i in range(first, first + count)]
    assert covered == [*range(CHUNK_ROWS), *range(2 * CHUNK_ROWS, SAMPLES)]
    assert all(first // CHUNK_ROWS == (first + count - 1) // CHUNK_ROWS for first, count in ranges)


def test_another_fingerprint_is_refused(whole):
    with pytest.raises(StoreError, match=r"another configuration.*give another --out"):
        create(whole, fingerprint="0" * 64)


def test_other_versions_are_refused(whole):
    other = {**environment_record(1), "versions": {"opendss": "0.0"}}
    with pytest.raises(StoreError, match=r"opendss .*\(now 0\.0\)"):
        CampaignStore.create(whole, json.dumps(STUDY), other)


def test_another_plan_is_refused(fill, tmp_path, tiny_plan, scenario):
    sink = fill(create(tmp_path / "c"), stop=1)
    with pytest.raises(StoreError, match="another plan"):
        sink.accept(tiny_plan(scenario, p_kw=9.0))


def test_results_before_a_plan_are_refused(tmp_path, scenario, plan, made_up_batch):
    sink = CampaignSink(store=create(tmp_path / "c"), scenario=scenario, mode="local")
    with pytest.raises(StoreError, match="accept a plan"):
        sink.write(*made_up_batch(scenario, plan, 0, 3))


def test_a_directory_of_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("dear")
    with pytest.raises(StoreError, match="not a campaign directory"):
        create(tmp_path)
    with pytest.raises(StoreError, match="not a campaign directory"):
        CampaignStore.open(tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "dear"


def test_a_file_where_the_directory_should_be_is_refused(tmp_path):
    (tmp_path / "c").write_text("")
    with pytest.raises(StoreError, match="cannot hold a campaign"):
        create(tmp_path / "c")


def test_a_start_that_was_killed_is_taken_up(tmp_path):
    create(tmp_path / "c")
    (tmp_path / "c" / "study.json").unlink()
    (tmp_path / "c" / ".study.json.123.tmp").write_text("{")
    assert create(tmp_path / "c").samples == SAMPLES


@pytest.mark.parametrize("keep", [0, 3, 2000, -1])
def test_a_torn_part_is_named_with_its_remedy(fill, tmp_path, keep):
    store = create(tmp_path / "c")
    fill(store, stop=7)
    path = store.part_path(0)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(StoreError, match=r"part-00000000\.parquet is torn.*delete it"):
        store.finished()


def test_a_flipped_bit_is_found(fill, tmp_path):
    store = create(tmp_path / "c")
    fill(store, stop=7)
    path = store.part_path(0)
    data = bytearray(path.read_bytes())
    data[5000] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(StoreError, match=r"part-00000000\.parquet was changed or damaged"):
        store.finished()
    (store.root / DIGESTS).unlink()  # as of a campaign of before: the pages' own checksums
    with pytest.raises(StoreError, match=r"part-00000000\.parquet is torn"):
        list(store.tables(pq.read_schema(path).names, store.finished()))


def test_a_foreign_file_is_named(fill, tmp_path):
    store = create(tmp_path / "c")
    fill(store, stop=7)
    (tmp_path / "c" / "parts" / "notes.txt").write_text("hm")
    with pytest.raises(StoreError, match=r"notes\.txt does not belong.*move it"):
        store.finished()


def test_a_foreign_parquet_file_is_named(fill, tmp_path):
    store = create(tmp_path / "c")
    fill(store, stop=7)
    table = pq.read_table(store.part_path(0)).replace_schema_metadata(None)
    pq.write_table(table, store.part_path(1))
    with pytest.raises(StoreError, match=r"part-00000001\.parquet was not written by a campaign"):
        store.finished()


def test_a_part_under_the_wrong_number_is_named(fill, tmp_path):
    store = create(tmp_path / "c")
    fill(store, stop=7)
    store.part_path(0).rename(store.part_path(1))
    with pytest.raises(StoreError, match=r"part-00000001\.parquet holds .* of chunk 0"):
        store.finished()


def test_a_part_of_another_campaign_is_named(fill, tmp_path):
    fill(create(tmp_path / "c"), stop=7)
    create(tmp_path / "d", fingerprint="0" * 64)
    part = Path("parts") / "part-00000000.parquet"
    (tmp_path / "d" / part).write_bytes((tmp_path / "c" / part).read_bytes())
    with pytest.raises(StoreError, match="belongs to another configuration"):
        CampaignStore.open(tmp_path / "d").finished()


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_refusing_disk_leaves_finished_parts_whole(  # noqa: PLR0917
    whole, fill, tmp_path, monkeypatch, call, code
):
    store = create(tmp_path / "c")
    fill(store, stop=7)  # the first chunk
    before = parts(tmp_path / "c")

    def refuse(*args):
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(*((os, "fsync") if call == "fsync" else (Path, "replace")), refuse)
        with pytest.raises(StoreError, match="full" if code == errno.ENOSPC else "cannot be"):
            fill(store, stop=7)
    assert parts(tmp_path / "c") == before  # nothing partial, nothing lost
    fill(store)
    assert parts(tmp_path / "c") == parts(whole)


def test_ctrl_c_while_writing_leaves_nothing_partial(whole, fill, tmp_path, monkeypatch):
    store = create(tmp_path / "c")

    def interrupt(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", interrupt)
        with pytest.raises(KeyboardInterrupt):
            fill(store)
    assert [path.name for path in (tmp_path / "c").rglob("*.tmp")] == []
    fill(store)
    assert parts(tmp_path / "c") == parts(whole)


def test_the_wrong_rows_are_never_written(tmp_path, whole):
    store = create(tmp_path / "c")
    table = pq.read_table(whole / "parts" / "part-00000000.parquet")
    with pytest.raises(StoreError, match="chunk 1 needs realizations 2048"):
        store.write_part(1, table, "x")
    with pytest.raises(StoreError, match="found 10 rows"):
        store.write_part(0, table.slice(0, 10), "x")
    assert parts(tmp_path / "c") == {}


def test_a_broken_study_record_is_named(tmp_path):
    create(tmp_path / "c")
    for text in ("{", "[]", '{"fingerprint": "f"}'):
        (tmp_path / "c" / "study.json").write_text(text)
        with pytest.raises(StoreError, match=r"study\.json"):
            CampaignStore.open(tmp_path / "c")


WRITER = """
import sys
from pathlib import Path
import pyarrow.parquet as pq
from gridproof.federation.records.store import CampaignStore
source, target = Path(sys.argv[1]), CampaignStore.open(Path(sys.argv[2]))
table = pq.read_table(source / "parts" / "part-00000000.parquet")
print("ready", flush=True)
while True:
    target.write_part(0, table, sys.argv[3])
"""


def test_a_killed_writer_leaves_a_whole_part_or_none(whole, tmp_path, plan):
    expected = (whole / "parts" / "part-00000000.parquet").read_bytes()
    root = Path(__file__).parents[3]
    delays = [0.0, 0.003, 0.011, 0.023]
    for number, delay in enumerate(delays):
        store = create(tmp_path / str(number))
        command = [sys.executable, "-c", WRITER, str(whole), str(store.root), plan_digest(plan)]
        writer = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root)
        try:
            assert writer.stdout.readline() == b"ready\n"
            time.sleep(delay)
        finally:
            writer.send_signal(signal.SIGKILL)
            writer.wait(10)
            writer.stdout.close()
        finished = store.finished(plan_digest(plan))
        if finished:
            assert store.part_path(0).read_bytes() == expected
        create(store.root)  # taking it up clears what the killed writer left
        assert not list(store.root.rglob("*.tmp"))
