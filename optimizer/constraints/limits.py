"""Every limit of an island as rows over its controls: what a margin is measured to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from optimizer.constraints.flow import SIDES
from optimizer.constraints.network import Network
from optimizer.methods.statemap import Affine, IslandState
from scenarios.arrays import BoolArray, FloatArray
from scenarios.lindist import PAIR_W, polygon

if TYPE_CHECKING:
    from optimizer.first_stage import FirstStage

__all__ = ["Limit", "control_box", "island_limits"]

_MOVABLE = 1e-9  # pu; a narrower range has no inside, a weaker influence is none


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Limit:
    """``lower + scale·t ≤ expression ≤ upper - scale·t`` for a margin ``t``, row by row.

    Attributes
    ----------
    kind
        Entry of `MARGINS`.
    expression
        (row,) affine in controls and demand.
    lower, upper, scale
        (row,); a row of scale 0 is tested and keeps no margin.
    """

    kind: str
    expression: Affine
    lower: FloatArray
    upper: FloatArray
    scale: FloatArray

    def within(self, box: tuple[FloatArray, FloatArray], drift: FloatArray, enough: float) -> Limit:
        """Leave out sides that cannot bind, and margins that controls cannot change.

        Parameters
        ----------
        box
            Lowest and highest controls.
        drift
            (row,) most that demand moves the expression either way; infinite if unknown.
        enough
            Largest margin ever asked for.
        """
        of_u = self.expression.of_u
        ends = np.stack([of_u * box[0], of_u * box[1]])
        highest = self.expression.constant + ends.max(0).sum(1) + drift
        lowest = self.expression.constant + ends.min(0).sum(1) - drift
        moved = (np.abs(of_u) * (box[1] - box[0])).sum(1) > _MOVABLE
        scale = np.where(moved, self.scale, 0.0)
        upper = np.where(highest + scale * enough <= self.upper, np.inf, self.upper)
        lower = np.where(lowest - scale * enough >= self.lower, -np.inf, self.lower)
        return replace(self, lower=lower, upper=upper, scale=scale).rows(
            np.isfinite(upper) | np.isfinite(lower)
        )

    def rows(self, kept: BoolArray) -> Limit:
        """Pick rows."""
        return Limit(
            kind=self.kind,
            expression=self.expression.rows(np.flatnonzero(kept)),
            lower=self.lower[kept],
            upper=self.upper[kept],
            scale=self.scale[kept],
        )


def control_box(
    network: Network, stage: FirstStage, state: IslandState
) -> tuple[FloatArray, FloatArray]:
    """Lowest and highest controls: capability and ramp together."""
    at, limits = (state.controls[:, 0], state.controls[:, 1]), network.ders
    low = np.concatenate(
        [
            np.maximum(limits.p_min[at], stage.p[at] - limits.ramp_p[at]),
            np.maximum(limits.q_min[at], stage.q[at] - limits.ramp_q[at]),
        ]
    )
    high = np.concatenate(
        [
            np.minimum(limits.p_max[at], stage.p[at] + limits.ramp_p[at]),
            np.minimum(limits.q_max[at], stage.q[at] + limits.ramp_q[at]),
        ]
    )
    return low, high


def island_limits(network: Network, stage: FirstStage, state: IslandState) -> tuple[Limit, ...]:
    """All limits of an island, those of the DER that holds the voltage included."""
    return (
        _voltages(network, state),
        *_held(network, stage, state),
        _flows(network, state),
        *_capability(network, stage, state),
        *_apparent(network, stage, state),
        *_ramps(network, stage, state),
    )


def _voltages(network: Network, state: IslandState) -> Limit:
    half = (network.w_max - network.w_min) / 2.0
    expression = state.w
    if network.pairwise:
        expression = expression.mixed(_pairs(network, state))
    rows = len(expression.constant)
    return Limit(
        kind="voltage",
        expression=expression,
        lower=np.full(rows, network.w_min),
        upper=np.full(rows, network.w_max),
        scale=np.full(rows, half),
    )


def _held(network: Network, stage: FirstStage, state: IslandState) -> tuple[Limit, ...]:
    """Voltages held by a second grid-forming DER and on, where the plan has more than one."""
    steered = set(state.controls[:, 0].tolist())
    rows, level = [], []
    for g in np.flatnonzero(stage.forming).tolist():
        at = np.flatnonzero(state.nodes[:, 0] == network.der_bus[g]) if g in steered else ()
        rows += list(at)
        level += [float(stage.source_w[g])] * len(at)
    if not rows:
        return ()
    return (
        Limit(
            kind="voltage",
            expression=state.w.rows(np.array(rows, dtype=np.int64)),
            lower=np.array(level),
            upper=np.array(level),
            scale=np.zeros(len(rows)),
        ),
    )


def _pairs(network: Network, state: IslandState) -> FloatArray:
    """(pair, node) weights that turn phase ``w`` into that of every complete pair."""
    where = {(int(i), int(k)): row for row, (i, k) in enumerate(state.nodes)}
    weights = []
    for bus in np.unique(state.nodes[:, 0]).tolist():
        for pair in PAIR_W:
            ends = np.flatnonzero(pair).tolist()
            if network.phases[bus, ends].all():
                row = np.zeros(len(state.nodes))
                row[[where[bus, k] for k in ends]] = pair[ends]
                weights.append(row)
    return np.array(weights).reshape(-1, len(state.nodes))


def _flows(network: Network, state: IslandState) -> Limit:
    sides = polygon(SIDES)
    width = len(state.channels)
    cosine, sine, reach = [], [], []
    for e in np.unique(state.channels[:, 0]).tolist():
        at = np.flatnonzero(state.channels[:, 0] == e)
        for weights, limit in network.branches[e].limits:
            row = np.zeros(width)
            row[at] = weights[state.channels[at, 1]]
            cosine.append(sides[:, :1] * row)
            sine.append(sides[:, 1:2] * row)
            reach.append(sides[:, 2] * limit)
    if not reach:
        cosine, sine, reach = [np.zeros((0, width))], [np.zeros((0, width))], [np.zeros(0)]
    p, q = state.flow_p.mixed(np.concatenate(cosine)), state.flow_q.mixed(np.concatenate(sine))
    upper = np.concatenate(reach)
    return Limit(
        kind="flow",
        expression=_sum(p, q),
        lower=np.full(len(upper), -np.inf),
        upper=upper,
        scale=upper,
    )


def _capability(network: Network, stage: FirstStage, state: IslandState) -> tuple[Limit, ...]:
    at, limits = (state.outputs[:, 0], state.outputs[:, 1]), network.ders
    scale = limits.margin_scale(stage.forming)[at]
    return tuple(
        Limit(
            kind=kind,
            expression=power,
            lower=low[at],
            upper=high[at],
            scale=np.where(high[at] - low[at] > _MOVABLE, scale, 0.0),
        )
        for kind, power, low, high in (
            ("active", state.der_p, limits.p_min, limits.p_max),
            ("reactive", state.der_q, limits.q_min, limits.q_max),
        )
    )


def _apparent(network: Network, stage: FirstStage, state: IslandState) -> tuple[Limit, ...]:
    at, limits = (state.outputs[:, 0], state.outputs[:, 1]), network.ders
    finite = np.flatnonzero(np.isfinite(limits.s_max[at]))
    if not len(finite):
        return ()
    sides, pick = polygon(SIDES), np.eye(len(state.outputs))[finite]
    p = state.der_p.mixed(np.asarray(np.kron(pick, sides[:, :1]), dtype=np.float64))
    q = state.der_q.mixed(np.asarray(np.kron(pick, sides[:, 1:2]), dtype=np.float64))
    inner = np.tile(sides[:, 2], len(finite))
    upper = np.repeat(limits.s_max[at][finite], SIDES) * inner
    scale = limits.margin_scale(stage.forming)[at][finite]
    return (
        Limit(
            kind="active",
            expression=_sum(p, q),
            lower=np.full(len(upper), -np.inf),
            upper=upper,
            scale=np.repeat(scale, SIDES) * inner,
        ),
    )


def _ramps(network: Network, stage: FirstStage, state: IslandState) -> tuple[Limit, ...]:
    at, limits = (state.outputs[:, 0], state.outputs[:, 1]), network.ders
    scale = limits.margin_scale(stage.forming)[at]
    return tuple(
        Limit(
            kind="ramp",
            expression=power,
            lower=base[at] - ramp[at],
            upper=base[at] + ramp[at],
            scale=np.where(ramp[at] > _MOVABLE, scale, 0.0),
        )
        for power, base, ramp in (
            (state.der_p, stage.p, limits.ramp_p),
            (state.der_q, stage.q, limits.ramp_q),
        )
    )


def _sum(one: Affine, other: Affine) -> Affine:
    return Affine(
        constant=one.constant + other.constant,
        of_u=one.of_u + other.of_u,
        of_d=one.of_d + other.of_d,
    )
