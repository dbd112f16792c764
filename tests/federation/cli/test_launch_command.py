"""``gridproof launch`` and the scripts it writes for other runners, run where that is possible."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from gridproof.federation.cli.main import app
from gridproof.federation.members.launch import program
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.records.summary import campaign_summary
from typer.testing import CliRunner

ROOT = Path(__file__).parents[3]
TOOLS = Path(sys.executable).parent
DEADLINE_S = 120


def say(*args, code=0, **environment):
    result = CliRunner().invoke(app, [str(arg) for arg in args], env=environment)
    assert result.exit_code == code, (result.stdout, result.stderr, result.exception)
    return result


def start(command, cwd, **more) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": str(ROOT), **more}
    environment["PATH"] = os.pathsep.join([more.get("PATH", ""), str(TOOLS), os.environ["PATH"]])
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=DEADLINE_S,
        check=False,
    )  # fmt: skip


def judged(root: Path) -> int:
    return sum(campaign_summary(CampaignStore.open(root)).outcomes.values())


def free_port() -> int:
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.mark.slow
def test_launch_tries_the_whole_campaign_in_processes(toy, tmp_path) -> None:
    out = json.loads(say("launch", toy, "--out", tmp_path / "c", "--json").stdout)
    assert sum(out["campaign"]["outcomes"].values()) == 40
    (run,) = CampaignStore.open(tmp_path / "c").environment["runs"]
    assert run["mode"] == "processes"


def test_children_are_started_by_the_command_one_would_type() -> None:
    python, *rest = program()
    assert python == sys.executable
    assert rest == ["-m", "gridproof"] or Path(rest[0]).name == "gridproof"


@pytest.mark.slow
def test_helics_run_accepts_and_runs_the_file(toy, tmp_path) -> None:
    file = tmp_path / "run" / "runner.json"
    say(
        "launch", toy, "--emit", "helics", "--out", file, "--port", free_port(),
        "--campaign", tmp_path / "c", "--set", "campaign.samples=30",
    )  # fmt: skip
    assert file.stat().st_mode & 0o077 == 0  # it holds the key
    done = start(
        [sys.executable, "-W", "ignore", "-c", "from helics.cli import cli; cli()", "run",
         f"--path={file}"],
        tmp_path,
    )  # fmt: skip
    logs = {p.name: p.read_text() for p in file.parent.glob("*.log")}
    assert done.returncode == 0, (done.stdout, done.stderr, logs)
    assert judged(tmp_path / "c") == 30, (done.stdout, logs)


def test_the_runner_file_has_what_helics_reads(toy, tmp_path) -> None:
    document = json.loads(say("launch", toy, "--emit", "helics", GRIDPROOF_KEY="k1").stdout)
    assert document["broker"] is False  # ours is a federate: HELICS' own would have no key
    assert [one["name"] for one in document["federates"]] == ["broker", "planner", "feeder"]
    for one in document["federates"]:
        assert set(one) == {"name", "directory", "host", "exec", "env"}
        assert "k1" not in one["exec"]  # which anybody may read
        assert list(one["env"].values()) == ["k1"]
    broker, _, feeder = (shlex.split(one["exec"]) for one in document["federates"])
    assert "--local_interface=tcp://127.0.0.1" in broker
    assert feeder[-2:] == ["--out", "campaigns/toy-launched"]


def test_the_compose_file_keeps_the_broker_inside(toy) -> None:
    text = say("launch", toy, "--emit", "compose", GRIDPROOF_KEY="k1").stdout
    assert "networks:\n  federation: {internal: true}\n" in text
    found = yaml.safe_load(text)["services"]
    assert set(found) == {"broker", "planner", "feeder"}
    for service in found.values():
        assert service["networks"] == ["federation"]
        assert "ports" not in service
        assert not any("k1" in word for word in service["command"])
        assert list(service["environment"].values()) == ["k1"]
    planner = found["planner"]["command"]
    assert planner[:3] == ["gridproof", "federate", "planner"]
    assert planner[planner.index("--broker") + 1] == "broker:23500"


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, 2])
def test_the_batch_script_runs_on_one_node(toy, tmp_path, steps) -> None:
    """With an srun that only runs what it is given."""
    if steps == 2:
        toy.write_text(toy.read_text() + "\n[horizon]\nload_profile = [0.8, 1.0]\n")
    script, tools = tmp_path / "job.sh", tmp_path / "bin"
    tools.mkdir()
    (tools / "srun").write_text(
        "#!/bin/bash\nwhile [[ $1 == --* ]]; do shift; done\n"
        f'[ "$1" = gridproof ] && set -- {shlex.join(program())} "${{@:2}}"\nexec "$@"\n'
    )
    (tools / "srun").chmod(0o755)
    say("launch", toy, "--emit", "slurm", "--out", script, "--campaign", tmp_path / "c")
    job = {"SLURM_JOB_ID": str(os.getpid()), "PATH": str(tools)}
    done = start(["bash", script], tmp_path, **job)
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert judged(tmp_path / "c") == 40 * steps


def test_the_batch_script_fails_with_its_federate(toy, tmp_path) -> None:
    script, tools = tmp_path / "job.sh", tmp_path / "bin"
    tools.mkdir()
    (tools / "srun").write_text(
        "#!/bin/bash\nwhile [[ $1 == --* ]]; do shift; done\n"
        '[ "$1" = gridproof ] && exit 3\nexec "$@"\n'
    )
    (tools / "srun").chmod(0o755)
    say("launch", toy, "--emit", "slurm", "--out", script)
    job = {"SLURM_JOB_ID": str(os.getpid() + 2), "PATH": str(tools)}
    assert start(["bash", script], tmp_path, **job).returncode == 3


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--planner", "python mine.py"), "with the word {broker}"),
        (("--planner", "p {broker} {key}"), "your planner finds the key in the environment"),
        (("--planner", "p {broker}", "--plan", "x.json"), "exclude one another"),
        (("--emit", "helics", "--plan", "x.json"), "leave out --planner"),
        (("--emit", "helics", "--port", "0"), "is not HOST:PORT"),
        (("--emit", "helics", "--host", "a b"), "is not HOST:PORT"),
    ],
)
def test_what_cannot_be_launched_is_refused(toy, flags, message) -> None:
    assert message in say("launch", toy, *flags, code=2).stderr


def test_a_key_that_is_none_is_refused(toy) -> None:
    said = say("launch", toy, "--emit", "helics", code=2, GRIDPROOF_KEY="a;b").stderr
    assert "may hold letters, digits" in said


def test_the_batch_script_shows_its_key_to_nobody(toy) -> None:
    script = say("launch", toy, "--emit", "slurm").stdout.splitlines()
    started = [line for line in script if line.startswith("srun")]
    assert len(started) == 3
    assert not any("KEY" in line for line in started)
    assert [line for line in script if line.startswith("export")][1:] == [
        'export HELICS_BROKER_KEY="$GRIDPROOF_KEY"'
    ]


def test_a_federate_takes_its_key_from_the_environment_only(toy) -> None:
    command = ("federate", "planner", toy, "--broker", "127.0.0.1:23500")
    assert "set GRIDPROOF_KEY" in say(*command, code=2, GRIDPROOF_KEY=None).stderr
    say(*command, "--key", "k1", code=2)


def test_another_interface_than_loopback_is_said_aloud(toy) -> None:
    assert "not encrypted" in say("launch", toy, "--emit", "helics", "--host", "10.0.0.5").stderr
    assert say("launch", toy, "--emit", "helics", "--host", "localhost").stderr == ""


def test_a_path_with_blanks_and_signs_stays_one_word(toy, tmp_path) -> None:
    strange = tmp_path / "a b; $(touch gone)" / toy.name
    strange.parent.mkdir()
    strange.write_text(toy.read_text())
    (strange.parent / "toy.dss").write_text((toy.parent / "toy.dss").read_text())
    document = json.loads(say("launch", strange, "--emit", "helics").stdout)
    assert str(strange) in shlex.split(document["federates"][1]["exec"])
    script = say("launch", strange, "--emit", "slurm").stdout
    words = next(line for line in script.splitlines() if "planner" in line and "srun" in line)
    assert str(strange) in shlex.split(words)
    compose = yaml.safe_load(say("launch", strange, "--emit", "compose").stdout)["services"]
    assert str(strange).replace("$", "$$") in compose["planner"]["command"]
