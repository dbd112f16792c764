"""Recourse by fixed factors: every DER of an island takes its share of the mismatch, as droop does.

For island ``m`` with live loads ``D_m`` and realization ``ζ``::

    ΔP_m = Σ_{d∈D_m} Σ_φ (p_dφ(ζ) - p_dφ⁰)        ΔQ_m likewise
    p_gφ = p_gφ⁰ + α_gφ ΔP_m                       q_gφ = q_gφ⁰ + β_gφ ΔQ_m
    α_gφ = w_gφ / Σ_{h,ψ in m} w_hψ                so that Σ α = 1 in every island

An inverter under droop sees one frequency, hence the mismatch of all phases together. Nothing
is cut off at a capability or a ramp: a set-point beyond one is what fixed factors ask for, and
the physics is judged afterwards. Losses stay with the grid-forming DER. Where a substation
forms, the grid holds the frequency and takes the whole mismatch.

Where DERs state a power factor or a capability curve, and these factors would leave one somewhere
in the set of loads, an island's factors are the nearest that do not (`optimizer.recourse.shares`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from gridproof.scenarios.arrays import FloatArray
from gridproof.scenarios.audit import islands
from gridproof.scenarios.carried import Carried
from gridproof.scenarios.commitment import running
from gridproof.scenarios.errors import ScenarioError
from gridproof.scenarios.realization import Realizations
from gridproof.scenarios.setpoints import Setpoints

if TYPE_CHECKING:
    from gridproof.scenarios.plan import Plan
    from gridproof.scenarios.scenario import Scenario

__all__ = ["ParticipationRecourse"]


class ParticipationRecourse:
    """Mismatch shared by fixed factors, island by island; ``found`` is always true.

    Parameters
    ----------
    plan, scenario, time
        What is held, where, and which step.
    weight
        (der, 3) ``w``, at least 0; the active capacity ``p_max_kw`` if not given, for active
        power, and the larger reactive limit for reactive power; of an island that a substation
        forms, the substation's alone.

    Raises
    ------
    ScenarioError
        If an island that moves has no DER of positive weight, or is no tree and a DER in it states
        a power factor or a capability curve.
    """

    def __init__(
        self, plan: Plan, scenario: Scenario, time: int = 0, *, weight: FloatArray | None = None
    ) -> None:
        self._plan, self._time = plan, time
        served = plan.share_of(scenario.feeder.loads.ids)[time][:, None]
        self._base = scenario.load_p_kw[time] * served, scenario.load_q_kvar[time] * served
        runs = running(plan, scenario, time)
        ders, feeder = runs.ders, scenario.feeder
        bound = np.zeros(len(ders.ids), bool)
        bound[ders.half_planes.der] = True
        live = plan.energized[time]
        label = islands(plan, scenario, time)
        der_block, load_block = feeder.blocks.of_bus[ders.bus], feeder.block_of_load
        reactive = np.maximum(np.abs(ders.q_min_kvar), np.abs(ders.q_max_kvar))
        active = ders.p_max_kw if weight is None else weight
        reactive = reactive if weight is None else weight
        self._members: list[tuple[list[int], FloatArray, FloatArray]] = []
        for number in np.unique(label[live]):
            inside = (label == number) & live
            here = inside[der_block][:, None] & ders.phases
            grid = here & (ders.is_substation & plan.grid_forming[time])[:, None]
            if weight is None and grid.any():
                here = grid
            loads = np.flatnonzero(inside[load_block]).tolist()
            if loads:
                p = _shares(active, here, plan.block_ids[int(np.argmax(inside))])
                q = _shares(reactive, here, plan.block_ids[int(np.argmax(inside))], fallback=p)
                if weight is None and (bound & here.any(axis=1)).any():
                    # the linear model needs Pyomo, which takes a second to import
                    from gridproof.optimizer.recourse.shares import shares_inside  # noqa: PLC0415

                    blocks = tuple(np.flatnonzero(inside).tolist())
                    p, q = shares_inside(plan, runs, time, blocks, (p, q))
                self._members.append((loads, p, q))

    def respond(self, realizations: Realizations, carried: Carried | None = None) -> Setpoints:  # noqa: ARG002
        """Return each realization's shared set-points; never cut off at a limit."""
        count, plan, time = len(realizations), self._plan, self._time
        p = np.broadcast_to(plan.p_kw[time], (count, *plan.p_kw[time].shape)).copy()
        q = np.broadcast_to(plan.q_kvar[time], (count, *plan.q_kvar[time].shape)).copy()
        p_base, q_base = self._base
        for loads, of_p, of_q in self._members:
            p += _mismatch(realizations.demand_at(time)[0], p_base, loads)[:, None, None] * of_p
            q += _mismatch(realizations.demand_at(time)[1], q_base, loads)[:, None, None] * of_q
        return Setpoints(
            index=realizations.index,
            found=np.ones(count, dtype=bool),
            p_kw=p,
            q_kvar=q,
            source_v_pu=np.broadcast_to(
                plan.source_v_pu[time], (count, len(plan.source_v_pu[time]))
            ).copy(),
        )


def _shares(
    weight: FloatArray, here: np.ndarray, name: str, fallback: FloatArray | None = None
) -> FloatArray:
    """(der, 3) factors of one island, which add up to 1."""
    mine = np.where(here, np.maximum(weight, 0.0), 0.0)
    total = float(mine.sum())
    if total > 0.0 and np.isfinite(total):
        return mine / total
    if fallback is not None:
        return fallback
    raise ScenarioError(
        f"the island of block {name} has no DER with a capacity to share its mismatch by; give "
        "one a capacity_kw, or choose another recourse"
    )


def _mismatch(demand: FloatArray, base: FloatArray, loads: list[int]) -> FloatArray:
    """(realization,) change of the loads' demand, added load by load.

    A sum over an axis would round by the batch's size and layout.
    """
    change = np.zeros(len(demand))
    for load in loads:
        for slot in range(3):
            change += demand[:, load, slot] - base[load, slot]
    return change
