"""What a study may ask of the policy-mode family."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

__all__ = ["METHODS", "NETWORKS", "RESPONSES", "PolicyModeOptions"]

METHODS = (
    "deterministic", "gaussian", "cvar", "sample_box", "support_box", "dro_total",
    "dro_components",
)  # fmt: skip
RESPONSES = ("shared", "affine")
NETWORKS = ("three_phase", "copperplate")


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyModeOptions:
    """Options of the family, as ``[planner]`` names them.

    Attributes
    ----------
    method
        What reserves are held for, one of `METHODS`.
    response
        ``affine`` or ``shared``.
    network
        ``three_phase``, LinDist3Flow with every row robust, or ``copperplate``.
    rho
        Largest probability of a disturbance outside the set, ``ρ``.
    beta
        Confidence behind the literal radius, ``β``.
    radius_scale, radius_scale_total
        Times the literal radius, of the set over components and of the one over the total.
    covariance_floor
        ``γ``: part of the support box's variance that is mixed into the sample covariance.
    intersect_support
        Whether the set is cut with what is physically possible.
    v_margin_pu
        Kept free inside either end of the voltage band.
    forming_margin_share
        Kept free of the forming unit's kVA, phase by phase.
    loss_headroom_kw
        Kept free of the forming unit's upper end, for losses.
    held_max_pu
        Highest magnitude that the forming unit may hold.
    reactive_usd_per_kvarh
        Price of ``|q|`` of every following DER.
    reserve_h
        How long a storage must sustain its reserve from a step's end.
    reserve_carried
        Whether it must last through the whole day, called at every step and never bought back: what
        ``[campaign] enters = "realized"`` asks of a plan.
    time_limit_s
        Wall time of the search.
    """

    method: str = "dro_components"
    response: str = "affine"
    network: str = "three_phase"
    rho: float = 0.05
    beta: float = 0.95
    radius_scale: float = 0.02
    radius_scale_total: float = 0.2
    covariance_floor: float = 0.01
    intersect_support: bool = True
    v_margin_pu: float = 0.006
    forming_margin_share: float = 0.10
    loss_headroom_kw: float = 100.0
    held_max_pu: float = 1.05
    reactive_usd_per_kvarh: float = 5e-4
    reserve_h: float = 1.0
    reserve_carried: bool = False
    time_limit_s: float = 120.0

    def __post_init__(self) -> None:
        chosen = (
            ("method", METHODS), ("response", RESPONSES), ("network", NETWORKS),
        )  # fmt: skip
        for name, known in chosen:
            value = getattr(self, name)
            if value not in known:
                raise ValueError(f"{name} = {value!r} must be one of {', '.join(known)}")
        for name in ("rho", "beta"):
            value = getattr(self, name)
            if not 0.0 < value < 1.0:
                raise ValueError(f"{name} = {value} must lie between 0 and 1, both excluded")
        if not 0.0 <= self.covariance_floor < 1.0:
            raise ValueError(f"covariance_floor = {self.covariance_floor} must lie in [0, 1)")
        for name in (
            "radius_scale", "radius_scale_total", "v_margin_pu", "forming_margin_share",
            "loss_headroom_kw", "reactive_usd_per_kvarh", "reserve_h",
        ):  # fmt: skip
            if not 0.0 <= getattr(self, name) < inf:
                raise ValueError(f"{name} = {getattr(self, name)} must be a number of at least 0")
        if not 1.0 <= self.held_max_pu < inf:
            raise ValueError(f"held_max_pu = {self.held_max_pu} must be a number of at least 1")
        if not self.time_limit_s > 0.0:
            raise ValueError(f"time_limit_s = {self.time_limit_s} must be above 0")
