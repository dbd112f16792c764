"""What goes through several windings is the sum of what goes through each, and so is its error."""

import numpy as np
from gridproof.simulator.proof import limits


def quantity(rng, rows):
    return limits._Quantity(
        centre=rng.normal(size=rows) + 1j * rng.normal(size=rows),
        slope=rng.normal(size=(rows, 2)) + 1j * rng.normal(size=(rows, 2)),
        error=rng.uniform(1.0, 2.0, rows),
    )


def test_a_group_has_the_sum_of_its_parts_errors_too():
    rng = np.random.default_rng(3)
    first, second = quantity(rng, 4), quantity(rng, 2)
    total = limits._summed(first, np.array([0, 1, 0, 1]), 3)
    limits._add(total, second, np.array([1, 1]))
    np.testing.assert_allclose(total.centre[0], first.centre[[0, 2]].sum())
    np.testing.assert_allclose(total.centre[1], first.centre[[1, 3]].sum() + second.centre.sum())
    np.testing.assert_allclose(total.slope[1], first.slope[[1, 3]].sum(0) + second.slope.sum(0))
    assert total.error[0] >= first.error[[0, 2]].sum()
    assert total.error[1] >= first.error[[1, 3]].sum() + second.error.sum()
    assert total.error[2] == 0.0
