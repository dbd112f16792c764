"""``launch``: broker and federates as processes, here or from another runner's file."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import typer
from gridproof.federation.adapters.emit import LaunchPlan, Runner, emit
from gridproof.federation.campaigns.study_jobs import open_store, session_settings, slow_words
from gridproof.federation.cli.options import (
    AsJson,
    Overrides,
    PlanFile,
    Quiet,
    StudyName,
    TrustStudy,
    note,
)
from gridproof.federation.cli.run import ERRED, run
from gridproof.federation.cli.run_ends import told_if_lost
from gridproof.federation.cli.show import show
from gridproof.federation.config.foreign import ForeignPlanner
from gridproof.federation.config.study import ONE_FEEDER
from gridproof.federation.files import write_result
from gridproof.federation.members.children import KEY, broker_key
from gridproof.federation.members.launch import federate_command, supervise
from gridproof.federation.members.session import MEMBERS
from gridproof.federation.records.lock import writing
from gridproof.federation.records.run_record import recorded
from gridproof.federation.records.store import LOGS, CampaignStore
from gridproof.federation.studies.outside_loads import OUTSIDE
from gridproof.federation.studies.shipped import list_studies
from gridproof.federation.studies.study import Study, load_study
from gridproof.federation.studies.trust import Trust, trust_words
from gridproof.federation.studies.wiring import refuse_unnamed, refuse_unsent
from gridproof.federation.wire.broker_address import BrokerAddress
from gridproof.scenarios.errors import ConfigError

__all__ = ["launch"]

_PORT = 23500
_NO_PLANNER_IN_A_SCRIPT = (
    "--emit writes our two federates' commands; leave out --planner and --plan, and edit the script"
)


Observers = Annotated[
    int,
    typer.Option(
        "--observers",
        metavar="N",
        min=0,
        max=64,
        help=f"Seats for federates that only listen; they join at --port with {KEY}.",
    ),
]
PlannerCommand = Annotated[
    str | None,
    typer.Option(
        "--planner",
        metavar="COMMAND",
        help=f"A planner of your own; {{broker}} is filled in, its key is in {KEY}.",
    ),
]
SourceCommand = Annotated[
    str | None,
    typer.Option(
        "--source",
        metavar="COMMAND",
        help=f"Who sends the loads, where sampler = {OUTSIDE!r}; {{broker}} is filled in, the key "
        f"is in {KEY}, and what HELICS' own programs ask for in their environment.",
    ),
]


def launch(  # noqa: PLR0917
    study: StudyName,
    others: Annotated[list[str] | None, typer.Argument(hidden=True)] = None,
    overrides: Overrides = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="PATH", help="Campaign directory; with --emit the file to write."
        ),
    ] = None,
    plan_file: PlanFile = None,
    planner: PlannerCommand = None,
    source: SourceCommand = None,
    emitted: Annotated[
        Runner | None, typer.Option("--emit", help="Write a launch script instead of running.")
    ] = None,
    host: Annotated[
        str, typer.Option("--host", help="With --emit: where the broker listens.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", help="The broker's port, with --emit or --observers.")
    ] = _PORT,
    campaign: Annotated[
        Path | None,
        typer.Option("--campaign", metavar="DIR", help="With --emit: the campaign directory."),
    ] = None,
    observers: Observers = 0,
    trust_study: TrustStudy = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Run broker, planner and feeder as processes; or write a script for another runner."""
    _refuse_others(others)
    trust = Trust(whole=trust_study)
    if emitted is not None:
        if (planner, plan_file, source) != (None, None, None):
            raise ConfigError(_NO_PLANNER_IN_A_SCRIPT)
        loaded = load_study(study, overrides or (), trust)
        refuse_unsent(loaded)
        address = _address(host, port, os.environ.get(KEY))
        text = emit(emitted, _plan(loaded, study, overrides or (), campaign, address, observers))
        _write(text, out)
        return
    if observers:
        overrides = [*(overrides or ()), *_seats(observers, port)]
    if planner is not None or source is not None:
        _refuse_given(plan_file, "--source" if planner is None else "--planner")
        _with_others(
            load_study(study, overrides or (), trust), planner, source, out, as_json=as_json
        )
    else:
        run(
            study,
            overrides,
            out,
            plan_file,
            processes=True,
            trust_study=trust_study,
            as_json=as_json,
            quiet=quiet,
        )


def _seats(observers: int, port: int) -> list[str]:
    broker_key()  # asked for before anything begins
    note(f"{observers} observers join at 127.0.0.1:{port}, with the key in {KEY}")
    return [f"federation.observers={observers}", f"federation.port={port}"]


def _refuse_others(studies: Sequence[str] | None) -> None:
    if studies:
        raise ConfigError(f"launch takes one study: {ONE_FEEDER}; launch each by itself")


def _refuse_given(plan_file: Path | None, other: str) -> None:
    if plan_file is not None:
        raise ConfigError(f"{other} and --plan exclude one another: who publishes the plan?")


def _address(host: str, port: int, key: str | None) -> BrokerAddress:
    chosen = key or f"gridproof-{uuid4().hex[:16]}"
    if not _is_loopback(host):
        note(
            f"the broker will listen on {host}: the wire is not encrypted, so keep it inside a "
            "private network or a tunnel"
        )
    return BrokerAddress.parse(f"{host}:{port}", chosen)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _plan(  # noqa: PLR0917
    loaded: Study,
    given: str,
    overrides: Sequence[str],
    campaign: Path | None,
    address: BrokerAddress,
    observers: int = 0,
) -> LaunchPlan:
    shipped = {study.name for study in list_studies()}
    return LaunchPlan(
        name=loaded.name,
        study=given if given in shipped else str(Path(given)),
        campaign=str(campaign or Path("campaigns") / f"{loaded.name}-launched"),
        address=address,
        overrides=tuple(overrides),
        observers=observers or loaded.config.federation.observers,
    )


def _write(text: str, out: Path | None) -> None:
    if out is None:
        typer.echo(text, nl=False)
        return
    # it holds the broker's key
    write_result(out, text, mode=0o700 if text.startswith("#!") else 0o600)
    note(f"written to {out}")


def _with_others(
    study: Study, planner: str | None, source: str | None, out: Path | None, *, as_json: bool
) -> None:
    """Run a campaign with programs of somebody else's, started and ended with our own."""
    root = out or Path("campaigns") / f"{study.name}-{uuid4().hex[:8]}"
    study, others = _answered(study, planner, source)
    slow = slow_words(study)
    if slow is not None:
        note(slow)
    settings = session_settings(study, "processes")

    def ours(role: str) -> Callable[[BrokerAddress], Sequence[str]]:
        return lambda address: federate_command(
            role, root / "study.json", root, address, settings, trust=trust_words(study)
        )

    commands = {**{role: ours(role) for role in MEMBERS}, **others}
    refuse_unnamed(study)
    with writing(root):
        store, again = open_store(study, root), f"the same command and --out {root}"
        with told_if_lost(root, again), recorded(store, "processes"):
            supervise(commands, settings, foreign=tuple(others), logs=root / LOGS)
    erred = show(CampaignStore.open(root), study.scenario, as_json=as_json)
    note(f"kept in {root}; see it again with: gridproof report {root}")
    if erred:
        raise typer.Exit(ERRED)


def _answered(
    study: Study, planner: str | None, source: str | None
) -> tuple[Study, dict[str, Callable[[BrokerAddress], Sequence[str]]]]:
    """Return the study as it is with other programs in it, and their commands by federate."""
    others: dict[str, Callable[[BrokerAddress], Sequence[str]]] = {}
    if planner is not None:
        others["planner"] = _filled(planner)
        study = study.answered_by(ForeignPlanner.of(shlex.split(planner)))
    if source is not None:
        sampler = study.config.campaign.sampler
        if sampler != OUTSIDE:
            raise ConfigError(
                f"--source sends loads, and {study.name} draws its own, sampler = {sampler!r}; "
                f"add --set campaign.sampler={OUTSIDE}"
            )
        others["loads"] = _filled(source, "--source", asked=False)
        study = study.loaded_by(ForeignPlanner.of(shlex.split(source)))
    else:
        refuse_unsent(study)
    return study, others


def _filled(
    given: str, option: str = "--planner", *, asked: bool = True
) -> Callable[[BrokerAddress], Sequence[str]]:
    """Return a command with the broker's address; one of HELICS' own has no word for it."""
    words = shlex.split(given)
    if "{key}" in given:
        raise ConfigError(
            f"{option} {given!r}: {{key}} would show the broker's key to everybody on the "
            f"machine; leave it out, your planner finds the key in the environment, {KEY}"
        )
    if not words or (asked and "{broker}" not in words):
        raise ConfigError(
            f"{option} {given!r} must be a command with the word {{broker}}, such as "
            f"'python my_planner.py plan.json {{broker}}'; the key is in the environment, {KEY}"
        )

    def command(address: BrokerAddress) -> list[str]:
        broker = f"{address.host}:{address.port}"
        return [broker if word == "{broker}" else word for word in words]

    return command
