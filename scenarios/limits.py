"""The limits a verdict holds a snapshot against."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from gridproof.scenarios.arrays import SILENT

__all__ = ["Limits", "VoltageTest"]


class VoltageTest(StrEnum):
    """Which voltage magnitudes the band applies to."""

    LINE_TO_NEUTRAL = "line_to_neutral"
    LINE_TO_LINE = "line_to_line"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Operating limits that are not a component's own rating.

    Attributes
    ----------
    v_min_pu, v_max_pu
        Voltage band at every energised bus and phase.
    voltage_test
        Line-to-neutral where sources are grounded; line-to-line on a floating delta feeder.
    grid_forming_per_island
        Most grid-forming sources an energised island may hold (``k_der``).
    polygon_sides
        Sides of the inner polygon by which the linear model writes ``|s| ≤ S``, in planner and
        recourse alike; a verdict under AC knows the circle itself. No part of a scenario's
        digest at its default, so that digests from before it was a choice stay.
    tolerance
        A margin down to ``-tolerance`` (pu, or share of rating) still counts as inside; it
        covers the power flow's own tolerance, no more.
    """

    v_min_pu: float = 0.95
    v_max_pu: float = 1.05
    voltage_test: VoltageTest = VoltageTest.LINE_TO_NEUTRAL
    grid_forming_per_island: int = 1
    tolerance: float = 1e-6
    polygon_sides: int = field(default=16, metadata={SILENT: True})
