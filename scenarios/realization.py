"""Draws: realization ``i`` is a function of (seed, i) alone.

A counter-based generator (Philox) gives every realization its own fixed stretch of the
stream, so chunk size, worker count, order and restarts cannot change what index ``i`` is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray, frozen, index_of
from gridproof.scenarios.sets import spanned

if TYPE_CHECKING:
    from gridproof.scenarios.scenario import Scenario

__all__ = ["Realizations", "draw", "joined", "realize", "uniforms"]

_BY_STEP = ("p_kw", "q_kvar", "available_kw", "zeta_by_step")
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
    available_kw
        (realization, time, renewable) what each renewable could give, all its phases; without
        renewables, nothing.
    first_step
        The scenario's step that the time axis begins with: a batch may hold all steps, or those
        that have come to pass.
    zeta_by_step
        (realization, time, direction) where each step has coordinates of its own; ``zeta`` is
        then the first step's. Empty where one draw serves all steps.
    """

    index: IntArray
    zeta: FloatArray
    p_kw: FloatArray
    q_kvar: FloatArray
    available_kw: FloatArray = field(default_factory=lambda: np.zeros((0, 0, 0)))
    first_step: int = 0
    zeta_by_step: FloatArray = field(default_factory=lambda: np.zeros((0, 0, 0)))

    def __post_init__(self) -> None:
        n = len(self.index)
        object.__setattr__(self, "index", frozen(self.index, np.int64, (n,)))
        object.__setattr__(self, "zeta", frozen(self.zeta, float, (n, -1)))
        object.__setattr__(self, "p_kw", frozen(self.p_kw, float, (n, -1, -1, 3)))
        object.__setattr__(self, "q_kvar", frozen(self.q_kvar, float, (n, -1, -1, 3)))
        given = self.available_kw if self.available_kw.size else np.zeros((*self.p_kw.shape[:2], 0))
        object.__setattr__(self, "available_kw", frozen(given, float, (*self.p_kw.shape[:2], -1)))
        own = self.zeta_by_step if self.zeta_by_step.size else np.zeros((*self.p_kw.shape[:2], 0))
        object.__setattr__(self, "zeta_by_step", frozen(own, float, (*self.p_kw.shape[:2], -1)))

    def __repr__(self) -> str:
        which = f" {self.index[0]} to {self.index[-1]}" if len(self) else ""
        _, steps, loads = self.p_kw.shape[:3]
        return (
            f"<Realizations{which}: {len(self)} of {loads} loads at {steps} "
            f"step{'s' * (steps != 1)}>"
        )

    def __len__(self) -> int:
        return len(self.index)

    def take(self, rows: slice | IntArray | BoolArray) -> Realizations:
        """Return the realizations at some positions, in their order, or where a mask is true."""
        names = ("index", "zeta", *_BY_STEP)
        return replace(self, **{name: getattr(self, name)[rows] for name in names})

    def holds(self, time: int) -> bool:
        """Whether the batch has the scenario's step ``time``."""
        return self.first_step <= time < self.first_step + int(self.p_kw.shape[1])

    def demand_at(self, time: int) -> tuple[FloatArray, FloatArray]:
        """(realization, load, 3) kW and kvar asked at the scenario's step ``time``."""
        return self.p_kw[:, time - self.first_step], self.q_kvar[:, time - self.first_step]

    def available_at(self, time: int) -> FloatArray:
        """(realization, renewable) kW that could be given at the scenario's step ``time``."""
        return self.available_kw[:, time - self.first_step]

    def at(self, time: int) -> Realizations:
        """Return the same realizations with one step alone: what is known when it is answered."""
        k = time - self.first_step
        parts = {name: getattr(self, name)[:, k : k + 1] for name in _BY_STEP}
        own = self.zeta_by_step[:, k] if self.zeta_by_step.shape[2] else self.zeta
        return replace(self, **parts, zeta=own, first_step=time)

    def zeta_at(self, time: int) -> FloatArray:
        """(realization, direction) coordinates at the scenario's step ``time``."""
        return (
            self.zeta_by_step[:, time - self.first_step]
            if self.zeta_by_step.shape[2]
            else self.zeta
        )


def joined(steps: Sequence[Realizations]) -> Realizations:
    """Join the same realizations of one step each, drawn apart, into one batch of all steps."""
    first = steps[0]
    return Realizations(
        index=first.index,
        zeta=first.zeta,
        p_kw=np.concatenate([one.p_kw for one in steps], axis=1),
        q_kvar=np.concatenate([one.q_kvar for one in steps], axis=1),
        available_kw=np.concatenate([one.available_kw for one in steps], axis=1),
        first_step=first.first_step,
        zeta_by_step=np.stack([one.zeta for one in steps], axis=1),
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
    width = scenario.uncertainty.size + scenario.fleet.renewables.uncertain
    unit, box = 2.0 * uniforms(seed, first, count, width) - 1.0, scenario.uncertainty
    of_loads = spanned(unit[:, : box.size], box.low, box.high)
    zeta = np.concatenate([of_loads, unit[:, box.size :]], axis=1)
    return realize(scenario, zeta, np.arange(first, first + count))


def realize(
    scenario: Scenario,
    zeta: FloatArray,
    index: IntArray | None = None,
    *,
    step: int | None = None,
) -> Realizations:
    """Turn coordinates of the uncertainty set into realizations of loads and availability.

    Parameters
    ----------
    scenario
        Supplies nominal loads, renewables and the set.
    zeta
        (realization, direction) coordinates, one per uncertain load, or one per slot of the
        uncertain loads: ``s_dφ(ζ) = s_dφ⁰ · (1 + spread_d · ζ_dφ)``, at every step alike. Their
        number tells which; where every load has one slot the two are the same. Uncertain
        renewables follow, one each: ``a_r(ζ) = a_r⁰ · (1 + spread_r · ζ_r)``; left out, they
        give what their profile says. Last come the components of the disturbance, in kW, where
        the scenario has any: ``s_dφ(w, t) = s_dφ⁰(t) + Σ_j w_j s_j(t) a_jdφ``, at the load's own
        power factor.
    index
        (realization,) their positions in a campaign; 0, 1, … if not given.
    step
        One step alone instead of all.

    Raises
    ------
    ValueError
        If there are neither as many coordinates as loads nor as many as slots.
    """
    steps = slice(None) if step is None else slice(step, step + 1)
    disturbed = zeta.shape[1] - len(scenario.disturbances.ids)
    factor, rest = _load_factors(scenario, zeta[:, :disturbed])
    p_kw = _times(scenario.load_p_kw[steps], factor)
    q_kvar = _times(scenario.load_q_kvar[steps], factor)
    if scenario.disturbances.load_share.any():
        p_kw, q_kvar = _disturbed(scenario, zeta[:, disturbed:], p_kw, q_kvar, step)
    return Realizations(
        index=np.arange(len(zeta)) if index is None else index,
        zeta=zeta,
        p_kw=p_kw,
        q_kvar=q_kvar,
        available_kw=scenario.fleet.renewables.available(rest)[:, steps],
        first_step=0 if step is None else step,
    )


def _disturbed(
    scenario: Scenario, w_kw: FloatArray, p_kw: FloatArray, q_kvar: FloatArray, step: int | None
) -> tuple[FloatArray, FloatArray]:
    """Add what events ask of loads: active power, and reactive at the load's own power factor."""
    times = range(len(scenario.hours)) if step is None else (step,)
    more = np.stack([scenario.disturbances.load_kw(w_kw, t) for t in times], axis=1)
    nominal = scenario.load_p_kw[list(times)]
    tangent = np.divide(
        scenario.load_q_kvar[list(times)],
        nominal,
        out=np.zeros_like(nominal),
        where=nominal != 0.0,
    )
    return p_kw + more, q_kvar + more * tangent


def _load_factors(scenario: Scenario, zeta: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(realization, 1, load, 1 or 3) factors of the loads, and the renewables' part of ζ."""
    box, loads = scenario.uncertainty, scenario.feeder.loads.ids
    more, slots = scenario.fleet.renewables.uncertain, scenario.uncertain_slots
    if zeta.shape[1] in (box.size, box.size + more):
        factor = np.ones((len(zeta), 1, len(loads), 1))
        where = index_of(loads)
        of_load = zeta[:, : box.size] * box.spread
        factor[:, 0, [where[name] for name in box.load_ids], 0] += of_load
        return factor, zeta[:, box.size :]
    if zeta.shape[1] in (len(slots), len(slots) + more):
        by_name = dict(zip(box.load_ids, box.spread.tolist(), strict=True))
        spread = np.array([by_name[loads[k]] for k in slots[:, 0]])
        factor = np.ones((len(zeta), 1, len(loads), 3))
        factor[:, 0, slots[:, 0], slots[:, 1]] += zeta[:, : len(slots)] * spread
        return factor, zeta[:, len(slots) :]
    raise ValueError(
        f"{zeta.shape[1]} coordinates found where {box.size} (one per uncertain load) or "
        f"{len(slots)} (one per slot of them) are needed, and {more} more for renewables"
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
