"""Storm damage: the rates asked for, the correlation asked for, and one draw per index."""

from __future__ import annotations

import numpy as np
import pytest
from gridproof.federation.papers.networks.mv_network import MvNetwork, generate_network
from gridproof.scenarios.damage import StormDamage, draw_damage, failure_probability
from gridproof.scenarios.restoration import Outage

CASE = Outage.of(generate_network(MvNetwork(seed=3, buses=120)))
SPOT = CASE.feeder.buses.xy[CASE.ends].mean(axis=1)


def test_row_i_is_a_function_of_seed_and_i_alone() -> None:
    storm = StormDamage(rate_per_km=0.1, sigma=1.0)
    whole = draw_damage(CASE, storm, 5, 0, 12)
    assert np.array_equal(whole[7:10], draw_damage(CASE, storm, 5, 7, 3))
    assert not np.array_equal(whole, draw_damage(CASE, storm, 6, 0, 12))


def test_independent_failures_come_at_their_rate_and_alone() -> None:
    storm = StormDamage(rate_per_km=0.2)
    drawn = draw_damage(CASE, storm, 1, 0, 4000)
    p = failure_probability(CASE, storm)
    cable = CASE.devices.underground
    assert p[cable].max() < p[~cable].max()
    sigma = np.sqrt(p * (1 - p) / len(drawn))
    assert (np.abs(drawn.mean(axis=0) - p) < 5 * sigma).all()
    spread = drawn.sum(axis=1).var()
    assert spread == pytest.approx((p * (1 - p)).sum(), rel=0.1)


def test_gusts_break_neighbours_together_and_keep_the_mean() -> None:
    calm = StormDamage(rate_per_km=0.05)
    gusty = StormDamage(rate_per_km=0.05, sigma=1.0, correlation_km=1.5)
    drawn = draw_damage(CASE, gusty, 1, 0, 4000)
    still = draw_damage(CASE, calm, 1, 0, 4000)
    assert drawn.sum(axis=1).mean() == pytest.approx(still.sum(axis=1).mean(), rel=0.1)
    assert drawn.sum(axis=1).var() > 1.5 * still.sum(axis=1).var()
    far = np.linalg.norm(SPOT[:, None] - SPOT[None], axis=2)
    upper = np.triu(np.ones_like(far, bool), 1)

    def together(fails: np.ndarray, pairs: np.ndarray) -> float:
        joint = fails.T.astype(float) @ fails / len(fails)
        p = fails.mean(axis=0)
        return float(joint[pairs].sum() / np.outer(p, p)[pairs].sum())

    near, distant = upper & (far < 0.8), upper & (far > 5.0)
    assert together(drawn, near) > 1.5
    assert together(drawn, distant) == pytest.approx(1.0, abs=0.15)
    assert together(still, near) == pytest.approx(1.0, abs=0.15)


def test_nothing_fails_at_no_rate_and_bad_numbers_are_refused() -> None:
    assert not draw_damage(CASE, StormDamage(rate_per_km=0.0, sigma=2.0), 1, 0, 5).any()
    with pytest.raises(ValueError, match=r"rate_per_km = -1.*correlation_km = 0"):
        StormDamage(rate_per_km=-1, correlation_km=0)
