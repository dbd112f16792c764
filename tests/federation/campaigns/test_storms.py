"""Many storms: a draw is its own index's, a run goes on, intervals hold what they say."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gridproof.federation.campaigns import storms
from gridproof.federation.campaigns.later_responses import read_responses
from gridproof.federation.campaigns.storms import StormRun, run_storms
from gridproof.federation.cli.main import app
from gridproof.federation.reports.storm_summary import restored_shares, storm_summary, storm_table
from gridproof.federation.statistics.shares import quantile_interval
from gridproof.federation.studies.study import load_study
from gridproof.federation.trial.rounds import settle
from gridproof.optimizer.planner import make_planner
from gridproof.optimizer.recourse.policies import make_recourse
from gridproof.scenarios.damage import StormDamage, draw_damage
from gridproof.scenarios.errors import ConfigError, StoreError
from gridproof.scenarios.realization import draw, uniforms
from gridproof.scenarios.restoration import Outage
from gridproof.scenarios.restoration_scenario import with_failures
from gridproof.scenarios.verdict import Outcome, judge
from gridproof.simulator.opendss.engine import OpenDssEngine
from typer.testing import CliRunner


@pytest.fixture(scope="module")
def run() -> StormRun:
    """Few failures on the declared network, so that plans come at once."""
    study = load_study("mv315-case1")
    return StormRun(study=study, storm=StormDamage(rate_per_km=0.02), seed=3, loads=2)


@pytest.fixture(scope="module")
def made(run: StormRun, tmp_path_factory: pytest.TempPathFactory):
    out = tmp_path_factory.mktemp("storms")
    return out, run_storms(run, out, 3)


def test_a_draw_fails_what_the_damage_model_says_and_is_audited_and_tried(run, made) -> None:
    case, (_, draws) = Outage.of(run.study.scenario), made
    fails = draw_damage(case, run.storm, run.seed, 0, 3)
    for one, row in zip(draws, fails, strict=True):
        assert one.failed == tuple(case.feeder.lines.ids[k] for k in np.flatnonzero(row))
        assert one.planned
        assert one.optimal
        assert one.audit_faults == ()
        assert sum(one.outcomes.values()) == run.loads
        assert one.supplied_share[0] == 1.0
        assert one.supplied_share[3] >= one.supplied_share[2] == one.supplied_share[1]
    assert len({one.failed for one in draws}) > 1


def test_a_run_goes_on_and_a_draw_does_not_depend_on_the_others(run, made) -> None:
    out, draws = made
    told: list[int] = []
    (out / "draws" / "000001.json").unlink()
    again = run_storms(run, out, 3, tell=lambda one: told.append(one.index))
    assert told == [1]
    assert [(a.failed, a.supplied_share, a.outcomes) for a in again] == [
        (b.failed, b.supplied_share, b.outcomes) for b in draws
    ]


def test_the_summary_counts_what_the_draws_hold(run, made) -> None:
    _, draws = made
    found = storm_summary(run, draws)
    shares = restored_shares(draws)
    last = found.supplied_share["remote reconfiguration"]
    assert last.mean == pytest.approx(shares[:, 3].mean())
    assert last.quantiles["0.5"].value == np.sort(shares[:, 3])[1]
    assert (found.audit.faults, found.audit.draws_with_faults) == (0, ())
    assert found.failures.mean == np.mean([len(one.failed) for one in draws])
    assert found.ac.draws_judged == 3
    assert sum(found.ac.outcomes.values()) == 6


def test_other_draws_are_refused_and_so_is_a_study_without_failures(run, made, tmp_path) -> None:
    other = StormRun(study=run.study, storm=run.storm, seed=4, loads=2)
    with pytest.raises(StoreError, match="holds draws of another seed; give another --out"):
        run_storms(other, made[0], 1)
    partitioning = StormRun(study=load_study("ieee37-networked"), storm=run.storm, seed=1, loads=1)
    with pytest.raises(ConfigError, match="is no restoration; storms need a study"):
        run_storms(partitioning, tmp_path, 1)


def test_the_command_prints_one_object_and_draws(tmp_path: Path) -> None:
    asked = ["storm", "mv315-case1", "--draws", "2", "--loads", "1", "--rate-per-km", "0.01"]
    result = CliRunner().invoke(app, [*asked, "--sigma", "1", "--json", "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["draws"] == 2
    assert found["storm"]["sigma"] == 1.0
    assert {"restored.svg", "restored.png"} <= {path.name for path in tmp_path.iterdir()}
    bad = CliRunner().invoke(app, [*asked, "--sigma", "-1", "--out", str(tmp_path)])
    assert bad.exit_code == 2
    assert "sigma = -1.0 must not be negative" in bad.output


@pytest.mark.parametrize(("level", "count"), [(0.5, 40), (0.05, 40), (0.95, 100)])
def test_quantile_intervals_cover_as_often_as_they_say(level: float, count: int) -> None:
    rng, hits = np.random.default_rng(1), 0
    for _ in range(1000):
        low, high = quantile_interval(rng.random(count), level, 0.9, ends=(0.0, 1.0))
        hits += low <= level <= high
    assert hits >= 880
    assert hits < 1000


@pytest.fixture
def shed(run: StormRun):
    """One storm's scenario, and its plan made to serve half of a load."""
    case = Outage.of(run.study.scenario)
    fails = draw_damage(case, run.storm, run.seed, 0, 1)[0]
    failed = [case.feeder.lines.ids[k] for k in np.flatnonzero(fails)]
    scenario = with_failures(run.study.scenario, failed)
    config = run.study.config.planner
    plan = make_planner(config.family, config.options).plan(scenario)
    load = scenario.feeder.loads.ids[4]
    share = np.full((len(plan.closed), 1), 0.5)
    return scenario, replace(plan, partial_ids=(load,), served_share=share)


def test_a_storm_tries_what_the_plan_asks_for_not_what_was_drawn(run, shed, monkeypatch) -> None:
    (scenario, plan), seen = shed, []

    class Engine(OpenDssEngine):
        def observe(self, realizations, setpoints):
            seen.append(realizations)
            return super().observe(realizations, setpoints)

    monkeypatch.setattr("gridproof.federation.campaigns.storms.OpenDssEngine", Engine)
    storms._tried(run, scenario, plan, 2)
    drawn = draw(scenario, run.seed, 2 * run.loads, run.loads)
    share = np.ones(len(scenario.feeder.loads.ids))
    share[4] = 0.5
    np.testing.assert_array_equal(seen[0].p_kw, drawn.p_kw * share[:, None])
    np.testing.assert_array_equal(seen[0].q_kvar, drawn.q_kvar * share[:, None])


def test_what_has_no_redispatch_is_not_feasible_in_a_storm(run, shed, monkeypatch) -> None:
    scenario, plan = shed
    found = np.array([True, False])

    def nobody(*given):
        fixed = make_recourse(*given)

        class Lost:
            def respond(self, realizations):
                return replace(fixed.respond(realizations), found=found)

        return Lost()

    before, _ = storms._tried(run, scenario, plan, 0)
    monkeypatch.setattr("gridproof.federation.campaigns.storms.make_recourse", nobody)
    after, _ = storms._tried(run, scenario, plan, 0)
    assert before == {"feasible": 2}
    assert after == {"feasible": 1, "no_recourse": 1}


def test_a_storm_judges_as_its_steps_written_out_do(run, made) -> None:
    _, draws = made
    scenario = with_failures(run.study.scenario, draws[1].failed)
    config = run.study.config.planner
    plan = make_planner(config.family, config.options).plan(scenario)
    counted = storms._tried(run, scenario, plan, 1)[0]
    engine = OpenDssEngine(scenario)
    try:
        engine.hold(plan, 3)
        loads = plan.asked(draw(scenario, run.seed, run.loads, run.loads), scenario)
        answer = make_recourse("fixed", plan, scenario, 3).respond(loads)
        verdicts = settle(judge(engine.observe(loads, answer), plan, scenario, 3), answer)
    finally:
        engine.close()
    kinds = [Outcome(code).name.lower() for code in verdicts.outcome]
    assert counted == {kind: kinds.count(kind) for kind in set(kinds)} == draws[1].outcomes


@pytest.mark.parametrize(
    ("override", "word"),
    [
        ("campaign.recourse=participation", "recourse"),
        ("campaign.recourse=ac", "recourse, rounds"),
        ("uncertainty.spread=0.2", "scenario"),
    ],
)
def test_draws_of_another_way_are_not_mixed(run, made, override: str, word: str) -> None:
    other = replace(run, study=load_study("mv315-case1", [override]))
    with pytest.raises(StoreError, match=f"holds draws of another {word}; give another --out"):
        run_storms(other, made[0], 1)


def test_draws_of_other_versions_are_not_mixed(run, made, monkeypatch) -> None:
    monkeypatch.setattr(
        "gridproof.federation.campaigns.storms.versions", lambda: {"gridproof": "0.0.1"}
    )
    with pytest.raises(StoreError, match="holds draws of another versions"):
        run_storms(run, made[0], 1)


def test_a_design_is_no_law_that_storms_can_draw_from(run, tmp_path) -> None:
    other = replace(run, study=load_study("mv315-case1", ["campaign.sampler=sobol"]))
    with pytest.raises(ConfigError, match=r'sampler = "sobol" is a design'):
        run_storms(other, tmp_path, 1)


def test_storms_draw_loads_by_the_study_s_own_law(run) -> None:
    law = ["campaign.sampler=truncated_normal", "campaign.std_share=0.2"]
    other = replace(run, study=load_study("mv315-case1", law))
    uniform = run.sampler(3).coordinates(0, 400)
    np.testing.assert_array_equal(
        uniform, 2.0 * uniforms(3, 0, 400, run.study.scenario.uncertainty.size) - 1.0
    )
    assert uniform.std() == pytest.approx(1 / 3**0.5, rel=0.02)
    assert other.sampler(3).coordinates(0, 400).std() == pytest.approx(0.2, rel=0.02)


@pytest.mark.parametrize("text", ["", "{", "[1]", "{}", '{"index": 7, "failed": []}'])
def test_a_torn_draw_is_named_and_drawn_anew_once_it_is_gone(run, made, text: str) -> None:
    out, draws = made
    path = out / "draws" / "000002.json"
    whole = path.read_text()
    try:
        path.write_text(text)
        with pytest.raises(StoreError, match=r"000002\.json.*delete it and run again"):
            run_storms(run, out, 3)
        path.unlink()
        assert run_storms(run, out, 3)[2].outcomes == draws[2].outcomes
    finally:
        path.write_text(whole)


@pytest.mark.slow
def test_later_responses_follow_each_other_and_are_told(run, tmp_path) -> None:
    """Crews, then every line mended: nothing that was supplied is lost, and all comes back."""
    later = read_responses(["crews", "repair:all"])
    asked = replace(run, later=later)
    (one, _) = draws = run_storms(asked, tmp_path, 2)
    assert [part.name for part in one.later] == ["crews at manual switches", "all lines mended"]
    for draw_ in draws:
        shares = [draw_.supplied_share[3], *(part.supplied_share for part in draw_.later)]
        assert shares == sorted(shares)
        assert shares[-1] == pytest.approx(1.0)
        assert all(part.audit_faults == () and part.optimal for part in draw_.later)
        assert all(sum(part.outcomes.values()) == run.loads for part in draw_.later)
    assert run_storms(asked, tmp_path, 2) == draws  # read back as they were written
    told = storm_summary(asked, draws)
    assert [part.name for part in told.later] == [response.name for response in later]
    assert told.later[1].supplied_share.mean == pytest.approx(1.0)
    assert told.later[1].ac.draws_judged == 2
    assert storm_table(told).rows[-1][0] == "then all lines mended"
    with pytest.raises(StoreError, match="draws of another later"):
        run_storms(run, tmp_path, 2)
    with pytest.raises(ConfigError, match="--then mend is no response"):
        read_responses(["mend"])
