"""How a resiliency case is planned. Names only, so that a study is read without the planner."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ResiliencyOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResiliencyOptions:
    """Options of the family, as ``[planner]`` names them.

    Attributes
    ----------
    gap
        Relative gap at which a plan counts as certified.
    time_limit_s
        Wall time of the whole search.
    proof_s
        Wall time for the proven bound of one plan's worst realization, where the budget is
        neither 0 nor all hours.
    max_iterations
        Masters solved at most.
    forming_margin_pu
        Twice what the middle of an island's voltages is published above the middle of the band.
    v_margin_pu
        Kept free at either end of the voltage band by the day that is published.
    headroom_share
        Kept free of CHPs and mobile generators by the day that is published, for losses.
    ramp_kept
        Share of the CHPs' ramps that the published day uses; the rest follows the loads.

    Raises
    ------
    ValueError
        With every fault.
    """

    gap: float = 1e-3
    time_limit_s: float = 300.0
    proof_s: float = 20.0
    max_iterations: int = 20
    forming_margin_pu: float = 0.01
    v_margin_pu: float = 0.01
    headroom_share: float = 0.05
    ramp_kept: float = 0.7

    def __post_init__(self) -> None:
        faults = []
        if not 0.0 < self.gap < 1.0:
            faults.append(f"gap = {self.gap} must lie between 0 and 1")
        for name in ("time_limit_s", "max_iterations"):
            if not getattr(self, name) > 0:
                faults.append(f"{name} = {getattr(self, name)} must be positive")
        for name in ("proof_s", "forming_margin_pu", "v_margin_pu"):
            if not getattr(self, name) >= 0.0:
                faults.append(f"{name} = {getattr(self, name)} must be at least 0")
        if not 0.0 <= self.headroom_share < 1.0:
            faults.append(f"headroom_share = {self.headroom_share} must lie in [0, 1)")
        if not 0.0 < self.ramp_kept <= 1.0:
            faults.append(f"ramp_kept = {self.ramp_kept} must lie in (0, 1]")
        if faults:
            raise ValueError("; ".join(faults))
