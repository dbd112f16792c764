"""What a snapshot shows, read of many realizations side by side (`simulator.opendss.measure`)."""

from __future__ import annotations

from typing import Any

import numpy as np
from gridproof.simulator.fast.loops import measure
from gridproof.simulator.opendss.circuit import ComplexArray
from gridproof.simulator.opendss.elements import Elements
from gridproof.simulator.opendss.snapshot import Held
from numpy.typing import NDArray
from scipy import sparse

__all__ = ["FastMeter"]


class FastMeter:
    """The products of a held plan's meter, and its magnitudes, in one pass.

    Parameters
    ----------
    elements, held
        Of the engine that holds the plan.
    """

    def __init__(self, elements: Elements, held: Held) -> None:
        products, live = held.meter.products, held.live_phases
        self._held, self._bus_nodes, self._base = held, elements.bus_nodes, elements.base_v
        self._transformers = elements.transformer_count
        matrices = (*products.ends, products.winding, products.network)
        self._matrices = tuple(_rows(matrix) for matrix in matrices)
        self._windings = products.wound, products.side, products.sides
        free = held.live_nodes.copy()
        free[products.source] = False
        self._nodes = np.flatnonzero(held.live_nodes), free, products.source
        base = elements.base_v[:, None]
        pairs = live & np.roll(live, -1, axis=1)
        self._buses = (
            elements.bus_nodes.ravel(),
            np.where(live, 1.0 / base, np.nan).ravel(),
            np.where(pairs, 1.0 / (base * elements.pair_base), np.nan).ravel(),
        )

    def __call__(self, x: ComplexArray) -> dict[str, NDArray[Any]]:
        """Read a batch: as `Meter.read`, with ``v_pu`` and ``v_ll_pu``."""
        count, buses = x.shape[1], len(self._bus_nodes)
        lines, held = len(self._matrices[0][0]) - 1, self._held
        widths = (3 * buses, 3 * buses, lines, self._transformers)
        v_pu, v_ll_pu, current, transformer = (np.empty((count, width)) for width in widths)
        supplied = np.empty((len(self._nodes[2]), count), complex)
        losses, drawn = np.empty(count), np.empty(count)
        told = self._matrices, self._windings, self._nodes, self._buses
        measure(x, *told, (v_pu, v_ll_pu, current, transformer, supplied, losses, drawn))
        neutral = v_pu.reshape(count, buses, 3)
        if len(held.centres.bus):  # counted from where the neutral would be
            floating = np.abs(held.centres.counted(x[self._bus_nodes]))
            floating /= self._base[held.centres.bus, None, None]
            floating[~held.live_phases[held.centres.bus]] = np.nan
            neutral[:, held.centres.bus] = np.moveaxis(floating, -1, 0)
        return {
            "v_pu": neutral,
            "v_ll_pu": v_ll_pu.reshape(count, buses, 3),
            "current_a": current.reshape(count, -1, 3),
            "transformer_kva": transformer,
            "source_kva": supplied,
            "losses_kw": losses,
            "consumed_kw": drawn,
        }


def _rows(matrix: sparse.csr_array) -> tuple[NDArray[Any], ...]:
    """Start of each row, columns ascending, real and imaginary parts."""
    ordered = sparse.csr_array(matrix, dtype=complex)
    ordered.sort_indices()
    parts = ordered.data.real, ordered.data.imag
    return (
        ordered.indptr.astype(np.int64),
        ordered.indices.astype(np.int64),
        *(np.ascontiguousarray(part) for part in parts),
    )
