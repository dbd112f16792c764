"""The counter-example loop: plan, try under AC, draw the planner's limits in, plan again.

A plan is **shown** at share ``p`` when the exact one-sided bound of its campaign reaches it::

    B(α_k; x, n - x + 1) ≥ p        x feasible of n realizations, B the beta quantile

Several plans are tried, so the error is spent over the rounds: round ``k`` may err with
``α_k = α / (k (k + 1))``, and ``Σ_k α_k = α = 1 - confidence``. Each round draws realizations
of its own (seed + k - 1), and its plan depends on earlier rounds alone, so the bound holds for
that plan as for one chosen beforehand: the chance that any plan below the share is ever shown
is at most α, however many rounds there are. A realization that could not be judged counts
against the plan.

Not shown, the counter-examples say which of the planner's limits move, and how far: the margin
kept at each element that failed (``ac_margin_at``) rises by the least depth that would have
left no more than its part of the allowed share outside, within a least and a greatest step; of
a DER that forms, at every DER that could form instead.
What has no depth (nothing was solved) has no place either, and raises ``ac_margin`` everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.campaigns.progress import CampaignBar
from gridproof.federation.config.campaign import DESIGNS
from gridproof.federation.inquiries.counterexamples import CounterExamples, counter_examples
from gridproof.federation.inquiries.harden_settings import HardenSettings, spent
from gridproof.federation.inquiries.margins import raised
from gridproof.federation.records.intervals import Intervals
from gridproof.federation.records.plan_report import PlanReport
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.records.summary import plan_summary
from gridproof.federation.statistics.shares import Share, share_of
from gridproof.federation.studies.planner_margins import Margins
from gridproof.federation.studies.study import Study, load_study
from gridproof.optimizer.planner import FAMILIES
from gridproof.scenarios.errors import ConfigError, PlanError
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.scenario import Scenario
from scipy.special import betaincinv

__all__ = [
    "End",
    "HardenRound",
    "Hardening",
    "harden",
    "lower_bound",
]


class End(StrEnum):
    """How the loop ended."""

    SHOWN = "shown"
    NO_PLAN = "no plan keeps a margin this large"
    MARGIN_USED_UP = "no margin left to raise"
    NOTHING_SERVED = "the plan serves nothing, so its verdicts say nothing"
    ROUNDS_USED_UP = "no round left"


@dataclass(frozen=True, slots=True, kw_only=True)
class HardenRound:
    """One plan and what became of it.

    Attributes
    ----------
    number
        From 1.
    ac_margin_pu
        What the planner kept clear everywhere.
    margins_at
        What it kept clear at single elements, pu, by ``(kind, id)``.
    seed
        Of this round's realizations.
    alpha
        Error this round may spend.
    plan
        Its figures, `federation.records.summary.plan_summary`.
    tried
        Feasible among all realizations, with the two-sided interval at the asked confidence.
    bound
        One-sided lower bound of the share at ``1 - alpha``.
    shown
        Whether ``bound`` reaches the asked share.
    found
        What failed, where, and how deep.
    out
        Its campaign directory.
    """

    number: int
    ac_margin_pu: float
    margins_at: dict[tuple[str, str], float]
    seed: int
    alpha: float
    plan: PlanReport
    tried: Share
    bound: float
    shown: bool
    found: CounterExamples
    out: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardening:
    """A finished loop.

    Attributes
    ----------
    settings
        What was asked.
    rounds
        Every plan tried, in order.
    end
        How it ended.
    why
        The planner's words where it had no plan.
    plan, scenario
        The last plan tried, and what it is of.
    """

    settings: HardenSettings
    rounds: tuple[HardenRound, ...]
    end: End
    why: str
    plan: Plan | None
    scenario: Scenario


def lower_bound(feasible: int, samples: int, alpha: float) -> float:
    """Exact one-sided bound, ``B(α; x, n - x + 1)``: a lesser share is excluded at ``1 - α``."""
    return float(betaincinv(feasible, samples - feasible + 1, alpha)) if feasible else 0.0


def harden(
    study_name: str,
    overrides: list[str],
    settings: HardenSettings,
    out: Path,
    *,
    tell: Callable[[HardenRound], None],
    watch: Callable[[], AbstractContextManager[CampaignBar]],
) -> Hardening:
    """Raise the planner's margins until the asked share is shown, or it cannot be.

    Parameters
    ----------
    study_name, overrides
        The study; its margins are where the loop starts, its seed the first round's.
    settings
        What is asked.
    out
        Holds ``round-01``, ``round-02``, … as campaign directories; whole ones are only read.
    tell
        Told of each round as it ends.
    watch
        Opens a progress bar for one campaign.

    Raises
    ------
    ConfigError
        If the study's planner keeps no margin, its draws are not independent or end early, or
        there are too few to show anything.
    PlanError
        If the first plan is not found.
    """
    study = load_study(study_name, overrides)
    _refuse(study, settings)
    margins = Margins.of(study)
    rounds: list[HardenRound] = []
    plan: Plan | None = None
    for number in range(1, settings.most_rounds + 1):
        seed = (study.config.campaign.seed + number - 1) % 2**64
        entries = [*margins.entries(), f"campaign.seed={seed}"]
        this = load_study(study_name, [*overrides, *entries])
        root = out / f"round-{number:02d}"
        try:
            with watch() as bar:
                result = run_campaign(this, root, progress=bar, planning=bar.planning)
        except PlanError as error:
            if not rounds:
                raise
            return _ended(settings, rounds, End.NO_PLAN, plan=plan, study=this, why=str(error))
        plan = result.plan
        rounds.append(
            _weigh(this, result.store, plan, settings=settings, number=number, margins=margins)
        )
        tell(rounds[-1])
        if rounds[-1].shown:
            return _ended(settings, rounds, End.SHOWN, plan=plan, study=this)
        if rounds[-1].plan.served_kw <= 0.0:
            return _ended(settings, rounds, End.NOTHING_SERVED, plan=plan, study=this)
        wider = raised(margins, rounds[-1].found, settings, _formers(this))
        if wider == margins:
            return _ended(settings, rounds, End.MARGIN_USED_UP, plan=plan, study=this)
        margins = wider
    return _ended(settings, rounds, End.ROUNDS_USED_UP, plan=plan, study=study)


def _weigh(
    study: Study,
    store: CampaignStore,
    plan: Plan,
    *,
    settings: HardenSettings,
    number: int,
    margins: Margins,
) -> HardenRound:
    found = counter_examples(store, study.scenario.limits)
    alpha = spent(settings, number)
    good = found.feasible
    bound = lower_bound(good, found.samples, alpha)
    summary = plan_summary(plan, study.scenario)
    return HardenRound(
        number=number,
        ac_margin_pu=margins.everywhere,
        margins_at=margins.at,
        seed=study.config.campaign.seed,
        alpha=alpha,
        plan=summary,
        tried=share_of(good, found.samples, settings.confidence),
        bound=bound,
        shown=bound >= settings.share and summary.served_kw > 0.0,
        found=found,
        out=store.root,
    )


def _formers(study: Study) -> tuple[str, ...]:
    ders = study.scenario.ders
    return tuple(name for name, can in zip(ders.ids, ders.can_form, strict=True) if can)


def _ended(
    settings: HardenSettings,
    rounds: list[HardenRound],
    end: End,
    *,
    plan: Plan | None,
    study: Study,
    why: str = "",
) -> Hardening:
    return Hardening(
        settings=settings,
        rounds=tuple(rounds),
        end=end,
        why=why,
        plan=plan,
        scenario=study.scenario,
    )


def _refuse(study: Study, settings: HardenSettings) -> None:
    """Refuse what the loop's error control does not cover."""
    campaign, family, faults = study.config.campaign, study.config.planner.family, []
    if "ac_margin" not in FAMILIES[family][0].__dataclass_fields__:
        faults.append(
            f"[planner] family = {family!r} keeps no ac_margin; harden a family that does"
        )
    if campaign.sampler in DESIGNS:
        faults.append(
            f"[campaign] sampler = {campaign.sampler!r} makes no independent draws, so no share "
            'can be shown with it; choose "uniform"'
        )
    if Intervals.of(study.config.model_dump()).lags:
        faults.append(
            "[faults], [devices] and [realtime] tie realizations to those before them, and the "
            "bound that shows a share is of independent ones; leave them out"
        )
    if campaign.stop is not None:
        faults.append(
            "[campaign] stop ends a campaign by what it finds, and harden spends its error over "
            "whole campaigns; leave stop out"
        )
    if campaign.samples < settings.least_samples:
        faults.append(
            f"[campaign] samples = {campaign.samples} could not show a share of "
            f"{settings.share:g} in round {settings.most_rounds}, were every one feasible; ask "
            f"for at least {settings.least_samples}, or for fewer rounds"
        )
    if faults:
        raise ConfigError(faults)
