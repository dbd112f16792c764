"""Commands that ask for what a campaign cannot count: ``adversary`` and ``rare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from gridproof.federation.adapters.plan_files import read_plan, refuse_faulty
from gridproof.federation.cli.options import (
    AsJson,
    FeederFile,
    Overrides,
    PlanFile,
    print_json,
    stdout,
)
from gridproof.federation.inquiries.probe import Target, ask_adversary, ask_rare
from gridproof.federation.proofs.plans import plan_study
from gridproof.federation.records.probe_report import AdversaryReport, RareReport
from gridproof.federation.reports.answer_tables import level_table, margin_table
from gridproof.federation.studies.study import load_study
from gridproof.federation.studies.trust import Trust
from gridproof.federation.tables.terminal import TableView, facts_view
from gridproof.federation.wording import decimals, fixed
from rich.console import Group, RenderableType
from rich.text import Text

__all__ = ["Probed", "adversary", "rare", "target_of"]

Probed = Annotated[
    str,
    typer.Argument(
        metavar="DIR|STUDY",
        help="A campaign directory, whose plan is probed and where the answer is kept; or a study.",
    ),
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Decides every random choice.")]


def adversary(  # noqa: PLR0917  (typer reads a command's options from its parameters)
    target: Probed,
    overrides: Overrides = None,
    plan_file: PlanFile = None,
    feeder: FeederFile = None,
    budget: Annotated[
        int, typer.Option("--budget", min=1, help="Realizations put to the physics, about.")
    ] = 2000,
    seed: Seed = 1,
    as_json: AsJson = False,
) -> None:
    """Search for the realization of the set with the worst margin under a plan."""
    answer = ask_adversary(
        target_of(target, overrides, plan_file, feeder), budget=budget, seed=seed
    )
    if as_json:
        print_json(answer)
    else:
        stdout().print(_worst_view(answer))


def rare(  # noqa: PLR0917
    target: Probed,
    overrides: Overrides = None,
    plan_file: PlanFile = None,
    feeder: FeederFile = None,
    samples: Annotated[
        int, typer.Option("--level-samples", help="Realizations per level, a multiple of 10.")
    ] = 1000,
    seed: Seed = 1,
    as_json: AsJson = False,
) -> None:
    """Estimate how rare a failure is, by subset simulation; for shares below 0.001."""
    answer = ask_rare(target_of(target, overrides, plan_file, feeder), samples=samples, seed=seed)
    if as_json:
        print_json(answer)
    else:
        stdout().print(_rare_view(answer))


def target_of(
    given: str, overrides: list[str] | None, plan_file: Path | None, feeder: Path | None
) -> Target:
    """Return what a command asks about: a campaign directory, or a study with its plan."""
    trust = Trust(feeder=feeder)
    if Path(given).is_dir() and plan_file is None:
        return Target.of_directory(Path(given), overrides or (), trust)
    study = load_study(given, overrides or (), trust)
    if plan_file is not None:
        plan = read_plan(plan_file, study.scenario)
        refuse_faulty(plan, study.scenario, plan_file)
    else:
        plan = plan_study(study).plan
    return Target(study=study, plan=plan)


def _worst_view(answer: AdversaryReport) -> RenderableType:
    least, drawn = answer.least_margin, answer.monte_carlo
    facts = [
        ("outcome", str(answer.outcome).replace("_", " ")),
        ("least margin", _scaled(least)),
        *(
            []
            if answer.bound is None
            else [("proven", f"no load of the set is below {_scaled(answer.bound)}")]
        ),
        *(
            []
            if drawn is None
            else [
                (
                    "Monte Carlo",
                    f"{_scaled(drawn.least_margin)}, #{drawn.index} of {drawn.realizations}",
                )
            ]
        ),
        ("where", "a corner of the set" if answer.at_corner else "inside the set"),
        (
            "loads",
            ", ".join(
                f"{name} {decimals(zeta, 3, sign=True)}" for name, zeta in answer.zeta.items()
            ),
        ),
        (
            "searched",
            f"{answer.evaluations} realizations in {answer.judge}, "
            f"{answer.linear_evaluations} in the linear model",
        ),
    ]
    parts: list[RenderableType] = [
        Text(
            "Worst realization found" if answer.bound is None else "Worst realization there is",
            style="bold underline",
        ),
        facts_view(facts),
    ]
    if answer.margins:
        parts += [Text(), TableView(margin_table(answer.margins, name="worst-margins"))]
    return Group(*parts)


def _rare_view(answer: RareReport) -> RenderableType:
    if answer.probability is not None:
        headline = (
            f"probability of failure {answer.probability:.3g}  (coefficient of variation "
            f"{fixed(answer.cov, 2)}, at most {fixed(answer.cov_upper, 2)})"
        )
    else:
        headline = f"no failure reached: rarer than about {answer.below:.1g}"
    return Group(
        Text("Rare failures", style="bold underline"),
        Text(headline),
        Text(
            f"{answer.evaluations} realizations in {answer.judge}, law {answer.sampler}, "
            f"recourse {answer.recourse}"
        ),
        *(Text(f"not covered: {line}") for line in answer.not_covered or ()),
        Text(),
        TableView(level_table(answer)),
    )


def _scaled(least: float | None) -> str:
    return (
        "nothing solved"
        if least is None
        else f"{decimals(least, 5)} of half the band, or of rating"
    )
