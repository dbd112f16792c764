"""Among plans of the same cost, the one furthest from its limits.

A cost-minimal linear program ends on limits: a voltage at exactly 0.95, a ramp used to the
last kilowatt. Base set-points and held voltages are therefore moved, with every switch and
role as it is and at the same worst-case cost, to where each island's margins are largest over
the nominal load and the realizations kept: first the least of all, then each kind's least::

    max Σ_islands (W t + Σ_kinds t_k)    s.t. every limit of kind k keeps t_k ≥ t,
                                              Σ c_g p_g + Σ_islands θ ≤ the cost before

What comes out is put through separation again; a realization that breaks it is kept too, and
if no round holds, the plan stays as it was.

Which DER of an island forms is often free, too: the cost does not see it, but the DER that
forms takes up what the linear model left out, so a small one brings the island to its limits.
Island by island, each DER that can form is therefore tried in the role, and the one with the
largest margins at the same cost takes it, if separation proves the plan anew. Here, and only
here, a forming DER's margins count as shares of the island's largest rating: losses come in
kilowatts, whoever takes them up, and a share of its own rating would favour the smallest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from time import perf_counter
from typing import Any

import numpy as np
import pyomo.environ as pyo
from gridproof.optimizer.network.branches import BASE_KVA
from gridproof.optimizer.network.decisions import Decisions
from gridproof.optimizer.network.devices import add_base_setpoints, add_redispatch, redispatch_usd
from gridproof.optimizer.network.first_stage import FirstStage
from gridproof.optimizer.network.laterals import SeenNetwork
from gridproof.optimizer.network.network import ENOUGH, FIRST, MARGINS, Margins, Network
from gridproof.optimizer.solver.decomposition import Oracle, Outcome
from gridproof.optimizer.solver.pyomo_model import solve
from gridproof.optimizer.solver.solve import Answer
from gridproof.scenarios.arrays import BoolArray, FloatArray
from gridproof.scenarios.errors import SolverError
from gridproof.scenarios.proof import Termination
from gridproof.scenarios.realization import realize

__all__ = ["centre", "moved_inward"]


_ROUNDS = 6
_SAME = 0.5e-9
"""Relative difference at which two costs count as the same; it enters twice."""

_BETTER = 1e-3
"""Gain in weighted margins for which another DER takes the role of forming."""

_SHARP = 1e-9  # solver tolerance, so that costs can be compared at all
_OPTIMAL = Termination.OPTIMAL


def centre(
    network: Network,
    oracle: Oracle[FirstStage],
    outcome: Outcome[FirstStage],
    kept: list[FloatArray],
    *,
    time_limit_s: float,
) -> Outcome[FirstStage]:
    """Move set-points and held voltages of a finished search to the centre, at no cost.

    Parameters
    ----------
    network, oracle
        What the search used.
    outcome
        A search's end with a candidate; returned unchanged where nothing better holds.
    kept
        Realizations whose margins count beside the nominal's.
    time_limit_s
        Wall time for all rounds.

    Returns
    -------
    Outcome
        The centred candidate with its re-proven worst case; its cost is within 1e-9 of
        the least its switches and roles allow.
    """
    if outcome.candidate is None or not outcome.candidate.energized.any():
        return outcome
    realizations, began, seen = list(kept), perf_counter(), SeenNetwork.of(network)

    def left() -> float:
        return max(0.0, time_limit_s - (perf_counter() - began))

    centred = _centred(seen, oracle, outcome, realizations, left)
    if centred is None or centred.candidate is None:
        return outcome
    candidate = _with_best_formers(seen, centred, realizations, left)
    if candidate is not None:
        other = _centred(seen, oracle, replace(centred, candidate=candidate), realizations, left)
        centred = centred if other is None else other
    seconds = {**outcome.proof.seconds, "centring": perf_counter() - began}
    return replace(centred, proof=replace(centred.proof, seconds=seconds))


def _centred(
    seen: SeenNetwork,
    oracle: Oracle[FirstStage],
    outcome: Outcome[FirstStage],
    realizations: list[FloatArray],
    left: Callable[[], float],
) -> Outcome[FirstStage] | None:
    """Centre and prove at fixed roles; ``realizations`` grows by those that broke a try."""
    candidate, proof = outcome.candidate, outcome.proof
    assert candidate is not None
    for _ in range(_ROUNDS):
        inner = moved_inward(seen, candidate, realizations, proof.incumbent, left)
        if inner is None:
            return None
        moved, most = inner
        worst = oracle.worst(moved, time_limit_s=left())
        first = oracle.first_stage_usd(moved)
        cost, found = first + worst.certain_usd, first + worst.cost_usd
        width = proof.asked_gap * max(1.0, abs(cost))  # a bracket may be as wide as was asked
        same = most + _SAME * max(1.0, abs(most))
        if worst.complete and found <= same and cost <= max(same, proof.bound + width):
            return Outcome(candidate=moved, worst=worst, proof=replace(proof, incumbent=cost))
        if not worst.complete or any(np.array_equal(worst.zeta, z) for z in realizations):
            return None
        realizations.append(worst.zeta)
    return None


def moved_inward(
    seen: SeenNetwork,
    candidate: FirstStage,
    realizations: list[FloatArray],
    most: float,
    left: Callable[[], float],
) -> tuple[FirstStage, float] | None:
    """Move set-points and held voltages away from limits at fixed states, nothing being proven.

    Parameters
    ----------
    realizations
        Realizations that are served beside the nominal load.
    most
        What may be spent, if the states can do with it.
    left
        Seconds left.

    Returns
    -------
    tuple of FirstStage and float, or None
        With what was spent at most; None if nothing serves all of them, or time is up.
    """
    model = _model(seen, candidate, realizations)
    cheapest = _sharply(model, left)
    if cheapest.termination is _OPTIMAL:  # the search's own tolerance taken out
        most = max(most, cheapest.incumbent)
    most += _SAME * max(1.0, abs(most))
    _turn_inward(model, most)
    if _sharply(model, left).termination is not _OPTIMAL:
        return None
    return _read(seen.network, candidate, model), most


def _sharply(model: Any, left: Callable[[], float]) -> Answer:
    """Solve to the sharp tolerance; where that has neither answer nor proof, to the usual one."""
    try:
        return solve(model, time_limit_s=left(), tolerance=_SHARP)
    except SolverError:
        return solve(model, time_limit_s=left())


def _with_best_formers(
    seen: SeenNetwork,
    centred: Outcome[FirstStage],
    realizations: list[FloatArray],
    left: Callable[[], float],
) -> FirstStage | None:
    """Try every DER that can form in the role, island by island; None if none is better."""
    best, network = centred.candidate, seen.network
    assert best is not None
    most = centred.proof.incumbent
    most += _SAME * max(1.0, abs(most))
    worth, found = None, False
    for inside, g in _other_formers(network, best):
        if worth is None:
            worth = _worth(seen, best, realizations, most, left)
        forming = best.forming & ~inside
        forming[g] = True
        other = replace(best, forming=forming)
        value = _worth(seen, other, realizations, most, left)
        if value > worth + _BETTER:
            best, worth, found = other, value, True
    return best if found else None


def _other_formers(network: Network, stage: FirstStage) -> Iterator[tuple[BoolArray, int]]:
    """Yield the DERs of an island (der,) and one of them that could form it instead."""
    ders = network.scenario.ders
    for blocks in stage.islands(network.scenario):
        inside = np.isin(network.block[network.der_bus], blocks)
        if np.count_nonzero(stage.forming & inside) != 1:
            continue  # several share the role: their number is the search's to choose
        if np.any(stage.forming & inside & ders.is_substation):
            continue  # nobody else may form where the grid does
        for g in np.flatnonzero(inside & ders.can_form & ~stage.forming).tolist():
            yield inside, g


def _worth(
    seen: SeenNetwork,
    candidate: FirstStage,
    realizations: list[FloatArray],
    most_usd: float,
    left: Callable[[], float],
) -> float:
    """Largest weighted margins at some roles and a cost; ``-inf`` if nothing is found in time."""
    network = seen.network
    scale = network.ders.margin_scale(candidate.forming)
    for blocks in candidate.islands(network.scenario):
        inside = np.isin(network.block[network.der_bus], blocks)
        scale[inside & candidate.forming] = network.ders.scale[inside].max()
    model = _model(seen, candidate, realizations, scale)
    _turn_inward(model, most_usd)
    answer = _sharply(model, left)
    return -answer.incumbent if answer.termination is _OPTIMAL else -np.inf


def _model(
    seen: SeenNetwork,
    candidate: FirstStage,
    realizations: list[FloatArray],
    der_scale: FloatArray | None = None,
) -> Any:
    """Build the continuous decisions at fixed states; as built, it asks for the least cost."""
    network, scenario = seen.network, seen.network.scenario
    islands = candidate.islands(scenario)
    m = pyo.ConcreteModel()
    m.least = pyo.Var(range(len(islands)), bounds=(0.0, ENOUGH))
    m.margin = pyo.Var(MARGINS, range(len(islands)), bounds=(0.0, ENOUGH))
    m.order = pyo.Constraint(
        MARGINS, range(len(islands)), rule=lambda m, kind, i: m.least[i] <= m.margin[kind, i]
    )
    m.worst_redispatch = pyo.Var(range(len(islands)), bounds=(0.0, None))
    m.source_w = pyo.Var(range(len(network.der_bus)), bounds=lambda _, g: network.held_w(g))
    margin = Margins(
        kept={
            (kind, block): m.margin[kind, i]
            for i, blocks in enumerate(islands)
            for block in blocks
            for kind in MARGINS
        },
        der_scale=network.ders.margin_scale(candidate.forming) if der_scale is None else der_scale,
    )
    plain = candidate.decisions()
    decisions = Decisions(
        closed=plain.closed,
        energized=plain.energized,
        forming=plain.forming,
        source_w=dict(m.source_w.items()),
    )
    add_base_setpoints(m, network, plain, margin=margin)
    base = (m.base.p, m.base.q)
    m.nominal = pyo.Block()
    seen.add_flow(m.nominal, decisions, base, network.nominal, margin=margin)
    m.realization = pyo.Block(range(len(realizations)))
    m.epigraph = pyo.ConstraintList()
    for number, zeta in enumerate(realizations):
        b = m.realization[number]
        draw = realize(scenario, zeta[None])
        demand = network.demand(draw.p_kw[0, network.time], draw.q_kvar[0, network.time])
        moved = add_redispatch(b, network, plain, base, margin=margin)
        seen.add_flow(b, decisions, (moved.p, moved.q), demand, margin=margin)
        for i, blocks in enumerate(islands):
            m.epigraph.add(m.worst_redispatch[i] >= redispatch_usd(network, moved, blocks))
    price = scenario.ders.cost_usd_per_kw * BASE_KVA
    made = sum(float(price[g]) * v for (g, _), v in m.base.p.items())
    m.spent = pyo.Expression(
        expr=made + sum(m.worst_redispatch.values()) + candidate.shed_usd(scenario)
    )
    m.cheapest = pyo.Objective(expr=m.spent)
    return m


def _turn_inward(m: Any, most_usd: float) -> None:
    """Ask for the largest margins at a cost instead."""
    m.cheapest.deactivate()
    m.same_cost = pyo.Constraint(expr=m.spent <= most_usd)
    m.inward = pyo.Objective(expr=-FIRST * sum(m.least.values()) - pyo.quicksum(m.margin.values()))


def _read(network: Network, candidate: FirstStage, m: Any) -> FirstStage:
    """Read the centred values, put back exactly inside their ranges."""
    p, q = np.zeros_like(candidate.p), np.zeros_like(candidate.q)
    for (g, k), variable in m.base.p.items():
        p[g, k], q[g, k] = pyo.value(variable), pyo.value(m.base.q[g, k])
    limits, live = network.ders, candidate.energized[network.block[network.der_bus]][:, None]
    held = np.array([v.value if v.value is not None else 1.0 for v in m.source_w.values()])
    p = limits.inside_totals(np.clip(p, limits.p_min, limits.p_max))
    q = limits.planes.inside(p, np.clip(q, limits.q_min, limits.q_max))
    return candidate.moved(
        source_w=np.clip(held, *network.held_band),
        p=np.where(live, p, 0.0),
        q=np.where(live, q, 0.0),
    )
