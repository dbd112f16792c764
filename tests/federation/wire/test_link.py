"""The laws of `Link`, for every implementation."""

import threading
import time
from collections.abc import Iterator

import pytest
from gridproof.federation.wire.broker_address import BrokerAddress
from gridproof.federation.wire.helics_broker import HelicsBroker, close_library
from gridproof.federation.wire.helics_link import HelicsLink
from gridproof.federation.wire.link import LocalHub, PortKind
from gridproof.federation.wire.schedule import FEEDER_GRID, PLANNER_GRID
from gridproof.scenarios.errors import ConfigError, DeadlinePassed, FederateLost, FederationError

GRIDS = {"one": PLANNER_GRID, "two": FEEDER_GRID}
PORTS = {"text": PortKind.TEXT, "raw": PortKind.RAW}
LAZY = {"deadline_s": 10.0, "awaited": "something", "whom": "the other"}


class Pair:
    """Two members, each driven by a script on a thread of its own."""

    def __init__(self, transport: str) -> None:
        self.hub = LocalHub(GRIDS) if transport == "local" else None
        self.broker = None if self.hub else HelicsBroker(transport, tuple(GRIDS))
        self.errors: dict[str, BaseException] = {}

    def _link(self, name: str):
        if self.hub is not None:
            return self.hub.link(name)
        return HelicsLink(name, GRIDS[name], self.broker.address, join_deadline_s=10.0)

    def run(self, one, two) -> None:
        threads = [
            threading.Thread(target=self._drive, args=args)
            for args in (("one", "two", one), ("two", "one", two))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert not any(thread.is_alive() for thread in threads)

    def _drive(self, name: str, other: str, script) -> None:
        link = self._link(name)
        try:
            link.publishes(PORTS)
            link.reads({f"{other}/{port}": kind for port, kind in PORTS.items()})
            link.enter(deadline_s=10.0)
            script(link)
        except BaseException as error:
            self.errors[name] = error
        finally:
            link.close()
            link.close()  # twice is once

    def raise_any(self) -> None:
        for error in self.errors.values():
            raise error


@pytest.fixture(params=["local", "inproc", "zmq"])
def pair(request) -> Iterator[Pair]:
    threads = set(threading.enumerate())
    made = Pair(request.param)
    yield made
    if made.broker is not None:
        made.broker.close()
    assert set(threading.enumerate()) <= threads
    close_library()


def test_a_message_is_read_at_the_next_grant_and_updated_once(pair) -> None:
    seen = []

    def one(link) -> None:
        link.publish("raw", b"\x00at 0\xff")
        for time_s in (1.0, 2.0):
            link.request(time_s, **LAZY)
            link.publish("raw", b"at %d" % time_s)
        link.request(3.0, **LAZY)

    def two(link) -> None:
        assert not link.read("one/raw").updated
        for time_s in (0.5, 1.5, 2.5):
            link.request(time_s, **LAZY)
            first, again = link.read("one/raw"), link.read("one/raw")
            seen.append((time_s, first.payload, first.updated, again.payload, again.updated))

    pair.run(one, two)
    pair.raise_any()
    assert seen == [
        (0.5, b"\x00at 0\xff", True, b"\x00at 0\xff", False),
        (1.5, b"at 1", True, b"at 1", False),
        (2.5, b"at 2", True, b"at 2", False),
    ]


def test_the_last_of_several_messages_counts_and_silence_keeps_the_old(pair) -> None:
    seen = []

    def one(link) -> None:
        link.request(1.0, **LAZY)
        for number in range(3):
            link.publish("text", f'{{"n": {number}, "é": "ü"}}'.encode())
        link.request(2.0, **LAZY)
        link.request(3.0, **LAZY)

    def two(link) -> None:
        for time_s in (0.5, 1.5, 2.5):
            link.request(time_s, **LAZY)
            reading = link.read("one/text")
            seen.append((reading.payload.decode(), reading.updated))

    pair.run(one, two)
    pair.raise_any()
    assert seen == [("", False), ('{"n": 2, "é": "ü"}', True), ('{"n": 2, "é": "ü"}', False)]


def test_large_messages_arrive_whole(pair) -> None:
    payload, seen = bytes(range(256)) * 8192, []  # 2 MiB

    def one(link) -> None:
        link.publish("raw", payload)
        link.request(1.0, **LAZY)

    def two(link) -> None:
        link.request(0.5, **LAZY)
        seen.append(link.read("one/raw").payload)

    pair.run(one, two)
    pair.raise_any()
    assert seen == [payload]


def test_the_later_waits_for_the_earlier(pair) -> None:
    order = []

    def one(link) -> None:
        time.sleep(0.15)
        order.append("one leaves 0")
        link.request(1.0, **LAZY)
        order.append("one at 1")
        link.request(2.0, **LAZY)

    def two(link) -> None:
        link.request(0.5, **LAZY)
        order.append("two at 0.5")
        time.sleep(0.15)
        order.append("two leaves 0.5")
        link.request(1.5, **LAZY)
        order.append("two at 1.5")

    pair.run(one, two)
    pair.raise_any()
    assert order == ["one leaves 0", "two at 0.5", "two leaves 0.5", "one at 1", "two at 1.5"]


def test_who_has_left_holds_nobody_back(pair) -> None:
    granted = []

    def one(link) -> None:
        link.request(1.0, **LAZY)

    def two(link) -> None:
        for k in range(20):
            link.request(0.5 + k, **LAZY)
            granted.append(0.5 + k)

    pair.run(one, two)
    pair.raise_any()
    assert granted == [0.5 + k for k in range(20)]


def test_a_failure_reaches_the_other_with_its_reason(pair) -> None:
    def one(link) -> None:
        link.request(1.0, **LAZY)
        link.fail("one failed: the transformer is on fire")

    started = time.monotonic()

    def two(link) -> None:
        for k in range(5):
            link.request(0.5 + k, **LAZY)

    pair.run(one, two)
    assert isinstance(pair.errors["two"], FederateLost)
    assert str(pair.errors["two"]) == "one failed: the transformer is on fire"
    assert time.monotonic() - started < 2.0


def test_a_deadline_names_what_whom_and_how_long_and_ends_the_other_too(pair) -> None:
    def one(link) -> None:
        time.sleep(0.6)
        link.request(1.0, **LAZY)

    def two(link) -> None:
        link.request(0.5, deadline_s=0.2, awaited="a word", whom="one")

    pair.run(one, two)
    late = pair.errors["two"]
    assert isinstance(late, DeadlinePassed)
    assert (late.awaited, late.whom, late.waited_s) == ("a word", "one", 0.2)
    assert isinstance(pair.errors["one"], FederateLost)
    assert "a word" in str(pair.errors["one"])


def test_a_wait_within_its_deadline_is_none_of_the_watchdog_s_business(pair) -> None:
    def one(link) -> None:
        for k in range(1, 8):
            time.sleep(0.05)
            link.request(float(k), deadline_s=0.4, awaited="x", whom="two")

    def two(link) -> None:
        for k in range(7):
            link.request(0.5 + k, deadline_s=0.4, awaited="x", whom="one")

    pair.run(one, two)
    pair.raise_any()


def test_ports_that_were_never_registered(pair) -> None:
    def one(link) -> None:
        with pytest.raises(FederationError, match="one/nothing was never registered"):
            link.publish("nothing", b"")
        with pytest.raises(FederationError, match="never registered two/nothing"):
            link.read("two/nothing")
        link.request(1.0, **LAZY)

    def two(link) -> None:
        link.request(0.5, **LAZY)

    pair.run(one, two)
    pair.raise_any()


def test_a_hub_expects_its_members_and_their_times() -> None:
    hub = LocalHub({"one": PLANNER_GRID})
    with pytest.raises(FederationError, match="three is not expected here; expected are one"):
        hub.link("three")
    link = hub.link("one")
    link.enter(deadline_s=1.0)
    for time_s in (0.0, 0.5, -1.0):
        with pytest.raises(FederationError, match=f"asked for time {time_s} at 0.0"):
            link.request(time_s, **LAZY)


def test_the_library_stays_open_while_a_broker_lives() -> None:
    broker = HelicsBroker("inproc", ("one",))
    try:
        with pytest.raises(FederationError, match="1 HELICS brokers or federates are still open"):
            close_library()
    finally:
        broker.close()
    close_library()
    again = HelicsBroker("inproc", ("one",))  # and it may be opened again
    assert again.alive
    again.close()
    close_library()


def test_a_stranger_without_the_key_is_kept_out() -> None:
    from dataclasses import replace

    broker = HelicsBroker("zmq", ("one",))
    try:
        address = broker.address
        with pytest.raises(FederationError, match="broker key does not match"):
            HelicsLink("one", PLANNER_GRID, replace(address, key="wrong"), join_deadline_s=5.0)
    finally:
        broker.close()
        close_library()


def test_addresses_are_read_strictly() -> None:
    address = BrokerAddress.parse("127.0.0.1:23500", "k-1")
    assert (address.transport, address.host, address.port) == ("zmq", "127.0.0.1", 23500)
    for bad in ("", "host", "host:", ":1", "host:0", "host:65536", "host:1x"):
        with pytest.raises(ConfigError, match="is not HOST:PORT"):
            BrokerAddress.parse(bad, "k")
    with pytest.raises(ConfigError, match="broker key"):
        BrokerAddress.parse("h:1", "k --broker_address=elsewhere")
    with pytest.raises(ConfigError, match="is not HOST:PORT"):
        BrokerAddress.parse("h --loglevel=9:1", "k")
    with pytest.raises(ConfigError, match="transport 'mpi'"):
        BrokerAddress(transport="mpi", key="k")


def test_a_zmq_broker_listens_on_loopback_alone() -> None:
    from pathlib import Path

    broker = HelicsBroker("zmq", ("one",))
    try:
        port = f"{broker.address.port:04X}"
        tables = "".join(Path(f"/proc/self/net/{t}").read_text() for t in ("tcp", "tcp6"))
        local = [line.split()[1] for line in tables.splitlines() if f":{port} " in line]
        assert local
        assert {address.split(":")[0] for address in local} == {"0100007F"}
    finally:
        broker.close()
        close_library()


def test_encryption_that_is_not_there_is_refused(monkeypatch) -> None:
    monkeypatch.setenv("HELICS_ENCRYPTION", "true")
    address = BrokerAddress(transport="zmq", key="k", port=1)
    with pytest.raises(ConfigError, match=r"HELICS_ENCRYPTION set.*built without"):
        HelicsBroker("zmq", ("one",))
    with pytest.raises(ConfigError, match=r"HELICS_ENCRYPTION set.*built without"):
        HelicsLink("one", PLANNER_GRID, address, join_deadline_s=1.0)
