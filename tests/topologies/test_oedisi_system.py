"""Planner and feeder in a system that OEDISI's own tools build and run.

::

    broker (OEDISI's runner) ──┬── planner ◄──► feeder
                               ├── recorder  ◄── feeder   reads OEDISI's types
                               └── mock      ◄── feeder   OEDISI's own component
"""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.cli.main import app
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.studies.study import load_study
from gridproof.scenarios.sampling import sample
from gridproof.scenarios.setpoints import Setpoints
from gridproof.simulator.opendss.engine import OpenDssEngine
from typer.testing import CliRunner

pytest.importorskip("oedisi")
HERE = Path(__file__).parent
TOOLS = Path(sys.executable).parent
SAMPLES, DEADLINE_S = 3, 150


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def run(command, cwd) -> subprocess.CompletedProcess:
    paths = [str(HERE.parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {
        "PATH": os.pathsep.join([str(TOOLS), os.environ["PATH"]]),
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONWARNINGS": "ignore",
    }
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=DEADLINE_S,
        check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def ran(tmp_path_factory, write_toy):
    """The folder of a system that was built and run, and its study."""
    folder = tmp_path_factory.mktemp("oedisi")
    toy, place = write_toy(folder), folder / "system"
    said = CliRunner().invoke(
        app,
        [
            *("oedisi", "system", str(toy), "--out", str(place), "--port", str(free_port())),
            *("--set", f"campaign.samples={SAMPLES}"),
        ],
    )
    assert said.exit_code == 0, said.stderr
    built = run([sys.executable, HERE / "oedisi_build.py", place], place)
    assert built.returncode == 0, built.stderr
    runner = place / "build" / "system_runner.json"
    done = run([TOOLS / "helics", "run", f"--path={runner}"], place)
    logs = {path.name: path.read_text()[-2000:] for path in runner.parent.glob("*.log")}
    assert done.returncode == 0, (done.stdout, done.stderr, logs)
    return place, load_study(toy, [f"campaign.samples={SAMPLES}"]), logs


def recorded(place: Path) -> dict[str, list]:
    lines = (place / "build" / "recorder" / "recorded.jsonl").read_text().splitlines()
    found: dict[str, list] = {}
    for granted, port, message in map(json.loads, lines):
        found.setdefault(port, []).append((granted, message))
    return found


@pytest.mark.slow
def test_the_system_s_campaign_is_the_one_of_any_other_launch(ran, tmp_path) -> None:
    place, study, logs = ran
    assert CampaignStore.open(place / "campaign").finished() == (0,), logs
    run_campaign(study, tmp_path / "c", mode="local")
    here, there = (
        CampaignStore.open(root).part_path(0) for root in (tmp_path / "c", place / "campaign")
    )
    assert here.read_bytes() == there.read_bytes()


@pytest.mark.slow
def test_the_recorder_has_every_realization_as_oedisi_s_types(ran) -> None:
    place, _, logs = ran
    found = recorded(place)
    assert {port: len(messages) for port, messages in found.items()} == dict.fromkeys(
        ("voltages_magnitude", "powers_real", "powers_imag", "switch_states"), SAMPLES
    ), logs
    for port, messages in found.items():
        times = [f"2000-01-01T00:00:0{k}" for k in range(SAMPLES)]
        assert [message["time"] for _, message in messages] == times, port
        assert [granted for granted, _ in messages] == [2.5, 3.5, 4.5], port
        assert len({tuple(message["ids"]) for _, message in messages}) == 1, port
    closed = dict(zip(*(found["switch_states"][0][1][key] for key in ("ids", "values")),
                      strict=True))  # fmt: skip
    kept = json.loads((place / "campaign" / "plan.json").read_text())["switches"]
    assert closed == {f"Line.{name}": int(state == ["closed"]) for name, state in kept.items()}


def test_what_was_recorded_is_what_the_physics_did(ran) -> None:
    """Voltages and powers beside those of an engine asked directly with the plan's base."""
    from gridproof.federation.campaigns.study_jobs import make_planner_job
    from gridproof.federation.records.keeper import stored_plan

    place, study, _ = ran
    plan = stored_plan(CampaignStore.open(place / "campaign"), study.scenario)
    batch = sample(study.scenario, study.sampler, 0, SAMPLES)
    told: Setpoints = make_planner_job(study, plan).make_recourse(plan).respond(batch)
    engine = OpenDssEngine(study.scenario)
    engine.hold(plan)
    seen = engine.observe(batch, told)
    engine.close()
    found, buses = recorded(place), study.scenario.feeder.buses
    present = buses.phases
    volts = np.nan_to_num(seen.v_pu) * buses.base_kv[:, None] * 1000.0
    for k in range(SAMPLES):
        _, message = found["voltages_magnitude"][k]
        assert message["units"] == "V"
        assert message["values"] == pytest.approx(volts[k][present].tolist(), rel=1e-12)
        _, power = found["powers_real"][k]
        assert power["units"] == "kW"
        drawn = np.array(power["values"])
        loads = np.array([name.startswith("Load.") for name in power["equipment_ids"]])
        assert drawn[loads].sum() == pytest.approx(seen.delivered_kw[k], rel=1e-6)
        assert drawn.sum() == pytest.approx(-seen.losses_kw[k], abs=1e-4)  # DERs are negative
        assert -drawn[~loads].sum() == pytest.approx(seen.der_p_kw[k].sum())
        assert found["powers_imag"][k][1]["ids"] == power["ids"]


def test_oedisi_s_own_component_heard_the_feeder(ran) -> None:
    place, _, _ = ran
    heard = (place / "build" / "mock.log").read_text()
    for port in ("voltages_magnitude", "powers_real", "powers_imag", "switch_states"):
        assert f"From subscription {port}: " in heard
    assert "Line.a-b" in heard
    assert "Federate finalized" in heard
