"""From where voltage magnitudes are counted where nothing ties a part to earth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray
from gridproof.scenarios.feeder import Feeder
from gridproof.scenarios.zero_sequence import floating_sides, galvanic_parts
from numpy.typing import NDArray

__all__ = ["Centres", "floating_centres"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Centres:
    """The neutrals of floating buses.

    Attributes
    ----------
    bus
        (floating bus,) positions.
    reference
        (floating bus,) the bus whose phases' mean is the neutral: its own if it has all three.
    weight
        (floating bus, 3) share of each of the reference's phases in that mean.
    scale
        (floating bus,) 1, or what makes half of a single pair's voltage its balanced magnitude.
    """

    bus: IntArray
    reference: IntArray
    weight: FloatArray
    scale: FloatArray

    def counted(self, at_bus: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """(floating bus, 3, ...) voltages from the neutrals, of (bus, 3, ...) voltages to earth."""
        weight = self.weight.reshape(*self.weight.shape, *[1] * (at_bus.ndim - 2))
        middle = (weight * at_bus[self.reference]).sum(axis=1, keepdims=True)
        scale = self.scale.reshape(-1, *[1] * (at_bus.ndim - 1))
        return np.asarray((at_bus[self.bus] - middle) * scale)


def floating_centres(feeder: Feeder, closed: BoolArray, formers: IntArray) -> Centres:
    """Find the centre of the triangle (or of the pair) of every bus that only deltas feed.

    Magnitudes to earth say nothing there: whatever ties such a part to earth decides them.

    Parameters
    ----------
    feeder
        The feeder.
    closed
        (line,) lines that conduct.
    formers
        (former,) buses whose voltages are held.
    """
    part, phases = galvanic_parts(feeder, closed), feeder.buses.phases
    rows = [
        (int(bus), side)
        for side in floating_sides(feeder, closed, formers.tolist())
        if side.unearthed
        for bus in np.flatnonzero(part == part[side.bus])
    ]
    weight = np.zeros((len(rows), 3))
    for k, (bus, side) in enumerate(rows):
        weight[k, [0, 1, 2] if phases[bus].all() else list(side.phases)] = 1.0
    count = weight.sum(axis=1)
    reference = [bus if phases[bus].all() else side.bus for bus, side in rows]
    return Centres(
        bus=np.array([bus for bus, _ in rows], np.int64),
        reference=np.array(reference, np.int64),
        weight=weight / count[:, None],
        scale=np.where(count == 2.0, 2.0 / np.sqrt(3.0), 1.0),
    )
