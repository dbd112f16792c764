"""The example planner, in a process of its own, against the feeder federate over loopback.

::

    supervisor ── broker ──┬── examples/planner_plain_helics.py (helics, numpy, nothing of ours)
                           └── gridproof federate feeder
"""

import ast
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from gridproof.federation.campaigns.study_jobs import make_feeder_job
from gridproof.federation.members.jobs import PlannerJob
from gridproof.federation.members.session import SessionSettings, run_session
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.studies.study import load_study
from gridproof.optimizer.planner import make_planner
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.plan_file import plan_from_json, plan_to_json
from gridproof.scenarios.setpoints import Setpoints

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "planner_plain_helics.py"
DEADLINE_S = 90


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """The toy study with a block that no DER can carry, its plan beside it."""
    place = ROOT / "tests" / "federation" / "conftest.py"
    spec = importlib.util.spec_from_file_location("toy_study", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    path = module._write_toy(tmp_path_factory.mktemp("example"))
    path.write_text(path.read_text().replace("capacity_kw = 90", "capacity_kw = 3"))
    loaded = load_study(path)
    plan = make_planner("partitioning", {}).plan(loaded.scenario)
    (path.parent / "plan.json").write_text(plan_to_json(plan))
    return loaded


def launched(study, out: Path, plan: Path) -> subprocess.CompletedProcess:
    planner = f"{sys.executable} {EXAMPLE} {plan} {{broker}}"
    return subprocess.run(
        [
            *(sys.executable, "-m", "gridproof", "launch", study.path),
            *("--planner", planner, "--out", out, "--json"),
        ],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


class Proportional:
    """The example's recourse, said again."""

    def __init__(self, plan: Plan, feeder) -> None:
        self._plan = plan
        self._served = plan.energized[0][feeder.block_of_load]
        assert 0 < self._served.sum() < len(self._served)  # else it says nothing of dead blocks

    def respond(self, realizations) -> Setpoints:
        demand_kw = realizations.p_kw[:, 0][:, self._served].sum(axis=(1, 2))
        share = (demand_kw / self._plan.p_kw[0].sum())[:, None, None]
        return Setpoints(
            index=realizations.index,
            found=np.ones(len(realizations), bool),
            p_kw=share * self._plan.p_kw[0],
            q_kvar=share * self._plan.q_kvar[0],
            source_v_pu=np.tile(self._plan.source_v_pu[0], (len(realizations), 1)),
        )


def test_the_feeder_judges_the_example_s_plan_and_set_points(study, tmp_path) -> None:
    plan_file = study.path.parent / "plan.json"
    done = launched(study, tmp_path / "c", plan_file)
    assert done.returncode == 0, done.stderr
    campaign = json.loads(done.stdout)["campaign"]
    assert campaign["samples"] == sum(campaign["outcomes"].values()) == 40
    assert campaign["outcomes"]["feasible"] == 40
    kept = (tmp_path / "c" / "plan.json").read_text()
    assert json.loads(kept)["switches"] == json.loads(plan_file.read_text())["switches"]

    plan = plan_from_json(plan_file.read_text(), study.scenario)
    same = PlannerJob(
        scenario=study.scenario,
        make_plan=lambda: plan,
        make_recourse=lambda plan: Proportional(plan, study.scenario.feeder),
    )
    feeder = make_feeder_job(study, tmp_path / "local", mode="local")
    run_session(same, feeder, SessionSettings(transport="local", batch=16))
    crossed, here = rows(tmp_path / "c"), rows(tmp_path / "local")
    assert crossed.keys() == here.keys()
    for name, values in here.items():
        close = isinstance(values[0], float)
        wanted = pytest.approx(values, rel=1e-9, abs=1e-9, nan_ok=True) if close else values
        assert crossed[name] == wanted, name


def rows(root: Path) -> dict[str, list]:
    table = pq.read_table(CampaignStore.open(root).part_path(0))
    assert table.num_rows == 40
    return table.to_pydict()


@pytest.mark.slow
def test_a_plan_for_another_feeder_ends_with_the_faults(study, tmp_path) -> None:
    strange = json.loads((study.path.parent / "plan.json").read_text())
    strange["switches"]["no-such"] = strange["switches"].pop("a-b")
    (tmp_path / "strange.json").write_text(json.dumps(strange))
    done = launched(study, tmp_path / "c", tmp_path / "strange.json")
    assert done.returncode == 4
    assert "switches.no-such is not in the study" in done.stderr
    before, told = done.stderr.split("error: ")  # what is there first, the error last
    assert before.startswith(f"0 of 40 realizations are kept in {tmp_path / 'c'}; go on with: ")
    assert told.startswith("the feeder ended with code 4: planner/plan: ")


@pytest.mark.slow
def test_a_planner_that_cannot_start_is_named_with_its_words(study, tmp_path) -> None:
    done = launched(study, tmp_path / "c", tmp_path / "missing.json")
    assert done.returncode == 4
    assert "the planner ended with code 1" in done.stderr
    assert "missing.json" in done.stderr


def test_the_example_imports_nothing_of_ours_and_is_short() -> None:
    text = EXAMPLE.read_text()
    imported = {
        (alias.name if isinstance(node, ast.Import) else node.module).split(".")[0]
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert imported <= set(sys.stdlib_module_names) | {"helics", "numpy"}
    statements = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.stmt)]
    assert len(statements) < 70
