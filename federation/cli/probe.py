"""Commands that ask for what a campaign cannot count: ``adversary`` and ``rare``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from gridproof.federation.adapters.plan_files import read_plan, refuse_faulty
from gridproof.federation.cli.options import (
    AsJson,
    Overrides,
    PlanFile,
    print_json,
    stdout,
)
from gridproof.federation.inquiries.probe import Target, ask_adversary, ask_rare
from gridproof.federation.reports.answer_tables import level_table, worst_margin_table
from gridproof.federation.studies.study import load_study
from gridproof.federation.tables.terminal import TableView, facts_view
from gridproof.federation.wording import decimals
from gridproof.optimizer.planner import make_planner
from rich.console import Group, RenderableType
from rich.text import Text

__all__ = ["adversary", "rare"]

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
    budget: Annotated[
        int, typer.Option("--budget", min=1, help="Realizations put to the physics, about.")
    ] = 2000,
    seed: Seed = 1,
    as_json: AsJson = False,
) -> None:
    """Search for the realization of the set with the worst margin under a plan."""
    answer = ask_adversary(_target(target, overrides, plan_file), budget=budget, seed=seed)
    if as_json:
        print_json(answer)
    else:
        stdout().print(_worst_view(answer))


def rare(  # noqa: PLR0917
    target: Probed,
    overrides: Overrides = None,
    plan_file: PlanFile = None,
    samples: Annotated[
        int, typer.Option("--level-samples", help="Realizations per level, a multiple of 10.")
    ] = 1000,
    seed: Seed = 1,
    as_json: AsJson = False,
) -> None:
    """Estimate how rare a failure is, by subset simulation; for shares below 0.001."""
    answer = ask_rare(_target(target, overrides, plan_file), samples=samples, seed=seed)
    if as_json:
        print_json(answer)
    else:
        stdout().print(_rare_view(answer))


def _target(given: str, overrides: list[str] | None, plan_file: Path | None) -> Target:
    if Path(given).is_dir() and plan_file is None:
        return Target.of_directory(Path(given), overrides or ())
    study = load_study(given, overrides or ())
    if plan_file is not None:
        plan = read_plan(plan_file, study.scenario)
        refuse_faulty(plan, study.scenario, plan_file)
    else:
        planner = make_planner(study.config.planner.family, study.config.planner.options)
        plan = planner.plan(study.scenario)
    return Target(study=study, plan=plan)


def _worst_view(answer: Mapping[str, Any]) -> RenderableType:
    least, drawn = answer["least_margin"], answer["monte_carlo"]
    facts = [
        ("outcome", str(answer["outcome"]).replace("_", " ")),
        ("least margin", _scaled(least)),
        *(
            []
            if drawn is None
            else [
                (
                    "Monte Carlo",
                    f"{_scaled(drawn['least_margin'])}, #{drawn['index']} of "
                    f"{drawn['realizations']}",
                )
            ]
        ),
        ("where", "a corner of the set" if answer["at_corner"] else "inside the set"),
        (
            "loads",
            ", ".join(
                f"{name} {decimals(zeta, 3, sign=True)}" for name, zeta in answer["zeta"].items()
            ),
        ),
        (
            "searched",
            f"{answer['evaluations']} realizations in {answer['judge']}, "
            f"{answer['linear_evaluations']} in the linear model",
        ),
    ]
    parts: list[RenderableType] = [
        Text("Worst realization found", style="bold underline"),
        facts_view(facts),
    ]
    if answer["margins"]:
        parts += [Text(), TableView(worst_margin_table(answer))]
    return Group(*parts)


def _rare_view(answer: Mapping[str, Any]) -> RenderableType:
    if answer["reached"]:
        headline = (
            f"probability of failure {answer['probability']:.3g}  (coefficient of variation "
            f"{decimals(answer['cov'], 2)}, at most {decimals(answer['cov_upper'], 2)})"
        )
    else:
        headline = f"no failure reached: rarer than about {answer['below']:.1g}"
    return Group(
        Text("Rare failures", style="bold underline"),
        Text(headline),
        Text(
            f"{answer['evaluations']} realizations in {answer['judge']}, law {answer['sampler']}, "
            f"recourse {answer['recourse']}"
        ),
        *(Text(f"not covered: {line}") for line in answer["not_covered"]),
        Text(),
        TableView(level_table(answer)),
    )


def _scaled(least: float | None) -> str:
    return (
        "nothing solved"
        if least is None
        else f"{decimals(least, 5)} of half the band, or of rating"
    )
