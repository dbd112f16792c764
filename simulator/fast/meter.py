"""What a snapshot shows, read of many realizations side by side (`simulator.opendss.measure`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from gridproof.scenarios.arrays import FloatArray, IntArray
from gridproof.scenarios.limits import VoltageTest
from gridproof.scenarios.margins import Worst, counted_voltages, rated_a
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.scenario import Scenario
from gridproof.simulator.fast.reading import read
from gridproof.simulator.fast.room import Room
from gridproof.simulator.opendss.circuit import ComplexArray
from gridproof.simulator.opendss.elements import Elements
from gridproof.simulator.opendss.measure import Products
from gridproof.simulator.opendss.snapshot import Held
from numpy.typing import NDArray
from scipy import sparse

__all__ = ["FastMeter", "Readings"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Readings:
    """What is filled in, of all realizations of a batch: as a snapshot has it.

    ``source_kva`` (source node, realization) is what the network takes there.
    """

    v_pu: FloatArray
    v_ll_pu: FloatArray
    current_a: FloatArray
    transformer_kva: FloatArray
    source_kva: ComplexArray
    losses_kw: FloatArray
    worst: Worst

    @classmethod
    def of(cls, scenario: Scenario, count: int, sources: int, room: Room) -> Readings:
        """Make room for so many realizations and source nodes."""
        feeder = scenario.feeder
        return cls(
            v_pu=room.array((count, len(feeder.buses.ids), 3)),
            v_ll_pu=room.array((count, len(feeder.buses.ids), 3)),
            current_a=room.array((count, len(feeder.lines.ids), 3)),
            transformer_kva=room.array((count, len(feeder.transformers.ids))),
            source_kva=np.empty((sources, count), complex),
            losses_kw=np.empty(count),
            worst=Worst(margin=np.empty((count, 3)), place=np.empty((count, 3), np.int64)),
        )

    def rows(self, rows: slice) -> tuple[NDArray[Any], ...]:
        """Return views of some realizations, as `simulator.fast.reading.read` fills them in."""
        count = len(self.losses_kw[rows])
        phases = (self.v_pu, self.v_ll_pu, self.current_a)
        return (
            *(one[rows].reshape(count, -1) for one in phases),
            self.transformer_kva[rows],
            self.source_kva[:, rows],
            self.losses_kw[rows],
            self.worst.margin[rows],
            self.worst.place[rows],
        )


class FastMeter:
    """The products of a held plan's meter, its magnitudes, and its margins, in one pass.

    Parameters
    ----------
    elements, held
        Of the engine that holds the plan.
    scenario, plan
        Supply limits and ratings, and which buses are meant to live.
    position
        (1 + node,) where each node stands among what is solved; the last, earth, where it is dead.
    """

    def __init__(
        self, elements: Elements, held: Held, scenario: Scenario, plan: Plan, position: IntArray
    ) -> None:
        products, limits = held.meter.products, scenario.limits
        earth = int(position[0])
        pairs = limits.voltage_test is VoltageTest.LINE_TO_LINE
        held_at = position[products.source]
        rest = np.flatnonzero(np.diff(products.rest.indptr))
        self._looks = (
            _buses(elements, held, counted_voltages(plan, scenario, held.time), position),
            _centres(elements, held, position),
            (limits.v_min_pu, limits.v_max_pu, pairs),
            (
                tuple(_rows(one, position, earth) for one in products.ends),
                tuple(position[one] for one in products.nodes),
                rated_a(scenario).ravel(),
            ),
            _windings(products, scenario.feeder.transformers.rating_kva, position, earth),
            (_rows(products.rest[rest], position, earth), position[rest]),
            (_rows(products.network[products.source], position, earth), held_at),
        )

    def read(self, blocks: FloatArray, into: Readings, rows: slice) -> None:
        """Read solved blocks, as `Network.solve` leaves them, into some rows."""
        read(blocks, self._looks, into.rows(rows))


def _buses(elements: Elements, held: Held, counted: NDArray[Any], position: IntArray) -> Any:
    live, base = held.live_phases, elements.base_v[:, None]
    pairs = live & np.roll(live, -1, axis=1)
    return (
        position[elements.bus_nodes.ravel()],
        np.where(live, 1.0 / base, np.nan).ravel(),
        np.where(pairs, 1.0 / (base * elements.pair_base), np.nan).ravel(),
        np.ascontiguousarray(counted.ravel()),
    )


def _centres(elements: Elements, held: Held, position: IntArray) -> Any:
    """Which buses float, and what their magnitudes are counted from."""
    centres = held.centres
    which = np.full(len(elements.bus_nodes), -1)
    which[centres.bus] = np.arange(len(centres.bus))
    reference = position[elements.bus_nodes[centres.reference]].reshape(-1, 3)
    return which, reference, np.array(centres.weight), np.array(centres.scale)


def _windings(products: Products, rating: FloatArray, position: IntArray, earth: int) -> Any:
    rows = _rows(products.winding, position, earth)
    return rows, position[products.wound], products.side, products.sides, np.array(rating)


def _rows(matrix: sparse.csr_array, position: IntArray, earth: int) -> tuple[NDArray[Any], ...]:
    """Start of each row, positions, real and imaginary parts; what is at zero volts left out."""
    entries = sparse.coo_array(matrix)
    column = position[entries.col]
    works = column != earth
    shape = (matrix.shape[0], earth)
    there = (entries.row[works], column[works])
    ordered = sparse.csr_array((entries.data[works].astype(complex), there), shape=shape)
    ordered.sort_indices()
    parts = ordered.data.real, ordered.data.imag
    return (
        ordered.indptr.astype(np.int64),
        ordered.indices.astype(np.int64),
        *(np.ascontiguousarray(part) for part in parts),
    )
