"""LinDist3Flow as matrices: the algebra that planners and the linear engine share.

The linear model keeps squared voltage magnitudes ``w`` and branch powers ``p + jq`` per
phase, takes the angles between phases as the balanced 120 degrees, and drops losses: (16d)
and (16g)-(16l) of the partitioning paper. Nothing here knows a solver, so an optimizer and
a simulator that both build on it cannot disagree about the model, only about numbers.

Powers, impedances and ``w`` may be in any consistent units (per unit on one base, or MW,
ohm and kV²). A missing phase is a zero row and column of the impedance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from gridproof.scenarios.arrays import BoolArray, FloatArray, frozen
from gridproof.scenarios.feeder import Connection
from gridproof.scenarios.load_models import LoadModel
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "DELTA_ACTIVE",
    "DELTA_REACTIVE",
    "PAIR_W",
    "PHASOR",
    "LoadShares",
    "WindingMaps",
    "delta_to_phase",
    "line_matrices",
    "load_shares",
    "pair_shares",
    "polygon",
    "service_maps",
    "transformer_maps",
]

PHASOR = np.exp(-2j * np.pi / 3 * np.arange(3))
"""Balanced phase voltages a, b, c at unit magnitude."""

_ROTATION = np.conj(PHASOR)[:, None] * PHASOR[None, :]  # entry (m, k) is conj(v_m / v_k)

_FROM, _TO = np.eye(3), np.roll(np.eye(3), 1, axis=1)  # pair ab leaves a and enters b

DELTA_ACTIVE: FloatArray = frozen((_FROM + _TO.T) / 2.0, float)
"""(3, 3) ``D``: share of a pair's power that shows at each phase."""

DELTA_REACTIVE: FloatArray = frozen((_FROM - _TO.T) / (2.0 * np.sqrt(3.0)), float)
"""(3, 3) ``E``: share of a pair's quadrature power that shows at each phase."""

PAIR_W: FloatArray = frozen((_FROM + _TO) / 2.0, float)
"""(3, 3) squared magnitudes of pairs ab, bc, ca from those of the phases, per unit.

``|v_a - v_b|² = w_a + w_b + |v_a||v_b| ≈ 3(w_a + w_b)/2`` at 120 degrees, over its base 3.
"""


def line_matrices(
    r: ArrayLike, x: ArrayLike, phasor: NDArray[np.complex128] | None = None
) -> tuple[FloatArray, FloatArray]:
    """Voltage drop of a branch as two real matrices, (16d) of the partitioning paper.

    ``w_j = w_i - 2 Re((Γ ∘ Z) conj(s_ij)) = w_i + Mp p_ij + Mq q_ij`` where
    ``Γ_mk = conj(v_m / v_k)`` at balanced angles, so ``Γ_ab = exp(-j2π/3)``.

    Parameters
    ----------
    r, x
        (..., 3, 3) series resistance and reactance; zero where a phase is missing.
    phasor
        (3,) nominal voltages ``v`` of the slots, of one magnitude; balanced phases if not given.

    Returns
    -------
    tuple of two ndarrays of shape (..., 3, 3)
        ``Mp`` and ``Mq``, in the unit of the impedance.
    """
    rotation = _ROTATION if phasor is None else np.conj(phasor)[:, None] * phasor[None, :]
    turned = rotation * (np.asarray(r, float) + 1j * np.asarray(x, float))
    return -2.0 * turned.real, -2.0 * turned.imag


def delta_to_phase(p_pair: ArrayLike, q_pair: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Powers drawn from phases a, b, c by powers drawn from pairs ab, bc, ca.

    ``p = D p_Δ + E q_Δ`` and ``q = D q_Δ - E p_Δ``: exact where the voltages are balanced,
    and a fixed map, never a split left to an optimizer.

    Parameters
    ----------
    p_pair, q_pair
        (..., 3) active and reactive power of each pair.

    Returns
    -------
    tuple of two ndarrays of shape (..., 3)
    """
    p, q = np.asarray(p_pair, float), np.asarray(q_pair, float)
    active, reactive = DELTA_ACTIVE.T, DELTA_REACTIVE.T
    return p @ active + q @ reactive, q @ active - p @ reactive


def pair_shares(phasor: NDArray[np.complex128]) -> tuple[FloatArray, FloatArray]:
    """Return ``D`` and ``E`` of `delta_to_phase` at other voltages than three balanced phases.

    A pair's power ``s`` between slots m and n shows as ``s v_m/(v_m - v_n)`` at m and as
    ``-s v_n/(v_m - v_n)`` at n.

    Parameters
    ----------
    phasor
        (3,) nominal voltages of the slots. Between two that are alike no power flows.

    Returns
    -------
    tuple of two ndarrays of shape (3, 3)
        `DELTA_ACTIVE` and `DELTA_REACTIVE` where the phases are balanced.
    """
    share = np.zeros((3, 3), complex)
    for pair in range(3):
        m, n = pair, (pair + 1) % 3
        across = phasor[m] - phasor[n]
        if abs(across) > 1e-6:
            share[m, pair], share[n, pair] = phasor[m] / across, -phasor[n] / across
    return np.asarray(share.real), np.asarray(-share.imag)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WindingMaps:
    """A transformer's terminal quantities from its winding quantities.

    ``from_w @ w_i = ratio² · to_w @ w_j + 2 (r p + x q)`` per winding, impedance on the from
    side, and each side's phase powers are ``p_φ = active @ p + reactive @ q``,
    ``q_φ = active @ q - reactive @ p`` of the winding powers ``p + jq``: (16g)-(16k) of the
    partitioning paper, written once for every connection.

    Attributes
    ----------
    from_w, to_w
        (winding, 3) squared winding voltages, per unit, from squared phase voltages.
    from_active, from_reactive, to_active, to_reactive
        (3, winding) phase powers from winding powers.
    """

    from_w: FloatArray
    to_w: FloatArray
    from_active: FloatArray
    from_reactive: FloatArray
    to_active: FloatArray
    to_reactive: FloatArray


def service_maps(primary: int, legs: BoolArray, connection: Connection) -> WindingMaps:
    """Return the maps of a service transformer, whose one winding feeds one leg or two.

    Parameters
    ----------
    primary
        Phase, or pair, that the primary winding stands on.
    legs
        (3,) slots of the secondary's bus that hold a leg.
    connection
        Of the primary; legs stand between a slot and the grounded centre.
    """
    held = np.flatnonzero(legs)
    from_w, from_active, from_reactive = _side(connection, False)
    at = [primary] * len(held)
    return WindingMaps(
        from_w=from_w[at],
        to_w=np.eye(3)[held],
        from_active=from_active[:, at],
        from_reactive=from_reactive[:, at],
        to_active=np.eye(3)[:, held],
        to_reactive=np.zeros((3, len(held))),
    )


def transformer_maps(
    from_connection: Connection,
    to_connection: Connection,
    windings: BoolArray,
    *,
    lagging: bool = False,
) -> WindingMaps:
    """Build the maps of one transformer.

    A closed delta-delta bank is written like wye-wye: ``PAIR_W`` is invertible, so equal
    pair voltages are equal phase voltages, and the current circulating in the windings,
    which terminals cannot show, drops out.

    Parameters
    ----------
    from_connection, to_connection
        Connection of each side.
    windings
        (3,) slots that hold a winding.
    lagging
        For a delta-wye unit: slot ``k`` pairs the wye's phase ``k`` with the delta's pair
        (k, k-1) instead of (k, k+1).
    """
    held = np.flatnonzero(windings)
    both_delta = from_connection == to_connection == Connection.DELTA
    if both_delta and len(held) == 3:
        from_connection = to_connection = Connection.WYE
    lag = lagging and not both_delta
    from_w, from_active, from_reactive = _side(from_connection, lag)
    to_w, to_active, to_reactive = _side(to_connection, lag)
    return WindingMaps(
        from_w=from_w[held],
        to_w=to_w[held],
        from_active=from_active[:, held],
        from_reactive=from_reactive[:, held],
        to_active=to_active[:, held],
        to_reactive=to_reactive[:, held],
    )


def _side(connection: Connection, lagging: bool) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Winding ``w`` from phase ``w``, and phase powers from winding powers, of one side."""
    if connection is Connection.WYE:
        return np.eye(3), np.eye(3), np.zeros((3, 3))
    if not lagging:
        return PAIR_W, DELTA_ACTIVE, DELTA_REACTIVE
    # slot k is pair (k, k-1): pair ca turned round for a, ab for b, bc for c; a turned pair
    # has the same magnitude and carries the same power
    order = [2, 0, 1]
    return PAIR_W[order], DELTA_ACTIVE[:, order], DELTA_REACTIVE[:, order]


class LoadShares(NamedTuple):
    """A load's power as a line in ``w``: ``p = p_nominal (p_constant + p_per_w · w)``."""

    p_constant: float
    p_per_w: float
    q_constant: float
    q_per_w: float


def load_shares(model: LoadModel) -> LoadShares:
    """How a load follows ``w`` (per unit of its rated voltage, squared).

    Constant power does not; constant impedance is ``P·w`` exactly; constant current is
    ``P·√w ≈ P (w + 1)/2``, and any exponent ``e`` is ``P (1 + e (w - 1)/2)``: the tangent at
    the rated voltage.
    """
    per_w = [
        sum(share * exponent for share, exponent in terms) / 2.0
        for terms in (model.active, model.reactive)
    ]
    whole = [sum(share for share, _ in terms) for terms in (model.active, model.reactive)]
    return LoadShares(whole[0] - per_w[0], per_w[0], whole[1] - per_w[1], per_w[1])


def polygon(sides: int = 16) -> FloatArray:
    """Rows of an inner regular polygon for ``p² + q² ≤ S²``.

    Row ``(c, s, f)`` stands for ``c·p + s·q ≤ f·S``. All corners lie on the circle, one on
    the positive ``p`` axis, so no point outside the rating is let in and full active power
    at unity power factor stays available.

    Parameters
    ----------
    sides
        Number of sides, at least 3; 16 cut off at most 1.9 % of the rating.

    Raises
    ------
    ValueError
        With fewer than three sides.
    """
    if sides < 3:
        raise ValueError(f"a polygon needs at least 3 sides, {sides} were asked")
    angle = 2.0 * np.pi * (np.arange(sides) + 0.5) / sides
    reach = np.full(sides, np.cos(np.pi / sides))
    return np.stack([np.cos(angle), np.sin(angle), reach], axis=1)
