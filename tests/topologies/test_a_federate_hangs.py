"""Planner and feeder; one is late, absent, or gone, and the deadline names it.

::

    planner ─ ─ ─ feeder      joins late or never, sticks in a step, leaves early
"""

import threading
import time

import pytest
from gridproof.federation.members.session import MEMBERS, SessionSettings, run_session
from gridproof.federation.wire.helics_broker import HelicsBroker
from gridproof.federation.wire.helics_link import HelicsLink
from gridproof.federation.wire.link import LocalHub
from gridproof.federation.wire.messages import FEEDER_PORTS, PLANNER_PORTS
from gridproof.scenarios.errors import DeadlinePassed, FederateLost

TRANSPORTS = ("local", "inproc", "zmq")
QUICK = {"join_deadline_s": 10.0, "step_deadline_s": 10.0, "plan_deadline_s": 10.0}


def patient(seconds: float) -> None:
    """Hang, but in Python, where a thread can be stopped."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(0.01)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_plan_that_does_not_come(fakes, scenario, plan, transport) -> None:
    job = fakes.planner_job(scenario, plan, make_plan=lambda: patient(30))
    started = time.monotonic()
    with pytest.raises(DeadlinePassed) as caught:
        run_session(
            job,
            fakes.feeder_job(scenario, fakes.ListSink()),
            SessionSettings(transport=transport, **QUICK | {"plan_deadline_s": 0.3}),
        )
    assert (caught.value.awaited, caught.value.whom) == ("the plan", "planner")
    assert time.monotonic() - started < 3.0


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_feeder_that_sticks_in_a_step(fakes, scenario, plan, transport) -> None:
    class Stuck(fakes.SagEngine):
        def observe(self, realizations, setpoints):  # noqa: ARG002
            patient(30)

    engine = Stuck(scenario)
    with pytest.raises(DeadlinePassed) as caught:
        run_session(
            fakes.planner_job(scenario, plan),
            fakes.feeder_job(scenario, fakes.ListSink(), engine=engine),
            SessionSettings(transport=transport, **QUICK | {"step_deadline_s": 0.3}),
        )
    assert (caught.value.awaited, caught.value.whom) == ("realizations", "feeder")
    assert engine.closed


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_whole_run_has_a_deadline(fakes, scenario, plan, transport) -> None:
    job = fakes.planner_job(scenario, plan, make_plan=lambda: patient(30))
    with pytest.raises(DeadlinePassed, match="the end of the run from planner and feeder"):
        run_session(
            job,
            fakes.feeder_job(scenario, fakes.ListSink()),
            SessionSettings(transport=transport, wall_deadline_s=0.4, **QUICK),
        )


def open_links(transport, names):
    """Links of a federation of which perhaps not everybody comes, and how to end it."""
    if transport == "local":
        hub = LocalHub(MEMBERS)
        return [hub.link(name) for name in names], lambda: None
    broker = HelicsBroker(transport, tuple(MEMBERS))
    links = [HelicsLink(name, MEMBERS[name], broker.address, join_deadline_s=5.0) for name in names]
    return links, broker.close


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_planner_that_never_joins_is_named(transport) -> None:
    (feeder,), close = open_links(transport, ["feeder"])
    try:
        feeder.publishes(FEEDER_PORTS)
        feeder.reads({f"planner/{port}": kind for port, kind in PLANNER_PORTS.items()})
        started = time.monotonic()
        with pytest.raises(DeadlinePassed, match="joining the federation from planner"):
            feeder.enter(deadline_s=0.3)
        assert 0.3 <= time.monotonic() - started < 1.0
    finally:
        feeder.close()
        close()


def test_a_broker_knows_who_is_missing() -> None:
    broker = HelicsBroker("inproc", tuple(MEMBERS))
    feeder = HelicsLink("feeder", MEMBERS["feeder"], broker.address, join_deadline_s=5.0)
    assert broker.joined() == ("feeder",)
    assert broker.missing() == ("planner",)
    feeder.close()
    broker.close()


def test_no_broker_at_all_is_said_after_the_deadline_not_twelve_seconds() -> None:
    from gridproof.federation.wire.broker_address import BrokerAddress

    address = BrokerAddress(transport="zmq", key="nobody", port=1)
    started = time.monotonic()
    with pytest.raises(DeadlinePassed, match=r"a HELICS broker at 127\.0\.0\.1:1"):
        HelicsLink("feeder", MEMBERS["feeder"], address, join_deadline_s=0.3)
    assert time.monotonic() - started < 1.0


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_planner_that_leaves_without_a_word_is_lost_not_done(
    fakes, scenario, plan, transport
) -> None:
    """HELICS grants the survivor every time it asks for; only the message tells."""
    from gridproof.federation.members.attend import attend
    from gridproof.federation.members.feeder_federate import FeederFederate

    (planner, feeder), close = open_links(transport, ["planner", "feeder"])

    def leave() -> None:
        planner.publishes(PLANNER_PORTS)
        planner.reads({f"feeder/{port}": kind for port, kind in FEEDER_PORTS.items()})
        planner.enter(deadline_s=5.0)
        planner.request(1.0, deadline_s=5.0, awaited="anything", whom="feeder")
        planner.close()

    thread = threading.Thread(target=leave)
    thread.start()
    job = fakes.feeder_job(scenario, fakes.ListSink())
    try:
        with pytest.raises(FederateLost, match=r"the plan did not come.*left"):
            attend(feeder, FeederFederate(job, feeder).run, lambda error: None)  # noqa: ARG005
    finally:
        thread.join(10)
        close()


@pytest.mark.parametrize("transport", ["inproc", "zmq"])
def test_a_broker_that_shuts_down_is_no_end_of_the_run(fakes, scenario, plan, transport) -> None:
    """`helicsBrokerDisconnect` grants everybody the end of time, without any error."""
    import helics

    (planner, feeder), close = open_links(transport, ["planner", "feeder"])
    broker = close.__self__
    seen = []

    def wait_for_ever(link, others, time_s) -> None:
        link.publishes({"x": next(iter(PLANNER_PORTS.values()))})
        link.reads({f"{others}/x": next(iter(PLANNER_PORTS.values()))})
        link.enter(deadline_s=5.0)
        if link is planner:
            patient(0.5)
            helics.helicsBrokerDisconnect(broker._broker)
        try:
            link.request(time_s, deadline_s=5.0, awaited="anything", whom=others)
        except FederateLost as error:
            seen.append(str(error))
        link.close()

    threads = [
        threading.Thread(target=wait_for_ever, args=args)
        for args in ((planner, "feeder", 1.0), (feeder, "planner", 0.5))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    close()
    assert len(seen) == 2
    assert all("the end of time" in text for text in seen)
