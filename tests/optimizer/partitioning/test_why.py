"""What stands against a dead block, on feeders whose answer is known by hand."""

import itertools
from dataclasses import replace

import numpy as np
import pyomo.environ as pyo
import pytest
from gridproof.federation.reports.why_view import why_summary
from gridproof.federation.studies.study import load_study
from gridproof.optimizer.network.decisions import Decisions
from gridproof.optimizer.network.devices import add_base_setpoints
from gridproof.optimizer.network.flow import add_flow
from gridproof.optimizer.network.network import Network
from gridproof.optimizer.partitioning import why
from gridproof.optimizer.partitioning.options import PartitioningOptions
from gridproof.optimizer.partitioning.planner import PartitioningPlanner
from gridproof.optimizer.partitioning.why import Standing, why_dead
from gridproof.optimizer.solver.pyomo_model import solve
from gridproof.scenarios.curves import Curves
from gridproof.scenarios.feeder import (
    Buses,
    Capacitors,
    Connection,
    Feeder,
    Lines,
    Loads,
    Sources,
    Transformers,
)
from gridproof.scenarios.fleet import Ders
from gridproof.scenarios.graph import connected_components
from gridproof.scenarios.limits import Limits
from gridproof.scenarios.load_models import LoadModel
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.sets import Box

KV = 2.4


def feeder_of(p_kw, q_kvar=(0.0, 0.0, 0.0), *, ohm=1e-6, rating_a=1e4):
    """Bus n (home of the DER), a switch, and bus m with a line to the load at e."""
    eye = np.eye(3)
    r = np.stack([1e-6 * eye, ohm * eye])
    return Feeder(
        name="row",
        path="",
        buses=Buses(
            ids=("n", "m", "e"),
            base_kv=np.full(3, KV),
            phases=np.ones((3, 3), bool),
            xy=np.full((3, 2), np.nan),
        ),
        lines=Lines(
            ids=("sw", "l"),
            from_bus=np.array([0, 1]),
            to_bus=np.array([1, 2]),
            phases=np.ones((2, 3), bool),
            r_ohm=r,
            x_ohm=1e-6 * np.stack([eye, eye]),
            b_siemens=np.zeros((2, 3, 3)),
            rating_a=np.array([1e4, rating_a]),
            switchable=np.array([True, False]),
            closed=np.array([True, True]),
        ),
        transformers=Transformers(
            ids=(),
            from_bus=np.zeros(0),
            to_bus=np.zeros(0),
            windings=np.zeros((0, 3), bool),
            from_connection=(),
            to_connection=(),
            from_kv=np.zeros(0),
            to_kv=np.zeros(0),
            ratio=np.zeros(0),
            r_pu=np.zeros(0),
            x_pu=np.zeros(0),
            rating_kva=np.zeros(0),
            regulating=np.zeros(0, bool),
        ),
        loads=Loads(
            ids=("d",),
            bus=np.array([2]),
            connection=(Connection.WYE,),
            model=(LoadModel.CONSTANT_POWER,),
            slots=np.ones((1, 3), bool),
            p_kw=np.array([p_kw], float),
            q_kvar=np.array([q_kvar], float),
        ),
        capacitors=Capacitors(ids=(), bus=np.zeros(0), connection=(), q_kvar=np.zeros((0, 3))),
        sources=Sources(ids=(), bus=np.zeros(0), v_pu=np.zeros(0)),
    )


def scenario_of(
    feeder,
    *,
    p_max=(100.0,) * 3,
    phases=(1, 1, 1),
    s_max=np.inf,
    spread=0.0,
    shed=1e4,
    ramp=1.0,
    locked=False,
    **limits,
):
    fed = np.array([phases], bool)
    most = np.array([p_max], float) * fed
    lines = replace(feeder.lines, closed=np.array([not locked, True]))
    feeder = replace(feeder, lines=lines)
    return Scenario(
        name="row",
        feeder=feeder,
        ders=Ders(
            ids=("g",),
            bus=np.array([0]),
            phases=fed,
            p_min_kw=0.0 * most,
            p_max_kw=most,
            q_min_kvar=-1e4 * fed,
            q_max_kvar=1e4 * fed,
            s_max_kva=np.where(fed, s_max, np.inf),
            ramp_kw=ramp * most,
            ramp_kvar=1e4 * fed,
            cost_usd_per_kw=np.array([2.0]),
            redispatch_cost_usd_per_kw=np.array([1.0]),
            can_form=np.array([True]),
        ),
        hours=np.zeros(1),
        load_p_kw=feeder.loads.p_kw[None],
        load_q_kvar=feeder.loads.q_kvar[None],
        load_model=(LoadModel.CONSTANT_POWER,),
        uncertainty=Box(load_ids=("d",), spread=np.array([spread])),
        limits=Limits(**limits),
        locked=np.array([locked]),
        shed_usd=np.array([1.0, shed]),
    )


def asked(scenario, **options):
    """What is said of the load's block, which the plan must have left dead."""
    chosen = PartitioningOptions(centre=False, **options)
    plan = PartitioningPlanner(options=chosen).plan(scenario)
    assert not plan.energized[0, 1]
    (said,) = [one for one in why_dead(plan, scenario, chosen) if one.block == plan.block_ids[1]]
    return said


def one_shortfall(said):
    assert said.standing is Standing.IMPOSSIBLE
    (lack,) = said.shortfalls
    return lack


def test_a_phase_short_of_power_is_named_with_what_it_lacks():
    said = asked(scenario_of(feeder_of((90.0, 112.5, 80.0))))
    lack = one_shortfall(said)
    assert (lack.kind, lack.element, lack.phase, lack.unit) == ("active", "g", "b", "kW")
    assert lack.amount == pytest.approx(12.5, abs=0.01)
    assert lack.limit == pytest.approx(100.0)
    assert said.realization == "nominal"
    assert said.polygon_sides is None


def test_what_lacks_only_at_the_highest_load_is_told_of_that_load():
    said = asked(scenario_of(feeder_of((80.0, 90.0, 80.0)), spread=0.2))
    lack = one_shortfall(said)
    assert (lack.kind, lack.phase) == ("active", "b")
    assert lack.amount == pytest.approx(8.0, abs=0.01)
    assert said.realization == "every uncertain load at its highest"


def test_a_ramp_too_short_is_no_lack_of_power():
    said = asked(scenario_of(feeder_of((50.0, 60.0, 50.0)), spread=0.2, ramp=0.1))
    lack = one_shortfall(said)
    assert (lack.kind, lack.element, lack.phase) == ("ramp_active", "g", "b")
    assert lack.amount == pytest.approx(2.0, abs=0.01)  # 12 kW up, 10 may be
    assert lack.limit == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("held", "kind", "words"),
    [
        # 30 kvar at nothing and none at 100 kW: 12 are left beside 60 kW
        (
            {"curves": Curves(der=np.zeros(2), p_kw=np.array([0.0, 300.0]),
                              q_min_kvar=np.full(2, -90.0), q_max_kvar=np.array([90.0, 0.0]))},
            "capability", "what its capability curve allows",
        ),
        ({"q_per_p": np.array([0.2])}, "power_factor", "what its power factor allows"),
    ],
)  # fmt: skip
def test_what_binds_reactive_to_active_power_is_named_with_what_it_lacks(held, kind, words):
    scenario = scenario_of(feeder_of((50.0, 60.0, 50.0), (5.0, 18.0, 5.0)))
    said = asked(replace(scenario, ders=replace(scenario.ders, **held)))
    lack = one_shortfall(said)
    assert (lack.kind, lack.element, lack.phase, lack.unit) == (kind, "g", "b", "kvar")
    assert lack.amount == pytest.approx(6.0, abs=0.01)
    assert lack.limit is None
    (answer,) = why_summary([said])
    assert f"DER g, phase b: lacks 6.00 kvar beyond {words}" in answer.words


def test_a_line_is_named_in_amperes_beyond_its_rating():
    # 90 kW at 0.95 of 2.4 kV: 39.47 A; the rating is 30 A, whose polygon lets 30 A of pure P pass
    lack = one_shortfall(asked(scenario_of(feeder_of((20.0, 20.0, 90.0), rating_a=30.0))))
    assert (lack.kind, lack.element, lack.phase, lack.unit) == ("line", "l", "c", "A")
    assert lack.amount == pytest.approx(90.0 / (KV * 0.95) - 30.0, abs=0.01)
    assert lack.limit == pytest.approx(30.0)


def test_a_voltage_is_named_in_pu_below_its_limit():
    # w falls by 2 r p / z_base: from 1.05² by 2·20·0.06/5.76 pu
    ohm, kw = 20.0, 60.0
    lack = one_shortfall(asked(scenario_of(feeder_of((kw, 1.0, 1.0), ohm=ohm))))
    reached = np.sqrt(1.05**2 - 2.0 * (ohm / (KV**2 / 1.0)) * kw / 1000.0)
    assert (lack.kind, lack.element, lack.phase, lack.unit) == ("voltage", "e", "a", "pu")
    assert not lack.upper
    assert lack.amount == pytest.approx(0.95 - reached, abs=1e-4)
    assert lack.limit == pytest.approx(0.95)


def test_the_polygon_alone_is_said_to_be_so_and_finer_serves():
    # 99 kVA at 30.25 degrees between two corners: 16 sides reach 98.1 there, 64 sides 99.9
    angle = 2.5 * np.pi / 16
    p, q = 99.0 * np.cos(angle), 99.0 * np.sin(angle)
    feeder = feeder_of((p,) * 3, (q,) * 3)
    scenario = scenario_of(feeder, s_max=100.0)
    said = asked(scenario)
    assert {one.kind for one in said.shortfalls} <= {"apparent", "active", "reactive"}
    assert said.standing is Standing.IMPOSSIBLE
    assert said.polygon_sides == 32
    finer = replace(scenario, limits=Limits(polygon_sides=32))
    plan = PartitioningPlanner(options=PartitioningOptions(centre=False)).plan(finer)
    assert plan.energized.all()
    assert scenario.digest() != finer.digest()
    assert scenario.digest() == replace(scenario, limits=Limits(polygon_sides=16)).digest()


def test_a_margin_that_the_planner_keeps_may_be_all_that_stands_against_it():
    said = asked(scenario_of(feeder_of((98.0,) * 3)), ac_margin=0.004)
    assert said.standing is Standing.IMPOSSIBLE
    assert said.margin_alone
    assert {one.kind for one in said.shortfalls} == {"active"}


def test_a_phase_that_no_source_feeds_is_missing():
    said = asked(scenario_of(feeder_of((50.0, 40.0, 30.0)), phases=(1, 1, 0)))
    assert said.standing is Standing.IMPOSSIBLE
    (lack,) = [one for one in said.shortfalls if one.kind == "missing_active"]
    assert (lack.phase, lack.unit) == ("c", "kW")
    assert lack.amount == pytest.approx(30.0, abs=0.01)


def test_a_block_behind_a_switch_locked_open_reaches_no_former():
    said = asked(scenario_of(feeder_of((10.0,) * 3), locked=True))
    assert said.standing is Standing.IMPOSSIBLE
    assert said.no_former
    assert not said.shortfalls


def test_what_could_be_served_but_costs_more_has_both_costs():
    # 60 kW at 2 USD and 6 kW of re-dispatch at 1 USD against 50 USD of shed load
    scenario = scenario_of(feeder_of((20.0,) * 3), shed=50.0, spread=0.1)
    said = asked(scenario)
    assert said.standing is Standing.DEARER
    assert not said.shortfalls
    assert said.plan_usd == pytest.approx(50.0 + 1.0 * (said.plan_usd > 50.5))
    assert said.alternative.cost_usd == pytest.approx(126.0, rel=1e-4)
    assert said.alternative.served_kw == pytest.approx(60.0)


def test_a_limit_that_comes_first_is_neither():
    scenario = scenario_of(feeder_of((20.0,) * 3), shed=50.0, spread=0.1)
    options = PartitioningOptions(centre=False)
    plan = PartitioningPlanner(options=options).plan(scenario)
    for said in why_dead(plan, scenario, options, time_limit_s=0.0):
        assert said.standing is Standing.UNDECIDED
        assert said.alternative is None


def servable(scenario, block):
    """Whether any state of switches and roles serves the nominal load with the block live."""
    network, ends = Network.of(scenario), scenario.feeder.switch_blocks
    formers = np.flatnonzero(scenario.ders.can_form).tolist()
    for states in itertools.product((0, 1), repeat=len(ends)):
        closed = np.array(states, bool)
        label = connected_components(3, ends[closed, 0], ends[closed, 1])
        if len(np.unique(label)) != 3 - closed.sum():
            continue  # a loop
        live = label == label[block]  # what else is live makes no difference to this island
        for former in formers:
            if not live[scenario.feeder.blocks.of_bus[scenario.ders.bus[former]]]:
                continue
            m = pyo.ConcreteModel()
            m.source_w = pyo.Var(range(3), bounds=(network.w_min, network.w_max))
            decisions = Decisions(
                closed=dict(enumerate((closed & live[ends].all(axis=1)).astype(int).tolist())),
                energized=dict(enumerate(live.astype(int).tolist())),
                forming={g: int(g == former) for g in range(3)},
                source_w=dict(m.source_w.items()),
            )
            add_base_setpoints(m, network, decisions)
            add_flow(m, network, decisions, (m.base.p, m.base.q), network.nominal)
            m.cost = pyo.Objective(expr=0.0 * m.source_w[0])
            if solve(m).found:
                return True
    return False


@pytest.mark.parametrize("seed", range(6))
def test_impossible_is_said_exactly_where_no_state_serves_the_block(random_scenario, seed):
    scenario = random_scenario(seed)
    crowded = np.array([0.6, 3.0, 1.0])[scenario.feeder.block_of_load][None, :, None]
    scenario = replace(
        scenario, load_p_kw=scenario.load_p_kw * crowded, shed_usd=np.array([1.0, 1.0, 1.0])
    )
    options = PartitioningOptions(method="nominal", centre=False)
    plan = PartitioningPlanner(options=options).plan(scenario)
    for said in why_dead(plan, scenario, options):
        block = plan.block_ids.index(said.block)
        can = servable(scenario, block)
        assert said.standing is (Standing.DEARER if can else Standing.IMPOSSIBLE)
        assert bool(said.shortfalls) is not can


def test_what_a_substation_holds_is_no_limit_to_pass(tmp_path):
    """A voltage that only the grid could lower is told, and not lowered in the answer."""
    (tmp_path / "high.dss").write_text(
        "Clear\nNew Circuit.high bus1=s basekv=12.47 pu=1.04 r1=0.1 x1=0.2 r0=0.1 x0=0.2\n"
        "New Line.gate bus1=s bus2=a switch=yes r1=0.1 x1=0.1 r0=0.1 x0=0.1 c1=0 c0=0 length=1\n"
        "New Transformer.up phases=3 buses=(a b) kvs=(12.47 12.47) kvas=(900 900) xhl=1 wdg=2\n"
        "~ tap=1.1\nNew Load.b bus1=b kv=12.47 kw=90 kvar=9\n"
        "Set VoltageBases=[12.47]\nCalcVoltageBases\nSolve\n"
    )
    study = tmp_path / "study.toml"
    study.write_text('[feeder]\npath = "high.dss"\n[substation]\nlost = false\n')
    scenario = load_study(study).scenario
    options = PartitioningOptions()
    plan = PartitioningPlanner(options=options).plan(scenario)
    blocks = dict(zip(plan.block_ids, plan.energized[0].tolist(), strict=True))
    assert blocks == {"s": True, "a": False}
    (dead,) = why_dead(plan, scenario, options)
    assert dead.standing is Standing.IMPOSSIBLE
    assert {(one.kind, one.element, one.upper) for one in dead.shortfalls} == {
        ("voltage", "b", True)
    }
    above = 1.04 * 1.1 - 1.05
    assert all(one.amount == pytest.approx(above, abs=5e-3) for one in dead.shortfalls)


@pytest.mark.parametrize("large", [True, False])
def test_a_lateral_in_every_way_is_named(random_scenario, monkeypatch, large):
    """On large feeders the answer comes without a search, and is the same."""
    monkeypatch.setattr(why, "LARGE", 0 if large else 10**6)
    scenario = random_scenario(2)
    lines = scenario.feeder.lines
    thin = np.where(np.array(lines.ids) == "l3", 0.1, lines.rating_a)
    scenario = replace(
        scenario,
        feeder=replace(scenario.feeder, lines=replace(lines, rating_a=thin)),
        ders=replace(scenario.ders, can_form=np.array([False, True, False])),
    )
    options = PartitioningOptions()
    plan = PartitioningPlanner(options=options).plan(scenario)
    assert not plan.energized.any()
    for dead in why_dead(plan, scenario, options):
        assert dead.standing is Standing.IMPOSSIBLE
        (lacks,) = (one for one in dead.shortfalls if one.kind == "line")
        assert lacks.element == "l3"
        assert lacks.limit == pytest.approx(0.1)


def test_a_question_after_its_time_is_undecided(random_scenario, monkeypatch):
    scenario = random_scenario(2)
    plan = PartitioningPlanner(options=PartitioningOptions()).plan(scenario)
    dark = replace(plan, energized=np.zeros_like(plan.energized))
    monkeypatch.setattr(why, "least_shortfalls", None)  # no model is built
    found = why_dead(dark, scenario, PartitioningOptions(), time_limit_s=0.0)
    assert [one.standing for one in found] == [Standing.UNDECIDED] * 3
