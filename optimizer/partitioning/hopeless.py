"""Laterals that no state of their roots can serve, and the blocks that they keep dark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from gridproof.optimizer.network.laterals import SeenNetwork
from gridproof.optimizer.network.network import Network
from gridproof.optimizer.partitioning.shortfalls import Shortfall, lacking_at
from gridproof.optimizer.partitioning.topology import BlockGraph
from gridproof.scenarios.arrays import FloatArray

__all__ = ["HopelessLaterals"]

_Told = tuple[tuple[Shortfall, ...], FloatArray | None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HopelessLaterals:
    """What lacks in laterals whatever is decided: an answer that needs no search.

    Attributes
    ----------
    lacks
        By block what its laterals lack, and at which realization (the nominal load if None).
    """

    lacks: Mapping[int, _Told]
    _graph: BlockGraph
    _usable: tuple[int, ...]

    @classmethod
    def of(cls, network: Network, corners: Sequence[FloatArray], *, sides: int) -> HopelessLaterals:
        """Look at the nominal load and at some realizations.

        Parameters
        ----------
        network
            As the plan is searched for.
        corners
            Realizations beside the nominal load.
        sides
            Of the finest polygon: what lacks with it and without margins is counted alone.
        """
        scenario = network.scenario
        bare = replace(Network.of(scenario, network.time), sides=sides)
        kept, plain = SeenNetwork.of(network), SeenNetwork.of(bare)
        lacks: dict[int, _Told] = {}
        for zeta in (None, *corners):
            anyway = lacking_at(plain, zeta)
            for block, told in lacking_at(kept, zeta).items():
                if block in anyway:
                    lacks.setdefault(block, (told, zeta))
        shut = scenario.feeder.lines.closed[scenario.feeder.switches]
        usable = np.flatnonzero(shut | ~scenario.locked).tolist()
        return cls(lacks=lacks, _graph=BlockGraph.of(scenario), _usable=tuple(usable))

    def against(self, block: int) -> _Told | None:
        """Return what lacks in a block, or in those on its every way to a DER that can form."""
        in_the_way = [block] if block in self.lacks else self._on_every_way(block)
        if not in_the_way:
            return None
        shortfalls = tuple(one for other in in_the_way for one in self.lacks[other][0])
        return shortfalls, self.lacks[in_the_way[0]][1]

    def _on_every_way(self, block: int) -> list[int]:
        ends, hopeless = self._graph.ends, set(self.lacks)
        free = [k for k in self._usable if not hopeless.intersection(ends[k])]
        joined = next(blocks for blocks in self._graph.components(free) if block in blocks)
        if set(joined) & set(self._graph.former_blocks):
            return []
        beside = {end for k in self._usable if set(ends[k]) & set(joined) for end in ends[k]}
        return sorted(beside & hopeless)
