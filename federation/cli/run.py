"""Commands about campaigns: ``run``, ``campaign``, ``resume``, one federate alone."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from gridproof.federation.adapters.plan_files import read_plan, refuse_faulty
from gridproof.federation.campaigns.campaign import Spread, run_campaign
from gridproof.federation.campaigns.cluster import DaskCluster
from gridproof.federation.campaigns.progress import showing, watching_campaign
from gridproof.federation.campaigns.study_jobs import (
    make_feeder_job,
    make_planner_job,
    session_settings,
    slow_words,
)
from gridproof.federation.campaigns.workers import Workers as WorkerPool
from gridproof.federation.cli.budget import Budget, For, planning_entry
from gridproof.federation.cli.options import (
    AsJson,
    DeviceKind,
    DeviceNames,
    FeederFile,
    Overrides,
    PlanFile,
    Quiet,
    StudyName,
    TrustStudy,
    device_entry,
    note,
)
from gridproof.federation.cli.run_ends import interrupted, time_is_up, told_if_lost
from gridproof.federation.cli.show import keep_linear, show
from gridproof.federation.members.children import broker_key
from gridproof.federation.members.launch import (
    is_supervised,
    run_feeder_process,
    run_planner_process,
)
from gridproof.federation.members.session import SessionSettings
from gridproof.federation.records.lock import writing
from gridproof.federation.records.sink import CampaignSink
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.studies.study import Study, load_study
from gridproof.federation.studies.trust import Trust
from gridproof.scenarios.errors import ConfigError
from gridproof.scenarios.plan import Plan

__all__ = ["campaign", "federate", "resume", "run"]

ERRED = 5
"""Exit code of a run some of whose realizations erred: model, input or program at fault."""


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
    within: For = None,
    trust_study: TrustStudy = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Plan a study, try the plan against drawn realizations, and report both."""
    budget, entries = Budget.of(within), overrides or []
    with showing("reading the study", quiet=quiet):
        loaded = _load(study, entries, samples, seed, devices, trusted=trust_study)
        if (
            budget is not None
            and plan_file is None
            and (more := planning_entry(loaded, budget.seconds))
        ):
            loaded = _load(study, [*entries, *more], samples, seed, devices, trusted=trust_study)
    root, plan = out or _fresh_directory(loaded), _given_plan(plan_file, loaded)
    how = _How.of(loaded, processes, workers, scheduler)
    _try(loaded, root, plan, how, budget=budget, as_json=as_json, quiet=quiet)


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
    within: For = None,
    trust_study: TrustStudy = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Try a given plan against drawn realizations; nothing is planned."""
    budget = Budget.of(within)
    loaded = _load(study, overrides, samples, seed, devices, trusted=trust_study)
    root, plan = out or _fresh_directory(loaded), _given_plan(plan_file, loaded)
    how = _How.of(loaded, processes, workers, scheduler)
    _try(loaded, root, plan, how, budget=budget, as_json=as_json, quiet=quiet)


def resume(  # noqa: PLR0917
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="A campaign directory that is not complete.")
    ],
    processes: Processes = False,
    workers: Workers = None,
    scheduler: Scheduler = None,
    feeder: FeederFile = None,
    devices: DeviceNames = None,
    device_kind: DeviceKind = None,
    within: For = None,
    trust_study: TrustStudy = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Go on with a campaign that was stopped or killed: whole parts stay, the rest is done."""
    budget = Budget.of(within)
    CampaignStore.open(directory)
    trust = Trust(feeder=feeder, devices=devices or (), kind=device_kind, whole=trust_study)
    loaded = load_study(directory / "study.json", (), trust)
    how = _How.of(loaded, processes, workers, scheduler)
    _try(loaded, directory, None, how, budget=budget, as_json=as_json, quiet=quiet)


def federate(  # noqa: PLR0917
    role: Annotated[Role, typer.Argument(help="Which federate.")],
    study: StudyName,
    broker: Annotated[str, typer.Option("--broker", metavar="HOST:PORT", help="Its address.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Campaign directory; the feeder needs one."),
    ] = None,
    settings: Annotated[
        str | None,
        typer.Option("--settings", metavar="JSON", help="Deadlines; the study's if left out."),
    ] = None,
    overrides: Overrides = None,
    feeder: FeederFile = None,
    devices: DeviceNames = None,
    device_kind: DeviceKind = None,
    trust_study: TrustStudy = False,
) -> None:
    """Run one federate of a federation whose broker is somewhere else."""
    key = broker_key()
    trust = Trust(feeder=feeder, devices=devices or (), kind=device_kind, whole=trust_study)
    loaded = load_study(study, overrides or (), trust)
    chosen = (
        session_settings(loaded, "processes")
        if settings is None
        else SessionSettings.from_json(settings)
    )
    if role is Role.PLANNER:
        planner = make_planner_job(loaded, out=out)
        run_planner_process(planner, broker=broker, key=key, settings=chosen)
        return
    if out is None:
        raise ConfigError("--out is missing; name the campaign directory the feeder writes to")
    with nullcontext() if is_supervised() else writing(out):
        job = make_feeder_job(loaded, out)
        try:
            run_feeder_process(job, broker=broker, key=key, settings=chosen)
        except BaseException as error:
            assert isinstance(job.sink, CampaignSink)
            job.sink.record_failure(error)
            raise


# -------------------------------------------------------------------------------------- parts


def _load(
    study: str,
    overrides: list[str] | None,
    samples: int | None,
    seed: int | None,
    devices: list[str] | None,
    *,
    trusted: bool,
) -> Study:
    entries = [*(overrides or ()), *(device_entry(entry) for entry in devices or ())]
    entries += [f"campaign.samples={samples}"] if samples is not None else []
    entries += [f"campaign.seed={seed}"] if seed is not None else []
    return load_study(study, entries, Trust(whole=trusted))


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
    study: Study,
    root: Path,
    plan: Plan | None,
    how: _How,
    *,
    budget: Budget | None = None,
    as_json: bool,
    quiet: bool,
) -> None:
    slow = slow_words(study)
    if slow is not None and not quiet:
        note(slow)
    on = _resume_command(root, study)
    with told_if_lost(root, on), watching_campaign(study, quiet=quiet) as bar:
        try:
            with nullcontext() if budget is None else budget.interrupting():
                run_campaign(
                    study,
                    root,
                    mode=how.mode,
                    plan=plan,
                    progress=bar,
                    planning=bar.planning,
                    spread=how.spread,
                )
        except KeyboardInterrupt:
            up = budget is not None and budget.over
            code = time_is_up(root, bar, on) if up else interrupted(root, bar, on)
        else:
            code = 0
    if code:
        raise typer.Exit(code)
    keep_linear(CampaignStore.open(root), study.scenario)
    erred = show(CampaignStore.open(root), study.scenario, as_json=as_json, quiet=quiet)
    if not quiet:
        note(f"kept in {root}; see it again with: gridproof report {root}")
    if erred:
        raise typer.Exit(ERRED)


def _fresh_directory(study: Study) -> Path:
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    root = Path("campaigns") / f"{study.name}-{stamp}"
    number = 2
    while root.exists():
        root = Path("campaigns") / f"{study.name}-{stamp}-{number}"
        number += 1
    return root


def _resume_command(root: Path, study: Study) -> str:
    """Return what goes on with a campaign, its devices named as they were."""
    at, code = study.config.devices.at, study.config.devices.code
    words = ["gridproof resume", str(root), *(f"--device {k}={at[k]}" for k in at)]
    return " ".join([*words, *(() if code is None else ("--device-kind", code))])
