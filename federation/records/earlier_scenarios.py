"""Scenarios as earlier versions kept them, put as they are kept now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from gridproof.scenarios.events import EventKind
from gridproof.scenarios.restoration import PHASE_NAMES
from gridproof.scenarios.restoration_scenario import weighted_prices

__all__ = ["EARLIER", "as_now"]

EARLIER = "gridproof-scenario/1"
"""What was told of a restoration stood together; how a plan is searched stood beside the grid."""


def as_now(scenario: Mapping[str, Any]) -> dict[str, Any]:
    """Turn the scenario of a document of format `EARLIER` into one of today's.

    Raises
    ------
    KeyError, TypeError, ValueError
        If it is none.
    """
    told = {key: one for key, one in scenario.items() if key not in ("slack_usd_per_kw",)}
    case = told.pop("restoration", None)
    if case is None:
        return told
    failed = case["failed"]
    count = int(failed["shape"][0])
    prices = asdict(weighted_prices(**case["weights"]))
    return {
        **told,
        "events": {
            "kind": [EventKind.LINE_FAILS.value] * count,
            "element": failed,
            "start_h": _column(1.0, count),
            "end_h": _column("inf", count),
            "probability": _column(1.0, count),
        },
        "devices": {**case["devices"], "protection_remote": bool(case["protection_remote"])},
        "prices": {**prices, "unit": prices["unit"].value},
        "step_labels": list(PHASE_NAMES),
    }


def _column(value: float | str, count: int) -> dict[str, Any]:
    return {"shape": [count], "kind": "f", "values": [value] * count}
