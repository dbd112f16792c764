"""A plan as somebody brings it: our own file, or one of PowerModelsONM's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gridproof.federation.adapters.onm import is_onm, plan_from_onm
from gridproof.federation.files import read_text
from gridproof.scenarios.audit import audit
from gridproof.scenarios.errors import ConfigError
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.plan_file import plan_from_json
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.strict_json import load_json

__all__ = ["read_plan", "refuse_faulty"]


def read_plan(path: Path, scenario: Scenario) -> Plan:
    """Read a plan file: our own format, or one of PowerModelsONM's.

    Raises
    ------
    ConfigError
        If it cannot be read or does not fit the study; every fault is listed.
    """
    try:
        text = read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(
            f"{path}: cannot be read: {reason}; give a plan that `gridproof plan --out` wrote"
        ) from error
    if _is_onm(text):
        return plan_from_onm(text, scenario, str(path))
    return plan_from_json(text, scenario, str(path))


def refuse_faulty(plan: Plan, scenario: Scenario, where: Path | str) -> None:
    """Refuse to try a plan that is not one.

    Raises
    ------
    ConfigError
        With every fault of the graph audit.
    """
    faults: Sequence[str] = audit(plan, scenario)
    if faults:
        raise ConfigError([f"{where}: {fault}" for fault in faults])


def _is_onm(text: str) -> bool:
    try:
        return is_onm(load_json(text))
    except ValueError:
        return False  # `plan_from_json` says what is wrong with it
