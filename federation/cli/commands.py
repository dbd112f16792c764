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
    example
        How it may be called.
    """

    place: str
    help: str
    example: str


COMMANDS = {
    "studies": Door("studies:studies", "List the shipped studies.", "gridproof studies"),
    "schema": Door(
        "schema:schema",
        "Say what a study file may hold: keys, units, bounds, defaults; as JSON: a JSON schema.",
        "gridproof schema campaign.stop",
    ),
    "feeder": Door(
        "feeder:feeder",
        "Say what is in a feeder file, and how far what is read of it can be trusted.",
        "gridproof feeder my.dss",
    ),
    "init": Door(
        "feeder:init",
        "Write a study for a feeder file: switches, DERs and limits proposed from the file itself.",
        "gridproof init my.dss --lost line.breaker --out my.toml",
    ),
    "plan": Door(
        "plan:plan",
        "Plan a study and say what was proven; one AC power flow says how far its model is off.",
        "gridproof plan ieee37-networked --out plan.json",
    ),
    "run": Door(
        "run:run",
        "Plan a study, try the plan against drawn realizations, and report both.",
        "gridproof run ieee37-networked --set uncertainty.spread=0.25",
    ),
    "campaign": Door(
        "run:campaign",
        "Try a given plan against drawn realizations; nothing is planned.",
        "gridproof campaign ieee37-networked --plan plan.json",
    ),
    "resume": Door(
        "run:resume",
        "Go on with a campaign that was stopped or killed: whole parts stay, the rest is done.",
        "gridproof resume campaigns/demo",
    ),
    "watch": Door(
        "watch:watch",
        "Watch a campaign that another program runs; ends when it is complete, or abandoned.",
        "gridproof watch campaigns/demo",
    ),
    "report": Door(
        "report:report",
        "Show a campaign's plan and verdicts, whole or as far as it came, and write its page.",
        "gridproof report campaigns/demo",
    ),
    "serve": Door(
        "serve:serve",
        "Show the reports of campaigns in a browser, anew as parts arrive; Ctrl-C ends it.",
        "gridproof serve campaigns",
    ),
    "compare": Door(
        "report:compare",
        "Compare campaigns on the realizations that all have: feasible, served, unserved, cost.",
        "gridproof compare campaigns/a campaigns/b --figure choices.svg",
    ),
    "check": Door(
        "plan:check",
        "Audit a plan file as a graph; exit 1 with every fault if it has one.",
        "gridproof check plan.json ieee37-networked",
    ),
    "paper": Door(
        "paper:paper",
        "Run a publication's studies and set our figures beside the printed ones.",
        "gridproof paper partitioning",
    ),
    "sweep": Door(
        "sweep:sweep",
        "Try a study at several values of a key: feasible share with intervals, as a figure.",
        "gridproof sweep ieee37-latency --over faults.latency_s=0,10,20",
    ),
    "modes": Door(
        "modes:modes",
        "Say what each event risks, which modes cover enough of it, and which is cheapest.",
        "gridproof modes ieee123-policy-modes",
    ),
    "adversary": Door(
        "probe:adversary",
        "Search for the realization of the set with the worst margin under a plan.",
        "gridproof adversary campaigns/demo --budget 300",
    ),
    "rare": Door(
        "probe:rare",
        "Estimate how rare a failure is, by subset simulation; for shares below 0.001.",
        "gridproof rare campaigns/demo",
    ),
    "prove": Door(
        "prove:proving",
        "Prove that a plan holds for every load of its set, or name one that it fails for.",
        "gridproof prove ieee37-networked --set uncertainty.spread=0.15",
    ),
    "replay": Door(
        "replay:replay",
        "Open a realization as it was: draw, set-points, voltages, flows, and what failed.",
        "gridproof replay campaigns/demo --index 123 --dss one.dss",
    ),
    "storm": Door(
        "storm:storm",
        "Draw failures, plan and audit each restoration, try it under AC: restored share.",
        "gridproof storm mv315-case1 --draws 50",
    ),
    "harden": Door(
        "harden:hardening",
        "Plan again with wider AC margins until a feasible share is shown; exit 3 if it is not.",
        "gridproof harden ieee37-networked --share 0.99",
    ),
    "launch": Door(
        "launch:launch",
        "Run broker, planner and feeder as processes; or write a script for another runner.",
        "gridproof launch ieee37-networked",
    ),
    "federate": Door(
        "run:federate",
        "Run one federate of a federation whose broker is somewhere else.",
        "gridproof federate feeder ieee37-networked --broker 127.0.0.1:23500",
    ),
    "observe": Door(
        "observe:observe",
        "Sit in a federation and print set-points and verdicts as they cross the wire.",
        "gridproof observe 127.0.0.1:23500",
    ),
    "device": Door(
        "device:device",
        "DERs as devices of their own: an emulator, and a look at one.",
        "gridproof device emulate --port 8502 --p-kw 300",
    ),
    "oedisi": Door(
        "oedisi:oedisi",
        "Planner and feeder as components of an OEDISI system.",
        "gridproof oedisi system ieee37-networked --out system",
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
    door = COMMANDS[name]
    file, attribute = door.place.split(":")
    found = getattr(import_module(f"{__package__}.{file}"), attribute)
    made: Any
    if isinstance(found, typer.Typer):
        made = typer.main.get_group(found)
    else:
        alone = typer.Typer(add_completion=False, rich_markup_mode="rich")
        alone.command(name)(found)
        made = typer.main.get_command(alone)
    made.name = name
    made.epilog = f"Example: {door.example}"
    return made
