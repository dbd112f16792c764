"""A federate's process for the tests: ``child.py ROLE BROKER KEY SETTINGS OUT BEHAVIOUR``."""

import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import fakes

from federation.launch import run_feeder_process, run_planner_process
from federation.session import SessionSettings
from scenarios.errors import ConfigError, GridproofError, PlanNotFound


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


def main(role: str, broker: str, key: str, settings: str, out: str, behaviour: str) -> None:  # noqa: PLR0917
    scenario, plan = fakes.tiny()
    chosen = SessionSettings.from_json(settings)
    sink = fakes.ListSink()
    joining = {"broker": broker, "key": key, "settings": chosen}
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
            time.sleep(60)
        return plan

    def misbehave(first):
        if behaviour == "slow":
            time.sleep(0.05)
        if first == 0 or behaviour not in FAULTS:
            return
        Path(f"{out}.fault").write_text(repr(time.time()))
        FAULTS[behaviour]()

    def respond(realizations):
        misbehave(realizations.index[0])
        return fakes.ShareRecourse(scenario, plan).respond(realizations)

    if role == "planner":
        job = fakes.planner_job(scenario, plan, make_plan=make_plan, respond=respond)
        run_planner_process(job, **joining)
        return
    ranges = fakes.batches(400, 4) if behaviour == "slow" else ((0, 4), (4, 4), (8, 2))
    job = fakes.feeder_job(scenario, sink, ranges)

    def draw(first, count):
        misbehave(first)
        return job.draw(first, count)

    run_feeder_process(replace(job, draw=draw), **joining)
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
