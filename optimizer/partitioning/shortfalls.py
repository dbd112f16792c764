"""The least limits to pass for a block to be live: the elastic program, and what it says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pyomo.environ as pyo
from gridproof.optimizer.network.branches import BASE_KVA
from gridproof.optimizer.network.decisions import Decisions
from gridproof.optimizer.network.devices import add_base_setpoints, add_redispatch
from gridproof.optimizer.network.elastic import (
    Slack,
    add_elastic_devices,
    add_elastic_flow,
    widened,
)
from gridproof.optimizer.network.first_stage import FirstStage
from gridproof.optimizer.network.flow import add_flow
from gridproof.optimizer.network.laterals import SeenNetwork
from gridproof.optimizer.network.network import Network
from gridproof.optimizer.partitioning.master import build_first_stage, decisions_of, read_candidate
from gridproof.optimizer.solver.pyomo_model import solve
from gridproof.scenarios.arrays import PHASES, BoolArray, FloatArray
from gridproof.scenarios.errors import SolverError
from gridproof.scenarios.realization import realize

if TYPE_CHECKING:
    from gridproof.optimizer.partitioning.options import PartitioningOptions

__all__ = ["Elastic", "Shortfall", "least_shortfalls", "redispatch_shortfalls"]

_NOTHING = 1e-6  # pu: 1 W; a million times what HiGHS lets a row be off
_GAP = 1e-3
_PAIRS = ("ab", "bc", "ca")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortfall:
    """One limit that stands in the way, and by how much.

    Attributes
    ----------
    kind
        ``active``, ``total`` (of all phases), ``reactive``, ``apparent``, ``power_factor``,
        ``capability`` (its curve), ``ramp_active`` or ``ramp_reactive`` of a DER;
        ``line`` or ``transformer`` rating; ``voltage`` of a bus; ``missing_active`` or
        ``missing_reactive`` at a bus.
    element
        Its id.
    phase
        ``a``, ``ab``, or empty where all are meant.
    upper
        Whether it is the upper end: a DER lacks power, a voltage is too high.
    amount, unit
        How far it would have to be passed.
    limit
        The limit itself in the same unit, as the planner keeps it; None where there is none.
    drawn_in
        Whether the limit is a circle that the planner writes as a polygon inside it.
    """

    kind: str
    element: str
    phase: str
    upper: bool
    amount: float
    unit: str
    limit: float | None
    drawn_in: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Elastic:
    """What the elastic program ended with.

    Attributes
    ----------
    least, bound
        Sum of weighted violations found, and what none can be below; pu.
    shortfalls
        The violations.
    copy
        The realization at which most lacks; None at the nominal load.
    """

    least: float
    bound: float
    shortfalls: tuple[Shortfall, ...] = ()
    copy: int | None = None

    @property
    def impossible(self) -> bool:
        """Whether something lacks in any case."""
        return self.bound > _NOTHING

    @property
    def possible(self) -> bool:
        """Whether nothing lacks at the realizations that were asked."""
        return self.least <= _NOTHING

    @property
    def undecided(self) -> bool:
        """Whether a limit came first."""
        return not (self.impossible or self.possible)


def least_shortfalls(
    network: Network,
    options: PartitioningOptions,
    block: int,
    zetas: Sequence[FloatArray],
    *,
    time_limit_s: float,
) -> Elastic:
    """Find the least violations with a block forced live, all other states free.

    The states are chosen by a mixed-integer program; what lacks is then read from the linear
    program at these states, which needs no relaxed rows.

    Parameters
    ----------
    network, options
        As the plan is searched for.
    block
        Position of the block.
    zetas
        Realizations that must be served beside the nominal load, whose limits then are hard.
        Without any, the nominal load's limits may be passed.
    time_limit_s
        Wall time.
    """
    deadline = perf_counter() + time_limit_s
    wide = widened(network)
    m = build_first_stage(wide, options)
    m.energized[block].fix(1)
    _add_copies(m, network, decisions_of(m), block, zetas)
    answer = solve(m, gap=_GAP, time_limit_s=time_limit_s)
    if not answer.found or answer.bound <= _NOTHING:
        return Elastic(least=answer.incumbent, bound=answer.bound)
    stage = read_candidate(m, wide)
    m = pyo.ConcreteModel()
    m.source_w = pyo.Var(range(len(wide.der_bus)), bounds=lambda _, g: wide.held_w(g))
    plain = replace(stage.decisions(), source_w=dict(m.source_w.items()))
    copies = _add_copies(m, network, plain, block, zetas)
    left = solve(m, time_limit_s=max(1.0, deadline - perf_counter()))
    if not left.found:
        return Elastic(least=answer.incumbent, bound=answer.bound)
    found = [(_read(network, b), b) for b in copies]
    most = max(range(len(copies)), key=lambda k: pyo.value(_paid(copies[k])))
    return Elastic(
        least=left.incumbent,
        bound=answer.bound,
        shortfalls=found[most][0],
        copy=most if zetas else None,
    )


def lacking_at(seen: SeenNetwork, zeta: FloatArray | None) -> dict[int, tuple[Shortfall, ...]]:
    """List by block what its laterals lack wherever their roots stand.

    Parameters
    ----------
    seen
        The network.
    zeta
        A realization; the nominal load if None.
    """
    network = seen.network
    demand = network.nominal
    if zeta is not None:
        draw = realize(network.scenario, zeta[None])
        demand = network.demand(draw.p_kw[0, network.time], draw.q_kvar[0, network.time])
    found = {}
    for block, limits in seen.lacking(demand).items():
        told = [
            _told(network, slack, over)
            for slack, over in limits.items()
            if slack.kind in {"voltage", "rating"} and over > _NOTHING
        ]
        if told:
            found[block] = _in_order(told)
    return found


def redispatch_shortfalls(
    network: Network, stage: FirstStage, zeta: FloatArray, *, time_limit_s: float
) -> tuple[Shortfall, ...]:
    """Say what a re-dispatch lacks at one realization, the plan held as it is.

    The least sum of violations, as in `least_shortfalls`; nothing where a re-dispatch exists.

    Parameters
    ----------
    network, stage
        The plan's step.
    zeta
        (direction,) the realization.
    time_limit_s
        Wall time.

    Raises
    ------
    SolverError
        If the program was not solved in that time.
    """
    decisions, m = stage.decisions(), pyo.ConcreteModel()
    draw = realize(network.scenario, zeta[None])
    demand = network.demand(draw.p_kw[0, network.time], draw.q_kvar[0, network.time])
    base = (dict(np.ndenumerate(stage.p)), dict(np.ndenumerate(stage.q)))
    moved = add_redispatch(m, network, decisions, base)
    add_flow(m, widened(network), decisions, (moved.p, moved.q), demand, slack=True)
    _soften(m, network, decisions, _volt_weight(network, stage.energized))
    m.cost = pyo.Objective(expr=_paid(m))
    answer = solve(m, time_limit_s=time_limit_s)
    if not answer.found:
        raise SolverError(
            f"what a re-dispatch lacks was not found in {time_limit_s:g} s: {answer.termination}"
        )
    return _read(network, m)


def _add_copies(
    m: Any, network: Network, decisions: Decisions, block: int, zetas: Sequence[FloatArray]
) -> list[Any]:
    """Nominal load and realizations on a model that holds the states; returns the soft ones."""
    wide = widened(network)
    add_base_setpoints(m, network, decisions)
    m.realization = pyo.Block(range(len(zetas)))
    base = (m.base.p, m.base.q)
    if zetas:
        m.nominal = pyo.Block()
        add_flow(m.nominal, network, decisions, base, network.nominal)
    else:
        add_flow(m, wide, decisions, base, network.nominal, slack=True)
    soft = [m.realization[k] for k in range(len(zetas))] if zetas else [m]
    for number, zeta in enumerate(zetas):
        b = m.realization[number]
        draw = realize(network.scenario, zeta[None])
        demand = network.demand(draw.p_kw[0, network.time], draw.q_kvar[0, network.time])
        moved = add_redispatch(b, network, decisions, base)
        add_flow(b, wide, decisions, (moved.p, moved.q), demand, slack=True)
    alone = np.arange(len(network.scenario.shed_usd)) == block
    for b in soft:
        _soften(b, network, decisions, _volt_weight(network, alone))
    m.cost = pyo.Objective(expr=sum(_paid(b) for b in soft))
    return soft


def _paid(b: Any) -> Any:
    return b.soft_devices.price + b.soft_flow.paid


def _soften(b: Any, network: Network, decisions: Decisions, volt_weight: float) -> None:
    """Give a copy's limits their slack."""
    for moved in b.flow.held_excess.values():
        moved.fix(0.0)  # nobody moves what a substation holds: it is no limit to pass
    add_elastic_devices(b, network)
    add_elastic_flow(b, network, decisions, volt_weight=volt_weight, most=_most(network))


def _volt_weight(network: Network, blocks: BoolArray) -> float:
    """One pu at every node of the blocks is worth their demand, so that units compare."""
    demand = float(network.scenario.block_demand_kw(network.time)[blocks].sum()) / BASE_KVA
    return max(demand, 1e-3) / max(1, int(network.phases[blocks[network.block]].sum()))


def _most(network: Network) -> float:
    """More than any branch could carry: all demand and all DERs, ten times over."""
    p, q = network.nominal
    made = np.abs(network.ders.p_max).sum() + np.abs(network.ders.q_max).sum()
    hanging = np.abs(network.per_w_p).sum() + np.abs(network.per_w_q).sum()
    return 10.0 * float(1.0 + np.abs(p).sum() + np.abs(q).sum() + made + hanging)


# ------------------------------------------------------------------------------------ reading


def _read(network: Network, b: Any) -> tuple[Shortfall, ...]:
    """List what lacks in one copy, greatest first within each kind."""
    found = []
    for soft in (b.soft_devices, b.soft_flow):
        for slack, variable in soft.slacks.items():
            amount = float(pyo.value(variable))
            if amount > _NOTHING:
                found.append(_told(network, slack, amount))
    for (kind, bus, phase, side), variable in b.flow.excess.items():
        amount = float(pyo.value(variable))
        if amount > _NOTHING:
            found.append(
                Shortfall(
                    kind="missing_active" if kind == "p" else "missing_reactive",
                    element=network.scenario.feeder.buses.ids[bus],
                    phase=PHASES[phase],
                    upper=side == "over",
                    amount=amount * BASE_KVA,
                    unit="kW" if kind == "p" else "kvar",
                    limit=None,
                )
            )
    return _in_order(found)


def _in_order(found: Sequence[Shortfall]) -> tuple[Shortfall, ...]:
    order = {kind: place for place, kind in enumerate(_ORDER)}
    return tuple(sorted(found, key=lambda one: (order[one.kind], -one.amount)))


_ORDER = (
    "missing_active", "active", "total", "apparent", "ramp_active", "line", "transformer",
    "voltage", "reactive", "power_factor", "capability", "ramp_reactive", "missing_reactive",
)  # fmt: skip


def _told(network: Network, slack: Slack, amount: float) -> Shortfall:
    if slack.kind == "voltage":
        return _voltage(network, slack, amount)
    if slack.kind == "rating":
        return _rating(network, slack, amount)
    return _of_der(network, slack, amount)


def _of_der(network: Network, slack: Slack, amount: float) -> Shortfall:
    ders, where = network.ders, (slack.place, slack.slot)
    none = np.full_like(ders.p_max, np.inf)  # what it may give follows what it gives
    limit, unit = {
        "power_factor": (none, "kvar"),
        "capability": (none, "kvar"),
        "total": (ders.total_max if slack.upper else ders.total_min, "kW"),
        "active": (ders.p_max if slack.upper else ders.p_min, "kW"),
        "reactive": (ders.q_max if slack.upper else ders.q_min, "kvar"),
        "apparent": (ders.s_max, "kVA"),
        "ramp_active": (ders.ramp_p, "kW"),
        "ramp_reactive": (ders.ramp_q, "kvar"),
    }[slack.kind]
    return Shortfall(
        kind=slack.kind,
        element=network.scenario.ders.ids[slack.place],
        phase="" if slack.slot < 0 else PHASES[slack.slot],
        upper=slack.upper,
        amount=amount * BASE_KVA,
        unit=unit,
        limit=float(limit[where[: limit.ndim]]) * BASE_KVA if limit is not none else None,
        drawn_in=slack.kind == "apparent",
    )


def _rating(network: Network, slack: Slack, amount: float) -> Shortfall:
    branch = network.branches[slack.place]
    kind, _, name = branch.name.partition(" ")
    if kind != "line":
        unit, per_pu = "kVA", BASE_KVA
        name = name if kind == "transformer" else branch.name
        limit = branch.limits[0 if slack.slot < 0 else min(slack.slot, len(branch.limits) - 1)][1]
        phase = ""
    else:
        scenario = network.scenario
        volts = scenario.feeder.buses.base_kv[branch.start] * scenario.limits.v_min_pu
        unit, per_pu = "A", BASE_KVA / float(volts)
        slot = max(slack.slot, 0)
        limit = branch.limits[slot][1]
        phase = PHASES[int(np.flatnonzero(branch.from_w[slot])[0])]
    return Shortfall(
        kind="line" if kind == "line" else "transformer",
        element=name,
        phase=phase,
        upper=True,
        amount=amount * per_pu,
        unit=unit,
        limit=limit * per_pu,
        drawn_in=True,
    )


def _voltage(network: Network, slack: Slack, amount: float) -> Shortfall:
    bus, limits = slack.place, network
    edge = float((limits.bus_w_max if slack.upper else limits.bus_w_min)[bus])
    reached = max(edge + amount if slack.upper else edge - amount, 0.0)
    return Shortfall(
        kind="voltage",
        element=network.scenario.feeder.buses.ids[bus],
        phase=_PAIRS[slack.slot] if network.pairwise else PHASES[slack.slot],
        upper=slack.upper,
        amount=abs(float(np.sqrt(reached) - np.sqrt(edge))),
        unit="pu",
        limit=float(np.sqrt(edge)),
    )
