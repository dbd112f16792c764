"""A study that somebody sends decides neither which feeder is compiled nor what is commanded."""

import json
import shutil

import pytest
from gridproof.federation.campaigns import campaign as campaigns
from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.cli.main import app
from gridproof.federation.studies import study as studies
from gridproof.federation.studies.shipped import shipped_root
from gridproof.federation.studies.study import load_study, resolved_text
from gridproof.federation.studies.trust import Trust, feeder_refusal, trust_words
from gridproof.scenarios.errors import ConfigError
from typer.testing import CliRunner

DEVICE = "127.0.0.1:9"


@pytest.fixture
def compiled(monkeypatch):
    """Every feeder file that is compiled from now on."""
    read, seen = studies.read_feeder, []

    def spy(path, **more):
        seen.append(path)
        return read(path, **more)

    monkeypatch.setattr(studies, "read_feeder", spy)
    return seen


@pytest.fixture
def sent(toy, tmp_path, monkeypatch):
    """A campaign directory of somebody else's, its feeder beside it, and no record of either."""
    run_campaign(load_study(toy), tmp_path / "sent", mode="local")
    (tmp_path / "sent" / "plan.json").unlink()
    shutil.rmtree(tmp_path / "sent" / "parts")
    shutil.copy(toy.with_name("toy.dss"), tmp_path / "sent" / "sent.dss")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "nothing"))
    monkeypatch.chdir(tmp_path / "sent")
    return tmp_path / "sent"


def rewritten(directory, path):
    document = json.loads((directory / "study.json").read_text())
    document["config"]["feeder"]["path"] = str(path)
    (directory / "study.json").write_text(json.dumps(document))
    return directory / "study.json"


@pytest.mark.parametrize(
    "path",
    [
        "{dir}/sent.dss", "{dir}/../toy.dss", "/proc/self/cwd/sent.dss", "/dev/fd/../../sent.dss",
        "{dir}/link.dss", "{dir}/cwd/sent.dss", "{dir}/sent.dss\x00", "//proc/self/cwd/sent.dss",
    ],
)  # fmt: skip
def test_a_feeder_that_only_a_directory_names_is_not_compiled(sent, compiled, path) -> None:
    (sent / "link.dss").symlink_to(sent / "sent.dss")
    (sent / "cwd").symlink_to("/proc/self/cwd")
    study = rewritten(sent, path.format(dir=sent))
    with pytest.raises(ConfigError):
        load_study(study)
    for command in ("resume", "adversary"):
        assert CliRunner().invoke(app, [command, str(sent)]).exit_code == 2
    assert compiled == []


def test_a_report_compiles_nothing(toy, tmp_path, compiled, monkeypatch) -> None:
    run_campaign(load_study(toy), tmp_path / "c", mode="local")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "nothing"))
    rewritten(tmp_path / "c", tmp_path / "toy.dss")
    compiled.clear()
    for words in (["report", "--json"], ["compare", "--json", str(tmp_path / "c")], ["watch"]):
        done = CliRunner().invoke(app, [words[0], str(tmp_path / "c"), *words[1:]])
        assert done.exit_code == 0, done.output
    assert compiled == []


def test_a_feeder_that_the_command_line_names_is_compiled_and_known_from_then_on(
    sent, compiled
) -> None:
    rewritten(sent, "/somewhere/else.dss")
    named = ["resume", str(sent), "--feeder", str(sent / "sent.dss"), "--quiet"]
    done = CliRunner().invoke(app, named)
    assert done.exit_code == 0, done.output
    assert {path.name for path in compiled} == {"sent.dss"}
    assert feeder_refusal(sent / "sent.dss") is None


def test_a_known_feeder_is_known_by_its_place_and_all_its_files(toy, tmp_path) -> None:
    feeder = tmp_path / "toy.dss"
    (tmp_path / "more.dss").write_text("! nothing yet\n")
    feeder.write_text(feeder.read_text() + "redirect more.dss\n")
    load_study(toy)
    assert feeder_refusal(feeder) is None
    shutil.copy(feeder, tmp_path / "other.dss")
    assert "is no feeder you have compiled" in feeder_refusal(tmp_path / "other.dss")[0]
    (tmp_path / "more.dss").write_text("! something now\n")
    assert "has changed since" in feeder_refusal(feeder)[0]


def test_a_written_study_makes_no_feeder_known(sent, compiled) -> None:
    study = rewritten(sent, sent / "sent.dss")
    load_study(study, trust=Trust(whole=True))
    assert feeder_refusal(sent / "sent.dss") is not None


def test_without_a_state_folder_the_feeder_is_named(toy, tmp_path, monkeypatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    study = load_study(toy)
    (tmp_path / "study.json").write_text(resolved_text(study))
    with pytest.raises(ConfigError, match=r"a feeder file is a program; .*--feeder /"):
        load_study(tmp_path / "study.json")
    assert load_study(tmp_path / "study.json", trust=Trust(feeder=tmp_path / "toy.dss"))


def test_a_shipped_feeder_needs_no_word(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    study = load_study("ieee37-networked")
    assert trust_words(study) == []
    (tmp_path / "study.json").write_text(resolved_text(study))
    again = load_study(tmp_path / "study.json")
    assert again.fingerprint == study.fingerprint
    assert str(again.scenario.feeder.path).startswith(str(shipped_root()))


def test_children_are_told_what_was_vouched_for(sent, monkeypatch) -> None:
    told = []
    monkeypatch.setattr(campaigns, "run_processes", lambda *_, trust, **__: told.append(trust))
    named = ["resume", str(sent), "--feeder", str(sent / "sent.dss"), "--processes", "-q"]
    CliRunner().invoke(app, named)
    assert told == [["--feeder", str(sent / "sent.dss")]]


# ------------------------------------------------------------------------------- devices


@pytest.fixture
def with_device(toy):
    toy.write_text(toy.read_text() + f'\n[devices]\nat = {{ west = "{DEVICE}" }}\n')
    return toy


@pytest.fixture
def no_client(monkeypatch):
    """Nobody gets as far as making a client of a device."""
    from gridproof.federation.studies import wiring

    made = []
    monkeypatch.setattr(wiring, "FieldDevices", lambda *_: made.append(1))
    return made


def test_a_study_alone_writes_to_no_device(with_device, tmp_path, no_client) -> None:
    out = str(tmp_path / "c")
    refused = CliRunner().invoke(app, ["run", str(with_device), "--out", out])
    assert refused.exit_code == 2
    assert f"--device west={DEVICE}, or --trust-study" in refused.stderr
    assert not (tmp_path / "c").exists()
    assert no_client == []


@pytest.mark.parametrize(
    ("trust", "entries", "commanded"),
    [
        (Trust(), (), set()),
        (Trust(devices=(f"west={DEVICE}",)), (), {"west"}),
        (Trust(whole=True), (), {"west"}),
        (Trust(), (f"devices.at.west={DEVICE}",), {"west"}),
        (Trust(), ('devices.at={west = "127.0.0.1:10"}',), {"west"}),
        (Trust(), ("devices.at.east=127.0.0.1:10",), {"east"}),
        (Trust(), ("devices.unit=2",), set()),
    ],
)
def test_what_the_caller_names_may_be_commanded(with_device, trust, entries, commanded) -> None:
    assert load_study(with_device, entries, trust).commanded == commanded


def test_a_device_that_the_study_has_not_is_refused(with_device) -> None:
    with pytest.raises(ConfigError, match=r"127.0.0.1:8 is no device of the study, which has west"):
        load_study(with_device, trust=Trust(devices=("west=127.0.0.1:8",)))


def test_a_campaign_with_a_device_is_resumed_with_its_name(with_device, tmp_path, no_client):
    (tmp_path / "study.json").write_text(resolved_text(load_study(with_device)))
    out = tmp_path / "c"
    out.mkdir()
    shutil.copy(tmp_path / "study.json", out)
    (out / "environment.json").write_text("{}")
    refused = CliRunner().invoke(app, ["resume", str(out)])
    assert refused.exit_code == 2
    assert f"--device west={DEVICE}" in refused.stderr
    assert no_client == []
    study = load_study(out / "study.json", trust=Trust(devices=(f"west={DEVICE}",)))
    assert trust_words(study)[-2:] == ["--device", f"west={DEVICE}"]


# ------------------------------------------------------------------------------- names


@pytest.mark.parametrize("name", ["../../x", "/tmp/x", "a/b", "..", ".", "a\\b", "a\x00b", "a\nb"])
def test_the_name_of_a_study_is_never_a_path(toy, tmp_path, monkeypatch, name) -> None:
    """Every command that makes a folder of it refuses it, before it makes anything."""
    here = tmp_path / "here" / "deeper"
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    toy.write_text(toy.read_text().replace("[study]", f"[study]\nname = {json.dumps(name)}"))
    study, before = str(toy), sorted(tmp_path.rglob("*"))
    for words in (
        ["run", study], ["campaign", study, "--plan", study], ["launch", study],
        ["launch", study, "--planner", "x {broker}"], ["storm", study],
        *(["launch", study, "--emit", form] for form in ("helics", "compose", "slurm")),
        ["harden", study, "--share", "0.5"], ["oedisi", "system", study, "--out", "o"],
    ):  # fmt: skip
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 2, (words, done.output)
    assert sorted(tmp_path.rglob("*")) == before


def test_nor_is_the_name_in_a_written_study(sent) -> None:
    document = json.loads((sent / "study.json").read_text())
    (sent / "study.json").write_text(json.dumps({**document, "name": "../../x"}))
    with pytest.raises(ConfigError, match="a name that a folder can bear"):
        load_study(sent / "study.json", trust=Trust(whole=True))
