"""The counter-example loop: plan, try under AC, draw the planner's limits in, plan again.

A plan is **shown** at share ``p`` when the exact one-sided bound of its campaign reaches it::

    B(α_k; x, n - x + 1) ≥ p        x feasible of n realizations, B the beta quantile

Several plans are tried, so the error is spent over the rounds: round ``k`` may err with
``α_k = α / (k (k + 1))``, and ``Σ_k α_k = α = 1 - confidence``. Each round draws realizations
of its own (seed + k - 1), and its plan depends on earlier rounds alone, so the bound holds for
that plan as for one chosen beforehand: the chance that any plan below the share is ever shown
is at most α, however many rounds there are. A realization that could not be judged counts
against the plan.

Before anything is drawn, a certificate is asked for (`federation.inquiries.harden_rounds`): what it
proves holds for every realization, so the share is 1 and no error is spent. A share of 1 is shown
in no other way; what the certificate lacks then says which margins rise.

Not shown, the counter-examples say which of the planner's limits move, and how far: the margin
kept at each element that failed (``ac_margin_at``) rises by the least depth that would have
left no more than its part of the allowed share outside, within a least and a greatest step; of
a DER that forms, at every DER that could form instead.
What has no depth (nothing was solved) has no place either, and raises ``ac_margin`` everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from gridproof.federation.config.campaign import DESIGNS
from gridproof.federation.inquiries.harden_rounds import (
    HardenRound,
    Watch,
    try_round,
    unprovable,
    wider_after,
)
from gridproof.federation.inquiries.harden_settings import HardenSettings
from gridproof.federation.records.intervals import Intervals
from gridproof.federation.studies.planner_margins import Margins
from gridproof.federation.studies.study import Study, load_study
from gridproof.optimizer.planner import FAMILIES
from gridproof.scenarios.errors import ConfigError, PlanError
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.scenario import Scenario

__all__ = ["End", "Hardening", "harden"]


class End(StrEnum):
    """How the loop ended."""

    SHOWN = "shown"
    NO_PLAN = "no plan keeps a margin this large"
    MARGIN_USED_UP = "no margin left to raise"
    NOTHING_SERVED = "the plan serves nothing, so its verdicts say nothing"
    ROUNDS_USED_UP = "no round left"
    NOT_TO_BE_PROVEN = "no proof speaks of the plan"


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
    plan: Plan
    scenario: Scenario


def harden(
    study_name: str,
    overrides: list[str],
    settings: HardenSettings,
    out: Path,
    *,
    tell: Callable[[HardenRound], None],
    watch: Watch,
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
    start = margins = Margins.of(study)
    rounds: list[HardenRound] = []
    for number in range(1, settings.most_rounds + 1):
        seed = (study.config.campaign.seed + number - 1) % 2**64
        entries = [*margins.entries(), f"campaign.seed={seed}"]
        this = load_study(study_name, [*overrides, *entries])
        root = out / f"round-{number:02d}"
        try:
            rounds.append(try_round(this, settings, margins, number=number, out=root, watch=watch))
        except PlanError as error:
            if not rounds:
                raise
            return _ended(settings, rounds, End.NO_PLAN, study=this, why=str(error))
        tell(rounds[-1])
        if rounds[-1].shown:
            return _ended(settings, rounds, End.SHOWN, study=this)
        if rounds[-1].plan.served_kw <= 0.0:
            return _ended(settings, rounds, End.NOTHING_SERVED, study=this)
        if settings.by_proof_alone and rounds[-1].certificate is None:
            why = unprovable(this, rounds[-1].made)
            return _ended(settings, rounds, End.NOT_TO_BE_PROVEN, study=this, why=why)
        wider = wider_after(rounds[-1], this, settings, start)
        if wider == margins:
            return _ended(settings, rounds, End.MARGIN_USED_UP, study=this)
        margins = wider
    return _ended(settings, rounds, End.ROUNDS_USED_UP, study=study)


def _ended(
    settings: HardenSettings,
    rounds: list[HardenRound],
    end: End,
    *,
    study: Study,
    why: str = "",
) -> Hardening:
    return Hardening(
        settings=settings,
        rounds=tuple(rounds),
        end=end,
        why=why,
        plan=rounds[-1].made,
        scenario=study.scenario,
    )


def _refuse(study: Study, settings: HardenSettings) -> None:
    """Refuse what the loop's error control does not cover."""
    campaign, family, faults = study.config.campaign, study.config.planner.family, []
    if "ac_margin" not in FAMILIES[family][0].__dataclass_fields__:
        faults.append(
            f"[planner] family = {family!r} keeps no ac_margin; harden a family that does"
        )
    if settings.by_proof_alone and unprovable(study):
        faults.append(
            f"share 1 is shown by a proof alone, and {unprovable(study)}; ask for a smaller share, "
            'or choose [campaign] recourse = "affine"'
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
