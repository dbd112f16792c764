"""From a batch of solved node voltages to snapshots: masks, loads asked and served, outputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray
from gridproof.scenarios.centres import Centres
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.snapshot import Snapshots
from gridproof.simulator.opendss.circuit import ComplexArray
from gridproof.simulator.opendss.elements import Elements
from gridproof.simulator.opendss.measure import LoadTable, Meter
from gridproof.simulator.opendss.sources import Kirchhoff, total
from numpy.typing import NDArray

__all__ = ["Flows", "Held", "Looks", "Record"]

Looks = Callable[[ComplexArray], dict[str, NDArray[Any]]]
"""(1 + node, realization) voltages to what `Meter.read` returns, ``v_pu`` and ``v_ll_pu``."""

_NEXT = [1, 2, 0]  # slot after slot: pairs ab, bc, ca


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Held:
    """The plan's step that is held.

    Attributes
    ----------
    time
        The step.
    closed
        (line,) lines in service.
    island_of_bus
        (bus,) as `simulator.islands.live_components` numbers them, -1 where dead.
    live_nodes, live_phases
        (1 + node,) and (bus, 3) what is energised.
    formers
        Positions of the grid-forming DERs.
    served, loads
        Positions of the loads that are alive, and how they stand.
    generators
        (generator, 2) DER and phase of every generator that acts.
    meter
        Products for this switch state.
    kirchhoff
        What the forming DERs supply.
    centres
        From where magnitudes are counted where only deltas feed.
    """

    time: int
    closed: BoolArray
    island_of_bus: IntArray
    live_nodes: BoolArray
    live_phases: BoolArray
    formers: IntArray
    served: IntArray
    loads: LoadTable
    generators: IntArray
    meter: Meter
    kirchhoff: Kirchhoff
    centres: Centres


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Flows:
    """A batch of solved flows, and what was set before each.

    Attributes
    ----------
    volts
        (realization, 1 + node) voltages, volt.
    converged, iterations
        (realization,) as the power flow has them.
    kw, kvar
        (realization, served load) asked for at rated voltage.
    p_kw, q_kvar
        (realization, generator) injections of the DERs that follow.
    """

    volts: ComplexArray
    converged: BoolArray
    iterations: IntArray
    kw: FloatArray
    kvar: FloatArray
    p_kw: FloatArray
    q_kvar: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Part:
    """Some realizations of a batch as columns; ``x`` is zero where dead or unsolved."""

    x: ComplexArray  # (1 + node, realization), volt
    kw: FloatArray  # (served load, realization)
    kvar: FloatArray
    injected: ComplexArray  # (generator, realization), kVA


class Record:
    """Snapshots being filled, some realizations at a time.

    Parameters
    ----------
    scenario
        Supplies the shapes.
    count
        Realizations in all.
    """

    def __init__(self, scenario: Scenario, count: int) -> None:
        feeder, ders = scenario.feeder, len(scenario.ders.ids)
        shapes: dict[str, tuple[int, ...]] = {
            "v_pu": (count, len(feeder.buses.ids), 3),
            "v_ll_pu": (count, len(feeder.buses.ids), 3),
            "current_a": (count, len(feeder.lines.ids), 3),
            "transformer_kva": (count, len(feeder.transformers.ids)),
            "der_p_kw": (count, ders, 3),
            "der_q_kvar": (count, ders, 3),
            "delivered_kw": (count,),
            "requested_kw": (count,),
            "losses_kw": (count,),
        }
        self._ders = ders
        self._values = {name: np.empty(shape) for name, shape in shapes.items()}
        self._solved = np.zeros(count, bool)
        self._iterations = np.zeros(count, np.int64)

    def add(
        self,
        elements: Elements,
        held: Held,
        rows: slice,
        flows: Flows,
        looks: Looks | None = None,
    ) -> None:
        """Measure solved flows; one that gave a number that is not finite is not solved.

        ``looks`` reads magnitudes and flows of voltages otherwise than `meter` of what is held.
        """
        finite = np.isfinite(flows.volts[:, held.live_nodes]).all(axis=1)
        solved = flows.converged & finite
        self._solved[rows], self._iterations[rows] = solved, flows.iterations
        looks = _looked(elements, held) if looks is None else looks
        measured = _measure(held, _part(held, flows, solved), self._ders, looks)
        for name, value in measured.items():
            self._values[name][rows] = value

    def snapshots(self, index: IntArray) -> Snapshots:
        """Close the record; what was not solved is NaN throughout."""
        for value in self._values.values():
            if not self._solved.all():
                value[~self._solved] = np.nan
            value.setflags(write=False)  # so that the snapshots need no copy
        return Snapshots(
            index=index, converged=self._solved, iterations=self._iterations, **self._values
        )


def _part(held: Held, flows: Flows, solved: BoolArray) -> _Part:
    x = np.ascontiguousarray(flows.volts.T)
    x[~held.live_nodes] = 0.0
    x[:, ~solved] = 0.0
    return _Part(
        x=x,
        kw=np.ascontiguousarray(flows.kw.T),
        kvar=np.ascontiguousarray(flows.kvar.T),
        injected=np.ascontiguousarray((flows.p_kw + 1j * flows.q_kvar).T),
    )


def _looked(elements: Elements, held: Held) -> Looks:
    def looks(x: ComplexArray) -> dict[str, NDArray[Any]]:
        v_pu, v_ll_pu = _voltages(elements, held, x)
        return {**held.meter.read(x), "v_pu": v_pu, "v_ll_pu": v_ll_pu}

    return looks


def _measure(held: Held, part: _Part, ders: int, looks: Looks) -> dict[str, NDArray[Any]]:
    found = looks(part.x)
    drawn, near_kw, far_kw = held.kirchhoff.shunts(part.x, part.kw, part.kvar, part.injected)
    output = np.zeros((part.x.shape[1], ders, 3), complex)
    output[:, *held.generators.T] = part.injected.T
    output[:, held.formers] = held.kirchhoff.supply(found["source_kva"] + drawn)
    return {
        "v_pu": found["v_pu"],
        "v_ll_pu": found["v_ll_pu"],
        "current_a": found["current_a"],
        "transformer_kva": found["transformer_kva"],
        "der_p_kw": output.real,
        "der_q_kvar": output.imag,
        "delivered_kw": found["consumed_kw"] + far_kw + near_kw,
        "requested_kw": _requested(held, part),
        "losses_kw": found["losses_kw"],
    }


def _voltages(elements: Elements, held: Held, x: ComplexArray) -> tuple[FloatArray, FloatArray]:
    """(realization, bus, 3) line-to-neutral and line-to-line magnitudes, pu; NaN where dead.

    Where only deltas feed, the neutral is the triangle's centre: OpenDSS's shunts of 1 ppm,
    which alone tie such a part to earth, say nothing of the flow.
    """
    at_bus = x[elements.bus_nodes]  # (bus, 3, realization)
    base, live = elements.base_v[:, None, None], held.live_phases
    neutral, across = np.abs(at_bus), np.abs(at_bus - at_bus[:, _NEXT])
    centres = held.centres
    if len(centres.bus):
        neutral[centres.bus] = np.abs(centres.counted(at_bus))
    neutral /= base
    neutral[~live] = np.nan
    across /= base * elements.pair_base[:, :, None]
    across[~(live & live[:, _NEXT])] = np.nan
    return np.moveaxis(neutral, -1, 0), np.moveaxis(across, -1, 0)


def _requested(held: Held, part: _Part) -> FloatArray:
    """(realization,) load asked for at the solved voltages, kW."""
    if not held.loads.follows_voltage:
        return total(part.kw)
    asked = held.loads.asked_kva(part.x, part.kw, part.kvar, np.arange(len(held.served))).real
    return total(asked[:, 0] + asked[:, 1] + asked[:, 2])
