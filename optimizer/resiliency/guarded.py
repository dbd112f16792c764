"""The day that is published: what of the plan the physics can follow, losses and draws included.

The second stage of the model sees the loads of the whole day and sheds anew for each of them;
nobody can command that hour by hour. What is published is one share of each load an hour, one
schedule of each storage, and set-points about which machines move once an hour's loads are known::

    1.  all loads up:  operate with a margin at voltages and at machines   → shares, schedules
    2.  nominal loads, the same shares and schedules                       → set-points

No load of the set exceeds those of 1, so that machines can always follow downwards. The margins
are for what the linear model leaves out: losses, and the squares of voltage drops.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from gridproof.optimizer.resiliency.case import ResiliencyCase
from gridproof.optimizer.resiliency.decision import Decision
from gridproof.optimizer.resiliency.grid import Grid
from gridproof.optimizer.resiliency.operation import Operation
from gridproof.optimizer.resiliency.options import ResiliencyOptions
from gridproof.optimizer.resiliency.recourse import Operated, Recourse
from gridproof.scenarios.arrays import FloatArray

__all__ = ["GuardedDay", "guarded", "guarded_day"]

_SPILLED_USD_PER_KWH = 1.0  # a load bank is the last resort: no set-point should count on it


def guarded(case: ResiliencyCase, options: ResiliencyOptions) -> ResiliencyCase:
    """Return the case with the margins that a published day keeps."""
    net, share = case.network, 1.0 - options.headroom_share
    room = min(options.v_margin_pu, net.root_v_pu - net.v_min_pu, net.v_max_pu - net.root_v_pu)
    chps = case.chps
    return replace(
        case,
        network=replace(net, v_min_pu=net.v_min_pu + room, v_max_pu=net.v_max_pu - room),
        chps=replace(
            chps,
            p_max_kw=np.maximum(share * chps.p_max_kw, chps.p_min_kw),
            ramp_up_kw_per_h=options.ramp_kept * chps.ramp_up_kw_per_h,
            ramp_down_kw_per_h=options.ramp_kept * chps.ramp_down_kw_per_h,
        ),
        mobile=replace(case.mobile, p_max_kw=share * case.mobile.p_max_kw),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GuardedDay:
    """The published day.

    Attributes
    ----------
    nominal, columns
        Operation at nominal loads, and the columns of its point.
    share
        (hour, bus) what is supplied of whatever load there is.
    most_kusd
        What the day costs where all loads are up, its margins included: with one schedule for
        every load it is at least what the model, which sheds anew for each, comes to.
    """

    nominal: Operated
    columns: Operation
    share: FloatArray
    most_kusd: float


def guarded_day(
    case: ResiliencyCase, grid: Grid, decision: Decision, options: ResiliencyOptions
) -> GuardedDay:
    """Operate the day that is published."""
    recourse = Recourse(guarded(case, options), grid, spilled_usd_per_kwh=_SPILLED_USD_PER_KWH)
    recourse.hold(decision)
    at = recourse.operation
    most = np.full(case.demand.p_kw.shape, float(case.budgets.load_gamma > 0))
    worst = recourse.operate(most)
    asked = case.demand.p_kw / 1e3
    top = asked * (1.0 + case.budgets.load_share * most)
    share = np.divide(worst.point[at.served], top, out=np.ones_like(top), where=top > 0.0)
    share = np.clip(share, 0.0, 1.0)
    recourse.fix(at.served, share * asked)
    for columns in (at.charged, at.discharged, at.stored):
        recourse.fix(columns, worst.point[columns])
    return GuardedDay(
        nominal=recourse.operate(np.zeros_like(most)),
        columns=at,
        share=share,
        most_kusd=decision.cost(case) + worst.cost,
    )
