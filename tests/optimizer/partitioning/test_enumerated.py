"""The least cost against a second formulation of every state with every vertex in one program."""

from dataclasses import replace
from itertools import product

import numpy as np
import pyomo.environ as pyo
import pytest
from gridproof.optimizer.network.branches import BASE_KVA
from gridproof.optimizer.network.decisions import Decisions
from gridproof.optimizer.network.devices import add_base_setpoints, add_redispatch, redispatch_usd
from gridproof.optimizer.network.flow import add_flow
from gridproof.optimizer.network.network import Network
from gridproof.optimizer.partitioning.options import PartitioningOptions
from gridproof.optimizer.partitioning.planner import PartitioningPlanner
from gridproof.optimizer.solver.pyomo_model import solve
from gridproof.scenarios.audit import audit
from gridproof.scenarios.fleet import Substations
from gridproof.scenarios.proof import Termination
from gridproof.scenarios.realization import realize
from gridproof.scenarios.sets import Box
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


def _plan(scenario, **options):
    return PartitioningPlanner(options=PartitioningOptions(**options)).plan(scenario)


def _states(scenario):
    """Every (closed, energized, forming) a plan may have, by plain graph rules."""
    ends, size = scenario.feeder.switch_blocks, len(scenario.feeder.blocks.ids)
    home = scenario.feeder.blocks.of_bus[scenario.ders.bus]
    for closed in product((0, 1), repeat=len(ends)):
        on = np.flatnonzero(closed)
        graph = coo_array((np.ones(len(on)), (ends[on, 0], ends[on, 1])), shape=(size, size))
        count, label = connected_components(graph, directed=False)
        if len(on) != size - count:
            continue  # a loop
        ways = []
        for island in range(count):
            formers = [
                g
                for g in range(len(home))
                if label[home[g]] == island and scenario.ders.can_form[g]
            ]
            most = scenario.limits.grid_forming_per_island
            sets = [c for c in product((0, 1), repeat=len(formers)) if 1 <= sum(c) <= most]
            ways.append([None, *([g for g, f in zip(formers, c, strict=True) if f] for c in sets)])
        for choice in product(*ways):
            live = np.array([choice[label[b]] is not None for b in range(size)])
            forming = np.isin(np.arange(len(home)), [g for c in choice if c for g in c])
            yield np.array(closed, bool), live, forming


def _all_vertices(scenario, closed, live, forming, *, held=None, below=np.inf, corners=None):
    """Least cost of one first-stage state with every vertex in one program.

    The heaviest vertex comes first: where it alone costs ``below`` or more, so do all together.
    """
    network = Network.of(scenario)
    m = pyo.ConcreteModel()
    m.theta = pyo.Var(bounds=(0.0, None))
    m.source_w = pyo.Var(range(len(forming)), bounds=(network.w_min, network.w_max))
    for g, w in (held or {}).items():
        m.source_w[g].fix(w)
    decisions = Decisions(
        closed=dict(enumerate(closed.astype(int).tolist())),
        energized=dict(enumerate(live.astype(int).tolist())),
        forming=dict(enumerate(forming.astype(int).tolist())),
        source_w=dict(m.source_w.items()),
    )
    add_base_setpoints(m, network, decisions)
    m.nominal = pyo.Block()
    add_flow(m.nominal, network, decisions, (m.base.p, m.base.q), network.nominal)
    price = scenario.ders.cost_usd_per_kw * BASE_KVA
    made = sum(float(price[g]) * v for (g, _), v in m.base.p.items())
    m.cost = pyo.Objective(expr=float(scenario.shed_usd[~live].sum()) + made + m.theta)
    draws = realize(
        scenario, np.array(list(scenario.uncertainty.vertices())) if corners is None else corners
    )
    heaviest = np.argsort(-draws.p_kw.sum(axis=(1, 2, 3)), kind="stable").tolist()
    m.vertex = pyo.Block(range(len(draws)))
    for more in (heaviest[:1], heaviest[1:]):
        for k in more:
            b = m.vertex[k]
            moved = add_redispatch(b, network, decisions, (m.base.p, m.base.q))
            use = network.demand(draws.p_kw[k, 0], draws.q_kvar[k, 0])
            add_flow(b, network, decisions, (moved.p, moved.q), use)
            b.epigraph = pyo.Constraint(expr=m.theta >= redispatch_usd(network, moved))
        answer = solve(m)
        assert answer.termination in (Termination.OPTIMAL, Termination.INFEASIBLE)
        if answer.incumbent >= below:
            break
    return answer.incumbent


def _brute_force(scenario, held=None, corners=None):
    home = scenario.feeder.blocks.of_bus[scenario.ders.bus]
    states = [s for s in _states(scenario) if all(s[2][g] == s[1][home[g]] for g in held or {})]
    states.sort(key=lambda s: scenario.shed_usd[~s[1]].sum())
    best = float(scenario.shed_usd.sum())  # everything dark is a plan
    for closed, live, forming in states:
        if scenario.shed_usd[~live].sum() >= best:
            break
        if live.any():
            cost = _all_vertices(
                scenario, closed, live, forming, held=held, below=best, corners=corners
            )
            best = min(best, cost)
    return best


@pytest.mark.parametrize(
    "seed", [pytest.param(k, marks=[pytest.mark.slow] * (k in {1, 3, 7, 9})) for k in range(10)]
)
def test_cost_is_that_of_enumerating_every_state_with_every_vertex(random_scenario, seed):
    scenario = random_scenario(seed, spread=0.25, uncertain=2, k_der=1 + seed % 2)
    plan = _plan(scenario, gap=1e-6)
    assert plan.proof.certified
    assert plan.proof.incumbent == pytest.approx(_brute_force(scenario), rel=2e-6)
    assert plan.costs["objective"] == pytest.approx(plan.proof.incumbent, rel=1e-9)


@pytest.mark.parametrize(
    "seed", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)]
)
def test_each_phase_by_itself_costs_what_enumerating_every_phase_does(
    random_scenario, swinging_delta, seed
):
    """(1) as printed: the corners are drawn slot by slot of the loads as they are, whole."""
    scenario = swinging_delta(random_scenario(seed))
    corners = np.array(list(product((-1.0, 1.0), repeat=len(scenario.uncertain_slots))))
    plan = _plan(scenario, gap=1e-6, per_phase=True)
    assert plan.proof.certified
    assert plan.proof.incumbent == pytest.approx(_brute_force(scenario, corners=corners), rel=2e-6)
    assert plan.scenario_digest == scenario.digest()
    assert audit(plan, scenario) == ()


def test_uneven_bounds_cost_what_enumerating_their_corners_does(random_scenario):
    scenario = random_scenario(0)
    down, up = np.array([0.05, 0.3]), np.array([0.4, 0.0])
    box = Box.between(scenario.uncertainty.load_ids, down, up)
    scenario = replace(scenario, uncertainty=box)
    corners = np.array(list(product(*np.stack([-down, up], axis=1)))) / np.maximum(down, up)
    plan = _plan(scenario, gap=1e-6)
    assert plan.proof.certified
    assert plan.proof.incumbent == pytest.approx(_brute_force(scenario, corners=corners), rel=2e-6)


def test_the_random_cases_are_not_all_alike(random_scenario):
    shapes = set()
    for seed in (0, 5, 9):
        scenario = random_scenario(seed, spread=0.25, uncertain=2, k_der=1 + seed % 2)
        plan = _plan(scenario, centre=False)
        shapes.add((int(plan.energized.sum()), int(plan.closed.sum())))
    assert shapes == {(3, 2), (1, 0), (2, 1)}


# ------------------------------------------------------------------------------ substation


def _with_substation(scenario, seed):
    """Make the first DER a substation: dearer or cheaper than the others, rated or not."""
    rng, ders = np.random.default_rng(1000 + seed), scenario.ders
    rating = float(rng.choice([120.0, 250.0, np.inf]))
    most = np.full(3, min(rating, 2000.0) / 3.0)
    ohm = rng.uniform(0.2, 4.0) * (0.5 * np.eye(3) + 0.1)

    def first(name, value):
        column = np.array(getattr(ders, name))
        column[0] = value
        return column

    return replace(
        scenario,
        ders=replace(
            ders,
            p_min_kw=first("p_min_kw", -most),
            p_max_kw=first("p_max_kw", most),
            q_min_kvar=first("q_min_kvar", -most),
            q_max_kvar=first("q_max_kvar", most),
            s_max_kva=first("s_max_kva", rating / 3.0),
            ramp_kw=first("ramp_kw", 2.0 * most),
            ramp_kvar=first("ramp_kvar", 2.0 * most),
            cost_usd_per_kw=first("cost_usd_per_kw", rng.choice([0.0, 8.0])),
            redispatch_cost_usd_per_kw=first("redispatch_cost_usd_per_kw", rng.choice([0.0, 8.0])),
            substations=Substations(
                at=np.array([0]),
                source_ids=("source",),
                rating_kva=np.array([rating]),
                v_pu=np.array([rng.uniform(0.96, 1.04)]),
                r_ohm=ohm[None],
                x_ohm=2.0 * ohm[None],
            ),
        ),
    )


def _behind_a_line(scenario):
    """The same with an ordinary DER at a bus of its own, behind a line of that impedance."""
    feeder, own, size = scenario.feeder, scenario.ders.substations, len(scenario.feeder.buses.ids)
    lines, buses = feeder.lines, feeder.buses
    extra = {
        "ids": ("behind",), "from_bus": [size], "to_bus": [0], "phases": np.ones((1, 3), bool),
        "r_ohm": own.r_ohm, "x_ohm": own.x_ohm, "b_siemens": np.zeros((1, 3, 3)),
        "rating_a": [1e4], "switchable": [False], "closed": [True],
    }  # fmt: skip
    joined = {
        name: (*lines.ids, "behind")
        if name == "ids"
        else np.concatenate([getattr(lines, name), np.array(value)])
        for name, value in extra.items()
    }
    moved = np.array(scenario.ders.bus)
    moved[0] = size
    return replace(
        scenario,
        feeder=replace(
            feeder,
            lines=replace(lines, **joined),
            buses=replace(
                buses,
                ids=(*buses.ids, "behind"),
                base_kv=np.append(buses.base_kv, buses.base_kv[0]),
                neutral=np.append(buses.neutral, False),
                phases=np.vstack([buses.phases, np.ones((1, 3), bool)]),
                xy=np.vstack([buses.xy, np.full((1, 2), np.nan)]),
                angle_rad=np.vstack([buses.angle_rad, buses.angle_rad[:1]]),
            ),
        ),
        ders=replace(scenario.ders, bus=moved, substations=None),
    )


@pytest.mark.parametrize(
    "seed",
    [
        0,
        2,
        5,
        pytest.param(1, marks=pytest.mark.slow),
        pytest.param(3, marks=pytest.mark.slow),
        pytest.param(7, marks=pytest.mark.slow),
    ],
)
def test_a_substation_costs_what_a_der_behind_its_impedance_does(random_scenario, seed):
    """Enumerated over every state and vertex of a second formulation, and by both methods."""
    scenario = _with_substation(
        random_scenario(seed, spread=0.25, uncertain=2, k_der=1 + seed % 2), seed
    )
    held = {0: float(scenario.ders.substations.v_pu[0]) ** 2}
    wanted = _brute_force(_behind_a_line(scenario), held)
    for method in ("column_and_constraint", "cutting_plane"):
        plan = _plan(scenario, method=method, gap=1e-6, centre=method != "cutting_plane")
        assert plan.proof.certified
        assert plan.proof.incumbent == pytest.approx(wanted, rel=3e-6, abs=1e-3)
        assert audit(plan, scenario) == ()
        live = plan.energized[0, scenario.feeder.blocks.of_bus[scenario.ders.bus[0]]]
        assert plan.grid_forming[0, 0] == live
        if live:
            assert plan.source_v_pu[0, 0] == pytest.approx(scenario.ders.substations.v_pu[0])


def test_the_random_substations_are_not_all_alike(random_scenario):
    """In one it feeds, in the other it could not carry its own block and stands dark."""
    islands = set()
    for seed in (0, 3):
        scenario = _with_substation(
            random_scenario(seed, spread=0.25, uncertain=2, k_der=1 + seed % 2), seed
        )
        plan = _plan(scenario, gap=1e-6, centre=False)
        islands.add((bool(plan.grid_forming[0, 0]), int(plan.grid_forming[0, 1:].sum())))
    assert islands == {(True, 0), (False, 1)}
