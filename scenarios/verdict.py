"""Verdicts: is a solved realization inside every limit, and by how much.

Margins are signed, positive inside: voltage in pu, the rest as a share of rating; a failed line
has 1 while it is dead and -1 where it is live. The worst margin of each kind is kept with the
element and phase it belongs to.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum, StrEnum

import numpy as np
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray, frozen
from gridproof.scenarios.carried import Passage
from gridproof.scenarios.limits import Limits
from gridproof.scenarios.margins import Worst, device_margins, margins_of
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.snapshot import Snapshots

__all__ = [
    "DELIVERY_TOLERANCE",
    "MarginKind",
    "Outcome",
    "Verdicts",
    "breaches",
    "element_margins",
    "judge",
    "kinds_of",
    "least_margin",
    "margin_scale",
]

DELIVERY_TOLERANCE = 1e-3
"""Share of the requested load the physics may miss before the model itself is at fault."""


_PASSING = ("energy", "reserve")


class Outcome(IntEnum):
    """How one realization ended."""

    FEASIBLE = 0
    VIOLATED = 1  # solved, and outside a limit
    NOT_MENDED = 2  # the linear model has a re-dispatch, AC corrections could not make it hold
    NO_RECOURSE = 3  # no re-dispatch exists in the planner's model
    NO_SOLUTION = 4  # no solution of the power flow was found; no proof that none exists
    ERRED = 5  # the harness or a model failed; never counted as either
    STALE = 6  # solved, on inputs older than the stated bound or without a device's answer


class MarginKind(StrEnum):
    """The limits a margin is measured to."""

    VOLTAGE = "voltage"
    CURRENT = "current"
    TRANSFORMER = "transformer"
    CAPABILITY = "capability"
    RAMP = "ramp"
    DAMAGE = "damage"
    ENERGY = "energy"
    RESERVE = "reserve"


def kinds_of(scenario: Scenario) -> tuple[MarginKind, ...]:
    """Kinds of limits a scenario has.

    Damage only where devices say how lines are switched, energy only where something stores or
    depends on weather, reserve only where events take something that reserves answer.
    """
    fleet, absent = scenario.fleet, set()
    if scenario.devices is None:
        absent.add(MarginKind.DAMAGE)
    if not fleet.storages.ids and not fleet.renewables.ids:
        absent.add(MarginKind.ENERGY)
    if scenario.disturbances.empty:
        absent.add(MarginKind.RESERVE)
    return tuple(kind for kind in MarginKind if kind not in absent)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Verdicts:
    """A batch of verdicts.

    Attributes
    ----------
    index
        (realization,).
    outcome
        (realization,) codes of `Outcome`.
    margin
        (realization, kind) worst margin of each `MarginKind` in its order; NaN where
        nothing was solved, ``inf`` where there is nothing of the kind (no live bus or DER,
        no line or transformer at all, nothing that failed; dead lines carry 0 A and so have
        the whole margin).
    element
        (realization, kind) position of the worst element: bus, line, transformer, DER, DER,
        failed line, DER, DER; -1 where the margin is not finite.
    phase
        (realization, kind) slot of the worst element, -1 where it has none.
    """

    index: IntArray
    outcome: IntArray
    margin: FloatArray
    element: IntArray
    phase: IntArray

    def __post_init__(self) -> None:
        n, kinds = len(self.index), len(MarginKind)
        for name in ("index", "outcome"):
            object.__setattr__(self, name, frozen(getattr(self, name), np.int64, (n,)))
        for name in ("element", "phase"):
            object.__setattr__(self, name, frozen(getattr(self, name), np.int64, (n, kinds)))
        object.__setattr__(self, "margin", frozen(self.margin, float, (n, kinds)))

    def __len__(self) -> int:
        return len(self.index)

    def take(self, rows: slice | IntArray | BoolArray) -> Verdicts:
        """Return a stretch of the batch, some positions in their order, or where a mask is true."""
        return Verdicts(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})


def least_margin(margin: FloatArray, limits: Limits) -> FloatArray:
    """Return how far inside its limits a state is, all kinds on one scale.

    ``min_k (margin_k + tolerance) / scale_k``: below 0 exactly where `judge` says *violated*. A
    voltage margin is scaled by half the band, the others are shares of a rating already.

    Parameters
    ----------
    margin
        (..., kind) worst margin of each `MarginKind` in its order.
    limits
        Supplies the band and the tolerance.

    Returns
    -------
    FloatArray
        (...,); NaN where a margin is, since nothing was solved there.
    """
    scale = [margin_scale(kind, limits) for kind in MarginKind]
    return np.asarray(((np.asarray(margin) + limits.tolerance) / scale).min(axis=-1))


def margin_scale(kind: MarginKind, limits: Limits) -> float:
    """Return what a margin of a kind is divided by, so that all kinds stand on one scale."""
    return (limits.v_max_pu - limits.v_min_pu) / 2.0 if kind is MarginKind.VOLTAGE else 1.0


def judge(
    snapshots: Snapshots,
    plan: Plan,
    scenario: Scenario,
    time: int = 0,
    passage: Passage | None = None,
    *,
    worst: Worst | None = None,
) -> Verdicts:
    """Hold solved realizations against every limit of the scenario.

    Parameters
    ----------
    snapshots
        Solved states of one time step.
    plan
        The plan they were solved under: which blocks are live, and the base set-points that
        ramps are counted from.
    scenario
        Ratings and limits.
    time
        The step.
    passage
        What passed through the step, where steps are tried one after another: its stored
        energies and ramps are then judged, too.
    worst
        What the snapshots' voltages, currents and transformers have least, if whoever solved them
        has looked already.

    Returns
    -------
    Verdicts
        ``no_solution`` where the flow did not converge, gave a non-finite number or left a
        planned-live bus dead; ``erred`` where the physics served another load than asked.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # a diverged state may hold anything
        told = snapshots, plan, scenario, time, passage
        parts = margins_of(*told) if worst is None else device_margins(*told)
    found = [] if worst is None else _seen(worst)
    found += [_worst(values) for values in parts]
    margin, element, phase = (np.stack(part, axis=1) for part in zip(*found, strict=True))
    solved = snapshots.converged & ~(np.isnan(margin) | np.isneginf(margin)).any(axis=1)
    solved &= np.isfinite(snapshots.delivered_kw) & np.isfinite(snapshots.requested_kw)
    asked = np.where(solved, snapshots.requested_kw, 0.0)
    missed = np.abs(np.where(solved, snapshots.delivered_kw, 0.0) - asked)
    misserved = missed > DELIVERY_TOLERANCE * np.maximum(1.0, np.abs(asked))
    violated = (margin < -scenario.limits.tolerance).any(axis=1)
    outcome = np.where(violated, Outcome.VIOLATED, Outcome.FEASIBLE)
    outcome = np.where(misserved, Outcome.ERRED, outcome)
    outcome = np.where(solved, outcome, Outcome.NO_SOLUTION)
    blank = ~np.isfinite(margin) | ~solved[:, None]
    return Verdicts(
        index=snapshots.index,
        outcome=outcome,
        margin=np.where(solved[:, None], margin, np.nan),
        element=np.where(blank, -1, element),
        phase=np.where(blank, -1, phase),
    )


def breaches(
    snapshots: Snapshots, plan: Plan, scenario: Scenario, time: int = 0
) -> dict[MarginKind, BoolArray]:
    """Say which elements are outside their limit, not only the worst: (realization, element).

    Parameters
    ----------
    snapshots
        Solved states of one time step; rows that did not converge say nothing.
    plan, scenario, time
        As in `judge`, whose *violated* is a breach of any kind by any element.
    """
    own = element_margins(snapshots, plan, scenario, time)
    tolerance = scenario.limits.tolerance
    return {kind: np.asarray((values < -tolerance).any(axis=2)) for kind, values in own.items()}


def element_margins(
    snapshots: Snapshots, plan: Plan, scenario: Scenario, time: int = 0
) -> dict[MarginKind, FloatArray]:
    """Return every margin that a snapshot shows: (realization, element, slot), by kind.

    Parameters
    ----------
    snapshots, plan, scenario, time
        As in `breaches`.
    """
    parts = margins_of(snapshots, plan, scenario, time, None)
    return {
        kind: values
        for kind, values in zip(MarginKind, parts, strict=True)
        if kind not in _PASSING  # what was carried is not in a snapshot
    }


def _seen(worst: Worst) -> list[tuple[FloatArray, IntArray, IntArray]]:
    """Give what was looked at already as `_worst` does: voltages and currents have three slots."""
    none = np.full(len(worst.margin), -1)
    return [
        (worst.margin[:, k], place, none)
        if kind is MarginKind.TRANSFORMER
        else (worst.margin[:, k], place // 3, place % 3)
        for k, (kind, place) in enumerate(zip(MarginKind, worst.place.T, strict=False))
    ]


def _worst(values: FloatArray) -> tuple[FloatArray, IntArray, IntArray]:
    """Least value over (element, slot) of each row, with its place; NaN wins (argmin's rule)."""
    count, elements, slots = values.shape
    if elements == 0:
        none = np.full(count, -1)
        return np.full(count, np.inf), none, none
    flat = values.reshape(count, elements * slots)
    place = flat.argmin(axis=1)
    slot = place % slots if slots > 1 else np.full(count, -1)
    return flat[np.arange(count), place], place // slots, slot
