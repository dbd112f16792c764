"""What may be claimed of a search that did not come to its end, and of a plan moved after it."""

from dataclasses import replace

import highspy
import numpy as np
import pytest
from gridproof.optimizer.network.first_stage import FirstStage
from gridproof.optimizer.network.network import Network
from gridproof.optimizer.partitioning.centring import centre
from gridproof.optimizer.partitioning.options import PartitioningOptions
from gridproof.optimizer.partitioning.planner import PartitioningPlanner
from gridproof.optimizer.separation import worst_case
from gridproof.optimizer.separation.affine import affine_bound
from gridproof.optimizer.separation.island_recourse import TOLERANCE, IslandRecourse
from gridproof.optimizer.separation.islands import IslandSeparation
from gridproof.optimizer.separation.region import Region
from gridproof.optimizer.separation.worst_case import bracket
from gridproof.optimizer.solver.decomposition import Outcome, Worst
from gridproof.optimizer.solver.solve import Arrays, _bound, solve_arrays
from gridproof.scenarios.proof import Termination
from scipy import sparse

_STATUS = highspy.HighsModelStatus


def _plan(scenario, **options):
    return PartitioningPlanner(options=PartitioningOptions(**options)).plan(scenario)


# ------------------------------------------------------------------------ what HiGHS ended with


@pytest.mark.parametrize(
    ("status", "dual", "bound"),
    [
        (_STATUS.kOptimal, None, 7.0),
        (_STATUS.kModelEmpty, None, 7.0),
        (_STATUS.kOptimal, 6.5, 6.5),  # within the gap asked for
        (_STATUS.kOptimal, 7.5, 7.0),  # rounding: no bound lies above what was found
        (_STATUS.kTimeLimit, 3.0, 3.0),
        (_STATUS.kTimeLimit, -np.inf, -np.inf),
        (_STATUS.kTimeLimit, None, -np.inf),  # a linear program cut short proves nothing
        (_STATUS.kInterrupt, None, -np.inf),
        (_STATUS.kIterationLimit, None, -np.inf),
        (_STATUS.kSolutionLimit, 2.0, 2.0),
        (_STATUS.kInfeasible, None, np.inf),
        (_STATUS.kInfeasible, 3.0, np.inf),
    ],
)
def test_only_a_proof_is_a_bound(status, dual, bound):
    assert _bound(status, 7.0, dual) == bound


def _market_split(rows=4, columns=30):
    """Equations with slack: an incumbent in no time, and no proof for a very long one."""
    rng = np.random.default_rng(3)
    weight = rng.integers(0, 100, (rows, columns)).astype(float)
    matrix = np.hstack([weight, np.eye(rows), -np.eye(rows)])
    right = np.floor(weight.sum(axis=1) / 2.0)
    size = matrix.shape[1]
    return Arrays(
        cost=np.concatenate([np.zeros(columns), np.ones(2 * rows)]),
        constant=0.0,
        matrix=sparse.csc_array(matrix),
        row_lower=right,
        row_upper=right,
        lower=np.zeros(size),
        upper=np.concatenate([np.ones(columns), np.full(2 * rows, np.inf)]),
        integer=np.arange(size) < columns,
    )


def test_a_time_limit_with_something_found_leaves_its_gap():
    answer, values = solve_arrays(_market_split(), time_limit_s=0.3)
    assert answer.termination is Termination.TIME_LIMIT
    assert answer.found
    assert np.isfinite(values).all()
    assert answer.bound < answer.incumbent
    assert answer.gap > 1e-3


# --------------------------------------------------------------------------------- affine rules


@pytest.mark.parametrize("seed", range(5))
def test_a_rule_that_must_pass_a_limit_promises_no_cost(random_scenario, seed):
    """Nominal plans at ±50 %: where some vertex cannot be served, no rule can keep all limits."""
    scenario = random_scenario(seed, spread=0.5, uncertain=3)
    stage, network = FirstStage.of(_plan(scenario, method="nominal")), Network.of(scenario)
    for blocks in stage.islands(scenario):
        recourse = IslandRecourse(network, stage, blocks)
        region = Region.whole(recourse.size)
        most = max(recourse.value(z).violation for z in region.vertices())
        rule = affine_bound(
            recourse,
            region,
            features=np.eye(recourse.size),
            start=np.zeros((0, recourse.size)),
            time_limit_s=20.0,
        )
        if most > 10.0 * TOLERANCE:
            assert np.isinf(rule.cost_usd)
            assert rule.broken >= most - TOLERANCE


def test_some_of_those_limits_must_be_passed(random_scenario):
    passed = 0
    for seed in range(5):
        scenario = random_scenario(seed, spread=0.5, uncertain=3)
        stage = FirstStage.of(_plan(scenario, method="nominal"))
        oracle = IslandSeparation(network=Network.of(scenario), kind="enumeration")
        passed += oracle.worst(stage, time_limit_s=60.0).violation > 10.0 * TOLERANCE
    assert passed


# -------------------------------------------------------------------------- halving to the end


@pytest.mark.parametrize("budget", [None, 2.0, 2.5])
def test_corners_of_small_parts_are_tried_themselves(random_scenario, monkeypatch, budget):
    """With nobody else to find the worst, it is found where halving ends."""
    monkeypatch.setattr(worst_case, "FEW_VERTICES", 0)
    monkeypatch.setattr(worst_case, "_FEW_LEFT", 2)
    monkeypatch.setattr(worst_case, "search", lambda *_: None)
    monkeypatch.setattr(worst_case, "climb", lambda *_: None)
    tried = 0
    for seed in range(2):
        scenario = random_scenario(seed, spread=0.2, uncertain=4)
        network, stage = Network.of(scenario), FirstStage.of(_plan(scenario))
        for blocks in stage.islands(scenario):
            recourse = IslandRecourse(network, stage, blocks)
            if recourse.size <= 2:
                continue
            region = Region.whole(recourse.size, budget)
            truth = max(recourse.value(z).cost_usd for z in region.vertices())
            found = bracket(recourse, region, tolerance_usd=0.01, time_limit_s=60.0)
            assert found.cost_usd == pytest.approx(truth, rel=1e-6, abs=1e-2)
            assert truth - 1e-3 <= found.bound_usd <= truth + 0.02
            tried += 1
    assert tried


# ------------------------------------------------------------------- centring and its new proof


class Verdicts:
    """An oracle that says what it is told to of each candidate in turn, the last for ever."""

    def __init__(self, truth, *said):
        self.truth, self.said, self.asked = truth, list(said), []

    def first_stage_usd(self, candidate):
        return self.truth.first_stage_usd(candidate)

    def worst(self, candidate, *, time_limit_s):
        self.asked.append(candidate)
        say = self.said.pop(0) if len(self.said) > 1 else self.said[0]
        return say(self.truth.worst(candidate, time_limit_s=time_limit_s))


def _as_it_is(worst):
    return worst


_REFUSALS = {
    "cannot be served": lambda w: replace(
        w, cost_usd=np.inf, violation=1.0, complete=False, bound_usd=np.inf
    ),
    "settled by nobody": lambda w: replace(w, complete=False),
    "costs more": lambda w: Worst(zeta=w.zeta, cost_usd=w.cost_usd + 50.0, violation=0.0),
    "may cost more": lambda w: replace(w, bound_usd=w.certain_usd + 50.0),
}


def _searched(random_scenario, seed=0):
    scenario = random_scenario(seed, spread=0.2, uncertain=3)
    network = Network.of(scenario)
    plan = _plan(scenario, centre=False, gap=1e-6)
    truth = IslandSeparation(network=network, kind="enumeration")
    stage = FirstStage.of(plan)
    worst = truth.worst(stage, time_limit_s=60.0)
    return network, truth, Outcome(candidate=stage, worst=worst, proof=plan.proof)


@pytest.mark.parametrize("refusal", _REFUSALS)
def test_a_centred_plan_that_is_not_proven_anew_is_not_taken(random_scenario, refusal):
    network, truth, outcome = _searched(random_scenario)
    oracle = Verdicts(truth, _REFUSALS[refusal])
    kept = [np.ones(3), -np.ones(3)]
    assert centre(network, oracle, outcome, kept, time_limit_s=60.0) is outcome
    assert oracle.asked


def test_a_gap_that_was_asked_for_does_not_let_a_dearer_plan_in(random_scenario):
    """A bracket may be as wide as was asked; what a realization was found to cost may not."""
    network, truth, outcome = _searched(random_scenario)
    outcome = replace(outcome, proof=replace(outcome.proof, asked_gap=0.5))
    dearer = Verdicts(
        truth, lambda w: Worst(zeta=w.zeta, cost_usd=w.cost_usd + 50.0, violation=0.0)
    )
    wider = Verdicts(truth, lambda w: replace(w, bound_usd=w.certain_usd + 50.0))
    kept = [np.ones(3), -np.ones(3)]
    assert centre(network, dearer, outcome, kept, time_limit_s=60.0) is outcome
    assert centre(network, wider, outcome, kept, time_limit_s=60.0) is not outcome


def test_one_that_is_proven_is_taken_with_its_own_worst_case(random_scenario):
    network, truth, outcome = _searched(random_scenario)
    oracle = Verdicts(truth, _as_it_is)
    centred = centre(network, oracle, outcome, [np.ones(3), -np.ones(3)], time_limit_s=60.0)
    assert centred is not outcome
    assert any(centred.candidate is one for one in oracle.asked)
    again = truth.worst(centred.candidate, time_limit_s=60.0)
    total = truth.first_stage_usd(centred.candidate) + again.cost_usd
    assert again.violation == 0.0
    assert centred.proof.incumbent == pytest.approx(total, rel=1e-9)


@pytest.mark.slow
def test_another_der_forms_only_where_that_is_proven(networked):
    """The least of the DERs forms; a larger one would, but nobody proves it."""
    scenario = networked(0.10)
    network = Network.of(scenario)
    truth = IslandSeparation(network=network)
    plan = _plan(scenario, centre=False)
    stage = FirstStage.of(plan)
    live = stage.energized[network.block[network.der_bus]] & scenario.ders.can_form
    rating = np.where(live, scenario.ders.p_max_kw.sum(axis=1), np.inf)
    stage = replace(
        stage,
        forming=np.arange(len(rating)) == np.argmin(rating),
        source_w=np.full(len(rating), stage.source_w[stage.forming][0]),
    )
    assert len(stage.islands(scenario)) == 1
    worst = truth.worst(stage, time_limit_s=60.0)
    outcome = Outcome(candidate=stage, worst=worst, proof=plan.proof)
    kept = [np.ones(scenario.uncertainty.size), -np.ones(scenario.uncertainty.size)]

    proven = Verdicts(truth, _as_it_is)
    swapped = centre(network, proven, outcome, kept, time_limit_s=60.0)
    assert (swapped.candidate.forming != stage.forming).any()  # otherwise nothing is tried below
    for refusal in ("cannot be served", "may cost more"):
        refused = Verdicts(truth, _as_it_is, _REFUSALS[refusal])
        stayed = centre(network, refused, outcome, kept, time_limit_s=60.0)
        assert (refused.asked[-1].forming != stage.forming).any(), refusal
        np.testing.assert_array_equal(stayed.candidate.forming, stage.forming)
