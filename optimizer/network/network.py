"""The network as the optimizer's equations need it: per unit, phase by phase, one step.

1 MVA per phase; voltages on each bus's line-to-neutral base. Lines and transformers are one
kind of thing here, a **branch** with channels (the phases of a line, the windings of a
transformer), because LinDist3Flow writes them alike (`scenarios.lindist`)::

    to_w @ w_j · ratio² - from_w @ w_i = Mp p + Mq q        per channel

`Network.of` is the one place where an AC margin draws limits in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from gridproof.optimizer.network.branches import (
    BASE_KVA,
    Branch,
    idle_branches,
    lines_of,
    transformers_of,
)
from gridproof.optimizer.network.der_limits import DerLimits, der_limits
from gridproof.optimizer.network.insets import Insets, MarginsAt
from gridproof.optimizer.network.voltage_dependent import voltage_dependent
from gridproof.optimizer.network.zero_sequence import ZeroSequence
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray, index_of
from gridproof.scenarios.feeder import Connection
from gridproof.scenarios.limits import VoltageTest
from gridproof.scenarios.lindist import (
    delta_to_phase,
    line_matrices,
    load_shares,
    pair_shares,
)

if TYPE_CHECKING:
    from gridproof.scenarios.scenario import Scenario

__all__ = ["BASE_KVA", "MARGINS", "Branch", "Margins", "Network", "Substation"]

MARGINS = ("voltage", "flow", "active", "reactive", "ramp")
"""Kinds of normalised margins a planning copy can keep: of half the voltage band, of a
branch's limit, and of a DER phase's active rating in the last three."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Margins:
    """Normalised margins that every limit of a planning copy keeps.

    Attributes
    ----------
    kept
        By kind (see `MARGINS`) and block: variables or numbers.
    der_scale
        (der, 3) from `DerLimits.margin_scale`.
    """

    kept: Mapping[tuple[str, int], Any]
    der_scale: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Substation:
    """What a substation holds behind its impedance, per unit.

    Attributes
    ----------
    w
        Squared magnitude held.
    drop_p, drop_q
        (3, 3) ``Mp`` and ``Mq`` of the impedance: ``w_bus = w + Mp p + Mq q + offset``.
    offset
        (3,) 0 at no current; see `scenarios.linearisation`.
    """

    w: float
    drop_p: FloatArray
    drop_q: FloatArray
    offset: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Network:
    """One step of a scenario in per unit.

    Attributes
    ----------
    phases
        (bus, 3).
    block
        (bus,) block of each bus.
    w_min, w_max
        Band of ``w`` (of the pairs' ``w`` under a line-to-line voltage test) at every bus.
    bus_w_min, bus_w_max
        (bus,) the same at each bus, narrower where a bus keeps a margin of its own.
    pairwise
        Whether the band applies to pairs ab, bc, ca.
    branches
        Everything that carries power and is closed, or may be.
    idle
        (branch,) whether a branch leads to nothing that makes, uses or switches power. It
        carries none.
    zero_sequence
        What magnitudes alone do not fix.
    per_w_p, per_w_q
        (bus, 3, 3) demand that follows ``w``, the phases' powers from the phases' ``w``:
        nominal loads and capacitors.
    der_bus, der_phases
        (der,) and (der, 3).
    ders
        Limits of the DERs.
    sides
        Of the inner polygon that stands for ``|s| ≤ S`` (`scenarios.lindist.polygon`).
    substations
        The DERs that are substations, by position. One that is live forms its island, and what
        it holds is no decision.
    lost
        (2, bus, 3) active and reactive power that arrives and is not used, around an AC state.
    """

    scenario: Scenario
    time: int
    phases: BoolArray
    block: IntArray
    w_min: float
    w_max: float
    bus_w_min: FloatArray
    bus_w_max: FloatArray
    pairwise: bool
    branches: tuple[Branch, ...]
    idle: BoolArray
    zero_sequence: ZeroSequence
    per_w_p: FloatArray
    per_w_q: FloatArray
    der_bus: IntArray
    der_phases: BoolArray
    ders: DerLimits
    sides: int
    substations: Mapping[int, Substation] = field(default_factory=dict)
    lost: FloatArray = field(default_factory=lambda: np.zeros((2, 0, 3)))

    @classmethod
    def of(
        cls,
        scenario: Scenario,
        time: int = 0,
        *,
        ac_margin: float = 0.0,
        ac_margin_at: MarginsAt = MappingProxyType({}),
    ) -> Network:
        """Derive the per-unit network of one step.

        Parameters
        ----------
        scenario
            What is studied.
        time
            Step.
        ac_margin
            pu of voltage kept clear of either end of the band. Other limits are drawn in by
            the like share of their own range, ``share = ac_margin / (v_max - v_min)``:
            apparent power limits of lines and transformers by ``share`` of theirs, and, of a
            DER **while it forms**, capability at either end and ramp by ``share`` of the
            phase's active rating. On a 0.95 to 1.05 pu band 0.004 pu is 4 %, and a ramp of
            30 % becomes 26 %. No range is drawn in beyond its middle.
        ac_margin_at
            Wider margins of single elements; see `optimizer.network.insets`.
        """
        feeder, limits = scenario.feeder, scenario.limits
        insets = Insets.of(scenario, ac_margin, ac_margin_at)
        per_w_p, per_w_q = voltage_dependent(scenario, time)
        branches = (*lines_of(scenario, insets), *transformers_of(scenario, insets))
        idle = idle_branches(scenario, branches)
        return cls(
            scenario=scenario,
            time=time,
            phases=feeder.buses.phases,
            block=feeder.blocks.of_bus,
            w_min=(limits.v_min_pu + ac_margin) ** 2,
            w_max=(limits.v_max_pu - ac_margin) ** 2,
            bus_w_min=(limits.v_min_pu + insets.bus_pu) ** 2,
            bus_w_max=(limits.v_max_pu - insets.bus_pu) ** 2,
            pairwise=limits.voltage_test is VoltageTest.LINE_TO_LINE,
            branches=branches,
            idle=idle,
            zero_sequence=ZeroSequence.of(scenario, branches, idle),
            per_w_p=per_w_p,
            per_w_q=per_w_q,
            der_bus=scenario.ders.bus,
            der_phases=scenario.ders.phases,
            ders=der_limits(scenario, time, insets),
            sides=limits.polygon_sides,
            substations=_substations(scenario),
            lost=_lost(scenario),
        )

    @property
    def nominal(self) -> tuple[FloatArray, FloatArray]:
        """(bus, 3) constant part of the nominal demand, active and reactive."""
        scenario = self.scenario
        p, q = self.demand(scenario.load_p_kw[self.time], scenario.load_q_kvar[self.time])
        return p, q

    def held_w(self, der: int) -> tuple[float, float]:
        """Least and largest squared magnitude that a DER may hold; a substation's is given."""
        own = self.substations.get(der)
        return (self.w_min, self.w_max) if own is None else (own.w, own.w)

    @property
    def held_band(self) -> tuple[FloatArray, FloatArray]:
        """(der,) least, and largest, squared magnitude that each DER may hold."""
        pairs = [self.held_w(g) for g in range(len(self.der_bus))]
        low, high = np.array(pairs, float).reshape(-1, 2).T
        return low, high

    @property
    def phase_band(self) -> tuple[float, float]:
        """Band that every phase's ``w`` keeps.

        Pair voltages are means of two phases' ``w``, so a band on pairs implies the band
        ``[2 w_min - w_max, 2 w_max - w_min]`` on the phases.
        """
        if not self.pairwise:
            return self.w_min, self.w_max
        return max(0.0, 2.0 * self.w_min - self.w_max), 2.0 * self.w_max - self.w_min

    def demand(self, p_kw: FloatArray, q_kvar: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Constant part of the demand at every bus and phase, per unit.

        Parameters
        ----------
        p_kw, q_kvar
            (..., load, 3) demand per slot.

        Returns
        -------
        tuple of two ndarrays of shape (..., bus, 3)
        """
        bus = self.scenario.feeder.loads.bus
        p, q = self._phase_powers(p_kw, q_kvar)
        return _at_buses(p, bus, len(self.block)), _at_buses(q, bus, len(self.block))

    def demand_range(self) -> tuple[tuple[FloatArray, FloatArray], tuple[FloatArray, FloatArray]]:
        """Least and largest constant part of the demand over the box, at every bus and phase.

        Loads of one bus may move against each other, and one that generates is at its least
        when its coordinate is at its highest: each load's part counts by its size,
        ``Σ s0 ± Σ spread |s0|`` where it falls as far as it rises, so that every realization lies
        between, not only those in which all coordinates are alike. A budget only leaves some of
        them out.

        Returns
        -------
        tuple
            ``(p_low, q_low), (p_high, q_high)``, each (bus, 3), per unit.
        """
        scenario, loads = self.scenario, self.scenario.feeder.loads
        box, where, at = scenario.uncertainty, index_of(loads.ids), self.time
        ends = np.zeros((2, len(loads.ids), 1))
        ends[:, [where[name] for name in box.load_ids], 0] = box.spread * [box.low, box.high]
        powers = self._phase_powers(scenario.load_p_kw[at], scenario.load_q_kvar[at])
        low, high = (
            [
                _at_buses(s + pick(ends[0] * s, ends[1] * s), loads.bus, len(self.block))
                for s in powers
            ]
            for pick in (np.minimum, np.maximum)
        )
        return (low[0], low[1]), (high[0], high[1])

    def _phase_powers(self, p_kw: FloatArray, q_kvar: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(..., load, 3) constant part of each load on the phases, per unit."""
        loads = self.scenario.feeder.loads
        shares = [load_shares(model) for model in self.scenario.load_model]
        p = p_kw * (np.array([s.p_constant for s in shares]) / BASE_KVA)[:, None]
        q = q_kvar * (np.array([s.q_constant for s in shares]) / BASE_KVA)[:, None]
        delta = np.array([c is Connection.DELTA for c in loads.connection], dtype=bool)[:, None]
        p_phase, q_phase = delta_to_phase(p, q)
        buses = self.scenario.feeder.buses
        turned, phasor = buses.turned[loads.bus] & delta[:, 0], buses.phasor
        for k in np.flatnonzero(turned).tolist():
            active, reactive = pair_shares(phasor[loads.bus[k]])
            p_pair, q_pair = p[..., k, :], q[..., k, :]
            p_phase[..., k, :] = p_pair @ active.T + q_pair @ reactive.T
            q_phase[..., k, :] = q_pair @ active.T - p_pair @ reactive.T
        return np.where(delta, p_phase, p), np.where(delta, q_phase, q)


def _at_buses(powers: FloatArray, bus: IntArray, buses: int) -> FloatArray:
    """(..., bus, 3) sums of what stands at each bus, in the loads' order."""
    out = np.zeros((*powers.shape[:-2], buses, 3))
    for k, at in enumerate(bus.tolist()):
        out[..., at, :] += powers[..., k, :]
    return out


def _substations(scenario: Scenario) -> Mapping[int, Substation]:
    own = scenario.ders.substations
    found: dict[int, Substation] = {}
    for k, g in enumerate([] if own is None else own.at.tolist()):
        assert own is not None
        z_base = scenario.feeder.buses.base_kv[scenario.ders.bus[g]] ** 2 / (BASE_KVA / 1000.0)
        drop_p, drop_q = line_matrices(own.r_ohm[k] / z_base, own.x_ohm[k] / z_base)
        at = scenario.linearisation
        offset = np.zeros(3) if at is None else at.held_w[scenario.ders.bus[g]]
        found[g] = Substation(
            w=float(own.v_pu[k] ** 2), drop_p=drop_p, drop_q=drop_q, offset=offset
        )
    return MappingProxyType(found)


def _lost(scenario: Scenario) -> FloatArray:
    at = scenario.linearisation
    none = np.zeros((2, len(scenario.feeder.buses.ids), 3))
    return none if at is None else np.stack([at.lost_p, at.lost_q])


ENOUGH = 0.3
"""Normalised margin beyond which more of it is worth nothing."""


FIRST = 100.0
"""How much the least margin of all weighs against each kind's."""
