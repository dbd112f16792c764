"""How the DERs that follow inject: phase to earth, or pair by pair where there is no earth.

On a part that only deltas feed, constant power between phase and earth has a solution only
if the currents sum to zero to the last digit, at voltages nobody knows beforehand. A
three-phase DER there has no neutral to inject into: its power goes between the phases.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray
from gridproof.scenarios.banks import open_delta_banks
from gridproof.scenarios.centres import floating_centres
from gridproof.scenarios.feeder import Feeder
from gridproof.scenarios.fleet import Ders
from gridproof.scenarios.lindist import DELTA_ACTIVE, DELTA_REACTIVE
from gridproof.scenarios.zero_sequence import galvanic_parts, unit_maps
from gridproof.simulator.opendss.circuit import ComplexArray

__all__ = ["Injections", "may_float"]

_TO_PAIRS = np.linalg.pinv(DELTA_ACTIVE - 1j * DELTA_REACTIVE)  # nothing circulates


def may_float(feeder: Feeder, ders: Ders) -> BoolArray:
    """(der,) three-phase DERs that only deltas feed in some state of the switches."""
    units, maps = feeder.transformers, unit_maps(feeder)
    jumped = {k for bank in open_delta_banks(feeder) for k in bank.units}
    deltas = [
        int(bus)
        for k in range(len(units.ids))
        if k not in jumped
        for bus, reactive in (
            (units.from_bus[k], maps[k].from_reactive),
            (units.to_bus[k], maps[k].to_reactive),
        )
        if reactive.any()
    ]
    part = galvanic_parts(feeder, feeder.lines.closed | feeder.lines.switchable)
    return np.asarray(np.isin(part[ders.bus], part[deltas]) & ders.phases.all(axis=1))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Injections:
    """The generators that act under a plan.

    Attributes
    ----------
    places
        (generator, 2) DER and phase of each.
    chosen
        (generator,) its position among the circuit's generators.
    paired
        (generator,) whether it stands on the pair (phase, next phase).
    """

    places: IntArray
    chosen: IntArray
    paired: BoolArray

    @classmethod
    def of(
        cls,
        feeder: Feeder,
        ders: Ders,
        acts: BoolArray,
        generators: tuple[IntArray, IntArray],
        held: tuple[BoolArray, IntArray],
    ) -> Injections:
        """Choose the generators.

        Parameters
        ----------
        feeder, ders
            The feeder and its DERs.
        acts
            (der, 3) phases that follow and are live.
        generators
            (der, 3) positions of the generators to earth and of those on pairs; -1 for none.
        held
            (line,) lines that conduct, and the buses whose voltages are held.
        """
        floating = np.isin(ders.bus, floating_centres(feeder, *held).bus)
        paired = acts.all(axis=1) & (generators[1] >= 0).all(axis=1) & floating
        places = np.argwhere(acts)
        at = (places[:, 0], places[:, 1])
        return cls(
            places=places,
            chosen=np.where(paired[places[:, 0]], generators[1][at], generators[0][at]),
            paired=paired[places[:, 0]],
        )

    @staticmethod
    def pair_shares() -> ComplexArray:
        """(pair, phase) complex share of each phase's power that a generator on a pair takes."""
        return np.asarray(_TO_PAIRS)

    def told(self, p: FloatArray, q: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Powers of the generators, (..., generator), from those asked of phases."""
        if not self.paired.any():
            return p, q
        s = p + 1j * q
        three = s[..., self.paired].reshape(*s.shape[:-1], -1, 3)
        s[..., self.paired] = (three @ _TO_PAIRS.T).reshape(*s.shape[:-1], -1)
        return np.ascontiguousarray(s.real), np.ascontiguousarray(s.imag)
