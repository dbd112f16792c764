"""The block graph, and the forest that its closed switches form.

Blocks are what stays connected with every switch open; a closed switch joins two of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyomo.environ as pyo
from gridproof.optimizer.network.radiality import add_forest
from gridproof.optimizer.solver.program import Program
from gridproof.optimizer.solver.pyomo_model import add_program
from gridproof.scenarios.graph import connected_components

if TYPE_CHECKING:
    from gridproof.scenarios.scenario import Scenario

__all__ = ["BlockGraph", "add_radiality"]


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
        kept = self.ends if switches is None else [self.ends[k] for k in switches]
        pairs = np.array(kept, np.int64).reshape(-1, 2)
        members: dict[int, list[int]] = {}
        label = connected_components(len(self.block_ids), pairs[:, 0], pairs[:, 1])
        for block, name in enumerate(label.tolist()):
            members.setdefault(name, []).append(block)
        return tuple(tuple(blocks) for blocks in members.values())


def add_radiality(
    m: Any, graph: BlockGraph, closed: Any, *, formulation: str = "multi_commodity"
) -> Any:
    """Add ``m.radiality``: the closed switches form a forest over the blocks (II-B1).

    Parameters
    ----------
    m
        Model or block that receives the constraints.
    graph
        Blocks and switches.
    closed
        Binary per switch position, ``z_sw``.
    formulation
        One of `optimizer.network.radiality.FOREST_FORMULATIONS`.

    Returns
    -------
    pyomo.environ.Block
        ``m.radiality``.

    Raises
    ------
    ValueError
        If the formulation is unknown.
    """
    rows, count = Program(), len(graph.switch_ids)
    ends = np.array(graph.ends, np.int64).reshape(-1, 2)
    states = rows.columns(count, integer=True)
    add_forest(rows, len(graph.block_ids), ends, states, formulation=formulation)
    m.radiality = pyo.Block()
    add_program(m.radiality, rows, [closed[k] for k in range(count)])
    return m.radiality
