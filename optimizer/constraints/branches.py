"""Lines and transformers as one kind of branch, per unit, phase by phase."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scenarios.arrays import BoolArray, FloatArray
from scenarios.feeder import Connection
from scenarios.lindist import line_matrices, transformer_maps

if TYPE_CHECKING:
    from scenarios.scenario import Scenario

__all__ = ["BASE_KVA", "Branch", "idle_branches", "lines_of", "transformers_of"]

BASE_KVA = 1000.0
"""Power base per phase."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Branch:
    """A line, switch or transformer; positive flow goes from ``start`` to ``end``.

    Attributes
    ----------
    start, end
        Bus positions.
    from_w, to_w
        (channel, 3) squared channel voltages from squared phase voltages; the ratio is in
        ``to_w`` already.
    drop_p, drop_q
        (channel, channel) ``Mp`` and ``Mq``.
    from_active, from_reactive, to_active, to_reactive
        (3, channel) phase powers from channel powers, at either side.
    limits
        Apparent power limits as (channel weights, ``S``): per phase for a line, the sum of
        all windings for a transformer.
    switch
        Position among the feeder's switches, -1 if the branch is none.
    """

    name: str
    start: int
    end: int
    from_w: FloatArray
    to_w: FloatArray
    drop_p: FloatArray
    drop_q: FloatArray
    from_active: FloatArray
    from_reactive: FloatArray
    to_active: FloatArray
    to_reactive: FloatArray
    limits: tuple[tuple[FloatArray, float], ...]
    switch: int

    @property
    def channels(self) -> int:
        """Number of channels."""
        return len(self.from_w)


def lines_of(scenario: Scenario, share: float) -> list[Branch]:
    """Take the lines that are closed or may be, with limits drawn in by a share."""
    feeder = scenario.feeder
    lines, buses = feeder.lines, feeder.buses
    switch_of = {int(line): k for k, line in enumerate(feeder.switches)}
    branches = []
    for k, name in enumerate(lines.ids):
        if not (lines.closed[k] or lines.switchable[k]):
            continue
        held = np.flatnonzero(lines.phases[k])
        base_kv = buses.base_kv[lines.from_bus[k]]
        z_base = base_kv**2 / (BASE_KVA / 1000.0)
        drop_p, drop_q = line_matrices(lines.r_ohm[k] / z_base, lines.x_ohm[k] / z_base)
        grid, one = np.ix_(held, held), np.eye(3)[held]
        # amperes at the lowest admitted voltage: the model never admits more than the rating
        rating = lines.rating_a[k] * base_kv * scenario.limits.v_min_pu / BASE_KVA
        branches.append(
            Branch(
                name=f"line {name}",
                start=int(lines.from_bus[k]),
                end=int(lines.to_bus[k]),
                from_w=one,
                to_w=one,
                drop_p=drop_p[grid],
                drop_q=drop_q[grid],
                from_active=one.T,
                from_reactive=np.zeros((3, len(held))),
                to_active=one.T,
                to_reactive=np.zeros((3, len(held))),
                limits=tuple((row, rating * (1.0 - share)) for row in np.eye(len(held))),
                switch=switch_of.get(k, -1),
            )
        )
    return branches


def transformers_of(scenario: Scenario, share: float) -> list[Branch]:
    """Take the transformers, a channel per winding, with limits drawn in by a share."""
    feeder = scenario.feeder
    units, buses = feeder.transformers, feeder.buses
    branches = []
    for k, name in enumerate(units.ids):
        maps = transformer_maps(units.from_connection[k], units.to_connection[k], units.windings[k])
        windings = int(units.windings[k].sum())
        # impedance per winding, on the winding's own rating, brought to the power base
        scale = BASE_KVA * windings / units.rating_kva[k]
        scale *= (
            _rated_over_base(
                units.from_connection[k],
                units.from_kv[k],
                windings,
                buses.base_kv[units.from_bus[k]],
            )
            ** 2
        )
        series = 2.0 * scale * np.eye(windings)
        branches.append(
            Branch(
                name=f"transformer {name}",
                start=int(units.from_bus[k]),
                end=int(units.to_bus[k]),
                from_w=maps.from_w,
                to_w=maps.to_w * units.ratio[k] ** 2,
                drop_p=-units.r_pu[k] * series,
                drop_q=-units.x_pu[k] * series,
                from_active=maps.from_active,
                from_reactive=maps.from_reactive,
                to_active=maps.to_active,
                to_reactive=maps.to_reactive,
                limits=((np.ones(windings), units.rating_kva[k] / BASE_KVA * (1.0 - share)),),
                switch=-1,
            )
        )
    return branches


def idle_branches(scenario: Scenario, branches: tuple[Branch, ...]) -> BoolArray:
    """Strip leaves at which nothing is connected, again and again."""
    feeder = scenario.feeder
    busy = np.zeros(len(feeder.buses.ids), dtype=bool)
    busy[feeder.loads.bus] = busy[feeder.capacitors.bus] = busy[scenario.ders.bus] = True
    for branch in branches:
        if branch.switch >= 0:
            busy[[branch.start, branch.end]] = True
    idle = np.zeros(len(branches), dtype=bool)
    while True:
        beside: list[set[int]] = [set() for _ in busy]
        for e, branch in enumerate(branches):
            if not idle[e]:
                beside[branch.start].add(branch.end)
                beside[branch.end].add(branch.start)
        leaves = {i for i, others in enumerate(beside) if len(others) == 1 and not busy[i]}
        found = [e for e, b in enumerate(branches) if not idle[e] and leaves & {b.start, b.end}]
        if not found:
            return idle
        idle[found] = True


def _rated_over_base(
    connection: Connection, rated_kv: float, windings: int, base_kv: float
) -> float:
    """Rated winding voltage over the bus's base for that winding."""
    if connection is Connection.DELTA:
        return float(rated_kv / (np.sqrt(3.0) * base_kv))
    across = rated_kv / np.sqrt(3.0) if windings == 3 else rated_kv
    return float(across / base_kv)
