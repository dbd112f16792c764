"""Command ``harden``: raise the planner's margins until a plan is shown to hold under AC."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from gridproof.federation.campaigns.progress import watching_campaign
from gridproof.federation.cli.options import (
    AsJson,
    Overrides,
    Quiet,
    StudyName,
    keeping,
    note,
    print_json,
    stdout,
)
from gridproof.federation.files import json_text, write_result
from gridproof.federation.inquiries.harden_settings import HardenSettings
from gridproof.federation.inquiries.hardening import End, harden
from gridproof.federation.reports.harden_report import (
    harden_markdown,
    harden_summary,
    harden_view,
    round_line,
)
from gridproof.federation.reports.terminal import print_views
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.plan_file import plan_to_json
from gridproof.scenarios.scenario import Scenario

__all__ = ["hardening"]

NOT_SHOWN = 3


def hardening(  # noqa: PLR0917  (typer reads a command's options from its parameters)
    study: StudyName,
    share: Annotated[
        float, typer.Option("--share", help="Feasible share to be shown; 1 by a proof alone.")
    ] = 0.99,
    confidence: Annotated[
        float,
        typer.Option("--confidence", help="That no lesser plan is shown, all rounds together."),
    ] = 0.95,
    rounds: Annotated[int, typer.Option("--rounds", help="Most plans to try.")] = 12,
    overrides: Overrides = None,
    everywhere: Annotated[
        bool,
        typer.Option("--everywhere", help="Widen all limits alike, not those that failed alone."),
    ] = False,
    samples: Annotated[
        int | None, typer.Option("--samples", help="Short for --set campaign.samples=N.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Where rounds and the report go; rounds that are there are not run again. "
            "campaigns/harden-STUDY if left out.",
        ),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Plan again with wider AC margins until a feasible share is shown; exit 3 if it is not."""
    entries = list(overrides or ())
    entries += [f"campaign.samples={samples}"] if samples is not None else []
    root = out or Path("campaigns") / f"harden-{Path(study).stem}"
    settings = HardenSettings(
        share=share, confidence=confidence, most_rounds=rounds, everywhere=everywhere
    )
    with keeping(root):
        done = harden(
            study,
            entries,
            settings,
            root,
            tell=(lambda _: None) if quiet else (lambda one: note(round_line(one, settings))),
            watch=lambda: watching_campaign(quiet=quiet),
        )
    summary = harden_summary(done, study, root)
    write_result(root / "hardening.json", json_text(summary.to_json()))
    write_result(root / "hardening.md", harden_markdown(summary))
    write_result(root / "plan.json", plan_to_json(done.plan) + "\n")
    _draw(done.plan, done.scenario, root)
    if as_json:
        print_json(summary)
    else:
        print_views(stdout(), *harden_view(summary))
    if not quiet:
        note(f"rounds, plan and report in {root}")
    if done.end is not End.SHOWN:
        raise typer.Exit(NOT_SHOWN)


def _draw(plan: Plan, scenario: Scenario, root: Path) -> None:
    from gridproof.federation.reports.one_line import figure_one_line  # noqa: PLC0415  (matplotlib is slow)

    figure_one_line(plan, scenario, root / "plan")
