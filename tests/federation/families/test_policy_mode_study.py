"""The study of policy modes: what its events become, how they are drawn, planned for and tried."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from gridproof.federation.cli.main import app
from gridproof.federation.papers.data import load_paper
from gridproof.federation.papers.policy_mode_tables import policy_mode_tables
from gridproof.federation.papers.policy_modes import Effort, run_policy_modes
from gridproof.federation.records.summary import plan_summary
from gridproof.federation.reports.terminal import plan_view
from gridproof.federation.studies.study import load_study
from gridproof.federation.trial.trial import Trial
from gridproof.optimizer.planner import make_planner
from gridproof.optimizer.policy_mode.frequencies import frequencies, reserve_room_kw
from gridproof.optimizer.recourse.policies import make_recourse
from gridproof.scenarios.errors import ConfigError
from gridproof.scenarios.plan_file import plan_from_json, plan_to_json
from gridproof.scenarios.realization import realize
from gridproof.scenarios.sampling import sample
from gridproof.scenarios.verdict import MarginKind
from gridproof.simulator.linear.engine import LinearEngine
from rich.console import Console
from typer.testing import CliRunner

NAME = "ieee123-policy-modes"
COPPER = ["planner.network=copperplate", "planner.response=shared"]
RESERVE = list(MarginKind).index(MarginKind.RESERVE)


def planned(*overrides):
    study = load_study(NAME, overrides)
    asked = study.config.planner
    return study, make_planner(asked.family, asked.options).plan(study.scenario)


@pytest.fixture(scope="module")
def study():
    return load_study(NAME)


@pytest.fixture(scope="module")
def shared():
    """Every load's shedding at once and a response shared by DERs and interruptible loads."""
    return planned(*COPPER, "planner.method=support_box")


def test_components_are_events_by_area_and_act_where_they_are_declared(study):
    own = study.scenario.disturbances
    assert own.ids == (
        "dg_cyber@west", "dg_cyber@east", "pv_cyber@west", "pv_cyber@east", "load_cyber@west",
        "load_cyber@east", "pv_error@west", "pv_error@east", "load_error@west", "load_error@east",
    )  # fmt: skip
    where = study.scenario.ders.ids.index
    # machines of 300 kW at 47 and 49 are the west, of 250 and 300 kW at 65 and 76 the east
    assert own.der_share[0, [where("dg47"), where("dg49")]].tolist() == [0.5, 0.5]
    east = own.der_share[1, [where("dg65"), where("dg76")]]
    np.testing.assert_allclose(east, [250.0 / 550.0, 300.0 / 550.0])
    assert own.upper_kw[:2].tolist() == pytest.approx([0.6 * 600.0, 0.6 * 550.0])
    profile = study.config.horizon.load_profile
    np.testing.assert_allclose(own.shape[:, 4], profile)
    assert (own.shape[:, 0] == 1.0).all()
    assert own.shape[0, 2] == 0.0  # no sun at midnight


def test_each_hour_is_drawn_anew_and_each_realization_alone(study):
    whole = sample(study.scenario, study.sampler, 0, 6)
    assert whole.zeta_by_step.shape == (6, 24, 10)
    for step in (0, 13):
        part = sample(study.scenario, study.sampler, 4, 2, step=step)
        assert part.zeta.tobytes() == whole.zeta_at(step)[4:].tobytes()
        assert part.p_kw.tobytes() == whole.at(step).p_kw[4:].tobytes()
    assert not np.array_equal(whole.zeta_at(3), whole.zeta_at(4))


def test_what_happens_is_worse_than_what_was_seen_and_within_what_is_possible(study):
    own = study.scenario.disturbances
    sampled = load_study(NAME, ["events.draws=sampled"])
    seen, actual = (
        np.concatenate([s.sampler.coordinates_at(0, 2000, t) for t in range(4)])
        for s in (sampled, study)
    )
    assert actual.sum(axis=1).mean() > 1.5 * seen.sum(axis=1).mean()
    for w in (seen, actual, own.log_kw):
        assert (w >= own.lower_kw - 1e-9).all()
        assert (w <= own.upper_kw + 1e-9).all()
    # the log is of the sampled distribution: a mean of 100 within five standard errors
    error = seen.std(axis=0) / 10.0
    assert (np.abs(own.log_kw.mean(axis=0) - seen.mean(axis=0)) < 5.0 * error).all()


@pytest.mark.parametrize("recourse", ["rule", "fixed"])
def test_the_count_of_violated_pairs_is_that_of_the_linear_engine(shared, recourse):
    """Two ways that share no code: products of reserves, and flows solved and judged."""
    made, plan = shared
    scenario, rng = made.scenario, np.random.default_rng(4)
    own = scenario.disturbances
    w = rng.uniform(own.lower_kw, own.upper_kw, (40, len(own.ids)))
    w[:20] = np.linspace(1.02, 1.2, 20)[:, None] * own.upper_kw
    tried = plan if recourse == "rule" else plan_without_rule(plan)
    for step in (2, 12, 19):
        batch = tried.asked(realize(scenario, w, step=step), scenario)
        trial = Trial(LinearEngine(scenario), scenario, tried)
        trial.enter(step, batch.index)
        answer = make_recourse(recourse, tried, scenario, step).respond(batch)
        _, verdicts = trial.observe(batch, answer)
        room = reserve_room_kw(tried, scenario, w, step)
        short = verdicts.margin[:, RESERVE] < -1e-6
        clear = (room > -1e-6) | (room < -0.01)  # who holds no reserve has no room, and is held
        assert clear.sum() > 20
        np.testing.assert_array_equal(short[clear], (room < -0.01)[clear])
    assert short[:20].all()  # beyond all that reserves were bought for


def plan_without_rule(plan):
    return replace(plan, rule=None)


def test_loads_that_are_cut_at_once_answer_their_part(shared):
    made, plan = shared
    rule, own = plan.rule, made.scenario.disturbances
    assert rule.load_ids  # the box of all that is possible takes more than the machines have
    zeta = np.vstack([own.upper_kw, own.lower_kw])
    for step in (0, 12):
        lacking = own.deficit_kw(zeta, step)
        cut = rule.cut_kw(zeta, step).sum(axis=1)
        moved = rule.answer_kw(zeta, step).sum(axis=1)
        assert moved[0] + cut[0] == pytest.approx(lacking[0])  # together they answer it all
        assert cut[1] == 0.0  # a surplus cuts nobody
        drawn = realize(made.scenario, zeta, step=step)
        less = drawn.p_kw.sum(axis=(1, 2, 3)) - plan.asked(drawn, made.scenario).p_kw.sum((1, 2, 3))
        np.testing.assert_allclose(less, cut, atol=1e-6)
    back = plan_from_json(plan_to_json(plan), made.scenario)
    assert back.rule.load_gain.tobytes() == rule.load_gain.tobytes()
    assert back.rule.load_ids == rule.load_ids


def test_a_plan_comes_back_from_its_file_with_its_proof_and_its_set():
    made, plan = planned("planner.network=copperplate")
    assert plan.costs["curtailed"] > 0.0  # a term of its own: dead blocks are what is shed
    back = plan_from_json(plan_to_json(plan), made.scenario)
    assert (back.family, back.remark) == ("policy_mode", "")
    assert back.proof.robust == plan.proof.robust
    assert back.proof.over == plan.proof.over
    assert dict(back.costs) == dict(plan.costs)
    told = plan_summary(back, made.scenario)
    assert told["proven_over"].startswith("reserves over the Wasserstein set over 10 components")
    console = Console(width=300, record=True, file=io.StringIO())
    console.print(plan_view(told))
    shown = console.export_text()
    assert told["proven_over"] in shown  # certified is said of what was proven, and of what set
    assert "reserve" in shown.split("of which")[1].splitlines()[0]


def test_cvar_keeps_its_promise_on_what_it_saw_and_breaks_it_on_what_happens():
    """And the set over components keeps it on both, for more."""
    found = {}
    for method in ("cvar", "dro_components"):
        made, plan = planned(*COPPER, f"planner.method={method}")
        for draws in ("sampled", "actual"):
            other = load_study(NAME, [f"events.draws={draws}"])

            def drawn(step, other=other):
                return sample(other.scenario, other.sampler, 0, 1000, step=step).zeta

            found[method, draws] = frequencies(plan, made.scenario, drawn, 24)
        found[method] = plan.costs["objective"]
    assert found["cvar", "sampled"].pairs < 0.05 < found["cvar", "actual"].pairs
    assert found["dro_components", "actual"].pairs < 0.05
    assert found["dro_components"] > found["cvar"]
    worst = found["cvar", "actual"]
    assert worst.pairs < worst.worst_step < worst.any_step  # which frequency is meant matters


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("events.kinds.dg_trip.probability.dg47=1.5", r"dg_trip\.probability\.dg47 = 1\.5"),
        ("events.kinds.dg_trip.probability.dg48=0.1", r"dg48.* is not one of the DERs"),
        ("events.kinds.load_error.probability.9999=0.1", r"9999.* is not one of the buses"),
        ('events.modes.cyber=["nothing"]', r"modes\.cyber.* is not one of \[events\] kinds"),
        ("events.modes.cyber=[]", r"modes\.cyber names no event"),
        ('events.mode="quiet"', r'mode = "quiet" is not one of \[events\] modes'),
        ('events.areas.west=["nowhere"]', "is not a bus of feeder"),
        ("events.log_samples=1", r"log_samples = 1"),
        ("events.log_samples=0", r"log_samples = 0"),
        ("planner.radius_scale=-0.1", r"radius_scale = -0\.1 must be at least 0"),
        ("planner.rho=1.0", r"rho = 1\.0 must lie between 0 and 1"),
        ("planner.beta=0.0", r"beta = 0\.0 must lie between 0 and 1"),
        ('planner.method="guess"', r'method = "guess" must be one of deterministic'),
        ("ders.fleet.store13.storage.start_share=1.5", r"start_share = 1\.5"),
        ("ders.fleet.store13.storage.end_share=0.1", r"end_min_kwh"),
        ("ders.fleet.dg47.rating_kva=100", r"rating_kva = 100 is below capacity_kw = 600"),
        ("ders.fleet.dg76.can_form=false", "no DER that can form"),
        ('campaign.sampler="uniform"', r'disturbances are drawn from \[events\]'),
    ],
)  # fmt: skip
def test_bad_input_is_one_message_with_its_cell(override, words):
    with pytest.raises(ConfigError, match=words):
        planned(override)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("dg_cyber@west\n1\n2\n", r"column dg_cyber@east is missing"),
        ("{ids}\n{zeros}\n", "1 rows of disturbances; at least 2"),
        ("{ids}\n{zeros}\n{zeros},1\nnan,{fewer}\n", r'row 4, column dg_cyber@west: "nan"'),
        ("{ids}\n{zeros}\n-5000,{fewer}\n", "is outside the physical range"),
    ],
)
def test_a_log_that_is_none_is_refused_by_row_and_column(study, tmp_path, text, words):
    ids = study.scenario.disturbances.ids
    zeros = ",".join("0" * len(ids))
    path = tmp_path / "log.csv"
    path.write_text(text.format(ids=",".join(ids), zeros=zeros, fewer=zeros[2:]))
    with pytest.raises(ConfigError, match=words):
        planned(*COPPER, f'events.log="{path}"')


def test_a_log_is_read_and_kept_with_the_study(study, tmp_path):
    own = study.scenario.disturbances
    rows = [",".join(own.ids)] + [",".join(map(repr, row)) for row in own.log_kw.tolist()]
    path = tmp_path / "log.csv"
    path.write_text("\n".join(rows) + "\n")
    again = load_study(NAME, [f'events.log="{path}"'])
    np.testing.assert_array_equal(again.scenario.disturbances.log_kw, own.log_kw)


def test_modes_says_why():
    done = CliRunner().invoke(app, ["modes", NAME, "--json", "--cover", "0.4"])
    found = json.loads(done.stdout)
    assert found["mode"] == "forecast"
    assert sum(row["share"] for row in found["risks"]) == pytest.approx(1.0)
    chosen = next(row for row in found["modes"] if row["chosen"])
    assert chosen["share"] >= 0.4
    assert all(row["reason"] for row in found["modes"])
    assert load_study(NAME, ["events.mode=auto", "events.risk_share=0.4"]).config.events.mode == (
        "forecast"
    )


def test_the_paper_s_rows_have_what_is_asked_and_are_read_when_they_are_there(tmp_path):
    effort = Effort(draws=200, ac_draws=2, modes=("forecast",), sweeps=False)
    data, told = load_paper("policy-modes"), []
    run = run_policy_modes(data, tmp_path, effort=effort, tell=told.append)
    assert len(run.rows) == len(told) == 13
    wanted = {
        "mode", "method", "response", "network", "cost_usd", "violated_share", "worst_hour",
        "on_sampled", "reserve_up_kw", "ac_breaches", "seconds", "proof",
    }  # fmt: skip
    assert all(wanted <= row.figures.keys() for row in run.rows)
    tried = [row.figures["ac_breaches"] for row in run.rows if row.spec.ac]
    assert [one["solved"] for one in tried] == [48, 48, 48]
    assert tried[-1]["network"] == 0  # the affine plan, its network rows robust
    again = run_policy_modes(data, tmp_path, effort=effort, tell=told.append)
    assert [row.figures for row in again.rows] == [row.figures for row in run.rows]
    assert [table.name for table in policy_mode_tables(run)] == ["mode_forecast", "ac"]
