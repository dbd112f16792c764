"""Energy not served and violations by kind: against the rows themselves, whole and in chunks."""

import numpy as np
import pyarrow as pa
import pytest
from gridproof.federation.records.losses import KindCounts, TriedRedispatch, UnservedEnergy
from gridproof.federation.records.rows import rows_of, with_kinds
from gridproof.federation.statistics.shares import clopper_pearson
from gridproof.scenarios.verdict import MarginKind, Outcome


@pytest.fixture(scope="module")
def batch(tiny_scenario, tiny_plan, made_up_batch):
    """A made-up batch with every outcome, as rows and as verdicts; block 0 of 3 is dark."""
    scenario = tiny_scenario()
    plan = tiny_plan(scenario, [False, True], [False, True, True], [False, True])
    drawn, _, snapshots, verdicts = made_up_batch(scenario, plan, 0, 900)
    return rows_of(scenario, plan, drawn, snapshots, verdicts).table(), verdicts, drawn, snapshots


def pieces(table, size=137):
    return [table.slice(start, size) for start in range(0, table.num_rows, size)]


def test_unserved_is_all_of_a_lost_realization_and_the_dark_part_of_a_good_one(batch):
    table, verdicts, drawn, snapshots = batch
    energy = UnservedEnergy(hours=8.0)
    for piece in pieces(table):
        energy.add(piece)
    demand = drawn.p_kw[:, 0].sum(axis=(1, 2))
    good = verdicts.outcome == Outcome.FEASIBLE
    judged = verdicts.outcome != Outcome.ERRED
    assert good.any()
    assert (~judged).any()
    lost = np.where(good, demand - snapshots.delivered_kw, demand)[judged]
    found = energy.figures()
    assert found.horizon_h == 8.0
    assert found.expected_unserved_kwh == pytest.approx(8.0 * lost.mean(), rel=1e-12)
    error = 8.0 * lost.std(ddof=1) / np.sqrt(len(lost))
    assert found.standard_error_kwh == pytest.approx(error, rel=1e-9)
    dark = (demand - snapshots.delivered_kw)[good].mean()
    assert found.shed_by_plan_kwh == pytest.approx(8.0 * dark, abs=1e-9)
    assert found.demand_kwh == pytest.approx(8.0 * demand[judged].mean(), rel=1e-12)
    assert found.unserved_share == pytest.approx(lost.mean() / demand[judged].mean())


def test_kinds_count_once_for_every_limit_violated(batch):
    table, verdicts, _, _ = batch
    counts = KindCounts()
    for piece in pieces(with_kinds(table, [f"margin_{kind.value}" for kind in MarginKind])):
        counts.add(piece)
    found = counts.shares(lambda k, n: clopper_pearson(k, n, 0.9))
    solved = np.isin(verdicts.outcome, [Outcome.FEASIBLE, Outcome.VIOLATED])
    for k, kind in enumerate(MarginKind):
        count = int((verdicts.margin[solved, k] < -1e-6).sum())
        assert found[kind.value].count == count
        assert found[kind.value].solved == int(solved.sum())
        assert found[kind.value].interval == clopper_pearson(count, int(solved.sum()), 0.9)
    assert found["voltage"].count > 0
    assert found["transformer"].count == 0
    violated = int((verdicts.outcome == Outcome.VIOLATED).sum())
    assert sum(kind.count for kind in found.values()) >= violated > 0


def test_nothing_tried_says_nothing():
    assert UnservedEnergy(hours=1.0).figures().expected_unserved_kwh is None
    assert KindCounts().shares(lambda _, __: (0.0, 1.0))["ramp"].share is None
    rows = pa.table({"outcome": ["erred"], "load_kw": [3.0], "served_kw": [3.0]})
    energy = UnservedEnergy(hours=1.0)
    energy.add(rows)
    assert energy.figures().demand_kwh is None


def test_tried_redispatch_is_what_every_der_moved_at_its_price(batch, tiny_scenario, tiny_plan):
    table, verdicts, _, snapshots = batch
    plan = tiny_plan(tiny_scenario(), [False, True], [False, True, True], [False, True])
    moved = np.abs(snapshots.der_p_kw - plan.p_kw[0]).sum(axis=(1, 2))
    cost = dict(zip(snapshots.index.tolist(), (0.02 * moved).tolist(), strict=True))
    solved = np.isin(verdicts.outcome, [Outcome.FEASIBLE, Outcome.VIOLATED])
    wanted = np.array([cost[k] for k in verdicts.index[solved].tolist()])
    tried = TriedRedispatch(policy="linear")
    for piece in pieces(table):
        tried.add(piece)
    found = tried.figures()
    assert (found.policy, found.count) == ("linear", len(wanted))
    assert found.mean_usd == pytest.approx(wanted.mean(), rel=1e-12)
    assert found.most_usd == pytest.approx(wanted.max(), rel=1e-12)


def test_parts_without_the_column_and_no_rows_say_nothing_of_redispatch(batch):
    tried = TriedRedispatch(policy="fixed")
    tried.add(batch[0].drop_columns(["redispatch_usd"]))
    tried.add(batch[0].slice(0, 0))
    nothing = {"policy": "fixed", "count": 0, "mean_usd": None, "most_usd": None}
    assert tried.figures().to_json() == nothing
