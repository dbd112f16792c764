"""DERs: base set-points in the first stage, re-dispatch once the load is known.

Symbols of the partitioning paper, per unit: ``s_g = p + jq`` base set-points, ``o⁺, o⁻`` the
re-dispatch. Reactive power is re-dispatched within its own ramp at no cost.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyomo.environ as pyo
from gridproof.optimizer.network.branches import BASE_KVA
from gridproof.optimizer.network.decisions import Decisions
from gridproof.optimizer.network.flow import is_plain
from gridproof.optimizer.network.network import Margins, Network
from gridproof.scenarios.lindist import polygon

__all__ = ["add_base_setpoints", "add_redispatch", "redispatch_usd"]

_MOVABLE = 1e-9  # pu; a range narrower than this has no inside to keep a margin in


def add_base_setpoints(
    m: Any, network: Network, decisions: Decisions, *, margin: Margins | None = None
) -> Any:
    """Add ``m.base``: set-points that serve the nominal load without re-dispatch, (3).

    ``z_l s_min ≤ s_g ≤ z_l s_max`` per phase, apparent power by an inner polygon; a DER that
    forms leaves its inset free. The phases of a balanced one are alike unless it forms.

    Parameters
    ----------
    m
        Model or block that receives the constraints.
    network
        Per-unit network.
    decisions
        Blocks and roles; a dead block's DERs get no variables.
    margin
        Normalised margins that limits must keep; plain decisions only.

    Returns
    -------
    pyomo.environ.Block
        ``m.base`` with ``p`` and ``q`` indexed (DER, phase).
    """
    m.base = pyo.Block()
    b = m.base
    where = _phases(network, decisions)
    b.p = pyo.Var(where)
    b.q = pyo.Var(where)
    b.capability = pyo.ConstraintList()
    b.power_factor, b.curve = pyo.ConstraintList(), pyo.ConstraintList()
    for g, k in where:
        power = (b.p[g, k], b.q[g, k])
        _add_capability(b, network, decisions, (g, k), power=power, margin=margin)
    _add_balance(b, network, decisions)
    _add_totals(b, network, decisions, margin)
    return b


def add_redispatch(
    b: Any,
    network: Network,
    decisions: Decisions,
    base: tuple[Mapping[tuple[int, int], Any], Mapping[tuple[int, int], Any]],
    *,
    margin: Margins | None = None,
) -> Any:
    """Add ``b.redispatch``: ``s = s_base + o⁺ - o⁻`` within capability and ramp, (18b)-(18f).

    Parameters
    ----------
    b
        Block of one realization.
    network
        Per-unit network.
    decisions
        Blocks and roles.
    base
        Active and reactive base set-points, variables or numbers.
    margin
        As in `add_base_setpoints`; the ramp keeps its own.

    Returns
    -------
    pyomo.environ.Block
        ``b.redispatch`` with ``up``, ``down`` (active), ``shift`` (reactive) and the
        resulting ``p`` and ``q``.
    """
    b.redispatch = pyo.Block()
    r = b.redispatch
    where = _phases(network, decisions)
    limits = network.ders
    r.up = pyo.Var(where, bounds=lambda _, g, k: (0.0, limits.ramp_p[g, k]))
    r.down = pyo.Var(where, bounds=lambda _, g, k: (0.0, limits.ramp_p[g, k]))
    r.shift = pyo.Var(where, bounds=lambda _, g, k: (-limits.ramp_q[g, k], limits.ramp_q[g, k]))
    r.p = pyo.Var(where)
    r.q = pyo.Var(where)
    r.moved = pyo.ConstraintList()
    r.capability = pyo.ConstraintList()
    r.power_factor, r.curve = pyo.ConstraintList(), pyo.ConstraintList()
    r.ramp = pyo.ConstraintList()
    for g, k in where:
        r.moved.add(r.p[g, k] - r.up[g, k] + r.down[g, k] == base[0][g, k])
        r.moved.add(r.q[g, k] - r.shift[g, k] == base[1][g, k])
        power = (r.p[g, k], r.q[g, k])
        _add_capability(r, network, decisions, (g, k), power=power, margin=margin)
        _add_ramp(r, network, decisions, (g, k), margin)
    _add_balance(r, network, decisions)
    _add_totals(r, network, decisions, margin)
    return r


def redispatch_usd(network: Network, redispatch: Any, blocks: tuple[int, ...] | None = None) -> Any:
    """Cost of a realization's re-dispatch, ``Σ c_g (o⁺ + o⁻)``; of some blocks only if given."""
    price = network.scenario.ders.redispatch_cost_usd_per_kw * BASE_KVA
    home = network.block[network.der_bus]
    return sum(
        float(price[g]) * (up + redispatch.down[g, k])
        for (g, k), up in redispatch.up.items()
        if blocks is None or int(home[g]) in blocks
    )


def _phases(network: Network, decisions: Decisions) -> list[tuple[int, int]]:
    return [
        (g, k)
        for g, bus in enumerate(network.der_bus.tolist())
        if not is_plain(decisions.energized[int(network.block[bus])], 0)
        for k in np.flatnonzero(network.der_phases[g]).tolist()
    ]


def _add_balance(b: Any, network: Network, decisions: Decisions) -> None:
    """``|p_a - p_k| ≤ g (p_max - p_min)`` and so for q, of each balanced DER's phases a, k.

    What holds an island's voltage (g = 1) gives each phase what the island asks of it.
    """
    b.balance = pyo.ConstraintList()
    limits = network.ders
    live = {g for g, _ in b.p}
    for g in sorted(live):
        forming = decisions.forming[g]
        alike = network.scenario.ders.alike(g)
        if is_plain(forming, 1):
            continue
        for k in alike[1:]:
            for power, low, high in (
                (b.p, limits.p_min, limits.p_max),
                (b.q, limits.q_min, limits.q_max),
            ):
                apart = power[g, alike[0]] - power[g, k]
                if is_plain(forming, 0):
                    b.balance.add(apart == 0.0)
                    continue
                most = float(high[g].max() - low[g].min())
                b.balance.add(apart <= most * forming)
                b.balance.add(apart >= -most * forming)


def _add_totals(b: Any, network: Network, decisions: Decisions, margin: Margins | None) -> None:
    """``z low ≤ Σ p_k ≤ z high`` of DERs whose phases may be unlike up to a total."""
    b.total = pyo.ConstraintList()
    limits = network.ders
    live = {g for g, _ in b.p}
    for g in limits.summed.tolist():
        if g not in live:
            continue
        slots = [k for h, k in b.p if h == g]
        whole = sum(b.p[g, k] for k in slots)
        block = int(network.block[network.der_bus[g]])
        z, inset = decisions.energized[block], float(limits.total_inset[g])
        inward = inset * decisions.forming[g] if inset > _MOVABLE else 0.0
        if margin is not None and limits.total_max[g] - limits.total_min[g] > _MOVABLE:
            inward += float(margin.der_scale[g, slots].sum()) * margin.kept["active", block]
        b.total.add(whole >= float(limits.total_min[g]) * z + inward)
        b.total.add(whole <= float(limits.total_max[g]) * z - inward)


def _inward(
    network: Network,
    decisions: Decisions,
    where: tuple[int, int],
    width: float,
    margin: tuple[Margins, str] | None,
) -> Any:
    """How far a range of a given width is drawn in at either end; 0 where it has no inside."""
    if width <= _MOVABLE:
        return 0.0
    inset = min(float(network.ders.inset[where]), width / 2.0)
    inward = inset * decisions.forming[where[0]] if inset > 0.0 else 0.0
    if margin is not None:
        block = int(network.block[network.der_bus[where[0]]])
        inward += float(margin[0].der_scale[where]) * margin[0].kept[margin[1], block]
    return inward


def _add_ramp(
    r: Any, network: Network, decisions: Decisions, where: tuple[int, int], margin: Margins | None
) -> None:
    """(18d), (18e) where the variables' own bounds do not say it all."""
    keeps = None if margin is None else (margin, "ramp")
    for used, ramp in (
        (((r.up[where] + r.down[where]),), float(network.ders.ramp_p[where])),
        ((r.shift[where], -r.shift[where]), float(network.ders.ramp_q[where])),
    ):
        inward = _inward(network, decisions, where, 2.0 * ramp, keeps)
        if not is_plain(inward, 0):
            for side in used:
                r.ramp.add(side <= ramp - inward)


def _add_capability(
    b: Any,
    network: Network,
    decisions: Decisions,
    where: tuple[int, int],
    *,
    power: tuple[Any, Any],
    margin: Margins | None,
) -> None:
    """Range of p and q, what binds one to the other, and apparent power of one DER phase."""
    limits = network.ders
    z = decisions.energized[int(network.block[network.der_bus[where[0]]])]
    for value, kind, low, high in (
        (power[0], "active", float(limits.p_min[where]), float(limits.p_max[where])),
        (power[1], "reactive", float(limits.q_min[where]), float(limits.q_max[where])),
    ):
        keeps = None if margin is None else (margin, kind)
        inward = _inward(network, decisions, where, high - low, keeps)
        b.capability.add(value >= low * z + inward)
        b.capability.add(value <= high * z - inward)
    _add_half_planes(b, network, decisions, where, power=power, margin=margin)
    s_max = float(limits.s_max[where])
    if np.isinf(s_max):
        return
    keeps = None if margin is None else (margin, "active")
    reach = s_max * z - _inward(network, decisions, where, 2.0 * s_max, keeps)
    for cosine, sine, inner in polygon(network.sides).tolist():
        b.capability.add(cosine * power[0] + sine * power[1] <= inner * reach)


def _add_half_planes(
    b: Any,
    network: Network,
    decisions: Decisions,
    where: tuple[int, int],
    *,
    power: tuple[Any, Any],
    margin: Margins | None,
) -> None:
    """``side q ≤ slope p + z level`` of power factor and capability curve; one that forms inside.

    One that follows keeps no margin: at no power a power factor has none.
    """
    (g, k), planes = where, network.ders.planes
    block = int(network.block[network.der_bus[g]])
    for row in np.flatnonzero(planes.der == g).tolist():
        level, inset = float(planes.level[row, k]), float(network.ders.plane_inset[row, k])
        reach = float(planes.slope[row]) * power[0]
        if level != 0.0:
            reach += level * decisions.energized[block]
        if inset > _MOVABLE:
            reach -= inset * decisions.forming[g]
        if margin is not None and is_plain(decisions.forming[g], 1):
            reach -= float(margin.der_scale[where]) * margin.kept["reactive", block]
        rows = b.curve if planes.curve[row] else b.power_factor
        rows.add(float(planes.side[row]) * power[1] <= reach)
