"""Commands about campaigns: ``run``, ``campaign``, ``resume``, one federate alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from federation.campaigns.campaign import Spread
from federation.campaigns.cluster import DaskCluster
from federation.campaigns.progress import CampaignBar, watching_campaign
from federation.campaigns.steps import run_study, steps_summary
from federation.campaigns.study_jobs import make_feeder_job, make_planner_job, session_settings
from federation.campaigns.workers import Workers as WorkerPool
from federation.cli.options import (
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
from federation.members.launch import run_feeder_process, run_planner_process
from federation.members.session import SessionSettings
from federation.records.sink import stored_plan
from federation.records.store import CampaignStore
from federation.reports.restoration_view import steps_view
from federation.reports.terminal import (
    about_plan,
    campaign_summary,
    plan_view,
    print_views,
    run_summary,
    verdict_view,
)
from federation.studies.study import Study, load_study
from scenarios.errors import ConfigError
from scenarios.plan import Plan

__all__ = ["campaign", "federate", "resume", "run", "show"]

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
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        metavar="N",
        help="Try the plan in N worker processes on this machine; the results are the same.",
    ),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        "--scheduler",
        metavar="ADDRESS",
        help="Try the plan on the workers of this Dask scheduler, such as tcp://node17:8786.",
    ),
]
Samples = Annotated[
    int | None, typer.Option("--samples", help="Short for --set campaign.samples=N.")
]
Seed = Annotated[int | None, typer.Option("--seed", help="Short for --set campaign.seed=N.")]
Devices = Annotated[
    list[str] | None,
    typer.Option(
        "--device",
        metavar="DER=HOST:PORT",
        help="A DER that is a Modbus device; short for --set devices.at.DER=HOST:PORT.",
    ),
]


def run(  # noqa: PLR0917  (typer reads a command's options from its parameters)
    study: StudyName,
    overrides: Overrides = None,
    out: Out = None,
    plan_file: PlanFile = None,
    processes: Processes = False,
    workers: Workers = None,
    scheduler: Scheduler = None,
    samples: Samples = None,
    seed: Seed = None,
    devices: Devices = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Plan a study, try the plan against drawn realizations, and report both."""
    loaded = _load(study, overrides, samples, seed, devices)
    root, plan = out or _fresh_directory(loaded), _given_plan(plan_file, loaded)
    how = _How.of(loaded, processes, workers, scheduler)
    _try(loaded, root, plan, how, as_json=as_json, quiet=quiet)


def campaign(  # noqa: PLR0917
    study: StudyName,
    plan_file: Annotated[
        Path, typer.Option("--plan", metavar="FILE", help="The plan file (JSON) to try.")
    ],
    overrides: Overrides = None,
    out: Out = None,
    processes: Processes = False,
    workers: Workers = None,
    scheduler: Scheduler = None,
    samples: Samples = None,
    seed: Seed = None,
    devices: Devices = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Try a given plan against drawn realizations; nothing is planned."""
    loaded = _load(study, overrides, samples, seed, devices)
    root, plan = out or _fresh_directory(loaded), _given_plan(plan_file, loaded)
    how = _How.of(loaded, processes, workers, scheduler)
    _try(loaded, root, plan, how, as_json=as_json, quiet=quiet)


def resume(  # noqa: PLR0917
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="A campaign directory that is not complete.")
    ],
    processes: Processes = False,
    workers: Workers = None,
    scheduler: Scheduler = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Go on with a campaign that was stopped or killed: whole parts stay, the rest is done."""
    CampaignStore.open(directory)
    loaded = load_study(directory / "study.json")
    how = _How.of(loaded, processes, workers, scheduler)
    _try(loaded, directory, None, how, as_json=as_json, quiet=quiet)


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


def _load(
    study: str,
    overrides: list[str] | None,
    samples: int | None,
    seed: int | None,
    devices: list[str] | None,
) -> Study:
    entries = [*(overrides or ()), *(f"devices.at.{entry}" for entry in devices or ())]
    entries += [f"campaign.samples={samples}"] if samples is not None else []
    entries += [f"campaign.seed={seed}"] if seed is not None else []
    return load_study(study, entries)


@dataclass(frozen=True, slots=True, kw_only=True)
class _How:
    """How a campaign is run; never changes a result."""

    mode: str
    spread: Spread | None

    @classmethod
    def of(cls, study: Study, processes: bool, workers: int | None, scheduler: str | None) -> _How:
        asked = {"--processes": processes, "--workers": workers, "--scheduler": scheduler}
        given = [name for name, value in asked.items() if value not in (None, False)]
        if len(given) > 1:
            raise ConfigError(f"{' and '.join(given)} exclude one another; keep one of them")
        spread: Spread | None = None
        if workers is not None:
            spread = WorkerPool(count=workers)
        elif scheduler is not None:
            spread = DaskCluster(address=scheduler, tell=note)
        mode = study.config.federation.mode
        if processes:
            mode = "processes"
        elif spread is not None and mode == "processes":
            mode = "in_process"  # each worker holds both federates
        return cls(mode=mode, spread=spread)


def _given_plan(path: Path | None, study: Study) -> Plan | None:
    if path is None:
        return None
    plan = read_plan(path, study.scenario)
    refuse_faulty(plan, study.scenario, path)
    return plan


def _try(
    study: Study, root: Path, plan: Plan | None, how: _How, *, as_json: bool, quiet: bool
) -> None:
    with watching_campaign(study, quiet=quiet) as bar:
        try:
            run_study(
                study,
                root,
                mode=how.mode,
                plan=plan,
                progress=bar,
                planning=bar.planning,
                spread=how.spread,
                begin=bar.begin,
            )
        except KeyboardInterrupt:
            code = _interrupted(root, bar)
        else:
            code = 0
    if code:
        raise typer.Exit(code)
    show(study, CampaignStore.open(root), as_json=as_json)
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
    on = f"go on with: gridproof resume {root}"
    if bar.last is not None:
        of = f", step {bar.step}" if bar.step else ""
        note(f"interrupted after {bar.last.done} of {bar.last.total} realizations{of}")
        note(f"finished parts are whole in {root}; see them with: gridproof report {root}\n{on}")
    else:
        note("interrupted while planning; nothing was tried yet")
        if (root / "study.json").exists():
            note(on)
    return INTERRUPTED


def show(
    study: Study,
    store: CampaignStore,
    *,
    as_json: bool,
    verdicts: Mapping[str, Any] | None = None,
) -> None:
    """Print a campaign's plan and verdicts as tables or as one JSON object."""
    plan = stored_plan(store, study.scenario)
    about = None if plan is None else about_plan(plan, study.scenario, store.step)
    if verdicts is None:
        verdicts = steps_summary(store) if store.steps else campaign_summary(store)
    if as_json:
        seed = study.config.campaign.seed
        version = store.environment["versions"]
        print_json(run_summary(study.name, seed, about, verdicts, version))
        return
    views = [plan_view(about)] if about is not None else []
    said = steps_view(verdicts) if "steps" in verdicts else verdict_view(verdicts)
    print_views(stdout(), *views, said)
