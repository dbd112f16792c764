"""What DERs can do per unit, phase by phase, and what of it is left free while they form."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from gridproof.optimizer.network.branches import BASE_KVA
from gridproof.optimizer.network.insets import Insets
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray
from gridproof.scenarios.curves import HalfPlanes

if TYPE_CHECKING:
    from gridproof.scenarios.scenario import Scenario

__all__ = ["DerLimits", "der_limits"]

FOLLOWING = 0.1
"""Weight of a following DER's margins: the physics holds it to its set-point, while the DER
that forms takes up all that the linear model left out."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DerLimits:
    """Per-unit capability and ramp, (der, 3) each.

    Attributes
    ----------
    scale
        What margins are a share of: the phase's active rating, ``max(|p_min|, |p_max|)``, as
        verdicts have it.
    inset
        What a DER leaves free at each limit while it forms, for the losses and the unbalance
        that the linear model does not know of. A DER that follows is held to its set-point
        and needs none.
    total_min, total_max
        (der,) of all phases together; endless where the phases say it all.
    planes
        What power factors and capability curves say.
    plane_inset
        (plane, 3) what is left free of each of these while the DER forms.
    """

    p_min: FloatArray
    p_max: FloatArray
    q_min: FloatArray
    q_max: FloatArray
    s_max: FloatArray
    ramp_p: FloatArray
    ramp_q: FloatArray
    scale: FloatArray
    inset: FloatArray
    total_min: FloatArray
    total_max: FloatArray
    planes: HalfPlanes
    plane_inset: FloatArray

    def margin_scale(self, forming: BoolArray) -> FloatArray:
        """(der, 3) what a margin of 1 is worth: a DER that follows keeps a tenth of it."""
        return self.scale * np.where(forming, 1.0, FOLLOWING)[:, None]

    @property
    def summed(self) -> IntArray:
        """Rows of DERs that are held to a total."""
        return np.flatnonzero(np.isfinite(self.total_min) | np.isfinite(self.total_max))

    @property
    def total_inset(self) -> FloatArray:
        """(der,) what is left free of either end of a total while the DER forms."""
        return np.asarray(np.minimum(self.inset.sum(axis=1), (self.total_max - self.total_min) / 2))

    def inside_totals(self, p: FloatArray) -> FloatArray:
        """Return (der, 3) active powers put back to where a solver's tolerance took them from."""
        whole = p.sum(axis=1)
        kept = np.clip(whole, self.total_min, self.total_max)
        share = np.divide(kept, whole, out=np.ones_like(kept), where=whole != 0.0)
        return np.asarray(p * share[:, None])


def der_limits(scenario: Scenario, time: int, insets: Insets) -> DerLimits:
    """Return them at a step, as a plan may count on them."""
    ders, rated = scenario.ders_at(time), scenario.ders
    scale = np.maximum(np.abs(rated.p_max_kw), np.abs(rated.p_min_kw)) / BASE_KVA
    none = np.full(len(ders.ids), np.inf)
    low, high = rated.total_min_kw, rated.total_max_kw
    made = DerLimits(
        p_min=ders.p_min_kw / BASE_KVA,
        p_max=ders.p_max_kw / BASE_KVA,
        q_min=ders.q_min_kvar / BASE_KVA,
        q_max=ders.q_max_kvar / BASE_KVA,
        s_max=ders.s_max_kva / BASE_KVA,
        ramp_p=ders.ramp_kw / BASE_KVA,
        ramp_q=ders.ramp_kvar / BASE_KVA,
        scale=scale,
        inset=insets.der[:, None] * scale,
        total_min=-none if low is None else low / BASE_KVA,
        total_max=none if high is None else high / BASE_KVA,
        planes=ders.half_planes.scaled(1.0 / BASE_KVA),
        plane_inset=np.zeros((0, 3)),
    )
    return replace(made, plane_inset=_plane_insets(made))


def _plane_insets(limits: DerLimits) -> FloatArray:
    """(plane, 3) the DER's inset, as far as what it can do has an inside at half its output.

    Half-planes drawn in by no more than a point's distance to the nearest still hold that point.
    """
    planes, p = limits.planes, (limits.p_min + limits.p_max) / 2.0
    least, most = planes.between(p)
    middle = (np.maximum(least, limits.q_min) + np.minimum(most, limits.q_max)) / 2.0
    nearest = np.full(p.shape, np.inf)
    for row, g in enumerate(planes.der.tolist()):
        room = planes.slope[row] * p[g] + planes.level[row] - planes.side[row] * middle[g]
        nearest[g] = np.minimum(nearest[g], room / planes.steepness[row])
    kept = np.minimum(limits.inset, np.maximum(nearest, 0.0) / 2.0)
    return np.asarray(kept[planes.der] * planes.steepness[:, None])
