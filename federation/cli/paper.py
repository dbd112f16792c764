"""Command ``paper``: a publication's studies, run whole, beside the figures it printed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from gridproof.federation.cli.options import AsJson, Quiet, note

__all__ = ["paper"]


def paper(  # noqa: PLR0917  (typer reads a command's options from its parameters)
    name: Annotated[
        str,
        typer.Argument(
            metavar="PAPER", help="Which: partitioning, restoration, policy-modes, resiliency."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Where rows, tables and figures go; rows that are there are not run again. "
            "campaigns/paper-PAPER if left out.",
        ),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(
            "--samples", min=1, help="Realizations of each campaign; the study's own if left out."
        ),
    ] = None,
    growth: Annotated[
        int | None,
        typer.Option(
            "--growth", min=0, metavar="BUSES",
            help="restoration: largest network of the growth table; 1000 if left out.",
        ),
    ] = None,
    limit: Annotated[
        float | None,
        typer.Option(
            "--limit", min=1.0, metavar="SECONDS",
            help="restoration, resiliency: time limit of each search; 120 and 300 if left out.",
        ),
    ] = None,
    draws: Annotated[
        int | None,
        typer.Option(
            "--draws",
            min=0,
            help="restoration: storms of each damage model, 40 if left out; policy-modes: days of "
            "each AC campaign, 200 if left out.",
        ),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:  # fmt: skip
    """Run a publication's studies and set our figures beside the printed ones."""
    # what draws networks and counts rows is slow to import
    from gridproof.federation.cli.paper_run import run_and_show  # noqa: PLC0415

    root = out or Path("campaigns") / f"paper-{name}"
    own = {"--growth": growth, "--limit": limit, "--draws": draws}
    run_and_show(name, root, samples, own, as_json=as_json, quiet=quiet)
    if not quiet:
        note(f"tables and figures in {root}")
