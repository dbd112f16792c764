"""Command ``modes``: what each event risks, which mode to plan for, and why."""

from __future__ import annotations

from typing import Annotated

import typer
from gridproof.federation.cli.options import AsJson, Overrides, StudyName, print_json, stdout
from gridproof.federation.families.policy_mode_selection import select_mode
from gridproof.federation.reports.mode_tables import candidate_table, risk_table
from gridproof.federation.reports.terminal import print_views
from gridproof.federation.studies.study import load_study
from gridproof.federation.tables.terminal import TableView
from gridproof.scenarios.errors import ConfigError

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
    risks = [
        {
            "event": one.event,
            "probability": one.probability,
            "impact_kw": one.impact_kw,
            "breaks_a_limit": one.breaks,
            "risk_kw": one.risk_kw,
            "share": one.share,
        }
        for one in chosen.risks
    ]
    rows = [
        {
            "modes": list(one.modes),
            "events": list(one.events),
            "share": one.share,
            "cost_usd": one.cost_usd if one.cost_usd == one.cost_usd else None,
            "chosen": one.chosen,
            "reason": one.reason,
        }
        for one in chosen.candidates
    ]
    if as_json:
        mode = "+".join(chosen.chosen.modes)
        print_json({"study": found.name, "risks": risks, "modes": rows, "mode": mode})
        return
    print_views(stdout(), TableView(risk_table(risks)), TableView(candidate_table(rows)))
