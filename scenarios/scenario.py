"""The scenario: all that an optimizer may know, and all that a campaign draws from."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np
from gridproof.scenarios.arrays import (
    PHASES,
    SILENT,
    BoolArray,
    FloatArray,
    IntArray,
    content_digest,
    frozen,
    index_of,
)
from gridproof.scenarios.devices import LineDevices
from gridproof.scenarios.disturbances import Disturbances
from gridproof.scenarios.errors import ScenarioError
from gridproof.scenarios.events import EventKind, Events
from gridproof.scenarios.feeder import Connection, Feeder
from gridproof.scenarios.fleet import Ders
from gridproof.scenarios.limits import Limits
from gridproof.scenarios.linearisation import Linearisation
from gridproof.scenarios.load_models import LoadModel
from gridproof.scenarios.prices import BusPrices, Prices
from gridproof.scenarios.resources import Fleet
from gridproof.scenarios.sets import Box, spanned
from gridproof.scenarios.supply import Supply

__all__ = ["Scenario"]

_PAIRS = ("ab", "bc", "ca")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scenario:
    """A feeder, what can be moved on it, what is uncertain, and what it is worth.

    Attributes
    ----------
    name
        The study's name.
    feeder, ders
        The grid and what can be moved on it.
    hours
        (time,) start of each step, hours; a single 0.0 for a snapshot study.
    duration_h
        (time,) how long each step lasts, hours; one each if left out.
    fleet
        What stands behind or beside the DERs: storage, renewables and the like.
    disturbances
        What events take, in kW; empty where loads move by shares of their nominal alone.
    load_p_kw, load_q_kvar
        (time, load, 3) nominal demand per slot, in ``feeder.loads`` order.
    load_model
        The model each load is simulated and planned with, (load,) entries.
    locked
        (switch,) true where the plan must keep the state in ``feeder.lines.closed`` (the
        opened substation switch, for one).
    shed_usd
        (block,) cost of leaving a block de-energised, ``α_l`` of the partitioning paper.
    uncertainty
        Which loads move, and how far.
    limits
        What a verdict holds a solved state against.
    draws_per_phase
        Whether realizations move each slot of an uncertain load on its own. A matter of the
        campaign alone: the planner's set keeps one direction per load, so a plan made for
        one kind of draw may be tried on the other, and the digest leaves it out.
    events
        What happens when; none if left out.
    devices
        What each line is and how it is switched; None where the feeder's switches say it all.
    prices
        What a loss is worth, where more than dead blocks and energy is priced.
    bus_prices
        What it is worth bus by bus; None where ``prices`` holds of all alike.
    supply
        What energy and its lack cost over the steps; None where loads are priced by block alone.
    step_labels
        (time,) what people call each step; its hour if left out. Nothing depends on it.
    linearisation
        The AC state that the linear model stands at; None: at no current. It follows from the
        rest and from how a plan is asked for, so the digest leaves it out.

    Raises
    ------
    ScenarioError
        If the pieces contradict each other; with every fault.
    """

    name: str
    feeder: Feeder
    ders: Ders
    hours: FloatArray
    load_p_kw: FloatArray
    load_q_kvar: FloatArray
    load_model: tuple[LoadModel, ...]
    uncertainty: Box
    limits: Limits
    locked: BoolArray
    shed_usd: FloatArray
    draws_per_phase: bool = field(default=False, compare=False)
    duration_h: FloatArray = field(
        default_factory=lambda: np.zeros(0), metadata={SILENT: lambda hours: (hours == 1.0).all()}
    )
    fleet: Fleet = field(default_factory=Fleet, metadata={SILENT: lambda fleet: fleet.empty})
    disturbances: Disturbances = field(
        default_factory=Disturbances, metadata={SILENT: lambda disturbances: disturbances.empty}
    )
    events: Events = field(default_factory=Events, metadata={SILENT: lambda events: events.empty})
    devices: LineDevices | None = field(default=None, metadata={SILENT: True})
    prices: Prices = field(default=Prices(), metadata={SILENT: True})
    bus_prices: BusPrices | None = field(default=None, metadata={SILENT: True})
    supply: Supply | None = field(default=None, metadata={SILENT: True})
    step_labels: tuple[str, ...] = field(default=(), compare=False)
    linearisation: Linearisation | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        times, loads = len(self.hours), len(self.feeder.loads.ids)
        if not len(self.duration_h):
            object.__setattr__(self, "duration_h", np.ones(times))
        shapes: dict[str, tuple[object, tuple[int, ...]]] = {
            "hours": (float, (times,)),
            "duration_h": (float, (times,)),
            "load_p_kw": (float, (times, loads, 3)),
            "load_q_kvar": (float, (times, loads, 3)),
            "locked": (bool, (len(self.feeder.switches),)),
            "shed_usd": (float, (len(self.feeder.blocks.ids),)),
        }
        for name, (kind, shape) in shapes.items():
            object.__setattr__(self, name, frozen(getattr(self, name), kind, shape))  # type: ignore[arg-type]

        faults = _faults(self)
        if faults:
            raise ScenarioError(faults)

    def digest(self) -> str:
        """SHA-256 over everything that can change a plan or a verdict."""
        return content_digest(self)

    @property
    def step_names(self) -> tuple[str, ...]:
        """(time,) what each step is called: its label, or the hour it starts."""
        return self.step_labels or tuple(f"{hour:g} h" for hour in self.hours)

    @property
    def uncertain_slots(self) -> IntArray:
        """(slot, 2) load position and slot of every slot of an uncertain load, in set order."""
        loads, where = self.feeder.loads, index_of(self.feeder.loads.ids)
        found = [
            (where[name], slot)
            for name in self.uncertainty.load_ids
            for slot in np.flatnonzero(loads.slots[where[name]])
        ]
        return np.array(found, np.int64).reshape(-1, 2)

    @property
    def direction_ids(self) -> tuple[str, ...]:
        """What each coordinate of a draw moves: a load, or a load's slot as in ``s728.ab``.

        Renewables whose availability is uncertain come after the loads, disturbances last.
        """
        renewables = self.fleet.renewables
        moving = tuple(n for n, s in zip(renewables.ids, renewables.spread, strict=True) if s > 0.0)
        moving += self.disturbances.ids
        if not self.draws_per_phase:
            return self.uncertainty.load_ids + moving
        loads = self.feeder.loads
        return (
            *(
                f"{loads.ids[k]}."
                f"{(PHASES if loads.connection[k] is Connection.WYE else _PAIRS)[slot]}"
                for k, slot in self.uncertain_slots.tolist()
            ),
            *moving,
        )

    @property
    def share_direction_ids(self) -> tuple[str, ...]:
        """What the coordinates move that are shares of nominal: all but the disturbances."""
        every = self.direction_ids
        return every[: len(every) - len(self.disturbances.ids)]

    @property
    def direction_spread(self) -> FloatArray:
        """(direction,) what a coordinate of 1 moves, as a share of nominal.

        Of a disturbance 1: its coordinate is in kW.
        """
        of_renewables = self.fleet.renewables.spread
        moving = of_renewables[of_renewables > 0.0]
        moving = np.concatenate([moving, np.ones(len(self.disturbances.ids))])
        return np.concatenate([self._by_direction(self.uncertainty.spread), moving])

    @property
    def direction_range(self) -> tuple[FloatArray, FloatArray]:
        """(direction,) least and largest coordinate of a draw; -1 and 1 where loads move evenly."""
        others = np.ones(self.fleet.renewables.uncertain + len(self.disturbances.ids))
        box = self.uncertainty
        return (
            np.concatenate([self._by_direction(box.low), -others]),
            np.concatenate([self._by_direction(box.high), others]),
        )

    def _by_direction(self, of_load: FloatArray) -> FloatArray:
        """Repeat (load,) values for the coordinates that draws move of each load."""
        if not self.draws_per_phase:
            return of_load
        own = dict(zip(self.uncertainty.load_ids, of_load.tolist(), strict=True))
        loads = self.feeder.loads.ids
        return np.array([own[loads[k]] for k, _ in self.uncertain_slots.tolist()], float)

    def within(self, unit: FloatArray) -> FloatArray:
        """Return the points of the set that a sampler's coordinates in [-1, 1] stand for.

        Parameters
        ----------
        unit
            (realization, direction).
        """
        low, high = self.direction_range
        uneven = (low != -1.0) | (high != 1.0)
        if not uneven.any():
            return unit
        zeta = unit.copy()
        zeta[:, uneven] = spanned(unit[:, uneven], low[uneven], high[uneven])
        return zeta

    def disturbance_of(self, zeta: FloatArray) -> FloatArray:
        """(realization, component) ``w``, kW: the last coordinates of a draw."""
        return zeta[:, zeta.shape[1] - len(self.disturbances.ids) :]

    def lost_kw(self, zeta: FloatArray, time: int) -> FloatArray:
        """(realization, der) output that events take at one step, all phases together."""
        if self.disturbances.empty:
            return np.zeros((len(zeta), len(self.ders.ids)))
        return self.disturbances.der_kw(self.disturbance_of(zeta), time)

    def ders_at(self, time: int) -> Ders:
        """Return the DERs as a plan may count on them at one step.

        A storage gives what its schedule says; a renewable no more than the least that may be
        available, so that what a plan asks of it is there in every realization.
        """
        storages, renewables, ders = self.fleet.storages, self.fleet.renewables, self.ders
        if not storages.ids and not renewables.ids:
            return ders
        low, high = ders.p_min_kw.copy(), ders.p_max_kw.copy()
        ramp = ders.ramp_kw.copy()
        part = ders.phase_share
        if len(storages.schedule_kw):
            told = storages.schedule_kw[time]
            kept, at = ~np.isnan(told), storages.der
            given = told[kept, None] * part[at[kept]]
            low[at[kept]] = high[at[kept]] = given
        if renewables.ids:  # else the table has no row for a step
            least = renewables.available_kw[time] * (1.0 - renewables.spread)
            at = renewables.der
            high[at] = np.minimum(high[at], least[:, None] * part[at])
            ramp[at] = np.minimum(ramp[at], high[at])
        return replace(ders, p_min_kw=low, p_max_kw=high, ramp_kw=ramp)

    def block_demand_kw(self, time: int = 0) -> FloatArray:
        """(block,) nominal net demand of each block at one step, kW."""
        demand = np.zeros(len(self.feeder.blocks.ids))
        np.add.at(demand, self.feeder.block_of_load, self.load_p_kw[time].sum(axis=1))
        return demand

    def block_consumption_kw(self, time: int = 0) -> FloatArray:
        """(block,) what each block's loads consume at nominal, kW; loads that generate are none.

        What a plan can serve. `block_demand_kw` is the net instead: beside generation it says
        that less is served, and that a block which generates more serves less than nothing.
        """
        consumption = np.zeros(len(self.feeder.blocks.ids))
        used = np.maximum(self.load_p_kw[time], 0.0).sum(axis=1)
        np.add.at(consumption, self.feeder.block_of_load, used)
        return consumption


def _faults(scenario: Scenario) -> list[str]:
    known, box = scenario.feeder.loads.ids, scenario.uncertainty
    faults = [
        f"{scenario.name}: uncertain load {name} is not in the feeder; name one of its loads"
        for name in dict.fromkeys(box.load_ids)
        if name not in known
    ]
    faults += [
        f"{scenario.name}: an uncertain load is given twice: {name}; give it once"
        for name, times in Counter(box.load_ids).items()
        if times > 1
    ]
    faults += [
        f"{scenario.name}: spread of load {name} = {spread} must lie in [0, 1]; 0.25 means ±25 %"
        for name, spread in zip(box.load_ids, box.spread, strict=True)
        if not 0.0 <= spread <= 1.0
    ]
    faults += [
        f"{scenario.name}: load {name} moves between {low} and {high} of its spread; the ends must "
        "lie in [-1, 0] and [0, 1]"
        for name, low, high in zip(box.load_ids, box.low, box.high, strict=True)
        if not -1.0 <= low <= 0.0 <= high <= 1.0
    ]
    if len(scenario.load_model) != len(known):
        faults.append(
            f"{scenario.name}: load_model has {len(scenario.load_model)} entries; "
            f"the feeder has {len(known)} loads"
        )
    buses = len(scenario.feeder.buses.ids)
    faults += [
        f"{scenario.name}: DER {name} stands at bus position {bus}; the feeder has {buses} buses"
        for name, bus in zip(scenario.ders.ids, scenario.ders.bus, strict=True)
        if not 0 <= bus < buses
    ]
    faults += _fleet_faults(scenario)
    faults += [f"{scenario.name}: {fault}" for fault in _table_faults(scenario)]
    return faults


def _table_faults(scenario: Scenario) -> list[str]:
    """Hold disturbances, events, devices, prices and labels against what they speak of."""
    feeder, devices = scenario.feeder, scenario.devices
    steps, loads, ders = len(scenario.hours), len(feeder.loads.ids), len(scenario.ders.ids)
    sizes = {
        EventKind.LINE_FAILS: len(feeder.lines.ids),
        EventKind.SUBSTATION_LOST: len(feeder.sources.ids),
        EventKind.DER_TRIPS: ders,
        EventKind.LOAD_MASKED: loads,
    }
    faults = scenario.events.faults(sizes) + scenario.prices.faults()
    faults += scenario.disturbances.faults(steps, loads, ders)
    if devices is not None and devices.line_ids != feeder.lines.ids:
        faults.append(
            f"devices are given for {len(devices.line_ids)} lines, not for the feeder's "
            f"{len(feeder.lines.ids)} in its order; give one row per line"
        )
    if scenario.bus_prices is not None:
        faults += scenario.bus_prices.faults(feeder.buses.ids)
    if scenario.supply is not None:
        faults += scenario.supply.faults(steps, loads)
    labels = scenario.step_labels
    if len(labels) not in (0, steps):
        faults.append(f"{len(labels)} labels are given for {steps} steps; give one each, or none")
    return faults


def _fleet_faults(scenario: Scenario) -> list[str]:
    fleet, ders, steps = scenario.fleet, scenario.ders.ids, len(scenario.hours)
    faults = [f"{scenario.name}: {fault}" for fault in fleet.storages.faults()]
    behind = [(one.ids, one.der) for one in (fleet.storages, fleet.renewables, fleet.chps)]
    for names, where in behind:
        faults += [
            f"{scenario.name}: {name} stands behind DER position {der}; there are {len(ders)} DERs"
            for name, der in zip(names, where.tolist(), strict=True)
            if not 0 <= der < len(ders)
        ]
    if fleet.renewables.ids and len(fleet.renewables.available_kw) != steps:
        found = len(fleet.renewables.available_kw)
        faults.append(f"{scenario.name}: renewables are given for {found} steps; there are {steps}")
    if len(fleet.storages.schedule_kw) not in (0, steps):
        found = len(fleet.storages.schedule_kw)
        faults.append(f"{scenario.name}: storages are told of {found} steps; there are {steps}")
    if not (scenario.duration_h > 0.0).all():
        faults.append(f"{scenario.name}: a step lasts {scenario.duration_h.min():g} h; more than 0")
    return faults
