"""The slopes of losses and delta loads, held against OpenDSS by finite steps."""

import numpy as np
import pytest
from gridproof.federation.studies.study import load_study
from gridproof.optimizer.network.first_stage import FirstStage
from gridproof.optimizer.network.network import Network
from gridproof.optimizer.network.statemap import island_state
from gridproof.optimizer.partitioning.options import PartitioningOptions
from gridproof.optimizer.partitioning.planner import PartitioningPlanner
from gridproof.optimizer.recourse.slopes import with_slopes
from gridproof.scenarios.realization import realize
from gridproof.scenarios.setpoints import Setpoints
from gridproof.simulator.opendss.engine import OpenDssEngine

STEP_KW = 5.0


@pytest.fixture(scope="module")
def case():
    scenario = load_study("ieee37-networked", ["uncertainty.spread=0.15"]).scenario
    plan = PartitioningPlanner(options=PartitioningOptions(method="nominal")).plan(scenario)
    network, stage = Network.of(scenario), FirstStage.of(plan)
    (blocks, *_) = stage.islands(scenario)
    state = island_state(network, stage, blocks)
    return scenario, plan, state, with_slopes(network, stage, state)


def _outputs(scenario, plan, moves):
    """(move, 2, phase) what the DER that forms supplies at the base set-points and each move."""
    count = len(moves) + 1
    p, q = (np.tile(s[0], (count, 1, 1)) for s in (plan.p_kw, plan.q_kvar))
    for row, (der, phase, reactive) in enumerate(moves, start=1):
        (q if reactive else p)[row, der, phase] += STEP_KW
    realizations = realize(scenario, np.zeros((count, scenario.uncertainty.size)))
    setpoints = Setpoints(
        index=realizations.index,
        found=np.ones(count, bool),
        p_kw=p,
        q_kvar=q,
        source_v_pu=np.tile(plan.source_v_pu[0], (count, 1)),
    )
    engine = OpenDssEngine(scenario)
    engine.hold(plan)
    seen = engine.observe(realizations, setpoints)
    engine.close()
    assert seen.converged.all()
    (former,) = np.flatnonzero(plan.grid_forming[0])
    return np.stack([seen.der_p_kw[:, former], seen.der_q_kvar[:, former]], axis=1)


def test_slopes_are_those_of_the_physics(case):
    scenario, plan, lossless, sloped = case
    former = int(np.flatnonzero(plan.grid_forming[0])[0])
    controls = lossless.controls.tolist()
    moves = [(g, k, part) for part in (False, True) for g, k in controls]
    found = _outputs(scenario, plan, moves)
    steps = (found[1:] - found[:1]) / STEP_KW  # (control, 2, phase)
    rows = np.flatnonzero(lossless.outputs[:, 0] == former)
    errors = []
    for state in (lossless, sloped):
        model = np.stack([state.der_p.of_u[rows], state.der_q.of_u[rows]])  # (2, phase, control)
        errors.append(np.abs(steps - np.moveaxis(model, 2, 0)).max())
    assert errors[0] > 0.015  # up to 2 % of a move shows at another phase
    assert errors[1] < 0.25 * errors[0]


def test_values_at_the_base_stay_as_they_are(case):
    _, plan, lossless, sloped = case
    at = tuple(lossless.controls.T)
    u = np.concatenate([plan.p_kw[0][at], plan.q_kvar[0][at]]) / 1000.0
    for name in ("der_p", "der_q", "w", "flow_p", "flow_q"):
        one, other = getattr(lossless, name), getattr(sloped, name)
        np.testing.assert_allclose(
            one.constant + one.of_u @ u, other.constant + other.of_u @ u, atol=1e-12
        )
    assert sloped.w is lossless.w
