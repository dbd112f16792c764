"""What loads and following DERs ask for over a set, element by element.

An element of power ``s`` (injection positive) with the voltage ``U`` across it injects
``conj(s₀/U) + conj(s₁) U/(|U| U₀) + conj(s₂) U/U₀²``: constant power, constant current and constant
impedance, of which a load model has one for its active and one for its reactive power.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from gridproof.scenarios.arrays import FloatArray
from gridproof.scenarios.scenario import Scenario
from gridproof.simulator.opendss.network import BASE_VA, IslandNetwork
from gridproof.simulator.proof.reach import ComplexArray, Reach

__all__ = ["AffineAnswer", "Powers", "powers_of"]

_KVA = 1000.0 / BASE_VA


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AffineAnswer:
    """Set-points as an affine function of the draw: ``s(ζ) = base + slope ζ``.

    Attributes
    ----------
    base_kva
        (der, 3) complex.
    slope_kva
        (der, 3, direction) complex.
    """

    base_kva: ComplexArray
    slope_kva: ComplexArray

    def over(self, reach: Reach) -> tuple[ComplexArray, ComplexArray]:
        """(der, 3) at a set's centre, and (der, 3, coordinate) about it."""
        return self.base_kva + self.slope_kva @ reach.centre, self.slope_kva @ reach.spread


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Powers:
    """Powers of an island's elements at a set's centre and about it, per unit.

    Attributes
    ----------
    base
        (3, element) complex, by the exponent with which they follow the voltage.
    slope
        (3, element, coordinate).
    reach
        (3, element) largest ``|slope ω|``.
    """

    base: ComplexArray
    slope: ComplexArray
    reach: FloatArray


def powers_of(
    network: IslandNetwork,
    scenario: Scenario,
    answer: AffineAnswer,
    reach: Reach,
    time: int = 0,
) -> Powers:
    """Collect loads and set-points over a set."""
    drawing, loads = network.drawing, len(network.drawing.load)
    elements = loads + len(drawing.der)
    nominal = scenario.load_p_kw[time].sum(axis=1) + 1j * scenario.load_q_kvar[time].sum(axis=1)
    if scenario.draws_per_phase:
        own = scenario.load_p_kw[time] + 1j * scenario.load_q_kvar[time]
        at = drawing.slot >= 0
        told = nominal[drawing.load]
        told[at] = own[drawing.load[at], drawing.slot[at]]
    else:
        told = nominal[drawing.load]
    demand = -told * drawing.share * _KVA
    moves = _moves(network, scenario)
    drawn = slice(0, moves.shape[1])  # further coordinates may stand for set-points
    base = demand * (1.0 + moves @ reach.centre[drawn])
    slope = demand[:, None] * (moves @ reach.spread[drawn])
    every, all_slopes = (
        np.zeros((3, elements), complex),
        np.zeros((3, elements, reach.width), complex),
    )
    rows = np.arange(loads)
    for exponent in range(3):
        active, reactive = drawing.terms[:, 0, exponent], drawing.terms[:, 1, exponent]
        every[exponent, rows] = active * base.real + 1j * reactive * base.imag
        all_slopes[exponent, rows] = (
            active[:, None] * slope.real + 1j * reactive[:, None] * slope.imag
        )
    set_base, set_slope = answer.over(reach)
    every[0, loads:] = (drawing.of_phase * set_base[drawing.der]).sum(axis=1) * _KVA
    all_slopes[0, loads:] = np.einsum("gp,gpk->gk", drawing.of_phase, set_slope[drawing.der]) * _KVA
    return Powers(
        base=every,
        slope=all_slopes,
        reach=np.stack([_largest(reach, one) for one in all_slopes]),
    )


def _largest(reach: Reach, slopes: ComplexArray) -> FloatArray:
    """(element,) largest power; most models have no load, and that is quickly said."""
    found = np.zeros(len(slopes))
    moving = np.flatnonzero(slopes.any(axis=1))
    found[moving] = reach.largest(slopes[moving])
    return found


def _moves(network: IslandNetwork, scenario: Scenario) -> FloatArray:
    """(load slot, direction) by what share of nominal each direction moves each slot."""
    drawing, spread = network.drawing, scenario.direction_spread
    moves = np.zeros((len(drawing.load), len(spread)))
    if scenario.draws_per_phase:
        for number, (load, slot) in enumerate(scenario.uncertain_slots.tolist()):
            here = (drawing.load == load) & ((drawing.slot == slot) | (drawing.slot < 0))
            moves[here, number] = spread[number]
        return moves
    ids = scenario.feeder.loads.ids
    for number, name in enumerate(scenario.uncertainty.load_ids):
        moves[drawing.load == ids.index(name), number] = spread[number]
    return moves
