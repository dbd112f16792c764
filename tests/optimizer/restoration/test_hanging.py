"""What hangs: cut an edge, walk, and see whether a side has no root."""

import numpy as np
import pytest
from gridproof.optimizer.restoration.hanging import hanging_edges
from gridproof.scenarios.graph import connected_components


@pytest.mark.parametrize("seed", range(40))
def test_an_edge_hangs_if_cutting_it_leaves_a_side_without_a_root(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = int(rng.integers(3, 12))
    ends = np.array([(int(rng.integers(0, i)), i) for i in range(1, size)])
    extra = [rng.choice(size, 2, replace=False) for _ in range(int(rng.integers(0, 4)))]
    ends = np.concatenate([ends, *(e[None] for e in extra)])
    roots = rng.choice(size, int(rng.integers(1, 4)), replace=False)
    found = hanging_edges(size, ends, roots)
    for k, (i, j) in enumerate(ends.tolist()):
        less = np.delete(ends, k, axis=0)
        label = connected_components(size, less[:, 0], less[:, 1])
        parts = label[i] != label[j]
        rootless = [label[n] not in label[roots] for n in (i, j)]
        assert found[k] == (parts and any(rootless))
