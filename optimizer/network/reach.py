"""Bounds on what may flow anywhere, from what there is to make and to use."""

from __future__ import annotations

import numpy as np
from gridproof.optimizer.network.network import Network
from gridproof.scenarios.arrays import FloatArray

__all__ = ["ample", "flow_reach"]


def flow_reach(
    network: Network,
    low: tuple[FloatArray, FloatArray],
    high: tuple[FloatArray, FloatArray],
    dead: tuple[int, ...] = (),
) -> FloatArray | None:
    """Bounds no channel's active and reactive power can pass, whatever the tree.

    What flows over a branch of a tree is what one side supplies and the other consumes, so it
    is at most the smaller of all supply and all demand of its phase (negative demand counts
    as supply and the other way about). None where a transformer mixes phases or windings
    stand side by side.

    Parameters
    ----------
    network
        Per-unit network.
    low, high
        Least and largest active and reactive demand, (bus, 3) each.
    dead
        Blocks that cannot be live; what stands in them does not count.
    """
    alive = ~np.isin(network.block, dead)
    for branch in network.branches:
        if alive[branch.start] and (branch.from_reactive.any() or branch.to_reactive.any()):
            return None
    if network.zero_sequence.twins:
        return None
    ders, at = network.ders, alive[network.der_bus][:, None]
    reach = []
    for k, (least, most, per_w) in enumerate(
        ((ders.p_min, ders.p_max, network.per_w_p), (ders.q_min, ders.q_max, network.per_w_q))
    ):
        hanging, lost = per_w[alive] * network.phase_band[1], network.lost[k]
        use = np.maximum(high[k], 0.0)[alive].sum(0) + np.maximum(hanging, 0.0).sum((0, 2))
        give = np.maximum(-low[k], 0.0)[alive].sum(0) + np.maximum(-hanging, 0.0).sum((0, 2))
        use, give = (one + np.abs(lost)[alive].sum(0) for one in (use, give))
        made = (np.maximum(most, 0.0) * at).sum(0)
        taken = (np.maximum(-least, 0.0) * at).sum(0)
        reach.append(float(np.minimum(made + give, use + taken).max()))
    return np.array(reach)


def ample(network: Network) -> float:
    """Power that no channel carries: what closes an open switch that has no rating.

    Over a switch flows what the side without the grid makes or uses, so no more than all demand and
    all DERs with a limit. A transformer that mixes phases makes at most 2/√3 of what it is given;
    twice is enough for four of them in a row.
    """
    (p_low, q_low), (p_high, q_high) = network.demand_range()
    most = [
        np.maximum(np.abs(low), np.abs(high)) for low, high in ((p_low, p_high), (q_low, q_high))
    ]
    top = network.phase_band[1]
    total = sum(float(one.sum()) for one in most)
    total += top * float(np.abs(network.per_w_p).sum() + np.abs(network.per_w_q).sum())
    total += float(np.abs(network.lost).sum())
    own = network.ders
    for end in (own.p_min, own.p_max, own.q_min, own.q_max):
        total += float(np.abs(end[np.isfinite(end)]).sum())
    return 2.0 * total + 1e-3  # none of all may be there
