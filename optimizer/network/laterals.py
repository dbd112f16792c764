"""Laterals: what hangs at a bus with no switch and no DER beyond, taken out of a flow exactly.

Nothing is decided over a lateral. Its voltages, flows and angles X follow from those of the bus
it hangs at, its root r, and from whether its block is live (z)::

    A X = B [w_r, θ_r] + (demand + lost + offset) z      (16d), (16g) to (16l) inside
    X   = G [w_r, θ_r] + e z

so that its demand is one demand at the root, in part following ``w_r``, and each of its limits
(16c), (16e) is one row over six columns and z. A row that another of the same root implies for
every ``w_r`` of the root's band is left out. A has a block for each lateral and is factorised
once; a realization changes e alone.

What the equations of a flow single out stays as it is: ends of switches, buses of DERs, and the
windings of `optimizer.network.zero_sequence`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyomo.environ as pyo
from gridproof.optimizer.network.decisions import Decisions
from gridproof.optimizer.network.elastic import Slack
from gridproof.optimizer.network.flow import add_flow, is_plain
from gridproof.optimizer.network.lateral_limits import SEEN, LateralLimits
from gridproof.optimizer.network.lateral_system import LateralSystem, Unsettled
from gridproof.optimizer.network.network import ENOUGH, Margins, Network
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray

__all__ = ["Laterals", "SeenNetwork"]

_ZERO = 1e-12
_ROUND = 1e-9  # pu by which rounding alone may pass a limit that is met exactly


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Laterals:
    """A network without its laterals, and what they ask of their roots.

    Attributes
    ----------
    network
        What remains; inner buses have no phases there.
    system, limits
        The equations and the limits inside.
    """

    network: Network
    system: LateralSystem
    limits: LateralLimits

    @classmethod
    def of(cls, network: Network) -> Laterals | None:
        """Find the laterals of a network; None where there are none that their roots settle."""
        kept = _singled_out(network)
        while ((root := _roots(network, kept)) >= 0).any():
            system = LateralSystem.of(network, root)
            if system is None:
                return None
            if isinstance(system, LateralSystem):
                per_w_p, per_w_q = system.per_w()
                remains = replace(
                    network,
                    phases=network.phases & (root < 0)[:, None],
                    per_w_p=per_w_p,
                    per_w_q=per_w_q,
                )
                return cls(network=remains, system=system, limits=LateralLimits.of(system))
            assert isinstance(system, Unsettled)
            kept |= np.isin(root, system.roots)
        return None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SeenNetwork:
    """A network whose laterals, if it has any, are seen from their roots alone."""

    network: Network
    laterals: Laterals | None

    @classmethod
    def of(cls, network: Network) -> SeenNetwork:
        """Look for laterals."""
        return cls(network=network, laterals=Laterals.of(network))

    def lacking(self, demand: tuple[FloatArray, FloatArray]) -> dict[int, dict[Slack, float]]:
        """Limits that blocks' laterals pass in every state of their roots, and by how much."""
        by_block: dict[int, dict[Slack, float]] = {}
        if self.laterals is None:
            return by_block
        found = self.laterals.limits.lacking(self.laterals.system.constant(demand))
        for (root, limit), over in found.items():
            by_block.setdefault(int(self.network.block[root]), {})[limit] = over
        return by_block

    def add_flow(
        self,
        m: Any,
        decisions: Decisions,
        injection: tuple[Mapping[tuple[int, int], Any], Mapping[tuple[int, int], Any]],
        demand: tuple[FloatArray, FloatArray],
        *,
        margin: Margins | None = None,
        reach: FloatArray | None = None,
    ) -> None:
        """Add ``m.flow`` as `optimizer.network.flow.add_flow` does, of what remains.

        What the laterals' limits ask stands in ``m.flow.lateral``.
        """
        if self.laterals is None:
            add_flow(m, self.network, decisions, injection, demand, margin=margin, reach=reach)
            return
        system, limits = self.laterals.system, self.laterals.limits
        constant = system.constant(demand)
        seen = system.demand(demand, constant)
        add_flow(m, self.laterals.network, decisions, injection, seen, margin=margin, reach=reach)
        m.flow.lateral = pyo.ConstraintList()
        for bus, row, right in limits.rows(constant, 0.0 if margin is None else ENOUGH):
            block = int(self.network.block[bus])
            if not is_plain(decisions.energized[block], 0):
                body = _body(m.flow, (bus, block), row, decisions.energized[block], margin)
                _add_row(m.flow.lateral, body, right)


def _body(b: Any, where: tuple[int, int], row: FloatArray, z: Any, margin: Margins | None) -> Any:
    """Left side of a row of `LateralLimits.rows`."""
    bus, block = where
    shown: list[tuple[float, Any, Any]] = [(float(row[k]), b.w, (bus, k)) for k in range(3)]
    shown += [(float(row[3 + k]), b.theta, (bus, k)) for k in range(3)]
    if margin is not None:
        shown += [(float(row[6]), margin.kept, ("voltage", block))]
        shown += [(float(row[7]), margin.kept, ("flow", block))]
    return float(row[SEEN]) * z + sum(v * table[at] for v, table, at in shown if abs(v) > _ZERO)


def _add_row(rows: Any, body: Any, right: float) -> None:
    if not isinstance(body, float):
        rows.add(body <= right)
    elif body > right + _ROUND:  # live, it cannot be served in any state of its root
        rows.add(pyo.Constraint.Infeasible)


def _singled_out(network: Network) -> BoolArray:
    """(bus,) whether something other than its own lateral may depend on a bus."""
    kept = np.zeros(len(network.block), dtype=bool)
    kept[network.der_bus] = True
    rules = network.zero_sequence
    windings = [at for _, banked, _ in rules.closures for at in banked]
    windings += [at for *_, banked, _ in rules.links for at in banked]
    windings += [at for banked, _ in rules.rings for at in banked]
    windings += [at for one, other, _ in rules.twins for at in (one, other)]
    joins = {e for e, _ in windings}
    joins |= {e for e, branch in enumerate(network.branches) if branch.switch >= 0}
    for e in joins:
        kept[[network.branches[e].start, network.branches[e].end]] = True
    kept[[side.bus for side in rules.floating]] = True
    return kept


def _roots(network: Network, kept: BoolArray) -> IntArray:
    """(bus,) where each bus hangs when leaves are stripped again and again; -1 if it does not."""
    beside: list[list[int]] = [[] for _ in kept]
    for branch in network.branches:
        beside[branch.start].append(branch.end)
        beside[branch.end].append(branch.start)
    degree = [len(others) for others in beside]
    above = np.full(len(kept), -1, dtype=np.int64)
    order: list[int] = [i for i, n in enumerate(degree) if n == 1 and not kept[i]]
    for i in order:  # grows
        others = [j for j in beside[i] if above[j] < 0]
        if len(others) != 1:
            continue  # the last of a part that nothing else holds
        above[i] = others[0]
        degree[others[0]] -= 1
        if degree[others[0]] == 1 and not kept[others[0]]:
            order.append(others[0])
    root = np.full(len(kept), -1, dtype=np.int64)
    for i in reversed(order):
        if above[i] >= 0:
            root[i] = root[above[i]] if root[above[i]] >= 0 else above[i]
    return root
