"""Golden cases: a study, its feeder, and what must come of it, without code (see cases/)."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from gridproof.federation.campaigns import study_jobs
from gridproof.federation.cli.main import app
from gridproof.scenarios.realization import Realizations
from gridproof.scenarios.snapshot import Snapshots
from gridproof.scenarios.verdict import Outcome
from gridproof.simulator.linear.engine import LinearEngine
from typer.testing import CliRunner

CASES = Path(__file__).parent / "cases"
KEYS = {"about", "outcomes", "exit_code", "says", "energized_blocks", "delivers"}


def expected(case: Path) -> dict:
    values = json.loads((case / "expected.json").read_text())
    assert set(values) <= KEYS
    assert ("outcomes" in values) != ("exit_code" in values)
    return values


class Misdelivering(LinearEngine):
    """A simulator whose served load differs from the load it was asked for."""

    share = 1.0

    def observe(self, realizations: Realizations, setpoints) -> Snapshots:
        found = super().observe(realizations, setpoints)
        return replace(found, delivered_kw=found.delivered_kw * self.share)


@pytest.mark.parametrize(
    "case", sorted(path.parent for path in CASES.glob("*/expected.json")), ids=lambda p: p.name
)
def test_case(case, tmp_path, monkeypatch):
    wanted = expected(case)
    if "delivers" in wanted:
        monkeypatch.setattr(Misdelivering, "share", wanted["delivers"])
        monkeypatch.setitem(study_jobs._ENGINES, "ac", Misdelivering)
    arguments = ["run", str(case / "study.toml"), "--out", str(tmp_path / "out"), "--json"]
    result = CliRunner().invoke(app, arguments)
    ended = 5 if wanted.get("outcomes", {}).get("erred") else 0  # nothing is said of the plan
    assert result.exit_code == wanted.get("exit_code", ended), (result.stderr, result.exception)
    for part in wanted.get("says", []):
        assert part in result.stderr
    if "exit_code" in wanted:
        assert result.stdout == ""
        return
    figures = json.loads(result.stdout)
    counts = {name: count for name, count in figures["campaign"]["outcomes"].items() if count}
    assert counts == wanted["outcomes"]
    if "energized_blocks" in wanted:
        assert figures["plan"]["energized_blocks"] == wanted["energized_blocks"]


@pytest.mark.parametrize(
    "outcome",
    [o for o in Outcome if o is not Outcome.STALE],  # that one depends on the wall clock
    ids=lambda o: o.name.lower(),
)
def test_every_outcome_has_a_case(outcome):
    name = outcome.name.lower()
    assert expected(CASES / name)["outcomes"].get(name, 0) > 0
