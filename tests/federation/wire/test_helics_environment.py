"""What the environment says of another federation reaches none of ours, and nothing hangs."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from gridproof.federation.wire.helics_broker import HelicsBroker, refuse_encryption
from gridproof.federation.wire.helics_environment import own_environment, within, without_helics
from gridproof.federation.wire.helics_link import HelicsLink
from gridproof.federation.wire.schedule import TimeGrid
from gridproof.scenarios.errors import ConfigError, DeadlinePassed

FOREIGN = {
    "HELICS_BROKER_ADDRESS": "tcp://127.0.0.1:9",
    "HELICS_BROKER_INIT": "--broker_address=tcp://127.0.0.1:9 --port=11",
    "HELICS_BROKER_KEY": "another",
    "HELICS_BROKER_LOG_LEVEL": "trace",
    "HELICS_BROKER_PORT": "9",
    "HELICS_CONNECTION_ADDRESS": "tcp://127.0.0.1:9",
    "HELICS_CONNECTION_PORT": "9",
    "HELICS_CORE_INIT_STRING": "--federates=7 --broker_address=tcp://127.0.0.1:9",
    "HELICS_CORE_TYPE": "udp",
    "HELICS_LOCAL_PORT": "11",
    "HELICS_LOG_LEVEL": "trace",
}
"""Every variable that the library's own text holds, but for those of encryption."""


def federation(transport: str) -> tuple[str, ...]:
    broker = HelicsBroker(transport, ("one",))
    try:
        link = HelicsLink(
            "one", TimeGrid(period_s=1.0, offset_s=0.0), broker.address, join_deadline_s=10.0
        )
        try:
            link.enter(deadline_s=10.0)
            return broker.joined()
        finally:
            link.close()
    finally:
        broker.close()


if __name__ == "__main__":
    sys.stdout.write(" ".join(federation(sys.argv[1])))
    sys.exit(0)


@pytest.mark.parametrize(
    ("transport", "name"),
    [
        *(
            pytest.param(transport, name, marks=pytest.mark.slow)
            for transport in ("inproc", "zmq")
            for name in FOREIGN
        ),
        ("inproc", "all"),
        ("zmq", "all"),
    ],
)
def test_a_federation_of_ours_ignores_it(transport, name):
    """In a process of its own, so that one that hangs takes nothing with it."""
    asked = FOREIGN if name == "all" else {name: FOREIGN[name]}
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, str(Path(__file__)), transport],
        env={**os.environ, **asked, "PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        timeout=60.0,
        check=False,
    )
    assert (done.returncode, done.stdout.split()) == (0, ["one"]), done.stderr[-500:]
    assert time.monotonic() - started < 30.0


def test_it_is_hidden_from_all_threads_until_the_last_is_done_and_then_put_back(monkeypatch):
    monkeypatch.setenv("HELICS_BROKER_ADDRESS", "elsewhere")
    monkeypatch.setenv("HELICS_ENCRYPTION", "true")
    seen = []

    def other():
        with own_environment():
            entered.set()
            leave.wait(10.0)
            seen.append(os.environ.get("HELICS_BROKER_ADDRESS"))

    entered, leave = threading.Event(), threading.Event()
    thread = threading.Thread(target=other)
    with own_environment():
        thread.start()
        assert entered.wait(10.0)
    assert "HELICS_BROKER_ADDRESS" not in os.environ
    with pytest.raises(ConfigError, match="HELICS_ENCRYPTION"):  # not hidden: refused
        refuse_encryption()
    leave.set()
    thread.join(10.0)
    assert seen == [None]
    assert os.environ["HELICS_BROKER_ADDRESS"] == "elsewhere"
    kept = without_helics({"HELICS_CORE_TYPE": "udp", "HELICS_ENCRYPTION": "true", "PATH": "p"})
    assert kept == {"HELICS_ENCRYPTION": "true", "PATH": "p"}


def test_a_call_that_does_not_come_back_is_given_up():
    never = threading.Event()
    with pytest.raises(DeadlinePassed, match=r"a broker's start from HELICS"):
        within(0.3, never.wait, awaited="a broker's start", whom="HELICS")
    never.set()
    assert within(5.0, lambda: 7, awaited="a number", whom="nobody") == 7
    with pytest.raises(ZeroDivisionError):
        within(5.0, lambda: 1 // 0, awaited="a number", whom="nobody")
