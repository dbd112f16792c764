"""Samplers: how a campaign chooses points of the uncertainty set, by index.

Coordinates lie in [-1, 1], one per direction (an uncertain load, or a slot of one); where a load's
set is not as wide down as up, `sample` puts them between its ends.
Whatever the sampler, row ``i`` is a function of its declared fields and ``i`` alone, so chunk
size, worker, order and restarts change no byte. Those that spread their points evenly
(`Vertices`, `LatinHypercube`, `Sobol`) are designs of a declared length: their rows are not
independent, which ``independent`` says.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

import numpy as np
from gridproof.scenarios.arrays import BoolArray, FloatArray, frozen
from gridproof.scenarios.realization import Realizations, joined, realize, uniforms
from numpy.typing import NDArray

if TYPE_CHECKING:
    from gridproof.scenarios.scenario import Scenario

__all__ = [
    "Empirical",
    "Hourly",
    "LatinHypercube",
    "Law",
    "Sampler",
    "Sobol",
    "TruncatedNormal",
    "Uniform",
    "Vertices",
    "sample",
]

_VERTICES, _STRATA, _JITTER, _ROWS, _NORMAL = 10, 11, 12, 13, 14
"""Streams of the counter-based generator; 0 is the uniform draw's."""

_SOBOL_BITS = 30
_BELOW_ONE = 1.0 - 2.0**-53


class Sampler(Protocol):
    """Chooses points of the set by index.

    Attributes
    ----------
    independent
        Whether rows are independent draws of one law, so that exact binomial intervals and
        sequential stopping apply.
    """

    independent: ClassVar[bool]

    def coordinates(self, first: int, count: int) -> FloatArray:
        """(count, direction) rows ``first … first + count - 1``, each in [-1, 1]."""
        ...


@runtime_checkable
class Hourly(Protocol):
    """A sampler whose steps have coordinates of their own."""

    def coordinates_at(self, first: int, count: int, step: int) -> FloatArray:
        """(count, direction) rows ``first … first + count - 1`` at one step."""
        ...


class Law(Protocol):
    """A law of ``ζ`` that standard normal numbers can be turned into."""

    def from_normal(self, normal: FloatArray) -> FloatArray:
        """(point, direction) independent standard normals to ``ζ`` of this law."""
        ...


def sample(
    scenario: Scenario, sampler: Sampler, first: int, count: int, *, step: int | None = None
) -> Realizations:
    """Realizations ``first … first + count - 1`` of a sampler over the scenario's directions.

    At every step, or at one of them.
    """
    index = np.arange(first, first + count)
    if not isinstance(sampler, Hourly):
        zeta = scenario.within(sampler.coordinates(first, count))
        return realize(scenario, zeta, index, step=step)
    every = range(len(scenario.hours)) if step is None else (step,)
    parts = [
        realize(
            scenario, scenario.within(sampler.coordinates_at(first, count, one)), index, step=one
        )
        for one in every
    ]
    return parts[0] if step is not None else joined(parts)


def _uniform_law(normal: FloatArray) -> FloatArray:
    from scipy.special import ndtr  # noqa: PLC0415  (a fifth of a second of every start)

    return np.asarray(2.0 * ndtr(normal) - 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Uniform:
    """Independent and uniform over the box: ``ζ = 2u - 1``.

    Attributes
    ----------
    seed, width
        The campaign's seed; number of directions.
    """

    independent: ClassVar[bool] = True
    seed: int
    width: int

    def coordinates(self, first: int, count: int) -> FloatArray:
        """Rows of the uniform draw; the same numbers as `scenarios.realization.draw`."""
        return 2.0 * uniforms(self.seed, first, count, self.width) - 1.0

    def from_normal(self, normal: FloatArray) -> FloatArray:
        """``ζ = 2Φ(x) - 1``."""
        return _uniform_law(normal)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Vertices:
    """Corners of the box; directions that do not move stay at +1, as in ``Box.vertices``.

    With ``m`` moving directions and ``2^m ≤ samples`` row ``i`` is vertex ``i mod 2^m`` in
    the order of ``Box.vertices``: every corner, then again from the first. Otherwise row
    ``i`` is a corner drawn by (seed, i), each sign with probability one half.

    Attributes
    ----------
    seed, samples
        The campaign's.
    moving
        (direction,) whether the direction has a spread above 0.
    """

    independent: ClassVar[bool] = False
    seed: int
    samples: int
    moving: BoolArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "moving", frozen(self.moving, bool, (-1,)))

    @property
    def exhaustive(self) -> bool:
        """Whether the campaign tries every corner."""
        return bool(2 ** int(self.moving.sum()) <= self.samples)

    def coordinates(self, first: int, count: int) -> FloatArray:
        """Rows of corners."""
        width = int(self.moving.sum())
        zeta = np.ones((count, len(self.moving)))
        if self.exhaustive:
            number = (np.arange(first, first + count) % 2**width)[:, None]
            up = (number >> np.arange(width - 1, -1, -1)) & 1 > 0
        else:
            up = uniforms(self.seed, first, count, width, _VERTICES) >= 0.5
        zeta[:, self.moving] = np.where(up, 1.0, -1.0)
        return zeta


@dataclass(frozen=True, slots=True, kw_only=True)
class LatinHypercube:
    """One point in each of ``samples`` equal strata of every direction (McKay et al., 1979).

    ``u_ij = (π_j(i) + v_ij) / n`` with ``π_j`` a random permutation of 0 … n-1 that depends
    on (seed, n, j) and ``v_ij`` uniform in [0, 1) by (seed, i); ``ζ = 2u - 1``.

    Attributes
    ----------
    seed, width
        As in `Uniform`.
    samples
        ``n``, the design's declared length; a design of another length has other points.
    """

    independent: ClassVar[bool] = False
    seed: int
    width: int
    samples: int

    def coordinates(self, first: int, count: int) -> FloatArray:
        """Rows of the design; raises ValueError beyond its length."""
        _inside(first, count, self.samples)
        strata = _strata(self.seed, self.samples, self.width)[:, first : first + count].T
        inside = uniforms(self.seed, first, count, self.width, _JITTER)
        u = np.minimum((strata + inside) / self.samples, _BELOW_ONE)
        return np.asarray(2.0 * u - 1.0)

    def from_normal(self, normal: FloatArray) -> FloatArray:
        """``ζ = 2Φ(x) - 1``: the law of one point of the design."""
        return _uniform_law(normal)


@lru_cache(maxsize=2)
def _strata(seed: int, samples: int, width: int) -> NDArray[np.uint32]:
    """(direction, samples) the order of random 64-bit words, which is a random permutation."""
    table = np.empty((width, samples), np.uint32)
    for column in range(width):
        words = np.random.Philox(key=np.array([seed, _STRATA], np.uint64))
        words.advance(column << 64)
        table[column] = np.argsort(words.random_raw(samples), kind="stable")
    table.setflags(write=False)
    return table


@dataclass(frozen=True, slots=True, kw_only=True)
class Sobol:
    """Sobol's sequence, scrambled by the seed: Matousek's linear scrambling and a digital shift.

    The points are those of ``scipy.stats.qmc.Sobol(width, bits=30, rng=seed)``. With Gray
    code ``g = i ^ (i >> 1)`` point ``i`` is ``x_0 ⊕ (⊕_{k: bit k of g} V_k)``, so any row is
    had without those before it. Balanced best where ``samples`` is a power of two.

    Attributes
    ----------
    seed, width
        As in `Uniform`.
    samples
        The declared length, at most ``2^30``.
    """

    independent: ClassVar[bool] = False
    seed: int
    width: int
    samples: int

    def coordinates(self, first: int, count: int) -> FloatArray:
        """Rows of the sequence; raises ValueError beyond its declared length."""
        _inside(first, count, self.samples)
        start, basis = _sobol_basis(self.seed, self.width, (self.samples - 1).bit_length())
        index = np.arange(first, first + count)
        gray = index ^ (index >> 1)
        digits = np.broadcast_to(start, (count, self.width)).copy()
        for k, vector in enumerate(basis):
            digits ^= np.where((gray >> k & 1)[:, None] > 0, vector, 0)
        return np.asarray(2.0 * (digits * 2.0**-_SOBOL_BITS) - 1.0, np.float64)

    def from_normal(self, normal: FloatArray) -> FloatArray:
        """``ζ = 2Φ(x) - 1``: the law of one point of the design."""
        return _uniform_law(normal)


@lru_cache(maxsize=4)
def _sobol_basis(
    seed: int, width: int, bits: int
) -> tuple[NDArray[np.int64], list[NDArray[np.int64]]]:
    """``x_0`` and ``V_k`` as whole numbers, read off the points at 0, 1, 2, 4, …."""
    if width == 0:
        return np.zeros(0, np.int64), []
    from scipy.stats import qmc  # noqa: PLC0415  (scipy.stats takes half a second to import)

    engine = qmc.Sobol(width, scramble=True, bits=_SOBOL_BITS, rng=seed)

    def following(skip: int) -> NDArray[np.int64]:
        if skip:
            engine.fast_forward(skip)
        return np.asarray(np.round(engine.random(1)[0] * 2.0**_SOBOL_BITS), np.int64)

    start, at = following(0), 1
    basis: list[NDArray[np.int64]] = []
    for k in range(bits):  # the Gray code of 2^k has bits k and k - 1
        point = following(2**k - at) ^ start
        at = 2**k + 1
        basis.append(point ^ basis[-1] if basis else point)
    return start, basis


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TruncatedNormal:
    """Truncated normal directions joined by a Gaussian copula.

    ``g = L x`` with ``x`` independent standard normal and ``L Lᵀ`` the correlation of ``g``;
    ``w = Φ(g)``; ``ζ = σ Φ⁻¹(Φ(-1/σ) + w (Φ(1/σ) - Φ(-1/σ)))``: each ``ζ`` is normal with
    mean 0 and standard deviation ``σ``, cut off at ±1: about the middle of what a load may be.

    Attributes
    ----------
    seed
        The campaign's.
    std_share
        ``σ``: standard deviation before the cut, as a share of the set's half-width.
    correlation
        (direction, direction) of ``g``; that of ``ζ`` is close to it.

    Raises
    ------
    ValueError
        If ``correlation`` is not symmetric with ones on its diagonal, or not positive definite.
    """

    independent: ClassVar[bool] = True
    seed: int
    std_share: float
    correlation: FloatArray

    def __post_init__(self) -> None:
        width = len(self.correlation)
        object.__setattr__(self, "correlation", frozen(self.correlation, float, (width, width)))
        if not np.allclose(self.correlation, self.correlation.T, rtol=0.0, atol=1e-12):
            raise ValueError("it is not symmetric")
        if not np.allclose(np.diag(self.correlation), 1.0, rtol=0.0, atol=1e-12):
            raise ValueError("its diagonal is not 1")
        least = float(np.linalg.eigvalsh(self.correlation).min(initial=1.0))
        if least <= 1e-12:
            raise ValueError(f"it is not positive definite: its least eigenvalue is {least:.3g}")

    @property
    def width(self) -> int:
        """Number of directions."""
        return len(self.correlation)

    def coordinates(self, first: int, count: int) -> FloatArray:
        """Rows of the draw."""
        from scipy.special import ndtri  # noqa: PLC0415  (a fifth of a second of every start)

        u = uniforms(self.seed, first, count, self.width, _NORMAL)
        return self.from_normal(ndtri(np.clip(u + 2.0**-54, 2.0**-54, _BELOW_ONE)))

    def from_normal(self, normal: FloatArray) -> FloatArray:
        """Independent standard normals to ``ζ``, each row rounded as if it were alone."""
        from scipy.special import ndtr, ndtri  # noqa: PLC0415  (a fifth of a second of every start)

        factor = np.linalg.cholesky(self.correlation) if self.width else self.correlation
        joined = np.zeros_like(normal)
        for k in range(self.width):  # a matrix product's rounding would follow the batch size
            joined += normal[:, k, None] * factor[:, k]
        edge = ndtr(-1.0 / self.std_share)
        w = edge + ndtr(joined) * (1.0 - 2.0 * edge)
        return np.asarray(np.clip(self.std_share * ndtri(w), -1.0, 1.0))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Empirical:
    """Rows of a history, drawn with replacement by (seed, i): the bootstrap of what was seen.

    Attributes
    ----------
    seed
        The campaign's.
    history
        (row, direction) the history in coordinates of the set, -1 at its low end and 1 at its high.
    """

    independent: ClassVar[bool] = True
    seed: int
    history: FloatArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "history", frozen(self.history, float, (-1, -1)))

    def rows(self, first: int, count: int) -> NDArray[np.int64]:
        """(count,) which row of the history each realization is."""
        u = uniforms(self.seed, first, count, 1, _ROWS)[:, 0]
        return np.minimum((u * len(self.history)).astype(np.int64), len(self.history) - 1)

    def coordinates(self, first: int, count: int) -> FloatArray:
        """Rows of the history."""
        return self.history[self.rows(first, count)]


def _inside(first: int, count: int, samples: int) -> None:
    if first < 0 or first + count > samples:
        raise ValueError(
            f"rows {first} to {first + count - 1} asked of a design of {samples}; a longer design "
            "has other points"
        )
