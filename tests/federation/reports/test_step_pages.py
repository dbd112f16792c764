"""Pages of many steps: the same bytes whoever writes them, and written whatever befalls one."""

import subprocess
import sys

import pytest
from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.campaigns.steps import step_stores
from gridproof.federation.reports import campaign_page, step_pages
from gridproof.federation.reports.step_pages import write_step_pages
from gridproof.federation.studies.study import load_study


@pytest.fixture(scope="module")
def storm(tmp_path_factory, write_storm):
    folder = tmp_path_factory.mktemp("pages")
    study = load_study(write_storm(folder), ["campaign.samples=20"])
    return run_campaign(study, folder / "c", mode="local").store, study.scenario


def files(folder):
    return {
        path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.mark.slow
def test_helpers_write_what_one_process_writes(storm, tmp_path):
    store, scenario = storm
    told = []
    for name, helpers in (("alone", 0), ("helped", 1)):
        write_step_pages(step_stores(store), scenario, tmp_path / name, {},
                         tell=lambda *now: told.append(now), helpers=helpers)  # fmt: skip
    assert files(tmp_path / "alone") == files(tmp_path / "helped")
    assert {of for _, of in told} == {len(store.tried)}
    assert max(done for done, _ in told) >= len(store.tried) - 1


def test_what_a_helper_does_not_bring_is_written_all_the_same(storm, tmp_path, monkeypatch):
    """One that says that a step is done, has written nothing, and dies."""
    store, scenario = storm
    dies = "print(1, flush=True); raise SystemExit(3)"
    monkeypatch.setattr(
        step_pages, "_start",
        lambda *_: subprocess.Popen(
            [sys.executable, "-c", dies], stdout=subprocess.PIPE, text=True
        ),
    )  # fmt: skip
    stores = step_stores(store)[:2]  # the second is the helper's
    write_step_pages(stores, scenario, tmp_path, {}, tell=lambda *_: None, helpers=1)
    assert all((tmp_path / f"step-{k}" / "report.html").exists() for k in (0, 1))


@pytest.mark.slow
def test_equal_charts_are_drawn_once(storm, tmp_path, monkeypatch):
    """Steps of the same verdicts share their chart, and each page has it as its own file."""
    store, scenario = storm
    drawn, draw = [], campaign_page.figure_shares
    monkeypatch.setattr(
        campaign_page, "figure_shares", lambda *a, **k: (drawn.append(a), draw(*a, **k))[1]
    )
    stores = step_stores(store)[:2]
    write_step_pages(stores, scenario, tmp_path, {}, tell=lambda *_: None, helpers=0)
    charts = [(tmp_path / f"step-{k}" / "figures" / "shares.svg").read_bytes() for k in (0, 1)]
    assert (len(drawn) == 1) == (charts[0] == charts[1])
    assert not list(tmp_path.rglob("*.png"))
