"""The commands there are, each imported when it is asked for: all together take seconds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

__all__ = ["COMMANDS", "Door", "LazyGroup", "command"]


@dataclass(frozen=True, slots=True)
class Door:
    """Where a command is, and its line in the list of commands.

    Attributes
    ----------
    place
        ``file:name`` in this folder: a function, or a `typer.Typer` of further commands.
    help
        The first line of its docstring.
    """

    place: str
    help: str


COMMANDS = {
    "studies": Door("studies:studies", "List the shipped studies."),
    "schema": Door(
        "schema:schema",
        "Say what a study file may hold: keys, units, bounds, defaults; as JSON: a JSON schema.",
    ),
    "feeder": Door(
        "feeder:feeder",
        "Say what is in a feeder file, and how far what is read of it can be trusted.",
    ),
    "init": Door(
        "feeder:init",
        "Write a study for a feeder file: switches, DERs and limits proposed from the file itself.",
    ),
    "plan": Door(
        "plan:plan",
        "Plan a study and say what was proven; one AC power flow says how far its model is off.",
    ),
    "run": Door(
        "run:run",
        "Plan a study, try the plan against drawn realizations, and report both.",
    ),
    "campaign": Door(
        "run:campaign",
        "Try a given plan against drawn realizations; nothing is planned.",
    ),
    "resume": Door(
        "run:resume",
        "Go on with a campaign that was stopped or killed: whole parts stay, the rest is done.",
    ),
    "watch": Door(
        "watch:watch",
        "Watch a campaign that another program runs; ends when it is complete, or abandoned.",
    ),
    "report": Door(
        "report:report",
        "Show a campaign's plan and verdicts, whole or as far as it came, and write its page.",
    ),
    "compare": Door(
        "report:compare",
        "Compare campaigns on the realizations that all have: feasible, served, unserved, cost.",
    ),
    "check": Door(
        "plan:check",
        "Audit a plan file as a graph; exit 1 with every fault if it has one.",
    ),
    "paper": Door(
        "paper:paper",
        "Run a publication's studies and set our figures beside the printed ones.",
    ),
    "sweep": Door(
        "sweep:sweep",
        "Try a study at several values of a key: feasible share with intervals, as a figure.",
    ),
    "modes": Door(
        "modes:modes",
        "Say what each event risks, which modes cover enough of it, and which is cheapest.",
    ),
    "adversary": Door(
        "probe:adversary",
        "Search for the realization of the set with the worst margin under a plan.",
    ),
    "rare": Door(
        "probe:rare",
        "Estimate how rare a failure is, by subset simulation; for shares below 0.001.",
    ),
    "prove": Door(
        "prove:proving",
        "Prove that a plan holds for every load of its set, or name one that it fails for.",
    ),
    "replay": Door(
        "replay:replay",
        "Open a realization as it was: draw, set-points, voltages, flows, and what failed.",
    ),
    "storm": Door(
        "storm:storm",
        "Draw failures, plan and audit each restoration, try it under AC: restored share.",
    ),
    "harden": Door(
        "harden:hardening",
        "Plan again with wider AC margins until a feasible share is shown; exit 3 if it is not.",
    ),
    "launch": Door(
        "launch:launch",
        "Run broker, planner and feeder as processes; or write a script for another runner.",
    ),
    "federate": Door(
        "run:federate",
        "Run one federate of a federation whose broker is somewhere else.",
    ),
    "observe": Door(
        "observe:observe",
        "Sit in a federation and print set-points and verdicts as they cross the wire.",
    ),
    "device": Door(
        "device:device",
        "DERs as devices of their own: an emulator, and a look at one.",
    ),
    "oedisi": Door(
        "oedisi:oedisi",
        "Planner and feeder as components of an OEDISI system.",
    ),
}
"""In the order of the list."""


class LazyGroup(TyperGroup):
    """A group whose list and completion of names open no door."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands: Any = dict.fromkeys(COMMANDS)  # names, for what a mistyped one is near to
        self._listing = False

    @contextmanager
    def _only_lines(self) -> Iterator[None]:
        """Hand out stand-ins that have a name and a help line, which import nothing."""
        self._listing = True
        try:
            yield
        finally:
            self._listing = False

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        """Return the names, in their order."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """Return a command, imported now; None if there is none of the name."""
        door = COMMANDS.get(cmd_name)
        if door is None:
            return None
        if self._listing:
            return TyperCommand(cmd_name, help=door.help, rich_markup_mode="rich")
        return command(cmd_name)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the list of commands."""
        with self._only_lines():
            super().format_help(ctx, formatter)

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """Complete a command's name."""
        with self._only_lines():
            return super().shell_complete(ctx, incomplete)


@cache
def command(name: str) -> Any:
    """Import what a door leads to, as typer makes a command of it."""
    file, attribute = COMMANDS[name].place.split(":")
    found = getattr(import_module(f"{__package__}.{file}"), attribute)
    made: Any
    if isinstance(found, typer.Typer):
        made = typer.main.get_group(found)
    else:
        alone = typer.Typer(add_completion=False, rich_markup_mode="rich")
        alone.command(name)(found)
        made = typer.main.get_command(alone)
    made.name = name
    return made
