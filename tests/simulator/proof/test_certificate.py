"""Certificates against OpenDSS: no draw is worse than what is proven, and the worst is attained."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from gridproof.federation.certificates.affine_answers import affine_answer
from gridproof.federation.studies.study import Study, load_study
from gridproof.optimizer.recourse.policies import make_recourse
from gridproof.scenarios.curves import Curves
from gridproof.scenarios.fleet import Ders
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.realization import realize
from gridproof.scenarios.sets import Box, Budget, UncertaintySet, Wasserstein
from gridproof.scenarios.verdict import element_margins
from gridproof.simulator.opendss.engine import OpenDssEngine
from gridproof.simulator.proof.bounds import KindBound
from gridproof.simulator.proof.certificate import Certificate, certify
from gridproof.simulator.proof.limits import KINDS
from gridproof.simulator.proof.powers import powers_of
from gridproof.simulator.proof.reach import reach_of
from gridproof.simulator.proof.tangent import Tangent, nominal_state
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_feeders import write_feeder
from scipy import sparse

ENGINE = 2e-7
"""OpenDSS's own error at a tolerance of 1e-10 pu, in any margin: a stiff source's current is a
voltage drop of 1e-6 pu times its admittance."""

WITHIN = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
SEEDS = st.integers(0, 100_000)
WITH_A_TRANSFORMER = 3
SAME = 1e-12  # how many right-hand sides a solver is given may change its rounding


@pytest.fixture
def held(tiny_plan, tmp_path):
    """Write a feeder and a plan that energises all of it; hold the plan."""
    engines = []

    def make(seed: int, **study: str) -> tuple[Study, Plan, OpenDssEngine]:
        written = write_feeder(tmp_path, seed, **study)
        scenario = written.scenario
        ders = scenario.ders
        forming = ders.is_substation if ders.is_substation.any() else ders.can_form
        shut = ~scenario.locked
        live = np.ones(len(scenario.feeder.blocks.ids), bool)
        if scenario.locked.any():
            head = scenario.feeder.buses.ids.index("head")
            live[scenario.feeder.blocks.of_bus[head]] = False
        plan = tiny_plan(scenario, shut, live, forming, p_kw=5.0, q_kvar=1.0, v_pu=1.01)
        engine = OpenDssEngine(scenario, tolerance=1e-10)
        engines.append(engine)
        engine.hold(plan)
        return written, plan, engine

    yield make
    for engine in engines:
        engine.close()


def certificate(
    study: Study, plan: Plan, engine: OpenDssEngine, asked: UncertaintySet | None = None
) -> Certificate:
    policy = study.config.campaign.recourse
    answer = affine_answer(policy, plan, study.scenario)
    (network,) = engine.networks()
    reach = reach_of(study.scenario.uncertainty if asked is None else asked)
    if study.scenario.draws_per_phase:
        reach = reach_of(replace_box(study))
    return certify(network, study.scenario, plan, answer, reach)


def replace_box(study: Study) -> UncertaintySet:
    return Box(load_ids=study.scenario.direction_ids, spread=study.scenario.direction_spread)


def margins(study: Study, plan: Plan, engine: OpenDssEngine, zeta: np.ndarray) -> dict:
    drawn = realize(study.scenario, zeta)
    recourse = make_recourse(study.config.campaign.recourse, plan, study.scenario)
    seen = engine.observe(drawn, recourse.respond(drawn))
    assert seen.converged.all()
    return element_margins(seen, plan, study.scenario)


def holds(study, plan, engine, found: Certificate, zeta: np.ndarray) -> None:
    """No margin at any of these points is below what is proven; the worst is at its point."""
    assert not found.missing
    seen = margins(study, plan, engine, zeta)
    for kind in KINDS:
        worst = seen[kind].reshape(len(zeta), -1).min(axis=1, initial=np.inf)
        assert worst.min() >= found.least(kind) - ENGINE, kind.value
    for bound in found.bounds:
        there = margins(study, plan, engine, bound.zeta)[bound.kind]
        least = there.reshape(len(bound.zeta), -1).min()
        assert least >= bound.least - ENGINE
        at = there[:, bound.element, max(bound.phase, 0)].min()
        assert at <= bound.worst + bound.remainder + ENGINE, bound.kind


@WITHIN
@given(seed=SEEDS)
def test_no_draw_is_worse_than_what_is_proven(held, seed: int) -> None:
    study, plan, engine = held(seed)
    found = certificate(study, plan, engine)
    width = study.scenario.uncertainty.size
    zeta = np.random.default_rng(seed).uniform(-1.0, 1.0, (60, width))
    holds(study, plan, engine, found, np.concatenate([zeta, np.sign(zeta)]))


@WITHIN
@given(seed=SEEDS, recourse=st.sampled_from(["participation", "fixed"]), phases=st.booleans())
def test_set_points_that_move_and_phases_that_move_apart(held, seed, recourse, phases) -> None:
    text = f'recourse = "{recourse}"\nper_phase = {str(phases).lower()}'
    study, plan, engine = held(seed, campaign=text)
    found = certificate(study, plan, engine)
    width = len(study.scenario.direction_ids)
    zeta = np.random.default_rng(seed).uniform(-1.0, 1.0, (30, width))
    holds(study, plan, engine, found, np.concatenate([zeta, np.sign(zeta)]))


@pytest.mark.parametrize("seed", range(4))
def test_budgets_and_parallelotopes(held, seed: int) -> None:
    study, plan, engine = held(seed)
    width = study.scenario.uncertainty.size
    rng = np.random.default_rng(seed)
    root = 0.3 * np.eye(width) + 0.1 * np.ones((width, width))
    for asked in (
        Budget.over(width, 1.5),
        Wasserstein(mean=rng.uniform(-0.1, 0.1, width), root=root, sigma=1.2),
    ):
        found = certificate(study, plan, engine, asked)
        zeta = asked.draw(rng.uniform(size=(40, asked.width)))
        holds(study, plan, engine, found, np.concatenate([zeta, list(asked.vertices())]))


@WITHIN
@given(seed=SEEDS)
def test_line_to_line_and_apparent_power(held, seed: int) -> None:
    limits = 'v_min_pu = 0.94\nv_max_pu = 1.06\nvoltage_test = "line_to_line"'
    study, plan, engine = held(seed, limits=limits)
    ders = study.scenario.ders
    scenario = replace(study.scenario, ders=replace(ders, s_max_kva=1.1 * ders.p_max_kw))
    study = replace(study, scenario=scenario)
    found = certificate(study, plan, engine)
    width = study.scenario.uncertainty.size
    zeta = np.random.default_rng(seed).uniform(-1.0, 1.0, (30, width))
    holds(study, plan, engine, found, np.concatenate([zeta, np.sign(zeta)]))


def with_curves(ders: Ders, seed: int) -> Ders:
    """A least power factor of some, a capability curve of others, near to what they give."""
    rng, count = np.random.default_rng(seed), len(ders.ids)
    own = np.flatnonzero(~ders.is_substation)
    stated = rng.random(count) < 0.5
    factors = np.where(stated & ~ders.is_substation, rng.uniform(0.1, 0.6, count), np.inf)
    points = [
        (g, p, -rng.uniform(1.0, 9.0), rng.uniform(1.0, 9.0)) for g in own for p in (-50.0, 900.0)
    ]
    der, p_kw, low, high = np.array(points).reshape(-1, 4).T
    curves = Curves(der=der, p_kw=p_kw, q_min_kvar=low, q_max_kvar=high) if len(own) else None
    return replace(ders, q_per_p=factors, curves=curves)


@settings(WITHIN, max_examples=6)
@given(seed=SEEDS, recourse=st.sampled_from(["participation", "fixed"]))
def test_power_factors_and_capability_curves(held, seed: int, recourse: str) -> None:
    study, plan, engine = held(seed, campaign=f'recourse = "{recourse}"')
    ders = with_curves(study.scenario.ders, seed)
    study = replace(study, scenario=replace(study.scenario, ders=ders))
    found = certificate(study, plan, engine)
    width = study.scenario.uncertainty.size
    zeta = np.random.default_rng(seed).uniform(-1.0, 1.0, (30, width))
    holds(study, plan, engine, found, np.concatenate([zeta, np.sign(zeta)]))


SERVICES = """Clear
New Circuit.homes bus1=s basekv=12.47 pu=1.02 r1=0.2 x1=1.1 r0=0.3 x0=1.4
New Line.main bus1=s bus2=m r1=0.3 x1=0.6 r0=0.8 x0=1.9 c1=9 c0=4 length=2 units=km normamps=400
New Transformer.one phases=1 windings=3 buses=(m.2 h.1.0 h.0.2) kvs=(7.2 0.12 0.12)
~ kvas=(25 25 25) %Rs=(0.6 1.2 1.2) xhl=2.04 xht=2.04 xlt=1.36
New Transformer.two phases=1 windings=3 buses=(m.1 k.1.0 k.0.2) kvs=(7.2 0.12 0.12)
~ kvas=(15 15 15) %Rs=(0.6 1.2 1.2) xhl=2.04 xht=2.04 xlt=1.36
New Load.leg bus1=h.1 phases=1 kv=0.12 kw=5 kvar=1
New Load.other bus1=h.2 phases=1 kv=0.12 kw=3 kvar=1
New Load.home bus1=k.1.2 phases=1 conn=delta kv=0.24 kw=8 kvar=2
New Load.rest bus1=m kv=12.47 kw=900 kvar=300 model=8 zipv=(0.5 0.3 0.2 0.1 0.2 0.7 0)
Set VoltageBases=[12.47 0.208]
CalcVoltageBases
Solve
"""


@pytest.mark.parametrize("test", ["line_to_neutral", "line_to_line"])
def test_services_of_two_legs(tiny_plan, tmp_path, test: str) -> None:
    """Legs against each other, three sides, a load of every exponent: margins are OpenDSS's."""
    (tmp_path / "homes.dss").write_text(SERVICES)
    (tmp_path / "homes.toml").write_text(
        '[feeder]\npath = "homes.dss"\nload_model = "as_modelled"\n[substation]\nlost = false\n'
        f'[uncertainty]\nloads = "all"\nspread = 0.2\n[limits]\nvoltage_test = "{test}"\n'
        '[campaign]\nrecourse = "fixed"\n'
    )
    study = load_study(tmp_path / "homes.toml")
    ders, blocks = study.scenario.ders, study.scenario.feeder.blocks
    live = np.ones(len(blocks.ids), bool)
    plan = tiny_plan(study.scenario, ~study.scenario.locked, live, ders.is_substation)
    engine = OpenDssEngine(study.scenario, tolerance=1e-10)
    engine.hold(plan)
    found = certificate(study, plan, engine)
    width = study.scenario.uncertainty.size
    nominal = margins(study, plan, engine, np.zeros((1, width)))
    for bound in found.bounds:
        assert bound.centre == pytest.approx(nominal[bound.kind].min(), abs=1e-6), bound.kind
    assert {bound.kind.value for bound in found.bounds} >= {"voltage", "transformer"}
    zeta = np.random.default_rng(1).uniform(-1.0, 1.0, (40, width))
    holds(study, plan, engine, found, np.concatenate([zeta, np.sign(zeta)]))
    engine.close()


def test_a_slope_of_the_wrong_sign_is_seen(held, monkeypatch) -> None:
    """The comparison above can fail."""
    study, plan, engine = held(3)
    right = Tangent._of_powers
    monkeypatch.setattr(Tangent, "_of_powers", lambda self: -right(self))
    found = certificate(study, plan, engine)
    assert not found.missing
    everyone = np.ones((1, study.scenario.uncertainty.size))
    with pytest.raises(AssertionError, match=r"voltage|capability"):
        holds(study, plan, engine, found, np.concatenate([everyone, -everyone]))


BLOCKS = {
    "voltages inside": ("v_min_pu = 0.90\nv_max_pu = 1.10", "0.3"),
    "many outside": ("v_min_pu = 1.018\nv_max_pu = 1.019", "0.3"),
    "no tube": ("v_min_pu = 0.90\nv_max_pu = 1.10", "1.0"),
}


@pytest.mark.parametrize("case", BLOCKS)
def test_a_certificate_is_the_same_in_blocks_of_any_size(held, case: str) -> None:
    limits, spread = BLOCKS[case]
    study, plan, engine = held(WITH_A_TRANSFORMER, limits=limits, spread=spread)
    (network,) = engine.networks()
    answer, reach = (
        affine_answer("fixed", plan, study.scenario),
        reach_of(study.scenario.uncertainty),
    )
    if case == "no tube":
        reach = replace(reach, spread=reach.spread * 400.0)
    whole, *parts = (
        certify(network, study.scenario, plan, answer, reach, block=block) for block in (None, 1, 5)
    )
    assert bool(whole.missing) == (case == "no tube")
    assert {bound.kind.value for bound in whole.bounds} >= {"voltage", "current", "transformer"}
    if case == "many outside":  # as many as are put to the engine, of several blocks
        assert len(whole.bounds[0].zeta) == 8
    for own in parts:
        assert (own.missing, own.unique, own.split) == (whole.missing, whole.unique, whole.split)
        for name in ("width_pu", "remainder_pu") if not whole.missing else ():
            assert getattr(own, name) == pytest.approx(getattr(whole, name), rel=SAME), name
        for one, other in zip(own.bounds, whole.bounds, strict=True):
            alike(one, other)


def alike(one: KindBound, other: KindBound) -> None:
    assert (one.kind, one.element, one.phase) == (other.kind, other.element, other.phase)
    told = (one.worst, one.remainder, one.centre)
    assert told == pytest.approx((other.worst, other.remainder, other.centre), rel=SAME, abs=1e-13)
    np.testing.assert_array_equal(one.zeta, other.zeta)


def test_the_row_of_an_unknown_is_that_of_a_function_which_is_it(held) -> None:
    """Rows of unknowns are looked up; twice an unknown is solved for."""
    study, plan, engine = held(WITH_A_TRANSFORMER)
    (network,) = engine.networks()
    answer, reach = (
        affine_answer("fixed", plan, study.scenario),
        reach_of(study.scenario.uncertainty),
    )
    powers = powers_of(network, study.scenario, answer, reach)
    tangent = Tangent(network, powers, reach, nominal_state(network, powers))
    every = sparse.csr_array(sparse.eye_array(tangent.unknowns, format="csr"))[::-1]
    known, solved = tangent.rows(every), tangent.rows(sparse.csr_array(2.0 * every))
    assert len(known.reach) == tangent.unknowns
    for name in ("slope", "reach", "norm", "missed", "unsure", "rest"):
        own, twice = getattr(known, name), getattr(solved, name)
        assert np.isfinite(own).all()
        # what is left of a solver's own error differs; it is far below its bound
        np.testing.assert_allclose(2.0 * own, twice, rtol=1e-3, atol=1e-30, err_msg=name)
