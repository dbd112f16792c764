"""Remote reconfiguration alone: what the phases before it leave to decide.

The damaged zone is known, and lines into it stay open. A closed line behind which only loads
hang stays closed. Safe buses that no line left to move can part are one block, energised
together; the radiality formulations then see blocks and operable lines only, while flows and
voltages keep every bus.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from gridproof.optimizer.network.bridges import joined
from gridproof.optimizer.network.feed_rows import Feed, FeedGraph
from gridproof.optimizer.network.network import Network
from gridproof.optimizer.network.radiality import add_feed
from gridproof.optimizer.restoration.distflow import FlowColumns, LineData, add_distflow
from gridproof.optimizer.restoration.hanging import hanging_edges
from gridproof.optimizer.restoration.isolation import Isolation
from gridproof.optimizer.restoration.supply import add_supply, hold_source_voltage, w_band
from gridproof.optimizer.restoration.three_phase import SafeZone, add_three_phase_flow
from gridproof.optimizer.solver.program import Program
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray
from gridproof.scenarios.restoration import Outage
from gridproof.scenarios.restoration_states import PhaseStates

__all__ = [
    "ReconfigurationColumns",
    "assemble",
    "build_reconfiguration",
    "read_reconfiguration",
    "starting_point",
]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReconfigurationColumns:
    """Columns of the program at t = 3, and what they stand for.

    Attributes
    ----------
    buses
        Positions of the safe buses; ``block`` (safe bus,) is the block of each.
    switches
        Positions of the lines that may move; ``closed`` (switch,) their columns.
    energized
        (block,).
    lines
        Positions of the lines of ``flow``: those that may move, then the others.
    feed
        Columns of the radiality formulation.
    formers
        Which of ``case.forming`` are in the safe zone; ``forming`` holds their columns.
    """

    buses: IntArray
    block: IntArray
    switches: IntArray
    closed: IntArray
    energized: IntArray
    lines: IntArray
    feed: Feed
    formers: IntArray
    forming: IntArray
    flow: FlowColumns


def build_reconfiguration(
    case: Outage,
    isolation: Isolation,
    *,
    radiality: str = "directed_local_flow",
    keep_live: bool = False,
    network: Network | None = None,
) -> tuple[Program, ReconfigurationColumns]:
    """State objective (2) at t = 3 with (3)-(7) and linearised DistFlow on the safe zone.

    The program's constant holds the losses of t = 0 to 2 and of the damaged zone, so that its
    objective is that of the program over all phases.

    Parameters
    ----------
    keep_live
        Leave every line that is live closed, so that dead zones are joined to the feeders as
        they are. Its solutions are solutions of the whole, found far sooner on a large network.
    network
        The case phase by phase, to be planned as the unbalanced network it is; balanced if None.
    """
    m = Program()
    safe = isolation.available[2]
    buses, switches, frozen = _parts(case, isolation, keep_live=keep_live)
    place = np.full(len(safe), -1, np.int64)
    place[buses] = np.arange(len(buses))
    block = joined(len(buses), place[case.ends[frozen]])
    was = isolation.closed[2][switches]
    closed = m.columns(len(switches), integer=True)
    energized = m.columns(int(block.max(initial=-1)) + 1)
    _charge_switching(m, case, closed, was)
    stations = case.feeder.sources.bus[safe[case.feeder.sources.bus]]
    formers, former_buses = _safe_formers(case, safe)
    forming = m.columns(len(formers), integer=True)
    roots = np.concatenate([m.columns(len(stations), lower=1.0), forming])
    graph = FeedGraph(
        size=len(energized),
        ends=block[place[case.ends[switches]]],
        root_nodes=block[place[np.concatenate([stations, former_buses])]],
    )
    feed = add_feed(m, graph, closed, energized, roots, formulation=radiality)
    zone = SafeZone(
        buses=buses,
        place=place,
        lines=np.concatenate([switches, frozen]),
        energized=energized[block],
        stations=stations,
        formers=case.forming[formers],
        forming=forming,
    )
    if network is None:
        flow = _add_balanced_flow(m, case, feed, zone)
    else:
        flow = add_three_phase_flow(m, case, network, feed, zone)
    m.charge(flow.share, -case.unserved_per_mw[buses] * case.bus_demand()[0][buses] / 1e3)
    m.constant += _settled_cost(case, isolation)
    columns = ReconfigurationColumns(
        buses=buses,
        block=block,
        switches=switches,
        closed=closed,
        energized=energized,
        lines=zone.lines,
        feed=feed,
        formers=formers,
        forming=forming,
        flow=flow,
    )
    return m, columns


def _add_balanced_flow(m: Program, case: Outage, feed: Feed, zone: SafeZone) -> FlowColumns:
    at, p, q = add_supply(m, case, zone.stations, zone.formers, zone.forming)
    flow = add_distflow(
        m,
        LineData.of(case, zone.buses, zone.lines),
        feed,
        np.arange(len(feed.forward)),
        zone.energized,
        supply=(zone.place[at], p, q),
        w_band=w_band(case),
    )
    hold_source_voltage(m, case, flow, zone.place)
    return flow


def _parts(
    case: Outage, isolation: Isolation, *, keep_live: bool
) -> tuple[IntArray, IntArray, IntArray]:
    """Safe buses, lines between them that may move, and closed ones that may not or need not."""
    safe = isolation.available[2]
    inside = safe[case.ends].all(axis=1)
    sound = np.ones(len(inside), bool)
    sound[case.failed] = False
    held_open = ~case.operable_end & ~isolation.end_closed[2]
    moves = inside & sound & case.operable_end.any(axis=1) & ~held_open.any(axis=1)
    closed = isolation.closed[2]
    present = np.flatnonzero(moves | (inside & closed))
    roots = np.concatenate([case.feeder.sources.bus, _safe_formers(case, safe)[1]])
    hangs = hanging_edges(len(safe), case.ends[present], roots)
    moves[present[hangs & closed[present]]] = False
    if keep_live:
        moves &= ~(closed & isolation.energized[2][case.ends].all(axis=1))
    stays = inside & ~moves & closed
    return np.flatnonzero(safe), np.flatnonzero(moves), np.flatnonzero(stays)


def _charge_switching(m: Program, case: Outage, closed: IntArray, was: BoolArray) -> None:
    """Charge ``|sw_3 - sw_2|`` with ``sw_2`` known: linear without another column."""
    price = case.prices.switching
    m.charge(closed, np.where(was, -price, price))
    m.constant += price * was.sum()


def _safe_formers(case: Outage, safe: BoolArray) -> tuple[IntArray, IntArray]:
    """Positions in ``case.forming`` of generators in the safe zone, and their buses."""
    at = case.ders.bus[case.forming]
    kept = np.flatnonzero(safe[at])
    return kept, at[kept]


def _settled_cost(case: Outage, isolation: Isolation) -> float:
    """Cost of t = 0 to 2, and at t = 3 of lost buses and of all load as if none were served."""
    worth = case.bus_demand()[0] / 1e3 * case.unserved_per_mw
    lost = (~isolation.available).sum(axis=0) + ~isolation.available[2]
    unserved = worth @ (~isolation.energized).sum(axis=0) + worth.sum()
    moves = np.abs(np.diff(isolation.closed.astype(int), axis=0)).sum()
    return float(unserved + case.lost_bus @ lost + case.prices.switching * moves)


def starting_point(
    columns: ReconfigurationColumns,
    size: int,
    kept: ReconfigurationColumns,
    values: FloatArray,
) -> FloatArray:
    """(column,) the states of a solution with live lines kept, for the program without.

    Parameters
    ----------
    columns, size
        Of the program to be started; NaN where nothing is known.
    kept, values
        Of the program with ``keep_live``, and its solution.
    """
    start = np.full(size, np.nan)
    start[columns.closed] = 1.0  # a line that only the whole may move is live and closed
    place = np.searchsorted(columns.switches, kept.switches)
    start[columns.closed[place]] = values[kept.closed]
    return start


def read_reconfiguration(
    case: Outage,
    isolation: Isolation,
    columns: ReconfigurationColumns,
    values: FloatArray,
) -> PhaseStates:
    """Turn a solution into what stands at every phase."""
    final = isolation.end_closed[2].copy()
    state = values[columns.closed] > 0.5
    was = isolation.closed[2][columns.switches]
    opens, closes = columns.switches[was & ~state], columns.switches[~was & state]
    final[closes] = True
    final[opens] &= ~case.operable_end[opens]
    live = np.zeros(len(case.feeder.buses.ids), bool)
    live[columns.buses] = values[columns.energized[columns.block]] > 0.5
    share = np.concatenate([isolation.energized, np.zeros((1, len(live)))]).astype(float)
    share[3, columns.buses] = values[columns.flow.share]
    forming = np.zeros((4, len(case.forming)), bool)
    forming[3, columns.formers] = values[columns.forming] > 0.5
    return assemble(
        case,
        end_closed=np.concatenate([isolation.end_closed, final[None]]),
        available=np.concatenate([isolation.available, isolation.available[2:]]),
        energized=np.concatenate([isolation.energized, live[None]]),
        forming=forming,
        share=share,
    )


def assemble(
    case: Outage,
    *,
    end_closed: BoolArray,
    available: BoolArray,
    energized: BoolArray,
    forming: BoolArray,
    share: FloatArray,
) -> PhaseStates:
    """Put together what stands at every phase, of the (time, bus) share of load served."""
    return PhaseStates(
        closed=np.asarray(end_closed.all(axis=2), bool),
        end_closed=end_closed,
        available=available,
        energized=energized,
        forming=forming,
        served_kw=np.clip(share, 0.0, 1.0) * energized * case.bus_demand()[0],
    )
