"""Rows of an island's state that limits stand on: phases or pairs, and rated channels."""

from __future__ import annotations

import numpy as np
from gridproof.optimizer.network.network import Network
from gridproof.optimizer.network.statemap import Affine, IslandState
from gridproof.scenarios.arrays import FloatArray, IntArray
from gridproof.scenarios.lindist import PAIR_W
from scipy import sparse

__all__ = ["channel_shares", "flow_limits", "pairs_at", "voltage_map"]


def voltage_map(network: Network, state: IslandState) -> Affine:
    """Squared voltages that the band applies to: of nodes, or of pairs (`pairs_at`)."""
    return state.w.mixed(_pairs(network, state)) if network.pairwise else state.w


def pairs_at(network: Network, state: IslandState) -> IntArray:
    """(pair, 2) bus and pair (0 is ab) of the rows of a pairwise `voltage_map`."""
    found = [
        (bus, number)
        for bus in np.unique(state.nodes[:, 0]).tolist()
        for number, pair in enumerate(PAIR_W)
        if network.phases[bus, np.flatnonzero(pair)].all()
    ]
    return np.array(found, dtype=np.int64).reshape(-1, 2)


def _pairs(network: Network, state: IslandState) -> sparse.csr_array:
    """(pair, node) weights that turn phase ``w`` into that of every complete pair."""
    where = {(int(i), int(k)): row for row, (i, k) in enumerate(state.nodes)}
    weights, at, along = [], [], []
    for row, (bus, number) in enumerate(pairs_at(network, state).tolist()):
        ends = np.flatnonzero(PAIR_W[number])
        weights += PAIR_W[number, ends].tolist()
        at += [row] * len(ends)
        along += [where[bus, int(k)] for k in ends]
    rows = len(set(at))
    return sparse.csr_array((weights, (at, along)), shape=(rows, len(state.nodes)))


def flow_limits(network: Network, state: IslandState) -> list[tuple[int, FloatArray, float]]:
    """Branch, channel weights and apparent power of every flow limit of an island; finite ones."""
    return [
        (e, weights, limit)
        for e in np.unique(state.channels[:, 0]).tolist()
        for weights, limit in network.branches[e].limits
        if np.isfinite(limit)
    ]


def channel_shares(network: Network, state: IslandState) -> tuple[sparse.csr_array, FloatArray]:
    """(limit, channel) weights of every flow limit of `flow_limits`, and their apparent powers."""
    first = {e: k for k, e in reversed(list(enumerate(state.channels[:, 0].tolist())))}
    weights, at, along, reach = [], [], [], []
    for row, (e, share, limit) in enumerate(flow_limits(network, state)):
        counted = np.flatnonzero(share)
        weights += share[counted].tolist()
        at += [row] * len(counted)
        along += [first[e] + int(c) for c in counted]
        reach.append(limit)
    shape = (len(reach), len(state.channels))
    return sparse.csr_array((weights, (at, along)), shape=shape), np.array(reach)
