"""A realization opened again: the campaign's own numbers, and a circuit that has them, too."""

from __future__ import annotations

import json

import numpy as np
import pytest
from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.cli.main import app
from gridproof.federation.inquiries.replay import replay
from gridproof.federation.studies.study import load_study
from gridproof.scenarios.errors import ConfigError
from gridproof.simulator.opendss.engine_thread import on_engine_thread
from typer.testing import CliRunner

import gridproof as gp

RECOURSE = ["fixed", "linear", "ac", "participation"]


@pytest.fixture(scope="module")
def tried(write_toy, tmp_path_factory):
    """One campaign a recourse, some of its realizations outside a limit."""

    path = write_toy(tmp_path_factory.mktemp("toy"))

    def of(recourse):
        study = load_study(
            path,
            [
                f"campaign.recourse={recourse}",
                "campaign.samples=24",
                "campaign.batch=8",
                "uncertainty.spread=0.3",
                "ders.fleet.east.capacity_kw=170",
                "planner.method=nominal",
            ],
        )
        return study, run_campaign(study, tmp_path_factory.mktemp(recourse) / "c", mode="local")

    return {recourse: of(recourse) for recourse in RECOURSE}


@pytest.mark.parametrize("recourse", RECOURSE)
def test_every_row_is_the_same_again_to_the_last_bit(tried, recourse):
    study, done = tried[recourse]
    for index in (0, 7, 8, 23):
        report, _ = replay(study, done.plan, index, store=done.store)
        (step,) = report.steps
        assert step.kept_outcome == step.outcome
        assert step.margins_apart == 0.0


def test_what_is_opened_adds_up(tried):
    study, done = tried["fixed"]
    (step,) = gp.replay(study, done.plan, 5).steps
    gave = sum(kw or 0.0 for der in step.ders.values() for kw in der.gave_kw)
    asked = sum(kw or 0.0 for load in step.loads.values() if load.live for kw in load.asked_kw)
    assert gave == pytest.approx(step.served_kw + step.losses_kw, abs=1e-3)
    assert step.served_kw == pytest.approx(asked, rel=1e-6)
    lowest = min(v for bus in step.buses.values() for v in bus.v_pu if v is not None)
    margin = step.margins["voltage"].margin
    assert margin <= lowest - study.scenario.limits.v_min_pu + 1e-12


@on_engine_thread
def solved(path):
    """Per-unit magnitudes by bus and node, of a file that OpenDSS compiles."""
    import opendssdirect

    context = opendssdirect.NewContext()
    context.Text.Command(f'Compile "{path}"')
    assert context.Solution.Converged()
    found = {}
    for name in context.Circuit.AllBusNames():
        context.Circuit.SetActiveBus(name)
        pairs = np.array(context.Bus.PuVoltage()).view(complex)
        found |= {(name, node): abs(v) for node, v in zip(context.Bus.Nodes(), pairs, strict=True)}
    return found


def test_the_circuit_alone_has_the_same_voltages(tried, tmp_path):
    """Compiled anew by OpenDSS itself, nothing of ours between."""
    path = tmp_path / "alone.dss"
    words = ["replay", str(tried["fixed"][1].out), "--index", "3", "--dss", str(path), "--json"]
    told = CliRunner().invoke(app, words)
    assert told.exit_code == 0, told.output
    report, alone, seen = json.loads(told.stdout), solved(path), 0
    assert report["alone_apart_pu"] < 1e-8
    for name, bus in report["steps"][0]["buses"].items():
        for node, v in enumerate(bus["v_pu"], start=1):
            if v is not None:
                seen += 1
                assert v == pytest.approx(alone[name, node], abs=1e-8)
    assert seen > 6


def test_the_worst_load_of_the_set_is_opened(tried):
    _, done = tried["fixed"]
    ask = CliRunner().invoke
    nothing = ask(app, ["replay", str(done.out), "--worst"])
    assert nothing.exit_code == 2
    assert "ask first: gridproof prove" in " ".join(nothing.output.split())
    proof = json.loads(ask(app, ["prove", str(done.out), "--json"]).stdout)["worst"]
    told = json.loads(ask(app, ["replay", str(done.out), "--worst", "--json"]).stdout)
    assert (told["index"], told["steps"][0]["zeta"]) == (-1, proof["zeta"])
    found = told["steps"][0]["margins"][proof["kind"]]["margin"]
    assert found == pytest.approx(proof["margin"], abs=(proof["remainder"] or 0.0) + 1e-6)
    shown = ask(app, ["replay", str(done.out), "--worst"]).stdout
    assert "worst load by the certificate" in shown


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "say which realization: --index N, or --worst"),
        (["--index", "24"], "realizations 0 to 23; name one of them"),
        (["--index", "-1"], "realizations 0 to 23; name one of them"),
        (["--index", "1", "--step", "4"], "the study tries the steps 0; name one of them"),
    ],
)
def test_what_is_not_there_is_named(tried, words, said):
    told = CliRunner().invoke(app, ["replay", str(tried["fixed"][1].out), *words])
    assert told.exit_code == 2
    assert said in " ".join(told.output.split())


def test_what_hangs_on_realizations_before_is_refused(tried, toy):
    _, done = tried["fixed"]
    lagging = load_study(toy, ["campaign.samples=8", "faults.latency_s=0.4"])
    with pytest.raises(ConfigError, match="tie a realization to those before it"):
        replay(lagging, done.plan, 2)
