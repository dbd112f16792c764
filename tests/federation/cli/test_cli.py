"""The command line: exit codes, one message, one JSON object, and nothing left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from gridproof.federation.cli.main import app
from gridproof.scenarios.errors import DeadlinePassed, FederateLost
from typer.testing import CliRunner

ROOT = Path(__file__).parents[3]
PLAN_KEYS = {
    "family", "certified", "termination", "objective_usd", "bound_usd", "shed_cost_usd",
    "generation_cost_usd", "redispatch_cost_usd", "energized_blocks", "closed_switches",
    "served_kw", "grid_forming", "switches", "iterations", "seconds",
}  # fmt: skip
CAMPAIGN_KEYS = {
    "samples", "judge", "recourse", "outcomes", "feasible_share", "interval", "confidence",
    "worst", "seconds", "samples_per_s",
}  # fmt: skip
TIMES = {"stages_s", "seconds", "samples_per_s"}


def gridproof(*args, code=0):
    result = CliRunner().invoke(app, [str(arg) for arg in args])
    assert result.exit_code == code, (result.stdout, result.stderr, result.exception)
    assert "Traceback" not in result.stderr
    return result


def said(*args, code=0) -> dict:
    """What a command prints with --json: exactly one object, and nothing else on stdout."""
    return json.loads(gridproof(*args, "--json", code=code).stdout)


def timeless(value):
    if isinstance(value, dict):
        return {k: timeless(v) for k, v in value.items() if k not in TIMES}
    return value


def start(*args, cwd) -> subprocess.Popen:
    """Start the real program in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "gridproof", *map(str, args)],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def session_members(leader: int) -> list[int]:
    """Processes of a session, whatever their group; none known where there is no /proc."""
    found: list[int] = []
    if not Path("/proc").is_dir():
        return found
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(fields[3]) == leader and fields[0] != "Z":
                found.append(int(entry.name))
    return found


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


# ------------------------------------------------------------------------------ small talk


def test_studies_are_listed_with_their_titles():
    assert "ieee37-networked" in gridproof("studies").stdout
    names = [study["name"] for study in said("studies")["studies"]]
    assert "ieee37-networked" in names


def test_the_version_is_one_line():
    assert gridproof("--version").stdout.startswith("gridproof")


def test_every_command_has_help():
    for command in ("studies", "plan", "run", "campaign", "report", "compare", "check"):
        assert "Usage" in gridproof(command, "--help").stdout


def test_federate_is_there_for_other_machines():
    assert "federate" in gridproof("--help").stdout
    assert "--broker" in gridproof("federate", "--help").stdout


# ------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize("command", ["plan", "run"])
def test_bad_input_is_one_message_on_stderr_and_exit_2(toy, here, command):
    result = gridproof(command, toy, "--set", "uncertainty.spread=1.4", "--json", code=2)
    assert result.stdout == ""
    assert "uncertainty.spread = 1.4 must lie in [0, 1]; 0.25 means ±25 %" in result.stderr
    assert not (here / "campaigns").exists()


def test_all_faults_are_printed_each_on_its_line(toy):
    result = gridproof("plan", toy, "--set", "campaign.samples=0", "--set", "a.b=1", code=2)
    lines = result.stderr.strip().splitlines()
    assert lines[0] == "error: 2 faults"
    assert len(lines) == 3


def test_samples_and_seed_are_short_for_their_keys(toy, here):
    result = gridproof("run", toy, "--samples", "0", code=2)
    assert "campaign.samples = 0 must lie in [1, 1000000000]" in result.stderr
    result = gridproof("run", toy, "--seed", "-1", code=2)
    assert "campaign.seed = -1" in result.stderr


def test_debug_shows_the_traceback(toy):
    result = CliRunner().invoke(app, ["--debug", "plan", str(toy), "--set", "a.b=1"])
    assert result.exit_code == 2
    assert "Traceback" in result.stderr


def test_wrong_usage_exits_2():
    gridproof("plan", code=2)
    gridproof("plan", "ieee37-networked", "--nonsense", code=2)
    gridproof("campaign", "ieee37-networked", code=2)  # a campaign needs --plan


def test_a_directory_that_is_no_campaign_is_refused(toy, here):
    result = gridproof("report", here, code=2)
    assert "is not a campaign directory" in result.stderr
    result = gridproof("run", toy, "--out", here, code=2)  # it holds the study
    assert "give another --out" in result.stderr


def test_a_defect_of_the_program_is_told_apart_from_bad_input(toy, monkeypatch):
    def broken(*args, **kwargs):
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("gridproof.federation.cli.plan.about_plan", broken)
    result = gridproof("plan", toy, code=1)
    assert "ZeroDivisionError: oops" in result.stderr
    assert "--debug" in result.stderr


# ----------------------------------------------------------------------------------- plans


def test_plan_prints_the_agreed_figures(toy):
    figures = said("plan", toy)
    assert set(figures) == {"study", "seed", "versions", "plan"}
    assert figures["study"] == "toy"
    assert set(figures["plan"]) >= PLAN_KEYS
    assert figures["plan"]["certified"] is True
    assert figures["plan"]["energized_blocks"] == 3  # all but the substation's
    assert figures["plan"]["served_kw"] == pytest.approx(200.0)
    assert set(figures["plan"]["switches"]) == {"src-a", "a-b", "b-d"}


def test_a_plan_tells_the_cheapest_redispatch_and_that_of_its_recourse(toy):
    """Two figures with a policy each, in the object and in the table."""
    plan = said("plan", toy)["plan"]
    tried = plan["redispatch_tried"]
    assert plan["redispatch_policy"] == "cheapest"
    assert tried["policy"] == "linear"
    assert tried["most_usd"] >= plan["redispatch_cost_usd"] - 0.01
    table = gridproof("plan", toy).stdout
    for word in ("cheapest, at the worst load of the set", "by recourse linear"):
        assert word in " ".join(table.split())


def test_the_plan_table_names_blocks_and_switches(toy):
    table = gridproof("plan", toy).stdout
    for word in ("certified", "live blocks", "a-b", "east"):
        assert word in table


def test_a_plan_file_passes_its_audit(toy, here):
    result = gridproof("plan", toy, "--out", "made/plan.json")
    assert "gridproof check" in result.stderr
    verdict = said("check", "made/plan.json", toy)
    assert verdict["passed"] is True
    assert verdict["made_for_this_study"] is True
    assert verdict["faults"] == []
    other = said("check", "made/plan.json", toy, "--set", "uncertainty.spread=0.11")
    assert other["made_for_this_study"] is False


def test_a_faulty_plan_fails_its_audit_with_exit_1(toy, here):
    gridproof("plan", toy, "--out", "plan.json")
    plan = json.loads(Path("plan.json").read_text())
    plan["switches"]["src-a"] = ["closed"]
    plan["ders"]["west"]["p_kw"] = [[1000.0, 0.0, 0.0]]
    Path("bad.json").write_text(json.dumps(plan))
    verdict = said("check", "bad.json", toy, code=1)
    assert verdict["passed"] is False
    table = gridproof("check", "bad.json", toy, code=1).stdout
    for part in ("switch src-a must stay open", "west set-point"):
        assert part in table
        assert any(part in fault for fault in verdict["faults"])
    result = gridproof("campaign", toy, "--plan", "bad.json", "--out", "c", code=2)
    assert "bad.json: step 0: switch src-a must stay open" in result.stderr
    assert not Path("c").exists()


def test_a_plan_file_that_is_none_is_bad_input(toy, here):
    Path("plan.json").write_text("{}")
    assert "plan.json" in gridproof("check", "plan.json", toy, code=2).stderr
    assert "cannot be read" in gridproof("check", "none.json", toy, code=2).stderr


def test_no_plan_is_exit_3_with_what_was_proven(toy, here):
    args = (toy, "--set", "planner.min_energized_blocks=4")  # the substation's can never be live
    result = gridproof("plan", *args, "--json", code=3)
    assert result.stdout == ""
    assert "shown: search ended infeasible" in result.stderr
    result = gridproof("run", *args, "--out", "c", code=3)
    assert "shown: search ended infeasible" in result.stderr


# ------------------------------------------------------------------------------- campaigns


@pytest.fixture
def run_once(toy, here):
    return said("run", toy, "--out", "whole", "--quiet")


def test_run_prints_the_agreed_figures(run_once):
    assert set(run_once) == {"study", "seed", "versions", "plan", "campaign"}
    assert set(run_once["plan"]) >= PLAN_KEYS
    assert set(run_once["campaign"]) >= CAMPAIGN_KEYS
    campaign = run_once["campaign"]
    assert campaign["samples"] == 40
    assert sum(campaign["outcomes"].values()) == 40
    assert set(campaign["outcomes"]) == {
        "feasible", "violated", "not_mended", "no_recourse", "no_solution", "erred", "stale",
    }  # fmt: skip
    assert campaign["interval"][0] <= campaign["feasible_share"] <= campaign["interval"][1]


def test_report_prints_the_same_figures_again(run_once):
    assert timeless(said("report", "whole")) == timeless(run_once)
    table = gridproof("report", "whole").stdout
    assert "Plan" in table
    assert "feasible" in table


@pytest.mark.parametrize("mode", ["in_process", "local"])
def test_how_it_runs_changes_no_figure(run_once, toy, mode):
    again = said("run", toy, "--out", mode, "--set", f"federation.mode={mode}")
    assert timeless(again) == timeless(run_once)


@pytest.mark.slow
def test_two_processes_print_the_same_object(run_once, toy, here):
    program = start("run", toy, "--processes", "--json", cwd=here)
    out, err = program.communicate(timeout=120)
    assert program.returncode == 0, err
    assert timeless(json.loads(out)) == timeless(run_once)
    assert session_members(program.pid) == []


def test_a_campaign_tries_the_plan_it_is_given(run_once, toy, here):
    gridproof("plan", toy, "--out", "plan.json")
    again = said("campaign", toy, "--plan", "plan.json", "--out", "given")
    assert timeless(again["campaign"]) == timeless(run_once["campaign"])
    with_run = said("run", toy, "--plan", "plan.json")
    assert timeless(with_run["campaign"]) == timeless(run_once["campaign"])
    (made,) = (here / "campaigns").iterdir()  # without --out, a new directory under campaigns/
    assert made.name.startswith("toy-")


def test_another_configuration_may_not_enter_a_directory(run_once, toy):
    result = gridproof("run", toy, "--out", "whole", "--seed", "2", code=2)
    assert "another configuration" in result.stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (FederateLost("the planner was killed by SIGKILL"), 4),
        (DeadlinePassed("joining the federation", "planner", 30.0), 4),
        (KeyboardInterrupt(), 130),
    ],
)
def test_what_ended_a_run_is_its_exit_code(toy, here, monkeypatch, error, code):
    def lost(*args, **kwargs):
        raise error

    monkeypatch.setattr("gridproof.federation.cli.run.run_campaign", lost)
    result = gridproof("run", toy, "--out", "c", "--json", code=code)
    assert result.stdout == ""
    assert (str(error) or "interrupted while planning") in result.stderr


@pytest.mark.parametrize("flags", [(), ("--processes",)], ids=["in process", "processes"])
def test_ctrl_c_while_planning_leaves_nobody(here, flags):
    """Every moment before the first part is a moment somebody may press it."""
    program = start("run", "ieee37-networked", "--out", "c", *flags, cwd=here)
    deadline = time.monotonic() + 60
    while not (here / "c" / "study.json").exists():  # written just before the planner starts
        assert program.poll() is None, program.communicate()
        assert time.monotonic() < deadline, "the campaign directory was not made within 60 s"
        time.sleep(0.02)
    os.kill(program.pid, signal.SIGINT)
    out, err = program.communicate(timeout=20)
    assert program.returncode == 130, err
    assert (out, "Traceback" in err) == ("", False)
    assert "interrupted" in err
    assert session_members(program.pid) == []
    assert "no finished part yet" in gridproof("report", "c", code=2).stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "flags",
    [(), ("--processes",)],
    ids=["in process", "processes"],
)
def test_ctrl_c_keeps_what_is_finished_and_leaves_nobody(toy, here, flags):
    """Stop a long campaign once a part is there; then report it, and finish a short one."""
    program = start("run", toy, "--samples", "400000", "--out", "c", *flags, cwd=here)
    deadline = time.monotonic() + 60
    while not list((here / "c").glob("parts/part-*.parquet")):
        assert program.poll() is None, program.communicate()
        assert time.monotonic() < deadline, "no part was written within 60 s"
        time.sleep(0.05)
    os.kill(program.pid, signal.SIGINT)
    out, err = program.communicate(timeout=20)
    assert program.returncode == 130, err
    assert out == ""
    assert "interrupted after" in err
    assert "Traceback" not in err
    assert "gridproof resume c" in err
    assert session_members(program.pid) == []
    figures = said("report", "c")
    assert 0 < figures["campaign"]["samples"] < 400000
    assert figures["campaign"]["samples"] >= 2048  # and what was begun of the next part
