"""One table, three renderers: what a terminal shows, a page shows, and its CSV file holds."""

import csv
import io
from dataclasses import replace
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest
from gridproof.federation.papers.paper_table import paper_table
from gridproof.federation.reports.verdict_tables import verdict_table
from gridproof.federation.tables.files import csv_text, markdown_text
from gridproof.federation.tables.html import table_html
from gridproof.federation.tables.table import (
    Place,
    Table,
    Tone,
    count,
    filed,
    interval,
    number,
    prose,
    share,
    text,
)
from gridproof.federation.tables.terminal import TableView
from gridproof.federation.wording import typed
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console


def on_terminal(table: Table, width: int) -> list[str]:
    sink = io.StringIO()
    Console(file=sink, width=width, highlight=False).print(TableView(table))
    return [line.rstrip() for line in sink.getvalue().splitlines()]


class Cells(HTMLParser):
    """The rows of a page's tables."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.kinds: list[str] = []
        self._open = False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        if tag == "tr":
            self.rows.append([])
            self.kinds.append(dict(attrs).get("class", ""))
        self._open = tag in ("th", "td")
        if self._open:
            self.rows[-1].append("")

    def handle_endtag(self, tag):  # noqa: ARG002
        self._open = False

    def handle_data(self, data):
        if self._open:
            self.rows[-1][-1] += data


WORDS = st.text("abcxyz<&>|", min_size=1, max_size=8)
FIGURES = st.none() | st.floats(-1e6, 1e6) | st.just(float("nan"))
SHARES = st.none() | st.floats(0.0, 1.0)
PLACES = st.sampled_from(Place)


@st.composite
def tables(draw) -> Table:
    """Tables of every kind of column, each shown from some place on."""
    columns, values = [text("row")], [WORDS]
    for k in range(draw(st.integers(0, 5))):
        kind, place = draw(st.integers(0, 4)), draw(PLACES)
        if kind == 0:
            columns.append(text(f"t{k}", place=place))
            values.append(WORDS)
        elif kind == 1:
            columns.append(number(f"n{k}", draw(st.integers(0, 4)), "kW", place=place))
            values.append(FIGURES)
        elif kind == 2:
            columns.append(share(f"s{k}", place=place))
            values.append(SHARES)
        elif kind == 3:
            columns.append(count(f"c{k}", place=place))
            values.append(st.integers(-(10**7), 10**7))
        else:
            low, high = share(f"from{k}", place=place), share(f"to{k}", place=place)
            columns += interval(f"i{k}", low, high)
            values += [SHARES, SHARES]
    rows = tuple(draw(st.lists(st.tuples(*values), max_size=4)))
    return Table(name="t", title="A table", columns=tuple(columns), rows=rows)


def squeezed(words: str) -> str:
    return " ".join(words.split())


@given(tables())
def test_what_a_terminal_shows_a_page_shows(table) -> None:
    page = Cells(table_html(table))
    assert page.rows[0] == [column.heading(Place.PAGE) for column in table.seen(Place.PAGE)]
    kept = [k for k, one in enumerate(table.seen(Place.PAGE)) if one.place is Place.TERMINAL]
    shown = [squeezed(typed(" ".join(row[k] for k in kept))) for row in page.rows[1:]]
    assert [squeezed(line) for line in on_terminal(table, 1000)[3:]] == shown


@given(tables())
def test_what_people_are_shown_can_be_read_from_the_csv(table) -> None:
    head, *lines = csv.reader(io.StringIO(csv_text(table)))
    assert head == [column.heading(Place.FILE) for column in table.columns]
    read = tuple(
        tuple(
            cell if not column.numeric else float(cell) if cell else None
            for column, cell in zip(table.columns, line, strict=True)
        )
        for line in lines
    )
    again = replace(table, rows=read)
    for place in Place:
        assert again.cells(place) == table.cells(place)


@given(tables())
def test_markdown_has_the_cells_of_the_page(table) -> None:
    lines = markdown_text(table).splitlines()
    rows = [
        line[2:-2].replace("\\|", "\0").replace("\\<", "<").split(" | ")
        for line in lines
        if line[:1] == "|"
    ]
    assert [[cell.replace("\0", "|") for cell in row] for row in rows[2:]] == table.cells(
        Place.PAGE
    )


@given(
    rows=st.lists(st.lists(st.floats(-1e4, 1e4), min_size=4, max_size=4), min_size=1, max_size=5),
    width=st.integers(50, 90),
)
def test_figures_stay_whole_on_a_narrow_terminal(rows, width) -> None:
    names = ("of the first winding", "of the second", "less the losses", "all")
    table = Table(
        name="t",
        title="",
        columns=(text("limit"), *(number(name, 3, "kW") for name in names)),
        rows=tuple((f"r{k}", *row) for k, row in enumerate(rows)),
    )
    lines = on_terminal(table, width)
    assert max(map(len, lines)) <= width
    said = [[typed(cell) for cell in row] for row in table.cells(Place.TERMINAL)]
    assert [line.split() for line in lines[-len(rows) :]] == said
    head = " ".join(" ".join(lines[: -len(rows) - 1]).split())
    assert all(word in head.split() for name in names for word in name.split())


def test_a_sentence_wraps_and_a_title_is_whole() -> None:
    table = Table(
        name="t",
        title="What stands against it, at the worst load of the set",
        columns=(text("block"), number("demand", 1, "kW"), prose("why", words="\n".join)),
        rows=(("b1", 1234.5, ("no DER can be joined to it", "[bold]as it is[/]")),),
        note="Asked alone.",
    )
    assert on_terminal(table, 36) == [
        "What stands against it, at the worst",
        "load of the set",
        "block   demand kW   why",
        "────────────────────────────────────",
        "b1         1234.5   no DER can be",
        "                    joined to it",
        "                    [bold]as it",
        "                    is[/]",
        "Asked alone.",
    ]
    assert "no DER can be joined to it; [bold]as it is[/]" in csv_text(table)
    assert "Asked alone." in table_html(table)
    assert markdown_text(table).endswith("\nAsked alone.\n")


def test_only_first_rows_are_shown_and_files_have_all() -> None:
    table = Table(
        name="t", title="T", columns=(count("n"),), rows=tuple((k,) for k in range(5)), shown=2
    )
    assert table.cells(Place.PAGE) == [["0"], ["1"]]
    assert "The first 2 of 5 rows; all are in tables/t.csv." in table_html(table)
    assert csv_text(table) == "n\n0\n1\n2\n3\n4\n"


def test_a_tone_is_a_class_of_the_row_and_never_all_that_tells() -> None:
    bad = Table(
        name="t", title="T", columns=(text("a"),), rows=(("x",), ("y",)), tones=(Tone.BAD, None)
    )
    assert Cells(table_html(bad)).kinds == ["", "bad", ""]
    assert on_terminal(bad, 20) == on_terminal(replace(bad, tones=()), 20)


@pytest.mark.parametrize(
    "wrong",
    [
        {"rows": (("x", 1),)},
        {"columns": (replace(text("a"), joined="{} {}"),)},
        {"tones": (Tone.BAD, Tone.BAD)},
    ],
)
def test_a_table_that_is_none_is_refused(wrong) -> None:
    good = Table(name="t", title="", columns=(text("a"),), rows=(("x",),))
    with pytest.raises(ValueError, match="table t"):
        replace(good, **wrong)


CAMPAIGN = SimpleNamespace(  # what the table asks of a campaign
    samples=1250,
    confidence=0.95,
    interval_kind="exact",
    outcomes={"feasible": 1249, "violated": 1, "erred": 0},
    outcome_intervals={
        "feasible": (0.9955512, 0.9999797),
        "violated": (0.0000203, 0.0044488),
        "erred": (0.0, 0.0029468),
    },
)


def test_outcomes_in_every_form() -> None:
    table = verdict_table(CAMPAIGN)
    assert on_terminal(table, 80) == [
        "Outcomes of all 1250 realizations, with exact intervals",
        "outcome    count   share %     95 % interval   meaning",
        "────────────────────────────────────────────────────────────────────────",
        "feasible    1249     99.92   99.56 to 99.998   inside every limit",
        "violated       1      0.08     0.002 to 0.44   solved, outside a limit",
        "erred          0      0.00      0.00 to 0.29   model or program at fault",
    ]
    assert csv_text(table) == (
        "outcome,count,share,95 % from,to,meaning\n"
        "feasible,1249,0.9992,0.9955512,0.9999797,inside every limit\n"
        'violated,1,0.0008,2.03e-05,0.0044488,"solved, outside a limit"\n'
        "erred,0,0.0,0.0,0.0029468,model or program at fault\n"
    )


def test_a_publications_table_in_every_form() -> None:
    rows = [
        {"row": "±10", "usd": 41160.4, "printed_usd": 41160, "low": 99.1, "high": 100.0,
         "met": True, "command": "gridproof run x"},
        {"row": "±25", "usd": None, "printed_usd": None, "low": None, "high": None, "met": None,
         "command": "gridproof run y"},
    ]  # fmt: skip
    columns = (
        ("row", "set", 0), ("usd", "cost, USD", 0), ("low to high", "interval %", 2),
        ("met", "met", 0),
    )  # fmt: skip
    table = paper_table("costs", "Costs: ours/printed", columns, rows)
    assert table.columns[-1] == filed("command")
    assert table.records() == rows
    assert on_terminal(table, 80) == [
        "Costs: ours/printed",
        "set     cost, USD     interval %   met",
        "──────────────────────────────────────",
        "±10   41160/41160   99.10–100.00   yes",
        "±25             –              –     –",
    ]
    assert markdown_text(table) == (
        "## Costs: ours/printed\n\n"
        "| set | cost, USD | interval % | met |\n"
        "| --- | ---: | ---: | ---: |\n"
        "| ±10 | 41160/41160 | 99.10–100.00 | yes |\n"
        "| ±25 | – | – | – |\n"
    )
    assert csv_text(table) == (
        "row,usd,printed_usd,low,high,met,command\n"
        "±10,41160.4,41160,99.1,100.0,True,gridproof run x\n"
        "±25,,,,,,gridproof run y\n"
    )
