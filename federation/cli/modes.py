"""Command ``modes``: what each event risks, which mode to plan for, and why."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer
from gridproof.federation.cli.options import AsJson, Overrides, StudyName, print_json, stdout
from gridproof.federation.families.policy_mode_selection import select_mode
from gridproof.federation.families.policy_mode_study import events_of, predicted
from gridproof.federation.records.mode_report import (
    EventAtPlace,
    EventRisk,
    ModeCandidate,
    ModeReport,
)
from gridproof.federation.reports.mode_tables import candidate_table, risk_table
from gridproof.federation.reports.terminal import print_views
from gridproof.federation.studies.study import Study, load_study
from gridproof.federation.tables.terminal import TableView
from gridproof.scenarios.errors import ConfigError

if TYPE_CHECKING:
    from gridproof.optimizer.policy_mode.selection import Selection

__all__ = ["modes"]


def modes(
    study: StudyName,
    overrides: Overrides = None,
    cover: Annotated[
        float | None,
        typer.Option(
            "--cover", min=0.0, max=1.0,
            help="Share of the total risk that the modes must cover; the study's if left out.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Say what each event risks, which modes cover enough of it, and which is cheapest."""
    found = load_study(study, overrides or ())
    if not found.config.events.kinds:
        raise ConfigError(f"{found.name}: nothing may happen; state [events], see docs/papers")
    chosen = select_mode(found.config, found.scenario, found.path.parent, cover)
    told = _told(found, chosen)
    if as_json:
        print_json(told)
        return
    print_views(stdout(), TableView(risk_table(told.risks)), TableView(candidate_table(told.modes)))


def _told(study: Study, chosen: Selection) -> ModeReport:
    risks = (
        EventRisk(
            event=one.event,
            probability=one.probability,
            impact_kw=one.impact_kw,
            breaks_a_limit=one.breaks,
            risk_kw=one.risk_kw,
            share=one.share,
        )
        for one in chosen.risks
    )
    modes = (
        ModeCandidate(
            modes=one.modes,
            events=one.events,
            share=one.share,
            cost_usd=one.cost_usd if math.isfinite(one.cost_usd) else None,
            chosen=one.chosen,
            reason=one.reason,
        )
        for one in chosen.candidates
    )
    return ModeReport(
        study=study.name,
        probabilities=tuple(_probabilities(study)),
        risks=tuple(risks),
        modes=tuple(modes),
        mode="+".join(chosen.chosen.modes),
    )


def _probabilities(study: Study) -> Iterator[EventAtPlace]:
    """Yield the event-location matrix, a row a place; its interval where it was estimated."""
    config, folder = study.config, study.path.parent
    told = predicted(config.events, folder)
    events = events_of(config.events, config.ders, study.scenario.feeder, folder)
    for name, event in events.items():
        for place, probability in zip(event.locations, event.probability.tolist(), strict=True):
            low = high = probability
            if told is not None:
                at = told.events.index(name), told.locations.index(place)
                low, high = float(told.lower[at]), float(told.upper[at])
            yield EventAtPlace(
                event=name, location=place, probability=probability, lower=low, upper=high
            )
