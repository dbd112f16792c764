"""How a partitioning plan is searched for.

Names only, so that a study is read without a modelling language in memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gridproof.optimizer.network.insets import INSET_KINDS
from gridproof.scenarios.linearisation import LINEARISATIONS

__all__ = ["FORMULATIONS", "METHODS", "SEPARATIONS", "PartitioningOptions"]

METHODS = ("column_and_constraint", "cutting_plane", "nominal")

SEPARATIONS = ("auto", "enumeration", "dual_milp", "affine")
"""Means of separation by name; see `optimizer.separation.islands`."""

FORMULATIONS = ("multi_commodity", "single_commodity", "directed_local_flow")
"""Radiality formulations by name; `optimizer.network.radiality` has what each adds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitioningOptions:
    """How a partitioning plan is searched for.

    Attributes
    ----------
    method
        ``column_and_constraint``, ``cutting_plane`` or ``nominal``.
    separation
        How the worst realization is found: ``auto``, ``enumeration``, ``dual_milp`` or
        ``affine``; see `optimizer.separation.islands`.
    budget
        Most uncertain loads (with ``per_phase``, phases of them) off nominal at once, Γ (a
        fraction counts as one load part of its way); no limit if left out.
    per_phase
        Whether each phase of an uncertain load (each pair, of a delta load) moves by itself in
        the set that the plan is proven for: (1) of the paper as printed. All phases of a load
        move together if not.
    radiality
        Formulation of the spanning-forest constraints.
    gap
        Relative gap at which a plan counts as certified.
    time_limit_s
        Wall time for the whole search.
    ac_margin
        pu of voltage, and the like share of every other limit, kept clear in all planning
        copies; see `optimizer.network.network.Network.of`.
    ac_margin_at
        Wider margins of single elements, pu: ``bus``, ``line``, ``transformer`` or ``der``, then
        the element's id.
    ac_proof
        Whether whoever plans a study goes on, with wider margins, until every load of the set is
        proven to have an AC power flow inside every limit. This planner knows no physics to prove
        it with and makes one plan: `federation.proofs.plans` does the rest.
    max_iterations
        Most master solves.
    min_energized_blocks
        A plan must keep at least this many blocks live.
    min_served_kw
        A plan must serve at least this nominal load; loads that generate count as none.
    max_served_kw
        A plan may serve at most this nominal load, counted the same; none if not given.
    hold_configuration
        Whether switches, live blocks and grid-forming roles are the same at every step of a
        study that lasts; see `optimizer.partitioning.horizon`.
    linearise
        Where the linear model stands: ``flat``, at no current, or ``ac``, around the feeder's AC
        state in the study's switch states. This planner takes the model as the scenario has it:
        `federation.studies.linearised` does the rest.
    centre
        Whether base set-points and held voltages, which the cost alone leaves on limits,
        are moved to where the least margin is largest, at the same cost.
    slack_usd_per_kw
        Price of a kW of power-balance violation inside cuts, ``ω`` of the paper: high enough
        that re-dispatch is always the cheaper.

    Raises
    ------
    ValueError
        Naming every fault.
    """

    method: str = "column_and_constraint"
    separation: str = "auto"
    budget: float | None = None
    per_phase: bool = False
    radiality: str = "multi_commodity"
    gap: float = 1e-4
    time_limit_s: float = 600.0
    ac_margin: float = 0.0
    ac_margin_at: Mapping[str, Mapping[str, float]] = field(default_factory=dict, hash=False)
    ac_proof: bool = False
    max_iterations: int = 100
    min_energized_blocks: int = 0
    min_served_kw: float = 0.0
    max_served_kw: float | None = None
    hold_configuration: bool = False
    linearise: str = "flat"
    centre: bool = True
    slack_usd_per_kw: float = 705.0

    def __post_init__(self) -> None:
        faults = [
            f"{name} = {value!r} is not known; it must be one of {', '.join(known)}"
            for name, value, known in (
                ("method", self.method, METHODS),
                ("separation", self.separation, SEPARATIONS),
                ("radiality", self.radiality, FORMULATIONS),
                ("linearise", self.linearise, LINEARISATIONS),
            )
            if value not in known
        ]
        faults += [
            f"{name} = {value!r} must be {wanted}"
            for name, value, wanted, fits in (
                ("gap", self.gap, "at least 1e-9 and below 1", 1e-9 <= self.gap < 1.0),
                ("time_limit_s", self.time_limit_s, "above 0", self.time_limit_s > 0.0),
                ("ac_margin", self.ac_margin, "in [0, 0.05) pu", 0.0 <= self.ac_margin < 0.05),
                ("budget", self.budget, "at least 0", self.budget is None or self.budget >= 0.0),
                ("max_iterations", self.max_iterations, "at least 1", self.max_iterations >= 1),
                (
                    "min_energized_blocks",
                    self.min_energized_blocks,
                    "at least 0",
                    self.min_energized_blocks >= 0,
                ),
                ("min_served_kw", self.min_served_kw, "at least 0", self.min_served_kw >= 0.0),
                (
                    "max_served_kw",
                    self.max_served_kw,
                    f"at least min_served_kw = {self.min_served_kw:g}",
                    self.max_served_kw is None or self.max_served_kw >= self.min_served_kw,
                ),
                (
                    "slack_usd_per_kw",
                    self.slack_usd_per_kw,
                    "at least 0",
                    self.slack_usd_per_kw >= 0.0,
                ),
            )
            if not fits
        ]
        faults += _margin_faults(self.ac_margin_at)
        if faults:
            raise ValueError("; ".join(faults))


def _margin_faults(given: Mapping[str, Any]) -> list[str]:
    """Find every margin of an element that is not a table of numbers in range."""
    faults = []
    for kind, table in given.items():
        if kind not in INSET_KINDS:
            faults.append(
                f"ac_margin_at.{kind} is not known; it must be one of {', '.join(INSET_KINDS)}"
            )
        elif not isinstance(table, Mapping):
            faults.append(
                f"ac_margin_at.{kind} = {table!r} must be a table of ids and pu, such as "
                f"ac_margin_at.{kind}.ID = 0.002"
            )
        else:
            faults += [
                f"ac_margin_at.{kind}.{name} = {value!r} must be a number in [0, 0.05) pu"
                for name, value in table.items()
                if isinstance(value, bool)
                or not isinstance(value, (int, float))
                or not 0.0 <= value < 0.05
            ]
    return faults
