"""A sweep is its campaigns side by side: same plan where the question is the same, same draws."""

import json
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pyarrow.parquet as pq
import pytest
from gridproof.federation.campaigns.sweep import Axis, run_sweep
from gridproof.federation.cli.main import app
from gridproof.federation.reports.sweep_figure import figure_sweep
from gridproof.federation.statistics.dependence import effective_trials
from gridproof.federation.statistics.shares import clopper_pearson
from gridproof.federation.studies.study import load_study
from gridproof.scenarios.errors import ConfigError
from typer.testing import CliRunner


def test_an_axis_is_a_key_and_its_values():
    assert Axis.parse("faults.latency_s=0, 1.5,2") == Axis(
        key="faults.latency_s", values=("0", "1.5", "2")
    )


@pytest.mark.parametrize("text", ["faults.latency_s", "latency=1,2", "a.b=1,,2", "a.b=1,1", "a.b="])
def test_what_is_no_axis_is_refused(text):
    with pytest.raises(ConfigError, match=r"section\.key=v1,v2"):
        Axis.parse(text)


def test_independent_verdicts_are_worth_themselves():
    rng = np.random.default_rng(1)
    assert effective_trials(rng.random(20_000) < 0.8, 3) < 1.05
    assert effective_trials(np.ones(50, bool), 3) == 1.0


def test_verdicts_that_repeat_are_worth_as_many_fewer():
    rng = np.random.default_rng(1)
    pairs = np.repeat(rng.random(20_000) < 0.8, 2)
    assert effective_trials(pairs, 1) == pytest.approx(2.0, abs=0.1)  # ρ₁ = 1/2


@pytest.fixture(scope="module")
def swept(tmp_path_factory, write_toy):
    folder = tmp_path_factory.mktemp("sweep")
    heard = []
    found = run_sweep(
        str(write_toy(folder)),
        ["campaign.samples=40"],
        folder / "out",
        over=Axis.parse("faults.latency_s=0,60"),
        by=Axis.parse("faults.loss=0,0.5"),
        reference="campaign.recourse=fixed",
        mode="local",
        tell=heard.append,
    )
    return folder, found, heard


def test_a_point_is_its_campaign(swept):
    folder, found, heard = swept
    assert len(found.points) == 4
    assert heard == [*found.points, found.reference]
    plans = set()
    for point in (*found.points, found.reference):
        root = folder / "out" / point.campaign
        table = pq.read_table(next((root / "parts").glob("*.parquet")))
        outcome = table["outcome"].to_pylist()
        assert point.counts == {name: outcome.count(name) for name in set(outcome)}
        assert point.share == outcome.count("feasible") / 40
        assert point.low <= point.share <= point.high
        served = np.where(np.array(outcome) == "feasible", table["served_kw"].to_numpy(), 0.0)
        assert point.served_kw == pytest.approx(served.mean())
        assert point.unserved_kwh == pytest.approx((table["load_kw"].to_numpy() - served).mean())
        assert point.redispatch_usd == pytest.approx(
            np.nanmean(table["redispatch_usd"].to_numpy().astype(float))
        )
        if point.widening == 1.0:
            exact = clopper_pearson(outcome.count("feasible"), 40)
            assert (point.low, point.high) == pytest.approx(exact)
        plan = json.loads((root / "plan.json").read_text())
        plans.add(json.dumps(plan["switches"], sort_keys=True))
    assert len(plans) == 1
    ages = {tuple(point.settings.values()): point.age_s for point in found.points}
    assert ages["0", "0"] is None
    assert ages["60", "0"] == 60.0
    assert ages["60", "0.5"] > 60.0


def test_a_finished_sweep_is_only_read(swept, monkeypatch):
    folder, found, _ = swept
    # nobody may run anything
    monkeypatch.setattr("gridproof.federation.campaigns.campaign.run_session", None)
    again = run_sweep(
        str(folder / "toy.toml"),
        ["campaign.samples=40"],
        folder / "out",
        over=found.over,
        by=found.by,
        reference="campaign.recourse=fixed",
    )
    assert again == found


def test_the_figure_holds_every_line(swept, tmp_path):
    _, found, _ = swept
    svg, png = sorted(figure_sweep(found, tmp_path / "f"), key=lambda path: path.suffix == ".png")
    text = svg.read_text()
    for part in ("loss 0", "loss 0.5", "recourse fixed", "latency, s", "40 realizations a point"):
        assert part in text
    assert png.stat().st_size > 5000
    first = svg.read_bytes()
    figure_sweep(found, tmp_path / "f")
    assert svg.read_bytes() == first


def test_every_point_is_told_where_a_pointer_rests_on_it(swept, tmp_path):
    """At the marks that matplotlib has put, in the order of the points; the reference below."""
    _, found, _ = swept
    svg = "{http://www.w3.org/2000/svg}"
    root = ElementTree.parse(figure_sweep(found, tmp_path / "f")[0]).getroot()
    (layer,) = [group for group in root.iter(f"{svg}g") if group.get("class") == "hover"]
    line, *circles = list(layer)
    assert line.tag == f"{svg}line"
    assert line.find(f"{svg}title").text.startswith("recourse fixed\n")
    marks = np.array(
        [
            (float(use.get("x")), float(use.get("y")))
            for use in root.iter(f"{svg}use")
            if use.get("x")
        ]
    )
    for point, shape in zip(found.points, circles, strict=True):
        words = shape.find(f"{svg}title").text.split("\n")
        latency, loss = (point.settings[key] for key in ("faults.latency_s", "faults.loss"))
        named = {f"latency {latency} s", f"loss {loss}"}
        assert set(words[0].split(", ")) == named
        assert words[1].startswith(f"{100.0 * point.share:.2f} % feasible, ")
        assert words[2].startswith("40 realizations, ")
        at = float(shape.get("cx")), float(shape.get("cy"))
        assert np.abs(marks - at).max(axis=1).min() < 0.1


def test_the_command_prints_and_draws(toy, tmp_path):
    said = CliRunner().invoke(
        app,
        [
            "sweep", str(toy), "--over", "faults.latency_s=0,30", "--out", str(tmp_path / "s"),
            "--samples", "20", "--json", "--quiet",
        ],
    )  # fmt: skip
    assert said.exit_code == 0, said.output
    printed = json.loads(said.stdout)
    assert [point["settings"]["faults.latency_s"] for point in printed["points"]] == ["0", "30"]
    assert (tmp_path / "s" / "sweep.svg").exists()
    assert json.loads((tmp_path / "s" / "sweep.json").read_text())["samples"] == 20


def test_the_shipped_question_is_well_formed():
    study = load_study("ieee37-latency", ["faults.latency_s=30", "faults.ride_through_s=10"])
    assert study.config.faults.declared
    assert study.config.uncertainty.spread == 0.15


def test_the_title_of_a_figure_says_all_that_was_set_and_is_not_cut_off(swept, tmp_path):
    """Overrides and what is swept stand in it, on as many lines as that takes."""
    _, found, _ = swept
    assert found.title.endswith("; but run with faults.latency_s as swept, faults.loss as swept")
    long = replace(found, title=" ".join(["a title that takes more than a line"] * 8))
    svg, _ = figure_sweep(long, tmp_path / "f")
    root = ElementTree.parse(svg).getroot()
    wide = float(root.get("viewBox").split()[2])
    said = [text for text in root.iter("{http://www.w3.org/2000/svg}text") if text.text]
    lines = [text for text in said if "takes more" in text.text]
    assert len(lines) > 2
    assert max(len(text.text) for text in lines) * 9 * 0.5 < wide  # 9 points, half as wide as high
