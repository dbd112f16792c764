"""A power factor in a study: read, refused where it means nothing, and silent where not stated."""

import numpy as np
import pytest
from gridproof.federation.studies.fingerprint import decisive
from gridproof.federation.studies.study import load_study
from gridproof.scenarios.errors import ConfigError


def test_it_is_read_of_the_defaults_and_of_a_row(tmp_path, write_toy):
    toy = write_toy(tmp_path)
    free = load_study(toy)
    ids = free.scenario.ders.ids
    assert free.scenario.ders.q_per_p is None
    every = load_study(toy, ["ders.defaults.power_factor=0.9"]).scenario.ders.q_per_p
    np.testing.assert_allclose(every, 0.4843221048, rtol=1e-9)
    one = load_study(toy, [f"ders.fleet.{ids[0]}.power_factor=1.0"]).scenario.ders.q_per_p
    assert one.tolist() == [0.0, *[np.inf] * (len(ids) - 1)]


@pytest.mark.parametrize("value", ["0", "1.1", "-0.9", '"lagging"'])
def test_what_is_no_power_factor_is_refused(tmp_path, write_toy, value):
    with pytest.raises(ConfigError, match="power_factor"):
        load_study(write_toy(tmp_path), [f"ders.defaults.power_factor={value}"])


def test_a_study_that_states_none_is_what_it_was(tmp_path, write_toy):
    study = load_study(write_toy(tmp_path))
    rows = decisive(study.config)["ders"]
    assert "power_factor" not in rows["defaults"]
    assert all("power_factor" not in row for row in rows["fleet"].values())
    other = load_study(write_toy(tmp_path), ["ders.defaults.power_factor=0.9"])
    assert other.fingerprint != study.fingerprint
    assert decisive(other.config)["ders"]["defaults"]["power_factor"] == 0.9
