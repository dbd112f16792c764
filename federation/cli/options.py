"""Options that several commands share, and how a command prints."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from gridproof.federation.files import refuse_links, unsigned_zeros
from gridproof.federation.plain_text import PlainConsole, shown
from gridproof.federation.studies.shipped import list_studies
from gridproof.scenarios.errors import ConfigError, PlanError, StoreError
from rich.console import Console

if TYPE_CHECKING:
    from gridproof.federation.jsonable import Jsonable

__all__ = [
    "AsJson",
    "DeviceKind",
    "DeviceNames",
    "FeederFile",
    "Overrides",
    "PlanFile",
    "Quiet",
    "StudyName",
    "TrustStudy",
    "Why",
    "device_entry",
    "keeping",
    "note",
    "print_json",
    "stdout",
]


def _study_names(incomplete: str) -> list[str]:
    """Offer the shell the shipped studies; where none begins so, it completes file names."""
    return [one.name for one in list_studies() if one.name.startswith(incomplete)]


StudyName = Annotated[
    str,
    typer.Argument(
        metavar="STUDY",
        help="Name of a shipped study, path of a .toml, or - to read one.",
        autocompletion=_study_names,
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="SECTION.KEY=VALUE",
        help="Override one key of the study; may be repeated.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")]
Why = Annotated[
    bool,
    typer.Option(
        "--why",
        help="Say of every dead block what stands against serving it, or what it would cost.",
    ),
]
PlanFile = Annotated[
    Path | None, typer.Option("--plan", metavar="FILE", help="A plan file (JSON) to try.")
]


FeederFile = Annotated[
    Path | None,
    typer.Option(
        "--feeder",
        metavar="FILE",
        help="The campaign's feeder, where it is not a shipped one and you have not compiled it "
        "here before; a feeder file is a program.",
    ),
]
DeviceKind = Annotated[
    str | None,
    typer.Option(
        "--device-kind",
        metavar="MODULE:CLASS",
        help="The class of somebody's own that may speak to the study's devices; it is run.",
    ),
]
DeviceNames = Annotated[
    list[str] | None,
    typer.Option(
        "--device",
        metavar="DER=HOST:PORT",
        help="A device of the study that may be written to; without it none is.",
    ),
]
TrustStudy = Annotated[
    bool,
    typer.Option(
        "--trust-study",
        help="Compile the feeder and write to the devices that the study names, whoever wrote it.",
    ),
]


def stdout() -> Console:
    """Return the console that tables go to; made anew so that redirected output is honoured."""
    return PlainConsole(soft_wrap=False)


def note(text: str) -> None:
    """Say something that is not the result; a terminal that is gone hears nothing."""
    with suppress(OSError):
        typer.echo(shown(text), err=True)


def device_entry(given: str) -> str:
    """Return the ``--set`` entry of ``DER=HOST:PORT``, whatever the DER's id holds."""
    der, equals, address = given.rpartition("=")
    if not equals or der[:1] in ('"', "'"):
        return f"devices.at.{given}"
    return f"devices.at.{json.dumps(der.strip(), ensure_ascii=False)}={address}"


@contextmanager
def keeping(root: Path) -> Iterator[None]:
    """Say, where a run of many parts is interrupted or lost, that it can be taken up.

    Raises
    ------
    StoreError
        If the directory holds a link.
    """
    refuse_links(root)
    try:
        yield
    except (ConfigError, PlanError, StoreError):
        raise
    except (Exception, KeyboardInterrupt):
        note(f"what is finished is whole in {root}; go on with the same command")
        raise


def print_json(value: Jsonable | Mapping[str, Any]) -> None:
    """Print the one JSON object of a command."""
    from gridproof.federation.jsonable import json_value  # noqa: PLC0415  (numpy, for all others)

    typer.echo(json.dumps(unsigned_zeros(json_value(value)), indent=2, allow_nan=False))
