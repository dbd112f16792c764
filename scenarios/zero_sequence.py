"""What delta windings do to the zero sequence: who carries it, and where nothing fixes it.

A closed delta turns the zero sequence of its wye side into a current that circulates in the
delta and shows at none of its terminals: the map of winding powers onto the delta's phases
has two zero singular values, the real and the imaginary part of that current. Kirchhoff's
law round the delta fixes it, since the three winding voltages of a delta sum to zero: with
``E_k = c_k V_k ± z_k I_k`` of the wye's phase ``k``, balanced phasors ``a_k``, and every
quantity turned to its own phasor, where ``I_k = p_k - jq_k`` and ``V_k = (1 + w_k)/2 + jθ_k``::

    Σ_k a_k [ c_k ((1 + w_k)/2 + jθ_k) ± z_k (p_k - jq_k) ] = 0                  (closure)

with angles counted from their mean. That takes the angles ``θ`` of the wye side, which the
first-order voltage drop has beside the magnitudes: ``w_j = w_i + Mp p + Mq q`` is twice its
real part and ``θ_j = θ_i + (Mq p - Mp q)/2`` its imaginary part. Whether the wye side is fed
or feeds does not matter.

Seen from a part that only deltas feed, the currents must sum to zero, because the neutral
has no way back, and the two magnitudes that shift with the neutral are fixed by nothing:
such a part **floats**.

A bank of three single units that is delta on both sides has such a current too, which shows
on neither; the same law, its voltages taken as balanced, fixes it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray
from gridproof.scenarios.banks import open_delta_banks
from gridproof.scenarios.feeder import Connection, Feeder
from gridproof.scenarios.graph import connected_components
from gridproof.scenarios.lindist import (
    PAIR_W,
    PHASOR,
    WindingMaps,
    service_maps,
    transformer_maps,
)

__all__ = [
    "DeltaRing",
    "EarthedBank",
    "Floating",
    "Twin",
    "delta_rings",
    "earthed_banks",
    "floating_sides",
    "galvanic_parts",
    "twin_windings",
    "unit_maps",
]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EarthedBank:
    """A closed delta whose other side is an earthed wye: one unit, or three single ones.

    Attributes
    ----------
    units
        Unit that holds the winding of wye phase a, b, c: positions in
        ``feeder.transformers``.
    wye, delta
        Bus positions of the two sides.
    from_wye
        Of each winding, whether its ``from`` side is the wye.
    """

    units: tuple[int, int, int]
    wye: int
    delta: int
    from_wye: tuple[bool, bool, bool]

    def closure(self, ratio: FloatArray, r: FloatArray, x: FloatArray) -> FloatArray:
        """Kirchhoff's voltage law round the delta, real and imaginary part.

        Parameters
        ----------
        ratio, r, x
            (3,) of each winding: voltage ratio, and impedance seen from its ``from`` side.

        Returns
        -------
        ndarray of shape (5, 2, 3)
            Coefficients of the wye bus's ``w`` and ``θ``, of the windings' ``p`` and ``q``
            (positive from ``from`` to ``to``), and of 1 where the wye side is live.
        """
        rows = _round_delta(np.array(self.from_wye), ratio, r, x)
        rows[1] -= rows[1].mean(axis=-1, keepdims=True)  # turned as a whole, nothing changes
        return rows


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DeltaRing:
    """Three single units that close a delta on both sides.

    Attributes
    ----------
    units
        Unit on pair ab, bc, ca.
    bus
        Bus of the first unit's ``from`` side.
    turned
        Of each winding, whether its ``from`` side is at the other bus.
    """

    units: tuple[int, int, int]
    bus: int
    turned: tuple[bool, bool, bool]

    def closure(self, ratio: FloatArray, r: FloatArray, x: FloatArray) -> FloatArray:
        """Kirchhoff's voltage law round both deltas: unlike units drive a current round.

        Parameters
        ----------
        ratio, r, x
            As in `EarthedBank.closure`.

        Returns
        -------
        ndarray of shape (3, 2, 3)
            Coefficients of the windings' ``p`` and ``q``, and of 1 where the bank is live.
        """
        rows = _round_delta(np.array(self.turned), ratio, r, x)
        return np.stack([rows[2], rows[3], 2.0 * rows[4]])


def _round_delta(out: BoolArray, ratio: FloatArray, r: FloatArray, x: FloatArray) -> FloatArray:
    """(5, 2, 3) coefficients of (closure); ``out`` where impedance is on the other side."""
    share = np.where(out, 1.0 / ratio, ratio)
    real, imag = (np.where(out, -z / ratio, z) for z in (r, x))
    terms = (share / 2.0, 1j * share, real + 1j * imag, imag - 1j * real, share / 2.0)
    turned = np.stack(terms).astype(complex) * PHASOR
    return np.stack([turned.real, turned.imag], axis=1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Twin:
    """A winding beside another on the same phases of the same two buses.

    Magnitudes alone do not say how the two share: ``x p - r q``, the angle across, is the
    same for both.

    Attributes
    ----------
    first, second
        Unit and slot of the two windings.
    turned
        Whether the second runs from the first's ``to`` side to its ``from`` side.
    """

    first: tuple[int, int]
    second: tuple[int, int]
    turned: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Floating:
    """A delta side that feeds a part in which no former stands.

    Attributes
    ----------
    bus, phases
        Where the windings stand.
    units
        The bank that feeds it.
    unearthed
        Whether nothing in the part takes up a zero-sequence current.
    centre
        (3,) weights of the bus's ``w`` whose sum is zero: what an open delta leaves to say
        about magnitudes, its neutral taken in the middle; None for a closed delta.
    """

    bus: int
    phases: tuple[int, ...]
    units: tuple[int, ...]
    unearthed: bool
    centre: FloatArray | None

    def current(self) -> tuple[FloatArray, FloatArray]:
        """(phase, 2) active and reactive power per real and imaginary part of one current.

        The current enters each phase alike: ``s_k = a_k conj(I)``.
        """
        a = PHASOR[list(self.phases)]
        return np.stack([a.real, a.imag], axis=1), np.stack([a.imag, -a.real], axis=1)


_Key = tuple[frozenset[tuple[int, Connection]], bool]


def _banks(feeder: Feeder) -> dict[_Key, dict[int, list[int]]]:
    """Units by what they join (bus and connection of either side) and slot."""
    table = feeder.transformers
    banks: dict[_Key, dict[int, list[int]]] = {}
    for k in np.flatnonzero(table.primary < 0).tolist():  # a service shares no zero sequence
        ends = (
            (int(table.from_bus[k]), table.from_connection[k]),
            (int(table.to_bus[k]), table.to_connection[k]),
        )
        lagging = ends[0][1] is not ends[1][1] and bool(table.lagging[k])
        slots = banks.setdefault((frozenset(ends), lagging), {})
        for slot in np.flatnonzero(table.windings[k]).tolist():
            slots.setdefault(slot, []).append(k)
    return banks


def _is_mixed(key: _Key) -> bool:
    return len({connection for _, connection in key[0]}) == 2


def _is_delta(key: _Key) -> bool:
    return all(connection is Connection.DELTA for _, connection in key[0])


def _like_wye(feeder: Feeder, key: _Key, slots: dict[int, list[int]]) -> bool:
    """Whether windings are written as wye on both sides: wye-wye, or a three-phase delta unit."""
    if _is_mixed(key):
        return False
    whole = feeder.transformers.windings.sum(axis=1) == 3
    return not _is_delta(key) or any(whole[k] for units in slots.values() for k in units)


def earthed_banks(feeder: Feeder) -> tuple[EarthedBank, ...]:
    """Find the closed wye-delta banks; of windings side by side the first stands for all."""
    table, found = feeder.transformers, []
    for key, slots in _banks(feeder).items():
        if _is_mixed(key) and len(slots) == 3:
            at = {connection: bus for bus, connection in key[0]}
            a, b, c = (slots[slot][0] for slot in range(3))
            first, second, third = (table.from_connection[k] is Connection.WYE for k in (a, b, c))
            found.append(
                EarthedBank(
                    units=(a, b, c),
                    wye=at[Connection.WYE],
                    delta=at[Connection.DELTA],
                    from_wye=(first, second, third),
                )
            )
    return tuple(found)


def delta_rings(feeder: Feeder) -> tuple[DeltaRing, ...]:
    """Find the delta-delta banks closed by single units."""
    table, found = feeder.transformers, []
    for key, slots in _banks(feeder).items():
        if _is_delta(key) and len(slots) == 3 and not _like_wye(feeder, key, slots):
            a, b, c = (slots[slot][0] for slot in range(3))
            bus = int(table.from_bus[a])
            first, second, third = (bool(table.from_bus[k] != bus) for k in (a, b, c))
            found.append(DeltaRing(units=(a, b, c), bus=bus, turned=(first, second, third)))
    return tuple(found)


def twin_windings(feeder: Feeder) -> tuple[Twin, ...]:
    """Find windings that stand beside an earlier one of the same connection."""
    table = feeder.transformers
    return tuple(
        Twin(
            first=(units[0], slot),
            second=(other, slot),
            turned=table.from_bus[units[0]] != table.from_bus[other],
        )
        for slots in _banks(feeder).values()
        for slot, units in slots.items()
        for other in units[1:]
    )


def unit_maps(feeder: Feeder) -> list[WindingMaps]:
    """Winding maps of every unit.

    A single delta-delta unit beside a three-phase one is written like wye-wye as well (see
    `scenarios.lindist.transformer_maps`).
    """
    table = feeder.transformers
    closed = {
        k
        for key, slots in _banks(feeder).items()
        if _is_delta(key) and _like_wye(feeder, key, slots)
        for units in slots.values()
        for k in units
    }
    return [
        service_maps(int(table.primary[k]), table.windings[k], table.from_connection[k])
        if table.primary[k] >= 0
        else transformer_maps(
            Connection.WYE if k in closed else table.from_connection[k],
            Connection.WYE if k in closed else table.to_connection[k],
            table.windings[k],
            lagging=bool(table.lagging[k]),
        )
        for k in range(len(table.ids))
    ]


def galvanic_parts(feeder: Feeder, closed: BoolArray) -> IntArray:
    """(bus,) parts that share one zero sequence: joined by lines and wye-wye units.

    Three-phase delta-delta units, which the model writes like wye-wye ones, join as well, and
    so do open-delta banks by their jumpers.

    Parameters
    ----------
    feeder
        The feeder.
    closed
        (line,) lines that conduct.
    """
    lines = feeder.lines
    ends = [(int(lines.from_bus[k]), int(lines.to_bus[k])) for k in np.flatnonzero(closed)]
    for key, slots in _banks(feeder).items():
        if _like_wye(feeder, key, slots):
            buses = [bus for bus, _ in key[0]]
            ends.append((buses[0], buses[-1]))
    tails, heads = np.array(ends, np.int64).reshape(-1, 2).T
    return connected_components(len(feeder.buses.ids), tails, heads)


def floating_sides(
    feeder: Feeder, closed: BoolArray, formers: Collection[int]
) -> tuple[Floating, ...]:
    """Delta sides that feed parts without a former, followed outward from the formers.

    Parameters
    ----------
    feeder
        The feeder.
    closed
        (line,) lines that conduct.
    formers
        Buses whose voltages are held.
    """
    part = galvanic_parts(feeder, closed)
    jumped = {k for bank in open_delta_banks(feeder) if closed[bank.jumper] for k in bank.units}
    earthed = {int(part[bank.wye]) for bank in earthed_banks(feeder)}
    doors = [
        (key, slots)
        for key, slots in _banks(feeder).items()
        if not _like_wye(feeder, key, slots)
        and not jumped.intersection(*[slots[slot] for slot in list(slots)[:1]])
    ]
    reached = {int(part[bus]) for bus in formers}
    front, found = list(reached), []
    while front:
        here = front.pop()
        for key, slots in doors:
            ends = sorted(key[0])
            for (near, _), (far, connection) in (ends, ends[::-1]):
                there = int(part[far])
                if int(part[near]) != here or there in reached:
                    continue
                reached.add(there)
                front.append(there)
                if connection is Connection.DELTA:
                    found.append(_floating(far, key[1], slots, unearthed=there not in earthed))
    return tuple(found)


def _floating(bus: int, lagging: bool, slots: dict[int, list[int]], *, unearthed: bool) -> Floating:
    pairs = [(slot - 1) % 3 if lagging else slot for slot in slots]
    phases: Sequence[int] = sorted({k for pair in pairs for k in (pair, (pair + 1) % 3)})
    centre = None
    if len(pairs) == 1:
        centre = np.zeros(3)
        centre[list(phases)] = 1.0, -1.0
    elif len(pairs) == 2:
        (third,) = {0, 1, 2} - set(pairs)
        centre = PAIR_W[third] - PAIR_W[pairs].mean(axis=0)
    return Floating(
        bus=bus,
        phases=tuple(phases),
        units=tuple(k for units in slots.values() for k in dict.fromkeys(units)),
        unearthed=unearthed,
        centre=centre,
    )
