"""The planner and the feeder as federates: thin coats around callables.

One exchange is a federation second (`schedule`): the feeder publishes a batch of
realizations at ``t + 0.5``, the planner reads and answers it at ``t + 1``, the feeder
observes, judges and keeps it at ``t + 1.5`` and publishes verdicts with the next batch. The
run counts only if the feeder saw N of N realizations and each side said *done* to the other.
A job with `rounds` asks again within a batch, one second for each round.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Literal

import numpy as np
from gridproof.federation.members.causes import keep_first_cause
from gridproof.federation.members.jobs import Deadlines, FeederJob, PlannerJob
from gridproof.federation.trial.rounds import Tried, mend, settle
from gridproof.federation.trial.trial import Settled, Trace
from gridproof.federation.wire.codec import Codec
from gridproof.federation.wire.frames import Header, expect, now, round_of
from gridproof.federation.wire.link import Link
from gridproof.federation.wire.messages import (
    FEEDER_PORTS,
    PLANNER_PORTS,
    Catalogue,
    Status,
    parse,
    read_plan,
    switch_states_of,
    word_in,
)
from gridproof.federation.wire.schedule import FEEDER_GRID, PLANNER_GRID
from gridproof.optimizer.recourse.policies import Recourse
from gridproof.scenarios.errors import FederateLost, FederationError
from gridproof.scenarios.plan import Plan, Setpoints, plan_to_json
from gridproof.scenarios.realization import Realizations
from gridproof.scenarios.snapshot import Snapshots
from gridproof.scenarios.verdict import Verdicts, judge
from gridproof.simulator.engine import Engine

__all__ = [
    "FeederFederate",
    "PlannerFederate",
    "settle",
]

Phase = Literal["joined", "planning", "planned", "running", "done", "failed"]


class _Federate:
    """What both have in common: the status port and the wait for the next own time."""

    def __init__(self, link: Link, deadlines: Deadlines, first_s: float) -> None:
        self._link, self._deadlines = link, deadlines
        self._next_s, self._said = first_s, 0

    def _say(self, phase: Phase, done: int = 0, total: int = 0, message: str = "") -> None:
        self._said += 1
        status = Status(
            federate=self._link.name,
            phase=phase,
            sequence=self._said,
            done=done,
            total=total,
            message=message,
        )
        self._link.publish("status", status.encode())

    def _step(self, awaited: str, whom: str, deadline_s: float) -> None:
        self._link.request(self._next_s, deadline_s=deadline_s, awaited=awaited, whom=whom)
        self._next_s += 1.0

    def _must_read(self, key: str, awaited: str) -> bytes:
        """Read what must have come by now: a grant alone proves nothing (a peer may be gone)."""
        reading = self._link.read(key)
        if not reading.updated:
            whom = key.split("/", maxsplit=1)[0]
            raise FederateLost(
                f"{self._link.name}: {awaited} did not come on {key} at time "
                f"{self._next_s - 1.0}; the {whom} left, or skipped its turn, before it was done"
            )
        return reading.payload


class PlannerFederate(_Federate):
    """Makes the plan, then answers realizations until the feeder says done."""

    def __init__(
        self,
        job: PlannerJob,
        link: Link,
        deadlines: Deadlines | None = None,
        *,
        clock: Callable[[], float] = now,
    ) -> None:
        super().__init__(link, deadlines or Deadlines(), PLANNER_GRID.next_after(0.0))
        self._job, self._codec = job, Codec.of(job.scenario, clock=clock, step=job.step)

    def run(self) -> Plan:
        """Run from joining to done; returns the plan.

        Raises
        ------
        FederationError
            `FederateLost`, `DeadlinePassed`, or a message that is not as agreed.
        """
        link = self._link
        link.publishes(PLANNER_PORTS)
        link.reads({f"feeder/{port}": kind for port, kind in FEEDER_PORTS.items()})
        link.enter(deadline_s=self._deadlines.join_s)
        self._say("planning")
        self._step("the catalogue", "feeder", self._deadlines.step_s)
        payload = self._must_read("feeder/catalogue", "the catalogue")
        self._codec.agree(parse(Catalogue, payload, "feeder/catalogue"), "feeder/catalogue")
        plan = self._job.make_plan()
        recourse = self._job.make_recourse(plan)
        link.publish("plan", plan_to_json(plan).encode())
        link.publish("switch_states", switch_states_of(plan, self._job.step).encode())
        self._say("planned", message=self._job.word)
        answered = self._answer(recourse)
        self._say("done", answered, answered)
        return plan

    def _answer(self, recourse: Recourse) -> int:
        """Answer every batch; returns how many realizations were answered."""
        answered = sequence = told = round_ = 0
        tried: Tried | None = None
        while True:
            self._step("realizations", "feeder", self._deadlines.step_s)
            status = parse(
                Status, self._must_read("feeder/status", "the feeder's status"), "feeder/status"
            )
            if status.sequence <= told:
                raise FederationError(
                    f"feeder/status: sequence is {status.sequence} (old); expected more than {told}"
                )
            told = status.sequence
            if status.phase == "done":
                if status.done != answered:
                    raise FederationError(
                        f"feeder/status: done is {status.done}; expected {answered}, which is "
                        "what was answered"
                    )
                return answered
            measured = None if tried is None else self._measured(sequence, round_ + 1)
            if tried is not None and measured is not None:
                round_, reply = round_ + 1, tried.again(measured)
            else:
                sequence, round_ = sequence + 1, 0
                batch = self._asked(sequence)
                reply = recourse.respond(batch)
                if not np.array_equal(reply.index, batch.index):
                    raise FederationError(
                        f"the recourse answered {len(reply.index)} realizations, "
                        f"{len(batch)} were asked: it must keep their index and order"
                    )
                tried, answered = Tried(recourse, batch, reply), answered + len(batch)
            payload = self._codec.pack_setpoints(reply, sequence=sequence, round=round_)
            self._link.publish("setpoints", payload)

    def _asked(self, sequence: int) -> Realizations:
        port = "feeder/realizations"
        header, batch = self._codec.read_realizations(
            self._must_read(port, f"realizations of exchange {sequence}"), port
        )
        expect(header, sequence=sequence, first=header.first, count=header.count, port=port)
        return batch

    def _measured(self, sequence: int, round_: int) -> Snapshots | None:
        """Read what a further round asks with; None if there is no further round."""
        port = "feeder/measurements"
        reading = self._link.read(port)
        if not reading.updated or not round_of(reading.payload, port):
            return None
        header, seen = self._codec.read_measurements(reading.payload, port)
        expect(
            header,
            sequence=sequence,
            first=header.first,
            count=header.count,
            port=port,
            round=round_,
        )
        return seen


class FeederFederate(_Federate):
    """Draws, holds the plan, observes, judges and keeps; done at N of N."""

    def __init__(
        self,
        job: FeederJob,
        link: Link,
        deadlines: Deadlines | None = None,
        *,
        measurements: bool = False,
        clock: Callable[[], float] = now,
    ) -> None:
        super().__init__(link, deadlines or Deadlines(), FEEDER_GRID.next_after(0.0))
        whole = job.ranges if isinstance(job.ranges, Sequence) else ()
        self._total = sum(count for _, count in whole)  # 0: not known beforehand
        self._job, self._measurements, self._clock = job, measurements, clock
        self._rehearsed = 0  # realizations asked for before the clock starts, and not kept
        self._questions = 1 if job.channel is None else job.channel.questions  # per realization
        total = self._total * self._questions
        self._codec = Codec.of(job.scenario, total, clock=clock, step=job.step)

    def run(self) -> Plan:
        """Run from joining to done; returns the plan that was tried, as it came.

        Raises
        ------
        FederationError
            `FederateLost`, `DeadlinePassed`, or a message that is not as agreed.
        """
        link, states = self._link, self._job.states
        link.publishes(FEEDER_PORTS if states is None else {**FEEDER_PORTS, **states.ports})
        link.reads({f"planner/{port}": kind for port, kind in PLANNER_PORTS.items()})
        link.enter(deadline_s=self._deadlines.join_s)
        link.publish("catalogue", self._codec.catalogue.encode())
        self._say("joined", 0, self._total)
        self._step("the planner's first status", "planner", self._deadlines.step_s)
        plan = self._await_plan()
        self._codec = self._codec.holding(plan)
        self._job.sink.accept(plan)
        with ExitStack() as closing:
            engines = []
            for make in (self._job.make_engine, self._job.make_second):
                if make is not None:
                    engines.append(make(plan))
                    closing.callback(engines[-1].close)
                    engines[-1].hold(plan, self._job.step)
            if self._job.channel is not None:
                closing.callback(self._job.channel.close)
                self._job.channel.start(plan)
            done = self._try_all(engines, plan)
        if self._total and done != self._total:
            raise FederationError(f"{done} of {self._total} realizations were judged")
        answered = (done + self._rehearsed) * self._questions
        self._say("done", answered, answered)
        self._await_done(answered)
        return plan

    def _await_plan(self) -> Plan:
        self._step("the plan", "planner", self._deadlines.plan_s)
        payload = self._must_read("planner/plan", "the plan")
        if self._job.hear is not None:
            self._job.hear(word_in(self._link.read("planner/status"), "planner/status"))
        return read_plan(payload, self._job.scenario, "planner/plan")

    def _ranges(self) -> Iterator[tuple[int, int]]:
        """Every batch to try; in real time the first twice.

        What is computed once, on the first question, must not make the first steps late.
        """
        ranges = iter(self._job.ranges)
        if self._job.pace is not None:
            first = next(ranges, None)
            yield from () if first is None else (first, first)
        yield from ranges

    def _try_all(self, engines: Sequence[Engine], plan: Plan) -> int:
        done = 0
        for sequence, (first, count) in enumerate(self._ranges(), start=1):
            drawn = self._job.draw(first, count)
            batch = plan.asked(drawn, self._job.scenario)
            rehearsal = self._job.pace is not None and sequence == 1
            if self._job.pace is not None and not rehearsal:
                self._job.pace.await_step()
            self._say("running", done * self._questions, self._total * self._questions)
            channel, asked_s = self._job.channel, self._clock()
            question = batch if channel is None else channel.question(batch)
            self._link.publish(
                "realizations", self._codec.pack_realizations(question, sequence=sequence)
            )
            self._step(f"set-points of exchange {sequence}", "planner", self._deadlines.step_s)
            header, answer = self._read_answer(sequence, question)
            if rehearsal:
                self._settled(engines[0], plan, batch, answer, None)
                self._rehearsed = count
                continue
            if self._job.rounds:
                settled = self._mended(engines[0], plan, batch, answer, (sequence, done))
            else:
                times_s = asked_s, header.sent_s
                settled = self._settled(engines[0], plan, batch, answer, times_s)
            snapshots, verdicts = settled.snapshots, settled.verdicts
            if self._job.keep_trace is not None:
                self._job.keep_trace(settled.trace)
            keep_first_cause(self._job, engines[0], batch, settled)
            if len(engines) == 1:
                self._job.sink.write(drawn, settled.setpoints, snapshots, verdicts)
            else:
                _, second = self._judged(engines[1], plan, batch, answer)
                self._job.sink.write(drawn, settled.setpoints, snapshots, verdicts, second)
            self._publish_results(snapshots, verdicts, sequence)
            if self._job.states is not None:
                told = settled.setpoints
                for port, text in self._job.states.of(
                    engines[0], plan, batch, told, snapshots
                ).items():
                    self._link.publish(port, text)
            done += count
        return done

    def _settled(
        self,
        engine: Engine,
        plan: Plan,
        batch: Realizations,
        answer: Setpoints,
        times_s: tuple[float, float] | None,
    ) -> Settled:
        """Apply an answer, solve and judge.

        ``times_s`` are when it was asked for and sent; None where no clock runs.
        """
        channel = self._job.channel
        pace = None if times_s is None else self._job.pace
        trace: Trace = {} if pace is None or times_s is None else pace.arrived(*times_s)
        if channel is not None:
            settled = channel.settle(engine, plan, batch, answer)
        else:
            snapshots, verdicts = self._judged(engine, plan, batch, answer)
            settled = Settled(setpoints=answer, snapshots=snapshots, verdicts=verdicts, trace={})
        if pace is None:
            return settled
        verdicts = pace.judged(settled.verdicts, trace)
        return replace(settled, verdicts=verdicts, trace={**settled.trace, **trace})

    def _mended(
        self,
        engine: Engine,
        plan: Plan,
        batch: Realizations,
        answer: Setpoints,
        progress: tuple[int, int],
    ) -> Settled:
        """Apply an answer, and ask again; ``progress`` is the exchange and what is done."""
        sequence, done = progress

        def observe(some: Realizations, told: Setpoints) -> tuple[Snapshots, Verdicts]:
            snapshots = engine.observe(some, told)
            return snapshots, judge(snapshots, plan, self._job.scenario, self._job.step)

        def ask(number: int, measured: Snapshots) -> Setpoints:
            self._say("running", done, self._total, f"round {number} of exchange {sequence}")
            self._link.publish(
                "measurements",
                self._codec.pack_measurements(measured, sequence=sequence, round=number),
            )
            awaited = f"set-points of round {number} of exchange {sequence}"
            self._step(awaited, "planner", self._deadlines.step_s)
            port, first = "planner/setpoints", int(measured.index[0])
            header, reply = self._codec.read_setpoints(
                self._must_read(port, awaited), port, measured.index
            )
            expect(
                header,
                sequence=sequence,
                first=first,
                count=len(measured),
                port=port,
                round=number,
            )
            return reply

        return mend(batch, answer, rounds=self._job.rounds, observe=observe, ask=ask)

    def _judged(
        self, engine: Engine, plan: Plan, batch: Realizations, answer: Setpoints
    ) -> tuple[Snapshots, Verdicts]:
        snapshots = engine.observe(batch, answer)
        verdicts = judge(snapshots, plan, self._job.scenario, self._job.step)
        return snapshots, settle(verdicts, answer)

    def _read_answer(self, sequence: int, question: Realizations) -> tuple[Header, Setpoints]:
        port = "planner/setpoints"
        payload = self._must_read(port, f"set-points of exchange {sequence}")
        header, answer = self._codec.read_setpoints(payload, port)
        first, count = int(question.index[0]), len(question)
        expect(header, sequence=sequence, first=first, count=count, port=port)
        return header, answer

    def _publish_results(self, snapshots: Snapshots, verdicts: Verdicts, sequence: int) -> None:
        if self._measurements:
            self._link.publish(
                "measurements", self._codec.pack_measurements(snapshots, sequence=sequence)
            )
        self._link.publish("verdicts", self._codec.pack_verdicts(verdicts, sequence=sequence))

    def _await_done(self, done: int) -> None:
        self._step("the planner's last word", "planner", self._deadlines.step_s)
        payload = self._must_read("planner/status", "the planner's last word")
        status = parse(Status, payload, "planner/status")
        if (status.phase, status.done) != ("done", done):
            raise FederateLost(
                f"planner/status: the planner ended {status.phase} after answering "
                f"{status.done} of {done} realizations; it must say done"
            )
