"""Serving nothing passes every limit: wherever a share feasible is shown, the share served is."""

import ast
import json
import re
from pathlib import Path

import numpy as np
import pytest
from gridproof.federation.cli.main import app
from gridproof.federation.files import json_text
from gridproof.federation.tables.files import csv_text
from gridproof.federation.tables.table import Table, number
from gridproof.federation.wording import decimals, fixed, served_words
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

ROOT = Path(__file__).parents[3]
FEW = ["--set", "campaign.samples=20", "--set", "campaign.judge=linear", "--set",
       "campaign.recourse=fixed"]  # fmt: skip
TINY = ["--set", "ders.fleet.east.capacity_kw=3", "--set", "ders.fleet.west.capacity_kw=3"]


def said(*args):
    result = CliRunner().invoke(app, [str(one) for one in args])
    assert result.exit_code == 0, (result.stdout, result.stderr, result.exception)
    return " ".join(result.stdout.split())


@pytest.fixture(scope="module")
def dark(tmp_path_factory, write_toy):
    """A campaign whose plan serves nothing, and one that serves some, on the same draws."""
    folder = tmp_path_factory.mktemp("dark")
    study = write_toy(folder)
    said("run", study, *FEW, *TINY, "--out", folder / "dark", "--quiet")
    said("run", study, *FEW, "--out", folder / "lit", "--quiet")
    return study, folder


def test_terminal_json_and_page_say_that_nothing_is_served(dark):
    _, folder = dark
    shown = said("report", folder / "dark", "--why")
    assert "100.00 %" in shown
    assert "NOTHING is served" in shown.split("Verdicts")[1].split("outcome")[0]
    assert "what stands against each block is told below" in shown
    found = json.loads(said("report", folder / "dark", "--json"))
    assert found["campaign"]["served_share"] == 0.0 == found["plan"]["served_share"]
    assert found["campaign"]["feasible_share"] == 1.0
    assert {one["block"] for one in found["plan"]["why"]} == set(found["plan"]["blocks"])
    (b,) = [one for one in found["plan"]["why"] if one["block"] == "b"]
    assert b["standing"] == "impossible"
    # 90 kW, and lc's 20 kW on phase a alone, against 1 kW of each phase
    lacks = {one["phase"]: one["amount"] for one in b["shortfalls"] if one["kind"] == "active"}
    assert lacks["a"] - lacks["b"] == pytest.approx(20.0, abs=0.01)
    page = (folder / "dark" / "report" / "report.html").read_text(encoding="utf-8")
    head = page.split('aria-label="Result"')[1].split("</section>")[0]
    assert "NOTHING is served" in head
    assert "cannot be served" in page
    assert "lacks" in page


@pytest.mark.slow
def test_where_nothing_is_feasible_terminal_json_and_page_name_one_cause(dark, tmp_path):
    study, _ = dark
    said("plan", study, "--out", tmp_path / "plan.json", "--quiet")
    weak = ["--set", "ders.defaults.ramp=0.00001"]  # the plan was made for more
    said("campaign", study, *FEW, *weak, "--plan", tmp_path / "plan.json", "--out",
         tmp_path / "none", "--quiet")  # fmt: skip
    shown = said("report", tmp_path / "none")
    found = json.loads(said("report", tmp_path / "none", "--json"))["campaign"]
    assert found["feasible_share"] == 0.0
    cause = found["none_feasible"]
    assert (cause["outcome"], cause["count"], cause["judged"]) == ("violated", 20, 20)
    place = cause["place"]
    assert (place["kind"], place["element"]) == ("ramp", "east")
    assert found["margins"]["ramp"]["min"] < place["mean_margin"] < 0.0
    line = f"every realization: violated, east phase {place['phase']} is on average "
    assert line in shown
    page = (tmp_path / "none" / "report" / "report.html").read_text(encoding="utf-8")
    assert line in " ".join(page.split())


def test_what_is_served_stands_beside_what_is_feasible(dark):
    study, folder = dark
    shown = said("report", folder / "lit", "--no-html")
    found = json.loads(said("report", folder / "lit", "--json"))["campaign"]
    assert 0.0 < found["served_share"] <= 1.0
    assert f"served {100 * found['served_share']:.2f} %" in shown
    beside = said("compare", folder / "dark", folder / "lit")
    first, second = beside.split("second ")[:2]
    assert "NOTHING is served" in first
    assert f"served {100 * found['served_share']:.2f} %" in second
    shares = json.loads(said("compare", folder / "dark", folder / "lit", "--json"))["shares"]
    assert [one["served"] for one in shares] == [0.0, found["served_share"]]
    assert "NOTHING is served" in said("watch", folder / "dark", "--once")
    told = json.loads(said("watch", folder / "lit", "--once", "--json"))
    assert told["served_share"] == pytest.approx(found["served_share"])
    swept = json.loads(
        said("sweep", study, *FEW, "--over", "ders.fleet.east.capacity_kw=3,240", "--set",
             "ders.fleet.west.capacity_kw=3", "--out", folder / "sweep", "--quiet", "--json")
    )  # fmt: skip
    assert [one["served"] > 0.0 for one in swept["points"]] == [False, True]


def test_words_of_a_share_served():
    assert served_words(0.0) == "NOTHING is served"
    assert served_words(0.5) == "served 50.00 %"
    assert served_words(1.0 - 2e-9) == "served 100.00 %"  # what a power flow leaves open
    assert served_words(1.0 - 2e-6) == "served 99.9998 %"
    assert "–" in served_words(None)


@given(value=st.floats(-1e6, 1e6), digits=st.integers(0, 6), sign=st.booleans())
def test_zero_has_no_minus_and_all_else_is_as_it_was(value, digits, sign):
    text = decimals(value, digits, sign=sign)
    assert float(text) == float(f"{value:.{digits}f}")
    assert not (float(text) == 0.0 and "-" in text)
    if float(text):
        assert text == f"{value:{'+' if sign else ''}.{digits}f}"


def test_negative_zero_is_printed_nowhere():
    assert [decimals(v, 1) for v in (-0.0, -0.04, -0.05001)] == ["0.0", "0.0", "-0.1"]
    assert decimals(-0.0, 0, sign=True) == "+0"
    assert fixed(-0.001, 2) == "0.00"
    assert "-0" not in json_text({"a": [-0.0, {"b": -0.0}], "c": np.float64(-0.0)})
    table = Table(name="t", title="", columns=(number("x", 1),), rows=((-0.0,),))
    assert csv_text(table) == "x\n0.0\n"


SHOWN = sorted(
    path
    for part in ("cli", "reports", "papers", "campaigns/progress.py")
    for path in ((ROOT / "federation" / part).rglob("*.py")
                 if not part.endswith(".py") else [ROOT / "federation" / part])
    if path.parent.name != "networks"  # what OpenDSS reads is no text for people
)  # fmt: skip


@pytest.mark.parametrize("path", SHOWN, ids=lambda p: str(p.relative_to(ROOT)))
def test_one_place_turns_numbers_into_digits(path):
    """An f-string with its own ``.1f`` would print -0.0 again."""
    specs = [
        ast.unparse(node.format_spec)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FormattedValue) and node.format_spec is not None
    ]
    own = [spec for spec in specs if re.search(r"(?<!,)\.\d+f", spec)]
    assert not own, f"{path}: write these by federation.wording: {own}"
