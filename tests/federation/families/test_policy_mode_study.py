"""The study of policy modes: what its events become, how they are drawn, planned for and tried."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from gridproof.federation.cli.main import app
from gridproof.federation.papers.data import load_paper
from gridproof.federation.papers.policy_mode_draws import held_for
from gridproof.federation.papers.policy_mode_tables import policy_mode_tables
from gridproof.federation.papers.policy_modes import Effort, run_policy_modes
from gridproof.federation.records.summary import plan_summary
from gridproof.federation.reports.terminal import plan_view
from gridproof.federation.studies.study import load_study
from gridproof.federation.trial.trial import Trial
from gridproof.optimizer.planner import make_planner
from gridproof.optimizer.policy_mode.frequencies import frequencies, reserve_room_kw
from gridproof.optimizer.recourse.policies import make_recourse
from gridproof.scenarios.errors import ConfigError, NoPlanExists
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
    assert told.proof.proven_over.startswith("reserves over the Wasserstein set over 10 components")
    console = Console(width=300, record=True, file=io.StringIO())
    console.print(plan_view(told))
    shown = console.export_text()
    assert told.proof.proven_over in shown  # certified is said of what was proven, and of what set
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
        ('events.areas.north=["nowhere"]', "is not a bus of feeder"),
        ("events.log_samples=1", r"log_samples = 1"),
        ("events.log_samples=0", r"log_samples = 0"),
        ("events.kinds.dg_trip.probability.dg47=nan", r"dg47 = nan must be a finite number"),
        ('events.kinds.dg_trip.per="day"', r'per = "day" must be one of'),
        ("planner.radius_scale=-0.1", r"radius_scale = -0\.1 must be a number of at least 0"),
        ("planner.radius_scale=nan", r"radius_scale = nan must be a number of at least 0"),
        ("planner.radius_scale_total=-1.0", r"radius_scale_total = -1\.0 must be a number"),
        ("planner.covariance_floor=-0.1", r"covariance_floor = -0\.1 must lie in \[0, 1\)"),
        ("planner.held_max_pu=0.9", r"held_max_pu = 0\.9 must be a number of at least 1"),
        ("planner.rho=0.0", r"rho = 0\.0 must lie between 0 and 1"),
        ("planner.beta=1.0", r"beta = 1\.0 must lie between 0 and 1"),
        ('events.mode="cyber+nothing"', r'mode = "nothing" is not one of \[events\] modes'),
        ("ders.fleet.dg47.can_form=true", r"2 DERs can form the island; this family takes one"),
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
    with pytest.raises(ConfigError, match=words) as caught:
        planned(override)
    assert len(caught.value.faults) == 1  # and nothing of what follows from it


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("dg_cyber@west\n1\n2\n", r"column dg_cyber@east is missing"),
        ("{ids}\n{zeros}\n", "1 rows of disturbances; at least 2"),
        ("{ids}\n{zeros}\n{zeros},1\nnan,{fewer}\n", r'row 4, column dg_cyber@west: "nan"'),
        ("{ids}\n{zeros}\n-5000,{fewer}\n", "is outside the physical range"),
        ("{ids}\n{zeros}\n0,0\n", r'row 3, column pv_cyber@west: "" is not a finite number'),
    ],
)
def test_a_log_that_is_none_is_refused_by_row_and_column(study, tmp_path, text, words):
    ids = study.scenario.disturbances.ids
    zeros = ",".join("0" * len(ids))
    path = tmp_path / "log.csv"
    path.write_text(text.format(ids=",".join(ids), zeros=zeros, fewer=zeros[2:]))
    with pytest.raises(ConfigError, match=words):
        planned(*COPPER, f'events.log="{path}"')


def test_a_covariance_that_nothing_mends_is_named_by_its_component(study, tmp_path):
    """An event that never was seen, and nothing of its physical range mixed in."""
    own = study.scenario.disturbances
    seen = own.log_kw.copy()
    seen[:, own.ids.index("pv_cyber@east")] = 0.0
    path = tmp_path / "log.csv"
    lines = [",".join(own.ids)] + [",".join(map(repr, row)) for row in seen.tolist()]
    path.write_text("\n".join(lines) + "\n")
    asked = f'events.log="{path}"'
    with pytest.raises(ConfigError, match="component pv_cyber@east: the covariance is singular"):
        planned(*COPPER, asked, "planner.covariance_floor=0.0")
    planned(*COPPER, asked)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("event,dg47\ndg_trip,1.5\n", r"row 2 \(dg_trip\), column 2 \(dg47\): '1\.5' must be"),
        ("event,dg48\ndg_trip,0.5\n", r"row 1, column 2: unknown location 'dg48'"),
        ("event,dg47\nflood,0.5\n", r"row 2: unknown event 'flood'"),
        ("event,dg47\ndg_trip,0.5\n", r"column dg49 is missing"),
    ],
)
def test_a_table_of_probabilities_is_refused_by_its_cell(tmp_path, text, words):
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words):
        planned(f'events.predictions="{path}"')


def test_what_was_seen_is_a_probability_with_its_interval(tmp_path):
    path = tmp_path / "seen.csv"
    path.write_text("event,location,hour\ndg_trip,dg47,3\ndg_trip,dg47,90.5\nload_cyber,1,12\n")
    asked = f'events.seen="{path}"'
    again = load_study(NAME, [asked, "events.seen_h=1000"])
    assert load_study(NAME).scenario.digest() != again.scenario.digest()  # its log is another
    done = CliRunner().invoke(
        app, ["modes", NAME, "--json", "--set", asked, "--set", "events.seen_h=1000",
              "--cover", "0.1"],
    )  # fmt: skip
    rows = {(r["event"], r["location"]): r for r in json.loads(done.stdout)["probabilities"]}
    assert rows["dg_trip", "dg47"]["probability"] == pytest.approx(2.5 / 1001.0)
    assert rows["dg_trip", "dg49"]["probability"] == pytest.approx(0.5 / 1001.0)
    for row in rows.values():
        assert 0.0 < row["lower"] < row["probability"] < row["upper"] < 0.01
    for wrong, words in (
        ([asked], "seen and seen_h go together"),
        ([asked, "events.seen_h=50"], "row 3, column hour: '90.5' must lie in"),
        ([asked, "events.seen_h=-1"], "seen_h = -1 must be above 0"),
    ):
        with pytest.raises(ConfigError, match=words):
            load_study(NAME, wrong)


def test_a_log_is_read_and_kept_with_the_study(study, tmp_path):
    own = study.scenario.disturbances
    rows = [",".join(own.ids)] + [",".join(map(repr, row)) for row in own.log_kw.tolist()]
    path = tmp_path / "log.csv"
    path.write_text("\n".join(rows) + "\n")
    again = load_study(NAME, [f'events.log="{path}"'])
    np.testing.assert_array_equal(again.scenario.disturbances.log_kw, own.log_kw)


def test_in_mode_all_no_affine_plan_exists_and_who_answers_one_way_would_not_help():
    """Reserve is lacking in sum; and the set takes all the sun and load that could answer, too."""
    study = load_study(NAME, ["events.mode=all", "planner.network=copperplate"])
    asked = study.config.planner
    with pytest.raises(NoPlanExists, match="12 h after the start 1325 kW of reserve are lacking"):
        make_planner(asked.family, asked.options).plan(study.scenario)
    held, own, step = held_for(study), study.scenario.disturbances, 12
    for area, buses in study.config.events.areas.items():
        of_area = np.array([name.endswith(f"@{area}") for name in own.ids])
        sun = np.array(["pv_" in name or name.endswith("_pv@" + area) for name in own.ids])
        load = np.array(["load" in name for name in own.ids])
        ders = study.scenario.ders
        there = np.isin([study.scenario.feeder.buses.ids[b] for b in ders.bus], buses)
        solar = study.scenario.fleet.renewables
        available = solar.available_kw[step, there[solar.der]].sum()
        loads = study.scenario.feeder.loads
        at = np.isin([study.scenario.feeder.buses.ids[b] for b in loads.bus], buses)
        demand = study.scenario.load_p_kw[step, at].sum()
        for kind, sign, has in ((sun, 1.0, available), (load, -1.0, demand)):
            worst = held.shape.support(sign * own.shape[step] * (of_area & kind)).value
            assert worst >= has > 0.0


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


@pytest.mark.slow
def test_the_paper_s_rows_have_what_is_asked_and_are_read_when_they_are_there(tmp_path):
    effort = Effort(draws=200, ac_draws=2, modes=("forecast",), sweeps=False)
    data, told = load_paper("policy-modes"), []
    run = run_policy_modes(data, tmp_path, effort=effort, tell=told.append)
    assert len(run.rows) == len(told) == 13
    wanted = {
        "mode", "method", "response", "network", "cost_usd", "violated_share", "worst_hour",
        "on_sampled", "reserve_up_kw", "ac_breaches", "seconds", "proof", "outside_set",
    }  # fmt: skip
    assert all(wanted <= row.figures.to_json().keys() for row in run.rows)
    tried = [row.figures.ac for row in run.rows if row.spec.ac]
    assert [one.solved for one in tried] == [48, 48, 48]
    assert tried[-1].network == 0  # the affine plan, its network rows robust
    assert run.rows[-1].figures.ac_breaches == 0
    assert 30 < tried[-1].in_set <= 48
    assert tried[-1].in_set_breached == 0  # nor any reserve, of what it is proven over
    assert [one.in_set for one in tried[:2]] == [None, None]
    again = run_policy_modes(data, tmp_path, effort=effort, tell=told.append)
    assert [row.figures for row in again.rows] == [row.figures for row in run.rows]
    assert [table.name for table in policy_mode_tables(run)] == ["mode_forecast", "ac"]
