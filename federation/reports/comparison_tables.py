"""Two campaigns beside each other, as tables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gridproof.federation.records.measures import MEASURES, Measure
from gridproof.federation.reports.comparison import CrossedCampaigns, MarginGain
from gridproof.federation.reports.measured import MeasuredValue, Measures
from gridproof.federation.tables.table import Column, Table, count, interval, number, share, text

__all__ = ["campaign_names", "gained_table", "gains_table", "measures_table", "paired_table"]


def paired_table(crossed: CrossedCampaigns) -> Table:
    """Count realizations by what they are under the first campaign, and under the second."""
    return Table(
        name="paired",
        title="First (rows) against second (columns), realizations",
        columns=(
            text("first"),
            count("feasible in the second", short="second feasible"),
            count("not feasible in the second", short="second not"),
        ),
        rows=(
            ("feasible", crossed.both_feasible, crossed.first_only),
            ("not", crossed.second_only, crossed.neither),
        ),
    )


def gained_table(margins: Mapping[str, MarginGain]) -> Table:
    """Say by kind of limit what margin the second campaign gains on the first."""
    return Table(
        name="margins-gained",
        title="Margin of the second less that of the first",
        columns=(
            text("limit"),
            number("mean", 4),
            number("least", 4),
            number("50 % quantile", 4, short="50 %"),
            number("greatest", 4),
            share("gained in"),
        ),
        rows=tuple(
            (
                f"{kind}, {one.unit}",
                one.mean,
                one.min,
                one.quantiles["0.5"],
                one.max,
                one.gained / one.count,
            )
            for kind, one in margins.items()
        ),
    )


def measures_table(found: Measures) -> Table:
    """One row a campaign: how often feasible, what is served and what is not, and what it costs."""
    units = dict.fromkeys(one.cost_unit for one in found.campaigns if one.cost_unit)
    return Table(
        name="measures",
        title="What each campaign is worth; a realization that fails counts as dark",
        columns=(
            text("campaign"),
            *(_measure_column(measure) for measure in MEASURES),
            number("planned cost", 0, " or ".join(units) or "USD", short="plan"),
            text("choice"),
        ),
        rows=tuple(
            (
                name,
                *(one.values[measure.key].mean for measure in MEASURES),
                one.planned_cost,
                "yes" if one.beaten_by is None else f"no: {names[one.beaten_by]}",
            )
            for names in [campaign_names(found)]
            for one, name in zip(found.campaigns, names.values(), strict=True)
        ),
        note="A choice is beaten by no other in share feasible, power served and cost together.",
    )


def gains_table(found: Measures) -> Table:
    """Say what each campaign gains on the first, by measure, pair by pair, with intervals."""
    names = campaign_names(found)
    spoken = f"{100 * found.confidence:g} % interval"
    return Table(
        name="gains",
        title=f"Gain on {next(iter(names.values()))}, realization by realization",
        columns=(
            text("campaign"),
            text("measure"),
            number("gain", 3),
            *interval(spoken, number("from", 3), number("to", 3)),
        ),
        rows=tuple(
            (name, f"{measure.title}, {measure.unit}", *_scaled(measure, one.values[measure.key]))
            for one, name in list(zip(found.campaigns, names.values(), strict=True))[1:]
            for measure in MEASURES
        ),
    )


def campaign_names(found: Measures) -> dict[str, str]:
    """Shortest endings of the directories that tell campaigns apart, by directory."""
    paths = {one.about.directory: Path(one.about.directory).parts for one in found.campaigns}
    deepest = max(len(parts) for parts in paths.values())
    for depth in range(1, deepest + 1):
        names = {whole: "/".join(parts[-depth:]) for whole, parts in paths.items()}
        if len(set(names.values())) == len(names):
            return names
    return {whole: whole for whole in paths}


def _measure_column(measure: Measure) -> Column:
    if measure.unit == "%":
        return share(measure.title)
    return number(measure.title, measure.digits, measure.unit)


def _scaled(measure: Measure, value: MeasuredValue) -> tuple[float | None, ...]:
    """Shares in percentage points, as people read them."""
    by = 100.0 if measure.unit == "%" else 1.0
    ends = (None, None) if value.interval is None else value.interval
    return tuple(None if one is None else by * one for one in (value.gain, *ends))
