"""Re-dispatch of one island: first inside every limit, then cheap.

A cost-minimal dispatch ends on its limits, and what the linear model leaves out then carries
the physics over them. So two programs run one after the other, over the set-points ``u`` of
all DERs but the one that holds the voltage, whose own output the state map gives:

1. ``max W t + Σ_k t_k``: the least normalised margin ``t`` of all limits, then the least of
   each kind (voltage as a share of half the band, branches of their limit, DERs' active,
   reactive and ramp limits of the phase's active rating), none beyond `ENOUGH`;
2. ``min Σ c_g |p - p_base|`` at those margins, with a small price on reactive moves and
   slightly uneven prices, so that the answer is unique.

A limit that no set-point can move (the held voltage itself) is tested, and keeps no margin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from optimizer.centring import ENOUGH, FIRST
from optimizer.constraints.limits import Limit, control_box, island_limits
from optimizer.constraints.network import MARGINS, Network
from optimizer.methods.parametric import ParametricProgram, Rows
from optimizer.methods.statemap import Affine, IslandState
from scenarios.arrays import BoolArray, FloatArray
from scenarios.errors import SolverError

if TYPE_CHECKING:
    from optimizer.first_stage import FirstStage

__all__ = ["Dispatch", "Dispatched"]

_KINDS = len(MARGINS)
_UNEVEN = 1e-4  # relative spread of prices that makes the cheapest dispatch unique
_REACTIVE = 1e-3  # price of moving reactive power, relative to active; spread over its half
_GIVE = 1e-8  # margin given up between the two programs, for the solver's tolerance
_CROSSED = 1e-7  # pu by which a control's lowest may pass its highest


class Dispatched(NamedTuple):
    """Answers of a batch: found (sample,), powers (sample, output), margins (sample, kind)."""

    found: BoolArray
    p: FloatArray
    q: FloatArray
    margins: FloatArray


class Dispatch:
    """The two programs of one island.

    Parameters
    ----------
    network, stage, state
        The island.
    direction
        (deviation, parameter) how parameters in [-1, 1] move the demand; limits that cannot
        bind there are left out. None: parameters are the deviations themselves, unbounded.
    """

    def __init__(
        self,
        network: Network,
        stage: FirstStage,
        state: IslandState,
        direction: FloatArray | None = None,
    ) -> None:
        self._network, self._stage, self.state = network, stage, state
        self._direction = np.eye(state.w.of_d.shape[1]) if direction is None else direction
        low, high = control_box(network, stage, state)
        self._hopeless = bool((low > high + _CROSSED).any())
        self._box = low, np.maximum(low, high)
        sides = [
            side
            for limit in island_limits(network, stage, state)
            for side in _sides(limit.within(self._box, self._drift(limit, direction), ENOUGH))
        ]
        self._margins = self._margin_program(sides)
        self._cheapest = self._cost_program(sides)

    def learn(self, parameters: FloatArray) -> None:
        """Learn regions and rays at (sample, parameter) fixed parameters."""
        if not self._hopeless:
            first = self._margins.learn(parameters)
            at = np.flatnonzero(first.found)
            self._cheapest.learn(self._second(parameters[at], first.x[at]))

    def answer(self, parameters: FloatArray) -> Dispatched:
        """Dispatch (sample, parameter) realizations.

        Raises
        ------
        SolverError
            If the second program fails where the first one held.
        """
        count, outputs = len(parameters), len(self.state.outputs)
        found = np.zeros(count, dtype=bool)
        p, q = np.zeros((count, outputs)), np.zeros((count, outputs))
        margins = np.full((count, _KINDS), np.nan)
        if self._hopeless:
            return Dispatched(found, p, q, margins)
        first = self._margins.answer(parameters)
        at = np.flatnonzero(first.found)
        second = self._cheapest.answer(self._second(parameters[at], first.x[at]))
        if not second.found.all():
            raise SolverError(
                f"{int((~second.found).sum())} re-dispatch programs have a margin and no dispatch "
                "at that margin; look at the scale of the scenario's numbers"
            )
        found[at] = True
        u = second.x[:, : len(self._box[0])]
        p[at] = self._evaluate(self.state.der_p, u, parameters[at])
        q[at] = self._evaluate(self.state.der_q, u, parameters[at])
        margins[at] = first.x[at][:, -1 - _KINDS : -1]
        return Dispatched(found, p, q, margins)

    @property
    def regions(self) -> tuple[int, int]:
        """Critical regions learnt by either program."""
        return self._margins.regions, self._cheapest.regions

    def _drift(self, limit: Limit, direction: FloatArray | None) -> FloatArray:
        if direction is None:
            return np.full(len(limit.lower), np.inf)
        return np.asarray(np.abs(limit.expression.of_d @ direction).sum(1))

    def _second(self, parameters: FloatArray, first: FloatArray) -> FloatArray:
        kept = np.maximum(first[:, -1 - _KINDS : -1] - _GIVE, 0.0)
        return np.concatenate([parameters, kept], axis=1)

    def _margin_program(self, sides: list[_Side]) -> ParametricProgram:
        """Columns: controls, a margin per kind, the least margin."""
        controls, parameters = len(self._box[0]), self._direction.shape[1]
        parts = [
            Rows(
                matrix=np.hstack([side.of_u, side.of_margin, np.zeros((len(side.lower), 1))]),
                lower=side.lower,
                upper=side.upper,
                shift=side.of_d @ self._direction,
            )
            for side in sides
        ]
        order = np.hstack([np.zeros((_KINDS, controls)), np.eye(_KINDS), -np.ones((_KINDS, 1))])
        parts.append(
            Rows(
                matrix=order,
                lower=np.zeros(_KINDS),
                upper=np.full(_KINDS, np.inf),
                shift=np.zeros((_KINDS, parameters)),
            )
        )
        worth = 1.0 + 0.01 * np.arange(_KINDS)
        return ParametricProgram(
            cost=np.concatenate([np.zeros(controls), -worth, [-FIRST]]),
            lower=np.concatenate([self._box[0], np.zeros(_KINDS + 1)]),
            upper=np.concatenate([self._box[1], np.full(_KINDS + 1, ENOUGH)]),
            rows=Rows.stack(parts),
        )

    def _cost_program(self, sides: list[_Side]) -> ParametricProgram:
        """Columns: controls, then how far each DER phase moves from its base, p and q."""
        outputs = self.state.outputs
        at, moves = (outputs[:, 0], outputs[:, 1]), 2 * len(outputs)
        parts = [
            Rows(
                matrix=np.hstack([side.of_u, np.zeros((len(side.lower), moves))]),
                lower=side.lower,
                upper=side.upper,
                shift=np.hstack([side.of_d @ self._direction, side.of_margin]),
            )
            for side in sides
        ]
        stage, eye = self._stage, np.eye(moves)
        for place, (power, base) in enumerate(
            ((self.state.der_p, stage.p[at]), (self.state.der_q, stage.q[at]))
        ):
            own = eye[place * len(outputs) : (place + 1) * len(outputs)]
            shift = np.hstack([power.of_d @ self._direction, np.zeros((len(outputs), _KINDS))])
            for sign in (1.0, -1.0):  # move ≥ sign · (power - base)
                parts.append(
                    Rows(
                        matrix=np.hstack([-sign * power.of_u, own]),
                        lower=sign * (power.constant - base),
                        upper=np.full(len(outputs), np.inf),
                        shift=-sign * shift,
                    )
                )
        return ParametricProgram(
            cost=np.concatenate([np.zeros(len(self._box[0])), self._prices()]),
            lower=np.concatenate([self._box[0], np.zeros(moves)]),
            upper=np.concatenate([self._box[1], np.full(moves, np.inf)]),
            rows=Rows.stack(parts),
        )

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

    def _evaluate(self, power: Affine, u: FloatArray, parameters: FloatArray) -> FloatArray:
        """(sample, output), each sample rounded as if it were alone."""
        of_parameter = power.of_d @ self._direction
        value = np.broadcast_to(power.constant, (len(u), len(power.constant))).copy()
        for columns, slope in ((u, power.of_u), (parameters, of_parameter)):
            for k in range(slope.shape[1]):
                value += columns[:, k, None] * slope[None, :, k]
        return value


class _Side(NamedTuple):
    """Rows ``lower ≤ of_u u + of_margin t + of_d d ≤ upper``, the expression's constant moved."""

    of_u: FloatArray
    of_d: FloatArray
    of_margin: FloatArray
    lower: FloatArray
    upper: FloatArray


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
            )
        )
    return parts
