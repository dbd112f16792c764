"""What is shown of a campaign: its plan and its verdicts, and why blocks are dead."""

from __future__ import annotations

from dataclasses import replace

from gridproof.federation.campaigns.progress import summing_up
from gridproof.federation.campaigns.steps import step_stores, steps_summary
from gridproof.federation.cli.options import print_json, stdout
from gridproof.federation.cli.why import ask_why
from gridproof.federation.families.registry import family_of
from gridproof.federation.files import json_text, refuse_links
from gridproof.federation.inquiries.linear_error import linear_errors
from gridproof.federation.jsonable import json_value
from gridproof.federation.records.answers import LINEAR, WHY, kept_linear, kept_why
from gridproof.federation.records.campaign_report import CampaignReport
from gridproof.federation.records.keeper import stored_plan
from gridproof.federation.records.plan_report import PlanReport
from gridproof.federation.records.reading import read_campaign
from gridproof.federation.records.report import StepsReport
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.records.summary import about_plan
from gridproof.federation.reports.families.restoration_tables import steps_view
from gridproof.federation.reports.terminal import plan_view, print_views, run_summary, verdict_view
from gridproof.scenarios.plan import plan_digest
from gridproof.scenarios.scenario import Scenario

__all__ = ["any_erred", "keep_linear", "keep_why", "show"]


def keep_why(store: CampaignStore, scenario: Scenario) -> None:
    """Ask why blocks are dead, and keep the answers in the campaign directory."""
    plan, asked = stored_plan(store, scenario), dict(store.study["config"]["planner"])
    asked.pop("family")
    if plan is not None and kept_why(store, plan) is None:
        refuse_links(store.root)
        digest, blocks = plan_digest(plan), ask_why(plan, scenario, asked, quiet=True)
        store.write(WHY, json_text(json_value({"plan": digest, "blocks": blocks})))
        for one in step_stores(store) if store.steps and not store.stepped else ():
            own = [block for block in blocks if block.step == one.step]
            one.write(WHY, json_text(json_value({"plan": digest, "blocks": own})))


def keep_linear(store: CampaignStore, scenario: Scenario) -> None:
    """Look how far the linear model is from OpenDSS in the plan's state, and keep the answer."""
    plan = stored_plan(store, scenario)
    if plan is None or family_of(scenario) is not None or store.read(LINEAR) is not None:
        return
    steps = linear_errors(plan, scenario, range(len(scenario.hours)))
    store.write(LINEAR, json_text(json_value({"plan": plan_digest(plan), "steps": steps})))


def show(
    store: CampaignStore,
    scenario: Scenario | None,
    *,
    as_json: bool,
    verdicts: CampaignReport | StepsReport | None = None,
    quiet: bool = False,
) -> bool:
    """Print a campaign's plan and verdicts as tables or as one JSON object.

    Without the scenario, which directories of earlier versions do not hold, without the plan.

    Returns
    -------
    bool
        Whether any realization erred.
    """
    plan = None if scenario is None else stored_plan(store, scenario)
    about = None
    if plan is not None and scenario is not None:
        about = about_plan(plan, scenario, store.step)
        if isinstance(about, PlanReport):
            linear = kept_linear(store, plan, store.step)
            about = replace(about, why=kept_why(store, plan), linear=linear)
    if verdicts is None:
        with summing_up(quiet=quiet) as tell:

            def summarize(one: CampaignStore) -> CampaignReport:
                return read_campaign(one, tell=tell).report

            verdicts = steps_summary(store, summarize) if store.steps else summarize(store)
    if as_json:
        seed = store.study["config"]["campaign"]["seed"]
        version = store.environment.get("versions", {})
        print_json(run_summary(str(store.study["name"]), seed, about, verdicts, version))
        return any_erred(verdicts)
    views = [plan_view(about)] if about is not None else []
    said = steps_view(verdicts) if isinstance(verdicts, StepsReport) else verdict_view(verdicts)
    print_views(stdout(), *views, said)
    return any_erred(verdicts)


def any_erred(verdicts: CampaignReport | StepsReport) -> bool:
    """Whether any realization of a campaign, or of the campaign of any step, erred."""
    tried = verdicts.tried if isinstance(verdicts, StepsReport) else (verdicts,)
    return any(one.outcomes["erred"] > 0 for one in tried)
