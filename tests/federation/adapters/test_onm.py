"""PowerModelsONM's files, hand-written after its published schemas, as plans of the toy study."""

import copy
import json

import numpy as np
import pytest
from gridproof.federation.adapters.onm import is_onm, plan_from_onm
from gridproof.federation.cli.main import app
from gridproof.federation.studies.study import load_study
from gridproof.optimizer.planner import make_planner
from gridproof.scenarios.audit import audit
from gridproof.scenarios.errors import ConfigError
from typer.testing import CliRunner

P, Q, V = "real power setpoint (kW)", "reactive power setpoint (kVar)", "voltage (V)"


@pytest.fixture
def scenario(toy):
    return load_study(toy).scenario


@pytest.fixture
def ours(scenario):
    return make_planner("partitioning", {}).plan(scenario)


@pytest.fixture
def output(ours):
    """What the planner's plan would look like coming from PowerModelsONM."""
    east, west = ours.p_kw[0]
    east_q, west_q = ours.q_kvar[0]
    roles = ["GRID_FORMING" if forms else "GRID_FOLLOWING" for forms in ours.grid_forming[0]]
    level = 2.40177711982793 * float(np.nanmax(ours.source_v_pu))
    return {
        "Runtime timestamp": "2021-01-01T00:00:00.000",
        "Simulation time steps": [1],
        "Device action timeline": [
            {
                "Shedded loads": [],
                "Switch configurations": {"src-a": "open", "A-B": "closed", "line.b-d": "closed"},
                "Microgrid networks": [["1", "2"]],
            }
        ],
        "Powerflow output": [
            {
                "storage": {  # charging is positive there
                    "east": {P: (-east).tolist(), Q: (-east_q).tolist(),
                             "connections": [1, 2, 3, 4], "inverter": roles[0]}
                },
                "solar": {
                    "west": {P: west.tolist()[::-1], Q: west_q.tolist()[::-1],
                             "connections": [3, 2, 1], "inverter": roles[1]}
                },
                "voltage_source": {
                    "source": {P: [0.0, 0.0, 0.0], Q: [0.0, 0.0, 0.0], "connections": [1, 2, 3],
                               "inverter": "GRID_FORMING"}
                },
                "bus": {
                    name: {V: [0.0] * 3 if name == "src" else [level] * 3, "terminals": [1, 2, 3]}
                    for name in ("src", "a", "b", "c", "d")
                },
                "switch": {},
            }
        ],
    }  # fmt: skip


@pytest.fixture
def partitions():
    states = {"line.src-a": "OPEN", "line.a-b": "OPEN", "line.b-d": "CLOSED"}
    return [
        {"uuid": "2", "rank": 2, "score": 9.0, "shed": [], "configuration": {}},
        {"uuid": "1", "rank": 1, "score": 5.1, "shed": [], "configuration": states},
    ]


def read(document, scenario):
    assert is_onm(document)
    return plan_from_onm(json.dumps(document), scenario, "onm.json")


def test_an_output_says_the_same_plan(output, scenario, ours) -> None:
    plan = read(output, scenario)
    for name in ("closed", "energized", "grid_forming", "p_kw", "q_kvar"):
        assert np.array_equal(getattr(plan, name), getattr(ours, name)), name
    assert plan.source_v_pu == pytest.approx(ours.source_v_pu, rel=1e-9, nan_ok=True)
    assert audit(plan, scenario) == ()
    assert not plan.proof.robust
    assert plan.scenario_digest == ""


def test_voltages_may_be_volts_as_their_name_says(output, scenario, ours) -> None:
    for bus in output["Powerflow output"][0]["bus"].values():
        bus[V] = [1000.0 * v for v in bus[V]]
    plan = read(output, scenario)
    assert plan.source_v_pu == pytest.approx(ours.source_v_pu, rel=1e-9, nan_ok=True)


def test_a_dead_block_is_one_without_voltage(output, scenario) -> None:
    output["Device action timeline"][0]["Switch configurations"]["line.b-d"] = "open"
    output["Device action timeline"][0]["Shedded loads"] = ["load.ld"]
    output["Powerflow output"][0]["bus"]["d"][V] = [0.0, 0.0, 0.0]
    plan = read(output, scenario)
    assert dict(zip(plan.block_ids, plan.energized[0].tolist(), strict=True)) == {
        "src": False, "a": True, "b": True, "d": False,
    }  # fmt: skip


def at(document, *keys):
    for key in keys:
        document = document[key]
    return document


STEP, FLOW = ("Device action timeline", 0), ("Powerflow output", 0)
SPOILT = {
    "unknown switch": ((*STEP, "Switch configurations", "x-y"), "open", "x-y is no switch"),
    "a word for a state": ((*STEP, "Switch configurations", "src-a"), "ajar", "src-a is 'ajar'"),
    "unknown load": ((*STEP, "Shedded loads"), ["load.zz"], "shed load zz is not in the study"),
    "load shed alone": ((*STEP, "Shedded loads"), ["la"], "la is shed in a live block"),
    "unknown device": ((*FLOW, "generator"), {"g9": {P: [0.0]}}, "generator g9 is no DER"),
    "substation": ((*FLOW, "voltage_source", "source", P), [9.0] * 3, "source is no DER"),
    "no number": ((*FLOW, "solar", "west", P), [1.0, "2", 3.0], "expected finite numbers"),
    "infinite": ((*FLOW, "solar", "west", P), [1.0, float("inf"), 3.0], "expected finite"),
    "endless": ((*FLOW, "solar", "west", P), [1, 10**400, 3], "expected finite numbers"),
    "two phases": ((*FLOW, "solar", "west"), {P: [1.0, 2.0], Q: []}, "state connections"),
    "other base": ((*FLOW, "bus", "a", V), [33.0] * 3, "times the base of the feeder"),
    "more steps": (("Powerflow output",), [{}, {}], "has 2 steps; the study has 1"),
    "no steps": (("Device action timeline",), {}, "has 0 steps; the study has 1"),
    "no voltages": ((*FLOW, "bus"), {}, "no bus of block src has a voltage"),
}


@pytest.mark.parametrize("how", SPOILT)
def test_a_fault_is_named(output, scenario, how) -> None:
    (*path, last), value, message = SPOILT[how]
    at(output, *path)[last] = value
    with pytest.raises(ConfigError, match=message) as caught:
        read(output, scenario)
    assert all(fault.startswith("onm.json: ") for fault in caught.value.faults)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ((*STEP, "Switch configurations", "src-a"), "switch src-a is missing"),
        ((*FLOW, "solar", "west"), "DER west is missing"),
    ],
)
def test_what_is_missing_is_named(output, scenario, path, message) -> None:
    del at(output, *path[:-1])[path[-1]]
    with pytest.raises(ConfigError, match=message):
        read(output, scenario)


def test_every_fault_at_once(output, scenario) -> None:
    document = copy.deepcopy(output)
    del document["Powerflow output"][0]["solar"]
    document["Device action timeline"][0]["Switch configurations"] = {"q": "open"}
    with pytest.raises(ConfigError) as caught:
        read(document, scenario)
    assert len(caught.value.faults) == 5  # q, three switches, west


def test_the_best_partition_gets_our_set_points(partitions, scenario) -> None:
    plan = read(partitions, scenario)
    assert plan.closed.tolist() == [[False, False, True]]
    assert plan.grid_forming.tolist() == [[True, True]]  # two islands now
    assert audit(plan, scenario) == ()
    assert plan.p_kw.sum() == pytest.approx(200.0)
    assert (plan.scenario_digest, plan.proof.robust) == ("", False)


def test_a_partition_s_grid_forming_devices_are_kept_to(partitions, scenario) -> None:
    best = partitions[1]
    best["configuration"]["line.a-b"] = "CLOSED"
    for name, forming in (("west", [[False, True]]), ("east", [[True, False]])):
        best["grid_forming_devices"] = [f"storage.{name}", "vsource.source"]
        assert read(partitions, scenario).grid_forming.tolist() == forming
    best["grid_forming_devices"] = ["storage.north"]
    best["shed"] = ["load.zz"]
    with pytest.raises(ConfigError) as caught:
        read(partitions, scenario)
    assert [fault.split(": ", 2)[2] for fault in caught.value.faults] == [
        "grid-forming device north is no DER of the study",
        "load zz is not in the study",
    ]


@pytest.mark.parametrize("document", [{}, [], [1], {"switches": {}}, "x", 3, None, [{"rank": 1}]])
def test_other_documents_are_not_taken_for_one(document) -> None:
    assert not is_onm(document)


def test_the_command_line_takes_both(output, partitions, toy, tmp_path) -> None:
    for name, document in (("output", output), ("partitions", partitions)):
        file = tmp_path / f"{name}.json"
        file.write_text(json.dumps(document))
        said = CliRunner().invoke(app, ["check", str(file), str(toy)])
        assert said.exit_code == 0, said.stderr
        said = CliRunner().invoke(
            app, ["run", str(toy), "--plan", str(file), "--json", "--out", str(tmp_path / name)]
        )
        assert said.exit_code == 0, said.stderr
        assert json.loads(said.stdout)["campaign"]["samples"] == 40
