"""Blocks: the smallest parts of a feeder that its switches can take apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from gridproof.scenarios.arrays import IntArray, frozen
from gridproof.scenarios.graph import connected_components

__all__ = ["Blocks", "joined"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Blocks:
    """Connected components of the feeder with every switch open.

    Attributes
    ----------
    ids
        Each block bears the name of its first bus.
    of_bus
        (bus,) block position of each bus.
    """

    ids: tuple[str, ...]
    of_bus: IntArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "of_bus", frozen(self.of_bus, np.int64))


def joined(buses: Sequence[str], first: IntArray, second: IntArray) -> Blocks:
    """Return the blocks of buses, which nothing can part at the pairs of positions given."""
    labels = connected_components(len(buses), first, second)
    heads = [int(np.argmax(labels == block)) for block in range(int(labels.max(initial=-1)) + 1)]
    return Blocks(ids=tuple(buses[bus] for bus in heads), of_bus=labels)
