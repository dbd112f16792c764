"""A feeder of five buses and a study on it, written to files, for everything that reads studies."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gridproof.federation.families.restoration_files import write_network
from gridproof.federation.papers.networks.mv_network import (
    MvNetwork,
    draw_failures,
    generate_network,
)
from gridproof.federation.trial.rounds import settle
from gridproof.scenarios.realization import draw, uniforms
from gridproof.scenarios.restoration_scenario import with_failures
from gridproof.scenarios.setpoints import Setpoints
from gridproof.scenarios.snapshot import Snapshots
from gridproof.scenarios.verdict import judge

FEEDER = """\
Clear
New Circuit.toy basekv=4.16 pu=1.0 phases=3 bus1=src MVAsc3=2000 MVAsc1=2100
New Linecode.three nphases=3 units=km
~ rmatrix=(0.20 | 0.05 0.20 | 0.05 0.05 0.20)
~ xmatrix=(0.40 | 0.15 0.40 | 0.15 0.15 0.40)
~ cmatrix=(0 | 0 0 | 0 0 0)
New Linecode.one nphases=1 units=km rmatrix=(0.3) xmatrix=(0.3) cmatrix=(0)
New Line.src-a bus1=src.1.2.3 bus2=a.1.2.3 linecode=three length=0.1 units=km normamps=400
New Line.a-b bus1=a.1.2.3 bus2=b.1.2.3 linecode=three length=0.5 units=km normamps=400
New Line.b-c bus1=b.1 bus2=c.1 linecode=one length=0.3 units=km normamps=200
New Line.b-d bus1=b.1.2.3 bus2=d.1.2.3 linecode=three length=0.2 units=km normamps=400
New Load.la bus1=a.1.2.3 phases=3 conn=wye kV=4.16 kW=60 kvar=20 model=1
New Load.lb bus1=b.1.2.3 phases=3 conn=wye kV=4.16 kW=90 kvar=30 model=1
New Load.lc bus1=c.1 phases=1 conn=wye kV=2.4018 kW=20 kvar=5 model=1
New Load.ld bus1=d.1.2.3 phases=3 conn=wye kV=4.16 kW=30 kvar=10 model=1
Set VoltageBases=[4.16]
CalcVoltageBases
"""

STUDY = """\
[study]
title = "two blocks of a toy feeder"

[feeder]
path = "toy.dss"
switches = ["a-b", "b-d"]
locked_open = ["src-a"]

[ders.fleet.east]
bus = "b"
capacity_kw = 240

[ders.fleet.west]
bus = "a"
capacity_kw = 90

[uncertainty]
loads = ["lb", "lc"]
spread = 0.1

[campaign]
samples = 40
batch = 16
"""


def _write_toy(folder: Path) -> Path:
    (folder / "toy.dss").write_text(FEEDER)
    path = folder / "toy.toml"
    path.write_text(STUDY)
    return path


@pytest.fixture(scope="session")
def write_toy():
    """Write the toy study and its feeder into a folder, for fixtures that outlive a test."""
    return _write_toy


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """Path of a sound toy study, its feeder beside it."""
    return _write_toy(tmp_path)


def _batch(scenario, plan, first, count, seed=1):
    """A made-up answer to realizations ``first …``, each a function of its index alone."""
    drawn = draw(scenario, seed, first, count)
    buses, lines = len(scenario.feeder.buses.ids), len(scenario.feeder.lines.ids)
    noise = uniforms(seed, first, count, 6, stream=7)
    asked = drawn.p_kw[:, 0].sum(axis=(1, 2))
    setpoints = Setpoints(
        index=drawn.index,
        found=noise[:, 1] > 0.03,
        p_kw=np.tile(plan.p_kw[0], (count, 1, 1)),
        q_kvar=np.tile(plan.q_kvar[0], (count, 1, 1)),
        source_v_pu=np.tile(plan.source_v_pu[0], (count, 1)),
    )
    v_pu = (
        np.ones((count, buses, 3)) - 0.08 * noise[:, :1, None] * np.linspace(0, 1, buses)[:, None]
    )
    current = np.ones((count, lines, 3)) * 80.0 * noise[:, 2, None, None]
    snapshots = Snapshots(
        index=drawn.index,
        converged=noise[:, 3] > 0.02,
        iterations=np.full(count, 5),
        v_pu=v_pu,
        v_ll_pu=v_pu,
        current_a=current,
        transformer_kva=np.zeros((count, 0)),
        der_p_kw=setpoints.p_kw + noise[:, 4, None, None],
        der_q_kvar=setpoints.q_kvar,
        delivered_kw=np.where(noise[:, 5] > 0.01, asked, 0.5 * asked),
        requested_kw=asked,
        losses_kw=noise[:, 4],
    )
    return drawn, setpoints, snapshots, settle(judge(snapshots, plan, scenario), setpoints)


@pytest.fixture(scope="session")
def made_up_batch():
    """Factory of batches with every outcome a feeder federate can hand over."""
    return _batch


@pytest.fixture(scope="session")
def toy_plan(tiny_plan):
    """Hand-made plan for the toy study: one island, demand met phase by phase but for losses."""

    def make(scenario):
        plan = tiny_plan(scenario, [False, True, True], [False, True, True, True], [True, False])
        demand_p, demand_q = scenario.load_p_kw[0].sum(axis=0), scenario.load_q_kvar[0].sum(axis=0)
        west = np.full(3, 50.0 / 3.0)
        return replace(
            plan,
            p_kw=np.stack([demand_p - west, west])[None],
            q_kvar=np.stack([demand_q, np.zeros(3)])[None],
        )

    return make


STORM = """\
[study]
title = "a small network after three failures"

[feeder]
path = "storm.dss"

[limits]
v_max_pu = 1.3

[restoration]
devices = "lines.csv"
failures = "failures.csv"
buried = 1

[uncertainty]
loads = "all"
spread = 0.10

[planner]
family = "restoration"

[campaign]
samples = 24
batch = 16
recourse = "fixed"

[federation]
mode = "local"
"""


def _write_storm(folder: Path) -> Path:
    network = generate_network(MvNetwork(seed=3, buses=24, substations=2))
    case = with_failures(network, draw_failures(network, 2, 3))
    write_network(replace(case, feeder=replace(case.feeder, name="storm")), folder)
    path = folder / "storm.toml"
    path.write_text(STORM)
    return path


@pytest.fixture(scope="session")
def write_storm():
    """Write a small restoration study, its feeder and tables into a folder."""
    return _write_storm


@pytest.fixture
def storm(tmp_path: Path) -> Path:
    """Path of a sound restoration study, its feeder and tables beside it."""
    return _write_storm(tmp_path)
