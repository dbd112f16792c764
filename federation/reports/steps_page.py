"""The report of a study of several steps: one page over all, and beside it each step's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from gridproof.federation.campaigns.steps import step_stores
from gridproof.federation.files import refuse_links, write_whole
from gridproof.federation.proof_words import proof_facts
from gridproof.federation.records.keeper import stored_plan
from gridproof.federation.records.report import StepsReport
from gridproof.federation.records.store import CampaignStore, step_root
from gridproof.federation.records.summary import about_plan
from gridproof.federation.reports.campaign_words import (
    interval_words,
    why_stopped,
)
from gridproof.federation.reports.data import Readout
from gridproof.federation.reports.families.views import view_of
from gridproof.federation.reports.page import PAGE, Headline, Section, render_page
from gridproof.federation.reports.plan_words import proof_notes
from gridproof.federation.reports.sentences import environment_facts
from gridproof.federation.reports.step_pages import write_step_pages
from gridproof.federation.reports.study_words import (
    capability_table,
    fleet_table,
    study_facts,
    study_title,
)
from gridproof.federation.reports.verdict_tables import first_failed_table, steps_table
from gridproof.federation.tables.files import csv_text
from gridproof.federation.wording import percent, served_words, whole
from gridproof.scenarios.errors import StoreError
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.scenario import Scenario

__all__ = ["write_steps_report"]

_LEAD = (
    "Realization by realization the same load is drawn at every step, so what holds at all of "
    "them is counted pair by pair. A step that serves nothing passes every limit: read the share "
    "served beside the share feasible.",
)


def write_steps_report(
    store: CampaignStore,
    scenario: Scenario,
    out: Path,
    found: StepsReport,
    readouts: Mapping[int, Readout] | None = None,
    *,
    tell: Callable[[int, int], None] = lambda _done, _of: None,
) -> Path:
    """Write the page over all steps, and into ``step-0/`` and so on each step's own.

    Parameters
    ----------
    store, scenario
        The study's directory, whole or as far as it came, and what its rows speak of.
    out
        Folder: ``report.html``, ``figures/``, ``tables/`` and a folder for each step go there.
    found
        `federation.campaigns.steps.steps_summary`.
    readouts
        What `federation.reports.data.read_out` brought of each step, if there already.
    tell
        Told how many steps have their page, of how many.

    Returns
    -------
    Path
        The page over all steps.

    Raises
    ------
    StoreError
        If a campaign cannot be read or ``out`` cannot be written.
    """
    refuse_links(store.root if out.is_relative_to(store.root) else out)
    plan = stored_plan(store, scenario)
    if plan is None:
        raise StoreError(
            f"{store.root} holds no plan yet; go on with: gridproof resume {store.root}"
        )
    view = view_of(scenario)
    about = None if view is None else about_plan(plan, scenario)
    tables = {"steps": steps_table(found), "first-failed": first_failed_table(found.joint)}
    fleet = (fleet_table(scenario), capability_table(scenario))
    tables |= {table.name: table for table in fleet if table is not None}
    own = {} if view is None or about is None else dict(view.tables(about))
    tables |= own
    links = _write_each(store, scenario, out, found, readouts or {}, tell=tell)
    try:
        (out / "tables").mkdir(parents=True, exist_ok=True)
        figures = () if view is None else view.pictures(plan, scenario, out / "figures")
    except OSError as error:
        raise StoreError(f"{out} cannot be written ({error}); give another --out") from error
    for table in tables.values():
        write_whole(out / "tables" / f"{table.name}.csv", csv_text(table))
    sections = (
        Section(
            id="steps",
            title="Step by step",
            lead=_LEAD,
            tables=tuple(tables[name] for name in ("steps", "first-failed") if tables[name].rows),
            links=links,
        ),
        Section(
            id="plan",
            title="The plan",
            facts=() if view is None or about is None else view.facts(about),
            figures=figures,
            tables=tuple(own.values()),
        ),
        Section(
            id="study",
            title="What was run",
            facts=study_facts(store, scenario),
            tables=tuple(table for table in fleet if table is not None and table.rows),
        ),
        Section(id="environment", title="Environment", facts=environment_facts(store, scenario)),
    )
    page = render_page(store.study["name"], _headline(store, plan, scenario, found), sections)
    write_whole(out / PAGE, page)
    return out / PAGE


def _write_each(
    store: CampaignStore,
    scenario: Scenario,
    out: Path,
    found: StepsReport,
    readouts: Mapping[int, Readout],
    *,
    tell: Callable[[int, int], None],
) -> tuple[tuple[str, str], ...]:
    """Write the page of every step that has a finished part; returns where they are."""
    summaries = {one.step: one.campaign for one in found.steps}
    stores = [one for one in step_stores(store) if summaries[one.step]]
    write_step_pages(stores, scenario, out, readouts, tell=tell)
    return tuple(
        (f"{step_root(out, one.step).name}/{PAGE}", f"Step {one.step}, {store.steps[one.step]}")
        for one in stores
    )


def _headline(store: CampaignStore, plan: Plan, scenario: Scenario, found: StepsReport) -> Headline:
    joint, study = found.joint, store.study
    share, (low, high) = joint.feasible_share, joint.interval
    asked = study["config"]["campaign"]["samples"]
    notes = []
    stopping = joint.stopping
    if stopping:
        told = why_stopped(stopping)
        notes.append(f"{told[0].upper()}{told[1:]}.")
    if joint.realizations < asked and not (stopping and stopping.reason):
        notes.append(
            f"The study is not whole: {whole(joint.realizations)} of {whole(asked)} "
            "realizations are done at every step."
        )
    if joint.unjudged:
        notes.append(f"{whole(joint.unjudged)} realizations erred at some step and are left out.")
    notes += proof_notes(proof_facts(plan, scenario))
    return Headline(
        title=study_title(store),
        share="none judged" if share is None else percent(share),
        interval=f"{interval_words(joint)} {percent(low)} to {percent(high)}; "
        f"{served_words(joint.served_share)}"
        + ("" if joint.served_share == 0.0 else " of the load, all steps together"),
        what=f"of {whole(joint.realizations)} drawn realizations stay inside every limit at "
        f"every one of {len(store.steps)} steps",
        notes=tuple(notes),
    )
