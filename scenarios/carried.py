"""What a realization brings from one step into the next: stored energy, and the last outputs.

The account is kept here, in plain sums, so that it is the same bytes for any batch; a simulator's
own storage model is what it is held against, not what it is taken from.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray, frozen
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.realization import Realizations
from gridproof.scenarios.resources import Storages
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.setpoints import Setpoints
from gridproof.scenarios.snapshot import Snapshots

__all__ = ["Carried", "Delivery", "Passage", "carry", "deliver", "planned", "start"]

_ROUNDING = 1e-9  # of a DER's capability: a set-point cut by less was not cut


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Carried:
    """What a batch brings into a step.

    Attributes
    ----------
    energy_kwh
        (realization, storage) stored.
    p_kw
        (realization, der, 3) outputs of the step before; NaN before the first.
    """

    energy_kwh: FloatArray
    p_kw: FloatArray

    def __post_init__(self) -> None:
        n = len(self.energy_kwh)
        object.__setattr__(self, "energy_kwh", frozen(self.energy_kwh, float, (n, -1)))
        object.__setattr__(self, "p_kw", frozen(self.p_kw, float, (n, -1, 3)))

    def __len__(self) -> int:
        return len(self.energy_kwh)

    def take(self, rows: IntArray | BoolArray) -> Carried:
        """Return some realizations' part."""
        return Carried(energy_kwh=self.energy_kwh[rows], p_kw=self.p_kw[rows])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Delivery:
    """What is left of set-points once energy, sun and wind have their say.

    Attributes
    ----------
    setpoints
        What the DERs can give.
    missing_kw
        (realization, der) asked and not there: of a storage that is empty, or full when told to
        charge (negative), of a renewable beyond what it has.
    lost_kw
        (realization, der) output that an event took; it was not asked for what is lost.
    """

    setpoints: Setpoints
    missing_kw: FloatArray
    lost_kw: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Passage:
    """What a batch brought into a step, what was missing in it, and what it takes out.

    Attributes
    ----------
    before, after
        On either side of the step.
    missing_kw, lost_kw
        (realization, der) as in `Delivery`.
    """

    before: Carried
    after: Carried
    missing_kw: FloatArray
    lost_kw: FloatArray


def start(scenario: Scenario, count: int) -> Carried:
    """Return what every realization brings into the first step."""
    return Carried(
        energy_kwh=np.tile(scenario.fleet.storages.start_kwh, (count, 1)),
        p_kw=np.full((count, len(scenario.ders.ids), 3), np.nan),
    )


def planned(scenario: Scenario, plan: Plan, count: int, time: int) -> Carried:
    """Return what every realization brings into a step if all before went as planned.

    The base set-points are delivered as told, the account is that of `carry`.
    Into the first step it is what `start` returns.
    """
    storages, energy = scenario.fleet.storages, scenario.fleet.storages.start_kwh
    for step in range(time):
        stored = _stored_kw(storages, _totals(plan.p_kw[step])[storages.der])
        energy = energy + float(scenario.duration_h[step]) * stored
    nothing = np.full((len(scenario.ders.ids), 3), np.nan)
    return Carried(
        energy_kwh=np.tile(energy, (count, 1)),
        p_kw=np.tile(nothing if time == 0 else plan.p_kw[time - 1], (count, 1, 1)),
    )


def deliver(
    scenario: Scenario,
    time: int,
    realizations: Realizations,
    setpoints: Setpoints,
    carried: Carried,
) -> Delivery:
    """Cut set-points to what storages and renewables can give over one step.

    A storage gives at most ``(E - E_min) η_d / h`` and takes at most ``(E_max - E) / (η_c h)``
    for the ``h`` hours of the step; a renewable gives at most what is available. What is cut is
    cut in proportion on all phases; reactive power stays. What an event takes comes off what a
    DER is told, in equal parts on its phases, and off what a renewable has; of more sun than was
    forecast an inverter gives no more than it carries beside its reactive power.

    Parameters
    ----------
    scenario, time
        Whose fleet, at which step.
    realizations, setpoints, carried
        Of one batch, in one order.
    """
    fleet, p = scenario.fleet, setpoints.p_kw
    missing = np.zeros(p.shape[:2])
    lost = scenario.lost_kw(realizations.zeta_at(time), time)
    if lost.any():
        sun = fleet.renewables.der
        beyond = _totals(p)[:, sun] - lost[:, sun] - _carriable(scenario, setpoints)[:, sun]
        lost[:, sun] += np.where(lost[:, sun] < 0.0, np.maximum(beyond, 0.0), 0.0)
        p = p - lost[:, :, None] * scenario.ders.phase_share
        setpoints = replace(setpoints, p_kw=p)
    if not fleet.storages.ids and not fleet.renewables.ids:
        return Delivery(setpoints=setpoints, missing_kw=missing, lost_kw=lost)
    low, high = _bounds(scenario, time, realizations, carried)
    high[:, fleet.renewables.der] -= lost[:, fleet.renewables.der]
    asked = _totals(p)
    given = np.minimum(np.maximum(asked, low), high)
    scale = np.maximum(np.abs(scenario.ders.p_max_kw).sum(axis=1), 1.0)
    cut = np.abs(asked - given) > _ROUNDING * scale
    share = np.divide(given, asked, out=np.ones_like(given), where=cut & (asked != 0.0))
    missing = np.where(cut, asked - given, 0.0)
    told = replace(setpoints, p_kw=p * np.where(cut, share, 1.0)[:, :, None])
    return Delivery(setpoints=told, missing_kw=missing, lost_kw=lost)


def carry(scenario: Scenario, time: int, carried: Carried, snapshots: Snapshots) -> Carried:
    """Return what the next step is entered with, given what the physics did in this one.

    ``E' = E + h (η_c max(-p, 0) - max(p, 0) / η_d)`` with ``p`` the output of all phases. A
    realization without a solution keeps what it had: nothing is known of it.
    """
    storages, hours = scenario.fleet.storages, float(scenario.duration_h[time])
    p = _totals(snapshots.der_p_kw)[:, storages.der]
    known = snapshots.converged[:, None] & np.isfinite(p)
    energy = carried.energy_kwh + np.where(known, hours * _stored_kw(storages, p), 0.0)
    solved = snapshots.converged[:, None, None]
    return Carried(energy_kwh=energy, p_kw=np.where(solved, snapshots.der_p_kw, carried.p_kw))


def _stored_kw(storages: Storages, p_kw: FloatArray) -> FloatArray:
    """(…, storage) what comes in, less what goes out: ``η_c max(-p, 0) - max(p, 0) / η_d``."""
    taken = storages.charge_efficiency * np.maximum(-p_kw, 0.0)
    return np.asarray(taken - np.maximum(p_kw, 0.0) / storages.discharge_efficiency)


def _carriable(scenario: Scenario, setpoints: Setpoints) -> FloatArray:
    """(realization, der) active power that an inverter carries beside its reactive power.

    That is by its rating, and by its capability curve where that falls with active power.
    """
    ders = scenario.ders
    rating = np.where(np.isfinite(ders.s_max_kva), ders.s_max_kva, 0.0)
    beside = np.sqrt(np.maximum(rating**2 - setpoints.q_kvar**2, 0.0))
    phase = np.where(np.isfinite(ders.s_max_kva), np.minimum(beside, ders.p_max_kw), ders.p_max_kw)
    planes = ders.half_planes
    for row in np.flatnonzero(planes.slope < 0.0).tolist():
        g = planes.der[row]
        beyond = planes.side[row] * setpoints.q_kvar[:, g] - planes.level[row]
        phase[:, g] = np.minimum(phase[:, g], np.maximum(beyond / planes.slope[row], 0.0))
    return np.asarray(np.where(ders.phases, phase, np.inf).min(axis=2) * ders.phases.sum(axis=1))


def _bounds(
    scenario: Scenario, time: int, realizations: Realizations, carried: Carried
) -> tuple[FloatArray, FloatArray]:
    """(realization, der) least and largest output that energy and availability allow."""
    fleet, hours = scenario.fleet, float(scenario.duration_h[time])
    shape = (len(realizations), len(scenario.ders.ids))
    low, high = np.full(shape, -np.inf), np.full(shape, np.inf)
    held, storages = carried.energy_kwh, fleet.storages
    room_kwh = np.maximum(storages.energy_max_kwh - held, 0.0)
    left_kwh = np.maximum(held - storages.energy_min_kwh, 0.0)
    low[:, storages.der] = -room_kwh / (storages.charge_efficiency * hours)
    high[:, storages.der] = left_kwh * storages.discharge_efficiency / hours
    high[:, fleet.renewables.der] = realizations.available_at(time)
    return low, high


def _totals(p_kw: FloatArray) -> FloatArray:
    """(…, der) the three phases of each, one after the other: the order is part of the bytes."""
    return np.asarray(p_kw[..., 0] + p_kw[..., 1] + p_kw[..., 2])
