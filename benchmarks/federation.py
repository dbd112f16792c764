"""What the federation costs: HELICS against plain threads (`LocalLink`), in one run.

First a real campaign, solved by OpenDSS and answered by the planner's recourse, over each
transport in turn: what HELICS adds to it, in process and over zmq between processes, as a
share of wall and of CPU time, the median over rounds. Starting processes, joining and planning
are not part of it; the second table has what joining costs.

Then exchanges alone: the planner answers with the base set-points, the feeder's engine returns
a snapshot made beforehand, so that only transport, packing, checking and judging are left.

``python -m benchmarks.federation [SAMPLES [ROUNDS]]`` on the shipped networked IEEE 37 study.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
from gridproof.federation.members.jobs import FeederJob, PlannerJob
from gridproof.federation.members.session import SessionSettings, run_session
from gridproof.federation.studies.study import load_study
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.proof import Proof, Termination
from gridproof.scenarios.realization import Realizations, draw
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.setpoints import Setpoints
from gridproof.scenarios.snapshot import Snapshots
from gridproof.scenarios.verdict import Verdicts

from benchmarks._bench import Row, compare, table
from benchmarks._campaign import campaigns, report

__all__ = ["run"]

STUDY = "ieee37-networked"


class _Still:
    """Recourse, engine and sink in one: every answer was made beforehand."""

    def __init__(self, scenario: Scenario, plan: Plan, batch: int) -> None:
        count, feeder = batch, scenario.feeder
        self._source_v = np.tile(plan.source_v_pu[0], (count, 1))
        self._p = np.tile(plan.p_kw[0], (count, 1, 1))
        self._blank = Snapshots(
            index=np.arange(count),
            converged=np.ones(count, bool),
            iterations=np.ones(count),
            v_pu=np.ones((count, len(feeder.buses.ids), 3)),
            v_ll_pu=np.ones((count, len(feeder.buses.ids), 3)),
            current_a=np.zeros((count, len(feeder.lines.ids), 3)),
            transformer_kva=np.zeros((count, len(feeder.transformers.ids))),
            der_p_kw=self._p,
            der_q_kvar=self._p,
            delivered_kw=np.ones(count),
            requested_kw=np.ones(count),
            losses_kw=np.zeros(count),
        )

    def respond(self, realizations: Realizations) -> Setpoints:
        return Setpoints(
            index=realizations.index,
            found=np.ones(len(realizations), bool),
            p_kw=self._p,
            q_kvar=self._p,
            source_v_pu=self._source_v,
        )

    def hold(self, plan: Plan, time: int = 0) -> None:
        pass

    def observe(self, realizations: Realizations, setpoints: Setpoints) -> Snapshots:
        if not np.array_equal(setpoints.index, realizations.index):
            raise RuntimeError("an answer to another batch; the timing means nothing")
        return self._blank

    def close(self) -> None:
        pass

    def accept(self, plan: Plan) -> None:
        pass

    def write(
        self,
        realizations: Realizations,
        setpoints: Setpoints,
        snapshots: Snapshots,
        verdicts: Verdicts,
    ) -> None:
        pass


def run(exchanges: int = 200, batch: int = 256, repeats: int = 5) -> list[Row]:
    """Time each HELICS transport against plain threads, both sides interleaved."""
    scenario = load_study(STUDY).scenario
    plan = _dark(scenario)
    still = _Still(scenario, plan, batch)
    drawn = draw(scenario, 1, 0, batch)  # drawing is no part of what is timed

    def shifted(first: int, count: int) -> Realizations:
        return Realizations(
            index=np.arange(first, first + count),
            zeta=drawn.zeta,
            p_kw=drawn.p_kw,
            q_kvar=drawn.q_kvar,
        )

    def session(transport: str, count: int) -> Callable[[], object]:
        planner = PlannerJob(
            scenario=scenario, make_plan=lambda: plan, make_recourse=lambda _: still
        )
        feeder = FeederJob(
            scenario=scenario,
            make_engine=lambda _: still,
            draw=shifted,
            ranges=[(k * batch, batch) for k in range(count)],
            sink=still,
        )
        return lambda: run_session(planner, feeder, SessionSettings(transport=transport))

    return [
        compare(
            f"{transport}, {batch} realizations an exchange, {count} exchanges",
            session(transport, count),
            session("local", count),
            units=max(1, count),
            unit="exchange" if count else "session",
            repeats=repeats,
        )
        for transport in ("inproc", "zmq")
        for count in (exchanges, 0)  # 0: joining, plan and leaving alone
    ]


def _dark(scenario: Scenario) -> Plan:
    """Everything open and off: a plan that any scenario has."""
    feeder, ders = scenario.feeder, scenario.ders
    count = len(ders.ids)
    return Plan(
        family="external",
        scenario_digest=scenario.digest(),
        switch_ids=feeder.switch_ids,
        block_ids=feeder.blocks.ids,
        der_ids=ders.ids,
        closed=np.zeros((1, len(feeder.switches)), bool),
        energized=np.zeros((1, len(feeder.blocks.ids)), bool),
        grid_forming=np.zeros((1, count), bool),
        source_v_pu=np.full((1, count), np.nan),
        p_kw=np.zeros((1, count, 3)),
        q_kvar=np.zeros((1, count, 3)),
        costs={},
        proof=Proof(termination=Termination.EXTERNAL, incumbent=np.inf, bound=-np.inf),
    )


def main(samples: int = 8192, rounds: int = 9) -> None:
    """Print both tables."""
    print(report(campaigns(samples, rounds), samples), flush=True)
    print()
    print(table(run(), "HELICS", "threads"))


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
