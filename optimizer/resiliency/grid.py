"""What a case's outage makes of its feeder: blocks, lines closed when, who could feed whom.

A block is what stays connected without damaged lines and ties. After the outage nothing but ties
joins blocks; where ties and lasting lines form a forest over the blocks, no state of the switches
closes a loop and (20)-(22) have nothing to say.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from gridproof.optimizer.resiliency.case import ResiliencyCase
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray
from gridproof.scenarios.graph import connected_components

__all__ = ["Grid", "cycles", "energised", "grid_of", "tie_reach"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Grid:
    """Blocks and hours of a case.

    Attributes
    ----------
    block_of_bus
        (bus,) position of each bus' block.
    blocks
        How many there are.
    ties
        (tie,) positions of the ties in the network's lines.
    ends
        (line, 2) blocks at each line's ends.
    first_switched, first_mobile
        Rows (hour - 1) from which a tie may be closed and a mobile generator feeds.
    lasting
        (hour, line) closed whatever is decided; ties never.
    """

    block_of_bus: IntArray
    blocks: int
    ties: IntArray
    ends: IntArray
    first_switched: int
    first_mobile: int
    lasting: BoolArray


def grid_of(case: ResiliencyCase) -> Grid:
    """Read blocks and hours off a case."""
    net, hours = case.network, case.horizon.hours
    whole = ~net.tie & ~net.damaged
    block = connected_components(len(net.bus_ids), net.from_bus[whole], net.to_bus[whole])
    lasting = np.tile(~net.tie, (hours, 1))
    lasting[case.outage.hour - 1 :, net.damaged] = False
    return Grid(
        block_of_bus=block,
        blocks=int(block.max()) + 1,
        ties=np.flatnonzero(net.tie),
        ends=block[np.stack([net.from_bus, net.to_bus], axis=1)],
        first_switched=min(hours, case.outage.hour - 1 + case.crews.delay_h),
        first_mobile=min(hours, case.outage.hour - 1 + case.mobile.delay_h),
        lasting=lasting,
    )


def energised(
    case: ResiliencyCase, grid: Grid, running: BoolArray, closed: BoolArray, placed: BoolArray
) -> BoolArray:
    """(hour, block) whether a source that can form stands in each block's island.

    Parameters
    ----------
    running
        (hour, chp) committed.
    closed
        (hour, tie).
    placed
        (site,) where mobile generators stand.
    """
    alive = np.zeros((case.horizon.hours, grid.blocks), bool)
    for t in range(case.horizon.hours):
        lines = np.concatenate([np.flatnonzero(grid.lasting[t]), grid.ties[closed[t]]])
        island = connected_components(grid.blocks, grid.ends[lines, 0], grid.ends[lines, 1])
        sources = [case.network.root, *case.chps.bus[running[t]].tolist()]
        if t >= grid.first_mobile:
            sources += case.sites[placed].tolist()
        alive[t] = np.isin(island, island[grid.block_of_bus[sources]])
    return alive


def cycles(case: ResiliencyCase, grid: Grid) -> list[tuple[int, ...]]:
    """Least sets of ties that close a loop after the outage, as positions in ``ties``.

    None where ties and lasting lines form a forest over the blocks. Sets larger than there are
    crews are left out: they cannot be closed anyway.
    """
    found: list[tuple[int, ...]] = []
    last = np.flatnonzero(grid.lasting[-1] & (grid.ends[:, 0] != grid.ends[:, 1]))
    start = connected_components(grid.blocks, grid.ends[last, 0], grid.ends[last, 1])
    for size in range(1, case.crews_used + 1):
        for some in combinations(range(len(grid.ties)), size):
            if any(set(loop) <= set(some) for loop in found):
                continue
            ends = start[grid.ends[grid.ties[list(some)]]]
            parts = connected_components(int(start.max()) + 1, ends[:, 0], ends[:, 1])
            if parts.max() + 1 > start.max() + 1 - size:
                found.append(some)
    return found


def tie_reach(case: ResiliencyCase, grid: Grid) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(hour, tie) most MW forwards, most MW backwards, most Mvar either way over a tie.

    Where all ties form a forest, taking one away leaves two sides: what flows over it is at most
    what one side can give and what the other can take. Elsewhere, and always, the line's rating.
    """
    net, hours = case.network, case.horizon.hours
    mw = np.tile(net.p_max_kw[grid.ties] / 1e3, (hours, 1))
    mvar = np.tile(net.q_max_kvar[grid.ties] / 1e3, (hours, 1))
    back = mw.copy()
    joined = connected_components(grid.blocks, *grid.ends[grid.ties].T)
    forest = joined.max() + 1 == grid.blocks - len(grid.ties)
    lasting = grid.lasting[grid.first_switched :, grid.ends[:, 0] != grid.ends[:, 1]].any()
    if not forest or lasting or grid.block_of_bus[case.network.root] in grid.ends[grid.ties]:
        return mw, back, mvar
    give, take, q_give, q_take = _powers(case, grid)
    ends = grid.ends[grid.ties]
    for k in range(len(grid.ties)):
        rest = np.delete(ends, k, axis=0)
        side = connected_components(grid.blocks, rest[:, 0], rest[:, 1])
        one, two = side == side[ends[k, 0]], side == side[ends[k, 1]]
        for out, a, b in ((mw, one, two), (back, two, one)):
            reach = np.minimum(give[:, a].sum(axis=1), take[:, b].sum(axis=1))
            out[:, k] = np.minimum(out[:, k], reach)
        reach = [
            np.minimum(q_give[:, a].sum(axis=1), q_take[:, b].sum(axis=1))
            for a, b in ((one, two), (two, one))
        ]
        mvar[:, k] = np.minimum(mvar[:, k], np.maximum(*reach))
    return mw, back, mvar


def _powers(
    case: ResiliencyCase, grid: Grid
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """(hour, block) most MW a block can give and take, and Mvar likewise."""
    hours, at = case.horizon.hours, grid.block_of_bus
    give, take, q_give, q_take = (np.zeros((hours, grid.blocks)) for _ in range(4))
    up = 1.0 + case.budgets.load_share
    for table, power in (
        (case.chps, case.chps.p_max_kw),
        (case.storages, case.storages.p_max_kw),
        (case.renewables, case.renewables.available_kw),
    ):
        rows = np.broadcast_to(power, (hours, len(table.ids)))
        np.add.at(give.T, at[table.bus], rows.T / 1e3)
    np.add.at(take.T, at[case.storages.bus], np.tile(case.storages.p_max_kw, (hours, 1)).T / 1e3)
    np.add.at(q_give.T, at[case.chps.bus], np.tile(case.chps.q_max_kvar, (hours, 1)).T / 1e3)
    np.add.at(take.T, at, up * case.demand.p_kw.T / 1e3)
    places = np.bincount(at[case.sites], minlength=grid.blocks)
    standing = np.minimum(places, case.mobile_used)
    give += standing * case.mobile.p_max_kw / 1e3
    q_give += standing * case.mobile.q_max_kvar / 1e3
    q_take += q_give
    np.add.at(q_take.T, at, up * np.abs(case.demand.q_kvar).T / 1e3)
    return give, take, q_give, q_take
