"""Network rows that are said to hold over a set are held by an engine that shares no code."""

from dataclasses import replace

import numpy as np
import pytest
from gridproof.federation.studies.study import load_study
from gridproof.federation.trial.trial import Trial
from gridproof.optimizer.policy_mode.hedge import hedge
from gridproof.optimizer.policy_mode.options import PolicyModeOptions
from gridproof.optimizer.policy_mode.planner import (
    PolicyModePlanner,
    disturbance_of,
    log_of,
    settings_of,
)
from gridproof.optimizer.recourse.policies import make_recourse
from gridproof.scenarios.curves import Curves
from gridproof.scenarios.errors import ScenarioError
from gridproof.scenarios.realization import realize
from gridproof.scenarios.verdict import MarginKind
from gridproof.simulator.linear.engine import LinearEngine

KINDS = list(MarginKind)
STEPS = (0, 8, 12, 15, 19)  # at 8 and 15 h inverters are full of reactive power


def planned(mode, **options):
    study = load_study("ieee123-policy-modes", [f'events.mode="{mode}"'])
    asked = PolicyModeOptions(**options)
    return study.scenario, asked, PolicyModePlanner(options=asked).plan(study.scenario)


@pytest.fixture(scope="module")
def affine():
    return planned("forecast")


def worst_of_the_set(scenario, asked, count):
    """(draw, component) maximisers of the set in random directions, its axes among them."""
    held = hedge(asked.method, log_of(scenario), disturbance_of(scenario).shape, settings_of(asked))
    m, rng = len(scenario.disturbances.ids), np.random.default_rng(8)
    axes = np.vstack([np.eye(m), -np.eye(m), np.ones(m), -np.ones(m)])
    directions = np.vstack([axes, rng.normal(size=(count - len(axes), m))])
    return np.array([held.shape.support(one).zeta for one in directions])


def margins(scenario, plan, w, step, recourse="rule"):
    batch = plan.asked(realize(scenario, w, step=step), scenario)
    trial = Trial(LinearEngine(scenario), scenario, plan)
    trial.enter(step, batch.index)
    answer = make_recourse(recourse, plan, scenario, step).respond(batch)
    snapshots, verdicts = trial.observe(batch, answer)
    return snapshots, dict(zip(KINDS, verdicts.margin.T, strict=True))


def test_every_row_holds_at_the_worst_of_the_set(affine):
    scenario, asked, plan = affine
    assert plan.proof.robust
    assert plan.proof.over.startswith("reserves and network over the Wasserstein set over 4")
    _all_held(scenario, asked, plan)


@pytest.mark.slow  # a plan of ten components; `affine` is its twin
def test_every_row_holds_where_loads_are_curtailed_and_machines_are_attacked():
    scenario, asked, plan = planned("cyber")
    assert plan.partial_ids
    _all_held(scenario, asked, plan)


def _all_held(scenario, asked, plan):
    w = worst_of_the_set(scenario, asked, 120)
    for step in STEPS:
        _, found = margins(scenario, plan, w, step)
        assert (found[MarginKind.VOLTAGE] >= asked.v_margin_pu - 1e-5).all()
        for kind in (MarginKind.CURRENT, MarginKind.TRANSFORMER):
            assert (found[kind] >= 0.0).all()
        for kind in (MarginKind.RESERVE, MarginKind.CAPABILITY, MarginKind.ENERGY):
            assert (found[kind] >= -1e-5).all(), (kind, step)


def test_what_lies_well_outside_the_set_is_not_held(affine):
    """So that the test above could fail: the rows are as tight as the set asks for."""
    scenario, asked, plan = affine
    w = np.clip(
        3.0 * worst_of_the_set(scenario, asked, 120),
        scenario.disturbances.lower_kw,
        scenario.disturbances.upper_kw,
    )
    least = min(margins(scenario, plan, w, step)[1][MarginKind.RESERVE].min() for step in STEPS)
    assert least < -1e-3


def test_set_points_are_those_of_the_flow_they_stand_for(affine):
    """Nominal power, reactive power and voltage of the forming unit, solved by the engine."""
    scenario, _, plan = affine
    former = int(np.flatnonzero(plan.grid_forming[0])[0])
    still = np.zeros((1, len(scenario.disturbances.ids)))
    for step in STEPS:
        snapshots, _ = margins(scenario, plan, still, step)
        p, q = snapshots.der_p_kw[0, former].sum(), snapshots.der_q_kvar[0, former].sum()
        assert p == pytest.approx(plan.p_kw[step, former].sum(), abs=1e-3)
        assert q == pytest.approx(plan.q_kvar[step, former].sum(), abs=1e-2)


def test_a_loss_that_others_answer_leaves_the_forming_unit_where_it_was(affine):
    """``Σ_i A_ij = 1`` and balanced followers: the engine finds what the rule says of it."""
    scenario, asked, plan = affine
    former = int(np.flatnonzero(plan.grid_forming[0])[0])
    w = worst_of_the_set(scenario, asked, 40)
    sun = [k for k, name in enumerate(scenario.disturbances.ids) if name.startswith("pv_")]
    w[:, sun] = np.maximum(w[:, sun], 0.0)  # of more sun an inverter gives what it carries
    for step in STEPS:
        snapshots, _ = margins(scenario, plan, w, step)
        own = plan.rule.gain[step, former] @ w.T
        moved = snapshots.der_p_kw[:, former].sum(axis=1) - plan.p_kw[step, former].sum()
        # a machine lost at its own bus would come on top; in this mode none can be
        np.testing.assert_allclose(moved, own, atol=1e-3)


def bound_by(scenario, ids, points):
    """Capability curves of some DERs, all alike in shares of their rating, in place of bands."""
    ders = scenario.ders
    at = [ders.ids.index(name) for name in ids]
    rated = np.where(np.isfinite(ders.s_max_kva), ders.s_max_kva, 0.0).sum(axis=1)
    p, low, high = np.array(points).T
    curves = Curves(
        der=np.repeat(at, len(points)),
        p_kw=np.concatenate([rated[g] * p for g in at]),
        q_min_kvar=np.concatenate([rated[g] * low for g in at]),
        q_max_kvar=np.concatenate([rated[g] * high for g in at]),
    )
    return replace(scenario, ders=replace(ders, curves=curves))


CASES = {
    "sun and machines by a power factor": (
        "forecast", ("dg47", "dg49", "dg76", "pv28", "pv42"), None,
    ),
    "one that falls with power, storages among them": (
        "forecast", ("pv60", "dg65", "store13"),
        [(-1.0, -0.5, 0.3), (0.2, -0.5, -0.06), (1.0, -0.5, -0.4)],
    ),
    "machines that trip": (
        "cyber", ("dg47", "dg65", "store13"), [(-1.0, -0.2, 0.0), (1.0, 0.0, 0.3)],
    ),
    "the one that forms": ("forecast", ("dg76",), [(0.0, 0.0, 0.05), (1.0, -0.1, 0.3)]),
}  # fmt: skip


@pytest.mark.parametrize(
    "case",
    [*list(CASES)[:1], *(pytest.param(one, marks=pytest.mark.slow) for one in list(CASES)[1:])],
)
def test_what_binds_reactive_to_active_power_holds_at_the_worst_of_the_set(affine, case):
    mode, ids, points = CASES[case]
    if mode == "forecast":
        free, asked, before = affine
    else:
        study = load_study("ieee123-policy-modes", [f'events.mode="{mode}"'])
        free, asked, before = study.scenario, PolicyModeOptions(), None
    scenario = bound_by(free, ids, points or [(0.0, 0.0, 0.0), (1.0, -0.33, 0.33)])
    if points is None:
        factor = np.where(np.isin(free.ders.ids, ids), 0.33, np.inf)
        scenario = replace(free, ders=replace(free.ders, q_per_p=factor))
    plan = PolicyModePlanner(options=asked).plan(scenario)
    assert plan.proof.robust
    w = worst_of_the_set(scenario, asked, 60)
    found = [margins(scenario, plan, w, step)[1][MarginKind.CAPABILITY].min() for step in STEPS]
    assert min(found) >= -1e-5
    if before is not None:
        assert plan.costs["objective"] > before.costs["objective"]
        found = [margins(scenario, before, w, step)[1][MarginKind.CAPABILITY] for step in (0, 12)]
        assert np.min(found) < -1e-3


def test_without_a_network_it_is_refused_by_name(affine):
    scenario = bound_by(affine[0], ("dg65",), [(0.0, -0.1, 0.1), (1.0, -0.1, 0.1)])
    with pytest.raises(ScenarioError, match=r"capability of DER dg65 .*copperplate"):
        PolicyModePlanner(options=PolicyModeOptions(network="copperplate")).plan(scenario)


def test_what_is_not_proven_is_not_said_to_be(affine):
    scenario, asked, plan = affine
    _, _, cheap = planned("forecast", method="deterministic", response="shared")
    assert not cheap.proof.robust
    assert cheap.proof.over == ""
    assert cheap.costs["objective"] < plan.costs["objective"]
    w = worst_of_the_set(scenario, asked, 20)
    assert (margins(scenario, cheap, w, 12)[1][MarginKind.RESERVE] < 0.0).any()
