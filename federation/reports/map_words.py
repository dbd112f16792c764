"""What a map says of a bus, a line, a switch or a DER that a pointer rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from gridproof.federation.records.profile import Profile, slot_names
from gridproof.federation.wording import decimals, percent
from gridproof.scenarios.arrays import BoolArray, FloatArray
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.verdict import MarginKind

__all__ = ["BusLoads", "bus_words", "der_words", "line_words"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BusLoads:
    """The demand at each bus at one step.

    Attributes
    ----------
    p_kw, q_kvar
        (bus,) nominal.
    moving
        (bus,) whether a load there is uncertain.
    down, up
        (bus,) furthest that any load there may go, as a share of its nominal.
    """

    p_kw: FloatArray
    q_kvar: FloatArray
    moving: BoolArray
    down: FloatArray
    up: FloatArray

    @classmethod
    def of(cls, scenario: Scenario, time: int) -> BusLoads:
        """Add up the loads of a step."""
        loads, box = scenario.feeder.loads, scenario.uncertainty
        count = len(scenario.feeder.buses.ids)
        found = {name: np.zeros(count) for name in ("p_kw", "q_kvar", "down", "up")}
        np.add.at(found["p_kw"], loads.bus, scenario.load_p_kw[time].sum(axis=1))
        np.add.at(found["q_kvar"], loads.bus, scenario.load_q_kvar[time].sum(axis=1))
        at = np.asarray(loads.bus)[[loads.ids.index(name) for name in box.load_ids]].astype(int)
        moving = np.zeros(count, dtype=bool)
        moving[at] = True
        np.maximum.at(found["down"], at, -box.low * box.spread)
        np.maximum.at(found["up"], at, box.high * box.spread)
        return cls(moving=moving, **found)

    def span(self, bus: int) -> str:
        """Say how far they may move."""
        down, up = (float(f"{100.0 * end[bus]:.6g}") for end in (self.down, self.up))
        return f"±{up:g} %" if down == up else f"\u2212{down:g} to +{up:g} %"


def bus_words(
    scenario: Scenario, alive: BoolArray, loads: BusLoads, profile: Profile | None
) -> list[str]:
    """Say of each bus whether it is live, what it asks for, and which voltages were seen."""
    seen: dict[int, list[str]] = {}
    if profile is not None and profile.solved:
        names = slot_names(scenario)
        for bus, slot, low, high in zip(
            profile.bus.tolist(), profile.phase.tolist(), profile.low_pu.tolist(),
            profile.high_pu.tolist(), strict=True,
        ):  # fmt: skip
            told = f"{names[slot]} {decimals(low, 4)} to {decimals(high, 4)} pu"
            seen.setdefault(bus, []).append(told)
    shares = _outside(profile, MarginKind.VOLTAGE, len(alive))
    said = []
    for k, name in enumerate(scenario.feeder.buses.ids):
        lines = [f"bus {name}: {'live' if alive[k] else 'dead'}"]
        if loads.p_kw[k] or loads.q_kvar[k]:
            asks = f"{decimals(loads.p_kw[k], 1)} kW, {decimals(loads.q_kvar[k], 1)} kvar"
            lines.append(
                f"load {asks} nominal" + (f", {loads.span(k)}" if loads.moving[k] else ", certain")
            )
        said.append("\n".join([*lines, *seen.get(k, ()), *shares[k]]))
    return said


def line_words(
    scenario: Scenario, closed: BoolArray, profile: Profile | None, which: Sequence[int]
) -> list[str]:
    """Say of some lines where they lead, whether they are closed, and what they may carry."""
    lines, buses = scenario.feeder.lines, scenario.feeder.buses.ids
    shares = _outside(profile, MarginKind.CURRENT, len(lines.ids))
    said = []
    for k in which:
        kind = "switch" if lines.switchable[k] else "line"
        rating = float(lines.rating_a[k])
        said.append(
            "\n".join(
                [
                    f"{kind} {lines.ids[k]}: {'closed' if closed[k] else 'open'}",
                    f"{buses[lines.from_bus[k]]} to {buses[lines.to_bus[k]]}, "
                    + (f"rated {rating:g} A" if np.isfinite(rating) else "no rating"),
                    *shares[k],
                ]
            )
        )
    return said


def der_words(plan: Plan, scenario: Scenario, time: int, profile: Profile | None) -> list[str]:
    """Say of each DER what the plan asks of it, of how much."""
    ders, alive = scenario.ders, plan.energized[time][scenario.feeder.blocks.of_bus]
    kinds = (MarginKind.CAPABILITY, MarginKind.RAMP)
    shares = [_outside(profile, kind, len(ders.ids)) for kind in kinds]
    bound, beside = set(ders.half_planes.der.tolist()), ders.half_planes.between(plan.p_kw[time])
    said = []
    for k, name in enumerate(plan.der_ids):
        lines = [f"{name} at bus {scenario.feeder.buses.ids[ders.bus[k]]}"]
        if not alive[ders.bus[k]]:
            lines.append("off")
        else:
            p, q = float(plan.p_kw[time, k].sum()), float(plan.q_kvar[time, k].sum())
            most = float(ders.p_max_kw[k].sum())
            lines += [
                "grid-forming" if plan.grid_forming[time, k] else "grid-following",
                f"{decimals(p, 1)} of {decimals(most, 1)} kW, {decimals(q, 1)} kvar",
            ]
            if k in bound:
                fed = ders.phases[k]
                ends = (decimals(float(end[k][fed].sum()), 1) for end in beside)
                lines.append(f"{' to '.join(ends)} kvar may stand beside")
        said.append("\n".join([*lines, *(one for each in shares for one in each[k])]))
    return said


def _outside(profile: Profile | None, kind: MarginKind, count: int) -> list[list[str]]:
    """For each element, in how many of the solved realizations it left its limit, if in any."""
    if profile is None or not len(profile.breached[kind]):
        return [[] for _ in range(count)]
    shares = profile.share(kind).tolist()
    return [[f"{kind.value} outside in {percent(one)}"] if one else [] for one in shares]
