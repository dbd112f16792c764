"""What the operator can move: DERs and their limits, and what stands behind or beside them.

A storage, a renewable or a CHP is a DER with something more: energy, a sun, a boiler. Its electric
side is a row of `Ders`, by position; its own table here says the rest.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from gridproof.scenarios.arrays import SILENT, BoolArray, FloatArray, IntArray, frozen
from gridproof.scenarios.curves import Curves, HalfPlanes

__all__ = ["Ders", "Substations"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Substations:
    """The feeder's own sources that feed, as rows of `Ders`.

    Behind its bus a substation holds a balanced voltage of constant magnitude, at the far end
    of its own impedance; what its bus sees falls with what it supplies.

    Attributes
    ----------
    at
        (substation,) rows in `Ders`.
    source_ids
        Names in ``Feeder.sources``.
    v_pu
        (substation,) magnitude held behind the impedance, on the bus's base.
    r_ohm, x_ohm
        (substation, 3, 3) impedance, by phase.
    rating_kva
        (substation,) of all phases together; ``inf`` where none is stated, and the row's
        capability is then more than anything in the study could ask for.
    """

    at: IntArray
    source_ids: tuple[str, ...]
    rating_kva: FloatArray
    v_pu: FloatArray
    r_ohm: FloatArray
    x_ohm: FloatArray

    def __post_init__(self) -> None:
        n = len(self.source_ids)
        object.__setattr__(self, "at", frozen(self.at, np.int64, (n,)))
        for name in ("v_pu", "rating_kva"):
            object.__setattr__(self, name, frozen(getattr(self, name), float, (n,)))
        for name in ("r_ohm", "x_ohm"):
            object.__setattr__(self, name, frozen(getattr(self, name), float, (n, 3, 3)))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ders:
    """Distributed energy resources as columns; injection is positive.

    Attributes
    ----------
    ids
        Names, unique.
    bus
        (der,) positions in ``Feeder.buses``.
    phases
        (der, 3) phases it feeds.
    p_min_kw, p_max_kw, q_min_kvar, q_max_kvar
        (der, 3) capability per phase; 0 on phases it does not feed.
    s_max_kva
        (der, 3) apparent power limit per phase; ``inf`` where none is stated.
    ramp_kw, ramp_kvar
        (der, 3) largest re-dispatch away from the base set-point, either way.
    cost_usd_per_kw, redispatch_cost_usd_per_kw
        (der,) price of a base kW, and of a kW of re-dispatch in either direction.
    can_form
        (der,) whether it can hold voltage and frequency of an island.
    substations
        Which rows are the feeder's own substations; None if there are none. A substation forms
        every island it is in: nothing stands between its bus and the transmission grid.
    ramp_kw_per_h
        (der, 3) largest change of output from one step to the next, for each hour of the step;
        ``inf`` where none is stated. None where no DER states one.
    total_min_kw, total_max_kw
        (der,) capability of all phases together where it is less than that of the phases each,
        as of a machine whose phases may be unlike. None where the phases say it all.
    reserve_up_usd_per_kw, reserve_down_usd_per_kw
        (der,) price of a kW held ready for a step; ``inf`` of a DER that holds none. None where
        no DER states one.
    balanced
        (der,) whether its phases are commanded alike, as a three-phase inverter's are: it then has
        one set-point, shared evenly, unless it forms. None where none is.
    q_per_p
        (der,) most reactive power of a phase, either way, for each kW that it gives: the tangent
        of its least power factor's angle; ``inf`` where none is stated. None where no DER states
        one. At no active power there is then no reactive power either.
    curves
        Least and most reactive power by active power of those that state it; None where none does.
    """

    ids: tuple[str, ...]
    bus: IntArray
    phases: BoolArray
    p_min_kw: FloatArray
    p_max_kw: FloatArray
    q_min_kvar: FloatArray
    q_max_kvar: FloatArray
    s_max_kva: FloatArray
    ramp_kw: FloatArray
    ramp_kvar: FloatArray
    cost_usd_per_kw: FloatArray
    redispatch_cost_usd_per_kw: FloatArray
    can_form: BoolArray
    substations: Substations | None = field(default=None, metadata={SILENT: True})
    ramp_kw_per_h: FloatArray | None = field(default=None, metadata={SILENT: True})
    total_min_kw: FloatArray | None = field(default=None, metadata={SILENT: True})
    total_max_kw: FloatArray | None = field(default=None, metadata={SILENT: True})
    reserve_up_usd_per_kw: FloatArray | None = field(default=None, metadata={SILENT: True})
    reserve_down_usd_per_kw: FloatArray | None = field(default=None, metadata={SILENT: True})
    balanced: BoolArray | None = field(default=None, metadata={SILENT: True})
    q_per_p: FloatArray | None = field(default=None, metadata={SILENT: True})
    curves: Curves | None = field(default=None, metadata={SILENT: True})

    def __post_init__(self) -> None:
        n = len(self.ids)
        per_phase = (
            "p_min_kw", "p_max_kw", "q_min_kvar", "q_max_kvar",
            "s_max_kva", "ramp_kw", "ramp_kvar",
        )  # fmt: skip
        shapes: dict[str, tuple[object, tuple[int, ...]]] = {
            "bus": (int, (n,)),
            "phases": (bool, (n, 3)),
            "can_form": (bool, (n,)),
            "cost_usd_per_kw": (float, (n,)),
            "redispatch_cost_usd_per_kw": (float, (n,)),
            **dict.fromkeys(per_phase, (float, (n, 3))),
            **({} if self.ramp_kw_per_h is None else {"ramp_kw_per_h": (float, (n, 3))}),
        }
        for name in (
            "total_min_kw", "total_max_kw", "reserve_up_usd_per_kw", "reserve_down_usd_per_kw",
            "q_per_p",
        ):  # fmt: skip
            if getattr(self, name) is not None:
                shapes[name] = (float, (n,))
        if self.balanced is not None:
            shapes["balanced"] = (bool, (n,))
        for name, (kind, shape) in shapes.items():
            object.__setattr__(self, name, frozen(getattr(self, name), kind, shape))  # type: ignore[arg-type]

    @property
    def capacity_kw(self) -> FloatArray:
        """(der,) active capability of all phases; ``inf`` for a substation without a rating."""
        total = self.p_max_kw.sum(axis=1)
        if self.substations is not None:
            total[self.substations.at[np.isinf(self.substations.rating_kva)]] = np.inf
        return np.asarray(total)

    @property
    def half_planes(self) -> HalfPlanes:
        """What power factors and capability curves say of each phase, kW and kvar."""
        return HalfPlanes.of(self.phases, self.q_per_p, self.curves)

    @property
    def phase_share(self) -> FloatArray:
        """(der, 3) equal parts on the phases that each feeds; they add up to 1."""
        return np.asarray(self.phases / np.maximum(self.phases.sum(axis=1, keepdims=True), 1))

    def alike(self, der: int) -> list[int]:
        """Phases of a DER that are commanded alike; none where it is not balanced."""
        if self.balanced is None or not self.balanced[der]:
            return []
        return np.flatnonzero(self.phases[der]).tolist()

    def held_pu(self, told: FloatArray) -> FloatArray:
        """(..., der) magnitudes that are held: as told, and a substation's own whatever it is told.

        Nobody commands the grid; NaN, where the row does not form, stays.
        """
        if self.substations is None:
            return told
        held = np.array(told)
        at = self.substations.at
        held[..., at] = np.where(np.isnan(held[..., at]), np.nan, self.substations.v_pu)
        return held

    @property
    def is_substation(self) -> BoolArray:
        """(der,) which rows are substations."""
        mask = np.zeros(len(self.ids), bool)
        if self.substations is not None:
            mask[self.substations.at] = True
        return mask
