"""A DER behind MQTT, and one behind a protocol of somebody's own.

::

    campaign ── command, read, release ──► broker ──► device
             ◄──────────── answer ────────        ◄──
"""

import importlib.util
import json
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.cli.main import app
from gridproof.federation.field.device import DeviceLostError, DeviceRefusedError, Place
from gridproof.federation.field.device_faults import DeviceFault
from gridproof.federation.field.mqtt_client import PASSWORD, USER, MqttDevice
from gridproof.federation.field.protocols import make_of
from gridproof.federation.studies.study import load_study
from gridproof.federation.studies.trust import Trust
from gridproof.federation.wire.broker_address import listens_at
from gridproof.scenarios.errors import ConfigError
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from typer.testing import CliRunner

ROOT = Path(__file__).parents[3]
_PLACE = Path(__file__).with_name("mqtt_broker.py")
_spec = importlib.util.spec_from_file_location("mqtt_broker", _PLACE)
mqtt_broker = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(mqtt_broker)
MqttBroker = mqtt_broker.MqttBroker


class OnTheOtherSide:
    """A device on MQTT, as somebody would write it by docs/device.md alone."""

    def __init__(self, port, der, answer=None):
        self.output, self.released, self.answer = {"p_kw": 0.0, "q_kvar": 0.0}, 0, answer
        subscribed = threading.Semaphore(0)
        self.client = Client(CallbackAPIVersion.VERSION2)
        self.topics = [f"gridproof/{der}/{what}" for what in ("command", "read", "release")]
        self.client.on_connect = lambda client, *_: [client.subscribe(one) for one in self.topics]
        self.client.on_subscribe = lambda *_: subscribed.release()
        self.client.on_message = self.heard
        self.told = f"gridproof/{der}/answer"
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        assert all(subscribed.acquire(timeout=5.0) for _ in self.topics)

    def heard(self, client, _user, message):
        question = json.loads(message.payload)
        if message.topic.endswith("command"):
            self.output = {"p_kw": question["p_kw"], "q_kvar": question["q_kvar"]}
        if message.topic.endswith("release"):
            self.released += 1
            self.output = {"p_kw": 0.0, "q_kvar": 0.0}
        answer = {"number": question["number"], **self.output}
        if self.answer is not None:
            answer = self.answer(answer)
        if answer is not None:
            client.publish(self.told, json.dumps(answer))

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def broker():
    one = MqttBroker()
    yield one
    one.close()


@pytest.fixture
def other(broker):
    made = []

    def make(answer=None):
        made.append(OnTheOtherSide(broker.port, "west", answer))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def device(broker):
    place = Place(der="west", host="127.0.0.1", port=broker.port, unit=1, deadline_s=0.5)
    one = MqttDevice(place)
    yield one
    one.close()


def test_it_is_commanded_read_and_released(broker, other, device):
    west = other()
    device.command(60.0, -15.0)
    p, q = device.measure()
    assert (p.tolist(), q.tolist()) == ([60.0], [-15.0])
    device.release()
    assert west.released == 1
    numbers = [json.loads(body)["number"] for topic, body in broker.heard if "answer" not in topic]
    assert numbers == sorted(set(numbers))


def test_three_phases_are_taken_as_they_are(other, device):
    other(lambda answer: answer | {"p_kw": [1.0, 2, 3.5], "q_kvar": [0, 0, 0]})
    assert device.measure()[0].tolist() == [1.0, 2.0, 3.5]


@pytest.mark.parametrize(
    ("answer", "error", "part"),
    [
        (lambda _: None, DeviceLostError, "no answer to read within 0.5 s"),
        (lambda a: a | {"number": a["number"] - 1}, DeviceLostError, "no answer to read"),
        (lambda _: [1, 2], DeviceLostError, "no answer to read"),
        (lambda a: a | {"p_kw": "60"}, DeviceRefusedError, "p_kw is 60; one number or three"),
        (lambda a: a | {"q_kvar": float("nan")}, DeviceRefusedError, "q_kvar is nan"),
        (lambda a: a | {"p_kw": [1, 2]}, DeviceRefusedError, "one number or three"),
        (lambda a: a | {"p_kw": True}, DeviceRefusedError, "p_kw is True"),
        (lambda a: a | {"refused": "on holiday"}, DeviceRefusedError, "read: on holiday"),
    ],
)
def test_what_is_no_answer_is_told(other, device, answer, error, part):
    other(answer)
    with pytest.raises(error, match=part):
        device.measure()


def test_nobody_there_is_lost_and_found_again(broker, device):
    with pytest.raises(DeviceLostError, match="no answer to command"):
        device.command(1.0, 0.0)
    port = broker.port
    broker.close()
    with pytest.raises(DeviceLostError):
        device.command(1.0, 0.0)
    with pytest.raises(DeviceLostError, match="no connection"):
        device.command(1.0, 0.0)
    again = MqttBroker(port)
    west = OnTheOtherSide(port, "west")
    try:
        device.command(1.0, 0.0)
        assert device.measure()[0].tolist() == [1.0]
    finally:
        west.close()
        device.close()
        again.close()


def test_a_broker_that_lets_nobody_in_is_told_and_a_user_is_let_in(monkeypatch):
    guarded = MqttBroker(user="lab")
    place = Place(der="west", host="127.0.0.1", port=guarded.port, unit=1, deadline_s=0.3)
    one = MqttDevice(place)
    try:
        monkeypatch.delenv(USER, raising=False)
        with pytest.raises(DeviceLostError, match="the broker did not let us in"):
            one.measure()
        monkeypatch.setenv(USER, "lab")
        monkeypatch.setenv(PASSWORD, "secret")
        with pytest.raises(DeviceLostError, match="no answer to read"):
            one.measure()
    finally:
        one.close()
        guarded.close()


def test_a_campaign_through_mqtt(toy, broker, other, tmp_path):
    west = other()
    entries = [f"devices.at.west=127.0.0.1:{broker.port}", "devices.kind=mqtt"]
    study = load_study(toy, [*entries, "campaign.samples=20"])
    result = run_campaign(study, tmp_path / "c", mode="local")
    table = pq.read_table(next((result.out / "parts").glob("*.parquet")))
    assert set(table["device_fault_west"].to_pylist()) == {float(DeviceFault.NONE)}
    commanded, applied = (np.array(table[f"{x}_kw_west"]) for x in ("commanded", "applied"))
    np.testing.assert_allclose(applied, commanded, atol=1e-9)
    assert west.released == 1


# ------------------------------------------------------------------- a protocol of one's own


@pytest.fixture
def example(monkeypatch):
    """The example's device on a port of its own, and its folder where modules are looked for."""
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    from gridproof.federation.wire.broker_address import free_port

    port = free_port()
    served = subprocess.Popen([sys.executable, str(ROOT / "examples" / "own_device.py"), str(port)])
    until = time.monotonic() + 20.0
    while not listens_at("127.0.0.1", port) and time.monotonic() < until:
        time.sleep(0.05)
    yield port
    served.kill()
    served.wait()
    sys.modules.pop("own_device", None)


def test_the_example_keeps_the_contract(example):
    at = Place(der="west", host="127.0.0.1", port=example, unit=1, deadline_s=2.0)
    device = make_of("own_device:LineDevice")(at)
    device.command(60.0, -15.0)
    assert [values.tolist() for values in device.measure()] == [[60.0], [-15.0]]
    device.release()
    assert device.measure()[0].tolist() == [0.0]
    device.close()
    device.close()
    gone = make_of("own_device:LineDevice")(replace(at, port=1))
    with pytest.raises(DeviceLostError):
        gone.measure()


@pytest.mark.slow
def test_the_example_s_protocol_carries_a_campaign(toy, example, tmp_path):
    out = str(tmp_path / "c")
    words = ["run", str(toy), "--device", f"west=127.0.0.1:{example}", "--samples", "20", "--json"]
    said = CliRunner().invoke(
        app, [*words, "--set", "devices.kind=own_device:LineDevice", "--out", out, "--quiet"]
    )
    assert said.exit_code in (0, 5), said.output
    report = json.loads(said.stdout)["campaign"]
    assert report["devices"]["exchanges"] == 20
    assert not report["devices"]["faults"]


def test_a_study_alone_runs_no_class_of_anybody_s(toy, tmp_path):
    """Neither does one whose devices are named: what speaks to them is named, too."""
    more = '\n[devices]\nat = { west = "127.0.0.1:5020" }\nkind = "evil:Device"\n'
    toy.write_text(toy.read_text() + more)
    (tmp_path / "evil.py").write_text("raise SystemExit('it was run')")
    for words in ([], ["--device", "west=127.0.0.1:5020"]):
        said = CliRunner().invoke(
            app, ["run", str(toy), *words, "--out", str(tmp_path / "c")],
            env={"PYTHONPATH": str(tmp_path)},
        )  # fmt: skip
        assert said.exit_code == 2, said.output
        assert "'evil:Device' is a program" in said.output
        assert "--device-kind evil:Device" in said.output
    both = Trust(devices=("west=127.0.0.1:5020",), kind="evil:Device")
    assert load_study(toy, (), both).commanded == {"west"}
    assert load_study(toy, (), Trust(whole=True)).commanded == {"west"}
    other = Trust(devices=("west=127.0.0.1:5020",), kind="evil:Other")
    assert load_study(toy, (), other).commanded == frozenset()


def test_what_was_vouched_for_is_told_to_a_federate_s_command(toy):
    from gridproof.federation.studies.trust import trust_words

    study = load_study(
        toy, ["devices.at.west=127.0.0.1:5020", "devices.kind=own_device:LineDevice"]
    )
    assert trust_words(study)[-4:] == [
        "--device", "west=127.0.0.1:5020", "--device-kind", "own_device:LineDevice",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "part"),
    [
        ("nowhere:Device", "No module named 'nowhere'"),
        ("json:Device", "has no attribute 'Device'"),
        ("json:JSONDecoder", "has no command, measure, release, close; docs/device.md"),
    ],
)
def test_a_class_that_is_none_is_told(kind, part):
    with pytest.raises(ConfigError, match=part):
        make_of(kind)


def test_without_the_client_it_says_what_to_install(monkeypatch):
    monkeypatch.delitem(sys.modules, "gridproof.federation.field.mqtt_client")
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    with pytest.raises(ConfigError, match=r"pip install 'gridproof\[mqtt\]'"):
        make_of("mqtt")
