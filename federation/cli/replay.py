"""Command ``replay``: open one realization of a campaign."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from gridproof.federation.cli.options import (
    AsJson,
    FeederFile,
    Overrides,
    PlanFile,
    note,
    print_json,
    stdout,
)
from gridproof.federation.cli.probe import target_of
from gridproof.federation.files import write_result
from gridproof.federation.inquiries.probe import Target
from gridproof.federation.inquiries.replay import replay as open_again
from gridproof.federation.inquiries.replay import step_circuit
from gridproof.federation.records.answers import kept_answers, kept_certificate
from gridproof.federation.records.replay_report import ReplayedStep, ReplayReport
from gridproof.federation.reports.replay_tables import replay_view
from gridproof.federation.reports.terminal import print_views
from gridproof.scenarios.arrays import FloatArray
from gridproof.scenarios.errors import ConfigError

__all__ = ["replay"]


def replay(  # noqa: PLR0917  (typer reads a command's options from its parameters)
    target: Annotated[
        str,
        typer.Argument(
            metavar="DIR|STUDY",
            help="A campaign directory; or a study, with --plan or planned now.",
        ),
    ],
    index: Annotated[
        int | None, typer.Option("--index", metavar="N", help="Which realization, from 0.")
    ] = None,
    worst: Annotated[
        bool,
        typer.Option(
            "--worst",
            help="The worst load that prove (or else adversary) left in the directory, instead.",
        ),
    ] = False,
    step: Annotated[
        int | None,
        typer.Option(
            "--step", metavar="K", help="Show this step; that of the least margin if not given."
        ),
    ] = None,
    dss: Annotated[
        Path | None,
        typer.Option(
            "--dss",
            metavar="FILE",
            help="Write the step's circuit, which OpenDSS alone solves to the same numbers.",
        ),
    ] = None,
    overrides: Overrides = None,
    plan_file: PlanFile = None,
    feeder: FeederFile = None,
    as_json: AsJson = False,
) -> None:
    """Open a realization as it was: draw, set-points, voltages, flows, and what failed.

    For example: gridproof replay campaigns/demo --index 123 --dss realization.dss
    """
    asked = target_of(target, overrides, plan_file, feeder)
    if worst == (index is not None):
        raise ConfigError("say which realization: --index N, or --worst")
    zeta, named, at = _worst(asked) if worst else (None, "", None)
    report, written = open_again(
        asked.study, asked.plan, index or 0, zeta=zeta, named=named, store=asked.store
    )
    shown = _chosen(report, step if step is not None else at)
    if dss is not None:
        place = report.steps.index(shown)
        text, apart = step_circuit(asked.study, asked.plan, shown.step, written[place])
        write_result(dss, text)
        report = replace(report, alone_apart_pu=apart)
        note(f"the circuit is in {dss}; OpenDSS alone solves it to within {apart:.1e} pu")
    if as_json:
        print_json(report)
    else:
        print_views(stdout(), *replay_view(report, shown))


def _worst(asked: Target) -> tuple[FloatArray, str, int | None]:
    """Return the load that a kept answer calls the worst, who says so, and its step."""
    if asked.store is None:
        raise ConfigError("--worst opens what prove or adversary left in a campaign directory")
    certificate, (searched, _) = kept_certificate(asked.store), kept_answers(asked.store)
    ids = asked.study.scenario.direction_ids
    if certificate is not None and certificate.worst is not None:
        told = certificate.worst
        words = f"worst load by the certificate, {told.kind} of {told.element}"
        return np.array([told.zeta[name] for name in ids]), words, told.step
    if searched is not None:
        words = "worst load that the search found"
        return np.array([searched.zeta[name] for name in ids]), words, None
    raise ConfigError(
        f"nothing says which load is the worst; ask first: gridproof prove {asked.store.root}"
    )


def _chosen(report: ReplayReport, step: int | None) -> ReplayedStep:
    if step is None:
        return min(
            report.steps,
            key=lambda one: (
                one.outcome == "feasible",
                min((margin.margin for margin in one.margins.values()), default=-np.inf),
            ),
        )
    for one in report.steps:
        if one.step == step:
            return one
    known = ", ".join(str(one.step) for one in report.steps)
    raise ConfigError(f"--step {step}: the study tries the steps {known}; name one of them")
