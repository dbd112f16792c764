"""What stands between the planner's command and the feeder's input.

Without a channel the feeder asks for the loads it drew and applies what comes back. With
one it asks for the loads the planner could have known at that time, applies what the devices
make of the answer, and keeps beside each verdict what was commanded and what was applied.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from gridproof.federation.config.faults import FaultsConfig
from gridproof.federation.field.device_faults import FAULT_COLUMN, DeviceFault
from gridproof.federation.field.faults import (
    Commands,
    check_faults,
    commands_in_force,
    follow_ramp,
    instants,
    loads_at,
    measured,
    quantised,
    ride_instants,
    stuck,
)
from gridproof.federation.field.stuck import Observed, observe_under
from gridproof.federation.trial.trial import Settled, Trial, as_stale, with_outcome
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.realization import Realizations
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.setpoints import Setpoints
from gridproof.scenarios.verdict import Outcome, Verdicts

__all__ = ["Channel", "DeviceReading", "Devices"]

_POWERS = ("commanded_kw", "applied_kw", "commanded_kvar", "applied_kvar")
_OF_DEVICES = ("device_age_s", "device_loop_s", "devices_lost")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DeviceReading:
    """What real devices made of one realization's set-points.

    Attributes
    ----------
    p_kw, q_kvar
        (der, 3) outputs: measured at those that are devices, as commanded at the others.
    age_s
        Wall-clock age of the oldest measurement among them.
    lost
        Devices that did not answer.
    loop_s
        Wall-clock time from the first command written to the last measurement read.
    faults
        What is wrong with each device, in the order of `Devices.ids`.
    """

    p_kw: FloatArray
    q_kvar: FloatArray
    age_s: float
    lost: int
    loop_s: float
    faults: tuple[DeviceFault, ...] = ()


class Devices(Protocol):
    """Real or emulated devices behind some of the DERs."""

    @property
    def ids(self) -> tuple[str, ...]:
        """DERs that are devices."""
        ...

    def start(self, plan: Plan) -> None:
        """Take up a plan; refuses one that gives a device a role it cannot have."""
        ...

    def apply(self, p_kw: FloatArray, q_kvar: FloatArray) -> DeviceReading:
        """Command (der, 3) set-points and read what came of them."""
        ...

    def close(self) -> None:
        """Let go of the connections."""
        ...


class Channel:
    """Declared faults and devices on the way from the planner's command to the feeder.

    Parameters
    ----------
    scenario, seed
        The study's.
    faults
        What goes wrong; a section without entries delays and changes nothing.
    draw
        ``(first, count)`` to realizations.
    devices
        Where some DERs are devices of their own.

    Raises
    ------
    ConfigError
        If the section contradicts the feeder.
    """

    def __init__(
        self,
        scenario: Scenario,
        faults: FaultsConfig,
        seed: int,
        draw: Callable[[int, int], Realizations],
        devices: Devices | None = None,
    ) -> None:
        check_faults(faults, scenario)
        self._scenario, self._faults, self._seed = scenario, faults, seed
        self._draw, self._devices = draw, devices
        self._device_ids = () if devices is None else devices.ids
        self._plan: Plan | None = None
        self._instants_s = instants(faults, scenario.ders)
        self._now = ride_instants(faults)  # position of a realization's own time

    @property
    def questions(self) -> int:
        """Rows the planner is asked for each realization."""
        return len(self._instants_s)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of what is kept beside each verdict."""
        ids = self._scenario.ders.ids
        return (
            "age_s",
            "outside_s",
            "switches_stuck",
            *(f"{stem}_{name}" for stem in _POWERS for name in ids),
            *(_OF_DEVICES if self._devices is not None else ()),
            *(f"{FAULT_COLUMN}{name}" for name in self._device_ids),
        )

    def start(self, plan: Plan) -> None:
        """Take up the plan that is tried."""
        self._plan = plan
        if self._devices is not None:
            self._devices.start(plan)

    def close(self) -> None:
        """Let go of the devices."""
        if self._devices is not None:
            self._devices.close()

    def question(self, batch: Realizations) -> Realizations:
        """Return the loads the planner answers: those of the commands in force.

        Row ``i · questions + m`` belongs to realization ``i`` and its ``m``-th instant,
        the newest first.
        """
        commands = self._commands(self._times(batch.index))
        number, sent_s = commands.number.ravel(), commands.sent_s.ravel()
        index = int(batch.index[0]) * self.questions + np.arange(len(number))
        asked = self._loads_at(sent_s, index)
        return measured(asked, self._scenario, self._faults, self._seed, number)

    def settle(
        self, trial: Trial, batch: Realizations, answer: Setpoints, *, moving: bool = True
    ) -> Settled:
        """Apply an answer as the devices would, solve and judge.

        Parameters
        ----------
        trial
            What is tried, at the step it has entered.
        batch
            The loads at each realization's time.
        answer
            To `question`, row by row.
        moving
            Whether devices are commanded; a rehearsal moves none.
        """
        now, times_s = self._now, self._times(batch.index)
        commands = self._commands(times_s)
        found, commanded = self._commanded(trial, commands, answer)
        ders = self._scenario.ders
        applied = [
            self._applied(commanded[0], ders.p_min_kw, ders.p_max_kw),
            self._applied(commanded[1], ders.q_min_kvar, ders.q_max_kvar),
        ]
        p, q, device = self._through_devices(applied[0][:, now], applied[1][:, now], moving=moving)
        held = stuck(self._faults, self._scenario, self._seed, batch.index, times_s)
        given = self._given(batch.index, found[:, now], p, q, trial)
        seen = observe_under(trial, batch, given, held)
        verdicts, outside_s = self._ride_through(trial, seen, times_s, found, applied, held)
        verdicts = self._final(verdicts, found[:, now], device)
        trace: dict[str, FloatArray] = {
            "age_s": times_s - commands.sent_s[:, now],
            "outside_s": outside_s,
            "switches_stuck": seen.switches_stuck.astype(float),
        }
        powers = (commanded[0][:, now], p, commanded[1][:, now], q)
        for name, values in zip(_POWERS, powers, strict=True):
            for k, der in enumerate(self._scenario.ders.ids):
                trace[f"{name}_{der}"] = values[:, k, 0] + values[:, k, 1] + values[:, k, 2]
        return Settled(
            setpoints=given, snapshots=seen.snapshots, verdicts=verdicts, trace={**trace, **device}
        )

    # ------------------------------------------------------------------------------ parts
    def _loads_at(self, times_s: FloatArray, index: IntArray) -> Realizations:
        """Return what the plan asks for at some times."""
        drawn = loads_at(self._draw, self._scenario, self._faults, times_s, index)
        return drawn if self._plan is None else self._plan.asked(drawn, self._scenario)

    def _times(self, index: IntArray) -> FloatArray:
        return np.asarray((index + 1) * self._faults.interval_s, dtype=float)

    def _commands(self, times_s: FloatArray) -> Commands:
        at = np.maximum(times_s[:, None] + self._instants_s, 0.0)
        return commands_in_force(self._faults, self._seed, at)

    def _commanded(
        self, trial: Trial, commands: Commands, answer: Setpoints
    ) -> tuple[BoolArray, tuple[FloatArray, FloatArray]]:
        """Shape an answer (realization, instant, …); the base where no command has arrived."""
        shape = commands.number.shape
        none = commands.number < 0
        plan = trial.plan
        ders = plan.p_kw.shape[1]
        p, q = (values.reshape(*shape, ders, 3) for values in (answer.p_kw, answer.q_kvar))
        base = none[:, :, None, None]
        return answer.found.reshape(shape) | none, (
            np.where(base, plan.p_kw[trial.step], p),
            np.where(base, plan.q_kvar[trial.step], q),
        )

    def _applied(self, commanded: FloatArray, low: FloatArray, high: FloatArray) -> FloatArray:
        """(realization, instant, der, 3) what devices make of commands, within their limits."""
        told = np.clip(quantised(commanded, self._faults.quantisation_kw), low, high)
        rate = self._faults.ramp_kw_per_s
        if rate is None:
            return told
        return follow_ramp(told, rate * self._faults.command_every_s)

    def _through_devices(
        self, p: FloatArray, q: FloatArray, *, moving: bool
    ) -> tuple[FloatArray, FloatArray, dict[str, FloatArray]]:
        if self._devices is None or not moving:
            return p, q, {}
        readings = [self._devices.apply(p[i], q[i]) for i in range(len(p))]
        return (
            np.array([one.p_kw for one in readings]),
            np.array([one.q_kvar for one in readings]),
            {
                "device_age_s": np.array([one.age_s for one in readings], float),
                "device_loop_s": np.array([one.loop_s for one in readings], float),
                "devices_lost": np.array([one.lost for one in readings], float),
                **{
                    f"{FAULT_COLUMN}{name}": np.array([one.faults[k] for one in readings], float)
                    for k, name in enumerate(self._device_ids)
                },
            },
        )

    def _given(
        self, index: IntArray, found: BoolArray, p: FloatArray, q: FloatArray, trial: Trial
    ) -> Setpoints:
        source = np.tile(trial.plan.source_v_pu[trial.step], (len(index), 1))
        return Setpoints(index=index, found=found, p_kw=p, q_kvar=q, source_v_pu=source)

    def _ride_through(  # noqa: PLR0917
        self,
        trial: Trial,
        seen: Observed,
        times_s: FloatArray,
        found: BoolArray,
        applied: list[FloatArray],
        held: BoolArray,
    ) -> tuple[Verdicts, FloatArray]:
        """Let pass what is outside the limits for no longer than is allowed.

        From a state that is outside, look back and then ahead, one instant at a time, while
        states are outside; each stands for the time between two commands.
        """
        verdicts, period_s = seen.verdicts, self._faults.command_every_s
        outcome, run = verdicts.outcome.copy(), _outside(verdicts).astype(np.int64)
        for step in (1, -1):  # instants are newest first
            going = _outside(verdicts)
            for m in range(1, self._now + 1):
                rows = np.flatnonzero(going & (run <= self._now))
                if not len(rows):
                    break
                k = self._now + step * m
                at = np.maximum(times_s[rows] + self._instants_s[k], 0.0)
                index = verdicts.index[rows]
                loads = self._loads_at(at, index)
                p, q = (values[rows, k] for values in applied)
                given = self._given(index, found[rows, k], p, q, trial)
                other = observe_under(trial, loads, given, held[rows])
                still = _outside(other.verdicts)
                run[rows[still]] += 1
                going[rows[~still]] = False
        brief = _outside(verdicts) & (run <= self._now)
        outcome[brief] = Outcome.FEASIBLE
        return with_outcome(verdicts, outcome), np.asarray(run * period_s)

    def _final(
        self, verdicts: Verdicts, found: BoolArray, device: Mapping[str, FloatArray]
    ) -> Verdicts:
        lost = device.get("devices_lost")
        if lost is not None:
            verdicts = as_stale(verdicts, lost > 0.0)
        if found.all():
            return verdicts
        keep = found[:, None]
        return Verdicts(
            index=verdicts.index,
            outcome=np.where(found, verdicts.outcome, Outcome.NO_RECOURSE),
            margin=np.where(keep, verdicts.margin, np.nan),
            element=np.where(keep, verdicts.element, -1),
            phase=np.where(keep, verdicts.phase, -1),
        )


def _outside(verdicts: Verdicts) -> BoolArray:
    return np.isin(verdicts.outcome, (Outcome.VIOLATED, Outcome.NO_SOLUTION))
