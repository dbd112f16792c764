"""The planner's equations for every winding: those of the linear engine, and nothing to gain.

A delta leaves a current free that no terminal shows. A planner that may choose it moves
power between phases for nothing: its plan then differs from the flow that its own
set-points bring about.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pyomo.environ as pyo
import pytest
from gridproof.optimizer.network.angles import _add_near_zero, add_zero_sequence
from gridproof.optimizer.network.branches import BASE_KVA
from gridproof.optimizer.network.decisions import Decisions
from gridproof.optimizer.network.first_stage import FirstStage
from gridproof.optimizer.network.network import Network
from gridproof.optimizer.network.statemap import island_state
from gridproof.optimizer.partitioning.options import PartitioningOptions
from gridproof.optimizer.partitioning.planner import PartitioningPlanner
from gridproof.optimizer.recourse.policies import make_recourse
from gridproof.optimizer.recourse.slopes import with_slopes
from gridproof.scenarios.errors import ScenarioError
from gridproof.scenarios.fleet import Ders
from gridproof.scenarios.limits import Limits
from gridproof.scenarios.load_models import LoadModel
from gridproof.scenarios.realization import draw, realize
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.setpoints import Setpoints
from gridproof.scenarios.sets import Box
from gridproof.scenarios.verdict import Outcome, judge
from gridproof.simulator.linear.engine import LinearEngine
from winding_cases import OTHERS, PAIRS


def _scenario(feeder, *buses, uncertain=("n1",), switch="l1"):
    """DERs at some buses, the first alone able to form; one line may be switched."""
    count, loads = len(buses), len(feeder.loads.ids)
    most = np.full((count, 3), 200.0)
    lines = feeder.lines
    moves = np.array([name == switch for name in lines.ids])
    feeder = replace(feeder, lines=replace(lines, switchable=moves))
    return Scenario(
        name="windings",
        feeder=feeder,
        ders=Ders(
            ids=tuple(f"g{k}" for k in range(count)),
            bus=np.array([feeder.buses.ids.index(bus) for bus in buses]),
            phases=np.ones((count, 3), bool),
            p_min_kw=-most,
            p_max_kw=most,
            q_min_kvar=-most,
            q_max_kvar=most,
            s_max_kva=np.full((count, 3), np.inf),
            ramp_kw=0.5 * most,
            ramp_kvar=0.5 * most,
            cost_usd_per_kw=np.arange(count, 0.0, -1.0),  # followers are cheaper
            redispatch_cost_usd_per_kw=np.arange(count, 0.0, -1.0),
            can_form=np.arange(count) == 0,
        ),
        hours=np.zeros(1),
        load_p_kw=feeder.loads.p_kw[None],
        load_q_kvar=feeder.loads.q_kvar[None],
        load_model=(LoadModel.CONSTANT_POWER,) * loads,
        uncertainty=Box(load_ids=uncertain, spread=np.full(len(uncertain), 0.2)),
        limits=Limits(v_min_pu=0.9, v_max_pu=1.1),
        locked=np.zeros(int(moves.sum()), bool),
        shed_usd=np.full(len(feeder.blocks.ids), 1e5),
    )


def _plan(scenario):
    return PartitioningPlanner(options=PartitioningOptions()).plan(scenario)


def _seen(scenario, plan, realizations, setpoints=None):
    count = len(realizations)
    engine = LinearEngine(scenario)
    engine.hold(plan)
    return engine.observe(
        realizations,
        setpoints
        or Setpoints(
            index=realizations.index,
            found=np.ones(count, bool),
            p_kw=np.repeat(plan.p_kw, count, axis=0),
            q_kvar=np.repeat(plan.q_kvar, count, axis=0),
            source_v_pu=np.repeat(plan.source_v_pu, count, axis=0),
        ),
    )


def _nominal(scenario):
    return realize(scenario, np.zeros((1, scenario.uncertainty.size)))


# an unloaded far side is a case of its own only where a delta hangs on a wye
TELLING = [name for name in PAIRS if name.endswith("loaded") or name.startswith("yd")]


@pytest.mark.parametrize("name", [*TELLING, *OTHERS])
def test_a_plan_is_the_flow_it_brings_about(winding_feeder, name):
    scenario = _scenario(winding_feeder(name), "n")
    plan = _plan(scenario)
    assert plan.energized.all()
    assert plan.closed.all()
    seen = _seen(scenario, plan, _nominal(scenario))
    assert seen.converged.all()
    np.testing.assert_allclose(plan.p_kw[0], seen.der_p_kw[0], atol=1e-3)
    np.testing.assert_allclose(plan.q_kvar[0], seen.der_q_kvar[0], atol=1e-3)
    _same_state(scenario, plan, seen)


def _same_state(scenario, plan, seen):
    network, stage = Network.of(scenario), FirstStage.of(plan)
    (blocks,) = stage.islands(scenario)
    state = island_state(network, stage, blocks)
    at = state.controls.T
    u = np.concatenate([s[at[0], at[1]] for s in (plan.p_kw[0], plan.q_kvar[0])]) / BASE_KVA
    w = state.w.constant + state.w.of_u @ u
    np.testing.assert_allclose(np.sqrt(w), seen.v_pu[0][tuple(state.nodes.T)], atol=1e-7)
    made = (state.der_p.constant + state.der_p.of_u @ u) * BASE_KVA
    np.testing.assert_allclose(made, seen.der_p_kw[0][tuple(state.outputs.T)], atol=1e-3)
    assert len(state.nodes) == np.isfinite(seen.v_pu[0]).sum()


@pytest.mark.parametrize("name", [name for name in TELLING if name[:2] in ("yd", "yy")])
def test_the_same_from_the_far_side(winding_feeder, name):
    """Former behind the unit: loads on the wye side, one-phase ones too, are fed backwards."""
    scenario = _scenario(winding_feeder(name), "f")
    plan = _plan(scenario)
    assert plan.energized.all()
    seen = _seen(scenario, plan, _nominal(scenario))
    np.testing.assert_allclose(plan.p_kw[0], seen.der_p_kw[0], atol=1e-3)
    _same_state(scenario, plan, seen)


@pytest.mark.parametrize("name", [name for name in TELLING if name[:2] == "dy"])
def test_one_phase_loads_behind_a_delta_are_not_called_served(winding_feeder, name):
    """Fed from the wye, the delta's side has no neutral, and nothing there evens loads out."""
    scenario = _scenario(winding_feeder(name), "f")
    assert not _plan(scenario).energized[0, scenario.feeder.blocks.of_bus[scenario.ders.bus[0]]]


@pytest.mark.parametrize("name", ["yd-unit-lag-loaded", "yd-bank-lead-loaded"])
def test_a_der_behind_a_delta_keeps_its_currents_balanced(winding_feeder, name):
    """A cheaper DER on the floating side, in the plan and in every answer to a draw."""
    scenario = _scenario(winding_feeder(name), "n", "m", uncertain=("n1", "n2", "ab", "abc"))
    plan = _plan(scenario)
    draws = draw(scenario, 5, 0, 40)
    setpoints = make_recourse("linear", plan, scenario).respond(draws)
    assert setpoints.found.all()
    a = np.exp(-2j * np.pi / 3 * np.arange(3))
    for p, q in (
        (plan.p_kw[:, 1], plan.q_kvar[:, 1]),
        (setpoints.p_kw[:, 1], setpoints.q_kvar[:, 1]),
    ):
        assert np.abs(p).max() > 1.0
        assert np.abs((p - 1j * q) @ a).max() < 0.05  # kVA: three currents sum to zero
    seen = _seen(scenario, plan, draws, setpoints)
    assert (judge(seen, plan, scenario).outcome == Outcome.FEASIBLE).all()


def test_a_phase_that_the_former_does_not_reach_is_named(winding_feeder):
    scenario = _scenario(winding_feeder("yy-unit-lag-loaded"), "n")
    plan = _plan(scenario)
    one_phase = replace(
        scenario, ders=replace(scenario.ders, phases=np.array([[True, False, False]]))
    )
    network, stage = Network.of(one_phase), FirstStage.of(plan)
    (blocks,) = stage.islands(one_phase)
    with pytest.raises(ScenarioError, match="phase b of bus n, where a load stands; DER g0 forms"):
        island_state(network, stage, blocks)


def test_two_formers_may_stand_on_both_sides_of_a_grounding_bank(winding_feeder):
    """Angles are held apart from each other by no former: only within its own three phases."""
    scenario = _scenario(winding_feeder("yd-unit-lag-loaded"), "n", "f")
    scenario = replace(
        scenario,
        ders=replace(scenario.ders, can_form=np.ones(2, bool), p_max_kw=np.full((2, 3), 40.0)),
        limits=replace(scenario.limits, grid_forming_per_island=2),
    )
    plan = _plan(scenario)
    assert plan.energized.all()
    assert plan.p_kw.sum() == pytest.approx(scenario.load_p_kw.sum(), abs=1e-3)


# ------------------------------------------------------------------------------- rows over angles


def _admits(b, **values):
    """Whether the rows over angles hold at values of the variables; tolerance for rounding."""
    for name, by_index in values.items():
        for index, value in by_index.items():
            getattr(b, name)[index].set_value(value)
    return all(
        (row.lower is None or pyo.value(row.body) >= pyo.value(row.lower) - 1e-9)
        and (row.upper is None or pyo.value(row.body) <= pyo.value(row.upper) + 1e-9)
        for row in b.angle.values()
    )


def test_angles_are_equal_where_a_decision_holds_and_as_free_as_their_bounds_where_not():
    b = pyo.ConcreteModel()
    b.theta = pyo.Var(range(2), bounds=(-0.5, 0.5))
    b.holds = pyo.Var([0], domain=pyo.Binary)
    b.angle = pyo.ConstraintList()
    _add_near_zero(b, b.theta[0] - b.theta[1], b.holds[0])
    wide = np.linspace(-0.5, 0.5, 11).tolist()
    for one, other, holds in product(wide, wide, (0, 1)):
        assert _admits(b, theta={0: one, 1: other}, holds={0: holds}) == (not holds or one == other)


@pytest.fixture
def side_by_side(winding_feeder):
    """Network of two unlike units on one phase, their branches, and ``z`` of each per unit."""
    network = Network.of(_scenario(winding_feeder("side by side"), "n"))
    where = {branch.name: e for e, branch in enumerate(network.branches)}
    z = {"a": (0.008 + 0.03j) * BASE_KVA / 100.0, "b": (0.008 + 0.05j) * BASE_KVA / 50.0}
    return network, [where[f"transformer {unit}"] for unit in "ab"], z


def _angle_rows(network, live):
    b = pyo.ConcreteModel()
    b.w = pyo.Var([])
    b.p, b.q = (pyo.Var([(e, 0) for e in live]) for _ in range(2))
    decisions = Decisions(closed={}, energized={}, forming={0: 0}, source_w={})
    add_zero_sequence(b, network, decisions, live, None)
    return b


def test_windings_side_by_side_fall_alike_whatever_else_is_dead(side_by_side):
    """``z_a i_a = z_b i_b``: its imaginary part is the row, its real part the voltage's."""
    network, (a, other), z = side_by_side
    assert 0 not in (a, other)
    b = _angle_rows(network, [a, other])
    for s in (0.3 + 0.1j, -0.2 + 0.4j):
        shared = np.conj(z["a"] / z["b"]) * s
        for second, holds in ((shared, True), (s, False), (1.01 * shared, False), (0.0, False)):
            flows = {(a, 0): s, (other, 0): complex(second)}
            p, q = ({k: getattr(v, part) for k, v in flows.items()} for part in ("real", "imag"))
            assert _admits(b, p=p, q=q) == holds


def test_a_winding_alone_need_not_fall_like_its_dead_twin(side_by_side):
    network, units, _ = side_by_side
    for alone in units:
        assert len(_angle_rows(network, [0, alone]).angle) == 0


# ------------------------------------------------------------------------------ slopes of losses


def _line_losses(u, v_pu):
    """(phase,) ``s_a = Σ_b Z_ab i_b conj(i_a)`` of the line from n to s, ``i = conj(u / v)``."""
    z1, z0 = 0.2 + 0.4j, 0.5 + 1.1j  # ohm, as the cases' first line is written
    z = (np.eye(3) * z1 + (z0 - z1) / 3.0) / (12.47**2 / 3.0 / (BASE_KVA / 1000.0))
    i = np.conj(u / (v_pu * np.exp(-2j * np.pi / 3 * np.arange(3))))
    return (z @ i) * np.conj(i)


@pytest.mark.parametrize("name", ["side by side", "dy-unit-lag-loaded"])
def test_losses_of_lines_have_slopes_where_a_transformer_stands_in_the_island(winding_feeder, name):
    """All that a DER at s makes comes over one line to the former at n; the units hang on n."""
    scenario = _scenario(winding_feeder(name), "n", "s")
    plan = _plan(scenario)
    network, stage = Network.of(scenario), FirstStage.of(plan)
    (blocks,) = stage.islands(scenario)
    lossless = island_state(network, stage, blocks)
    sloped = with_slopes(network, stage, lossless)
    assert lossless.controls.tolist() == [[1, 0], [1, 1], [1, 2]]
    rows = np.flatnonzero(lossless.outputs[:, 0] == 0)
    u = (stage.p[1] + 1j * stage.q[1]).astype(complex)
    assert np.abs(u).max() > 1e-3
    v_pu, by = plan.source_v_pu[0, 0], 1e-3
    moves = by * np.concatenate([np.eye(3), 1j * np.eye(3)])
    truth = np.stack(  # the losses are quadratic, so that these differences are exact
        [(_line_losses(u + d, v_pu) - _line_losses(u - d, v_pu)) / (2.0 * by) for d in moves],
        axis=1,
    )
    assert np.abs(truth).max() > 1e-3
    for field, part in (("der_p", truth.real), ("der_q", truth.imag)):
        more = getattr(sloped, field).of_u[rows] - getattr(lossless, field).of_u[rows]
        np.testing.assert_allclose(more, part, atol=1e-10)
