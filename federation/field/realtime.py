"""Real time: one realization per step of the wall clock, and how late everything was.

A step ``k`` is due at ``start + k · step / factor``, whatever happened before: lateness is
not forgiven, so a planner that is too slow shows as lateness that grows. HELICS' own real
time flags (``rt_lag``, ``rt_lead``) are left alone: beyond the lag they grant the time and
hand out the last value as if it were new. Here the feeder waits for the answer to its own
question, and what came too late is judged *stale*.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from gridproof.federation.config.faults import RealtimeConfig
from gridproof.federation.trial.trial import Trace, as_stale
from gridproof.federation.wire.frames import now
from gridproof.scenarios.arrays import FloatArray
from gridproof.scenarios.errors import FederationError
from gridproof.scenarios.verdict import Verdicts

__all__ = ["PACE_COLUMNS", "Pace", "in_slices"]

PACE_COLUMNS = ("lateness_s", "loads_age_s", "setpoints_age_s")
"""Kept beside each verdict, s of the feeder's world: how late its step began, and how old
the loads that were answered and the set-points were when the physics took them: what devices
took of the time is part of it."""


_SLICE_S = 0.1


def in_slices(seconds: float) -> None:
    """Sleep so that whoever ends this thread is heard: between two steps devices are in force."""
    until_s = time.monotonic() + seconds
    while (left_s := until_s - time.monotonic()) > 0.0:
        time.sleep(min(_SLICE_S, left_s))


class Pace:
    """Holds a feeder to the wall clock.

    Parameters
    ----------
    config
        The section; its ``step_s`` must be given.
    start_s
        When the first step is due, seconds since 1970; None for as soon as it can be.
    monotonic, sleep
        The clock steps are due by.
    wall
        The clock messages are stamped with, seconds since 1970.
    """

    def __init__(
        self,
        config: RealtimeConfig,
        *,
        start_s: float | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = in_slices,
        wall: Callable[[], float] = now,
    ) -> None:
        if config.step_s is None:
            raise ValueError("real time needs step_s")
        self._config, self._step_s = config, config.step_s
        self._monotonic, self._sleep, self._wall = monotonic, sleep, wall
        self._started_s: float | None = None
        self._start_s = start_s
        self._steps = 0
        self._lateness_s = 0.0

    @property
    def stale_after_s(self) -> float:
        """Age at which set-points count as stale, s of the feeder's world."""
        return self._config.stale_after_s or self._step_s

    def await_step(self) -> None:
        """Wait until the next step is due; the first is due at the start, or at once.

        Raises
        ------
        FederationError
            If the start has passed, or a step was due too long ago and the run is strict.
        """
        if self._started_s is None:
            self._started_s = self._monotonic() + self._until_start_s()
        due_s = self._started_s + self._steps * self._step_s / self._config.factor
        self._steps += 1
        left_s = due_s - self._monotonic()
        if left_s > 0.0:
            self._sleep(left_s)
        self._lateness_s = (self._monotonic() - due_s) * self._config.factor
        most_s = self._config.late_after_s or self._step_s
        if self._config.strict and self._lateness_s > most_s:
            raise FederationError(
                f"real time: step {self._steps} began {self._lateness_s:.3f} s late; strict allows "
                f"{most_s:g} s. Lower [realtime] factor, raise step_s, or leave strict out"
            )

    def _until_start_s(self) -> float:
        if self._start_s is None:
            return 0.0
        left_s = self._start_s - self._wall()
        if left_s < 0.0:
            raise FederationError(
                f"real time: the start had passed {-left_s:.1f} s before the first step could "
                "begin; start later, or plan first (gridproof plan, then campaign --plan)"
            )
        return left_s

    def asked(self) -> float:
        """Return the time at which loads are published, on the clock that ages are counted by."""
        return self._monotonic()

    def arrived(self, asked_s: float, sent_s: float) -> Trace:
        """Say how old an answer is, now that it is about to be applied.

        Parameters
        ----------
        asked_s
            When the loads were published, by `asked`.
        sent_s
            When their answer was sent, seconds since 1970: the clock of whoever sent it.

        Raises
        ------
        FederationError
            If it is stale and the run is strict.
        """
        factor = self._config.factor
        age_s = (self._monotonic() - asked_s) * factor
        self._refuse_old(age_s, "")
        values = (self._lateness_s, age_s, (self._wall() - sent_s) * factor)
        return {name: np.array([value]) for name, value in zip(PACE_COLUMNS, values, strict=True)}

    def through_devices(self, trace: Trace, took_s: FloatArray | None) -> Trace:
        """Add what devices took of the time until the physics had their outputs.

        Parameters
        ----------
        trace
            As `arrived` left it.
        took_s
            (realization,) wall-clock time from the first command to the last measurement; None
            where no DER is a device.

        Raises
        ------
        FederationError
            If the set-points are stale by then, and the run is strict.
        """
        if took_s is None:
            return trace
        more_s = took_s * self._config.factor
        older = {name: trace[name] + more_s for name in ("loads_age_s", "setpoints_age_s")}
        self._refuse_old(
            float(older["loads_age_s"].max()), f", {more_s.max():.3f} s of it devices'"
        )
        return {**trace, **older}

    def _refuse_old(self, age_s: float, of_it: str) -> None:
        if self._config.strict and age_s > self.stale_after_s:
            raise FederationError(
                f"real time: the set-points of step {self._steps} are {age_s:.3f} s old{of_it}; "
                f"strict allows {self.stale_after_s:g} s. Lower [realtime] factor, raise "
                "stale_after_s, or leave strict out"
            )

    def judged(self, verdicts: Verdicts, trace: Trace) -> Verdicts:
        """Judge as *stale* what was applied beyond the stated age."""
        return as_stale(verdicts, trace["loads_age_s"] > self.stale_after_s)
