"""One round of the counter-example loop: a plan, its certificate, and its campaign if it needs one.

Where every realization lies in a box and the recourse is affine in the draw, a certificate
(`federation.proofs.proving`) may prove the plan for the whole box: then no share is left to be
shown, and nothing is sampled. Draws of all samplers that `harden` admits end at the box.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from gridproof.federation.campaigns.campaign import plan_here, run_campaign
from gridproof.federation.campaigns.progress import CampaignBar
from gridproof.federation.campaigns.study_jobs import make_planner_job, open_store
from gridproof.federation.certificates.affine_answers import AFFINE, affine_policy
from gridproof.federation.inquiries.counterexamples import CounterExamples, counter_examples
from gridproof.federation.inquiries.harden_settings import HardenSettings, lower_bound, spent
from gridproof.federation.inquiries.margins import raised
from gridproof.federation.proofs.proof_scope import not_covered
from gridproof.federation.proofs.proven_plans import wider
from gridproof.federation.proofs.proving import ProofSettings, prove
from gridproof.federation.records.certificate_report import CertificateReport, Claim
from gridproof.federation.records.lock import writing
from gridproof.federation.records.plan_report import PlanReport
from gridproof.federation.records.summary import plan_summary
from gridproof.federation.statistics.shares import Share, share_of
from gridproof.federation.studies.planner_margins import Margins, formers_of
from gridproof.federation.studies.study import Study
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.plan_file import plan_to_json

__all__ = ["HardenRound", "Watch", "try_round", "unprovable", "wider_after"]

Watch = Callable[[], AbstractContextManager[CampaignBar]]

_EFFORT = ProofSettings(depth=3)
"""What three cuts do not decide is sampled sooner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HardenRound:
    """One plan and what became of it.

    Attributes
    ----------
    number
        From 1.
    margins
        What the planner kept clear.
    seed
        Of this round's realizations.
    alpha
        Error this round may spend.
    made
        The plan.
    plan
        Its figures, `federation.records.summary.plan_summary`.
    certificate
        What is proven of it over every load that can be drawn; None where certificates do not
        speak of the study (`unprovable`).
    tried
        Feasible among all realizations, with the two-sided interval at the asked confidence; None
        where none was drawn, as the plan is proven or only a proof will do.
    bound
        Lower bound of the share: 1 if proven, else one-sided at ``1 - alpha``.
    shown
        Whether ``bound`` reaches the asked share, and something is served.
    found
        What failed among the realizations, where, and how deep.
    out
        Its campaign directory.
    """

    number: int
    margins: Margins
    seed: int
    alpha: float
    made: Plan
    plan: PlanReport
    certificate: CertificateReport | None
    tried: Share | None
    bound: float
    shown: bool
    found: CounterExamples
    out: Path

    @property
    def proven(self) -> bool:
        """Whether every load that can be drawn is proven to be held."""
        return self.certificate is not None and self.certificate.verdict is Claim.PROVEN


def try_round(
    study: Study,
    settings: HardenSettings,
    margins: Margins,
    *,
    number: int,
    out: Path,
    watch: Watch,
) -> HardenRound:
    """Plan, certify, and try what is not proven; a round that is there is only read.

    Raises
    ------
    PlanError
        If there is no plan.
    """
    with watch() as bar:
        plan = _plan(study, out, bar)
        told = None if unprovable(study, plan) else prove(study, plan, settings=_EFFORT)
        one = HardenRound(
            number=number,
            margins=margins,
            seed=study.config.campaign.seed,
            alpha=spent(settings, number),
            made=plan,
            plan=plan_summary(plan, study.scenario),
            certificate=told,
            tried=None,
            bound=0.0,
            shown=False,
            found=CounterExamples.none(),
            out=out,
        )
        if one.proven:
            return _weighed(one, settings, 1.0)
        if settings.by_proof_alone:
            return one
        store = run_campaign(study, out, plan=plan, progress=bar).store
    found = counter_examples(store, study.scenario.limits)
    tried = share_of(found.feasible, found.samples, settings.confidence)
    bound = lower_bound(found.feasible, found.samples, one.alpha)
    return _weighed(replace(one, tried=tried, found=found), settings, bound)


def wider_after(
    one: HardenRound, study: Study, settings: HardenSettings, start: Margins
) -> Margins:
    """Widen the margins where a round failed; the same if nothing can be wider."""
    formers = formers_of(study)
    if one.tried is not None:
        return raised(one.margins, one.found, settings, formers)
    assert one.certificate is not None  # only a proof will do, and there was none
    return wider(one.margins, start, one.certificate, study.scenario.limits, formers)


def unprovable(study: Study, plan: Plan | None = None) -> str:
    """Say why no certificate speaks of the study's own draws, recourse and judge; empty if one may.

    Parameters
    ----------
    study
        Its recourse is to be the one that is proven, and OpenDSS what is spoken of.
    plan
        If known: more is asked of what a rule does.
    """
    campaign = study.config.campaign
    if campaign.judge == "linear":
        return "[campaign] judge = 'linear' asks no power flow"
    if study.foreign is not None:
        return "another program answers each draw"
    if plan is None:
        return (
            ""
            if campaign.recourse in AFFINE
            else f"recourse {campaign.recourse} is not affine in the draw"
        )
    policy, why = affine_policy(campaign.recourse, plan)
    return why if policy != campaign.recourse else not_covered(study.scenario, plan)


def _plan(study: Study, out: Path, bar: CampaignBar) -> Plan:
    """Return the plan that the round's directory holds, or make it and keep it there."""
    with writing(out):
        store = open_store(study, out)
        plan = plan_here(make_planner_job(study, out=out, progress=bar.planning))
        if store.read("plan.json") is None:
            store.write("plan.json", plan_to_json(plan) + "\n")
    return plan


def _weighed(one: HardenRound, settings: HardenSettings, bound: float) -> HardenRound:
    return replace(one, bound=bound, shown=bound >= settings.share and one.plan.served_kw > 0.0)
