"""The affine rule of a plan: chosen over the AC tangent, linearised anew until it is certified.

Round by round and island by island: linearise every limit about the state at nominal load and the
rule's own offset, in the loads and in the set-points of the DERs that follow; choose the rule with
the largest least margin (`optimizer.recourse.affine_program`); certify it (`simulator.proof`). The
DER that forms takes what the rule leaves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from gridproof.federation.certificates.affine_answers import as_asked
from gridproof.optimizer.recourse.affine_program import best_affine_rule
from gridproof.scenarios.arrays import FloatArray, IntArray
from gridproof.scenarios.errors import ConfigError
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.response import AffineRule
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.verdict import margin_scale
from gridproof.simulator.opendss.engine import OpenDssEngine
from gridproof.simulator.opendss.network import IslandNetwork
from gridproof.simulator.proof.certificate import Certificate, certify, linearised
from gridproof.simulator.proof.limits import KINDS, Margins
from gridproof.simulator.proof.powers import AffineAnswer
from gridproof.simulator.proof.reach import Reach, box_reach
from scipy.linalg import block_diag

__all__ = ["with_affine_rule", "with_what_it_needs"]

_ROUNDS = 4
_ROWS = 120  # limits of a kind, the nearest first, that a rule is chosen for
_GAINED = 1e-4  # of margin, below which another round is not worth while


def with_affine_rule(plan: Plan, scenario: Scenario) -> Plan:
    """Return the plan with the affine rule that keeps the largest least margin, at every step.

    Parameters
    ----------
    plan, scenario
        What is held, and the box of loads.

    Raises
    ------
    ConfigError
        If the scenario has storages, renewables, CHPs or disturbances: what DERs give then depends
        on more than a draw's loads.
    """
    if not scenario.fleet.empty or not scenario.disturbances.empty:
        raise ConfigError(
            '[campaign] recourse = "affine": storages, renewables, CHPs and disturbances are not '
            "covered by certificates; choose another recourse"
        )
    steps, ders, width = len(plan.closed), len(plan.der_ids), len(scenario.direction_ids)
    offset = np.zeros((steps, ders, 3), complex)
    gain = np.zeros((steps, ders, 3, width), complex)
    asked = as_asked(plan, scenario)
    engine = OpenDssEngine(scenario)
    try:
        for step in range(steps):
            engine.hold(plan, step)
            for network in engine.networks():
                found = _Search(network, asked, plan, step).best()
                at = tuple(found.controls.T)
                offset[step][at], gain[step][at] = found.offset, found.gain
    finally:
        engine.close()
    return replace(
        plan,
        affine=AffineRule(
            direction_ids=scenario.direction_ids,
            offset_p_kw=offset.real,
            offset_q_kvar=offset.imag,
            gain_p_kw=gain.real,
            gain_q_kvar=gain.imag,
        ),
    )


def with_what_it_needs(plan: Plan, scenario: Scenario, policy: str) -> Plan:
    """Return a plan that brings what its recourse asks for: for ``affine`` a rule, if it has none.

    Parameters
    ----------
    plan, scenario
        What is held, and where.
    policy
        The campaign's recourse.
    """
    if policy != "affine" or plan.affine is not None:
        return plan
    return with_affine_rule(plan, scenario)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Rule:
    """One island's: controls are (control, 2) DER and phase."""

    controls: IntArray
    offset: FloatArray
    gain: FloatArray
    least: float


def _as_one(controls: IntArray, scenario: Scenario) -> FloatArray:
    """(control, decision) 1 where a decision moves a control: a balanced DER's phases together."""
    first: dict[tuple[int, int], int] = {}
    for g, k in controls.tolist():
        own = scenario.ders.alike(g)
        first.setdefault((g, own[0] if own else k), len(first))
    spread = np.zeros((len(controls), len(first)))
    for row, (g, k) in enumerate(controls.tolist()):
        own = scenario.ders.alike(g)
        spread[row, first[g, own[0] if own else k]] = 1.0
    return spread


class _Search:
    """The rounds of one island."""

    def __init__(self, network: IslandNetwork, scenario: Scenario, plan: Plan, step: int) -> None:
        self._network, self._scenario, self._plan, self._step = network, scenario, plan, step
        ders = np.unique(network.drawing.der)
        at = [(g, k) for g in ders for k in np.flatnonzero(scenario.ders.phases[g])]
        self._controls = np.array(at, np.int64).reshape(-1, 2)
        self._spread = _as_one(self._controls, scenario)
        self._width = len(scenario.direction_ids)
        self._box = box_reach(*scenario.direction_range)
        self._base = plan.p_kw[step] + 1j * plan.q_kvar[step]

    def best(self) -> _Rule:
        """Keep the rule whose certificate is best; none at all if none is better.

        Offsets are counted at the set's centre, gains by its half-width, until a rule is made.
        """
        count = len(self._controls)
        still = np.zeros(count, complex), np.zeros((count, self._width), complex)
        kept = self._rule(*still)
        offset = still[0]
        for _ in range(_ROUNDS if count else 0):
            margin, by_load, by_control = self._limits(offset)
            both = np.kron(np.eye(2), self._spread)  # active, then reactive
            choice = best_affine_rule(margin, by_load, by_control @ both)
            if not np.isfinite(choice.margin):
                break
            p, q = np.split(both @ choice.offset, 2)
            offset = offset + p + 1j * q
            gain_p, gain_q = np.split(both @ choice.gain, 2)
            new = self._rule(offset, gain_p + 1j * gain_q)
            if new.least > kept.least:
                gained, kept = new.least - kept.least, new
                if gained < _GAINED:
                    break
        return kept

    def _rule(self, offset: FloatArray, gain: FloatArray) -> _Rule:
        gain = gain / np.diag(self._box.spread)
        offset = offset - gain @ self._box.centre
        found = certify(
            self._network,
            self._scenario,
            self._plan,
            self._answer(offset, gain),
            self._box,
            time=self._step,
        )
        return _Rule(controls=self._controls, offset=offset, gain=gain, least=self._least(found))

    def _answer(self, offset: FloatArray, slope: FloatArray) -> AffineAnswer:
        base = self._base.copy()
        base[tuple(self._controls.T)] += offset
        slopes = np.zeros((*base.shape, slope.shape[1]), complex)
        slopes[tuple(self._controls.T)] = slope
        return AffineAnswer(base_kva=base, slope_kva=slopes)

    def _least(self, found: Certificate) -> float:
        limits = self._scenario.limits
        return min(found.least(kind) / margin_scale(kind, limits) for kind in KINDS)

    def _limits(self, offset: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Margins at the set's centre, and slopes by load and by control (kW first, then kvar)."""
        count = len(self._controls)
        own = np.hstack([np.zeros((count, self._width)), np.eye(count), 1j * np.eye(count)])
        everything = self._width + 2 * count
        rows = linearised(
            self._network,
            self._scenario,
            self._plan,
            self._answer(offset, own),
            Reach(
                centre=np.concatenate([self._box.centre, np.zeros(2 * count)]),
                spread=block_diag(self._box.spread, np.eye(2 * count)),
            ),
            time=self._step,
        )
        if not rows:
            none = np.zeros((0, everything))
            return np.zeros(0), none[:, : self._width], none[:, self._width :]
        parts = [self._nearest(one) for one in rows]
        margin = np.concatenate([part[0] for part in parts])
        slope = np.concatenate([part[1] for part in parts])
        return margin, slope[:, : self._width], slope[:, self._width :]

    def _nearest(self, margins: Margins) -> tuple[FloatArray, FloatArray]:
        scale = margin_scale(margins.kind, self._scenario.limits)
        centre, slope = margins.centre / scale, margins.slope / scale
        left = centre - np.abs(slope[:, : self._width]).sum(axis=1)
        order = np.argsort(left, kind="stable")[:_ROWS]
        return centre[order], slope[order]
