"""The interval that may be looked at always: against its definition, and against luck."""

import numpy as np
import pytest
from gridproof.federation.records.parts import CHUNK_ROWS
from gridproof.federation.records.stopping import Stopper, until_enough
from gridproof.federation.statistics.sequential import StoppingRule, confidence_sequence
from gridproof.federation.statistics.shares import clopper_pearson
from gridproof.scenarios.verdict import Outcome
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import betaln


def log_ratio(count, trials, share):
    mixture = betaln(0.5 + count, 0.5 + trials - count) - betaln(0.5, 0.5)
    return mixture - count * np.log(share) - (trials - count) * np.log1p(-share)


@settings(deadline=None, max_examples=60)
@given(data=st.data(), trials=st.integers(1, 10**6), confidence=st.sampled_from([0.8, 0.95, 0.999]))
def test_at_its_ends_the_mixture_is_as_unlikely_as_allowed(data, trials, confidence):
    count = data.draw(st.integers(0, trials))
    low, high = confidence_sequence(count, trials, confidence)
    assert 0.0 <= low < high <= 1.0
    edge = -np.log(1.0 - confidence)
    if count:
        assert log_ratio(count, trials, low) == pytest.approx(edge, abs=1e-4)
    if count < trials and high < 1.0 - 1e-9:
        assert log_ratio(count, trials, high) == pytest.approx(edge, abs=1e-4)
    mirrored = confidence_sequence(trials - count, trials, confidence)
    assert mirrored == pytest.approx((1.0 - high, 1.0 - low), abs=1e-12)
    exact = clopper_pearson(count, trials, confidence)
    assert low <= exact[0] + 1e-12  # looking always costs width
    assert high >= exact[1] - 1e-12


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99, 0.999])
def test_all_looks_together_miss_the_truth_no_oftener_than_said(share):
    """1000 paths, a look after every trial up to 4000, at 90 %: misses of the exact interval
    pile up far beyond its 10 %; those of the sequence stay within it."""
    confidence, paths, length = 0.9, 1000, 4000
    random = np.random.Generator(np.random.Philox(17))
    counts = np.cumsum(random.random((paths, length)) < share, axis=1)
    trials = np.arange(1, length + 1)
    ratio = log_ratio(counts, trials, share)
    missed = (ratio >= -np.log(1.0 - confidence)).any(axis=1).mean()
    assert missed <= 0.1 + 3.0 * np.sqrt(0.09 / paths)
    row = int(ratio.max(axis=1).argmax())  # the same judged by the function itself
    column = int(ratio[row].argmax())
    low, high = confidence_sequence(int(counts[row, column]), column + 1, confidence)
    assert (low <= share <= high) == (ratio[row, column] < -np.log(1.0 - confidence))
    if share == 0.5:
        looks = range(99, length, 100)
        table = {
            (n, s): clopper_pearson(s, n, confidence)
            for n in (k + 1 for k in looks)
            for s in set(counts[:, n - 1].tolist())
        }
        naive = np.mean(
            [
                any(
                    not table[k + 1, int(path[k])][0] <= share <= table[k + 1, int(path[k])][1]
                    for k in looks
                )
                for path in counts
            ]
        )
        assert naive > 0.25


@pytest.mark.parametrize(("share", "target"), [(0.985, 0.99), (0.99, 0.985)])
def test_a_target_is_decided_wrongly_no_oftener_than_said(share, target):
    rule = StoppingRule(kind="target", confidence=0.9, share=target)
    random = np.random.Generator(np.random.Philox(23))
    reasons = []
    for _ in range(300):
        counts = np.cumsum(random.binomial(2048, share, 40))
        looks = (rule.look(int(c), 2048 * (k + 1)) for k, c in enumerate(counts))
        reasons.append(next((look.reason for look in looks if look is not None), "open"))
    wrong = "shown" if share < target else "refuted"
    right = "refuted" if share < target else "shown"
    assert reasons.count(wrong) / 300 <= 0.1
    assert reasons.count(right) > 270


def test_a_width_rule_stops_at_its_width_and_covers():
    rule = StoppingRule(kind="width", confidence=0.9, width=0.02)
    random = np.random.Generator(np.random.Philox(29))
    covered, at = 0, []
    for _ in range(200):
        counts = np.cumsum(random.binomial(2048, 0.9, 40))
        for k, count in enumerate(counts):
            found = rule.look(int(count), 2048 * (k + 1))
            if found is not None:
                break
        assert found is not None
        assert found.high - found.low <= 0.02
        covered += found.low <= 0.9 <= found.high
        at.append(found.trials)
    assert covered / 200 >= 0.9
    assert 2 * 2048 <= min(at) <= max(at) <= 20 * 2048


def chunks(*feasible):
    return [
        {Outcome.FEASIBLE: k, Outcome.VIOLATED: CHUNK_ROWS - 48 - k, Outcome.ERRED: 48}
        for k in feasible
    ]


@settings(deadline=None, max_examples=40)
@given(order=st.permutations(range(6)))
def test_the_order_in_which_chunks_arrive_changes_nothing(order):
    seen = chunks(1945, 1950, 1995, 1990, 2000, 0)
    rule = StoppingRule(kind="target", confidence=0.95, share=0.97)
    stopper = Stopper(rule=rule, chunks=6)
    for chunk in order:
        stopper.saw(chunk, seen[chunk])
    assert stopper.needed == 3
    assert stopper.decision is not None
    assert (stopper.decision.reason, stopper.decision.trials) == ("shown", 3 * 2000)
    assert stopper.missing([0, 2, 5]) == (1,)


def test_batches_end_with_the_chunk_that_decides():
    stopper = Stopper(rule=StoppingRule(kind="target", confidence=0.95, share=0.5), chunks=3)
    ranges = [(first, 1024) for first in range(0, 3 * CHUNK_ROWS, 1024)]
    done = []
    for first, _ in until_enough(ranges, stopper):
        done.append(first)
        if first == 1024:
            stopper.saw(0, chunks(1990)[0])
    assert done == [0, 1024]


def test_without_a_rule_nothing_stops():
    stopper = Stopper(rule=None, chunks=2)
    stopper.saw(0, chunks(1)[0])
    assert (stopper.needed, stopper.figures()) == (2, None)
    assert StoppingRule.of({"stop": None, "confidence": 0.9}) is None
    rule = StoppingRule.of({"stop": {"kind": "width", "width": 0.1}, "confidence": 0.9})
    assert rule == StoppingRule(kind="width", confidence=0.9, width=0.1)
    stop = {"kind": "target", "share": 0.97, "confidence": 0.99}
    rule = StoppingRule.of({"stop": stop, "confidence": 0.9})
    assert rule == StoppingRule(kind="target", confidence=0.99, share=0.97, width=1.0)


@pytest.mark.parametrize(("count", "trials", "confidence"), [(2, 1, 0.9), (0, 1, 1.0)])
def test_what_cannot_be_is_refused(count, trials, confidence):
    with pytest.raises(ValueError, match="must lie"):
        confidence_sequence(count, trials, confidence)
