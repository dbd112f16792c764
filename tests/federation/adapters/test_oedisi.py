"""What our components declare to OEDISI, what they read, and what they refuse."""

import json

import numpy as np
import pytest
from gridproof.federation.adapters.oedisi import (
    WiredLink,
    component_definition,
    input_names,
    read_mapping,
    read_static_inputs,
)
from gridproof.federation.adapters.oedisi_states import OedisiStates
from gridproof.federation.cli.main import app
from gridproof.federation.members.federates import PlannerFederate
from gridproof.federation.members.feeder_federate import FeederFederate
from gridproof.federation.members.jobs import FeederJob, PlannerJob
from gridproof.federation.wire.link import PortKind, Reading
from gridproof.scenarios.errors import ConfigError, FederateLost
from gridproof.scenarios.snapshot import Snapshots
from typer.testing import CliRunner


class Ears:
    """A link that notes what is registered, and then ends."""

    def __init__(self, name: str) -> None:
        self.name, self.published, self.read_keys, self.sent = name, {}, {}, []

    def publishes(self, ports) -> None:
        self.published = dict(ports)

    def reads(self, keys) -> None:
        self.read_keys = dict(keys)

    def enter(self, *, deadline_s) -> None:  # noqa: ARG002
        raise FederateLost("far enough")

    def publish(self, port, payload) -> None:
        self.sent.append((port, payload))

    def read(self, key) -> Reading:
        return Reading(key.encode(), True)


def job(role, tiny_scenario):
    if role == "planner":
        return PlannerJob(scenario=tiny_scenario, make_plan=None, make_recourse=None)
    states = OedisiStates(scenario=tiny_scenario)
    return FeederJob(
        scenario=tiny_scenario, make_engine=None, draw=None, ranges=(), sink=None, states=states
    )


@pytest.mark.parametrize("role", ["planner", "feeder"])
def test_the_definition_names_the_ports_that_are_registered(role, tiny_scenario) -> None:
    peer = "feeder" if role == "planner" else "planner"
    scenario, wire = tiny_scenario(), Ears("unit-7")
    mapping = {port: f"other/{port}" for port in input_names(role)}
    kind = PlannerFederate if role == "planner" else FeederFederate
    with pytest.raises(FederateLost, match="far enough"):
        kind(job(role, scenario), WiredLink(wire, role, mapping)).run()
    declared = component_definition(role)
    assert {one["port_id"] for one in declared["dynamic_outputs"]} == set(wire.published)
    assert {f"other/{one['port_id']}" for one in declared["dynamic_inputs"]} == set(wire.read_keys)
    assert declared["capabilities"]["broker_config"] is True
    assert f"oedisi federate {role}" in declared["execute_function"]
    types = {one["port_id"]: one["type"] for one in declared["dynamic_outputs"]}
    assert types["switch_states"] == "SwitchStates"
    if peer == "planner":
        assert types["voltages_magnitude"] == "VoltagesMagnitude"
        assert (types["powers_real"], types["powers_imag"]) == ("PowersReal", "PowersImaginary")


def test_oedisi_reads_the_definition_as_its_own(tmp_path) -> None:
    described = pytest.importorskip("oedisi.componentframework.basic_component")
    for role in ("planner", "feeder"):
        assert CliRunner().invoke(
            app, ["oedisi", "component", role, "--out", str(tmp_path / role)]
        ).exit_code == 0  # fmt: skip
        text = (tmp_path / role / "component_definition.json").read_text()
        found = described.ComponentDescription.model_validate_json(text)
        assert found.capabilities.broker_config
        assert {one.port_name for one in found.dynamic_inputs} == set(input_names(role))


def test_an_unwired_input_is_never_registered_and_brings_nothing() -> None:
    wire = Ears("feeder-7")
    link = WiredLink(wire, "feeder", {"plan": "planner-3/plan"})
    link.reads({"planner/plan": PortKind.TEXT, "planner/switch_states": PortKind.TEXT})
    assert wire.read_keys == {"planner-3/plan": PortKind.TEXT}
    assert link.read("planner/plan") == Reading(b"planner-3/plan", True)
    assert link.read("planner/switch_states") == Reading(b"", False)
    assert link.name == "feeder"


MAPPINGS = (
    ('{"plan": "p/plan", "status": "p/status"}', "setpoints is not wired; link it from setpoints"),
    ('{"plans": "p/plan"}', "plans is no input of the feeder; its inputs: plan,"),
    ("[]", "expected an object"),
    ("{", "not JSON"),
)


@pytest.mark.parametrize(("text", "message"), MAPPINGS)
def test_a_mapping_that_cannot_work_is_refused(tmp_path, text, message) -> None:
    (tmp_path / "input_mapping.json").write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_mapping(tmp_path, "feeder")


STATIC = (
    ({"name": "f"}, "study: Field required"),
    ({"name": "f", "study": "s", "studdy": 1}, "studdy: Extra inputs are not permitted, found '1'"),
    ({"name": "f", "study": "s", "broker": {"port": 99999}}, "broker.port: .*less than 65536"),
    ({"name": "f", "study": "s", "run_freq_sec": 0}, "run_freq_sec"),
)


@pytest.mark.parametrize(("values", "message"), STATIC)
def test_static_inputs_that_are_wrong_are_named(tmp_path, values, message) -> None:
    (tmp_path / "static_inputs.json").write_text(json.dumps(values))
    with pytest.raises(ConfigError, match=message):
        read_static_inputs(tmp_path)


def told(tmp_path, **values):
    (tmp_path / "static_inputs.json").write_text(json.dumps({"name": "f", "study": "s"} | values))
    return read_static_inputs(tmp_path)


def test_how_to_join_is_read_as_oedisi_writes_it(tmp_path) -> None:
    address = told(tmp_path).address
    assert (address.host, address.port, address.key) == ("127.0.0.1", 23404, "")
    assert "--brokerkey" not in address.core_arguments()
    broker = {"host": "10.0.0.5", "port": 23561, "key": "k1", "initString": "--tick=500ms"}
    address = told(tmp_path, coreType="zmq", coreInitString="--tick=2s", broker=broker).address
    words = address.core_arguments()
    assert "--brokerkey=k1" in words
    assert "--brokerport=23561" in words
    assert "tcp://10.0.0.5" in words
    assert words.count("--tick=2s") == 1
    with pytest.raises(ConfigError, match="coreType is 'tcp'"):
        _ = told(tmp_path, coreType="tcp").address
    with pytest.raises(ConfigError, match=r"start_date is '1\.1\.2020'"):
        _ = told(tmp_path, start_date="1.1.2020").start


def test_a_federate_outside_its_folder_says_where_it_belongs(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["oedisi", "federate", "feeder"])
    assert result.exit_code == 2
    assert "static_inputs.json: cannot be read: No such file" in result.stderr
    assert "oedisi build" in result.stderr


REFUSED = (
    ("campaign.judge=linear", "no powers node by node"),
    ('faults.stuck_switches=["a-b"]', "leave the switches' faults out"),
)


@pytest.mark.parametrize(("entry", "message"), REFUSED)
def test_a_study_whose_states_cannot_be_told_is_refused(toy, tmp_path, entry, message) -> None:
    result = CliRunner().invoke(
        app, ["oedisi", "system", str(toy), "--out", str(tmp_path / "s"), "--set", entry]
    )
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "s").exists()


def test_a_flow_without_solution_brings_no_state(tiny_scenario, tiny_plan) -> None:
    scenario = tiny_scenario()
    plan = tiny_plan(scenario, [True, True], [True, True, True], [True, False])
    feeder, ders = scenario.feeder, len(scenario.ders.ids)
    nothing = np.full((1, len(feeder.buses.ids), 3), np.nan)
    lost = Snapshots(
        index=np.array([4]), converged=np.array([False]), iterations=np.array([100]),
        v_pu=nothing, v_ll_pu=nothing, current_a=np.zeros((1, len(feeder.lines.ids), 3)),
        transformer_kva=np.zeros((1, 0)), der_p_kw=np.zeros((1, ders, 3)),
        der_q_kvar=np.zeros((1, ders, 3)), delivered_kw=np.zeros(1), requested_kw=np.zeros(1),
        losses_kw=np.zeros(1),
    )  # fmt: skip

    class Engine:
        def terminals(self, *_):
            raise AssertionError("nothing was solved")

    said = OedisiStates(scenario=scenario, step_s=60.0).of(Engine(), plan, None, None, lost)
    assert set(said) == {"switch_states"}
    assert json.loads(said["switch_states"])["time"] == "2000-01-01T00:04:00"
