"""What holds of a plan for every load of a set, proven, and what does not, refuted by a load.

An island's certificate (`simulator.proof`) is asked first. A limit that it does not prove is put to
OpenDSS at the loads that the tangent names; what neither proves nor refutes is decided on parts of
the set, down to a stated depth and time.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

import numpy as np
from gridproof.federation.certificates.affine_answers import affine_answer, affine_policy, as_asked
from gridproof.federation.certificates.affine_rules import with_what_it_needs
from gridproof.federation.proofs.claims import (
    Search,
    Witness,
    island_claim,
    report_of,
    set_words,
)
from gridproof.federation.proofs.proof_scope import (
    beside,
    inside,
    not_covered,
    of_island,
)
from gridproof.federation.records.certificate_report import CertificateReport, IslandClaim
from gridproof.federation.studies.study import Study
from gridproof.optimizer.recourse.policies import Recourse, make_recourse
from gridproof.scenarios.arrays import FloatArray, IntArray
from gridproof.scenarios.errors import ConfigError
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.realization import realize
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.sets import Box, Budget, UncertaintySet
from gridproof.scenarios.verdict import MarginKind, Outcome, element_margins, judge, margin_scale
from gridproof.simulator.opendss.engine import OpenDssEngine
from gridproof.simulator.opendss.network import IslandNetwork
from gridproof.simulator.proof.bounds import KindBound
from gridproof.simulator.proof.certificate import Certificate, certify, state_at
from gridproof.simulator.proof.limits import KINDS
from gridproof.simulator.proof.powers import AffineAnswer
from gridproof.simulator.proof.reach import Reach, reach_of

__all__ = ["ProofSettings", "prove", "worst_of_the_box"]

_NOTHING = (Outcome.NO_SOLUTION, Outcome.ERRED)
_SAME_STATE = 1e-6  # pu, between the certificate's nominal state and the engine's


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofSettings:
    """How far to go.

    Attributes
    ----------
    depth
        How often a part of the set may be cut in two.
    seconds
        For cutting, per island.
    """

    depth: int = 8
    seconds: float = 20.0


def prove(
    study: Study,
    plan: Plan,
    *,
    load_set: UncertaintySet | None = None,
    settings: ProofSettings | None = None,
) -> CertificateReport:
    """Say of every island and kind of limit what is known over a whole load set.

    Parameters
    ----------
    study, plan
        The plan and where; every step that the study tries.
    load_set
        Over the study's directions; its box if not given.
    settings
        How far to go.

    Raises
    ------
    ConfigError
        If a budget is asked for of loads that do not fall as far as they rise.
    """
    begun = perf_counter()
    scenario, asked = study.scenario, settings or ProofSettings()
    uncertain = _box(scenario) if load_set is None else load_set
    if uncertain.size != len(scenario.direction_ids):
        raise ValueError(
            f"the set has {uncertain.size} coordinates; {study.name} draws "
            f"{len(scenario.direction_ids)}"
        )
    if isinstance(load_set, Budget) and not scenario.uncertainty.even:
        raise ConfigError(
            f"{study.name}: a budget counts loads that fall as far as they rise; prove the whole "
            "set, or state [uncertainty] spread alone, without spread_down and spread_up"
        )
    policy, why = affine_policy(study.config.campaign.recourse, plan)
    if not not_covered(scenario, plan):
        plan = with_what_it_needs(plan, scenario, policy)
    elif policy == "affine" and plan.affine is None:
        policy = "fixed"
    engine = OpenDssEngine(scenario)
    islands: list[IslandClaim] = []
    evaluations, damaged = 0, list[str]()
    try:
        for step in study.steps:
            proving = _Step(engine, scenario, plan, policy, uncertain, step, asked)
            islands += proving.islands()
            evaluations += proving.evaluations
            damaged += [scenario.step_names[step]] if proving.damaged else []
    finally:
        engine.close()
    return report_of(
        study,
        plan,
        tuple(islands),
        load_set=set_words(scenario, uncertain),
        recourse=policy,
        said=(*([why] if why else ()), *beside(study, uncertain)),
        damaged=tuple(damaged),
        evaluations=evaluations,
        seconds=perf_counter() - begun,
    )


def worst_of_the_box(study: Study, plan: Plan, step: int) -> tuple[FloatArray, float] | None:
    """Name the loads of the study's box that can be the worst, and bound the least margin by them.

    Parameters
    ----------
    study, plan, step
        The campaign's own recourse must be affine, and OpenDSS its judge.

    Returns
    -------
    points, bound
        (point, direction) worst loads by kind of limit and island, and a scaled margin
        (`scenarios.verdict.least_margin`) that no load of the box is below. None where a
        certificate does not close, or cannot speak of all that is judged.
    """
    scenario, policy = study.scenario, study.config.campaign.recourse
    if affine_policy(policy, plan)[0] != policy or scenario.devices is not None:
        return None
    if study.config.campaign.judge == "linear" or (policy == "affine" and plan.affine is None):
        return None
    limits, settings = scenario.limits, ProofSettings()
    engine = OpenDssEngine(scenario)
    try:
        found = _Step(engine, scenario, plan, policy, _box(scenario), step, settings).certificates()
    finally:
        engine.close()
    bounds = [bound for one in found or () for bound in one.bounds]
    if not bounds:
        return None
    least = min(
        (bound.least + limits.tolerance) / margin_scale(bound.kind, limits) for bound in bounds
    )
    ends = scenario.direction_range  # the reach of a set is never less than it for rounding
    return np.clip(np.concatenate([bound.zeta for bound in bounds]), *ends), float(least)


def _box(scenario: Scenario) -> Box:
    low, high = scenario.direction_range
    return Box(
        load_ids=scenario.direction_ids, spread=scenario.direction_spread, low=low, high=high
    )


class _Step:
    """One step of a plan: its engine, its recourse, and what OpenDSS was asked."""

    def __init__(  # noqa: PLR0917
        self,
        engine: OpenDssEngine,
        scenario: Scenario,
        plan: Plan,
        policy: str,
        load_set: UncertaintySet,
        step: int,
        settings: ProofSettings,
    ) -> None:
        self._engine, self._scenario, self._plan, self._step = engine, scenario, plan, step
        self._set, self._settings = load_set, settings
        self._recourse: Recourse = make_recourse(policy, plan, scenario, step)
        self._answer: AffineAnswer = affine_answer(policy, plan, scenario, step)
        self._asked = as_asked(plan, scenario)
        engine.hold(plan, step)
        self.evaluations, self.damaged = 0, False

    def certificates(self) -> tuple[Certificate, ...] | None:
        """Certify every island over the whole set; None where one of them says nothing."""
        zero = np.zeros((1, len(self._scenario.direction_ids)))
        _, nominal, outcome = self._solved(zero)
        if not_covered(self._scenario, self._plan) or outcome[0] in _NOTHING:
            return None
        found = []
        for network in self._engine.networks():
            reach = reach_of(self._set)
            one = certify(network, self._asked, self._plan, self._answer, reach, time=self._step)
            if one.missing or self._differs(network, nominal):
                return None
            found.append(one)
        return tuple(found)

    def islands(self) -> list[IslandClaim]:
        """Decide on every island of the step."""
        scenario, plan = self._scenario, self._plan
        centre = np.zeros((1, len(scenario.direction_ids)))
        told, nominal, outcome = self._solved(centre)
        damage = told.get(MarginKind.DAMAGE)
        self.damaged = damage is not None and bool((damage < 0.0).any())
        reach = reach_of(self._set)
        missing = not_covered(scenario, plan)
        if outcome[0] in _NOTHING:
            missing = missing or (
                "OpenDSS finds no power flow with the plan's set-points at nominal load"
            )
        found = []
        for network in self._engine.networks():
            whole = certify(network, self._asked, plan, self._answer, reach, time=self._step)
            own = missing or self._differs(network, nominal)
            search = Search(whole=whole, leaves=[whole])
            if not own:
                self._decide(network, reach, search)
            found.append(
                island_claim(
                    scenario,
                    network,
                    search,
                    missing=own,
                    step=self._step,
                    inside=inside(told, network, scenario),
                )
            )
        # what no island has: a DER that is called live and is not in service
        self.damaged |= outcome[0] == Outcome.VIOLATED and all(one.nominal_inside for one in found)
        return found

    def _differs(self, network: IslandNetwork, nominal: FloatArray) -> str:
        """Say so where the certificate's own nominal state is not the engine's."""
        scenario, nodes = self._scenario, len(network.node_at)
        buses = scenario.ders.bus[network.forming.der]
        if len(np.unique(buses)) < len(buses):
            return "several DERs form at one bus, and how they share is no part of a certificate"
        zero = np.zeros(len(scenario.direction_ids))
        state = state_at(network, self._asked, self._answer, zero, self._step)
        if state is None:
            return "no power flow was found at nominal load"
        seen = nominal[tuple(network.node_at.T)]
        own = np.abs(network.measured.neutral @ state[:nodes])
        apart = float(np.nanmax(np.abs(own - seen), initial=0.0))
        if not apart <= _SAME_STATE:
            return (
                f"the certificate's nominal state is {apart:.2g} pu from OpenDSS's: the circuit "
                "holds something that the certificate does not know"
            )
        return ""

    # ------------------------------------------------------------------ deciding
    def _decide(self, network: IslandNetwork, reach: Reach, search: Search) -> None:
        tolerance = self._scenario.limits.tolerance
        self._witness(network, search.whole, search)
        stack = [(search.whole, reach, 0)]
        search.leaves = []
        until = perf_counter() + self._settings.seconds
        while stack:
            leaf, part, depth = stack.pop()
            open_kinds = [
                kind
                for kind in KINDS
                if kind not in search.witnesses and leaf.least(kind) < -tolerance
            ]
            if open_kinds and depth:
                self._witness(network, leaf, search)
                open_kinds = [kind for kind in open_kinds if kind not in search.witnesses]
            cuts = leaf.split >= 0 and part.budget is None and depth < self._settings.depth
            # both halves take about as long as the whole did
            late = perf_counter() + 2.0 * leaf.seconds > until
            if not open_kinds or not cuts or late:
                search.ran_out |= bool(open_kinds) and cuts and late
                search.leaves.append(leaf)
                continue
            search.depth = max(search.depth, depth + 1)
            for half in part.halves(leaf.split):
                certificate = certify(
                    network,
                    self._asked,
                    self._plan,
                    self._answer,
                    half,
                    time=self._step,
                    start=leaf.state,
                )
                stack.append((certificate, half, depth + 1))

    def _witness(self, network: IslandNetwork, certificate: Certificate, search: Search) -> None:
        """Put the loads that the tangent names to OpenDSS, and keep those that are outside."""
        bounds = [one for one in certificate.bounds if one.kind not in search.witnesses]
        points = [point for one in bounds for point in one.zeta]
        if not points:
            return
        own, _, outcome = self._solved(np.stack(points))
        first = 0
        for one in bounds:
            rows = slice(first, first + len(one.zeta))
            first += len(one.zeta)
            self._keep(network, one, (own[one.kind][rows], outcome[rows]), search)

    def _keep(
        self,
        network: IslandNetwork,
        bound: KindBound,
        seen: tuple[FloatArray, IntArray],
        search: Search,
    ) -> None:
        margins, outcome = seen
        here = of_island(self._scenario, network, bound.kind)
        own = np.where(here[None, :, None], margins, np.inf)
        solved = ~np.isin(outcome, _NOTHING)
        for row in np.flatnonzero(solved):
            place = int(own[row].argmin())
            element, phase = divmod(place, own.shape[2])
            margin = float(own[row].ravel()[place])
            search.attained[bound.kind] = min(search.attained.get(bound.kind, np.inf), margin)
            known = search.witnesses.get(bound.kind)
            deepest = -self._scenario.limits.tolerance if known is None else known.margin
            if margin < deepest and self._set.contains(bound.zeta[row], 1e-9):
                search.witnesses[bound.kind] = Witness(
                    zeta=bound.zeta[row], margin=margin, element=element, phase=phase
                )

    def _solved(
        self, zeta: FloatArray
    ) -> tuple[dict[MarginKind, FloatArray], FloatArray, IntArray]:
        """Margins by element, first row's voltages, and outcomes of points of the set."""
        drawn = self._plan.asked(realize(self._scenario, zeta, step=self._step), self._scenario)
        told = self._recourse.respond(drawn)
        seen = self._engine.observe(drawn, told)
        self.evaluations += len(zeta)
        verdicts = judge(seen, self._plan, self._scenario, self._step)
        own = element_margins(seen, self._plan, self._scenario, self._step)
        return own, seen.v_pu[0], verdicts.outcome
