"""Two questions beside a campaign: the worst realization there is, and how rare a failure is.

Both are asked of a campaign directory, whose study and plan they take and where the answer is
kept, or of a study with a plan.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from gridproof.federation.config.foreign import FOREIGN
from gridproof.federation.files import json_text, refuse_links
from gridproof.federation.inquiries.adversary import worst_of, worst_realization
from gridproof.federation.inquiries.limit_state import LimitState, lost_or_least
from gridproof.federation.inquiries.rare import RareEvent, subset_simulation
from gridproof.federation.jsonable import Jsonable
from gridproof.federation.proofs.proving import worst_of_the_box
from gridproof.federation.records.answers import ADVERSARY, RARE
from gridproof.federation.records.keeper import stored_plan
from gridproof.federation.records.probe_report import (
    AdversaryReport,
    DrawnLeast,
    LimitMargin,
    RareLevel,
    RareReport,
    SearchStage,
)
from gridproof.federation.records.stopping import counted_chunks
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.studies.study import Study, load_study
from gridproof.federation.studies.trust import NOTHING, Trust
from gridproof.federation.studies.wiring import rounds_of
from gridproof.optimizer.recourse.policies import make_recourse
from gridproof.scenarios.arrays import FloatArray
from gridproof.scenarios.errors import ConfigError, StoreError
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.verdict import MarginKind
from gridproof.simulator.engine import Engine
from gridproof.simulator.linear.engine import LinearEngine
from gridproof.simulator.opendss.engine import OpenDssEngine

__all__ = ["Target", "ask_adversary", "ask_rare"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Target:
    """What is probed.

    Attributes
    ----------
    study, plan
        As a campaign has them.
    store
        The campaign directory, if it is one.
    """

    study: Study
    plan: Plan
    store: CampaignStore | None = None

    @classmethod
    def of_directory(
        cls, root: Path, overrides: Sequence[str] = (), trust: Trust = NOTHING
    ) -> Target:
        """Open a campaign directory as a target.

        Raises
        ------
        ConfigError
            If overrides are given: the directory's study is what its plan was tried on.
        StoreError
            If it holds no plan yet.
        """
        if overrides:
            raise ConfigError(
                f"--set {overrides[0]} cannot change what {root} has tried; give a study and --plan"
            )
        store = CampaignStore.open(root)
        study = load_study(root / "study.json", (), trust)
        if store.recourse == FOREIGN:
            raise ConfigError(
                f"{root} was answered by a foreign planner, which this cannot ask; give a study "
                "and --plan to ask with a recourse of ours"
            )
        plan = stored_plan(store, study.scenario)
        if plan is None:
            raise StoreError(f"{root} holds no plan.json yet; run its campaign first")
        return cls(study=study, plan=plan, store=store)

    def keep(self, name: str, answer: Jsonable) -> None:
        """Keep an answer beside the campaign's parts, if there is a campaign."""
        if self.store is not None:
            refuse_links(self.store.root)
            self.store.write(name, json_text(answer.to_json()))

    def limit_state(self, make_engine: Callable[[Scenario], Engine] | None = None) -> LimitState:
        """Return the margin as a function of ``ζ``, under the study's recourse and judge."""
        campaign, scenario = self.study.config.campaign, self.study.scenario
        judge = LinearEngine if campaign.judge == "linear" else OpenDssEngine
        return LimitState(
            scenario,
            self.plan,
            make_recourse(campaign.recourse, self.plan, scenario, self.study.step),
            make_engine or judge,
            batch=campaign.batch,
            rounds=rounds_of(self.study.config) if make_engine is None else 0,
            step=self.study.step,
        )


def ask_adversary(target: Target, *, budget: int = 2000, seed: int = 1) -> AdversaryReport:
    """Say which realization is the worst and what fails there, as figures.

    Where certificates close, their worst loads are all that is put to the judge, and the bound is
    told that no load of the set is below; else it is searched for.

    Parameters
    ----------
    target
        What is probed.
    budget
        Realizations put to the judge, about.
    seed
        Decides every random choice.
    """
    scenario = target.study.scenario
    with ExitStack() as open_:
        physics = open_.enter_context(target.limit_state())
        linear = open_.enter_context(target.limit_state(LinearEngine))
        moving = scenario.direction_spread > 0.0
        proven = worst_of_the_box(target.study, target.plan, target.study.step)
        if proven is None:
            found = worst_realization(
                lambda unit: physics(scenario.within(unit)),
                lambda unit: linear(scenario.within(unit)),
                moving,
                budget=budget,
                seed=seed,
            )
            zeta = scenario.within(found.zeta[None])[0]
        else:
            found = worst_of(physics, moving, proven[0], ends=scenario.direction_range)
            zeta = found.zeta
        row = physics.row(zeta)
        erred = physics.erred
    answer = AdversaryReport(
        judge=target.study.config.campaign.judge,
        recourse=target.study.config.campaign.recourse,
        seed=seed,
        outcome=row["outcome"],
        least_margin=_number(found.least),
        zeta=dict(zip(scenario.direction_ids, zeta.tolist(), strict=True)),
        at_corner=found.at_corner,
        margins=LimitMargin.by_kind(row),
        evaluations=found.evaluations,
        linear_evaluations=found.linear_evaluations,
        erred=erred,
        stages=tuple(
            SearchStage(
                name=stage.name,
                evaluations=stage.evaluations,
                least_margin=_number(stage.least),
            )
            for stage in found.stages
        ),
        monte_carlo=_monte_carlo(target),
        bound=None if proven is None else proven[1],
    )
    target.keep(ADVERSARY, answer)
    return answer


def ask_rare(
    target: Target, *, samples: int = 1000, seed: int = 1, max_levels: int = 12
) -> RareReport:
    """Estimate the probability that a realization is not feasible, as figures.

    Raises
    ------
    ConfigError
        If the study's sampler has no law of its own, nothing is uncertain, or ``samples``
        does not make whole chains.
    """
    study = target.study
    law = getattr(study.sampler, "from_normal", None)
    width = len(study.scenario.direction_ids)
    if law is None:
        raise ConfigError(
            f'[campaign] sampler = "{study.config.campaign.sampler}" has no law with a density; '
            'choose "uniform" or "truncated_normal" for rare events'
        )
    if not width:
        raise ConfigError("[uncertainty] loads is empty: nothing is drawn, so nothing is rare")
    if samples < 20 or samples % 10:
        raise ConfigError(f"samples = {samples} per level must be a multiple of 10, at least 20")
    with target.limit_state() as limit_state:

        def of_normal(points: FloatArray) -> FloatArray:
            return limit_state(study.scenario.within(law(points)))

        found = subset_simulation(
            of_normal, width, samples=samples, seed=seed, max_levels=max_levels
        )
        erred = limit_state.erred
    answer = RareReport(
        judge=study.config.campaign.judge,
        recourse=study.config.campaign.recourse,
        sampler=study.config.campaign.sampler,
        seed=seed,
        samples_per_level=samples,
        reached=found.reached,
        probability=found.probability if found.reached else None,
        below=None if found.reached else found.below,
        cov=_number(found.cov) if found.reached else None,
        cov_upper=_number(found.cov_upper) if found.reached else None,
        levels=tuple(
            RareLevel(
                threshold=_number(level.threshold),
                share=level.share,
                cov=_number(level.cov),
                accepted=level.accepted,
            )
            for level in found.levels
        ),
        evaluations=found.evaluations,
        erred=erred,
        not_covered=tuple(_not_covered(study, found)),
    )
    target.keep(RARE, answer)
    return answer


def _not_covered(study: Study, found: RareEvent) -> list[str]:
    """Say what the figures of a subset simulation leave out."""
    config, said = study.config, [_BRANCHES]
    said.append(_SPREAD if found.reached else _BELOW)
    left_out = [
        f"[{name}]"
        for name, declared in (
            ("faults", config.faults.declared),
            ("realtime", config.realtime.step_s is not None),
            ("devices", bool(config.devices.at)),
        )
        if declared
    ]
    if left_out:
        said.append(f"{', '.join(left_out)} of the study: every set-point is taken to be in time")
    return said


_BRANCHES = (
    "regions of failure that no chain came near: the levels follow the margins they met, and a "
    "second way to fail may lie elsewhere"
)
_SPREAD = (
    "the coefficient of variation is itself estimated from this one run and is no confidence "
    "interval; other seeds (--seed) show the spread"
)
_BELOW = "the figure that failure is rarer than is an estimate along the chains' path, no bound"


def _monte_carlo(target: Target) -> DrawnLeast | None:
    """Return the least margin among the campaign's own realizations, on the same scale."""
    store = target.store
    chunks = () if store is None else counted_chunks(store)[0]
    if store is None or not chunks:
        return None
    names = [f"margin_{kind.value}" for kind in MarginKind]
    least, index, count = np.inf, -1, 0
    for table in store.tables(["index", "outcome", *names], chunks):
        judged = np.array([name != "erred" for name in table.column("outcome").to_pylist()])
        margin = np.stack([table.column(name).to_numpy().astype(float) for name in names], axis=1)
        g = np.where(judged, lost_or_least(margin, target.study.scenario.limits), np.inf)
        count += int(judged.sum())
        place = int(g.argmin())
        if g[place] < least:
            least, index = float(g[place]), table.column("index")[place].as_py()
    return DrawnLeast(least_margin=_number(least), index=index, realizations=count)


def _number(value: float | None) -> float | None:
    return float(value) if value is not None and np.isfinite(value) else None
