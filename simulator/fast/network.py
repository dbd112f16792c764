"""The held circuit as a network that is solved: its matrix, its sources, and what draws from it.

The matrix is of the primitive admittances that OpenDSS compiled, those that currents are measured
with; a source is its electromotive force behind its own impedance; loads and DERs are slots, each
between two nodes or a node and earth, with the model that OpenDSS gives it. The flow is found by
a chord method: ``(Y + K) v = i(v) + K v``, where ``K`` is the slope of what the slots draw at the
held plan's nominal state. So one factorization serves all realizations, and the steps shrink by
what the slopes of a realization differ from these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray
from gridproof.scenarios.lanes import LANES
from gridproof.scenarios.load_models import LoadModel
from gridproof.simulator.fast.factors import Factors, order_of
from gridproof.simulator.fast.loops import solve
from gridproof.simulator.fast.room import Room
from gridproof.simulator.opendss.circuit import ComplexArray
from gridproof.simulator.opendss.loads import V_MAX_PU, V_MIN_PU
from scipy import sparse

__all__ = ["TOLERANCE", "Network", "Slots", "Solved", "Sources"]

TOLERANCE = 1e-10
"""Last step of a node voltage, pu, that counts as settled."""

TRUSTED_PU = (0.7, V_MAX_PU - 1e-6)
"""Voltage of a load or DER, of its rated one, between which a solution is believed to be the one
that OpenDSS finds. Above, the load's model switches; below there may be another solution."""

assert TRUSTED_PU[0] > V_MIN_PU

_CONSTANT, _POLYNOMIAL, _POWERS = 0, 1, 2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Slots:
    """What draws power: loads first, DERs that follow after them with their powers negative.

    Attributes
    ----------
    loads
        How many of the slots are loads.
    plus, minus
        (slot,) nodes; 0 is earth.
    share
        (slot,) of the power told that it takes, in VA for each kVA.
    column
        (slot,) which of the powers told.
    rated_v
        (slot,) volt.
    model
        (slot,) how it follows its voltage.
    base_va
        (slot,) complex power at the nominal state and rated voltage.
    """

    loads: int
    plus: IntArray
    minus: IntArray
    share: FloatArray
    column: IntArray
    rated_v: FloatArray
    model: tuple[LoadModel, ...]
    base_va: ComplexArray

    def terms(self) -> tuple[IntArray, FloatArray]:
        """(slot,) kind, and (slot, 6) coefficients by exponent 0, 1, 2 of active, then reactive.

        Of the kind that follows by another power: the exponents, at 0 and at 3.
        """
        known = {model: _terms_of(model) for model in set(self.model)}
        kind = np.array([known[model][0] for model in self.model], np.int64)
        return kind, np.array([known[model][1] for model in self.model], float).reshape(-1, 6)


def _terms_of(model: LoadModel) -> tuple[int, list[float]]:
    told = (model.active, model.reactive)
    if any(exponent not in (0.0, 1.0, 2.0) for side in told for _, exponent in side):
        (_, a), (_, b) = model.active[0], model.reactive[0]
        return _POWERS, [a, 0.0, 0.0, b, 0.0, 0.0]
    terms = [0.0] * 6
    for place, side in enumerate(told):
        for share, exponent in side:
            terms[3 * place + int(exponent)] += share
    return (_CONSTANT if terms == [1.0, 0.0, 0.0] * 2 else _POLYNOMIAL), terms


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sources:
    """What holds voltages.

    Attributes
    ----------
    node, current, admittance
        (source, 3) nodes and currents of 1 pu, (source, 3, 3) siemens.
    told
        (source node,) nodes at which what loads take is told.
    """

    told: IntArray
    node: IntArray
    current: ComplexArray
    admittance: ComplexArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Solved:
    """Some realizations, solved.

    Attributes
    ----------
    blocks
        (block, position, 2 · lanes) voltages, volt, real parts, then imaginary ones; the last
        position is earth.
    converged, trusted, steps
        (realization,) whether it settled, whether every load stands where its model is known to
        hold, and the steps taken.
    asked_kw, near_kw
        (realization,) what loads ask for at their voltages: all, and those at sources' nodes.
    near_kva
        (source node, realization) what the latter take there.
    """

    blocks: FloatArray
    converged: BoolArray
    trusted: BoolArray
    steps: IntArray
    asked_kw: FloatArray
    near_kw: FloatArray
    near_kva: ComplexArray


class Network:
    """A network that was factored once, to be solved for many realizations.

    Parameters
    ----------
    admittance
        (1 + node, 1 + node) of lines, transformers and shunts, siemens.
    live
        (1 + node,) energised nodes.
    sources, slots
        What stands at them.
    base
        (1 + node,) voltages of the nominal state, volt: where slopes are taken, and the start.
    room
        Where solved voltages are put.
    """

    def __init__(
        self,
        admittance: sparse.csr_array,
        live: BoolArray,
        sources: Sources,
        slots: Slots,
        base: ComplexArray,
        *,
        room: Room,
    ) -> None:
        at = np.flatnonzero(live)
        place = np.full(len(live), -1)
        place[at] = np.arange(len(at))
        slope = _slopes(slots, base)
        rows, columns, blocks = _entries(admittance, at, place, sources, slots, slope)
        pattern = sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=(len(at),) * 2)
        asked = np.isin(at, np.concatenate([slots.plus, slots.minus, sources.node.ravel()]))
        order = order_of(pattern, asked)
        position = np.empty(len(at), np.int64)
        position[order.node] = np.arange(len(at))
        factors = Factors.of(order, position[rows], position[columns], blocks)

        def positions(nodes: IntArray) -> IntArray:
            inside = position[np.maximum(place[nodes], 0)] if len(at) else np.zeros_like(nodes)
            return np.where(place[nodes] >= 0, inside, len(at))

        self.position = positions(np.arange(len(live)))
        self._place = at[order.node]
        plus, minus, forming = (
            positions(nodes) for nodes in (slots.plus, slots.minus, sources.node)
        )
        drawn = np.unique(np.concatenate([plus, minus]))
        drawn = drawn[drawn < len(at)]
        self._network = (
            self._swept(factors, drawn, forming),
            self._slots_of(slots, plus, minus, slope),
            (forming.ravel(), *_parts(sources.current.ravel())),
            _started(np.append(base[self._place], 0.0)),
            drawn,
            (*((edge * slots.rated_v) ** 2 for edge in TRUSTED_PU), TOLERANCE),
        )
        self._sources = len(sources.told)
        self._own, self._room = _own_room(len(at) + 1, len(slots.plus), forming.size), room
        self._near = tuple(
            _among(sources.told, end[: slots.loads]) for end in (slots.plus, slots.minus)
        )

    @staticmethod
    def _slots_of(slots: Slots, plus: IntArray, minus: IntArray, slope: FloatArray) -> Any:
        kind, terms = slots.terms()
        return plus, minus, kind, slots.share, terms, 1.0 / slots.rated_v**2, slope, slots.column

    def _swept(self, factors: Factors, drawn: IntArray, forming: IntArray) -> Any:
        """Put the factors into the order in which they are walked."""
        count = len(self._place)
        driven, wanted = np.zeros(count, bool), np.zeros(count, bool)
        driven[drawn] = wanted[drawn] = True
        driven[forming.ravel()] = True
        start, at, lower, works = factors.without_idle(driven)
        upper = factors.upper_start, factors.upper_at, factors.upper, factors.inverse
        return start, at, lower, works, *upper, factors.wanted_rows(wanted)

    def solve(self, p_kw: FloatArray, q_kvar: FloatArray, v_pu: FloatArray) -> Solved:
        """Solve realizations.

        Parameters
        ----------
        p_kw, q_kvar
            (realization, what is told): loads, then DERs that follow.
        v_pu
            (realization, source).
        """
        count = len(p_kw)
        blocks = -(-count // LANES)
        volts = self._room.array((blocks, len(self._place) + 1, 2 * LANES))
        ended = np.zeros(count, bool), np.zeros(count, bool), np.zeros(count, np.int64)
        asked, near = np.empty((2, blocks, LANES)), np.empty((2, self._sources, blocks, LANES))
        told = tuple(np.ascontiguousarray(one) for one in (p_kw, q_kvar, v_pu))
        solve(self._network, told, self._near, self._own, volts, ended, (asked, near))
        asked_kw = asked.reshape(2, -1)[:, :count] / 1e3
        taken = near.reshape(2, self._sources, -1)[:, :, :count] / 1e3
        return Solved(
            blocks=volts,
            converged=ended[0],
            trusted=ended[1],
            steps=ended[2],
            asked_kw=asked_kw[0],
            near_kw=asked_kw[1],
            near_kva=taken[0] + 1j * taken[1],
        )

    def volts(self, solved: Solved) -> ComplexArray:
        """(1 + node, realization) voltages; 0 where dead."""
        at = solved.blocks[:, self.position].reshape(-1, len(self.position), 2, LANES)
        parts = np.moveaxis(at, (2, 1, 0, 3), (0, 1, 2, 3))
        both = parts.reshape(2, len(self.position), -1)[:, :, : len(solved.steps)]
        return np.asarray(both[0] + 1j * both[1])


def _among(nodes: IntArray, ends: IntArray) -> IntArray:
    """Where each end stands among nodes; -1 where it does not, as earth never does."""
    if not len(nodes):
        return np.full(len(ends), -1)
    order = np.argsort(nodes)
    place = order[np.minimum(np.searchsorted(nodes, ends, sorter=order), len(nodes) - 1)]
    return np.where((nodes[place] == ends) & (ends > 0), place, -1)


def _started(volts: ComplexArray) -> Any:
    """Where voltages start, and one over their squares."""
    size = np.where(volts == 0.0, 1.0, np.abs(volts))
    return *_parts(volts), 1.0 / size**2


def _own_room(positions: int, slots: int, sources: int) -> Any:
    """Make what a block is solved in."""
    sizes = positions, positions, sources
    currents = tuple(np.zeros((size, 2 * LANES)) for size in sizes)
    return currents, np.zeros((slots, 2 * LANES)), np.ones(LANES), np.zeros(LANES, np.int64)


def _parts(values: ComplexArray) -> tuple[FloatArray, FloatArray]:
    return np.ascontiguousarray(values.real), np.ascontiguousarray(values.imag)


def _slopes(slots: Slots, base: ComplexArray) -> FloatArray:
    """(slot, 4) how the current a slot draws follows its voltage at the base, as a real block.

    ``i = (P(u) - jQ(u)) / conj(E)``: ``di = (P' - jQ') du / conj(E) - i conj(dE) / conj(E)``.
    """
    across = base[slots.plus] - base[slots.minus]
    size = np.abs(across)
    u = size / slots.rated_v
    p, q = slots.base_va.real, slots.base_va.imag
    rate = np.zeros((2, 2, len(u)))  # P and Q, and how each follows u
    for k, model in enumerate(slots.model):
        for side, told in enumerate((model.active, model.reactive)):
            for share, exponent in told:
                rate[side, 0, k] += share * u[k] ** exponent
                rate[side, 1, k] += share * exponent * u[k] ** (exponent - 1.0)
    back = 1.0 / np.conj(across)
    drawn = (p * rate[0, 0] - 1j * q * rate[1, 0]) * back
    along = (p * rate[0, 1] - 1j * q * rate[1, 1]) * back / (slots.rated_v * size)
    by_real = along * across.real - drawn * back
    by_imaginary = along * across.imag + 1j * drawn * back
    columns = (by_real.real, by_imaginary.real, by_real.imag, by_imaginary.imag)
    return np.stack(columns, axis=1)


def _entries(  # noqa: PLR0917
    admittance: sparse.csr_array,
    at: IntArray,
    place: IntArray,
    sources: Sources,
    slots: Slots,
    slope: FloatArray,
) -> tuple[IntArray, IntArray, FloatArray]:
    """Row, column and block of everything in the matrix, by places among the live nodes."""
    inside = sparse.coo_array(sparse.csr_array(admittance)[at][:, at])
    rows, columns, values = [inside.row], [inside.col], [_blocks(inside.data)]
    for nodes, Y in zip(place[sources.node], sources.admittance, strict=True):
        rows.append(np.repeat(nodes, 3))
        columns.append(np.tile(nodes, 3))
        values.append(_blocks(Y.ravel()))
    ends = place[slots.plus], place[slots.minus]
    for i, one in zip(ends, (1.0, -1.0), strict=True):
        for j, other in zip(ends, (1.0, -1.0), strict=True):
            there = (i >= 0) & (j >= 0)
            rows.append(i[there])
            columns.append(j[there])
            values.append(one * other * slope[there])
    row, column = (np.concatenate(part).astype(np.int64) for part in (rows, columns))
    return row, column, np.concatenate(values)


def _blocks(values: ComplexArray) -> FloatArray:
    """(entry, 4) real blocks of complex numbers."""
    return np.stack([values.real, -values.imag, values.imag, values.real], axis=1)
