"""Loops nobody can open, told from what only looks like one."""

from pathlib import Path

import pytest
from gridproof.scenarios.loops import unswitchable_loops
from gridproof.simulator.reader.feeder import read_feeder

HEAD = """\
Clear
New Circuit.c basekv=4.16 pu=1.0 phases=3 bus1=s MVAsc3=2000 MVAsc1=2100
New Linecode.three nphases=3 units=km rmatrix=(0.2 | 0 0.2 | 0 0 0.2)
~ xmatrix=(0.4 | 0 0.4 | 0 0 0.4)
New Linecode.one nphases=1 units=km rmatrix=(0.3) xmatrix=(0.3)
"""
TAIL = "Set VoltageBases=[4.16]\nCalcVoltageBases\n"


def line(name, phases="", switch=""):
    code = "three" if phases in ("", ".1.2.3") else "one"
    one, other = name.split("-")[:2]
    return (
        f"New Line.{name} bus1={one}{phases} bus2={other}{phases} linecode={code} length=1 "
        f"units=km normamps=400 {switch}\n"
    )


def loops(tmp_path: Path, body: str):
    path = tmp_path / "c.dss"
    path.write_text(HEAD + body + TAIL)
    return {frozenset(loop) for loop in unswitchable_loops(read_feeder(path))}


def test_a_tree_has_none(tmp_path):
    assert loops(tmp_path, line("s-a") + line("a-b") + line("a-c")) == set()


def test_a_triangle_is_one(tmp_path):
    assert loops(tmp_path, line("s-a") + line("a-b") + line("b-s")) == {
        frozenset({"s-a", "a-b", "b-s"})
    }


def test_a_switch_in_it_can_open_it(tmp_path):
    assert loops(tmp_path, line("s-a") + line("a-b") + line("b-s", switch="switch=yes")) == set()


def test_a_locked_switch_cannot(tmp_path):
    path = tmp_path / "c.dss"
    path.write_text(HEAD + line("s-a") + line("a-b") + line("b-s", switch="switch=yes") + TAIL)
    feeder = read_feeder(path)
    assert feeder.switch_ids == ("b-s",)
    (loop,) = unswitchable_loops(feeder, feeder.lines.closed[feeder.switches])
    assert set(loop) == {"s-a", "a-b", "b-s"}


def test_two_lines_between_the_same_buses_are_one(tmp_path):
    assert loops(tmp_path, line("s-a") + line("s-a-twin")) == {frozenset({"s-a", "s-a-twin"})}


def test_lines_on_different_phases_are_none(tmp_path):
    body = line("s-a") + line("a-b-1", ".1") + line("a-b-2", ".2") + line("a-b-3", ".3")
    assert loops(tmp_path, body) == set()


def test_an_open_line_closes_nothing(tmp_path):
    body = line("s-a") + line("a-b") + line("b-s")
    path = tmp_path / "c.dss"
    path.write_text(HEAD + body + TAIL + "Open Line.b-s 1\nSolve\n")
    assert unswitchable_loops(read_feeder(path)) == []


@pytest.mark.parametrize("name", ["ieee37/ieee37.dss", "ieee37-networked/ieee37_networked.dss"])
def test_an_open_delta_bank_with_its_jumper_is_none(name):
    feeder = read_feeder(Path(__file__).parents[2] / "configs" / "feeders" / name)
    assert unswitchable_loops(feeder) == []
