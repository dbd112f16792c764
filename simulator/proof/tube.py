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
from gridproof.simulator.proof.reach import UP, ComplexArray
from gridproof.simulator.proof.rows import Rows
from gridproof.simulator.proof.tangent import Tangent
from scipy import sparse

__all__ = ["Tube", "open_tube", "tube_of"]

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
    rho, unsure
        (element,) bounds on what the tangent leaves out of the elements' currents, and on what is
        not known of them otherwise.
    unique
        Whether the solution is shown to be the only one in the tube.
    """

    tangent: Tangent
    u: FloatArray
    x: FloatArray
    rho: FloatArray
    unsure: FloatArray
    unique: bool

    @property
    def closed(self) -> bool:
        """Whether anything is bounded."""
        return bool(np.isfinite(self.x).all())

    def error(self, rows: Rows) -> FloatArray:
        """Bound how far each complex function is from its tangent, (function,)."""
        return rows.error(self.rho, self.unsure, self.x)

    def bounded(self, functions: sparse.csr_array) -> tuple[ComplexArray, FloatArray, FloatArray]:
        """Slopes of complex functions of the state, and bounds; infinite ones of an open tube.

        Returns
        -------
        slope
            (function, coordinate).
        reach, error
            (function,) bounds on ``|slope ω|`` over the set, and on how far the truth is from the
            tangent.
        """
        if not self.closed:
            far = np.full(functions.shape[0], np.inf)
            return self.tangent.slopes(functions), far, far
        rows = self.tangent.rows(functions)
        return rows.slope, rows.reach, self.error(rows)


def open_tube(tangent: Tangent) -> Tube:
    """Bound nothing: the tangent's own worst is told, and its remainder is infinite."""
    far = np.full(len(tangent.U), np.inf)
    return Tube(
        tangent=tangent,
        u=far,
        x=np.full(tangent.unknowns, np.inf),
        rho=far,
        unsure=far,
        unique=False,
    )


def tube_of(tangent: Tangent) -> Tube | str:
    """Close the tube, or say why it does not close.

    Returns
    -------
    Tube or str
        A string is what is missing.
    """
    spill = _Spill(tangent.state)
    if not spill.small:
        return "rounding has spoilt the tangent's inverse: the network is too ill-conditioned"
    size, rated = np.abs(tangent.U), tangent.network.drawing.rated_pu
    u = tangent.voltage.reach * UP
    for _ in range(_ROUNDS):
        if not (np.isfinite(u).all() and (u < 0.9 * size).all()):
            break
        rho = _left_out(tangent, u)
        new_u, new_x = _onward(tangent, (rho, tangent.unsure(u)), spill)
        if (new_u <= u).all():
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
                unsure=tangent.unsure(new_u),
                unique=_contracts(tangent, new_u),
            )
        u = np.maximum(u, new_u * _WIDER)
    return "the tube about the tangent does not close: the set is too wide for one tangent"


class _Spill:
    """What the inverse's own error feeds back: ``|x| ≤ b + T |x|``.

    If some ``w > 0`` has ``T w ≤ w/2``, the tangent is regular and ``(1 - T)⁻¹ w ≤ 2 w``. Weights
    matter: a part that only shunts of 1 ppm tie to earth takes much from the others and gives
    next to nothing back.
    """

    def __init__(self, state: Rows) -> None:
        self._parts = state.rest
        w = np.ones(self._parts.shape[1])
        for _ in range(4):
            w = 1.0 + self._spilt(w)
        self._w = w
        self.small = bool((self._spilt(w) * UP <= w / 2.0).all())

    def _spilt(self, x: FloatArray) -> FloatArray:
        """``T x``."""
        real, imaginary = self._parts @ x
        return np.asarray((real + imaginary) * UP)

    def fed_back(self, b: FloatArray) -> FloatArray:
        """Bound on ``(1 - T)⁻¹ b``."""
        x = b
        for _ in range(3):
            x = (b + self._spilt(x)) * UP
        short = np.maximum((b + self._spilt(x)) * UP - x, 0.0)
        return np.asarray((x + 2.0 * float((short / self._w).max(initial=0.0)) * self._w) * UP)


def _onward(
    tangent: Tangent, left: tuple[FloatArray, FloatArray], spill: _Spill
) -> tuple[FloatArray, FloatArray]:
    """Bounds on ``u`` and ``x`` from those on what moves them."""
    state, voltage = tangent.state, tangent.voltage
    x = spill.fed_back(state.reach + state.error(*left, None))
    u = voltage.reach + voltage.error(*left, x)
    return u * UP, x


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
    steep = tangent.voltage.norm * slope * UP
    weight = np.ones(len(slope))
    for _ in range(30):
        weight = steep @ weight + 1e-12
        weight /= weight.max(initial=1.0)
    return bool((steep @ weight <= 0.99 * weight).all()) if len(weight) else True
