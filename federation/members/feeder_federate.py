"""The feeder as a federate: draws, asks, tries step by step, keeps, and counts to N of N."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

import numpy as np
from gridproof.federation.members.again import AuditFailed, Progress
from gridproof.federation.members.causes import keep_first_cause
from gridproof.federation.members.federates import Federate
from gridproof.federation.members.jobs import Deadlines, FeederJob
from gridproof.federation.trial.guarded import GuardedTrial
from gridproof.federation.trial.rounds import mend, settle
from gridproof.federation.trial.trial import Settled, Trace, Trial
from gridproof.federation.wire.codec import Codec
from gridproof.federation.wire.frames import Header, expect, now
from gridproof.federation.wire.link import Link, PortKind
from gridproof.federation.wire.messages import (
    FEEDER_PORTS,
    LOADS_PORT,
    PLANNER_PORTS,
    Status,
    parse,
    read_plan,
    word_in,
)
from gridproof.federation.wire.schedule import FEEDER_GRID
from gridproof.scenarios.carried import Carried, planned
from gridproof.scenarios.errors import FederateLost, FederationError
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.realization import Realizations
from gridproof.scenarios.setpoints import Setpoints
from gridproof.scenarios.snapshot import Snapshots
from gridproof.scenarios.verdict import Verdicts
from gridproof.simulator.engine import Engine, Estimates

__all__ = ["FeederFederate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Batch:
    """One step of one batch: which realizations, which step, and what was done before it."""

    first: int
    count: int
    step: int
    done: int
    rehearsal: bool


class FeederFederate(Federate):
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
        self._sequence = 0
        self._answered = 0  # rows that the planner answered, kept or not
        questions = 1 if job.channel is None else job.channel.questions  # per realization
        self._asked = questions * len(job.steps)
        total = self._total * self._asked
        self._codec = Codec.of(job.scenario, total, clock=clock, steps=job.steps)

    def run(self) -> Plan:
        """Run from joining to done; returns the plan that was tried, as it came.

        Raises
        ------
        FederationError
            `FederateLost`, `DeadlinePassed`, or a message that is not as agreed.
        """
        link, states = self._link, self._job.states
        link.publishes(FEEDER_PORTS if states is None else {**FEEDER_PORTS, **states.ports})
        outside = {} if self._job.outside is None else {LOADS_PORT: PortKind.TEXT}
        planner = {f"planner/{port}": kind for port, kind in PLANNER_PORTS.items()}
        link.reads({**planner, **outside})
        link.enter(deadline_s=self._deadlines.join_s)
        link.publish("catalogue", self._codec.catalogue.encode())
        self._say("joined", 0, self._total)
        self._step("the planner's first status", "planner", self._deadlines.step_s)
        plan = self._await_plan()
        self._codec = self._codec.holding(plan)
        self._job.sink.accept(plan)
        with ExitStack() as closing:
            trials: list[Trial] = []
            for make in (self._job.make_engine, self._job.make_second):
                if make is not None:
                    engine = make(plan)
                    closing.callback(engine.close)
                    trials.append(self._trial(engine, plan, guarded=not trials))
                    trials[-1].enter(self._job.steps[0])
            if self._job.channel is not None:
                closing.callback(self._job.channel.close)
                self._job.channel.start(plan)
            done = self._try_all(trials, plan)
        if self._total and done != self._total:
            raise FederationError(f"{done} of {self._total} realizations were judged")
        self._say("done", self._answered, self._answered)
        self._await_done(self._answered)
        return plan

    def _step(self, awaited: str, whom: str, deadline_s: float) -> None:
        """Wait for the next own time; where loads come from outside, take what has come by it."""
        take = self._job.outside
        super()._step(awaited, whom if take is None else f"{whom}, or loads", deadline_s)
        if take is not None:
            told = self._link.read(LOADS_PORT)
            if told.updated:
                take(told.payload)

    def _trial(self, engine: Engine, plan: Plan, *, guarded: bool) -> Trial:
        guard = self._job.guard
        if guard is None or not guarded:
            return Trial(engine, self._job.scenario, plan)
        if not isinstance(engine, Estimates):
            raise TypeError("a guard is for an engine that estimates")
        return GuardedTrial(engine, self._job.scenario, plan, guard)

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

    def _try_all(self, trials: Sequence[Trial], plan: Plan) -> int:
        """Try every batch at every step; returns how many realizations were judged."""
        progress = Progress(span=None if self._job.guard is None else self._job.guard.span)
        for turn, (first, count) in enumerate(self._ranges()):
            rehearsal = self._job.pace is not None and turn == 0
            if progress.was_done_again(first):
                continue
            try:
                self._try_batch(trials, plan, first, count, progress.done, rehearsal=rehearsal)
            except AuditFailed:
                self._try_again(trials, plan, first, progress)
                continue
            if not rehearsal:
                progress.add(first, count)
        return progress.done

    def _try_again(
        self, trials: Sequence[Trial], plan: Plan, first: int, progress: Progress
    ) -> None:
        """Do the whole stretch of a batch anew, all of it by OpenDSS."""
        assert self._job.again is not None
        ranges = self._job.again(first)
        taken_up = progress.start_again(first, ranges)
        self._total += taken_up if self._total else 0
        for begin, count in ranges:
            self._try_batch(trials, plan, begin, count, progress.done, rehearsal=False)
            progress.add(begin, count)

    def _try_batch(
        self,
        trials: Sequence[Trial],
        plan: Plan,
        first: int,
        count: int,
        done: int,
        *,
        rehearsal: bool,
    ) -> None:
        """Try one batch at every step, and keep it."""
        carried = self._start(plan, count, self._job.steps[0])
        for step in self._job.steps:
            if self._job.as_planned:
                carried = self._start(plan, count, step)
            batch = _Batch(first=first, count=count, step=step, done=done, rehearsal=rehearsal)
            carried = self._try_step(trials, plan, batch, carried)

    def _start(self, plan: Plan, count: int, step: int) -> Carried | None:
        """Return what realizations enter a step with, where steps are lived through in order.

        Where a later step is the first that is tried, all before went as planned.
        """
        if len(self._job.steps) == 1 and not self._job.scenario.fleet.carries:
            return None
        return planned(self._job.scenario, plan, count, step)

    def _try_step(
        self, trials: Sequence[Trial], plan: Plan, turn: _Batch, carried: Carried | None
    ) -> Carried | None:
        """Ask, settle, keep and publish one step of one batch; returns what it carries on."""
        drawn = self._drawn(turn)
        batch = plan.asked(drawn, self._job.scenario)
        for trial in trials:
            trial.enter(turn.step, batch.index, carried)
        if self._job.pace is not None and not turn.rehearsal:
            self._job.pace.await_step()
        self._sequence += 1
        self._say("running", turn.done * self._asked, self._total * self._asked)
        answer, times_s = self._answer(batch, turn, carried)
        if turn.rehearsal:
            settled = self._settled(trials[0], batch, answer, None)
            return trials[0].leave(settled.snapshots)
        if self._job.rounds:
            settled = self._mended(trials[0], batch, answer, turn)
        else:
            settled = self._settled(trials[0], batch, answer, times_s)
        trial, trace = trials[0], settled.trace
        if isinstance(trial, GuardedTrial):
            if trial.failed():
                raise AuditFailed
            trace = {**trace, **trial.noted(batch.index)}
        if self._job.keep_trace is not None:
            self._job.keep_trace(trace)
        keep_first_cause(self._job, trials[0].engine, batch, settled)
        second = None if len(trials) == 1 else self._judged(trials[1], batch, answer)[1]
        self._job.sink.write(drawn, settled.setpoints, settled.snapshots, settled.verdicts, second)
        self._publish_results(trials[0], batch, settled)
        return trials[0].leave(settled.snapshots)

    def _drawn(self, turn: _Batch) -> Realizations:
        if len(self._job.steps) == 1:
            drawn = self._job.draw(turn.first, turn.count)
            return drawn.at(turn.step) if drawn.zeta_by_step.shape[2] else drawn
        return self._job.draw(turn.first, turn.count, step=turn.step)

    def _answer(
        self, batch: Realizations, turn: _Batch, carried: Carried | None
    ) -> tuple[Setpoints, tuple[float, float]]:
        """Ask the planner; returns its set-points, when they were asked for and when sent."""
        channel, pace = self._job.channel, self._job.pace
        asked_s = self._clock() if pace is None else pace.asked()
        question = batch if channel is None else channel.question(batch)
        if carried is not None and len(question) != len(carried):
            carried = carried.take(np.arange(len(question)) // (len(question) // len(carried)))
        payload = self._codec.pack_realizations(
            question, sequence=self._sequence, step=turn.step, carried=carried
        )
        self._link.publish("realizations", payload)
        awaited = f"set-points of exchange {self._sequence}"
        self._step(awaited, "planner", self._deadlines.step_s)
        header, answer = self._read_answer(question, turn.step)
        self._answered += len(question)
        return answer, (asked_s, header.sent_s)

    def _settled(
        self,
        trial: Trial,
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
            settled = channel.settle(trial, batch, answer, moving=times_s is not None)
        else:
            snapshots, verdicts = self._judged(trial, batch, answer)
            settled = Settled(setpoints=answer, snapshots=snapshots, verdicts=verdicts, trace={})
        if pace is None:
            return settled
        trace = pace.through_devices(trace, settled.trace.get("device_loop_s"))
        verdicts = pace.judged(settled.verdicts, trace)
        return replace(settled, verdicts=verdicts, trace={**settled.trace, **trace})

    def _mended(
        self, trial: Trial, batch: Realizations, answer: Setpoints, turn: _Batch
    ) -> Settled:
        """Apply an answer, and ask again for what is outside a limit."""
        sequence, done = self._sequence, turn.done

        def ask(number: int, measured: Snapshots) -> Setpoints:
            self._say("running", done, self._total, f"round {number} of exchange {sequence}")
            self._link.publish(
                "measurements",
                self._codec.pack_measurements(
                    measured, sequence=sequence, round=number, step=turn.step
                ),
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
                step=turn.step,
            )
            return reply

        return mend(batch, answer, rounds=self._job.rounds, observe=trial.observe, ask=ask)

    def _judged(
        self, trial: Trial, batch: Realizations, answer: Setpoints
    ) -> tuple[Snapshots, Verdicts]:
        snapshots, verdicts = trial.observe(batch, answer)
        return snapshots, settle(verdicts, answer)

    def _read_answer(self, question: Realizations, step: int) -> tuple[Header, Setpoints]:
        port, sequence = "planner/setpoints", self._sequence
        payload = self._must_read(port, f"set-points of exchange {sequence}")
        header, answer = self._codec.read_setpoints(payload, port)
        first, count = int(question.index[0]), len(question)
        expect(header, sequence=sequence, first=first, count=count, port=port, step=step)
        return header, answer

    def _publish_results(self, trial: Trial, batch: Realizations, settled: Settled) -> None:
        sequence, step, seen = self._sequence, trial.step, settled.snapshots
        if self._measurements:
            told = self._codec.pack_measurements(seen, sequence=sequence, step=step)
            self._link.publish("measurements", told)
        told = self._codec.pack_verdicts(settled.verdicts, sequence=sequence, step=step)
        self._link.publish("verdicts", told)
        if self._job.states is not None:
            given = settled.setpoints
            states = self._job.states.of(trial.engine, trial.plan, batch, given, seen)
            for port, text in states.items():
                self._link.publish(port, text)

    def _await_done(self, done: int) -> None:
        self._step("the planner's last word", "planner", self._deadlines.step_s)
        payload = self._must_read("planner/status", "the planner's last word")
        status = parse(Status, payload, "planner/status")
        if (status.phase, status.done) != ("done", done):
            raise FederateLost(
                f"planner/status: the planner ended {status.phase} after answering "
                f"{status.done} of {done} realizations; it must say done"
            )
