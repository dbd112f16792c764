"""The state at a set's centre, the tangent there, and what rounding can have done to both.

Unknowns are the node voltages ``v`` and the currents ``i`` out of the electromotive forces::

    Y v - P i = Cᵀ c(C v)          Pᵀ v + Z i = e

with ``c`` the elements' currents. Written with ``i``, a source's impedance may be as small as it
likes. The derivative of ``c`` takes the conjugate of a voltage, so the tangent ``A`` acts on real
and imaginary parts. Every number that a proof uses comes as a row ``w ≈ f A⁻¹`` with the bound
``|f - w A|``, so that nothing is believed of a solver.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from gridproof.scenarios.arrays import FloatArray
from gridproof.simulator.opendss.network import IslandNetwork
from gridproof.simulator.proof.powers import Powers
from gridproof.simulator.proof.reach import UP, ComplexArray, Reach
from gridproof.simulator.proof.rows import Rows, block_of, blocks, empty_rows, norms, units
from scipy import sparse
from scipy.sparse.linalg import splu

__all__ = ["ROUNDING", "Tangent", "nominal_state"]

ROUNDING = 2.0**-40
"""Share of its size by which any element's power may be misread: rounding of kW to per unit, of a
draw's factors and of a recourse's products stays below."""

_STEPS = 30
_SETTLED = 1e-13  # pu, the last step of a state
_NEAR = 1e-6  # pu, from where on steps that do not shrink are rounding
_SMALLEST = 1e-3  # pu across an element; below, its current means nothing


def element_currents(
    network: IslandNetwork, base: ComplexArray, U: ComplexArray
) -> tuple[ComplexArray, ComplexArray, ComplexArray]:
    """Currents of the elements, and their derivatives by ``u`` and by its conjugate."""
    rated, size = network.drawing.rated_pu, np.abs(U)
    constant, linear, square = np.conj(base)
    unit = U / size
    current = constant / np.conj(U) + linear * unit / rated + square * U / rated**2
    by_u = linear / (2.0 * rated * size) + square / rated**2
    by_conjugate = -constant / np.conj(U) ** 2 - linear * unit**2 / (2.0 * rated * size)
    return current, by_u, by_conjugate


class _Equations:
    """The two lines of equations of one island."""

    def __init__(self, network: IslandNetwork) -> None:
        nodes, forming = len(network.node_at), network.forming
        sources = forming.node.size
        where = forming.node.ravel()
        P = sparse.csr_array(
            (np.ones(sources), (where, np.arange(sources))), shape=(nodes, sources)
        )
        Z = sparse.block_diag(list(forming.z_pu), format="csr") if sources else None
        self.M = sparse.csr_array(sparse.block_array([[network.Y, -P], [P.T, Z]]))
        across = network.drawing.across
        self.C = sparse.csr_array(
            sparse.hstack([across, sparse.csr_array((across.shape[0], sources))])
        )
        self.emf = np.concatenate([np.zeros(nodes), forming.emf_pu.ravel()])
        self.nodes = nodes


def realified(
    linear: sparse.csr_array, conjugate: sparse.csr_array | None = None
) -> sparse.csr_array:
    """``x ↦ L x + K conj(x)`` on real and imaginary parts."""
    found = sparse.block_array([[linear.real, -linear.imag], [linear.imag, linear.real]])
    if conjugate is not None:
        found = found + sparse.block_array(
            [[conjugate.real, conjugate.imag], [conjugate.imag, -conjugate.real]]
        )
    return sparse.csr_array(found)


def nominal_state(
    network: IslandNetwork, powers: Powers, start: ComplexArray | None = None
) -> ComplexArray | None:
    """Solve an island at a set's centre by Newton's method.

    Parameters
    ----------
    network, powers
        The island, and what its elements ask for.
    start
        (unknown,) a state near by; the engine's own nominal solution if not given.

    Returns
    -------
    (unknown,) voltages and source currents, per unit; None where the method does not settle.
    """
    equations = _Equations(network)
    y = _with_currents(network, network.v_pu) if start is None else start
    before = np.inf
    for _ in range(_STEPS):
        U = equations.C @ y
        if not np.isfinite(y).all() or (np.abs(U) < _SMALLEST).any():
            return None
        current, by_u, by_conjugate = element_currents(network, powers.base, U)
        mismatch = equations.M @ y - equations.C.T @ current - equations.emf
        A = _tangent(equations, by_u, by_conjugate)
        try:
            step = splu(sparse.csc_array(A)).solve(np.concatenate([mismatch.real, mismatch.imag]))
        except RuntimeError:  # exactly singular
            return None
        y = y - (step[: len(y)] + 1j * step[len(y) :])
        moved = float(np.abs(step).max(initial=0.0))
        # where only shunts of 1 ppm tie a part to earth, rounding moves its neutral for ever
        if moved <= _SETTLED or (moved < _NEAR and moved > before / 4.0):
            return np.asarray(y)
        before = moved
    return None


def _with_currents(network: IslandNetwork, v: ComplexArray) -> ComplexArray:
    forming = network.forming
    drop = forming.emf_pu - v[forming.node]
    currents = np.linalg.solve(forming.z_pu, drop[:, :, None])[:, :, 0]
    return np.concatenate([v, currents.ravel()])


def _tangent(
    equations: _Equations, by_u: ComplexArray, by_conjugate: ComplexArray
) -> sparse.csr_array:
    C = equations.C
    linear = equations.M - C.T @ sparse.diags_array(by_u) @ C
    conjugate = -(C.T @ sparse.diags_array(by_conjugate) @ C)
    return realified(sparse.csr_array(linear), sparse.csr_array(conjugate))


class Tangent:
    """The equations of an island about one state.

    Parameters
    ----------
    network, powers, reach
        The island, and its elements' powers over a set.
    y
        (unknown,) the state at the set's centre; what it misses the equations by is counted.
    block
        Functions whose rows are alive at once; by their size if not given.

    Attributes
    ----------
    U
        (element,) voltages across the elements.
    """

    def __init__(
        self,
        network: IslandNetwork,
        powers: Powers,
        reach: Reach,
        y: ComplexArray,
        block: int | None = None,
    ) -> None:
        self.network, self.powers, self.reach, self.y = network, powers, reach, y
        self.block = block or block_of(len(y))
        equations = self._equations = _Equations(network)
        self.U = equations.C @ y
        self._current, by_u, by_conjugate = element_currents(network, powers.base, self.U)
        self._by = np.abs(by_u) + np.abs(by_conjugate)
        A = self._A = _tangent(equations, by_u, by_conjugate)
        self._turned = sparse.csr_array(A.T)
        per_row = max(np.diff(A.indptr).max(initial=0), np.diff(self._turned.indptr).max(initial=0))
        self._few = (int(per_row) + 8) * 2.0**-52
        # of the transpose: rows are its columns; every row carries its error in `rest`
        self._lu = splu(sparse.csc_array(A.T), permc_spec="MMD_AT_PLUS_A")
        C = equations.C
        of_powers = self._of_powers()
        B = sparse.csr_array(C.T @ of_powers)
        self._B = sparse.csr_array(sparse.vstack([B.real, B.imag]))
        spread = abs(C.T) @ abs(of_powers).sum(axis=1)
        self._abs_B = np.concatenate([spread, spread])
        self._E = realified(sparse.csr_array(C.T.astype(complex)))
        self._missed = self._missed_by()

    @property
    def unknowns(self) -> int:
        """Complex unknowns: nodes and source currents."""
        return len(self.y)

    @property
    def across(self) -> sparse.csr_array:
        """(element, unknown) rows of the voltages across the elements."""
        return self._equations.C

    @cached_property
    def state(self) -> Rows:
        """Rows of the unknowns."""
        own = empty_rows(self.unknowns, self.reach.width, len(self.U), self.unknowns)
        every = sparse.csr_array(sparse.eye_array(self.unknowns, format="csr"))
        for part in blocks(self.unknowns, self.block):
            own.put(part, self._solved(every[part]))
        return own

    @cached_property
    def voltage(self) -> Rows:
        """Rows of the voltages across the elements."""
        return self.rows(self.across)

    def _of_powers(self) -> sparse.csr_array:
        """(element, coordinate) change of each element's current at an unchanged voltage."""
        rated, U = self.network.drawing.rated_pu, self.U
        by = (1.0 / np.conj(U), U / np.abs(U) / rated, U / rated**2)
        parts = [
            sparse.diags_array(one) @ sparse.csr_array(np.conj(slope))
            for one, slope in zip(by, self.powers.slope, strict=True)
        ]
        return sparse.csr_array(parts[0] + parts[1] + parts[2])

    def on_nodes(self, rows: sparse.csr_array) -> sparse.csr_array:
        """Widen rows over the nodes to rows over all unknowns."""
        sources = self.unknowns - rows.shape[1]
        return sparse.csr_array(sparse.hstack([rows, sparse.csr_array((rows.shape[0], sources))]))

    def on_currents(self) -> sparse.csr_array:
        """(former·3, unknown) rows of the source currents."""
        return sparse.csr_array(
            sparse.eye_array(self.unknowns, format="csr")[self._equations.nodes :]
        )

    def value(self, functions: sparse.csr_array) -> tuple[ComplexArray, FloatArray]:
        """Evaluate complex functions of the state at the set's centre, and bound the rounding.

        Currents are small differences of voltages times large admittances.
        """
        size = abs(functions) @ np.abs(self.y)
        return functions @ self.y, self._few * size

    def slopes(self, functions: sparse.csr_array) -> ComplexArray:
        """Take derivatives by ``ω``, (function, coordinate); nothing is bounded."""
        return np.asarray(functions @ self._moved)

    @cached_property
    def _moved(self) -> ComplexArray:
        """(unknown, coordinate) derivatives of the state."""
        found = self._lu.solve(self._B.toarray(), "T")
        return np.asarray(found[: self.unknowns] + 1j * found[self.unknowns :])

    def rows(self, functions: sparse.csr_array) -> Rows:
        """Express complex-linear functions of the state by what changes it.

        One that is an unknown has that unknown's row.
        """
        unknown = units(functions)
        known, other = np.flatnonzero(unknown >= 0), np.flatnonzero(unknown < 0)
        if not len(other):
            return self.state.at(unknown)
        own = empty_rows(len(unknown), self.reach.width, len(self.U), self.unknowns)
        if len(known):
            own.put(known, self.state.at(unknown[known]))
        for part in blocks(len(other), self.block):
            own.put(other[part], self._solved(functions[other[part]]))
        return own

    def _solved(self, functions: sparse.csr_array) -> Rows:
        """Rows of one block of functions; inside, a row is a column."""
        F = realified(sparse.csr_array(functions.astype(complex))).toarray().T
        W = np.ascontiguousarray(self._lu.solve(F))
        size = np.abs(W)
        # entries of A are off by their own rounding, which counts as much again as that of w A
        rest = abs(self._turned) @ size
        rest *= 2.0
        rest += np.abs(F)
        rest *= self._few
        off = self._turned @ W
        off -= F
        rest += np.abs(off, out=off)
        moved = (self._B.T @ W).T
        wrong = (len(W) + 64) * 2.0**-52 * (self._abs_B @ size)
        half, C = functions.shape[0], abs(self._equations.C)
        slope = moved[:half] + 1j * moved[half:]
        slope_error = np.hypot(wrong[:half], wrong[half:]) * UP
        return Rows(
            slope=slope,
            slope_error=slope_error,
            reach=(self.reach.largest(slope) + slope_error) * UP,
            norm=norms((self._E.T @ W).T),
            missed=(self._missed @ size).reshape(2, half),
            unsure=_by_half(C @ _folded(size)),
            rest=_by_half(_folded(rest)),
        )

    def _missed_by(self) -> FloatArray:
        """(2 unknown,) bound on what the state misses the equations by."""
        equations = self._equations
        M, C = equations.M, equations.C
        missed = M @ self.y - C.T @ self._current - equations.emf
        sizes = np.abs(M) @ np.abs(self.y) + np.abs(C.T) @ np.abs(self._current)
        few = self._few * (sizes + np.abs(equations.emf))
        both = np.concatenate([np.abs(missed.real), np.abs(missed.imag)]) + np.tile(few, 2)
        return np.asarray(both * UP)

    def unsure(self, u: FloatArray) -> FloatArray:
        """(element,) bound on what is not known of the currents, besides what the tangent leaves.

        Parameters
        ----------
        u
            (element,) bound on the change of the voltages across elements.
        """
        asked = (np.abs(self.powers.base) + self.powers.reach).sum(axis=0)
        least = np.abs(self.U) - u
        unsure = ROUNDING * asked * (1.0 / least + np.abs(self.U) + u)
        return np.asarray((unsure + 2.0**-45 * self._by * u) * UP)


def _folded(columns: FloatArray) -> FloatArray:
    """Real and imaginary part of each unknown together."""
    half = len(columns) // 2
    return np.asarray(columns[:half] + columns[half:])


def _by_half(columns: FloatArray) -> FloatArray:
    """(2, function, …) of columns that have the functions' real parts first."""
    return np.ascontiguousarray(columns.T).reshape(2, columns.shape[1] // 2, len(columns))
