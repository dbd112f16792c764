"""The report of a study of several steps: one page over all, and beside it each step's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gridproof.federation.campaigns.steps import step_stores
from gridproof.federation.files import write_whole
from gridproof.federation.proof_words import proof_facts
from gridproof.federation.records.keeper import stored_plan
from gridproof.federation.records.store import CampaignStore, step_root
from gridproof.federation.records.summary import about_plan
from gridproof.federation.reports.campaign_page import write_report
from gridproof.federation.reports.campaign_words import (
    interval_words,
    why_stopped,
)
from gridproof.federation.reports.data import Readout
from gridproof.federation.reports.families.views import view_of
from gridproof.federation.reports.page import PAGE, Section, render_page
from gridproof.federation.reports.plan_words import proof_notes
from gridproof.federation.reports.sentences import environment_facts
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
    found: Mapping[str, Any],
    readouts: Mapping[int, Readout] | None = None,
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

    Returns
    -------
    Path
        The page over all steps.

    Raises
    ------
    StoreError
        If a campaign cannot be read or ``out`` cannot be written.
    """
    plan = stored_plan(store, scenario)
    if plan is None:
        raise StoreError(
            f"{store.root} holds no plan yet; go on with: gridproof resume {store.root}"
        )
    view = view_of(scenario)
    about = None if view is None else about_plan(plan, scenario)
    tables = {"steps": steps_table(found), "first-failed": first_failed_table(found["joint"])}
    own = {} if view is None or about is None else dict(view.tables(about))
    tables |= own
    links = _write_each(store, scenario, out, found, readouts or {})
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
        Section(id="environment", title="Environment", facts=environment_facts(store, scenario)),
    )
    page = render_page(store.study["name"], _headline(store, plan, scenario, found), sections)
    write_whole(out / PAGE, page)
    return out / PAGE


def _write_each(
    store: CampaignStore,
    scenario: Scenario,
    out: Path,
    found: Mapping[str, Any],
    readouts: Mapping[int, Readout],
) -> tuple[tuple[str, str], ...]:
    """Write the page of every step that has a finished part; returns where they are."""
    summaries, links = {one["step"]: one["campaign"] for one in found["steps"]}, []
    for one in step_stores(store):
        if summaries[one.step]:
            folder = step_root(out, one.step)
            write_report(one, scenario, folder, readouts.get(one.step))
            links.append((f"{folder.name}/{PAGE}", f"Step {one.step}, {store.steps[one.step]}"))
    return tuple(links)


def _headline(
    store: CampaignStore, plan: Plan, scenario: Scenario, found: Mapping[str, Any]
) -> dict[str, Any]:
    joint, study = found["joint"], store.study
    share, (low, high) = joint["feasible_share"], joint["interval"]
    asked = study["config"]["campaign"]["samples"]
    notes = []
    stopping = joint["stopping"]
    if stopping:
        told = why_stopped(stopping)
        notes.append(f"{told[0].upper()}{told[1:]}.")
    if joint["realizations"] < asked and not (stopping and stopping["reason"]):
        notes.append(
            f"The study is not whole: {whole(joint['realizations'])} of {whole(asked)} "
            "realizations are done at every step."
        )
    if joint["unjudged"]:
        notes.append(
            f"{whole(joint['unjudged'])} realizations erred at some step and are left out."
        )
    notes += proof_notes(proof_facts(plan, scenario))
    return {
        "title": study["config"].get("study", {}).get("title") or study["name"],
        "share": "none judged" if share is None else percent(share),
        "interval": f"{interval_words(joint)} {percent(low)} to {percent(high)}; "
        f"{served_words(joint['served_share'])}"
        + ("" if joint["served_share"] == 0.0 else " of the load, all steps together"),
        "what": f"of {whole(joint['realizations'])} drawn realizations stay inside every limit at "
        f"every one of {len(store.steps)} steps",
        "notes": notes,
    }
