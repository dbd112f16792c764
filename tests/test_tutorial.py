"""The tutorial's commands run as they are printed, in order, in an empty directory.

Every fenced block marked ``sh`` is run, unless ``<!-- not run -->`` stands above it.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TUTORIAL = ROOT / "docs" / "tutorial.md"
BLOCK = re.compile(r"(?P<skip><!-- not run -->\s*)?^```sh\n(?P<code>.*?)^```$", re.M | re.S)
DEADLINE_S = 120.0


def commands(text: str) -> list[str]:
    """Commands of all blocks that are run; a backslash joins lines."""
    return [
        line
        for block in BLOCK.finditer(text)
        if block["skip"] is None
        for line in block["code"].replace("\\\n", " ").splitlines()
        if line.strip() and not line.startswith("#")
    ]


COMMANDS = commands(TUTORIAL.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """One empty directory for all commands, with this checkout's program on the path."""
    folder = tmp_path_factory.mktemp("tutorial")
    programs = folder / ".bin"
    programs.mkdir()
    entry = programs / "gridproof"
    entry.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m gridproof "$@"\n')
    entry.chmod(0o755)
    return folder


QUICK = ("gridproof studies", "gridproof plan ieee37", "gridproof check")
"""Run every day; the others, whose like is run elsewhere, by name, with what is slow."""


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(
            number,
            marks=[pytest.mark.slow] * (not command.startswith(QUICK)),
            id=command[:60],
        )
        for number, command in enumerate(COMMANDS)
    ],
)
def test_a_command_of_the_tutorial(place, number):
    for earlier in range(number):  # what later ones read, where that was not asked for
        if COMMANDS[earlier].startswith("gridproof plan") and not (place / "plan.json").exists():
            run(place, earlier)
    run(place, number)


def run(place, number):
    path = os.pathsep.join(
        [str(place / ".bin"), str(Path(sys.executable).parent), os.environ["PATH"]]
    )
    done = subprocess.run(
        COMMANDS[number],
        shell=True,
        cwd=place,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 0, f"$ {COMMANDS[number]}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr


def test_the_tutorial_says_something():
    assert len(COMMANDS) >= 5
    assert any("gridproof run" in command for command in COMMANDS)


def test_blocks_are_found_and_left_out_as_marked():
    text = (
        "```sh\na b\n# said\nc \\\n  d\n```\n\n<!-- not run -->\n```sh\nno\n```\n"
        "```python\nno\n```\n\n```sh\ne\n```\n"
    )
    assert commands(text) == ["a b", "c    d", "e"]
