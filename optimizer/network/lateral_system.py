"""The equations inside laterals, solved for what their roots see of them.

See `optimizer.network.laterals` for the law. The equations are those of
`optimizer.network.flow` and `optimizer.network.angles`, in their signs; the unknowns are ``w``
and ``θ`` at inner buses, ``p`` and ``q`` on inner branches.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from gridproof.optimizer.network.branches import Branch
from gridproof.optimizer.network.network import Network
from gridproof.scenarios.arrays import FloatArray, IntArray
from scipy import sparse
from scipy.sparse.linalg import SuperLU, splu

__all__ = ["LateralSystem", "Unknown", "Unsettled", "unknowns_of"]

_STATES = 6  # what a lateral sees of its root: three w, three θ

_CLOSE = 1e-9  # residual of equations in per unit

Unknown = tuple[str, int, int]
"""``w`` or ``theta`` of a bus and phase; ``p`` or ``q`` of a branch and channel."""


class Unsettled(NamedTuple):
    """Roots of laterals whose equations do not settle their state."""

    roots: IntArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LateralSystem:
    """Inner states as maps of what is seen of the roots, and of whether they are live.

    Attributes
    ----------
    column
        Position of each unknown.
    of_root
        (unknown, 6) ``G``.
    network
        With the laterals.
    root
        (bus,) as in `optimizer.network.laterals.Laterals`.
    """

    network: Network
    root: IntArray
    column: dict[Unknown, int]
    of_root: FloatArray
    _factors: SuperLU
    _drops: FloatArray
    _balance: IntArray
    _into: sparse.csr_array

    @classmethod
    def of(cls, network: Network, root: IntArray) -> LateralSystem | Unsettled | None:
        """Set up and factorise; None where the equations are singular all the same."""
        column = {name: k for k, name in enumerate(unknowns_of(network, root))}
        rows = _Rows(column=column, root=root)
        _state(rows, network)
        odd = _uneven(rows, network)
        if len(odd):
            return Unsettled(odd)
        shape = (len(column), len(column))
        matrix = sparse.csc_array((rows.inner[2], (rows.inner[0], rows.inner[1])), shape=shape)
        seen = sparse.csr_array(
            (rows.outer[2], (rows.outer[0], rows.outer[1])), shape=(shape[0], _STATES)
        ).toarray()
        try:
            factors = splu(matrix)
        except RuntimeError:  # exactly singular
            return None
        of_root = -factors.solve(seen)
        residual = np.abs(matrix @ of_root + seen).max(initial=0.0)
        if not np.isfinite(of_root).all() or residual > _CLOSE:
            return None
        into = _at_roots(network, root, column)
        if np.abs(into @ of_root[:, 3:]).max(initial=0.0) > _CLOSE:
            return None  # flows that follow angles
        return cls(
            network=network,
            root=root,
            column=column,
            of_root=of_root,
            _factors=factors,
            _drops=np.array(rows.constant),
            _balance=np.array(rows.balance, dtype=np.int64).reshape(-1, 4),
            _into=into,
        )

    def constant(self, demand: tuple[FloatArray, FloatArray]) -> FloatArray:
        """(unknown,) ``e`` under a demand, (bus, 3) active and reactive."""
        right = self._drops.copy()
        at, kind, bus, phase = self._balance.T
        use = np.stack(demand) + self.network.lost
        right[at] += use[kind, bus, phase]
        return np.asarray(self._factors.solve(right), dtype=float)

    def demand(
        self, demand: tuple[FloatArray, FloatArray], constant: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """(bus, 3) demand of what remains: a root's own and its laterals'."""
        drawn = (self._into @ constant).reshape(2, -1, 3)
        p, q = np.stack(demand) - drawn
        return p, q

    def per_w(self) -> tuple[FloatArray, FloatArray]:
        """(bus, 3, 3) what follows the voltages of what remains, active and reactive."""
        drawn = (self._into @ self.of_root[:, :3]).reshape(2, -1, 3, 3)
        inner = (self.root >= 0)[:, None, None]
        p, q = (
            np.where(inner, 0.0, own - of_laterals)
            for own, of_laterals in zip(
                (self.network.per_w_p, self.network.per_w_q), drawn, strict=True
            )
        )
        return p, q


def unknowns_of(network: Network, root: IntArray) -> list[Unknown]:
    """Name the unknowns inside laterals, in the order of buses and branches."""
    names: list[Unknown] = []
    angled = network.zero_sequence.angled
    for i in np.flatnonzero(root >= 0).tolist():
        phases = np.flatnonzero(network.phases[i]).tolist()
        names += [("w", i, k) for k in phases]
        names += [("theta", i, k) for k in phases if angled[i]]
    for e in inner_branches(network, root):
        if not network.idle[e]:
            along = range(network.branches[e].channels)
            names += [(kind, e, c) for kind in ("p", "q") for c in along]
    return names


def inner_branches(network: Network, root: IntArray) -> list[int]:
    """Branches of laterals."""
    return [e for e, b in enumerate(network.branches) if root[b.start] >= 0 or root[b.end] >= 0]


def home_of(branch: Branch, root: IntArray) -> int:
    """Root of the lateral that an inner branch belongs to."""
    return int(max(root[branch.start], root[branch.end]))


@dataclass(slots=True, kw_only=True)
class _Rows:
    """Equations as they are stated: entries of inner and of seen columns, and constants."""

    column: dict[Unknown, int]
    root: IntArray
    inner: tuple[list[int], list[int], list[float]] = field(default_factory=lambda: ([], [], []))
    outer: tuple[list[int], list[int], list[float]] = field(default_factory=lambda: ([], [], []))
    constant: list[float] = field(default_factory=list)
    home: list[int] = field(default_factory=list)
    balance: list[tuple[int, int, int, int]] = field(default_factory=list)

    def new(self, home: int, constant: float = 0.0) -> int:
        """Open an equation ``Σ terms = constant z`` of a lateral."""
        self.constant.append(constant)
        self.home.append(home)
        return len(self.constant) - 1

    def put(self, row: int, name: Unknown, value: float) -> None:
        """Add a term; what is not inner is the root's."""
        if value == 0.0:
            return
        at = self.column.get(name)
        if at is None:
            at, entries = name[2] + (3 if name[0] == "theta" else 0), self.outer
        else:
            entries = self.inner
        entries[0].append(row)
        entries[1].append(at)
        entries[2].append(value)


def _state(rows: _Rows, network: Network) -> None:
    inner = inner_branches(network, rows.root)
    for e in inner:
        _state_drops(rows, network, e)
    terms = _arrivals(network, [e for e in inner if not network.idle[e]])
    for i in np.flatnonzero(rows.root >= 0).tolist():
        for k in np.flatnonzero(network.phases[i]).tolist():
            arriving = terms.get((i, k))
            if arriving is None:
                continue  # nothing is used where only idle branches lead
            for kind, (into, per_w) in enumerate(
                zip(arriving, (network.per_w_p, network.per_w_q), strict=True)
            ):
                row = rows.new(int(rows.root[i]))
                rows.balance.append((row, kind, i, k))
                for name, value in into:
                    rows.put(row, name, value)
                for d in range(3):
                    rows.put(row, ("w", i, d), -float(per_w[i, k, d]))
    here = set(inner)
    for e, c, k in network.zero_sequence.along:
        if e in here:
            _state_fall(rows, network, (e, c, k))


def _state_drops(rows: _Rows, network: Network, e: int) -> None:
    """(16d) and (16g), (16i) of a branch."""
    branch = network.branches[e]
    for c in range(branch.channels):
        offset = float(branch.offset[c]) if len(branch.offset) else 0.0
        row = rows.new(home_of(branch, rows.root), offset)
        for k in range(3):
            rows.put(row, ("w", branch.end, k), float(branch.to_w[c, k]))
            rows.put(row, ("w", branch.start, k), -float(branch.from_w[c, k]))
        for d in range(0 if network.idle[e] else branch.channels):
            rows.put(row, ("p", e, d), -float(branch.drop_p[c, d]))
            rows.put(row, ("q", e, d), -float(branch.drop_q[c, d]))


def _state_fall(rows: _Rows, network: Network, at: tuple[int, int, int]) -> None:
    """``θ_j = θ_i + (Mq p - Mp q)/2`` along a channel."""
    e, c, k = at
    branch = network.branches[e]
    row = rows.new(home_of(branch, rows.root))
    rows.put(row, ("theta", branch.end, k), 1.0)
    rows.put(row, ("theta", branch.start, k), -1.0)
    for d in range(0 if network.idle[e] else branch.channels):
        rows.put(row, ("p", e, d), -float(branch.drop_q[c, d]) / 2.0)
        rows.put(row, ("q", e, d), float(branch.drop_p[c, d]) / 2.0)


_Terms = tuple[list[tuple[Unknown, float]], list[tuple[Unknown, float]]]


def _arrivals(network: Network, carrying: list[int]) -> dict[tuple[int, int], _Terms]:
    """Collect what arrives over branches at each bus phase: active and reactive."""
    terms: dict[tuple[int, int], _Terms] = {}
    for e in carrying:
        branch = network.branches[e]
        for bus, active, reactive in (
            (branch.start, -branch.from_active, -branch.from_reactive),
            (branch.end, branch.to_active, branch.to_reactive),
        ):
            for k in np.flatnonzero(network.phases[bus]).tolist():
                p, q = terms.setdefault((bus, k), ([], []))
                for c in range(branch.channels):
                    p.append((("p", e, c), float(active[k, c])))
                    q.append((("q", e, c), float(active[k, c])))
                    p.append((("q", e, c), float(reactive[k, c])))
                    q.append((("p", e, c), -float(reactive[k, c])))
    return terms


def _uneven(rows: _Rows, network: Network) -> IntArray:
    """Roots of laterals that have not as many equations as unknowns."""
    count = np.zeros(len(rows.root), dtype=np.int64)
    np.add.at(count, np.array(rows.home, dtype=np.int64), 1)
    for kind, at, _ in rows.column:
        bus = kind in ("w", "theta")
        count[rows.root[at] if bus else home_of(network.branches[at], rows.root)] -= 1
    return np.flatnonzero(count)


def _at_roots(network: Network, root: IntArray, column: dict[Unknown, int]) -> sparse.csr_array:
    """(2 * bus * 3, unknown) what arrives at buses that remain, out of laterals."""
    at, along, value = [], [], []
    carrying = [e for e in inner_branches(network, root) if not network.idle[e]]
    for (bus, k), parts in _arrivals(network, carrying).items():
        if root[bus] >= 0:
            continue
        for kind, terms in enumerate(parts):
            at += [(kind * len(root) + bus) * 3 + k] * len(terms)
            along += [column[name] for name, _ in terms]
            value += [number for _, number in terms]
    return sparse.csr_array((value, (at, along)), shape=(6 * len(root), len(column)))
