"""What ended a campaign in which nothing is feasible, against counts made by hand."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from gridproof.federation.records.one_cause import OneCause, Place, one_cause
from gridproof.federation.reports.campaign_words import none_feasible_words
from gridproof.scenarios.verdict import MarginKind
from hypothesis import given
from hypothesis import strategies as st

INSIDE = dict.fromkeys(MarginKind, (0.5, "b1", "a"))


def table(rows):
    """Rows of (outcome, {kind: (margin, element, phase)})."""
    found = {"outcome": pa.array([outcome for outcome, _ in rows]).dictionary_encode()}
    for kind in MarginKind:
        cells = [(INSIDE | places)[kind] for _, places in rows]
        for k, (stem, typed) in enumerate(
            (("margin", pa.float64()), ("element", pa.string()), ("phase", pa.string()))
        ):
            found[f"{stem}_{kind.value}"] = pa.array([cell[k] for cell in cells], typed)
    return pa.table(found)


def outside(margin, element, phase, kind=MarginKind.CAPABILITY):
    return "violated", {kind: (margin, element, phase)}


def test_the_place_of_most_realizations_is_named_with_its_mean():
    parts = [
        table([outside(-0.1, "der720", "b"), outside(-0.9, "der710", "a")]),
        table([outside(-0.2, "der720", "b"), ("erred", {}), ("no_recourse", {})]),
    ]
    cause = one_cause(parts)
    assert cause is not None
    assert (cause.outcome, cause.count, cause.judged) == ("violated", 3, 4)
    place = cause.place
    assert (place.element, place.phase, place.count) == ("der720", "b", 2)
    assert place.mean_margin == pytest.approx(-0.15)
    words = none_feasible_words(cause)
    assert words == (
        "none is feasible; 3 of 4 realizations: violated, der720 phase b is on average 15.00 % of "
        "its rating beyond its limit in 2 of them (capability)"
    )


def test_a_voltage_counts_as_a_share_of_half_the_band():
    both = ("violated", {
        MarginKind.VOLTAGE: (-0.04, "742", "c"), MarginKind.CURRENT: (-0.1, "l1", "a")
    })  # fmt: skip
    cause = one_cause([table([both])])
    assert cause.place.kind == "voltage"  # 0.04 of 0.05 against 0.1
    words = none_feasible_words(cause)
    assert words == (
        "none is feasible; every realization: violated, 742 phase c is on average 0.0400 pu "
        "outside its band (voltage)"
    )


def test_what_was_not_solved_has_no_place():
    nothing = {kind: (float("nan"), None, None) for kind in MarginKind}
    cause = one_cause([table([("no_recourse", nothing)] * 3)])
    assert cause == OneCause(outcome="no_recourse", count=3, judged=3)
    assert none_feasible_words(cause) == (
        "none is feasible; every realization: no recourse, no re-dispatch exists"
    )
    assert "place" not in cause.to_json()


def test_an_element_without_phases_is_named_alone():
    place = Place(kind="transformer", element="t1", phase=None, count=1, mean_margin=-0.5,
                  unit="of rating")  # fmt: skip
    words = none_feasible_words(OneCause(outcome="violated", count=1, judged=1, place=place))
    assert "t1 is on average 50.00 % of its rating" in words


@pytest.mark.parametrize("outcomes", [["feasible", "violated"], ["erred"], []])
def test_where_one_is_feasible_or_none_was_judged_nothing_is_named(outcomes):
    assert one_cause([table([(one, {}) for one in outcomes])] if outcomes else []) is None


@given(
    st.lists(
        st.tuples(st.sampled_from(["d1", "d2", "d3"]), st.sampled_from("abc")),
        min_size=1, max_size=12,
    ),
    st.integers(1, 5),
)  # fmt: skip
def test_parts_do_not_matter_and_the_count_is_the_greatest(places, size):
    rows = [outside(-0.25, *place) for place in places]
    whole = one_cause([table(rows)])
    parts = one_cause([table(rows[k : k + size]) for k in range(0, len(rows), size)])
    assert whole == parts
    assert whole.place.count == max(Counter(places).values())
    assert np.isclose(whole.place.mean_margin, -0.25)
