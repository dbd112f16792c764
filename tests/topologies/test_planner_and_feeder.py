"""The whole conversation, and that it is the same on every transport.

::

    planner ──plan, switch_states, setpoints──► feeder
            ◄──catalogue, realizations, verdicts──
"""

import json
import struct

import numpy as np
import pytest
from gridproof.federation.members.session import SessionSettings, run_session
from gridproof.federation.wire.codec import Codec
from gridproof.federation.wire.messages import Catalogue, Status, SwitchStates, parse
from gridproof.scenarios.plan_file import plan_to_json
from gridproof.scenarios.realization import draw
from gridproof.scenarios.verdict import Outcome, judge

TRANSPORTS = ("local", "inproc", "zmq")


def converse(fakes, scenario, plan, transport, **options):
    heard, sink, engine = [], fakes.ListSink(), fakes.SagEngine(scenario)
    answer = run_session(
        fakes.planner_job(scenario, plan, most=options.pop("most", np.inf)),
        fakes.feeder_job(scenario, sink, options.pop("ranges", ((0, 4), (4, 4), (8, 2))), engine),
        SessionSettings(transport=transport, join_deadline_s=10, step_deadline_s=10, **options),
        hear=lambda time, key, payload: heard.append((time, key, payload)),
        clock=lambda: 1e9,
    )
    assert engine.closed
    # the two threads publish at times of their own; within one time, order is the federate's
    return answer, sink, sorted(heard, key=lambda item: item[0])


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_who_says_what_and_when(fakes, scenario, plan, transport) -> None:
    _, _, heard = converse(fakes, scenario, plan, transport)
    said = [(time, key) for time, key, _ in heard if time > 0.0]
    exchange = lambda t: [  # noqa: E731
        (t, "planner/setpoints"),
        (t + 0.5, "feeder/verdicts"),
        (t + 0.5, "feeder/status"),
    ]
    assert sorted(key for time, key, _ in heard if time == 0.0) == [
        "feeder/catalogue", "feeder/status", "planner/status",
    ]  # fmt: skip
    assert said == [
        (1.0, "planner/plan"),
        (1.0, "planner/switch_states"),
        (1.0, "planner/status"),
        (1.5, "feeder/status"),
        (1.5, "feeder/realizations"),
        *exchange(2.0),
        (2.5, "feeder/realizations"),
        *exchange(3.0),
        (3.5, "feeder/realizations"),
        *exchange(4.0),
        (5.0, "planner/status"),
    ]
    phases = [json.loads(p)["phase"] for _, key, p in heard if key == "feeder/status"]
    assert phases == ["joined", "running", "running", "running", "done"]
    last = parse(Status, heard[-1][2], "planner/status")
    assert (last.phase, last.done, last.total) == ("done", 10, 10)


def test_every_transport_carries_the_same_bytes(fakes, scenario, plan) -> None:
    runs = [converse(fakes, scenario, plan, transport) for transport in TRANSPORTS]
    transcripts = [sorted(heard, key=lambda m: (m[0], m[1])) for _, _, heard in runs]
    assert transcripts[0] == transcripts[1] == transcripts[2]
    verdicts = [sink.verdict_bytes() for _, sink, _ in runs]
    assert verdicts[0] == verdicts[1] == verdicts[2]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_what_crosses_equals_what_is_computed_without_a_wire(
    fakes, scenario, plan, transport
) -> None:
    answer, sink, heard = converse(fakes, scenario, plan, transport, measurements=True)
    assert plan_to_json(answer) == plan_to_json(plan)
    assert sink.indices == list(range(10))
    batch = draw(scenario, fakes.SEED, 0, 10)
    setpoints = fakes.ShareRecourse(scenario, plan).respond(batch)
    snapshots = fakes.SagEngine(scenario).observe(batch, setpoints)
    verdicts = judge(snapshots, plan, scenario)
    for position, direct in ((0, batch), (1, setpoints), (2, snapshots), (3, verdicts)):
        for name in direct.__dataclass_fields__:
            if np.ndim(getattr(direct, name)) == 0:  # of the whole batch, such as its step
                assert {getattr(part[position], name) for part in sink.batches} == {
                    getattr(direct, name)
                }
                continue
            over = np.concatenate([getattr(part[position], name) for part in sink.batches])
            np.testing.assert_array_equal(over, getattr(direct, name), err_msg=name)
    codec = Codec.of(scenario)
    for kind, read in (
        ("verdicts", codec.read_verdicts),
        ("measurements", codec.read_measurements),
    ):
        parts = [read(p, key)[1] for _, key, p in heard if key == f"feeder/{kind}"]
        assert [int(k) for part in parts for k in part.index] == list(range(10))


def test_the_catalogue_and_switch_states_say_what_they_should(fakes, scenario, plan) -> None:
    _, _, heard = converse(fakes, scenario, plan, "local")
    by_key = {key: payload for _, key, payload in heard}
    catalogue = parse(Catalogue, by_key["feeder/catalogue"], "feeder/catalogue")
    assert catalogue.realizations_total == 10
    assert catalogue.scenario_digest == scenario.digest()
    states = parse(SwitchStates, by_key["planner/switch_states"], "planner/switch_states")
    assert dict(zip(states.ids, states.values, strict=True)) == {"Line.s0": 1, "Line.s1": 1}
    sequence, first, count = struct.unpack_from("<QQI", by_key["feeder/realizations"], 8)
    assert (sequence, first, count) == (3, 8, 2)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_realizations_without_a_redispatch_are_judged_so(fakes, scenario, plan, transport) -> None:
    _, sink, _ = converse(fakes, scenario, plan, transport, most=1.0)
    batch = draw(scenario, fakes.SEED, 0, 10)
    over = batch.p_kw[:, 0].sum(axis=(1, 2)) > scenario.load_p_kw[0].sum()
    assert 0 < over.sum() < 10
    outcome = np.concatenate([part[3].outcome for part in sink.batches])
    margin = np.concatenate([part[3].margin for part in sink.batches])
    np.testing.assert_array_equal(outcome == Outcome.NO_RECOURSE, over)
    np.testing.assert_array_equal(np.isnan(margin).all(axis=1), over)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_run_with_nothing_left_to_do_still_brings_the_plan(
    fakes, scenario, plan, transport
) -> None:
    answer, sink, _ = converse(fakes, scenario, plan, transport, ranges=())
    assert plan_to_json(answer) == plan_to_json(plan)
    assert len(sink.plans) == 1
    assert sink.batches == []


def test_ranges_need_not_begin_at_zero_nor_be_neighbours(fakes, scenario, plan) -> None:
    _, sink, _ = converse(fakes, scenario, plan, "inproc", ranges=((512, 3), (0, 2)))
    assert sink.indices == [512, 513, 514, 0, 1]
