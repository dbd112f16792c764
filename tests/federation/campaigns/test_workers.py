"""However many workers, and whichever are lost: the same bytes, one writer, nobody left."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.campaigns.chunks import Failure, Share, try_chunks
from gridproof.federation.campaigns.unfinished import MAX_LOSSES
from gridproof.federation.campaigns.worker import _Work
from gridproof.federation.campaigns.workers import Workers
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.studies.study import load_study
from gridproof.scenarios.errors import (
    ConfigError,
    DeadlinePassed,
    EngineError,
    FederateLost,
    StoreError,
)

ROOT = Path(__file__).parents[3]
SAMPLES = 10_000
OVERRIDES = [
    f"campaign.samples={SAMPLES}", "campaign.batch=256",
    "campaign.judge=linear", "campaign.recourse=fixed",
]  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory, write_toy):
    """A campaign of five chunks, tried by one federation in this process."""
    folder = tmp_path_factory.mktemp("whole")
    study = load_study(write_toy(folder), OVERRIDES)
    return run_campaign(study, folder / "c", mode="local")


@pytest.fixture
def study(toy):
    return load_study(toy, OVERRIDES)


def results(root):
    """Every byte a campaign's results consist of."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for folder in ("parts", "profiles")
        for path in sorted((root / folder).glob("*"))
    }


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    if not Path("/proc").is_dir():
        return True
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"


def await_gone(pids, deadline_s=15.0):
    until = time.monotonic() + deadline_s
    while any(alive(pid) for pid in pids):
        assert time.monotonic() < until, f"processes {pids} are still there"
        time.sleep(0.02)


def test_three_workers_change_no_byte(whole, study, tmp_path):
    seen, pids = [], []
    pool = Workers(count=3, started=pids.append)
    result = run_campaign(study, tmp_path / "c", spread=pool, plan=whole.plan, progress=seen.append)
    assert results(result.out) == results(whole.out)
    assert len(pids) == 3
    assert not any(map(alive, pids))
    done = [tally.done for tally in seen]
    assert done == sorted(done)
    assert done[-1] == SAMPLES
    assert len(done) > 5  # batches show, not only whole chunks
    (run,) = result.store.environment["runs"]
    assert (run["mode"], run["realizations"], run["ended"]) == ("3 workers", SAMPLES, "finished")


@pytest.mark.slow
def test_a_worker_that_dies_has_its_chunks_done_by_others(whole, study, tmp_path):
    pids, killed = [], []

    def kill_first(tally):
        if tally.done and not killed:
            killed.append(pids[0])
            os.kill(pids[0], signal.SIGKILL)

    pool = Workers(count=2, started=pids.append)
    result = run_campaign(study, tmp_path / "c", spread=pool, plan=whole.plan, progress=kill_first)
    assert killed
    assert len(pids) == 3
    assert results(result.out) == results(whole.out)


def test_a_chunk_nobody_survives_ends_the_campaign(whole, study, tmp_path):
    pids = []

    def kill(pid):
        pids.append(pid)
        os.kill(pid, signal.SIGKILL)

    with pytest.raises(FederateLost, match=r"chunk 0, .*SIGKILL.*resume") as caught:
        run_campaign(study, tmp_path / "c", spread=Workers(count=1, started=kill), plan=whole.plan)
    assert caught.value.exit_code == 4
    assert len(pids) == MAX_LOSSES
    assert not any(map(alive, pids))
    (run,) = CampaignStore.open(tmp_path / "c").environment["runs"]
    assert (run["realizations"], run["ended"]) == (0, "failed")


def start(toy, out, *more):
    """Start the program with two workers, in a session of its own."""
    command = [sys.executable, "-m", "gridproof", "run", str(toy), "--out", str(out)]
    sets = [word for entry in OVERRIDES for word in ("--set", entry)]
    return subprocess.Popen(
        [*command, "--workers", "2", *sets, *more],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


def of_session(leader: int) -> list[int]:
    """Processes of a session, itself too."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(fields[3]) == leader and fields[0] != "Z":
                found.append(int(entry.name))
    return found


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds processes through /proc")
@pytest.mark.parametrize(
    "number", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGKILL]
)
def test_ended_from_outside_leaves_whole_chunks_and_no_process(whole, study, toy, tmp_path, number):
    """Ctrl-C reaches everybody at the terminal; SIGKILL the first process alone."""
    out = tmp_path / "c"
    child = start(toy, out, "--plan", str(whole.out / "plan.json"))
    try:
        until = time.monotonic() + 60.0
        while not list(out.glob("parts/part-*")) and child.poll() is None:
            assert time.monotonic() < until, "no part came in 60 s"
            time.sleep(0.002)
        members = of_session(child.pid)
        assert len(members) >= 3
        (os.killpg if number == signal.SIGINT else os.kill)(child.pid, number)
        _, said = child.communicate(timeout=30)
    finally:
        child.kill()
    await_gone(members)
    assert child.returncode == (130 if number == signal.SIGINT else -number)
    if number == signal.SIGINT:
        assert f"gridproof resume {out}" in said
        assert "Traceback" not in said
    finished = CampaignStore.open(out).finished()
    assert finished
    result = run_campaign(study, out, mode="local")
    assert result.resumed >= 2048 * (len(finished) - 1)
    assert results(out) == results(whole.out)


# ------------------------------------------------------------------------------ its pieces


def test_workers_are_counted():
    with pytest.raises(ConfigError, match="0 workers"):
        Workers(count=0)


def share(whole, **changes):
    texts = {"study_text": "study.json", "plan_text": "plan.json"}
    made = Share.of(**{key: (whole.out / name).read_text() for key, name in texts.items()})
    values = {name: getattr(made, name) for name in ("study_text", "plan_text", "versions")}
    return Share(**{**values, **changes})


def test_chunks_in_any_order_are_the_campaigns_parts(whole):
    parts = []
    try_chunks(share(whole), iter([4, 2]), keep=parts.append)
    assert [part.chunk for part in parts] == [4, 2]
    for part in parts:
        assert part.data == whole.store.part_path(part.chunk).read_bytes()


def test_other_versions_and_another_study_are_refused(whole):
    with pytest.raises(ConfigError, match=r"python .*\(asked 2\.7\).*not mixed"):
        try_chunks(share(whole, versions=(("python", "2.7"),)), iter([0]), keep=None)
    study_text = (whole.out / "study.json").read_text()
    other = study_text.replace(whole.store.study["fingerprint"], "0" * 64)
    with pytest.raises(ConfigError, match="has changed"):
        try_chunks(share(whole, study_text=other), iter([0]), keep=None)


def test_an_exception_travels_as_text():
    assert isinstance(Failure.of(EngineError("no such bus")).error("w"), EngineError)
    assert str(Failure.of(ConfigError(["a", "b"])).error("w")) == "a\nb"
    late = Failure.of(DeadlinePassed("a word", "the planner", 2.0)).error("worker 7")
    assert isinstance(late, FederateLost)
    assert "worker 7: waited 2.0 s for a word" in str(late)
    defect = Failure.of(ZeroDivisionError("oh")).error("worker 7")
    assert isinstance(defect, RuntimeError)
    assert "ZeroDivisionError: oh" in str(defect)
    assert "Traceback" not in str(defect)
    assert "ZeroDivisionError" in defect.__notes__[0]


def test_a_federation_without_work_ends_and_is_opened_again():
    near, far = multiprocessing.Pipe()
    work = _Work(far, os.getppid(), idle_s=0.1)
    near.send(3)
    assert work.wait(None)
    assert list(work.chunks()) == [3]
    near.send(5)
    assert work.wait(None)
    near.send(None)
    assert list(work.chunks()) == [5]
    assert not work.wait(None)


def test_a_worker_without_a_parent_ends():
    near, far = multiprocessing.Pipe()
    orphan = _Work(far, parent=os.getpid(), idle_s=0.1)  # its parent is somebody else
    with pytest.raises(Exception, match=r"^$"):
        orphan.wait(None)
    near.close()


TORN = """
import os, pickle, signal, struct, sys, time
from types import SimpleNamespace as Names
from unittest.mock import Mock
from gridproof.federation.campaigns import workers
from gridproof.federation.campaigns.unfinished import Unfinished
from gridproof.federation.records.parts import EncodedPart

def stops(how, pipe, *_):
    pipe.recv()
    data = pickle.dumps(EncodedPart(chunk=0, data=b"x" * 400_000, counts={}, profiles=(b"",)))
    os.write(pipe.fileno(), struct.pack("!i", len(data)) + data[:100_000])
    time.sleep(0.2 if how == "killed" else 3600.0)
    os.kill(os.getpid(), signal.SIGKILL)

def killed(*args):
    stops("killed", *args)

def hangs(*args):
    stops("hangs", *args)

if __name__ == "__main__":
    workers.main = {"killed": killed, "hangs": hangs}[sys.argv[1]]
    waits = Names(step_deadline_s={"killed": 30.0, "hangs": 1.5}[sys.argv[1]], join_deadline_s=1.0)
    study = Names(config=Names(federation=waits))
    keeper = Mock()
    keeper.stopper.needed = 1
    pool = workers._Pool(workers.Workers(count=1), study, Unfinished(keeper, None, [0]))
    try:
        pool.run()
    finally:
        pool.end()
"""


@pytest.mark.parametrize(
    ("how", "why"),
    [("killed", "killed by SIGKILL"), pytest.param("hangs", "silent for", marks=pytest.mark.slow)],
)
def test_a_worker_that_stops_within_a_message_is_a_lost_one(tmp_path, how, why):
    script = tmp_path / "torn.py"
    script.write_text(TORN)
    done = subprocess.run(
        [sys.executable, str(script), how], cwd=ROOT, capture_output=True, text=True, timeout=90,
        check=False, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert f"FederateLost: {MAX_LOSSES} workers were lost at chunk 0, the last one" in done.stderr
    assert why in done.stderr


def test_a_full_disk_does_not_hide_why_a_run_ended(whole, study, tmp_path, monkeypatch):
    def full(*_):
        raise StoreError("environment.json: the disk is full")

    def stop(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(CampaignStore, "record_run", full)
    with pytest.raises(KeyboardInterrupt) as caught:
        run_campaign(study, tmp_path / "c", spread=Workers(count=1), plan=whole.plan, progress=stop)
    assert "the disk is full" in "".join(caught.value.__notes__)


@pytest.mark.slow
def test_a_run_is_recorded_once(whole, study, tmp_path, monkeypatch):
    """Whoever stops it while its workers are being sent home stops a finished campaign."""

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("gridproof.federation.campaigns.workers._Worker.dismiss", stop)
    with pytest.raises(KeyboardInterrupt):
        run_campaign(study, tmp_path / "c", spread=Workers(count=1), plan=whole.plan)
    (run,) = CampaignStore.open(tmp_path / "c").environment["runs"]
    assert run["ended"] == "finished"
