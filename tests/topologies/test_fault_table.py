"""Every row of docs/reliability.md, with real processes: who is blamed, by which code, how soon.

A child notes the moment before it does what it should not; the clock runs from there until
the supervisor has raised and everything is reaped.
"""

import json
import os
import re
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import helics
import pytest

from federation.helics_broker import HelicsBroker
from federation.launch import supervise
from federation.session import SessionSettings
from scenarios.errors import FederationError

pytestmark = pytest.mark.slow  # real processes and their deadlines: minutes in all

HERE = Path(__file__).parent
CHILD = HERE / "child.py"
STALL_S = 4.0
SETTINGS = SessionSettings(
    transport="zmq", join_deadline_s=20, step_deadline_s=20, plan_deadline_s=20
)
STRICT = replace(SETTINGS, step_deadline_s=STALL_S)
GRACE_S = 8.0  # to hear the survivor (2 s), to end and reap both (2 s), on a loaded machine


def command(out: Path, role: str, behaviour: str, settings=SETTINGS, key: str | None = None):
    return lambda address: [
        *(sys.executable, "-W", "error", str(CHILD), role),
        *(f"{address.host}:{address.port}", key or address.key, settings.to_json()),
        *(str(out), behaviour),
    ]


def failed(out: Path, commands, settings=SETTINGS) -> tuple[FederationError, float]:
    """Run what must fail; return the error, and the seconds since the fault was noted."""
    with pytest.raises(FederationError) as caught:
        supervise(commands, settings)
    ended = time.time()
    noted = Path(f"{out}.fault")
    took_s = ended - float(noted.read_text()) if noted.exists() else float("nan")
    record(os.environ.get("PYTEST_CURRENT_TEST", ""), took_s, caught.value)
    assert not still_running(str(out))
    return caught.value, took_s


def record(test: str, took_s: float, error: Exception) -> None:
    """Keep what was seen, for whoever writes the table anew."""
    place = os.environ.get("GRIDPROOF_FAULT_TABLE")
    if place:
        name = test.rsplit("::", maxsplit=1)[-1].removesuffix(" (call)")
        with Path(place).open("a", encoding="utf-8") as file:
            file.write(json.dumps([name, round(took_s, 2), str(error)[:200]]) + "\n")


def still_running(mark: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            dead = (path.parent / "stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
            if mark.encode() in path.read_bytes() and not dead:
                found.append(path.parent.name)
        except OSError:
            continue
    return found


WORDS = {
    "dies": (4, "the {} was killed by SIGKILL"),
    "exits": (4, "the {} left with code 0 before its work was done"),
    "raises": (1, "the {} ended with code 1: .*a defect of its own"),
    "sys.exit": (4, "the {} left with code 0 before its work was done"),
}


@pytest.mark.parametrize("role", ["planner", "feeder"])
@pytest.mark.parametrize("how", WORDS)
def test_a_federate_that_ends_is_noticed_at_once(tmp_path, role, how) -> None:
    out = tmp_path / "v"
    other = "feeder" if role == "planner" else "planner"
    error, took_s = failed(out, {role: command(out, role, how), other: command(out, other, "")})
    code, words = WORDS[how]
    assert re.search(words.format(role), str(error), re.DOTALL), error
    assert error.exit_code == code
    assert took_s < 5.0


@pytest.mark.parametrize("role", ["planner", "feeder"])
@pytest.mark.parametrize("how", ["stops", "is stuck"])
def test_a_federate_that_stalls_is_noticed_at_the_deadline(tmp_path, role, how) -> None:
    out = tmp_path / "v"
    other = "feeder" if role == "planner" else "planner"
    commands = {
        role: command(out, role, how, STRICT),
        other: command(out, other, "", STRICT),
    }
    error, took_s = failed(out, commands, STRICT)
    assert f"the {role} still ran and did not answer" in str(error)
    if how == "is stuck":  # alive for HELICS, so that only the deadline tells
        assert f"waited {STALL_S} s for" in str(error)
        assert f"from {role}" in str(error)
    assert error.exit_code == 4
    assert took_s < STALL_S + GRACE_S


def test_another_broker_s_key_is_not_let_in(tmp_path) -> None:
    out = tmp_path / "v"
    commands = {
        "planner": command(out, "planner", "", key="another-key"),
        "feeder": command(out, "feeder", ""),
    }
    error, _ = failed(out, commands)
    assert "the planner ended with code 4: federate planner could not join" in str(error)
    assert error.exit_code == 4


def test_a_broker_that_goes_ends_both(tmp_path, monkeypatch) -> None:
    from federation import launch

    brokers = []

    class Noted(HelicsBroker):
        def __init__(self, *args):
            super().__init__(*args)
            brokers.append(self)

    monkeypatch.setattr(launch, "HelicsBroker", Noted)
    out = tmp_path / "v"

    def go() -> None:
        Path(f"{out}.fault").write_text(repr(time.time()))
        helics.helicsBrokerDisconnect(brokers[0]._broker)

    timer = threading.Timer(5.0, go)
    timer.start()
    commands = {
        "planner": command(out, "planner", "slow", STRICT),
        "feeder": command(out, "feeder", "slow", STRICT),
    }
    error, took_s = failed(out, commands, STRICT)
    timer.join()
    assert error.exit_code == 4
    assert took_s < STALL_S + GRACE_S


def test_a_mistyped_topic_ends_the_federation_at_the_start(tmp_path) -> None:
    example = (HERE.parents[1] / "examples" / "planner_plain_helics.py").read_text()
    mistyped = tmp_path / "mistyped.py"
    mistyped.write_text(example.replace('"setpoints": raw', '"set_points": raw'))
    (tmp_path / "plan.json").write_text("{}")
    out = tmp_path / "v"
    commands = {
        "planner": lambda address: [
            *(sys.executable, str(mistyped), str(tmp_path / "plan.json")),
            *(f"{address.host}:{address.port}", address.key),
        ],
        "feeder": command(out, "feeder", ""),
    }
    with pytest.raises(FederationError, match="planner/setpoints") as caught:
        supervise(commands, SETTINGS, foreign=("planner",))
    assert caught.value.exit_code == 4


def test_the_table_says_what_is_tested_here() -> None:
    page = (HERE.parents[1] / "docs" / "reliability.md").read_text(encoding="utf-8")
    assert f"deadline of {STALL_S:g} s" in " ".join(page.split())
    told = {row.split("|")[1].strip() for row in page.splitlines() if row.startswith("|")}
    assert {"planner killed (SIGKILL)", "feeder killed (SIGKILL)", "broker gone"} <= told
