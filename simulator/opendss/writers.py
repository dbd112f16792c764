"""What acts under a held plan: live loads and following DERs, told together, row by row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray
from gridproof.scenarios.scenario import Scenario
from gridproof.simulator.islands import Islands
from gridproof.simulator.opendss.batches import Powers
from gridproof.simulator.opendss.circuit import DssCircuit
from gridproof.simulator.opendss.elements import Elements, ends_live
from gridproof.simulator.opendss.injections import Injections

__all__ = ["Writers"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Writers:
    """What acts, and where its numbers come from.

    Attributes
    ----------
    loads, load_places
        The live loads, and (live load,) their positions.
    load_share
        (live load, 3) of each slot.
    generators, injections
        What stands for DERs that follow.
    """

    loads: Powers
    load_places: IntArray
    load_share: FloatArray
    generators: Powers
    injections: Injections

    @classmethod
    def of(
        cls,
        circuit: DssCircuit,
        scenario: Scenario,
        elements: Elements,
        islands: Islands,
        forming: BoolArray,
    ) -> Writers:
        """Find what is live under a plan, where ``forming`` DERs hold their islands."""
        ders, table = scenario.ders, elements.load_table
        node_live = elements.live_nodes(islands.live)
        dead = ((table.share > 0.0) & ~ends_live(node_live, table.plus, table.minus)).any(axis=1)
        served = np.flatnonzero(~dead)
        injections = Injections.of(
            scenario.feeder,
            ders,
            (elements.generator_of >= 0) & islands.live[ders.bus] & ~forming[:, None],
            (elements.generator_of, elements.pair_generator_of),
            (islands.closed, ders.bus[forming]),
        )
        slots = scenario.feeder.loads.slots[served]
        chosen = [elements.generators[k] for k in injections.chosen]
        return cls(
            loads=Powers(circuit, [elements.loads[k] for k in served], elements.load_columns),
            load_places=served,
            load_share=slots / slots.sum(axis=1, keepdims=True),
            generators=Powers(circuit, chosen, elements.generator_columns),
            injections=injections,
        )
