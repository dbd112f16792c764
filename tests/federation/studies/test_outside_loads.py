"""Loads that a federate of somebody else's sends, in the place of draws.

::

    loads ── multiples of nominal ──► feeder ── realizations ──► planner
      (plain helics, helics_player)      ◄────── set-points ─────
"""

import csv
import json
import shlex
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.campaigns.study_jobs import (
    make_feeder_job,
    make_planner_job,
    session_settings,
)
from gridproof.federation.cli.main import app
from gridproof.federation.members.session import MEMBERS, run_feeder, run_planner
from gridproof.federation.members.threads import run_members
from gridproof.federation.records.reading import read_campaign
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.studies.outside_loads import OutsideLoads
from gridproof.federation.studies.study import load_study
from gridproof.federation.wire.link import LocalHub, PortKind
from gridproof.federation.wire.schedule import PLANNER_GRID
from gridproof.scenarios.errors import ConfigError, FederationError
from typer.testing import CliRunner

ROOT = Path(__file__).parents[3]
OUTSIDE = ["campaign.sampler=federate"]


def rows(count, seed=3):
    """(row, load) multiples of nominal within the toy's set, lb and lc."""
    return 1.0 + 0.1 * np.random.default_rng(seed).uniform(-1.0, 1.0, (count, 2)).round(6)


def message(first, multiple, ids=("lb", "lc"), **more):
    document = {"first": first, "ids": list(ids), "multiple": np.asarray(multiple).tolist()}
    return json.dumps(document | more).encode()


@pytest.fixture
def study(toy):
    return load_study(toy, OUTSIDE)


@pytest.fixture
def source(study):
    return OutsideLoads(scenario=study.scenario)


# ------------------------------------------------------------------------- what is sent


def test_what_came_is_given_back_by_number_whatever_messages_it_came_in(source):
    sent = rows(20)
    for first, end in ((5, 8), (8, 9), (9, 25)):
        ids, columns = (("lb", "lc"), [0, 1]) if first == 5 else (("LC", "lb"), [1, 0])
        source.take(message(first, sent[first - 5 : end - 5][:, columns], ids))
    assert source.end == 25
    for first, count in ((5, 20), (7, 3), (8, 1), (10, 5), (24, 1)):
        np.testing.assert_allclose(
            source.coordinates(first, count),
            10.0 * (sent[first - 5 : first - 5 + count] - 1.0),
            atol=1e-9,
        )


@pytest.mark.parametrize(
    ("payload", "part"),
    [
        (message(0, [[1.0, 1.0]], ("lb", "la")), "ids: la is no uncertain load of the study; lc"),
        (message(0, [[1.0]], ("lb",)), "lc is there 0 times, not once"),
        (message(0, [[1.0, 1.0]], ("lb", "lb")), "lb is there 2 times"),
        (message(0, [[1.0]]), "row 0 has 1 numbers for 2 ids"),
        (message(0, []), "multiple"),
        (message(-1, [[1.0, 1.0]]), "first"),
        (message(0, [[1.0, -1.0]]), "multiple.0.1: .*greater than or equal to 0"),
        (b'{"first": 0, "ids": ["lb", "lc"], "multiple": [[1.0, NaN]]}', "finite"),
        (b'{"first": 0, "ids": ["lb", "lc"], "multiple": [[1.0, "1"]]}', "multiple"),
        (b"1.05, 0.98", "loads/realizations"),
        (message(0, [[1.0, 1.0]], more=1), "more"),
        (message(0, [[1.0, 1.0], [1.0, 1.2]]), "lc of #1 is 1.2 times nominal; the declared"),
    ],
)  # fmt: skip
def test_what_is_not_as_agreed_is_one_sentence(source, payload, part):
    with pytest.raises(FederationError, match=part) as caught:
        source.take(payload)
    assert str(caught.value).startswith("loads/realizations")


def test_a_message_that_is_lost_or_comes_twice_is_told(source):
    source.take(message(0, rows(4)))
    for first in (0, 5):
        with pytest.raises(FederationError, match=f"first is {first}; expected 4, the next one"):
            source.take(message(first, rows(1)))


def test_what_has_not_come_is_told_by_its_number(source):
    with pytest.raises(FederationError, match=r"realization #3 has not come .* none came"):
        source.coordinates(3, 1)
    source.take(message(3, rows(4)))
    with pytest.raises(FederationError, match=r"realization #7 has not come .*#3 to #6 came"):
        source.coordinates(5, 4)
    with pytest.raises(FederationError, match="realization #2 has not come"):
        source.coordinates(2, 4)


def test_beyond_the_set_it_is_clipped_where_that_is_asked_for(toy):
    study = load_study(toy, [*OUTSIDE, "campaign.history_outside=clip"])
    study.sampler.take(message(0, [[1.3, 0.5]]))
    np.testing.assert_array_equal(study.sampler.coordinates(0, 1), [[1.0, -1.0]])


# ------------------------------------------------------------------------ a whole campaign


def send(hub, messages, end_early=False):
    """Be the federate ``loads``: one message a second."""
    link = hub.link("loads")
    link.publishes({"realizations": PortKind.TEXT})
    link.enter(deadline_s=20.0)
    for k, payload in enumerate(messages):
        link.request(k + 1.0, deadline_s=20.0, awaited="its turn", whom="nobody")
        link.publish("realizations", payload)
    link.close()


def try_all(study, out, messages):
    """Run the three without HELICS."""
    hub = LocalHub({**MEMBERS, "loads": PLANNER_GRID})
    settings = session_settings(study, "local")
    planner, feeder = make_planner_job(study), make_feeder_job(study, out)

    def loads(note):
        send(hub, messages)

    bodies = {
        "planner": lambda note: run_planner(planner, hub.link, settings, note),
        "feeder": lambda note: run_feeder(feeder, hub.link, settings, note),
        "loads": loads,
    }
    run_members(bodies, hub.end)
    return pq.read_table(next((out / "parts").glob("*.parquet")))


def test_a_campaign_of_loads_that_were_sent(study, tmp_path):
    sent = rows(40)
    cut = ((0, 16), (16, 32), (32, 40))
    table = try_all(study, tmp_path / "c", [message(a, sent[a:b]) for a, b in cut])
    for k, name in enumerate(("lb", "lc")):
        np.testing.assert_allclose(table[f"zeta_{name}"], 10.0 * (sent[:, k] - 1.0), atol=1e-9)
    report = read_campaign(CampaignStore.open(tmp_path / "c")).report
    assert report.sampler == "federate"
    assert not report.independent_draws
    assert report.interval_kind == "nominal"


def test_the_same_loads_drawn_or_sent_have_the_same_verdicts(toy, study, tmp_path):
    drawn = run_campaign(load_study(toy), tmp_path / "drawn", mode="local")
    own = pq.read_table(next((drawn.out / "parts").glob("*.parquet")))
    zeta = np.stack([np.array(own[f"zeta_{name}"]) for name in ("lb", "lc")], axis=1)
    table = try_all(study, tmp_path / "sent", [message(0, 1.0 + 0.1 * zeta)])
    assert table["outcome"].to_pylist() == own["outcome"].to_pylist()
    np.testing.assert_allclose(table["margin_voltage"], own["margin_voltage"], atol=1e-7)


def test_one_realization_a_step_against_the_clock_and_a_rehearsal(toy, tmp_path):
    study = load_study(toy, [*OUTSIDE, "campaign.samples=6", "realtime.step_s=0.02"])
    sent = rows(6)
    table = try_all(study, tmp_path / "c", [message(k, sent[k : k + 1]) for k in range(6)])
    np.testing.assert_allclose(table["zeta_lb"], 10.0 * (sent[:, 0] - 1.0), atol=1e-9)


@pytest.mark.parametrize(
    ("messages", "part"),
    [
        ([message(0, rows(16))], "realization #16 has not come when its exchange began, #0 to #15"),
        ([message(0, rows(16), ("lb", "west"))], "west is no uncertain load"),
    ],
)
def test_a_source_that_errs_ends_all_in_one_sentence(study, tmp_path, messages, part):
    with pytest.raises(FederationError, match=part):
        try_all(study, tmp_path / "c", messages)


# --------------------------------------------------------------------------- command line


def test_without_a_source_nothing_is_drawn_in_its_place(toy, tmp_path):
    for command, *words in (["run"], ["launch"], ["launch", "--emit", "helics"]):
        said = CliRunner().invoke(
            app, [command, str(toy), *words, "--set", OUTSIDE[0], "--out", str(tmp_path / "c")],
            env={"GRIDPROOF_KEY": "k"},
        )  # fmt: skip
        assert said.exit_code == 2, said.output
        assert "gridproof launch STUDY --source COMMAND" in " ".join(said.output.split())
    assert not (tmp_path / "c").exists()
    said = CliRunner().invoke(app, ["launch", str(toy), "--source", "true {broker}"])
    assert said.exit_code == 2
    assert "add --set campaign.sampler=federate" in " ".join(said.output.split())


def test_a_stop_by_intervals_is_refused(toy):
    with pytest.raises(ConfigError, match="needs independent draws"):
        load_study(toy, [*OUTSIDE, 'campaign.stop={kind="width", width=0.1}'])


def test_who_sends_is_part_of_what_the_campaign_is(study, tmp_path):
    from gridproof.federation.config.foreign import ForeignPlanner
    from gridproof.federation.studies.study import write_resolved

    csv_file = tmp_path / "loads.csv"
    csv_file.write_text("lb,lc\n1,1\n")
    one = study.loaded_by(ForeignPlanner.of(["cat", str(csv_file)]))
    csv_file.write_text("lb,lc\n1,1.05\n")
    other = study.loaded_by(ForeignPlanner.of(["cat", str(csv_file)]))
    assert len({study.fingerprint, one.fingerprint, other.fingerprint}) == 3
    write_resolved(one, tmp_path / "study.json")
    assert load_study(tmp_path / "study.json").source == one.source


def launched(toy, tmp_path, command, *more, code=0):
    words = ["launch", str(toy), "--set", OUTSIDE[0], "--source", command, *more]
    said = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "c"), "--json"])
    assert said.exit_code == code, said.output
    return said


def csv_of(tmp_path, sent):
    path = tmp_path / "loads.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["lb", "lc"], *sent.tolist()])
    return path


def example(path):
    script = ROOT / "examples" / "loads_plain_helics.py"
    return shlex.join([sys.executable, str(script), str(path), "{broker}"])


@pytest.mark.slow
def test_the_example_s_source_carries_a_campaign(toy, tmp_path):
    sent = rows(40)
    said = launched(toy, tmp_path, example(csv_of(tmp_path, sent)))
    report = json.loads(said.stdout)["campaign"]
    assert sum(report["outcomes"].values()) == 40
    assert report["interval_kind"] == "nominal"
    assert "loads_plain_helics.py" in report["loads_from"]
    table = pq.read_table(next((tmp_path / "c" / "parts").glob("*.parquet")))
    np.testing.assert_allclose(table["zeta_lc"], 10.0 * (sent[:, 1] - 1.0), atol=1e-9)


@pytest.mark.slow
def test_helics_own_player_is_a_source(toy, tmp_path):
    player = Path(sys.executable).with_name("helics_player")
    if not player.exists():
        pytest.skip("helics_player is not installed")
    sent = rows(40)
    points = [
        {"key": "loads/realizations", "type": "string", "time": 1.0 + k,
         "value": message(16 * k, sent[16 * k : 16 * k + 16]).decode()}
        for k in range(3)
    ]  # fmt: skip
    file = tmp_path / "loads.json"
    file.write_text(json.dumps({"points": points}))
    command = shlex.join([str(player), str(file), "--name=loads", "--coretype=zmq"])
    said = launched(toy, tmp_path, command)
    assert sum(json.loads(said.stdout)["campaign"]["outcomes"].values()) == 40
    table = pq.read_table(next((tmp_path / "c" / "parts").glob("*.parquet")))
    np.testing.assert_allclose(table["zeta_lb"], 10.0 * (sent[:, 0] - 1.0), atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("last", "part"),
    [
        ("os.kill(os.getpid(), 9)", "the loads was killed by SIGKILL"),
        ("time.sleep(600)", "waited 4.0 s for .* from planner, or loads"),
        ("raise RuntimeError('its own fault')", "its own fault"),
    ],
)
def test_a_source_that_dies_or_hangs_is_named(toy, tmp_path, last, part):
    script = tmp_path / "loads.py"
    text = (ROOT / "examples" / "loads_plain_helics.py").read_text(encoding="utf-8")
    at = "        multiple = [["
    script.write_text(
        "import os, time\n" + text.replace(at, f"        if first == 16: {last}\n{at}")
    )
    command = shlex.join([sys.executable, str(script), str(csv_of(tmp_path, rows(40))), "{broker}"])
    said = launched(toy, tmp_path, command, "--set", "federation.step_deadline_s=4", code=4)
    import re

    assert re.search(part, " ".join(said.output.split())), said.output
