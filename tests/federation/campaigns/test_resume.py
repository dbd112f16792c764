"""Killed at any moment, out of disk, torn: what is whole stays, and the rest comes out the same."""

import os
import random
import resource
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.cli.main import app
from gridproof.federation.records.parts import CHUNK_ROWS
from gridproof.federation.records.run_record import rows_there
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.studies.study import load_study
from gridproof.scenarios.errors import StoreError
from typer.testing import CliRunner

ROOT = Path(__file__).parents[3]
SAMPLES = 6_200
OVERRIDES = [
    f"campaign.samples={SAMPLES}", "campaign.batch=256",
    "campaign.judge=linear", "campaign.recourse=fixed",
]  # fmt: skip
_RANDOM = random.Random(4)
MOMENTS = [_RANDOM.random() for _ in range(20)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory, write_toy):
    """An undisturbed campaign, run by the program itself, and how long it was at it."""
    folder = tmp_path_factory.mktemp("whole")
    child = start(write_toy(folder), folder / "c")
    began = await_directory(child, folder / "c")
    assert child.wait(timeout=120) == 0
    return folder / "c", time.monotonic() - began


def start(toy, out):
    sets = [word for entry in OVERRIDES for word in ("--set", entry)]
    command = [sys.executable, "-m", "gridproof", "run", str(toy), "--out", str(out), "-q", *sets]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def await_directory(child, out) -> float:
    until = time.monotonic() + 60.0
    while not out.exists():
        assert child.poll() is None, "ended before it began"
        assert time.monotonic() < until, "no directory came in 60 s"
        time.sleep(0.001)
    return time.monotonic()


def results(root):
    return {
        str(path.relative_to(root)): path.read_bytes()
        for folder in ("parts", "profiles")
        for path in sorted((root / folder).glob("*"))
    }


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS[:3], ids="{:.3f}".format)
def test_killed_at_a_random_moment_and_resumed(whole, toy, tmp_path, moment):
    undisturbed, took_s = whole
    out = tmp_path / "c"
    child = start(toy, out)
    try:
        await_directory(child, out)
        time.sleep(moment * took_s)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait(timeout=10)
    goes_on(undisturbed, toy, out)


def goes_on(undisturbed, toy, out):
    """Take up what was killed: what was whole is not touched, and the end is the same."""
    begun = (out / "study.json").exists()  # a directory without one is no campaign yet
    study = load_study(out / "study.json") if begun else load_study(toy, OVERRIDES)
    there = {path: path.stat().st_mtime_ns for path in out.glob("parts/part-*")}
    kept = rows_there(CampaignStore.open(out)) if begun else 0
    result = run_campaign(study, out, mode="local")
    assert kept >= sum(result.store.chunk_range(int(p.stem[-8:]))[1] for p in there)
    assert result.resumed == kept  # a slow machine keeps what was begun, too
    assert all(path.stat().st_mtime_ns == was for path, was in there.items())
    assert results(out) == results(undisturbed)
    assert not list(out.rglob(".*.tmp"))


FORKED = """
import os, sys
from pathlib import Path
from gridproof.federation.campaigns.campaign import (run_campaign)
from gridproof.federation.studies.study import load_study

study = load_study(sys.argv[1], sys.argv[2:])
print("ready", flush=True)
for line in sys.stdin:
    pid = os.fork()
    if not pid:
        run_campaign(study, Path(line.strip()), mode="local")
        os._exit(0)
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


@pytest.fixture(scope="module")
def forked(tmp_path_factory, write_toy):
    """Campaigns that begin at once: copies of a process that has read the study already.

    Yields the study, how to start one, how to await its end, and how long a whole one takes.
    """
    if not hasattr(os, "fork"):
        pytest.skip("copies a process")
    folder = tmp_path_factory.mktemp("forked")
    toy = write_toy(folder)
    parent = subprocess.Popen(
        [sys.executable, "-c", FORKED, str(toy), *OVERRIDES],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip

    def begin(out):
        parent.stdin.write(f"{out}\n")
        parent.stdin.flush()
        return int(parent.stdout.readline())

    def end():
        return int(parent.stdout.readline())

    try:
        assert parent.stdout.readline() == "ready\n"
        began = time.monotonic()
        begin(folder / "c")
        assert end() == 0
        yield toy, begin, end, time.monotonic() - began
    finally:
        parent.communicate(timeout=30)


FEW = 4  # every day; all of them take a minute


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(one, marks=() if k < FEW else pytest.mark.slow, id=f"{one:.3f}")
        for k, one in enumerate(MOMENTS[3:])
    ],
)
def test_killed_at_more_moments(whole, forked, tmp_path, moment):
    toy, begin, end, took_s = forked
    pid = begin(tmp_path / "c")
    time.sleep(moment * took_s)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    assert end() in (0, -signal.SIGKILL)  # 0: it was quicker than the whole one
    if (tmp_path / "c").exists():
        goes_on(whole[0], toy, tmp_path / "c")


def resume(out):
    """The command, as a person types it."""
    return CliRunner().invoke(app, ["resume", str(out), "-q", "--json"])


def test_the_command_goes_on_with_what_is_missing(whole, tmp_path):
    undisturbed, _ = whole
    out = tmp_path / "c"
    copy(undisturbed, out)
    (out / "parts" / "part-00000001.parquet").unlink()
    (out / "parts" / ".part-00000001.parquet.12.tmp").write_bytes(b"half")
    done = resume(out)
    assert done.exit_code == 0, done.stderr
    assert results(out) == results(undisturbed)
    assert CampaignStore.open(out).environment["runs"][-1]["realizations"] == CHUNK_ROWS


def copy(source, target):
    for path in sorted(source.rglob("*")):
        there = target / path.relative_to(source)
        there.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file():
            there.write_bytes(path.read_bytes())


@pytest.mark.parametrize("damage", ["cut", "empty", "foreign"])
def test_a_torn_part_is_named_and_the_others_stay(whole, tmp_path, damage):
    undisturbed, _ = whole
    out = tmp_path / "c"
    copy(undisturbed, out)
    torn = out / "parts" / "part-00000002.parquet"
    data = torn.read_bytes()
    torn.write_bytes({"cut": data[: len(data) // 2], "empty": b"", "foreign": b"x" * 999}[damage])
    with pytest.raises(StoreError, match=r"part-00000002.parquet is torn.*delete it"):
        run_campaign(load_study(out / "study.json"), out, mode="local")
    torn.unlink()
    run_campaign(load_study(out / "study.json"), out, mode="local")
    assert results(out) == results(undisturbed)


def test_not_a_campaign(tmp_path):
    done = resume(tmp_path)
    assert done.exit_code == 2
    assert "is not a campaign directory" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def small_disk(tmp_path, whole):
    """A file system with room for two parts; skips without the right to mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    sizes = {path.parent.name: path.stat().st_size for path in whole[0].glob("*/*-00000000.*")}
    room = 64 * 1024 + int(2.6 * sum(sizes.values()))
    mount = ["mount", "-t", "tmpfs", "-o", f"size={room}", "tmpfs", str(place)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a small disk takes the right to")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.slow
def test_a_full_disk_ends_in_a_clear_error_and_what_is_whole_stays(
    whole, toy, tmp_path, small_disk
):
    undisturbed, _ = whole
    out = small_disk / "c"
    with pytest.raises(StoreError, match=r"the disk is full; finished parts are whole"):
        run_campaign(load_study(toy, OVERRIDES), out, mode="local")
    kept, full = results(out), results(undisturbed)
    assert 1 <= len(CampaignStore.open(out).finished()) <= 2
    assert all(full[name] == data for name, data in kept.items())
    roomy = tmp_path / "roomy"
    copy(out, roomy)
    run_campaign(load_study(toy, OVERRIDES), roomy, mode="local")
    assert results(roomy) == full


@pytest.mark.slow
def test_a_file_the_system_refuses_ends_in_a_clear_error(whole, tmp_path):
    """The same by another road, which needs no rights: no file may grow beyond 16 KiB."""
    undisturbed, _ = whole
    out = tmp_path / "c"
    copy(undisturbed, out)
    (out / "parts" / "part-00000001.parquet").unlink()

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (16 * 1024, 16 * 1024))

    done = subprocess.run(
        [sys.executable, "-m", "gridproof", "resume", str(out), "-q", "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        preexec_fn=limit,
    )
    assert done.returncode == 2
    assert "part-00000001.parquet cannot be written" in done.stderr
    assert "Traceback" not in done.stderr
    left = results(out)
    assert "parts/part-00000001.parquet" not in left
    assert all(results(undisturbed)[name] == data for name, data in left.items())
