"""Command ``modes``: what each event risks, which mode to plan for, and why."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from gridproof.federation.cli.options import AsJson, Overrides, StudyName, print_json, stdout
from gridproof.federation.families.policy_mode_selection import select_mode
from gridproof.federation.families.policy_mode_study import events_of, predicted
from gridproof.federation.reports.terminal import print_views
from gridproof.federation.studies.study import Study, load_study
from gridproof.federation.wording import decimals
from gridproof.scenarios.errors import ConfigError
from rich import box
from rich.table import Table

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
    probabilities = _probabilities(found)
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
        print_json(
            {
                "study": found.name,
                "probabilities": probabilities,
                "risks": risks,
                "modes": rows,
                "mode": mode,
            }
        )
        return
    print_views(stdout(), _risk_table(risks), _mode_table(rows))


def _probabilities(study: Study) -> list[dict[str, Any]]:
    """Return the event-location matrix, a row a place; its interval where it was estimated."""
    config, folder = study.config, study.path.parent
    told = predicted(config.events, folder)
    events = events_of(config.events, config.ders, study.scenario.feeder, folder)
    rows = []
    for name, event in events.items():
        for place, probability in zip(event.locations, event.probability.tolist(), strict=True):
            low = high = probability
            if told is not None:
                at = told.events.index(name), told.locations.index(place)
                low, high = float(told.lower[at]), float(told.upper[at])
            rows.append(
                {
                    "event": name,
                    "location": place,
                    "probability": probability,
                    "lower": low,
                    "upper": high,
                }
            )
    return rows


def _risk_table(rows: list[dict[str, Any]]) -> Table:
    table = Table(title="Events within an hour", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("event")
    for name in ("probability, %", "impact, kW", "risk, kW", "share, %"):
        table.add_column(name, justify="right")
    table.add_column("alone breaks a limit")
    for row in rows:
        table.add_row(
            row["event"],
            decimals(100.0 * row["probability"], 2),
            decimals(row["impact_kw"], 1),
            decimals(row["risk_kw"], 2),
            decimals(100.0 * row["share"], 1),
            "yes" if row["breaks_a_limit"] else "no",
        )
    return table


def _mode_table(rows: list[dict[str, Any]]) -> Table:
    table = Table(title="Modes", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("")
    table.add_column("mode")
    table.add_column("risk covered, %", justify="right")
    table.add_column("cost, USD", justify="right")
    table.add_column("why")
    for row in rows:
        cost = row["cost_usd"]
        table.add_row(
            "→" if row["chosen"] else "",
            "+".join(row["modes"]),
            decimals(100.0 * row["share"], 1),
            "" if cost is None else decimals(cost, 0),
            row["reason"],
        )
    return table
