"""Open-delta regulator banks: two units and a jumper that act as one three-phase device."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from gridproof.scenarios.arrays import FloatArray, frozen
from gridproof.scenarios.feeder import Connection, Feeder

__all__ = ["OpenDelta", "open_delta_banks"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OpenDelta:
    """Two single-phase delta units on two pairs, and the line that joins the shared phase.

    The neutral of a three-wire feeder is free, so only the triangle of line voltages
    matters. Scaling ``V_ab`` by ``1 + d₁`` and ``V_bc`` by ``1 + d₂`` moves the magnitudes
    from the triangle's centre by ``d₁``, ``(d₁ + d₂)/2`` and ``d₂`` to first order: the shared
    phase gets the mean, although its conductor runs straight through.

    Attributes
    ----------
    units
        Positions in ``feeder.transformers`` of the two units.
    jumper
        Position in ``feeder.lines`` of the line across the shared phase.
    shared
        The shared phase.
    gains
        (3,) ``v_from = gain · v_to`` per phase, in place of the units' and the jumper's own
        voltage equations. Powers pass per phase unchanged.
    """

    units: tuple[int, int]
    jumper: int
    shared: int
    gains: FloatArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "gains", frozen(self.gains, float, (3,)))


def open_delta_banks(feeder: Feeder) -> tuple[OpenDelta, ...]:
    """Find the open-delta banks of a feeder that have their jumper."""
    units, lines = feeder.transformers, feeder.lines
    groups: dict[tuple[int, int], list[int]] = {}
    for k in range(len(units.ids)):
        both = units.from_connection[k] is units.to_connection[k] is Connection.DELTA
        if both and units.windings[k].sum() == 1:
            groups.setdefault((int(units.from_bus[k]), int(units.to_bus[k])), []).append(k)
    banks = []
    for (i, j), members in groups.items():
        slots = [int(np.flatnonzero(units.windings[k])[0]) for k in members]
        if len(set(slots)) != 2 or len(slots) != 2:
            continue
        touched = np.zeros(3, int)
        gains = np.zeros(3)
        for k, slot in zip(members, slots, strict=True):
            for phase in (slot, (slot + 1) % 3):
                touched[phase] += 1
                gains[phase] += units.ratio[k]
        shared = int(np.argmax(touched))
        for line in range(len(lines.ids)):
            ends = {int(lines.from_bus[line]), int(lines.to_bus[line])}
            if ends == {i, j} and lines.phases[line].tolist() == [p == shared for p in range(3)]:
                first, second = members
                banks.append(
                    OpenDelta(
                        units=(first, second), jumper=line, shared=shared, gains=gains / touched
                    )
                )
                break
    return tuple(banks)
