"""The robust partitioning publication's studies: small ones always, the whole by ``make paper``."""

import json
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from gridproof.federation.campaigns.progress import watching_campaign
from gridproof.federation.cli.main import app
from gridproof.federation.papers.data import PaperData, load_paper
from gridproof.federation.papers.partitioning import run_paper
from gridproof.federation.papers.partitioning_tables import paper_tables
from gridproof.federation.records.certificate_report import Claim
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.tables.files import csv_text, markdown_text
from gridproof.scenarios.errors import ConfigError, StoreError
from typer.testing import CliRunner


@contextmanager
def _silent():
    with watching_campaign(quiet=True) as bar:
        yield bar


def _at(data: PaperData, level: float, **printed) -> PaperData:
    """The rows of one level, printed figures with them."""

    def cut(values, rows):
        return (values[rows.levels_percent.index(level)],) if values else ()

    return data.model_copy(
        update={
            "plans": tuple(
                rows.model_copy(
                    update={
                        "levels_percent": (level,),
                        "printed": {k: cut(v, rows) for k, v in rows.printed.items()},
                    }
                )
                for rows in data.plans
            ),
            "campaigns": tuple(
                rows.model_copy(
                    update={
                        "levels_percent": (level,),
                        "printed_feasible_percent": cut(rows.printed_feasible_percent, rows),
                    }
                )
                for rows in data.campaigns
            ),
        }
    )


@pytest.fixture(scope="module")
def quarter(tmp_path_factory):
    """Every row at ±25 %, 96 realizations each."""
    out = tmp_path_factory.mktemp("paper")
    data, told = _at(load_paper("partitioning"), 25.0), []
    run = run_paper(data, out, samples=96, tell=told.append, watch=_silent)
    return out, data, run, told


def _tables(run):
    return {table.name: table for table in paper_tables(run)}


@pytest.mark.slow
def test_every_row_is_told_and_lies_in_a_directory_of_its_own(quarter) -> None:
    out, data, run, told = quarter
    assert len(told) == len(data.plans) + len(data.campaigns) == len(run.plans) + len(run.campaigns)
    roots = sorted(path.name for path in (out / "campaigns").iterdir())
    assert len(roots) == len(data.campaigns)
    for name in roots:
        assert sum(CampaignStore.open(out / "campaigns" / name).finished()) == 0  # one whole chunk


@pytest.mark.slow
def test_ours_stand_beside_the_printed_figures_of_the_same_level(quarter) -> None:
    run = quarter[2]
    costs = _tables(run)["costs"].records()[0]
    assert (costs["printed_generation_cost_usd"], costs["printed_served_kw"]) == (9317.0, 811.0)
    plan = run.plans[0]
    assert costs["served_kw"] == plan.summary.served_kw
    live = plan.plan.energized[0]
    assert costs["served_kw"] == pytest.approx(
        float(plan.study.scenario.block_demand_kw(0)[live].sum())
    )
    assert costs["shed_cost_usd"] == pytest.approx(float(plan.study.scenario.shed_usd[~live].sum()))
    assert f"{costs['shed_cost_usd']:.0f}/41160" in markdown_text(_tables(run)["costs"])


@pytest.mark.slow
def test_shares_are_counts_of_the_parts(quarter) -> None:
    out, _, run, _ = quarter
    row = _tables(run)["out_of_sample"].records()[0]
    store = CampaignStore.open(out / "campaigns" / "nominal-25-linear-linear")
    outcomes = [v for t in store.tables(["outcome"], (0,)) for v in t["outcome"].to_pylist()]
    assert row["feasible"] == outcomes.count("feasible") > 0
    assert row["no_recourse"] == outcomes.count("no_recourse") > 0  # ±25 % is too much for it
    assert row["feasible_percent"] == pytest.approx(100.0 * row["feasible"] / 96)
    assert row["low_percent"] < row["feasible_percent"] < row["high_percent"]


@pytest.mark.slow
def test_a_feasible_verdict_stands_on_a_solution_inside_every_limit(quarter) -> None:
    row = _tables(quarter[2])["ac_robustness"].records()[0]
    assert (row["recourse"], row["judge"]) == ("ac", "ac")
    assert row["backed"] == row["feasible"] > 0


@pytest.mark.slow
def test_what_is_proven_stands_beside_what_was_sampled(quarter) -> None:
    out, _, run, _ = quarter
    table = _tables(run)["ac_robustness"]
    row = table.records()[0]
    (tried,) = (one for one in run.campaigns if one.rows.table == "ac_robustness")
    found = tried.certificate
    assert row["certificate"] == found.verdict.value
    if found.verdict is Claim.PROVEN:
        assert row["certified_margin"] >= -1e-4
        assert all(island.unique for island in found.islands)
    assert row["certificate"] in markdown_text(table)
    kept = json.loads((out / "plans" / "robust-25" / "certificate.json").read_text())
    assert kept == found.to_json()
    assert all(one.certificate is None for one in run.campaigns if one is not tried)


@pytest.mark.slow
def test_the_crossed_table_speaks_of_the_same_realizations(quarter) -> None:
    tables = _tables(quarter[2])
    rows = {(row["plan"], row["recourse"]): row for row in tables["crossed"].records()}
    assert len(rows) == 4
    for row in rows.values():
        cells = ("both_feasible", "linear_only", "ac_only", "neither", "erred")
        assert sum(row[cell] for cell in cells) == row["samples"] == 96
    # the linear verdict of one campaign is what a campaign judged by it alone found
    alone = tables["out_of_sample"].records()[0]["feasible_percent"]
    assert rows["nominal", "linear"]["linear_percent"] == alone


@pytest.mark.slow
def test_plans_on_their_limits_stand_beside_those_moved_off_them(quarter) -> None:
    tables = _tables(quarter[2])
    rows = {row["plan"]: row for row in tables["centring"].records()}
    assert set(rows) == {"nominal", "robust"}
    assert (
        rows["nominal"]["with_percent"] == tables["out_of_sample"].records()[0]["feasible_percent"]
    )
    assert (
        rows["robust"]["with_percent"] == tables["ac_robustness"].records()[0]["feasible_percent"]
    )
    assert rows["robust"]["without_percent"] <= rows["robust"]["with_percent"] == 100.0
    made = {row.rows.key: row.plan for row in quarter[2].plans}
    for key in ("nominal", "robust"):  # one setting apart, at one cost
        centred, plain = made[key], made[f"{key}-uncentred"]
        assert plain.proof.incumbent == pytest.approx(centred.proof.incumbent, rel=1e-6)
        assert not np.allclose(plain.p_kw, centred.p_kw, atol=1e-3)


@pytest.mark.slow
def test_without_partitioning_nothing_is_live_and_searches_tell_their_best(quarter) -> None:
    tables = _tables(quarter[2])
    (dark,) = tables["unpartitioned"].records()
    assert dark["certified"]
    assert (dark["served_kw"], dark["printed_served_kw"], dark["energized_blocks"]) == (0.0, 0.0, 0)
    searches = {row["plan"]: row for row in tables["search"].records()}
    assert searches["cuts"]["iterations"] > searches["robust"]["iterations"]
    assert searches["cuts"]["objective_usd"] == pytest.approx(
        searches["robust"]["objective_usd"], rel=1e-4
    )
    for row in searches.values():
        assert 0.0 < row["seconds_to_best"] <= row["seconds"]
        assert row["printed_best_percent"] == pytest.approx(100.0 * 4572.5 / 4599.9)


@pytest.mark.slow
def test_the_nominal_plan_does_not_follow_the_level(quarter, tmp_path: Path) -> None:
    data = _at(load_paper("partitioning"), 25.0)
    nominal = next(row for row in quarter[2].plans if row.rows.key == "nominal")
    robust = next(rows for rows in data.plans if rows.key == "robust")
    robust = robust.model_copy(
        update={"levels_percent": (0.0,), "printed": {}, "tables": (), "twin_of": None}
    )
    certain = run_paper(
        data.model_copy(update={"plans": (robust,), "campaigns": ()}),
        tmp_path,
        tell=lambda _: None,
        watch=_silent,
    ).plans[0]
    for name in ("closed", "energized", "grid_forming"):
        assert np.array_equal(getattr(nominal.plan, name), getattr(certain.plan, name))
    np.testing.assert_allclose(nominal.plan.p_kw, certain.plan.p_kw, atol=1e-6)


@pytest.mark.slow
def test_a_second_run_reads_what_is_there(quarter) -> None:
    out, data, run, _ = quarter
    parts = {path: path.stat().st_mtime_ns for path in out.rglob("*.parquet")}
    again = run_paper(data, out, samples=96, tell=lambda _: None, watch=_silent)
    assert [csv_text(t) for t in paper_tables(again)] == [csv_text(t) for t in paper_tables(run)]
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.parquet")} == parts
    with pytest.raises(StoreError, match="another configuration"):
        run_paper(data, out, samples=97, tell=lambda _: None, watch=_silent)


def test_an_unknown_paper_and_rows_that_contradict_are_refused() -> None:
    with pytest.raises(ConfigError, match="did you mean partitioning"):
        load_paper("partition")
    raw = load_paper("partitioning").model_dump()
    raw["campaigns"][0]["levels_percent"] = (10, 15, 30)
    with pytest.raises(ValueError, match=r"at \[30.0\] %, which"):
        PaperData.model_validate(raw)
    raw = load_paper("partitioning").model_dump()
    raw["plans"][0]["printed"]["served_kw"] = (1190,)
    with pytest.raises(ValueError, match="1 values for 4 levels"):
        PaperData.model_validate(raw)


def test_the_command_refuses_an_unknown_paper() -> None:
    ran = CliRunner().invoke(app, ["paper", "resilience", "--json"])
    assert ran.exit_code == 2
    assert "no paper of this name" in ran.stderr


@pytest.mark.paper
@pytest.mark.timeout(1800)
def test_the_published_tables(tmp_path: Path) -> None:
    """10 000 realizations a row, against the printed figures where they can be met."""
    ran = CliRunner().invoke(
        app, ["paper", "partitioning", "--json", "--quiet", "--out", str(tmp_path)]
    )
    assert ran.exit_code == 0, ran.stderr
    document = json.loads(ran.stdout)
    tables = document["tables"]
    for row in tables["costs"]:
        assert row["certified"]
        assert row["energized_blocks"] == row["printed_energized_blocks"]
        assert row["closed_switches"] == row["printed_closed_switches"]
        assert row["shed_cost_usd"] == pytest.approx(row["printed_shed_cost_usd"])
        assert row["seconds"] < row["printed_seconds"]
    assert [row["level_percent"] for row in tables["costs"]] == [0, 10, 15, 25]
    for row in tables["out_of_sample"]:  # at 10 000 draws
        assert row["low_percent"] <= row["printed_feasible_percent"] <= row["high_percent"]
    assert all(row["served_kw"] == 0.0 and row["certified"] for row in tables["unpartitioned"])
    sample = [row["feasible_percent"] for row in tables["out_of_sample"]]
    assert sample == sorted(sample, reverse=True)
    assert max(sample) < 100.0
    for row in tables["ac_robustness"]:
        assert row["samples"] == 10_000
        assert row["feasible_percent"] >= row["printed_feasible_percent"]
        assert row["backed"] == row["feasible"]
    for row in tables["crossed"]:
        assert row["erred"] == 0
        if (row["plan"], row["recourse"]) == ("robust", "linear"):
            assert row["linear_percent"] == 100.0  # proven for every load of the set
    for files in document["figures"].values():
        assert all((tmp_path / name).stat().st_size > 10_000 for name in files)
