"""What the README shows is what the demo prints today, but for how long it took."""

import re
from pathlib import Path

import pytest
from gridproof.federation.cli.main import app
from typer.testing import CliRunner

ROOT = Path(__file__).parents[1]


def plain(text: str) -> list[str]:
    """Return the lines, without blanks at their ends and without times."""
    timeless = re.sub(r"[\d.]+ s \(\d+ per s\)|, [\d.]+ s *$", " TIME", text, flags=re.MULTILINE)
    timeless = re.sub(r"(?<=[a-z] )[\d.]+ s(,| *$)", "TIME,", timeless, flags=re.MULTILINE)
    return [line.rstrip() for line in timeless.strip().splitlines()]


@pytest.mark.slow
def test_the_output_shown_is_that_of_the_demo(tmp_path):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    words = re.search(r"\$\(BIN\)/gridproof (run \S+) --out", makefile)[1].split()
    done = CliRunner().invoke(
        app, [*words, "--out", str(tmp_path / "demo")], env={"COLUMNS": "80"}
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    (shown,) = re.findall(r"```text\n(Plan\n.*?)```", (ROOT / "README.md").read_text("utf-8"), re.S)
    assert plain(done.stdout) == plain(shown)
