"""The samplers of a study: options told from mistakes, histories read, campaigns run."""

import json

import numpy as np
import pytest
from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.studies.study import load_study, write_resolved
from gridproof.scenarios.errors import ConfigError
from gridproof.scenarios.sampling import Empirical, TruncatedNormal

HISTORY = "when,lb,other,LC\n08:00,1.05,3,0.95\n\n09:00,0.9,3,1.1\n10:00,1.0,3,1.0\n"


def faults(toy, *entries):
    with pytest.raises(ConfigError) as caught:
        load_study(toy, entries)
    return caught.value.faults


@pytest.fixture
def history(toy):
    def write(text=HISTORY):
        (toy.parent / "past.csv").write_text(text)
        return ["campaign.sampler=empirical", "campaign.history=past.csv"]

    return write


BAD = [
    (["campaign.sampler=halton"], "must be one of 'uniform', 'vertices'"),
    (["campaign.std_share=0.5"], 'is an option of sampler "truncated_normal", not of "uniform"'),
    (["campaign.history=past.csv"], 'is an option of sampler "empirical"'),
    (["campaign.sampler=truncated_normal"], "needs std_share; 0.5 puts"),
    (["campaign.sampler=truncated_normal", "campaign.std_share=0"], "must be above 0"),
    (["campaign.sampler=empirical"], "needs history"),
    (["campaign.sampler=empirical", "campaign.history=no.csv"], "No such file"),
    (["campaign.sampler=sobol", "campaign.samples=2000000000"], "samples = 2000000000 must lie in"),
    (
        ["campaign.sampler=truncated_normal", "campaign.std_share=1", "campaign.correlation=-1.0"],
        "no correlation matrix: it is not positive definite",
    ),
    (
        [
            "campaign.sampler=truncated_normal",
            "campaign.std_share=1",
            "campaign.correlation_matrix=[[1, 0.5], [0.4, 1]]",
        ],
        "it is not symmetric; mend the matrix",
    ),
    (
        [
            "campaign.sampler=truncated_normal",
            "campaign.std_share=1",
            "campaign.correlation_matrix=[[1, 0.5]]",
        ],
        "has 1 rows of [2] numbers; it needs 2 rows of 2, for lb, lc",
    ),
    (
        [
            "campaign.sampler=truncated_normal",
            "campaign.std_share=1",
            "campaign.correlation=0.1",
            "campaign.correlation_matrix=[[1, 0.5], [0.5, 1]]",
        ],
        "are both given",
    ),
    (["campaign.stop={kind='width', width=0.01}", "campaign.sampler=sobol"], "independent draws"),
    (["campaign.stop={kind='width'}"], 'kind = "width" needs width'),
    (["campaign.stop={kind='target', share=0.9, width=0.1}"], "has no use for width"),
    (["campaign.stop={kind='target', share=1.5}"], "= 1.5 must lie in (0, 1); 0.99 asks"),
]


@pytest.mark.parametrize(("entries", "says"), BAD, ids=[says for _, says in BAD])
def test_a_bad_option_is_one_sentence(toy, entries, says):
    (fault,) = faults(toy, *entries)
    assert says in fault
    assert fault.startswith(str(toy))


BAD_HISTORY = [
    ("lb\n1.0\n", ["column lc is missing"]),
    ("", ["holds no row of loads"]),
    ("lb,lc\n", ["holds no row of loads"]),
    ("lb,lc,lb\n1,1,1\n", ["column lb is there 2 times"]),
    ("lb,lc\n1.0,x\n1.0,1.0\n", ['row 2, column lc: "x" is not a number']),
    ("lb,lc\n1.0,1.0\n1.0\n", ['row 3, column lc: "" is not a number']),
    ("lb,lc\n1.0,nan\n-1,1\n", ["row 2, column lc: nan", "row 3, column lb: -1 must be a finite"]),
    (
        "lb,lc\n1.0,1.3\n1.0,1.0\n1.0,0.5\n",
        ["column lc", "1 ± 0.1, in 2 of 3 rows", "row 4 at 0.5"],
    ),
]


@pytest.mark.parametrize(("text", "parts"), BAD_HISTORY)
def test_a_bad_history_is_told_by_row_and_column(toy, history, text, parts):
    found = "\n".join(faults(toy, *history(text)))
    assert "past.csv" in found
    assert all(part in found for part in parts), found


def test_many_bad_rows_are_counted_not_listed(toy, history):
    found = faults(toy, *history("lb,lc\n" + "nan,1\n" * 30))
    assert len(found) == 9
    assert "22 more of the kind" in found[-1]


def test_a_history_in_multiples_and_in_kw_are_the_same_draw(toy, history):
    many = load_study(toy, history())
    assert isinstance(many.sampler, Empirical)
    np.testing.assert_allclose(many.sampler.history, [[0.5, -0.5], [-1.0, 1.0], [0.0, 0.0]])
    in_kw = history("lb,lc\n94.5,19\n81,22\n90,20\n")
    kw = load_study(toy, [*in_kw, "campaign.history_unit=kw"])
    np.testing.assert_allclose(kw.sampler.history, many.sampler.history, atol=1e-12)


def test_a_history_beyond_the_set_may_be_clipped(toy, history):
    entries = history("lb,lc\n1.2,0.5\n1,1\n")
    study = load_study(toy, [*entries, "campaign.history_outside=clip"])
    assert study.sampler.history[0].tolist() == [1.0, -1.0]


def test_a_history_by_phase_has_a_column_for_each(toy, history):
    entries = history("lb.a,lb.b,lb.c,lc.a\n1.05,0.95,1,1.1\n")
    study = load_study(toy, [*entries, "campaign.per_phase=true"])
    assert study.scenario.direction_ids == ("lb.a", "lb.b", "lb.c", "lc.a")
    np.testing.assert_allclose(study.sampler.history, [[0.5, -0.5, 0.0, 1.0]])


def test_the_fingerprint_follows_a_historys_content_not_its_place(toy, history):
    first = load_study(toy, history()).fingerprint
    (toy.parent / "moved.csv").write_text(HISTORY)
    moved = ["campaign.sampler=empirical", "campaign.history=moved.csv"]
    assert load_study(toy, moved).fingerprint == first
    (toy.parent / "moved.csv").write_text(HISTORY.replace("0.95", "0.96"))
    assert load_study(toy, moved).fingerprint != first
    assert load_study(toy, [*history(), "campaign.horizon_h=8"]).fingerprint == first


def test_a_resolved_study_finds_its_history_from_anywhere(toy, history, tmp_path):
    study = load_study(toy, history())
    (tmp_path / "elsewhere").mkdir()
    write_resolved(study, tmp_path / "elsewhere" / "study.json")
    again = load_study(tmp_path / "elsewhere" / "study.json")
    assert again.fingerprint == study.fingerprint


def test_correlation_of_all_pairs_and_by_matrix(toy):
    entries = ["campaign.sampler=truncated_normal", "campaign.std_share=0.5"]
    one = load_study(toy, [*entries, "campaign.correlation=0.4"]).sampler
    other = load_study(toy, [*entries, "campaign.correlation_matrix=[[1, 0.4], [0.4, 1]]"]).sampler
    assert isinstance(one, TruncatedNormal)
    assert one.coordinates(3, 5).tobytes() == other.coordinates(3, 5).tobytes()
    assert load_study(toy, entries).sampler.correlation.tolist() == [[1.0, 0.0], [0.0, 1.0]]


@pytest.mark.parametrize(
    "entries",
    [
        ["campaign.sampler=vertices"],
        ["campaign.sampler=latin_hypercube"],
        ["campaign.sampler=sobol", "campaign.per_phase=true"],
        ["campaign.sampler=truncated_normal", "campaign.std_share=0.5", "campaign.correlation=0.5"],
        ["campaign.per_phase=true"],
        "history",
    ],
    ids=lambda entries: "+".join(e.split("=")[1] for e in entries) if entries != "history" else "",
)
def test_a_campaign_of_each_sampler_whatever_its_batch(toy, tmp_path, history, entries):
    entries = history() if entries == "history" else entries
    parts = []
    for name, batch in (("a", 7), ("b", 100)):
        study = load_study(toy, [*entries, f"campaign.batch={batch}", "campaign.samples=40"])
        run_campaign(study, tmp_path / name, mode="in_process" if name == "a" else "local")
        parts.append((tmp_path / name / "parts" / "part-00000000.parquet").read_bytes())
    assert parts[0] == parts[1]
    written = json.loads((tmp_path / "a" / "study.json").read_text())
    assert written["fingerprint"] == study.fingerprint
