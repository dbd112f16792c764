"""What comes over the wire, or out of a campaign directory, is data and stays data.

10 000 hostile messages go to everything that reads the wire, and what is taken for a plan,
for loads or for set-points goes on into OpenDSS, while every text command is listened for.
"""

import contextlib
import json
import random
import re
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.records.keeper import stored_plan
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.studies.study import load_study
from gridproof.federation.wire.broker_address import BrokerAddress
from gridproof.federation.wire.codec import Codec
from gridproof.federation.wire.frames import expect
from gridproof.federation.wire.helics_broker import (
    HelicsBroker,
    close_library,
    refuse_encryption,
)
from gridproof.federation.wire.messages import (
    Catalogue,
    Status,
    SwitchStates,
    catalogue_of,
    parse,
    read_plan,
)
from gridproof.optimizer.planner import make_planner
from gridproof.scenarios.errors import (
    ConfigError,
    EngineError,
    FederationError,
    GridproofError,
    StoreError,
)
from gridproof.scenarios.plan_file import plan_to_json
from gridproof.scenarios.realization import draw
from gridproof.scenarios.setpoints import Setpoints
from gridproof.simulator.opendss.circuit import DssCircuit
from gridproof.simulator.opendss.engine import OpenDssEngine
from gridproof.simulator.opendss.engine_thread import on_engine_thread

ROOT = Path(__file__).parents[3]
INPUTS = 10_000
MARK = "hostile"
WORDS = [
    'a-b"\nredirect /etc/passwd', "a-b' ; clear", "a-b // export voltages", "a-b\r\nsolve",
    "${a-b}", "line.a-b enabled=no", "a-b\u2028new load.x", "a-b\x00", "a-b\u202e", "ａ-b", "A-B",
    "(file=x.csv)", "[1 2 3]", "@var", "~ kw=1e9", "! clear", "../../x", "", " ", "a-b" * 4000,
    "𝔞-b", "a\tb", "%s%n", "{0.__class__}", "__proto__", "*", "New Circuit.x", "compile evil.dss",
]  # fmt: skip
NUMBERS = [
    float("nan"), float("inf"), -float("inf"), 1e308, -1e308, 5e-324, -0.0, 1e9, True, None, "1",
    "1; clear", [1], {}, 10**400, "\n",
]  # fmt: skip


@pytest.fixture
def commands(monkeypatch):
    """Every text command that any circuit is given from now on."""
    heard: list[str] = []
    text_class = None

    original = DssCircuit.text

    def text(self, command):
        heard.append(command)
        original(self, command)

    monkeypatch.setattr(DssCircuit, "text", text)
    from dss.IText import IText

    text_class, plain = IText, IText.Command
    spied = property(plain.fget, lambda self, value: (heard.append(value), plain.fset(self, value)))
    monkeypatch.setattr(text_class, "Command", spied)
    return heard


@pytest.fixture
def study(toy):
    return load_study(toy)


@pytest.fixture
def plan(study):
    return make_planner("partitioning", {}).plan(study.scenario)


def spoilt(value, rng: random.Random):
    """A JSON value with one place changed to something hostile, ids included."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(list(value))
        changed = dict(value)
        if rng.random() < 0.25:
            word = rng.choice(WORDS) + rng.choice(["", MARK])
            changed[word] = changed.pop(key) if rng.random() < 0.7 else value[key]
        else:
            changed[key] = spoilt(value[key], rng)
        return changed
    if isinstance(value, list) and value and rng.random() < 0.9:
        at = rng.randrange(len(value))
        return [*value[:at], spoilt(value[at], rng), *value[at + 1 :]]
    return rng.choice([*WORDS, *NUMBERS, MARK])


def spoilt_frame(frame: bytes, rng: random.Random) -> bytes:
    how = rng.randrange(4)
    if how == 0:  # numbers, the header left alone
        rows = np.frombuffer(frame, "<f8", offset=48).copy()
        numbers = [one for one in NUMBERS if isinstance(one, float)]
        for _ in range(rng.randint(1, 3)):
            rows[rng.randrange(len(rows))] = rng.choice(numbers)
        return frame[:48] + rows.tobytes()
    if how == 1:
        data = bytearray(frame)
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(min(len(data), 200))] = rng.randrange(256)
        return bytes(data)
    return frame[: rng.randrange(len(frame))] if how == 2 else rng.choice(WORDS).encode()


@pytest.mark.slow
def test_no_hostile_input_reaches_a_text_command(study, plan, commands, recwarn) -> None:
    scenario, rng = study.scenario, random.Random(20)
    engine, codec = OpenDssEngine(scenario), Codec.of(scenario, 40).holding(plan)
    engine.hold(plan)
    batch = draw(scenario, 1, 0, 4)
    answer = Setpoints(
        index=batch.index,
        found=np.ones(4, bool),
        p_kw=np.tile(plan.p_kw[0], (4, 1, 1)),
        q_kvar=np.tile(plan.q_kvar[0], (4, 1, 1)),
        source_v_pu=np.tile(plan.source_v_pu[0], (4, 1)),
    )
    frames = {
        "loads": codec.pack_realizations(batch, sequence=1),
        "set-points": codec.pack_setpoints(answer, sequence=1),
    }
    texts = {
        "plan": json.loads(plan_to_json(plan)),
        Catalogue: json.loads(catalogue_of(scenario, 40).encode()),
        Status: {"federate": "planner", "phase": "done", "sequence": 1},
        SwitchStates: {"ids": ["Line.a-b"], "values": [1], "time": None},
    }
    made = list(commands)  # what building the circuit needed, of our own making
    assert made
    commands.clear()
    taken = dict.fromkeys([*texts, *frames], 0)
    for number in range(INPUTS):
        kind = list(taken)[number % len(taken)]
        with contextlib.suppress(FederationError), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # 1e308 kW may overflow, that is all
            if kind in frames:
                payload = spoilt_frame(frames[kind], rng)
                if kind == "loads":
                    loads = codec.read_realizations(payload, "x/y")[1]
                    with contextlib.suppress(EngineError):  # phases of a load drawn apart
                        engine.observe(loads, answer)
                else:
                    header, given = codec.read_setpoints(payload, "x/y")
                    expect(header, sequence=1, first=0, count=4, port="x/y")
                    engine.observe(batch, given)
            elif kind == "plan":
                payload = json.dumps(spoilt(texts[kind], rng)).encode()
                held = read_plan(payload, scenario, "x/y")
                with contextlib.suppress(EngineError):  # a role that cannot be
                    engine.hold(held)
                    engine.observe(batch, answer)
                engine.hold(plan)
            else:
                message = parse(kind, json.dumps(spoilt(texts[kind], rng)).encode(), "x/y")
                if kind is Catalogue:
                    codec.agree(message, "x/y")
            taken[kind] += 1
    assert commands == []
    assert all(count > 20 for count in taken.values()), taken  # the inputs get past the reader
    assert engine.observe(batch, answer).converged.all()  # and leave nothing behind


@pytest.mark.engine_thread
def test_the_listener_hears_a_command(study, commands) -> None:
    engine = OpenDssEngine(study.scenario)
    commands.clear()
    on_engine_thread(engine._circuit.text)("? line.a-b.length")
    assert "? line.a-b.length" in commands


@pytest.mark.engine_thread
def test_hostile_bus_names_reach_opendss_as_names_only(study, commands) -> None:
    """A bus may be called anything; what is added to it is added by property, not by text."""
    circuit = OpenDssEngine(study.scenario)._circuit
    commands.clear()
    made = 0
    for number, word in enumerate(WORDS):
        name = word.split(".", 1)[0].replace("\x00", "").strip()[:200]
        if not name:
            continue
        circuit.add("load", f"own_{number}", bus1=f"{name}.1", phases=1, kv=2.4, kw=0.0)
        made += 1
    assert made > len(WORDS) / 2
    assert commands == []
    added = [name for name in circuit.handles("load") if name.startswith("own_")]
    assert len(added) == made  # and no more: nothing in a name made, cleared or solved anything


# ------------------------------------------------------------------------- the federation


@pytest.mark.parametrize("name", ["HELICS_ENCRYPTION", "HELICS_ENCRYPTION_CONFIG"])
def test_encryption_that_is_not_there_is_refused(monkeypatch, name) -> None:
    refuse_encryption()
    monkeypatch.setenv(name, "1")
    with pytest.raises(ConfigError, match=f"{name} set.*built without encryption"):
        HelicsBroker("zmq", ("planner",))


def test_a_broker_listens_on_loopback_only() -> None:
    broker = HelicsBroker("zmq", ("planner", "feeder"))
    try:
        listening = {
            tuple(fields[1].split(":"))
            for name in ("tcp", "tcp6")
            for fields in map(str.split, Path(f"/proc/net/{name}").read_text().splitlines()[1:])
            if fields[3] == "0A"
        }
        ours = {at for at, port in listening if int(port, 16) == broker.address.port}
        assert ours == {"0100007F"}  # 127.0.0.1
    finally:
        broker.close()
        close_library()


def test_every_broker_has_a_key_of_its_own() -> None:
    brokers = [HelicsBroker("zmq", ("planner",)) for _ in range(3)]
    try:
        assert len({broker.address.key for broker in brokers}) == 3
        assert all(len(broker.address.key) >= 16 for broker in brokers)
    finally:
        for broker in brokers:
            broker.close()
        close_library()


@pytest.mark.parametrize("key", ["", "a b", "k --port=1", 'k"', "k\n", "k;x"])
def test_a_key_cannot_carry_another_argument(key) -> None:
    with pytest.raises(ConfigError, match="letters, digits"):
        BrokerAddress(transport="zmq", key=key)


@pytest.mark.parametrize("broker", ["a b:1", "h --brokerkey=x:1", "h;x:1", 'h":1', "h:1 --x"])
def test_an_address_cannot_carry_another_argument(broker) -> None:
    with pytest.raises(ConfigError):
        BrokerAddress.parse(broker, "key")


# ----------------------------------------------------------------------- what lies on disk


def test_nothing_of_ours_unpickles_or_evaluates() -> None:
    """Pyomo and Dask may, inside; no file or message of a campaign is given to them."""
    forbidden = re.compile(
        r"\b(pickle|cPickle|cloudpickle|dill|shelve|marshal|joblib)\b(?!\w)|allow_pickle=True"
        r"|\byaml\.load\(|(?<![\w.])(eval|exec)\("
    )
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for folder in ("scenarios", "optimizer", "simulator", "federation")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if forbidden.search(line.split("#")[0])
    ]
    assert found == []


@pytest.fixture
def campaign(toy, tmp_path):
    run_campaign(load_study(toy), tmp_path / "c", mode="local")
    return tmp_path / "c"


class Bomb:
    def __reduce__(self):
        return (Path.touch, (Path("exploded"),))


def test_hostile_files_of_a_campaign_are_refused_unread(campaign, tmp_path, monkeypatch) -> None:
    import pickle

    monkeypatch.chdir(tmp_path)
    part = next((campaign / "parts").iterdir())
    whole = part.read_bytes()
    bomb = pickle.dumps(Bomb())
    table = pq.read_table(part)
    stamped = table.schema.metadata
    poisons = [bomb, whole[:-8], whole[: len(whole) // 2] + bomb + whole[len(whole) // 2 :], b""]
    for poison in poisons:
        part.write_bytes(poison)
        store = CampaignStore.open(campaign)
        with pytest.raises(StoreError):
            list(store.tables(table.column_names, store.finished()))
    (campaign / "parts.sha256").unlink()  # whoever made a directory can leave it out
    hostile = table.replace_schema_metadata(
        {**stamped, b"pandas": bomb, b"ARROW:extension:metadata": bomb, b"PANDAS_ATTRS": bomb}
    )
    pq.write_table(hostile, part)
    store = CampaignStore.open(campaign)
    list(store.tables(["outcome"], store.finished()))  # extra metadata is bytes, not code
    pq.write_table(pa.table({"outcome": [bomb]}), part)
    with pytest.raises(StoreError):
        CampaignStore.open(campaign).finished()
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("name", ["study.json", "environment.json", "plan.json"])
def test_hostile_json_of_a_campaign_is_refused(campaign, name) -> None:
    rng = random.Random(3)
    good = json.loads((campaign / name).read_text())
    refused = 0
    for _ in range(40):
        (campaign / name).write_text(json.dumps(spoilt(good, rng)))
        try:
            store = CampaignStore.open(campaign)
            stored_plan(store, load_study(campaign / "study.json").scenario)
        except GridproofError:
            refused += 1
    assert refused > 5 or name != "study.json"


@pytest.mark.parametrize(
    "path", ["evil.dss", "../evil.dss", "../../feeders/x", "..", ".", "ieee37/../ieee37", "a\x00b"]
)
def test_a_feeder_that_came_with_a_campaign_is_not_compiled(campaign, path, commands) -> None:
    """A feeder file is a program of OpenDSS; a written study may name only its owner's."""
    for place in (campaign / "evil.dss", campaign.parent / "evil.dss"):
        place.write_text("clear\nnew circuit.evil\n")
    document = json.loads((campaign / "study.json").read_text())
    document["config"]["feeder"]["path"] = path
    (campaign / "study.json").write_text(json.dumps(document))
    with pytest.raises(ConfigError, match=r"neither a file .* nor a shipped feeder"):
        load_study(campaign / "study.json")
    assert commands == []


def test_a_written_study_still_names_its_own_feeder(campaign, toy) -> None:
    again = load_study(campaign / "study.json")
    assert again.fingerprint == load_study(toy).fingerprint
    assert Path(again.config.feeder.path) == toy.parent / "toy.dss"
