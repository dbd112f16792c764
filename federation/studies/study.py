"""Studies: found by name or path, checked whole, and rebuilt exactly from what a run wrote."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gridproof.federation.config.campaign import CampaignConfig
from gridproof.federation.config.events import AUTO
from gridproof.federation.config.foreign import ForeignPlanner
from gridproof.federation.config.study import (
    FeederConfig,
    LimitsConfig,
    ObjectiveConfig,
    PlannerConfig,
    StudyConfig,
)
from gridproof.federation.config.study_file import (
    Origin,
    apply_overrides,
    did_you_mean,
    parse_sections,
    parse_toml,
    read_toml,
    table_path,
)
from gridproof.federation.families.policy_mode_faults import spare_events
from gridproof.federation.families.registry import (
    FAMILIES,
    Builder,
    family_named,
    section_faults,
)
from gridproof.federation.files import folder_name, write_whole
from gridproof.federation.studies.build import (
    apply_switching,
    build_scenario,
    contradictions,
    loop_faults,
    source_faults,
    with_mode,
)
from gridproof.federation.studies.linearised import linearised
from gridproof.federation.studies.planner_options import (
    complete_planner,
    planner_faults,
    price_faults,
)
from gridproof.federation.studies.sampling import history_path, sampler_of, sampling_faults
from gridproof.federation.studies.shipped import feeder_file, shipped_root
from gridproof.federation.studies.sources import RESOLVED_FORMAT, locate, read_resolved
from gridproof.federation.studies.trust import (
    NOTHING,
    Trust,
    feeder_refusal,
    own_feeder,
    remember_feeder,
)
from gridproof.federation.studies.weights import objective_faults
from gridproof.federation.studies.wiring_faults import wiring_faults
from gridproof.scenarios.arrays import content_digest
from gridproof.scenarios.errors import ConfigError, ScenarioError
from gridproof.scenarios.feeder import Feeder
from gridproof.scenarios.sampling import Sampler
from gridproof.scenarios.scenario import Scenario
from gridproof.simulator.reader.feeder import read_feeder
from pydantic import BaseModel

__all__ = [
    "Study",
    "load_study",
    "resolved_text",
    "write_resolved",
]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Study:
    """A study ready to run.

    Attributes
    ----------
    name
        Short name.
    path
        The file it was read from.
    config
        The validated study, overrides included.
    scenario
        What a planner may know and a campaign draws from.
    sampler
        How the campaign draws from it.
    fingerprint
        SHA-256 over everything that can change a plan or a verdict, and nothing else.
    foreign
        The planner that answers, where it is not ours.
    overrides
        What it was loaded with.
    commanded
        DERs whose devices somebody vouched for; no other device is written to.
    """

    name: str
    path: Path
    config: StudyConfig
    scenario: Scenario
    sampler: Sampler
    fingerprint: str
    foreign: ForeignPlanner | None = None
    overrides: tuple[str, ...] = ()
    commanded: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        feeder, steps = self.scenario.feeder, len(self.scenario.hours)
        return (
            f"<Study {self.name}: {len(feeder.buses.ids)} buses in {len(feeder.blocks.ids)} "
            f"blocks, {len(feeder.switch_ids)} switches, {len(self.scenario.ders.ids)} DERs, "
            f"{steps} step{'s' * (steps != 1)}, {self.config.campaign.samples} realizations>"
        )

    @property
    def own_feeder(self) -> Path | None:
        """The feeder's file; None for one that ships with the program."""
        return own_feeder(Path(self.scenario.feeder.path))

    @property
    def steps(self) -> tuple[int, ...]:
        """Steps of the plan that are tried, a campaign each."""
        step = self.config.campaign.step
        return tuple(range(len(self.scenario.hours))) if step is None else (step,)

    @property
    def step(self) -> int:
        """The step that one campaign tries.

        Raises
        ------
        ConfigError
            If there are several.
        """
        if len(self.steps) > 1:
            listed = ", ".join(f"{k} {name}" for k, name in enumerate(self.scenario.step_names))
            raise ConfigError(
                f"{self.name} has {len(self.steps)} steps ({listed}) and this takes one; add "
                f"--set campaign.step={self.steps[-1]}, or use gridproof run, which tries each"
            )
        return self.steps[0]

    def answered_by(self, foreign: ForeignPlanner) -> Study:
        """Return the study whose plan and answers come from a planner that is not ours."""
        own = _fingerprint(self.config, self.scenario, self.sampler, foreign)
        return replace(self, foreign=foreign, fingerprint=own)


def load_study(
    name_or_path: str | Path, overrides: Sequence[str] = (), trust: Trust = NOTHING
) -> Study:
    """Find, check and assemble a study.

    Parameters
    ----------
    name_or_path
        Name of a shipped study, path of a ``.toml``, path of the ``.json`` that
        `write_resolved` wrote, or ``-`` or a pipe that gives one of them.
    overrides
        ``section.key=value`` entries, applied on top of the file.
    trust
        What the caller vouches for: a ``.json`` alone decides of no feeder that is not shipped,
        and no study of a device.

    Raises
    ------
    ConfigError
        With every fault of the study and its feeder, each one sentence.
    """
    path, label, text = locate(str(name_or_path))
    written: Mapping[str, Any] = {}
    if path.suffix == ".json":
        written = read_resolved(path, label, text)
        raw, name = written["config"], str(written["name"])
    else:
        raw = read_toml(path, label) if text is None else parse_toml(text, label)
        name = folder_name(path.stem)
    raw = _with_feeder(raw, trust.feeder)
    values, origin, faults = apply_overrides(raw, overrides, label)
    sections, whole, more = parse_sections(values, origin)
    faults += more
    spare_events(sections, whole, values)
    faults += _option_faults(sections, whole, origin)
    folder = None if written else path.parent
    feeder, own, more = _feeder(sections, folder, origin, trust)
    faults += more
    if feeder is not None and family_named(sections) is None:
        faults += source_faults(sections, feeder, origin, fleet_whole="ders" in whole)
    if faults or feeder is None:
        raise ConfigError(faults)
    config = StudyConfig.model_validate({key: _dump(part) for key, part in sections.items()})
    config = config.model_copy(
        update={"planner": complete_planner(config.planner, config.objective)}
    )
    name = config.study.name or name
    if config.events.kinds and config.events.mode == AUTO:
        config = with_mode(name, config, feeder, folder)
    scenario = _scenario(name, config, feeder, own, label=label, folder=folder)
    sampler = sampler_of(config, scenario, path.parent, origin)
    between = wiring_faults(config, scenario)
    if between:
        raise ConfigError([f"{label}: {fault}" for fault in between])
    foreign = ForeignPlanner.from_record(written.get("answers"), label)
    study = Study(
        name=name,
        path=path,
        config=config,
        scenario=scenario,
        sampler=sampler,
        fingerprint=_fingerprint(config, scenario, sampler, foreign),
        foreign=foreign,
        overrides=tuple(overrides),
        commanded=trust.commanded(config.devices.at, overrides),
    )
    if written and not overrides:
        _refuse_changed(str(written["fingerprint"]), study, label)
    if not written or trust.feeder is not None:
        remember_feeder(Path(feeder.path))
    return study


def _option_faults(
    sections: Mapping[str, BaseModel], whole: Collection[str], origin: Origin
) -> list[str]:
    """Find what is wrong with the options of planner, prices and sampler, no feeder needed."""
    faults, planner = list[str](), sections.get("planner")
    if isinstance(planner, PlannerConfig):
        faults += planner_faults(planner, origin)
        objective = sections.get("objective")
        if isinstance(objective, ObjectiveConfig):
            faults += price_faults(planner, objective, origin)
    campaign = sections.get("campaign")
    if "campaign" in whole and isinstance(campaign, CampaignConfig):
        faults += sampling_faults(campaign, origin)
    return faults


def _refuse_changed(fingerprint: str, study: Study, label: str) -> None:
    if fingerprint != study.fingerprint:
        raise ConfigError(
            f"{label}: the feeder or the program has changed since it was written (fingerprint "
            f"{fingerprint:.12}, now {study.fingerprint:.12}); start a new run"
        )


def _with_feeder(raw: Mapping[str, Any], named: Path | None) -> Mapping[str, Any]:
    """Put a feeder that the caller names in place of the study's."""
    if named is None:
        return raw
    if not named.is_file():
        raise ConfigError(f"--feeder {named}: no such file; name the feeder's main file (.dss)")
    section = raw.get("feeder", {})
    own = section if isinstance(section, dict) else {}
    return {**raw, "feeder": {**own, "path": named.resolve().as_posix()}}


def resolved_text(study: Study) -> str:
    """Print the study as it is now, overrides included, as JSON.

    A feeder and tables outside the shipped ones, and a history, are named by absolute paths.
    """
    config = study.config.model_dump(mode="json")
    beside = None if study.path.suffix == ".json" else study.path.parent
    feeder = feeder_file(study.config.feeder.path, beside)
    if feeder is not None and not feeder.is_relative_to(shipped_root()):
        config["feeder"]["path"] = feeder.resolve().as_posix()
    for family in FAMILIES:
        for key in family.tables:
            given = getattr(getattr(study.config, family.name), key)
            folders = _folders(beside, feeder) if feeder is not None else ()
            table = None if given is None else table_path(given, folders)
            if table is not None and not table.is_relative_to(shipped_root()):
                config[family.name][key] = table.resolve().as_posix()
    for key in ("log", "predictions", "seen"):
        given = config["events"][key]
        if given is not None and beside is not None:
            config["events"][key] = (beside / given).resolve().as_posix()
    history = history_path(study.config.campaign, study.path.parent)
    if history is not None:
        config["campaign"]["history"] = history.resolve().as_posix()
    document = {
        "format": RESOLVED_FORMAT,
        "name": study.name,
        "fingerprint": study.fingerprint,
        **(_steps_of(study) if len(study.steps) > 1 else {}),
        **({"answers": study.foreign.record()} if study.foreign is not None else {}),
        "config": config,
    }
    return json.dumps(document, indent=1) + "\n"


def _steps_of(study: Study) -> dict[str, Any]:
    """Say which steps every part of a campaign holds, and what they are called."""
    return {"steps": list(study.scenario.step_names), "rows_by_step": list(study.steps)}


def write_resolved(study: Study, path: Path) -> None:
    """Write `resolved_text` to a file; ``load_study(path)`` reads the same study back."""
    write_whole(path, resolved_text(study))


def _scenario(
    name: str,
    config: StudyConfig,
    feeder: Feeder,
    own: Builder | None,
    *,
    label: str,
    folder: Path | None,
) -> Scenario:
    if own is None:
        return linearised(build_scenario(name, config, feeder, folder=folder), config.planner)
    try:
        return build_scenario(name, config, feeder, own)
    except ScenarioError as error:
        raise ConfigError([f"{label}: {fault}" for fault in error.faults]) from error


def _feeder(
    sections: Mapping[str, BaseModel], folder: Path | None, origin: Origin, trust: Trust
) -> tuple[Feeder | None, Builder | None, list[str]]:
    """Read the feeder and hold every well-formed section against it."""
    config, limits = sections.get("feeder"), sections.get("limits")
    if not isinstance(config, FeederConfig):
        return None, None, []
    path = feeder_file(config.path, folder)
    if path is None:
        shipped = [found.name for found in sorted((shipped_root() / "feeders").iterdir())]
        near = did_you_mean(config.path, shipped, "shipped feeders")
        wrong = "is neither a file beside the study nor a shipped feeder"
        return None, None, [origin.fault(("feeder", "path"), config.path, wrong, near)]
    named = trust.whole or trust.feeder or "feeder.path" in origin.overridden
    if folder is None and not named:
        refusal = feeder_refusal(path)
        if refusal is not None:
            return None, None, [origin.fault(("feeder", "path"), str(path), *refusal)]
    try:
        feeder = read_feeder(path)
    except ConfigError as error:
        return None, None, list(error.faults)
    faults = contradictions(sections, feeder, origin)
    known = limits if isinstance(limits, LimitsConfig) else None
    switched = apply_switching(feeder, config, known)
    faults += section_faults(sections, origin)
    family = family_named(sections)
    if family is None:
        objective = sections.get("objective")
        if isinstance(objective, ObjectiveConfig):  # blocks are what switches make of a feeder
            faults += objective_faults(objective, switched, origin)
        radial = known is not None and known.radial_blocks
        return switched, None, faults + loop_faults(config, switched, origin, radial=radial)
    # whose own checks say what a loop is
    own, more = family.read(sections, feeder, _folders(folder, path), origin)
    return switched, own, faults + more


def _folders(study: Path | None, feeder: Path) -> tuple[Path, ...]:
    return (feeder.parent,) if study is None else (study, feeder.parent)


def _dump(section: BaseModel) -> dict[str, Any]:
    return section.model_dump(exclude_unset=True)


_NEVER_DECIDES: dict[str, Any] = {
    **dict.fromkeys(("study", "federation"), True),
    "feeder": {"path"},
    "substation": True,  # all it says is in the scenario, and so in its digest
    "uncertainty": {"spread_down", "spread_up", "spreads_down", "spreads_up"},  # likewise
    "limits": {"radial_blocks"},  # it refuses, and decides nothing
    "campaign": {"batch", "horizon_h", "history"},
    **{family.name: set(family.tables) for family in FAMILIES},
}
"""What cannot change a plan or a verdict: names, places, deadlines, batching."""


def _fingerprint(
    config: StudyConfig,
    scenario: Scenario,
    sampler: Sampler,
    foreign: ForeignPlanner | None,
) -> str:
    """SHA-256 of all that decides; our own planner is in the configuration already."""
    decisive = config.model_dump(mode="json", exclude=_NEVER_DECIDES)
    if config.campaign.engine == "opendss":  # as before there was a choice
        [decisive["campaign"].pop(name) for name in ("engine", "guard", "audit_share")]
    parts = [decisive, scenario.digest(), content_digest(sampler)]  # a history's content, too
    parts += [] if foreign is None else [foreign.digest]
    text = json.dumps(parts, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
