"""DERs: base set-points in the first stage, re-dispatch once the load is known.

Symbols of the partitioning paper, per unit: ``s_g = p + jq`` base set-points, ``o⁺, o⁻`` the
re-dispatch. Reactive power is re-dispatched within its own ramp at no cost.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyomo.environ as pyo

from optimizer.constraints.flow import SIDES, is_plain
from optimizer.constraints.network import BASE_KVA, Network
from scenarios.lindist import polygon

__all__ = ["add_base_setpoints", "add_redispatch", "redispatch_usd"]

_MOVABLE = 1e-9  # pu; a range narrower than this has no inside to keep a margin in


def add_base_setpoints(
    m: Any, network: Network, energized: Mapping[int, Any], *, margin: Mapping[tuple[str, int], Any] | None = None
) -> Any:
    """Add ``m.base``: set-points that serve the nominal load without re-dispatch, (3).

    ``z_l s_min ≤ s_g ≤ z_l s_max`` per phase, apparent power by an inner 16-gon.

    Parameters
    ----------
    m
        Model or block that receives the constraints.
    network
        Per-unit network.
    energized
        Per block, a variable or a plain number; a dead block's DERs get no variables.
    margin
        Share of rating each limit must keep, by kind (``active``, ``reactive``) and block;
        plain ``energized`` only.

    Returns
    -------
    pyomo.environ.Block
        ``m.base`` with ``p`` and ``q`` indexed (DER, phase).
    """
    m.base = pyo.Block()
    b = m.base
    where = _phases(network, energized)
    b.p = pyo.Var(where)
    b.q = pyo.Var(where)
    b.capability = pyo.ConstraintList()
    for g, k in where:
        _add_capability(b, network, energized, (g, k), (b.p[g, k], b.q[g, k]), margin)
    return b


def add_redispatch(
    b: Any,
    network: Network,
    energized: Mapping[int, Any],
    base: tuple[Mapping[tuple[int, int], Any], Mapping[tuple[int, int], Any]],
    *,
    margin: Mapping[tuple[str, int], Any] | None = None,
) -> Any:
    """Add ``b.redispatch``: ``s = s_base + o⁺ - o⁻`` within capability and ramp, (18b)-(18f).

    Parameters
    ----------
    b
        Block of one realization.
    network
        Per-unit network.
    energized
        Per block, a variable or a plain number.
    base
        Active and reactive base set-points, variables or numbers.
    margin
        As in `add_base_setpoints`; with the kind ``ramp`` too.

    Returns
    -------
    pyomo.environ.Block
        ``b.redispatch`` with ``up``, ``down`` (active), ``shift`` (reactive) and the
        resulting ``p`` and ``q``.
    """
    b.redispatch = pyo.Block()
    r = b.redispatch
    where = _phases(network, energized)
    limits = network.ders
    r.up = pyo.Var(where, bounds=lambda _, g, k: (0.0, limits.ramp_p[g, k]))
    r.down = pyo.Var(where, bounds=lambda _, g, k: (0.0, limits.ramp_p[g, k]))
    r.shift = pyo.Var(
        where, bounds=lambda _, g, k: (-limits.ramp_q[g, k], limits.ramp_q[g, k])
    )
    r.p = pyo.Var(where)
    r.q = pyo.Var(where)
    r.moved = pyo.ConstraintList()
    r.capability = pyo.ConstraintList()
    r.ramp = pyo.ConstraintList()
    for g, k in where:
        r.moved.add(r.p[g, k] - r.up[g, k] + r.down[g, k] == base[0][g, k])
        r.moved.add(r.q[g, k] - r.shift[g, k] == base[1][g, k])
        _add_capability(r, network, energized, (g, k), (r.p[g, k], r.q[g, k]), margin)
        if margin is None:
            continue
        kept = margin["ramp", int(network.block[network.der_bus[g]])] * float(limits.scale[g, k])
        if limits.ramp_p[g, k] > _MOVABLE:
            r.ramp.add(r.up[g, k] + r.down[g, k] <= limits.ramp_p[g, k] - kept)
        if limits.ramp_q[g, k] > _MOVABLE:
            r.ramp.add(r.shift[g, k] <= limits.ramp_q[g, k] - kept)
            r.ramp.add(r.shift[g, k] >= -limits.ramp_q[g, k] + kept)
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


def _phases(network: Network, energized: Mapping[int, Any]) -> list[tuple[int, int]]:
    return [
        (g, k)
        for g, bus in enumerate(network.der_bus.tolist())
        if not is_plain(energized[int(network.block[bus])], 0)
        for k in np.flatnonzero(network.der_phases[g]).tolist()
    ]


def _add_capability(
    b: Any,
    network: Network,
    energized: Mapping[int, Any],
    where: tuple[int, int],
    power: tuple[Any, Any],
    margin: Mapping[tuple[str, int], Any] | None,
) -> None:
    """Range of p and q, and apparent power, of one DER phase."""
    limits, block = network.ders, int(network.block[network.der_bus[where[0]]])
    z, scale = energized[block], float(limits.scale[where])
    for value, kind, low, high in (
        (power[0], "active", limits.p_min[where], limits.p_max[where]),
        (power[1], "reactive", limits.q_min[where], limits.q_max[where]),
    ):
        keeps = margin is not None and high - low > _MOVABLE
        inside = scale * margin[kind, block] if margin is not None and keeps else 0
        b.capability.add(value >= float(low) * z + inside)
        b.capability.add(value <= float(high) * z - inside)
    s_max = float(limits.s_max[where])
    corner = np.hypot(
        max(abs(limits.p_min[where]), abs(limits.p_max[where])),
        max(abs(limits.q_min[where]), abs(limits.q_max[where])),
    )
    sides = polygon(SIDES)
    if np.isinf(s_max) or (margin is None and corner <= sides[0, 2] * s_max):
        return
    kept = 0 if margin is None else scale * margin["active", block]
    for cosine, sine, inner in sides.tolist():
        b.capability.add(cosine * power[0] + sine * power[1] <= inner * (s_max * z - kept))
