"""The planner's equations and the linear engine's are two programs of one physics."""

from pathlib import Path

import numpy as np
import pytest
from gridproof.optimizer.network.branches import BASE_KVA
from gridproof.optimizer.network.first_stage import FirstStage
from gridproof.optimizer.network.network import Network
from gridproof.optimizer.network.statemap import island_state
from gridproof.scenarios.fleet import Ders
from gridproof.scenarios.limits import Limits, VoltageTest
from gridproof.scenarios.load_models import LoadModel
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.proof import Proof, Termination
from gridproof.scenarios.realization import realize
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.setpoints import Setpoints
from gridproof.scenarios.sets import Box
from gridproof.simulator.linear.engine import LinearEngine
from gridproof.simulator.reader.feeder import read_feeder

FEEDERS = Path(__file__).parents[3] / "configs" / "feeders"


def _scenario(path, *, as_modelled):
    """A feeder fed by one DER where its source stands, and by a small one further out."""
    feeder = read_feeder(path)
    three = np.flatnonzero(feeder.buses.phases.all(axis=1))
    place = np.array([int(feeder.sources.bus[0]), int(three[-1])])
    most = np.array([[5000.0], [30.0]]) * np.ones((2, 3))
    loads, blocks = len(feeder.loads.ids), len(feeder.blocks.ids)
    models = feeder.loads.model if as_modelled else (LoadModel.CONSTANT_POWER,) * loads
    return Scenario(
        name=path.stem,
        feeder=feeder,
        ders=Ders(
            ids=("root", "far"),
            bus=place,
            phases=np.ones((2, 3), bool),
            p_min_kw=-most,
            p_max_kw=most,
            q_min_kvar=-most,
            q_max_kvar=most,
            s_max_kva=np.full((2, 3), np.inf),
            ramp_kw=most,
            ramp_kvar=most,
            cost_usd_per_kw=np.ones(2),
            redispatch_cost_usd_per_kw=np.ones(2),
            can_form=np.array([True, False]),
        ),
        hours=np.zeros(1),
        load_p_kw=feeder.loads.p_kw[None],
        load_q_kvar=feeder.loads.q_kvar[None],
        load_model=models,
        uncertainty=Box(load_ids=(), spread=np.zeros(0)),
        limits=Limits(v_min_pu=0.8, v_max_pu=1.2, voltage_test=VoltageTest.LINE_TO_NEUTRAL),
        locked=np.ones(len(feeder.switches), bool),
        shed_usd=np.ones(blocks),
    )


def _plan(scenario):
    """Switches as the file has them, all live; the far DER makes what it can, unevenly."""
    feeder = scenario.feeder
    p = np.zeros((1, 2, 3))
    p[0, 1] = (25.0, 10.0, 5.0)
    return Plan(
        family="partitioning",
        scenario_digest=scenario.digest(),
        switch_ids=feeder.switch_ids,
        block_ids=feeder.blocks.ids,
        der_ids=scenario.ders.ids,
        closed=feeder.lines.closed[feeder.switches][None],
        energized=np.ones((1, len(feeder.blocks.ids)), bool),
        grid_forming=np.array([[True, False]]),
        source_v_pu=np.array([[1.02, np.nan]]),
        p_kw=p,
        q_kvar=p / 3.0,
        costs={"objective": 0.0},
        proof=Proof(
            termination=Termination.OPTIMAL,
            incumbent=0.0,
            bound=0.0,
            asked_gap=1e-4,
            robust=False,
            iterations=0,
            realizations_kept=0,
        ),
    )


@pytest.mark.parametrize("as_modelled", [True, False])
@pytest.mark.parametrize("name", ["ieee13", "ieee37", "ieee123"])
def test_planner_and_linear_engine_agree_on_every_voltage_and_output(name, as_modelled):
    scenario = _scenario(FEEDERS / name / f"{name}.dss", as_modelled=as_modelled)
    plan = _plan(scenario)
    network, stage = Network.of(scenario), FirstStage.of(plan)
    (blocks,) = stage.islands(scenario)
    state = island_state(network, stage, blocks)
    u = np.concatenate([stage.p[1], stage.q[1]])
    w = state.w.constant + state.w.of_u @ u
    engine = LinearEngine(scenario)
    engine.hold(plan)
    nominal = realize(scenario, np.zeros((1, 0)))
    seen = engine.observe(
        nominal,
        Setpoints(
            index=nominal.index,
            found=np.ones(1, bool),
            p_kw=plan.p_kw,
            q_kvar=plan.q_kvar,
            source_v_pu=plan.source_v_pu,
        ),
    )
    assert seen.converged.all()
    at = (state.nodes[:, 0], state.nodes[:, 1])
    np.testing.assert_allclose(np.sqrt(w), seen.v_pu[0][at], atol=1e-8)
    assert np.isfinite(seen.v_pu[0]).sum() == len(state.nodes)
    out = (state.outputs[:, 0], state.outputs[:, 1])
    for power, there in ((state.der_p, seen.der_p_kw), (state.der_q, seen.der_q_kvar)):
        made = power.constant + power.of_u @ u
        np.testing.assert_allclose(made * BASE_KVA, there[0][out], atol=1e-5)
    # the case is one where what used to be left out would show
    if name == "ieee123":
        assert np.ptp(scenario.feeder.transformers.ratio) > 0.05
