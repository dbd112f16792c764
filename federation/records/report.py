"""A campaign's figures as values: what a Python user reads, and what JSON prints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any

from gridproof.federation.jsonable import IF_KNOWN, Interval, Jsonable
from gridproof.federation.proof_words import PlanFigures
from gridproof.federation.records.campaign_report import (
    CampaignReport,
    StoppingReport,
    WorstMargin,
)
from gridproof.federation.tables.table import Table, interval, share, text
from gridproof.federation.wording import decimals

__all__ = ["JointReport", "Report", "RunReport", "StepReport", "StepsReport"]


@dataclass(frozen=True, slots=True, kw_only=True)
class JointReport(Jsonable):
    """What holds at all steps together, realization by realization.

    Attributes
    ----------
    realizations, unjudged, feasible
        Tried at every step, erred at some, and feasible at each.
    feasible_share, interval, interval_kind, confidence, widening
        Of what was judged.
    served_share
        Share of the demand served, as drawn, over all steps.
    stopping
        Why the campaign ended, where a rule looked at the share feasible at every step.
    first_failed
        Realizations by the step that they first fail at.
    """

    realizations: int
    unjudged: int
    feasible: int
    feasible_share: float | None
    served_share: float | None
    interval: Interval
    interval_kind: str
    confidence: float
    widening: float | None = field(default=None, metadata=IF_KNOWN)
    stopping: StoppingReport | None
    first_failed: Mapping[str, int]

    @classmethod
    def of_one(cls, campaign: CampaignReport) -> JointReport:
        """Say of one step what is said of several: nothing fails first."""
        return cls(
            realizations=campaign.samples,
            unjudged=campaign.outcomes["erred"],
            feasible=campaign.outcomes["feasible"],
            feasible_share=campaign.feasible_share,
            served_share=campaign.served_share,
            interval=campaign.interval,
            interval_kind=campaign.interval_kind,
            confidence=campaign.confidence,
            widening=campaign.widening,
            stopping=campaign.stopping,
            first_failed={},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport(Jsonable):
    """What became of the realizations at one step.

    Attributes
    ----------
    step, name, directory
        Its number, what it is called, and where its rows are.
    campaign
        What became of them; None before the first part.
    """

    step: int
    name: str
    directory: str = field(compare=False)
    campaign: CampaignReport | None

    @property
    def tried(self) -> CampaignReport:
        """The step's campaign, of a step that was tried."""
        if self.campaign is None:
            raise ValueError(f"step {self.step} ({self.name}) was not tried yet")
        return self.campaign

    @property
    def realizations(self) -> int:
        """How many were tried."""
        return 0 if self.campaign is None else self.campaign.samples

    @property
    def outcomes(self) -> Mapping[str, int]:
        """Counted by outcome; *erred* says nothing of the plan."""
        return self.tried.outcomes

    @property
    def feasible_share(self) -> float | None:
        """Share of what was judged; None where nothing was."""
        return self.tried.feasible_share

    @property
    def interval(self) -> Interval:
        """Interval of that share; the whole unit interval where nothing was judged."""
        return self.tried.interval

    @property
    def interval_kind(self) -> str:
        """Which interval that is."""
        return self.tried.interval_kind

    @property
    def served_share(self) -> float | None:
        """Share of the demand served, as drawn; None where no realization is feasible."""
        return self.tried.served_share

    @property
    def worst(self) -> Mapping[str, WorstMargin]:
        """Least margin by kind of limit."""
        return self.tried.worst


@dataclass(frozen=True, slots=True, kw_only=True)
class StepsReport(Jsonable):
    """What became of the realizations at each step, and at all of them together."""

    steps: tuple[StepReport, ...]
    joint: JointReport

    @property
    def tried(self) -> tuple[CampaignReport, ...]:
        """Campaigns of the steps that were tried."""
        return tuple(one.campaign for one in self.steps if one.campaign is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport(Jsonable):
    """One run, as ``--json`` prints it.

    Attributes
    ----------
    study, seed, versions
        What was run, and with what.
    plan
        What is told of the plan; None where there is none yet, or no scenario to tell it of.
    campaign
        Of a run of one step.
    steps, joint
        Of a run of several.
    """

    study: str
    seed: int
    versions: Mapping[str, str]
    plan: PlanFigures | None = field(default=None, metadata=IF_KNOWN)
    campaign: CampaignReport | None = field(default=None, metadata=IF_KNOWN)
    steps: tuple[StepReport, ...] | None = field(default=None, metadata=IF_KNOWN)
    joint: JointReport | None = field(default=None, metadata=IF_KNOWN)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Report:
    """What became of a plan's realizations: over all steps, and at each.

    Attributes
    ----------
    study, seed
        What was tried.
    figures
        Everything that is known: of one step, or of several.
    """

    study: str
    seed: int
    figures: CampaignReport | StepsReport

    @property
    def joint(self) -> JointReport:
        """What holds at all steps together."""
        told = self.figures
        return told.joint if isinstance(told, StepsReport) else JointReport.of_one(told)

    @property
    def steps(self) -> tuple[StepReport, ...]:
        """Each step that was tried, on its own; one without a name where there is one."""
        told = self.figures
        if isinstance(told, StepsReport):
            return tuple(one for one in told.steps if one.campaign is not None)
        return (StepReport(step=told.step, name="", directory="", campaign=told),)

    @property
    def realizations(self) -> int:
        """How many were tried, at every step."""
        return self.joint.realizations

    @property
    def unjudged(self) -> int:
        """How many erred at some step."""
        return self.joint.unjudged

    @property
    def feasible(self) -> int:
        """How many are feasible at every step."""
        return self.joint.feasible

    @property
    def feasible_share(self) -> float | None:
        """Share of what was judged; None where nothing was."""
        return self.joint.feasible_share

    @property
    def interval(self) -> Interval:
        """Interval of that share; the whole unit interval where nothing was judged."""
        return self.joint.interval

    @property
    def interval_kind(self) -> str:
        """Which interval that is."""
        return self.joint.interval_kind

    @property
    def confidence(self) -> float:
        """Of the interval."""
        return self.joint.confidence

    @property
    def served_share(self) -> float | None:
        """Share of the demand served, as drawn, over all steps."""
        return self.joint.served_share

    @property
    def first_failed(self) -> Mapping[str, int]:
        """Realizations by the step that they first fail at; of one step alone, empty."""
        return self.joint.first_failed

    def to_json(self) -> dict[str, Any]:
        """Return the figures as ``gridproof report --json`` prints them under ``campaign``."""
        return self.figures.to_json()

    def __repr__(self) -> str:
        share = "none judged" if self.feasible_share is None else f"{_percent(self.feasible_share)}"
        low, high = map(_percent, self.interval)
        served = "" if self.served_share is None else f", {_percent(self.served_share)} served"
        steps = f" at each of {len(self.steps)} steps" if len(self.steps) > 1 else ""
        return (
            f"<Report {self.study}: {share} feasible{steps} [{low}, {high}] of "
            f"{self.realizations}{served}>"
        )

    def _repr_html_(self) -> str:
        from gridproof.federation.tables.html import table_html  # noqa: PLC0415  (a notebook's alone)

        return f"<p>{escape(repr(self))}</p>{table_html(self.table())}"

    def table(self) -> Table:
        """Return what became of each step as a table."""
        confidence = f"{100.0 * self.confidence:g} %"
        return Table(
            name="steps",
            title=f"Each step of {self.study}, with {self.interval_kind} intervals",
            columns=(
                text("step"),
                share("feasible"),
                *interval(f"{confidence} interval", share("from"), share("to"), unit=""),
                share("served"),
            ),
            rows=tuple(
                (one.name or self.study, one.feasible_share, *one.interval, one.served_share)
                for one in self.steps
            ),
        )


def _percent(share: float) -> str:
    return f"{decimals(100.0 * share, 2)} %"
