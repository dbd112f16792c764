"""Responses after the first remote one: crews at manual switches, lines mended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from gridproof.scenarios.devices import Device
from gridproof.scenarios.restoration import Outage
from gridproof.scenarios.restoration_scenario import rewired, with_failures
from gridproof.scenarios.scenario import Scenario

__all__ = ["ALL", "LaterResponse", "after"]

ALL = -1
"""All lines that are still damaged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaterResponse:
    """What has become possible since the response before.

    Attributes
    ----------
    crews
        Whether crews move what nobody can move from the control room: manual switches, and
        breakers and reclosers that are not remote. From this response on.
    mended
        Lines mended since, in the order in which failures are listed; `ALL` for those left.
    """

    crews: bool = False
    mended: int = 0

    @property
    def name(self) -> str:
        """As people read it."""
        mended = (
            "all lines"
            if self.mended == ALL
            else f"{self.mended} more line{'s' * (self.mended != 1)}"
        )
        parts = ["crews at manual switches"] * self.crews + [f"{mended} mended"] * bool(self.mended)
        return ", ".join(parts)


def after(scenario: Scenario, responses: Sequence[LaterResponse]) -> Outage:
    """Return the case as it stands at the last of some responses.

    What is mended has its switch where it was left: a later response may close it.

    Parameters
    ----------
    scenario
        The storm's own, a scenario of `scenarios.restoration_scenario`.
    responses
        From the first one after remote reconfiguration on.
    """
    case = Outage.of(scenario)
    mended = sum(one.mended for one in responses if one.mended != ALL)
    left = np.zeros(0, np.int64)
    if all(one.mended != ALL for one in responses):
        left = case.failed[mended:]
    made = scenario
    if any(one.crews for one in responses):
        devices = case.devices
        moved = tuple(
            (Device.REMOTE if one is Device.MANUAL else one,
             Device.REMOTE if other is Device.MANUAL else other)
            for one, other in devices.device
        )  # fmt: skip
        made = rewired(scenario, replace(devices, device=moved, protection_remote=True))
    return Outage.of(with_failures(made, [case.feeder.lines.ids[k] for k in left]))
