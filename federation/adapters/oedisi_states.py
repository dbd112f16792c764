"""Solved states in OEDISI's JSON form: voltages, powers and switch states, one realization each.

Names, types, units and signs are those of OEDISI's own feeder, so that its recorders, sensors
and estimators can be wired to ours: nodes are ``BUS.1``, powers are drawn from the network
(positive for a load, negative for a DER that supplies).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from gridproof.federation.wire.link import PortKind
from gridproof.federation.wire.messages import switch_states_of
from gridproof.scenarios.errors import ConfigError
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.realization import Realizations
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.setpoints import Setpoints
from gridproof.scenarios.snapshot import Snapshots
from gridproof.simulator.engine import Engine

__all__ = ["STATE_PORTS", "OedisiStates"]

STATE_PORTS: Mapping[str, str] = {
    "voltages_magnitude": "VoltagesMagnitude",
    "powers_real": "PowersReal",
    "powers_imag": "PowersImaginary",
    "switch_states": "SwitchStates",
}
"""Further output ports of the feeder, and the OEDISI type of each."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OedisiStates:
    """Publishes each solved realization in OEDISI's form (`federation.members.jobs.States`).

    Attributes
    ----------
    scenario
        What the states are of.
    start
        The time that realization 0 is stamped with.
    step_s
        Seconds from one realization to the next.
    """

    scenario: Scenario
    start: datetime = datetime(2000, 1, 1)
    step_s: float = 1.0

    @property
    def ports(self) -> Mapping[str, PortKind]:
        """Further output ports; all text."""
        return dict.fromkeys(STATE_PORTS, PortKind.TEXT)

    def of(
        self,
        engine: Engine,
        plan: Plan,
        realizations: Realizations,
        setpoints: Setpoints,
        snapshots: Snapshots,
    ) -> Mapping[str, bytes]:
        """Return the messages of a batch of one; none of its state where it has no solution.

        Raises
        ------
        ConfigError
            If the batch is larger, or the engine does not know powers node by node.
        """
        if len(snapshots) != 1:
            raise ConfigError(f"OEDISI's form holds one state; a batch of {len(snapshots)} came")
        stamp = self._stamp(int(snapshots.index[0]))
        states = switch_states_of(plan)
        said = {"switch_states": _array(states.values, states.ids, stamp)}
        terminals = _solver(engine)(realizations, setpoints) if snapshots.converged[0] else None
        if terminals is None:
            return said
        base_v = 1000.0 * self.scenario.feeder.buses.base_kv[:, None]
        present = self.scenario.feeder.buses.phases
        volts = np.nan_to_num(snapshots.v_pu[0], nan=0.0) * base_v  # dead: without voltage
        bus, phase = np.nonzero(present)
        said["voltages_magnitude"] = _array(
            volts[present].tolist(), self._nodes(bus, phase), stamp, units="V", **_UNRATED
        )
        at, of = self._nodes(terminals.bus, terminals.phase), _equipment(terminals.equipment)
        for port, values, units in (
            ("powers_real", terminals.p_kw, "kW"),
            ("powers_imag", terminals.q_kvar, "kVAR"),
        ):
            said[port] = _array(
                values.tolist(), at, stamp, units=units, equipment_ids=of, **_UNRATED
            )
        return said

    def _stamp(self, index: int) -> str:
        return (self.start + timedelta(seconds=index * self.step_s)).isoformat()

    def _nodes(self, bus: Any, phase: Any) -> list[str]:
        ids = self.scenario.feeder.buses.ids
        return [f"{ids[b].upper()}.{p + 1}" for b, p in zip(bus, phase, strict=True)]


_UNRATED: Mapping[str, Any] = {"accuracy": None, "bad_data_threshold": None}


def _solver(engine: Engine) -> Any:
    found = getattr(engine, "terminals", None)
    if found is None:
        raise ConfigError(
            "powers node by node take an AC solution; run the feeder with [campaign] "
            'judge = "ac" or "both"'
        )
    return found


def _equipment(names: Sequence[str]) -> list[str]:
    """``Load.<id>`` as OpenDSS writes its classes."""
    return [f"{kind.capitalize()}.{name}" for kind, _, name in (n.partition(".") for n in names)]


def _array(values: Sequence[float], ids: Sequence[str], time: str, **more: Any) -> bytes:
    whole = {"values": values, "ids": ids, **more, "time": time}
    return json.dumps(whole, allow_nan=False).encode()
