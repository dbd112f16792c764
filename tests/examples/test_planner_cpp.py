"""The planner in C++ compiles without a warning and answers as the one in Python does."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import helics
import pytest
from gridproof.federation.cli.main import app
from typer.testing import CliRunner

ROOT = Path(__file__).parents[2]
INSTALLED = Path(helics.__file__).parent / "install"
COMPILER = shutil.which("c++") or shutil.which("g++")
JSON = any(
    Path(place, "nlohmann/json.hpp").is_file() for place in ("/usr/include", "/usr/local/include")
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (COMPILER and JSON and (INSTALLED / "include").is_dir()) or os.name == "nt",
        reason="a C++ compiler, nlohmann's JSON or the header of helics is not there",
    ),
]


def test_it_answers_as_the_one_in_python_does(tmp_path):
    built = tmp_path / "planner"
    library = INSTALLED / "lib64"
    subprocess.run(
        [COMPILER, "-std=c++17", "-Wall", "-Wextra", "-Werror", ROOT / "examples" / "planner.cpp",
         "-o", built, f"-I{INSTALLED / 'include'}", f"-L{library}", "-lhelics",
         f"-Wl,-rpath,{library}"],
        check=True, timeout=300,
    )  # fmt: skip
    plan = tmp_path / "plan.json"
    assert CliRunner().invoke(app, ["plan", "ieee37-networked", "--out", str(plan)]).exit_code == 0
    verdicts = []
    python = f"{sys.executable} {ROOT / 'examples' / 'planner_plain_helics.py'}"
    for name, words in (("cpp", str(built)), ("python", python)):
        done = CliRunner().invoke(
            app,
            ["launch", "ieee37-networked", "--set", "campaign.samples=40", "--out",
             str(tmp_path / name), "--json", "--planner", f"{words} {plan} {{broker}}"],
        )  # fmt: skip
        assert done.exit_code == 0, done.output
        verdicts.append(json.loads(done.stdout)["campaign"])
    cpp, python = verdicts
    assert cpp["outcomes"] == python["outcomes"]
    assert cpp["outcomes"]["feasible"] == 25
    assert cpp["worst"].keys() == python["worst"].keys()
    for kind, worst in cpp["worst"].items():  # one adds its numbers up in another order
        other = python["worst"][kind]
        assert worst["margin"] == pytest.approx(other["margin"], abs=1e-9), kind
        assert {**worst, "margin": 0.0} == {**other, "margin": 0.0}
