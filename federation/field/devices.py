"""DERs that are devices of their own, between the planner's command and the feeder's input.

Commands and measurements are held against the DER's capability, both ways. A device that does
not answer, or not as it should, costs a verdict (*stale*), not the run: its last good output
stays in force, and a later command tries to connect again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import numpy as np
from gridproof.federation.addresses import host_and_port
from gridproof.federation.config.faults import DevicesConfig
from gridproof.federation.field.channel import DeviceReading
from gridproof.federation.field.device import (
    Device,
    DeviceLostError,
    DeviceRefusedError,
    MakeDevice,
    Place,
)
from gridproof.federation.field.device_faults import DeviceFault
from gridproof.scenarios.arrays import BoolArray, FloatArray
from gridproof.scenarios.errors import ConfigError
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.scenario import Scenario

__all__ = ["FieldDevices"]

_RETRY_AFTER_S = 0.2  # between two attempts to connect to a device that was lost
_RELEASE_S = 1.2  # for all together: who ends us gives 2 s


@dataclass(slots=True, kw_only=True)
class _Kept:
    """A device and the last output it was seen to have."""

    device: Device
    name: str
    der: int
    p_kw: FloatArray
    q_kvar: FloatArray
    seen_s: float | None = None
    try_after_s: float = 0.0
    commanded_s: float | None = None
    said: str = ""
    fault: DeviceFault = DeviceFault.NONE


class FieldDevices:
    """The devices of a study, between the planner's command and the feeder's input.

    A device is commanded the sum of its phases; how it shares that out is its own affair and
    shows in what is measured. Its capability is the study's.

    Parameters
    ----------
    config
        Addresses and deadlines.
    scenario
        The DERs they are.
    make
        Makes one, by the protocol that it speaks.
    clock, sleep
        Seconds, for ages and for the time a device is given to settle.
    """

    def __init__(
        self,
        config: DevicesConfig,
        scenario: Scenario,
        make: MakeDevice,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._config, self._scenario, self._make = config, scenario, make
        self._clock, self._sleep = clock, sleep
        self._kept: list[_Kept] = []

    @property
    def ids(self) -> tuple[str, ...]:
        """DERs that are devices."""
        return tuple(self._config.at)

    @property
    def said(self) -> Sequence[str]:
        """What is wrong with each device in words; empty where nothing is."""
        return tuple(kept.said for kept in self._kept)

    def start(self, plan: Plan) -> None:
        """Take up a plan; until a device is seen, its output is taken to be the base's.

        Raises
        ------
        ConfigError
            If the plan makes one of them grid-forming: nobody commands what such a DER gives.
        """
        ids = self._scenario.ders.ids
        forming = [name for name in self._config.at if plan.grid_forming[0, ids.index(name)]]
        if forming:
            raise ConfigError(
                f"[devices] {', '.join(forming)} forms an island in this plan, so the grid decides "
                "its output and no set-point does; make a device of another DER"
            )
        self.close()
        self._kept = []
        for name, address in self._config.at.items():
            found = host_and_port(address)
            if found is None:
                raise ConfigError(f"[devices] at.{name} = {address!r} is not HOST:PORT")
            place = Place(
                der=name,
                host=found[0],
                port=found[1],
                unit=self._config.unit,
                deadline_s=self._config.deadline_s,
            )
            der = ids.index(name)
            p, q = plan.p_kw[0, der], plan.q_kvar[0, der]
            self._kept.append(_Kept(device=self._make(place), name=name, der=der, p_kw=p, q_kvar=q))

    def apply(self, p_kw: FloatArray, q_kvar: FloatArray) -> DeviceReading:
        """Command every device, let each settle, and read what it does.

        Returns
        -------
        DeviceReading
            Where a device was lost or refused, its last good output; ``lost`` counts both.
        """
        p, q, began_s = p_kw.copy(), q_kvar.copy(), self._clock()
        lost = 0
        told = [self._told(kept, p_kw[kept.der], q_kvar[kept.der]) for kept in self._kept]
        for kept, took_it in zip(self._kept, told, strict=True):
            lost += not (took_it and self._seen(kept))
            p[kept.der], q[kept.der] = kept.p_kw, kept.q_kvar
        ages = [
            np.inf if kept.seen_s is None else self._clock() - kept.seen_s for kept in self._kept
        ]
        return DeviceReading(
            p_kw=p,
            q_kvar=q,
            age_s=max(ages, default=0.0),
            lost=lost,
            loop_s=self._clock() - began_s,
            faults=tuple(kept.fault for kept in self._kept),
        )

    def close(self) -> None:
        """Release every device that was commanded, and let go of the connections.

        Whatever ends a run ends here, and often in a hurry: devices are released side by side,
        each on a thread that no interruption reaches, and one that is silent is left to its own
        reversion timer.
        """
        threads = [
            threading.Thread(target=_let_go, args=(kept,), name="device-release", daemon=True)
            for kept in self._kept
        ]
        for one in threads:
            one.start()
        until_s = time.monotonic() + _RELEASE_S
        for one in threads:
            one.join(max(0.0, until_s - time.monotonic()))

    def _told(self, kept: _Kept, p_kw: FloatArray, q_kvar: FloatArray) -> bool:
        """Command one device; false if it was lost or refused."""
        if self._clock() < kept.try_after_s:
            return False
        with self._watched(kept) as went_well:
            self._inside(kept.der, p_kw, q_kvar, "the command", whole=True)
            self._beside(kept.der, float(p_kw.sum()), float(q_kvar.sum()))
            kept.commanded_s = self._clock()  # some of it may have arrived, whatever is answered
            kept.device.command(float(p_kw.sum()), float(q_kvar.sum()))
            kept.commanded_s = self._clock()
            went_well()
        return kept.fault is DeviceFault.NONE

    def _seen(self, kept: _Kept) -> bool:
        """Measure one device; false if it was lost or is not believed."""
        assert kept.commanded_s is not None
        settled_s = kept.commanded_s + self._config.settle_s.get(kept.name, 0.0)
        if settled_s > self._clock():
            self._sleep(settled_s - self._clock())
        with self._watched(kept) as went_well:
            feeds = self._scenario.ders.phases[kept.der]  # the rest is the meter's own error
            p, q = (_by_phase(values, feeds) for values in kept.device.measure())
            self._inside(kept.der, p, q, "the measurement", whole=False)
            kept.p_kw, kept.q_kvar = np.where(feeds, p, 0.0), np.where(feeds, q, 0.0)
            kept.seen_s = self._clock()
            went_well()
        return kept.fault is DeviceFault.NONE

    @contextmanager
    def _watched(self, kept: _Kept) -> Iterator[Callable[[], None]]:
        """Keep what is wrong with a device, by its name."""

        def went_well() -> None:
            kept.said, kept.fault = "", DeviceFault.NONE

        try:
            yield went_well
        except DeviceLostError as error:
            kept.said, kept.try_after_s = str(error), self._clock() + _RETRY_AFTER_S
            kept.fault = DeviceFault.LOST
        except DeviceRefusedError as error:
            kept.said, kept.fault = str(error), error.fault

    def _inside(
        self, der: int, p_kw: FloatArray, q_kvar: FloatArray, what: str, *, whole: bool
    ) -> None:
        """Refuse numbers outside the DER's capability, of the whole DER or of each phase."""
        ders, name = self._scenario.ders, self._scenario.ders.ids[der]
        slack = self._config.tolerance * np.abs(ders.p_max_kw[der]).max()
        for values, low, high, unit in (
            (p_kw, ders.p_min_kw[der], ders.p_max_kw[der], "kW"),
            (q_kvar, ders.q_min_kvar[der], ders.q_max_kvar[der], "kvar"),
        ):
            if whole:
                bad = _outside(values.sum(), low.sum() - slack, high.sum() + slack)
            else:
                bad = _outside(values, low - slack, high + slack)
            if np.any(bad):
                raise DeviceRefusedError(
                    f"{name}: {what} is {values} {unit}; it can do {low} to {high}",
                    DeviceFault.COMMAND_OUT_OF_RANGE if whole else DeviceFault.READING_OUT_OF_RANGE,
                )

    def _beside(self, der: int, p_kw: float, q_kvar: float) -> None:
        """Refuse a command that power factor or capability curve do not allow.

        A measurement beyond them is what it is, and is judged.
        """
        ders, planes = self._scenario.ders, self._scenario.ders.half_planes
        slack = self._config.tolerance * np.abs(ders.p_max_kw[der]).max()
        for row in np.flatnonzero(planes.der == der).tolist():
            room = planes.slope[row] * p_kw + planes.level[row].sum() - planes.side[row] * q_kvar
            if not room >= -slack:
                what = "capability curve" if planes.curve[row] else "power factor"
                raise DeviceRefusedError(
                    f"{ders.ids[der]}: the command is {q_kvar:g} kvar beside {p_kw:g} kW; its "
                    f"{what} leaves {-room:.4g} kvar less",
                    DeviceFault.COMMAND_OUT_OF_RANGE,
                )


def _outside(
    values: FloatArray | float, low: FloatArray | float, high: FloatArray | float
) -> BoolArray:
    return np.asarray(~((values >= low) & (values <= high)))


def _by_phase(values: FloatArray, feeds: BoolArray) -> FloatArray:
    """Share a total out evenly, which is what a DER of one set-point does; (3,) stay as they are.

    Raises
    ------
    DeviceRefusedError
        If it is neither of the two.
    """
    found = np.asarray(values, float)
    if found.shape == (3,):
        return found
    if found.shape == (1,):
        return np.where(feeds, found / max(1, int(feeds.sum())), 0.0)
    raise DeviceRefusedError(
        f"it measured an array of shape {found.shape}; three phases, or one total, are asked",
        DeviceFault.NO_NUMBER,
    )


def _let_go(kept: _Kept) -> None:
    with suppress(Exception):  # somebody else's class may raise anything; this is the end
        if kept.commanded_s is not None:
            kept.device.release()
    kept.commanded_s = None
    with suppress(Exception):
        kept.device.close()
