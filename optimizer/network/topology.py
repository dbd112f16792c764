"""Radiality: the closed switches form a forest over the blocks.

Blocks are what stays connected with every switch open; a closed switch joins two of them.
The requirement of section II-B1 of the partitioning paper is taken literally for every
connected component, live or dead: no loop of closed switches. Two closed switches between
the same two blocks are a loop, and so is one switch with both ends in the same block.

Three interchangeable formulations with the same feasible set (the tests enumerate it):

``multi_commodity``
    The paper's choice (its [18], Lei et al.): the closed switches are part of a spanning
    tree, which is described by a directed multi-commodity flow. Its linear relaxation is the
    convex hull of all forests, so no further binaries are needed.
``single_commodity``
    One flow from chosen roots reaches every block over closed switches; as many roots as
    blocks minus closed switches. Smallest; one binary per block.
``directed_local_flow``
    Each block is fed over at most one closed switch: (3)-(7) of the restoration paper, with
    an order of the blocks added, because the local rules alone admit a directed loop.

A switch that lies on no cycle of the graph can close no loop, so each formulation is stated
only on the parts of the graph that remain connected without any one of their switches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pyomo.environ as pyo

if TYPE_CHECKING:
    from gridproof.scenarios.scenario import Scenario

__all__ = ["FORMULATIONS", "BlockGraph", "add_radiality"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockGraph:
    """Blocks as nodes, switches as edges, and where the DERs that can form stand.

    Attributes
    ----------
    block_ids, switch_ids
        Names, in the order of every index below.
    ends
        (switch, 2) block positions at each switch's two ends; parallel switches and a
        switch with both ends in one block may occur.
    former_blocks
        Block position of each DER that can be grid-forming, in the scenario's DER order.

    Raises
    ------
    ValueError
        If lengths differ or a position names no block.
    """

    block_ids: tuple[str, ...]
    switch_ids: tuple[str, ...]
    ends: tuple[tuple[int, int], ...]
    former_blocks: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.ends) != len(self.switch_ids):
            raise ValueError(f"{len(self.ends)} ends given for {len(self.switch_ids)} switches")
        used = {block for pair in self.ends for block in pair} | set(self.former_blocks)
        unknown = sorted(used - set(range(len(self.block_ids))))
        if unknown:
            raise ValueError(f"block positions {unknown} given; there are {len(self.block_ids)}")

    @classmethod
    def of(cls, scenario: Scenario) -> BlockGraph:
        """Read the graph off a scenario."""
        feeder, ders = scenario.feeder, scenario.ders
        blocks = feeder.blocks.of_bus[ders.bus[ders.can_form]]
        return cls(
            block_ids=feeder.blocks.ids,
            switch_ids=feeder.switch_ids,
            ends=tuple((int(one), int(other)) for one, other in feeder.switch_blocks),
            former_blocks=tuple(int(block) for block in blocks),
        )

    def touching(self, block: int) -> tuple[int, ...]:
        """Switches with an end in ``block``: the set ``E_l^sw`` of the paper."""
        return tuple(k for k, pair in enumerate(self.ends) if block in pair)

    def components(self, switches: Iterable[int] | None = None) -> tuple[tuple[int, ...], ...]:
        """Blocks joined by the given switches (all if not given), each sorted, by first block."""
        kept = range(len(self.ends)) if switches is None else tuple(switches)
        label = list(range(len(self.block_ids)))
        for k in kept:
            low, high = sorted(label[block] for block in self.ends[k])
            label = [low if name == high else name for name in label]
        members: dict[int, list[int]] = {}
        for block, name in enumerate(label):
            members.setdefault(name, []).append(block)
        return tuple(tuple(blocks) for blocks in members.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """Blocks that stay connected without any one of ``arcs``' switches.

    ``arcs`` holds both directions of each switch as (switch, tail, head).
    """

    blocks: tuple[int, ...]
    switches: tuple[int, ...]
    arcs: tuple[tuple[int, int, int], ...]


def add_radiality(
    m: Any, graph: BlockGraph, closed: Any, *, formulation: str = "multi_commodity"
) -> Any:
    """Add ``m.radiality``: the closed switches form a forest over the blocks.

    Parameters
    ----------
    m
        Model or block that receives the constraints.
    graph
        Blocks and switches.
    closed
        Binary per switch position, ``z_sw``.
    formulation
        One of `FORMULATIONS`; all have the same feasible set.

    Returns
    -------
    pyomo.environ.Block
        ``m.radiality``.

    Raises
    ------
    ValueError
        If the formulation is unknown.
    """
    if formulation not in FORMULATIONS:
        known = ", ".join(FORMULATIONS)
        raise ValueError(f"radiality formulation {formulation!r} is unknown; choose from {known}")
    m.radiality = pyo.Block()
    b = m.radiality
    inside = [k for k, (one, other) in enumerate(graph.ends) if one == other]
    b.loop = pyo.Constraint(inside, rule=lambda _, k: closed[k] == 0)
    FORMULATIONS[formulation](b, _cyclic_parts(graph), closed)
    return b


def _cyclic_parts(graph: BlockGraph) -> tuple[_Part, ...]:
    """Split the graph at its bridges; a forest on each part is a forest on the whole."""
    proper = [k for k, (one, other) in enumerate(graph.ends) if one != other]
    pieces = len(graph.components(proper))
    on_cycle = [k for k in proper if len(graph.components(j for j in proper if j != k)) == pieces]
    parts = []
    for blocks in graph.components(on_cycle):
        switches = tuple(k for k in on_cycle if graph.ends[k][0] in blocks)
        if switches:
            ends = [(k, *graph.ends[k]) for k in switches]
            arcs = tuple(arc for k, i, j in ends for arc in ((k, i, j), (k, j, i)))
            parts.append(_Part(blocks=blocks, switches=switches, arcs=arcs))
    return tuple(parts)


def _add_multi_commodity(b: Any, parts: tuple[_Part, ...], closed: Any) -> None:
    """State that the closed switches lie in a spanning tree of each part.

    With ``r`` the part's first block, λ_a ≥ 0 the use of arc a in a tree directed away from
    r, and one unit of commodity c sent from r to each other block c::

        Σ_{a into j} f_a^c - Σ_{a out of j} f_a^c = [j = c]     every j ≠ r, c ≠ r
        0 ≤ f_a^c ≤ λ_a                                         every arc, commodity
        Σ_a λ_a = |blocks| - 1
        z_sw_ij ≤ λ_ij + λ_ji                                   every switch

    The λ that satisfy this are the convex hull of spanning trees; hence all of f and λ may be
    continuous. Arcs into r and commodity c on arcs out of c are left out: never of use.
    """
    arcs = [a for part in parts for a in part.arcs if a[2] != part.blocks[0]]
    sends = [
        (c, *a)
        for part in parts
        for c in part.blocks[1:]
        for a in part.arcs
        if a[2] != part.blocks[0] and a[1] != c
    ]
    b.tree = pyo.Var(arcs, bounds=(0, 1))
    b.flow = pyo.Var(sends, bounds=(0, 1))
    b.capacity = pyo.Constraint(sends, rule=lambda b, c, *a: b.flow[(c, *a)] <= b.tree[a])
    b.balance = pyo.ConstraintList()
    b.size = pyo.ConstraintList()
    b.inside_tree = pyo.ConstraintList()
    for part in parts:
        root, *others = part.blocks
        usable = [a for a in part.arcs if a[2] != root]
        for c in others:
            for j in others:
                into = sum(b.flow[(c, *a)] for a in usable if a[2] == j and a[1] != c)
                out = sum(b.flow[(c, *a)] for a in usable if a[1] == j != c)
                b.balance.add(into - out == (1 if j == c else 0))
        b.size.add(sum(b.tree[a] for a in usable) == len(others))
        for k in part.switches:
            b.inside_tree.add(closed[k] <= sum(b.tree[a] for a in usable if a[0] == k))


def _add_single_commodity(b: Any, parts: tuple[_Part, ...], closed: Any) -> None:
    """State that a flow from few enough roots reaches every block over closed switches.

    With ρ_i = 1 where block i is a root, g_i what it supplies and f_ij a signed flow::

        g_i + Σ_{ij into i} f - Σ_{ij out of i} f = 1     every block
        0 ≤ g_i ≤ |blocks| ρ_i
        |f_ij| ≤ (|blocks| - 1) z_sw_ij                    every switch
        Σ ρ_i = |blocks| - Σ z_sw_ij

    Each component holds a root, so there are at most ``|blocks| - Σ z_sw`` components; any
    graph has at least that many, with equality only for a forest. ρ must be binary.
    """
    blocks = [i for part in parts for i in part.blocks]
    switches = [k for part in parts for k in part.switches]
    b.root = pyo.Var(blocks, domain=pyo.Binary)
    b.supply = pyo.Var(blocks, domain=pyo.NonNegativeReals)
    b.flow = pyo.Var(switches)
    b.balance = pyo.ConstraintList()
    b.capacity = pyo.ConstraintList()
    b.count = pyo.ConstraintList()
    for part in parts:
        size = len(part.blocks)
        along, against = part.arcs[::2], part.arcs[1::2]
        for i in part.blocks:
            into = sum(b.flow[k] for k, _, head in along if head == i)
            out = sum(b.flow[k] for k, _, head in against if head == i)
            b.balance.add(b.supply[i] + into - out == 1)
            b.capacity.add(b.supply[i] <= size * b.root[i])
        for k in part.switches:
            b.capacity.add(b.flow[k] <= (size - 1) * closed[k])
            b.capacity.add(-b.flow[k] <= (size - 1) * closed[k])
        b.count.add(
            sum(b.root[i] for i in part.blocks) == size - sum(closed[k] for k in part.switches)
        )


def _add_directed_local_flow(b: Any, parts: tuple[_Part, ...], closed: Any) -> None:
    """State that every block is fed over at most one switch, along an order of the blocks.

    Equation numbers are the restoration paper's. d_ij = 1 if block j is fed from i::

        d_ij + d_ji = z_sw_ij                                    (3)-(5)
        Σ_j d_ji ≤ 1                                             (6)
        u_i - u_j + n d_ij + (n - 2) d_ji ≤ n - 1                order, 0 ≤ u ≤ n - 1

    (3)-(5) meet in an equality because the forest is asked of dead blocks too. (6) has the
    sources of its right-hand side left free: which block feeds a component is decided by the
    grid-forming DERs, and a dead component is fed by none. (7), which lets only fed blocks
    and sources feed others, then says nothing, and was never enough: three blocks in a
    closed triangle, each fed by the one before, satisfy (3)-(7) without any source. The
    order (Miller-Tucker-Zemlin rows, lifted so that u is the depth in the tree) excludes it.
    d must be binary.
    """
    switches = [k for part in parts for k in part.switches]
    blocks = [i for part in parts for i in part.blocks]
    b.forward = pyo.Var(switches, domain=pyo.Binary)
    b.depth = pyo.Var(blocks, domain=pyo.NonNegativeReals)
    b.direction = pyo.Constraint(switches, rule=lambda b, k: b.forward[k] <= closed[k])
    b.one_feed = pyo.ConstraintList()
    b.order = pyo.ConstraintList()
    for part in parts:
        n = len(part.blocks)
        feeds = {}  # arc -> d of that arc
        for along, against in zip(part.arcs[::2], part.arcs[1::2], strict=True):
            k = along[0]
            feeds[along], feeds[against] = b.forward[k], closed[k] - b.forward[k]
        for i in part.blocks:
            b.depth[i].setub(n - 1)
            b.one_feed.add(sum(feeds[a] for a in part.arcs if a[2] == i) <= 1)
        for k, i, j in part.arcs:
            back = feeds[k, j, i]
            b.order.add(b.depth[i] - b.depth[j] + n * feeds[k, i, j] + (n - 2) * back <= n - 1)


FORMULATIONS: Mapping[str, Callable[[Any, tuple[_Part, ...], Any], None]] = MappingProxyType(
    {
        "multi_commodity": _add_multi_commodity,
        "single_commodity": _add_single_commodity,
        "directed_local_flow": _add_directed_local_flow,
    }
)
"""Radiality formulations by name."""
