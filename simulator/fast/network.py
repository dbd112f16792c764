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
from gridproof.scenarios.load_models import LoadModel
from gridproof.simulator.fast.factors import Factors, order_of
from gridproof.simulator.fast.loops import solve
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
    """What holds voltages: nodes (source, 3), current (source, 3) of 1 pu, admittance (…, 3, 3)."""

    node: IntArray
    current: ComplexArray
    admittance: ComplexArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Solved:
    """(1 + node, realization) volt; (realization,) converged, trusted, and steps taken."""

    volts: ComplexArray
    converged: BoolArray
    trusted: BoolArray
    steps: IntArray


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
    """

    def __init__(
        self,
        admittance: sparse.csr_array,
        live: BoolArray,
        sources: Sources,
        slots: Slots,
        base: ComplexArray,
    ) -> None:
        at = np.flatnonzero(live)
        place = np.full(len(live), -1)
        place[at] = np.arange(len(at))
        slope = _slopes(slots, base)
        rows, columns, blocks = _entries(admittance, at, place, sources, slots, slope)
        pattern = sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=(len(at),) * 2)
        order = order_of(pattern)
        position = np.empty(len(at), np.int64)
        position[order.node] = np.arange(len(at))
        factors = Factors.of(order, position[rows], position[columns], blocks)

        def positions(nodes: IntArray) -> IntArray:
            inside = position[np.maximum(place[nodes], 0)] if len(at) else np.zeros_like(nodes)
            return np.where(nodes > 0, inside, len(at))

        self._nodes = len(live)
        self._place = at[order.node]
        plus, minus, held = positions(slots.plus), positions(slots.minus), positions(sources.node)
        drawn = np.unique(np.concatenate([plus, minus]))
        self._drawn = drawn[drawn < len(at)]
        self._slots = self._slots_of(slots, plus, minus, slope)
        self._column = slots.column
        self._sources = held, *_parts(sources.current)
        start = np.append(base[self._place], 0.0)
        size = np.where(start == 0.0, 1.0, np.abs(start))
        self._base = *_parts(start), 1.0 / size**2
        self._limits = (
            (TRUSTED_PU[0] * slots.rated_v) ** 2,
            (TRUSTED_PU[1] * slots.rated_v) ** 2,
            TOLERANCE,
        )
        self._factors = self._swept(factors, held)

    @staticmethod
    def _slots_of(slots: Slots, plus: IntArray, minus: IntArray, slope: FloatArray) -> Any:
        kind, terms = slots.terms()
        return plus, minus, kind, slots.share, terms, 1.0 / slots.rated_v**2, slope

    def _swept(self, factors: Factors, held: IntArray) -> Any:
        """Put the factors into the order in which they are walked."""
        count = len(self._place)
        driven, wanted = np.zeros(count, bool), np.zeros(count, bool)
        driven[self._drawn] = wanted[self._drawn] = True
        driven[held.ravel()] = True
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
        found = (
            np.zeros((self._nodes, count), complex),
            np.zeros(count, bool),
            np.zeros(count, bool),
            np.zeros(count, np.int64),
        )
        power = np.ascontiguousarray(p_kw), np.ascontiguousarray(q_kvar), self._column
        told = self._factors, self._slots, self._sources, power, np.ascontiguousarray(v_pu)
        solve(*told, self._base, self._drawn, self._limits, self._place, found)
        return Solved(volts=found[0], converged=found[1], trusted=found[2], steps=found[3])


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
