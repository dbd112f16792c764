"""What magnitudes alone do not fix: angles where a delta is closed, floating neutrals, twins.

The law is `scenarios.zero_sequence`'s; here it is derived of a network, for any switch state at
once. `optimizer.network.angles` makes it rows over the variables of a flow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from gridproof.optimizer.network.branches import Branch
from gridproof.scenarios.arrays import BoolArray, FloatArray
from gridproof.scenarios.loops import looped_buses
from gridproof.scenarios.turned_loops import bank_directions, looping_banks
from gridproof.scenarios.zero_sequence import (
    DeltaRing,
    EarthedBank,
    Floating,
    delta_rings,
    earthed_banks,
    floating_sides,
    galvanic_parts,
    twin_windings,
)

if TYPE_CHECKING:
    from gridproof.scenarios.scenario import Scenario

__all__ = ["ZeroSequence"]

_Node = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ZeroSequence:
    """Rows that a network adds to magnitudes and balances.

    Attributes
    ----------
    angled
        (bus,) whether the bus can share its zero sequence with an earthed wye-delta bank, or
        stands in a part in which lines, or that with others such banks, close a loop.
    along
        Branch, channel and phase of every channel along which an angle falls.
    closures
        Wye bus, (branch, channel) of its three windings, and the rows of
        `scenarios.zero_sequence.EarthedBank.closure`.
    links
        Wye bus, delta bus and (branch, channel) of the three windings of a bank that stands in a
        loop over such banks (`scenarios.turned_loops`), and the (2, 3) shares of their ``p`` and
        ``q`` by which the sum of the wye's angles is beyond the delta's.
    rings
        (branch, channel) of the three windings of a delta-delta bank of single units, and the
        rows of `scenarios.zero_sequence.DeltaRing.closure`.
    twins
        (branch, channel) of a winding and of its twin, and the sign of the twin's direction.
    floating
        Delta sides that float whatever the switches: see `scenarios.zero_sequence.Floating`.
    """

    angled: BoolArray
    along: tuple[tuple[int, int, int], ...]
    closures: tuple[tuple[int, tuple[_Node, ...], FloatArray], ...]
    links: tuple[tuple[int, int, tuple[_Node, ...], FloatArray], ...]
    rings: tuple[tuple[tuple[_Node, ...], FloatArray], ...]
    twins: tuple[tuple[_Node, _Node, float], ...]
    floating: tuple[Floating, ...]

    @classmethod
    def of(cls, scenario: Scenario, branches: tuple[Branch, ...], idle: BoolArray) -> ZeroSequence:
        """Derive the rows; idle banks carry nothing and need none."""
        feeder = scenario.feeder
        table = feeder.transformers
        at = {
            (unit, slot): (e, c)
            for e, branch in enumerate(branches)
            for unit in ([] if branch.unit < 0 else [branch.unit])
            for c, slot in enumerate(np.flatnonzero(table.windings[unit]).tolist())
        }
        able = feeder.lines.closed | feeder.lines.switchable
        part = galvanic_parts(feeder, able)

        def rows_of(bank: EarthedBank | DeltaRing) -> tuple[tuple[_Node, ...], FloatArray]:
            windings = _windings(bank, at)
            rows = bank.closure(table.ratio[list(bank.units)], *_series(windings, branches))
            return windings, rows

        busy = [
            bank
            for bank in earthed_banks(feeder)
            if not any(idle[e] for e, _ in _windings(bank, at))
        ]
        closures = [(bank.wye, *rows_of(bank)) for bank in busy]
        links = [_link(bank, at, branches) for bank in looping_banks(busy, part)]
        rings = [rows_of(ring) for ring in delta_rings(feeder)]
        twins = twin_windings(feeder)
        seconds = {at[twin.second] for twin in twins}
        looped = looped_buses(feeder, feeder.lines.closed & ~feeder.lines.switchable)
        turned = [bus for wye, delta, _, _ in links for bus in (wye, delta)]
        angled = np.isin(part, part[[*(wye for wye, _, _ in closures), *turned]])
        angled |= np.isin(part, part[looped])
        along = [
            (e, c, int(np.argmax(branch.from_w[c])))
            for e, branch in enumerate(branches)
            if angled[branch.start] and angled[branch.end] and branch.joins_like_phases
            for c in range(branch.channels)
            if (e, c) not in seconds
        ]
        return cls(
            angled=angled,
            along=tuple(along),
            closures=tuple(closures),
            links=tuple(links),
            rings=tuple(ring for ring in rings if not any(idle[e] for e, _ in ring[0])),
            twins=tuple(
                (at[twin.first], at[twin.second], -1.0 if twin.turned else 1.0)
                for twin in twins
                if not (idle[at[twin.first][0]] or idle[at[twin.second][0]])
            ),
            floating=floating_sides(
                feeder,
                able,
                [*scenario.ders.bus[scenario.ders.can_form].tolist(), *feeder.sources.bus.tolist()],
            ),
        )


def _windings(bank: EarthedBank | DeltaRing, at: Mapping[_Node, _Node]) -> tuple[_Node, ...]:
    """Branch and channel of each winding of a bank."""
    return tuple(at[unit, slot] for slot, unit in enumerate(bank.units))


def _series(windings: Sequence[_Node], branches: Sequence[Branch]) -> tuple[FloatArray, FloatArray]:
    """Resistance and reactance of windings."""
    r, x = (
        np.array([-getattr(branches[e], name)[c, c] / 2.0 for e, c in windings])
        for name in ("drop_p", "drop_q")
    )
    return r, x


def _link(
    bank: EarthedBank, at: Mapping[_Node, _Node], branches: Sequence[Branch]
) -> tuple[int, int, tuple[_Node, ...], FloatArray]:
    """One row of `ZeroSequence.links`."""
    windings = _windings(bank, at)
    r, x = _series(windings, branches)
    return bank.wye, bank.delta, windings, bank_directions(bank) * np.stack([x, -r])
