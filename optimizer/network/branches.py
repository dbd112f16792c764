"""Lines and transformers as one kind of branch, per unit, phase by phase."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from gridproof.scenarios.arrays import BoolArray, FloatArray
from gridproof.scenarios.banks import OpenDelta, open_delta_banks
from gridproof.scenarios.feeder import Connection
from gridproof.scenarios.lindist import line_matrices, transformer_maps
from gridproof.scenarios.zero_sequence import earthed_banks, unit_maps

if TYPE_CHECKING:
    from gridproof.optimizer.network.insets import Insets
    from gridproof.scenarios.scenario import Scenario

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
        all windings for a transformer. Infinite where a line has no rating.
    switch
        Position among the feeder's switches, -1 if the branch is none.
    unit
        Position among the feeder's transformers, -1 if the branch is none or a whole bank.
    offset
        (channel,) constants of the voltage equations around an AC state
        (`scenarios.linearisation`); none at no current.
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
    unit: int = -1
    offset: FloatArray = field(default_factory=lambda: np.zeros(0))

    @property
    def channels(self) -> int:
        """Number of channels."""
        return len(self.from_w)

    @property
    def joins_like_phases(self) -> bool:
        """Whether each channel stands on one phase, the same on both sides."""
        like = np.array_equal(self.from_w != 0.0, self.to_w != 0.0)
        return like and bool((np.count_nonzero(self.from_w, axis=1) == 1).all())


def lines_of(scenario: Scenario, insets: Insets) -> list[Branch]:
    """Take the lines that are closed or may be, with limits drawn in."""
    feeder = scenario.feeder
    lines, buses = feeder.lines, feeder.buses
    turned, phasor, at = buses.turned, buses.phasor, scenario.linearisation
    switch_of = {int(line): k for k, line in enumerate(feeder.switches)}
    branches = []
    jumpers = {bank.jumper for bank in _banks(scenario)}
    for k, name in enumerate(lines.ids):
        if k in jumpers or not (lines.closed[k] or lines.switchable[k]):
            continue
        held = np.flatnonzero(lines.phases[k])
        base_kv = buses.base_kv[lines.from_bus[k]]
        z_base = base_kv**2 / (BASE_KVA / 1000.0)
        near = phasor[lines.from_bus[k]] if turned[lines.from_bus[k]] else None
        drop_p, drop_q = line_matrices(lines.r_ohm[k] / z_base, lines.x_ohm[k] / z_base, near)
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
                limits=tuple((row, rating * (1.0 - insets.line[k])) for row in np.eye(len(held))),
                switch=switch_of.get(k, -1),
                offset=np.zeros(0) if at is None else at.line_w[k, held],
            )
        )
    return branches


def transformers_of(scenario: Scenario, insets: Insets) -> list[Branch]:
    """Take the transformers, a channel per winding, with limits drawn in."""
    feeder = scenario.feeder
    units = feeder.transformers
    banks = _banks(scenario)
    banked = {k for bank in banks for k in bank.units}
    maps_of, at = unit_maps(feeder), scenario.linearisation
    branches = [_bank(scenario, bank, insets) for bank in banks]
    for k, name in enumerate(units.ids):
        if k in banked:
            continue
        maps = maps_of[k]
        windings = int(units.windings[k].sum())
        series = 2.0 * _winding_scale(scenario, k) * np.eye(windings)
        shared = 2.0 * _winding_scale(scenario, k) * (1.0 - np.eye(windings))
        branches.append(
            Branch(
                name=f"transformer {name}",
                start=int(units.from_bus[k]),
                end=int(units.to_bus[k]),
                from_w=maps.from_w,
                to_w=maps.to_w * units.ratio[k] ** 2,
                drop_p=-units.r_pu[k] * series - units.r_shared_pu[k] * shared,
                drop_q=-units.x_pu[k] * series - units.x_shared_pu[k] * shared,
                from_active=maps.from_active,
                from_reactive=maps.from_reactive,
                to_active=maps.to_active,
                to_reactive=maps.to_reactive,
                limits=((np.ones(windings), _kept_rating(scenario, k, insets)),),
                switch=-1,
                unit=k,
                offset=np.zeros(0) if at is None else -at.unit_w[k, units.windings[k]],
            )
        )
    return branches


def _banks(scenario: Scenario) -> list[OpenDelta]:
    """Open-delta banks whose jumper conducts and is no switch."""
    lines = scenario.feeder.lines
    return [
        bank
        for bank in open_delta_banks(scenario.feeder)
        if lines.closed[bank.jumper] and not lines.switchable[bank.jumper]
    ]


def _bank(scenario: Scenario, bank: OpenDelta, insets: Insets) -> Branch:
    """Two units and their jumper as one branch: per-phase gains, powers each its own way.

    The channel of a unit stands at its outer phase, the jumper's at the shared one.
    """
    units, lines = scenario.feeder.transformers, scenario.feeder.lines
    at = scenario.linearisation
    i, j = (int(side[bank.units[0]]) for side in (units.from_bus, units.to_bus))
    sides = {i: np.zeros((2, 3, 3)), j: np.zeros((2, 3, 3))}
    drop_p, drop_q = np.zeros((2, 3, 3))
    turned = 1.0 if lines.from_bus[bank.jumper] == i else -1.0
    for side in sides.values():
        side[0, bank.shared, bank.shared] = turned
    rating_kva = (
        lines.rating_a[bank.jumper] * scenario.feeder.buses.base_kv[i] * scenario.limits.v_min_pu
    )
    kept = 1.0 - insets.line[bank.jumper]
    limits = [(np.eye(3)[bank.shared], rating_kva / BASE_KVA * kept)]
    for k in bank.units:
        slot = int(np.flatnonzero(units.windings[k])[0])
        outer = slot if slot != bank.shared else (slot + 1) % 3
        maps = transformer_maps(Connection.DELTA, Connection.DELTA, units.windings[k])
        for bus, active, reactive in (
            (i, maps.from_active, maps.from_reactive),
            (j, maps.to_active, maps.to_reactive),
        ):
            sides[bus][0, :, outer], sides[bus][1, :, outer] = active[:, 0], reactive[:, 0]
        # a pair's ohm on a phase's base
        scale = 2.0 * 3.0 * _winding_scale(scenario, k)
        r, x = units.r_pu[k] * scale, units.x_pu[k] * scale
        active, reactive = maps.from_active[outer, 0], maps.from_reactive[outer, 0]
        drop_p[outer, outer] = -(r * active - x * reactive)
        drop_q[outer, outer] = -(r * reactive + x * active)
        limits.append((np.eye(3)[outer], _kept_rating(scenario, k, insets)))
    return Branch(
        name=f"open-delta bank {units.ids[bank.units[0]]}",
        start=i,
        end=j,
        from_w=np.eye(3),
        to_w=np.diag(bank.gains**2),
        drop_p=drop_p,
        drop_q=drop_q,
        from_active=sides[i][0],
        from_reactive=sides[i][1],
        to_active=sides[j][0],
        to_reactive=sides[j][1],
        limits=tuple(limits),
        switch=-1,
        offset=np.zeros(0) if at is None else -at.line_w[bank.jumper],
    )


def idle_branches(scenario: Scenario, branches: tuple[Branch, ...]) -> BoolArray:
    """Strip leaves at which nothing is connected, again and again.

    The delta of an earthed wye-delta bank is no leaf: unloaded, it still carries what
    circulates in it. Around an AC state, nor is the end of a line that charges.
    """
    feeder = scenario.feeder
    busy = np.zeros(len(feeder.buses.ids), dtype=bool)
    busy[feeder.loads.bus] = busy[feeder.capacitors.bus] = busy[scenario.ders.bus] = True
    busy[[bank.delta for bank in earthed_banks(feeder)]] = True
    if (at := scenario.linearisation) is not None:  # what charges a line arrives over it
        busy |= ((at.lost_p != 0.0) | (at.lost_q != 0.0)).any(axis=1)
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


def _kept_rating(scenario: Scenario, k: int, insets: Insets) -> float:
    rating_kva = scenario.feeder.transformers.rating_kva[k]
    return float(rating_kva / BASE_KVA * (1.0 - insets.transformer[k]))


def _winding_scale(scenario: Scenario, k: int) -> float:
    """Bring a winding's impedance from its own rating to the power base and the bus's base."""
    units, buses = scenario.feeder.transformers, scenario.feeder.buses
    windings = 1 if units.primary[k] >= 0 else int(units.windings[k].sum())
    rated = units.from_kv[k] / buses.base_kv[units.from_bus[k]]
    if windings > 1 or units.from_connection[k] is Connection.DELTA:
        rated /= np.sqrt(3.0)
    return float(rated**2 * BASE_KVA * windings / units.rating_kva[k])
