"""What a study rates anew, and what stays as the feeder's file has it."""

import numpy as np
import pytest
from gridproof.federation.studies.study import load_study
from gridproof.scenarios.errors import ConfigError


def test_the_study_rates_the_lines_if_it_says_so(toy):
    own = load_study(toy).scenario.feeder.lines
    assert own.rating_a[own.ids.index("b-c")] == 200.0
    rated = load_study(toy, ["limits.line_rating_a=150"]).scenario.feeder.lines
    assert set(rated.rating_a.tolist()) == {150.0}


def test_single_elements_can_be_rated_in_place_of_all(toy):
    study = load_study(
        toy, ["limits.line_rating_a=150", "limits.line_ratings_a={'B-C'=90}"]
    )  # fmt: skip
    lines = study.scenario.feeder.lines
    assert dict(zip(lines.ids, lines.rating_a.tolist(), strict=True))["b-c"] == 90.0
    assert sorted(set(lines.rating_a.tolist())) == [90.0, 150.0]
    with pytest.raises(ConfigError) as refused:
        load_study(
            toy,
            ["limits.line_ratings_a={'b-x'=90}", "limits.transformer_ratings_kva={'t9'=5}"],
        )
    assert "rates b-x, which is no line of feeder toy; did you mean" in str(refused.value)
    assert "rates t9, which is no transformer of feeder toy" in str(refused.value)


def test_another_rating_leaves_a_transformer_its_ohms():
    """Impedances are per unit of the rating: a plan of another rating had another grid."""
    plain = load_study("ieee37-networked").scenario.feeder.transformers
    name = plain.ids[0]
    told = f"limits.transformer_ratings_kva={{'{name}'={2.5 * plain.rating_kva[0]:g}}}"
    rated = load_study("ieee37-networked", [told]).scenario.feeder.transformers
    assert rated.rating_kva[0] == 2.5 * plain.rating_kva[0]
    for per_unit in ("r_pu", "x_pu", "r_shared_pu", "x_shared_pu"):
        was, now = (getattr(one, per_unit) / one.rating_kva for one in (plain, rated))
        np.testing.assert_allclose(now, was, rtol=1e-12)
