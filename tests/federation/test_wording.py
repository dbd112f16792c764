"""Numbers as a report prints them."""

from gridproof.federation.wording import per_cent, percent
from hypothesis import given
from hypothesis import strategies as st


@given(st.floats(1e-6, 1.0 - 1e-6))
def test_what_is_neither_none_nor_all_is_not_printed_as_either(share: float) -> None:
    assert 0.0 < float(per_cent(share)) < 100.0
    assert abs(float(per_cent(share)) - 100.0 * share) <= 0.005


def test_two_digits_where_they_say_enough() -> None:
    assert [per_cent(share) for share in (0.0, 0.5, 0.99963, 1.0)] == [
        "0.00", "50.00", "99.96", "100.00",
    ]  # fmt: skip
    assert per_cent(1.0 - 3.7e-6) == "99.9996"
    assert per_cent(3.7e-6) == "0.0004"
    assert (per_cent(None), percent(None), per_cent(float("nan"))) == ("", "", "")
    assert percent(0.25) == "25.00\u202f%"
