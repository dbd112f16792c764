"""The messages that are text: catalogue, plan, switch states, status; JSON, versioned.

The catalogue is sent once and says, for every numeric message that follows (`frames`),
which numbers it holds, in which order, in which units and with which sign; ids and numbers
therefore never travel together again. ``docs/wire/*.schema.json`` are generated from the
models here (``python -m gridproof.federation.wire.messages docs/wire``), and a test holds them
together.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from gridproof.federation.files import write_whole
from gridproof.federation.wire.link import PortKind, Reading
from gridproof.scenarios.arrays import PHASES, BoolArray
from gridproof.scenarios.errors import ConfigError, FederationError
from gridproof.scenarios.feeder import Connection, Loads
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.plan_file import plan_from_json, plan_schema
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.strict_json import load_json
from gridproof.scenarios.verdict import kinds_of
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

__all__ = [
    "FEEDER_PORTS",
    "LOADS_PORT",
    "PAIRS",
    "PLANNER_PORTS",
    "Catalogue",
    "Column",
    "SentLoads",
    "Status",
    "SwitchStates",
    "catalogue_of",
    "parse",
    "read_plan",
    "schemas",
    "switch_states_of",
    "word_in",
    "write_schemas",
]

PAIRS = ("ab", "bc", "ca")
PLANNER_PORTS = {
    "plan": PortKind.TEXT,
    "switch_states": PortKind.TEXT,
    "setpoints": PortKind.RAW,
    "status": PortKind.TEXT,
}
FEEDER_PORTS = {
    "catalogue": PortKind.TEXT,
    "realizations": PortKind.RAW,
    "measurements": PortKind.RAW,
    "verdicts": PortKind.RAW,
    "status": PortKind.TEXT,
}


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    def encode(self) -> bytes:
        """Return the message as UTF-8 JSON."""
        return self.model_dump_json().encode()


M = TypeVar("M", bound=_Message)


class Column(_Message):
    """A run of neighbouring numbers of one kind inside a numeric message's row."""

    quantity: str = Field(description="what is counted")
    unit: str = Field(description="its unit; 1 for a pure number")
    positive: str = Field(default="", description="what a positive number means")
    ids: tuple[str, ...] = Field(strict=False, description="element, or element.slot, in order")

    @property
    def width(self) -> int:
        """Numbers in a row."""
        return len(self.ids)


class Catalogue(_Message):
    """What the feeder's and the planner's numeric messages hold; sent once, at time 0."""

    format: Literal["gridproof-catalogue/2"] = "gridproof-catalogue/2"
    study: str
    scenario_digest: str = Field(description="SHA-256 of the scenario; empty if not to be checked")
    realizations_total: int = Field(ge=0, description="realizations the feeder will send")
    time_steps: int = Field(ge=1)
    steps: tuple[int, ...] = Field(
        default=(0,), strict=False, description="the steps that are tried, in order, per batch"
    )
    blocks_of_loads: dict[str, str] = Field(
        default_factory=dict, description="block that each load stands in, by the load's id"
    )
    realizations: tuple[Column, ...]
    setpoints: tuple[Column, ...]
    measurements: tuple[Column, ...]
    verdicts: tuple[Column, ...]


class SwitchStates(_Message):
    """Switch states as OEDISI's type of the same name has them; 1 is closed."""

    ids: tuple[str, ...] = Field(strict=False, description="Line.<name>")
    values: tuple[Literal[0, 1], ...]
    time: str | None = None


class Status(_Message):
    """How a federate is."""

    format: Literal["gridproof-status/1"] = "gridproof-status/1"
    federate: str
    phase: Literal["joined", "planning", "planned", "running", "done", "failed"]
    sequence: int = Field(ge=0, description="rises by one with every status of the federate")
    done: int = Field(default=0, ge=0, description="realizations finished")
    total: int = Field(default=0, ge=0, description="realizations to finish")
    message: str = ""


LOADS_PORT = "loads/realizations"
"""Where a source of loads publishes, if there is one."""
_MOST_ROWS = 1 << 16
Multiple = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]


class SentLoads(_Message):
    """Loads from outside: some realizations, one row each, in the order of their numbers."""

    format: Literal["gridproof-loads/1"] = "gridproof-loads/1"
    first: int = Field(ge=0, description="number of the first row's realization")
    ids: tuple[str, ...] = Field(strict=False, description="every uncertain load, in any order")
    multiple: tuple[Annotated[tuple[Multiple, ...], Field(strict=False)], ...] = Field(
        strict=False,
        min_length=1,
        max_length=_MOST_ROWS,
        description="multiples of nominal demand: a row for each realization, a number for each id",
    )

    @model_validator(mode="after")
    def _rows_are_as_wide_as_ids(self) -> SentLoads:
        for k, row in enumerate(self.multiple):
            if len(row) != len(self.ids):
                raise ValueError(f"row {k} has {len(row)} numbers for {len(self.ids)} ids")
        return self


def parse(model: type[M], payload: bytes, port: str) -> M:
    """Read a JSON message.

    Raises
    ------
    FederationError
        Naming the port, the field, what was expected and what was found.
    """
    try:
        message = model.model_validate_json(payload)
        load_json(payload)
    except ValidationError as error:
        faults = [
            f"{port}: {'.'.join(str(part) for part in item['loc']) or 'message'}: {item['msg']}, "
            f"found {str(item.get('input'))[:60]!r}"
            for item in error.errors()
        ]
        raise FederationError("\n".join(faults)) from error
    except ValueError as error:
        raise FederationError(f"{port}: {error}") from error
    return message


def word_in(reading: Reading, port: str) -> str:
    """Return the message of a status; empty where none has come, or it has none."""
    return parse(Status, reading.payload, port).message if reading.updated else ""


def read_plan(payload: bytes, scenario: Scenario, port: str) -> Plan:
    """Read a plan, made for this scenario or for another with the same network.

    Raises
    ------
    FederationError
        If it is no plan for this scenario.
    """
    try:
        return plan_from_json(payload.decode(), scenario, where=port)
    except (ConfigError, UnicodeDecodeError) as error:
        raise FederationError(str(error)) from error


def switch_states_of(plan: Plan, time: int = 0) -> SwitchStates:
    """Return one step's switch states in OEDISI's form."""
    return SwitchStates(
        ids=tuple(f"Line.{name}" for name in plan.switch_ids),
        values=tuple(1 if closed else 0 for closed in plan.closed[time]),
    )


def catalogue_of(
    scenario: Scenario, realizations_total: int = 0, steps: tuple[int, ...] = (0,)
) -> Catalogue:
    """List what every numeric message of this scenario holds, and the steps that are tried."""
    feeder, ders, fleet = scenario.feeder, scenario.ders, scenario.fleet
    loads = _load_channels(feeder.loads)
    injections = _channels(ders.ids, ders.phases)
    pairs = feeder.buses.phases & np.roll(feeder.buses.phases, -1, axis=1)
    formers = tuple(n for n, able in zip(ders.ids, ders.can_form, strict=True) if able)

    def col(quantity: str, unit: str, ids: tuple[str, ...], positive: str = "") -> Column:
        return Column(quantity=quantity, unit=unit, positive=positive, ids=ids)

    carried = (
        col("energy", "kWh", fleet.storages.ids, "stored as the step begins"),
        col("before_p", "kW", injections, "injected at the step before; 0 before the first"),
    )
    kinds, disturbed = tuple(k.value for k in kinds_of(scenario)), scenario.disturbances.ids
    injected = (
        col("p", "kW", injections, "injected"),
        col("q", "kvar", injections, "injected"),
    )
    return Catalogue(
        study=scenario.name,
        scenario_digest=scenario.digest(),
        realizations_total=realizations_total,
        time_steps=len(scenario.hours),
        steps=steps,
        blocks_of_loads=_blocks_of_loads(scenario),
        realizations=(
            col("zeta", "1", scenario.share_direction_ids, "above nominal"),
            col("p", "kW", loads, "consumed"),
            col("q", "kvar", loads, "consumed"),
            *([col("available", "kW", fleet.renewables.ids)] if fleet.renewables.ids else []),
            *([col("disturbance", "kW", disturbed, "lacking")] if disturbed else []),
            *(carried if fleet.carries else ()),
        ),
        setpoints=(
            col("found", "1", ("re-dispatch",), "1 where one exists, else 0"),
            *injected,
            col("source_v", "pu", formers, "held; 0 where the DER is not grid-forming"),
        ),
        measurements=(
            col("index", "1", ("realization",)),
            col("solved", "1", ("converged", "iterations")),
            col("v", "pu", _channels(feeder.buses.ids, feeder.buses.phases)),
            col("v_ll", "pu", _channels(feeder.buses.ids, pairs, PAIRS)),
            col("current", "A", _channels(feeder.lines.ids, feeder.lines.phases)),
            col("transformer", "kVA", feeder.transformers.ids),
            *injected,
            col("system", "kW", ("delivered", "requested", "losses")),
        ),
        verdicts=(
            col("outcome", "1", ("code",)),
            col("margin", "pu voltage, damage 1 or -1, else of rating", kinds, "inside the limit"),
            col("element", "1", kinds, "position of the worst; -1 where there is none"),
            col("phase", "1", kinds, "slot of the worst; -1 where there is none"),
        ),
    )


def _blocks_of_loads(scenario: Scenario) -> dict[str, str]:
    feeder = scenario.feeder
    where = zip(feeder.loads.ids, feeder.block_of_load.tolist(), strict=True)
    return {load: feeder.blocks.ids[block] for load, block in where}


def _load_channels(loads: Loads) -> tuple[str, ...]:
    """``load.phase`` or ``load.pair`` for every slot a load has, load by load."""
    return tuple(
        f"{name}.{(PHASES if kind is Connection.WYE else PAIRS)[slot]}"
        for name, kind, held in zip(loads.ids, loads.connection, loads.slots, strict=True)
        for slot in np.flatnonzero(held)
    )


def _channels(
    ids: tuple[str, ...], has: BoolArray, slots: tuple[str, ...] = PHASES
) -> tuple[str, ...]:
    """``element.slot`` for every slot an element has, element by element."""
    return tuple(f"{ids[k]}.{slots[slot]}" for k, slot in np.argwhere(has))


def schemas() -> dict[str, dict[str, Any]]:
    """Return the JSON schema of every text message, by port name."""
    models: dict[str, type[_Message]] = {
        "catalogue": Catalogue,
        "loads": SentLoads,
        "status": Status,
        "switch_states": SwitchStates,
    }
    return {name: model.model_json_schema() for name, model in models.items()} | {
        "plan": plan_schema()
    }


def write_schemas(folder: Path) -> None:
    """Write every schema to ``<folder>/<name>.schema.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, schema in schemas().items():
        text = json.dumps(schema, indent=1, sort_keys=True) + "\n"
        write_whole(folder / f"{name}.schema.json", text)


if __name__ == "__main__":
    write_schemas(Path(sys.argv[1]))
