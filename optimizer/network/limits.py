"""Every limit of an island as rows over its controls: what a margin is measured to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from gridproof.optimizer.network.alike import phases_apart
from gridproof.optimizer.network.limit import Limit, Measured
from gridproof.optimizer.network.limited import channel_shares, flow_limits, pairs_at, voltage_map
from gridproof.optimizer.network.network import Network
from gridproof.optimizer.network.statemap import Affine, IslandState
from gridproof.scenarios.arrays import FloatArray, IntArray
from gridproof.scenarios.lindist import polygon
from scipy import sparse

if TYPE_CHECKING:
    from gridproof.optimizer.network.first_stage import FirstStage

__all__ = [
    "control_box",
    "device_limits",
    "island_limits",
    "measured_at",
]

_MOVABLE = 1e-9  # pu; a narrower range has no inside, a weaker influence is none


def measured_at(network: Network, state: IslandState) -> Measured:
    """Lay out the corrections of an island."""
    return Measured(
        voltages=len(voltage_map(network, state).constant),
        loadings=len(flow_limits(network, state)),
        outputs=len(state.outputs),
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
    layout = measured_at(network, state)
    return (
        _voltages(network, state),
        *_held(network, stage, state),
        _flows(network, state, layout),
        *_capability(network, stage, state, layout),
        *_apparent(network, stage, state, layout),
        *_half_planes(network, stage, state, layout),
        *_totals(network, stage, state, layout),
        *_ramps(network, stage, state, layout),
        *_exact(network, stage, state),
    )


def device_limits(
    network: Network, stage: FirstStage, state: IslandState
) -> tuple[tuple[Limit, ...], tuple[Limit, ...]]:
    """Limits of an island's DERs alone: what binds p to q, then ranges, ratings and ramps."""
    layout = measured_at(network, state)
    return _half_planes(network, stage, state, layout), (
        *_capability(network, stage, state, layout),
        *_apparent(network, stage, state, layout),
        *_totals(network, stage, state, layout),
        *_ramps(network, stage, state, layout),
    )


def _exact(network: Network, stage: FirstStage, state: IslandState) -> tuple[Limit, ...]:
    """State that phases of a balanced DER are not apart, and that no current goes to earth.

    The latter of a part that only deltas feed: the AC engine ties such a part to earth by shunts
    of 1 ppm, over which a watt out of balance shifts the neutral by tens of per cent.
    """
    apart = phases_apart(network, stage, state)
    p, q = state.der_p.mixed(apart), state.der_q.mixed(apart)
    rows = (("active", state.neutral), ("active", p), ("reactive", q))
    return tuple(_nothing(kind, row) for kind, row in rows if len(row.constant))


def _nothing(kind: str, expression: Affine) -> Limit:
    """``expression = 0``, whatever is measured; keeps no margin."""
    rows = len(expression.constant)
    return Limit(
        kind=kind,
        expression=expression,
        lower=np.zeros(rows),
        upper=np.zeros(rows),
        scale=np.zeros(rows),
        measured=np.zeros((rows, 2), np.int64),
        weight=np.zeros((rows, 2)),
    )


def _moved_by(*entries: IntArray) -> IntArray:
    """(row, 2) entries of a correction; a row of one entry names it twice."""
    return np.stack([entries[0], entries[-1]], axis=1)


def _once(rows: int) -> FloatArray:
    return np.tile([1.0, 0.0], (rows, 1))


def _voltages(network: Network, state: IslandState) -> Limit:
    expression = voltage_map(network, state)
    bus = pairs_at(network, state)[:, 0] if network.pairwise else state.nodes[:, 0]
    low, high = network.bus_w_min[bus], network.bus_w_max[bus]
    rows = len(expression.constant)
    return Limit(
        kind="voltage",
        expression=expression,
        lower=low,
        upper=high,
        scale=(high - low) / 2.0,
        measured=_moved_by(np.arange(rows)),
        weight=_once(rows),
    )


def _held(network: Network, stage: FirstStage, state: IslandState) -> tuple[Limit, ...]:
    """Voltages held by a second grid-forming DER and on, where the plan has more than one."""
    steered = set(state.controls[:, 0].tolist())
    rows, level = [], []
    drops = [sparse.lil_array((len(state.nodes), len(state.outputs))) for _ in range(2)]
    for g in np.flatnonzero(stage.forming).tolist():
        at = np.flatnonzero(state.nodes[:, 0] == network.der_bus[g]) if g in steered else ()
        rows += list(at)
        level += [float(stage.source_w[g])] * len(at)
        if g in network.substations and len(at):
            own, mine = network.substations[g], np.flatnonzero(state.outputs[:, 0] == g)
            place = np.ix_(at, mine)
            level[-len(at) :] = (level[-1] + own.offset[state.nodes[at, 1]]).tolist()
            grid = np.ix_(state.nodes[at, 1], state.outputs[mine, 1])
            drops[0][place], drops[1][place] = own.drop_p[grid], own.drop_q[grid]
    if not rows:
        return ()
    w = _sum(
        state.w, _sum(state.der_p.mixed(-drops[0].tocsr()), state.der_q.mixed(-drops[1].tocsr()))
    )
    return (
        Limit(
            kind="voltage",
            expression=w.rows(np.array(rows, dtype=np.int64)),
            lower=np.array(level),
            upper=np.array(level),
            scale=np.zeros(len(rows)),
            measured=np.zeros((len(rows), 2), dtype=np.int64),
            weight=np.zeros((len(rows), 2)),  # held by the machine, whatever is measured
        ),
    )


def _flows(network: Network, state: IslandState, layout: Measured) -> Limit:
    sides = polygon(network.sides)
    shares, reach = channel_shares(network, state)
    p, q = (
        power.mixed(shares).mixed(sparse.csr_array(sparse.kron(sparse.eye_array(len(reach)), of)))
        for power, of in ((state.flow_p, sides[:, :1]), (state.flow_q, sides[:, 1:2]))
    )
    upper: FloatArray = np.asarray(np.kron(reach, sides[:, 2]), dtype=np.float64)
    place = layout.voltages + np.repeat(np.arange(layout.loadings), len(sides))
    return Limit(
        kind="flow",
        expression=_sum(p, q),
        lower=np.full(len(upper), -np.inf),
        upper=upper,
        scale=upper,
        measured=_moved_by(place),
        weight=_once(len(upper)) * upper[:, None],  # a loading is a share of the limit
    )


def _capability(
    network: Network, stage: FirstStage, state: IslandState, layout: Measured
) -> tuple[Limit, ...]:
    at, limits = (state.outputs[:, 0], state.outputs[:, 1]), network.ders
    scale = limits.margin_scale(stage.forming)[at]
    return tuple(
        Limit(
            kind=kind,
            expression=power,
            lower=low[at],
            upper=high[at],
            scale=np.where(high[at] - low[at] > _MOVABLE, scale, 0.0),
            measured=_moved_by(_output(layout, part)),
            weight=_once(layout.outputs),
        )
        for part, (kind, power, low, high) in enumerate(
            (
                ("active", state.der_p, limits.p_min, limits.p_max),
                ("reactive", state.der_q, limits.q_min, limits.q_max),
            )
        )
    )


def _apparent(
    network: Network, stage: FirstStage, state: IslandState, layout: Measured
) -> tuple[Limit, ...]:
    at, limits = (state.outputs[:, 0], state.outputs[:, 1]), network.ders
    finite = np.flatnonzero(np.isfinite(limits.s_max[at]))
    if not len(finite):
        return ()
    sides, pick = polygon(network.sides), np.eye(len(state.outputs))[finite]
    p = state.der_p.mixed(np.asarray(np.kron(pick, sides[:, :1]), dtype=np.float64))
    q = state.der_q.mixed(np.asarray(np.kron(pick, sides[:, 1:2]), dtype=np.float64))
    inner = np.tile(sides[:, 2], len(finite))
    upper = np.repeat(limits.s_max[at][finite], len(sides)) * inner
    scale = limits.margin_scale(stage.forming)[at][finite]
    return (
        Limit(
            kind="active",
            expression=_sum(p, q),
            lower=np.full(len(upper), -np.inf),
            upper=upper,
            scale=np.repeat(scale, len(sides)) * inner,
            measured=np.repeat(
                _moved_by(_output(layout, 0), _output(layout, 1))[finite], len(sides), axis=0
            ),
            weight=np.tile(sides[:, :2], (len(finite), 1)),
        ),
    )


def _half_planes(
    network: Network, stage: FirstStage, state: IslandState, layout: Measured
) -> tuple[Limit, ...]:
    """``side q - slope p ≤ level`` of power factors and capability curves.

    One that follows keeps no margin: at no power a power factor has none.
    """
    planes, (g, k) = network.ders.planes, state.outputs.T
    at, row = np.nonzero(g[:, None] == planes.der)
    if not len(at):
        return ()
    side, slope = planes.side[row], planes.slope[row]
    pick = np.eye(len(g))[at]
    scale = network.ders.margin_scale(stage.forming)[g[at], k[at]]
    return (
        Limit(
            kind="reactive",
            expression=_sum(
                state.der_p.mixed(-slope[:, None] * pick), state.der_q.mixed(side[:, None] * pick)
            ),
            lower=np.full(len(at), -np.inf),
            upper=planes.level[row, k[at]],
            scale=np.where(stage.forming[g[at]], scale, 0.0),
            measured=_moved_by(_output(layout, 0), _output(layout, 1))[at],
            weight=np.column_stack([-slope, side]),
        ),
    )


def _totals(
    network: Network, stage: FirstStage, state: IslandState, layout: Measured
) -> tuple[Limit, ...]:
    """``low ≤ Σ p_k ≤ high`` of DERs whose phases may be unlike up to a total."""
    limits, own = network.ders, state.outputs[:, 0]
    at = np.array([g for g in limits.summed.tolist() if g in own], np.int64)
    if not len(at):
        return ()
    member = (at[:, None] == own).astype(float)
    low, high = limits.total_min[at], limits.total_max[at]
    scale = member @ limits.margin_scale(stage.forming)[own, state.outputs[:, 1]]
    first = [np.flatnonzero(row)[[0, -1]] for row in member]
    middle = [np.flatnonzero(row)[len(np.flatnonzero(row)) // 2] for row in member]
    measured = np.array([[a, m, z] for (a, z), m in zip(first, middle, strict=True)])
    apart = np.array([[1.0, m not in (a, z), z != a] for a, m, z in measured.tolist()], float)
    return (
        Limit(
            kind="active",
            expression=state.der_p.mixed(member),
            lower=low,
            upper=high,
            scale=np.where(high - low > _MOVABLE, scale, 0.0),
            measured=_output(layout, 0)[measured],
            weight=apart,
        ),
    )


def _ramps(
    network: Network, stage: FirstStage, state: IslandState, layout: Measured
) -> tuple[Limit, ...]:
    at, limits = (state.outputs[:, 0], state.outputs[:, 1]), network.ders
    scale = limits.margin_scale(stage.forming)[at]
    return tuple(
        Limit(
            kind="ramp",
            expression=power,
            lower=base[at] - ramp[at],
            upper=base[at] + ramp[at],
            scale=np.where(ramp[at] > _MOVABLE, scale, 0.0),
            measured=_moved_by(_output(layout, part)),
            weight=_once(layout.outputs),
        )
        for part, (power, base, ramp) in enumerate(
            (
                (state.der_p, stage.p, limits.ramp_p),
                (state.der_q, stage.q, limits.ramp_q),
            )
        )
    )


def _output(layout: Measured, part: int) -> IntArray:
    """Entries of the outputs' active (0) or reactive (1) powers."""
    return layout.first_output + part * layout.outputs + np.arange(layout.outputs)


def _sum(one: Affine, other: Affine) -> Affine:
    return Affine(
        constant=one.constant + other.constant,
        of_u=one.of_u + other.of_u,
        of_d=one.of_d + other.of_d,
    )
