"""A campaign's figures as values: what a Python user reads, and what JSON prints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from types import MappingProxyType
from typing import Any

from gridproof.federation.tables.table import Table, interval, share, text
from gridproof.federation.wording import decimals

__all__ = ["Report", "StepReport", "WorstMargin"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorstMargin:
    """The least margin of one kind of limit, over all realizations that were judged.

    Attributes
    ----------
    kind, unit
        Which limit, and what the margin is in: pu for a voltage, else a share of the rating.
    margin
        Positive inside.
    element, phase, index
        Where, and in which realization.
    """

    kind: str
    unit: str
    margin: float
    element: str | None
    phase: str | None
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """What became of the realizations at one step.

    Attributes
    ----------
    step, name
        Its number, and what it is called.
    realizations, outcomes
        Tried, and counted by outcome; *erred* says nothing of the plan.
    feasible_share, interval, interval_kind
        Of what was judged; None and the whole unit interval where nothing was.
    served_share
        Share of the demand served, as drawn; None where no realization is feasible.
    worst
        By kind of limit.
    """

    step: int
    name: str
    realizations: int
    outcomes: Mapping[str, int]
    feasible_share: float | None
    interval: tuple[float, float]
    interval_kind: str
    served_share: float | None
    worst: Mapping[str, WorstMargin]

    @classmethod
    def of(cls, summary: Mapping[str, Any], name: str) -> StepReport:
        """Read a step's summary."""
        low, high = summary["interval"]
        return cls(
            step=int(summary["step"]),
            name=name,
            realizations=int(summary["samples"]),
            outcomes=MappingProxyType(dict(summary["outcomes"])),
            feasible_share=summary["feasible_share"],
            interval=(float(low), float(high)),
            interval_kind=str(summary["interval_kind"]),
            served_share=summary["served_share"],
            worst=MappingProxyType(
                {kind: WorstMargin(kind=kind, **one) for kind, one in summary["worst"].items()}
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Report:
    """What became of a plan's realizations: over all steps, and at each.

    Attributes
    ----------
    study, seed
        What was tried.
    realizations, unjudged, feasible
        Tried, erred at some step, and feasible at every step.
    feasible_share, interval, interval_kind, confidence
        Of what was judged.
    served_share
        Share of the demand served, as drawn, over all steps.
    first_failed
        Realizations by the step that they first fail at; of one step alone, empty.
    steps
        Each step on its own.
    """

    study: str
    seed: int
    realizations: int
    unjudged: int
    feasible: int
    feasible_share: float | None
    interval: tuple[float, float]
    interval_kind: str
    confidence: float
    served_share: float | None
    first_failed: Mapping[str, int]
    steps: tuple[StepReport, ...]
    _summary: Mapping[str, Any] = field(compare=False)

    @classmethod
    def of(cls, summary: Mapping[str, Any], *, study: str, seed: int) -> Report:
        """Read the summary of a campaign of one step, or of several."""
        if "steps" in summary:
            joint = summary["joint"]
            steps = tuple(
                StepReport.of(one["campaign"], str(one["name"]))
                for one in summary["steps"]
                if one["campaign"] is not None
            )
        else:
            steps = (StepReport.of(summary, ""),)
            erred = summary["outcomes"]["erred"]
            joint = {
                **summary,
                "realizations": summary["samples"],
                "unjudged": erred,
                "feasible": summary["outcomes"]["feasible"],
                "first_failed": {},
            }
        low, high = joint["interval"]
        return cls(
            study=study,
            seed=seed,
            realizations=int(joint["realizations"]),
            unjudged=int(joint["unjudged"]),
            feasible=int(joint["feasible"]),
            feasible_share=joint["feasible_share"],
            interval=(float(low), float(high)),
            interval_kind=str(joint["interval_kind"]),
            confidence=float(joint["confidence"]),
            served_share=joint["served_share"],
            first_failed=MappingProxyType(dict(joint["first_failed"])),
            steps=steps,
            _summary=summary,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the figures as ``gridproof report --json`` prints them under ``campaign``."""
        return dict(self._summary)

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
