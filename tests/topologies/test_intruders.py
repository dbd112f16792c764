"""Somebody else at the broker's port: named by the supervisor at once, with the key and without.

::

    supervisor ── broker ──┬── planner
                    ▲      ├── feeder
                    │      └── a stranger that has the key
          a message of a stranger's that has none
"""

import socket
import struct
import threading
import time

import pytest
from gridproof.federation.members.launch import supervise
from gridproof.federation.members.session import SessionSettings
from gridproof.federation.wire.helics_link import HelicsLink
from gridproof.federation.wire.schedule import TimeGrid
from gridproof.scenarios.errors import FederateLost, GridproofError

SETTINGS = SessionSettings(
    transport="zmq", join_deadline_s=120, step_deadline_s=120, plan_deadline_s=120
)
NAMED_S = 5.0
"""On a free machine it takes one to two."""


def attacked(processes, out, attack, *, planner="slow", feeder="slow"):
    """Supervise both; ``attack(address)`` runs beside them and returns when it was done."""
    done: list[float] = []

    def begin(address):
        def strike():
            attack(address)
            done.append(time.time())

        threading.Thread(target=strike, daemon=True).start()
        return processes.command(out, "planner", planner, SETTINGS)(address)

    commands = {"planner": begin, "feeder": processes.command(out, "feeder", feeder, SETTINGS)}
    with pytest.raises(FederateLost) as caught:
        supervise(commands, SETTINGS)
    assert done
    assert time.time() - done[0] < NAMED_S * processes.patience()
    assert not processes.still_running(str(out))
    return str(caught.value)


def test_a_stranger_with_the_key_is_named(processes, tmp_path) -> None:
    """It joins before the federation has begun: later HELICS lets nobody in."""
    links = []

    def join(address):
        grid = TimeGrid(period_s=1.0, offset_s=0.0)
        links.append(HelicsLink("eve", grid, address, join_deadline_s=60.0))

    try:
        said = attacked(processes, tmp_path / "v", join, feeder="never joins")
    finally:
        for link in links:
            link.close()
    assert "'eve' joined this federation with its key" in said
    assert "none of its members planner, feeder" in said


@pytest.mark.slow
def test_who_takes_a_member_s_name_first_keeps_the_member_out(processes, tmp_path) -> None:
    links = []

    def planner(address):
        links.append(HelicsLink("planner", TimeGrid(), address, join_deadline_s=60.0))
        return processes.command(tmp_path / "v", "planner", "", SETTINGS)(address)

    feeder = processes.command(tmp_path / "v", "feeder", "never joins", SETTINGS)
    try:
        with pytest.raises(FederateLost, match=r"planner could not join .*[Dd]uplicate"):
            supervise({"planner": planner, "feeder": feeder}, SETTINGS)
    finally:
        for link in links:
            link.close()


def test_a_port_that_somebody_closed_is_named(processes, tmp_path) -> None:
    """Without the key: five bytes do."""

    def close(address):
        processes.wait_for((tmp_path / "v.batch-8").exists, 120.0)
        push(address.port, b"close")

    said = attacked(processes, tmp_path / "v", close)
    assert "somebody closed port" in said
    assert "without its key" in said


def test_an_end_that_no_member_sent_is_told_from_theirs(processes, tmp_path) -> None:
    out = tmp_path / "v"

    def wait(_address):
        processes.wait_for((tmp_path / "v.fault").exists, 120.0)

    said = attacked(processes, out, wait, planner="is spoken for", feeder="")
    assert "planner failed: replayed" in said
    assert "no member sent what ended this federation" in said


@pytest.mark.slow
def test_an_end_that_a_member_sent_is_not_a_stranger_s(processes, tmp_path) -> None:
    commands = {
        "planner": processes.command(tmp_path / "v", "planner", "NaN", SETTINGS),
        "feeder": processes.command(tmp_path / "v", "feeder", "", SETTINGS),
    }
    with pytest.raises(GridproofError) as caught:
        supervise(commands, SETTINGS)
    assert "no member" not in str(caught.value)


def push(port: int, message: bytes) -> None:
    """Say one message to a ZeroMQ pull socket, by ZMTP 3.0 as anybody may write it."""
    with socket.create_connection(("127.0.0.1", port), 5.0) as stream:
        stream.settimeout(5.0)
        mechanism = b"NULL".ljust(20, b"\0")
        stream.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x00" + mechanism + bytes(32))
        received(stream, 64)
        ready = b"\x05READY\x0bSocket-Type" + struct.pack(">I", 4) + b"PUSH"
        stream.sendall(bytes([4, len(ready)]) + ready)
        received(stream, received(stream, 2)[1])
        stream.sendall(bytes([0, len(message)]) + message)
        time.sleep(0.5)


def received(stream: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = stream.recv(count - len(data))
        assert more, "the port was closed"
        data += more
    return data
