"""Who only listens and dies, falls silent, or leaves: by whose name, and with what for the run.

::

    supervisor ── broker ──┬── planner, feeder
      (looks, knocks)      └── observer ✗ ── its place is taken, and its post thrown away
"""

import socket
import threading
import time

import pytest
from gridproof.federation.members.bystanders import Bystanders
from gridproof.federation.wire import helics_broker
from gridproof.federation.wire.broker_address import free_port, listens_at
from gridproof.federation.wire.helics_broker import HelicsBroker
from gridproof.federation.wire.helics_link import ObserverLink
from gridproof.federation.wire.schedule import RECORDER_GRID
from gridproof.scenarios.errors import FederateLost

MEMBERS = ("planner", "feeder")


class Broker:
    """A broker with one observer, whose place is a socket of the test's."""

    def __init__(self):
        self.phase, self.state, self.speaks = "running", "connected", True
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.place = self.listener.getsockname()

    def states(self):
        return {"planner": "connected", "feeder": "connected", "eve": self.state}

    def place_of(self, name):
        assert name == "eve"
        return self.place

    def answers(self, name):
        assert name == "eve"
        return self.speaks

    def exchange(self):
        return 7


@pytest.fixture
def broker():
    one = Broker()
    yield one
    one.listener.close()


@pytest.fixture
def looking(broker):
    """Its bystanders, what was told of them, and how to look for a while."""
    told = []
    beside = Bystanders(broker, MEMBERS, told.append, every_s=0.0, silent_s=0.2)

    def look(seconds=0.1):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            beside.look()
            time.sleep(0.005)

    yield beside, told, look
    beside.close()


def test_of_one_that_died_the_place_is_taken(broker, looking):
    beside, told, look = looking
    look()
    assert told == []
    broker.listener.close()
    look()
    (said,) = told
    assert said.startswith("observer 'eve' died at exchange 7: nobody listens at 127.0.0.1:")
    assert said.endswith("The run goes on without it")
    assert listens_at(*broker.place)  # by now it is ours
    assert beside.all_are_gone
    broker.speaks = False
    look(0.4)  # nobody asks the dead


def test_one_that_left_is_let_go(broker, looking):
    beside, told, look = looking
    look()
    broker.state = "disconnected"
    broker.listener.close()
    look(0.4)
    assert told == []
    assert beside.all_are_gone
    assert not listens_at(*broker.place)


def test_without_it_the_run_cannot_begin(broker, looking):
    _, _, look = looking
    broker.phase = "joining"
    look()
    broker.listener.close()
    with pytest.raises(FederateLost, match="observer 'eve' died before the run began"):
        look()


def test_who_leaves_as_it_all_ends_has_not_died(broker, looking):
    """Its core may be gone before the broker has heard of it."""
    _, told, look = looking
    look()
    broker.phase, broker.speaks = "ending", False
    broker.listener.close()
    look(0.4)
    assert told == []
    assert not listens_at(*broker.place)


def test_one_that_lives_and_does_not_read_is_named(broker, looking):
    _, _, look = looking
    broker.speaks = False
    with pytest.raises(FederateLost, match=r"observer 'eve' lives and has not answered for 0\.2 s"):
        look(2.0)


def test_a_place_that_somebody_else_took_is_told(broker, looking, monkeypatch):
    _, _, look = looking
    look()
    monkeypatch.setattr("gridproof.federation.members.bystanders.listens_at", lambda *_: False)
    with pytest.raises(FederateLost, match=r"its place at .* could not be taken: Address already"):
        look()


def test_a_broker_says_where_its_federates_listen_and_how_they_are():
    port = free_port()
    broker = HelicsBroker("zmq", (), observers=1, port=port, key="k")
    try:
        link = ObserverLink("eve", RECORDER_GRID, broker.address, join_deadline_s=20.0)
        assert broker.phase == "joining"
        link.enter(deadline_s=20.0)
        assert broker.phase == "running"
        assert broker.states()["eve"] == "connected"
        assert broker.answers("eve")
        assert broker.place_of("nobody") is None
        assert broker.exchange() is None  # there is no feeder
        host, own = broker.place_of("eve")
        assert own != port
        assert listens_at(host, own)
        link.close()
        assert broker.phase == "ending"
        assert broker.states().get("eve") in (None, "disconnected")
    finally:
        broker.close()


def test_a_question_that_is_never_answered_is_given_up(monkeypatch):
    """A broker that ends may leave one: HELICS then waits for ever, deaf to signals."""
    ended = threading.Event()
    monkeypatch.setattr(helics_broker, "_ANSWER_S", 0.2)
    monkeypatch.setattr(helics_broker.h, "helicsQueryBrokerExecute", lambda *_: ended.wait(60.0))
    broker = HelicsBroker("inproc", ("planner",))
    try:
        assert broker.states() == {}
        assert broker.joined() == ()
        assert broker.missing() == ("planner",)
    finally:
        ended.set()
        broker.close()
