"""Certificates against models that share no line with them.

The islands are those of `ac_network`, built from the feeder's columns. Three checks: a power flow
of every corner of the set; a tube computed densely, with derivatives by differences; Ipopt as an
adversary, which looks for a worse load inside the set than the one that is proven to be the worst.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest

pytest.importorskip("casadi")

import casadi as ca
from ac_comparison import networked
from ac_feasibility import AcFeasibility
from ac_network import Island, islands_of
from gridproof.federation.certificates.affine_answers import affine_answer
from gridproof.federation.studies.study import Study
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.realization import realize
from gridproof.scenarios.verdict import MarginKind
from gridproof.simulator.opendss.engine import OpenDssEngine
from gridproof.simulator.opendss.network import IslandNetwork
from gridproof.simulator.proof.certificate import Certificate, certify, state_at
from gridproof.simulator.proof.powers import powers_of
from gridproof.simulator.proof.reach import reach_of
from gridproof.simulator.proof.tangent import Tangent
from gridproof.simulator.proof.tube import Tube, tube_of

SAME = 2e-6  # of a margin: a former has 1e-6 pu of impedance in one model and none in the other
SPREAD = "0.15"


@dataclass(frozen=True, kw_only=True, eq=False)
class Proven:
    """A plan's certificates, and the same islands as the independent model has them."""

    study: Study
    plan: Plan
    networks: tuple[IslandNetwork, ...]
    certificates: tuple[Certificate, ...]
    tubes: tuple[Tube, ...]
    islands: tuple[Island, ...]


@pytest.fixture(scope="module")
def proven() -> Proven:
    study, plan = networked(SPREAD, "column_and_constraint", "campaign.recourse=fixed")
    scenario, engine = study.scenario, OpenDssEngine(study.scenario)
    engine.hold(plan)
    networks = engine.networks()
    engine.close()
    answer, reach = affine_answer("fixed", plan, scenario), reach_of(scenario.uncertainty)
    found, tubes = [], []
    for network in networks:
        found.append(certify(network, scenario, plan, answer, reach))
        state = state_at(network, scenario, answer, np.zeros(scenario.uncertainty.size))
        powers = powers_of(network, scenario, answer, reach)
        tubes.append(tube_of(Tangent(network, powers, reach, state)))
    assert all(isinstance(tube, Tube) for tube in tubes)
    formers = [int(network.forming.der[0]) for network in networks]
    islands = {island.former: island for island in islands_of(scenario, plan)}
    return Proven(
        study=study,
        plan=plan,
        networks=networks,
        certificates=tuple(found),
        tubes=tuple(tubes),
        islands=tuple(islands[former] for former in formers),
    )


@pytest.mark.slow
def test_every_corner_of_the_set_is_within_the_bounds(proven: Proven) -> None:
    scenario = proven.study.scenario
    flows = AcFeasibility(scenario, proven.plan)
    order = [island.former for island in flows.islands]
    corners = np.array(list(product((-1.0, 1.0), repeat=scenario.uncertainty.size)))
    drawn = realize(scenario, corners)
    worst: dict[tuple[int, str], float] = {}
    for row in range(len(corners)):
        answer = flows.flow(
            drawn.p_kw[row, 0], drawn.q_kvar[row, 0], (proven.plan.p_kw[0], proven.plan.q_kvar[0])
        )
        for former, flow in zip(order, answer.flows, strict=True):
            assert flow is not None
            for kind, margin in flow.margins.items():
                worst[former, kind] = min(worst.get((former, kind), np.inf), margin)
    for network, certificate in zip(proven.networks, proven.certificates, strict=True):
        former = int(network.forming.der[0])
        assert not certificate.missing
        assert certificate.unique
        for bound in certificate.bounds:
            seen = worst[former, bound.kind.value]
            assert seen >= bound.least - SAME, bound.kind
            # a corner attains what is linear, and what is not up to the remainder
            assert seen <= bound.worst + bound.remainder + SAME, bound.kind


# ------------------------------------------------------------------ a dense tube


def dense_tube(proven: Proven, island: Island) -> tuple[list[tuple[int, int]], np.ndarray]:
    """(element,) bounds on the change of the loads' voltages, by another derivation.

    The island's former is ideal; what loads draw is differentiated by central differences; sums go
    term by term.
    """
    scenario, plan = proven.study.scenario, proven.plan
    Y, C = island.Y.toarray(), island.across.toarray()
    bus = int(scenario.ders.bus[island.former])
    held = [island.nodes.index((bus, phase)) for phase in range(3)]
    free = [k for k in range(len(island.nodes)) if k not in held]
    follows = island.der != island.former
    units = np.zeros((int(follows.sum()), len(island.nodes)))
    units[np.arange(len(units)), island.der_node[follows]] = 1.0
    C = np.vstack([C, units])
    at = island.der[follows], island.der_phase[follows]
    told = (plan.p_kw[0][at] + 1j * plan.q_kvar[0][at]) / 1e3
    demand = -(scenario.load_p_kw[0] + 1j * scenario.load_q_kvar[0])[island.load, island.slot] / 1e3
    s = np.concatenate([demand, told])
    names = scenario.feeder.loads.ids
    D = np.zeros((len(s), scenario.uncertainty.size), complex)
    for number, (name, by) in enumerate(
        zip(scenario.uncertainty.load_ids, scenario.uncertainty.spread, strict=True)
    ):
        mine = np.array([names[load] == name for load in island.load])
        D[: len(mine)][mine, number] = by * demand[mine]
    turned = np.exp(-2j * np.pi * np.arange(3) / 3)
    v = np.array([turned[phase] for _, phase in island.nodes]) * plan.source_v_pu[0, island.former]
    Z = np.linalg.inv(Y[np.ix_(free, free)])
    for _ in range(300):
        v[free] = Z @ (C.T @ np.conj(s / (C @ v)) - Y[:, held] @ v[held])[free]
    U, half = C @ v, len(free)

    def drawn(e: np.ndarray) -> np.ndarray:
        there = v.copy()
        there[free] = there[free] + e[:half] + 1j * e[half:]
        current = (C.T @ np.conj(s / (C @ there)))[free]
        return np.concatenate([current.real, current.imag])

    step, sides = 1e-6, np.eye(2 * half)
    slopes = np.stack([(drawn(step * d) - drawn(-step * d)) / (2 * step) for d in sides], axis=1)
    Yff = Y[np.ix_(free, free)]
    inverse = np.linalg.inv(np.block([[Yff.real, -Yff.imag], [Yff.imag, Yff.real]]) - slopes)
    Cf = C[:, free]

    def moved(currents: np.ndarray) -> np.ndarray:
        """(element, column) change of the voltages for currents of the elements."""
        into = Cf.T @ currents
        x = inverse @ np.vstack([into.real, into.imag])
        return Cf @ (x[:half] + 1j * x[half:])

    G = moved(np.conj(D / U[:, None]))
    on_real, on_imag = moved(np.eye(len(s))), moved(1j * np.eye(len(s)))
    H = np.zeros((len(s), len(s)))
    for row in range(len(s)):
        for column in range(len(s)):
            a, b = on_real[row, column], on_imag[row, column]
            H[row, column] = np.linalg.norm([[a.real, b.real], [a.imag, b.imag]], 2)
    angles = np.exp(1j * np.linspace(0.0, np.pi, 400))
    reach = np.max([np.abs((G * turn).real).sum(axis=1) for turn in angles], axis=0)
    moves, size = np.abs(D).sum(axis=1), np.abs(U)
    u = reach.copy()
    for _ in range(100):
        rho = (np.abs(s) * u + moves * size) * u / (size**2 * (size - u))
        u = reach + H @ rho
    return list(zip(island.load.tolist(), island.slot.tolist(), strict=True)), u


def test_a_dense_tube_by_another_derivation_is_the_same(proven: Proven) -> None:
    for network, tube, island in zip(proven.networks, proven.tubes, proven.islands, strict=True):
        loads, u = dense_tube(proven, island)
        own = network.drawing
        across = {
            (int(k), frozenset(own.across[[row]].indices.tolist())): row
            for row, k in enumerate(own.load)
        }
        place = {tuple(at): k for k, at in enumerate(network.node_at.tolist())}
        for number, (load, _) in enumerate(loads):
            ends = frozenset(
                place[island.nodes[node]] for node in island.across[[number]].indices.tolist()
            )
            bound = tube.u[across[load, ends]]
            # the impedance of 1e-6 pu behind a former moves its bus by so little
            assert bound == pytest.approx(u[number], rel=2e-3, abs=3e-7)
        assert tube.u.max() > 1e-4 or network is not proven.networks[0]


# ------------------------------------------------------------------ an adversary


@pytest.mark.parametrize("seed", range(3))
def test_ipopt_finds_no_load_worse_than_the_proven_worst(proven: Proven, seed: int) -> None:
    scenario, rng = proven.study.scenario, np.random.default_rng(seed)
    spread = scenario.uncertainty.spread
    names = scenario.feeder.loads.ids
    moves = np.zeros((len(names), scenario.uncertainty.size))
    for number, name in enumerate(scenario.uncertainty.load_ids):
        moves[names.index(name), number] = spread[number]
    reached = []
    for certificate, island in zip(proven.certificates, proven.islands, strict=True):
        found = {
            kind: _least(proven, island, moves, kind, rng)
            for kind in (MarginKind.VOLTAGE, MarginKind.CAPABILITY)
        }
        for kind, (least, bound) in found.items():
            assert least >= certificate.least(kind) - SAME, kind
            reached.append(least - bound)
    assert min(reached, default=0.0) <= 1e-3


def _least(
    proven: Proven, island: Island, moves: np.ndarray, kind: MarginKind, rng: np.random.Generator
) -> tuple[float, float]:
    """Least margin of the certificate's own worst row that Ipopt finds from a random start."""
    scenario, plan = proven.study.scenario, proven.plan
    number = proven.islands.index(island)
    bound = next(one for one in proven.certificates[number].bounds if one.kind is kind)
    nodes, loads = len(island.nodes), len(island.load)
    e, f = ca.SX.sym("e", nodes), ca.SX.sym("f", nodes)
    zeta = ca.SX.sym("z", scenario.uncertainty.size)
    bus = int(scenario.ders.bus[island.former])
    held = [island.nodes.index((bus, phase)) for phase in range(3)]
    G, B = ca.DM(island.Y.toarray().real), ca.DM(island.Y.toarray().imag)
    real, imag = G @ e - B @ f, B @ e + G @ f
    C = ca.DM(island.across.toarray())
    ue, uf = C @ e, C @ f
    kw, kvar = scenario.load_p_kw[0], scenario.load_q_kvar[0]
    factor = 1.0 + ca.DM(moves[island.load]) @ zeta
    p = ca.DM(kw[island.load, island.slot] / 1e3) * factor
    q = ca.DM(kvar[island.load, island.slot] / 1e3) * factor
    square = ue**2 + uf**2
    drawn_real, drawn_imag = (p * ue + q * uf) / square, (p * uf - q * ue) / square
    real, imag = real + C.T @ drawn_real, imag + C.T @ drawn_imag
    assert loads == C.shape[0]
    for g, phase, node in zip(island.der, island.der_phase, island.der_node, strict=True):
        if g == island.former:
            continue
        told_p, told_q = plan.p_kw[0, g, phase] / 1e3, plan.q_kvar[0, g, phase] / 1e3
        size = e[node] ** 2 + f[node] ** 2
        real[node] -= (told_p * e[node] + told_q * f[node]) / size
        imag[node] -= (told_p * f[node] - told_q * e[node]) / size
    free = [k for k in range(nodes) if k not in held]
    margin = _margin(proven, island, bound, (e, f, real, imag))
    balance = ca.vertcat(*[real[k] for k in free], *[imag[k] for k in free])
    state = ca.vertcat(e, f, zeta)
    solver = ca.nlpsol(
        "adversary",
        "ipopt",
        {"x": state, "f": margin, "g": balance},
        {"print_time": False, "ipopt.print_level": 0, "ipopt.sb": "yes", "ipopt.tol": 1e-10},
    )
    turned = np.exp(-2j * np.pi * np.arange(3) / 3) * plan.source_v_pu[0, island.former]
    start = np.array([turned[phase] for _, phase in island.nodes])
    low, high = np.full(2 * nodes, -2.0), np.full(2 * nodes, 2.0)
    fixed = np.array([*held, *(nodes + k for k in held)])
    low[fixed] = high[fixed] = np.r_[start[held].real, start[held].imag]
    width = scenario.uncertainty.size
    answer = solver(
        x0=np.r_[start.real, start.imag, rng.uniform(-1.0, 1.0, width)],
        lbx=np.r_[low, -np.ones(width)],
        ubx=np.r_[high, np.ones(width)],
        lbg=0.0,
        ubg=0.0,
    )
    assert solver.stats()["success"], solver.stats()["return_status"]
    assert float(ca.norm_inf(answer["g"])) < 1e-8
    return float(answer["f"]), bound.worst


def _margin(proven: Proven, island: Island, bound, parts):
    """The margin of the certificate's worst row, written out in symbols."""
    e, f, real, imag = parts
    scenario = proven.study.scenario
    limits, ders = scenario.limits, scenario.ders
    if bound.kind is MarginKind.VOLTAGE:
        node = _held_node(proven, island, (bound.element, bound.phase))
        size = ca.sqrt(e[node] ** 2 + f[node] ** 2)
        nearer_low = _nearer_low(proven, island, node)
        return size - limits.v_min_pu if nearer_low else limits.v_max_pu - size
    g, phase = bound.element, bound.phase
    scale = max(abs(ders.p_max_kw[g, phase]), abs(ders.p_min_kw[g, phase]))
    if g != island.former:
        return ca.SX(bound.worst)
    node = island.nodes.index((int(ders.bus[g]), phase))
    supplied = (e[node] * real[node] + f[node] * imag[node]) * 1e3
    return (ders.p_max_kw[g, phase] - supplied) / scale


def _held_node(proven: Proven, island: Island, worst: tuple[int, int]) -> int:
    """Node of the worst row; the nearest to a limit beside it where a delta leaves it floating.

    What ties such a bus to earth is so little that Ipopt takes its voltage for free.
    """
    buses = np.array([bus for bus, _ in island.nodes])
    row = np.abs(island.Y).max()

    def floats(bus: int) -> bool:
        return bool(np.abs(island.Y @ (buses == bus).astype(float)).max() < 1e-6 * row)

    if not floats(worst[0]):
        return island.nodes.index(worst)
    network = proven.networks[proven.islands.index(island)]
    tube, limits = proven.tubes[proven.islands.index(island)], proven.study.scenario.limits
    places = network.node_at.tolist()
    at = {tuple(place): abs(tube.tangent.y[k]) for k, place in enumerate(places)}
    nearest = {
        node: min(at[node] - limits.v_min_pu, limits.v_max_pu - at[node])
        for node in island.nodes
        if not floats(node[0])
    }
    return island.nodes.index(min(nearest, key=lambda node: nearest[node]))


def _nearer_low(proven: Proven, island: Island, node: int) -> bool:
    number = proven.islands.index(island)
    network, tube = proven.networks[number], proven.tubes[number]
    own = [tuple(at) for at in network.node_at.tolist()].index(island.nodes[node])
    limits = proven.study.scenario.limits
    size = abs(tube.tangent.y[own])
    return bool(size - limits.v_min_pu < limits.v_max_pu - size)
