"""Plan, certify, draw the planner's limits in where the certificate says what lacks, plan again.

The planner's own model is linear; a certificate (`federation.proofs.proving`) says of its plan,
for every load of the set, whether there is an AC power flow inside every limit. What it does not
prove has an element and a depth: the load that breaks it in OpenDSS, or the least margin that the
tube allows. The margin that the planner keeps there rises by that depth, and where that was not
enough by at least as much as it has risen, and it plans again.

Margins narrow the planner's limits and no more, so the loop finds a proven plan and not the
cheapest: what is said of that is a bound (`optimizer.partitioning.ac_bound`). The linear plan's
own bound is none: a plan may be inside every limit under AC and outside one of LinDist3Flow, which
leaves losses out and has voltages that differ either way on unbalanced phases.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from gridproof.federation.certificates.affine_answers import affine_policy
from gridproof.federation.certificates.affine_rules import with_what_it_needs
from gridproof.federation.proofs.planned import Planned
from gridproof.federation.proofs.proof_scope import not_covered
from gridproof.federation.proofs.proving import prove
from gridproof.federation.records.ac_proof_report import AcProofReport, AcProofRound
from gridproof.federation.records.certificate_report import CertificateReport, Claim
from gridproof.federation.records.summary import plan_summary
from gridproof.federation.studies.planner_margins import (
    ELEMENT_OF,
    MOST_MARGIN_PU,
    Margins,
    bounded_step,
    formers_of,
)
from gridproof.optimizer.partitioning.ac_bound import AcBound, ac_cost_bound
from gridproof.optimizer.partitioning.options import PartitioningOptions
from gridproof.optimizer.planner import make_planner
from gridproof.optimizer.solver.decomposition import PlanProgress
from gridproof.scenarios.errors import PlanError, PlanNotFound
from gridproof.scenarios.limits import Limits
from gridproof.scenarios.proof import Proof, Termination
from gridproof.scenarios.sets import Budget
from gridproof.scenarios.verdict import MarginKind

if TYPE_CHECKING:
    from gridproof.federation.studies.study import Study
    from gridproof.scenarios.plan import Plan

__all__ = ["MOST_ROUNDS", "lacks", "plan_proven", "wider"]

MOST_ROUNDS = 12
_LEAST_STEP_PU, _GREATEST_STEP_PU = 0.001, 0.01


def plan_proven(study: Study, *, progress: Callable[[PlanProgress], None] | None = None) -> Planned:
    """Plan until every load of the planner's set is proven to be inside every AC limit.

    Parameters
    ----------
    study
        Its margins are where the loop starts; its campaign's recourse is what is proven, or
        ``affine`` where that is none that can be.
    progress
        Told of each planner's steps.

    Raises
    ------
    PlanError
        If the first plan is not found; `PlanNotFound`, with the reason, if none is proven.
    """
    start, rounds = Margins.of(study), list[AcProofRound]()
    margins = start
    formers = formers_of(study)
    while True:
        try:
            plan = _planned(study, margins, progress)
        except PlanError as error:
            if not rounds:
                raise
            raise _not_proven(study, rounds, f"no plan keeps wider margins: {error}") from error
        uncovered = not_covered(study.scenario, plan)
        if uncovered:
            raise _not_proven(study, rounds, uncovered)
        found = prove(study, plan, load_set=_set(study))
        rounds.append(_round(study, plan, margins, found))
        if rounds[-1].served_kw <= 0.0:
            raise _not_proven(study, rounds, "it serves nothing, so a proof says nothing")
        if found.verdict is Claim.PROVEN:
            return _proven(study, plan, found, tuple(rounds))
        if len(rounds) == MOST_ROUNDS:
            raise _not_proven(study, rounds, "no round is left")
        raised = wider(margins, start, found, study.scenario.limits, formers)
        if raised == margins:
            raise _not_proven(study, rounds, "no margin is left to raise")
        margins = raised


def lacks(found: CertificateReport, limits: Limits) -> dict[tuple[str, str], float] | None:
    """Say how far each element that is not proven is outside, pu, by ``(kind, id)``.

    Returns
    -------
    None where a limit that is not proven has neither a place nor a depth: a tube that does not
    close, for one. A share of rating is brought to pu by the width of the band, as the planner
    brings ``ac_margin`` to shares.
    """
    band, outside = limits.v_max_pu - limits.v_min_pu, dict[tuple[str, str], float]()
    for island in found.islands:
        for name, claim in island.kinds.items():
            if claim.verdict is Claim.PROVEN:
                continue
            low = [] if claim.attained is None else [claim.attained]
            if claim.worst is not None and claim.remainder is not None:
                low.append(claim.worst - claim.remainder)
            depth = -min(low, default=0.0)
            if claim.element is None or depth <= 0.0:
                return None
            kind = MarginKind(name)
            at = ELEMENT_OF[kind], claim.element
            scaled = depth if kind is MarginKind.VOLTAGE else depth * band
            outside[at] = max(outside.get(at, 0.0), scaled)
    return outside or None


def wider(
    margins: Margins,
    start: Margins,
    found: CertificateReport,
    limits: Limits,
    formers: tuple[str, ...],
) -> Margins:
    """Widen where the certificate says what lacks, else everywhere; the same if nothing can be.

    What one margin moves at an element is less than the margin where set-points follow the load
    by themselves, so an element that fails again gets twice the rise that it had since ``start``.
    """
    outside = lacks(found, limits)
    if outside is not None:
        steps = {}
        for at, depth in outside.items():
            risen = margins.kept(at) - start.kept(at)
            steps[at] = max(bounded_step(depth, _LEAST_STEP_PU, _GREATEST_STEP_PU), risen)
        raised = margins.wider_at(steps, MOST_MARGIN_PU, formers)
        if raised != margins:
            return raised
    return margins.wider_everywhere(_GREATEST_STEP_PU, MOST_MARGIN_PU)


def _planned(
    study: Study, margins: Margins, progress: Callable[[PlanProgress], None] | None
) -> Plan:
    asked = study.config.planner
    planner = make_planner(asked.family, {**asked.options, **margins.options()})
    plan = planner.plan(study.scenario, progress=progress)
    policy, _ = affine_policy(study.config.campaign.recourse, plan)
    if not_covered(study.scenario, plan):
        return plan
    return with_what_it_needs(plan, study.scenario, policy)


def _set(study: Study) -> Budget | None:
    """Return the planner's set over what the campaign draws; None for the box."""
    budget = study.config.planner.options.get("budget")
    if budget is None or study.scenario.draws_per_phase:
        return None
    return Budget.over(len(study.scenario.direction_ids), float(budget))


def _round(study: Study, plan: Plan, margins: Margins, found: CertificateReport) -> AcProofRound:
    summary = plan_summary(plan, study.scenario)
    return AcProofRound(
        ac_margin_pu=margins.everywhere,
        margins_at_pu=margins.by_kind(),
        objective_usd=plan.costs["objective"],
        served_kw=summary.served_kw,
        energized_blocks=summary.energized_blocks,
        verdict=found.verdict,
        worst=found.worst,
    )


def _proven(
    study: Study, plan: Plan, found: CertificateReport, rounds: tuple[AcProofRound, ...]
) -> Planned:
    bound = _bound(study)
    told = AcProofReport(
        recourse=found.recourse,
        load_set=found.load_set.kind,
        rounds=rounds,
        least_margin=found.least_margin,
        price_usd=rounds[-1].objective_usd - rounds[0].objective_usd,
        bound_usd=None if bound.why_not else bound.usd,
        bound_words=_bound_words(bound),
    )
    steps = ", ".join(study.scenario.step_names[step] for step in study.steps)
    whole = len(study.steps) == len(study.scenario.hours)
    over = (
        f"every load of the {found.load_set.kind} has an AC power flow inside every limit, with "
        f"recourse {found.recourse}" + ("" if whole else f", at {steps}")
    )
    return Planned(plan=replace(plan, proof=replace(plan.proof, over=over)), ac_proof=told)


def _bound(study: Study) -> AcBound:
    known = study.config.planner.options
    return ac_cost_bound(study.scenario, PartitioningOptions(**known))


def _bound_words(bound: AcBound) -> str:
    if bound.why_not:
        return f"no bound on the cost of such plans is shown: {bound.why_not}"
    return (
        "no plan that is robust under AC costs less: networks take active power and give none, so "
        "what DERs make is at least what loads take; nothing of the linear model is used"
    )


def _not_proven(study: Study, rounds: list[AcProofRound], why: str) -> PlanNotFound:
    """Say why no plan is proven, and what is known of the last."""
    words = [
        f"{study.name}: no plan is proven under AC power flow for every load of its set: {why}"
    ]
    if rounds:
        one = rounds[-1]
        words.append(
            f"of {len(rounds)} plans the last, {one.objective_usd:.0f} USD, is {one.verdict}"
        )
        if one.worst is not None:
            w = one.worst
            loads = ", ".join(f"{name} {zeta:+.3f}" for name, zeta in w.zeta.items())
            words.append(
                f"least margin {w.margin:.3g} {w.unit}, {w.kind} of {w.element}, at {loads}"
            )
    bound = _bound(study)
    words.append(
        f"no such plan costs less than {bound.usd:.0f} USD"
        if not bound.why_not
        else _bound_words(bound)
    )
    # nothing of the last search's own proof is of plans under AC
    shown = Proof(
        termination=Termination.ITERATION_LIMIT,
        incumbent=float("inf"),
        bound=bound.usd,
        iterations=len(rounds),
    )
    return PlanNotFound("; ".join(words), shown)
