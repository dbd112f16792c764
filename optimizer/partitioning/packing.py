"""A plan as disjoint islands: each asked for on its own, the best that fit chosen together.

Live components of a plan share nothing: no flow, no DER, no row of the master but those that ask
something of all blocks together. Over a set in which each load moves by itself the worst of a plan
is the sum of its islands' worsts, too. The least cost is therefore that of a packing::

    min  Σ α_l + Σ_I x_I (cost of island I - Σ_{l in I} α_l)     s.t. Σ_{I holding l} x_I ≤ 1

over the connected sets of blocks that hold a DER that can form. Few of them are ever solved: most
need more than their DERs have, phase by phase, and are left out by sums; of the others each has a
cost that it cannot fall below, and only a set that the best packing holds is solved, by the master
itself with all else dark, until the best holds none that is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from gridproof.optimizer.network.branches import BASE_KVA
from gridproof.optimizer.network.network import Network
from gridproof.optimizer.partitioning.topology import BlockGraph
from gridproof.optimizer.solver.solve import Answer, Arrays, solve_arrays
from gridproof.scenarios.arrays import FloatArray, IntArray
from gridproof.scenarios.proof import Termination
from scipy import sparse

if TYPE_CHECKING:
    from gridproof.optimizer.partitioning.options import PartitioningOptions

__all__ = ["Packing", "connected_sets", "least_usd"]

_FEWEST_SETS, _MOST_SETS = 100, 4000
"""Connected sets of blocks that may be live; a search over the states of fewer is as quick."""

_MOST_ASKED = 100  # islands solved before a search over all states is thought to be quicker
_ROUND = 1e-9
_SHARP = 1e-9  # of a packing, a program of a few columns
_BEYOND = 1e9  # stands for a limit that there is not

Found = tuple[Answer, FloatArray]


@dataclass(slots=True, kw_only=True, eq=False)
class _Island:
    """A connected set of blocks, and what having it live saves at most.

    Attributes
    ----------
    nominal_usd
        What it saves at most before any re-dispatch.
    saves_usd
        With the re-dispatch that the realizations kept ask for at least, or as it was solved.
    solved
        The master with all else dark, once it has been asked as it stands.
    """

    blocks: tuple[int, ...]
    nominal_usd: float = 0.0
    saves_usd: float = 0.0
    solved: Found | None = None


class Packing:
    """Candidate islands of a network; what is known of them lasts while realizations come."""

    def __init__(self, network: Network, model: Any, islands: list[_Island]) -> None:
        self._network, self._model, self._islands = network, model, islands
        self._ends = BlockGraph.of(network.scenario).ends
        self._home = network.block[network.der_bus]
        self._shed = np.asarray(network.scenario.shed_usd, float)
        self._shares = _shares(network)
        kept = []
        for one in islands:
            made = least_usd(network, one.blocks, network.nominal[0], self._shares)
            one.nominal_usd = float(self._shed[list(one.blocks)].sum()) - made
            one.saves_usd = one.nominal_usd
            if np.isfinite(made):
                kept.append(one)
        self._islands = kept

    @classmethod
    def of(cls, network: Network, options: PartitioningOptions, model: Any) -> Packing | None:
        """List the candidates; None where islands share more than blocks, or are few or too many.

        Parameters
        ----------
        network
            Per-unit network of the step.
        options
            A budget is shared by all islands, and so is what a plan must serve.
        model
            The master's, with the states that are fixed.
        """
        shared = options.min_energized_blocks > 0 or options.min_served_kw > 0.0
        if shared or options.max_served_kw is not None or options.budget is not None:
            return None
        states = (*model.energized.values(), *model.forming.values())
        if any(state.fixed and state.value for state in states):
            return None
        graph = BlockGraph.of(network.scenario)
        listed = list(islice(connected_sets(*_joined(graph, model)), _MOST_SETS + 1))
        if len(listed) > _MOST_SETS:
            return None
        may_live = _may_live(network, graph, model)
        found = [_Island(blocks=blocks) for blocks in listed if may_live(set(blocks))]
        return cls(network, model, found) if len(found) >= _FEWEST_SETS else None

    def narrow(self, demand: FloatArray) -> None:
        """Leave out what cannot make a realization's (bus, phase) active demand.

        Others must move by what it differs from the nominal, and are to be asked anew.
        """
        kept = []
        for one in self._islands:
            one.solved = None
            if np.isfinite(least_usd(self._network, one.blocks, demand, self._shares)):
                off = demand - self._network.nominal[0]
                moved = _least_moved_usd(self._network, one.blocks, off, self._shares)
                one.saves_usd = min(one.saves_usd, one.nominal_usd - moved)
                kept.append(one)
        self._islands = kept

    def solve(self, arrays: Arrays, *, gap: float, time_limit_s: float) -> Found | None:
        """Return the best packing as a solution of the master; None where it takes too long.

        Parameters
        ----------
        arrays
            The master as it stands, compiled.
        gap, time_limit_s
            As of `solve_arrays`.
        """
        ends, states = perf_counter() + time_limit_s, _States.of(arrays, self._model)
        share = gap / (1 + len(self._shed))
        for _ in range(_MOST_ASKED):
            best, known = self._best(), self._best(solved=True)
            bound, cost = self._cost(best), self._cost(known)
            left_s = ends - perf_counter()
            if cost - bound <= gap * max(1.0, abs(cost)):
                return self._together(known, bound, arrays, states, left_s)
            unknown = next(one for one in best if one.solved is None)
            if left_s <= 0.0 or not self._ask(unknown, arrays, states, share, left_s):
                return None
        return None

    def _cost(self, islands: list[_Island]) -> float:
        return float(self._shed.sum()) - sum(one.saves_usd for one in islands)

    def _ask(
        self, one: _Island, arrays: Arrays, states: _States, gap: float, left_s: float
    ) -> bool:
        """Solve an island with all else dark; false if a limit came first."""
        alone = self._alone(arrays, states, set(one.blocks))
        answer, values = solve_arrays(alone, gap=gap, time_limit_s=left_s)
        if answer.termination is Termination.INFEASIBLE:
            self._islands.remove(one)
            return True
        one.saves_usd = min(one.saves_usd, float(self._shed.sum()) - answer.bound)
        one.solved = answer, values
        return answer.termination is Termination.OPTIMAL

    def _alone(self, arrays: Arrays, states: _States, inside: set[int]) -> Arrays:
        lower, upper = arrays.lower.copy(), arrays.upper.copy()
        for block, k in enumerate(states.energized.tolist()):
            if k >= 0:
                lower[k] = upper[k] = float(block in inside)
        dark = [~np.isin(self._home, list(inside))]
        dark.append(np.array([not inside.issuperset(pair) for pair in self._ends], bool))
        outside = np.concatenate([states.forming[dark[0]], states.closed[dark[1]]])
        outside = outside[outside >= 0]
        lower[outside] = upper[outside] = 0.0
        return replace(arrays, lower=lower, upper=upper)

    def _best(self, *, solved: bool = False) -> list[_Island]:
        """Return the islands that save most together, none sharing a block; of all or of some."""
        worth = [one for one in self._islands if one.saves_usd > 0.0]
        worth = [one for one in worth if one.solved is not None] if solved else worth
        if not worth:
            return []
        blocks = np.concatenate([one.blocks for one in worth])
        of = np.repeat(np.arange(len(worth)), [len(one.blocks) for one in worth])
        shape = len(self._shed), len(worth)
        program = Arrays(
            cost=-np.array([one.saves_usd for one in worth]),
            constant=0.0,
            matrix=sparse.csc_array((np.ones(len(of)), (blocks, of)), shape=shape),
            row_lower=np.full(shape[0], -np.inf),
            row_upper=np.ones(shape[0]),
            lower=np.zeros(shape[1]),
            upper=np.ones(shape[1]),
            integer=np.ones(shape[1], bool),
        )
        _, chosen = solve_arrays(program, gap=_SHARP)
        return [one for one, taken in zip(worth, chosen > 0.5, strict=True) if taken]

    def _together(
        self,
        best: list[_Island],
        bound: float,
        arrays: Arrays,
        states: _States,
        left_s: float,
    ) -> Found | None:
        """Solve the master at the states of all islands of a packing."""
        whole = np.zeros(len(arrays.cost))
        for one in best:
            assert one.solved is not None
            whole += np.round(one.solved[1]) if len(best) > 1 else one.solved[1]
        lower, upper, own = arrays.lower.copy(), arrays.upper.copy(), states.every
        lower[own] = upper[own] = np.round(whole[own])
        answer, values = solve_arrays(
            replace(arrays, lower=lower, upper=upper), gap=_SHARP, time_limit_s=left_s
        )
        if answer.termination is not Termination.OPTIMAL:
            return None
        return replace(answer, bound=bound), values


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _States:
    """Columns by block, switch and DER, -1 where there is no choice; ``every`` one of them."""

    energized: IntArray
    closed: IntArray
    forming: IntArray
    every: IntArray

    @classmethod
    def of(cls, arrays: Arrays, model: Any) -> _States:
        column = {id(v): k for k, v in enumerate(arrays.variables)}
        energized, closed, forming = (
            np.array([column.get(id(v), -1) for v in table.values()], np.int64)
            for table in (model.energized, model.closed, model.forming)
        )
        every = np.concatenate([energized, closed, forming])
        return cls(energized=energized, closed=closed, forming=forming, every=every[every >= 0])


def connected_sets(size: int, ends: Sequence[tuple[int, int]]) -> Iterator[tuple[int, ...]]:
    """Yield every connected set of nodes once, each sorted; depth first, small nodes first."""
    beside = [0] * size
    for i, j in ends:
        if i != j:
            beside[i] |= 1 << j
            beside[j] |= 1 << i

    def nodes(mask: int) -> tuple[int, ...]:
        return tuple(k for k in range(size) if mask >> k & 1)

    for first in range(size):
        banned = (1 << first) - 1
        waiting = [(1 << first, beside[first] & ~banned, banned)]
        while waiting:
            inside, rim, banned = waiting.pop()
            yield nodes(inside)
            for node in nodes(rim):
                more = inside | 1 << node
                banned |= 1 << node
                waiting.append((more, (rim | beside[node]) & ~more & ~banned, banned))


def least_usd(
    network: Network, blocks: tuple[int, ...], demand: FloatArray, shares: FloatArray | None
) -> float:
    """Least price of making a demand in an island, its network and reactive power left out.

    Parameters
    ----------
    demand
        (bus, phase) active demand.
    shares
        (sum, phase) phases of which nothing changes into others on its way, each row a sum; None
        if demand is no constant: then the least that its DERs can cost at all is meant.

    Returns
    -------
    float
        ``inf`` if its DERs cannot make it, or must make more.
    """
    at = np.isin(network.block, blocks)
    makers = np.flatnonzero(at[network.der_bus])
    price = network.scenario.ders.cost_usd_per_kw[makers] * BASE_KVA
    order = np.argsort(price, kind="stable")
    low, high = (
        np.clip(limit[makers][order], -_BEYOND, _BEYOND)
        for limit in (network.ders.p_min, network.ders.p_max)
    )
    if shares is None:
        dear = price[order][:, None]
        return float(np.minimum(dear * low, dear * high).sum())
    low, high = low @ shares.T, high @ shares.T
    asked = demand[at].sum(axis=0) @ shares.T - low.sum(axis=0)
    room = high - low
    if (asked < -_ROUND).any() or (asked > room.sum(axis=0) + _ROUND).any():
        return float("inf")
    taken = np.clip(asked - (room.cumsum(axis=0) - room), 0.0, room)
    return float(price[order] @ (low + taken).sum(axis=1))


def _least_moved_usd(
    network: Network, blocks: tuple[int, ...], off: FloatArray, shares: FloatArray | None
) -> float:
    """Least price of re-dispatch where the (bus, phase) demand of an island is off its nominal."""
    if shares is None:
        return 0.0
    at = np.isin(network.block, blocks)
    price = network.scenario.ders.redispatch_cost_usd_per_kw[at[network.der_bus]] * BASE_KVA
    return float(price.min(initial=np.inf) * np.abs(off[at].sum(axis=0) @ shares.T).sum())


def _shares(network: Network) -> FloatArray | None:
    """Say which sums of phases no branch changes: each phase, or all three together."""
    if network.per_w_p.any() or network.lost.any():
        return None
    for shares in (np.eye(3), np.ones((1, 3))):
        if all(
            np.allclose(shares @ one.from_active, shares @ one.to_active, atol=_ROUND)
            and np.allclose(shares @ one.from_reactive, 0.0, atol=_ROUND)
            and np.allclose(shares @ one.to_reactive, 0.0, atol=_ROUND)
            for one in network.branches
        ):
            return shares
    return None


def _joined(graph: BlockGraph, model: Any) -> tuple[int, list[tuple[int, int]]]:
    """How many blocks there are, and pairs that some switch state joins; dead ones have none."""
    dead = {block for block, live in model.energized.items() if live.fixed}
    usable = [k for k, shut in model.closed.items() if not shut.fixed or shut.value]
    return len(graph.block_ids), [graph.ends[k] for k in usable if not dead & set(graph.ends[k])]


def _may_live(network: Network, graph: BlockGraph, model: Any) -> Callable[[set[int]], bool]:
    """Say of blocks whether somebody can form them, and no locked switch leads out of them."""
    dead = {block for block, live in model.energized.items() if live.fixed}
    locked = [set(graph.ends[k]) for k, shut in model.closed.items() if shut.fixed and shut.value]
    home = network.block[network.der_bus].tolist()
    formed = {home[g] for g, role in model.forming.items() if not role.fixed}

    def may_live(inside: set[int]) -> bool:
        parted = any(pair & inside and not pair <= inside for pair in locked)
        return bool(formed & inside) and not dead & inside and not parted

    return may_live
