"""The resiliency publication as data, and its rows run on a shortened day."""

import json

import numpy as np
import pytest
from gridproof.federation.cli.main import app
from gridproof.federation.config.resiliency_day import Instance
from gridproof.federation.families.resiliency_case import Asked, resiliency_case
from gridproof.federation.files import json_text
from gridproof.federation.papers import resiliency
from gridproof.federation.papers.data import load_paper
from gridproof.federation.papers.resiliency import run_resiliency
from gridproof.federation.papers.resiliency_data import TERMS, ResiliencyPaper
from gridproof.federation.papers.resiliency_figures import resiliency_pictures
from gridproof.federation.papers.resiliency_tables import resiliency_rows, resiliency_tables
from gridproof.federation.studies.shipped import shipped_root
from gridproof.optimizer.resiliency.case import CASES
from gridproof.optimizer.resiliency.grid import grid_of
from gridproof.scenarios.errors import ConfigError, ScenarioError, StoreError
from gridproof.simulator.reader.feeder import read_feeder
from pydantic import ValidationError
from typer.testing import CliRunner

KEYS = (
    "case", "crews", "mobile", "gamma", "outage_hour", "objective_kusd", "worst_found_kusd",
    "bound_kusd", "gap", "certified", "termination", "iterations", "energy_kusd",
    "interruption_kusd", "emission_kusd", "grid_kusd", "gas_kusd", "response_kusd", "chp_kusd",
    "storage_kusd", "switches", "sites", "supplied_share", "response_share",
    "heat_supplied_share", "seconds", "processor_seconds",
)  # fmt: skip
"""Of a row, as it is kept and told."""


@pytest.fixture(scope="module")
def paper():
    return load_paper("resiliency")


@pytest.fixture(scope="module")
def feeder():
    return read_feeder(shipped_root() / "feeders" / "ieee33" / "ieee33.dss")


def test_every_printed_row_adds_up(paper):
    """OF = TEC + TCIC + TCEM, and TEC is the sum of its five terms: to the printed digits."""
    seen = 0
    for table in paper.tables:
        for row in table.rows:
            held = dict(zip(TERMS, row.printed_kusd, strict=True))
            parts = held["energy"] + held["interruption"] + held["emission"]
            assert held["objective"] == pytest.approx(parts, abs=2.1e-3), row.key
            assert held["energy"] == pytest.approx(sum(row.printed_kusd[4:]), abs=2.1e-3), row.key
            seen += 1
    assert seen == 22


def test_the_instance_is_the_feeder_scaled_and_cut_as_printed(paper, feeder):
    case = resiliency_case(paper.instance, Asked(), feeder)
    ids = case.network.bus_ids
    at = ids.index("24")  # industrial, 420 kW and 200 kvar in the feeder's own table
    profile = paper.instance.customers["industrial"].profile
    assert case.demand.p_kw[:, at] == pytest.approx([2.30 * 420.0 * share for share in profile])
    assert case.demand.q_kvar[:, at] == pytest.approx([1.30 * 200.0 * share for share in profile])
    assert case.demand.customer[at] == "industrial"
    first = case.network.line_ids.index("1-2")
    assert case.network.r_ohm[first] == pytest.approx(0.0922)
    assert case.network.x_ohm[first] == pytest.approx(0.0470)
    grid = grid_of(case)
    blocks = {frozenset(ids[k] for k in np.flatnonzero(grid.block_of_bus == b)) for b in range(9)}
    printed = [range(1, 2), range(2, 5), range(5, 11), range(11, 15), range(15, 19), range(19, 23),
               range(23, 26), range(26, 31), range(31, 34)]  # fmt: skip
    assert grid.blocks == 9
    assert blocks == {frozenset(map(str, own)) for own in printed}


@pytest.mark.parametrize(
    ("section", "change", "says"),
    [
        ("feeder", {"ties": ("9-15", "9-16")}, "'9-16' is not a line of feeder ieee33"),
        ("feeder", {"damaged": ("1-99",)}, "'1-99' is not a line of feeder ieee33"),
        ("storages", {"buses": ("8", "34")}, "'34' is not a bus of feeder ieee33"),
    ],
)
def test_what_the_feeder_does_not_have_is_named(paper, feeder, section, change, says):
    part = getattr(paper.instance, section).model_copy(update=change)
    with pytest.raises(ConfigError, match=says):
        resiliency_case(paper.instance.model_copy(update={section: part}), Asked(), feeder)


def test_a_bus_with_load_and_no_customer_is_named(paper, feeder):
    types = dict(paper.instance.customers)
    types["industrial"] = types["industrial"].model_copy(update={"buses": ("24", "25", "29")})
    with pytest.raises(ConfigError, match="no type has bus 30"):
        resiliency_case(paper.instance.model_copy(update={"customers": types}), Asked(), feeder)


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (("heat", "profile"), [1.0] * 23, "heat.profile has 23 hours"),
        (("chps", "p_max_kw"), [1000.0] * 4, "chps.p_max_kw has 4 entries for 5 buses"),
        (("customers", "commercial", "buses"), [4, 24], "bus 24 is of customers"),
        (("uncertainty", "load_share"), 1.5, "less than or equal to 1"),
        (("customers", "commercial", "electric_usd_per_kwh"), -1.0, "greater than or equal to 0"),
    ],
)
def test_a_contradiction_of_the_instance_is_named(paper, path, value, says):
    raw = paper.instance.model_dump(mode="json")
    place = raw
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(ValidationError, match=says):
        Instance.model_validate(raw)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (Asked(crews=6), "there are 5 switches"),
        (Asked(gamma=25), "load_gamma = 25 must lie in 0 to 24"),
        (Asked(outage_hour=25), "outage hour = 25 must lie in 1 to 24"),
        (Asked(mobile=33), "33 mobile generators for 32 sites"),
    ],
)
def test_a_row_that_cannot_be_is_refused(paper, feeder, asked, says):
    with pytest.raises(ScenarioError, match=says):
        resiliency_case(paper.instance, asked, feeder)


def _short(paper, hours=4):
    """Four hours around noon, an outage at the second, cases I and IV."""
    at = slice(11, 11 + hours)

    def cut(part, *keys):
        return part.model_copy(update={key: getattr(part, key)[at] for key in keys})

    own = paper.instance
    instance = own.model_copy(
        update={
            "prices": cut(own.prices, "electricity_usd_per_mwh", "interruption_hour_factor"),
            "customers": {key: cut(one, "profile") for key, one in own.customers.items()},
            "heat": cut(own.heat, "profile"),
            "renewables": {key: cut(one, "profile") for key, one in own.renewables.items()},
        }
    )
    table = paper.tables[0]
    rows = tuple(
        row.model_copy(update={"gamma": hours, "outage_hour": 2}) for row in table.rows[::3]
    )
    table = table.model_copy(update={"rows": rows})
    twice = table.model_copy(update={"key": "again"})
    return ResiliencyPaper.model_construct(
        paper=paper.paper, instance=instance, tables=(table, twice)
    )


def test_rows_are_planned_once_and_kept(paper, tmp_path, monkeypatch):
    said = []
    data = _short(paper)
    run = run_resiliency(data, tmp_path, tell=said.append)
    assert [row.asked.case for row in run.rows] == ["I", "IV"]
    assert len(said) == 2  # the second table has the same rows
    first, last = (row.figures for row in run.rows)
    assert last.objective_kusd < first.objective_kusd
    for held in (first, last):
        assert held.bound_kusd <= held.objective_kusd + 1e-6
        assert held.certified
        terms = held.energy_kusd + held.interruption_kusd + held.emission_kusd
        assert held.worst_found_kusd == pytest.approx(terms, rel=1e-6)
        assert len(held.supplied_share) == 4
    assert first.supplied_share[0] == 1.0 > first.supplied_share[1]
    assert (first.switches, first.sites) == ((), ())
    assert len(last.switches) <= 2
    assert len(last.sites) <= 2

    kept = [(tmp_path / "rows" / f"{row.asked.key}.json").read_text() for row in run.rows]
    assert [json_text(row) for row in resiliency_rows(run)] == kept
    assert tuple(json.loads(kept[0])) == KEYS

    def never(*_, **__):
        raise AssertionError("a row that is kept is not planned again")

    monkeypatch.setattr(resiliency, "solve", never)
    again = run_resiliency(data, tmp_path, tell=said.append)
    assert [row.figures for row in again.rows] == [row.figures for row in run.rows]
    assert {table.name for table in resiliency_tables(run)} >= {"cases", "cases_search"}
    assert all(
        (tmp_path / file).stat().st_size > 1000
        for picture in resiliency_pictures(run, tmp_path).values()
        for file in picture.files
    )


def test_a_kept_row_that_lacks_a_figure_is_named(paper, tmp_path):
    data = _short(paper)
    path = tmp_path / "rows" / f"{data.tables[0].rows[0].key}.json"
    path.parent.mkdir()
    path.write_text('{"case": "I"}')
    with pytest.raises(
        StoreError, match=r"no row of this version .*crews: Field required.*; delete .* again"
    ):
        run_resiliency(data, tmp_path, tell=lambda _: None)


def test_options_of_other_publications_are_refused():
    said = CliRunner().invoke(app, ["paper", "resiliency", "--growth", "9"])
    assert said.exit_code == 2
    assert "--growth 9 is for another publication" in said.output


def test_the_cases_are_the_printed_four():
    assert list(CASES) == ["I", "II", "III", "IV"]


@pytest.mark.paper
@pytest.mark.timeout(2400)
def test_the_tables_have_the_printed_order(tmp_path):
    """Costs fall with cases, crews and generators and rise with the budget; rows are certified."""
    said = CliRunner().invoke(app, ["paper", "resiliency", "--out", str(tmp_path), "--json", "-q"])
    rows = json.loads(said.stdout)["rows"]

    def costs(**fixed):
        own = [row for row in rows if all(row[key] == value for key, value in fixed.items())]
        return [row["objective_kusd"] for row in own]

    whole = [row for row in rows if row["gamma"] in (0, 24)]
    assert all(row["gap"] <= 1e-3 for row in whole)
    cases = [costs(case=case, gamma=24, outage_hour=13)[0] for case in CASES]
    assert cases == sorted(cases, reverse=True)
    crews = costs(case="III")
    assert crews == sorted(crews, reverse=True)
    mobile = [costs(case="IV", mobile=n, gamma=24, outage_hour=13)[0] for n in (2, 3, 4, 5)]
    assert mobile == sorted(mobile, reverse=True)
    budget = [costs(case="IV", mobile=2, gamma=g, outage_hour=13)[0] for g in (0, 12, 24)]
    assert budget == sorted(budget)
