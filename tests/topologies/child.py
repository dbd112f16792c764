# ruff: noqa: E402 - what comes before the imports makes them quicker
"""A federate's process for the tests: ``child.py ROLE BROKER KEY SETTINGS OUT BEHAVIOUR``.

The feeder keeps each batch in ``OUT.batch-FIRST`` as it is judged, and all of them in ``OUT``.
"""

import os
import signal
import struct
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).parent))
# what the tests share is beside fixtures, which no child has: pytest is a seventh of its start
sys.modules["pytest"] = SimpleNamespace(fixture=lambda *_, **__: lambda function: function)

import fakes
import helics
from gridproof.federation.members.launch import run_wired_process
from gridproof.federation.members.session import SessionSettings
from gridproof.federation.wire.broker_address import BrokerAddress
from gridproof.scenarios.errors import ConfigError, GridproofError, PlanNotFound


def raises():
    raise ValueError("a defect of its own")


FAULTS = {
    "dies": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "stops": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "exits": lambda: os._exit(0),
    "sys.exit": lambda: sys.exit(0),
    "raises": raises,
    "is stuck": lambda: time.sleep(60),
}


def _number(frame: bytes, place: int, value: float) -> bytes:
    spoiled = bytearray(frame)
    struct.pack_into("<d", spoiled, 48 + 8 * place, value)
    return bytes(spoiled)


def _sequence(frame: bytes, change: int) -> bytes:
    spoiled = bytearray(frame)
    struct.pack_into("<Q", spoiled, 8, struct.unpack_from("<Q", frame, 8)[0] + change)
    return bytes(spoiled)


SPOILED = {  # of a frame and the one before it
    "short": lambda frame, _: frame[:-8],
    "NaN": lambda frame, _: _number(frame, 1, float("nan")),
    "old": lambda frame, _: _sequence(frame, -1),
    "early": lambda frame, _: _sequence(frame, +1),
    "doubled": lambda _, before: before,
}
FRAMES = ("setpoints", "realizations")


def note_fault(out: str) -> None:
    Path(f"{out}.fault").write_text(repr(time.time()))


class SpoiltLink:
    """A link whose second frame is not as it should be."""

    def __init__(self, link, behaviour: str, out: str) -> None:
        self._link, self._how, self._out = link, behaviour, out
        self._sent: list[bytes] = []

    def __getattr__(self, name: str):
        return getattr(self._link, name)

    def publish(self, port: str, payload: bytes) -> None:
        if port in FRAMES:
            self._sent.append(payload)
            if len(self._sent) == 2:
                note_fault(self._out)
                if self._how == "is spoken for":  # as one who replays its error, without its key
                    helics.helicsCoreGlobalError(self._link._core, 4, b"planner failed: replayed")
                    return
                payload = SPOILED[self._how](payload, self._sent[0])
        if port == "plan" and self._how == "another plan":
            note_fault(self._out)
            payload = payload.replace(b'"s1"', b'"no-such"')
        self._link.publish(port, payload)


class KeepingSink(fakes.ListSink):
    """Keeps each batch on disk as soon as it is judged, whole or not at all."""

    def __init__(self, out: str) -> None:
        super().__init__()
        self._out = out

    def write(self, *batch) -> None:
        super().write(*batch)
        verdicts = batch[3]
        place = Path(f"{self._out}.batch-{verdicts.index[0]}")
        place.with_suffix(".part").write_bytes(verdicts.outcome.tobytes())
        place.with_suffix(".part").replace(place)


def main(role: str, broker: str, key: str, settings: str, out: str, behaviour: str) -> None:  # noqa: PLR0917
    scenario, plan = fakes.tiny()
    chosen = SessionSettings.from_json(settings)
    sink = KeepingSink(out)
    if behaviour == "bad input":
        raise ConfigError("study.toml: [limits] v_min_pu = 2 must lie below v_max_pu")
    if behaviour == "never joins":
        time.sleep(60)
    if behaviour == "does nothing":
        return
    if behaviour == "leaves a grandchild" and os.fork() == 0:
        time.sleep(60)

    def make_plan():
        if behaviour == "no plan":
            raise PlanNotFound("no plan within 5 s", plan.proof)
        if behaviour == "hangs":
            note_fault(out)
            time.sleep(60)
        return plan

    def misbehave(first):
        if behaviour == "slow":
            time.sleep(0.05)
        if first == 0 or behaviour not in FAULTS:
            return
        note_fault(out)
        FAULTS[behaviour]()

    def respond(realizations):
        misbehave(realizations.index[0])
        return fakes.ShareRecourse(scenario, plan).respond(realizations)

    def wire(link):
        spoils = behaviour in SPOILED or behaviour in ("another plan", "is spoken for")
        return SpoiltLink(link, behaviour, out) if spoils else link

    address = BrokerAddress.parse(broker, key)
    if role == "planner":
        job = fakes.planner_job(scenario, plan, make_plan=make_plan, respond=respond)
        run_wired_process(job, address, chosen, wire=wire)
        return
    ranges = fakes.batches(400, 4) if behaviour == "slow" else ((0, 4), (4, 4), (8, 2))
    job = fakes.feeder_job(scenario, sink, ranges)

    def draw(first, count):
        misbehave(first)
        return job.draw(first, count)

    run_wired_process(replace(job, draw=draw), address, chosen, wire=wire)
    Path(out).write_bytes(sink.verdict_bytes())


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        main(*sys.argv[1:])
    except GridproofError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
