"""The rows of a publication, run: every plan and every campaign in a directory of its own.

::

    DIR/plans/robust-10/                 study.json, plan.json, search.json
    DIR/plans/robust-10/certificate.json what is proven of the plan, with an affine rule
    DIR/campaigns/robust-10-ac-ac/       a campaign directory

A row that is there whole is only read, so a run that was stopped goes on where it was, and
the tables of a finished one come out the same to the byte.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.campaigns.progress import CampaignBar
from gridproof.federation.campaigns.study_jobs import open_store
from gridproof.federation.files import json_text, read_json, write_whole
from gridproof.federation.jsonable import read_as
from gridproof.federation.papers.backing import backed_by_solutions, correction_rounds
from gridproof.federation.papers.data import CampaignRows, PaperData, PlanRows
from gridproof.federation.proofs.proving import prove
from gridproof.federation.records.campaign_report import CampaignReport
from gridproof.federation.records.certificate_report import CertificateReport
from gridproof.federation.records.keeper import stored_plan
from gridproof.federation.records.plan_report import PlanReport
from gridproof.federation.records.summary import campaign_summary, plan_summary
from gridproof.federation.studies.study import Study, load_study
from gridproof.federation.wording import decimals
from gridproof.optimizer.planner import make_planner
from gridproof.optimizer.solver.decomposition import PlanProgress
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.plan_file import plan_to_json

__all__ = ["CampaignRow", "PaperRun", "PlanRow", "run_paper"]

_SAME = 1e-6  # relative; at this distance a search had its final plan

Watch = Callable[[], AbstractContextManager[CampaignBar]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRow:
    """A plan of one level.

    Attributes
    ----------
    rows, position
        Where it stands in the publication's data.
    study
        What was planned for.
    plan
        What came out.
    summary
        Its figures, `federation.records.summary.plan_summary`.
    seconds_to_best
        Wall time after which the search held the plan it ended with.
    """

    rows: PlanRows
    position: int
    study: Study
    plan: Plan
    summary: PlanReport
    seconds_to_best: float

    @property
    def level_percent(self) -> float:
        """Spread of the uncertain loads, %."""
        return self.rows.levels_percent[self.position]

    @property
    def name(self) -> str:
        """Name of its directory."""
        return f"{self.rows.key}-{self.level_percent:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignRow:
    """A campaign of one level.

    Attributes
    ----------
    rows, position
        Where it stands in the publication's data.
    summary
        Its figures, `federation.records.summary.campaign_summary`.
    backed
        Feasible verdicts whose power flow was solved with every margin inside.
    corrected, most_rounds
        Realizations whose re-dispatch was corrected by measured states, and the most rounds
        that took one of them; None where the recourse measures nothing.
    command
        The same campaign by hand.
    certificate
        What is proven of the plan over the whole set, with the affine rule; None for tables that
        are not about AC robustness.
    """

    rows: CampaignRows
    position: int
    summary: CampaignReport
    backed: int
    corrected: int | None
    most_rounds: int | None
    command: str
    certificate: CertificateReport | None = None

    @property
    def level_percent(self) -> float:
        """Spread of the uncertain loads, %."""
        return self.rows.levels_percent[self.position]


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperRun:
    """Everything a publication's tables are made of."""

    data: PaperData
    plans: tuple[PlanRow, ...]
    campaigns: tuple[CampaignRow, ...]


def run_paper(
    data: PaperData,
    out: Path,
    *,
    samples: int | None = None,
    tell: Callable[[str], None],
    watch: Watch,
) -> PaperRun:
    """Run every row that is not there yet, and read all.

    Parameters
    ----------
    data
        The rows.
    out
        Where their directories are.
    samples
        Realizations of every campaign; the study's own if None.
    tell
        Told one line at the end of each row.
    watch
        Opens a progress bar for one campaign.

    Raises
    ------
    StoreError
        If a row's directory is of another configuration, a different ``samples`` included.
    PlanError, FederationError
        As `federation.campaigns.campaign.run_campaign`; finished rows stay.
    """
    desk = _Desk(data=data, out=out, samples=samples, watch=watch)
    total = sum(len(rows.levels_percent) for rows in data.plans)
    total += sum(len(rows.levels_percent) for rows in data.campaigns)
    plans: dict[str, PlanRow] = {}
    for rows in data.plans:
        for position in range(len(rows.levels_percent)):
            made = desk.plan_row(rows, position)
            plans[made.name] = made
            tell(
                f"[{len(plans)}/{total}] plan {made.name}: {decimals(made.summary.served_kw, 0)} kW"
            )
    campaigns: list[CampaignRow] = []
    for group in data.campaigns:
        for position, level in enumerate(group.levels_percent):
            plan = plans[f"{group.plan}-{level:g}"]
            tried = desk.campaign_row(group, position, plan)
            campaigns.append(tried)
            share = tried.summary.feasible_share
            tell(
                f"[{len(plans) + len(campaigns)}/{total}] plan {plan.name}, recourse "
                f"{group.recourse}, judge {group.judge}: "
                + ("none judged" if share is None else f"{decimals(100.0 * share, 2)} % feasible")
            )
    return PaperRun(data=data, plans=tuple(plans.values()), campaigns=tuple(campaigns))


def _overrides(rows: PlanRows, position: int) -> list[str]:
    return [*rows.set, f"uncertainty.spread={rows.levels_percent[position] / 100.0:g}"]


def _seconds_to_best(plan: Plan, seen: Sequence[PlanProgress]) -> float:
    """Time of the first step whose incumbent was as good as the end's; the whole if none was."""
    final = plan.proof.incumbent
    enough = final + _SAME * max(1.0, abs(final))
    total = plan.proof.seconds.get("total", float("nan"))
    return next((now.elapsed_s for now in seen if now.incumbent <= enough), total)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Desk:
    """What every row is run with."""

    data: PaperData
    out: Path
    samples: int | None
    watch: Watch

    def plan_row(self, rows: PlanRows, position: int) -> PlanRow:
        study = load_study(self.data.paper.study, _overrides(rows, position))
        name = f"{rows.key}-{rows.levels_percent[position]:g}"
        store = open_store(study, self.out / "plans" / name)
        plan, path = stored_plan(store, study.scenario), store.root / "search.json"
        remedy = "delete it and run again: that row is planned anew"
        search = read_json(path, remedy) if path.exists() else None
        if plan is None or search is None:
            seen: list[PlanProgress] = []
            planner = make_planner(study.config.planner.family, study.config.planner.options)
            plan = planner.plan(study.scenario, progress=seen.append)
            search = {"seconds_to_best": _seconds_to_best(plan, seen)}
            store.write("search.json", json_text(search))
            store.write("plan.json", plan_to_json(plan) + "\n")
        return PlanRow(
            rows=rows,
            position=position,
            study=study,
            plan=plan,
            summary=plan_summary(plan, study.scenario),
            seconds_to_best=float(search["seconds_to_best"]),
        )

    def campaign_row(self, group: CampaignRows, position: int, plan: PlanRow) -> CampaignRow:
        overrides = [
            *_overrides(plan.rows, plan.position),
            f"campaign.recourse={group.recourse}",
            f"campaign.judge={group.judge}",
            *([] if self.samples is None else [f"campaign.samples={self.samples}"]),
        ]
        study = load_study(self.data.paper.study, overrides)
        root = self.out / "campaigns" / f"{plan.name}-{group.recourse}-{group.judge}"
        with self.watch() as bar:
            store = run_campaign(study, root, plan=plan.plan, progress=bar).store
        proven = self._certificate(plan) if group.table == "ac_robustness" else None
        corrected, most_rounds = correction_rounds(store) or (None, None)
        return CampaignRow(
            rows=group,
            position=position,
            summary=campaign_summary(store),
            backed=backed_by_solutions(store, study.scenario.limits.tolerance),
            corrected=corrected,
            most_rounds=most_rounds,
            command=" ".join(
                ["gridproof run", self.data.paper.study, *(f"--set {one}" for one in overrides)]
            ),
            certificate=proven,
        )

    def _certificate(self, plan: PlanRow) -> CertificateReport:
        """Prove the plan over its box, or read what was proven."""
        overrides = [*_overrides(plan.rows, plan.position), "campaign.recourse=affine"]
        study = load_study(self.data.paper.study, overrides)
        path = self.out / "plans" / plan.name / "certificate.json"
        if path.exists():
            remedy = "delete it and run again: that plan is proven anew"
            return read_as(CertificateReport, read_json(path, remedy))
        found = prove(study, plan.plan)
        write_whole(path, json_text(found.to_json()))
        return found
