"""Commands that read campaigns: ``report`` and ``compare``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from gridproof.federation.campaigns.progress import drawing_pages, summing_up
from gridproof.federation.campaigns.steps import steps_summary
from gridproof.federation.cli.options import AsJson, Why, note, print_json, stdout
from gridproof.federation.cli.show import keep_why, show
from gridproof.federation.cli.why import refuse_why
from gridproof.federation.records.campaign_report import CampaignReport
from gridproof.federation.records.reading import read_campaign
from gridproof.federation.records.report import StepsReport
from gridproof.federation.records.scenario_store import SCENARIO, stored_scenario
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.reports.comparison import ComparedSteps, Comparison
from gridproof.federation.reports.comparison_tables import (
    gained_table,
    gains_table,
    measures_table,
    paired_table,
)
from gridproof.federation.reports.data import Readout, read_out
from gridproof.federation.reports.measured import Measures, compare_many
from gridproof.federation.tables.terminal import TableView
from gridproof.federation.wording import fixed, percent, served_words, whole

__all__ = ["compare", "report"]

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="A campaign directory.")]


def report(
    directory: Directory,
    why: Why = False,
    as_json: AsJson = False,
    html: Annotated[
        bool | None,
        typer.Option(
            "--html/--no-html",
            help="Write a page with figures (SVG, PNG) and tables (CSV); by default, unless "
            "--json is given.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Where to; DIR/report if left out."),
    ] = None,
) -> None:
    """Show a campaign's plan and verdicts, whole or as far as it came, and write its page."""
    store = CampaignStore.open(directory)
    scenario = stored_scenario(store)
    readouts: dict[int, Readout] = {}
    with summing_up() as tell:

        def summarize(one: CampaignStore) -> CampaignReport:
            if scenario is None:
                return read_campaign(one, tell=tell).report
            readouts[one.step] = read_out(one, scenario, tell)
            return readouts[one.step].reading.report

        verdicts = steps_summary(store, summarize) if store.steps else summarize(store)
    if why and scenario is not None:
        asked = store.study["config"]["planner"]
        refuse_why(str(store.study["name"]), str(asked["family"]))
        keep_why(store, scenario)
    show(store, scenario, as_json=as_json, verdicts=verdicts)
    if scenario is None:
        note(
            f"{directory} was made by an earlier version and holds no {SCENARIO}: its plan and its "
            f"page are left out; gridproof resume {directory} adds it, where its feeder still is"
        )
    elif html if html is not None else (not as_json or out is not None):
        # matplotlib is slow to import
        from gridproof.federation.reports.campaign_page import write_report  # noqa: PLC0415
        from gridproof.federation.reports.steps_page import write_steps_report  # noqa: PLC0415

        folder = out or directory / "report"
        if isinstance(verdicts, StepsReport):
            with drawing_pages() as tell:
                page = write_steps_report(store, scenario, folder, verdicts, readouts, tell=tell)
        else:
            page = write_report(store, scenario, folder, readouts[store.step])
        note(f"page, figures and tables written; open {page}")


def compare(
    directories: Annotated[
        list[Path],
        typer.Argument(
            metavar="DIR DIR...",
            help="Campaigns of the same realizations; the first is what others are compared with.",
        ),
    ],
    confidence: Annotated[
        float, typer.Option("--confidence", min=0.5, max=0.9999, help="Of the intervals.")
    ] = 0.95,
    figure: Annotated[
        Path | None,
        typer.Option(
            "--figure", metavar="FILE", help="Draw served against feasible: SVG and PNG beside."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare campaigns on the realizations that all have: feasible, served, unserved, cost."""
    if len(directories) < 2:
        raise typer.BadParameter("name two campaign directories or more", param_hint="DIR DIR...")
    if len({one.resolve() for one in directories}) < len(directories) > 2:
        raise typer.BadParameter("a directory is named twice", param_hint="DIR DIR...")
    found = compare_many([CampaignStore.open(one) for one in directories], confidence)
    if figure is not None:
        # matplotlib is slow to import
        from gridproof.federation.reports.choice_figure import figure_choices  # noqa: PLC0415

        files = tuple(str(path) for path in figure_choices(found.measures, figure))
        found = replace(found, figures=files)
        note(f"figure written: {', '.join(files)}")
    if as_json:
        print_json(found if len(found.pairs) > 1 else found.as_pair())
        return
    if len(found.pairs) == 1:
        _show_pair(found.pairs[0])
        stdout().print()
    _show_measures(found.measures)


def _show_pair(found: Comparison | ComparedSteps) -> None:
    if isinstance(found, Comparison):
        _show_comparison(found)
        return
    for one in found.steps:
        stdout().print(f"Step {one.step} {one.name}", style="bold underline")
        _show_comparison(one.comparison)
        stdout().print()
    stdout().print("All steps together", style="bold underline")
    _show_comparison(found.joint)


def _show_measures(found: Measures) -> None:
    console = stdout()
    console.print(f"{whole(found.realizations)} realizations that all campaigns have")
    if found.unjudged:
        console.print(f"{whole(found.unjudged)} of them erred in any, left out")
    console.print(TableView(measures_table(found)))
    console.print()
    console.print(TableView(gains_table(found)))
    console.print(f"intervals: {INTERVALS_OF_MEANS[found.interval_kind]}")


def _show_comparison(found: Comparison) -> None:
    console, difference, crossed = stdout(), found.difference, found.crossed
    per, kind = f"{100 * found.confidence:g} %", found.interval_kind
    console.print(f"{whole(found.realizations)} realizations that both campaigns have")
    if found.unjudged:
        console.print(f"{whole(found.unjudged)} of them erred in either, left out")
    for name, about, share in zip(
        ("first", "second"), (found.first, found.second), found.shares, strict=True
    ):
        low, high = share.interval
        console.print(
            f"{name:<7} {percent(share.value)} feasible ({per} {kind} interval {percent(low)} "
            f"to {percent(high)}), {served_words(share.served)}: {about.directory}, "
            f"recourse {about.recourse}, "
            f"judge {about.judge}",
            markup=False,
        )
    if difference.value is not None:
        least, most = (fixed(100 * one, 3) for one in difference.interval)
        console.print(
            f"\nSecond less first: {fixed(100 * difference.value, 3)} percentage points "
            f"({per} interval {least} to {most}, {_METHODS[kind]} p "
            f"{_p_words(difference.p_value)}\n"
        )
    console.print(TableView(paired_table(crossed)))
    if found.margins:
        console.print()
        console.print(TableView(gained_table(found.margins)))


INTERVALS_OF_MEANS = {
    "exact": "shares by Tango's score, means by Student's",
    "anytime-valid": "shares by confidence sequences, means by an asymptotic one",
    "widened": "shares by Tango's score, means by Student's, widened by autocorrelation",
    "nominal": "as if draws were independent: nominal",
}
"""How the intervals of gains came about."""

_METHODS = {
    "exact": "Tango's score); exact McNemar",
    "anytime-valid": "confidence sequences: a campaign ended by looking); anytime-valid",
    "widened": "Tango's score, widened by autocorrelation); McNemar, widened,",
    "nominal": "Tango's score as if draws were independent: nominal); nominal McNemar",
}
"""How the interval of a difference came about, by the kind of interval both may show."""


def _p_words(p_value: float) -> str:
    return f"= {p_value:.3g}" if p_value > 0.0 else "below 1e-300"
