"""Policy-mode dispatch as a family of planners: from a scenario to a plan that answers by a rule.

The scenario's disturbances are those of the mode that a study plans for; its log is what is known
of them. Set-points, reserves and response of `dispatch` or `dispatch_network` become a `Plan` whose
rule needs no solver: ``p(w) = p⁰ + A_t (s_t ∘ w)``, or the shares of bought reserves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from gridproof.optimizer.policy_mode.ambiguity import Log
from gridproof.optimizer.policy_mode.dispatch import Dispatch, dispatch
from gridproof.optimizer.policy_mode.feeder_rows import Margins
from gridproof.optimizer.policy_mode.hedge import Hedge, Settings, hedge
from gridproof.optimizer.policy_mode.microgrid import Disturbance, Microgrid, Prices
from gridproof.optimizer.policy_mode.network import dispatch_network
from gridproof.optimizer.policy_mode.options import PolicyModeOptions
from gridproof.scenarios.arrays import BoolArray, FloatArray, index_of
from gridproof.scenarios.errors import ScenarioError
from gridproof.scenarios.event_faults import refuse_events
from gridproof.scenarios.events import EventKind
from gridproof.scenarios.fleet import Ders
from gridproof.scenarios.graph import connected_components
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.provenance import facts_of
from gridproof.scenarios.response import Reserves, ResponseRule

if TYPE_CHECKING:
    from gridproof.optimizer.solver.decomposition import PlanProgress
    from gridproof.scenarios.scenario import Scenario

__all__ = ["PolicyModePlanner", "disturbance_of", "log_of", "microgrid_of", "settings_of"]


ACTS_ON: tuple[EventKind, ...] = ()
"""Kinds of event beside disturbances: none; what a mode's events take is in kW, drawn with them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyModePlanner:
    """Plans a scenario with disturbances: all steps at once, one island, one forming unit."""

    options: PolicyModeOptions = field(default_factory=PolicyModeOptions)

    def plan(
        self,
        scenario: Scenario,
        *,
        progress: Callable[[PlanProgress], None] | None = None,  # noqa: ARG002
    ) -> Plan:
        """Find set-points, reserves and a response, and say over which set they are proven.

        Raises
        ------
        NoPlanExists
            If it is proven that none exists with the method and the response asked for.
        PlanNotFound
            If a limit came before any was found.
        ScenarioError
            If the scenario is none of this family.
        """
        asked = self.options
        flat = asked.network == "copperplate"
        who = 'policy_mode (network = "copperplate")' if flat else "policy_mode"
        refuse_events(scenario, who, ACTS_ON, half_planes=not flat)
        grid, what = microgrid_of(scenario, asked), disturbance_of(scenario)
        held = hedge(asked.method, log_of(scenario), what.shape, settings_of(asked))
        done, q_kvar, held_pu = self._dispatched(scenario, grid, what, held)
        return _plan(scenario, grid, done, q_kvar, held_pu)

    def _dispatched(
        self, scenario: Scenario, grid: Microgrid, what: Disturbance, held: Hedge
    ) -> tuple[Dispatch, FloatArray, FloatArray]:
        """Dispatch, and what the network adds: reactive power, and the magnitude that is held."""
        asked, steps = self.options, len(scenario.hours)
        if asked.network == "copperplate":
            done = dispatch(
                grid, what, held, response=asked.response, time_limit_s=asked.time_limit_s
            )
            return done, np.zeros((steps, len(scenario.ders.ids))), np.ones(steps)
        margins = Margins(
            v_pu=asked.v_margin_pu,
            forming_share=asked.forming_margin_share,
            held_max_pu=asked.held_max_pu,
        )
        found = dispatch_network(
            scenario, grid, what, held, response=asked.response, margins=margins,
            time_limit_s=asked.time_limit_s,
        )  # fmt: skip
        return found.dispatch, found.q_kvar, found.held_pu


def microgrid_of(scenario: Scenario, options: PolicyModeOptions) -> Microgrid:
    """Read a scenario as the one microgrid that this family dispatches.

    Raises
    ------
    ScenarioError
        If no disturbance is stated, nobody can form, or the fleet has what no mode knows.
    """
    if scenario.disturbances.empty:
        raise ScenarioError(
            f"{scenario.name}: nothing may happen, so there is no mode to plan for; state [events]"
        )
    able = np.flatnonzero(scenario.ders.can_form)
    if len(able) != 1:
        raise ScenarioError(
            f"{scenario.name}: {len(able)} DERs can form the island; this family takes one: set "
            "can_form = true for it alone"
        )
    loads, flexible = scenario.feeder.loads, scenario.fleet.flexible_loads
    where = index_of(loads.ids)
    at = [where[name] for name in flexible.ids]
    price, most = np.zeros(len(loads.ids)), np.zeros(len(loads.ids))
    ready = np.full(len(loads.ids), np.inf)
    price[at], most[at] = flexible.usd_per_kwh, flexible.curtailed_share
    ready[at] = flexible.reserve_usd_per_kw
    none = np.full(len(scenario.ders.ids), np.inf)
    up, down = scenario.ders.reserve_up_usd_per_kw, scenario.ders.reserve_down_usd_per_kw
    return Microgrid(
        ders=_in_equal_parts(scenario.ders),
        fleet=replace(scenario.fleet, flexible_loads=type(flexible)()),
        forming=int(able[0]),
        duration_h=scenario.duration_h,
        load_ids=loads.ids,
        load_kw=scenario.load_p_kw.sum(axis=2),
        prices=Prices(
            reserve_up_usd_per_kw=none if up is None else up,
            reserve_down_usd_per_kw=none if down is None else down,
            spill_usd_per_kwh=scenario.fleet.renewables.curtail_usd_per_kwh,
            shed_usd_per_kwh=price,
            shed_most=most,
            interrupt_usd_per_kw=ready,
            reactive_usd_per_kvarh=options.reactive_usd_per_kvarh,
            reserve_h=options.reserve_h,
            reserve_carried=options.reserve_carried,
        ),
        headroom_kw=options.loss_headroom_kw,
    )


def _in_equal_parts(ders: Ders) -> Ders:
    """Return the DERs with their totals, where stated, in place of what their phases may carry."""
    if ders.total_min_kw is None or ders.total_max_kw is None:
        return ders
    part = ders.phase_share
    return replace(
        ders,
        p_min_kw=ders.total_min_kw[:, None] * part,
        p_max_kw=ders.total_max_kw[:, None] * part,
        total_min_kw=None,
        total_max_kw=None,
    )


def disturbance_of(scenario: Scenario) -> Disturbance:
    """Return where and when each component of the scenario's disturbances acts."""
    own = scenario.disturbances
    return Disturbance(
        ids=own.ids, shape=own.shape, of_der=own.der_share, of_load=own.load_share.sum(axis=2)
    )


def log_of(scenario: Scenario) -> Log:
    """Return what was seen, and what could be.

    Raises
    ------
    ScenarioError
        If a row is no number or outside what is possible; with row and column.
    """
    own = scenario.disturbances
    return Log(ids=own.ids, samples=own.log_kw, lower=own.lower_kw, upper=own.upper_kw)


def settings_of(options: PolicyModeOptions) -> Settings:
    """Return the parameters of the sets."""
    return Settings(
        rho=options.rho,
        beta=options.beta,
        gamma=options.covariance_floor,
        cut=options.intersect_support,
        radius_scale=options.radius_scale,
        radius_scale_total=options.radius_scale_total,
    )


def _plan(
    scenario: Scenario, grid: Microgrid, done: Dispatch, q_kvar: FloatArray, held_pu: FloatArray
) -> Plan:
    feeder, ders, steps = scenario.feeder, scenario.ders, len(scenario.hours)
    part = ders.phase_share
    closed = feeder.lines.closed[feeder.switches]
    forming = np.zeros((steps, len(ders.ids)), bool)
    forming[:, grid.forming] = True
    shed = np.divide(done.shed_kw, grid.load_kw, out=np.zeros_like(done.shed_kw),
                     where=grid.load_kw > 0.0)  # fmt: skip
    partly = np.flatnonzero((shed > _NOTHING).any(axis=0))
    return Plan(
        family="policy_mode",
        scenario_digest=scenario.digest(),
        switch_ids=feeder.switch_ids,
        block_ids=feeder.blocks.ids,
        der_ids=ders.ids,
        closed=np.tile(closed, (steps, 1)),
        energized=np.tile(_live(scenario, grid.forming, closed), (steps, 1)),
        grid_forming=forming,
        source_v_pu=np.where(forming, held_pu[:, None], np.nan),
        p_kw=done.p_kw[:, :, None] * part,
        q_kvar=q_kvar[:, :, None] * part,
        costs=MappingProxyType({**_terms(done), "objective": done.cost_usd}),
        proof=replace(done.proof, over=done.proven),
        partial_ids=tuple(feeder.loads.ids[k] for k in partly),
        served_share=np.clip(1.0 - shed[:, partly], 0.0, 1.0),
        made_for=MappingProxyType(facts_of(scenario)),
        reserves=Reserves(up_kw=np.maximum(done.up_kw, 0.0), down_kw=np.maximum(done.down_kw, 0.0)),
        rule=_rule(scenario, done),
    )


_NOTHING = 1e-6  # of a load's demand


def _terms(done: Dispatch) -> dict[str, float]:
    """Terms of the cost by name; ``shed`` is a plan's word for dead blocks, loads are curtailed."""
    return {"curtailed" if name == "shed" else name: usd for name, usd in done.costs_usd.items()}


def _live(scenario: Scenario, forming: int, closed: BoolArray) -> BoolArray:
    """(block,) what the forming unit's island holds."""
    feeder = scenario.feeder
    ends = feeder.switch_blocks[closed]
    island = connected_components(len(feeder.blocks.ids), ends[:, 0], ends[:, 1])
    return np.asarray(island == island[feeder.blocks.of_bus[scenario.ders.bus[forming]]])


def _rule(scenario: Scenario, done: Dispatch) -> ResponseRule:
    """Return the response as a rule over all coordinates of a draw, the disturbances last."""
    shape, names = scenario.disturbances.shape, scenario.direction_ids
    before = len(names) - shape.shape[1]
    size = (len(shape), len(scenario.ders.ids), len(names))
    gain = np.zeros(size)
    if done.response == "affine":
        gain[:, done.der, before:] = done.A * shape[:, None, :]
        return ResponseRule(direction_ids=names, gain=gain)
    down = np.zeros(size)
    interrupted = done.interrupt_kw.sum(axis=1)
    ready = np.flatnonzero((done.interrupt_kw > _NOTHING).any(axis=0))
    cut = np.zeros((len(shape), len(ready), len(names)))
    whole = (done.up_kw.sum(axis=1) + interrupted)[:, None]
    part = np.divide(
        done.interrupt_kw[:, ready], whole, out=np.zeros((len(shape), len(ready))),
        where=whole > _NOTHING,
    )  # fmt: skip
    cut[:, :, before:] = part[:, :, None] * shape[:, None, :]
    for share, bought, more in ((gain, done.up_kw, interrupted), (down, done.down_kw, 0.0)):
        total = bought.sum(axis=1) + more
        part = np.divide(
            bought, total[:, None], out=np.zeros_like(bought), where=total[:, None] > _NOTHING
        )
        share[:, :, before:] = part[:, :, None] * shape[:, None, :]
    weight = np.zeros((len(shape), len(names)))
    weight[:, before:] = shape
    loads = scenario.feeder.loads.ids
    return ResponseRule(
        direction_ids=names,
        gain=gain,
        gain_down=down,
        weight=weight,
        load_ids=tuple(loads[k] for k in ready),
        load_gain=cut,
    )
