"""What the phases before reconfiguration leave to decide: nothing, and why.

t = 1 is what protection does. t = 2 may only open, and what it gains is known: every bus that
frozen lines do not hold to a failure can be cut off it, at one switch for each line between.
Graph searches therefore give both, and the damaged zone of t = 3 as well:

* Opening more than that at t = 2 gains nothing then, as less is connected, and costs the same
  as opening at t = 3.
* Supply at t = 1 and 2 is all load still connected, if normal operation is within limits: in a
  lossless network with consuming loads, fewer loads mean lower flows and higher voltages.
* Cutting off a safe part, held to the damage by k operable lines, saves
  α Σ C_i^e over its buses in a phase and costs β C_sw k. `Isolation.certain` says whether the
  first exceeds the second for every part; where it does not, the phases must be solved together.
* Joining a safe bus to the damaged zone at t = 3 costs and gains nothing.

The tests hold this against the program over all phases.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from gridproof.optimizer.network.bridges import joined
from gridproof.scenarios.arrays import BoolArray, IntArray
from gridproof.scenarios.restoration import Outage
from gridproof.scenarios.restoration_states import PhaseStates

__all__ = ["Isolation", "isolate", "isolate_later"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Isolation:
    """States and damage at t = 0, 1, 2.

    Attributes
    ----------
    end_closed
        (3, line, 2) states of line ends.
    available
        (3, bus) outside the damaged zone; the last row is that of t = 3 as well.
    energized
        (3, bus) supplied by a substation.
    certain
        Whether the reasoning holds for these weights and this normal operation.
    """

    end_closed: BoolArray
    available: BoolArray
    energized: BoolArray
    certain: bool

    @property
    def closed(self) -> BoolArray:
        """(3, line) states of lines."""
        return np.asarray(self.end_closed.all(axis=2), bool)


def isolate(case: Outage) -> Isolation:
    """Work out the automatic response and the remote isolation of a case."""
    before = np.repeat(case.feeder.lines.closed[:, None], 2, axis=1)
    one, damaged_one = _automatic(case, before)
    two, damaged_two, cheap = _remote(case, one)
    states = np.stack([before, one, two])
    damaged = np.stack([np.zeros_like(damaged_one), damaged_one, damaged_two])
    energized = np.stack([_supplied(case, states[t].all(axis=1), damaged[t]) for t in range(3)])
    return Isolation(
        end_closed=states,
        available=~damaged,
        energized=energized,
        certain=cheap and _normal_within_limits(case, energized[0]),
    )


def isolate_later(case: Outage, former: PhaseStates) -> Isolation:
    """Work out what a later response parts from the damage before it restores anything.

    Whatever can be parted now is: switches that crews have reached open between what is still
    held to a failure and what is not. What was mended holds nothing any more.

    Parameters
    ----------
    case
        What still is damaged, and what may be switched by now.
    former
        Its last phase is where this response starts.
    """
    left = former.end_closed[3]
    two, damaged, cheap = _remote(case, left)
    return Isolation(
        end_closed=np.stack([former.end_closed[0], left, two]),
        available=np.stack([former.available[0], former.available[3], ~damaged]),
        energized=np.stack([former.energized[0], former.energized[3], former.energized[3]]),
        certain=cheap,
    )


def _automatic(case: Outage, before: BoolArray) -> tuple[BoolArray, BoolArray]:
    """Answer automatically, t = 1: (8), and protection at the damaged zone's rim has opened."""
    devices = case.devices
    guarded = devices.protective_end
    now = before.copy()
    cables = case.failed[devices.underground[case.failed]]
    now[cables] &= ~guarded[cables]
    spreads = before.all(axis=1) & ~devices.protective
    damaged = _spread(case, _struck(case, now), spreads)
    for k in cables[devices.protective[cables]].tolist():
        if before[k].all() and not (guarded[k] & ~damaged[case.ends[k]]).any():
            now[k] = before[k]  # both of its guarded ends are lost anyway: it need not move
    rim = damaged[case.ends[:, 0]] != damaged[case.ends[:, 1]]
    opens = rim & now.all(axis=1) & devices.protective
    now[opens] &= ~guarded[opens]
    return now, damaged


def _remote(case: Outage, one: BoolArray) -> tuple[BoolArray, BoolArray, bool]:
    """Isolate, t = 2: (9)-(11); all that operable switches can part from the failures is parted."""
    devices = case.devices
    operable = case.operable_end
    closed = np.asarray(one.all(axis=1), bool)
    cables = case.failed[devices.underground[case.failed]]
    freed = one.copy()
    freed[cables] &= ~operable[cables]
    frozen = closed & ~operable.any(axis=1)
    damaged = _spread(case, _struck(case, freed), frozen)
    sides = damaged[case.ends]
    opens = closed & (sides[:, 0] != sides[:, 1])
    failed = np.zeros(len(closed), bool)
    failed[cables] = True
    at_source = (case.substation[case.ends] & operable).any(axis=1)
    opens |= failed & one.any(axis=1) & (~sides.all(axis=1) | at_source)
    two = one.copy()
    two[opens] &= ~operable[opens]
    return two, damaged, _worth_cutting(case, frozen, damaged, closed & opens)


def _worth_cutting(case: Outage, frozen: BoolArray, damaged: BoolArray, opens: BoolArray) -> bool:
    label = _labels(case, frozen)
    gain = np.bincount(label, weights=case.lost_bus)
    safe_end = ~damaged[case.ends[opens]]
    cuts = np.bincount(label[case.ends[opens][safe_end]], minlength=len(gain))
    return bool((gain >= 2.0 * case.prices.switching * cuts).all())


def _normal_within_limits(case: Outage, supplied: BoolArray) -> bool:
    """Whether the radial network before the event meets ratings and band with all load on."""
    feeder, limits = case.feeder, case.limits
    base_kv = float(feeder.buses.base_kv[0]) * np.sqrt(3.0)
    p, q = (demand / 1e3 for demand in case.bus_demand())
    r, x = (z / base_kv**2 for z in case.impedance_ohm())
    s_max = case.rating_mva()
    order, parent, line = _outward(case)
    below_p, below_q = p.copy(), q.copy()
    for i in order[::-1].tolist():
        if parent[i] >= 0:
            below_p[parent[i]] += below_p[i]
            below_q[parent[i]] += below_q[i]
    w = np.ones(len(p))
    w[feeder.sources.bus] = feeder.sources.v_pu**2
    for i in order.tolist():
        if parent[i] >= 0:
            w[i] = w[parent[i]] - 2.0 * (r[line[i]] * below_p[i] + x[line[i]] * below_q[i])
    fed = np.flatnonzero(parent >= 0)
    carried = np.hypot(below_p[fed], below_q[fed]) <= np.cos(np.pi / 16) * s_max[line[fed]]
    band = (w >= limits.v_min_pu**2) & (w <= limits.v_max_pu**2)
    return bool(carried.all() and band[supplied].all())


def _outward(case: Outage) -> tuple[IntArray, IntArray, IntArray]:
    """Buses in search order from the substations, and each bus's parent and line (-1: none)."""
    touching: list[list[tuple[int, int]]] = [[] for _ in case.feeder.buses.ids]
    for k in np.flatnonzero(case.feeder.lines.closed).tolist():
        i, j = case.ends[k].tolist()
        touching[i].append((j, k))
        touching[j].append((i, k))
    parent = np.full(len(touching), -1, np.int64)
    line = np.full(len(touching), -1, np.int64)
    order = case.feeder.sources.bus.tolist()
    met = set(order)
    for i in order:  # grows while it is read
        for j, k in touching[i]:
            if j not in met:
                met.add(j)
                parent[j], line[j] = i, k
                order.append(j)
    return np.array(order, np.int64), parent, line


def _struck(case: Outage, end_closed: BoolArray) -> BoolArray:
    """(bus,) (10)-(11): what a failure takes down directly."""
    struck = np.zeros(len(case.feeder.buses.ids), bool)
    cable = case.devices.underground[case.failed]
    wires = case.failed[case.strikes[case.failed]]
    struck[case.ends[wires].ravel()] = True
    cables = case.failed[cable]
    struck[case.ends[cables][end_closed[cables]]] = True
    return struck & ~case.substation


def _spread(case: Outage, struck: BoolArray, spreads: BoolArray) -> BoolArray:
    label = _labels(case, spreads)
    return np.isin(label, label[struck])


def _supplied(case: Outage, closed: BoolArray, damaged: BoolArray) -> BoolArray:
    label = _labels(case, closed)
    live = case.feeder.sources.bus
    return np.isin(label, label[live[~damaged[live]]])


def _labels(case: Outage, kept: BoolArray) -> IntArray:
    return joined(len(case.feeder.buses.ids), case.ends[kept])
