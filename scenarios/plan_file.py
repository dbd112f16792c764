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
    AffineDerFile,
    AffineFile,
    DerFile,
    PlanFile,
    ProofFile,
    ReserveFile,
    RuleFile,
    faults_of,
    idle_der,
    parse_plan_file,
)
from gridproof.scenarios.proof import Proof, Termination
from gridproof.scenarios.response import AffineRule, Reserves, ResponseRule
from numpy.typing import NDArray

if TYPE_CHECKING:
    from gridproof.scenarios.scenario import Scenario

__all__ = ["plan_from_json", "plan_schema", "plan_to_json"]


_MAY_BE_ABSENT = ("served_share", "reserves", "rule", "affine", "committed", "made_for", "remark")

_ROUNDING = 1e-6
"""Relative difference of two sums of the same costs."""


def plan_to_json(plan: Plan) -> str:
    """Serialise a plan; ``plan_from_json`` reads it back without loss.

    A non-finite number (no bound known, no voltage held) is written as ``null``.
    """
    times = range(len(plan.closed))
    file = PlanFile(
        format="gridproof-plan/2",
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
        reserves=_reserves_out(plan),
        rule=_rule_out(plan),
        affine=_affine_out(plan),
        committed={}
        if plan.committed is None
        else {name: plan.committed[:, k].tolist() for k, name in enumerate(plan.der_ids)},
        costs=dict(plan.costs),
        cost_unit=plan.cost_unit,
        proof=ProofFile(
            termination=plan.proof.termination,
            incumbent=_finite(plan.proof.incumbent),
            bound=_finite(plan.proof.bound),
            asked_gap=plan.proof.asked_gap,
            robust=plan.proof.robust,
            iterations=plan.proof.iterations,
            realizations_kept=plan.proof.realizations_kept,
            seconds=dict(plan.proof.seconds),
            over=plan.proof.over,
        ),
        made_for=dict(plan.made_for),
        remark=plan.remark,
    )
    sealed = file.model_copy(update={"digest": file.seal()})
    empty = {name for name in _MAY_BE_ABSENT if not getattr(file, name)}
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
        ``scenario_digest``, ``served_share``, ``reserves``, ``rule``, ``affine``, ``committed``,
        ``costs``, ``cost_unit``, ``proof``, ``made_for`` and ``digest``, and a substation that
        forms nothing. Files of format 1 are read, too.
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
        costs=MappingProxyType(dict(file.costs)),
        cost_unit=file.cost_unit,
        proof=_proof(file.proof),
        partial_ids=tuple(file.served_share),
        served_share=_columns(list(file.served_share.values()), steps),
        made_for=MappingProxyType(dict(file.made_for)),
        remark=file.remark,
        reserves=_reserves_in(file, scenario.ders.ids, steps),
        rule=_rule_in(file.rule, scenario.ders.ids, steps),
        affine=_affine_in(file.affine, scenario.ders.ids, steps),
        committed=_committed_in(file, scenario.ders.ids, steps),
    )
    why = _disbelief(plan, file, scenario)
    if why is None and plan.proof.termination is not Termination.EXTERNAL:
        return plan
    return _external(plan, why or file.remark, scenario)


def _disbelief(plan: Plan, file: PlanFile, scenario: Scenario) -> str | None:
    """Say why proof and costs of a file are not believed; None if they are."""
    if not file.digest:
        says = file.proof.termination is not Termination.EXTERNAL or file.costs
        return "its file holds no digest: made elsewhere, or by an earlier version" if says else ""
    if file.digest != file.seal():
        return "its digest is not that of its content: edited after it was made"
    if plan.costs and plan.scenario_digest == scenario.digest():
        for name, cost in counted_costs(plan, scenario).items():
            stated = plan.costs.get(name, cost)
            if abs(stated - cost) > _ROUNDING * max(1.0, abs(cost)):
                return f"it states {name} costs of {stated:g}, its decisions cost {cost:g}"
    return None


def _external(plan: Plan, why: str, scenario: Scenario) -> Plan:
    """Return a plan of whose proof and costs nothing is believed, and why."""
    decided = replace(plan, family="external", remark=why, proof=_proof(ProofFile()), costs={})
    costs = counted_costs(decided, scenario)
    return replace(
        decided,
        costs=MappingProxyType({k: v for k, v in costs.items() if np.isfinite(v)}),
    )


def _proof(file: ProofFile) -> Proof:
    return Proof(
        termination=file.termination,
        incumbent=np.inf if file.incumbent is None else file.incumbent,
        bound=-np.inf if file.bound is None else file.bound,
        asked_gap=file.asked_gap,
        robust=file.robust,
        iterations=file.iterations,
        realizations_kept=file.realizations_kept,
        seconds=MappingProxyType(dict(file.seconds)),
        over=file.over,
    )


def _reserves_out(plan: Plan) -> dict[str, ReserveFile]:
    bought = plan.reserves
    if bought is None:
        return {}
    return {
        name: ReserveFile(up_kw=bought.up_kw[:, k].tolist(), down_kw=bought.down_kw[:, k].tolist())
        for k, name in enumerate(plan.der_ids)
    }


def _reserves_in(file: PlanFile, der_ids: Sequence[str], steps: int) -> Reserves | None:
    if not file.reserves:
        return None
    none = ReserveFile(up_kw=[0.0] * steps, down_kw=[0.0] * steps)
    held = [file.reserves.get(name, none) for name in der_ids]
    return Reserves(
        up_kw=_columns([one.up_kw for one in held], steps),
        down_kw=_columns([one.down_kw for one in held], steps),
    )


def _committed_in(file: PlanFile, der_ids: Sequence[str], steps: int) -> NDArray[Any] | None:
    """(time, der) which machines run: those a file does not name do, where it names any."""
    if not file.committed:
        return None
    return _columns([file.committed.get(name, [True] * steps) for name in der_ids], steps)


def _rule_out(plan: Plan) -> RuleFile | None:
    rule = plan.rule
    if rule is None:
        return None

    def by_der(gain: NDArray[Any]) -> dict[str, list[list[float]]]:
        moves = np.asarray(gain.any(axis=(0, 2)))
        return {n: gain[:, k].tolist() for k, n in enumerate(plan.der_ids) if moves[k]}

    return RuleFile(
        directions=list(rule.direction_ids),
        gain=by_der(rule.gain),
        gain_down=None if rule.gain_down is None else by_der(rule.gain_down),
        weight=None if rule.weight is None else rule.weight.tolist(),
        load_gain={n: rule.load_gain[:, k].tolist() for k, n in enumerate(rule.load_ids)},
    )


def _rule_in(file: RuleFile | None, der_ids: Sequence[str], steps: int) -> ResponseRule | None:
    if file is None:
        return None
    width = len(file.directions)

    def table(gain: dict[str, list[list[float]]]) -> NDArray[Any]:
        still = [[0.0] * width] * steps
        rows = [gain.get(name, still) for name in der_ids]
        return np.array(rows, float).reshape(len(der_ids), steps, width).swapaxes(0, 1)

    return ResponseRule(
        direction_ids=tuple(file.directions),
        gain=table(file.gain),
        gain_down=None if file.gain_down is None else table(file.gain_down),
        weight=None if file.weight is None else np.array(file.weight, float),
        load_ids=tuple(file.load_gain),
        load_gain=np.array(list(file.load_gain.values()), float)
        .reshape(len(file.load_gain), steps, width)
        .swapaxes(0, 1),
    )


def _affine_out(plan: Plan) -> AffineFile | None:
    rule = plan.affine
    if rule is None:
        return None
    moves = [
        np.any([part[:, k].any() for part in _affine_parts(rule).values()])
        for k in range(len(plan.der_ids))
    ]
    return AffineFile(
        directions=list(rule.direction_ids),
        ders={
            name: AffineDerFile(
                **{key: (part[:, k] + 0.0).tolist() for key, part in _affine_parts(rule).items()}
            )
            for k, name in enumerate(plan.der_ids)
            if moves[k]
        },
    )


def _affine_parts(rule: AffineRule) -> dict[str, NDArray[Any]]:
    names = ("offset_p_kw", "offset_q_kvar", "gain_p_kw", "gain_q_kvar")
    return {name: getattr(rule, name) for name in names}


def _affine_in(file: AffineFile | None, der_ids: Sequence[str], steps: int) -> AffineRule | None:
    if file is None:
        return None
    width = len(file.directions)

    def table(key: str, *more: int) -> NDArray[Any]:
        still = np.zeros((steps, 3, *more))
        rows = [
            np.array(getattr(file.ders[name], key), float).reshape(still.shape)
            if name in file.ders
            else still
            for name in der_ids
        ]
        return np.stack(rows, axis=1) if rows else np.zeros((steps, 0, 3, *more))

    return AffineRule(
        direction_ids=tuple(file.directions),
        offset_p_kw=table("offset_p_kw"),
        offset_q_kvar=table("offset_q_kvar"),
        gain_p_kw=table("gain_p_kw", width),
        gain_q_kvar=table("gain_q_kvar", width),
    )


def _columns(rows: Sequence[Sequence[Any]], steps: int, width: int = 0) -> NDArray[Any]:
    """Stack per-element rows of steps into (time, element[, width])."""
    shape = (len(rows), steps, width) if width else (len(rows), steps)
    return np.array(rows).reshape(shape).swapaxes(0, 1)


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
