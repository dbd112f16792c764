"""Two campaigns pair by pair, and those that are no pairs."""

import json
from xml.etree import ElementTree

import numpy as np
import pytest
import scipy.stats
from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.records.summary import campaign_summary
from gridproof.federation.reports.choice_figure import figure_choices
from gridproof.federation.reports.compare import _crossed, compare_campaigns
from gridproof.federation.reports.comparison_tables import campaign_names
from gridproof.federation.reports.measured import compare_many
from gridproof.federation.statistics.means import asymptotic_sequence, mean_interval, moments_of
from gridproof.federation.statistics.paired import tango_interval
from gridproof.federation.studies.study import load_study
from gridproof.scenarios.errors import StoreError
from gridproof.scenarios.verdict import Outcome

SAMPLES = 2300  # more than one part
TIGHT = ["uncertainty.spread=0.6", "planner.method=nominal", "limits.v_min_pu=0.97"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, write_toy):
    folder = tmp_path_factory.mktemp("compare")
    write_toy(folder)
    return folder


@pytest.fixture(scope="module")
def run(folder):
    kept = {}

    def make(name, *more):
        study = load_study(folder / "toy.toml", [f"campaign.samples={SAMPLES}", *TIGHT, *more])
        digest = study.scenario.digest()
        plan = kept.get(digest)  # planned once for every scenario
        result = run_campaign(study, folder / name, mode="local", plan=plan)
        kept[digest] = result.plan
        return result.store

    return make


@pytest.fixture(scope="module")
def fixed(run):
    return run("fixed", "campaign.recourse=fixed")


@pytest.fixture(scope="module")
def linear(run):
    return run("linear", "campaign.recourse=linear")


def column(store, name):
    chunks = store.finished()
    return np.concatenate([t.column(name).to_numpy() for t in store.tables([name], chunks)])


def feasible(store):
    tables = store.tables(["outcome"], store.finished())
    return np.array([o == "feasible" for t in tables for o in t.column("outcome").to_pylist()])


def test_pairs_are_counted_as_they_are(fixed, linear):
    found = compare_campaigns(fixed, linear)
    one, other = feasible(fixed), feasible(linear)
    assert found.crossed.to_json() == {
        "both_feasible": int((one & other).sum()),
        "first_only": int((one & ~other).sum()),
        "second_only": int((~one & other).sum()),
        "neither": int((~one & ~other).sum()),
    }
    assert found.crossed.second_only > 0
    assert found.difference.value == pytest.approx(other.mean() - one.mean())
    b, c = found.crossed.second_only, found.crossed.first_only
    assert found.difference.interval == tango_interval(b, c, SAMPLES)
    assert (found.realizations, found.unjudged) == (SAMPLES, 0)
    assert [s.value for s in found.shares] == [one.mean(), other.mean()]
    json.dumps(found.to_json(), allow_nan=False)


def test_margins_are_compared_where_both_were_solved(fixed, linear):
    found = compare_campaigns(fixed, linear).margins["voltage"]
    gained = column(linear, "margin_voltage") - column(fixed, "margin_voltage")
    gained = gained[np.isfinite(gained)]
    assert found.count == len(gained)
    assert found.mean == pytest.approx(gained.mean())
    assert (found.min, found.max) == (gained.min(), gained.max())
    assert found.quantiles["0.5"] == np.quantile(gained, 0.5, method="inverted_cdf")
    assert found.gained == (gained > 0).sum()


def test_stale_counts_as_not_feasible_and_erred_not_at_all():
    """As in a campaign's own feasible share."""
    table = np.zeros((len(Outcome), len(Outcome)), np.int64)
    table[Outcome.FEASIBLE, Outcome.STALE] = 5
    table[Outcome.STALE, Outcome.STALE] = 3
    table[Outcome.ERRED, Outcome.FEASIBLE] = 2
    found = {"both_feasible": 0, "first_only": 5, "second_only": 0, "neither": 3}
    assert _crossed(table).to_json() == found


def test_the_other_way_round_is_the_mirror(fixed, linear):
    there, back = compare_campaigns(fixed, linear), compare_campaigns(linear, fixed)
    assert back.difference.value == -there.difference.value
    low, high = there.difference.interval
    assert back.difference.interval == pytest.approx([-high, -low], abs=1e-9)


def test_a_campaign_against_itself_differs_in_nothing(fixed):
    found = compare_campaigns(fixed, fixed)
    assert found.crossed.first_only == found.crossed.second_only == 0
    low, high = found.difference.interval
    assert low < 0.0 < high
    assert found.difference.p_value == 1.0


def test_a_shorter_campaign_is_compared_as_far_as_it_goes(fixed, run):
    short = run("short", "campaign.samples=2100", "campaign.recourse=linear")
    assert compare_campaigns(fixed, short).realizations == 2100
    assert compare_campaigns(short, fixed).realizations == 2100


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("campaign.seed=2", "campaign.seed is 1 and 2"),
        ("uncertainty.spread=0.5", r"uncertainty.spread is 0.6 and 0.5"),
        ('uncertainty.loads=["lb"]', "uncertainty.loads"),
        ("campaign.per_phase=true", "campaign.per_phase is False and True"),
    ],
)
def test_other_draws_are_refused_by_what_differs(fixed, run, change, said):
    other = run(f"other-{abs(hash(change))}", change, "campaign.samples=20")
    with pytest.raises(StoreError, match=said) as refused:
        compare_campaigns(fixed, other)
    assert "run one of them again" in str(refused.value)


def test_draws_are_compared_and_not_only_configurations(fixed, run):
    """A store whose study says the same but whose rows were drawn otherwise."""
    other = run("claims", "campaign.seed=9")
    study = {**other.study, "config": fixed.study["config"]}
    liar = CampaignStore(
        root=other.root, study={**study, "fingerprint": other.study["fingerprint"]}
    )
    with pytest.raises(StoreError, match=r"zeta_lb of realization 0 is .* and "):
        compare_campaigns(fixed, liar)


@pytest.mark.slow
def test_both_judges_are_crossed_in_the_summary(run):
    both = run("both", "campaign.judge=both", "campaign.recourse=fixed")
    linear = run("judged", "campaign.judge=linear", "campaign.recourse=fixed")
    ac = run("ac", "campaign.judge=ac", "campaign.recourse=fixed")
    assert (feasible(both) == feasible(ac)).all()
    crossed = campaign_summary(both).crossed
    said = feasible(linear)
    assert crossed.both_feasible == (said & feasible(ac)).sum()
    assert crossed.linear_only == (said & ~feasible(ac)).sum()
    assert crossed.ac_only == (~said & feasible(ac)).sum()
    assert crossed.neither == (~said & ~feasible(ac)).sum()
    total = sum(n for row in crossed.outcomes.values() for n in row.values())
    assert total == SAMPLES
    # two campaigns of one judge each tell the same as one of both
    paired = compare_campaigns(ac, linear)
    assert paired.difference.value == crossed.difference.value
    assert paired.difference.interval == crossed.difference.interval


def test_a_directory_of_one_judge_has_no_crossed_table(fixed):
    assert campaign_summary(fixed).crossed is None


def test_measures_are_those_of_the_rows(fixed, linear):
    found = compare_many([fixed, linear]).measures
    assert (found.realizations, found.unjudged) == (SAMPLES, 0)
    load = column(fixed, "load_kw")
    served, moved = [], []
    for store, one in zip((fixed, linear), found.campaigns, strict=True):
        served.append(np.where(feasible(store), column(store, "served_kw"), 0.0))
        moved.append(column(store, "redispatch_usd"))
        values = one.values
        assert values["feasible"].mean == pytest.approx(feasible(store).mean(), rel=1e-12)
        assert values["served_kw"].mean == pytest.approx(served[-1].mean(), rel=1e-12)
        assert values["unserved_kwh"].mean == pytest.approx((load - served[-1]).mean(), rel=1e-12)
        assert values["redispatch_usd"].mean == pytest.approx(np.nanmean(moved[-1]), rel=1e-12)
        costs = json.loads((store.root / "plan.json").read_text())["costs"]
        assert one.planned_cost == pytest.approx(costs["shed"] + costs["generation"])
    assert all(value.gain is None for value in found.campaigns[0].values.values())
    gains = found.campaigns[1].values
    paired = scipy.stats.ttest_rel(served[1], served[0]).confidence_interval(0.95)
    assert gains["served_kw"].interval == pytest.approx(tuple(paired), rel=1e-9)
    assert gains["unserved_kwh"].gain == pytest.approx(-gains["served_kw"].gain, rel=1e-12)
    both = np.isfinite(moved[0]) & np.isfinite(moved[1])
    assert both.sum() < np.isfinite(moved[0]).sum()  # what only one solved is no pair
    assert gains["redispatch_usd"].gain == pytest.approx((moved[1] - moved[0])[both].mean())


def test_each_of_many_is_compared_with_the_first_and_the_beaten_are_named(fixed, linear, run):
    dear = run("dear", "campaign.recourse=fixed", "campaign.samples=2100")
    file = json.loads((dear.root / "plan.json").read_text())
    found = compare_many([fixed, linear, dear])
    first, second, third = found.measures.campaigns
    assert found.measures.realizations == 2100
    assert [pair.second.directory for pair in found.pairs] == [str(linear.root), str(dear.root)]
    assert second.values["feasible"].gain == found.pairs[0].difference.value
    assert second.values["feasible"].interval == found.pairs[0].difference.interval
    assert third.values["served_kw"].gain == 0.0
    assert first.beaten_by == third.beaten_by == str(linear.root)
    assert second.beaten_by is None
    alike = compare_many([fixed, dear]).measures.campaigns
    assert [one.beaten_by for one in alike] == [None, None]
    file["costs"]["objective"] += 5.0
    (dear.root / "plan.json").write_text(json.dumps(file))
    assert compare_many([fixed, dear]).measures.campaigns[1].beaten_by == str(fixed.root)
    json.dumps(found.to_json(), allow_nan=False)


def test_means_of_a_campaign_that_a_rule_ended_are_of_a_sequence(fixed, run):
    ended = run(
        "ended",
        "campaign.recourse=linear",
        'campaign.stop={kind="width", width=0.5}',
    )
    found = compare_many([fixed, ended]).measures
    assert found.interval_kind == "anytime-valid"
    served = [np.where(feasible(s), column(s, "served_kw"), 0.0) for s in (fixed, ended)]
    gained = moments_of(served[1] - served[0][: len(served[1])])
    value = found.campaigns[1].values["served_kw"]
    assert value.interval == pytest.approx(asymptotic_sequence(gained, 0.95), rel=1e-9)
    assert value.interval[1] - value.interval[0] > np.diff(mean_interval(gained, 0.95))[0]


def test_a_plan_file_that_is_none_is_told(fixed, run):
    other = run("torn-plan", "campaign.samples=2049")
    (other.root / "plan.json").write_text("[1]")
    with pytest.raises(StoreError, match="is no plan"):
        compare_many([fixed, other])


def test_names_are_the_shortest_endings_that_differ(fixed, linear):
    found = compare_many([fixed, linear]).measures
    assert list(campaign_names(found).values()) == ["fixed", "linear"]


def test_every_campaign_is_told_where_a_pointer_rests_on_it(fixed, linear, tmp_path):
    found = compare_many([fixed, linear]).measures
    svg = "{http://www.w3.org/2000/svg}"
    root = ElementTree.parse(figure_choices(found, tmp_path / "choice")[0]).getroot()
    (layer,) = [group for group in root.iter(f"{svg}g") if group.get("class") == "hover"]
    marks = [
        (float(use.get("x")), float(use.get("y"))) for use in root.iter(f"{svg}use") if use.get("x")
    ]
    for one, shape in zip(found.campaigns, layer, strict=True):
        words = shape.find(f"{svg}title").text.split("\n")
        served, share = one.values["served_kw"].mean, one.values["feasible"].mean
        assert words[0] == campaign_names(found)[one.about.directory]
        assert words[1] == f"{100.0 * share:.2f} % feasible, {served:.1f} kW served"
        assert words[2] == f"planned at {one.planned_cost:.2f} USD"
        assert words[-1] == ("a choice" if one.beaten_by is None else "beaten by linear")
        at = float(shape.get("cx")), float(shape.get("cy"))
        assert np.abs(np.array(marks) - at).max(axis=1).min() < 0.1
