"""A second try at a flow whose fixed point does not settle: Newton's method on the same map.

OpenDSS iterates ``v ← G(v) = Y⁻¹ i(v)``, which settles only where ``G`` contracts: up to the
nose of the voltage curve there are solutions it circles around. Here the equation
``F(v) = v - G(v) = 0`` is solved by Newton's method, each step by GMRES on directional
differences of ``G``. Currents and matrix are OpenDSS's own, so a solution found here is one
of the same circuit and the same load models. The start is fixed (the sources, every load
an impedance), so the answer depends on nothing that was solved before.

Where Newton's steps fail from there, the mismatch of the start is taken away bit by bit
(a homotopy ``F(v) = (1 - λ) F(v₀)``, λ from 0 to 1), which follows the branch of the upper
voltages to the end of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from gridproof.scenarios.arrays import FloatArray
from gridproof.scenarios.scenario import Scenario
from gridproof.simulator.opendss.circuit import ComplexArray, DssCircuit
from gridproof.simulator.opendss.elements import Elements
from gridproof.simulator.opendss.loads import V_MAX_PU, V_MIN_PU
from gridproof.simulator.opendss.snapshot import Held

__all__ = ["EVALUATIONS", "Newton", "SecondTry"]

EVALUATIONS = 600
"""Evaluations of the map after which a flow is given up."""

_STEPS = 12  # Newton steps towards one value of λ
_KRYLOV = 30  # directions of one step
_LINEAR = 1e-3  # of the mismatch that a step may leave, by the linear model
_DIFFERENCE = 1e-6  # pu, the largest entry of a difference
_SHORTEST = 1.0 / 16.0  # of a Newton step, and of the way from the start to the flow


class _GivenUp(Exception):
    """The evaluations are used up."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Reached:
    """A state and its map."""

    v: ComplexArray  # (1 + node,) pu
    mapped: ComplexArray  # G(v)


class SecondTry:
    """Newton's method on what an engine holds, and whether its answer is one.

    Parameters
    ----------
    circuit, elements, scenario, held
        What is held. Made anew after each change of the switch state; that costs nothing
        before something is to be solved.
    tolerance
        Largest last step of a node voltage, pu.
    """

    def __init__(
        self,
        circuit: DssCircuit,
        elements: Elements,
        scenario: Scenario,
        held: Held,
        tolerance: float,
    ) -> None:
        self._circuit, self._elements, self._scenario = circuit, elements, scenario
        self._held, self._tolerance = held, tolerance
        self._newton: Newton | None = None

    def solve(self, volts: ComplexArray) -> tuple[bool, int]:
        """Put a solution's node voltages into ``volts``, and say whether there is one.

        There is none either where something sees a voltage outside its band: a constant power
        is none any more there. A state that the fixed point circles around and that serves
        another load than was asked for is no solution of what was asked.

        Returns
        -------
        found
            False proves nothing.
        evaluations
            As `Newton.solve`.
        """
        if self._newton is None:
            self._newton = Newton(self._circuit, self._bases(), tolerance=self._tolerance)
        found, evaluations = self._newton.solve()
        if found is None or not self._in_band(found):
            return False, evaluations
        volts[:] = found
        return True, evaluations

    def _bases(self) -> FloatArray:
        elements = self._elements
        of_bus = dict(zip(self._scenario.feeder.buses.ids, elements.base_v, strict=True))
        base_v = [of_bus.get(name.rsplit(".", 1)[0], 1.0) for name in elements.nodes]
        return np.array([1.0, *base_v])

    def _in_band(self, volts: ComplexArray) -> bool:
        loads, ders = self._held.loads, self._scenario.ders
        across = np.abs(volts[loads.plus] - volts[loads.minus]) / loads.rated_v[:, None]
        der, phase = self._held.generators.T
        at = self._elements.bus_nodes[ders.bus[der], phase]
        at_ders = np.abs(volts[at]) / self._elements.base_v[ders.bus[der]]
        seen = np.concatenate([across[loads.share > 0.0], at_ders])
        return bool(((seen >= V_MIN_PU) & (seen <= V_MAX_PU)).all())


class Newton:
    """Solves the flow that a circuit is set to; made anew after each change of its matrix.

    Parameters
    ----------
    circuit
        With every power set, and solved once at them, so that its loads know them.
    base_v
        (1 + node,) voltage base of each node, volt; the first is ground and any number.
    tolerance
        Largest last step of a node voltage, pu.
    """

    def __init__(self, circuit: DssCircuit, base_v: FloatArray, *, tolerance: float) -> None:
        self._base, self._tolerance = base_v, tolerance
        self._start, self._map = circuit.mapping()
        self._used = 0

    def solve(self) -> tuple[ComplexArray | None, int]:
        """Find the flow's solution.

        Returns
        -------
        volts
            (1 + node,) volt, or None where none was found. That is no proof that none exists.
        evaluations
            Of the map ``G``.
        """
        self._used = 0
        try:
            with np.errstate(all="ignore"):  # what diverges may hold anything
                found = self._follow(np.asarray(self._start() / self._base))
        except _GivenUp:
            found = None
        return None if found is None else found * self._base, self._used

    # ------------------------------------------------------------------ the path
    def _follow(self, start: ComplexArray) -> ComplexArray | None:
        at = _Reached(v=start, mapped=self._mapped(start))
        offset = at.v - at.mapped
        if not np.isfinite(offset).all():
            return None
        left, step = 1.0, 1.0  # 1 - λ, and by how much it is to shrink
        while True:
            goal = max(left - step, 0.0)
            reached = self._correct(at, goal * offset)
            if reached is None:
                step /= 2.0
                if step < _SHORTEST:
                    return None
                continue
            at, left = reached, goal
            if left == 0.0:
                return at.v

    def _correct(self, at: _Reached, target: ComplexArray) -> _Reached | None:
        """Newton's method on ``v - G(v) = target``; None if it does not come to rest."""
        mismatch = at.v - at.mapped - target
        size = _norm(mismatch)
        for _ in range(_STEPS):
            move = self._direction(at, mismatch)
            length = 1.0
            while True:
                v = at.v - length * move
                ahead = _Reached(v=v, mapped=self._mapped(v))
                left = ahead.v - ahead.mapped - target
                new = _norm(left)
                if new < size or new <= self._tolerance / 10.0:
                    break
                length /= 2.0
                if not length >= _SHORTEST:
                    return None
            at, mismatch, size = ahead, left, new
            if length == 1.0 and np.abs(move).max() <= self._tolerance:
                return at
        return None

    # ------------------------------------------------------------------ one step
    def _direction(self, at: _Reached, mismatch: ComplexArray) -> ComplexArray:
        """Solve ``J d = mismatch`` by GMRES over the reals (``G`` is not analytic)."""
        first = _norm(mismatch)
        if first == 0.0:
            return np.zeros_like(mismatch)
        basis = [mismatch / first]
        hessenberg = np.zeros((_KRYLOV + 1, _KRYLOV))
        weights: FloatArray = np.zeros(0)
        for k in range(_KRYLOV):
            ahead = self._slope(at, basis[k])
            for j, axis in enumerate(basis):
                hessenberg[j, k] = _dot(axis, ahead)
                ahead -= hessenberg[j, k] * axis
            rest = hessenberg[k + 1, k] = _norm(ahead)
            right = np.zeros(k + 2)
            right[0] = first
            part = hessenberg[: k + 2, : k + 1]
            if not np.isfinite(part).all():
                break
            weights = np.asarray(np.linalg.lstsq(part, right, rcond=None)[0], float)
            if np.abs(part @ weights - right).max() <= _LINEAR * first or rest <= 1e-12:
                break
            basis.append(ahead / rest)
        move = np.zeros_like(mismatch)
        for weight, axis in zip(weights, basis, strict=False):
            move += weight * axis
        return move

    def _slope(self, at: _Reached, direction: ComplexArray) -> ComplexArray:
        """``(I - G'(v)) d`` by a forward difference."""
        by = _DIFFERENCE / np.abs(direction).max()
        return np.asarray(direction - (self._mapped(at.v + by * direction) - at.mapped) / by)

    def _mapped(self, v: ComplexArray) -> ComplexArray:
        if self._used >= EVALUATIONS:
            raise _GivenUp
        self._used += 1
        return np.asarray(self._map(v * self._base) / self._base)


def _dot(one: ComplexArray, other: ComplexArray) -> float:
    """Inner product over the reals; summed by numpy, whose order no thread count changes."""
    return float((one.real * other.real + one.imag * other.imag).sum())


def _norm(one: ComplexArray) -> float:
    return float(np.sqrt(_dot(one, one)))
