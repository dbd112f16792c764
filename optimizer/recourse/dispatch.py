"""Re-dispatch of one island: first inside every limit, then cheap.

A cost-minimal dispatch ends on its limits, and what the linear model leaves out then carries
the physics over them. So one program, over the set-points ``u`` of all DERs but the one that
holds the voltage, whose own output the state map gives, asks for margin before cost::

    max  W t + Σ_k t_k - ε Σ c_g |p - p_base|        every limit of kind k keeps t_k ≥ t

``t`` is the least normalised margin of all limits, ``t_k`` the least of each kind (voltage as
a share of half the band, branches of their limit, DERs' active, reactive and ramp limits of
the phase's active rating), none beyond `ENOUGH`. ``ε`` is so small that cost only decides
between dispatches of the same margins; with a small price on reactive moves and slightly
uneven prices the answer is unique. A limit that no set-point can move (the held voltage
itself) is tested, and keeps no margin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from gridproof.optimizer.network.limit import Limit, Measured
from gridproof.optimizer.network.limits import (
    control_box,
    island_limits,
    measured_at,
)
from gridproof.optimizer.network.network import ENOUGH, FIRST, MARGINS, Network
from gridproof.optimizer.network.statemap import Affine, IslandState
from gridproof.optimizer.solver.bases import Rows
from gridproof.optimizer.solver.parametric import ParametricProgram
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    from gridproof.optimizer.network.first_stage import FirstStage

__all__ = ["Dispatch", "Dispatched"]

_KINDS = len(MARGINS)
_COST = 1e-3  # what all moves cost, against the worth of a kind's margin
_UNEVEN = 1e-4  # relative spread of prices that makes the cheapest dispatch unique
_REACTIVE = 1e-3  # price of moving reactive power, relative to active; spread over its half
_CROSSED = 1e-7  # pu by which a control's lowest may pass its highest
_SHIFTED = 0.25
"""Margin by which a correction may move a limit and still find it among the rows: a share of
half the voltage band, of a branch's limit, or of a DER phase's rating."""


class Dispatched(NamedTuple):
    """Answers of a batch: found (sample,), powers (sample, output), margins (sample, kind)."""

    found: BoolArray
    p: FloatArray
    q: FloatArray
    margins: FloatArray


class _DispatchLimits:
    """The limits of one island as rows over its controls.

    Parameters
    ----------
    network, stage, state
        The island.
    direction
        (deviation, parameter) how parameters in [-1, 1] move the demand; limits that cannot
        bind there are left out. None: parameters are the deviations themselves, unbounded.

    Attributes
    ----------
    hopeless
        Whether some DER has no room between capability and ramp.
    box
        Lowest and highest controls.
    sides
        Rows.
    reach
        Most that any parameter is, either way.
    """

    def __init__(
        self,
        network: Network,
        stage: FirstStage,
        state: IslandState,
        direction: FloatArray | None,
    ) -> None:
        self.direction = np.eye(state.w.of_d.shape[1]) if direction is None else direction
        self.reach = np.inf if direction is None else 1.0
        low, high = control_box(network, stage, state)
        self.hopeless = bool((low > high + _CROSSED).any())
        self.box = low, np.maximum(low, high)
        self.sides = [
            side
            for limit in island_limits(network, stage, state)
            for side in _sides(
                limit.within(self.box, self._drift(limit) + _SHIFTED * limit.scale, ENOUGH)
            )
        ]

    def _drift(self, limit: Limit) -> FloatArray:
        if not np.isfinite(self.reach):
            return np.full(len(limit.lower), np.inf)
        return np.asarray(np.abs(limit.expression.of_d @ self.direction).sum(1))

    def rows(self, margins: FloatArray) -> Rows:
        """Rows over controls and margins, the kinds' margins mixed by (kind, margin)."""
        return Rows(
            matrix=np.concatenate([np.hstack([s.of_u, s.of_margin @ margins]) for s in self.sides]),
            lower=np.concatenate([s.lower for s in self.sides]),
            upper=np.concatenate([s.upper for s in self.sides]),
            shift=np.concatenate([s.of_d @ self.direction for s in self.sides]),
        )

    def moved(self, correction: FloatArray) -> FloatArray:
        """(row,) how far a correction moves each row."""
        return np.concatenate([(s.weight * correction[s.measured]).sum(axis=1) for s in self.sides])


class Dispatch:
    """The program of one island.

    Parameters
    ----------
    network, stage, state, direction
        As `_DispatchLimits` has them.
    quick
        As `ParametricProgram` has it.
    """

    def __init__(
        self,
        network: Network,
        stage: FirstStage,
        state: IslandState,
        direction: FloatArray | None = None,
        *,
        quick: bool = False,
    ) -> None:
        self._network, self._stage, self.state = network, stage, state
        self._quick = quick
        self._limits = _DispatchLimits(network, stage, state, direction)
        self.measured: Measured = measured_at(network, state)
        self.program = self._program()

    def learn(self, parameters: FloatArray) -> None:
        """Learn regions and rays at (sample, parameter) fixed parameters."""
        if not self._limits.hopeless:
            self.program.learn(parameters)

    def rest(self) -> None:
        """Take little memory until the next question."""
        self.program.rest()

    def answer(self, parameters: FloatArray) -> Dispatched:
        """Dispatch (sample, parameter) realizations."""
        count, outputs = len(parameters), len(self.state.outputs)
        found = np.zeros(count, dtype=bool)
        p, q = np.zeros((count, outputs)), np.zeros((count, outputs))
        margins = np.full((count, _KINDS), np.nan)
        if self._limits.hopeless:
            return Dispatched(found, p, q, margins)
        answer = self.program.answer(parameters)
        found, at = answer.found, np.flatnonzero(answer.found)
        u = answer.x[at, : len(self._limits.box[0])]
        p[at] = self.evaluate(self.state.der_p, u, parameters[at])
        q[at] = self.evaluate(self.state.der_q, u, parameters[at])
        margins[at] = answer.x[at][:, -1 - _KINDS : -1]
        return Dispatched(found, p, q, margins)

    def answer_corrected(
        self, parameter: FloatArray, correction: FloatArray
    ) -> tuple[FloatArray, FloatArray] | None:
        """Dispatch one realization in a model that measurements have moved.

        Parameters
        ----------
        parameter
            (parameter,).
        correction
            What was measured beyond the linear model, as `measured` lays it out.

        Returns
        -------
        tuple of two ndarrays of shape (output,), or None if the corrected model has no dispatch
        """
        if self._limits.hopeless:
            return None
        first, outputs = self.measured.first_output, self.measured.outputs
        shifts = np.split(correction[first:], 2)
        costs = [-sign * shift for shift in shifts for sign in (1.0, -1.0)]
        moved = np.concatenate([self._limits.moved(correction), np.zeros(_KINDS), *costs])
        x = self.program.answer_moved(parameter, moved)
        if x is None:
            return None
        u = x[None, : len(self._limits.box[0])]
        p = self.evaluate(self.state.der_p, u, parameter[None])[0] + shifts[0]
        q = self.evaluate(self.state.der_q, u, parameter[None])[0] + shifts[1]
        assert len(p) == outputs
        return p, q

    def evaluate(self, power: Affine, u: FloatArray, parameters: FloatArray) -> FloatArray:
        """(sample, row) a map's values, each sample rounded as if it were alone."""
        of_parameter = power.of_d @ self._limits.direction
        value = np.broadcast_to(power.constant, (len(u), len(power.constant))).copy()
        for columns, slope in ((u, power.of_u), (parameters, of_parameter)):
            for k in range(slope.shape[1]):
                value += columns[:, k, None] * slope[None, :, k]
        return value

    def _program(self) -> ParametricProgram:
        """Columns: controls, a margin per kind, the least, and each DER phase's moves.

        The moves, of active then reactive power, stand between controls and margins.
        """
        controls, outputs = len(self._limits.box[0]), self.state.outputs
        moves = 2 * len(outputs)
        kinds = np.hstack([np.eye(_KINDS), np.zeros((_KINDS, 1))])
        limits, parameters = self._limits.rows(kinds), self._limits.direction.shape[1]
        parts = [
            Rows(
                matrix=np.insert(limits.matrix, [controls] * moves, 0.0, axis=1),
                lower=limits.lower,
                upper=limits.upper,
                shift=limits.shift,
            ),
            Rows(
                matrix=np.hstack(
                    [np.zeros((_KINDS, controls + moves)), np.eye(_KINDS), -np.ones((_KINDS, 1))]
                ),
                lower=np.zeros(_KINDS),
                upper=np.full(_KINDS, np.inf),
                shift=np.zeros((_KINDS, parameters)),
            ),
            *self._move_rows(moves),
        ]
        worth = 1.0 + 0.01 * np.arange(_KINDS)
        low, high = self._limits.box
        return ParametricProgram(
            cost=np.concatenate([np.zeros(controls), _COST * self._prices(), -worth, [-FIRST]]),
            lower=np.concatenate([low, np.zeros(moves + _KINDS + 1)]),
            upper=np.concatenate([high, np.full(moves, np.inf), np.full(_KINDS + 1, ENOUGH)]),
            rows=Rows.stack(parts),
            reach=self._limits.reach,
            quick=self._quick,
        )

    def _move_rows(self, moves: int) -> list[Rows]:
        """``move ≥ ±(power - base)`` for every DER phase, active then reactive."""
        stage, outputs = self._stage, self.state.outputs
        at, eye = (outputs[:, 0], outputs[:, 1]), np.eye(moves)
        parts = []
        for place, (power, base) in enumerate(
            ((self.state.der_p, stage.p[at]), (self.state.der_q, stage.q[at]))
        ):
            own = eye[place * len(outputs) : (place + 1) * len(outputs)]
            shift = power.of_d @ self._limits.direction
            parts += [
                Rows(
                    matrix=np.hstack(
                        [-sign * power.of_u, own, np.zeros((len(outputs), _KINDS + 1))]
                    ),
                    lower=sign * (power.constant - base),
                    upper=np.full(len(outputs), np.inf),
                    shift=-sign * shift,
                )
                for sign in (1.0, -1.0)
            ]
        return parts

    def _prices(self) -> FloatArray:
        """Price of each move, active then reactive, scaled to about 1 and made uneven."""
        price = self._network.scenario.ders.redispatch_cost_usd_per_kw[self.state.outputs[:, 0]]
        scale = float(np.abs(price).max(initial=0.0)) or 1.0
        active = np.maximum(price / scale, _REACTIVE)
        golden = (np.arange(2 * len(price)) * 0.6180339887498949) % 1.0
        return np.concatenate(
            [
                active * (1.0 + _UNEVEN * golden[: len(price)]),
                _REACTIVE * (1.0 + 0.5 * golden[len(price) :]),
            ]
        )


class _Side(NamedTuple):
    """Rows ``lower ≤ of_u u + of_margin t + of_d d ≤ upper``, the expression's constant moved."""

    of_u: FloatArray
    of_d: FloatArray
    of_margin: FloatArray
    lower: FloatArray
    upper: FloatArray
    measured: IntArray
    weight: FloatArray


def _sides(limit: Limit) -> list[_Side]:
    """Either side of a limit with its margin, apart."""
    parts = []
    for bound, sign in ((limit.upper, 1.0), (limit.lower, -1.0)):
        at = np.flatnonzero(np.isfinite(bound))
        expression = limit.expression.rows(at)
        of_margin = np.zeros((len(at), _KINDS))
        of_margin[:, MARGINS.index(limit.kind)] = sign * limit.scale[at]
        free = np.full(len(at), sign * -np.inf)
        edge = bound[at] - expression.constant
        parts.append(
            _Side(
                of_u=expression.of_u,
                of_d=expression.of_d,
                of_margin=of_margin,
                lower=free if sign > 0 else edge,
                upper=edge if sign > 0 else free,
                measured=limit.measured[at],
                weight=limit.weight[at],
            )
        )
    return parts
