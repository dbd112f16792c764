"""A campaign's report as files: one self-contained page, its figures and its tables.

The page needs nothing but itself: figures stand in it as SVG, its style is inside, it runs no
script and its content policy forbids any.
"""

from __future__ import annotations

from collections.abc import Callable
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
from gridproof.federation.reports.tables import all_tables
from gridproof.federation.tables.files import csv_text
from gridproof.federation.tables.table import Table
from gridproof.scenarios.errors import StoreError
from gridproof.scenarios.scenario import Scenario

__all__ = ["PAGE", "write_report"]

_SECTIONS: tuple[tuple[str, str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("verdicts", "Verdicts", ("shares",), ("outcomes", "violations-by-kind", "linear-against-ac")),
    ("plan", "The plan, and where it fails", ("one-line",),
     ("dead-blocks", "islands", "ders", "violations-by-element")),
    ("margins", "Margins", ("margins",), ("margins",)),
    ("voltages", "Voltages along the feeder", ("voltages",), ("voltages",)),
    ("worst", "Worst realizations", (), ("worst", "worst-loads", "unsolved")),
    ("convergence", "Convergence of the estimate", ("convergence",), ("convergence",)),
    ("environment", "Environment", (), ("runs", "versions")),
)  # fmt: skip
"""Id, heading, figures and tables of each section, in the page's order."""


def write_report(
    store: CampaignStore,
    scenario: Scenario,
    out: Path,
    readout: Readout | None = None,
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
        figures = _draw(data, out / "figures")
    except OSError as error:
        raise StoreError(f"{out} cannot be written ({error}); give another --out") from error
    for table in tables.values():
        write_whole(out / "tables" / f"{table.name}.csv", csv_text(table))
    write_whole(out / PAGE, _render(store, data, figures, tables))
    return out / PAGE


def _draw(data: ReportData, folder: Path) -> dict[str, PageFigure]:
    """Draw every figure there is data for; returns them ready for the page."""
    scenario, solved = data.scenario, bool(data.verdicts.margins)
    drawn: dict[str, Callable[[Path], tuple[Path, ...]]] = {
        "shares": lambda path: figure_shares(data.verdicts, path),
        "one-line": lambda path: figure_one_line(
            data.plan, scenario, path, data.step, profile=data.profile
        ),
        "convergence": lambda path: figure_convergence(
            data.convergence, interval_words(data.verdicts), path
        ),
    }
    if not len(data.convergence.judged):
        del drawn["convergence"]
    if solved:
        drawn["margins"] = lambda path: figure_margins(data.verdicts, data.margins, path)
    if data.profile.solved and len(data.profile.bus):
        drawn["voltages"] = lambda path: figure_envelope(
            scenario, data.profile, data.distances, path
        )
    ready = {}
    for name, draw in drawn.items():
        title, description = described(name, data)
        ready[name] = figure_entry(name, draw(folder / name), title=title, description=description)
    return ready


def _render(
    store: CampaignStore,
    data: ReportData,
    figures: dict[str, PageFigure],
    tables: dict[str, Table],
) -> str:
    said = leads(data)
    facts = {"plan": plan_facts(data), "environment": environment_facts(store, data.scenario)}
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
    return render_page(data.study["name"], headline(data), sections)
