"""Planner and feeder as processes under the supervisor, over zmq on loopback.

::

    supervisor ── broker ──┬── planner (process group of its own)
                           └── feeder  (process group of its own)
"""

import _thread
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from federation.helics_broker import BrokerAddress
from federation.launch import federate_command, supervise
from federation.session import SessionSettings, run_session
from scenarios.errors import ConfigError, DeadlinePassed, FederateLost

CHILD = Path(__file__).parent / "child.py"
SETTINGS = SessionSettings(
    transport="zmq", join_deadline_s=20, step_deadline_s=20, plan_deadline_s=20
)


def commands(out: Path, planner: str = "", feeder: str = "", settings=SETTINGS):
    def command(role: str, behaviour: str):
        return lambda address: [
            *(sys.executable, "-W", "error", str(CHILD), role),
            *(f"{address.host}:{address.port}", address.key, settings.to_json()),
            *(str(out), behaviour),
        ]

    return {"planner": command("planner", planner), "feeder": command("feeder", feeder)}


def test_two_processes_judge_what_two_threads_judge(fakes, scenario, plan, tmp_path) -> None:
    supervise(commands(tmp_path / "verdicts"), SETTINGS)
    sink = fakes.ListSink()
    run_session(
        fakes.planner_job(scenario, plan),
        fakes.feeder_job(scenario, sink),
        SessionSettings(transport="local"),
    )
    assert (tmp_path / "verdicts").read_bytes() == sink.verdict_bytes()


FAILURES = {
    "no plan": (3, "the planner ended with code 3: no plan within 5 s"),
    "bad input": (2, r"the planner ended with code 2: study.toml: \[limits\]"),
    "dies": (4, "the planner was killed by SIGKILL"),
    "exits": (4, "the planner left with code 0 before its work was done"),
    "does nothing": (4, "the planner left with code 0 before its work was done"),
}


@pytest.mark.parametrize("how", FAILURES)
def test_the_failed_child_is_named_with_its_words_and_code(tmp_path, how) -> None:
    code, message = FAILURES[how]
    with pytest.raises(FederateLost, match=message) as caught:
        supervise(commands(tmp_path / "verdicts", planner=how), SETTINGS)
    assert caught.value.exit_code == code
    assert not (tmp_path / "verdicts").exists()


def test_a_child_that_never_joins_is_named(tmp_path) -> None:
    from dataclasses import replace

    settings = replace(SETTINGS, join_deadline_s=4.0)
    with pytest.raises(DeadlinePassed, match="joining the federation from planner") as caught:
        supervise(commands(tmp_path / "v", planner="never joins"), settings)
    assert caught.value.exit_code == 4


def test_a_plan_that_does_not_come_ends_both(tmp_path) -> None:
    from dataclasses import replace

    settings = replace(SETTINGS, plan_deadline_s=0.5)
    started = time.monotonic()
    with pytest.raises(FederateLost, match=r"waited 0\.5 s for the plan from planner"):
        supervise(commands(tmp_path / "v", planner="hangs", settings=settings), settings)
    assert time.monotonic() - started < 12.0


def test_the_whole_run_has_a_deadline(tmp_path) -> None:
    from dataclasses import replace

    settings = replace(SETTINGS, wall_deadline_s=3.0)
    with pytest.raises(DeadlinePassed, match="the end of the run from planner and feeder"):
        supervise(commands(tmp_path / "v", "slow", "slow"), settings)


def still_running(mark: str) -> list[str]:
    """Processes whose command line holds ``mark`` and that are not merely unreaped."""
    return [
        path.parent.name
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if mark.encode() in _quietly(path) and _state(path.parent) != "Z"
    ]


def test_a_grandchild_goes_with_its_group(tmp_path) -> None:
    supervise(commands(tmp_path / "v", planner="leaves a grandchild"), SETTINGS)
    wait_for(lambda: not still_running(str(tmp_path)), 2.0)  # a kill takes its moment


def _quietly(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _state(process: Path) -> str:
    try:
        return (process / "stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return "Z"


def test_ctrl_c_ends_and_reaps_both(tmp_path) -> None:
    timer = threading.Timer(3.0, lambda: _thread.interrupt_main(signal.SIGINT))
    timer.start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        supervise(commands(tmp_path / "v", "slow", "slow"), SETTINGS)
    timer.join()
    assert time.monotonic() - started < 9.0


def test_children_end_when_their_supervisor_is_killed(tmp_path) -> None:
    """Nobody is left to end them, and HELICS would notice after 30 s."""
    program = (
        f"import sys; sys.path[:0] = [{str(CHILD.parents[2])!r}, {str(CHILD.parent)!r}]\n"
        "import importlib.util as u\n"
        f"spec = u.spec_from_file_location('launching', {str(Path(__file__))!r})\n"
        "launching = u.module_from_spec(spec); spec.loader.exec_module(launching)\n"
        "from pathlib import Path\n"
        "commands = launching.commands(Path(sys.argv[1]), 'slow', 'slow')\n"
        "launching.supervise(commands, launching.SETTINGS)\n"
    )
    mark = str(tmp_path / "v")
    supervisor = subprocess.Popen([sys.executable, "-c", program, mark])
    try:
        wait_for(lambda: len(still_running(mark)) == 3, 10.0)
        time.sleep(2.0)  # joined and answering by now
    finally:
        supervisor.kill()
        supervisor.wait()
    wait_for(lambda: not still_running(mark), 8.0)


def wait_for(condition, deadline_s: float) -> None:
    until = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < until, f"not within {deadline_s} s"
        time.sleep(0.05)


def test_launches_side_by_side(tmp_path) -> None:
    failures = []

    def launch(number: int) -> None:
        try:
            supervise(commands(tmp_path / f"verdicts-{number}"), SETTINGS)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=launch, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    results = {(tmp_path / f"verdicts-{number}").read_bytes() for number in range(3)}
    assert len(results) == 1


def test_a_program_that_is_not_there_is_bad_input(tmp_path) -> None:
    with pytest.raises(ConfigError, match="could not be started"):
        supervise({"planner": lambda address: [str(tmp_path / "nothing")]}, SETTINGS)  # noqa: ARG005


def test_the_command_of_a_child_is_the_command_line_s(tmp_path) -> None:
    address = BrokerAddress(transport="zmq", key="k", port=23500)
    command = federate_command("planner", Path("s.toml"), tmp_path, address, SETTINGS)
    assert command[0] == sys.executable
    at = command.index("federate")
    assert command[1:at] == ["-m", "federation"] or Path(command[at - 1]).name == "gridproof"
    assert command[at : at + 3] == ["federate", "planner", "s.toml"]
    assert command[command.index("--broker") + 1] == "127.0.0.1:23500"
    assert SessionSettings.from_json(command[command.index("--settings") + 1]) == SETTINGS
