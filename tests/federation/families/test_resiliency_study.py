"""``[resiliency]``: a study of a day with an outage, read, planned and tried; what it refuses."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from gridproof.federation.cli.main import app
from gridproof.federation.families.registry import family_of
from gridproof.federation.families.resiliency_case import Asked, resiliency_case
from gridproof.federation.families.resiliency_facts import resiliency_summary
from gridproof.federation.papers.data import load_paper
from gridproof.federation.papers.resiliency_data import ResiliencyPaper
from gridproof.federation.reports.families.resiliency_figures import supply_by_hour
from gridproof.federation.reports.families.views import view_of
from gridproof.federation.studies.shipped import shipped_root
from gridproof.federation.studies.study import load_study
from gridproof.optimizer.planner import make_planner
from gridproof.optimizer.resiliency.grid import grid_of
from gridproof.optimizer.resiliency.master import build_master
from gridproof.optimizer.resiliency.of_scenario import case_of
from gridproof.optimizer.resiliency.planner import solve
from gridproof.scenarios.audit import audit
from gridproof.scenarios.errors import ConfigError, ScenarioError
from gridproof.scenarios.scenario import Scenario
from typer.testing import CliRunner

CASES = ("I", "II", "III", "IV")
HOURS = slice(11, 15)  # noon of the shortened day; its outage is at the second hour

Day = Callable[..., Path]


def _toml(value: Any) -> str:
    """Enough of TOML for a day: tables are inline."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(k)} = {_toml(v)}" for k, v in value.items()) + " }"
    return json.dumps(value)


def _shortened(raw: Any) -> Any:
    if isinstance(raw, dict):
        return {key: _shortened(part) for key, part in raw.items()}
    return raw[HOURS] if isinstance(raw, list) and len(raw) == 24 else raw


@pytest.fixture
def day(tmp_path: Path) -> Day:
    """A study of four hours, its day's keys changed by ``section__key=value``."""
    text = (shipped_root() / "feeders" / "ieee33" / "resiliency-day.toml").read_text()

    def write(*, study: str = "", **changes: Any) -> Path:
        raw = _shortened(tomllib.loads(text))
        for place, value in changes.items():
            *path, key = place.split("__")
            part = raw
            for name in path:
                part = part[name]
            part[key] = value
        lines = [f"{json.dumps(key)} = {_toml(part)}" for key, part in raw.items()]
        (tmp_path / "day.toml").write_text("\n".join(lines) + "\n")
        file = tmp_path / "short.toml"
        file.write_text(
            '[feeder]\npath = "ieee33"\nload_model = "constant_power"\n'
            '[planner]\nfamily = "resiliency"\n'
            '[campaign]\nsamples = 3\nsampler = "budgeted"\nrecourse = "linear"\n'
            '[resiliency]\nday = "day.toml"\noutage_hour = 2\ngamma = 4\n' + study
        )
        return file

    return write


@pytest.mark.parametrize(("number", "case"), list(enumerate(CASES, 1)))
def test_a_shipped_study_is_the_publications_row(number: int, case: str) -> None:
    paper = load_paper("resiliency")
    assert isinstance(paper, ResiliencyPaper)
    study = load_study(f"ieee33-resiliency-case{number}")
    row = paper.tables[0].rows[number - 1]
    asked = Asked(case=case, crews=row.crews, mobile=row.mobile)
    own, printed = case_of(study.scenario), resiliency_case(
        paper.instance, asked, study.scenario.feeder
    )  # fmt: skip
    up = [np.ones(own.demand.p_kw.shape)]
    one, other = (build_master(case, grid_of(case), up)[0] for case in (own, printed))
    for name in ("cost", "row_lower", "row_upper"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), atol=1e-12)
    if case == "IV":  # else the one has no sites, the other sites for no generators
        np.testing.assert_allclose(one.upper, other.upper, atol=1e-12)
        assert abs(one.matrix - other.matrix).max() < 1e-12
    assert own.crews_used == printed.crews_used
    assert own.mobile_used == printed.mobile_used


def test_a_day_is_known_by_its_supply() -> None:
    study = load_study("ieee33-resiliency-case4")
    family = family_of(study.scenario)
    assert family is not None
    assert family.name == "resiliency"
    assert study.scenario.step_names[12] == "hour 13"


def _each_bar_is_told(path: Path, parts: dict[str, Any], scenario: Scenario) -> None:
    svg = "{http://www.w3.org/2000/svg}"
    root = ElementTree.parse(path).getroot()
    (layer,) = [group for group in root.iter(f"{svg}g") if group.get("class") == "hover"]
    told = [one.findtext(f"{svg}title") for one in layer]
    bars = [
        (f"hour {k + 1}: {kw:.1f} kW\nformed by {name}", kw)
        for name, column in parts.items()
        for k, kw in enumerate(column.tolist())
        if kw > 0.0
    ]
    loads = scenario.load_p_kw.sum(axis=(1, 2)).tolist()
    assert told == [
        *(said for said, _ in bars),
        *(f"hour {k + 1}: nominal load {kw:.1f} kW" for k, kw in enumerate(loads)),
    ]
    heights = np.array([float(one.get("height", "0")) for one in layer][: len(bars)])
    kw = np.array([one for _, one in bars])
    tall = kw > 0.3 * kw.max()  # thinner ones are made wide enough to be found
    np.testing.assert_allclose(np.ptp((heights / kw)[tall]), 0.0, atol=0.02 * (heights / kw).min())


def test_a_short_day_is_planned_audited_and_told(day: Day, tmp_path: Path) -> None:
    scenario = load_study(day()).scenario
    plan = make_planner("resiliency", {}).plan(scenario)
    assert audit(plan, scenario) == ()
    assert plan.scenario_digest == scenario.digest()
    assert plan.costs["published"] >= plan.costs["worst_found"] - 1e-6
    told = resiliency_summary(plan, scenario)
    assert told.hours[0].supplied_share == pytest.approx(1.0)
    assert not told.hours[1].closed  # the crews are not there yet
    assert set(told.hours[2].closed) == set(told.crews_close)
    assert len(told.crews_close) <= 2
    assert len(told.generators_at) <= 2
    parts = supply_by_hour(told.hours)
    np.testing.assert_allclose(sum(parts.values()), [one.supplied_kw for one in told.hours])
    view = view_of(scenario)
    assert view is not None
    (picture,) = view.pictures(plan, scenario, tmp_path / "figures")
    assert "hour 2" in picture.description
    assert (tmp_path / "figures" / "supply.png").stat().st_size > 5000
    _each_bar_is_told(tmp_path / "figures" / "supply.svg", parts, scenario)
    assert set(view.tables(told)) == {"hours", "islands"}
    off = ~plan.committed
    assert np.abs(plan.p_kw[off]).max() == 0.0


def test_a_short_day_is_lived_through_over_helics(day: Day, tmp_path: Path) -> None:
    told = CliRunner().invoke(
        app, ["run", str(day()), "--out", str(tmp_path / "run"), "--json", "-q"]
    )
    assert told.exit_code == 0, told.output
    found = json.loads(told.stdout)
    steps = found["steps"]
    assert [one["name"] for one in steps] == ["hour 1", "hour 2", "hour 3", "hour 4"]
    for one in steps:
        assert one["campaign"]["outcomes"]["erred"] == 0
        assert one["campaign"]["feasible_share"] == 1.0
    assert found["joint"]["feasible_share"] == 1.0  # the whole day, realization by realization
    assert len(found["plan"]["hours"][0]["islands"]) == 1


def test_an_island_without_any_source_stays_dark_and_is_no_error(day: Day) -> None:
    file = day(
        chps__buses=[9], chps__p_max_kw=[1000], chps__q_max_kvar=[800],
        chps__running_usd_per_h=[90], chps__usd_per_mwh=[110],
        study='case = "I"\ncrews = 0\nmobile = 0\n',
    )  # fmt: skip
    scenario = load_study(file).scenario
    plan = make_planner("resiliency", {}).plan(scenario)
    assert audit(plan, scenario) == ()
    told = resiliency_summary(plan, scenario).hours[1]
    assert {"2", "15", "31"} <= set(told.dead_buses)
    assert [one.former for one in told.islands] == ["chp9", "1"]


def test_no_chp_at_all_is_a_result(day: Day) -> None:
    none = {f"chps__{key}": [] for key in
            ("buses", "p_max_kw", "q_max_kvar", "running_usd_per_h", "usd_per_mwh")}  # fmt: skip
    scenario = load_study(day(**none, study="mobile = 0\n")).scenario
    found = solve(case_of(scenario))
    assert not found.decision.alive(found.case, found.grid)[1:, 1:].any()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"feeder__ties": ["9-15", "9-16"]}, "'9-16' is not a line of feeder ieee33"),
        ({"feeder__damaged": ["1-2", "1-3"]}, "'1-3' is not a line of feeder ieee33"),
        ({"feeder__damaged": ["9-15"]}, "line 9-15 is a tie and damaged"),
        ({"feeder__ties": ["9-15", "9-15"]}, "feeder.ties names '9-15' more than once"),
        ({"chps__buses": [9, 12, 22, 25, 9]}, "chps.buses names '9' more than once"),
        ({"feeder__root_v_pu": 1.02}, "root_v_pu = 1.02; the feeder's source holds 1"),
        ({"chps__buses": [9, 12, 22, 25, 34]}, "'34' is not a bus of feeder ieee33"),
        ({"storages__buses": [8, 99]}, "'99' is not a bus of feeder ieee33"),
        ({"chps__p_min_share": 1.2}, "p_min_kw = 1200 is above p_max_kw = 1000"),
        ({"prices__electricity_usd_per_mwh": [300, -5, 300, 300]}, "with a negative price"),
        ({"heat__profile": [1.0, 1.0]}, "heat.profile has 2 hours"),
        ({"prices__sell_share": 1.1}, "sell_share = 1.1 must lie in"),
        ({"answers__switch_delay_h": -1}, "delay_h = -1"),
    ],
)
def test_a_fault_of_the_day_is_told_with_its_place(
    day: Day, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError) as told:
        load_study(day(**changes))
    assert said in str(told.value)
    assert "short.toml: [resiliency]" in str(told.value)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("resiliency.crews=6", "there are 5 switches"),
        ("resiliency.mobile=33", "33 mobile generators for 32 sites"),
        ("resiliency.gamma=5", "gamma = 5 must lie in 0 to 4"),
        ("resiliency.gamma=-1", "[resiliency] gamma"),
        ("resiliency.outage_hour=5", "outage hour = 5 must lie in 1 to 4"),
        ("resiliency.outage_hour=0", "[resiliency] outage_hour"),
        ("resiliency.case=V", "[resiliency] case"),
        ("resiliency.day=elsewhere.toml", "is no file beside the study"),
        ("horizon.start_h=3", "[horizon] is the day's to say"),
        ("ders.fleet.x={bus='8', capacity_kw=10}", "[ders] is the day's to say"),
        ("substation.lost=false", "[substation] is the day's to say"),
        ('feeder.switches=["1-2"]', "its ties and damaged lines"),
        ("limits.v_min_pu=0.9", "v_min_pu = 0.9 and the day's feeder.v_min_pu is 0.95"),
        ("feeder.path=ieee13", "which this family's lines leave out"),
        ("planner.ramp_kept=0", "ramp_kept"),
        ("planner.headroom_share=1", "headroom_share"),
        ("campaign.per_phase=true", "budgeted"),
    ],
)
def test_a_fault_of_the_section_is_told(day: Day, override: str, said: str) -> None:
    with pytest.raises(ConfigError) as told:
        load_study(day(), [override])
    text = re.sub(r"--set (\w+)\.", r"[\1] ", str(told.value))
    assert said in text


def test_a_budget_of_too_many_hours_is_told_once(day: Day) -> None:
    with pytest.raises(ConfigError) as told:
        load_study(day(), ["resiliency.gamma=5"])
    assert len(told.value.faults) == 1


def test_a_day_without_any_source_is_dark_and_no_error(day: Day) -> None:
    none: dict[str, Any] = {
        f"chps__{key}": []
        for key in ("buses", "p_max_kw", "q_max_kvar", "running_usd_per_h", "usd_per_mwh")
    }
    none |= {f"renewables__{k}__{key}": [] for k in ("wind", "pv") for key in ("buses", "p_max_kw")}
    study = 'case = "I"\ncrews = 0\nmobile = 0\n'
    scenario = load_study(day(**none, storages__buses=[], heat__peak_kw={}, study=study)).scenario
    found = solve(case_of(scenario))
    shed = found.operated.point[found.recourse.operation.shed]
    asked = found.case.demand.p_kw / 1e3 * (1.0 + found.case.budgets.load_share)
    assert shed[1:] == pytest.approx(asked[1:], abs=1e-9)
    assert shed[0].sum() < 0.5 * asked[0].sum()


def test_a_section_without_a_day_is_told(tmp_path: Path) -> None:
    file = tmp_path / "none.toml"
    file.write_text('[feeder]\npath = "ieee33"\n[planner]\nfamily = "resiliency"\n')
    with pytest.raises(ConfigError, match="names no table of the day"):
        load_study(file)


def test_budgeted_draws_are_for_days_alone() -> None:
    with pytest.raises(ConfigError, match="budgeted"):
        load_study("ieee37-networked", ["campaign.sampler=budgeted"])


def test_loads_that_move_by_unlike_shares_are_refused_by_the_planner(day: Day) -> None:
    file = day(study='[uncertainty]\nloads = ["s2", "s3"]\nspread = 0.1\n')
    with pytest.raises(ScenarioError, match="moves every load by one share"):
        case_of(load_study(file).scenario)


def test_another_family_refuses_the_day(day: Day) -> None:
    scenario = load_study(day()).scenario
    for family in ("partitioning", "policy_mode", "restoration"):
        with pytest.raises(ScenarioError):
            make_planner(family, {}).plan(scenario)
