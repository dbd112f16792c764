"""Ctrl-C and SIGTERM while planning: 130, soon, with a sentence, whatever the command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from gridproof.federation.cli import main

ROOT = Path(__file__).parents[3]
SOON_S = 20.0
"""Of a minute or more of planning; a machine with much else to do is slow to end a process."""


@pytest.mark.parametrize(
    ("number", "words", "said"),
    [
        pytest.param(
            signal.SIGINT,
            ("plan",),
            "interrupted; give the same command again",
            marks=pytest.mark.slow,
        ),
        (signal.SIGINT, ("run", "--out", "{out}"), "go on with: gridproof resume {out}"),
        pytest.param(
            signal.SIGTERM,
            ("sweep", "--over", "uncertainty.spread=0.1,0.2", "--out", "{out}"),
            "what is finished is whole in {out}; go on with the same command",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            signal.SIGTERM,
            ("harden", "--out", "{out}"),
            "what is finished is whole in {out}; go on with the same command",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_command_that_plans_ends_soon(number, words, said, tmp_path):
    """The study's plan takes HiGHS a minute or more."""
    out = str(tmp_path / "out")
    given = [word.format(out=out) for word in words]
    process = subprocess.Popen(
        [sys.executable, "-m", "gridproof", given[0], "ieee123-networked", *given[1:]],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        await_work(process)
        process.send_signal(number)
        began = time.monotonic()
        text, _ = process.communicate(timeout=60.0)
    finally:
        process.kill()
    assert process.returncode == 130, text
    assert time.monotonic() - began < SOON_S
    assert said.format(out=out) in text
    assert "terminate called" not in text
    assert not list(tmp_path.rglob("*.unfinished*"))


def await_work(process, seconds=6.0):
    """Wait until it is planning; imports take two of these seconds of a processor it may share."""
    until = time.monotonic() + 60.0
    while used_s(process.pid) < seconds:
        assert process.poll() is None
        assert time.monotonic() < until, "it does not get to its work"
        time.sleep(0.1)


def used_s(pid):
    """Processor seconds of a process; where the system does not tell, since it was asked."""
    try:
        told = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return time.monotonic() - _ASKED.setdefault(pid, time.monotonic())
    return (int(told[11]) + int(told[12])) / os.sysconf("SC_CLK_TCK")


_ASKED: dict[int, float] = {}


def test_a_thread_that_nothing_ends_does_not_keep_or_break_the_end(monkeypatch):
    left = []
    monkeypatch.setattr(os, "_exit", left.append)
    main._leave_at_once(130)
    assert left == []  # nobody is stuck: Python's own end
    never = threading.Event()
    stuck = threading.Thread(target=never.wait, name="federate-planner", daemon=True)
    stuck.start()
    try:
        for code, wanted in ((130, 130), (None, 0), ("words", 1)):
            main._leave_at_once(code)
            assert left.pop() == wanted
    finally:
        never.set()
        stuck.join(5.0)
