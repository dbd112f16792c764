"""What a measurement shows beyond the linear model, at one island.

At the set-points ``u`` that were tried and the demand ``d``, with ``ŵ, ℓ̂, ŝ`` what the linear
model says of squared voltages, branch loadings and DER powers there, and ``w, ℓ, s`` what was
measured, the correction is ::

    c = (w - ŵ,  ℓ - ℓ̂,  s - ŝ)

and a model whose constants are moved by ``c`` is exact at ``u``. Losses, the unbalance that
turns the voltages' angles, and amperes where the model has powers at the lowest voltage are
all in it. The loading of a branch is its worst current over its rating (a transformer's
apparent power over its own); in the model, the polygon's worst side over the limit.
"""

from __future__ import annotations

import numpy as np
from gridproof.optimizer.network.branches import BASE_KVA
from gridproof.optimizer.network.first_stage import FirstStage
from gridproof.optimizer.network.limited import channel_shares, pairs_at, voltage_map
from gridproof.optimizer.network.limits import measured_at
from gridproof.optimizer.network.network import Network
from gridproof.optimizer.network.statemap import IslandState
from gridproof.optimizer.recourse.dispatch import Dispatch
from gridproof.scenarios.arrays import FloatArray, IntArray
from gridproof.scenarios.lindist import polygon
from gridproof.scenarios.setpoints import Setpoints
from gridproof.scenarios.snapshot import Snapshots

__all__ = ["Correction"]


class Correction:
    """Differences between measurements and the linear model of one island.

    Parameters
    ----------
    network, stage, state
        The island.
    """

    def __init__(self, network: Network, stage: FirstStage, state: IslandState) -> None:
        self._state, self._pairwise = state, network.pairwise
        self._layout = measured_at(network, state)
        self._voltage = voltage_map(network, state)
        self._at = pairs_at(network, state) if network.pairwise else state.nodes
        self._forming = stage.forming[state.outputs[:, 0]]
        shares, limit = channel_shares(network, state)
        self._load_p = state.flow_p.mixed(shares)
        self._load_q = state.flow_q.mixed(shares)
        self._limit, self._sides = limit, polygon(network.sides)
        self._line, self._unit = _elements(network, state)

    def __call__(
        self,
        dispatch: Dispatch,
        parameters: FloatArray,
        setpoints: Setpoints,
        measured: Snapshots,
    ) -> FloatArray:
        """(realization, entry) corrections, laid out as `Measured` has them.

        Parameters
        ----------
        dispatch, parameters
            The program and (realization, parameter) what it is asked with.
        setpoints, measured
            What was tried, and what came of it, row by row.
        """
        at = (self._state.controls[:, 0], self._state.controls[:, 1])
        u = np.concatenate([s[:, at[0], at[1]] for s in (setpoints.p_kw, setpoints.q_kvar)], axis=1)
        u = u / BASE_KVA
        w = dispatch.evaluate(self._voltage, u, parameters)
        p = dispatch.evaluate(self._load_p, u, parameters)
        q = dispatch.evaluate(self._load_q, u, parameters)
        return np.concatenate(
            [
                self._squared(measured) - w,
                self._loading(measured) - self._worst_side(p, q),
                *self._outputs(dispatch, u, parameters, measured),
            ],
            axis=1,
        )

    def _squared(self, measured: Snapshots) -> FloatArray:
        magnitude = measured.v_ll_pu if self._pairwise else measured.v_pu
        return np.asarray(magnitude[:, self._at[:, 0], self._at[:, 1]] ** 2)

    def _loading(self, measured: Snapshots) -> FloatArray:
        """Shares of the ratings, in the order of the flow limits: lines, then transformers."""
        line, phase, rating_a = self._line
        unit, rating_kva = self._unit
        return np.concatenate(
            [
                measured.current_a[:, line, phase] / rating_a,
                measured.transformer_kva[:, unit] / rating_kva,
            ],
            axis=1,
        )

    def _worst_side(self, p: FloatArray, q: FloatArray) -> FloatArray:
        worst = np.full(p.shape, -np.inf)
        for cosine, sine, reach in self._sides:
            np.maximum(worst, (cosine * p + sine * q) / (reach * self._limit), out=worst)
        return worst

    def _outputs(
        self, dispatch: Dispatch, u: FloatArray, parameters: FloatArray, measured: Snapshots
    ) -> list[FloatArray]:
        """Only a DER that forms supplies another power than it was told."""
        at = (self._state.outputs[:, 0], self._state.outputs[:, 1])
        found = []
        for power, seen in (
            (self._state.der_p, measured.der_p_kw),
            (self._state.der_q, measured.der_q_kvar),
        ):
            beyond = seen[:, at[0], at[1]] / BASE_KVA - dispatch.evaluate(power, u, parameters)
            found.append(np.where(self._forming, beyond, 0.0))
        return found


def _elements(
    network: Network, state: IslandState
) -> tuple[tuple[IntArray, IntArray, FloatArray], tuple[IntArray, FloatArray]]:
    """Line, phase and rating, and transformer and rating, of the flow limits in their order."""
    feeder = network.scenario.feeder
    lines, units, loads = {n: k for k, n in enumerate(feeder.lines.ids)}, [], []
    for e in np.unique(state.channels[:, 0]).tolist():
        kind, name = network.branches[e].name.split(" ", maxsplit=1)
        if kind == "transformer":
            units.append(feeder.transformers.ids.index(name))
            continue
        line = lines[name]
        if np.isfinite(feeder.lines.rating_a[line]):
            phases = np.flatnonzero(feeder.lines.phases[line]).tolist()
            loads += [(line, phase) for phase in phases]
    place = np.array(loads, dtype=np.int64).reshape(-1, 2)
    unit = np.array(units, dtype=np.int64)
    return (
        (place[:, 0], place[:, 1], feeder.lines.rating_a[place[:, 0]]),
        (unit, feeder.transformers.rating_kva[unit]),
    )
