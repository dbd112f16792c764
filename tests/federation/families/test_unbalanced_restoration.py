"""The IEEE 123-node feeder restored phase by phase: over-voltage that one phase cannot see."""

from __future__ import annotations

import pytest
from gridproof.federation.studies.study import load_study

import gridproof as gp

LAST = ["campaign.step=3", "campaign.judge=linear", "uncertainty.spread=0"]


def tried(*entries: str, samples: int = 1):
    study = load_study("ieee123-restoration", entries)
    plan = gp.plan(study)
    return plan, gp.try_plan(study, plan, samples=samples).report.feasible_share


def test_a_band_that_the_balanced_plan_leaves_is_kept_by_the_three_phase_one() -> None:
    """At the nominal load, before the linear model of the simulator, which is another program."""
    band = [*LAST, "limits.v_max_pu=1.045"]
    one, share_of_one = tried(*band)
    three, share_of_three = tried(*band, "planner.model=three_phase")
    assert (share_of_one, share_of_three) == (0.0, 1.0)
    # what it costs is load: on a heavy phase, whose current lifts the light one
    assert 0.05 < three.proof.incumbent - one.proof.incumbent < 0.5


@pytest.mark.slow
def test_a_margin_keeps_other_loads_in_the_band_in_ac() -> None:
    shares = [
        tried("campaign.step=3", *entries, samples=200)[1]
        for entries in ((), ("planner.model=three_phase", "planner.ac_margin=0.005"))
    ]
    assert shares[0] < 0.85
    assert shares[1] == 1.0
