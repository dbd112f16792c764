"""The command ``prove``: certificates over the whole load set, in place of samples."""

from __future__ import annotations

from typing import Annotated

import typer
from gridproof.federation.cli.options import (
    AsJson,
    FeederFile,
    Overrides,
    PlanFile,
    print_json,
    stdout,
)
from gridproof.federation.cli.probe import Probed, target_of
from gridproof.federation.proofs.proving import ProofSettings, prove
from gridproof.federation.records.answers import PROVE
from gridproof.federation.records.certificate_report import CertificateReport
from gridproof.federation.reports.certificate_tables import certificate_table, missing_lines
from gridproof.federation.tables.terminal import TableView, facts_view
from gridproof.federation.wording import decimals
from gridproof.scenarios.sets import Budget
from rich.console import Group, RenderableType
from rich.text import Text

__all__ = ["proving"]


def proving(  # noqa: PLR0917  (typer reads a command's options from its parameters)
    target: Probed,
    overrides: Overrides = None,
    plan_file: PlanFile = None,
    feeder: FeederFile = None,
    gamma: Annotated[
        float | None,
        typer.Option(
            "--budget",
            min=0.0,
            metavar="GAMMA",
            help="Only so many loads at an end of their range at once, in place of the whole box.",
        ),
    ] = None,
    depth: Annotated[
        int, typer.Option("--depth", min=0, max=30, help="How often the set may be cut in two.")
    ] = 8,
    seconds: Annotated[
        float, typer.Option("--seconds", min=0.0, help="For cutting, per island.")
    ] = 20.0,
    as_json: AsJson = False,
) -> None:
    """Prove that a plan holds for every load of its set, or name one that it fails for.

    AC power flow, every limit of a verdict; no sampling. A limit is proven, refuted by a load that
    OpenDSS solved, or undecided, with what is missing. Of a campaign directory its plan is proven,
    and the answer about its whole set is kept for its report.
    """
    asked = target_of(target, overrides, plan_file, feeder)
    width = len(asked.study.scenario.direction_ids)
    answer = prove(
        asked.study,
        asked.plan,
        load_set=None if gamma is None else Budget.over(width, gamma),
        settings=ProofSettings(depth=depth, seconds=seconds),
    )
    if gamma is None:
        asked.keep(PROVE, answer)
    if as_json:
        print_json(answer)
    else:
        stdout().print(_view(answer))


def _view(answer: CertificateReport) -> RenderableType:
    size = len(answer.load_set.directions)
    budget = "" if answer.load_set.gamma is None else f", budget {answer.load_set.gamma:g}"
    facts = [
        ("verdict", answer.verdict.value),
        ("set", f"{answer.load_set.kind} of {size} directions{budget}, recourse {answer.recourse}"),
    ]
    worst = answer.worst
    if worst is not None:
        loads = ", ".join(f"{name} {decimals(z, 3, sign=True)}" for name, z in worst.zeta.items())
        facts += [("worst load", loads or "none moves")]
    closed = [island for island in answer.islands if island.width_pu is not None]
    if closed:
        widest = max(island.width_pu or 0.0 for island in closed)
        apart = max(island.remainder_pu or 0.0 for island in closed)
        facts.append(("tube", f"{widest:.2e} pu wide, within {apart:.1e} pu of the tangent"))
    facts.append(("solved", f"{answer.evaluations} power flows in OpenDSS"))
    parts: list[RenderableType] = [
        Text("Certificate", style="bold underline"),
        facts_view(facts),
        Text(),
        TableView(certificate_table(answer)),
    ]
    parts += [Text(f"missing: {line}") for line in missing_lines(answer)]
    return Group(*parts, *(Text(f"note: {line}") for line in answer.said))
