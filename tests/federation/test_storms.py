"""Many storms: a draw is its own index's, a run goes on, intervals hold what they say."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from federation.campaigns.storms import StormRun, run_storms
from federation.cli.main import app
from federation.reports.storm_summary import restored_shares, storm_summary
from federation.statistics.shares import quantile_interval
from federation.studies.study import load_study
from scenarios.damage import StormDamage, draw_damage
from scenarios.errors import ConfigError, StoreError


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
    case, (_, draws) = run.study.scenario.restoration, made
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
    last = found["supplied_share"]["remote reconfiguration"]
    assert last["mean"] == pytest.approx(shares[:, 3].mean())
    assert last["quantiles"]["0.5"]["value"] == np.sort(shares[:, 3])[1]
    assert found["audit"] == {"faults": 0, "draws_with_faults": []}
    assert found["failures"]["mean"] == np.mean([len(one.failed) for one in draws])
    assert found["ac"]["draws_judged"] == 3
    assert sum(found["ac"]["outcomes"].values()) == 6


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
