"""The mutation runner: it breaks what can matter, tells ends apart, and leaves all as it was."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks._mutants import mutants_of
from benchmarks.mutation import SCOPE, TRIED_BY, wilson

ROOT = Path(__file__).resolve().parents[1]
SOURCE = '''"""A docstring with 1 < 2."""
__all__ = ["least"]
LIMIT: float = 2.0


def least(a: int, b: int = 0) -> int:
    """Say which is less, ü."""
    if a < b and not a == LIMIT:
        raise ValueError(f"{a + b} is wrong")
    return min(a, b) + 1
'''


def test_each_kind_of_break_is_made_once_and_reads_as_python():
    found = mutants_of(SOURCE)
    assert len({one.source for one in found}) == len(found)
    for one in found:
        assert ast.dump(ast.parse(one.source)) != ast.dump(ast.parse(SOURCE))
        assert one.source.count("\n") == SOURCE.count("\n")
    said = {one.said for one in found}
    for piece in (
        "a < b  ->  (a <= b)", "a < b  ->  (a >= b)", "2.0  ->  (4.0)", "2.0  ->  (1.8)",
        "0  ->  (1)", "min(a, b) + 1  ->  (min(a, b) - 1)", "min  ->  max", "not a == LIMIT  ->  "
        "(a == LIMIT)", "min(a, b) + 1  ->  None",
    ):  # fmt: skip
        assert piece in said
    # neither the docstrings, the annotations nor the message
    assert not [one for one in found if "wrong" in one.said or one.line in (1, 2, 7, 9)]
    assert {one.lines for one in found if one.line < 8} == {None}  # the import runs them
    assert {one.lines for one in found if one.line == 10} == {(10, 10)}


@pytest.mark.parametrize("name", ["optimizer/network/angles.py", "optimizer/solver/solve.py"])
def test_what_is_made_of_our_own_code_reads_as_python(name):
    for one in mutants_of((ROOT / name).read_text()):
        compile(one.source, name, "exec")


def test_what_is_broken_and_what_tries_it_are_there():
    assert [name for name in (*SCOPE, *TRIED_BY) if not (ROOT / name).exists()] == []


def test_an_interval_of_a_share_by_the_book():
    """At its ends the share is as far from the count as the normal quantile has it."""
    z = 1.959963984540054
    for count, trials in ((81, 263), (15, 148), (0, 20), (29, 29)):
        low, high = wilson(count, trials)
        for end in (low, high):
            if 0.0 < end < 1.0:
                off = abs(count / trials - end) / (end * (1.0 - end) / trials) ** 0.5
                assert off == pytest.approx(z)
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)  # Newcombe 1998, table I
    assert wilson(0, 0) == (0.0, 1.0)


TEST = """import pytest
from optimizer.one import rest


@pytest.mark.parametrize("n", [3, 2, 1])
def test_it(n):
    assert rest(n) == 1
"""


@pytest.fixture
def tree(tmp_path):
    """A checkout of one file and its test, and the runner."""
    root = tmp_path / "checkout"
    for folder in ("optimizer", "tests", "benchmarks"):
        (root / folder).mkdir(parents=True)
    shutil.copy2(ROOT / "benchmarks" / "_mutants.py", root / "benchmarks")
    runner = (ROOT / "benchmarks" / "mutation.py").read_text()
    runner, changed = re.subn(r"_LIBRARIES = \(.*?\)", "_LIBRARIES = ()", runner, flags=re.S)
    assert changed == 1  # none is needed here, and they take seconds
    (root / "benchmarks" / "mutation.py").write_text(runner)
    (root / "optimizer" / "__init__.py").write_text("")
    (root / "optimizer" / "one.py").write_text(
        "def rest(n):\n    return min(n, 1)\n\n\ndef idle():\n    return 2\n"
    )
    (root / "tests" / "test_one.py").write_text(TEST)
    (root / "pyproject.toml").write_text("")
    return root


def run(tree: Path, *more: str) -> tuple[int, str, list[dict]]:
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.mutation", "--only", "optimizer",
         "--tests", "tests", "--out", str(tree / "out"), *more],
        cwd=tree, capture_output=True, text=True, timeout=120, check=False,
        env={k: v for k, v in os.environ.items() if not k.startswith(("COV", "PYTEST"))},
    )  # fmt: skip
    place = tree / "out" / "results.jsonl"
    kept = [json.loads(line) for line in place.read_text().splitlines()] if place.exists() else []
    return ended.returncode, ended.stdout + ended.stderr, kept


def survivors(kept: list[dict]) -> list[str]:
    return [one["said"] for one in kept if one["ended"] == "survived"]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the runner forks")
def test_ends_are_told_apart_and_kept_and_the_checkout_is_not_touched(tree):
    file, test = tree / "optimizer" / "one.py", tree / "tests" / "test_one.py"
    before = file.read_bytes()
    code, told, kept = run(tree)
    assert code == 1
    assert survivors(kept) == ["2  ->  None", "2  ->  (3)"]
    by = {one["said"]: one["by"] for one in kept}
    assert by["min  ->  max"] == "tests/test_one.py::test_it[2]"
    assert by["2  ->  (3)"] == "no test runs it"
    assert "survived  optimizer/one.py:6  2  ->  (3)" in told
    assert file.read_bytes() == before

    test.write_text(TEST.replace("import rest", "import idle, rest") + "    assert idle() == 2\n")
    code, _, again = run(tree, "--retry")  # what was killed is not tried twice
    assert code == 0
    assert again[: len(kept)] == kept
    assert [one["said"] for one in again[len(kept) :]] == survivors(kept)

    (tree / "tests" / "test_two.py").write_text("def test_it():\n    assert False\n")
    code, told, _ = run(tree, "--sample", "1")
    assert code == 1
    assert "test_two.py fails without a break; mend that first" in told
