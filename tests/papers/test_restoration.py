"""The restoration publication's studies: small ones always, the whole by ``make paper``."""

import json
from contextlib import contextmanager
from pathlib import Path

import pytest
from gridproof.federation.campaigns.progress import watching_campaign
from gridproof.federation.cli.main import app
from gridproof.federation.papers.data import load_paper
from gridproof.federation.papers.restoration import RestorationEffort, run_restoration_paper
from gridproof.federation.papers.restoration_data import RestorationPaper
from gridproof.federation.papers.restoration_sizes import (
    grown_case,
    printed_size,
    radiality_size,
    solve_row,
)
from gridproof.federation.papers.restoration_tables import restoration_pictures, restoration_tables
from gridproof.optimizer.network.radiality import FORMULATIONS
from typer.testing import CliRunner


@contextmanager
def _silent():
    with watching_campaign(quiet=True) as bar:
        yield bar


def test_the_printed_counts_are_table_one_and_the_built_ones_are_near() -> None:
    case = grown_case(60, network_seed=1, failure_seed=2)
    n, k = len(case.feeder.buses.ids), len(case.feeder.lines.ids)
    assert printed_size(n, k, "directed_local_flow") == (2 * n + 3 * k, 2 * n + 3 * k)
    assert printed_size(n, k, "multi_commodity") == (
        2 * n * k + k,
        n**2 + 2 * n * k - n - k + 1,
    )
    assert printed_size(n, k, "parent_child") == (n + 3 * k, n + k)
    assert printed_size(n, k, "single_commodity") is None
    roots = len(case.feeder.sources.ids)
    built = {name: radiality_size(case, name) for name in FORMULATIONS}
    assert built["directed_local_flow"].variables == 2 * n + 3 * k + roots
    assert built["parent_child"].variables == n + 3 * k + roots
    assert built["multi_commodity"].constraints > 10 * built["directed_local_flow"].constraints


def test_all_formulations_solve_a_row_alike_and_a_limit_is_never_an_optimum() -> None:
    case = grown_case(60, network_seed=1, failure_seed=2)
    rows = [solve_row(case, name, "reconfiguration", 60.0) for name in FORMULATIONS]
    assert all(row["optimal"] and row["audit_faults"] == 0 for row in rows)
    shares = [row["supplied_percent"] for row in rows]
    assert max(shares) == pytest.approx(min(shares), abs=1e-4)
    cut = solve_row(grown_case(1000, network_seed=1, failure_seed=2), "parent_child",
                    "reconfiguration", 0.01)  # fmt: skip
    assert not cut["optimal"]
    assert cut["termination"] == "time_limit"


def test_an_option_of_the_other_publication_is_refused(tmp_path: Path) -> None:
    asked = ["paper", "partitioning", "--growth", "315", "--out", str(tmp_path)]
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 2
    assert "--growth 315 is for another publication" in result.output


@pytest.mark.paper
def test_the_small_whole_stands_beside_the_print_and_goes_on_where_it_was(tmp_path: Path) -> None:
    data = load_paper("restoration")
    assert isinstance(data, RestorationPaper)
    effort = RestorationEffort(growth_buses=315, time_limit_s=60.0, draws=2)
    told: list[str] = []
    run = run_restoration_paper(
        data, tmp_path, samples=32, effort=effort, tell=told.append, watch=_silent
    )
    tables = {table.name: table for table in restoration_tables(run)}
    supplied = tables["supplied"].records()
    shares = [row["supplied_3_percent"] for row in supplied]
    assert shares == sorted(shares)  # more underground, more restored
    assert len({row["supplied_1_percent"] for row in supplied}) == 1
    assert [row["damaged_3"] for row in supplied] == sorted(
        (row["damaged_3"] for row in supplied), reverse=True
    )
    assert all(row["optimal"] and row["audit_faults"] == 0 for row in supplied)
    assert supplied[3]["printed_supplied_3_percent"] == 47.84
    assert len(tables["ac"].records()) == 4 * 5
    assert all(row["samples"] == 32 for row in tables["ac"].records())
    assert tables["program"].records()[0]["printed_variables"] == 14_122
    assert all(row["audit_faults"] == 0 for row in tables["storms"].records())
    pictures = restoration_pictures(run, tmp_path)
    assert set(pictures) == {"supplied", "storms", *(f"stages-case-{k}" for k in (1, 2, 3, 4))}
    assert all((tmp_path / name).is_file() for one in pictures.values() for name in one.files)

    asked = ["paper", "restoration", "--samples", "32", "--growth", "315", "--limit", "60"]
    result = CliRunner().invoke(
        app, [*asked, "--draws", "2", "--json", "--quiet", "--out", str(tmp_path)]
    )
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["tables"]["formulations"] == json.loads(
        json.dumps(tables["formulations"].records())
    )  # read back, times and all: nothing was solved again
    assert (tmp_path / "tables.md").read_text().count("![") == len(pictures)
