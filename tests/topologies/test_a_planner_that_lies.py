"""A feeder of ours against a planner of somebody else, whose messages are wrong.

::

    rogue ──torn, stale, NaN, foreign──► feeder       refused: port, found, expected
"""

import json
import struct
import threading

import numpy as np
import pytest
from gridproof.federation.members.attend import attend
from gridproof.federation.members.feeder_federate import FeederFederate
from gridproof.federation.members.session import MEMBERS
from gridproof.federation.wire.codec import Codec
from gridproof.federation.wire.link import LocalHub
from gridproof.federation.wire.messages import FEEDER_PORTS, PLANNER_PORTS, Status
from gridproof.scenarios.errors import FederateLost, FederationError
from gridproof.scenarios.plan_file import plan_to_json

RANGES = ((0, 4), (4, 4), (8, 2))


def against(fakes, scenario, plan, *, plan_text=None, spoil=None, last="done"):
    """Run the feeder against a planner that spoils its second answer; return the error."""
    hub, codec, seen = LocalHub(MEMBERS), Codec.of(scenario), []
    recourse, errors = fakes.ShareRecourse(scenario, plan), []

    def step(link, time_s) -> None:
        link.request(time_s, deadline_s=5.0, awaited="anything", whom="feeder")

    def rogue() -> None:
        link = hub.link("planner")
        link.publishes(PLANNER_PORTS)
        link.reads({f"feeder/{port}": kind for port, kind in FEEDER_PORTS.items()})
        try:
            link.enter(deadline_s=5.0)
            step(link, 1.0)
            link.publish("plan", (plan_text or plan_to_json(plan)).encode())
            for sequence in range(1, len(RANGES) + 1):
                step(link, 1.0 + sequence)
                _, batch = codec.read_realizations(link.read("feeder/realizations").payload, "")
                answer = codec.pack_setpoints(recourse.respond(batch), sequence=sequence)
                seen.append(answer)
                if sequence == 2 and spoil is not None:
                    answer = spoil(answer, seen)
                if answer is not None:
                    link.publish("setpoints", answer)
            step(link, 5.0)
            final = Status(federate="planner", phase=last, sequence=1, done=10, total=10)
            link.publish("status", final.encode())
        except FederateLost:
            pass
        finally:
            link.close()

    thread = threading.Thread(target=rogue)
    thread.start()
    sink = fakes.ListSink()
    link = hub.link("feeder")
    feeder = FeederFederate(fakes.feeder_job(scenario, sink, RANGES), link)
    try:
        attend(link, feeder.run, errors.append)
    except FederationError:
        pass
    finally:
        thread.join(10)
    return sink, (errors[0] if errors else None)


def test_an_honest_stranger_is_served(fakes, scenario, plan) -> None:
    sink, error = against(fakes, scenario, plan)
    assert error is None
    assert sink.indices == list(range(10))


def set_number(answer: bytes, place: int, number: float) -> bytes:
    spoiled = bytearray(answer)
    struct.pack_into("<d", spoiled, 48 + 8 * place, number)
    return bytes(spoiled)


def set_field(answer: bytes, kind: str, offset: int, value) -> bytes:
    spoiled = bytearray(answer)
    struct.pack_into(kind, spoiled, offset, value)
    return bytes(spoiled)


SPOILED = {
    "NaN": (lambda a, _: set_number(a, 1, np.nan), r"p in row 0 is nan; expected finite"),
    "infinite voltage": (lambda a, _: set_number(a, 13, np.inf), r"source_v in row 0 is inf"),
    "half a flag": (lambda a, _: set_number(a, 0, 0.5), r"found holds \[0.5.*expected 0 or 1"),
    "torn": (lambda a, _: a[:-8], r"length is \d+ bytes; expected \d+ for 4 rows"),
    "longer": (lambda a, _: a + b"\0" * 8, r"length is"),
    "empty": (lambda *_: b"", r"length is 0 bytes; expected at least 48"),
    "old": (lambda _, seen: seen[0], r"sequence is 1 \(old\); expected 2"),
    "early": (lambda a, _: set_field(a, "<Q", 8, 3), r"sequence is 3 \(not yet due\); expected 2"),
    "other batch": (lambda a, _: set_field(a, "<Q", 16, 5), r"batch is 4 realizations from 5"),
    "magic": (lambda a, _: b"HDF5" + a[4:], r"magic is b'HDF5'; expected b'GPRF'"),
    "version": (lambda a, _: set_field(a, "<H", 4, 2), r"version is 2; expected 1"),
    "kind": (lambda a, _: set_field(a, "<H", 6, 1), r"kind is 1; expected 2 \(setpoints\)"),
    "width": (lambda a, _: set_field(a, "<I", 40, 7), r"width is 7; expected 15"),
    "silence": (lambda *_: None, r"set-points of exchange 2 did not come"),
}


@pytest.mark.parametrize("how", SPOILED)
def test_a_spoiled_answer_is_refused_by_name(fakes, scenario, plan, how) -> None:
    spoil, message = SPOILED[how]
    sink, error = against(fakes, scenario, plan, spoil=spoil)
    assert isinstance(error, FederationError)
    assert error.exit_code == 4
    with pytest.raises(FederationError, match=f"planner/setpoints.*{message}|{message}"):
        raise error
    assert "planner/setpoints" in str(error)
    assert sink.indices == [0, 1, 2, 3]  # what was judged before stays


def altered(plan, **changes) -> str:
    return json.dumps(json.loads(plan_to_json(plan)) | changes)


def test_a_plan_that_is_none_is_refused(fakes, scenario, plan) -> None:
    for text, message in (
        ("{", "planner/plan: file"),
        (altered(plan, format="gridproof-plan/9"), "planner/plan: format"),
        (altered(plan, switches={"s0": ["open"]}), "planner/plan: switches.s1 is missing"),
        (altered(plan, proof={"bound": 9.0, "incumbent": 1.0}), "proof.bound = 9 is"),
    ):
        sink, error = against(fakes, scenario, plan, plan_text=text)
        assert isinstance(error, FederationError)
        assert message in str(error)
        assert sink.plans == []


def test_a_planner_that_does_not_say_done_makes_no_run(fakes, scenario, plan) -> None:
    sink, error = against(fakes, scenario, plan, last="running")
    assert len(sink.indices) == 10
    assert isinstance(error, FederateLost)
    assert "it must say done" in str(error)
