"""How a restoration is planned.

Names only, so that a study is read without the planner in memory.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FORMULATIONS", "MODELS", "RestorationOptions"]

FORMULATIONS = ("directed_local_flow", "multi_commodity", "single_commodity", "parent_child")
"""Radiality formulations by name; `optimizer.network.radiality` has what each adds."""

MODELS = ("balanced", "three_phase")
"""Physics of the last phase by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestorationOptions:
    """How to plan a restoration.

    Attributes
    ----------
    radiality
        One of `FORMULATIONS` of the feed constraints.
    extent
        ``reconfiguration`` solves what graph searches leave open, and falls back to
        ``all_phases`` where they do not settle the rest.
    model
        Physics of the last phase: ``balanced``, one phase for three, or ``three_phase``, which sees
        unlike phases, laterals and capacitors.
    ac_margin
        pu of voltage that ``three_phase`` keeps clear of either end of the band, and the like share
        of each line's rating: room for losses and for loads other than the nominal ones.
    gap
        Relative gap at which the search may end.
    time_limit_s
        Wall time of the search.

    Raises
    ------
    ValueError
        With every fault.
    """

    radiality: str = "directed_local_flow"
    model: str = "balanced"
    ac_margin: float = 0.0
    extent: str = "reconfiguration"
    gap: float = 1e-6
    time_limit_s: float = 600.0

    def __post_init__(self) -> None:
        faults = []
        if self.radiality not in FORMULATIONS:
            faults.append(
                f"radiality = {self.radiality!r} must be one of {', '.join(FORMULATIONS)}"
            )
        if self.extent not in ("reconfiguration", "all_phases"):
            faults.append(f"extent = {self.extent!r} must be 'reconfiguration' or 'all_phases'")
        if self.model not in MODELS:
            faults.append(f"model = {self.model!r} must be one of {', '.join(MODELS)}")
        if not 0.0 <= self.ac_margin < 0.5:
            faults.append(f"ac_margin = {self.ac_margin} must lie in [0, 0.5) pu")
        if not 0.0 <= self.gap < 1.0:
            faults.append(f"gap = {self.gap} must lie in [0, 1)")
        if not self.time_limit_s > 0.0:
            faults.append(f"time_limit_s = {self.time_limit_s} must be positive")
        if faults:
            raise ValueError("; ".join(faults))
