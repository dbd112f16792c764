"""A network in which lines fail: a scenario with devices, seen line by line and bus by bus.

The scenario says it all; `Outage` derives what a planner, an audit and a figure need of it, in
one place. A step is a position on the time axis: before the event, after the automatic response,
after remote isolation, after remote reconfiguration. Which switch may move at which step follows
from its device alone.

The first DERs of such a scenario are the feeder's sources, held at their buses and without a
limit; those that can carry an island follow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray
from gridproof.scenarios.devices import LineDevices
from gridproof.scenarios.errors import ScenarioError
from gridproof.scenarios.events import EventKind
from gridproof.scenarios.feeder import Feeder
from gridproof.scenarios.fleet import Ders
from gridproof.scenarios.limits import Limits
from gridproof.scenarios.prices import Prices
from gridproof.scenarios.scenario import Scenario

__all__ = ["PHASE_NAMES", "Outage", "outage_of"]

PHASE_NAMES = ("before", "automatic isolation", "remote isolation", "remote reconfiguration")
"""The steps of the time axis, t = 0 to 3."""


def outage_of(scenario: Scenario) -> Outage | None:
    """See a scenario line by line; None where nothing says how its lines are switched."""
    return None if scenario.devices is None else Outage.of(scenario)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outage:
    """What follows from a scenario's feeder, devices and failures; nothing is stored twice.

    Attributes
    ----------
    scenario
        Where everything is stated. Modelled as balanced: positive-sequence impedance, three
        phases together.
    devices
        The scenario's.
    failed
        (failure,) positions of the failed lines, in the order of the events.
    """

    scenario: Scenario
    devices: LineDevices
    failed: IntArray

    @classmethod
    def of(cls, scenario: Scenario) -> Outage:
        """See a scenario.

        Raises
        ------
        ScenarioError
            If it does not say how its lines are switched.
        """
        if scenario.devices is None:
            raise ScenarioError(
                f"{scenario.name}: nothing says how lines are switched, so nothing can be "
                "restored; a study states devices and what failed in [restoration]"
            )
        events = scenario.events
        return cls(
            scenario=scenario,
            devices=scenario.devices,
            failed=events.element[events.of(EventKind.LINE_FAILS)],
        )

    @property
    def name(self) -> str:
        """The scenario's name."""
        return self.scenario.name

    @property
    def feeder(self) -> Feeder:
        """Lines and loads; every line's ``closed`` is its state before the event."""
        return self.scenario.feeder

    @property
    def limits(self) -> Limits:
        """The operating band."""
        return self.scenario.limits

    @property
    def prices(self) -> Prices:
        """What a loss is worth."""
        return self.scenario.prices

    @property
    def unserved_per_mw(self) -> FloatArray:
        """(bus,) ``α C_i^ns`` of (2): what a MW of load not supplied is worth in one phase."""
        own = self.scenario.bus_prices
        if own is not None:
            return own.unserved_per_mw
        return np.full(len(self.feeder.buses.ids), self.prices.unserved_per_mw)

    @property
    def lost_bus(self) -> FloatArray:
        """(bus,) ``α C_i^e`` of (2): what a bus in the damaged zone is worth in one phase."""
        own = self.scenario.bus_prices
        if own is not None:
            return own.lost_bus
        return np.full(len(self.feeder.buses.ids), self.prices.lost_bus)

    @property
    def ders(self) -> Ders:
        """The scenario's: the feeder's sources first."""
        return self.scenario.ders

    @property
    def forming(self) -> IntArray:
        """Positions in ``ders`` of those that can carry an island at t = 3, sources left out."""
        able = np.flatnonzero(self.ders.can_form)
        return able[able >= len(self.feeder.sources.ids)]

    @property
    def ends(self) -> IntArray:
        """(line, 2) bus positions of each line's two ends."""
        return np.stack([self.feeder.lines.from_bus, self.feeder.lines.to_bus], axis=1)

    @property
    def strikes(self) -> BoolArray:
        """(line,) overhead lines whose failure takes both ends down, (10).

        Those closed before the event; with ``devices.open_strikes`` the open ones too.
        """
        closed = self.feeder.lines.closed | self.devices.open_strikes
        return np.asarray(closed & ~self.devices.underground, bool)

    @property
    def substation(self) -> BoolArray:
        """(bus,) true where the feeder meets the transmission grid: ``s_i``."""
        mask = np.zeros(len(self.feeder.buses.ids), bool)
        mask[self.feeder.sources.bus] = True
        return mask

    @property
    def operable_end(self) -> BoolArray:
        """(line, 2) ends the operator can move from the control room."""
        return self.devices.operable_end

    @property
    def operable(self) -> BoolArray:
        """(line,) lines whose state the operator can change from the control room.

        A line needs an operable end, and each end that is not must be closed before the event:
        a manual end that stands open keeps the line open.
        """
        moves = self.operable_end
        held_open = ~moves & ~self.feeder.lines.closed[:, None]
        return np.asarray(moves.any(axis=1) & ~held_open.any(axis=1), bool)

    def bus_demand(self) -> tuple[FloatArray, FloatArray]:
        """(bus,) nominal active (kW) and reactive (kvar) demand, three phases together."""
        given, size = self.scenario, len(self.feeder.buses.ids)
        p, q = np.zeros(size), np.zeros(size)
        np.add.at(p, self.feeder.loads.bus, given.load_p_kw[0].sum(axis=1))
        np.add.at(q, self.feeder.loads.bus, given.load_q_kvar[0].sum(axis=1))
        return p, q

    def impedance_ohm(self) -> tuple[FloatArray, FloatArray]:
        """(line,) resistance and reactance of the balanced model, ohm.

        ``3/n (mean self - mean mutual)`` over the n phases a line has: the positive sequence of
        a line of three, and of one of fewer what drops its own phases' voltage as much when
        they carry all its load.
        """
        lines = self.feeder.lines
        has = lines.phases.astype(float)
        count = has.sum(axis=1)
        own = np.eye(3)[None] * has[:, :, None]
        cross = has[:, :, None] * has[:, None, :] * (1.0 - np.eye(3))
        pairs = np.maximum(cross.sum(axis=(1, 2)), 1.0)
        return tuple(
            3.0
            / count
            * ((z * own).sum(axis=(1, 2)) / count - (z * cross).sum(axis=(1, 2)) / pairs)
            for z in (lines.r_ohm, lines.x_ohm)
        )

    def rating_mva(self) -> FloatArray:
        """(line,) apparent power of all phases together at nominal voltage.

        A line without a rating has twice the whole demand, which a tree never carries.
        """
        lines, base = self.feeder.lines, self.feeder.buses.base_kv[self.feeder.lines.from_bus]
        rating: FloatArray = lines.phases.sum(axis=1) * base * lines.rating_a / 1e3
        p, q = self.bus_demand()
        ample = 2.0 * float(np.abs(p).sum() + np.abs(q).sum()) / 1e3
        return np.where(np.isfinite(rating), rating, ample)
