"""Restorations solved region by region: to the optimum of the whole, from cores of their size."""

from collections import Counter

import numpy as np
import pytest
from gridproof.federation.papers.networks.mv_network import (
    MvNetwork,
    draw_failures,
    generate_network,
)
from gridproof.optimizer.network.radiality import FORMULATIONS
from gridproof.optimizer.restoration import regions
from gridproof.optimizer.restoration.isolation import isolate
from gridproof.optimizer.restoration.reconfiguration import build_reconfiguration
from gridproof.optimizer.solver.places import with_bounds
from gridproof.optimizer.solver.solve import solve_arrays
from gridproof.optimizer.solver.solve_regions import solve_regions
from gridproof.scenarios.graph import connected_components
from gridproof.scenarios.proof import Termination
from gridproof.scenarios.restoration import Outage
from gridproof.scenarios.restoration_scenario import with_failures


def outage(seed: int, *, buses: int, substations: int, failures: int) -> Outage:
    network = generate_network(MvNetwork(seed=seed, buses=buses, substations=substations))
    names = draw_failures(network, seed, failures)
    return Outage.of(with_failures(network, names, buried=failures // 2))


@pytest.mark.parametrize("seed", range(6))
def test_what_is_proven_by_region_is_the_optimum_of_the_whole(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(regions, "_CORE_BUSES", 15)
    case = outage(seed, buses=120, substations=4, failures=7)
    isolation = isolate(case)
    program, columns = build_reconfiguration(case, isolation)
    arrays = program.arrays()
    answer, values = solve_arrays(arrays, gap=0.0)
    start = regions.as_it_stands(isolation, columns, arrays, time_limit_s=60.0)
    assert arrays.cost @ start + arrays.constant > answer.incumbent + 1.0
    places = regions.places_of(case, isolation, columns, len(arrays.cost))
    found = solve_regions(arrays, places, start, gap=1e-6)
    assert found.answer.termination is Termination.OPTIMAL
    assert found.answer.incumbent == pytest.approx(answer.incumbent, rel=1e-6)
    assert found.answer.bound <= answer.incumbent + 1e-6
    assert len(found.regions) > 3
    for one in found.regions:
        assert one.cost @ values[one.columns] >= one.bound - 1e-6
    owned = np.concatenate([one.columns for one in found.regions])
    assert len(np.unique(owned)) == len(owned)  # no cost is counted twice
    again, _ = solve_arrays(with_bounds(arrays, found.regions), gap=0.0)
    assert again.incumbent == pytest.approx(answer.incumbent, abs=1e-5)


@pytest.mark.parametrize("radiality", list(FORMULATIONS))
def test_columns_of_no_place_change_no_optimum(
    radiality: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(regions, "_CORE_BUSES", 4)
    case = outage(2, buses=30, substations=2, failures=3)
    isolation = isolate(case)
    program, columns = build_reconfiguration(case, isolation, radiality=radiality)
    arrays = program.arrays()
    answer, _ = solve_arrays(arrays, gap=0.0)
    start = regions.as_it_stands(isolation, columns, arrays, time_limit_s=60.0)
    places = regions.places_of(case, isolation, columns, len(arrays.cost))
    found = solve_regions(arrays, places, start, gap=1e-6)
    assert found.answer.bound <= answer.incumbent + 1e-6 <= found.answer.incumbent + 2e-6


@pytest.mark.parametrize("size", [1, 15])
@pytest.mark.parametrize("seed", [0, 1, 3])
def test_cores_begin_with_the_largest_zone_and_grow_until_they_have_their_size(
    seed: int, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(regions, "_CORE_BUSES", size)
    case = outage(seed, buses=60, substations=3, failures=4)
    isolation = isolate(case)
    program, columns = build_reconfiguration(case, isolation)
    places = regions.places_of(case, isolation, columns, program.size)
    zone = _zones_of_columns(case, isolation, columns)
    cores: dict[int, Counter] = {}
    for column, name in zone.items():
        place = places.tags[column, 0]
        if place >= 0:  # a substation's own load is nobody's
            cores.setdefault(int(places.core[place]), Counter())[name] += 1
    told = [cores[number] for number in sorted(cores)]
    largest = [max(core.values()) for core in told]
    assert largest == sorted(largest, reverse=True)
    assert sum(map(len, told)) == len(set().union(*told)) > 4
    for core in told:  # it had not its size before its last zone came
        assert core.total() - max(core.values()) < size
    assert any(len(core) > 1 for core in told) == (size == 15)


def _zones_of_columns(case, isolation, columns):
    """Zone of each column that says how much of a bus is served, by search along closed lines."""
    safe = isolation.available[2] & ~case.substation
    held = isolation.closed[2] & safe[case.ends].all(axis=1)
    label = connected_components(len(safe), *case.ends[held].T)
    return dict(zip(columns.flow.share.tolist(), label[columns.buses].tolist(), strict=True))
