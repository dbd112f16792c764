"""What a campaign says of realizations, against whether an AC re-dispatch exists at all.

The policy is tried as a campaign tries it: both federates, the policy's own exchanges, the
judge. So a policy that corrects itself over several rounds is compared by its name alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache

import numpy as np
from ac_feasibility import AcFeasibility, Answer, Finding
from gridproof.federation.campaigns.study_jobs import make_planner_job
from gridproof.federation.certificates.affine_rules import with_what_it_needs
from gridproof.federation.members.jobs import FeederJob
from gridproof.federation.members.session import SessionSettings, run_session
from gridproof.federation.studies.study import Study, load_study
from gridproof.federation.studies.wiring import rounds_of
from gridproof.optimizer.planner import make_planner
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.realization import Realizations, draw
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.setpoints import Setpoints
from gridproof.scenarios.snapshot import Snapshots
from gridproof.scenarios.verdict import MarginKind, Outcome, Verdicts
from gridproof.simulator.opendss.engine import OpenDssEngine

__all__ = ["Case", "Match", "Tried", "compare", "explain", "networked", "table", "try_policy"]


@cache
def networked(level: str, method: str, *overrides: str) -> tuple[Study, Plan]:
    """The networked IEEE 37 study at a level of uncertainty, with its plan."""
    asked = (f"uncertainty.spread={level}", f"planner.method={method}", *overrides)
    study = load_study("ieee37-networked", asked)
    planner = make_planner(study.config.planner.family, study.config.planner.options)
    plan = planner.plan(study.scenario)
    return study, with_what_it_needs(plan, study.scenario, study.config.campaign.recourse)


class Match(StrEnum):
    """How a campaign's verdict and the optimal power flow stand to each other."""

    BOTH_FEASIBLE = "both feasible"
    BOTH_INFEASIBLE = "both infeasible"
    CONSERVATIVE = "policy infeasible, a re-dispatch exists"
    CONTRADICTED = "policy feasible, no re-dispatch found"  # must never happen
    UNKNOWN = "optimal power flow failed"
    ERRED = "campaign erred"


@dataclass(slots=True)
class Tried:
    """A sink that keeps what one federation run came to.

    Attributes
    ----------
    batches
        What was written, batch by batch.
    """

    batches: list[tuple[Realizations, Setpoints, Snapshots, Verdicts]] = field(default_factory=list)

    def accept(self, plan: Plan) -> None:
        """Take the plan that is tried."""

    def write(
        self,
        realizations: Realizations,
        setpoints: Setpoints,
        snapshots: Snapshots,
        verdicts: Verdicts,
        second: Verdicts | None = None,
    ) -> None:
        """Keep one finished batch."""
        assert second is None, "one engine judges here"
        self.batches.append((realizations, setpoints, snapshots, verdicts))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Case:
    """One realization, both ways.

    Attributes
    ----------
    index
        Its position in the campaign.
    outcome, margin, worst
        The campaign's verdict, its least margin and the element and limit that has it.
    answer
        What the optimal power flow found.
    match
        How the two stand to each other.
    """

    index: int
    outcome: Outcome
    margin: float
    worst: str
    answer: Answer
    match: Match


def try_policy(study: Study, plan: Plan, count: int, *, batch: int = 50) -> Tried:
    """Run the study's campaign policy on its first realizations, as a campaign would."""
    scenario, seed = study.scenario, study.config.campaign.seed
    tried = Tried()
    feeder = FeederJob(
        scenario=scenario,
        make_engine=lambda _: OpenDssEngine(scenario),
        draw=lambda first, many: draw(scenario, seed, first, many),
        ranges=[(first, min(batch, count - first)) for first in range(0, count, batch)],
        sink=tried,
        rounds=rounds_of(study.config),
    )
    run_session(make_planner_job(study, plan), feeder, SessionSettings(transport="local"))
    return tried


def compare(scenario: Scenario, plan: Plan, tried: Tried) -> list[Case]:
    """Ask the optimal power flow about every realization that was tried.

    Where it finds nothing from the plan's base set-points it starts again from the policy's.
    """
    opf, cases = AcFeasibility(scenario, plan), []
    for realizations, setpoints, _, verdicts in tried.batches:
        held = np.isclose(setpoints.source_v_pu, plan.source_v_pu[0], rtol=0.0, atol=1e-12)
        assert (held | np.isnan(setpoints.source_v_pu)).all(), "the policy moved a held voltage"
        for row, index in enumerate(verdicts.index.tolist()):
            start = setpoints.p_kw[row], setpoints.q_kvar[row]
            answer = opf.solve(realizations.p_kw[row, 0], realizations.q_kvar[row, 0], [start])
            outcome = Outcome(int(verdicts.outcome[row]))
            cases.append(
                Case(
                    index=index,
                    outcome=outcome,
                    margin=float(np.min(verdicts.margin[row])),
                    worst=_worst(scenario, verdicts, row),
                    answer=answer,
                    match=_match(outcome, answer.finding),
                )
            )
    return cases


def _match(outcome: Outcome, finding: Finding) -> Match:
    if outcome is Outcome.ERRED:
        return Match.ERRED
    if finding is Finding.UNKNOWN:
        return Match.UNKNOWN
    if outcome is Outcome.FEASIBLE:
        return Match.BOTH_FEASIBLE if finding is Finding.FEASIBLE else Match.CONTRADICTED
    return Match.CONSERVATIVE if finding is Finding.FEASIBLE else Match.BOTH_INFEASIBLE


def _worst(scenario: Scenario, verdicts: Verdicts, row: int) -> str:
    if np.isnan(verdicts.margin[row]).all():
        return "nothing solved"
    kind = int(np.nanargmin(verdicts.margin[row]))
    feeder, ders = scenario.feeder, scenario.ders
    ids = (feeder.buses.ids, feeder.lines.ids, feeder.transformers.ids, ders.ids, ders.ids)[kind]
    element, phase = int(verdicts.element[row, kind]), int(verdicts.phase[row, kind])
    where = f"{ids[element]}.{'abc'[phase]}" if phase >= 0 else ids[element]
    return f"{list(MarginKind)[kind]} at {where}"


def table(cases: Sequence[Case], title: str) -> str:
    """Print the counts, and what bounds the margins on both sides."""
    seconds = [case.answer.seconds for case in cases]
    lines = [f"{title}: {len(cases)} realizations"]
    lines += [
        f"  {match.value:<42}{sum(case.match is match for case in cases):>6}" for match in Match
    ]
    solved = [case for case in cases if np.isfinite(case.margin) and np.isfinite(case.answer.t)]
    if solved:
        gain = [case.answer.t - case.margin for case in solved]
        lines += [
            f"  least margin, policy        {min(case.margin for case in solved):+.6f}",
            f"  least margin, optimal flow  {min(case.answer.t for case in solved):+.6f}",
            f"  optimal less policy         {min(gain):+.2e} … {max(gain):+.2e}",
        ]
    lines.append(
        f"  seconds per solve           {np.mean(seconds):.3f} mean, {max(seconds):.3f} longest"
    )
    return "\n".join(lines)


def explain(cases: Sequence[Case]) -> str:
    """Say of each case on which the two disagree what either found."""
    differing = (Match.CONSERVATIVE, Match.CONTRADICTED, Match.UNKNOWN, Match.ERRED)
    return "\n".join(
        f"  {case.index:>5}  {case.match.value}: campaign {case.outcome.name.lower()}, "
        f"{case.margin:+.6f} ({case.worst}); optimal flow {case.answer.finding}, "
        f"{case.answer.t:+.6f} ({case.answer.binding})"
        for case in cases
        if case.match in differing
    )
