"""The planner and the feeder as federates: thin coats around callables.

One exchange is a federation second (`schedule`), and is of one step of one batch: the feeder
publishes the batch's
realizations at ``t + 0.5``, the planner reads and answers it at ``t + 1``, the feeder
observes, judges and keeps it at ``t + 1.5`` and publishes verdicts with the next batch. The
run counts only if the feeder saw N of N realizations and each side said *done* to the other.
A job with `rounds` asks again within a batch, one second for each round.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from gridproof.federation.members.jobs import Deadlines, PlannerJob
from gridproof.federation.trial.rounds import Tried
from gridproof.federation.wire.codec import Codec
from gridproof.federation.wire.frames import expect, now, round_of
from gridproof.federation.wire.link import Link
from gridproof.federation.wire.messages import (
    FEEDER_PORTS,
    PLANNER_PORTS,
    Catalogue,
    Status,
    parse,
    switch_states_of,
)
from gridproof.federation.wire.schedule import PLANNER_GRID
from gridproof.optimizer.recourse.policies import Recourse
from gridproof.scenarios.carried import Carried
from gridproof.scenarios.errors import FederateLost, FederationError
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.plan_file import plan_to_json
from gridproof.scenarios.realization import Realizations
from gridproof.scenarios.snapshot import Snapshots

__all__ = ["Federate", "PlannerFederate"]

Phase = Literal["joined", "planning", "planned", "running", "done", "failed"]


class Federate:
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


class PlannerFederate(Federate):
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
        self._job, self._codec = job, Codec.of(job.scenario, clock=clock, steps=job.steps)

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
        link.publish("switch_states", switch_states_of(plan, self._job.steps[0]).encode())
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
                batch, carried = self._asked(sequence)
                reply = (
                    recourse.respond(batch) if carried is None else recourse.respond(batch, carried)
                )
                if not np.array_equal(reply.index, batch.index):
                    raise FederationError(
                        f"the recourse answered {len(reply.index)} realizations, "
                        f"{len(batch)} were asked: it must keep their index and order"
                    )
                tried, answered = Tried(recourse, batch, reply), answered + len(batch)
            payload = self._codec.pack_setpoints(
                reply, sequence=sequence, round=round_, step=batch.first_step
            )
            self._link.publish("setpoints", payload)

    def _asked(self, sequence: int) -> tuple[Realizations, Carried | None]:
        port, steps = "feeder/realizations", self._job.steps
        payload = self._must_read(port, f"realizations of exchange {sequence}")
        header, batch = self._codec.read_realizations(payload, port)
        expect(
            header,
            sequence=sequence,
            first=header.first,
            count=header.count,
            port=port,
            step=steps[(sequence - 1) % len(steps)],
        )
        return batch, self._codec.read_carried(payload, port)

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
            step=header.step,
        )
        return seen
