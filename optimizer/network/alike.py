"""Balanced DERs of one island: which outputs are commanded alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from gridproof.optimizer.network.network import Network
from gridproof.optimizer.network.statemap import IslandState
from gridproof.scenarios.arrays import FloatArray

if TYPE_CHECKING:
    from gridproof.optimizer.network.first_stage import FirstStage

__all__ = ["phases_apart"]


def phases_apart(network: Network, stage: FirstStage, state: IslandState) -> FloatArray:
    """(pair, output) a balanced DER's first phase less another of its; one that forms is free."""
    row = {(int(g), int(k)): at for at, (g, k) in enumerate(state.outputs)}
    pairs = [
        (row[g, alike[0]], row[g, k])
        for g in np.unique(state.outputs[:, 0]).tolist()
        if not stage.forming[g]
        for alike in [network.scenario.ders.alike(g)]
        for k in alike[1:]
    ]
    apart = np.zeros((len(pairs), len(state.outputs)))
    for at, (one, other) in enumerate(pairs):
        apart[at, one], apart[at, other] = 1.0, -1.0
    return apart
