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
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray
from gridproof.scenarios.load_models import LoadModel
from gridproof.simulator.opendss.circuit import ComplexArray, DssCircuit
from numpy.typing import NDArray
from scipy import sparse

__all__ = ["Conductors", "LoadTable", "Meter", "Products"]


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
        (conductor,) 0 or 1; of a service transformer's second leg 2.
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

    def at(self, places: IntArray) -> LoadTable:
        """Return the table of some of the loads."""
        return LoadTable(
            plus=self.plus[places],
            minus=self.minus[places],
            share=self.share[places],
            rated_v=self.rated_v[places],
            model=tuple(self.model[k] for k in places),
        )

    @property
    def follows_voltage(self) -> bool:
        """Whether any load's power depends on its voltage."""
        return any(model is not LoadModel.CONSTANT_POWER for model in self.model)

    def asked_kva(self, x: ComplexArray, kw: FloatArray, kvar: FloatArray, at: IntArray) -> Any:
        """(load in ``at``, slot, realization) complex power asked for at the solved voltages.

        ``p = p0·Σ c (|v|/v0)^a``, ``q = q0·Σ d (|v|/v0)^b`` with the load model's own terms.

        Parameters
        ----------
        x
            (1 + node, realization) voltages, volt.
        kw, kvar
            (load, realization) nominal demand of every load.
        at
            Positions of the loads wanted.
        """
        share = self.share[at][:, :, None]
        if not self.follows_voltage:
            return (kw[at] + 1j * kvar[at])[:, None, :] * share
        across = np.abs(x[self.plus[at]] - x[self.minus[at]]) / self.rated_v[at, None, None]
        models = [self.model[k] for k in at]
        p = _follow(kw[at][:, None, :], across, [model.active for model in models])
        q = _follow(kvar[at][:, None, :], across, [model.reactive for model in models])
        return (p + 1j * q) * share


def _follow(
    nominal: FloatArray, across: FloatArray, terms: Sequence[Sequence[tuple[float, float]]]
) -> FloatArray:
    """``nominal · Σ share · across^exponent``, the terms of every load."""
    total = np.zeros(across.shape)
    for n in range(max(map(len, terms), default=0)):
        share, exponent = np.array([row[n] if n < len(row) else (0.0, 0.0) for row in terms]).T
        e = exponent[:, None, None]
        factor = np.where(e == 0, 1.0, np.where(e == 1, across, across * across))
        other = np.flatnonzero(~np.isin(exponent, (0.0, 1.0, 2.0)))
        factor[other] = across[other] ** e[other]
        total += share[:, None, None] * factor
    return np.asarray(nominal * total)


def _joined(parts: Sequence[NDArray[Any]]) -> IntArray:
    return np.concatenate(parts).astype(np.int64) if parts else np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Products:
    """What a meter multiplies voltages with.

    Attributes
    ----------
    ends
        Currents at both ends of the lines, (line·3, 1 + node) each.
    nodes
        (line·3,) the node at each of these ends; 0 where there is none.
    winding, wound, side, sides
        (conductor, 1 + node) currents into transformers, the node each enters at, and ``sides``
        times the transformer's position plus its side.
    network
        (1 + node, 1 + node) what all elements take out of the nodes.
    rest
        (1 + node, 1 + node) what all takes out but the ends and windings above.
    source
        (source·3,) nodes that hold the voltage.
    """

    ends: tuple[sparse.csr_array, sparse.csr_array]
    nodes: tuple[IntArray, IntArray]
    winding: sparse.csr_array
    wound: IntArray
    side: IntArray
    sides: int
    network: sparse.csr_array
    rest: sparse.csr_array
    source: IntArray


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
    transformers
        How many of the elements are transformers; they follow the lines.
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
        transformers: int,
        line_slots: IntArray,
        source_nodes: IntArray,
    ) -> None:
        lines, nodes = len(line_slots), conductors.admittance.shape[1]
        works = in_service[conductors.element] & (live[conductors.node] | (conductors.node == 0))
        admittance = _pick(works.astype(float), np.arange(len(works))) @ conductors.admittance
        unit = conductors.element - lines
        wound = np.flatnonzero((unit >= 0) & (unit < transformers))
        ends = np.swapaxes(line_slots, 0, 1).ravel()  # end, line, phase
        into_nodes = _pick(np.ones(len(works)), conductors.node, nodes)
        half = len(ends) // 2
        self._ends = _rows(admittance, ends[:half]), _rows(admittance, ends[half:])
        self._winding = _rows(admittance, wound)
        self._net = sparse.csr_array(into_nodes @ admittance)
        self._net.sum_duplicates()
        self._counted = ends, wound  # conductors that have rows of their own
        self._node, self._all = conductors.node, admittance
        self._wound = conductors.node[wound]
        self._most = max(2, int(conductors.terminal[wound].max(initial=0)) + 1)
        side = self._side = self._most * unit[wound] + conductors.terminal[wound]
        self._sides = _pick(np.ones(len(wound), complex), side, self._most * transformers)
        self._source = source_nodes.ravel()
        free = live.copy()
        free[self._source] = False
        self._totals = sparse.csr_array(np.stack([live, free]).astype(float))

    @property
    def products(self) -> Products:
        """The matrices that are applied."""
        own = np.concatenate(self._counted)
        others = np.ones(len(self._node))
        others[own[own >= 0]] = 0.0
        ends = self._counted[0].reshape(2, -1)
        one, other = np.where(ends >= 0, self._node[ends], 0)
        return Products(
            ends=self._ends,
            nodes=(one, other),
            winding=self._winding,
            wound=self._wound,
            side=np.asarray(self._side),
            sides=self._most,
            network=self._net,
            rest=sparse.csr_array(_pick(others, self._node, self._net.shape[0]) @ self._all),
            source=self._source,
        )

    @property
    def network(self) -> sparse.csr_array:
        """(1 + node, 1 + node) admittance of what is measured, in service and live, siemens."""
        return self._net

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
        larger = np.abs(self._ends[0] @ x)  # one small product after another: the
        np.maximum(larger, np.abs(self._ends[1] @ x), out=larger)  # memory is used again
        power = x[self._wound] * np.conj(self._winding @ x)
        sides = np.abs(self._sides @ power).reshape(-1, self._most, x.shape[1]).max(axis=1)
        into = self._net @ x
        np.conj(into, out=into)
        into *= x
        into /= 1000.0
        totals = self._totals @ np.ascontiguousarray(into.real)
        return {
            "current_a": larger.T.reshape(x.shape[1], -1, 3),
            "transformer_kva": np.ascontiguousarray(sides.T) / 1e3,
            "source_kva": into[self._source],
            "losses_kw": totals[0].copy(),
            "consumed_kw": -totals[1],
        }


def _pick(values: NDArray[Any], row: IntArray, rows: int | None = None) -> sparse.csr_array:
    """Matrix with ``values[k]`` at (``row[k]``, ``k``)."""
    count = len(values)
    shape = (count if rows is None else rows, count)
    return sparse.csr_array((values, (row, np.arange(count))), shape=shape)


def _rows(matrix: sparse.csr_array, wanted: IntArray) -> sparse.csr_array:
    """Rows of a matrix in the order wanted; -1 gives a row of zeros."""
    there = np.flatnonzero(wanted >= 0)
    shape = (len(wanted), matrix.shape[0])
    chosen = sparse.csr_array((np.ones(len(there)), (there, wanted[there])), shape=shape)
    return chosen @ matrix
