"""The independent model has OpenDSS's physics: the same voltages, the same margins."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("casadi")

from ac_comparison import networked
from ac_feasibility import AcFeasibility
from ac_network import islands_of
from gridproof.federation.studies.study import load_study
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.realization import draw, uniforms
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.setpoints import Setpoints
from gridproof.scenarios.verdict import MarginKind, judge
from gridproof.simulator.opendss.engine import OpenDssEngine

HERE = Path(__file__).parent
VOLTAGE_PU = 1e-6
MARGIN = 5e-6  # a former's kW is the sum of differences between nearly equal voltages


def case(level: str, *overrides: str) -> tuple[Scenario, Plan]:
    """A scenario, with the plan of the study as shipped at that level."""
    _, plan = networked(level, "column_and_constraint", "campaign.recourse=linear")
    asked = (f"uncertainty.spread={level}", *overrides)
    return load_study("ieee37-networked", asked).scenario, plan


def moved_setpoints(scenario: Scenario, plan: Plan, count: int) -> Setpoints:
    """The plan's own first, then set-points moved at random within ramp and capability."""
    ders = scenario.ders
    turn = 2.0 * uniforms(7, 0, count, 6 * len(ders.ids), stream=99) - 1.0
    turn[0] = 0.0
    p, q = (part.reshape(count, -1, 3) for part in np.split(turn, 2, axis=1))
    live = plan.energized[0][scenario.feeder.blocks.of_bus[ders.bus]][:, None]
    return Setpoints(
        index=np.arange(count),
        found=np.ones(count, bool),
        p_kw=live * np.clip(plan.p_kw[0] + p * ders.ramp_kw, ders.p_min_kw, ders.p_max_kw),
        q_kvar=live
        * np.clip(plan.q_kvar[0] + q * ders.ramp_kvar, ders.q_min_kvar, ders.q_max_kvar),
        source_v_pu=np.tile(plan.source_v_pu[0], (count, 1)),
    )


@pytest.mark.parametrize(
    "overrides",
    [
        pytest.param(("0.10",), marks=pytest.mark.slow),
        pytest.param(("0.15", "feeder.load_model=as_modelled"), marks=pytest.mark.slow),
        ("0.25",),
        ("0.25", "limits.voltage_test=line_to_line"),
    ],
    ids=" ".join,
)
def test_voltages_and_margins_are_those_of_opendss(overrides: tuple[str, ...]) -> None:
    (scenario, plan), count = case(*overrides), 8
    realizations, setpoints = draw(scenario, 3, 0, count), moved_setpoints(scenario, plan, count)
    engine = OpenDssEngine(scenario)
    engine.hold(plan)
    snapshots = engine.observe(realizations, setpoints)
    engine.close()
    verdicts = judge(snapshots, plan, scenario)
    model = AcFeasibility(scenario, plan)
    assert snapshots.converged.all()
    for row in range(count):
        answer = model.flow(
            realizations.p_kw[row, 0],
            realizations.q_kvar[row, 0],
            (setpoints.p_kw[row], setpoints.q_kvar[row]),
        )
        flows = [flow for flow in answer.flows if flow is not None]
        assert len(flows) == len(model.islands), answer.statuses
        for island, flow in zip(model.islands, flows, strict=True):
            bus, phase = np.array(island.nodes).T
            error = np.abs(np.abs(flow.v) - snapshots.v_pu[row, bus, phase])
            assert error.max() <= VOLTAGE_PU
        for k, kind in enumerate(MarginKind):
            if kind not in flows[0].margins:
                assert np.isinf(verdicts.margin[row, k])  # nothing is stored here
                continue
            least = min(flow.margins[kind] for flow in flows)
            np.testing.assert_allclose(least, verdicts.margin[row, k], rtol=0.0, atol=MARGIN)
    assert np.ptp(verdicts.margin.min(axis=1)) > 0.01  # far apart against what is compared


def test_every_live_node_is_modelled_and_no_other() -> None:
    scenario, plan = case("0.25")
    feeder = scenario.feeder
    islands = islands_of(scenario, plan)
    live = {node for island in islands for node in island.nodes}
    assert sum(len(island.nodes) for island in islands) == len(live)
    blocks = {int(feeder.blocks.of_bus[bus]) for bus, _ in live}
    assert blocks == set(np.flatnonzero(plan.energized[0]).tolist())


def test_a_plan_that_contradicts_itself_is_refused() -> None:
    scenario, plan = case("0.25")
    with pytest.raises(ValueError, match="not those its formers reach"):
        AcFeasibility(scenario, replace(plan, energized=np.ones_like(plan.energized)))
    twice = plan.grid_forming | (np.abs(plan.p_kw).sum(axis=2) > 0.0)
    held = np.where(twice, 1.0, np.nan)
    with pytest.raises(ValueError, match="has a former"):
        AcFeasibility(scenario, replace(plan, grid_forming=twice, source_v_pu=held))


@pytest.mark.parametrize("name", ["ac_network.py", "ac_feasibility.py"])
def test_the_model_shares_nothing_with_what_it_checks(name: str) -> None:
    imported = {
        node.module or ""
        for node in ast.walk(ast.parse((HERE / name).read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom)
    }
    nouns = {f"scenarios.{noun}" for noun in ("feeder", "limits", "plan", "scenario", "verdict")}
    ours = {module for module in imported if module.split(".")[0] in {
        "scenarios", "optimizer", "simulator", "federation"
    }}  # fmt: skip
    assert ours <= nouns
