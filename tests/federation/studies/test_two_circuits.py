"""A substation with two circuits: one file, one feeder federate, and each circuit as if alone.

::

    src ──┬── a ── b ──┬── c     circuit one
          │            └── d
          └── a2 ─ b2 ─┬── c2    circuit two, the same again
                       └── d2
"""

import json
import re
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.campaigns.study_jobs import make_feeder_job, make_planner_job
from gridproof.federation.cli.main import app
from gridproof.federation.members.session import SessionSettings, run_session
from gridproof.federation.studies.study import load_study
from gridproof.scenarios.errors import ConfigError
from typer.testing import CliRunner

STUDY = """\
[feeder]
path = "pair.dss"
switches = ["a-b", "b-d", "a2-b2", "b2-d2"]
locked_open = ["src-a", "src2-a2"]

[ders.fleet]
east = { bus = "b", capacity_kw = 240 }
west = { bus = "a", capacity_kw = 90 }
east2 = { bus = "b2", capacity_kw = 240 }
west2 = { bus = "a2", capacity_kw = 90 }

[uncertainty]
loads = ["lb", "lc", "lb2", "lc2"]
spread = 0.1

[campaign]
samples = 24
batch = 24
recourse = "fixed"  # a re-dispatch may be one of several that cost the same
"""


def twice(text):
    """The toy's circuit, and a second of its own names from the same substation."""
    elements = re.findall(r"^New (?:Line|Load)\..*$", text, re.M)
    second = []
    for line in elements:
        named = re.sub(r"^New (Line|Load)\.(\S+)", lambda m: f"New {m[1]}.{renamed(m[2])}", line)
        second.append(re.sub(r"(bus\d?=)(\w+)", lambda m: m[1] + own(m[2]), named))
    return text.replace("Set VoltageBases", "\n".join([*second, "Set VoltageBases"]))


def own(bus):
    return bus if bus == "src" else f"{bus}2"


def renamed(name):
    return "-".join(f"{part}2" for part in name.split("-"))


@pytest.fixture
def pair(toy):
    (toy.parent / "pair.dss").write_text(twice((toy.parent / "toy.dss").read_text()))
    path = toy.parent / "pair.toml"
    path.write_text(STUDY)
    return path


def rows(out):
    return pq.read_table(next((out / "parts").glob("*.parquet")))


def of_one(toy, zeta, plan, out):
    """The toy alone, under the loads that a circuit of the pair had."""
    outside = ["campaign.sampler=federate", "campaign.samples=24", "campaign.recourse=fixed"]
    study = load_study(toy, outside)
    multiple = (1.0 + 0.1 * zeta).tolist()
    study.sampler.take(json.dumps({"first": 0, "ids": ["lb", "lc"], "multiple": multiple}).encode())
    job = replace(make_feeder_job(study, out), outside=None)  # it has come already
    run_session(make_planner_job(study, plan), job, SessionSettings(transport="local"))
    return rows(out)


@pytest.mark.slow
def test_two_circuits_are_planned_and_tried_as_each_would_be_alone(toy, pair, tmp_path):
    both = run_campaign(load_study(pair), tmp_path / "both", mode="local")
    table = rows(both.out)
    alone = make_planner_job(load_study(toy)).make_plan()
    names = list(both.plan.der_ids)
    for k, name in enumerate(alone.der_ids):
        for twin in (name, f"{name}2"):
            at = names.index(twin)
            np.testing.assert_allclose(
                both.plan.p_kw[0, at].sum(), alone.p_kw[0, k].sum(), atol=1e-3
            )
    margins = []
    for suffix in ("", "2"):
        zeta = np.stack([np.array(table[f"zeta_{name}{suffix}"]) for name in ("lb", "lc")], axis=1)
        one = of_one(toy, zeta, alone, tmp_path / f"one{suffix}")
        margins.append(np.array(one["margin_voltage"]))
        assert set(one["outcome"].to_pylist()) == {"feasible"}
    assert set(table["outcome"].to_pylist()) == {"feasible"}
    np.testing.assert_allclose(table["margin_voltage"], np.minimum(*margins), atol=1e-6)


# ------------------------------------------------------------------------------- refusals


def test_a_list_of_feeders_is_told_what_to_do(toy):
    toy.write_text(toy.read_text().replace('path = "toy.dss"', 'path = ["toy.dss", "toy.dss"]'))
    with pytest.raises(ConfigError, match="one feeder federate, one file"):
        load_study(toy)


def test_two_studies_are_not_launched_as_one(toy):
    said = CliRunner().invoke(app, ["launch", str(toy), str(toy)])
    assert said.exit_code == 2
    words = " ".join(said.output.split())
    assert "one feeder federate, one file" in words
    assert "launch each by itself" in words
