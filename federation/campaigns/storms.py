"""A network in many storms: failures drawn, each planned, audited as a graph and tried under AC.

::

    DIR/storms.json        what is drawn, of which study
    DIR/draws/000012.json  what became of draw 12

Draw ``i`` is a function of the study, the storm and (seed, i) alone, so a run that was stopped
goes on where it was and a longer one repeats nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from gridproof.federation.campaigns.later_responses import LaterDraw, later_draws
from gridproof.federation.config.campaign import DESIGNS
from gridproof.federation.files import json_text, read_json, write_whole
from gridproof.federation.records.environment import versions
from gridproof.federation.records.lock import writing
from gridproof.federation.studies.study import Study
from gridproof.federation.studies.wiring import rounds_of
from gridproof.federation.trial.batch import try_batch
from gridproof.federation.trial.trial import Trial
from gridproof.optimizer.planner import make_planner
from gridproof.optimizer.recourse.policies import make_recourse
from gridproof.scenarios.arrays import content_digest
from gridproof.scenarios.damage import StormDamage, draw_damage
from gridproof.scenarios.errors import ConfigError, NoPlanExists, PlanError, StoreError
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.proof import Termination
from gridproof.scenarios.restoration import Outage, outage_of
from gridproof.scenarios.restoration_audit import audit_restoration
from gridproof.scenarios.restoration_later import LaterResponse
from gridproof.scenarios.restoration_scenario import with_failures
from gridproof.scenarios.restoration_states import states_of
from gridproof.scenarios.sampling import Sampler, sample
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.verdict import Outcome
from gridproof.simulator.opendss.engine import OpenDssEngine

__all__ = ["LAST_PHASE", "StormDraw", "StormRun", "run_storms"]

LAST_PHASE = 3
"""The step a plan is tried at: after remote reconfiguration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StormRun:
    """What is drawn.

    Attributes
    ----------
    study
        A restoration; its own failures are put aside, its devices, limits and planner kept.
    storm
        How lines fail.
    seed
        Of failures and loads alike; they are on streams of their own.
    loads
        Load realizations that each draw's plan is tried with.
    later
        Responses that follow the first remote one.
    """

    study: Study
    storm: StormDamage
    seed: int
    loads: int
    later: tuple[LaterResponse, ...] = ()

    def identity(self) -> dict[str, Any]:
        """Everything a draw depends on, besides its index."""
        campaign = self.study.config.campaign
        return {
            "study": self.study.name,
            "scenario": self.study.scenario.digest(),
            "planner": self.study.config.planner.model_dump(mode="json"),
            "storm": asdict(self.storm),
            "seed": self.seed,
            "loads": self.loads,
            "later": [asdict(one) for one in self.later],
            "recourse": campaign.recourse,
            "rounds": rounds_of(self.study.config),
            "sampler": [campaign.sampler, content_digest(self.sampler(0))],
            "versions": versions(),
        }

    def sampler(self, seed: int) -> Sampler:
        """Return the study's law of loads, drawn from another seed."""
        # every sampler that draws independently is a dataclass with a seed of its own
        drawn: Sampler = replace(self.study.sampler, seed=seed)  # type: ignore[type-var]
        return drawn


@dataclass(frozen=True, slots=True, kw_only=True)
class StormDraw:
    """What became of one draw.

    Attributes
    ----------
    index, failed
        Which draw, and the lines that failed.
    planned
        Whether there is a plan; without one everything below ``termination`` is empty.
    termination, optimal, gap
        What the search ended with and proved.
    supplied_share, damaged_buses, dead_safe_buses
        One for each phase.
    audit_faults
        Of the graph: radiality, damaged and safe zones, switches, supply.
    outcomes
        Load realizations by what AC power flow said of the last phase.
    v_min_pu
        Lowest voltage of a live bus in any of them.
    seconds
        ``plan`` and ``ac``, wall time; of the first response alone.
    later
        One for each later response, up to the first without a plan.
    """

    index: int
    failed: tuple[str, ...]
    planned: bool
    termination: str
    optimal: bool = False
    gap: float | None = None
    supplied_share: tuple[float, ...] = ()
    damaged_buses: tuple[int, ...] = ()
    dead_safe_buses: tuple[int, ...] = ()
    audit_faults: tuple[str, ...] = ()
    outcomes: dict[str, int] | None = None
    v_min_pu: float | None = None
    seconds: dict[str, float] | None = None
    later: tuple[LaterDraw, ...] = ()


def run_storms(
    run: StormRun, out: Path, draws: int, *, tell: Callable[[StormDraw], None] = lambda _: None
) -> tuple[StormDraw, ...]:
    """Make the draws that are not there yet, and read all ``draws`` of them.

    Parameters
    ----------
    run
        What is drawn.
    out
        The directory; made if missing.
    draws
        How many; a directory may hold more.
    tell
        Told each draw that was made now.

    Raises
    ------
    ConfigError
        If the study is no restoration, or its buses have no place.
    StoreError
        If the directory is of other draws, or one cannot be read.
    """
    case = _case(run.study)
    with writing(out):
        _identify(run, out)
        (out / "draws").mkdir(exist_ok=True)
        made = []
        for index in range(draws):
            path = out / "draws" / f"{index:06d}.json"
            if path.exists():
                made.append(_read(path, index))
                continue
            made.append(_draw(run, case, index))
            write_whole(path, json_text(asdict(made[-1])))
            tell(made[-1])
    return tuple(made)


def _case(study: Study) -> Outage:
    case = outage_of(study.scenario)
    if case is None:
        raise ConfigError(
            f"{study.name} is no restoration; storms need a study with "
            'planner.family = "restoration"'
        )
    placed = np.isfinite(case.feeder.buses.xy).all(axis=1)
    if not placed.all():
        bus = case.feeder.buses.ids[int(np.argmin(placed))]
        raise ConfigError(
            f"{study.name}: bus {bus} has no coordinates, so no gust can be told to reach it; "
            "give all buses theirs with BusCoords in the feeder's file"
        )
    if study.config.campaign.sampler in DESIGNS:
        raise ConfigError(
            f'{study.name}: [campaign] sampler = "{study.config.campaign.sampler}" is a design of '
            "a stated length, and every storm draws loads of its own; choose "
            "--set campaign.sampler=uniform"
        )
    return case


def _identify(run: StormRun, out: Path) -> None:
    """Put the head of the directory in place, or hold it against the one there."""
    path, own = out / "storms.json", json.loads(json.dumps(run.identity()))
    if not path.exists():
        write_whole(path, json_text(own))
        return
    kept = {"later": [], **read_json(path)}
    other = sorted(key for key in own if kept.get(key) != own[key])
    if other:
        raise StoreError(
            f"{out} holds draws of another {', '.join(other)}; give another --out, or repeat "
            "what it was made with"
        )


def _read(path: Path, index: int) -> StormDraw:
    """Read a draw; one that is torn is named, and made again once it is gone."""
    remedy = "delete it and run again with the same --out: that storm alone is drawn anew"
    kept: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in read_json(path, remedy).items()
    }
    try:
        kept["later"] = tuple(
            LaterDraw(**{**one, "audit_faults": tuple(one["audit_faults"])})
            for one in kept.get("later", ())
        )
        one = StormDraw(**kept)
    except (TypeError, KeyError) as error:
        raise StoreError(f"{path} is no draw of a storm; {remedy}") from error
    if one.index != index or (one.planned and not one.supplied_share):
        raise StoreError(f"{path} is not draw {index} of a storm; {remedy}")
    return one


def _draw(run: StormRun, base: Outage, index: int) -> StormDraw:
    fails = draw_damage(base, run.storm, run.seed, index, 1)[0]
    failed = tuple(base.feeder.lines.ids[k] for k in np.flatnonzero(fails))
    scenario = with_failures(run.study.scenario, failed)
    config, began = run.study.config.planner, perf_counter()
    try:
        plan = make_planner(config.family, config.options).plan(scenario)
    except PlanError as error:
        kind = Termination.INFEASIBLE if isinstance(error, NoPlanExists) else None
        ended = error.proof.termination if kind is None else kind
        return StormDraw(index=index, failed=failed, planned=False, termination=ended.value)
    planned = perf_counter()
    case, decided, proof = Outage.of(scenario), states_of(plan, scenario), plan.proof
    outcomes, v_min_pu = _tried(run, scenario, plan, index)
    seconds = {"plan": planned - began, "ac": perf_counter() - planned}

    def tried(one: Scenario, made: Plan) -> tuple[dict[str, int], float | None]:
        return _tried(run, one, made, index)

    later = later_draws(scenario, decided, run.later, config, tried) if run.later else ()
    return StormDraw(
        index=index,
        failed=failed,
        planned=True,
        termination=proof.termination.value,
        optimal=proof.termination is Termination.OPTIMAL and proof.gap <= proof.asked_gap,
        gap=float(proof.gap) if np.isfinite(proof.gap) else None,
        supplied_share=tuple(decided.supplied_share(case).tolist()),
        damaged_buses=tuple((~decided.available).sum(axis=1).tolist()),
        dead_safe_buses=tuple((decided.available & ~decided.energized).sum(axis=1).tolist()),
        audit_faults=audit_restoration(case, decided),
        outcomes=outcomes,
        v_min_pu=v_min_pu,
        seconds=seconds,
        later=later,
    )


def _tried(
    run: StormRun, scenario: Scenario, plan: Plan, index: int
) -> tuple[dict[str, int], float | None]:
    """Try the last phase as a campaign would, with loads that no other draw has."""
    loads = sample(scenario, run.sampler(run.seed), index * run.loads, run.loads)
    engine = OpenDssEngine(scenario)
    try:
        trial = Trial(engine, scenario, plan)
        trial.enter(LAST_PHASE)
        policy = run.study.config.campaign.recourse
        recourse = make_recourse(policy, plan, scenario, LAST_PHASE)
        rounds = rounds_of(run.study.config)
        seen, verdicts = try_batch(trial, loads, recourse=recourse, rounds=rounds)
    finally:
        engine.close()
    counts = np.bincount(verdicts.outcome, minlength=max(Outcome) + 1)
    live = seen.v_pu[np.isfinite(seen.v_pu)]
    return (
        {kind.name.lower(): int(counts[kind]) for kind in Outcome if counts[kind]},
        float(live.min()) if live.size else None,
    )
