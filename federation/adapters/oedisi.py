"""Our federates as OEDISI components: what they declare, and what they are told.

``oedisi build`` reads a component's ``component_definition.json``, copies its folder for every
place it has in a system, and writes ``static_inputs.json`` (parameters, and how to join) and
``input_mapping.json`` (which publication feeds each input) into the copy. Names on the wire are
then the system's; between federate and link stands a `WiredLink` that knows both.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

from gridproof.federation.adapters.oedisi_states import STATE_PORTS
from gridproof.federation.files import read_text
from gridproof.federation.members.launch import program
from gridproof.federation.wire.broker_address import BrokerAddress
from gridproof.federation.wire.link import Link, PortKind, Reading
from gridproof.federation.wire.messages import FEEDER_PORTS, PLANNER_PORTS
from gridproof.scenarios.errors import ConfigError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

__all__ = [
    "StaticInputs",
    "WiredLink",
    "component_definition",
    "input_names",
    "read_mapping",
    "read_static_inputs",
]

Role = Literal["planner", "feeder"]
_OPTIONAL = {"planner": {"measurements", "verdicts"}, "feeder": {"switch_states"}}
_OWN = {"planner": PLANNER_PORTS, "feeder": FEEDER_PORTS}
_PEER: Mapping[str, Role] = {"planner": "feeder", "feeder": "planner"}
_HELICS_PORT = 23404  # where HELICS' zmq broker listens unless told otherwise
T = TypeVar("T")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class BrokerInputs(_Part):
    """How to reach the system's broker."""

    host: str | None = None
    port: int | None = Field(default=None, gt=0, lt=65536)
    key: str | None = None
    auto: bool | None = None
    initstring: str | None = Field(default=None, alias="initString")


class StaticInputs(_Part):
    """``static_inputs.json`` of one of our components.

    Attributes
    ----------
    name
        The federate's name in the system.
    study
        A shipped study's name or the path of a file, seen from the component's folder.
    overrides
        ``section.key=value`` entries; the same for both federates.
    campaign
        The feeder's campaign directory.
    plan
        A plan file the planner publishes instead of planning.
    start_date, run_freq_sec
        The time that the first realization's states are stamped with, as OEDISI's own feeder
        writes it, and the seconds to the next one.
    core_type, core_name, core_init, broker
        How to join, as OEDISI writes it.
    """

    name: str = Field(min_length=1)
    study: str
    overrides: tuple[str, ...] = ()
    campaign: str = "campaign"
    plan: str | None = None
    start_date: str = "2000-01-01 00:00:00"
    run_freq_sec: float = Field(default=1.0, gt=0.0, allow_inf_nan=False)
    core_type: str | None = Field(default=None, alias="coreType")
    core_name: str | None = Field(default=None, alias="coreName")
    core_init: str | None = Field(default=None, alias="coreInitString")
    broker: BrokerInputs = BrokerInputs()

    @property
    def address(self) -> BrokerAddress:
        """Where and how to join.

        Raises
        ------
        ConfigError
            If the core type is another than zmq.
        """
        if self.core_type not in (None, "zmq", "ZMQ"):
            raise ConfigError(
                f"static_inputs.json: coreType is {self.core_type!r}; these components join over "
                "zmq, so leave coreType out of the system or set it to zmq"
            )
        return BrokerAddress(
            transport="zmq",
            key=self.broker.key or "",
            host=self.broker.host or "127.0.0.1",
            port=self.broker.port or _HELICS_PORT,
            cores=self.core_name or "",
            more=self.core_init or "",
            keyless=not self.broker.key,
        )

    @property
    def start(self) -> datetime:
        """The first realization's time; raises `ConfigError`."""
        try:
            return datetime.strptime(self.start_date, "%Y-%m-%d %H:%M:%S")
        except ValueError as error:
            raise ConfigError(
                f"static_inputs.json: start_date is {self.start_date!r}; write it as "
                "2000-01-01 00:00:00"
            ) from error


def component_definition(role: Role) -> dict[str, Any]:
    """Return ``component_definition.json`` of a role, as OEDISI's ``ComponentDescription``.

    Parameters
    ----------
    role
        Which federate.
    """
    known = StaticInputs.model_fields
    joining = {"name", "core_type", "core_name", "core_init", "broker"}
    mine = {"planner": {"plan"}, "feeder": {"campaign", "start_date", "run_freq_sec"}}
    others = mine[_PEER[role]]
    outputs = dict.fromkeys(_OWN[role], "")
    if role == "feeder":
        outputs |= STATE_PORTS
    else:
        outputs["switch_states"] = "SwitchStates"
    return {
        "directory": role,
        "execute_function": shlex.join([*program(), "oedisi", "federate", role]),
        "static_inputs": [_port(name) for name in known if name not in joining | others],
        "dynamic_inputs": [
            _port(name, "SwitchStates" if name == "switch_states" else "", optional=optional)
            for name, optional in input_names(role).items()
        ],
        "dynamic_outputs": [_port(name, kind) for name, kind in outputs.items()],
        "capabilities": {"version": "1.0", "broker_config": True},
    }


def _port(name: str, kind: str = "", *, optional: bool = False) -> dict[str, Any]:
    return {"type": kind, "port_id": name, **({"optional": True} if optional else {})}


def input_names(role: Role) -> dict[str, bool]:
    """Name a role's inputs, the other's ports; whether each may stay unwired."""
    return {port: port in _OPTIONAL[role] for port in _OWN[_PEER[role]]}


def read_static_inputs(folder: Path) -> StaticInputs:
    """Read ``static_inputs.json``; raises `ConfigError` with every fault."""
    path = folder / "static_inputs.json"
    try:
        return StaticInputs.model_validate_json(_text(path))
    except ValidationError as error:
        raise ConfigError(
            [
                f"{path.name}: {'.'.join(str(part) for part in item['loc']) or 'file'}: "
                f"{item['msg']}, found {str(item.get('input'))[:60]!r}"
                for item in error.errors()
            ]
        ) from error


def read_mapping(folder: Path, role: Role) -> dict[str, str]:
    """Read ``input_mapping.json``: publications by input port.

    Raises
    ------
    ConfigError
        If it is no mapping, or an input that cannot be done without is not wired.
    """
    path = folder / "input_mapping.json"
    try:
        found = json.loads(_text(path))
    except ValueError as error:
        raise ConfigError(f"{path.name}: not JSON: {error}") from error
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found.values()):
        raise ConfigError(f"{path.name}: expected an object of port names to publication keys")
    names = input_names(role)
    faults = [
        f"{path.name}: {name} is no input of the {role}; its inputs: {', '.join(names)}"
        for name in found
        if name not in names
    ]
    faults += [
        f"{path.name}: {name} is not wired; link it from {name} of the {_PEER[role]} component"
        for name, optional in names.items()
        if not optional and name not in found
    ]
    if faults:
        raise ConfigError(faults)
    return found


def _text(path: Path) -> str:
    try:
        return read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(
            f"{path.name}: cannot be read: {reason}; start the component where `oedisi build` "
            "put it"
        ) from error


class WiredLink:
    """`Link` of a federate whose peers have other names on the wire than it knows them by.

    Parameters
    ----------
    link
        The link on the wire.
    role
        What the federate is to itself.
    mapping
        Publication on the wire by input port of the peer; a port that is not here is never
        registered, and nothing comes of it.
    """

    def __init__(self, link: Link, role: Role, mapping: Mapping[str, str]) -> None:
        self._link, self._role = link, role
        self._wired = {f"{_PEER[role]}/{port}": key for port, key in mapping.items()}

    @property
    def name(self) -> str:
        """What the federate calls itself."""
        return self._role

    def publishes(self, ports: Mapping[str, PortKind]) -> None:
        """Register output ports; see `Link`."""
        self._link.publishes(ports)

    def reads(self, keys: Mapping[str, PortKind]) -> None:
        """Register inputs; see `Link`."""
        wired = {self._wired[key]: kind for key, kind in keys.items() if key in self._wired}
        self._link.reads(wired)

    def enter(self, *, deadline_s: float) -> None:
        """Wait for every member; see `Link`."""
        self._link.enter(deadline_s=deadline_s)

    def request(self, time_s: float, *, deadline_s: float, awaited: str, whom: str) -> None:
        """Wait for a time; see `Link`."""
        self._link.request(time_s, deadline_s=deadline_s, awaited=awaited, whom=whom)

    def publish(self, port: str, payload: bytes) -> None:
        """Send on an own port; see `Link`."""
        self._link.publish(port, payload)

    def read(self, key: str) -> Reading:
        """Return an input's newest message; see `Link`."""
        wired = self._wired.get(key)
        return Reading(b"", False) if wired is None else self._link.read(wired)

    def fail(self, reason: str) -> None:
        """End the federation; see `Link`."""
        self._link.fail(reason)

    def close(self) -> None:
        """Leave; see `Link`."""
        self._link.close()
