"""Documents of a campaign that are torn are named, with what to do; none ends in a defect."""

import json
import shutil
import threading
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.campaigns.study_jobs import slow_words
from gridproof.federation.cli.main import app
from gridproof.federation.inquiries.probe import Target, ask_adversary, ask_rare
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.studies.study import load_study
from typer.testing import CliRunner

QUICK = [
    "campaign.samples=5000", "campaign.judge=linear", "campaign.recourse=fixed",
    "planner.method=nominal",
]  # fmt: skip


@pytest.fixture(scope="module")
def asked(tmp_path_factory, write_toy):
    folder = tmp_path_factory.mktemp("asked")
    study = load_study(write_toy(folder), QUICK)
    result = run_campaign(study, folder / "c", mode="local")
    target = Target.of_directory(result.out)
    ask_adversary(target, budget=40)
    rare = ask_rare(target, samples=40, max_levels=2)
    return result.out, rare


@pytest.mark.parametrize("name", ["rare.json", "adversary.json", "environment.json", "plan.json"])
@pytest.mark.parametrize("text", ["", '{"a', "[]", '{"runs": [{}], "versions": []}'])
@pytest.mark.parametrize("command", [("report", "--no-html"), ("report", "--json")])
def test_a_torn_document_is_named_with_what_to_do(asked, tmp_path, name, text, command):
    out = tmp_path / "c"
    shutil.copytree(asked[0], out)
    (out / name).write_text(text)
    said = CliRunner().invoke(app, [command[0], str(out), *command[1:]])
    assert said.exit_code == 2, (said.output, said.exception)
    assert name in said.stderr
    assert "defect" not in said.stderr
    if name in ("rare.json", "adversary.json"):
        command = f"gridproof {name.removesuffix('.json')} {out}"
        assert f"delete it, and ask again with: {command}" in said.stderr.replace("\n", " ")


def test_a_rare_figure_says_what_it_does_not_cover(asked, toy):
    out, rare = asked
    assert json.loads((out / "rare.json").read_text())["not_covered"] == list(rare.not_covered)
    assert any("no chain came near" in line for line in rare.not_covered)
    said = CliRunner().invoke(app, ["rare", str(out), "--level-samples", "40"])
    assert "not covered: regions of failure" in said.stdout
    late = load_study(toy, [*QUICK, "faults.latency_s=30"])
    target = Target(study=late, plan=Target.of_directory(out).plan)
    told = ask_rare(target, samples=40, max_levels=1).not_covered
    assert any(line.startswith("[faults] of the study") for line in told)


def test_a_report_reads_every_part_once_over(asked, tmp_path, monkeypatch):
    """Once for all rows; what single rows hold beside is read of the parts they are in."""
    out = tmp_path / "c"
    shutil.copytree(asked[0], out)
    opened, read, lock, last = [], [], threading.Lock(), threading.local()

    class Counted(pq.ParquetFile):
        def __init__(self, source, *args, **more):
            if isinstance(source, Path):  # its bytes are read after its footer
                last.named = str(source)
                with lock:
                    opened.append(str(source))
            self.named = last.named
            super().__init__(source, *args, **more)

        def read(self, columns=None, **more):
            if "part-" in self.named and columns is not None and "load_kw" in columns:
                read.append((self.named, len(columns)))
            return super().read(columns=columns, **more)

    monkeypatch.setattr(pq, "ParquetFile", Counted)
    assert CliRunner().invoke(app, ["report", str(out)]).exit_code == 0
    parts = [str(path) for path in sorted((out / "parts").iterdir())]
    passes = [name for name, columns in read if columns < 16]
    assert sorted(passes) == parts
    # its stamp, its rows, the element of a least margin, and the realizations that are listed
    assert max(opened.count(part) for part in parts) <= 4


@pytest.mark.slow
def test_a_study_of_small_batches_is_told_what_they_cost(toy, tmp_path):
    def words(*more):
        return slow_words(load_study(toy, [*QUICK, *more]))

    assert "batch = 1 makes 5000 exchanges of 5000 realizations" in words("campaign.batch=1")
    assert words("campaign.batch=256") is None
    assert words("campaign.batch=1", "campaign.samples=40") is None  # soon done
    assert words("campaign.batch=1", "realtime.step_s=1.0") is None  # the clock decides
    command = ["run", str(toy), "--samples", "600", "--set", "campaign.batch=1"]
    command += [word for one in QUICK[1:] for word in ("--set", one)]
    said = CliRunner().invoke(app, [*command, "--out", str(tmp_path / "c")])
    assert "25 times faster" in said.stderr
    quiet = CliRunner().invoke(app, [*command, "--out", str(tmp_path / "d"), "-q"])
    assert quiet.stderr == ""
    assert CampaignStore.open(tmp_path / "d").finished() == (0,)
