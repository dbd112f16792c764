"""How far inside each limit a solved realization is, element by element."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray
from gridproof.scenarios.carried import Passage
from gridproof.scenarios.commitment import idle, running
from gridproof.scenarios.limits import VoltageTest
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.restoration_live import damage_margin
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.snapshot import Snapshots

__all__ = ["Worst", "counted_voltages", "device_margins", "margins_of", "rated_a"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Worst:
    """The least margins of voltage, current and transformers, by whoever read them.

    Attributes
    ----------
    margin
        (realization, 3) as `margins_of` has the first three kinds: NaN wins, then the least.
    place
        (realization, 3) the first place of it, element after element, slot after slot.
    """

    margin: FloatArray
    place: IntArray

    def take(self, rows: slice | IntArray | BoolArray) -> Worst:
        """Return some positions in their order, or where a mask is true."""
        return Worst(margin=self.margin[rows], place=self.place[rows])


def margins_of(
    snapshots: Snapshots, plan: Plan, scenario: Scenario, time: int, passage: Passage | None
) -> list[FloatArray]:
    """Margins (realization, element, slot) of every kind, in the order of `MarginKind`.

    Those of storages and reserves, and what ramps from hour to hour, need what was carried: ``inf``
    without a passage.
    """
    return [
        _voltage_margins(snapshots, plan, scenario, time),
        _current_margins(snapshots, scenario),
        _transformer_margins(snapshots, scenario),
        *device_margins(snapshots, plan, scenario, time, passage),
    ]


def device_margins(
    snapshots: Snapshots, plan: Plan, scenario: Scenario, time: int, passage: Passage | None
) -> list[FloatArray]:
    """Margins of all kinds but voltage, current and transformers."""
    return [
        *_der_margins(snapshots, plan, scenario, time, passage),
        _damage_margins(snapshots, plan, scenario, time),
        _energy_margins(snapshots, scenario, time, passage),
        _reserve_margins(snapshots, plan, scenario, time, passage),
    ]


def _voltage_margins(snapshots: Snapshots, plan: Plan, scenario: Scenario, time: int) -> FloatArray:
    limits = scenario.limits
    pairs = limits.voltage_test is VoltageTest.LINE_TO_LINE
    magnitude = snapshots.v_ll_pu if pairs else snapshots.v_pu
    inside = np.minimum(magnitude - limits.v_min_pu, limits.v_max_pu - magnitude)
    return np.where(counted_voltages(plan, scenario, time), inside, np.inf)


def counted_voltages(plan: Plan, scenario: Scenario, time: int) -> BoolArray:
    """(bus, 3) the phases, or pairs, that a plan has live and a limit applies to."""
    feeder = scenario.feeder
    has = feeder.buses.phases
    if scenario.limits.voltage_test is VoltageTest.LINE_TO_LINE:
        has = has & np.roll(has, -1, axis=1)  # pairs ab, bc, ca
    return np.asarray(plan.energized[time][feeder.blocks.of_bus][:, None] & has)


def _current_margins(snapshots: Snapshots, scenario: Scenario) -> FloatArray:
    rating = rated_a(scenario)
    return np.where(np.isfinite(rating), 1.0 - snapshots.current_a / rating, np.inf)


def rated_a(scenario: Scenario) -> FloatArray:
    """(line, 3) rating of every phase that has one; ``inf`` elsewhere."""
    lines = scenario.feeder.lines
    return np.where(lines.phases, lines.rating_a[:, None], np.inf)


def _transformer_margins(snapshots: Snapshots, scenario: Scenario) -> FloatArray:
    rating = scenario.feeder.transformers.rating_kva
    return np.asarray((1.0 - snapshots.transformer_kva / rating)[:, :, None])


def _damage_margins(snapshots: Snapshots, plan: Plan, scenario: Scenario, time: int) -> FloatArray:
    """Say of what failed whether it is live: in every realization of a switch state, or none."""
    margin = damage_margin(plan, scenario, time)
    return np.broadcast_to(margin[:, None], (len(snapshots.index), len(margin), 1))


def _der_margins(
    snapshots: Snapshots, plan: Plan, scenario: Scenario, time: int, passage: Passage | None
) -> tuple[FloatArray, FloatArray]:
    """Capability and ramp margins, both as a share of the phase's active rating.

    What an event took of a DER comes off its active limits, too: it is added back here.
    """
    ders = running(plan, scenario, time).ders
    block = scenario.feeder.blocks.of_bus[ders.bus]
    live = plan.energized[time][block][:, None] & ders.phases
    rating = np.maximum(np.abs(ders.p_max_kw), np.abs(ders.p_min_kw))
    scale = np.where(rating > 0.0, rating, 1.0)
    p, q = snapshots.der_p_kw, snapshots.der_q_kvar
    able = p
    if passage is not None and not scenario.disturbances.empty:
        able = p + passage.lost_kw[:, :, None] * ders.phase_share
    capability = np.minimum(ders.p_max_kw - able, able - ders.p_min_kw)
    np.minimum(capability, ders.q_max_kvar - q, out=capability)
    np.minimum(capability, q - ders.q_min_kvar, out=capability)
    planes = ders.half_planes
    if len(planes):
        np.minimum(capability, planes.room(p, q), out=capability)
    if ders.total_max_kw is not None and ders.total_min_kw is not None:
        whole = able[..., 0] + able[..., 1] + able[..., 2]
        room = np.minimum(ders.total_max_kw - whole, whole - ders.total_min_kw)
        np.minimum(capability, room[:, :, None], out=capability)
    if not np.isinf(ders.s_max_kva).all():
        apparent = np.where(np.isinf(ders.s_max_kva), np.inf, ders.s_max_kva - np.hypot(p, q))
        np.minimum(capability, apparent, out=capability)
    ramp = np.minimum(
        ders.ramp_kw - np.abs(able - plan.p_kw[time]),
        ders.ramp_kvar - np.abs(q - plan.q_kvar[time]),
    )
    if passage is not None and ders.ramp_kw_per_h is not None:
        before, hours = passage.before.p_kw, float(scenario.duration_h[time])
        moved = np.where(np.isnan(before), -np.inf, np.abs(p - before))  # nothing came before
        np.minimum(ramp, ders.ramp_kw_per_h * hours - moved, out=ramp)
    return (
        _idle_margins(np.where(live, capability / scale, np.inf), snapshots, plan, scenario, time),
        np.where(live, ramp / scale, np.inf),
    )


def _idle_margins(
    capability: FloatArray, snapshots: Snapshots, plan: Plan, scenario: Scenario, time: int
) -> FloatArray:
    """Put in what a machine that stands still gives all the same, as a share of its capacity."""
    off = idle(plan, time)
    if not off.any():
        return capability
    given = np.hypot(snapshots.der_p_kw, snapshots.der_q_kvar)
    scale = np.maximum(scenario.ders.p_max_kw, 1.0)
    wrong = off[:, None] & (given > 0.0)
    return np.where(wrong, -given / scale, capability)


def _energy_margins(
    snapshots: Snapshots, scenario: Scenario, time: int, passage: Passage | None
) -> FloatArray:
    """(realization, der, 1) distance from the energy band's edges, or what was not there.

    As a share of what a storage holds between its edges; of a renewable as a share of its
    capability, and only where it was asked for more than there was.
    """
    fleet, count = scenario.fleet, len(snapshots)
    margin = np.full((count, len(scenario.ders.ids)), np.inf)
    if passage is None:
        return margin[:, :, None]
    storages, hours = fleet.storages, float(scenario.duration_h[time])
    band = storages.energy_max_kwh - storages.energy_min_kwh
    after = passage.after.energy_kwh
    least = storages.energy_min_kwh
    # what reserves gave is bought back after the horizon: its end is then the plan's to meet
    if time == len(scenario.hours) - 1 and scenario.disturbances.empty:
        least = np.maximum(least, storages.end_min_kwh)
    inside = np.minimum(after - least, storages.energy_max_kwh - after) / band
    lacking = np.abs(passage.missing_kw)
    short = -lacking[:, storages.der] * hours / band
    margin[:, storages.der] = np.where(short < 0.0, np.minimum(inside, short), inside)
    capability = np.maximum(scenario.ders.p_max_kw.sum(axis=1), 1.0)[fleet.renewables.der]
    short = -lacking[:, fleet.renewables.der] / capability
    margin[:, fleet.renewables.der] = np.where(short < 0.0, short, np.inf)
    return margin[:, :, None]


def _reserve_margins(
    snapshots: Snapshots, plan: Plan, scenario: Scenario, time: int, passage: Passage | None
) -> FloatArray:
    """(realization, der, 1) distance from set-point plus and minus reserve, share of capability.

    ``p⁰ - r↓ ≤ p + l - losses ≤ p⁰ + r↑`` with ``l`` the output that events took; losses count
    for the forming DER where there is one, as no plan of a lossless model buys a reserve for
    them. ``inf`` where a plan states no reserves.
    """
    ders = scenario.ders
    margin = np.full((len(snapshots), len(ders.ids)), np.inf)
    bought = plan.reserves
    if passage is None or bought is None:
        return margin[:, :, None]
    p = snapshots.der_p_kw.sum(axis=2) + passage.lost_kw
    formers = np.flatnonzero(plan.grid_forming[time])
    if len(formers) == 1:
        p[:, formers[0]] -= snapshots.losses_kw
    base = plan.p_kw[time].sum(axis=1)
    room = np.minimum(base + bought.up_kw[time] - p, p - base + bought.down_kw[time])
    scale = np.maximum(np.abs(ders.p_max_kw).sum(axis=1), 1.0)
    live = plan.energized[time][scenario.feeder.blocks.of_bus[ders.bus]]
    return np.where(live, room / scale, np.inf)[:, :, None]
