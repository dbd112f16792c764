"""Draws: realization ``i`` is a function of (seed, i) alone.

A counter-based generator (Philox) gives every realization its own fixed stretch of the
stream, so chunk size, worker count, order and restarts cannot change what index ``i`` is.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray, frozen, index_of

if TYPE_CHECKING:
    from gridproof.scenarios.scenario import Scenario

__all__ = ["Realizations", "draw", "realize", "uniforms"]

_WORDS_PER_COUNTER = 4  # Philox 4x64 yields four words for each step of its counter


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Realizations:
    """A batch of drawn load realizations.

    Attributes
    ----------
    index
        (realization,) positions in the campaign's sequence.
    zeta
        (realization, direction) the draw's coordinates, in [-1, 1] for a box: one for each
        uncertain load, or one for each of their slots (``Scenario.direction_ids``).
    p_kw, q_kvar
        (realization, time, load, 3) demand per slot of every load, in ``Feeder.loads`` order.
    """

    index: IntArray
    zeta: FloatArray
    p_kw: FloatArray
    q_kvar: FloatArray

    def __post_init__(self) -> None:
        n = len(self.index)
        object.__setattr__(self, "index", frozen(self.index, np.int64, (n,)))
        object.__setattr__(self, "zeta", frozen(self.zeta, float, (n, -1)))
        object.__setattr__(self, "p_kw", frozen(self.p_kw, float, (n, -1, -1, 3)))
        object.__setattr__(self, "q_kvar", frozen(self.q_kvar, float, (n, -1, -1, 3)))

    def __len__(self) -> int:
        return len(self.index)

    def take(self, rows: IntArray | BoolArray) -> Realizations:
        """Return the realizations at some positions, in their order, or where a mask is true."""
        return Realizations(
            **{field.name: getattr(self, field.name)[rows] for field in fields(self)}
        )


def uniforms(seed: int, first: int, count: int, width: int, stream: int = 0) -> FloatArray:
    """Uniform numbers in [0, 1), row ``i`` a function of (seed, stream, first + i) alone.

    Parameters
    ----------
    seed
        The study's seed, 0 to 2^64 - 1.
    first, count
        The rows wanted: ``first, …, first + count - 1``.
    width
        Numbers per row.
    stream
        Keeps independent uses of one seed apart (loads 0, faults 1, …).

    Returns
    -------
    ndarray of shape (count, width)
    """
    counters = -(-width // _WORDS_PER_COUNTER)
    source = np.random.Philox(key=np.array([seed, stream], np.uint64))
    source.advance(first * counters)
    words = source.random_raw(count * counters * _WORDS_PER_COUNTER)
    rows = words.reshape(count, counters * _WORDS_PER_COUNTER)[:, :width]
    return np.asarray((rows >> np.uint64(11)) * 2.0**-53, dtype=np.float64)


def draw(scenario: Scenario, seed: int, first: int, count: int) -> Realizations:
    """Draw realizations ``first … first + count - 1`` uniformly from the scenario's set."""
    zeta = 2.0 * uniforms(seed, first, count, scenario.uncertainty.size) - 1.0
    return realize(scenario, zeta, np.arange(first, first + count))


def realize(scenario: Scenario, zeta: FloatArray, index: IntArray | None = None) -> Realizations:
    """Turn coordinates of the uncertainty set into load realizations.

    Parameters
    ----------
    scenario
        Supplies nominal loads and the set.
    zeta
        (realization, direction) coordinates, one per uncertain load, or one per slot of the
        uncertain loads: ``s_dφ(ζ) = s_dφ⁰ · (1 + spread_d · ζ_dφ)``. Their number tells which;
        where every load has one slot the two are the same.
    index
        (realization,) their positions in a campaign; 0, 1, … if not given.

    Raises
    ------
    ValueError
        If there are neither as many coordinates as loads nor as many as slots.
    """
    box, loads = scenario.uncertainty, len(scenario.feeder.loads.ids)
    if zeta.shape[1] == box.size:
        where = index_of(scenario.feeder.loads.ids)
        factor = np.ones((len(zeta), 1, loads, 1))
        factor[:, 0, [where[name] for name in box.load_ids], 0] += zeta * box.spread
    else:
        slots = scenario.uncertain_slots
        if zeta.shape[1] != len(slots):
            raise ValueError(
                f"{zeta.shape[1]} coordinates found where {box.size} (one per uncertain load) or "
                f"{len(slots)} (one per slot of them) are needed"
            )
        of_load = dict(zip(box.load_ids, box.spread.tolist(), strict=True))
        spread = np.array([of_load[scenario.feeder.loads.ids[k]] for k in slots[:, 0]])
        factor = np.ones((len(zeta), 1, loads, 3))
        factor[:, 0, slots[:, 0], slots[:, 1]] += zeta * spread
    return Realizations(
        index=np.arange(len(zeta)) if index is None else index,
        zeta=zeta,
        p_kw=_times(scenario.load_p_kw, factor),
        q_kvar=_times(scenario.load_q_kvar, factor),
    )


def _times(nominal: FloatArray, factor: FloatArray) -> FloatArray:
    """(realization, time, load, 3), read-only so that the batch need not copy it.

    Loads and slots are one axis while they are multiplied: a loop over three is slow.
    """
    steps, loads, slots = nominal.shape
    flat = np.broadcast_to(factor, (len(factor), 1, loads, slots)).reshape(
        len(factor), 1, loads * slots
    )
    product = (flat * nominal.reshape(1, steps, loads * slots)).reshape(
        len(factor), steps, loads, slots
    )
    product.setflags(write=False)
    return product
