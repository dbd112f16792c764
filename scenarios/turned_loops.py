"""Loops over delta-wye banks: what turns phases there turns them back on another way.

The two sides of an earthed wye-delta bank share no zero sequence, so each galvanic part has angles
of its own, and one bank between two parts says nothing of their difference. Where banks close a
loop over parts, each says something: the mean of its phases' angles falls across it by the mean of
what its windings let fall, as the three angles of pairs have the mean of the three phases'::

    Σ_k θ_wye,k - Σ_k θ_delta,k = ± Σ_k (x p_k - r q_k) + 3 (φ_wye - φ_delta)

with ``+`` where the wye is the winding's ``from`` side and ``φ`` what the angles of a part are
counted from, where that is pinned part by part.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from gridproof.scenarios.arrays import FloatArray, IntArray
from gridproof.scenarios.feeder import Feeder
from gridproof.scenarios.graph import connected_components
from gridproof.scenarios.zero_sequence import EarthedBank

__all__ = ["bank_directions", "in_loops", "looping_banks", "roots_of", "unlike_turns"]


def looping_banks(banks: Sequence[EarthedBank], part: IntArray) -> tuple[EarthedBank, ...]:
    """Keep the banks that stand in a loop, or on a way between two.

    Parameters
    ----------
    banks
        Earthed wye-delta banks.
    part
        (bus,) galvanic parts, as `scenarios.zero_sequence.galvanic_parts` tells them.
    """
    ends = np.array([(part[bank.wye], part[bank.delta]) for bank in banks], np.int64)
    return tuple(banks[k] for k in in_loops(ends.reshape(-1, 2)).tolist())


def in_loops(ends: IntArray) -> IntArray:
    """Positions of the edges, (edge, 2) nodes, left when leaves are cut, again and again."""
    left = np.arange(len(ends))
    while len(left):
        degree = np.bincount(ends[left].ravel())
        kept = left[(degree[ends[left]] > 1).all(axis=1)]
        if len(kept) == len(left):
            break
        left = kept
    return left


def roots_of(ends: Sequence[tuple[int, int]], first: Sequence[int] = ()) -> set[int]:
    """One part of each component of parts that are joined: one of ``first`` where it has one.

    Parameters
    ----------
    ends
        The two parts of each bank.
    """
    if not ends:
        return set()
    tails, heads = np.array(ends, np.int64).T
    label = connected_components(max(*first, *tails, *heads) + 1, tails, heads)
    found: dict[int, int] = {}
    for there in (*first, *tails.tolist(), *heads.tolist()):
        found.setdefault(int(label[there]), there)
    return set(found.values())


def bank_directions(bank: EarthedBank) -> FloatArray:
    """(3,) 1 where a winding's ``from`` side is the wye, else -1."""
    return np.where(np.array(bank.from_wye), 1.0, -1.0)


def unlike_turns(
    feeder: Feeder, banks: Sequence[EarthedBank], part: IntArray
) -> tuple[EarthedBank, ...]:
    """Return banks that close a loop round which phases do not come back to themselves."""
    table = feeder.transformers
    beside: dict[int, list[tuple[int, int, EarthedBank]]] = {}
    for bank in banks:
        turn = (-30 if table.lagging[bank.units[0]] else 30) % 360
        turn = (turn + (180 if table.ratio[bank.units[0]] < 0.0 else 0)) % 360
        wye, delta = int(part[bank.wye]), int(part[bank.delta])
        beside.setdefault(delta, []).append((wye, turn, bank))
        beside.setdefault(wye, []).append((delta, -turn % 360, bank))
    angle: dict[int, int] = {}
    wrong: dict[int, EarthedBank] = {}
    for start in beside:
        front = [] if start in angle else [start]
        angle.setdefault(start, 0)
        while front:
            here = front.pop()
            for there, turn, bank in beside[here]:
                if there not in angle:
                    angle[there] = (angle[here] + turn) % 360
                    front.append(there)
                elif angle[there] != (angle[here] + turn) % 360:
                    wrong[id(bank)] = bank
    return tuple(wrong.values())
