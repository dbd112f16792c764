"""Commands are imported when they are asked for, and their list says what they say themselves."""

import shlex
import subprocess
import sys

import pytest
from gridproof.federation.cli.commands import COMMANDS, command
from gridproof.federation.cli.main import app
from typer.testing import CliRunner


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_what_the_command_says(name):
    made = command(name)
    assert made.name == name
    assert made.help.partition("\n\n")[0].replace("\n", " ") == COMMANDS[name].help


@pytest.mark.parametrize("name", COMMANDS)
def test_the_example_of_a_command_can_be_typed(name):
    program, first, *words = shlex.split(COMMANDS[name].example)
    assert (program, first) == ("gridproof", name)
    said = CliRunner().invoke(app, [name, "-h"], env={"COLUMNS": "120"}).stdout
    assert f"Example: {COMMANDS[name].example}" in said
    made = command(name)
    if hasattr(made, "commands"):
        made = made.commands[words.pop(0)]
    made.make_context(name, words)  # refuses what the command does not take


@pytest.mark.parametrize("asked", ["--version", "--help"])
def test_what_needs_no_command_imports_none(asked):
    code = (
        "import sys\n"
        "from gridproof.federation.cli.main import app\n"
        "try:\n"
        f"    app(['{asked}'], prog_name='gridproof')\n"
        "except SystemExit:\n"
        "    pass\n"
        "print([name for name in ('numpy', 'scipy', 'pyarrow', 'opendssdirect', 'helics',\n"
        "                         'gridproof.federation.cli.run') if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]", done.stdout


@pytest.mark.parametrize("words", [["schema"], ["schema", "--json"], ["--help"]])
def test_a_reader_that_goes_is_no_defect(words):
    code = "from gridproof.federation.cli.main import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", code, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as program:
        program.stdout.close()
        assert program.stderr.read() == b""
        assert program.wait(60) in (0, 1, 141)


def test_a_name_that_was_mistyped_is_answered_with_one_that_is_there():
    done = CliRunner().invoke(app, ["reprot"])
    assert done.exit_code == 2
    assert "report" in done.output
