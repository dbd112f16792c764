"""The scripts of `examples/` as a reader would run them, in a directory of their own."""

import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def printed_by(name: str, folder: Path) -> str:
    command = [sys.executable, str(EXAMPLES / name)]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    assert not list(folder.iterdir())  # nothing is left where it was run
    return done.stdout


def test_a_first_verdict_is_a_good_one(tmp_path: Path) -> None:
    said = printed_by("first_verdict.py", tmp_path)
    assert "certified>" in said
    assert "200 of 200 feasible: a share of at least 0.98" in said


def test_an_optimizer_of_ones_own_is_tried_like_ours(tmp_path: Path) -> None:
    said = printed_by("own_optimizer.py", tmp_path)
    assert re.search(r"<Plan external: [2-8] of 8 blocks live, .*not certified>", said)
    assert "100.00 % feasible" in said
    assert "from the file: 200 of 200 feasible" in said


@pytest.mark.parametrize("name", ["first_verdict.py", "own_optimizer.py"])
def test_a_script_opens_as_a_notebook(name: str) -> None:
    """Cells of prose hold comments alone, and prose and code take turns."""
    cells = re.split(r"^# %%", (EXAMPLES / name).read_text(encoding="utf-8"), flags=re.M)
    assert not cells[0]
    kinds = [cell.startswith(" [markdown]\n") for cell in cells[1:]]
    assert kinds[0]
    assert all(one or other for one, other in pairwise(kinds))
    for cell, prose in zip(cells[1:], kinds, strict=True):
        lines = cell.splitlines()[1:]
        commented = [line.startswith("#") or not line for line in lines]
        assert all(commented) if prose else not all(commented)
