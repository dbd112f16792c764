"""What became of realizations, as tables: outcomes, margins, judge against judge, step by step.

Each is made here once, from a campaign's summary; the terminal and the page both set it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gridproof.federation.reports.campaign_words import interval_kind, served_share
from gridproof.federation.tables.table import (
    Column,
    Place,
    Table,
    Tone,
    count,
    interval,
    number,
    prose,
    share,
    text,
)
from gridproof.federation.wording import MEANING, fixed, place_words, whole

__all__ = [
    "crossed_table",
    "first_failed_table",
    "interval_columns",
    "margin_table",
    "steps_table",
    "verdict_table",
]

_ON_TERMINALS = (0.01, 0.5)  # quantiles of margins; a page has all


def interval_columns(confidence: float, *, keyed: bool = True) -> tuple[Column, Column]:
    """Return the columns of a share's interval; ``keyed``: files have the confidence above it."""
    percent = f"{100.0 * confidence:g} %"
    start = share(f"{percent} from" if keyed else "from")
    return interval(f"{percent} interval", start, share("to"), unit="")


def verdict_table(campaign: Mapping[str, Any]) -> Table:
    """Every outcome with its count, share and exact interval; ``erred`` always shown."""
    samples, outcomes = campaign["samples"], campaign["outcomes"]
    return Table(
        name="outcomes",
        title=f"Outcomes of all {whole(samples)} realizations, with {interval_kind(campaign)} "
        "intervals",
        columns=(
            text("outcome"),
            count("count"),
            share("share"),
            *interval_columns(campaign["confidence"]),
            prose("meaning"),
        ),
        rows=tuple(
            (
                name.replace("_", " "),
                held,
                held / samples,
                *campaign["outcome_intervals"][name],
                MEANING.get(name, ""),
            )
            for name, held in outcomes.items()
        ),
        tones=tuple(
            Tone.QUIET if not held else Tone.GOOD if name == "feasible" else Tone.BAD
            for name, held in outcomes.items()
        ),
    )


def crossed_table(crossed: Mapping[str, Any]) -> Table:
    """Linear judge against AC judge, realizations."""
    a, b = crossed["both_feasible"], crossed["linear_only"]
    c, d = crossed["ac_only"], crossed["neither"]
    return Table(
        name="linear-against-ac",
        title="Linear judge (rows) against AC judge (columns), realizations",
        columns=(
            text("judged by LinDist3Flow"),
            count("feasible in AC"),
            count("not feasible in AC"),
            count("sum"),
        ),
        rows=(
            ("feasible", a, b, a + b),
            ("not feasible", c, d, c + d),
            ("sum", a + c, b + d, a + b + c + d),
        ),
    )


def margin_table(campaign: Mapping[str, Any]) -> Table:
    """Quantiles of each kind's worst margin, and where the very worst is."""
    margins = campaign["margins"]
    first = next(iter(margins.values()), None)
    levels = [] if first is None else list(first["quantiles"])
    tail = 0.0 if first is None else first["cvar"]["share"]
    rows = []
    for kind, one in margins.items():
        worst = campaign["worst"][kind]
        rows.append(
            (
                f"{kind}, {one['unit']}", one["min"], one["cvar"]["mean"],
                *(one["quantiles"][level] for level in levels), one["max"],
                place_words(worst["element"], worst["phase"]), worst["index"],
            )
        )  # fmt: skip
    return Table(
        name="margins",
        title="Worst margin of a realization to each kind of limit; below zero is outside",
        columns=(
            text("limit"),
            number("least", 4),
            number(f"mean of worst {100 * tail:g} %", 4, short=f"CVaR {100 * tail:g} %"),
            *(_quantile(float(level)) for level in levels),
            number("greatest", 4, place=Place.PAGE),
            text("least at", short="least at, #index"),
            text("in realization", joined="{} #{}"),
        ),
        rows=tuple(rows),
        tones=tuple(Tone.BAD if one["min"] < 0.0 else None for one in margins.values()),
    )


def _quantile(level: float) -> Column:
    percent = f"{100.0 * level:g} %"
    place = Place.TERMINAL if level in _ON_TERMINALS else Place.PAGE
    return number(f"{percent} quantile", 4, short=percent, place=place)


def steps_table(found: Mapping[str, Any]) -> Table:
    """Set the verdicts of every step, one row each, and the share served beside each.

    A step that serves nothing passes every limit.
    """
    joint = found["joint"]
    return Table(
        name="steps",
        title="What became of the realizations at each step, with "
        f"{interval_kind(joint)} intervals",
        columns=(
            text("step"),
            count("tried"),
            share("served"),
            share("feasible"),
            *interval_columns(joint["confidence"]),
            count("erred", place=Place.PAGE),
            text("least margin below zero", place=Place.PAGE, nothing="none"),
        ),
        rows=tuple(
            (f"{step['step']} {step['name']}", *_step_cells(step["campaign"]))
            for step in found["steps"]
        ),
    )


def _step_cells(campaign: Mapping[str, Any] | None) -> tuple[Any, ...]:
    if campaign is None:
        return (0, None, None, None, None, None, "not tried yet")
    return (
        campaign["samples"],
        served_share(campaign),
        campaign["feasible_share"],
        *campaign["interval"],
        campaign["outcomes"]["erred"],
        _exceeded(campaign),
    )


def _exceeded(campaign: Mapping[str, Any]) -> str | None:
    """Name the limit that is exceeded furthest, as a share of what it is measured in."""
    beyond = [(one["margin"], kind, one) for kind, one in campaign["worst"].items()]
    outside = [item for item in beyond if item[0] < 0.0]
    if not outside:
        return None
    margin, kind, one = min(outside, key=lambda item: item[0])
    return f"{kind} {fixed(margin, 4)} {one['unit']} at {one['element']}, #{one['index']}"


def first_failed_table(joint: Mapping[str, Any]) -> Table:
    """Count realizations by the first step at which they are not feasible."""
    failed = {name: held for name, held in joint["first_failed"].items() if held}
    return Table(
        name="first-failed",
        title="Realizations by the first step at which they are not feasible",
        columns=(text("step"), count("realizations")),
        rows=tuple(failed.items()),
    )
