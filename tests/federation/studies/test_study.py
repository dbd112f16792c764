"""Studies are found, checked whole, and rebuilt exactly."""

import json
from pathlib import Path

import numpy as np
import pytest
from gridproof.federation.studies.shipped import list_studies, shipped_root
from gridproof.federation.studies.study import load_study, resolved_text, write_resolved
from gridproof.optimizer.planner import make_planner
from gridproof.scenarios.errors import ConfigError
from gridproof.scenarios.load_models import LoadModel
from gridproof.scenarios.realization import draw


def faults(*args) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load_study(*args)
    assert caught.value.exit_code == 2
    return caught.value.faults


def edited(path: Path, old: str, new: str) -> Path:
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    return path


# ------------------------------------------------------------------------------- a sound one


def test_a_sound_study_becomes_its_scenario(toy):
    study = load_study(toy)
    scenario, feeder = study.scenario, study.scenario.feeder
    assert study.name == scenario.name == "toy"
    assert feeder.switch_ids == ("src-a", "a-b", "b-d")
    assert feeder.blocks.ids == ("src", "a", "b", "d")
    assert scenario.locked.tolist() == [True, False, False]
    assert not feeder.lines.closed[feeder.lines.ids.index("src-a")]
    assert scenario.uncertainty.load_ids == ("lb", "lc")
    assert scenario.uncertainty.spread.tolist() == [0.1, 0.1]
    # 10 000 a block and 10 a load; the substation's block is worth 1000 and has no load
    assert scenario.shed_usd.tolist() == [1000.0, 10_010.0, 10_020.0, 10_010.0]
    east = scenario.ders.ids.index("east")
    assert scenario.ders.p_max_kw[east].tolist() == [80.0] * 3
    assert scenario.ders.q_min_kvar[east].tolist() == [-60.0] * 3
    assert scenario.ders.ramp_kw[east].tolist() == pytest.approx([24.0] * 3)
    assert set(scenario.load_model) == {LoadModel.CONSTANT_POWER}


def test_blocks_and_loads_weigh_what_a_study_says_of_them(toy):
    plain = load_study(toy).scenario
    asked = [
        "objective.block_weights_usd={b=500, src=7}",
        "objective.load_weights_usd={lc=250}",
    ]
    weighed = load_study(toy, asked).scenario
    ids, load_ids = plain.feeder.blocks.ids, plain.feeder.loads.ids
    wanted = dict(zip(ids, plain.shed_usd.tolist(), strict=True))
    home = ids[plain.feeder.block_of_load[load_ids.index("lc")]]
    wanted["b"] += 500.0 - 10_000.0
    wanted["src"] += 7.0 - 1000.0
    wanted[home] += 250.0 - 10.0
    assert dict(zip(ids, weighed.shed_usd.tolist(), strict=True)) == wanted


@pytest.mark.parametrize(
    ("weights", "live"), [({}, {"b", "d"}), ({"la": 90_000}, {"a"}), ({"ld": 90_000}, {"b", "d"})]
)
def test_the_plan_serves_the_loads_that_weigh_most(toy, weights, live):
    """At most 145 kW are served: of the sets of blocks that can live, that which sheds cheapest."""
    told = ", ".join(f"{load}={usd}" for load, usd in weights.items())
    scenario = load_study(toy, [f"objective.load_weights_usd={{{told}}}"]).scenario
    ids, shed = scenario.feeder.blocks.ids, scenario.shed_usd
    demand = dict(zip(ids, scenario.block_consumption_kw().tolist(), strict=True))
    able = [{"a"}, {"b"}, {"a", "b"}, {"b", "d"}, {"a", "b", "d"}]  # a path, DERs in a and b
    left = {
        frozenset(one): sum(shed[k] for k, name in enumerate(ids) if name not in one)
        for one in able
        if sum(demand[name] for name in one) <= 145.0
    }
    assert min(left, key=left.__getitem__) == live
    plan = make_planner("partitioning", {"max_served_kw": 145.0}).plan(scenario)
    assert {name for name, on in zip(ids, plan.energized[0], strict=True) if on} == live


def test_a_load_may_have_a_spread_of_its_own(toy):
    box = load_study(toy, ["uncertainty.spreads={lc=0.4}"]).scenario.uncertainty
    assert dict(zip(box.load_ids, box.spread.tolist(), strict=True)) == {"lb": 0.1, "lc": 0.4}
    drawn = draw(load_study(toy, ["uncertainty.spreads={lc=0.4}"]).scenario, 1, 0, 400)
    scenario = load_study(toy).scenario
    for name, half in (("lb", 0.1), ("lc", 0.4)):
        k = scenario.feeder.loads.ids.index(name)
        share = drawn.p_kw[:, 0, k].sum(axis=1) / scenario.load_p_kw[0, k].sum() - 1.0
        assert 0.95 * half < np.abs(share).max() <= half + 1e-12


def test_a_der_on_one_phase_carries_all_its_capacity_there(toy):
    study = load_study(toy, ["ders.fleet.west.phases=b", "ders.fleet.west.ramp=0.5"])
    west = study.scenario.ders.ids.index("west")
    assert study.scenario.ders.p_max_kw[west].tolist() == [0.0, 90.0, 0.0]
    assert study.scenario.ders.ramp_kw[west].tolist() == [0.0, 45.0, 0.0]
    assert study.scenario.ders.q_max_kvar[west].tolist() == [0.0, 67.5, 0.0]


def test_a_der_that_lacks_a_phase_follows(toy):
    ders = load_study(toy, ["ders.fleet.west.phases=b"]).scenario.ders
    assert ders.can_form.tolist() == [name != "west" for name in ders.ids]
    assert load_study(toy).scenario.ders.can_form.all()


def test_load_models_can_be_taken_from_the_feeder(toy):
    edited(toy.with_name("toy.dss"), "kW=20 kvar=5 model=1", "kW=20 kvar=5 model=2")
    study = load_study(toy, ["feeder.load_model=as_modelled"])
    position = study.scenario.feeder.loads.ids.index("lc")
    assert study.scenario.load_model[position] is LoadModel.CONSTANT_IMPEDANCE


def test_overrides_are_toml_literals_or_strings(toy):
    study = load_study(
        toy,
        ["uncertainty.spread=0.25", "campaign.judge=linear", 'uncertainty.loads=["LD"]',
         "ders.fleet.east.bus=d", "campaign.seed = 7"],
    )  # fmt: skip
    assert study.config.uncertainty.spread == 0.25
    assert study.config.campaign.judge == "linear"
    assert study.config.uncertainty.loads == ("ld",)
    assert study.config.ders.fleet["east"].bus == "d"
    assert study.config.campaign.seed == 7


# ------------------------------------------------------------------------------- shipped ones


def test_shipped_studies_are_listed_and_sound():
    names = {study.name for study in list_studies()}
    assert "ieee37-networked" in names
    for shipped in list_studies():
        assert shipped.title
        assert load_study(shipped.name).path == shipped.path


def test_the_networked_case_has_the_published_aggregates():
    scenario = load_study("ieee37-networked").scenario
    feeder, ders = scenario.feeder, scenario.ders
    assert len(feeder.loads.ids) == 30
    assert feeder.loads.p_kw.sum() == pytest.approx(2457.0)
    assert len(feeder.switch_ids) == 10
    assert len(ders.ids) == 7
    assert ders.p_max_kw.sum() == pytest.approx(2180.0)
    assert scenario.uncertainty.size == 6
    with_load = np.unique(feeder.block_of_load)
    assert len(with_load) == 7
    assert len(feeder.blocks.ids) == 8  # the eighth is the substation's, without load
    assert scenario.shed_usd.min() == 1000.0
    assert (scenario.shed_usd[with_load] > 10_000.0).all()
    ties = [k for k in ("729-742", "725-731", "725-741") if k in feeder.switch_ids]
    assert len(ties) == 3
    assert not any(feeder.lines.closed[feeder.lines.ids.index(k)] for k in ties)


def test_a_wheel_finds_its_studies_inside_the_package(tmp_path, monkeypatch):
    package = tmp_path / "site-packages" / "gridproof"
    (package / "configs" / "studies").mkdir(parents=True)
    monkeypatch.setattr(
        "gridproof.federation.studies.shipped.__file__",
        str(package / "federation" / "studies" / "shipped.py"),
    )
    assert shipped_root() == package / "configs"


def test_an_installation_without_studies_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "gridproof.federation.studies.shipped.__file__",
        str(tmp_path / "gridproof" / "federation" / "studies" / "shipped.py"),
    )
    with pytest.raises(ConfigError, match="install gridproof again"):
        shipped_root()


# -------------------------------------------------------------------------------- rebuilding


def test_a_resolved_study_reads_back_the_same(toy, tmp_path):
    study = load_study(toy, ["uncertainty.spread=0.2", "planner.gap=1e-3"])
    (tmp_path / "elsewhere").mkdir()
    path = tmp_path / "elsewhere" / "study.json"
    write_resolved(study, path)
    again = load_study(path)
    assert again.fingerprint == study.fingerprint
    assert again.scenario.digest() == study.scenario.digest()
    assert again.name == "toy"
    assert resolved_text(again) == path.read_text()


def test_a_shipped_feeder_stays_shipped_when_resolved(tmp_path):
    study = load_study("ieee37-networked")
    assert str(shipped_root()) not in resolved_text(study)
    write_resolved(study, tmp_path / "study.json")
    assert load_study(tmp_path / "study.json").fingerprint == study.fingerprint


def test_a_feeder_changed_behind_a_resolved_study_is_noticed(toy, tmp_path):
    write_resolved(load_study(toy), tmp_path / "study.json")
    edited(toy.with_name("toy.dss"), "kW=90", "kW=91")
    (fault,) = faults(tmp_path / "study.json")
    assert "changed since" in fault


@pytest.mark.parametrize(
    "text", ["", "[]", '{"format": "gridproof-study/9", "name": "a"}', "[feeder]"]
)
def test_a_json_no_run_wrote_is_refused(tmp_path, text):
    path = tmp_path / "study.json"
    path.write_text(text)
    (fault,) = faults(path)
    assert str(path) in fault


@pytest.mark.parametrize(
    "entry",
    [
        "federation.step_deadline_s=7", "federation.mode=local", "campaign.batch=3",
        "study.title=other",
    ],
)  # fmt: skip
def test_what_cannot_change_a_verdict_keeps_the_fingerprint(toy, entry):
    assert load_study(toy, [entry]).fingerprint == load_study(toy).fingerprint


@pytest.mark.parametrize(
    "entry",
    [
        "uncertainty.spread=0.11", "campaign.seed=2", "campaign.recourse=fixed",
        "campaign.judge=linear", "limits.v_min_pu=0.94", "ders.fleet.east.capacity_kw=241",
        "objective.load_weight_usd=11", "objective.block_weights_usd.b=9",
        "uncertainty.spreads.lb=0.2",
        "planner.gap=1e-3", "campaign.samples=41",
    ],
)  # fmt: skip
def test_what_can_change_a_verdict_changes_the_fingerprint(toy, entry):
    assert load_study(toy, [entry]).fingerprint != load_study(toy).fingerprint


def test_the_fingerprint_does_not_depend_on_where_the_feeder_lies(toy, tmp_path):
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("toy.dss", "toy.toml"):
        (moved / name).write_text((tmp_path / name).read_text())
    assert load_study(moved / "toy.toml").fingerprint == load_study(toy).fingerprint


# ---------------------------------------------------------------------------------- bad input


BAD = [
    # what it is, the override, then the parts its sentence must have
    ("unknown key", "uncertainty.sprad=0.1", ["uncertainty.sprad = 0.1", "did you mean spread?"]),
    ("unknown section", "uncertain.spread=0.1", ["[uncertain]", "did you mean uncertainty?"]),
    ("spread above 1", "uncertainty.spread=1.4",
     ["uncertainty.spread = 1.4 must lie in [0, 1]; 0.25 means ±25 %"]),
    ("spread below 0", "uncertainty.spread=-0.1", ["= -0.1 must lie in [0, 1]"]),
    ("spread NaN", "uncertainty.spread=nan", ["= nan must lie in [0, 1] and be finite"]),
    ("no samples", "campaign.samples=0", ["campaign.samples = 0 must lie in [1, 1000000000]"]),
    ("negative rating", "ders.fleet.east.capacity_kw=-5",
     ["ders.fleet.east.capacity_kw = -5 must be above 0", "in kW"]),
    ("NaN rating", "ders.fleet.east.capacity_kw=nan", ["capacity_kw = nan", "finite"]),
    ("negative line rating", "limits.line_rating_a=-400",
     ["= -400 must be above 0", "A per phase"]),
    ("missing bus", "ders.fleet.east.bus=z",
     ['east.bus = "z" is not a bus of feeder toy', "buses:"]),
    ("missing phase", "ders.fleet.east={bus='c', capacity_kw=9}",
     ['asks for phase b and c, which bus c does not have; the bus has "a"']),
    ("nobody forms", "ders.defaults.can_form=false",
     ["[ders] fleet holds no DER that can form an island", "can_form = true"]),
    ("cannot form", "ders.fleet.west={bus='d', capacity_kw=90, phases='b', can_form=true}",
     ["= true is not possible", 'feeds "b" only', "phase a and c", "false"]),
    ("nobody can form", "ders.defaults.phases=b",
     ["[ders] fleet holds no DER that can form an island", 'feeds "b" only', "all three phases"]),
    ("unknown load", 'uncertainty.loads=["lbb"]',
     ['= "lbb" is not a load of feeder toy; did you mean lb?']),
    ("spread of no load", "uncertainty.spreads.lbb=0.2",
     ["uncertainty.spreads.lbb = 0.2", "no load of feeder toy; did you mean lb?"]),
    ("spread of a certain load", "uncertainty.spreads.ld=0.2",
     ["uncertainty.spreads.ld = 0.2", "not uncertain; list it in [uncertainty] loads"]),
    ("spread of a load above 1", "uncertainty.spreads.lb=1.2",
     ["uncertainty.spreads.lb = 1.2 must be at most 1"]),
    ("weight of no block", "objective.block_weights_usd.c=9",
     ["objective.block_weights_usd.c = 9", "no block of feeder toy", "blocks:"]),
    ("weight of no load", "objective.load_weights_usd.lx=9",
     ["objective.load_weights_usd.lx = 9", "no load of feeder toy"]),
    ("negative weight", "objective.block_weights_usd.b=-9", ["block_weights_usd.b = -9"]),
    ("load twice", 'uncertainty.loads=["lb", "lb"]', ['"lb" is listed 2 times; list it once']),
    ("unknown switch", 'feeder.switches=["b-e"]', ['= "b-e" is not a line of feeder toy']),
    ("unknown locked", 'feeder.locked_open=["src_a"]', ['"src_a"', "did you mean src-a?"]),
    ("locked twice", 'feeder.locked_closed=["src-a"]', ['"src-a" is in locked_closed too']),
    ("missing feeder", "feeder.path=tou.dss", ['= "tou.dss" is neither a file beside the study']),
    ("band", "limits.v_min_pu=1.1", ["v_min_pu = 1.1 must lie below v_max_pu = 1.05"]),
    ("wrong word", "campaign.judge=dc", ['= "dc" must be one of', "'ac'", "'linear'"]),
    ("wrong type", "campaign.samples=many", ['= "many" must be a whole number']),
    ("planner option", "planner.gapp=1", ["planner.gapp = 1", "did you mean gap?"]),
    ("planner value", "planner.gap=-1", ["gap"]),
    ("planner family", "planner.family=partition", ['= "partition"', "partitioning"]),
    ("no form", "spread", ["is not of the form section.key=value"]),
]  # fmt: skip


@pytest.mark.parametrize(("override", "parts"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_a_bad_value_is_one_sentence_with_place_value_and_remedy(toy, override, parts):
    (fault,) = faults(toy, [override])
    assert str(toy) in fault
    for part in parts:
        assert part in fault
    assert "\n" not in fault


def test_every_fault_of_a_file_is_reported_at_once(toy):
    text = (
        toy.read_text()
        .replace("spread = 0.1", "spread = 1.4")
        .replace("samples = 40", "samples = 0")
    )
    text = text.replace('bus = "b"', 'bus = "z"').replace('"lb", "lc"', '"lb", "lx"')
    text = text.replace("capacity_kw = 90", "capacity_kw = -90\nramp = -1")
    text = text.replace("[campaign]", "[campaign]\nsead = 3") + "\n[federated]\na = 1\n"
    toy.write_text(text.replace('"a-b"', '"a_b"'))
    found = faults(toy, ["campaign.confidence=2", "limits.v_min_pu=nan"])
    wanted = [
        "[uncertainty] spread = 1.4", "[campaign] samples = 0", "[campaign] sead = 3",
        "[ders.fleet.west] capacity_kw = -90", "[ders.fleet.west] ramp = -1",
        "[ders.fleet.east] bus = \"z\"", "[uncertainty] loads[1] = \"lx\"", "[federated]",
        '[feeder] switches[0] = "a_b"', "campaign.confidence = 2", "limits.v_min_pu = nan",
    ]  # fmt: skip
    for part in wanted:
        assert sum(part in fault for fault in found) == 1, part
    assert len(found) == len(wanted)


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("bus1=c.1 ", "bus1=e.1 ", ["lc", "bus e"]),
        ("normamps=200", "normamps=-200", ["b-c", "-200", "positive"]),
        ("kW=20", "kW=nan", ["lc"]),
        ("bus1=c.1 ", "bus1=c.2 ", ["lc", "phase b", "bus c"]),
    ],
    ids=["load on a missing bus", "negative line rating", "NaN load", "load on a missing phase"],
)
def test_faults_inside_the_feeder_are_reported(toy, old, new, parts):
    edited(toy.with_name("toy.dss"), old, new)
    found = faults(toy, ["campaign.samples=0"])
    assert len(found) == 2  # the study's own fault beside the feeder's
    (fault,) = [fault for fault in found if "toy.dss" in fault]
    for part in parts:
        assert part in fault


def test_a_loop_no_switch_can_open_is_refused(toy):
    extra = "New Line.c-d bus1=c.1 bus2=d.1 linecode=one length=1 units=km normamps=200\nSet Vol"
    edited(toy.with_name("toy.dss"), "Set Vol", extra)
    load_study(toy)  # b-d can open it
    closed = ['feeder.switches=["a-b"]']
    load_study(toy, closed)  # a loop of lines is what its impedances make it
    (fault,) = faults(toy, [*closed, "limits.radial_blocks=true"])
    assert "loop" in fault
    assert "[feeder] switches" in fault or "--set feeder.switches" in fault
    assert "c-d" in fault


def test_malformed_toml_is_reported_with_its_line(toy):
    toy.write_text("[feeder]\npath = \n")
    (fault,) = faults(toy)
    assert str(toy) in fault
    assert "line 2" in fault


def test_a_binary_file_is_not_toml(toy):
    toy.write_bytes(b"\xff\xfe\x00")
    (fault,) = faults(toy)
    assert "UTF-8" in fault


def test_missing_sections_and_keys_are_named(toy):
    toy.write_text("[ders.fleet.one]\nbus = 7\n")
    found = faults(toy)
    assert any("[feeder] is missing; add it with at least: path" in fault for fault in found)
    assert any("[ders.fleet.one] capacity_kw is missing" in fault for fault in found)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("ieee37-networkd", "did you mean ieee37-networked?"),
        ("nowhere/x.toml", "no such file"),
        ("x.toml", "no such file"),
    ],
)
def test_a_study_that_is_not_there_is_named(name, part):
    (fault,) = faults(name)
    assert fault.startswith(name)
    assert part in fault


def test_a_resolved_study_is_plain_json(toy):
    document = json.loads(resolved_text(load_study(toy)))
    assert set(document) == {"format", "name", "fingerprint", "config"}


def test_the_price_of_slack_is_an_option_that_the_objective_may_state(toy, tmp_path):
    study = load_study(toy)
    assert study.config.planner.options["slack_usd_per_kw"] == 705.0
    dearer = load_study(toy, ["objective.slack_usd_per_kw=900.0"])
    assert dearer.config.planner.options["slack_usd_per_kw"] == 900.0
    assert dearer.scenario.digest() == study.scenario.digest()  # no fact of the scenario
    assert dearer.fingerprint != study.fingerprint
    write_resolved(dearer, tmp_path / "study.json")
    assert load_study(tmp_path / "study.json").fingerprint == dearer.fingerprint
    own = load_study(toy, ["planner.slack_usd_per_kw=900.0"])
    assert own.config.planner == dearer.config.planner
    (fault,) = faults(toy, ["planner.slack_usd_per_kw=800.0", "objective.slack_usd_per_kw=900.0"])
    assert "slack_usd_per_kw = 800.0 is 900 under [objective]; keep one of the two" in fault
    assert "slack_usd_per_kw" not in load_study("mv315-case4").config.planner.options


def test_a_margin_of_one_element_is_a_table_and_survives_the_resolved_file(tmp_path):
    entries = ["planner.ac_margin_at.der.der730=0.002"]
    study = load_study("ieee37-networked", entries)
    assert study.config.planner.options["ac_margin_at"] == {"der": {"der730": 0.002}}
    assert study.fingerprint != load_study("ieee37-networked").fingerprint
    write_resolved(study, tmp_path / "study.json")
    assert load_study(tmp_path / "study.json").fingerprint == study.fingerprint
    for wrong, said in (
        ("planner.ac_margin_at=3", "must be a table"),
        ("planner.ac_margin_at.pole.p1=0.01", "ac_margin_at.pole is not known"),
        ("planner.ac_margin_at.bus.b1=0.5", "must be a number in [0, 0.05) pu"),
    ):
        with pytest.raises(ConfigError) as caught:
            load_study("ieee37-networked", [wrong])
        assert said in str(caught.value)
