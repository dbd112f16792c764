"""LinDist3Flow of the islanded feeder as rows of each step: (1a) to (2c).

The state of an island that is a tree is affine in what the followers give, in the magnitude held
and in the loads (`optimizer.network.statemap`), and with loads of constant power its slopes are
those of every step. Followers are balanced: a kW is a third on each phase. Then, per step::

    w, flows, forming unit = base_t + of_p p + of_q q + of_held ω + of_shed shed

A disturbance at a follower is that much less of ``p``, at a load that much more of it with its own
power factor, and at the forming unit nothing at all to the network: its own machine's loss is
made good in place, or by others, who then relieve it.

Voltages count 1e-5 pu² a kW beside rows in kW: every row is scaled by its largest slope of power.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from gridproof.optimizer.network.branches import BASE_KVA
from gridproof.optimizer.network.first_stage import FirstStage
from gridproof.optimizer.network.network import Network
from gridproof.optimizer.network.statemap import Affine, IslandState, island_state
from gridproof.optimizer.policy_mode.microgrid import Disturbance, Microgrid
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray
from gridproof.scenarios.errors import ScenarioError
from gridproof.scenarios.graph import connected_components
from gridproof.scenarios.lindist import polygon

if TYPE_CHECKING:
    from gridproof.scenarios.scenario import Scenario

__all__ = ["HELD_UNIT", "Margins", "Quantities", "island_of", "limits", "quantities"]

HELD_UNIT = 1e-4
"""pu² of one unit of ω, the squared magnitude that is held beyond 1."""

_FLAT = 1e-9  # of slope: a row this flat is moved by nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Margins:
    """What a lossless model keeps free for what it leaves out.

    Attributes
    ----------
    v_pu
        Inside either end of the voltage band.
    forming_share
        Of the forming unit's kVA, phase by phase.
    held_min_pu, held_max_pu
        Magnitude that the forming unit may hold.
    """

    v_pu: float = 0.006
    forming_share: float = 0.10
    held_min_pu: float = 1.0
    held_max_pu: float = 1.05


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Quantities:
    """Rows ``base + of_p p + of_q q + of_held ω + of_shed shed + of_w w``, all in kW but w's own.

    Attributes
    ----------
    base
        (time, row) at zero powers of the followers and a magnitude of 1.
    of_p, of_q
        (row, der); 0 for the forming DER.
    of_held
        (row,) per unit of ω.
    of_shed
        (row, load) a kW less of it.
    of_w
        (row, component) a kW of disturbance.
    """

    base: FloatArray
    of_p: FloatArray
    of_q: FloatArray
    of_held: FloatArray
    of_shed: FloatArray
    of_w: FloatArray

    def mixed(self, weights: FloatArray, other: Quantities, others: FloatArray) -> Quantities:
        """Return ``weights[k] · row k + others[k] · row k of other``."""
        a, b = weights[:, None], others[:, None]
        return Quantities(
            base=self.base * weights + other.base * others,
            of_p=a * self.of_p + b * other.of_p,
            of_q=a * self.of_q + b * other.of_q,
            of_held=weights * self.of_held + others * other.of_held,
            of_shed=a * self.of_shed + b * other.of_shed,
            of_w=a * self.of_w + b * other.of_w,
        )

    def take(self, rows: IntArray) -> Quantities:
        """Pick rows."""
        return Quantities(
            base=self.base[:, rows], of_p=self.of_p[rows], of_q=self.of_q[rows],
            of_held=self.of_held[rows], of_shed=self.of_shed[rows], of_w=self.of_w[rows],
        )  # fmt: skip


def island_of(scenario: Scenario, forming: int, closed: BoolArray) -> tuple[int, ...]:
    """Blocks that the forming DER's island has with some switches closed.

    Raises
    ------
    ScenarioError
        If a load or another DER lies outside.
    """
    feeder = scenario.feeder
    ends = feeder.switch_blocks[closed]
    label = connected_components(len(feeder.blocks.ids), ends[:, 0], ends[:, 1])
    home = feeder.blocks.of_bus
    own = label[home[scenario.ders.bus[forming]]]
    lost = [
        f"{what} {name} at bus {feeder.buses.ids[bus]}"
        for what, names, buses in (
            ("load", feeder.loads.ids, feeder.loads.bus),
            ("DER", scenario.ders.ids, scenario.ders.bus),
        )
        for name, bus in zip(names, buses.tolist(), strict=True)
        if label[home[bus]] != own
    ]
    if lost:
        raise ScenarioError(
            f"{lost[0]} is not in the island that DER {scenario.ders.ids[forming]} forms"
            f"{f', nor are {len(lost) - 1} more' if len(lost) > 1 else ''}; close a switch to it"
        )
    return tuple(np.flatnonzero(label == own).tolist())


def quantities(
    scenario: Scenario, grid: Microgrid, d: Disturbance, closed: BoolArray
) -> tuple[Network, IslandState, dict[str, Quantities]]:
    """Derive voltages ``w`` (pu²), channel flows and the forming unit's powers (kW, kvar).

    Raises
    ------
    ScenarioError
        If a load follows its voltage, or its phases and power factor change over the steps.
    """
    _same_shape(scenario)
    network = Network.of(scenario, 0)
    blocks = island_of(scenario, grid.forming, closed)
    states = [island_state(network, _stage(scenario, grid, closed, blocks, w), blocks)
              for w in (1.0, 1.0 + HELD_UNIT)]  # fmt: skip
    state = states[0]
    loads = _load_slopes(network, state)  # (entry of d, load) per kW
    change = (scenario.load_p_kw - scenario.load_p_kw[0]).sum(axis=2)  # (time, load)
    outputs = np.flatnonzero(state.outputs[:, 0] == grid.forming)
    maps = {
        "w": [(s.w, 1.0) for s in states],
        "flow_p": [(s.flow_p, BASE_KVA) for s in states],
        "flow_q": [(s.flow_q, BASE_KVA) for s in states],
        "forming_p": [(s.der_p.rows(outputs), BASE_KVA) for s in states],
        "forming_q": [(s.der_q.rows(outputs), BASE_KVA) for s in states],
    }
    ders = _der_columns(state, len(scenario.ders.ids))
    return network, state, {
        name: _quantity(pair, ders, loads, change, d) for name, pair in maps.items()
    }  # fmt: skip


def _quantity(
    pair: list[tuple[Affine, float]],
    ders: FloatArray,
    loads: FloatArray,
    change: FloatArray,
    d: Disturbance,
) -> Quantities:
    (low, unit), (high, _) = pair
    half = len(ders) // 2
    of_u = unit * low.of_u
    of_p, of_q = of_u[:, :half] @ ders[:half], of_u[:, half:] @ ders[half:]
    of_load = unit * low.of_d @ loads  # (row, load): a kW more
    return Quantities(
        base=unit * low.constant + change @ of_load.T,
        of_p=of_p,
        of_q=of_q,
        of_held=unit * (high.constant - low.constant),
        of_shed=-of_load,
        of_w=-of_p @ d.of_der.T + of_load @ d.of_load.T,
    )


def _stage(
    scenario: Scenario, grid: Microgrid, closed: BoolArray, blocks: tuple[int, ...], w: float
) -> FirstStage:
    n = len(scenario.ders.ids)
    forming = np.arange(n) == grid.forming
    energized = np.isin(np.arange(len(scenario.feeder.blocks.ids)), blocks)
    none = np.zeros((n, 3))
    return FirstStage(
        closed=closed, energized=energized, forming=forming, source_w=np.full(n, w), p=none, q=none
    )


def _der_columns(state: IslandState, ders: int) -> FloatArray:
    """(2 control, der) per-unit powers of the controls by a balanced kW (then kvar) of each DER."""
    member = np.zeros((len(state.controls), ders))
    member[np.arange(len(state.controls)), state.controls[:, 0]] = 1.0
    count = member.sum(axis=0)
    one = member / np.maximum(count, 1.0) / BASE_KVA
    return np.vstack([one, one])


def _load_slopes(network: Network, state: IslandState) -> FloatArray:
    """(entry of d, load) per-unit demand of the loaded nodes by a kW of each load."""
    scenario = network.scenario
    p, q = scenario.load_p_kw[0], scenario.load_q_kvar[0]
    total = p.sum(axis=1)
    per_kw = np.divide(1.0, total, out=np.zeros_like(total), where=total != 0.0)
    only = np.eye(len(total))[:, :, None] * per_kw[:, None, None]  # (load, load, 1)
    use_p, use_q = network.demand(only * p, only * q)
    at = state.loaded
    return np.hstack([use[:, at[:, 0], at[:, 1]] for use in (use_p, use_q)]).T


def _same_shape(scenario: Scenario) -> None:
    """Refuse loads that are not themselves times a number at every step."""
    p, q = scenario.load_p_kw, scenario.load_q_kvar
    whole = np.concatenate([p, q], axis=2)  # (time, load, 6)
    first = whole[0]
    size = (first**2).sum(axis=1)
    factor = np.divide(
        (whole * first).sum(axis=2), size, out=np.zeros(whole.shape[:2]), where=size > 0.0
    )
    off = np.abs(whole - factor[:, :, None] * first).max(axis=(0, 2), initial=0.0)
    wrong = np.flatnonzero(off > 1e-6 * np.maximum(1.0, np.abs(first).max(axis=1, initial=0.0)))
    if len(wrong):
        raise ScenarioError(
            f"load {scenario.feeder.loads.ids[wrong[0]]}: its phases or its power factor change "
            "over the steps; policy modes scale a load as a whole"
        )


def limits(  # noqa: PLR0917  (what `quantities` found, and what is asked of it)
    network: Network,
    state: IslandState,
    found: dict[str, Quantities],
    kept: Margins,
    forming: int,
    d: Disturbance,
) -> list[tuple[str, Quantities, FloatArray]]:
    """Families of rows ``quantity ≤ right``: voltages, ratings, the forming unit.

    Returns
    -------
    list of (name, Quantities, right)
        ``right`` is (row,).
    """
    bounds = network.scenario.limits
    low, high = (bounds.v_min_pu + kept.v_pu) ** 2, (bounds.v_max_pu - kept.v_pu) ** 2
    w = found["w"]
    ones = np.ones(w.base.shape[1])
    rows = [
        ("voltage", w, high * ones),
        ("voltage", w.mixed(-ones, w, 0.0 * ones), -low * ones),
    ]
    corners = polygon(network.sides)
    which, rating = _ratings(network, state)
    p, q = found["flow_p"].take(which), found["flow_q"].take(which)
    rows += [
        ("rating", p.mixed(np.full(len(which), c), q, np.full(len(which), s)), f * rating)
        for c, s, f in corners
    ]
    p, q = found["forming_p"], found["forming_q"]
    phases = state.outputs[state.outputs[:, 0] == forming][:, 1]
    kva = network.ders.s_max[forming, phases] * BASE_KVA * (1.0 - kept.forming_share)
    finite = np.flatnonzero(np.isfinite(kva))
    p, q, kva = p.take(finite), q.take(finite), kva[finite]
    each = np.ones(len(kva))
    rows += [("forming", p.mixed(c * each, q, s * each), f * kva) for c, s, f in corners]
    rows += _phase_limits(network, found, kept, forming, phases, d)
    return [(name, own, right) for name, own, right in rows if len(right)]


def _phase_limits(  # noqa: PLR0917  (as `limits`)
    network: Network,
    found: dict[str, Quantities],
    kept: Margins,
    forming: int,
    phases: IntArray,
    d: Disturbance,
) -> list[tuple[str, Quantities, FloatArray]]:
    """Bands of each phase of the forming unit, its own lost machine added, and what binds p to q.

    At the upper ends the same share of its kVA is kept free as of that; at the lower ones losses
    only help.
    """
    ders = network.scenario.ders
    p, q, share = found["forming_p"], found["forming_q"], ders.phase_share[forming, phases]
    able = replace(p, of_w=p.of_w + np.outer(share, d.of_der[:, forming]))
    free = kept.forming_share * ders.s_max_kva[forming, phases]
    free = np.where(np.isfinite(free), free, 0.0)
    each, found_rows = np.ones(len(phases)), []
    ends = (
        (able, ders.p_min_kw[forming, phases], ders.p_max_kw[forming, phases]),
        (q, ders.q_min_kvar[forming, phases], ders.q_max_kvar[forming, phases]),
    )
    for own, low, high in ends:
        above, below = np.flatnonzero(np.isfinite(high)), np.flatnonzero(np.isfinite(low))
        turned = own.mixed(-each, own, 0.0 * each)
        found_rows.append(("forming", own.take(above), (high - free)[above]))
        found_rows.append(("forming", turned.take(below), -low[below]))
    planes = ders.half_planes
    for row in np.flatnonzero(planes.der == forming).tolist():
        side, slope = float(planes.side[row]), float(planes.slope[row])
        kept_free = (max(side, 0.0) + max(-slope, 0.0)) * free
        bound = p.mixed(-slope * each, q, side * each)
        found_rows.append(("forming", bound, planes.level[row, phases] - kept_free))
    return found_rows


def _ratings(network: Network, state: IslandState) -> tuple[IntArray, FloatArray]:
    """Channels with a rating of their own, and kVA; a transformer's is shared by its channels."""
    which, rating = [], []
    for k, (e, channel) in enumerate(state.channels.tolist()):
        branch = network.branches[e]
        for weights, kva in branch.limits:
            if weights[channel] != 0.0 and np.isfinite(kva):
                which.append(k)  # the sum of channels is held by an equal part of each
                rating.append(kva * BASE_KVA / np.abs(weights).sum())
                break
    return np.array(which, dtype=np.int64), np.array(rating)
