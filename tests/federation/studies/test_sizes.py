"""What is too large, endless or broken is refused with its name, and takes no memory first."""

import json
import os
import shutil
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from gridproof.federation import files
from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.cli.main import app
from gridproof.federation.studies.study import load_study
from gridproof.scenarios.errors import ConfigError
from gridproof.simulator.opendss import guard
from gridproof.simulator.opendss.guard import refuse_programs
from typer.testing import CliRunner

GIB = 1 << 30


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        (["campaign.samples=1000000000000000000"], "samples"),
        (["campaign.samples=1" + "0" * 30], "samples"),
        (["campaign.samples=1" + "0" * 6000], "samples"),
        (['campaign.sampler="latin_hypercube"', "campaign.samples=1000000000"], "permutations"),
        (['campaign.sampler="vertices"', "campaign.samples=1000000000000000"], "samples"),
        (['campaign.sampler="empirical"', 'campaign.history="/dev/zero"'], "device or a pipe"),
        (['campaign.sampler="empirical"', 'campaign.history="fifo"'], "device or a pipe"),
    ],
)
def test_an_endless_setting_is_refused_by_name(toy, entries, said) -> None:
    os.mkfifo(toy.with_name("fifo"))
    with pytest.raises(ConfigError, match=said):
        load_study(toy, entries)


@pytest.mark.parametrize(
    "words",
    [
        ["run", "/dev/zero"], ["run", "fifo.toml"], ["run", "deep.toml"], ["run", "digits.toml"],
        ["run", "deep.json"], ["run", "many.toml"], ["check", "toy.toml", "/dev/zero"],
        ["check", "toy.toml", "fifo.toml"], ["check", "toy.toml", "deep.json"],
        ["check", "toy.toml", "digits.json"], ["check", "toy.toml", "large.json"],
    ],
)  # fmt: skip
def test_an_endless_or_broken_file_is_bad_input(toy, monkeypatch, words) -> None:
    here = toy.parent
    monkeypatch.chdir(here)
    monkeypatch.setattr(files, "PIPE_PATIENCE_S", 0.2)
    os.mkfifo(here / "fifo.toml")
    (here / "deep.toml").write_text("a = " + "[" * 30_000)
    (here / "digits.toml").write_text("a = " + "1" * 6000)
    (here / "deep.json").write_text("[" * 100_000)
    (here / "digits.json").write_text('{"a": ' + "1" * 6000 + "}")
    ders = "".join(f'\n[ders.fleet.d{k}]\nbus = "a"\ncapacity_kw = 1\n' for k in range(20_000))
    (here / "many.toml").write_text(toy.read_text() + ders if words[1] == "many.toml" else "")
    with (here / "large.json").open("wb") as file:
        file.truncate(3 << 30)
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 2, done.output
    assert "a defect" not in done.stderr
    assert words[-1] in done.stderr.replace("\n", "") or "standard input" in done.stderr


@pytest.mark.parametrize("name", ["environment.json", "adversary.json", "rare.json", "study.json"])
@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"runs": 7, "versions": []}', "[" * 100_000, '{"a": ' + "9" * 6000 + "}"],
)
def test_a_broken_document_of_a_campaign_is_bad_input(campaign, name, text) -> None:
    (campaign / name).write_text(text)
    done = CliRunner().invoke(app, ["report", str(campaign), "--no-html"])
    assert done.exit_code == 2 or (name, text) == ("environment.json", "{}"), done.output
    assert name in done.stderr or done.exit_code == 0
    assert "a defect" not in done.stderr


def test_a_campaign_that_asks_for_more_than_there_is_time_is_refused(campaign) -> None:
    study = json.loads((campaign / "study.json").read_text())
    for samples in (10**18, 10**30, -1):
        study["config"]["campaign"]["samples"] = samples
        (campaign / "study.json").write_text(json.dumps(study))
        for command in ("report", "resume", "watch"):
            done = CliRunner().invoke(app, [command, str(campaign)])
            assert done.exit_code == 2, done.output


@pytest.fixture(scope="module")
def whole(write_toy, tmp_path_factory):
    root = tmp_path_factory.mktemp("sizes")
    run_campaign(load_study(write_toy(root)), root / "c", mode="local")
    return root / "c"


@pytest.fixture
def campaign(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "c")
    return tmp_path / "c"


def test_a_feeder_of_too_many_elements_is_not_compiled(tmp_path, monkeypatch) -> None:
    path = tmp_path / "f.dss"
    path.write_text("New Load.a bus1=b\n" * 11)
    monkeypatch.setattr(guard, "_MOST_ELEMENTS", 10)
    with pytest.raises(ConfigError, match="it makes 11 elements"):
        refuse_programs(path)
    with path.open("ab") as file:
        file.truncate(1 << 40)
    with pytest.raises(ConfigError, match="larger than 32 MiB"):
        refuse_programs(path)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory in other units")
def test_a_million_rows_of_history_stay_under_a_gibibyte(toy) -> None:
    history = toy.with_name("history.csv")
    history.write_text("lb,lc\n" + "1.0,1.01\n" * 1_000_000)
    code = (
        "import sys; from gridproof.federation.studies.study import load_study\n"
        "load_study(sys.argv[1], ['campaign.sampler=\"empirical\"', "
        "'campaign.history=\"history.csv\"'])\n"
        "peak = open('/proc/self/status').read().split('VmHWM:')[1].split()[0]\n"  # its own alone
        "print(int(peak) * 1024)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(toy)], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < GIB


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("outcome", pa.array(["splendid"] * 40)), ("outcome", pa.array([None] * 40, pa.string())),
        ("outcome", pa.array(range(40))), ("margin_voltage", pa.array(["x"] * 40)),
        ("load_kw", pa.array([[1.0]] * 40)), ("element_voltage", pa.array(range(40))),
        ("served_kw", pa.array([{"a": 1}] * 40)), ("index", pa.array(["x"] * 40)),
        ("zeta_lb", pa.array([b"x"] * 40)), ("outcome", None),
    ],
)  # fmt: skip
def test_an_odd_column_of_a_part_is_bad_input(campaign, name, column) -> None:
    part = next((campaign / "parts").iterdir())
    table = pq.read_table(part)
    place = table.column_names.index(name)
    odd = table.remove_column(place)
    if column is not None:
        odd = odd.add_column(place, name, column)
    pq.write_table(odd.replace_schema_metadata(table.schema.metadata), part)
    for words in (
        ["report", str(campaign), "--no-html"],
        ["compare", str(campaign), str(campaign)],
    ):
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 2 or (name not in {"outcome", "index"} and not done.exit_code)
        assert part.name in done.stderr or not done.exit_code
        assert "a defect" not in done.stderr
