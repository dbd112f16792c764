"""docs/wire.md says what the code does."""

import json
import re
from pathlib import Path

import pytest
from gridproof.federation.wire import frames
from gridproof.federation.wire.messages import (
    FEEDER_PORTS,
    PLANNER_PORTS,
    Status,
    catalogue_of,
    parse,
)
from gridproof.federation.wire.schedule import FEEDER_GRID, PLANNER_GRID
from gridproof.scenarios.verdict import Outcome

PAGE = (Path(__file__).parents[3] / "docs" / "wire.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table after a heading, without its head."""
    part = PAGE.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    table = [line for line in part.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def test_the_page_lists_the_ports_of_the_code() -> None:
    told = {row[0].strip("`"): row[1] for row in rows("Members and ports")}
    code = {f"planner/{port}": kind.value for port, kind in PLANNER_PORTS.items()}
    code |= {f"feeder/{port}": kind.value for port, kind in FEEDER_PORTS.items()}
    assert told == code


def test_the_page_s_header_is_the_code_s() -> None:
    assert f'"{frames._LAYOUT.format}"' in PAGE
    assert f"A header of {frames.HEADER_BYTES} bytes" in PAGE
    sizes = {"4 bytes": 4, "uint16": 2, "uint32": 4, "uint64": 8, "float64": 8}
    at = 0
    for offset, kind, _ in rows("Frames"):
        assert int(offset) == at
        at += sizes[kind]
    assert at == frames.HEADER_BYTES
    kinds = dict(re.findall(r"(\d) (\w+)", rows("Frames")[3 - 1][2]))
    assert kinds == {str(int(k)): k.name.lower() for k in frames.FrameKind}


def test_the_page_s_outcome_codes_are_the_code_s() -> None:
    listed = re.search(r"Outcome codes: (.*)\.\n", PAGE)[1]
    told = dict(part.split(" ", 1) for part in listed.split(", "))
    assert told == {str(int(o)): o.name.lower().replace("_", " ") for o in Outcome}


def test_the_page_s_columns_are_the_catalogue_s(tiny_scenario) -> None:
    catalogue = catalogue_of(tiny_scenario(), 3)
    for name, told in rows("Catalogue"):
        columns = getattr(catalogue, name.strip("`"))
        code = [f"`{column.quantity}` {column.unit}" for column in columns]
        assert told.split("; ") == code


def test_the_page_s_times_are_on_the_grids() -> None:
    fixed = [row for row in rows("Time") if not row[0].startswith("n")]
    for time_s, who, *_ in fixed[2:]:
        grid = PLANNER_GRID if who == "planner" else FEEDER_GRID
        assert grid.holds(float(time_s))


def test_the_page_s_status_is_one() -> None:
    text = re.search(r"`(\{\"federate\".*?\})`", PAGE)[1]
    assert parse(Status, text.encode(), "page").phase == "done"
    phases = set(Status.model_fields["phase"].annotation.__args__)
    listed = re.search(r"Phases: (.*?)\.\n", PAGE, re.DOTALL)[1]
    assert set(re.findall(r"`(\w+)`", listed)) == phases


def test_the_page_s_plan_has_the_format_of_the_code() -> None:
    from gridproof.scenarios.plan_schema import parse_plan_file

    text = re.search(r"```json\n(.*?)```", PAGE, re.DOTALL)[1]
    assert parse_plan_file(text, "page").format == json.loads(text)["format"]


@pytest.mark.parametrize("link", re.findall(r"\]\(([\w./-]+)(?:#[\w-]+)?\)", PAGE))
def test_the_page_s_links_lead_somewhere(link: str) -> None:
    assert (Path(__file__).parents[3] / "docs" / link).exists()
