"""What many storms say of a network, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gridproof.federation.jsonable import IF_KNOWN, Interval, Jsonable

__all__ = [
    "AuditCounts",
    "FailureCounts",
    "LaterReport",
    "QuantileReport",
    "StormReport",
    "StormsInAc",
    "SuppliedShare",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureCounts(Jsonable):
    """Failures of a draw: mean, spread, fewest and most."""

    mean: float
    standard_deviation: float | None
    min: int
    max: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantileReport(Jsonable):
    """A quantile, and its interval by order statistics."""

    value: float
    interval: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class SuppliedShare(Jsonable):
    """Share of the load supplied in one phase, over the draws that have a plan."""

    mean: float
    standard_error: float | None
    min: float
    max: float
    quantiles: Mapping[str, QuantileReport]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditCounts(Jsonable):
    """Faults of the plans' graphs, and the draws that have any."""

    faults: int
    draws_with_faults: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StormsInAc(Jsonable):
    """What AC power flow says of the last phase, counted by draws.

    Attributes
    ----------
    phase, loads_per_draw
        What was tried, with how many loads each.
    outcomes
        Of all loads of all draws.
    draws_judged, draws_erred, draws_feasible_at_all_loads
        Draws all of whose loads were judged, those left out, and those feasible at every load.
    share, interval
        Of the draws judged; None without one.
    supplied_share_mean, draws_serving_nothing
        What stands beside the share: of the load supplied, and draws that pass by serving nothing.
    v_min_pu
        Lowest voltage of a live bus in any of them.
    """

    phase: str
    loads_per_draw: int
    outcomes: Mapping[str, int]
    draws_judged: int
    draws_erred: int
    draws_feasible_at_all_loads: int
    share: float | None
    supplied_share_mean: float | None
    draws_serving_nothing: int
    interval: Interval
    v_min_pu: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LaterReport(Jsonable):
    """One later response, over the draws that have a plan for it.

    Attributes
    ----------
    name, planned, optimal
        What had become possible; draws with a plan, and those proven.
    supplied_share, damaged_buses_mean, dead_safe_buses_mean
        After it.
    audit_faults
        Of all their graphs.
    ac
        What AC says.
    """

    name: str
    planned: int
    optimal: int
    supplied_share: SuppliedShare
    damaged_buses_mean: float
    dead_safe_buses_mean: float
    audit_faults: int
    ac: StormsInAc


@dataclass(frozen=True, slots=True, kw_only=True)
class StormReport(Jsonable):
    """Figures of many storms, as ``--json`` prints them.

    Attributes
    ----------
    study, storm, seed
        What was drawn.
    draws, planned, without_plan, optimal, worst_gap
        Counted; the plans that are not proven are as good as the gap says.
    confidence
        Of all intervals.
    failures, supplied_share, damaged_buses_mean, dead_safe_buses_mean
        Over the draws; the shares by phase, the means one for each phase, None without a plan.
    audit, ac
        What the graph and the physics say.
    seconds
        ``plan`` and ``ac``, wall time of all.
    later
        What each response after the first remote one brought, where some were asked for.
    figures
        Files that were drawn of it.
    """

    study: str
    storm: Mapping[str, float]
    seed: int
    draws: int
    planned: int
    without_plan: int
    optimal: int
    worst_gap: float | None
    confidence: float
    failures: FailureCounts
    supplied_share: Mapping[str, SuppliedShare] | None
    damaged_buses_mean: tuple[float, ...] | None
    dead_safe_buses_mean: tuple[float, ...] | None
    audit: AuditCounts
    ac: StormsInAc
    seconds: Mapping[str, float]
    later: tuple[LaterReport, ...] | None = field(default=None, metadata=IF_KNOWN)
    figures: tuple[str, ...] | None = field(default=None, metadata=IF_KNOWN)
