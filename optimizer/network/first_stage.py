"""What is decided before the load is known, as plain numbers: a candidate plan."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from gridproof.optimizer.network.branches import BASE_KVA
from gridproof.optimizer.network.decisions import Decisions
from gridproof.scenarios.arrays import BoolArray, FloatArray
from gridproof.scenarios.graph import connected_components

if TYPE_CHECKING:
    from gridproof.scenarios.plan import Plan
    from gridproof.scenarios.scenario import Scenario

__all__ = ["FirstStage"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FirstStage:
    """One step's switches, roles, held voltages and base set-points, per unit.

    Attributes
    ----------
    closed, energized, forming
        (switch,), (block,), (der,) states.
    source_w
        (der,) squared magnitude held; meaningless where the DER does not form.
    p, q
        (der, 3) base set-points.
    """

    closed: BoolArray
    energized: BoolArray
    forming: BoolArray
    source_w: FloatArray
    p: FloatArray
    q: FloatArray

    @classmethod
    def of(cls, plan: Plan, time: int = 0) -> FirstStage:
        """Read one step of a plan."""
        return cls(
            closed=plan.closed[time],
            energized=plan.energized[time],
            forming=plan.grid_forming[time],
            source_w=np.where(plan.grid_forming[time], plan.source_v_pu[time], 1.0) ** 2,
            p=plan.p_kw[time] / BASE_KVA,
            q=plan.q_kvar[time] / BASE_KVA,
        )

    def islands(self, scenario: Scenario) -> tuple[tuple[int, ...], ...]:
        """Live blocks, grouped by what the closed switches join, in block order."""
        ends = scenario.feeder.switch_blocks[self.closed]
        label = connected_components(len(self.energized), ends[:, 0], ends[:, 1])
        return tuple(
            tuple(np.flatnonzero((label == number) & self.energized).tolist())
            for number in np.unique(label[self.energized])
        )

    def decisions(self, blocks: tuple[int, ...] | None = None) -> Decisions:
        """Plain decisions for the flow equations; only ``blocks`` count as live if given."""
        live = self.energized if blocks is None else np.isin(np.arange(len(self.energized)), blocks)
        return Decisions(
            closed=dict(enumerate(self.closed.astype(int).tolist())),
            energized=dict(enumerate((live & self.energized).astype(int).tolist())),
            forming=dict(enumerate(self.forming.astype(int).tolist())),
            source_w=dict(enumerate(self.source_w.tolist())),
        )

    def shed_usd(self, scenario: Scenario) -> float:
        """Cost of what stays dark, ``Σ α_l (1 - z_l)``."""
        return float(scenario.shed_usd[~self.energized].sum())

    def generation_usd(self, scenario: Scenario) -> float:
        """Cost of the base set-points' active power."""
        return float(scenario.ders.cost_usd_per_kw @ self.p.sum(axis=1)) * BASE_KVA

    def cost_usd(self, scenario: Scenario) -> float:
        """Shed and generation cost together."""
        return self.shed_usd(scenario) + self.generation_usd(scenario)

    def moved(self, *, source_w: FloatArray, p: FloatArray, q: FloatArray) -> FirstStage:
        """Return the same states with other continuous decisions."""
        return replace(self, source_w=source_w, p=p, q=q)
