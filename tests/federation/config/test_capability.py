"""A capability curve in a study: read, refused with point and remedy, silent where not stated."""

import numpy as np
import pytest
from gridproof.federation.studies.fingerprint import decisive
from gridproof.federation.studies.study import load_study
from gridproof.scenarios.errors import ConfigError

CURVE = (
    "[{p_kw = 0, q_min_kvar = -60, q_max_kvar = 90}, "
    "{p_kw = 120, q_min_kvar = -60, q_max_kvar = 60}, "
    "{p_kw = 240, q_min_kvar = -30, q_max_kvar = 0}]"
)
EAST = "ders.fleet.east."


def test_it_is_read_of_a_row_and_stands_in_for_the_reactive_limit(tmp_path, write_toy):
    toy = write_toy(tmp_path)
    ders = load_study(toy, [f"{EAST}capability={CURVE}"]).scenario.ders
    at, west = ders.ids.index("east"), ders.ids.index("west")
    p, low, high = ders.curves.of(at)
    assert (p.tolist(), low.tolist(), high.tolist()) == (
        [0.0, 120.0, 240.0], [-60.0, -60.0, -30.0], [90.0, 60.0, 0.0],
    )  # fmt: skip
    assert ders.q_min_kvar[at].tolist() == [-20.0] * 3
    assert ders.q_max_kvar[at].tolist() == [30.0] * 3
    assert ders.q_max_kvar[west].tolist() == pytest.approx([22.5] * 3)
    assert set(ders.half_planes.der.tolist()) == {at}


def test_each_phase_has_an_equal_part(tmp_path, write_toy):
    study = load_study(write_toy(tmp_path), [f"{EAST}capability={CURVE}", f'{EAST}phases="ac"'])
    at = study.scenario.ders.ids.index("east")
    planes = study.scenario.ders.half_planes
    first = np.flatnonzero((planes.der == at) & (planes.side > 0.0))[0]
    assert planes.slope[first] == pytest.approx(-0.25)
    assert planes.level[first].tolist() == [45.0, 0.0, 45.0]


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["[{p_kw = 0, q_min_kvar = -1, q_max_kvar = 1}]"], "it has 1 point; give two or more"),
        (
            [CURVE.replace("q_max_kvar = 60", "q_max_kvar = 40")],
            "q_max_kvar = 40 at p_kw = 120 lies below the straight line from p_kw = 0 to 240",
        ),
        ([CURVE.replace("p_kw = 0,", "p_kw = 10,")], "begins at p_kw = 10; minimum_kw = 0"),
        ([CURVE.replace("p_kw = 240", "p_kw = 200")], "ends at p_kw = 200; capacity_kw = 240"),
        ([CURVE, "reactive_limit=0.5"], "capability and reactive_limit = 0.5 both"),
        (
            [CURVE, "unlike_phases=true", "rating_kva=300"],
            "ends at p_kw = 240; rating_kva = 300 lies outside: add a point at 300",
        ),
        ([CURVE, "storage={energy_kwh = 100}"], "begins at p_kw = 0; -capacity_kw = -240"),
        (['"wide"'], "capability"),
        (["[{p_kw = 0, q_kvar = 5}]"], "capability: 0.q_min_kvar is missing; it states the least"),
        (["[{p_kw = 0, q_kvar = 5}]"], "capability: 0.q_kvar = 5 is not a known key"),
    ],
)
def test_what_is_no_capability_is_refused(tmp_path, write_toy, overrides, told):
    sets = [f"{EAST}capability={overrides[0]}", *(EAST + one for one in overrides[1:])]
    with pytest.raises(ConfigError, match="east") as caught:
        load_study(write_toy(tmp_path), sets)
    assert told in str(caught.value)
    assert "toy.toml" in str(caught.value)
    assert "capability" in str(caught.value)


def test_a_storage_has_one_from_full_charge_on(tmp_path, write_toy):
    curve = CURVE.replace("p_kw = 0", "p_kw = -240").replace("p_kw = 120", "p_kw = 10")
    sets = [f"{EAST}capability={curve}", f"{EAST}storage={{energy_kwh = 100}}"]
    ders = load_study(write_toy(tmp_path), sets).scenario.ders
    assert ders.curves.of(ders.ids.index("east"))[0].tolist() == [-240.0, 10.0, 240.0]


def test_a_substation_behind_the_fleet_has_none(tmp_path, write_toy):
    sets = [f"{EAST}capability={CURVE}", "feeder.locked_open=[]"]
    ders = load_study(write_toy(tmp_path), sets).scenario.ders
    assert ders.is_substation.tolist() == [False, False, True]
    assert set(ders.half_planes.der.tolist()) == {ders.ids.index("east")}


def test_a_study_that_states_none_is_what_it_was(tmp_path, write_toy):
    study = load_study(write_toy(tmp_path))
    rows = decisive(study.config)["ders"]["fleet"]
    assert all("capability" not in row for row in rows.values())
    other = load_study(write_toy(tmp_path), [f"{EAST}capability={CURVE}"])
    assert other.fingerprint != study.fingerprint
    assert other.scenario.digest() != study.scenario.digest()
    assert len(decisive(other.config)["ders"]["fleet"]["east"]["capability"]) == 3
