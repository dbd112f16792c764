"""What the operator can move: distributed energy resources and their limits."""

from __future__ import annotations

from dataclasses import dataclass

from scenarios.arrays import BoolArray, FloatArray, IntArray, frozen

__all__ = ["Ders"]


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
        }
        for name, (kind, shape) in shapes.items():
            object.__setattr__(self, name, frozen(getattr(self, name), kind, shape))  # type: ignore[arg-type]
