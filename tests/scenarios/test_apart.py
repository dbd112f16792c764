"""Loads taken apart hold what draws per phase move, and no more."""

from dataclasses import replace

import numpy as np
from gridproof.federation.studies.study import load_study
from gridproof.scenarios.apart import taken_apart
from gridproof.scenarios.realization import realize


def test_parts_move_as_draws_per_phase_do():
    whole = load_study("ieee37-networked", ["uncertainty.loads=all"]).scenario
    made = taken_apart(whole)
    apart, drawn = made.scenario, replace(whole, draws_per_phase=True)
    assert len(apart.uncertainty.load_ids) == len(whole.uncertain_slots)
    np.testing.assert_array_equal(apart.uncertainty.spread, drawn.direction_spread)
    several = whole.feeder.loads.slots.sum(axis=1) > 1
    assert several.any()
    for name, slot in zip(apart.uncertainty.load_ids, drawn.direction_ids, strict=True):
        assert name in (slot, slot.rsplit(".", 1)[0])  # a load of one slot keeps its own name
    zeta = np.random.default_rng(3).uniform(-1.0, 1.0, (7, len(whole.uncertain_slots)))
    ours, theirs = realize(apart, zeta), realize(drawn, zeta)
    for name in ("p_kw", "q_kvar"):
        summed = np.zeros(getattr(theirs, name).shape)
        parts = getattr(ours, name)
        for part, load in enumerate(made.load.tolist()):
            summed[:, :, load] += parts[:, :, part]
        np.testing.assert_allclose(summed, getattr(theirs, name), rtol=1e-14)
    np.testing.assert_allclose(apart.block_demand_kw(), whole.block_demand_kw())
    assert apart.feeder.blocks.ids == whole.feeder.blocks.ids
