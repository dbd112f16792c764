"""Launch scripts for other runners: HELICS' own, containers, and batch systems.

Every script starts three programs: ``helics_broker`` and the two federates, each by the command
one would type on a machine of its own. The key comes to them by the environment, since the words of
a command are seen by everybody. The broker listens on loopback, unless told otherwise,
or where a container network stands around it.
"""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from gridproof.federation.members.children import KEY
from gridproof.federation.members.launch import program
from gridproof.federation.wire.broker_address import BrokerAddress

__all__ = ["LaunchPlan", "Runner", "broker_command", "emit", "environment_of"]


ROLES = ("planner", "feeder")
_BROKER_KEY = "HELICS_BROKER_KEY"
"""Where HELICS' own broker takes its key from, if no word says it."""


class Runner(StrEnum):
    """Who can start a federation from a file."""

    HELICS = "helics"
    COMPOSE = "compose"
    SLURM = "slurm"


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchPlan:
    """What a launch script says.

    Attributes
    ----------
    name
        The study's.
    study
        What a federate is told to load: a shipped name or a path.
    campaign
        The feeder's directory.
    address
        Where the broker listens, and its key.
    overrides
        ``section.key=value`` entries for both federates.
    observers
        Seats for federates that only listen, which whoever runs the file starts.
    """

    name: str
    study: str
    campaign: str
    address: BrokerAddress
    overrides: Sequence[str] = ()
    observers: int = 0

    def federate(self, role: str, gridproof: Sequence[str]) -> list[str]:
        """Return one federate's command."""
        address = self.address
        return [
            *(*gridproof, "federate", role, self.study),
            *("--broker", f"{address.host}:{address.port}"),
            *("--out", self.campaign),
            *(word for entry in self.overrides for word in ("--set", entry)),
        ]


def emit(runner: Runner, plan: LaunchPlan) -> str:
    """Return the text of a launch script.

    Parameters
    ----------
    runner
        Who reads it.
    plan
        What is started.
    """
    return {Runner.HELICS: _helics, Runner.COMPOSE: _compose, Runner.SLURM: _slurm}[runner](plan)


def broker_command(
    address: BrokerAddress, *, listen: str | None = None, observers: int = 0
) -> list[str]:
    """Return the command of HELICS' own broker for one federation; see `environment_of`.

    Parameters
    ----------
    address
        Its port and key, and the interface it listens on.
    listen
        Another interface.
    observers
        Federates that are expected beside ours.
    """
    return [
        *(
            "helics_broker",
            f"-f{len(ROLES) + observers}",
            "--coretype=zmq",
            f"--name={address.name}",
        ),
        f"--port={address.port}",
        f"--local_interface=tcp://{listen or address.host}",
        *("--tick=500ms", "--terminate_on_error", "--error_on_unmatched", "--loglevel=no_print"),
    ]


def environment_of(program: str, key: str) -> dict[str, str]:
    """Return what a program of a federation finds its key by."""
    return {_BROKER_KEY if program == "broker" else KEY: key}


def _helics(plan: LaunchPlan) -> str:
    """JSON for ``helics run --path=FILE``; its programs are looked for on the PATH."""
    gridproof = ["gridproof"] if shutil.which("gridproof") else program()
    broker, *options = broker_command(plan.address, observers=plan.observers)
    beside = Path(sys.executable).with_name(broker)  # where no environment is activated
    if shutil.which(broker) is None and beside.is_file():
        broker = str(beside)
    commands = {"broker": [broker, *options]}
    commands |= {role: plan.federate(role, gridproof) for role in ROLES}
    federates = [
        {
            "name": name,
            "directory": ".",
            "host": "localhost",
            "exec": shlex.join(command),
            "env": environment_of(name, plan.address.key),
        }
        for name, command in commands.items()
    ]
    document = {"name": f"gridproof-{plan.name}", "broker": False, "federates": federates}
    return json.dumps(document, indent=2) + "\n"


def _compose(plan: LaunchPlan) -> str:
    """Three services on a network that leads nowhere else."""
    inside = replace(plan, address=replace(plan.address, host="broker"))
    commands = {"broker": broker_command(inside.address, listen="*", observers=plan.observers)}
    commands |= {role: inside.federate(role, ["gridproof"]) for role in ROLES}
    from gridproof.federation.adapters.compose import compose_text  # noqa: PLC0415  (PyYAML is slow)

    return compose_text(
        _word(f"gridproof-{plan.name}".lower()),
        commands,
        {name: environment_of(name, plan.address.key) for name in commands},
    )


def _slurm(plan: LaunchPlan) -> str:
    """One job on one node; port and key are the job's own, so that jobs do not meet."""
    address = BrokerAddress(transport="zmq", key="KEY", host=plan.address.host, port=1)
    held = replace(plan, address=address)

    def line(command: Sequence[str]) -> str:
        words = [shlex.quote(word) for word in command]
        ours = {
            f"--name={address.name}": '"--name=gridproof-$SLURM_JOB_ID"',
            "--port=1": '"--port=$PORT"',
            f"{address.host}:1": f'"{address.host}:$PORT"',
        }
        return " ".join(ours.get(word, word) for word in words)

    step = "srun --export=ALL --ntasks=1 --exact --kill-on-bad-exit=1"
    roles = [f"{step} {line(held.federate(role, ['gridproof']))} &" for role in ROLES]
    return (
        "\n".join(
            [
                "#!/bin/bash",
                f"#SBATCH --job-name={_word(f'gridproof-{plan.name}')}",
                "#SBATCH --nodes=1",
                "#SBATCH --ntasks=3",
                "#SBATCH --cpus-per-task=1",
                "#SBATCH --time=01:00:00",
                f"# The broker listens on {address.host}: all three run on one node.",
                "set -u",
                "# What the environment says of another federation; encryption is refused aloud.",
                'for name in "${!HELICS_@}"; do',
                '  [[ "$name" == HELICS_ENCRYPTION* ]] || unset "$name"',
                "done",
                "# By the environment: the words of a command are seen by everybody.",
                f'export {KEY}="gridproof-$(od -An -N8 -tx8 /dev/urandom | tr -d " ")"',
                f'export {_BROKER_KEY}="${KEY}"',
                "PORT=$((20000 + SLURM_JOB_ID % 20000 / 2 * 2))",
                f"{step} {line(broker_command(address, observers=plan.observers))} &",
                *roles,
                "# The first that fails ends all; the job fails with it.",
                "code=0",
                "for step in 1 2 3; do",
                "  wait -n || { code=$?; kill $(jobs -p) 2>/dev/null; break; }",
                "done",
                "wait",
                'exit "$code"',
            ]
        )
        + "\n"
    )


def _word(text: str) -> str:
    """Keep what a job's or a project's name may hold."""
    return "".join(sign if sign.isalnum() and sign.isascii() else "-" for sign in text)
