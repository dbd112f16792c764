"""The device page's first example, as it is printed there, on a port that is free."""

import json
import re
import shlex
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from gridproof.federation.cli.main import app
from gridproof.federation.config.faults import DevicesConfig, RealtimeConfig
from typer.testing import CliRunner

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "device.md"


def _commands():
    """Words of each command of the page's first block."""
    block = PAGE.read_text(encoding="utf-8").split("```")[1]
    return [shlex.split(line) for line in block.strip().splitlines() if "pip" not in line]


def _on(port, words):
    return [word.replace("5020", str(port)) for word in words]


@pytest.fixture
def port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def test_the_page_s_study_is_one_that_is_read():
    block = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)[0]
    told = tomllib.loads(block)
    der = told["ders"]["fleet"]["der710"]
    assert (der["capacity_kw"], der["balanced"]) == (110, True)
    assert DevicesConfig.model_validate(told["devices"]).settle_s == {"der710": 0.3}
    clock = re.findall(r"```toml\n(.*?)```", PAGE.with_name("realtime.md").read_text(), re.S)[0]
    assert RealtimeConfig.model_validate(tomllib.loads(clock)["realtime"]).start == "14:30:00"


def test_the_page_s_example_reaches_a_good_verdict(port, tmp_path):
    served, looked, tried = _commands()
    assert served[-1] == "&"
    command = [sys.executable, "-m", "gridproof", *_on(port, served[1:-1])]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    try:
        assert f"127.0.0.1:{port}" in process.stderr.readline()
        said = CliRunner().invoke(app, _on(port, looked[1:]))
        assert said.exit_code == 0, said.output
        tried[tried.index("--samples") + 1] = "24"  # of 200, for the time it takes
        out = ["--out", str(tmp_path / "c"), "--json", "--quiet"]
        said = CliRunner().invoke(app, [*_on(port, tried[1:]), *out])
        assert said.exit_code == 0, said.output
    finally:
        process.kill()
        process.wait(10)
        process.stderr.close()
    report = json.loads(said.stdout)["campaign"]
    assert report["devices"]["exchanges"] == 24
    assert not report["devices"]["faults"]
    assert report["feasible_share"] == 1.0
