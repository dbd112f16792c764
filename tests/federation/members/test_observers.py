"""Federates that only listen, in seats that were left for them.

::

    gridproof launch --observers 2 ── broker ──┬── planner
                                               ├── feeder
                                               ├── gridproof observe
                                               └── helics_recorder
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from gridproof.federation.cli.main import app
from gridproof.federation.members.intruders import watch_for_intruders
from gridproof.federation.members.launch import program
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.records.summary import campaign_summary
from gridproof.federation.studies.study import load_study
from gridproof.federation.wire.broker_address import BrokerAddress, free_port
from gridproof.federation.wire.helics_broker import HelicsBroker
from gridproof.scenarios.errors import ConfigError, FederateLost, FederationError
from typer.testing import CliRunner

ROOT = Path(__file__).parents[3]
KEY = "a-word-of-theirs"


def start(command, folder, **more):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "GRIDPROOF_KEY": KEY} | more
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment["PATH"]])
    return subprocess.Popen(
        command, cwd=folder, env=environment, text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, process_group=0,
    )  # fmt: skip


def launch(toy, folder, port, seats, *settings):
    more = [word for entry in settings for word in ("--set", entry)]
    command = ["launch", str(toy), "--observers", str(seats), "--port", str(port), *more]
    return start([*program(), *command, "--out", str(folder / "c")], folder)


def observer(folder, port, *more):
    return start([*program(), "observe", f"127.0.0.1:{port}", "--json", *more], folder)


def recorder(folder, port):
    """HELICS' own, by the command that docs/wire.md has."""
    page = (ROOT / "docs" / "wire.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"```sh\n(HELICS_CORE_INIT_STRING.*?helics_recorder.*?)```", page, re.S)
    command = command.replace("23500", str(port)).replace("23600", str(free_port()))
    return start(["sh", "-c", f"exec env {command.strip()}"], folder)


def end(*processes):
    said = []
    for one in processes:
        try:
            said.append(one.communicate(timeout=90))
        finally:
            one.kill()
    return said


def judged(folder):
    return campaign_summary(CampaignStore.open(folder / "c")).outcomes


@pytest.mark.slow
def test_an_observer_and_helics_own_recorder_hear_the_whole_campaign(toy, tmp_path):
    port = free_port()
    launched = launch(toy, tmp_path, port, 2)
    beside = observer(tmp_path, port), recorder(tmp_path, port)
    (_, told), (heard, left), (logged, more) = end(launched, *beside)
    assert [one.returncode for one in (launched, *beside)] == [0, 0, 0], (told, left, logged, more)
    assert KEY not in told + heard + left
    seen = [json.loads(line) for line in heard.splitlines()]
    verdicts = [one for one in seen if one["what"] == "verdicts"]
    counted = judged(tmp_path)
    assert sum(counted.values()) == 40
    for kind, count in counted.items():
        assert sum(one["outcomes"][kind] for one in verdicts) == count
    asked = [one for one in seen if one["what"] == "setpoints"]
    assert [(one["exchange"], one["first"], one["count"]) for one in asked] == [
        (1, 0, 16), (2, 16, 16), (3, 32, 8),
    ]  # fmt: skip
    assert set(asked[0]["mean_p_kw"]) == {"east", "west"}
    kept = [line.split("\t") for line in (tmp_path / "wire.txt").read_text().splitlines()[1:]]
    keys = [line[2] for line in kept]
    assert keys.count("planner/plan") == 1
    assert keys.count("feeder/verdicts") == keys.count("planner/setpoints") == 3
    assert kept[-1][2] == "planner/status"
    assert "done" in kept[-1][-1]


@pytest.mark.slow
def test_seats_are_waited_for_and_named(toy, tmp_path):
    launched = launch(toy, tmp_path, free_port(), 2, "federation.join_deadline_s=6")
    ((_, told),) = end(launched)
    assert launched.returncode == 4
    assert "2 of 2 observers" in told


def test_without_a_key_they_could_not_join(toy, tmp_path, monkeypatch):
    monkeypatch.delenv("GRIDPROOF_KEY", raising=False)
    for command in (
        ["launch", str(toy), "--observers", "1", "--out", str(tmp_path / "c")],
        ["observe", "127.0.0.1:23500"],
    ):
        said = CliRunner().invoke(app, command)
        assert said.exit_code == 2
        assert "GRIDPROOF_KEY" in said.output


class _Broker:
    """A broker of which only its names are asked."""

    def __init__(self, address, names):
        self.address, self._names, self.alive = address, names, True

    def joined(self):
        return self._names


@pytest.mark.parametrize(("seats", "others"), [(0, 0), (0, 1), (1, 1), (1, 2), (2, 1)])
def test_more_than_the_seats_are_intruders(seats, others):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = BrokerAddress(transport="zmq", key="k", port=listener.getsockname()[1])
        names = ("planner", "feeder", *[f"eve{k}" for k in range(others)])
        members = ("planner", "feeder")
        look = watch_for_intruders(_Broker(address, names), members, observers=seats, every_s=-1.0)
        if others <= seats:
            look()
            return
        with pytest.raises(FederateLost, match="'eve0'"):
            look()


def test_an_emitted_file_leaves_seats(toy):
    def broker(*more):
        said = CliRunner().invoke(
            app, ["launch", str(toy), "--emit", "helics", *more], env={"GRIDPROOF_KEY": KEY}
        )
        assert said.exit_code == 0, said.output
        return json.loads(said.stdout)["federates"][0]["exec"].split()

    assert "-f2" in broker()
    assert "-f5" in broker("--observers", "3")


@pytest.mark.slow
def test_an_observer_that_leaves_leaves_the_run_alone(toy, tmp_path):
    port = free_port()
    launched = launch(toy, tmp_path, port, 1, "campaign.samples=800", "campaign.batch=8")
    beside = observer(tmp_path, port)
    first = beside.stdout.readline()
    beside.send_signal(signal.SIGINT)
    (heard, left), (_, told) = end(beside, launched)
    assert json.loads(first)["exchange"] == 1
    assert beside.returncode == 0, left
    assert "the run goes on" in left
    assert len(heard.splitlines()) < 2 * 800 // 8 - 2
    assert launched.returncode == 0, told
    assert sum(judged(tmp_path).values()) == 800


def test_observers_need_a_port_that_they_can_find(toy):
    with pytest.raises(ConfigError, match="observers and no port"):
        load_study(toy, ["federation.observers=2"])


def test_a_port_that_is_taken_is_told_with_its_remedy():
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(FederationError, match=r"is taken; choose another \[federation\] port"),
    ):
        HelicsBroker("zmq", ("planner",), port=taken.getsockname()[1])


# ------------------------------ one that dies


def kill_soon(one, number):
    """Once it has seen something."""
    for _ in range(5):
        one.stdout.readline()
    one.send_signal(number)
    return time.monotonic()


@pytest.mark.slow
@pytest.mark.parametrize("beside", ["alone", "with a recorder"])
def test_a_killed_observer_is_named_and_the_run_goes_on(toy, tmp_path, beside):
    """Ten times as many exchanges as HELICS keeps messages for."""
    port, seats = free_port(), 1 if beside == "alone" else 2
    samples = 12_000
    launched = launch(toy, tmp_path, port, seats, f"campaign.samples={samples}", "campaign.batch=8")
    one = observer(tmp_path, port)
    others = [] if beside == "alone" else [recorder(tmp_path, port)]
    try:
        kill_soon(one, signal.SIGKILL)
        (_, told), *_ = end(launched, *others)
    finally:
        one.kill()
        one.communicate()
    assert launched.returncode == 0, told
    assert re.search(r"observer 'observer' died at exchange \d+: nobody listens at", told)
    assert "The run goes on without it" in told
    assert sum(campaign_summary(CampaignStore.open(tmp_path / "c")).outcomes.values()) == samples
    if others:
        died = int(re.search(r"exchange (\d+)", told)[1])
        heard = (tmp_path / "wire.txt").read_text().count("feeder/verdicts")
        assert heard > died + 150  # HELICS keeps a thousand messages, seven an exchange


@pytest.mark.slow
def test_an_observer_that_dies_while_joining_ends_the_run_by_its_name(toy, tmp_path):
    port = free_port()
    launched = launch(toy, tmp_path, port, 2)  # the other seat stays free
    one = observer(tmp_path, port)
    try:
        time.sleep(6.0 * max(1.0, os.getloadavg()[0] / 2))  # to load HELICS, and to join
        one.kill()
        ((_, told),) = end(launched)
    finally:
        one.kill()
        one.communicate()
    assert launched.returncode == 4, told
    assert "observer 'observer' died before the run began" in told


@pytest.mark.slow
def test_a_stopped_observer_ends_the_run_by_its_name(toy, tmp_path):
    port = free_port()
    launched = launch(toy, tmp_path, port, 1, "campaign.samples=100000", "campaign.batch=8")
    one = observer(tmp_path, port)
    try:
        stopped_s = kill_soon(one, signal.SIGSTOP)
        ((_, told),) = end(launched)
        took_s = time.monotonic() - stopped_s
    finally:
        one.kill()
        one.communicate()
    assert launched.returncode == 4, told
    assert "observer 'observer' lives and has not answered for 5 s" in told
    assert took_s < 15.0 * max(1.0, os.getloadavg()[0] / 2)
    assert sum(campaign_summary(CampaignStore.open(tmp_path / "c")).outcomes.values()) > 0
