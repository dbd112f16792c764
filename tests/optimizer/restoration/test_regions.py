"""Regional bounds hold for every plan: none exceeds its core's share of a proven optimum."""

from collections import Counter

import numpy as np
import pytest
from gridproof.federation.papers.networks.mv_network import (
    MvNetwork,
    draw_failures,
    generate_network,
)
from gridproof.optimizer.restoration import regions
from gridproof.optimizer.restoration.isolation import isolate
from gridproof.optimizer.restoration.reconfiguration import build_reconfiguration
from gridproof.optimizer.solver.solve import solve_arrays
from gridproof.scenarios.graph import connected_components
from gridproof.scenarios.restoration import Outage
from gridproof.scenarios.restoration_scenario import with_failures


@pytest.mark.parametrize("seed", range(6))
def test_no_bound_cuts_the_optimum_off(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regions, "_CORE_BUSES", 15)
    network = generate_network(MvNetwork(seed=seed, buses=120, substations=4))
    names = draw_failures(network, seed, 7)
    case = Outage.of(with_failures(network, names, buried=3))
    isolation = isolate(case)
    program, columns = build_reconfiguration(case, isolation)
    arrays = program.arrays()
    answer, values = solve_arrays(arrays, gap=0.0)
    found = regions.regional_bounds(case, isolation, columns, arrays, time_limit_s=60.0)
    assert len(found) > 3
    for one in found:
        assert one.cost @ values[one.columns] >= one.bound - 1e-6
    owned = np.concatenate([one.columns for one in found])
    assert len(np.unique(owned)) == len(owned)  # no cost is counted twice
    total = arrays.constant + sum(one.bound for one in found)
    assert total >= answer.incumbent - 0.05 * abs(answer.incumbent)
    again, _ = solve_arrays(regions.with_bounds(arrays, found), gap=0.0)
    assert again.incumbent == pytest.approx(answer.incumbent, abs=1e-5)


def _zones_of_columns(case, isolation, columns):
    """Zone of each column that says how much of a bus is served, by search along closed lines."""
    safe = isolation.available[2] & ~case.substation
    held = isolation.closed[2] & safe[case.ends].all(axis=1)
    label = connected_components(len(safe), *case.ends[held].T)
    return dict(zip(columns.flow.share.tolist(), label[columns.buses].tolist(), strict=True))


@pytest.mark.parametrize("size", [1, 15])
@pytest.mark.parametrize("seed", [0, 1, 3])
def test_cores_begin_with_the_largest_zone_and_grow_until_they_have_their_size(
    seed: int, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(regions, "_CORE_BUSES", size)
    network = generate_network(MvNetwork(seed=seed, buses=60, substations=3))
    case = Outage.of(with_failures(network, draw_failures(network, seed, 4), buried=2))
    isolation = isolate(case)
    program, columns = build_reconfiguration(case, isolation)
    found = regions.regional_bounds(case, isolation, columns, program.arrays(), time_limit_s=60.0)
    zone = _zones_of_columns(case, isolation, columns)
    cores = [Counter(zone[c] for c in one.columns.tolist() if c in zone) for one in found]
    largest = [max(core.values()) for core in cores]
    assert largest == sorted(largest, reverse=True)  # what a time limit cuts off is small
    assert sum(map(len, cores)) == len(set().union(*cores)) > 4
    for core in cores:  # it had not its size before its last zone came
        assert core.total() - max(core.values()) < size
    assert any(len(core) > 1 for core in cores) == (size == 15)
