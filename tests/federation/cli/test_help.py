"""Help and completion, which are typer's own: that they say what we wrote, and work in a shell."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from shutil import which

import pytest
from gridproof.federation.cli.main import app
from rich.text import Text
from typer.main import get_command
from typer.testing import CliRunner


def commands(command=None, path=()) -> Iterator[tuple[tuple[str, ...], object]]:
    command = command or get_command(app)
    yield path, command
    for name in command.list_commands(None) if hasattr(command, "list_commands") else ():
        yield from commands(command.get_command(None, name), (*path, name))


COMMANDS = dict(commands())


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: " ".join(path) or "gridproof")
def test_help_says_every_word_that_was_written(path):
    """Help is rich's markup: of a section in brackets, as in a study file, nothing would show."""
    command = COMMANDS[path]
    written = [command.help, *(getattr(one, "help", None) for one in command.params)]
    for said in filter(None, written):
        assert Text.from_markup(said).plain == said
    result = CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    for option in command.params:
        assert any(name in result.stdout for name in (*option.opts, option.metavar or ""))


def completed(*words: str) -> list[str]:
    env = {
        **os.environ, "_GRIDPROOF_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(("gridproof", *words)), "COMP_CWORD": str(len(words)),
    }  # fmt: skip
    code = "from gridproof.federation.cli.main import app; app(prog_name='gridproof')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.split()


def test_commands_and_shipped_studies_are_completed():
    assert set(completed("re")) == {"resume", "replay", "report"}
    assert set(completed("run", "ieee37")) == {"ieee37-day", "ieee37-latency", "ieee37-networked"}
    assert completed("run", "my-own") == []


def test_completion_installs_itself_for_bash(tmp_path: Path):
    env = {**os.environ, "HOME": str(tmp_path), "SHELL": "/bin/bash"}
    code = "from gridproof.federation.cli.main import app; app(prog_name='gridproof')"
    shell = which("bash")
    if shell is None:
        pytest.skip("needs bash")
    script = '"$0" -c "$1" --install-completion; exit $?'  # of the shell that it is called from
    done = subprocess.run(
        [shell, "-c", script, sys.executable, code],
        env=env, capture_output=True, timeout=60, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (script,) = tmp_path.rglob("gridproof.sh")
    assert "complete_bash" in script.read_text(encoding="utf-8")
    assert str(script.name) in (tmp_path / ".bashrc").read_text(encoding="utf-8")
