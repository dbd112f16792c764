"""Which load or DER does not do as it was told, of one solved flow."""

from __future__ import annotations

import numpy as np
from gridproof.scenarios.scenario import Scenario
from gridproof.simulator.opendss.circuit import DssCircuit
from gridproof.simulator.opendss.elements import Elements
from gridproof.simulator.opendss.loads import V_MAX_PU, V_MIN_PU
from gridproof.simulator.opendss.snapshot import Flows, Held

__all__ = ["furthest_from_told"]

_KW = 1e-3  # below: rounding of a flow solved to 1e-8 pu


def furthest_from_told(
    circuit: DssCircuit, scenario: Scenario, elements: Elements, held: Held, flows: Flows
) -> str:
    """Compare what OpenDSS says each element draws with what it was told to.

    Parameters
    ----------
    circuit
        In the state of the flow.
    scenario, elements, held
        What is in it.
    flows
        One solved realization.

    Returns
    -------
    str
        Of the element that is furthest off, how many there are of its kind, and the voltage a
        load of it stands at; empty if all are within a watt, or a thousandth, of what they
        were told.
    """
    x = np.where(held.live_nodes, flows.volts[0], 0.0)
    everyone = np.arange(len(held.served))
    asked = held.loads.asked_kva(x[:, None], flows.kw.T, flows.kvar.T, everyone)[..., 0]
    wanted = asked.sum(axis=1).real
    drawn = np.array([circuit.power_kva(elements.loads[k]).real for k in held.served])
    off = _off(drawn, wanted)
    if off.any():
        k = int(off.argmax())
        across = np.abs(x[held.loads.plus[k, 0]] - x[held.loads.minus[k, 0]])
        share = float(across / held.loads.rated_v[k])
        where = scenario.feeder.buses.ids[scenario.feeder.loads.bus[held.served[k]]]
        return (
            f"load {scenario.feeder.loads.ids[held.served[k]]} at bus {where} draws {drawn[k]:.5g} "
            f"of {wanted[k]:.5g} kW ({int((off > 0.0).sum())} of {len(off)} loads are off), at "
            f"{share:.3g} of its rated voltage: {_why(share)}"
        )
    der, phase = held.generators.T
    chosen = elements.generator_of[der, phase]
    given = -np.array([circuit.power_kva(elements.generators[k]).real for k in chosen])
    off = _off(given, flows.p_kw[0])
    if off.any():
        k = int(off.argmax())
        return (
            f"DER {scenario.ders.ids[der[k]]}, phase {'abc'[phase[k]]}, gives {given[k]:.5g} of "
            f"{flows.p_kw[0, k]:.5g} kW; look at the bus's voltage base and the file's settings"
        )
    return ""


def _off(found: np.ndarray, told: np.ndarray) -> np.ndarray:
    """Size of what is off, kW; zero where it is rounding."""
    miss = np.abs(found - told)
    return np.where(miss > np.maximum(_KW, 1e-3 * np.abs(told)), miss, 0.0)


def _why(share: float) -> str:
    if V_MIN_PU <= share <= V_MAX_PU:
        return "a setting of the feeder file scales it"
    return (
        f"outside {V_MIN_PU:g} to {V_MAX_PU:g} a load turns into an impedance; look at its kV and "
        "its bus's voltage base"
    )
