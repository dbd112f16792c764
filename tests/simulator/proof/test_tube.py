"""No load of a set leaves the tube: random islands, every kind of load, up to and past collapse."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from gridproof.scenarios.sets import Budget
from gridproof.simulator.proof.tangent import Tangent, nominal_state
from gridproof.simulator.proof.tube import Tube, tube_of
from hypothesis import given, settings
from hypothesis import strategies as st
from random_islands import Made, make_island, scaled, solve

SEEDS = st.integers(0, 10_000)
SAME = 5e-11  # pu: the fixed point ends within 1e-12 a step, and its source has 1e-6 pu before it


def closed(made: Made) -> Tube | None:
    y = nominal_state(made.network, made.powers)
    if y is None:
        return None
    found = tube_of(Tangent(made.network, made.powers, made.reach, y))
    return None if isinstance(found, str) else found


def points(made: Made, count: int) -> np.ndarray:
    rng = np.random.default_rng(3)
    inside = rng.uniform(-1.0, 1.0, (count, made.reach.width))
    return np.concatenate([np.sign(inside), inside, np.zeros((1, made.reach.width))])


def outside(made: Made, tube: Tube, omega: np.ndarray) -> float:
    """By how much the state at a point is outside the tube; below 0 inside."""
    nodes = len(made.network.node_at)
    v = solve(made, omega, start=tube.tangent.y[:nodes])
    assert v is not None, "a closed tube holds a solution, and the fixed point found none"
    across = made.network.drawing.across
    u = np.abs(across @ (v - tube.tangent.y[:nodes])) - tube.u
    x = np.abs(v - tube.tangent.y[:nodes]) - tube.x[:nodes]
    rows = tube.tangent.rows(tube.tangent.on_nodes(made.network.measured.current))
    told = rows.slope @ omega
    seen = made.network.measured.current @ (v - tube.tangent.y[:nodes])
    apart = np.abs(seen - told) - tube.error(rows)
    # currents are differences of voltages over impedances of a hundredth: their errors are larger
    return float(max(u.max(), x.max(), apart.max() / 100.0))


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, weak=st.booleans())
def test_every_load_of_the_set_is_in_the_tube(seed: int, weak: bool) -> None:
    made = make_island(seed, weak=weak)
    tube = closed(made)
    assert tube is not None, "±30 % of loads of 60 kW each is a set that one tangent covers"
    assert tube.unique
    for omega in points(made, 20):
        assert outside(made, tube, omega) <= SAME


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, by=st.floats(1.0, 60.0), kw=st.floats(100.0, 900.0))
def test_a_set_up_to_collapse_is_covered_or_not_spoken_of(seed: int, by: float, kw: float) -> None:
    made = scaled(make_island(seed, kw=kw, weak=True), by)
    tube = closed(made)
    if tube is None:
        return  # nothing is claimed
    for omega in points(made, 10):
        assert outside(made, tube, omega) <= SAME


def test_past_the_nose_no_tube_closes() -> None:
    made = make_island(5, kw=60.0)
    widths = [closed(scaled(made, by)) for by in (1.0, 10.0, 100.0, 1000.0)]
    assert widths[0] is not None
    assert widths[-1] is None
    lost = [solve(scaled(made, 1000.0), omega) is None for omega in points(made, 20)]
    assert any(lost)


@pytest.mark.parametrize("seed", range(12))
def test_the_bound_is_no_wider_than_it_must_be(seed: int) -> None:
    """The state moves by as much as the tangent says it can, but for the remainder."""
    made = make_island(seed)
    tube = closed(made)
    assert tube is not None
    tangent, nodes = tube.tangent, len(made.network.node_at)
    rows = tangent.rows(tangent.on_nodes(made.network.measured.neutral))
    turned = np.conj(tangent.y[:nodes] / np.abs(tangent.y[:nodes]))
    along = (turned[:, None] * rows.slope).real
    reach, omega = made.reach.support(along)
    node = int(reach.argmax())
    v = solve(made, omega[node], start=tangent.y[:nodes])
    assert v is not None
    moved = (turned[node] * (v[node] - tangent.y[node])).real
    error = tube.error(rows)[node]
    assert abs(moved - reach[node]) <= error + SAME
    assert error < 0.1 * reach[node] + 1e-7


@pytest.mark.parametrize("seed", range(6))
def test_a_budget_is_inside_its_box(seed: int) -> None:
    made = make_island(seed)
    if made.reach.width < 2:
        pytest.skip("one direction has no budget")
    budget = Budget.over(made.reach.width, 1.3)
    reach = replace(made.reach, budget=budget)
    own = replace(
        made,
        reach=reach,
        powers=replace(made.powers, reach=np.stack([reach.largest(s) for s in made.powers.slope])),
    )
    whole, part = closed(made), closed(own)
    assert whole is not None
    assert part is not None
    assert (part.u <= whole.u * 1.001).all()
    assert part.u.sum() < whole.u.sum()
    draws = budget.draw(np.random.default_rng(1).uniform(size=(40, made.reach.width)))
    vertices = list(budget.vertices())
    for omega in [*draws, *vertices]:
        assert budget.contains(omega)
        assert outside(own, part, omega) <= SAME
