"""A study of several steps: one plan, one campaign that tries them all, joined by realization."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.campaigns.steps import joint_summary, step_stores, steps_summary
from gridproof.federation.cli.main import app
from gridproof.federation.records.begun import begun_chunks, read_begun
from gridproof.federation.records.parts import CHUNK_ROWS
from gridproof.federation.records.rows import STEP, counted, outcome_codes
from gridproof.federation.records.sink import CampaignSink
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.reports import drawing
from gridproof.federation.reports.compare_steps import compare_steps
from gridproof.federation.studies.study import load_study
from gridproof.federation.wording import percent
from gridproof.scenarios.errors import StoreError
from gridproof.scenarios.plan import plan_digest
from gridproof.scenarios.plan_file import plan_from_json, plan_to_json
from gridproof.scenarios.verdict import Outcome
from typer.testing import CliRunner


@pytest.fixture(scope="module")
def whole(tmp_path_factory, write_storm):
    """A study run once without HELICS."""
    folder = tmp_path_factory.mktemp("storm")
    study = load_study(write_storm(folder))
    return run_campaign(study, folder / "c"), study


@pytest.fixture(scope="module")
def strict(whole, tmp_path_factory):
    """The same under a floor that half of the realizations leave at some phase."""
    done, study = whole
    lows = [column(done.store, step, "margin_voltage") for step in range(4)]
    middle = float(np.median(np.min(lows, axis=0)))
    override = f"limits.v_min_pu={0.95 + middle:.9f}"
    plan = replace(done.plan, scenario_digest="")
    out = tmp_path_factory.mktemp("strict") / "c"
    return run_campaign(load_study(study.path, [override]), out, plan=plan), override


def make_earlier(done, study, out, overrides=()):
    """Make a directory as an earlier version did: of each step a campaign of its own in it."""
    out.mkdir()
    for step in study.steps:
        alone = load_study(study.path, [*overrides, f"campaign.step={step}"])
        run_campaign(alone, out / f"step-{step}", plan=done.plan)
    for name in ("plan.json", "scenario.json", "environment.json"):
        shutil.copy(done.out / name, out / name)
    record = json.loads((done.out / "study.json").read_text())
    del record["rows_by_step"]
    (out / "study.json").write_text(json.dumps(record))
    return CampaignStore.open(out)


@pytest.fixture(scope="module")
def earlier(whole, tmp_path_factory):
    done, study = whole
    return make_earlier(done, study, tmp_path_factory.mktemp("earlier") / "c")


def results(root):
    found = [*root.glob("parts/*"), *root.glob("profiles/*"), *root.glob("profiles/*/*")]
    return {str(p.relative_to(root)): p.read_bytes() for p in found if p.is_file()}


def column(store, step, name):
    (table,) = store.of_step(step).tables([name], [0])
    return table.column(name).to_numpy()


def gridproof(*args, code=0):
    result = CliRunner().invoke(app, [str(arg) for arg in args])
    assert result.exit_code == code, result.output
    return result


def outcomes(store):
    """(step, realization) codes, counted by hand."""
    tables = [next(one.tables(["outcome"], [0])) for one in step_stores(store)]
    return np.stack([outcome_codes(table.column("outcome")) for table in tables])


def test_every_part_holds_every_step_of_the_same_draws(whole):
    done, study = whole
    assert done.store.steps == study.scenario.step_names
    assert done.store.tried == (0, 1, 2, 3)
    assert done.store.stepped
    assert json.loads((done.out / "study.json").read_text())["rows_by_step"] == [0, 1, 2, 3]
    with pq.ParquetFile(done.store.part_path(0)) as file:
        assert file.num_row_groups == 4
        for group in range(4):
            rows = file.read_row_group(group, columns=["index", STEP])
            assert rows.column("index").to_pylist() == list(range(24))
            assert set(rows.column(STEP).to_pylist()) == {group}
    one = done.store.of_step(2)
    assert (one.root, one.only, one.step, one.steps) == (done.out, 2, 2, ())
    assert done.store.of_step(4) is None
    names = [f"zeta_{load}" for load in study.scenario.feeder.loads.ids]
    drawn = [next(one.tables(names, [0])) for one in step_stores(done.store)]
    assert len(drawn) == 4
    assert all(table.equals(drawn[0]) for table in drawn)


def test_every_step_serves_what_the_plan_supplies(whole):
    done, study = whole
    shares = []
    for step in steps_summary(done.store).steps:
        assert step.campaign.outcomes["erred"] == 0
        assert step.campaign.step == step.step
        assert step.campaign.samples == 24
        supplied = done.plan.energized[step.step]
        live = supplied[study.scenario.feeder.block_of_load]
        share = study.scenario.load_p_kw[0][live].sum() / study.scenario.load_p_kw[0].sum()
        served = column(done.store, step.step, "served_kw").sum()
        shares.append(served / column(done.store, step.step, "load_kw").sum())
        assert shares[-1] == pytest.approx(share, abs=0.03)
        assert step.campaign.served_share == pytest.approx(shares[-1])
    assert shares[0] == pytest.approx(1.0, abs=1e-6)
    assert shares[1] <= shares[0]
    assert shares[3] > shares[2]


@pytest.mark.parametrize(
    ("mode", "batch"),
    [("in_process", 7), ("local", 100), pytest.param("processes", 16, marks=pytest.mark.slow)],
)
def test_helics_and_batch_size_change_no_byte(whole, storm, tmp_path, mode, batch):
    done, _ = whole
    study = load_study(storm, [f"campaign.batch={batch}"])
    run_campaign(study, tmp_path / "c", mode=mode, plan=done.plan)
    assert results(tmp_path / "c") == results(done.out)


def stop_at(count):
    def stop(tally):
        if tally.done >= count:
            raise KeyboardInterrupt

    return stop


LONG = [f"campaign.samples={CHUNK_ROWS + 100}", "campaign.batch=50", "campaign.judge=linear"]


@pytest.fixture(scope="module")
def long(whole, tmp_path_factory):
    """Two chunks under the linear judge, undisturbed."""
    done, study = whole
    out = tmp_path_factory.mktemp("long") / "c"
    return run_campaign(load_study(study.path, LONG), out, plan=done.plan)


@pytest.mark.slow
def test_a_stop_keeps_whole_chunks_and_begun_rows(long, whole, tmp_path, monkeypatch):
    _, study = whole
    out, after = tmp_path / "c", CHUNK_ROWS + 50
    with pytest.raises(KeyboardInterrupt):
        run_campaign(load_study(study.path, LONG), out, plan=long.plan, progress=stop_at(after))
    store = CampaignStore.open(out)
    assert (store.finished(), begun_chunks(store)) == ((0,), (1,))
    assert store.part_path(0).read_bytes() == long.store.part_path(0).read_bytes()
    begun = read_begun(store, 1)
    assert (begun.realizations, begun.rows.num_rows) == (50, 200)
    assert begun.rows.column(STEP).to_pylist() == sorted(50 * [0, 1, 2, 3])
    about = steps_summary(store)
    assert [step.campaign.samples for step in about.steps] == [after] * 4
    assert about.joint.realizations == after
    # the plan there is used
    monkeypatch.setattr("gridproof.federation.campaigns.study_jobs.plan_study", None)
    again = json.loads(gridproof("resume", out, "--json", "-q").stdout)
    assert [step["name"] for step in again["steps"]] == list(study.scenario.step_names)
    assert again["joint"]["realizations"] == CHUNK_ROWS + 100
    assert results(out) == results(long.out)
    assert CampaignStore.open(out).environment["runs"][-1]["realizations"] == 50


@pytest.mark.slow
@pytest.mark.parametrize("step", [0, 2, 3])
def test_a_stop_between_two_steps_costs_no_byte(long, whole, tmp_path, monkeypatch, step):
    """The batch that was stopped in is tried anew; what was whole is not."""
    _, study = whole
    real, out = CampaignSink.write, tmp_path / "c"

    def write(self, realizations, *others):
        if (realizations.index[0], realizations.first_step) == (CHUNK_ROWS + 50, step):
            raise RuntimeError("stopped")
        real(self, realizations, *others)

    with monkeypatch.context() as patched:
        patched.setattr(CampaignSink, "write", write)
        with pytest.raises(RuntimeError, match="stopped"):
            run_campaign(load_study(study.path, LONG), out, plan=long.plan)
    store = CampaignStore.open(out)
    assert store.finished() == (0,)
    assert begun_chunks(store) == (1,)
    assert read_begun(store, 1).realizations == 50  # no row without its later steps
    run_campaign(load_study(study.path, LONG), out)
    assert results(out) == results(long.out)


@pytest.mark.slow
def test_what_was_begun_counts_as_realizations_when_taken_up(long, whole, tmp_path):
    _, study = whole
    with pytest.raises(KeyboardInterrupt):
        run_campaign(
            load_study(study.path, LONG), tmp_path / "c", plan=long.plan,
            progress=stop_at(CHUNK_ROWS + 50),
        )  # fmt: skip
    done = run_campaign(load_study(study.path, LONG), tmp_path / "c")
    assert done.resumed == CHUNK_ROWS + 50


def test_a_lost_part_is_made_again_with_the_same_bytes(long, whole, tmp_path):
    _, study = whole
    shutil.copytree(long.out, tmp_path / "c")
    CampaignStore.open(tmp_path / "c").part_path(1).unlink()
    run_campaign(load_study(study.path, LONG), tmp_path / "c", mode="in_process")
    assert results(tmp_path / "c") == results(long.out)


def test_the_joint_share_is_that_of_the_rows(strict):
    done, _ = strict
    codes = outcomes(done.store)
    feasible = (codes == Outcome.FEASIBLE).all(axis=0)
    assert 0 < feasible.sum() < len(feasible)
    joint = joint_summary(done.store)
    assert joint.realizations == len(feasible)
    assert joint.feasible == int(feasible.sum())
    assert joint.feasible_share == pytest.approx(feasible.mean())
    assert joint.interval[0] < joint.feasible_share < joint.interval[1]
    first = (codes != Outcome.FEASIBLE).argmax(axis=0)[~feasible]
    assert list(joint.first_failed.values()) == np.bincount(first, minlength=4).tolist()
    served, load = (
        np.stack([column(done.store, step, name) for step in range(4)])
        for name in ("served_kw", "load_kw")
    )
    dark = (load - served)[codes == Outcome.FEASIBLE].mean()
    assert joint.served_share == pytest.approx(1.0 - dark / load.mean())
    (kept,) = done.store.outcomes([0])
    assert (kept == Outcome.FEASIBLE).tolist() == feasible.tolist()
    assert counted(kept)[Outcome.FEASIBLE] == joint.feasible
    for step in range(4):
        (alone,) = done.store.of_step(step).outcomes([0])
        assert alone.tolist() == codes[step].tolist()


def test_two_studies_are_compared_pair_by_pair(whole, strict):
    (done, _), (floor, _) = whole, strict
    before, feasible = (
        (outcomes(one.store) == Outcome.FEASIBLE).all(axis=0) for one in (done, floor)
    )
    compared = json.loads(gridproof("compare", done.out, floor.out, "--json").stdout)
    assert compared["joint"]["realizations"] == len(feasible)
    assert compared["joint"]["crossed"] == {
        "both_feasible": int((before & feasible).sum()),
        "first_only": int((before & ~feasible).sum()),
        "second_only": int((~before & feasible).sum()),
        "neither": int((~before & ~feasible).sum()),
    }
    difference = compared["joint"]["difference"]
    assert difference["value"] == pytest.approx(feasible.mean() - before.mean())
    assert difference["interval"][0] < difference["value"] < difference["interval"][1]
    for step, one in enumerate(compared["steps"]):
        alone = [(outcomes(s.store)[step] == Outcome.FEASIBLE).mean() for s in (done, floor)]
        assert one["difference"]["value"] == pytest.approx(alone[1] - alone[0])
    assert "All steps together" in gridproof("compare", done.out, floor.out).stdout
    stores, steps = (done.store, floor.store), range(len(compared["steps"]))
    for campaign, held, store in zip(
        compared["measures"]["campaigns"], (before, feasible), stores, strict=True
    ):
        served, load = (
            np.stack([column(store, k, name) for k in steps]) for name in ("served_kw", "load_kw")
        )
        live = np.where(outcomes(store) == Outcome.FEASIBLE, served, 0.0)
        values = campaign["values"]
        assert values["feasible"]["mean"] == pytest.approx(held.mean())
        assert values["served_kw"]["mean"] == pytest.approx(live.mean())
        assert values["unserved_kwh"]["mean"] == pytest.approx((load - live).sum(axis=0).mean())


@pytest.mark.slow
def test_the_page_leads_to_that_of_every_step(strict, whole):
    (done, _), (_, study) = strict, whole
    joint = joint_summary(done.store)
    told = gridproof("report", done.out).stderr
    page = done.out / "report" / "report.html"
    assert str(page) in told.replace("\n", "")
    words = page.read_text(encoding="utf-8")
    assert percent(joint.feasible_share) in words
    assert words.count("<svg") == 1
    codes, pages = outcomes(done.store), []
    for step in range(4):
        assert f'href="step-{step}/report.html"' in words
        pages.append((page.parent / f"step-{step}" / "report.html").read_text(encoding="utf-8"))
        assert percent((codes[step] == Outcome.FEASIBLE).mean()) in pages[-1]
    assert len(set(pages)) == 4
    failed = (page.parent / "tables" / "first-failed.csv").read_text().splitlines()[1:]
    assert sum(int(row.split(",")[1]) for row in failed) == sum(joint.first_failed.values())
    rows = (page.parent / "tables" / "steps.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows[1:]] == [
        f"{k} {name}" for k, name in enumerate(study.scenario.step_names)
    ]
    said = gridproof("report", done.out, "--no-html").stdout
    assert "feasible at every step" in said
    assert "first not feasible" in said


def test_another_plan_or_another_study_is_refused(whole, storm):
    done, study = whole
    closed = done.plan.closed.copy()
    closed[3] = closed[2]
    with pytest.raises(StoreError, match="another plan"):
        run_campaign(study, done.out, plan=replace(done.plan, closed=closed))
    for other in ("campaign.seed=2", "campaign.step=3"):
        with pytest.raises(StoreError, match="another configuration"):
            run_campaign(load_study(storm, [other]), done.out)


def test_one_step_alone_is_a_plain_campaign(whole, storm, tmp_path):
    """Its rows are those of the step among the others, but for the column that says which."""
    done, _ = whole
    one = load_study(storm, ["campaign.step=3"])
    result = run_campaign(one, tmp_path / "c", plan=done.plan)
    assert (result.store.steps, result.store.tried, result.store.step) == ((), (3,), 3)
    (own,), (among,) = (store.tables(None, [0]) for store in (result.store, done.store.of_step(3)))
    assert STEP not in own.column_names
    among = among.drop_columns([STEP])
    assert own.replace_schema_metadata(None).equals(among.replace_schema_metadata(None))


# ------------------------------------------------------------------ a time before


def timeless(found):
    """Leave out what names a directory, a clock, or how much is one campaign."""
    if isinstance(found, dict):
        names = ("directory", "fingerprint", "seconds", "samples_per_s")
        return {name: timeless(value) for name, value in found.items() if name not in names}
    return [timeless(one) for one in found] if isinstance(found, list) else found


def test_a_directory_of_an_earlier_version_says_the_same(whole, earlier):
    done, _ = whole
    assert not earlier.stepped
    assert [one.root.name for one in step_stores(earlier)] == [f"step-{k}" for k in range(4)]
    assert timeless(steps_summary(earlier).to_json()) == timeless(
        steps_summary(done.store).to_json()
    )
    compared = compare_steps(earlier, done.store)
    assert [one.comparison.difference.value for one in compared.steps] == [0.0] * 4
    assert compared.joint.crossed.first_only == 0
    assert compared.joint.crossed.second_only == 0
    assert compared.joint.realizations == 24
    roots = (earlier.root, done.out)
    said = [json.loads(gridproof("report", root, "--json").stdout) for root in roots]
    assert timeless(said[0]) == timeless(said[1])


@pytest.fixture
def undrawn(monkeypatch):
    """Leave figures blank where a test reads tables alone: drawing them takes most of a report."""

    def blank(_figure, path, **_settings):
        path.write_text('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"></svg>')

    monkeypatch.setattr(drawing, "write_figure", blank)


@pytest.mark.slow
def test_the_page_of_an_earlier_version_has_the_same_tables(whole, earlier, tmp_path, undrawn):
    done, _ = whole
    for name, root in (("old", earlier.root), ("new", done.out)):
        gridproof("report", root, "--out", tmp_path / name)
    old, new = (
        {str(p.relative_to(tmp_path / name)): p.read_text() for p in tables}
        for name in ("old", "new")
        if (tables := [p for p in (tmp_path / name).rglob("*.csv") if p.name != "runs.csv"])
    )
    assert any(name.startswith("step-3") for name in old)
    assert old == new


def test_an_earlier_directory_is_compared_with_a_new_one(earlier, whole, strict, tmp_path):
    (_, study), (floor, override) = whole, strict
    old = make_earlier(floor, study, tmp_path / "c", [override])
    mixed = compare_steps(earlier, floor.store)
    both = compare_steps(earlier, old)
    assert timeless(mixed.to_json()) == timeless(both.to_json())


def test_an_earlier_directory_that_was_stopped_says_what_it_has(whole, earlier, tmp_path):
    shutil.copytree(earlier.root, tmp_path / "c")
    for step in (2, 3):
        shutil.rmtree(tmp_path / "c" / f"step-{step}")
    store = CampaignStore.open(tmp_path / "c")
    about = steps_summary(store)
    assert [step.campaign is None for step in about.steps] == [False, False, True, True]
    assert about.joint.realizations == 0
    with pytest.raises(StoreError, match=r"has not tried step 2"):
        compare_steps(store, whole[0].store)


def test_an_earlier_directory_is_not_gone_on_with(whole, earlier):
    done, study = whole
    before = {path: path.stat().st_mtime_ns for path in earlier.root.rglob("*.*")}
    with pytest.raises(StoreError, match="earlier version, with a directory for each step"):
        run_campaign(study, earlier.root, plan=done.plan)
    said = " ".join(gridproof("resume", earlier.root, code=2).stderr.split())
    assert "cannot be gone on with" in said
    assert before == {path: path.stat().st_mtime_ns for path in before}


# ------------------------------------------------------------------ commands


def test_the_commands_speak_of_phases(whole, storm, tmp_path):
    done, _ = whole
    plan = tmp_path / "plan.json"
    said = gridproof("plan", storm, "--out", plan).stdout
    for words in ("optimal for the nominal load", "Switching orders", "safe", "Fed by"):
        assert words in said
    assert "no fault" in gridproof("check", plan, storm).stdout
    about = json.loads(gridproof("plan", storm, "--json").stdout)["plan"]
    last = about["phases"][3]
    assert sum(feed["supplied_kw"] for feed in last["feeds"].values()) == pytest.approx(
        last["supplied_kw"]
    )
    assert (
        last["supplied_buses"] + last["damaged_buses"] + last["dead_safe_buses"] == (about["buses"])
    )
    compared = json.loads(gridproof("compare", done.out, done.out, "--json").stdout)
    assert [step["difference"]["value"] for step in compared["steps"]] == [0.0] * 4
    assert compared["joint"]["difference"]["value"] == 0.0


def test_a_plan_that_sheds_in_part_asks_for_less(whole, storm, tmp_path):
    """The load drawn is kept whole; the physics is asked for, and serves, the plan's share."""
    done, study = whole
    live = done.plan.energized[3][study.scenario.feeder.block_of_load]
    name = study.scenario.feeder.loads.ids[int(np.argmax(live))]
    share = np.ones((4, 1))
    share[3] = 0.25
    shed = replace(done.plan, partial_ids=(name,), served_share=share)
    back = plan_from_json(plan_to_json(shed), study.scenario)
    assert back.served_share.tolist() == share.tolist()
    assert plan_digest(back) == plan_digest(shed)
    store = run_campaign(study, tmp_path / "c", plan=shed).store
    assert (column(store, 3, "load_kw") == column(done.store, 3, "load_kw")).all()
    for step in range(3):
        same = column(store, step, "served_kw") == column(done.store, step, "served_kw")
        assert same.all()
    factor = 1.0 + 0.1 * column(store, 3, f"zeta_{name}")
    where = study.scenario.feeder.loads.ids.index(name)
    missing = 0.75 * study.scenario.load_p_kw[3, where].sum() * factor
    found = column(done.store, 3, "served_kw") - column(store, 3, "served_kw")
    np.testing.assert_allclose(found, missing, rtol=1e-5)
