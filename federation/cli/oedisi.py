"""Commands about OEDISI: ``oedisi system``, ``oedisi component`` and ``oedisi federate``."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, get_args
from uuid import uuid4

import typer
from gridproof.federation.adapters.oedisi import (
    Role as RoleName,
)
from gridproof.federation.adapters.oedisi import (
    StaticInputs,
    WiredLink,
    component_definition,
    input_names,
    read_mapping,
    read_static_inputs,
)
from gridproof.federation.adapters.oedisi_states import OedisiStates
from gridproof.federation.adapters.plan_files import read_plan, refuse_faulty
from gridproof.federation.campaigns.study_jobs import (
    make_feeder_job,
    make_planner_job,
    session_settings,
)
from gridproof.federation.cli.options import Overrides, StudyName, note
from gridproof.federation.cli.run import Role
from gridproof.federation.files import write_result
from gridproof.federation.members.children import KEY
from gridproof.federation.members.jobs import FeederJob, PlannerJob
from gridproof.federation.members.launch import run_wired_process
from gridproof.federation.studies.shipped import list_studies
from gridproof.federation.studies.study import Study, load_study
from gridproof.scenarios.errors import ConfigError

__all__ = ["oedisi"]

oedisi = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Planner and feeder as components of an OEDISI system.",
)
_ROLES: tuple[RoleName, ...] = get_args(RoleName)
_BROKER_WORDS = "--local_interface=tcp://127.0.0.1 --tick=500ms --terminate_on_error"
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder to write.")]


@oedisi.command()
def component(
    role: Annotated[Role, typer.Argument(help="Which federate.")],
    out: Out,
) -> None:
    """Write one component's folder, for a system of your own."""
    path = out / "component_definition.json"
    _write(path, component_definition(_name(role)))
    note(f"written to {path}; name it in the components.json that oedisi build reads")


@oedisi.command()
def system(
    study: StudyName,
    out: Out,
    overrides: Overrides = None,
    campaign: Annotated[
        Path | None,
        typer.Option("--campaign", metavar="DIR", help="The feeder's campaign directory."),
    ] = None,
    port: Annotated[int, typer.Option("--port", help="The broker's port.")] = 23500,
) -> None:
    """Write a system of both federates that oedisi build takes; add components as you like."""
    loaded = load_study(study, overrides or ())
    _refuse(loaded)
    shipped = {one.name for one in list_studies()}
    told = {
        "study": study if study in shipped else str(Path(study).resolve()),
        "overrides": list(overrides or ()),
    }
    kept = (campaign or out / "campaign").resolve()
    parameters = {"planner": told, "feeder": told | {"campaign": str(kept)}}
    broker = {
        "port": port,
        "key": os.environ.get(KEY) or f"gridproof-{uuid4().hex[:16]}",
        "initString": _BROKER_WORDS,
    }
    address = StaticInputs.model_validate({"name": "x", "study": study, "broker": broker})
    assert address.address.key  # refuses a key that is none, before anything is written
    for role in _ROLES:
        _write(out / role / "component_definition.json", component_definition(role))
    _write(out / "components.json", {r: f"{r}/component_definition.json" for r in _ROLES})
    whole = {
        "name": f"gridproof-{loaded.name}",
        "shared_helics_config": {"coreType": "zmq", "broker": broker},
        "components": [{"name": r, "type": r, "parameters": parameters[r]} for r in _ROLES],
        "links": [
            {"source": peer, "source_port": name, "target": r, "target_port": name}
            for r, peer in zip(_ROLES, reversed(_ROLES), strict=True)
            for name in input_names(r)
        ],
    }
    _write(out / "system.json", whole, mode=0o600)  # it holds the broker's key
    note(f"written to {out}; there: oedisi build && oedisi run")


@oedisi.command()
def federate(
    role: Annotated[Role, typer.Argument(help="Which federate.")],
) -> None:
    """Run one federate where oedisi build has put it; its runner calls this."""
    here, name = Path(), _name(role)
    told, mapping = read_static_inputs(here), read_mapping(here, name)
    address, start = told.address, told.start
    job: PlannerJob | FeederJob
    if role is Role.PLANNER:
        study = load_study(told.study, told.overrides)
        if study.config.campaign.recourse == "ac" and "measurements" not in mapping:
            raise ConfigError(
                'input_mapping.json: measurements is not wired, and [campaign] recourse = "ac" '
                "corrects by them; link it from measurements of the feeder component"
            )
        job = make_planner_job(study, _plan(told, study))
    else:
        study = load_study(told.study, (*told.overrides, "campaign.batch=1"))
        _refuse(study)
        states = OedisiStates(scenario=study.scenario, start=start, step_s=told.run_freq_sec)
        job = replace(make_feeder_job(study, Path(told.campaign)), states=states)
    run_wired_process(
        job,
        address,
        session_settings(study, "processes"),
        name=told.name,
        wire=lambda link: WiredLink(link, name, mapping),
    )


def _name(role: Role) -> RoleName:
    return "planner" if role is Role.PLANNER else "feeder"


def _plan(told: StaticInputs, study: Study) -> Any:
    if told.plan is None:
        return None
    plan = read_plan(Path(told.plan), study.scenario)
    refuse_faulty(plan, study.scenario, Path(told.plan))
    return plan


def _refuse(study: Study) -> None:
    """Refuse a study whose states cannot be told in OEDISI's form."""
    config, faults = study.config, []
    if config.campaign.judge == "linear":
        faults.append(
            '[campaign] judge = "linear" has no powers node by node; OEDISI\'s form needs judge '
            '= "ac" or "both"'
        )
    stuck = config.faults
    if stuck.stuck_switches or stuck.stuck_probability or stuck.slow_switches_s:
        faults.append(
            "[faults] switches that do not act change a realization's network, which OEDISI's "
            "states do not follow; leave the switches' faults out"
        )
    if faults:
        raise ConfigError(faults)


def _write(path: Path, value: Any, mode: int | None = None) -> None:
    write_result(path, json.dumps(value, indent=2) + "\n", mode=mode)
