"""Why a realization erred: the physics served another load than it was asked to.

That says nothing of the plan, but of the program or of what it was given; so the first one is
looked into, and what is found is kept with the results.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from gridproof.federation.members.jobs import FeederJob
from gridproof.federation.trial.trial import Settled
from gridproof.scenarios.realization import Realizations
from gridproof.scenarios.setpoints import Setpoints
from gridproof.scenarios.verdict import Outcome
from gridproof.simulator.engine import Engine

__all__ = ["Explains", "first_cause", "keep_first_cause"]


@runtime_checkable
class Explains(Protocol):
    """An engine that can say what does not draw what it was asked to."""

    def explain(self, realizations: Realizations, setpoints: Setpoints) -> str:
        """Solve one realization and say it in a sentence; empty if nothing stands out."""
        ...


def keep_first_cause(job: FeederJob, engine: Engine, batch: Realizations, settled: Settled) -> None:
    """Hand over why the first realization of a batch erred, if one did and anybody asks."""
    found = None if job.keep_cause is None else first_cause(engine, batch, settled)
    if job.keep_cause is not None and found is not None:
        job.keep_cause(*found)


def first_cause(engine: Engine, batch: Realizations, settled: Settled) -> tuple[int, str] | None:
    """Find the first realization of a judged batch that erred, and say why.

    Parameters
    ----------
    engine
        Holds the plan.
    batch, settled
        What was tried, and what came of it.
    """
    rows = np.flatnonzero(settled.verdicts.outcome == Outcome.ERRED)
    if not len(rows):
        return None
    row = slice(int(rows[0]), int(rows[0]) + 1)
    seen = settled.snapshots
    asked, given = float(seen.requested_kw[row][0]), float(seen.delivered_kw[row][0])
    said = f"{given:.5g} kW are served where {asked:.5g} kW are asked for"
    if isinstance(engine, Explains):
        found = engine.explain(batch.take(row), _told(settled.setpoints, row))
        said += f"; {found}" if found else ""
    return int(settled.verdicts.index[rows[0]]), said


def _told(setpoints: Setpoints, row: slice) -> Setpoints:
    return Setpoints(
        index=setpoints.index[row],
        found=setpoints.found[row],
        p_kw=setpoints.p_kw[row],
        q_kvar=setpoints.q_kvar[row],
        source_v_pu=setpoints.source_v_pu[row],
    )
