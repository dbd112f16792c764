"""Planner and feeder as processes under the supervisor, over zmq on loopback.

::

    supervisor ── broker ──┬── planner (process group of its own)
                           └── feeder  (process group of its own)
"""

import _thread
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from gridproof.federation.members.launch import federate_command, supervise
from gridproof.federation.members.session import SessionSettings, run_session
from gridproof.federation.wire.broker_address import BrokerAddress
from gridproof.scenarios.errors import ConfigError, DeadlinePassed

HERE = Path(__file__).parent
SETTINGS = SessionSettings(
    transport="zmq", join_deadline_s=60, step_deadline_s=60, plan_deadline_s=60
)


@pytest.fixture
def commands(processes):
    """Both federates' commands, by what each does."""

    def make(out: Path, planner: str = "", feeder: str = ""):
        return {
            "planner": processes.command(out, "planner", planner, SETTINGS),
            "feeder": processes.command(out, "feeder", feeder, SETTINGS),
        }

    return make


@pytest.mark.slow
def test_two_processes_judge_what_two_threads_judge(  # noqa: PLR0917
    fakes, scenario, plan, processes, commands, tmp_path
) -> None:
    """And a process that a federate left behind goes with its group."""
    supervise(commands(tmp_path / "verdicts", planner="leaves a grandchild"), SETTINGS)
    sink = fakes.ListSink()
    run_session(
        fakes.planner_job(scenario, plan),
        fakes.feeder_job(scenario, sink),
        SessionSettings(transport="local"),
    )
    assert (tmp_path / "verdicts").read_bytes() == sink.verdict_bytes()
    processes.wait_for(lambda: not processes.still_running(str(tmp_path)), 5.0)


def test_the_whole_run_has_a_deadline(commands, tmp_path) -> None:
    settings = replace(SETTINGS, wall_deadline_s=1.0)
    with pytest.raises(DeadlinePassed, match="the end of the run from planner and feeder"):
        supervise(commands(tmp_path / "v", "slow", "slow"), settings)


def test_ctrl_c_ends_and_reaps_both(processes, commands, tmp_path) -> None:
    out = tmp_path / "v"
    pressed: list[float] = []

    def press() -> None:
        processes.wait_for(Path(f"{out}.batch-8").exists, 60.0)
        pressed.append(time.monotonic())
        _thread.interrupt_main(signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        supervise(commands(out, "slow", "slow"), SETTINGS)
    thread.join()
    assert time.monotonic() - pressed[0] < 5.0 * processes.patience()
    assert not processes.still_running(str(out))


LAUNCHER = """
import importlib.util, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location("processes", sys.argv[2])
processes = importlib.util.module_from_spec(spec)
spec.loader.exec_module(processes)
from gridproof.federation.members.launch import supervise
from gridproof.federation.members.session import SessionSettings
settings = SessionSettings(transport="zmq", join_deadline_s=60, step_deadline_s=60)
roles = ("planner", "feeder")
supervise({r: processes.command(Path(sys.argv[1]), r, "slow", settings) for r in roles}, settings)
"""


def test_children_end_when_their_supervisor_is_killed(processes, tmp_path) -> None:
    """Nobody is left to end them, and HELICS would notice after 30 s."""
    mark = str(tmp_path / "v")
    supervisor = subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, mark, str(HERE / "processes.py")],
        env=os.environ | {"PYTHONPATH": str(HERE.parents[1])},
    )
    try:
        processes.wait_for(Path(f"{mark}.batch-8").exists, 60.0)  # joined and answering
    finally:
        supervisor.kill()
        supervisor.wait()
    processes.wait_for(lambda: not processes.still_running(mark), 5.0 * processes.patience())


def test_a_program_that_is_not_there_is_bad_input(tmp_path) -> None:
    with pytest.raises(ConfigError, match="could not be started"):
        supervise({"planner": lambda address: [str(tmp_path / "nothing")]}, SETTINGS)  # noqa: ARG005


def test_the_command_of_a_child_is_the_command_line_s(tmp_path) -> None:
    address = BrokerAddress(transport="zmq", key="k", port=23500)
    command = federate_command("planner", Path("s.toml"), tmp_path, address, SETTINGS)
    assert command[0] == sys.executable
    at = command.index("federate")
    assert command[1:at] == ["-m", "gridproof"] or Path(command[at - 1]).name == "gridproof"
    assert command[at : at + 3] == ["federate", "planner", "s.toml"]
    assert address.key not in command  # which anybody may read
    assert command[command.index("--broker") + 1] == "127.0.0.1:23500"
    assert SessionSettings.from_json(command[command.index("--settings") + 1]) == SETTINGS
