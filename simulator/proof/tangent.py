"""The state at a set's centre, the tangent there, and what rounding can have done to both.

Unknowns are the node voltages ``v`` and the currents ``i`` out of the electromotive forces::

    Y v - P i = Cᵀ c(C v)          Pᵀ v + Z i = e

with ``c`` the elements' currents. Written with ``i``, a source's impedance may be as small as it
likes. The derivative of ``c`` takes the conjugate of a voltage, so the tangent ``A`` acts on real
and imaginary parts. Every number that a proof uses comes as a row ``w ≈ f A⁻¹`` with the bound
``|f - w A|``, so that nothing is believed of a solver.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from gridproof.scenarios.arrays import FloatArray
from gridproof.simulator.opendss.network import IslandNetwork
from gridproof.simulator.proof.powers import Powers
from gridproof.simulator.proof.reach import UP, ComplexArray, Reach
from scipy import sparse
from scipy.sparse.linalg import splu

__all__ = ["ROUNDING", "Rows", "Tangent", "nominal_state"]

ROUNDING = 2.0**-40
"""Share of its size by which any element's power may be misread: rounding of kW to per unit, of a
draw's factors and of a recourse's products stays below."""

_STEPS = 30
_SETTLED = 1e-13  # pu, the last step of a state
_NEAR = 1e-6  # pu, from where on steps that do not shrink are rounding
_SMALLEST = 1e-3  # pu across an element; below, its current means nothing


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """Real-linear functions of the state's change, in terms of what changes it.

    ``f x = w (B ω + E ρ + r)`` but for ``rest``, with ``ρ`` what the tangent leaves out. Real parts
    come first, then imaginary parts: 2 rows a function.

    Attributes
    ----------
    slope
        (function, coordinate) complex, of ``ω``.
    gain
        (2 function, 2 element) of the real and imaginary parts of ``ρ``.
    size
        (2 function, 2 unknown) ``|w|``.
    rest
        (2 function, 2 unknown) bound on ``|f - w A|``.
    slope_error
        (function,) by how much ``|slope ω|`` can be off.
    """

    slope: ComplexArray
    gain: FloatArray
    size: FloatArray
    rest: FloatArray
    slope_error: FloatArray


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

    Attributes
    ----------
    U
        (element,) voltages across the elements.
    voltage
        Rows of the voltages across the elements.
    """

    def __init__(
        self, network: IslandNetwork, powers: Powers, reach: Reach, y: ComplexArray
    ) -> None:
        self.network, self.powers, self.reach, self.y = network, powers, reach, y
        equations = self._equations = _Equations(network)
        self.U = equations.C @ y
        self._current, by_u, by_conjugate = element_currents(network, powers.base, self.U)
        self._by = np.abs(by_u) + np.abs(by_conjugate)
        A = self._A = _tangent(equations, by_u, by_conjugate)
        self._abs_A = abs(A)
        per_row = max(np.diff(A.indptr).max(initial=0), np.diff(A.tocsc().indptr).max(initial=0))
        self._few = (int(per_row) + 8) * 2.0**-52
        self._lu = splu(sparse.csc_array(A))  # every row carries its error in `rest`
        C = equations.C
        of_powers = self._of_powers()
        B = C.T @ of_powers
        self._B = np.vstack([B.real, B.imag])
        spread = np.abs(C.T) @ np.abs(of_powers)
        self._abs_B = np.vstack([spread, spread])
        self._E = realified(sparse.csr_array(C.T.astype(complex)))
        self.voltage = self.rows(C)

    @property
    def unknowns(self) -> int:
        """Complex unknowns: nodes and source currents."""
        return len(self.y)

    def _of_powers(self) -> ComplexArray:
        """(element, coordinate) change of each element's current at an unchanged voltage."""
        rated, U = self.network.drawing.rated_pu, self.U
        constant, linear, square = np.conj(self.powers.slope)
        return np.asarray(
            constant / np.conj(U)[:, None]
            + linear * (U / np.abs(U) / rated)[:, None]
            + square * (U / rated**2)[:, None]
        )

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

    def rows(self, functions: sparse.csr_array) -> Rows:
        """Express complex-linear functions of the state by what changes it."""
        F = realified(sparse.csr_array(functions.astype(complex)))
        W = self._lu.solve(F.toarray().T, "T").T
        size = np.abs(W)
        rest = np.abs(F - self._A.T.dot(W.T).T)
        rest += self._few * (abs(F) + self._abs_A.T.dot(size.T).T)
        real = W @ self._B
        dense = (W.shape[1] + 64) * 2.0**-52
        wrong = dense * (size @ self._abs_B).sum(axis=1)
        half = len(real) // 2
        return Rows(
            slope=real[:half] + 1j * real[half:],
            gain=self._E.T.dot(W.T).T,
            size=size,
            rest=rest,
            slope_error=np.hypot(wrong[:half], wrong[half:]) * UP,
        )

    def residual(self, u: FloatArray, x: FloatArray) -> FloatArray:
        """(2 unknown,) bound on what the equations are missed by, other than ``E ρ``.

        The state's own mismatch; the rounding of the tangent's entries, times the change ``x``;
        and what is not known of the powers.

        Parameters
        ----------
        u, x
            (element,) and (unknown,) bounds on the change of voltages and of the state.
        """
        equations, powers = self._equations, self.powers
        M, C = equations.M, equations.C
        missed = M @ self.y - C.T @ self._current - equations.emf
        sizes = np.abs(M) @ np.abs(self.y) + np.abs(C.T) @ np.abs(self._current)
        few = self._few * (sizes + np.abs(equations.emf))
        asked = (np.abs(powers.base) + powers.reach).sum(axis=0)
        least = np.abs(self.U) - u
        unsure = ROUNDING * asked * (1.0 / least + np.abs(self.U) + u)
        elements = np.abs(C.T) @ (unsure + 2.0**-45 * self._by * u)
        both = np.concatenate([np.abs(missed.real), np.abs(missed.imag)])
        both += np.tile(few + elements, 2) + self._few * (self._abs_A @ np.tile(x, 2))
        return np.asarray(both * UP)
