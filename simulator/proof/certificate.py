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
from gridproof.simulator.proof.limits import KINDS, Margins, margins_of
from gridproof.simulator.proof.powers import AffineAnswer, powers_of
from gridproof.simulator.proof.reach import ComplexArray, Reach
from gridproof.simulator.proof.tangent import Tangent, nominal_state
from gridproof.simulator.proof.tube import Tube, reach_of_rows, tube_of

__all__ = ["MOST_NODES", "Certificate", "KindBound", "certify", "linearised", "state_at"]

MOST_NODES = 4000
"""Live nodes of an island up to which dense factors are taken."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KindBound:
    """The worst of one kind of limit over a set.

    Attributes
    ----------
    worst, remainder
        The tangent's least margin, and the most by which the truth can be below it, both of the
        row whose ``worst - remainder`` is least.
    element, phase
        Of that row.
    centre
        Least margin of the kind at the set's centre.
    zeta
        (candidate, direction) points of the set that may break the limit, the worst first: those
        of rows that are not proven; of a kind that is, the one of the worst row.
    """

    kind: MarginKind
    worst: float
    remainder: float
    element: int
    phase: int
    centre: float
    zeta: FloatArray

    @property
    def least(self) -> float:
        """What no margin of the kind is below, anywhere in the set."""
        return self.worst - self.remainder


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
    tangent = Tangent(network, powers, reach, y)
    closed = tube_of(tangent)
    missing = closed if isinstance(closed, str) else ""
    v_rows = tangent.rows(tangent.on_nodes(network.measured.neutral))
    tube = _open_tube(tangent) if isinstance(closed, str) else closed
    with np.errstate(invalid="ignore"):  # without a tube remainders are infinite, or no number
        margins = margins_of(tube, scenario, plan, answer, time)
        apart = tube.error(v_rows)
    change = np.abs(tangent.voltage.slope)
    moving = change.max(axis=0, initial=0.0) if reach.width else np.zeros(0)
    return Certificate(
        island=network.number,
        missing=missing,
        bounds=tuple(_bounds(margins, reach, scenario.limits.tolerance)),
        width_pu=None if missing else float((reach_of_rows(tangent, v_rows) + apart).max()),
        remainder_pu=None if missing else float(apart.max()),
        unique=tube.unique,
        split=int(moving.argmax()) if moving.max(initial=0.0) > 0.0 else -1,
        state=y,
        seconds=perf_counter() - begun,
    )


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
    tube = _open_tube(Tangent(network, powers, reach, y))
    with np.errstate(invalid="ignore"):
        return margins_of(tube, scenario, plan, answer, time)


def _bounds(margins: tuple[Margins, ...], reach: Reach, tolerance: float) -> list[KindBound]:
    found = []
    for kind in KINDS:
        own = [one for one in margins if one.kind is kind and len(one.worst)]
        if not own:
            continue
        worst = np.concatenate([one.worst for one in own])
        remainder = np.concatenate([one.remainder for one in own])
        remainder[np.isnan(remainder)] = np.inf
        omega = np.concatenate([one.omega for one in own])
        least = worst - remainder
        place = int(np.lexsort((worst, least))[0])
        open_rows = np.flatnonzero(least < -tolerance)
        chosen = open_rows[np.argsort(worst[open_rows], kind="stable")][:_CANDIDATES]
        points = omega[chosen] if len(chosen) else omega[[place]]
        found.append(
            KindBound(
                kind=kind,
                worst=float(worst[place]),
                remainder=float(remainder[place]),
                element=int(np.concatenate([one.element for one in own])[place]),
                phase=int(np.concatenate([one.phase for one in own])[place]),
                centre=float(min(one.centre.min() for one in own)),
                zeta=np.stack([reach.zeta(point) for point in points]),
            )
        )
    return found


_CANDIDATES = 8  # points of a kind that are put to the engine


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


def _open_tube(tangent: Tangent) -> Tube:
    """Nothing is bounded: the tangent's own worst is told, and its remainder is infinite."""
    far = np.full(len(tangent.U), np.inf)
    return Tube(
        tangent=tangent,
        u=far,
        x=np.full(tangent.unknowns, np.inf),
        rho=far,
        residual=np.full(2 * tangent.unknowns, np.inf),
        unique=False,
    )
