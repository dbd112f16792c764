"""Which blocks are live, and who forms each live component: (2) and (4)-(14).

Equation numbers are the partitioning paper's. Symbols: ``closed[k]`` is z_sw of switch k,
``energized[l]`` z_bl of block l, ``forming[g]`` z_inv of the g-th DER that can form,
``F_l = Σ_{g in G_l} z_inv_g`` the grid-forming DERs of block l, and ``E_l`` the switches
with an end in block l.

Where the printed text is corrected, and the smallest case that shows why (the tests
enumerate each):

- (6) is printed for every switch; it holds for the switches of block l only. As printed,
  every closed switch bears the colour of every forming block anywhere: with k_der = 1,
  blocks 0 and 1 joined and formed at 0, beside block 2 alone and formed, are cut off.
- (10), (12), (13) are printed over E_l; the flow of colour l may use every switch. As
  printed nothing beyond the neighbours of block l is reached: a path of three blocks formed
  at one end is cut off.
- (14) is printed for the switches of block l; it holds for those of l'. As printed, one
  block left outside (0 joined to 1 and formed at 0, block 2 dead) forbids the colour that
  (6) demands; and a colour may be worn out of reach of its block: block 0 forming alone,
  blocks 1 and 2 joined and live with no grid-forming DER.
- (5)-(7) with k_der > 1 count colours, and a colour stands for up to k_der DERs, so a
  component may hold up to k_der² of them: with k_der = 2, two joined blocks of which one
  holds two grid-forming DERs and the other one. Here the colour *is* the count: y_k^l is
  F_l where switch k is closed and in the component of block l, so (5) bounds the sum that
  the text means. With k_der = 1 the two are the same.

With these, the feasible set is exactly: a closed switch joins equal states, every live
component holds 1 to k_der grid-forming DERs, a dead block none.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pyomo.environ as pyo
from gridproof.optimizer.partitioning.topology import BlockGraph

_Palette = dict[int, tuple[tuple[int, ...], tuple[int, ...]]]

__all__ = ["add_block_energisation", "add_grid_forming_coloring"]


def add_block_energisation(m: Any, graph: BlockGraph, closed: Any, energized: Any) -> Any:
    """Add ``m.block_energisation``: a closed switch joins equal states, (2).

    ``|z_bl_i - z_bl_j| ≤ 1 - z_sw_ij`` for every switch ij, as two rows.

    Parameters
    ----------
    m
        Model or block that receives the constraints.
    graph
        Blocks and switches.
    closed, energized
        Binary per switch and per block position.

    Returns
    -------
    pyomo.environ.Block
        ``m.block_energisation``.
    """
    m.block_energisation = pyo.Block()
    b = m.block_energisation
    arcs = [
        (k, *pair) for k, (i, j) in enumerate(graph.ends) if i != j for pair in ((i, j), (j, i))
    ]
    b.equal_state = pyo.Constraint(
        arcs, rule=lambda _, k, i, j: energized[i] - energized[j] <= 1 - closed[k]
    )
    return b


def add_grid_forming_coloring(
    m: Any, graph: BlockGraph, closed: Any, energized: Any, forming: Any, *, k_der: int
) -> Any:
    """Add ``m.grid_forming_coloring``: 1 to ``k_der`` grid-forming DERs per live component.

    The equations stand at the three steps below: (4) in `_add_states`, (5)-(9) in
    `_add_colors`, (10)-(14) in `_add_reach`. Everything but the three arguments is
    continuous: (6) and (7) leave a colour no choice where it counts. Colours exist only for
    blocks that hold a DER that can form, and on the blocks that some switch state joins to
    them.

    Needs `add_block_energisation` beside it; it does not need radiality.

    Parameters
    ----------
    m
        Model or block that receives the constraints.
    graph
        Blocks, switches and where the DERs that can form stand.
    closed, energized, forming
        Binary per switch, per block, and per position of ``graph.former_blocks``.
    k_der
        Most grid-forming DERs a live component may hold, at least 1.

    Returns
    -------
    pyomo.environ.Block
        ``m.grid_forming_coloring``.

    Raises
    ------
    ValueError
        If ``k_der`` is below 1.
    """
    if k_der < 1:
        raise ValueError(f"k_der = {k_der} must be at least 1: a live component needs a source")
    m.grid_forming_coloring = pyo.Block()
    b = m.grid_forming_coloring
    palette = _palette(graph)
    held = {
        block: sum(forming[g] for g, home in enumerate(graph.former_blocks) if home == block)
        for block in palette
    }
    _add_states(b, graph, closed, energized, held=held, k_der=k_der)
    _add_colors(b, graph, closed, energized, held=held, palette=palette, k_der=k_der)
    _add_reach(b, graph, closed, palette, k_der)
    return b


def _palette(graph: BlockGraph) -> _Palette:
    """Blocks and switches that each colour can get to, by the block it stands for."""
    palette: _Palette = {}
    for blocks in graph.components():
        switches = tuple(k for k, (i, _) in enumerate(graph.ends) if i in blocks)
        palette |= {block: (blocks, switches) for block in blocks if block in graph.former_blocks}
    return palette


def _add_states(
    b: Any, graph: BlockGraph, closed: Any, energized: Any, *, held: dict[int, Any], k_der: int
) -> None:
    """State who may form a block on its own; ``held`` is F_l where the block can hold one.

    ::

        z_bl_l - Σ_{k in E_l} z_sw_k ≤ F_l ≤ k_der z_bl_l     (4)
        Σ_l z_bl_l - Σ_k z_sw_k ≤ Σ_l F_l                     added

    The left half of (4) follows from (5) and (9) for integers and the added row from all
    the rest, because there are at least as many live components as live blocks minus closed
    switches; both are there for the relaxation alone.
    """
    b.alone = pyo.ConstraintList()
    b.dead = pyo.ConstraintList()
    for block in range(len(graph.block_ids)):
        joined = sum(closed[k] for k in graph.touching(block))
        b.alone.add(energized[block] - joined <= held.get(block, 0))
        if block in held:
            b.dead.add(held[block] <= k_der * energized[block])
    live = sum(energized[block] for block in range(len(graph.block_ids)))
    b.enough = pyo.Constraint(
        expr=live - sum(closed[k] for k in range(len(graph.ends))) <= sum(held.values())
    )


def _add_colors(
    b: Any,
    graph: BlockGraph,
    closed: Any,
    energized: Any,
    *,
    held: dict[int, Any],
    palette: _Palette,
    k_der: int,
) -> None:
    """Give each switch the grid-forming DERs it is joined to: y_k^l (``color``) of block l.

    ::

        Σ_l y_k^l ≤ k_der z_sw_k                                                  (5)
        F_l ≤ y_k^l + k_der (1 - z_sw_k)                    k in E_l              (6)
        |y_k^l - y_h^l| ≤ k_der (2 - z_sw_k - z_sw_h)       k, h in the same E_l' (7)
        0 ≤ y_k^l ≤ F_l                                                           (8)
        z_bl_l ≤ F_l + Σ_{k in E_l} Σ_l' y_k^l'                                   (9)

    The left half of (6) follows from (8) and is not stated.
    """
    worn = [(k, color) for color, (_, switches) in palette.items() for k in switches]
    b.color = pyo.Var(worn, bounds=(0, k_der))
    at_switch: dict[int, list[Any]] = {k: [] for k in range(len(graph.ends))}
    for k, color in worn:
        at_switch[k].append(b.color[k, color])
    b.most = pyo.ConstraintList()
    b.own = pyo.ConstraintList()
    b.alike = pyo.ConstraintList()
    b.formed = pyo.ConstraintList()
    for k, seen in at_switch.items():
        if seen:
            b.most.add(sum(seen) <= k_der * closed[k])
    for k, color in worn:
        b.own.add(b.color[k, color] <= held[color])
        if color in graph.ends[k]:
            b.own.add(held[color] <= b.color[k, color] + k_der * (1 - closed[k]))
    meeting = {
        pair
        for block in range(len(graph.block_ids))
        for pair in combinations(graph.touching(block), 2)
    }
    for k, h in sorted(meeting):
        slack = k_der * (2 - closed[k] - closed[h])
        for color, (_, switches) in palette.items():
            if k in switches:
                b.alike.add(b.color[k, color] - b.color[h, color] <= slack)
                b.alike.add(b.color[h, color] - b.color[k, color] <= slack)
    for block in range(len(graph.block_ids)):
        seen = [y for k in graph.touching(block) for y in at_switch[k]]
        b.formed.add(energized[block] <= held.get(block, 0) + sum(seen))


def _add_reach(
    b: Any,
    graph: BlockGraph,
    closed: Any,
    palette: _Palette,
    k_der: int,
) -> None:
    """State that a colour is worn only where closed switches join its block.

    With η_k^l (``flow``) the flow of colour l over switch k, and ξ_l'^l (``virtual_flow``)
    the unit that block l' gets from l over no switch; n blocks can be joined to l at all::

        |η_k^l| ≤ (n - 1) z_sw_k                            every switch          (10)
        0 ≤ ξ_l'^l ≤ 1                                                            (11)
        net inflow of η^l at l' + ξ_l'^l = 1                l' ≠ l                (13)
        y_k^l ≤ k_der (1 - ξ_l'^l)                          k in E_l', l' ≠ l     (14)

    (12), the balance of block l itself, is the sum of (13) and is not stated.
    """
    over = [(k, color) for color, (_, switches) in palette.items() for k in switches]
    to = [(at, color) for color, (blocks, _) in palette.items() for at in blocks if at != color]
    b.flow = pyo.Var(over)
    b.virtual_flow = pyo.Var(to, bounds=(0, 1))
    b.capacity = pyo.ConstraintList()
    b.balance = pyo.ConstraintList()
    b.reached = pyo.ConstraintList()
    for k, color in over:
        most = (len(palette[color][0]) - 1) * closed[k]
        b.capacity.add(b.flow[k, color] <= most)
        b.capacity.add(-b.flow[k, color] <= most)
    for block, color in to:
        proper = [k for k in graph.touching(block) if graph.ends[k][0] != graph.ends[k][1]]
        inflow = sum(
            b.flow[k, color] if graph.ends[k][1] == block else -b.flow[k, color] for k in proper
        )
        b.balance.add(inflow + b.virtual_flow[block, color] == 1)
        for k in graph.touching(block):
            b.reached.add(b.color[k, color] <= k_der * (1 - b.virtual_flow[block, color]))
