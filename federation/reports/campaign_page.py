"""A campaign's report as files: one self-contained page, its figures and its tables.

The page needs nothing but itself: figures stand in it as SVG, its style is inside, it runs no
script and its content policy forbids any.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from pathlib import Path

from gridproof.federation.files import refuse_links, write_whole
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.reports.campaign_words import interval_words
from gridproof.federation.reports.charts import figure_convergence, figure_envelope, figure_shares
from gridproof.federation.reports.data import Readout, ReportData, gather
from gridproof.federation.reports.margin_figure import figure_margins
from gridproof.federation.reports.one_line import figure_one_line
from gridproof.federation.reports.page import PAGE, PageFigure, Section, figure_entry, render_page
from gridproof.federation.reports.sentences import (
    described,
    environment_facts,
    headline,
    leads,
    plan_facts,
)
from gridproof.federation.reports.study_words import study_facts, study_title
from gridproof.federation.reports.tables import all_tables
from gridproof.federation.tables.files import csv_text
from gridproof.federation.tables.table import Table
from gridproof.scenarios.errors import StoreError
from gridproof.scenarios.scenario import Scenario

__all__ = ["PAGE", "write_report"]

_SECTIONS: tuple[tuple[str, str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("verdicts", "Verdicts", ("shares",), ("outcomes", "violations-by-kind", "linear-against-ac")),
    ("plan", "The plan, and where it fails", ("one-line",),
     ("dead-blocks", "islands", "ders", "violations-by-element", "lacking")),
    ("margins", "Margins", ("margins",), ("margins",)),
    ("voltages", "Voltages along the feeder", ("voltages",), ("voltages", "voltage-holders")),
    ("worst", "Worst realizations", (), ("worst", "worst-loads", "unsolved")),
    ("convergence", "Convergence of the estimate", ("convergence",), ("convergence",)),
    ("study", "What was run", (), ("fleet", "capability")),
    ("environment", "Environment", (), ("runs", "versions")),
)  # fmt: skip
"""Id, heading, figures and tables of each section, in the page's order."""


def write_report(
    store: CampaignStore,
    scenario: Scenario,
    out: Path,
    readout: Readout | None = None,
    *,
    png: bool = True,
    drawn: dict[Hashable, Path] | None = None,
) -> Path:
    """Write a campaign's page, figures (SVG and PNG) and tables (CSV).

    Parameters
    ----------
    store, scenario
        The campaign, whole or as far as it came, and what its rows speak of.
    out
        Folder: ``report.html``, ``figures/`` and ``tables/`` go there.
    readout
        What `federation.reports.data.read_out` brought, if there already.
    png
        Whether figures are wanted as PNG, too; drawing them takes half of all the time.
    drawn
        Charts that pages of the same study have drawn already, by all that they show; added to.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    StoreError
        If the campaign cannot be read or ``out`` cannot be written.
    """
    refuse_links(store.root if out.is_relative_to(store.root) else out)
    data = gather(store, scenario, readout)
    tables = all_tables(data)
    try:
        (out / "tables").mkdir(parents=True, exist_ok=True)
        figures = _draw(data, out / "figures", png=png, before={} if drawn is None else drawn)
    except OSError as error:
        raise StoreError(f"{out} cannot be written ({error}); give another --out") from error
    for table in tables.values():
        write_whole(out / "tables" / f"{table.name}.csv", csv_text(table))
    write_whole(out / PAGE, _render(store, data, figures, tables))
    return out / PAGE


def _draw(
    data: ReportData, folder: Path, *, png: bool, before: dict[Hashable, Path]
) -> dict[str, PageFigure]:
    """Draw every figure there is data for; returns them ready for the page."""
    ready = {}
    for name, (draw, shows) in _drawings(data, png=png).items():
        same = None if shows is None or png else before.get(shows)
        if same is None:
            files = draw(folder / name)
            if shows is not None:
                before[shows] = files[0]
        else:
            files = (folder / f"{name}.svg",)
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(files[0], same.read_bytes())
        title, description = described(name, data)
        ready[name] = figure_entry(name, files, title=title, description=description)
    return ready


_Drawn = tuple[Callable[[Path], tuple[Path, ...]], Hashable | None]
"""How a figure is drawn, and all that it shows where another step may show the same."""


def _drawings(data: ReportData, *, png: bool) -> dict[str, _Drawn]:
    scenario, verdicts, one = data.scenario, data.verdicts, data.convergence
    words = interval_words(verdicts)
    settled = tuple(column.tobytes() for column in (one.judged, one.share, one.low, one.high))
    shares = (verdicts.samples, *verdicts.outcomes.items(), *verdicts.outcome_intervals.items())
    drawn: dict[str, _Drawn] = {
        "shares": (lambda path: figure_shares(verdicts, path, png=png), ("shares", words, shares)),
        "one-line": (
            lambda path: figure_one_line(
                data.plan,
                scenario,
                path,
                data.step,
                profile=data.profile,
                lacking=data.lacking,
                png=png,
            ),
            None,
        ),
    }
    if len(one.judged):
        drawn["convergence"] = (
            lambda path: figure_convergence(one, words, path, png=png),
            ("convergence", words, settled),
        )
    if verdicts.margins:
        drawn["margins"] = (
            lambda path: figure_margins(verdicts, data.margins, path, png=png),
            None,
        )
    if data.profile.solved and len(data.profile.bus):
        drawn["voltages"] = (
            lambda path: figure_envelope(scenario, data.profile, data.distances, path, png=png),
            None,
        )
    return drawn


def _render(
    store: CampaignStore,
    data: ReportData,
    figures: dict[str, PageFigure],
    tables: dict[str, Table],
) -> str:
    said = leads(data)
    facts = {
        "plan": plan_facts(data),
        "study": study_facts(store, data.scenario),
        "environment": environment_facts(store, data.scenario),
    }
    sections = [
        Section(
            id=key,
            title=title,
            lead=said.get(key, ()),
            figures=tuple(figures[name] for name in drawn if name in figures),
            tables=tuple(tables[name] for name in listed if name in tables),
            facts=facts.get(key, ()),
        )
        for key, title, drawn, listed in _SECTIONS
    ]
    return render_page(data.study["name"], headline(data, study_title(store)), sections)
