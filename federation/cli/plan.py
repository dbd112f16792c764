"""Commands about plans: ``plan``, ``check``."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer
from gridproof.federation.adapters.onm_out import onm_output
from gridproof.federation.adapters.plan_files import read_plan
from gridproof.federation.campaigns.progress import showing, watching_plan
from gridproof.federation.certificates.affine_rules import with_what_it_needs
from gridproof.federation.cli.budget import duration_s, planning_entry
from gridproof.federation.cli.options import (
    AsJson,
    Overrides,
    Quiet,
    StudyName,
    Why,
    note,
    print_json,
    stdout,
)
from gridproof.federation.cli.why import ask_why, refuse_why
from gridproof.federation.files import write_result
from gridproof.federation.inquiries.linear_error import linear_errors
from gridproof.federation.plain_text import shown
from gridproof.federation.proof_words import proof_facts, scope_words
from gridproof.federation.proofs.plans import plan_study
from gridproof.federation.records.plan_report import CornerRedispatch, PlanReport
from gridproof.federation.records.summary import about_plan
from gridproof.federation.reports.terminal import plan_view, print_views, run_summary
from gridproof.federation.studies.study import Study, load_study
from gridproof.optimizer.recourse.cost import corner_redispatch_usd
from gridproof.scenarios.audit import audit
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.plan_file import plan_to_json

__all__ = ["check", "plan"]

AUDIT_FAILED = 1


def plan(  # noqa: PLR0917  (typer reads a command's options from its parameters)
    study: StudyName,
    overrides: Overrides = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write the plan here as JSON.")
    ] = None,
    onm: Annotated[
        Path | None,
        typer.Option("--onm", metavar="FILE", help="Write it as PowerModelsONM's output, too."),
    ] = None,
    within: Annotated[
        str | None,
        typer.Option("--for", metavar="TIME", help="Search for at most so long: 90s, 10m, 1h30m."),
    ] = None,
    why: Why = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Plan a study and say what was proven; one AC power flow says how far its model is off."""
    began = perf_counter()
    with showing("reading the study", quiet=quiet):
        loaded = load_study(study, overrides or ())
        if within is not None and (more := planning_entry(loaded, duration_s(within), share=1.0)):
            loaded = load_study(study, [*(overrides or ()), *more])
    read_s = perf_counter() - began
    if why:
        refuse_why(loaded.name, loaded.config.planner.family)
    with watching_plan(quiet=quiet) as progress:
        planned = plan_study(loaded, progress=progress)
        made = with_what_it_needs(planned.plan, loaded.scenario, loaded.config.campaign.recourse)
    summary = about_plan(made, loaded.scenario)
    if isinstance(summary, PlanReport):
        began = perf_counter()
        with showing("one AC power flow, and the recourse at corners", quiet=quiet):
            tried = _tried_redispatch(loaded, made)
            (linear,) = linear_errors(made, loaded.scenario, (0,))
        stages = {"reading": read_s, **(summary.stages_s or {}), "checking": perf_counter() - began}
        summary = replace(
            summary,
            redispatch_tried=tried,
            ac_proof=planned.ac_proof,
            linear=linear,
            stages_s=stages,
        )
        if why:
            asked = ask_why(made, loaded.scenario, loaded.config.planner.options, quiet=quiet)
            summary = replace(summary, why=asked)
    if out is not None:
        write_result(out, plan_to_json(made) + "\n")
        note(f"plan written to {out}; audit it with: gridproof check {out} {study}")
    if onm is not None:
        write_result(onm, json.dumps(onm_output(made, loaded.scenario), indent=2) + "\n")
        note(f"plan written to {onm} as PowerModelsONM's output")
    if as_json:
        print_json(run_summary(loaded.name, loaded.config.campaign.seed, summary, None))
    else:
        print_views(stdout(), plan_view(summary))


def _tried_redispatch(study: Study, made: Plan) -> CornerRedispatch | None:
    """Say what the study's recourse costs at corners, where it can be told without physics."""
    policy = study.config.campaign.recourse
    options = study.config.planner.options
    whole = options.get("budget") is None and not options.get("per_phase")
    if not (made.proof.robust and whole and policy == "linear"):
        return None
    found = corner_redispatch_usd(made, study.scenario, policy)
    if found is None:
        return None
    return CornerRedispatch(policy=policy, most_usd=found[0], corners=found[1])


def check(
    plan_file: Annotated[
        Path, typer.Argument(metavar="PLAN", help="A plan file (JSON), made here or elsewhere.")
    ],
    study: StudyName,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Audit a plan file as a graph; exit 1 with every fault if it has one."""
    scenario = load_study(study, overrides or ()).scenario
    made = read_plan(plan_file, scenario)
    faults = audit(made, scenario)
    facts = proof_facts(made, scenario)
    same = facts.made_for_this_study
    if as_json:
        print_json(
            {
                "plan": str(plan_file),
                "study": scenario.name,
                "made_for_this_study": same,
                "proof_holds": facts.proof_holds,
                "differences": facts.differences,
                "remark": facts.remark,
                "passed": not faults,
                "faults": list(faults),
            }
        )
    else:
        origin = "made for this study" if same else scope_words(facts)
        verdict = f"{len(faults)} faults" if faults else "no fault"
        typer.echo(shown(f"{plan_file}: {verdict} ({origin})"))
        for fault in faults:
            typer.echo(shown(f"  {fault}"))
    if faults:
        raise typer.Exit(AUDIT_FAILED)
