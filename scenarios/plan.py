"""A plan, what was proven about it, and its file format.

The file is JSON keyed by ids, so that a plan made elsewhere can be written by hand or by
another tool; ``gridproof check PLAN STUDY`` audits it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray, frozen, index_of
from gridproof.scenarios.costs import counted_costs
from gridproof.scenarios.errors import ConfigError
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
    from gridproof.scenarios.realization import Realizations
    from gridproof.scenarios.scenario import Scenario

__all__ = [
    "Plan",
    "Proof",
    "Setpoints",
    "Termination",
    "plan_from_json",
    "plan_schema",
    "plan_to_json",
]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Setpoints:
    """What the planner answers a batch of realizations with.

    Attributes
    ----------
    index
        (realization,) the realizations answered, in the order asked.
    found
        (realization,) false where no re-dispatch exists; its numbers are then the base's.
    p_kw, q_kvar
        (realization, der, 3) injections; the grid-forming DER's are what the linear model
        expects of it, the physics decides.
    source_v_pu
        (realization, der) magnitude held by each grid-forming DER, NaN for the others.
    """

    index: IntArray
    found: BoolArray
    p_kw: FloatArray
    q_kvar: FloatArray
    source_v_pu: FloatArray

    def __post_init__(self) -> None:
        n = len(self.index)
        object.__setattr__(self, "index", frozen(self.index, np.int64, (n,)))
        object.__setattr__(self, "found", frozen(self.found, bool, (n,)))
        object.__setattr__(self, "p_kw", frozen(self.p_kw, float, (n, -1, 3)))
        object.__setattr__(self, "q_kvar", frozen(self.q_kvar, float, (n, -1, 3)))
        object.__setattr__(self, "source_v_pu", frozen(self.source_v_pu, float, (n, -1)))

    def __len__(self) -> int:
        return len(self.index)

    def take(self, rows: IntArray | BoolArray) -> Setpoints:
        """Return the set-points at some positions, in their order, or where a mask is true."""
        return Setpoints(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plan:
    """Switch states, roles and base set-points, with the proof that came with them.

    Attributes
    ----------
    family
        Optimizer family, or ``external``.
    scenario_digest
        ``Scenario.digest()`` it was made for; empty if made elsewhere.
    switch_ids, block_ids, der_ids
        Axes of the arrays below.
    closed
        (time, switch) true = closed.
    energized
        (time, block).
    grid_forming
        (time, der).
    source_v_pu
        (time, der) magnitude held by each grid-forming DER, NaN for the others.
    p_kw, q_kvar
        (time, der, 3) base set-points, injection positive.
    costs_usd
        ``shed``, ``generation``, ``redispatch`` (worst case) and ``objective``.
    proof
        What was shown.
    partial_ids, served_share
        Loads that some step serves in part, and (time, load of these) the share of its demand
        that each is asked for; every other load of a live block is served whole.
    made_for
        `scenarios.provenance.facts_of` the scenario it was made for; empty if not known.
    remark
        Why nothing is proven of a plan that says something was; empty otherwise.
    """

    family: str
    scenario_digest: str
    switch_ids: tuple[str, ...]
    block_ids: tuple[str, ...]
    der_ids: tuple[str, ...]
    closed: BoolArray
    energized: BoolArray
    grid_forming: BoolArray
    source_v_pu: FloatArray
    p_kw: FloatArray
    q_kvar: FloatArray
    costs_usd: Mapping[str, float]
    proof: Proof
    partial_ids: tuple[str, ...] = ()
    served_share: FloatArray = field(default_factory=lambda: np.ones((0, 0)))
    made_for: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    remark: str = ""

    def __post_init__(self) -> None:
        times = len(self.closed)
        if not self.partial_ids:
            object.__setattr__(self, "served_share", np.ones((times, 0)))
        shapes: dict[str, tuple[object, tuple[int, ...]]] = {
            "closed": (bool, (times, len(self.switch_ids))),
            "energized": (bool, (times, len(self.block_ids))),
            "grid_forming": (bool, (times, len(self.der_ids))),
            "source_v_pu": (float, (times, len(self.der_ids))),
            "p_kw": (float, (times, len(self.der_ids), 3)),
            "q_kvar": (float, (times, len(self.der_ids), 3)),
            "served_share": (float, (times, len(self.partial_ids))),
        }
        for name, (kind, shape) in shapes.items():
            object.__setattr__(self, name, frozen(getattr(self, name), kind, shape))  # type: ignore[arg-type]

    def share_of(self, load_ids: Sequence[str]) -> FloatArray:
        """(time, load) share of each load's demand that the plan asks for."""
        share = np.ones((len(self.closed), len(load_ids)))
        where = index_of(load_ids)
        share[:, [where[name] for name in self.partial_ids]] = self.served_share
        return share

    def served_of(self, scenario: Scenario, time: int = 0) -> float | None:
        """Share of a step's nominal demand that the plan serves; None where nothing is asked."""
        loads, demand = scenario.feeder.loads, scenario.load_p_kw[time].sum(axis=1)
        if not demand.sum():
            return None
        live = self.energized[time, scenario.feeder.block_of_load]
        return float((demand * live * self.share_of(loads.ids)[time]).sum() / demand.sum())

    def asked(self, drawn: Realizations, scenario: Scenario) -> Realizations:
        """Return the demand the plan asks for: what was drawn, less what it sheds."""
        if not self.partial_ids:
            return drawn
        steps = slice(drawn.first_step, drawn.first_step + drawn.p_kw.shape[1])
        share = self.share_of(scenario.feeder.loads.ids)[None, steps, :, None]
        return replace(drawn, p_kw=drawn.p_kw * share, q_kvar=drawn.q_kvar * share)


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
