"""Limits that may be passed at a price: how far from feasible a block's supply is, and where.

The equations of a built model stay as they are; its limits are given slack, one for each
element, phase and side, in the limit's own unit::

    lower - s⁻ ≤ limited quantity ≤ upper + s⁺,    s ≥ 0,    min Σ weight · s

Physics (voltage drops, balances) is never broken, save by ``missing``: power that appears at, or
vanishes from, a bus where nothing else helps, at ten times the price. What an open switch does
not carry stays at nothing. The least sum is 0 exactly where the hard model has a solution.

Each slack knows its row by the variables that stand in it, so that a family of equations may
change its rows without being told here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyomo.environ as pyo
from gridproof.optimizer.network.decisions import Decisions
from gridproof.optimizer.network.network import Network
from pyomo.repn import generate_standard_repn

__all__ = ["Slack", "add_elastic_devices", "add_elastic_flow", "widened"]

_W_MIN, _W_MAX = 0.25, 2.25  # 0.5 to 1.5 pu: wide enough for any voltage worth telling
MISSING_WEIGHT = 10.0
"""Price of power from nowhere, against 1 for each pu that a DER or a rating lacks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slack:
    """One limit that may be passed.

    Attributes
    ----------
    kind
        ``active``, ``total``, ``reactive``, ``apparent``, ``power_factor``, ``capability``,
        ``ramp_active``, ``ramp_reactive`` (of a DER);
        ``rating`` (of a branch); ``voltage``; ``missing_active``, ``missing_reactive``.
    place
        DER, branch or bus position.
    slot
        Phase, pair of phases (voltage, line to line) or channel; -1 where all are meant.
    upper
        Whether the upper end is passed.
    """

    kind: str
    place: int
    slot: int
    upper: bool


def widened(network: Network) -> Network:
    """Return the network with a voltage band that no open switch or open role relies on.

    The buses' own bands, which get slack, stay.
    """
    return replace(network, w_min=_W_MIN, w_max=_W_MAX)


def add_elastic_devices(b: Any, network: Network) -> Any:
    """Give the DERs of ``b.base`` or ``b.redispatch`` slack at capability and ramp.

    Returns
    -------
    pyomo.environ.Block
        ``b.soft_devices``, with ``s`` indexed by `Slack` and the objective's part ``price``.
    """
    made = b.component("base")
    made = b.component("redispatch") if made is None else made
    b.soft_devices = pyo.Block()
    soft = _Softener(b.soft_devices, network)
    active, reactive = _named(made.p), _named(made.q)
    for row in list(made.capability.values()):
        soft.capability(row, active, reactive)
    for row in list(made.total.values()):
        soft.total(row, active)
    for kind, rows in (("power_factor", made.power_factor), ("capability", made.curve)):
        for row in list(rows.values()):
            soft.half_plane(row, reactive, kind)
    if b.component("redispatch") is not None:
        for table, kind, ramp in (
            (made.up, "ramp_active", network.ders.ramp_p),
            (made.down, "ramp_active", network.ders.ramp_p),
            (made.shift, "ramp_reactive", network.ders.ramp_q),
        ):
            for (g, k), variable in table.items():
                soft.ramp(variable, (g, k), kind, float(ramp[g, k]), up=table is not made.down)
        turned = _named(made.up) | _named(made.down) | _named(made.shift)
        for row in list(made.ramp.values()):
            soft.ramp_row(row, turned, _named(made.shift))
    soft.price(lambda _: 1.0)
    return b.soft_devices


def add_elastic_flow(
    b: Any, network: Network, decisions: Decisions, *, volt_weight: float, most: float
) -> Any:
    """Give the flow of ``b.flow`` (built with ``slack=True``) slack at ratings and voltages.

    Parameters
    ----------
    volt_weight
        Price of one pu of squared voltage at one bus and phase.
    most
        More power than any branch could carry, pu.

    Returns
    -------
    pyomo.environ.Block
        ``b.soft_flow``, as in `add_elastic_devices`.
    """
    flow = b.flow
    b.soft_flow = pyo.Block()
    soft = _Softener(b.soft_flow, network)
    w = _named(flow.w)
    for row in list(flow.band.values()):
        soft.band(row, w)
    channels = _named(flow.p) | _named(flow.q)
    for row in list(flow.apparent.values()):
        soft.rating(row, channels)
    flow.box.deactivate()
    soft.open_switches(flow, decisions, most)
    soft.price(lambda slack: volt_weight if slack.kind == "voltage" else 1.0)
    missing = MISSING_WEIGHT * pyo.quicksum(flow.excess.values())
    b.soft_flow.paid = pyo.Expression(expr=b.soft_flow.price + missing)
    return b.soft_flow


def _named(table: Any) -> dict[int, tuple[int, int]]:
    return {id(variable): index for index, variable in table.items()}


class _Softener:
    """Collects slack variables on one block and rewrites rows with them."""

    def __init__(self, b: Any, network: Network) -> None:
        self._b, self._network = b, network
        self._inner = float(np.cos(np.pi / network.sides))
        b.s = pyo.VarList(domain=pyo.NonNegativeReals)
        b.rows = pyo.ConstraintList()
        b.slacks = {}

    def price(self, weight: Any) -> None:
        self._b.price = pyo.Expression(
            expr=pyo.quicksum(weight(slack) * s for slack, s in self._b.slacks.items())
        )

    def band(self, row: Any, w: Mapping[int, tuple[int, int]]) -> None:
        """One end of a voltage band, of a phase or a pair."""
        terms = list(_terms(row, w))
        (bus, first), sign = terms[0]
        slot = first
        if len(terms) > 1:  # pair ab, bc, ca: phases (0, 1), (1, 2), (0, 2)
            slot = {(0, 1): 0, (1, 2): 1, (0, 2): 2}[
                tuple(sorted(where[1] for where, _ in terms))  # type: ignore[index]
            ]
        self._rewrite(row, Slack(kind="voltage", place=bus, slot=slot, upper=sign > 0.0), 1.0)

    def rating(self, row: Any, channels: Mapping[int, tuple[int, int]]) -> None:
        """One side of a branch's polygon; a limit on a sum of channels is told of all."""
        where = {index for index, _ in _terms(row, channels)}
        branch, first = min(where)
        slot = first if len(where) == 1 else -1
        self._rewrite(row, Slack(kind="rating", place=branch, slot=slot, upper=True), self._inner)

    def capability(
        self,
        row: Any,
        active: Mapping[int, tuple[int, int]],
        reactive: Mapping[int, tuple[int, int]],
    ) -> None:
        p, q = list(_terms(row, active)), list(_terms(row, reactive))
        (g, k), sign = (p or q)[0]
        if p and q:
            slack = Slack(kind="apparent", place=g, slot=k, upper=True)
            self._rewrite(row, slack, self._inner)
            return
        kind = "active" if p else "reactive"
        self._rewrite(row, Slack(kind=kind, place=g, slot=k, upper=sign > 0.0), 1.0)

    def total(self, row: Any, active: Mapping[int, tuple[int, int]]) -> None:
        ((g, _), sign), *_ = _terms(row, active)
        self._rewrite(row, Slack(kind="total", place=g, slot=-1, upper=sign > 0.0), 1.0)

    def half_plane(self, row: Any, reactive: Mapping[int, tuple[int, int]], kind: str) -> None:
        ((g, k), sign), *_ = _terms(row, reactive)
        self._rewrite(row, Slack(kind=kind, place=g, slot=k, upper=sign > 0.0), 1.0)

    def ramp(
        self, variable: Any, where: tuple[int, int], kind: str, ramp: float, *, up: bool
    ) -> None:
        """Bounds of a re-dispatch variable, as rows with slack."""
        two_sided = kind == "ramp_reactive"
        over = self._slack(Slack(kind=kind, place=where[0], slot=where[1], upper=up))
        variable.setub(None)
        self._b.rows.add(variable - over <= ramp)
        if two_sided:
            under = self._slack(Slack(kind=kind, place=where[0], slot=where[1], upper=False))
            variable.setlb(None)
            self._b.rows.add(variable + under >= -ramp)

    def ramp_row(
        self,
        row: Any,
        moved: Mapping[int, tuple[int, int]],
        shift: Mapping[int, tuple[int, int]],
    ) -> None:
        """(18d), (18e) as drawn in by a margin."""
        terms = list(_terms(row, moved))
        (g, k), sign = terms[0]
        kind = "ramp_reactive" if list(_terms(row, shift)) else "ramp_active"
        self._rewrite(row, Slack(kind=kind, place=g, slot=k, upper=sign > 0.0), 1.0)

    def open_switches(self, flow: Any, decisions: Decisions, most: float) -> None:
        """State that an open switch carries nothing, whatever slack its rating has."""
        for (e, c), p in flow.p.items():
            switch = self._network.branches[e].switch
            if switch < 0:
                continue
            for flowing in (p, flow.q[e, c]):
                self._b.rows.add(flowing <= most * decisions.closed[switch])
                self._b.rows.add(flowing >= -most * decisions.closed[switch])

    def _slack(self, slack: Slack) -> Any:
        known = self._b.slacks
        if slack not in known:
            known[slack] = self._b.s.add()
        return known[slack]

    def _rewrite(self, row: Any, slack: Slack, weight: float) -> None:
        """``body ≤ upper`` becomes ``body - weight·s ≤ upper``; ``≥`` the other way about."""
        s = weight * self._slack(slack)
        if row.upper is not None:
            self._b.rows.add(row.body - s <= row.upper)
        if row.lower is not None:
            self._b.rows.add(row.body + s >= row.lower)
        row.deactivate()


def _terms(
    row: Any, table: Mapping[int, tuple[int, int]]
) -> Iterator[tuple[tuple[int, int], float]]:
    """Entries of a table that stand in a row, each with its sign in ``body ≤ upper``."""
    found = generate_standard_repn(row.body, quadratic=False)
    turned = 1.0 if row.upper is not None else -1.0
    for coefficient, variable in zip(found.linear_coefs, found.linear_vars, strict=True):
        where = table.get(id(variable))
        if where is not None and abs(coefficient) > 1e-12:
            yield where, turned * float(coefficient)
