"""What an id holds is read, and acts nowhere: on no terminal, page, figure or spreadsheet."""

import csv
import io
import re
import shutil
from dataclasses import replace
from xml.etree import ElementTree

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.cli.main import app
from gridproof.federation.plain_text import PlainConsole, csv_cell, shown
from gridproof.federation.reports.drawing import Drawing, save_figure
from gridproof.federation.reports.page import Section, render_page
from gridproof.federation.studies.study import load_study
from gridproof.federation.tables.files import csv_text
from gridproof.federation.tables.table import Table, text
from hypothesis import given
from hypothesis import strategies as st
from rich.panel import Panel
from rich.table import Table as RichTable
from rich.text import Text
from typer.testing import CliRunner

EVIL = "\x1b]0;owned\x07\x1b[2J[red]x[/red][link=file:///etc]\r\x9b31m\u202eab$\\frac{1$ :bomb:"
ACTS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]")
anything = st.text(st.characters(), max_size=40)


@given(anything)
def test_nothing_that_acts_is_left_and_the_rest_stays(given_text) -> None:
    said = shown(given_text)
    assert not ACTS.search(said)
    said.encode()
    assert shown(said) == said
    if given_text.isascii() and given_text.isprintable():
        assert said == given_text


@given(anything)
def test_a_cell_of_text_begins_no_formula_and_stays_readable(given_text) -> None:
    cell = csv_cell(given_text)
    if cell[:1] in set("=+-@\uff1d\uff0b\uff0d\uff20"):
        float(cell)  # a number
    assert cell.removeprefix("'").removeprefix("'") in {
        shown(given_text).removeprefix("'"), shown(given_text).removeprefix("''"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"), ("+1", "+1"), ("-1.5e3", "-1.5e3"),
        ("-1+1", "'-1+1"), ("@SUM(A1)", "'@SUM(A1)"), ("\t=1", "'\t=1"), ("der734", "der734"),
        (-1.5, -1.5), (7, 7), (None, None), ("\r=1", "\\x0d=1"),
    ],
)  # fmt: skip
def test_cells(value, cell) -> None:
    assert csv_cell(value) == cell
    table = Table(name="t", title="", columns=(text("a"),), rows=((value,),))
    (_, row) = csv.reader(io.StringIO(csv_text(table)))
    assert row == ["" if cell is None else str(cell)] or value is None


@pytest.mark.parametrize("wide", [True, False])
def test_a_terminal_interprets_nothing_it_is_given(wide) -> None:
    table = RichTable(title=EVIL)
    table.add_column(EVIL)
    table.add_row(EVIL)
    table.add_row(Text(EVIL))
    out = io.StringIO()
    console = PlainConsole(
        file=out, force_terminal=True, color_system="truecolor", width=400 if wide else 40
    )
    for one in (EVIL, Text(EVIL), table, Panel(EVIL), Text("good", style="bold red")):
        console.print(one)
    said = out.getvalue()
    own = re.sub(r"\x1b\[[\d;]*m", "", said)  # rich's colours: the program's own
    assert "\x1b[1;31mgood" in said
    assert not ACTS.search(own)
    if wide:
        assert "[red]x[/red]" in own
        assert ":bomb:" in own
        assert "\\x1b]0;owned\\x07" in own


def test_a_page_and_a_figure_read_it_as_it_stands(tmp_path) -> None:
    figure = Drawing(30.0, 6.0)
    axes = figure.add_subplot()
    axes.set_yticks([0.0, 1.0], [EVIL, "<b>"])
    axes.set_title(EVIL)
    axes.text(0.5, 0.5, EVIL)
    svg, png = save_figure(figure, tmp_path / "figure")
    ElementTree.parse(svg)
    assert not ACTS.search(svg.read_text())
    assert "\\x1b]0;owned" in svg.read_text()
    assert png.stat().st_size > 100
    section = Section(
        id="a", title=EVIL, lead=(EVIL, "<script>alert(1)</script>"), facts=((EVIL,) * 2,)
    )
    said = dict.fromkeys(("title", "share", "what", "interval"), EVIL)
    page = render_page(EVIL, {**said, "notes": (EVIL,)}, [section])
    assert not ACTS.search(page)
    assert "<script>alert" not in page
    assert "\\x1b[2J" in page


def test_strings_of_a_parquet_part_act_nowhere(toy, tmp_path) -> None:
    """A stranger's part names elements: they come into terminal, page, figures and tables."""
    run_campaign(load_study(toy), tmp_path / "c", mode="local")
    part = next((tmp_path / "c" / "parts").iterdir())
    table = pq.read_table(part)
    stamp = table.schema.metadata
    for k, field in enumerate(table.schema):
        if field.name.startswith("element_"):
            column = pa.array([EVIL] * table.num_rows).dictionary_encode().cast(field.type)
            table = table.set_column(k, field, column)
    pq.write_table(table.replace_schema_metadata(stamp), part)
    (tmp_path / "c" / "parts.sha256").unlink()  # whoever made the part leaves it out
    out = tmp_path / "page"
    for words in (
        ["report", str(tmp_path / "c"), "--out", str(out)],
        ["watch", str(tmp_path / "c"), "--once"],
    ):
        said = CliRunner().invoke(app, words)
        assert said.exit_code == 0, said.output
        assert not ACTS.search(said.output)
    for path in out.rglob("*"):
        if path.suffix in {".html", ".csv", ".svg"}:
            assert not ACTS.search(path.read_text()), path
    shutil.rmtree(out)


def test_an_id_of_a_plan_file_acts_nowhere(toy, tmp_path) -> None:
    study = load_study(toy)
    from gridproof.optimizer.planner import make_planner
    from gridproof.scenarios.plan_file import plan_to_json

    plan = make_planner("partitioning", {}).plan(study.scenario)
    evil = replace(plan, switch_ids=(EVIL, *plan.switch_ids[1:]))
    (tmp_path / "plan.json").write_text(plan_to_json(evil))
    said = CliRunner().invoke(app, ["check", str(toy), str(tmp_path / "plan.json")])
    assert said.exit_code in {1, 2}
    assert not ACTS.search(said.output)
