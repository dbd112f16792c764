"""The generated networks: one per seed, radial, within limits, and back from their files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from gridproof.federation.families.restoration_files import (
    read_devices,
    read_network,
    write_network,
)
from gridproof.federation.papers.networks.mv_network import (
    MvNetwork,
    draw_failures,
    generate_network,
)
from gridproof.scenarios.devices import Device
from gridproof.scenarios.errors import ConfigError
from gridproof.scenarios.graph import connected_components, has_cycle
from gridproof.scenarios.restoration import Outage
from gridproof.scenarios.restoration_faults import isolated_buses
from gridproof.scenarios.restoration_scenario import with_failures
from gridproof.scenarios.scenario import Scenario

SHIPPED = Path(__file__).parents[3] / "configs" / "feeders" / "mv315"


def declared() -> Scenario:
    network = generate_network(MvNetwork(seed=1))
    return with_failures(network, draw_failures(network, 2, 15))


def test_the_declared_case_keeps_the_published_aggregates() -> None:
    case = Outage.of(declared())
    assert len(case.feeder.buses.ids) == 315 + 4
    assert case.substation.sum() == 4
    assert case.bus_demand()[0].sum() == pytest.approx(58_935.0, abs=1e-6)
    assert case.feeder.buses.base_kv[0] * np.sqrt(3) == pytest.approx(20.0)
    assert len(case.failed) == 15
    assert not case.devices.underground[case.failed].any()
    assert set(case.devices.device) == {
        (d, d) for d in (Device.MANUAL, Device.REMOTE, Device.RECLOSER, Device.BREAKER)
    }


def test_the_shipped_files_are_what_the_generator_writes(tmp_path: Path) -> None:
    write_network(declared(), tmp_path)
    for name in ("buses.csv", "lines.csv", "failures.csv", "mv315.dss"):
        assert (tmp_path / name).read_bytes() == (SHIPPED / name).read_bytes(), name


def test_reading_gives_the_network_back(tmp_path: Path) -> None:
    case = with_failures(declared(), ["l3", "t2"], buried=1)
    write_network(case, tmp_path / "mv315")
    assert read_network(tmp_path / "mv315").digest() == case.digest()
    again = read_devices(tmp_path / "mv315" / "lines.csv", case.feeder)
    assert again.device == case.devices.device


@pytest.mark.parametrize("buses", [8, 40, 315, 1000])
@pytest.mark.parametrize("seed", [1, 7])
def test_a_network_is_one_tree_per_substation_within_its_ratings(buses: int, seed: int) -> None:
    made = generate_network(MvNetwork(seed=seed, buses=buses, substations=0 if buses > 8 else 2))
    case = Outage.of(made)
    lines = case.feeder.lines
    tails, heads = lines.from_bus[lines.closed], lines.to_bus[lines.closed]
    label = connected_components(len(case.feeder.buses.ids), tails, heads)
    assert not has_cycle(len(label), tails, heads)
    assert not isolated_buses(case.feeder)
    assert len(np.unique(label)) == case.substation.sum()
    heads_of_feeders = case.substation[case.ends].any(axis=1) & lines.closed
    assert all(
        case.devices.device[k][0] is Device.BREAKER for k in np.flatnonzero(heads_of_feeders)
    )


def test_a_seed_names_a_network_and_another_seed_another() -> None:
    one, again, other = (generate_network(MvNetwork(seed=s, buses=60)) for s in (5, 5, 6))
    assert one.digest() == again.digest() != other.digest()
    assert draw_failures(one, 3, 4) == draw_failures(again, 3, 4) != draw_failures(one, 4, 4)


def test_more_than_can_fail_or_carry_is_refused() -> None:
    network = generate_network(MvNetwork(seed=5, buses=60))
    with pytest.raises(ValueError, match="61 failures asked for"):
        draw_failures(network, 1, 61)
    with pytest.raises(ValueError, match="fewer buses per feeder or less reserve"):
        generate_network(MvNetwork(seed=5, buses=60, demand_kw=400_000.0))
    with pytest.raises(ValueError, match=r"remote = 2 must lie.*reserve = 0.5"):
        MvNetwork(seed=1, remote=2, reserve=0.5)


def test_bad_tables_are_reported_whole(tmp_path: Path) -> None:
    write_network(declared(), tmp_path)
    text = (tmp_path / "lines.csv").read_text()
    rows = text.splitlines()
    rows[1] = rows[1].replace(",ss1,", ",nowhere,").replace("breaker,breaker", "fuse,breaker")
    rows[2] = rows[2].replace(",overhead,", ",buried,").replace(",underground,", ",buried,")
    fields = rows[3].split(",")
    rows[3] = ",".join([*fields[:3], "much", *fields[4:]])
    (tmp_path / "lines.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "failures.csv").unlink()
    with pytest.raises(ConfigError) as caught:
        read_network(tmp_path)
    message = str(caught.value)
    for piece in ("'nowhere'", "'fuse'", "'buried'", "'much'", "failures.csv: no such file"):
        assert piece in message
    (tmp_path / "lines.csv").write_text(text.rsplit("\n", 2)[0] + "\n")
    with pytest.raises(ConfigError, match="in the feeder alone"):
        read_devices(tmp_path / "lines.csv", declared().feeder)
