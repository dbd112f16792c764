"""The page and its files: what they say is what the campaign holds, and nobody's id breaks them."""

import csv
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.records.environment import environment_record
from gridproof.federation.records.sink import CampaignSink
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.records.summary import campaign_summary
from gridproof.federation.reports.campaign_page import write_report
from gridproof.federation.reports.data import gather
from gridproof.federation.reports.sentences import headline
from gridproof.federation.reports.svg import inline_svg
from gridproof.federation.reports.tables import all_tables
from gridproof.federation.studies.study import load_study
from gridproof.federation.tables.files import csv_text
from gridproof.federation.tables.table import Column, Table
from gridproof.scenarios.errors import StoreError
from gridproof.scenarios.feeder import Feeder
from gridproof.scenarios.verdict import MarginKind, Outcome

HOSTILE = [
    '<script>alert("x")</script>',
    "</svg><b>&amp;",
    'a" onload="x',
    "$\\frac{x$",
    "{{ 7*7 }}",
]
COUNT = 700


def renamed(scenario, names):
    """The scenario with its first buses, lines, loads and DERs under other names."""
    feeder = scenario.feeder
    tables = {
        name: replace(table, ids=tuple((names + list(table.ids[len(names):]))[: len(table.ids)]))
        for name in ("buses", "lines", "loads")
        for table in [getattr(feeder, name)]
    }  # fmt: skip
    kept = {n: getattr(feeder, n) for n in ("path", "transformers", "capacitors", "sources")}
    ders = replace(scenario.ders, ids=tuple(names[: len(scenario.ders.ids)]))
    box = replace(scenario.uncertainty, load_ids=tables["loads"].ids)
    feeder = Feeder(name=names[0], **kept, **tables)
    return replace(scenario, name=names[0], feeder=feeder, ders=ders, uncertainty=box)


def campaign(root, scenario, plan, batch, *, name="tiny", count=COUNT, samples=COUNT, seed=1):
    asked = {
        "samples": samples, "judge": "ac", "recourse": "fixed", "sampler": "uniform",
        "confidence": 0.95, "seed": seed,
    }  # fmt: skip
    study = {"name": name, "fingerprint": "f" * 64,
             "config": {"campaign": asked, "study": {"title": name}}}  # fmt: skip
    store = CampaignStore.create(root, json.dumps(study), environment_record(seed))
    sink = CampaignSink(store=store, scenario=scenario, mode="local")
    sink.accept(plan)
    sink.write(*batch(scenario, plan, 0, count))
    return store


@pytest.fixture(scope="module")
def scenario(tiny_scenario):
    return tiny_scenario(4, ((0, 1), (1, 2), (2, 3)))


@pytest.fixture(scope="module")
def store(tmp_path_factory, scenario, tiny_plan, made_up_batch):
    return campaign(
        tmp_path_factory.mktemp("c") / "c", scenario, tiny_plan(scenario), made_up_batch
    )


@pytest.fixture(scope="module")
def out(store, scenario):
    write_report(store, scenario, store.root / "report")
    return store.root / "report"


class Text(HTMLParser):
    """Tags and text of a page; refuses what does not nest."""

    VOID = ("meta", "link", "br")

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.said = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.said.append(data)


def rows(out, name):
    text = (out / "tables" / f"{name}.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(io.StringIO(text)))


def column(store, name):
    return np.array([v for t in store.tables([name], [0]) for v in t.column(name).to_pylist()])


def test_one_page_and_everything_beside_it(out):
    assert {path.name for path in out.iterdir()} == {"report.html", "figures", "tables"}
    names = ("convergence", "margins", "one-line", "shares", "voltages")
    assert sorted(p.name for p in (out / "figures").iterdir()) == sorted(
        f"{name}.{ending}" for name in names for ending in ("png", "svg")
    )
    page = Text((out / "report.html").read_text(encoding="utf-8"))
    assert not [tag for tag, _ in page.tags if tag in ("script", "iframe", "object", "img")]
    urls = [a.get(k, "") for _, a in page.tags for k in ("src", "href", "xlink:href") if k in a]
    assert all(url.startswith(("#", "data:")) for url in urls)
    assert sum(tag == "svg" for tag, _ in page.tags) == len(names)


def test_the_headline_is_the_summary(out, store):
    about = campaign_summary(store)
    said = " ".join(Text((out / "report.html").read_text()).said).replace("\u202f", " ")
    assert f"{100 * about.feasible_share:.2f} %" in said
    assert f"{100 * about.interval[0]:.2f} % to {100 * about.interval[1]:.2f} %" in said
    assert "realizations are erred and stand outside the feasible share" in said


def test_the_page_says_what_was_uncertain_whatever_the_title_says(out):
    assert "4 of 4 loads, ±25 % of nominal" in (out / "report.html").read_text(encoding="utf-8")


def test_tables_hold_every_digit(out, store):
    about = campaign_summary(store)
    assert {r["outcome"]: int(r["count"]) for r in rows(out, "outcomes")} == {
        name.replace("_", " "): n for name, n in about.outcomes.items()
    }
    for row in rows(out, "margins"):
        kind = row["limit"].split(",")[0]
        assert float(row["least"]) == about.margins[kind].min


def test_convergence_ends_at_the_estimate(out, store):
    about, last = campaign_summary(store), rows(out, "convergence")[-1]
    assert int(last["judged"]) == COUNT - about.outcomes["erred"]
    assert float(last["share"]) == about.feasible_share
    assert (float(last["from"]), float(last["to"])) == about.interval
    first = rows(out, "convergence")[0]
    assert int(first["judged"]) == 1
    outcome = column(store, "outcome")
    middle = rows(out, "convergence")[len(rows(out, "convergence")) // 2]
    judged = outcome[outcome != "erred"][: int(middle["judged"])]
    assert float(middle["share"]) == (judged == "feasible").mean()


def test_the_worst_are_the_worst_and_say_where(out, store, scenario):
    data = gather(store, scenario)
    outcome = column(store, "outcome")
    half = (scenario.limits.v_max_pu - scenario.limits.v_min_pu) / 2
    margins = np.stack(
        [
            (column(store, f"margin_{kind.value}").astype(float) + scenario.limits.tolerance)
            / (half if kind is MarginKind.VOLTAGE else 1.0)
            for kind in MarginKind
        ]
    )
    least = np.where(np.isin(outcome, ["feasible", "violated"]), margins.min(axis=0), np.inf)
    order = np.argsort(least, kind="stable")[:10]
    assert [row.index for row in data.worst] == order.tolist()
    assert [row.relative for row in data.worst] == pytest.approx(least[order].tolist())
    worst = data.worst[0]
    assert worst.failed[0].kind == "voltage"
    assert rows(out, "worst")[0]["what failed, and where it was worst"].startswith("voltage \u2212")
    listed = {row.outcome for row in data.unsolved}
    assert listed == set(outcome) - {"feasible", "violated"}
    loads = {row["load"]: row for row in rows(out, "worst-loads")}
    zeta = column(store, "zeta_d2")[worst.index]
    assert float(loads["d2"][f"#{worst.index}"]) == pytest.approx(1.0 + 0.25 * zeta)


def test_violations_are_those_of_every_element(out, store, scenario):
    data = gather(store, scenario)
    for row in rows(out, "violations-by-element"):
        kind = MarginKind(row["limit"])
        assert kind is MarginKind.VOLTAGE
        bus = scenario.feeder.buses.ids.index(row["element"])
        assert int(row["realizations"]) == data.profile.breached[kind][bus] > 0


def test_figures_have_ids_of_their_own_and_words(out):
    page = Text((out / "report.html").read_text())
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    named = [a["aria-labelledby"].split() for tag, a in page.tags if tag == "svg"]
    assert all(set(pair) <= set(ids) for pair in named)
    used = re.findall(r"url\(#([^)]+)\)", (out / "report.html").read_text())
    assert used
    assert set(used) <= set(ids)


def test_equal_campaigns_give_equal_files(out, store, scenario, tmp_path):
    write_report(store, scenario, tmp_path / "again")
    for path in sorted(out.rglob("*.*")):
        assert (tmp_path / "again" / path.relative_to(out)).read_bytes() == path.read_bytes(), path


def test_hostile_ids_are_text(tiny_scenario, tiny_plan, made_up_batch, tmp_path):
    hostile = renamed(tiny_scenario(4, ((0, 1), (1, 2), (2, 3))), HOSTILE)
    plan = tiny_plan(hostile)
    store = campaign(tmp_path / "c", hostile, plan, made_up_batch, name=HOSTILE[0], count=700)
    text = write_report(store, hostile, tmp_path / "r").read_text(encoding="utf-8")
    page = Text(text)
    assert not [tag for tag, _ in page.tags if tag in ("script", "b")]
    assert not [a for _, a in page.tags if any(name.startswith("on") for name in a)]
    said = " ".join(page.said)
    for name in HOSTILE:
        assert name in said, name
    for svg in (tmp_path / "r" / "figures").glob("*.svg"):
        ElementTree.parse(svg)


def test_a_campaign_that_is_not_whole_says_so(scenario, tiny_plan, made_up_batch, tmp_path):
    store = campaign(
        tmp_path / "c", scenario, tiny_plan(scenario), made_up_batch, count=2048, samples=5000
    )
    (store.root / "profiles" / "profile-00000000.parquet").unlink()
    said = " ".join(Text(write_report(store, scenario, tmp_path / "s").read_text()).said)
    assert "not whole: 2\u202f048 of 5\u202f000" in said
    assert "1 parts hold no voltages" in said
    assert not (tmp_path / "s" / "figures" / "voltages.svg").exists()


def unsolved(made_up_batch, outcome):
    def make(*args):
        drawn, setpoints, snapshots, verdicts = made_up_batch(*args)
        blank = np.full_like(verdicts.margin, np.nan)
        verdicts = replace(verdicts, outcome=np.full(len(verdicts), outcome), margin=blank)
        return drawn, setpoints, snapshots, verdicts

    return make


def test_nothing_solved_is_still_a_page(scenario, tiny_plan, made_up_batch, tmp_path):
    made = unsolved(made_up_batch, Outcome.NO_SOLUTION)
    store = campaign(tmp_path / "c", scenario, tiny_plan(scenario), made)
    said = " ".join(Text(write_report(store, scenario, tmp_path / "r").read_text()).said)
    assert "no margin to show" in said
    assert "none judged" not in said


def test_nothing_judged_has_no_share(scenario, tiny_plan, made_up_batch, tmp_path):
    made = unsolved(made_up_batch, Outcome.ERRED)
    data = gather(campaign(tmp_path / "c", scenario, tiny_plan(scenario), made), scenario)
    assert headline(data, "x").share == "none judged"
    assert len(data.convergence.judged) == 0
    assert "convergence" not in all_tables(data)


def test_a_place_that_cannot_be_written(store, scenario, tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(StoreError, match="give another --out"):
        write_report(store, scenario, tmp_path / "taken")


def test_csv_keeps_numbers_and_leaves_nothing_for_none():
    table = Table(
        name="t", title="c", columns=(Column(title='a "b"'), Column(title="x", numeric=True)),
        rows=(("one, two", 0.1 + 0.2), ("three", None), ("four", float("nan"))),
    )  # fmt: skip
    assert csv_text(table) == ('"a ""b""",x\n"one, two",0.30000000000000004\nthree,\nfour,\n')


def test_an_inlined_figure_keeps_its_references(tmp_path):
    path = tmp_path / "f.svg"
    path.write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        'width="9pt" viewBox="0 0 9 9"><defs><style>*{color:red}</style><path id="p"/></defs>'
        '<use xlink:href="#p" clip-path="url(#p)"/></svg>'
    )
    text = inline_svg(path, key="k", title="<T>", description="D & d")
    assert 'id="k-p"' in text
    assert 'xlink:href="#k-p"' in text
    assert 'clip-path="url(#k-p)"' in text
    assert '<title id="k-title">&lt;T&gt;</title>' in text
    assert "style" not in text
    assert "width" not in text


def test_what_was_not_mended_is_ranked_among_the_worst(tmp_path):
    case = Path(__file__).parents[2] / "cases" / "not_mended" / "study.toml"
    study = load_study(case)
    result = run_campaign(study, tmp_path / "c", mode="local")
    data = gather(result.store, study.scenario)
    assert data.worst[0].outcome == "not_mended"
    assert data.worst[0].relative < 0.0
    assert not data.unsolved
