"""The tube about the tangent that holds a solution for every load of the set.

With ``u = G ω + H ρ + …`` and ``|ρ| ≤ ρ̄(ū)`` wherever ``|u| ≤ ū``: if ``ḡ + |H| ρ̄(ū) + … ≤ ū``,
the map from ``u`` to itself takes the tube into itself, and Brouwer's theorem gives a solution in
it for every ω; if it contracts there, that solution is the only one in the tube.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from gridproof.scenarios.arrays import FloatArray
from gridproof.simulator.opendss.loads import V_MAX_PU, V_MIN_PU
from gridproof.simulator.proof.reach import UP
from gridproof.simulator.proof.tangent import Rows, Tangent
from scipy import sparse

__all__ = ["Tube", "reach_of_rows", "tube_of"]

_ROUNDS = 60
_WIDER = 1.0 + 2.0**-12  # of a bound that is to hold itself


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tube:
    """Bounds that hold for every load of a set, about the tangent at its centre.

    Attributes
    ----------
    tangent
        About which.
    u, x
        (element,) and (unknown,) bounds on the change of the voltages across elements and of the
        state, per unit.
    rho
        (element,) bound on what the tangent leaves out.
    residual
        (2 unknown,) bound on what the equations are missed by otherwise.
    unique
        Whether the solution is shown to be the only one in the tube.
    """

    tangent: Tangent
    u: FloatArray
    x: FloatArray
    rho: FloatArray
    residual: FloatArray
    unique: bool

    def error(self, rows: Rows) -> FloatArray:
        """Bound how far each complex function is from its tangent, (function,)."""
        return _error(rows, self.rho, self.residual, self.x)


def tube_of(tangent: Tangent) -> Tube | str:
    """Close the tube, or say why it does not close.

    Returns
    -------
    Tube or str
        A string is what is missing.
    """
    unknowns = tangent.unknowns
    state = tangent.rows(sparse.csr_array(sparse.eye_array(unknowns, format="csr")))
    reach_x, reach_u = reach_of_rows(tangent, state), reach_of_rows(tangent, tangent.voltage)
    spill = _Spill(state)
    if not spill.small:
        return "rounding has spoilt the tangent's inverse: the network is too ill-conditioned"
    size, rated = np.abs(tangent.U), tangent.network.drawing.rated_pu
    u, x = reach_u * UP, reach_x * UP
    for _ in range(_ROUNDS):
        if not (np.isfinite(u).all() and (u < 0.9 * size).all()):
            break
        rho = _left_out(tangent, u)
        residual = tangent.residual(u, x)
        new_u, new_x = _onward(tangent, state, (reach_u, reach_x), (rho, residual), spill)
        if (new_u <= u).all() and (new_x <= x).all():
            worst = float(((size + u) / rated).max(initial=1.0))
            least = float(((size - u) / rated).min(initial=1.0))
            if worst > V_MAX_PU or least < V_MIN_PU:
                return (
                    f"voltages across loads may reach {least:.3f} or {worst:.3f} pu, outside the "
                    f"{V_MIN_PU} to {V_MAX_PU} pu in which the engine's load models hold"
                )
            return Tube(
                tangent=tangent,
                u=new_u,
                x=new_x,
                rho=_left_out(tangent, new_u),
                residual=tangent.residual(new_u, new_x),
                unique=_contracts(tangent, new_u),
            )
        u, x = np.maximum(u, new_u * _WIDER), np.maximum(x, new_x * _WIDER)
    return "the tube about the tangent does not close: the set is too wide for one tangent"


def reach_of_rows(tangent: Tangent, rows: Rows) -> FloatArray:
    """Bound the largest change of each function over the set by the tangent alone, (function,)."""
    return (tangent.reach.largest(rows.slope) + rows.slope_error) * UP


class _Spill:
    """What the inverse's own error feeds back: ``|x| ≤ b + T |x|``.

    If some ``w > 0`` has ``T w ≤ w/2``, the tangent is regular and ``(1 - T)⁻¹ w ≤ 2 w``. Weights
    matter: a part that only shunts of 1 ppm tie to earth takes much from the others and gives
    next to nothing back.
    """

    def __init__(self, state: Rows) -> None:
        half = len(state.rest) // 2
        columns = state.rest[:, :half] + state.rest[:, half:]
        self._T = (columns[:half] + columns[half:]) * UP
        w = np.ones(half)
        for _ in range(4):
            w = 1.0 + self._T @ w
        self._w = w
        self.small = bool((self._T @ w * UP <= w / 2.0).all())

    def fed_back(self, b: FloatArray) -> FloatArray:
        """Bound on ``(1 - T)⁻¹ b``."""
        x = b
        for _ in range(3):
            x = (b + self._T @ x) * UP
        short = np.maximum((b + self._T @ x) * UP - x, 0.0)
        return np.asarray((x + 2.0 * float((short / self._w).max(initial=0.0)) * self._w) * UP)


def _onward(
    tangent: Tangent,
    state: Rows,
    reach: tuple[FloatArray, FloatArray],
    left: tuple[FloatArray, FloatArray],
    spill: _Spill,
) -> tuple[FloatArray, FloatArray]:
    """Bounds on ``u`` and ``x`` from those on what moves them."""
    x = spill.fed_back(reach[1] + _error(state, *left, np.zeros(tangent.unknowns)))
    u = reach[0] + _error(tangent.voltage, *left, x)
    return u * UP, x


def _error(rows: Rows, rho: FloatArray, residual: FloatArray, x: FloatArray) -> FloatArray:
    plain = rows.size @ residual + rows.rest @ np.tile(x, 2)
    half = len(plain) // 2
    through = _norms(rows.gain) @ rho
    return np.asarray((through + np.hypot(plain[:half], plain[half:])) * UP + rows.slope_error * UP)


def _norms(gain: FloatArray) -> FloatArray:
    """Take spectral norms of the 2x2 blocks, (function, element): by how much |ρ| moves |f|."""
    rows, columns = gain.shape[0] // 2, gain.shape[1] // 2
    a, b = gain[:rows, :columns], gain[:rows, columns:]
    c, d = gain[rows:, :columns], gain[rows:, columns:]
    half = (a * a + b * b + c * c + d * d) / 2.0
    determinant = a * d - b * c
    root = np.sqrt(np.maximum(half * half - determinant * determinant, 0.0))
    # where the two singular values are alike the root loses half its digits: 2⁻²⁵ covers it
    return np.asarray(np.sqrt((half + root) * (1.0 + 2.0**-24)))


def _left_out(tangent: Tangent, u: FloatArray) -> FloatArray:
    """(element,) ``ρ̄(ū)`` of the three kinds of load together."""
    size, rated = np.abs(tangent.U), tangent.network.drawing.rated_pu
    base, reach = np.abs(tangent.powers.base), tangent.powers.reach
    constant = (base[0] * u + reach[0] * size) * u / (size**2 * (size - u))
    r = u / size
    turn = 1.0 / (1.0 - r * r)
    linear = base[1] * r * r / 2.0 * (turn + 1.0 / (1.0 - r)) + reach[1] * r * np.sqrt(turn)
    square = reach[2] * u
    return np.asarray((constant + linear / rated + square / rated**2) * UP)


def _contracts(tangent: Tangent, u: FloatArray) -> bool:
    """Whether the map contracts on the tube, in a norm weighted by a Perron vector."""
    size, rated = np.abs(tangent.U), tangent.network.drawing.rated_pu
    base, reach = np.abs(tangent.powers.base), tangent.powers.reach
    near = size - u
    slope = base[0] * u * (2.0 * size + u) / (size**2 * near**2) + reach[0] / near**2
    slope += (base[1] * 2.0 * u / near**2 + reach[1] / near) / rated + reach[2] / rated**2
    steep = _norms(tangent.voltage.gain) * slope * UP
    weight = np.ones(len(slope))
    for _ in range(30):
        weight = steep @ weight + 1e-12
        weight /= weight.max(initial=1.0)
    return bool((steep @ weight <= 0.99 * weight).all()) if len(weight) else True
