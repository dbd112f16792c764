"""What the grid-forming DERs supply, by Kirchhoff's current law at their buses."""

from __future__ import annotations

import numpy as np
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray
from gridproof.scenarios.scenario import Scenario
from gridproof.simulator.opendss.circuit import ComplexArray
from gridproof.simulator.opendss.elements import Elements
from gridproof.simulator.opendss.measure import LoadTable
from scipy import sparse

__all__ = ["Kirchhoff", "moves", "total"]


class Kirchhoff:
    """The buses that hold the voltage under one plan, and what stands at them.

    A forming DER supplies what lines, transformers and shunts take out of its bus, plus the
    loads there, less the other DERs' injections there. Formers of one bus share equally.

    Parameters
    ----------
    scenario, elements
        The circuit.
    formers
        (former,) positions of the grid-forming DERs.
    served, loads
        (load,) positions of the loads that are alive, and how they stand.
    generators
        (generator, 2) DER and phase of every generator that acts.
    """

    def __init__(
        self,
        scenario: Scenario,
        elements: Elements,
        *,
        formers: IntArray,
        served: IntArray,
        loads: LoadTable,
        generators: IntArray,
    ) -> None:
        bus_of_former = scenario.ders.bus[formers]
        self.buses, self._row = np.unique(bus_of_former, return_inverse=True)
        self._sharing = np.bincount(self._row, minlength=len(self.buses))[self._row]
        self.nodes = elements.bus_nodes[self.buses]
        self._loads = loads
        self._near = np.flatnonzero(np.isin(scenario.feeder.loads.bus[served], self.buses))
        self._slots = np.argwhere(loads.share[self._near] > 0.0)
        at = (self._near[self._slots[:, 0]], self._slots[:, 1])
        self._plus, self._minus = loads.plus[at], loads.minus[at]
        ends = np.concatenate([self._plus, self._minus])
        self._drawing = _incidence(self.nodes.ravel(), ends)
        nodes = elements.bus_nodes[scenario.ders.bus[generators[:, 0]], generators[:, 1]]
        self._injecting = _incidence(self.nodes.ravel(), nodes)
        self._far = np.flatnonzero(~np.isin(nodes, self.nodes))

    def shunts(
        self, x: ComplexArray, kw: FloatArray, kvar: FloatArray, injected: ComplexArray
    ) -> tuple[ComplexArray, FloatArray, FloatArray]:
        """Net draw at the source buses; load there; injection everywhere else.

        A load slot of power ``s`` between nodes ``m`` and ``n`` draws ``s·v_m/(v_m - v_n)``
        at ``m`` and ``-s·v_n/(v_m - v_n)`` at ``n``.

        Parameters
        ----------
        x
            (1 + node, realization) voltages, volt; zero where there is no solution.
        kw, kvar
            (load, realization) nominal demand of the loads that are alive.
        injected
            (generator, realization) kVA.

        Returns
        -------
        drawn
            (source·3, realization) kVA.
        near_kw, far_kw
            (realization,) loads at source buses, injections at all others.
        """
        drawn, near_kw = self._near_loads(x, kw, kvar)
        net, far_kw = self.less_injected(drawn, injected)
        return net, near_kw, far_kw

    def less_injected(
        self, drawn: ComplexArray, injected: ComplexArray
    ) -> tuple[ComplexArray, FloatArray]:
        """Net draw at the source buses, given what loads take there; injection everywhere else.

        Parameters
        ----------
        drawn
            (source·3, realization) kVA.
        injected
            (generator, realization) kVA.
        """
        net = drawn - self._injecting @ injected
        return np.asarray(net), total(injected[self._far].real)

    def _near_loads(
        self, x: ComplexArray, kw: FloatArray, kvar: FloatArray
    ) -> tuple[ComplexArray, FloatArray]:
        asked = self._loads.asked_kva(x, kw, kvar, self._near)
        power = asked[self._slots[:, 0], self._slots[:, 1]]
        across = x[self._plus] - x[self._minus]
        current = power / np.where(across == 0.0, 1.0, across)
        draws = np.concatenate([current * x[self._plus], -current * x[self._minus]])
        return np.asarray(self._drawing @ draws), total(power.real)

    def supply(self, taken: ComplexArray) -> ComplexArray:
        """(realization, former, 3) from what is taken out of the source nodes, kVA."""
        at_bus = taken.reshape(len(self.buses), 3, taken.shape[1])
        shared = at_bus[self._row] / self._sharing[:, None, None]
        return np.moveaxis(shared, -1, 0)


def total(rows: FloatArray) -> FloatArray:
    """Sum over the first axis, always row after row whatever the batch's size."""
    if not len(rows):
        return np.zeros(rows.shape[1])
    return np.asarray(np.cumsum(rows, axis=0)[-1])  # np.sum may add pairwise or not


def moves(v_pu: FloatArray, now: FloatArray) -> BoolArray:
    """Whether any source changes between one realization and the next."""
    before = np.vstack([now[None, :], v_pu[:-1]])
    return np.asarray((v_pu != before[: len(v_pu)]).any(axis=1))


def _incidence(nodes: IntArray, at: IntArray) -> sparse.csr_array:
    """(node, entry) one where an entry stands at a node; ground is no node."""
    same = (nodes[:, None] == at[None, :]) & (at > 0)[None, :]
    return sparse.csr_array(same.astype(complex))
