"""Which lines of a feeder a tree could be cut at: what each feeds alone, and which close loops."""

from __future__ import annotations

import numpy as np
from gridproof.scenarios.arrays import BoolArray, FloatArray
from gridproof.scenarios.feeder import Feeder

__all__ = ["looped_switches", "splits"]

_MOST_SPLITS = 3
_LEAST_SHARE = 0.12  # of all load: what a proposed switch has at least to either side


def looped_switches(feeder: Feeder, lost: str = "") -> tuple[str, ...]:
    """Switches that stand closed in a loop that a source feeds, but for the one that is lost."""
    lines = feeder.lines
    below, fed = _load_below(feeder)
    looped = lines.closed & lines.switchable & np.isnan(below)
    looped &= fed[lines.from_bus] & fed[lines.to_bus]
    return tuple(lines.ids[k] for k in np.flatnonzero(looped) if lines.ids[k] != lost)


def splits(feeder: Feeder, lost: str) -> tuple[str, ...]:
    """Three-phase lines of a tree that divide its load into like parts."""
    lines = feeder.lines
    three = np.flatnonzero(lines.closed & lines.phases.all(axis=1) & ~np.isin(lines.ids, [lost]))
    below, _ = _load_below(feeder)
    total = max(float(feeder.loads.p_kw.sum()), 1e-9)
    chosen: list[int] = []
    for part in range(1, _MOST_SPLITS + 1):
        wanted = total * part / (_MOST_SPLITS + 1)
        able = [
            k
            for k in three.tolist()
            if np.isfinite(below[k])
            and _LEAST_SHARE * total <= below[k] <= (1.0 - _LEAST_SHARE) * total
            and all(abs(below[k] - below[j]) >= _LEAST_SHARE * total for j in chosen)
        ]
        if able:
            chosen.append(min(able, key=lambda k: abs(below[k] - wanted)))
    return tuple(lines.ids[k] for k in chosen)


def _load_below(feeder: Feeder) -> tuple[FloatArray, BoolArray]:
    """(line,) load that a line alone feeds, kW, NaN where it is in a loop or dead; (bus,) fed."""
    lines, units, count = feeder.lines, feeder.transformers, len(feeder.buses.ids)
    own = np.bincount(feeder.loads.bus, feeder.loads.p_kw.sum(axis=1), minlength=count)
    beside: list[list[tuple[int, int]]] = [[] for _ in range(count)]
    for k in np.flatnonzero(lines.closed).tolist():
        beside[lines.from_bus[k]].append((int(lines.to_bus[k]), k))
        beside[lines.to_bus[k]].append((int(lines.from_bus[k]), k))
    for k in range(len(units.ids)):
        beside[units.from_bus[k]].append((int(units.to_bus[k]), -1))
        beside[units.to_bus[k]].append((int(units.from_bus[k]), -1))
    below = np.full(len(lines.ids), np.nan)
    seen, order = np.zeros(count, bool), []
    for source in feeder.sources.bus.tolist():
        front = [(source, -1, -1)]
        while front:
            bus, above, line = front.pop()
            if seen[bus]:
                continue
            seen[bus] = True
            order.append((bus, above, line))
            front += [(there, bus, k) for there, k in beside[bus] if not seen[there]]
    depth = {bus: n for n, (bus, _, _) in enumerate(order)}
    parent = {bus: above for bus, above, _ in order}
    looped: BoolArray = np.zeros(count, bool)
    tree = {(bus, line) for bus, _, line in order}
    for bus, neighbours in enumerate(beside):
        for there, k in neighbours:
            if k >= 0 and seen[bus] and (bus, k) not in tree and (there, k) not in tree:
                one, other = bus, there
                while one != other:
                    deeper = one if depth[one] > depth[other] else other
                    looped[deeper] = True
                    one, other = (parent[one], other) if deeper == one else (one, parent[other])
    carried = own.copy()
    for bus, above, line in reversed(order):
        if line >= 0 and not looped[bus]:
            below[line] = carried[bus]
        if above >= 0:
            carried[above] += carried[bus]
    return below, seen
