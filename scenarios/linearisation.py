"""Where the linear model stands: at no current, or at a solved AC state.

At no current its branches lose nothing and the angles between phases are the nominal ones. Around
an AC state what its equations leave over there is added to them as constants, so that they hold in
that state exactly: the drops that losses and turned phases make, what is lost on the way, and what
charging and unbalanced deltas take.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from gridproof.scenarios.arrays import FloatArray, frozen

__all__ = ["LINEARISATIONS", "Linearisation"]

LINEARISATIONS = ("flat", "ac")
"""By name: at no current, and around an AC state of the feeder."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Linearisation:
    """Constants of the linear model, per unit of 1 MVA and bus bases; 0 where nothing flowed.

    Attributes
    ----------
    line_w
        (line, 3) added to ``w_to - w_from = Mp p + Mq q``; of an open-delta bank's jumper, to the
        bank's ``w_i - gain² w_j = 2 (r p + x q)``.
    unit_w
        (transformer, 3) by slot, added to ``from_w w_i - ratio² to_w w_j = 2 (r p + x q)``.
    lost_p, lost_q
        (bus, 3) what arrives and is not used.
    held_w
        (bus, 3) added to what a source's voltage falls behind its impedance.
    """

    line_w: FloatArray
    unit_w: FloatArray
    lost_p: FloatArray
    lost_q: FloatArray
    held_w: FloatArray

    def __post_init__(self) -> None:
        for item in fields(self):
            object.__setattr__(self, item.name, frozen(getattr(self, item.name), float, (-1, 3)))
