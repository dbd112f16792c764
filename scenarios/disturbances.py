"""Disturbances: what an event takes, a kW at a time, as more demand or as output that is lost.

A component ``w_j`` is the kW that one kind of event takes in one area, at a shape of 1; at step
``t`` it acts as ``w_j s_j(t)``. It may be a load that is asked for more (or less), a renewable
that has less sun than forecast, or a machine that trips. One set over ``w`` so serves every step.

A DER that loses ``l`` kW gives what it is told less ``l``, and its limits move down with it: a
set of machines that has lost one can give and must give less by what that one could.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from gridproof.scenarios.arrays import FloatArray, frozen, ordered_product

__all__ = ["Disturbances"]

_WHOLE = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Disturbances:
    """Components of the disturbance of the policy-mode paper, ``w ∈ R^m``, and where each acts.

    A component acts on loads or on DERs, in shares that sum to 1.

    Attributes
    ----------
    ids
        Names, such as ``dg_trip@west``.
    shape
        (time, component) ``s_j(t)``.
    load_share
        (component, load, 3) kW by which each slot's demand grows per kW of the component.
    der_share
        (component, der) kW of output, and of headroom with it, that each loses per kW.
    lower_kw, upper_kw
        (component,) what is physically possible: the support box.
    log_kw
        (sample, component) what was seen: all that a planner knows of how likely which is.
    """

    ids: tuple[str, ...] = ()
    shape: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))
    load_share: FloatArray = field(default_factory=lambda: np.zeros((0, 0, 3)))
    der_share: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))
    lower_kw: FloatArray = field(default_factory=lambda: np.zeros(0))
    upper_kw: FloatArray = field(default_factory=lambda: np.zeros(0))
    log_kw: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))

    def __post_init__(self) -> None:
        m = len(self.ids)
        shapes: dict[str, tuple[int, ...]] = {
            "shape": (-1, m),
            "load_share": (m, -1, 3),
            "der_share": (m, -1),
            "lower_kw": (m,),
            "upper_kw": (m,),
            "log_kw": (-1, m),
        }
        if not len(self.log_kw):
            object.__setattr__(self, "log_kw", np.zeros((0, m)))
        for name, shape in shapes.items():
            object.__setattr__(self, name, frozen(getattr(self, name), float, shape))

    @property
    def empty(self) -> bool:
        """Whether nothing is disturbed."""
        return not self.ids

    def load_kw(self, w_kw: FloatArray, time: int) -> FloatArray:
        """(realization, load, 3) demand added at one step: ``Σ_j w_j s_j(t) a_jdφ``."""
        flat = self.load_share.reshape(len(self.ids), -1)
        return ordered_product(w_kw * self.shape[time], flat).reshape(len(w_kw), -1, 3)

    def der_kw(self, w_kw: FloatArray, time: int) -> FloatArray:
        """(realization, der) output lost at one step, all phases together."""
        return ordered_product(w_kw * self.shape[time], self.der_share)

    def deficit_kw(self, w_kw: FloatArray, time: int) -> FloatArray:
        """(realization,) what a step lacks in all: ``Σ_j w_j s_j(t)``."""
        return ordered_product(w_kw, self.shape[time][:, None])[:, 0]

    def faults(self, steps: int, loads: int, ders: int) -> list[str]:
        """Every contradiction with the scenario it belongs to, one sentence each."""
        found = []
        sizes = (
            ("steps", len(self.shape), steps),
            ("loads", self.load_share.shape[1], loads),
            ("DERs", self.der_share.shape[1], ders),
        )
        for what, given, wanted in sizes:
            if self.ids and given != wanted:
                found.append(f"disturbances are given for {given} {what}; there are {wanted}")
        for j, name in enumerate(self.ids):
            low, high = float(self.lower_kw[j]), float(self.upper_kw[j])
            if not low <= 0.0 <= high:
                found.append(f"disturbance {name}: {low:g} to {high:g} kW must hold 0: no event")
            to_loads, to_ders = self.load_share[j], self.der_share[j]
            total = float(to_loads.sum() + to_ders.sum())
            if abs(total - 1.0) > _WHOLE or (to_loads.any() and to_ders.any()):
                found.append(
                    f"disturbance {name}: its shares sum to {total:g} over loads and DERs; they "
                    "must sum to 1 over one of the two"
                )
        return found
