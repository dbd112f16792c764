"""Islands made up by a seed, as matrices, and a power flow that knows nothing of certificates.

The flow is the fixed point ``v = w + Z i(v)`` on the impedance matrix, where a certificate has
Newton's method on admittances; nothing but numpy, and complex numbers throughout.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from gridproof.simulator.opendss.network import Drawing, Forming, IslandNetwork, Measured
from gridproof.simulator.proof.powers import Powers
from gridproof.simulator.proof.reach import Reach
from scipy import sparse

__all__ = ["Made", "currents_of", "make_island", "scaled", "solve"]

EXPONENTS = ((0, 0), (0, 0), (0, 0), (1, 1), (2, 2), (1, 2))


@dataclass(frozen=True, kw_only=True)
class Made:
    """An island, its powers over a unit box, and the box."""

    network: IslandNetwork
    powers: Powers
    reach: Reach


@dataclass(frozen=True, kw_only=True)
class Tree:
    """A network without what is at it: nodes, admittances, and currents at the ends of lines."""

    phases: list[np.ndarray]
    place: dict[tuple[int, int], int]
    Y: np.ndarray
    ends: np.ndarray
    ends_at: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """Loads, then DERs: voltages across them, rated ones, exponents, and how many are loads."""

    across: np.ndarray
    rated: np.ndarray
    exponents: np.ndarray
    loads: int


def make_island(seed: int, *, kw: float = 60.0, weak: bool = False) -> Made:
    """A tree of 3 to 10 buses of one to three phases, loads of every kind, DERs, a shunt or two."""
    rng = np.random.default_rng(seed)
    tree = _tree(rng)
    drawn = _drawn(rng, tree)
    width, emf = int(rng.integers(1, 6)), rng.uniform(0.97, 1.03)
    made = Made(
        network=_network(tree, drawn, emf=emf, x=0.05 if weak else 1e-6),
        powers=_powers(rng, drawn, kw, width),
        reach=Reach(centre=np.zeros(width), spread=np.eye(width)),
    )
    return scaled(made, 0.3)


def _tree(rng: np.random.Generator) -> Tree:
    buses = int(rng.integers(3, 11))
    phases = [np.array([0, 1, 2])]
    nodes = [(0, k) for k in range(3)]
    parent = [-1]
    for bus in range(1, buses):
        up = int(rng.integers(0, bus))
        count = int(rng.integers(1, len(phases[up]) + 1))
        own = np.sort(rng.choice(phases[up], count, replace=False))
        phases.append(own)
        parent.append(up)
        nodes += [(bus, int(k)) for k in own]
    place = {node: k for k, node in enumerate(nodes)}
    Y = np.zeros((len(nodes), len(nodes)), complex)
    ends, ends_at = [], []
    for bus in range(1, buses):
        own = phases[bus]
        size = rng.uniform(0.01, 0.08)
        Z = size * ((1 + 1.5j) * np.eye(len(own)) + (0.3 + 0.5j) * np.ones((len(own),) * 2))
        series = np.linalg.inv(Z)
        here = [place[bus, int(k)] for k in own]
        there = [place[parent[bus], int(k)] for k in own]
        Y[np.ix_(here, here)] += series + 1j * rng.uniform(0, 0.01) * np.eye(len(own))
        Y[np.ix_(there, there)] += series
        Y[np.ix_(here, there)] -= series
        Y[np.ix_(there, here)] -= series
        for row, phase in enumerate(own):
            current = np.zeros(len(nodes), complex)
            current[there] += series[row]
            current[here] -= series[row]
            ends.append(current / 2.0)
            ends_at.append((bus - 1, int(phase)))
    return Tree(phases=phases, place=place, Y=Y, ends=np.array(ends), ends_at=np.array(ends_at))


def _drawn(rng: np.random.Generator, tree: Tree) -> Drawn:
    phases, count = tree.phases, len(tree.place)
    rows, rated, exponents = [], [], []
    for _ in range(int(rng.integers(2, 7))):
        own = phases[bus := int(rng.integers(0, len(phases)))]
        delta = rng.random() < 0.4 and len(own) > 1
        first = int(rng.integers(0, len(own)))
        row = np.zeros(count)
        row[tree.place[bus, int(own[first])]] = 1.0
        if delta:
            row[tree.place[bus, int(own[(first + 1) % len(own)])]] = -1.0
        rows.append(row)
        rated.append((np.sqrt(3.0) if delta else 1.0) * rng.uniform(0.98, 1.02))
        exponents.append(EXPONENTS[int(rng.integers(0, len(EXPONENTS)))])
    loads = len(rows)
    for _ in range(int(rng.integers(0, 3))):
        row = np.zeros(count)
        row[int(rng.integers(3, count))] = 1.0
        rows.append(row)
        rated.append(1.0)
        exponents.append((0, 0))
    return Drawn(
        across=np.array(rows),
        rated=np.array(rated),
        exponents=np.array(exponents, int).reshape(-1, 2),
        loads=loads,
    )


def _network(tree: Tree, drawn: Drawn, *, emf: float, x: float) -> IslandNetwork:
    nodes, loads = np.array(list(tree.place)), drawn.loads
    turned = np.exp(-2j * np.pi * np.arange(3) / 3)
    ders = len(drawn.rated) - loads
    return IslandNetwork(
        number=0,
        node_at=nodes,
        Y=sparse.csr_array(tree.Y),
        forming=Forming(
            der=np.array([0]),
            node=np.array([[0, 1, 2]]),
            z_pu=(1j * x * np.eye(3))[None],
            emf_pu=(emf * turned)[None],
        ),
        drawing=Drawing(
            across=sparse.csr_array(drawn.across),
            rated_pu=drawn.rated,
            load=np.arange(loads),
            slot=np.full(loads, -1),
            share=np.ones(loads),
            terms=np.eye(3)[drawn.exponents[:loads]],
            der=np.zeros(ders, np.int64),
            of_phase=np.zeros((ders, 3), complex),
        ),
        measured=Measured(
            neutral=sparse.csr_array(np.eye(len(nodes))),
            neutral_at=nodes,
            across=sparse.csr_array((0, len(nodes))),
            across_at=np.zeros((0, 2), np.int64),
            current=sparse.csr_array(tree.ends),
            current_at=tree.ends_at,
            winding=sparse.csr_array((0, len(nodes))),
            winding_node=np.zeros(0, np.int64),
            winding_side=np.zeros(0, np.int64),
            rating_pu=np.zeros(0),
        ),
        v_pu=turned[nodes[:, 1]],
    )


def _powers(rng: np.random.Generator, drawn: Drawn, kw: float, width: int) -> Powers:
    count = len(drawn.rated)
    sign = np.where(np.arange(count) < drawn.loads, -1.0, 1.0)
    size = rng.uniform(0.2, 1.0, count) * kw / 1000.0
    s = sign * size * np.exp(1j * rng.uniform(-0.2, 0.7, count))
    D = s[:, None] * rng.uniform(-1.0, 1.0, (count, width))
    base = np.zeros((3, count), complex)
    slope = np.zeros((3, count, width), complex)
    for k, (p, q) in enumerate(drawn.exponents.tolist()):
        base[p, k] += s[k].real
        base[q, k] += 1j * s[k].imag
        slope[p, k] += D[k].real
        slope[q, k] += 1j * D[k].imag
    return Powers(base=base, slope=slope, reach=np.zeros((3, count)))


def scaled(made: Made, by: float) -> Made:
    """Widen (or narrow) what the set does to the powers."""
    slope = made.powers.slope * by
    reach = np.stack([made.reach.largest(one) for one in slope])
    return replace(made, powers=replace(made.powers, slope=slope, reach=reach))


def currents_of(made: Made, base: np.ndarray, U: np.ndarray) -> np.ndarray:
    """Injected by each element, term by term."""
    rated = made.network.drawing.rated_pu
    ratio = np.abs(U) / rated
    s = base[0] + base[1] * ratio + base[2] * ratio**2
    return np.conj(s / U)


def solve(made: Made, omega: np.ndarray, start: np.ndarray | None = None) -> np.ndarray | None:
    """Node voltages at one point of the set; None where the fixed point does not settle."""
    network = made.network
    C = network.drawing.across.toarray()
    base = made.powers.base + made.powers.slope @ omega
    forming = network.forming
    stiff = np.linalg.inv(forming.z_pu[0])
    Y = network.Y.toarray().astype(complex)
    Y[:3, :3] += stiff
    Z = np.linalg.inv(Y)
    fed = np.zeros(len(Y), complex)
    fed[:3] = stiff @ forming.emf_pu[0]
    v = Z @ fed if start is None else start
    for _ in range(400):
        U = C @ v
        if not np.isfinite(U).all() or np.abs(U).min() < 0.05:
            return None
        new = Z @ (fed + C.T @ currents_of(made, base, U))
        moved = np.abs(new - v).max()
        v = new
        if moved < 1e-12:
            return v
    return None
