"""The file of a plan, both ways.

It is JSON keyed by ids, so that a plan made elsewhere can be written by hand or by another
tool; ``gridproof check PLAN STUDY`` audits it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from gridproof.scenarios.costs import counted_costs
from gridproof.scenarios.errors import ConfigError
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.plan_schema import (
    DerFile,
    PlanFile,
    ProofFile,
    faults_of,
    idle_der,
    parse_plan_file,
)
from gridproof.scenarios.proof import Proof, Termination
from numpy.typing import NDArray

if TYPE_CHECKING:
    from gridproof.scenarios.scenario import Scenario

__all__ = ["plan_from_json", "plan_schema", "plan_to_json"]


_ROUNDING = 1e-6
"""Relative difference of two sums of the same costs."""


def plan_to_json(plan: Plan) -> str:
    """Serialise a plan; ``plan_from_json`` reads it back without loss.

    A non-finite number (no bound known, no voltage held) is written as ``null``.
    """
    times = range(len(plan.closed))
    file = PlanFile(
        format="gridproof-plan/1",
        family=plan.family,
        scenario_digest=plan.scenario_digest,
        switches={
            name: ["closed" if plan.closed[t, k] else "open" for t in times]
            for k, name in enumerate(plan.switch_ids)
        },
        energized_blocks={
            name: plan.energized[:, k].tolist() for k, name in enumerate(plan.block_ids)
        },
        ders={
            name: DerFile(
                grid_forming=plan.grid_forming[:, k].tolist(),
                source_v_pu=[_finite(v) for v in plan.source_v_pu[:, k].tolist()],
                p_kw=(plan.p_kw[:, k] + 0.0).tolist(),  # no -0.0 in what people read
                q_kvar=(plan.q_kvar[:, k] + 0.0).tolist(),
            )
            for k, name in enumerate(plan.der_ids)
        },
        served_share={
            name: plan.served_share[:, k].tolist() for k, name in enumerate(plan.partial_ids)
        },
        costs_usd=dict(plan.costs_usd),
        proof=ProofFile(
            termination=plan.proof.termination,
            incumbent_usd=_finite(plan.proof.incumbent_usd),
            bound_usd=_finite(plan.proof.bound_usd),
            asked_gap=plan.proof.asked_gap,
            robust=plan.proof.robust,
            iterations=plan.proof.iterations,
            realizations_kept=plan.proof.realizations_kept,
            seconds=dict(plan.proof.seconds),
        ),
        made_for=dict(plan.made_for),
        remark=plan.remark,
    )
    sealed = file.model_copy(update={"digest": file.seal()})
    empty = {name for name in ("served_share", "made_for", "remark") if not getattr(file, name)}
    return sealed.model_dump_json(indent=1, exclude=empty)


def plan_schema() -> dict[str, Any]:
    """Return the JSON schema of the plan file, for the wire's contract."""
    return PlanFile.model_json_schema()


def plan_from_json(text: str, scenario: Scenario, where: str = "plan") -> Plan:
    """Read a plan for a scenario; axes come out in the scenario's own order.

    Parameters
    ----------
    text
        JSON as ``plan_to_json`` writes it; a plan made elsewhere may leave out
        ``scenario_digest``, ``served_share``, ``costs_usd``, ``proof``, ``made_for`` and
        ``digest``, and a substation that forms nothing.
    scenario
        What the plan is tried on; ids not in it, or missing from the file, are faults, and so
        is another network than the one it was made for (`scenarios.provenance.NEEDED`).
    where
        Name used in messages, normally the file's path.

    Returns
    -------
    Plan
        One whose file's ``digest`` is not that of its content was edited, or made elsewhere:
        its family is ``external``, nothing counts as proven of it, its costs are counted anew
        (`scenarios.costs.counted_costs`), and its ``remark`` says so.

    Raises
    ------
    ConfigError
        With every fault found.
    """
    file = parse_plan_file(text, where)
    feeder, steps = scenario.feeder, len(scenario.hours)
    faults = faults_of(file, scenario, where)
    if faults:
        raise ConfigError(faults)
    ders = [file.ders.get(name, idle_der(steps)) for name in scenario.ders.ids]
    closed = [[state == "closed" for state in file.switches[k]] for k in feeder.switch_ids]
    held = [[np.nan if v is None else v for v in der.source_v_pu] for der in ders]
    plan = Plan(
        family=file.family,
        scenario_digest=file.scenario_digest,
        switch_ids=feeder.switch_ids,
        block_ids=feeder.blocks.ids,
        der_ids=scenario.ders.ids,
        closed=_columns(closed, steps),
        energized=_columns([file.energized_blocks[k] for k in feeder.blocks.ids], steps),
        grid_forming=_columns([der.grid_forming for der in ders], steps),
        source_v_pu=_columns(held, steps),
        p_kw=_columns([der.p_kw for der in ders], steps, 3),
        q_kvar=_columns([der.q_kvar for der in ders], steps, 3),
        costs_usd=MappingProxyType(dict(file.costs_usd)),
        proof=_proof(file.proof),
        partial_ids=tuple(file.served_share),
        served_share=_columns(list(file.served_share.values()), steps),
        made_for=MappingProxyType(dict(file.made_for)),
        remark=file.remark,
    )
    why = _disbelief(plan, file, scenario)
    if why is None and plan.proof.termination is not Termination.EXTERNAL:
        return plan
    return _external(plan, why or file.remark, scenario)


def _disbelief(plan: Plan, file: PlanFile, scenario: Scenario) -> str | None:
    """Say why proof and costs of a file are not believed; None if they are."""
    if not file.digest:
        says = file.proof.termination is not Termination.EXTERNAL or file.costs_usd
        return "its file holds no digest: made elsewhere, or by an earlier version" if says else ""
    if file.digest != file.seal():
        return "its digest is not that of its content: edited after it was made"
    if plan.costs_usd and plan.scenario_digest == scenario.digest():
        for name, cost in counted_costs(plan, scenario).items():
            stated = plan.costs_usd.get(name, cost)
            if abs(stated - cost) > _ROUNDING * max(1.0, abs(cost)):
                return f"it states {name} costs of {stated:g}, its decisions cost {cost:g}"
    return None


def _external(plan: Plan, why: str, scenario: Scenario) -> Plan:
    """Return a plan of whose proof and costs nothing is believed, and why."""
    decided = replace(plan, family="external", remark=why, proof=_proof(ProofFile()), costs_usd={})
    costs = counted_costs(decided, scenario)
    return replace(
        decided,
        costs_usd=MappingProxyType({k: v for k, v in costs.items() if np.isfinite(v)}),
    )


def _proof(file: ProofFile) -> Proof:
    return Proof(
        termination=file.termination,
        incumbent_usd=np.inf if file.incumbent_usd is None else file.incumbent_usd,
        bound_usd=-np.inf if file.bound_usd is None else file.bound_usd,
        asked_gap=file.asked_gap,
        robust=file.robust,
        iterations=file.iterations,
        realizations_kept=file.realizations_kept,
        seconds=MappingProxyType(dict(file.seconds)),
    )


def _columns(rows: Sequence[Sequence[Any]], steps: int, width: int = 0) -> NDArray[Any]:
    """Stack per-element rows of steps into (time, element[, width])."""
    shape = (len(rows), steps, width) if width else (len(rows), steps)
    return np.array(rows).reshape(shape).swapaxes(0, 1)


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
