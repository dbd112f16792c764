"""A cost below which no partition is, whatever its set-points: by what physics leaves of a network.

Lines, transformers and shunts take active power and give none, so that what the DERs of an island
make is at least what its loads take. Nothing of LinDist3Flow is used, nor any voltage, current,
single phase or reactive power: the bound holds for plans under AC power flow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyomo.environ as pyo
from gridproof.optimizer.network.branches import BASE_KVA
from gridproof.optimizer.network.network import Network
from gridproof.optimizer.partitioning.master import build_first_stage
from gridproof.optimizer.partitioning.options import PartitioningOptions
from gridproof.optimizer.solver.pyomo_model import solve
from gridproof.scenarios.arrays import FloatArray
from gridproof.scenarios.realization import realize

if TYPE_CHECKING:
    from gridproof.scenarios.load_models import LoadModel
    from gridproof.scenarios.scenario import Scenario

__all__ = ["AcBound", "ac_cost_bound", "least_demand_kw"]

_MODEL_PU = (0.5, 1.5)  # voltage across a load, on its own base, between which its model holds
_PASSIVE = 1e-9  # of the largest entry, what rounding may take from a semidefinite matrix


@dataclass(frozen=True, slots=True, kw_only=True)
class AcBound:
    """What no plan costs less than.

    Attributes
    ----------
    usd
        Shed and generation cost of all steps together; ``-inf`` where nothing is shown.
    why_not
        What stands against a bound; empty where there is one.
    """

    usd: float
    why_not: str = ""


def ac_cost_bound(
    scenario: Scenario, options: PartitioningOptions, *, time_limit_s: float = 60.0
) -> AcBound:
    """Bound the cost of every plan that every load of the set has an AC power flow under.

    By step, with the states of the first stage (radiality, colours, what the options ask for)
    and, at the nominal load and where all demand is largest in the set (of a budget: a point of it
    on the way there), for the active power ``P_g`` of all phases of a DER and what switches carry::

        min  Σ α_l (1 - z_l) + Σ c_g P_g
        s.t. Σ_{g in l} P_g + Σ_s in f_s - Σ_s out f_s ≥ d_l z_l    every block l
             z P_min ≤ P_g ≤ z P_max,   |f_s| ≤ F z_s

    ``d_l`` is the least that the block's loads can take while their models hold
    (`least_demand_kw`). Base set-points that serve the nominal load are such ``P``, too, so that
    a cost counted from them is bounded like that of what is made.

    Parameters
    ----------
    scenario, options
        What is planned for; margins of the options play no part.
    time_limit_s
        For each step; a search that ends early has a bound all the same.
    """
    why_not = _active(scenario)
    if why_not:
        return AcBound(usd=-np.inf, why_not=why_not)
    usd = sum(
        _step_usd(scenario, time, options, time_limit_s) for time in range(len(scenario.hours))
    )
    return AcBound(usd=usd, why_not="" if np.isfinite(usd) else "the search for one ended early")


def least_demand_kw(scenario: Scenario, zeta: FloatArray, time: int) -> FloatArray:
    """(block,) the least that loads can take at ``zeta``, between 0.5 and 1.5 pu across each."""
    draw = realize(scenario, zeta[None])
    kw = draw.p_kw[0, time]
    low, high = np.array([_factors(model) for model in scenario.load_model]).reshape(-1, 2).T
    least = np.where(kw >= 0.0, low[:, None] * kw, high[:, None] * kw).sum(axis=1)
    feeder = scenario.feeder
    block = feeder.blocks.of_bus[feeder.loads.bus]
    by_block: FloatArray = np.zeros(len(feeder.blocks.ids))
    np.add.at(by_block, block, least)
    return by_block


def _factors(model: LoadModel) -> tuple[float, float]:
    """Least and most of ``Σ share |v|^exponent`` where the model holds, term by term."""
    terms = [[share * v**exponent for v in _MODEL_PU] for share, exponent in model.active]
    return sum(min(pair) for pair in terms), sum(max(pair) for pair in terms)


def _active(scenario: Scenario) -> str:
    """Name what could give active power beside the DERs."""
    lines, transformers = scenario.feeder.lines, scenario.feeder.transformers
    for name, r in zip(lines.ids, lines.r_ohm, strict=True):
        if np.linalg.eigvalsh((r + r.T) / 2.0).min() < -_PASSIVE * np.abs(r).max():
            return (
                f"the resistance of line {name} is not positive semidefinite: it could give power"
            )
    if (transformers.r_pu < 0.0).any() or (scenario.feeder.capacitors.p_kw < 0.0).any():
        return "a transformer or a shunt has a negative resistance"
    if not scenario.fleet.empty:
        return "what storages, renewables and CHPs give is not bounded by their DERs' rows alone"
    unlimited = np.isinf(scenario.ders.capacity_kw) & (scenario.ders.cost_usd_per_kw < 0.0)
    return "a source without a rating is paid for what it gives" if unlimited.any() else ""


def _step_usd(
    scenario: Scenario, time: int, options: PartitioningOptions, time_limit_s: float
) -> float:
    network = Network.of(scenario, time)
    m = build_first_stage(network, options)
    nominal = np.zeros(scenario.uncertainty.size)
    m.copies = pyo.Block(range(2))
    made = _add_balance(m, m.copies[0], network, nominal)
    _add_balance(m, m.copies[1], network, _heaviest(scenario, options, time))
    price = scenario.ders.cost_usd_per_kw * BASE_KVA
    shed = sum(float(a) * (1 - m.energized[b]) for b, a in enumerate(scenario.shed_usd))
    m.cost = pyo.Objective(expr=shed + sum(float(price[g]) * made[g] for g in made))
    return solve(m, gap=1e-6, time_limit_s=time_limit_s).bound


def _heaviest(scenario: Scenario, options: PartitioningOptions, time: int) -> FloatArray:
    """Return a point of the set: all demand up, and within a budget a part of the way."""
    box = scenario.uncertainty
    total = dict(
        zip(scenario.feeder.loads.ids, scenario.load_p_kw[time].sum(axis=1).tolist(), strict=True)
    )
    sign: FloatArray = np.sign(np.array([total[name] for name in box.load_ids], float))
    moving = int(np.count_nonzero(sign))
    share = 1.0 if options.budget is None else min(1.0, options.budget / max(moving, 1))
    return share * np.abs(sign) * np.where(sign < 0.0, box.low, box.high)


def _add_balance(m: Any, b: Any, network: Network, zeta: FloatArray) -> Any:
    """Add one copy of the blocks' balances; returns the DERs' powers, in units of `BASE_KVA`."""
    scenario, ders = network.scenario, network.scenario.ders
    need = least_demand_kw(scenario, zeta, network.time) / BASE_KVA
    most = ders.capacity_kw / BASE_KVA
    # more than all of the demand, and what others may take, is never wanted of a source
    least = ders.p_min_kw.sum(axis=1) / BASE_KVA
    enough = np.maximum(need, 0.0).sum() - np.minimum(least, 0.0).sum()
    most = np.where(np.isinf(most), enough, most)
    # a verdict lets a limit be passed by its tolerance
    slack = scenario.limits.tolerance * np.maximum(np.abs(most), np.abs(least))
    most, least = most + slack, least - slack
    carried = enough + np.maximum(-need, 0.0).sum() + np.maximum(most, 0.0).sum()
    ends, count = scenario.feeder.switch_blocks, len(scenario.feeder.switch_blocks)
    home = network.block[network.der_bus]
    b.made = pyo.Var(range(len(home)))
    b.carried = pyo.Var(range(count), bounds=(-carried, carried))
    b.rows = pyo.ConstraintList()
    for g, block in enumerate(home.tolist()):
        b.rows.add(b.made[g] <= float(most[g]) * m.energized[block])
        b.rows.add(b.made[g] >= float(least[g]) * m.energized[block])
    for k in range(count):
        b.rows.add(b.carried[k] <= carried * m.closed[k])
        b.rows.add(b.carried[k] >= -carried * m.closed[k])
    for block in range(len(need)):
        into = sum(
            (int(ends[k, 1] == block) - int(ends[k, 0] == block)) * b.carried[k]
            for k in np.flatnonzero((ends == block).any(axis=1)).tolist()
        )
        own = sum(b.made[g] for g in np.flatnonzero(home == block).tolist())
        b.rows.add(own + into - float(need[block]) * m.energized[block] >= 0.0)
    return b.made
