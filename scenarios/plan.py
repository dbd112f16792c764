"""A plan: switch states, roles and set-points, and what was proven of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from gridproof.scenarios.arrays import BoolArray, FloatArray, content_digest, frozen, index_of
from gridproof.scenarios.proof import Proof
from gridproof.scenarios.response import AffineRule, Reserves, ResponseRule

if TYPE_CHECKING:
    from gridproof.scenarios.realization import Realizations
    from gridproof.scenarios.scenario import Scenario

__all__ = ["Plan", "plan_digest"]


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
    costs
        ``shed``, ``generation``, ``redispatch`` (worst case) and ``objective``.
    proof
        What was shown.
    partial_ids, served_share
        Loads that some step serves in part, and (time, load of these) the share of its demand
        that each is asked for; every other load of a live block is served whole.
    made_for
        `scenarios.provenance.facts_of` the scenario it was made for; empty if not known.
    reserves
        Room bought about the base set-points; None where the family buys none.
    rule
        How set-points follow a draw without a solver; None where the family has no rule.
    affine
        How set-points of every phase follow a draw under the recourse ``affine``; None where the
        plan brings none.
    committed
        (time, der) which machines run; None where a plan does not say.
    cost_unit
        What costs and proof are counted in.
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
    costs: Mapping[str, float]
    proof: Proof
    partial_ids: tuple[str, ...] = ()
    served_share: FloatArray = field(default_factory=lambda: np.ones((0, 0)))
    made_for: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    remark: str = ""
    reserves: Reserves | None = None
    rule: ResponseRule | None = None
    affine: AffineRule | None = None
    committed: BoolArray | None = None
    cost_unit: str = "USD"

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
        if self.committed is not None:
            shapes["committed"] = (bool, (times, len(self.der_ids)))
        for name, (kind, shape) in shapes.items():
            object.__setattr__(self, name, frozen(getattr(self, name), kind, shape))  # type: ignore[arg-type]
        held: list[tuple[str, tuple[int, ...]]] = []
        if self.reserves is not None:
            held.append(("reserves", self.reserves.up_kw.shape))
        if self.rule is not None:
            held.append(("rule", self.rule.gain.shape[:2]))
        if self.affine is not None:
            held.append(("affine", self.affine.offset_p_kw.shape[:2]))
        for name, shape in held:
            if shape != (times, len(self.der_ids)):
                raise ValueError(
                    f"{name} of {shape[0]} steps and {shape[1]} DERs in a plan of {times} and "
                    f"{len(self.der_ids)}"
                )

    def __repr__(self) -> str:
        times = len(self.closed)
        steps = f" at the first of {times} steps" if times > 1 else ""
        shown = "certified" if self.proof.certified else "not certified"
        return (
            f"<Plan {self.family}: {int(self.energized[0].sum())} of {len(self.block_ids)} blocks "
            f"live, {int(self.closed[0].sum())} of {len(self.switch_ids)} switches closed{steps}, "
            f"{shown}>"
        )

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
        """Return the demand the plan asks for: what was drawn, less what it sheds and cuts."""
        if self.rule is not None and self.rule.load_ids:
            drawn = self._cut(drawn, scenario)
        if not self.partial_ids:
            return drawn
        steps = slice(drawn.first_step, drawn.first_step + drawn.p_kw.shape[1])
        share = self.share_of(scenario.feeder.loads.ids)[None, steps, :, None]
        return replace(drawn, p_kw=drawn.p_kw * share, q_kvar=drawn.q_kvar * share)

    def _cut(self, drawn: Realizations, scenario: Scenario) -> Realizations:
        """Return demand less what the rule cuts of loads, by slot in proportion, P and Q alike."""
        rule, loads = self.rule, scenario.feeder.loads
        assert rule is not None
        where = index_of(loads.ids)
        at = [where[name] for name in rule.load_ids]
        p, q = drawn.p_kw.copy(), drawn.q_kvar.copy()
        for k in range(p.shape[1]):
            time = drawn.first_step + k
            asked = p[:, k, at, 0] + p[:, k, at, 1] + p[:, k, at, 2]
            cut = rule.cut_kw(drawn.zeta_at(time), time)
            left = 1.0 - np.divide(cut, asked, out=np.zeros_like(cut), where=asked > 0.0)
            left = np.clip(left, 0.0, 1.0)[:, :, None]
            p[:, k, at] *= left
            q[:, k, at] *= left
        return replace(drawn, p_kw=p, q_kvar=q)


def plan_digest(plan: Plan) -> str:
    """SHA-256 of what a plan decides; who made it, how long it took and its proof left out."""
    decided: tuple[Any, ...] = (
        plan.switch_ids,
        plan.block_ids,
        plan.der_ids,
        plan.closed,
        plan.energized,
        plan.grid_forming,
        plan.source_v_pu,
        plan.p_kw,
        plan.q_kvar,
    )
    if plan.partial_ids:  # left out otherwise: what sheds no load is the plan it always was
        decided += (plan.partial_ids, plan.served_share)
    for more in (plan.reserves, plan.rule, plan.affine, plan.committed):
        if more is not None:
            decided += (more,)
    return content_digest(decided)
