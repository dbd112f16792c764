"""A realization tried again on its own: the same draw, the same answer, the same verdict.

A row of a campaign is a function of the study, the plan and its index, so nothing but these has to
be kept. The draw goes through the same federates as in the campaign, in this process; what they
keep is every number of it, not a row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from gridproof.federation.campaigns.study_jobs import (
    feeder_job_of,
    make_planner_job,
    session_settings,
)
from gridproof.federation.inquiries.replay_values import Written, step_seen
from gridproof.federation.members.session import run_session
from gridproof.federation.records.intervals import Intervals
from gridproof.federation.records.replay_report import ReplayReport
from gridproof.federation.records.rows import STEP
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.studies.study import Study
from gridproof.federation.trial.trial import Trace
from gridproof.scenarios.arrays import FloatArray
from gridproof.scenarios.errors import ConfigError
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.realization import Realizations, realize
from gridproof.scenarios.setpoints import Setpoints
from gridproof.scenarios.snapshot import Snapshots
from gridproof.scenarios.verdict import Verdicts
from gridproof.simulator.opendss.engine import OpenDssEngine

__all__ = ["replay", "step_circuit"]


@dataclass(slots=True, eq=False)
class _Keeper:
    """The sink of one realization: keeps all that it is given."""

    written: list[Written] = field(default_factory=list)

    def accept(self, plan: Plan) -> None:
        """Take the plan; it is known."""

    def write(
        self,
        realizations: Realizations,
        setpoints: Setpoints,
        snapshots: Snapshots,
        verdicts: Verdicts,
        second: Verdicts | None = None,  # noqa: ARG002  (a sink's)
    ) -> None:
        """Keep one step."""
        self.written.append(Written(realizations, setpoints, snapshots, verdicts))

    def keep_trace(self, trace: Trace) -> None:
        """Take what channel and rounds saw; the verdict says it."""

    def forget(self, chunk: int) -> None:
        """Drop nothing: OpenDSS answers, so nothing is done again."""

    def keep_cause(self, index: int, said: str) -> None:
        """Take what erred; it is the outcome."""


def replay(
    study: Study,
    plan: Plan,
    index: int,
    *,
    zeta: FloatArray | None = None,
    named: str = "",
    store: CampaignStore | None = None,
) -> tuple[ReplayReport, tuple[Written, ...]]:
    """Try one realization as a campaign of the study does, and keep all of it.

    Parameters
    ----------
    study, plan
        Whose; every step that the study tries is lived through.
    index
        Which draw.
    zeta
        (direction,) a load of the set in its place, the same at every step.
    named
        What named it, for the report.
    store
        A campaign whose row of it is told beside.

    Returns
    -------
    report, written
        And the arrays that it is made of, a step each.

    Raises
    ------
    ConfigError
        If the campaign's realizations depend on those before them, or there is none of the index.
    """
    _refuse(study, index, drawn=zeta is None)
    sink = _Keeper()
    job = feeder_job_of(_by_opendss(study), [(index, 1)], lambda _: sink)
    job = replace(job, make_second=None)
    if zeta is not None:
        job = replace(job, draw=_named_draw(study, zeta, index))
    settings = session_settings(study, "local")
    run_session(make_planner_job(study, plan), job, settings)
    kept = {} if store is None or zeta is not None else _kept_rows(store, index, study.steps)
    config = study.config.campaign
    report = ReplayReport(
        study=study.name,
        index=index if zeta is None else -1,
        named=named,
        recourse=config.recourse,
        judge=config.judge,
        steps=tuple(
            step_seen(study.scenario, plan, step, one, kept.get(step))
            for step, one in zip(study.steps, sink.written, strict=True)
        ),
    )
    return report, tuple(sink.written)


def step_circuit(study: Study, plan: Plan, step: int, seen: Written) -> tuple[str, float]:
    """Write the circuit of one step so that OpenDSS alone solves it to the same numbers.

    Returns
    -------
    text, apart_pu
        And the largest difference of a live node's voltage when the text is compiled alone.

    Raises
    ------
    ConfigError
        If a DER's output or a switch was another than told, or nothing was solved.
    """
    if not len(seen.snapshots) or not seen.snapshots.converged[0]:
        raise ConfigError(
            "no power flow was found for this realization, so there is none to write; leave --dss "
            "out"
        )
    if study.config.faults.declared:
        raise ConfigError(
            "[faults] of the study: what acted is not what was told, and a circuit of it is not "
            "written; leave --dss out"
        )
    engine = OpenDssEngine(study.scenario)
    try:
        engine.hold(plan, step)
        given = replace(  # what was delivered: an empty storage gives less than it is told
            seen.setpoints,
            p_kw=np.where(
                plan.grid_forming[step][:, None], seen.setpoints.p_kw, seen.snapshots.der_p_kw
            ),
            q_kvar=np.where(
                plan.grid_forming[step][:, None], seen.setpoints.q_kvar, seen.snapshots.der_q_kvar
            ),
        )
        return engine.alone(plan.asked(seen.realizations, study.scenario), given)
    finally:
        engine.close()


def _refuse(study: Study, index: int, *, drawn: bool) -> None:
    samples = study.config.campaign.samples
    if drawn and not 0 <= index < samples:
        raise ConfigError(
            f"--index {index}: the campaign has realizations 0 to {samples - 1}; name one of them"
        )
    if study.config.devices.at or Intervals.of(study.config.model_dump()).lags:
        raise ConfigError(
            "[faults], [devices] or [realtime] of the study tie a realization to those before it, "
            "so none can be tried on its own; its row is in the campaign's Parquet"
        )


def _by_opendss(study: Study) -> Study:
    """Return the study as it is where OpenDSS answers everything."""
    campaign = study.config.campaign.model_copy(update={"engine": "opendss"})
    return replace(study, config=study.config.model_copy(update={"campaign": campaign}))


def _named_draw(study: Study, zeta: FloatArray, index: int) -> Callable[..., Realizations]:
    def draw(first: int, count: int, step: int | None = None) -> Realizations:  # noqa: ARG001
        return realize(study.scenario, zeta[None], np.array([index]), step=step)

    return draw


def _kept_rows(store: CampaignStore, index: int, steps: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Return the campaign's rows of a realization by step; empty where it is not tried yet."""
    finished = [
        chunk
        for chunk in store.finished()
        if 0 <= index - store.chunk_range(chunk)[0] < store.chunk_range(chunk)[1]
    ]
    if not finished:
        return {}
    table = pa.concat_tables(store.tables(None, finished))
    rows = table.filter(pc.equal(table["index"], index)).to_pylist()
    return {row.get(STEP, steps[0]): row for row in rows}
