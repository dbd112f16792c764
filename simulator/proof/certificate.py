"""A certificate of one island: what is proven over a set, and which loads to look at elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

import numpy as np
from gridproof.scenarios.arrays import FloatArray
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.verdict import MarginKind
from gridproof.simulator.opendss.network import IslandNetwork
from gridproof.simulator.proof.bounds import KindBound, bounds_of
from gridproof.simulator.proof.limits import Margins, margins_of
from gridproof.simulator.proof.powers import AffineAnswer, powers_of
from gridproof.simulator.proof.reach import ComplexArray, Reach
from gridproof.simulator.proof.rows import blocks
from gridproof.simulator.proof.tangent import Tangent, nominal_state
from gridproof.simulator.proof.tube import Tube, open_tube, tube_of

__all__ = ["MOST_NODES", "Certificate", "certify", "linearised", "state_at"]

MOST_NODES = 12_000
"""Live nodes of an island up to which one is certified: what is kept of the rows of its state takes
16 bytes a pair of nodes, 2.3 GB, and up to as much again for loads on every node."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Certificate:
    """What is proven of one island over a set.

    Attributes
    ----------
    island
        Its number.
    missing
        What stands in the way of a proof of anything; empty where the tube closed.
    bounds
        One a kind of limit that the island has; of a tube that did not close, what the tangent
        alone says, with an infinite remainder.
    width_pu
        Largest bound on the change of a node's voltage over the set; None without a tube.
    remainder_pu
        Largest bound on how far a node's voltage is from its tangent; None without a tube.
    unique
        Whether the solution in the tube is shown to be the only one there.
    split
        Coordinate to cut the set across, where it is to be cut; -1 if none moves.
    state
        (unknown,) the state at the set's centre, for certificates of its parts; None if not found.
    seconds
        What it took.
    """

    island: int
    missing: str
    bounds: tuple[KindBound, ...]
    width_pu: float | None
    remainder_pu: float | None
    unique: bool
    split: int
    state: ComplexArray | None
    seconds: float

    def least(self, kind: MarginKind) -> float:
        """Return what no margin of a kind is below; ``inf`` for a kind the island has not."""
        if self.missing:
            return -np.inf
        return min((bound.least for bound in self.bounds if bound.kind is kind), default=np.inf)


def certify(
    network: IslandNetwork,
    scenario: Scenario,
    plan: Plan,
    answer: AffineAnswer,
    reach: Reach,
    *,
    time: int = 0,
    start: ComplexArray | None = None,
    block: int | None = None,
) -> Certificate:
    """Prove what can be proven of an island over a set, about one tangent.

    Parameters
    ----------
    network
        The island, of an engine that holds the plan's step.
    scenario, plan, time
        What is held.
    answer
        What the DERs are told, as an affine function of the draw.
    reach
        The set.
    start
        A state near the one at the set's centre, as `Certificate.state` has it.
    block
        Functions of the state that are looked at together; by their size if not given.
    """
    begun = perf_counter()
    nodes = len(network.node_at)
    if nodes > MOST_NODES:
        return _without(
            network, f"the island has {nodes} live nodes; at most {MOST_NODES} are certified", begun
        )
    powers = powers_of(network, scenario, answer, reach, time)
    y = nominal_state(network, powers, start)
    if y is None:
        return _without(network, "no power flow was found at the centre of the set", begun)
    tangent = Tangent(network, powers, reach, y, block)
    closed = tube_of(tangent)
    missing = closed if isinstance(closed, str) else ""
    tube = open_tube(tangent) if isinstance(closed, str) else closed
    with np.errstate(invalid="ignore"):  # without a tube remainders are infinite, or no number
        margins = margins_of(tube, scenario, plan, answer, time)
        bounds = bounds_of(margins, reach, scenario.limits.tolerance)
    width, apart = _widest(tube) if tube.closed else (None, None)
    return Certificate(
        island=network.number,
        missing=missing,
        bounds=bounds,
        width_pu=width,
        remainder_pu=apart,
        unique=tube.unique,
        split=_split(tube),
        state=y,
        seconds=perf_counter() - begun,
    )


def _widest(tube: Tube) -> tuple[float, float]:
    """Largest bounds on how far node voltages move, and are from their tangent."""
    tangent, functions = tube.tangent, tube.tangent.network.measured.neutral
    width = apart = 0.0
    for part in blocks(functions.shape[0], tangent.block):
        _, moves, error = tube.bounded(tangent.on_nodes(functions[part]))
        width, apart = max(width, float((moves + error).max())), max(apart, float(error.max()))
    return width, apart


def _split(tube: Tube) -> int:
    """Coordinate that moves voltages most."""
    tangent = tube.tangent
    slope = tangent.voltage.slope if tube.closed else tangent.slopes(tangent.across)
    moving = np.abs(slope).max(axis=0, initial=0.0)
    return int(moving.argmax()) if moving.max(initial=0.0) > 0.0 else -1


def state_at(
    network: IslandNetwork,
    scenario: Scenario,
    answer: AffineAnswer,
    zeta: FloatArray,
    time: int = 0,
) -> ComplexArray | None:
    """(unknown,) state of an island at one draw; None if Newton's method finds none."""
    point = Reach(centre=zeta, spread=np.zeros((len(zeta), 0)))
    return nominal_state(network, powers_of(network, scenario, answer, point, time))


def linearised(
    network: IslandNetwork,
    scenario: Scenario,
    plan: Plan,
    answer: AffineAnswer,
    reach: Reach,
    *,
    time: int = 0,
) -> tuple[Margins, ...]:
    """Linearise every margin at a set's centre; nothing is bounded, and remainders are infinite.

    Parameters
    ----------
    network, scenario, plan, answer, reach, time
        As in `certify`; coordinates past the scenario's directions stand for set-points, by the
        slopes of ``answer``.

    Returns
    -------
    tuple of Margins
        Empty where no power flow was found at the centre.
    """
    powers = powers_of(network, scenario, answer, reach, time)
    y = nominal_state(network, powers)
    if y is None:
        return ()
    tube = open_tube(Tangent(network, powers, reach, y))
    with np.errstate(invalid="ignore"):
        return tuple(margins_of(tube, scenario, plan, answer, time))


def _without(network: IslandNetwork, missing: str, begun: float) -> Certificate:
    return Certificate(
        island=network.number,
        missing=missing,
        bounds=(),
        width_pu=None,
        remainder_pu=None,
        unique=False,
        split=-1,
        state=None,
        seconds=perf_counter() - begun,
    )
