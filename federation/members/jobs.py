"""What the federates are given to do: plain callables, so that neither knows an engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from gridproof.federation.trial.guarded import Guard
from gridproof.federation.trial.trial import Trace
from gridproof.optimizer.recourse.policies import Recourse
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.realization import Realizations
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.setpoints import Setpoints
from gridproof.scenarios.snapshot import Snapshots
from gridproof.scenarios.verdict import Verdicts
from gridproof.simulator.engine import Engine

if TYPE_CHECKING:
    from gridproof.federation.field.channel import Channel
    from gridproof.federation.field.realtime import Pace
    from gridproof.federation.wire.link import PortKind

__all__ = [
    "Deadlines",
    "FeederJob",
    "KeepingSink",
    "PlannerJob",
    "Sink",
    "States",
]


class Sink(Protocol):
    """Where a campaign's results go, on the feeder's side."""

    def accept(self, plan: Plan) -> None:
        """Take the plan that is tried."""
        ...

    def write(
        self,
        realizations: Realizations,
        setpoints: Setpoints,
        snapshots: Snapshots,
        verdicts: Verdicts,
        second: Verdicts | None = None,
    ) -> None:
        """Keep one finished batch; ``second`` are the second judge's verdicts, if there is one."""
        ...


class KeepingSink(Sink, Protocol):
    """A sink that takes what comes beside verdicts, too."""

    def keep_trace(self, trace: Trace) -> None:
        """Take what channel, pace and rounds saw of a batch, just before the batch."""
        ...

    def forget(self, chunk: int) -> None:
        """Drop what has come of a chunk, to take all of it anew."""
        ...

    def keep_cause(self, index: int, said: str) -> None:
        """Take the first realization of a batch that erred, and why, before the batch."""
        ...


class States(Protocol):
    """What a feeder says of the states it solved, beside its own messages."""

    @property
    def ports(self) -> Mapping[str, PortKind]:
        """Further output ports."""
        ...

    def of(
        self,
        engine: Engine,
        plan: Plan,
        realizations: Realizations,
        setpoints: Setpoints,
        snapshots: Snapshots,
    ) -> Mapping[str, bytes]:
        """Return what is published of a batch, by port."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannerJob:
    """What the planner federate does.

    Attributes
    ----------
    scenario
        What is planned for.
    make_plan
        Called once; a `PlanError` ends the run and surfaces as itself.
    make_recourse
        Called once with the plan.
    steps
        The steps of the plan that are tried, in order; the recourse answers each of them.
    word
        What it says of itself, in its status, when it has planned.
    """

    scenario: Scenario
    make_plan: Callable[[], Plan]
    make_recourse: Callable[[Plan], Recourse]
    steps: tuple[int, ...] = (0,)
    word: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeederJob:
    """What the feeder federate does.

    Attributes
    ----------
    scenario
        What is simulated.
    make_engine
        Called once with the plan; the federate calls ``hold`` and ``close``.
    draw
        ``(first, count)`` to realizations; ``(first, count, step=k)`` to one step of them, where
        several are tried.
    ranges
        ``(first, count)`` of every batch still to do, one exchange for each of its steps. If it
        is no sequence (work handed out as it is done), how many is not known beforehand.
    sink
        Where results go.
    make_second
        An engine whose verdicts are kept beside the first one's, if not None.
    channel
        What stands between command and device; nothing if None.
    pace
        Holds the feeder to the wall clock; as fast as possible if None. Batches of one.
    keep_trace
        Takes what channel, pace and rounds saw of a batch, just before the sink takes the batch.
    keep_cause
        Takes the first realization of a batch that erred, and why, before the sink takes it.
    rounds
        Most further rounds in which the planner is asked again, with measurements, for what
        is outside a limit; without a channel only.
    steps
        The steps of the plan that are tried, in order. Several are lived through one after the
        other: what a realization carries out of one it brings into the next.
    as_planned
        Whether every step is entered as the plan foresees, whatever became of the one before.
    states
        Publishes solved states in somebody else's form, if not None.
    guard, again
        What an engine that estimates may settle; OpenDSS alone if None. ``again`` forgets the
        stretch of a realization whose audit failed, and returns its batches, to be done anew.
    hear
        Told what the planner says of itself, before its plan is taken; may refuse it.
    outside
        Takes messages of a federate that sends the loads, in the place of a draw; none if None.
    """

    scenario: Scenario
    make_engine: Callable[[Plan], Engine]
    draw: Callable[..., Realizations]
    ranges: Iterable[tuple[int, int]]
    sink: Sink
    make_second: Callable[[Plan], Engine] | None = None
    channel: Channel | None = None
    pace: Pace | None = None
    keep_trace: Callable[[Trace], None] | None = None
    keep_cause: Callable[[int, str], None] | None = None
    rounds: int = 0
    steps: tuple[int, ...] = (0,)
    as_planned: bool = False
    states: States | None = None
    hear: Callable[[str], None] | None = None
    outside: Callable[[bytes], None] | None = None
    guard: Guard | None = None
    again: Callable[[int], Sequence[tuple[int, int]]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """Longest waits, wall-clock seconds: for members to join, for the plan, for one step."""

    join_s: float = 30.0
    plan_s: float = 3600.0
    step_s: float = 120.0
