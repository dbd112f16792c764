"""Members on threads: the first exception surfaces, nobody stays."""

import threading
import time

import pytest
from gridproof.federation.members.session import SessionSettings
from gridproof.federation.members.threads import run_members
from gridproof.scenarios.errors import ConfigError, DeadlinePassed


def patient(seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(0.01)


def test_results_by_name() -> None:
    ended = []
    results = run_members({"a": lambda note: "A", "b": lambda note: "B"}, ended.append)  # noqa: ARG005
    assert results == {"a": "A", "b": "B"}
    assert ended == []


def test_the_cause_surfaces_not_the_consequence() -> None:
    noted = threading.Event()

    def cause(note):
        error = ValueError("cause")
        note(error)
        noted.set()
        patient(0.1)  # the consequence is faster in reaching the end
        raise error

    def consequence(note):
        assert noted.wait(5)
        raise RuntimeError("consequence")

    ended = []
    with pytest.raises(ValueError, match="cause"):
        run_members({"b": consequence, "a": cause}, ended.append)
    assert ended == ["cause"]


def test_a_member_that_computes_is_thrown_out_and_cleans_up() -> None:
    cleaned = []

    def busy(note):
        try:
            patient(30)
        finally:
            cleaned.append(True)

    def failing(note):
        raise OSError("disk")

    started = time.monotonic()
    with pytest.raises(OSError, match="disk"):
        run_members({"busy": busy, "failing": failing}, lambda reason: None)  # noqa: ARG005
    assert cleaned == [True]
    assert time.monotonic() - started < 1.5


class Swallower:
    """Its end runs long in a place where Python drops exceptions."""

    def __del__(self) -> None:
        patient(0.7)


def test_a_throw_that_a_callback_swallows_is_tried_again() -> None:
    cleaned = []

    def busy(note):
        Swallower()
        try:
            patient(30)
        finally:
            cleaned.append(True)

    def failing(note):
        raise OSError("disk")

    started = time.monotonic()
    with pytest.raises(OSError, match="disk"):
        run_members({"busy": busy, "failing": failing}, lambda reason: None)  # noqa: ARG005
    assert cleaned == [True]
    assert time.monotonic() - started < 1.7


def test_a_member_inside_a_call_that_cannot_be_interrupted_is_told_of() -> None:
    release = threading.Event()

    def deaf(note):
        release.wait(20)  # one lock, no Python instruction

    def failing(note):
        raise OSError("disk")

    try:
        with pytest.raises(OSError, match="disk") as caught:
            run_members({"deaf": deaf, "failing": failing}, lambda reason: None)  # noqa: ARG005
        assert any("the deaf is inside a call of its own" in n for n in caught.value.__notes__)
    finally:
        release.set()
    for thread in threading.enumerate():
        if thread.name == "federate-deaf":
            thread.join(5)
    assert not [t for t in threading.enumerate() if t.name == "federate-deaf"]


def test_the_looker_and_the_wall_end_a_run() -> None:
    def look():
        raise ConnectionError("the supervisor is gone")

    with pytest.raises(ConnectionError, match="supervisor"):
        run_members({"a": lambda note: patient(30)}, lambda reason: None, look=look)  # noqa: ARG005
    with pytest.raises(DeadlinePassed, match=r"waited 0\.2 s for the end of the run from a;"):
        run_members({"a": lambda note: patient(30)}, lambda r: None, wall_deadline_s=0.2)  # noqa: ARG005


def test_settings_are_checked_and_cross_to_a_child() -> None:
    settings = SessionSettings(transport="zmq", batch=7, wall_deadline_s=3.5)
    assert SessionSettings.from_json(settings.to_json()) == settings
    with pytest.raises(ConfigError) as caught:
        SessionSettings(
            transport="mpi", batch=0, join_deadline_s=-1.0, plan_deadline_s=float("nan")
        )
    assert len(caught.value.faults) == 4
    for text, message in (("[1", "not a JSON object"), ('{"speed": 1}', "no field speed")):
        with pytest.raises(ConfigError, match=message):
            SessionSettings.from_json(text)
