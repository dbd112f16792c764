"""Every row of docs/reliability.md, with real processes: who is blamed, by which code, how soon.

::

    supervisor ── broker ──┬── planner ✗
                           └── feeder  ✗     one of them does what it should not

A child notes the moment before it does; the clock runs from there until the supervisor has
raised and everything is reaped. Rows are waits, so several run at a time.
"""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import helics
import numpy as np
import pytest
from gridproof.federation.adapters.emit import broker_command, environment_of
from gridproof.federation.members.launch import supervise
from gridproof.federation.members.session import SessionSettings
from gridproof.federation.wire.broker_address import BrokerAddress, free_port
from gridproof.federation.wire.helics_broker import HelicsBroker
from gridproof.scenarios.errors import FederationError

HERE = Path(__file__).parent
EXAMPLE = HERE.parents[1] / "examples" / "planner_plain_helics.py"
AT_ONCE = 4
STALL_S, JOIN_S, DEATH_S = 3.0, 12.0, 5.0
GRACE_S = 6.0  # to hear the survivor (2 s), to end and to reap both (2 s)
PATIENT = SessionSettings(
    transport="zmq", join_deadline_s=60, step_deadline_s=60, plan_deadline_s=60
)
STRICT = replace(PATIENT, step_deadline_s=STALL_S, plan_deadline_s=STALL_S)
ONE = "lost comms|waited 3.0 s for"  # of a stopped process HELICS' heartbeat tells, or our deadline


@dataclass(frozen=True)
class Row:
    """A fault, and what must come of it."""

    role: str
    how: str
    words: str
    code: int = 4
    settings: SessionSettings = PATIENT
    most_s: float | None = DEATH_S  # from the fault to the end; None where no fault is noted
    kept: bool = True  # whether a batch was judged before, and must be on disk

    @property
    def name(self) -> str:
        return f"{self.role} {self.how}"


def both(how: str, words: str, **more) -> list[Row]:
    """The same fault on either side; ``{}`` is who is blamed."""
    return [Row(role, how, words.format(role), **more) for role in ("planner", "feeder")]


ENDED = "^the {} ended with code "
LEFT = "^the {} left with code 0 before its work was done"
OLD = r"sequence is 1 \(old\); expected 2"
AT_START = {"most_s": None, "kept": False}
ROWS = (
    *both("dies", "^the {} was killed by SIGKILL"),
    Row("planner", "exits", LEFT.format("planner")),
    *both("sys.exit", LEFT),
    *both("raises", ENDED + "1: .*a defect of its own", code=1),
    *both("stops", f"({ONE}).*\nthe {{}} still ran and did not answer", settings=STRICT,
          most_s=STALL_S + GRACE_S),
    *both("is stuck", "waited 3.0 s for .* from {0}; .*\nthe {0} still ran and did not answer",
          settings=STRICT, most_s=STALL_S + GRACE_S),
    *both("never joins", "waited .* s for joining the federation from {}; ", **AT_START),
    Row("planner", "another key", "federate planner could not join .*broker key does not match",
        **AT_START),
    Row("planner", "does nothing", LEFT.format("planner"), **AT_START),
    Row("feeder", "bad input", r"^the feeder ended with code 2: study.toml: \[limits\]", code=2,
        **AT_START),
    Row("planner", "NaN", "^the feeder ended with code 4: planner/setpoints: p in row 0 is nan"),
    Row("feeder", "short", r"^the planner ended with code 4: feeder/realizations: length is \d+"),
    Row("planner", "doubled", "^the feeder ended with code 4: planner/setpoints: " + OLD),
    Row("planner", "old", "^the feeder ended with code 4: planner/setpoints: " + OLD),
    Row("planner", "no plan", "^the planner ended with code 3: no plan within 5 s", code=3,
        **AT_START),
    Row("planner", "hangs", "waited 3.0 s for the plan from planner", settings=STRICT,
        most_s=STALL_S + GRACE_S, kept=False),
    Row("planner", "another plan", "^the feeder ended with code 4: planner/plan: switches",
        kept=False),
    Row("planner", "mistyped topic", "planner/setpoints", **AT_START),
)  # fmt: skip


def commands(out: Path, row: Row, processes):
    """Both federates' commands; one of them is at fault."""
    peer = "feeder" if row.role == "planner" else "planner"
    good = processes.command(out, peer, "", row.settings)
    if row.how == "mistyped topic":
        mistyped = out.with_suffix(".py")
        mistyped.write_text(EXAMPLE.read_text().replace('"setpoints": raw', '"set_points": raw'))
        plan = out.with_suffix(".json")
        plan.write_text("{}")
        bad = lambda at: [sys.executable, str(mistyped), str(plan), f"{at.host}:{at.port}"]  # noqa: E731
    else:
        key = "another-key" if row.how == "another key" else None
        bad = processes.command(out, row.role, row.how, row.settings, key)
    return {row.role: bad, peer: good}


def faults_of(row: Row, folder: Path, processes) -> list[str]:
    """Run a row; return what is not as it should be."""
    out = folder / row.name.replace(" ", "-")
    foreign = ("planner",) if row.how == "mistyped topic" else ()
    settings = row.settings
    if row.how == "never joins":  # the other must have joined by then
        settings = replace(settings, join_deadline_s=JOIN_S * processes.patience())
    try:
        supervise(commands(out, row, processes), settings, foreign=foreign)
    except FederationError as caught:
        ended, error = time.time(), caught
    else:
        return [f"{row.name}: nothing was noticed"]
    noted = Path(f"{out}.fault")
    took_s = ended - float(noted.read_text()) if noted.exists() else float("nan")
    record(row.name, took_s, error)
    found = []
    if not re.search(row.words, str(error), re.DOTALL):
        found.append(f"it was said: {error}; wanted: {row.words}")
    if error.exit_code != row.code:
        found.append(f"code {error.exit_code}; wanted {row.code}")
    if row.most_s is not None and not took_s < row.most_s * processes.patience():
        found.append(f"it took {took_s:.1f} s; allowed are {row.most_s} s")
    if processes.still_running(str(out)):
        found.append(f"still there: {processes.still_running(str(out))}")
    if Path(f"{out}.batch-0").exists() != row.kept or out.exists():
        found.append(f"on disk: {sorted(path.name for path in folder.glob(out.name + '*'))}")
    if row.kept and Path(f"{out}.batch-0").read_bytes() != np.zeros(4, np.int64).tobytes():
        found.append("the batch judged before is not whole")
    return [f"{row.name}: {fault}" for fault in found]


def record(name: str, took_s: float, error: Exception) -> None:
    """Keep what was seen, for whoever writes the table anew."""
    place = os.environ.get("GRIDPROOF_FAULT_TABLE")
    if place:
        with Path(place).open("a", encoding="utf-8") as file:
            file.write(json.dumps([name, round(took_s, 2), str(error)[-300:]]) + "\n")


@pytest.mark.slow
@pytest.mark.timeout(900)  # half a minute of a free machine's; most of it is starting processes
def test_every_fault_is_noticed_blamed_and_leaves_nobody(processes, tmp_path) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(lambda row: faults_of(row, tmp_path, processes), ROWS))
    assert "\n".join(fault for faults in found for fault in faults) == ""


def test_a_broker_that_leaves_ends_both(processes, tmp_path, monkeypatch) -> None:
    from gridproof.federation.wire import helics_broker

    brokers = []

    class Noted(HelicsBroker):
        def __init__(self, *args, **named):
            super().__init__(*args, **named)
            brokers.append(self)

    monkeypatch.setattr(helics_broker, "HelicsBroker", Noted)
    out = tmp_path / "v"
    left: list[float] = []

    def go() -> None:
        processes.wait_for((tmp_path / "v.batch-4").exists, 60.0)
        left.append(time.time())
        helics.helicsBrokerDisconnect(brokers[0]._broker)

    thread = threading.Thread(target=go)
    thread.start()
    roles = ("planner", "feeder")
    with pytest.raises(FederationError, match="shut down while waiting for") as caught:
        supervise({one: processes.command(out, one, "slow", PATIENT) for one in roles}, PATIENT)
    took_s = time.time() - left[0]
    thread.join()
    record("broker leaves", took_s, caught.value)
    assert caught.value.exit_code == 4
    assert took_s < DEATH_S * processes.patience()
    assert not processes.still_running(str(out))


def test_a_killed_broker_of_its_own_is_missed_in_seconds(processes, tmp_path) -> None:
    """As `helics run` or a batch system starts it; HELICS by itself takes 30 s."""
    address = BrokerAddress(transport="zmq", key="a-key", port=free_port())
    program = Path(helics.__file__).parent / "install" / "bin" / "helics_broker"
    keyed = os.environ | environment_of("broker", address.key)
    broker = subprocess.Popen([program, *broker_command(address)[1:]], env=keyed)
    out, federates = tmp_path / "v", []
    try:
        for role in ("planner", "feeder"):
            words = processes.command(out, role, "slow", PATIENT)(address)
            environment = os.environ | {"PYTHONPATH": str(HERE.parents[1])}
            federates.append(
                subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True)
            )
        processes.wait_for((tmp_path / "v.batch-4").exists, 60.0)
        broker.send_signal(signal.SIGKILL)
        killed = time.time()
        said = [federate.communicate(timeout=60)[1] for federate in federates]
    finally:
        for process in (broker, *federates):
            process.kill()
            process.wait()
    took_s = time.time() - killed
    record("broker killed", took_s, RuntimeError(said[0]))
    for federate, words in zip(federates, said, strict=True):
        assert federate.returncode == 4, words
        assert f"the broker at 127.0.0.1:{address.port} is gone" in words
    assert took_s < DEATH_S * processes.patience()


def test_a_port_that_is_taken_is_left_to_who_has_it(monkeypatch) -> None:
    import socket

    from gridproof.federation.wire import helics_broker

    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = holder.getsockname()[1]
        ports = iter([taken])
        free = helics_broker.free_port
        monkeypatch.setattr(helics_broker, "free_port", lambda: next(ports, None) or free())
        started = time.time()
        broker = HelicsBroker("zmq", ("planner", "feeder"))
        record("port taken", time.time() - started, RuntimeError(""))
        try:
            assert broker.alive
            assert broker.address.port != taken
        finally:
            broker.end("the test is over")
            broker.close()


def test_a_port_where_no_broker_listens_is_said_at_the_join_deadline(processes, tmp_path) -> None:
    import socket

    strict = replace(PATIENT, join_deadline_s=2.0)
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        port = stranger.getsockname()[1]
        address = BrokerAddress(transport="zmq", key="a-key", port=port)
        words = processes.command(tmp_path / "v", "feeder", "", strict)(address)
        started = time.time()
        done = subprocess.run(
            words, env=os.environ | {"PYTHONPATH": str(HERE.parents[1])}, capture_output=True,
            text=True, timeout=60, check=False,
        )  # fmt: skip
    record("port of another program", time.time() - started, RuntimeError(done.stderr))
    assert done.returncode == 4
    assert f"federate feeder could not join the broker at 127.0.0.1:{port}" in done.stderr
    assert time.time() - started < 15.0 * processes.patience()  # HELICS by itself takes 30 s


def test_the_page_has_a_row_for_every_fault() -> None:
    page = (HERE.parents[1] / "docs" / "reliability.md").read_text(encoding="utf-8")
    assert f"deadline of {STALL_S:g} s" in " ".join(page.split())
    told = {row.split("|")[1].strip() for row in page.splitlines() if row.startswith("|")}
    named = {cell.split("`")[-2] for cell in told if "`" in cell}
    alone = {"broker leaves", "broker killed", "port taken", "port of another program"}
    assert named == {row.name for row in ROWS} | alone
