"""Commands about campaigns: ``run``, ``campaign``, ``report``, and one federate alone."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from federation.campaign import (
    make_feeder_job,
    make_planner_job,
    run_campaign,
    session_settings,
)
from federation.cli_options import (
    AsJson,
    Overrides,
    PlanFile,
    Quiet,
    StudyName,
    note,
    print_json,
    read_plan,
    refuse_faulty,
    stdout,
)
from federation.cli_progress import CampaignBar, watching_campaign
from federation.launch import run_feeder_process, run_planner_process
from federation.report import (
    campaign_summary,
    plan_summary,
    plan_view,
    print_views,
    run_summary,
    verdict_view,
)
from federation.session import SessionSettings
from federation.sink import stored_plan
from federation.store import CampaignStore
from federation.study import Study, load_study
from scenarios.errors import ConfigError

__all__ = ["campaign", "federate", "report", "run"]

INTERRUPTED = 130


class Role(StrEnum):
    """Which federate a process is."""

    PLANNER = "planner"
    FEEDER = "feeder"


Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="DIR",
        help="Campaign directory; one that is there already is taken up where it stopped. "
        "A new one under campaigns/ if left out.",
    ),
]
Processes = Annotated[
    bool, typer.Option("--processes", help="Run planner and feeder as two processes over zmq.")
]
Samples = Annotated[
    int | None, typer.Option("--samples", help="Short for --set campaign.samples=N.")
]
Seed = Annotated[int | None, typer.Option("--seed", help="Short for --set campaign.seed=N.")]


def run(  # noqa: PLR0917  (typer reads a command's options from its parameters)
    study: StudyName,
    overrides: Overrides = None,
    out: Out = None,
    plan_file: PlanFile = None,
    processes: Processes = False,
    samples: Samples = None,
    seed: Seed = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Plan a study, try the plan against drawn realizations, and report both."""
    loaded = _load(study, overrides, samples, seed)
    _try(loaded, out, plan_file, processes=processes, as_json=as_json, quiet=quiet)


def campaign(  # noqa: PLR0917
    study: StudyName,
    plan_file: Annotated[
        Path, typer.Option("--plan", metavar="FILE", help="The plan file (JSON) to try.")
    ],
    overrides: Overrides = None,
    out: Out = None,
    processes: Processes = False,
    samples: Samples = None,
    seed: Seed = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Try a given plan against drawn realizations; nothing is planned."""
    loaded = _load(study, overrides, samples, seed)
    _try(loaded, out, plan_file, processes=processes, as_json=as_json, quiet=quiet)


def report(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A campaign directory.")],
    as_json: AsJson = False,
) -> None:
    """Show a campaign's plan and verdicts again, whole or as far as it came."""
    store = CampaignStore.open(directory)
    _show(load_study(directory / "study.json"), store, as_json=as_json)


def federate(  # noqa: PLR0917
    role: Annotated[Role, typer.Argument(help="Which federate.")],
    study: StudyName,
    broker: Annotated[str, typer.Option("--broker", metavar="HOST:PORT", help="Its address.")],
    key: Annotated[str, typer.Option("--key", metavar="KEY", help="The broker's key.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Campaign directory; the feeder needs one."),
    ] = None,
    settings: Annotated[
        str | None,
        typer.Option("--settings", metavar="JSON", help="Deadlines; the study's if left out."),
    ] = None,
    overrides: Overrides = None,
) -> None:
    """Run one federate of a federation whose broker is somewhere else."""
    loaded = load_study(study, overrides or ())
    chosen = (
        session_settings(loaded, "processes")
        if settings is None
        else SessionSettings.from_json(settings)
    )
    if role is Role.PLANNER:
        job = make_planner_job(loaded, out=out)
        run_planner_process(job, broker=broker, key=key, settings=chosen)
        return
    if out is None:
        raise ConfigError("--out is missing; name the campaign directory the feeder writes to")
    run_feeder_process(make_feeder_job(loaded, out), broker=broker, key=key, settings=chosen)


# -------------------------------------------------------------------------------------- parts


def _load(study: str, overrides: list[str] | None, samples: int | None, seed: int | None) -> Study:
    entries = list(overrides or ())
    entries += [f"campaign.samples={samples}"] if samples is not None else []
    entries += [f"campaign.seed={seed}"] if seed is not None else []
    return load_study(study, entries)


def _try(
    study: Study,
    out: Path | None,
    plan_file: Path | None,
    *,
    processes: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    plan = None
    if plan_file is not None:
        plan = read_plan(plan_file, study.scenario)
        refuse_faulty(plan, study.scenario, plan_file)
    mode = "processes" if processes else study.config.federation.mode
    root = out or _fresh_directory(study)
    with watching_campaign(quiet=quiet) as bar:
        try:
            run_campaign(study, root, mode=mode, plan=plan, progress=bar, planning=bar.planning)
        except KeyboardInterrupt:
            code = _interrupted(root, bar)
        else:
            code = 0
    if code:
        raise typer.Exit(code)
    _show(study, CampaignStore.open(root), as_json=as_json)
    if not quiet:
        note(f"kept in {root}; see it again with: gridproof report {root}")


def _fresh_directory(study: Study) -> Path:
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    root = Path("campaigns") / f"{study.name}-{stamp}"
    number = 2
    while root.exists():
        root = Path("campaigns") / f"{study.name}-{stamp}-{number}"
        number += 1
    return root


def _interrupted(root: Path, bar: CampaignBar) -> int:
    """Say where it stopped, what is kept and how to go on."""
    on = f"go on with: gridproof run {root / 'study.json'} --out {root}"
    if bar.last is not None:
        note(f"interrupted after {bar.last.done} of {bar.last.total} realizations")
        note(f"finished parts are whole in {root}; see them with: gridproof report {root}\n{on}")
    else:
        note("interrupted while planning; nothing was tried yet")
        if (root / "study.json").exists():
            note(on)
    return INTERRUPTED


def _show(study: Study, store: CampaignStore, *, as_json: bool) -> None:
    plan = stored_plan(store, study.scenario)
    about = None if plan is None else plan_summary(plan, study.scenario)
    verdicts = campaign_summary(store)
    if as_json:
        seed = study.config.campaign.seed
        version = store.environment["versions"]
        print_json(run_summary(study.name, seed, about, verdicts, version))
        return
    views = [plan_view(about)] if about is not None else []
    print_views(stdout(), *views, verdict_view(verdicts))
