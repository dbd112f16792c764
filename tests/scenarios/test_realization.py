"""Uncertainty sets and draws: index i is a function of (seed, i) alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from gridproof.scenarios.errors import ScenarioError
from gridproof.scenarios.realization import draw, realize, uniforms
from gridproof.scenarios.sets import Box
from hypothesis import given, settings
from hypothesis import strategies as st

spreads = st.lists(st.sampled_from([0.0, 0.1, 0.5, 1.0]), max_size=5)


def box(values):
    return Box(load_ids=tuple(f"d{k}" for k in range(len(values))), spread=values)


@settings(deadline=None, max_examples=60)
@given(values=spreads, data=st.data())
def test_vertices_lie_in_the_box_and_carry_its_support(values, data):
    it = box(values)
    vertices = list(it.vertices())
    moving = [k for k, spread in enumerate(values) if spread > 0]
    assert len(vertices) == 2 ** len(moving)
    assert len({v.tobytes() for v in vertices}) == len(vertices)
    assert all(it.contains(v) for v in vertices)
    numbers = st.floats(-9, 9, allow_nan=False)
    direction = np.zeros(it.size)
    for k in moving:
        direction[k] = data.draw(numbers)
    best = max(float(direction @ v) for v in vertices)
    assert it.support(direction).value == pytest.approx(best, abs=1e-12)


def test_contains_is_every_coordinate_within_one():
    it = box([0.1, 0.1])
    assert it.contains(np.array([1.0, -1.0]))
    assert not it.contains(np.array([0.0, 1.0 + 1e-9]))
    assert not it.contains(np.array([np.nan, 0.0]))


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**64 - 1),
    first=st.integers(0, 10**9),
    cuts=st.lists(st.integers(1, 7), min_size=1, max_size=5),
    width=st.integers(0, 9),
)
def test_chunks_of_any_size_give_the_same_bytes(seed, first, cuts, width):
    whole = uniforms(seed, first, sum(cuts), width)
    start, parts = first, []
    for count in cuts:
        parts.append(uniforms(seed, start, count, width))
        start += count
    assert np.concatenate(parts).tobytes() == whole.tobytes()


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**64 - 1), size=st.integers(1, 3), chunk=st.integers(1, 5))
def test_draws_in_chunks_are_the_draw(seed, size, chunk, tiny_scenario):
    scenario = tiny_scenario(size, [], [0], steps=2)
    whole = draw(scenario, seed, 0, 10)
    for first in range(0, 10, chunk):
        part = draw(scenario, seed, first, min(chunk, 10 - first))
        rows = slice(first, first + len(part))
        assert part.index.tobytes() == whole.index[rows].tobytes()
        assert part.zeta.tobytes() == whole.zeta[rows].tobytes()
        assert part.p_kw.tobytes() == whole.p_kw[rows].tobytes()
        assert part.q_kvar.tobytes() == whole.q_kvar[rows].tobytes()


def test_seeds_streams_and_rows_differ():
    base = uniforms(1, 0, 50, 6)
    assert len(np.unique(base)) == base.size
    for other in (uniforms(2, 0, 50, 6), uniforms(1, 0, 50, 6, stream=1)):
        assert not np.isin(other, base).any()


def test_uniforms_look_uniform_and_independent():
    """Bounds at 5 standard errors of what independent uniforms give."""
    count, width = 20_000, 6
    sample = uniforms(7, 0, count, width)
    assert sample.min() >= 0.0
    assert sample.max() < 1.0
    assert np.abs(sample.mean(axis=0) - 0.5).max() < 5 * np.sqrt(1 / 12 / count)
    tenths = np.array([np.histogram(col, bins=10, range=(0, 1))[0] for col in sample.T])
    assert np.abs(tenths / count - 0.1).max() < 5 * np.sqrt(0.09 / count)
    across = np.corrcoef(sample, rowvar=False) - np.eye(width)
    assert np.abs(across).max() < 5 / np.sqrt(count)
    flat = sample.ravel()
    for lag in (1, width):  # neighbours in a row, and the same column of the next row
        assert abs(np.corrcoef(flat[:-lag], flat[lag:])[0, 1]) < 5 / np.sqrt(flat.size)


def test_realize_scales_p_and_q_of_a_load_together(tiny_scenario):
    scenario = tiny_scenario(3, [], [0], spread=0.25, load_kw=8.0)
    scenario = replace(scenario, uncertainty=Box(load_ids=("d2", "d0"), spread=[0.5, 0.25]))
    batch = realize(scenario, np.array([[1.0, -1.0], [0.0, 0.0]]), np.array([40, 41]))
    assert batch.index.tolist() == [40, 41]
    assert batch.p_kw.shape == (2, 1, 3, 3)
    assert batch.p_kw[0, 0, :, 0].tolist() == [6.0, 8.0, 12.0]
    assert batch.q_kvar[0, 0, :, 2].tolist() == [3.0, 4.0, 6.0]
    assert batch.p_kw[1].tolist() == scenario.load_p_kw.tolist()
    assert realize(scenario, np.zeros((2, 2))).index.tolist() == [0, 1]


def test_draws_stay_in_the_set(tiny_scenario):
    scenario = tiny_scenario(spread=0.25)
    batch = draw(scenario, 3, 0, 500)
    assert all(scenario.uncertainty.contains(zeta) for zeta in batch.zeta)
    share = batch.p_kw / scenario.load_p_kw
    assert share.min() >= 0.75
    assert share.max() <= 1.25
    assert share.max() - share.min() > 0.48


def test_a_scenario_without_uncertain_loads_draws_the_nominal(tiny_scenario):
    scenario = replace(tiny_scenario(), uncertainty=Box(load_ids=(), spread=[]))
    batch = draw(scenario, 1, 5, 2)
    assert batch.zeta.shape == (2, 0)
    assert batch.p_kw[1].tolist() == scenario.load_p_kw.tolist()
    assert len(list(scenario.uncertainty.vertices())) == 1


def test_a_set_over_loads_that_are_not_there_is_refused(tiny_scenario):
    with pytest.raises(ScenarioError) as caught:
        replace(
            tiny_scenario(),
            uncertainty=Box(load_ids=("d0", "d9", "d0"), spread=[0.1, 0.1, 1.5]),
            load_model=(),
        )
    assert len(caught.value.faults) == 4
    text = str(caught.value)
    assert "d9" in text
    assert "twice: d0" in text
    assert "1.5" in text
    assert "load_model" in text


def test_block_demand_adds_up_by_block(tiny_scenario):
    scenario = tiny_scenario(2, [], [0], load_kw=4.0, steps=2)
    assert scenario.block_demand_kw(1).tolist() == [12.0, 12.0]


def test_no_coordinates_are_no_realizations(tiny_scenario):
    batch = realize(tiny_scenario(), np.zeros((0, 3)))
    assert batch.p_kw.shape == batch.q_kvar.shape == (0, 1, 3, 3)
