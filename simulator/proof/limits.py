"""From the tube to the limits that a verdict knows: worst margins over a set, and remainders.

Margins are those of `scenarios.verdict`: voltage in pu, the rest as a share of rating. What is
linear in the state has its exact worst over the tangent; magnitudes are furthest from a centre, or
nearest along the centre's own direction.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from gridproof.scenarios.arrays import FloatArray, IntArray
from gridproof.scenarios.fleet import Ders
from gridproof.scenarios.limits import VoltageTest
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.verdict import MarginKind
from gridproof.simulator.opendss.network import BASE_VA, SIDES
from gridproof.simulator.proof.powers import AffineAnswer
from gridproof.simulator.proof.reach import UP, ComplexArray, Reach
from gridproof.simulator.proof.rows import blocks
from gridproof.simulator.proof.tangent import ROUNDING
from gridproof.simulator.proof.tube import Tube
from scipy import sparse

__all__ = ["KINDS", "Margins", "margins_of"]

KINDS = (
    MarginKind.VOLTAGE,
    MarginKind.CURRENT,
    MarginKind.TRANSFORMER,
    MarginKind.CAPABILITY,
    MarginKind.RAMP,
)
"""Kinds of limits that follow from one state; a certificate speaks of these."""

_KVA = BASE_VA / 1000.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Margins:
    """Some margins of one kind over a set.

    Attributes
    ----------
    kind
        Which limit.
    element, phase
        (row,) as in `scenarios.verdict.Verdicts`; phase -1 for none.
    centre, slope
        (row,) margin at the set's centre, and (row, coordinate) its derivative there.
    worst
        (row,) least margin over the set by the tangent, attained there at ``omega``.
    omega
        (row, coordinate).
    remainder
        (row,) the true margin is nowhere in the set below ``worst - remainder``.
    """

    kind: MarginKind
    element: IntArray
    phase: IntArray
    centre: FloatArray
    slope: FloatArray
    worst: FloatArray
    omega: FloatArray
    remainder: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Real:
    """Real functions of ω: ``centre + slope ω``, within ``error``."""

    centre: FloatArray
    slope: FloatArray
    error: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Quantity:
    """Complex functions of ω: ``centre + slope ω``, within ``error``."""

    centre: ComplexArray
    slope: ComplexArray
    error: FloatArray

    @property
    def real(self) -> _Real:
        return _Real(centre=self.centre.real, slope=self.slope.real, error=self.error)

    @property
    def imag(self) -> _Real:
        return _Real(centre=self.centre.imag, slope=self.slope.imag, error=self.error)


def margins_of(
    tube: Tube, scenario: Scenario, plan: Plan, answer: AffineAnswer, time: int = 0
) -> Iterator[Margins]:
    """Hold a tube against every limit of its island, a block of limits at a time.

    Parameters
    ----------
    tube
        Closed.
    scenario, plan, time
        Limits, ratings, and what ramps are counted from.
    answer
        What DERs that follow are told.
    """
    yield from _voltage(tube, scenario)
    yield from _current(tube)
    yield from _transformer(tube)
    supply = _supply(tube, answer, scenario)
    yield from _ders(tube.tangent.reach, supply, scenario, plan, time)


# ------------------------------------------------------------------ margins of quantities


def _at_least(  # noqa: PLR0917
    kind: MarginKind, at: IntArray, quantity: _Real, room: FloatArray, scale: FloatArray,
    reach: Reach, sign: float,
) -> Margins:  # fmt: skip
    """Margins ``(room + sign · q) / scale`` of real quantities."""
    slope = sign * quantity.slope / scale[:, None]
    gone, against = reach.support(-slope)
    centre = (room + sign * quantity.centre) / scale
    size = np.abs(room) + np.abs(quantity.centre)
    remainder = (quantity.error + ROUNDING * size) / scale + ROUNDING * gone
    return Margins(
        kind=kind,
        element=at[:, 0],
        phase=at[:, 1],
        centre=centre,
        slope=slope,
        worst=centre - gone,
        omega=against,
        remainder=remainder * UP,
    )


def _within(  # noqa: PLR0917
    kind: MarginKind, at: IntArray, quantity: _Quantity, limit: FloatArray, scale: FloatArray,
    reach: Reach,
) -> Margins:  # fmt: skip
    """Margins ``(limit - |q|) / scale``."""
    value, omega, above = reach.furthest(quantity.centre, quantity.slope)
    remainder = (quantity.error + above + ROUNDING * (np.abs(limit) + value)) / scale
    return Margins(
        kind=kind,
        element=at[:, 0],
        phase=at[:, 1],
        centre=(limit - np.abs(quantity.centre)) / scale,
        slope=-_along(quantity) / scale[:, None],
        worst=(limit - value) / scale,
        omega=omega,
        remainder=remainder * UP,
    )


def _beyond(at: IntArray, quantity: _Quantity, least: float, reach: Reach) -> Margins:
    """Voltage margins ``|q| - least``.

    ``|c + z| ≥ |c| + Re(conj(c/|c|) z)``: the linear worst is a bound, and the magnitude at its
    maximiser is attained; what is between them is remainder.
    """
    size, towards = np.abs(quantity.centre), _along(quantity)
    gone, omega = reach.support(-towards)
    there = np.abs(quantity.centre + (quantity.slope * omega).sum(axis=1))
    bound = size - gone
    remainder = quantity.error + np.maximum(there - bound, 0.0) + ROUNDING * (size + least + gone)
    return Margins(
        kind=MarginKind.VOLTAGE,
        element=at[:, 0],
        phase=at[:, 1],
        centre=size - least,
        slope=towards,
        worst=there - least,
        omega=omega,
        remainder=remainder * UP,
    )


def _along(quantity: _Quantity) -> FloatArray:
    """(row, coordinate) derivative of the magnitude; 0 where the centre is."""
    size = np.abs(quantity.centre)
    unit = np.divide(quantity.centre, size, out=np.zeros_like(quantity.centre), where=size > 0.0)
    return np.asarray((np.conj(unit)[:, None] * quantity.slope).real)


# ------------------------------------------------------------------ quantities of a tube


def _quantity(tube: Tube, functions: sparse.csr_array) -> _Quantity:
    slope, _, error = tube.bounded(functions)
    centre, rounded = tube.tangent.value(functions)
    return _Quantity(centre=centre, slope=slope, error=(error + rounded) * UP)


def _quantities(
    tube: Tube, functions: sparse.csr_array, at: IntArray
) -> Iterator[tuple[IntArray, _Quantity]]:
    """Functions over the nodes, a block at a time, and what each is of."""
    for part in blocks(len(at), tube.tangent.block):
        yield at[part], _quantity(tube, tube.tangent.on_nodes(functions[part]))


def _voltage(tube: Tube, scenario: Scenario) -> Iterator[Margins]:
    limits, measured = scenario.limits, tube.tangent.network.measured
    lines = limits.voltage_test is VoltageTest.LINE_TO_LINE
    functions, every = (
        (measured.across, measured.across_at) if lines else (measured.neutral, measured.neutral_at)
    )
    for at, quantity in _quantities(tube, functions, every):
        ones, most = np.ones(len(at)), np.full(len(at), limits.v_max_pu)
        yield _beyond(at, quantity, limits.v_min_pu, tube.tangent.reach)
        yield _within(MarginKind.VOLTAGE, at, quantity, most, ones, tube.tangent.reach)


def _current(tube: Tube) -> Iterator[Margins]:
    measured = tube.tangent.network.measured
    for at, quantity in _quantities(tube, measured.current, measured.current_at):
        ones = np.ones(len(at))
        yield _within(MarginKind.CURRENT, at, quantity, ones, ones, tube.tangent.reach)


def _transformer(tube: Tube) -> Iterator[Margins]:
    tangent, measured = tube.tangent, tube.tangent.network.measured
    if not len(measured.winding_node):
        return
    sides, which = np.unique(measured.winding_side, return_inverse=True)
    total = _nothing(len(sides), tangent.reach.width)
    for part in blocks(len(which), tangent.block):
        power = _product(
            tube,
            tangent.on_nodes(_picked(tube, measured.winding_node[part])),
            tangent.on_nodes(measured.winding[part]),
        )
        _add(total, power, which[part])
    unit = sides // SIDES
    rating = measured.rating_pu[unit]
    at = np.stack([unit, np.full(len(unit), -1)], axis=1)
    yield _within(MarginKind.TRANSFORMER, at, total, rating, rating, tangent.reach)


def _picked(tube: Tube, nodes: IntArray) -> sparse.csr_array:
    size = len(tube.tangent.network.node_at)
    return sparse.csr_array(
        (np.ones(len(nodes)), (np.arange(len(nodes)), nodes)), shape=(len(nodes), size)
    )


def _product(tube: Tube, voltages: sparse.csr_array, currents: sparse.csr_array) -> _Quantity:
    """``v conj(i)`` of pairs of functions; what is of second order is bounded."""
    tangent = tube.tangent
    v_slope, v_reach, v_error = tube.bounded(voltages)
    i_slope, i_reach, i_error = tube.bounded(currents)
    (v, v_rounded), (i, i_rounded) = tangent.value(voltages), tangent.value(currents)
    v_error, i_error = v_error + v_rounded, i_error + i_rounded
    v_moves, i_moves = v_reach + v_error, i_reach + i_error
    return _Quantity(
        centre=v * np.conj(i),
        slope=v[:, None] * np.conj(i_slope) + np.conj(i)[:, None] * v_slope,
        error=(np.abs(v) * i_error + np.abs(i) * v_error + v_moves * i_moves) * UP,
    )


def _nothing(count: int, width: int) -> _Quantity:
    return _Quantity(
        centre=np.zeros(count, complex),
        slope=np.zeros((count, width), complex),
        error=np.zeros(count),
    )


def _add(total: _Quantity, quantity: _Quantity, group: IntArray) -> None:
    """Add each function to that of its group."""
    np.add.at(total.centre, group, quantity.centre)
    np.add.at(total.slope, group, quantity.slope)
    np.add.at(total.error, group, quantity.error * UP)


def _summed(quantity: _Quantity, group: IntArray, count: int) -> _Quantity:
    total = _nothing(count, quantity.slope.shape[1])
    _add(total, quantity, group)
    return total


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Supply:
    """What the DERs of an island supply, kVA, slot by slot: ``at`` is (row, 2) DER and phase."""

    at: IntArray
    power: _Quantity


def _supply(tube: Tube, answer: AffineAnswer, scenario: Scenario) -> _Supply:
    tangent = tube.tangent
    forming, drawing = tangent.network.forming, tangent.network.drawing
    nodes = forming.node.ravel()
    formed = _product(tube, tangent.on_nodes(_picked(tube, nodes)), tangent.on_currents())
    ders = np.unique(drawing.der)
    at = np.array(
        [(g, k) for g in ders for k in np.flatnonzero(scenario.ders.phases[g])], np.int64
    ).reshape(-1, 2)
    base, slope = answer.over(tangent.reach)
    told, moves = base[tuple(at.T)], slope[tuple(at.T)]
    formers = np.stack([np.repeat(forming.der, 3), np.tile(np.arange(3), len(forming.der))], axis=1)
    return _Supply(
        at=np.concatenate([formers, at]).astype(np.int64),
        power=_Quantity(
            centre=np.concatenate([formed.centre * _KVA, told]),
            slope=np.concatenate([formed.slope * _KVA, moves]),
            error=np.concatenate(
                [formed.error * _KVA, ROUNDING * (np.abs(told) + np.abs(moves).sum(axis=1))]
            ),
        ),
    )


def _ders(
    reach: Reach, supply: _Supply, scenario: Scenario, plan: Plan, time: int
) -> Iterator[Margins]:
    """Capability and ramp, as `scenarios.verdict` has them, of a DER in service."""
    ders, at, power = scenario.ders, supply.at, supply.power
    slot = tuple(at.T)
    rating = np.maximum(np.abs(ders.p_max_kw), np.abs(ders.p_min_kw))[slot]
    scale = np.where(rating > 0.0, rating, 1.0)
    pairs = (
        (MarginKind.CAPABILITY, power.real, ders.p_min_kw[slot], ders.p_max_kw[slot]),
        (MarginKind.CAPABILITY, power.imag, ders.q_min_kvar[slot], ders.q_max_kvar[slot]),
        (MarginKind.RAMP, power.real, *_about(plan.p_kw[time][slot], ders.ramp_kw[slot])),
        (MarginKind.RAMP, power.imag, *_about(plan.q_kvar[time][slot], ders.ramp_kvar[slot])),
    )
    for kind, quantity, least, most in pairs:
        yield from _between(kind, at, quantity, (least, most), scale, reach)
    limited = np.flatnonzero(np.isfinite(ders.s_max_kva[slot]))
    if len(limited):
        part = _Quantity(
            centre=power.centre[limited], slope=power.slope[limited], error=power.error[limited]
        )
        most = ders.s_max_kva[slot][limited]
        yield _within(MarginKind.CAPABILITY, at[limited], part, most, scale[limited], reach)
    yield from _half_planes(reach, supply, ders, scale)
    if ders.total_max_kw is not None and ders.total_min_kw is not None:
        which, group = np.unique(at[:, 0], return_inverse=True)
        whole = _summed(power, group, len(which)).real
        least_scale = np.full(len(which), np.inf)
        np.minimum.at(least_scale, group, scale)
        limits = ders.total_min_kw[which], ders.total_max_kw[which]
        at_der = np.stack([which, np.zeros(len(which), np.int64)], axis=1)
        yield from _between(MarginKind.CAPABILITY, at_der, whole, limits, least_scale, reach)


def _half_planes(reach: Reach, supply: _Supply, ders: Ders, scale: FloatArray) -> Iterator[Margins]:
    """``slope p + level - side q`` of power factors and capability curves."""
    planes, at, power = ders.half_planes, supply.at, supply.power
    slot, row = np.nonzero(at[:, :1] == planes.der)
    if not len(slot):
        return
    slope, side = planes.slope[row], planes.side[row]
    left = _Real(
        centre=slope * power.centre.real[slot] - side * power.centre.imag[slot],
        slope=slope[:, None] * power.slope.real[slot] - side[:, None] * power.slope.imag[slot],
        error=planes.steepness[row] * power.error[slot] * UP,
    )
    room = planes.level[row, at[slot, 1]]
    yield _at_least(MarginKind.CAPABILITY, at[slot], left, room, scale[slot], reach, 1.0)


def _about(middle: FloatArray, by: FloatArray) -> tuple[FloatArray, FloatArray]:
    return middle - by, middle + by


def _between(  # noqa: PLR0917
    kind: MarginKind, at: IntArray, quantity: _Real, limits: tuple[FloatArray, FloatArray],
    scale: FloatArray, reach: Reach,
) -> Iterator[Margins]:  # fmt: skip
    for limit, sign in zip(limits, (1.0, -1.0), strict=True):
        real = np.flatnonzero(np.isfinite(limit))
        if len(real):
            part = _Real(
                centre=quantity.centre[real], slope=quantity.slope[real], error=quantity.error[real]
            )
            yield _at_least(kind, at[real], part, -sign * limit[real], scale[real], reach, sign)
