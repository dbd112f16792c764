"""One writer at a time, and a lock nobody can leave behind."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.records.lock import LOCK_NAME, writer_at, writing
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.studies.study import load_study
from gridproof.scenarios.errors import StoreError

ROOT = Path(__file__).parents[3]
HOLD = """
import sys, time
from pathlib import Path
from gridproof.federation.records.lock import writing
with writing(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that writes to ``tmp_path / "c"``."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "c")]
    child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "held\n"
    yield child
    child.kill()
    child.communicate(timeout=10)


def test_nobody_writes(tmp_path):
    assert writer_at(tmp_path) is None
    assert writer_at(tmp_path / "missing") is None


def test_the_lock_goes_with_its_holder(tmp_path):
    out = tmp_path / "c"
    with writing(out):
        assert writer_at(out)["pid"] == os.getpid()
        (out / "something").touch()
    assert writer_at(out) is None
    assert [path.name for path in out.iterdir()] == ["something"]


def test_nothing_is_left_where_nothing_came_of_it(tmp_path):
    with pytest.raises(ZeroDivisionError), writing(tmp_path / "c"):
        raise ZeroDivisionError
    assert not (tmp_path / "c").exists()


def test_a_second_writer_is_refused_by_name(tmp_path, holder, toy):
    with pytest.raises(StoreError, match=rf"process {holder.pid} on .*gridproof watch"):
        run_campaign(load_study(toy), tmp_path / "c", mode="local")
    assert writer_at(tmp_path / "c")["pid"] == holder.pid


def test_a_killed_writer_locks_nobody_out(tmp_path, holder, toy):
    holder.send_signal(signal.SIGKILL)
    holder.wait(timeout=10)
    assert (tmp_path / "c" / LOCK_NAME).exists()
    assert writer_at(tmp_path / "c") is None
    run_campaign(load_study(toy), tmp_path / "c", mode="local")
    assert CampaignStore.open(tmp_path / "c").finished() == (0,)
    assert not (tmp_path / "c" / LOCK_NAME).exists()


def test_asking_who_writes_never_keeps_a_writer_out(tmp_path):
    out = tmp_path / "c"
    out.mkdir()
    (out / LOCK_NAME).write_text("{}")
    command = (
        "import sys\nfrom pathlib import Path\nfrom federation.records.lock import writer_at\n"
        "print('asking', flush=True)\nwhile True: writer_at(Path(sys.argv[1]))"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", command, str(out)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout.readline() == "asking\n"
        until = time.monotonic() + 0.5
        while time.monotonic() < until:
            with writing(out):
                pass
            (out / LOCK_NAME).write_text("{}")
    finally:
        child.kill()
        child.communicate(timeout=10)


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "c").write_text("")
    with pytest.raises(StoreError, match="cannot hold a campaign"), writing(tmp_path / "c"):
        pass


@pytest.mark.parametrize("made", ["link", "dangling", "pipe", "folder"])
def test_what_stands_in_the_place_of_the_lock_is_left_alone(tmp_path, made):
    """Written through a link, the lock would be another file's end; a pipe keeps one waiting."""
    out, other = tmp_path / "c", tmp_path / "other"
    out.mkdir()
    place = out / LOCK_NAME
    if made == "pipe":
        os.mkfifo(place)
    elif made == "folder":
        place.mkdir()
    else:
        place.symlink_to(other)
    if made == "link":
        other.write_text("somebody's")
    with pytest.raises(StoreError, match=rf"cannot hold a campaign .*{LOCK_NAME}"), writing(out):
        pass
    assert writer_at(out) is None
    assert place.is_symlink() or place.exists()
    assert other.exists() == (made == "link")
    if made == "link":
        assert other.read_text() == "somebody's"


def test_a_file_system_without_locks_is_told_and_asking_it_is_no_defect(tmp_path, monkeypatch):
    def flock(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("gridproof.federation.records.lock.fcntl.flock", flock)
    (tmp_path / LOCK_NAME).write_text("{}")
    assert writer_at(tmp_path) is None
    with pytest.raises(StoreError, match=r"No locks available.*another --out"), writing(tmp_path):
        pass
