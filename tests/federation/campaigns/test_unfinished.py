"""What worker processes and a cluster take chunks from, and give them back to."""

from types import SimpleNamespace

import pytest
from gridproof.federation.campaigns.unfinished import MAX_LOSSES, Unfinished
from hypothesis import given
from hypothesis import strategies as st


def unfinished(chunks) -> Unfinished:
    stopper = SimpleNamespace(needed=max(chunks, default=-1) + 1)
    return Unfinished(SimpleNamespace(stopper=stopper), None, chunks)


@given(
    st.integers(1, 30),
    st.lists(st.tuples(st.integers(1, 4), st.booleans()), max_size=40),
    st.integers(0, 40),
    st.integers(0, 30),
)
def test_no_chunk_is_lost_nor_tried_twice_nor_tried_in_vain(count, turns, decided_at, needed):
    """Any order of taking, losing and keeping, and a rule that decides at some moment."""
    left, kept = unfinished(range(count)), list[int]()
    for turn, (most, is_lost) in enumerate([*turns, *[(3, False)] * count]):
        if turn == decided_at:
            left.keeper.stopper.needed = min(needed, count)
        taken = left.take(most)
        assert len(taken) <= most
        if turn >= decided_at + 1:
            assert all(chunk < needed for chunk in taken)
        if is_lost:
            left.put_back(taken)
        else:
            kept += taken
        left.drop_surplus()
    assert not left
    assert len(set(kept)) == len(kept)
    whole = count if decided_at >= len(turns) + count else min(needed, count)
    assert set(range(whole)) <= set(kept) <= set(range(count))


def test_what_was_given_back_comes_next_in_its_order():
    left = unfinished(range(6))
    one, other = left.take(2), left.take(2)
    left.put_back(one)
    left.put_back(other)
    assert left.take(6) == (2, 3, 0, 1, 4, 5)


def test_what_comes_back_after_the_decision_is_forgotten_if_it_no_longer_counts():
    left = unfinished(range(6))
    group = left.take(4)
    left.keeper.stopper.needed = 2
    left.drop_surplus()
    left.put_back(group)
    assert left.take(6) == (0, 1)


@pytest.mark.parametrize("where", [7, (7, 8)])
def test_losses_count_by_place(where):
    left = unfinished(range(9))
    said = [left.given_up(where) for _ in range(MAX_LOSSES)]
    assert said == [False] * (MAX_LOSSES - 1) + [True]
    assert not left.given_up(6)
