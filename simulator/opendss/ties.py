"""Switches that a file disables: there in the field, and open."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["open_disabled_switches"]


def open_disabled_switches(context: Any) -> None:
    """Enable each line with ``switch=yes enabled=no`` of a solved circuit, open at both ends.

    OpenDSS leaves out what is disabled, so nothing of the flow changes. One whose end is no bus of
    the circuit, or has not all its phases, stays out: it would tie nothing.
    """
    if not int(context.Basic.NumCircuits()):
        return
    context.Circuit.SetActiveClass("Line")
    if not int(context.ActiveClass.Count()):
        return
    buses = {str(name).lower() for name in context.Circuit.AllBusNames()}
    for line in json.loads(context.ActiveClass.ToJSON(0)):
        if line.get("Enabled", True) or not line.get("Switch", False):
            continue
        context.Circuit.SetActiveElement(f"Line.{line['Name']}")
        if all(_is_there(context, str(end), buses) for end in context.CktElement.BusNames()):
            context.CktElement.Enabled(True)
            for terminal in (1, 2):
                context.CktElement.Open(terminal, 0)


def _is_there(context: Any, end: str, buses: set[str]) -> bool:
    name, *nodes = end.lower().split(".")
    if name not in buses:
        return False
    context.Circuit.SetActiveBus(name)
    asked = {int(node) for node in nodes} or set(range(1, int(context.CktElement.NumPhases()) + 1))
    return asked <= {int(node) for node in context.Bus.Nodes()}
