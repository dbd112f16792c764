"""A launched campaign that is ended from outside: what is kept, recorded and said.

::

    gridproof launch ── broker ──┬── planner (a process)
     (SIGTERM, SIGHUP, Ctrl-C)   └── feeder  (a process, killed)
"""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from gridproof.federation.members.launch import program
from gridproof.federation.records.run_record import rows_there
from gridproof.federation.records.store import CampaignStore
from gridproof.scenarios.errors import StoreError

ROOT = Path(__file__).parents[3]
_PLACE = ROOT / "tests" / "topologies" / "processes.py"
_spec = importlib.util.spec_from_file_location("launched_processes", _PLACE)
processes = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(processes)
patience, still_running, wait_for = (
    processes.patience, processes.still_running, processes.wait_for
)  # fmt: skip
SAMPLES = 400_000  # never reached
SETTINGS = [
    "--set", f"campaign.samples={SAMPLES}", "--set", "campaign.recourse=fixed",
    "--set", "campaign.judge=linear", "--set", "planner.method=nominal",
]  # fmt: skip


def start(toy: Path, out: Path, *more: str) -> subprocess.Popen:
    command = [*program(), "launch", str(toy), "--out", str(out), *SETTINGS, *more]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command, cwd=out.parent, env=environment, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True, process_group=0,
    )  # fmt: skip


def rows(out: Path) -> int:
    try:
        return rows_there(CampaignStore.open(out))
    except StoreError:
        return 0


def after_a_part(one: subprocess.Popen, out: Path) -> None:
    try:
        wait_for(lambda: rows(out) >= 2048 or one.poll() is not None, 60.0 * patience())
        assert one.poll() is None, one.stderr.read()
    except BaseException:
        one.kill()
        raise


def ended(one: subprocess.Popen, out: Path) -> tuple[int, str]:
    try:
        _, said = one.communicate(timeout=60.0 * patience())
    finally:
        one.kill()
    assert not still_running(str(out))
    return one.returncode, said


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGTERM,
        pytest.param(signal.SIGHUP, marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, marks=pytest.mark.slow),
    ],
)
def test_a_signal_to_the_launcher_records_the_run_and_keeps_what_was_done(
    toy, tmp_path, number
) -> None:
    out = tmp_path / "c"
    one = start(toy, out)
    after_a_part(one, out)
    one.send_signal(number)
    code, said = ended(one, out)
    store = CampaignStore.open(out)
    (run,) = store.environment["runs"]
    assert code == 130
    assert run["ended"] == "interrupted"
    assert run["mode"] == "processes"
    assert run["realizations"] == rows(out) >= 2048
    assert run["seconds"] > 0.0
    assert f"{rows(out)} of {SAMPLES} realizations are kept in {out}" in said
    assert f"go on with: gridproof resume {out}" in said


@pytest.mark.slow
def test_a_hang_up_that_is_ignored_stays_ignored(toy, tmp_path) -> None:
    """As under nohup."""
    out = tmp_path / "c"
    old = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        one = start(toy, out)
    finally:
        signal.signal(signal.SIGHUP, old)
    after_a_part(one, out)
    one.send_signal(signal.SIGHUP)
    time.sleep(1.0)
    assert one.poll() is None
    one.send_signal(signal.SIGTERM)
    assert ended(one, out)[0] == 130


def feeder_of(out: Path) -> int:
    for pid in still_running(str(out)):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if b"federate" in words and b"feeder" in words:
            return int(pid)
    raise AssertionError("there is no feeder")


@pytest.mark.slow
def test_a_killed_feeder_is_recorded_and_what_to_do_is_said(toy, tmp_path) -> None:
    out = tmp_path / "c"
    one = start(toy, out)
    after_a_part(one, out)
    os.kill(feeder_of(out), signal.SIGKILL)
    code, said = ended(one, out)
    (run,) = CampaignStore.open(out).environment["runs"]
    assert code == 4
    assert "the feeder was killed by SIGKILL" in said
    assert run["ended"] == "failed"
    assert run["realizations"] == rows(out) >= 2048
    assert f"go on with: gridproof resume {out}" in said


@pytest.mark.slow
def test_what_a_planner_of_one_s_own_wrote_is_kept_with_the_campaign(toy, tmp_path) -> None:
    out, mine = tmp_path / "c", tmp_path / "mine.py"
    mine.write_text("import sys\nprint('my planner fell over', file=sys.stderr)\nsys.exit(7)\n")
    planner = f"{sys.executable} {mine} {{broker}}"
    for run in (1, 2):
        code, said = ended(start(toy, out, "--planner", planner), out)
        assert code == 4
        log = out / "logs" / "planner.log"
        assert log.read_text().count("my planner fell over") == run  # run after run
        assert said.count("my planner fell over") == 1
        assert str(log) in said
        assert f"go on with: the same command and --out {out}" in said
    assert json.loads((out / "environment.json").read_text())["runs"] == []  # nothing was tried


@pytest.mark.slow
def test_federates_that_say_nothing_leave_no_logs(toy, tmp_path) -> None:
    out = tmp_path / "c"
    one = start(toy, out, "--set", "campaign.samples=40")
    assert ended(one, out)[0] == 0
    assert not (out / "logs").exists()
