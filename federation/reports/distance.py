"""How far each bus is from the DER that forms its island, as impedance of the path."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray
from gridproof.scenarios.feeder import Feeder
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.scenario import Scenario
from gridproof.simulator.islands import live_components
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra

__all__ = ["Distances", "electrical_distances"]

_BASE_MVA = 1.0
_LEAST_PU = 1e-9  # a jumper of no impedance is still an edge


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Distances:
    """Electrical distance of every live bus.

    Attributes
    ----------
    ohm
        (bus,) least sum of positive-sequence impedance magnitudes along a live path, Ω at
        the voltage level of the grid-forming DER; NaN where the bus is dead.
    island
        (bus,) number of the island, -1 where dead.
    toward
        (bus,) next bus of that path, -1 at the grid-forming DER and where dead.
    forming
        (island,) id of the first grid-forming DER of each island.
    """

    ohm: FloatArray
    island: IntArray
    toward: IntArray
    forming: tuple[str, ...]


def electrical_distances(scenario: Scenario, plan: Plan, time: int = 0) -> Distances:
    """Measure every live bus from the grid-forming DER of its island.

    Parameters
    ----------
    scenario, plan
        Whose closed conductors make the paths.
    time
        The step.
    """
    feeder, ders = scenario.feeder, scenario.ders
    islands = live_components(scenario, plan, time)
    count = len(feeder.buses.ids)
    one, other, weight = _edges(feeder, islands.closed)
    graph = coo_array((weight, (one, other)), shape=(count, count)).tocsr()
    sources = [int(ders.bus[formers[0]]) for formers in islands.formers if formers]
    names = tuple(ders.ids[formers[0]] for formers in islands.formers if formers)
    if not sources:
        nothing = np.full(count, -1)
        return Distances(ohm=np.full(count, np.nan), island=nothing, toward=nothing, forming=names)
    length, toward, origin = dijkstra(
        graph, directed=False, indices=sources, min_only=True, return_predecessors=True
    )
    reached = np.isfinite(length) & (islands.of_bus >= 0)
    number = {bus: k for k, bus in enumerate(sources)}
    island = np.array([number.get(int(bus), -1) for bus in origin])
    island[~reached] = -1
    base_ohm = 3.0 * feeder.buses.base_kv[sources] ** 2 / _BASE_MVA
    return Distances(
        ohm=np.where(reached, length * base_ohm[island], np.nan),
        island=island,
        toward=np.where(reached & (toward >= 0), toward, -1),
        forming=names,
    )


def _edges(feeder: Feeder, closed: BoolArray) -> tuple[IntArray, IntArray, FloatArray]:
    """List ends and per-unit lengths of every closed line and of every transformer."""
    lines, units = feeder.lines, feeder.transformers
    shut = np.flatnonzero(closed)
    base_ohm = 3.0 * feeder.buses.base_kv[lines.from_bus[shut]] ** 2 / _BASE_MVA
    ohm = np.array([_positive_sequence(lines.r_ohm[k] + 1j * lines.x_ohm[k]) for k in shut])
    of_lines = np.abs(ohm) / base_ohm if len(shut) else np.zeros(0)
    of_units = np.hypot(units.r_pu, units.x_pu) * _BASE_MVA * 1e3 / units.rating_kva
    # of parallel conductors the shortest counts; a sparse matrix would add them up
    shortest: dict[tuple[int, int], float] = {}
    ends = zip(
        np.concatenate([lines.from_bus[shut], units.from_bus]).tolist(),
        np.concatenate([lines.to_bus[shut], units.to_bus]).tolist(),
        np.concatenate([of_lines, of_units]).tolist(),
        strict=True,
    )
    for one, other, value in ends:
        pair = (min(one, other), max(one, other))
        shortest[pair] = min(shortest.get(pair, np.inf), max(value, _LEAST_PU))
    pairs = np.array(list(shortest), np.int64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1], np.array(list(shortest.values()), float)


def _positive_sequence(impedance: FloatArray) -> complex:
    """``z_1 = mean(z_self) - mean(z_mutual)`` over the phases there are."""
    own = np.diag(impedance)
    there = np.abs(own) > 0.0
    phases = int(there.sum())
    if phases == 0:
        return 0.0j
    mutual = impedance[np.ix_(there, there)].sum() - own[there].sum()
    pairs = phases * (phases - 1)
    return complex(own[there].mean() - (mutual / pairs if pairs else 0.0))
