"""Planner and feeder; one of them raises, and the original exception surfaces.

::

    planner ──✗   feeder        the other is stopped within a second, nothing stays
    planner   ✗── feeder
"""

import threading
import time

import pytest
from gridproof.federation.members.jobs import FeederJob
from gridproof.federation.members.session import SessionSettings, run_session
from gridproof.scenarios.errors import EngineError, FederateLost, NoPlanExists
from gridproof.scenarios.proof import Proof, Termination

TRANSPORTS = ("local", "inproc", "zmq")
QUICK = {"join_deadline_s": 10.0, "step_deadline_s": 10.0, "plan_deadline_s": 10.0}


def run(fakes, scenario, transport, planner, *given):
    sink, engine = (*given, None, None)[:2]
    feeder = fakes.feeder_job(scenario, sink or fakes.ListSink(), engine=engine)
    started = time.monotonic()
    try:
        return run_session(planner, feeder, SessionSettings(transport=transport, **QUICK))
    finally:
        run.seconds = time.monotonic() - started


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_no_plan_surfaces_as_itself(fakes, scenario, plan, transport) -> None:
    proof = Proof(termination=Termination.INFEASIBLE, incumbent=float("inf"), bound=float("inf"))

    def make_plan():
        raise NoPlanExists("the demand of block n0 exceeds what can reach it", proof)

    with pytest.raises(NoPlanExists, match="block n0") as caught:
        run(fakes, scenario, transport, fakes.planner_job(scenario, plan, make_plan=make_plan))
    assert caught.value.proof is proof
    assert caught.value.exit_code == 3
    assert run.seconds < 2.0


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_engine_surfaces_as_itself_and_finished_batches_stay(
    fakes, scenario, plan, transport
) -> None:
    class Refusing(fakes.SagEngine):
        def observe(self, realizations, setpoints):
            if realizations.index[0] == 4:
                raise EngineError("line s0 cannot be opened")
            return super().observe(realizations, setpoints)

    sink, engine = fakes.ListSink(), Refusing(scenario)
    with pytest.raises(EngineError, match="s0"):
        run(fakes, scenario, transport, fakes.planner_job(scenario, plan), sink, engine)
    assert sink.indices == [0, 1, 2, 3]
    assert engine.closed
    assert run.seconds < 2.0


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_recourse_that_raises_surfaces_as_itself(fakes, scenario, plan, transport) -> None:
    def respond(realizations):
        raise ZeroDivisionError("in the recourse")

    with pytest.raises(ZeroDivisionError, match="in the recourse"):
        run(fakes, scenario, transport, fakes.planner_job(scenario, plan, respond=respond))
    assert run.seconds < 2.0


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_feeder_failing_stops_a_planner_that_is_computing(
    fakes, scenario, plan, transport
) -> None:
    stopped = threading.Event()
    entered = threading.Event()

    def respond(realizations):
        entered.set()
        try:
            while True:
                time.sleep(0.01)
        finally:
            stopped.set()

    def draw(first, count):
        return good.draw(first, count)

    good = fakes.feeder_job(scenario, fakes.ListSink())
    feeder = FeederJob(
        scenario=scenario, make_engine=good.make_engine, draw=draw, ranges=good.ranges,
        sink=good.sink,
    )  # fmt: skip
    settings = SessionSettings(transport=transport, **QUICK | {"step_deadline_s": 0.5})
    with pytest.raises(Exception, match="set-points of exchange 1 from planner"):
        run_session(fakes.planner_job(scenario, plan, respond=respond), feeder, settings)
    assert entered.is_set()
    assert stopped.is_set()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_federates_of_two_studies_refuse_each_other(fakes, scenario, plan, transport) -> None:
    from dataclasses import replace

    other = replace(scenario, shed_usd=scenario.shed_usd + 1.0)
    with pytest.raises(Exception, match=r"scenario_digest.*same study file"):
        run(fakes, other, transport, fakes.planner_job(scenario, plan))


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_recourse_that_answers_another_batch_is_refused(fakes, scenario, plan, transport) -> None:
    from dataclasses import replace

    def respond(realizations):
        answer = fakes.ShareRecourse(scenario, plan).respond(realizations)
        return replace(answer, index=answer.index + 1)

    with pytest.raises(Exception, match="must keep their index"):
        run(fakes, scenario, transport, fakes.planner_job(scenario, plan, respond=respond))


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_sink_that_fails_ends_the_run(fakes, scenario, plan, transport) -> None:
    class Full(fakes.ListSink):
        def write(self, *parts):  # noqa: ARG002
            raise OSError(28, "no space left on device")

    with pytest.raises(OSError, match="no space left"):
        run(fakes, scenario, transport, fakes.planner_job(scenario, plan), Full())


def test_the_peer_is_told_why(fakes, scenario, plan) -> None:
    """Seen from the wire: the survivor's exception bears the reason of the one that failed."""
    from gridproof.federation.members.attend import attend
    from gridproof.federation.members.federates import PlannerFederate
    from gridproof.federation.members.feeder_federate import FeederFederate
    from gridproof.federation.members.session import MEMBERS
    from gridproof.federation.wire.link import LocalHub

    hub, seen = LocalHub(MEMBERS), []

    def make_plan():
        raise ValueError("boom")

    planner = PlannerFederate(
        fakes.planner_job(scenario, plan, make_plan=make_plan), hub.link("planner")
    )
    feeder = FeederFederate(fakes.feeder_job(scenario, fakes.ListSink()), hub.link("feeder"))

    def body(federate, name):
        with pytest.raises((ValueError, FederateLost)):
            attend(hub.link(name), federate.run, seen.append)

    threads = [
        threading.Thread(target=body, args=pair)
        for pair in ((planner, "planner"), (feeder, "feeder"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert [type(error) for error in seen] == [ValueError, FederateLost]
    assert str(seen[1]) == "planner failed: ValueError: boom"
