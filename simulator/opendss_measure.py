"""From complex node voltages of a whole batch to what a snapshot holds, in sparse products.

Every sum over elements or conductors is a sparse product with the realizations as columns:
a column's additions then come in the same order whatever the batch's size, so the result of
a realization does not depend on its neighbours, to the last bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from scenarios.arrays import BoolArray, FloatArray, IntArray
from scenarios.feeder import LoadModel
from simulator.opendss_circuit import ComplexArray, DssCircuit

__all__ = ["Conductors", "LoadTable", "Meter"]

_EXPONENTS = {
    LoadModel.CONSTANT_POWER: (0, 0),
    LoadModel.CONSTANT_CURRENT: (1, 1),
    LoadModel.CONSTANT_IMPEDANCE: (2, 2),
    LoadModel.VOLTAGE_REDUCTION: (1, 2),
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Conductors:
    """Every conductor end of lines, transformers and shunts of the intact circuit.

    Attributes
    ----------
    admittance
        (conductor, 1 + node) rows of the primitive admittance matrices: currents into the
        elements, ampere, are ``admittance @ v``.
    node
        (conductor,) position of the conductor's node in the voltage vector; 0 is ground.
    element
        (conductor,) running number of its element: lines first, then transformers, then shunts.
    terminal
        (conductor,) 0 or 1.
    """

    admittance: sparse.csr_array
    node: IntArray
    element: IntArray
    terminal: IntArray

    @classmethod
    def of(cls, circuit: DssCircuit, handles: Sequence[Any], nodes: int) -> Conductors:
        """Read the primitive matrices of elements of a solved circuit with all of them closed."""
        rows, columns, values = [], [], []
        node, element, terminal = [], [], []
        count = 0
        for number, handle in enumerate(handles):
            refs, Y = circuit.node_refs(handle), circuit.yprim(handle)
            size = len(refs)
            rows.append(np.repeat(np.arange(count, count + size), size))
            columns.append(np.tile(refs, size))
            values.append(Y.ravel())
            node.append(refs)
            element.append(np.full(size, number))
            terminal.append(np.arange(size) // (size // circuit.terminals(handle)))
            count += size
        place = (_joined(rows), _joined(columns))
        flat = np.concatenate(values) if values else np.zeros(0, complex)
        flat = np.where(place[1] == 0, 0.0, flat)  # ground is at zero volts
        admittance = sparse.csr_array((flat, place), shape=(count, nodes + 1))
        admittance.eliminate_zeros()
        admittance.sort_indices()
        return cls(
            admittance=admittance,
            node=_joined(node),
            element=_joined(element),
            terminal=_joined(terminal),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LoadTable:
    """Where each load's slots stand and how it follows its voltage.

    Attributes
    ----------
    plus, minus
        (load, 3) nodes of the positive and negative end of each occupied slot; 0 is ground.
    share
        (load, 3) share of the load's power that each slot takes; 0 where it has none.
    rated_v
        (load,) voltage across a slot at which the nominal consumption holds, volt.
    model
        (load,) how the load follows its voltage.
    """

    plus: IntArray
    minus: IntArray
    share: FloatArray
    rated_v: FloatArray
    model: tuple[LoadModel, ...]

    @property
    def follows_voltage(self) -> bool:
        """Whether any load's power depends on its voltage."""
        return any(model is not LoadModel.CONSTANT_POWER for model in self.model)

    def asked_kva(self, x: ComplexArray, kw: FloatArray, kvar: FloatArray, at: IntArray) -> Any:
        """(load in ``at``, slot, realization) complex power asked for at the solved voltages.

        ``p = p0·(|v|/v0)^a``, ``q = q0·(|v|/v0)^b``; (a, b) is (0, 0), (1, 1), (2, 2) or
        (1, 2) for constant power, current, impedance, and voltage-reduction loads.

        Parameters
        ----------
        x
            (1 + node, realization) voltages, volt.
        kw, kvar
            (load, realization) nominal demand of every load.
        at
            Positions of the loads wanted.
        """
        across = np.abs(x[self.plus[at]] - x[self.minus[at]]) / self.rated_v[at, None, None]
        powers = np.array([_EXPONENTS[self.model[k]] for k in at]).reshape(-1, 2)
        p = _follow(kw[at][:, None, :], across, powers[:, 0])
        q = _follow(kvar[at][:, None, :], across, powers[:, 1])
        return (p + 1j * q) * self.share[at][:, :, None]


def _follow(nominal: FloatArray, across: FloatArray, exponent: IntArray) -> FloatArray:
    e = exponent[:, None, None]
    factor = np.where(e == 0, 1.0, np.where(e == 1, across, across * across))
    return np.asarray(nominal * factor)


def _joined(parts: Sequence[NDArray[Any]]) -> IntArray:
    return np.concatenate(parts).astype(np.int64) if parts else np.zeros(0, np.int64)


class Meter:
    """Products prepared for one switch state; `read` applies them to a batch.

    Parameters
    ----------
    conductors
        All conductor ends of the intact circuit.
    in_service
        (element,) false for open lines.
    live
        (1 + node,) which nodes are energised; ground is not.
    lines, transformers
        How many of the elements are lines, and how many then are transformers.
    line_slots
        (line, 2, 3) conductor at each end and phase; -1 where there is none.
    source_nodes
        (source, 3) nodes of the buses that hold the voltage.
    """

    def __init__(
        self,
        conductors: Conductors,
        *,
        in_service: BoolArray,
        live: BoolArray,
        lines: int,
        transformers: int,
        line_slots: IntArray,
        source_nodes: IntArray,
    ) -> None:
        count, nodes = conductors.admittance.shape
        works = in_service[conductors.element] & (live[conductors.node] | (conductors.node == 0))
        blank = sparse.csr_array((1, nodes), dtype=complex)  # where a missing phase looks
        matrix = sparse.diags_array(works.astype(float)) @ conductors.admittance
        self._current = sparse.csr_array(sparse.vstack([matrix, blank]))
        self._current.sort_indices()
        self._node = np.append(conductors.node, 0)
        self._lines, self._line_slots = lines, np.where(line_slots < 0, count, line_slots)
        held = np.zeros(nodes, bool)
        held[source_nodes] = True
        held[0] = True
        self._groups = _groups(conductors, held, lines, transformers, source_nodes)
        self._split = np.cumsum([source_nodes.size, 2 * transformers, 1])

    def read(self, x: ComplexArray) -> dict[str, NDArray[Any]]:
        """Currents and powers of a batch.

        Parameters
        ----------
        x
            (1 + node, realization) voltages, volt; C-ordered; ground and dead nodes at zero.

        Returns
        -------
        dict
            ``current_a`` (realization, line, 3); ``transformer_kva`` (realization,
            transformer); ``source_kva`` (source·3, realization) complex power the network
            takes out of the source nodes; ``losses_kw`` and ``consumed_kw`` (realization,):
            what stays in lines, transformers and shunts, and what leaves them at all other
            nodes (loads less injections).
        """
        current = self._current @ x
        power = x[self._node] * np.conj(current) / 1000.0
        sums = self._groups @ power
        source, sides, losses, consumed = np.split(sums, self._split)
        magnitude = np.abs(current)
        ends = magnitude[self._line_slots]  # (line, end, slot, realization)
        larger = np.maximum(ends[:, 0], ends[:, 1])
        kva = np.abs(sides).reshape(-1, 2, x.shape[1])
        return {
            "current_a": np.ascontiguousarray(np.moveaxis(larger, -1, 0)),
            "transformer_kva": np.ascontiguousarray(np.maximum(kva[:, 0], kva[:, 1]).T),
            "source_kva": source,
            "losses_kw": losses[0].real.copy(),
            "consumed_kw": -consumed[0].real,
        }


def _groups(
    conductors: Conductors, held: BoolArray, lines: int, transformers: int, source_nodes: IntArray
) -> sparse.csr_array:
    """Rows that add conductor powers up: sources, transformer sides, all, all but sources."""
    count = len(conductors.node)
    rows, columns = [], []
    for row, node in enumerate(source_nodes.ravel()):
        members = np.flatnonzero(conductors.node == node)
        rows.append(np.full(len(members), row))
        columns.append(members)
    base = source_nodes.size
    unit = conductors.element - lines
    members = np.flatnonzero((unit >= 0) & (unit < transformers))
    rows.append(base + 2 * unit[members] + conductors.terminal[members])
    columns.append(members)
    base += 2 * transformers
    for row, chosen in enumerate([np.ones(count, bool), ~held[conductors.node]]):
        members = np.flatnonzero(chosen)
        rows.append(np.full(len(members), base + row))
        columns.append(members)
    place = (_joined(rows), _joined(columns))
    shape = (base + 2, count + 1)
    groups = sparse.csr_array((np.ones(len(place[0]), complex), place), shape=shape)
    groups.sort_indices()
    return groups
