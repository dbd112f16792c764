"""Several federations at once on one machine; none hears another.

::

    planner 1 ── feeder 1      planner 2 ── feeder 2      planner 3 ── feeder 3
"""

import threading

import pytest
from gridproof.federation.members.launch import supervise
from gridproof.federation.members.session import SessionSettings, run_session


@pytest.mark.parametrize("transport", ["inproc", "zmq"])
def test_federations_side_by_side(fakes, scenario, plan, transport) -> None:
    sinks = [fakes.ListSink() for _ in range(4)]
    failures = []

    def run(number: int) -> None:
        ranges = fakes.batches(200 + number, 8)
        try:
            run_session(
                fakes.planner_job(scenario, plan),
                fakes.feeder_job(scenario, sinks[number], ranges),
                SessionSettings(transport=transport, join_deadline_s=20),
            )
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failures == []
    assert [sink.indices for sink in sinks] == [list(range(200 + n)) for n in range(4)]


def test_one_failing_leaves_its_neighbour_alone(fakes, scenario, plan) -> None:
    outcome = {}

    def respond(realizations):
        raise RuntimeError("only here")

    def run(name, job, sink) -> None:
        try:
            run_session(
                job, fakes.feeder_job(scenario, sink, fakes.batches(400, 4)), SessionSettings()
            )
            outcome[name] = "done"
        except RuntimeError as error:
            outcome[name] = str(error)

    sinks = [fakes.ListSink(), fakes.ListSink()]
    jobs = {
        "good": fakes.planner_job(scenario, plan),
        "bad": fakes.planner_job(scenario, plan, respond=respond),
    }
    threads = [
        threading.Thread(target=run, args=(name, job, sink))
        for (name, job), sink in zip(jobs.items(), sinks, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert outcome == {"good": "done", "bad": "only here"}
    assert len(sinks[0].indices) == 400


@pytest.mark.slow
def test_eight_launches_at_once(fakes, scenario, plan, processes, tmp_path) -> None:
    """Sixteen processes and eight brokers; every one judges the same, and nobody stays."""
    settings = SessionSettings(transport="zmq", join_deadline_s=120, step_deadline_s=120)
    outs = [tmp_path / f"verdicts-{number}" for number in range(8)]
    failures = []

    def launch(out) -> None:
        try:
            roles = ("planner", "feeder")
            supervise({one: processes.command(out, one, "", settings) for one in roles}, settings)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=launch, args=(out,)) for out in outs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(200)
    assert failures == []
    sink = fakes.ListSink()
    run_session(
        fakes.planner_job(scenario, plan),
        fakes.feeder_job(scenario, sink),
        SessionSettings(transport="local"),
    )
    assert {out.read_bytes() for out in outs} == {sink.verdict_bytes()}
    assert not processes.still_running(str(tmp_path))
