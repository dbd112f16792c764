"""One device over Modbus/TCP: finds its SunSpec models, writes set-points, reads outputs.

Only the set-point registers of model 704, or of 123, are ever written. Every call has a deadline,
and what is wrong with an answer is said in one of two exceptions, neither of which ends a run.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from gridproof.federation.addresses import host_and_port
from gridproof.federation.field.device import DeviceLostError, DeviceRefusedError
from gridproof.federation.field.device_faults import DeviceFault
from gridproof.federation.field.sunspec import (
    BASES,
    CONTROLS,
    END,
    FACTORS,
    INVERTERS,
    LIMITS,
    MEASUREMENT,
    OF_RATING,
    RATINGS,
    SIGNATURE,
    TABLES,
    VARS,
    WATTS,
    WRITABLE,
    WRITABLE_LIMITS,
    decode,
    encode,
    scaled,
    unscaled,
)
from gridproof.scenarios.arrays import FloatArray
from gridproof.scenarios.errors import ConfigError, FederationError

try:
    from pymodbus.client import ModbusTcpClient
    from pymodbus.exceptions import ModbusException
except ImportError as missing:  # an optional dependency
    raise ConfigError(
        "[devices] needs the Modbus client, which is not installed; pip install 'gridproof[device]'"
    ) from missing

__all__ = ["SunspecDevice", "probe_device"]

logging.getLogger("pymodbus").addHandler(logging.NullHandler())

_AT_ONCE = 100  # registers in one read; the protocol allows 125
_MODELS_AT_MOST = 64


class SunspecDevice:
    """One device: finds its models, writes set-points, reads outputs.

    Parameters
    ----------
    host, port, unit
        Where it is.
    deadline_s
        Longest wait for a connection and for one answer, s.
    """

    def __init__(self, host: str, port: int, *, unit: int = 1, deadline_s: float = 1.0) -> None:
        self.address = f"{host}:{port}"
        self._unit = unit
        self._client = ModbusTcpClient(host, port=port, timeout=deadline_s, retries=0)
        self._starts: dict[int, int] = {}
        self._factors: dict[str, int] = {}
        self._measurement, self._controls, self._rated_w = MEASUREMENT, CONTROLS, 0.0

    @property
    def models(self) -> list[int]:
        """Ids of the models found, in the order of their registers."""
        return list(self._starts)

    def connect(self) -> None:
        """Connect and find the models, if that is not done; raises as `command`."""
        if self._client.connected and self._starts:
            return
        self._starts = {}
        try:
            connected = self._client.connect()  # type: ignore[no-untyped-call]
        except OSError as error:  # a name that does not resolve, say
            raise DeviceLostError(f"{self.address}: {error}") from error
        if not connected:
            raise DeviceLostError(f"{self.address}: no connection")
        starts = self._scan()
        self._measurement = self._first_of(starts, (MEASUREMENT, *INVERTERS))
        self._controls = self._first_of(starts, (CONTROLS, LIMITS))
        rating = self._first_of(starts, RATINGS) if self._controls == LIMITS else None
        self._starts = starts
        self._factors = {
            name: self._read_factor(model, name)
            for model in (self._measurement, self._controls)
            for name in FACTORS[model]
        }
        if rating is not None:
            self._rated_w = self._read_rating(rating)

    def close(self) -> None:
        """Let go of the connection."""
        self._starts = {}
        self._client.close()  # type: ignore[no-untyped-call]

    def command(self, p_kw: float, q_kvar: float) -> None:
        """Write set-points of all phases together.

        Raises
        ------
        DeviceLostError
            If it does not answer within the deadline; the connection is dropped.
        DeviceRefusedError
            If it does not take them.
        """
        self.connect()
        self._refuse_changed(self._controls, FACTORS[self._controls])
        if self._controls == LIMITS:
            self._limit(1000.0 * p_kw, 1000.0 * q_kvar)
            return
        watts = unscaled(1000.0 * p_kw, self._factors["WSet_SF"])
        volt_amperes = unscaled(1000.0 * q_kvar, self._factors["VarSet_SF"])
        self._write({"WSetEna": 1, "WSetMod": WATTS, "WSet": watts})
        self._write({"VarSetEna": 1, "VarSetMod": VARS, "VarSetPri": 0, "VarSet": volt_amperes})

    def release(self) -> None:
        """Give the DER back to itself: no set-point is in force any more; raises as `command`."""
        self.connect()
        names = ("WSetEna", "VarSetEna")
        if self._controls == LIMITS:
            names = ("WMaxLim_Ena", "VArPct_Ena")
        for name in names:
            self._write({name: 0})

    def measure(self) -> tuple[FloatArray, FloatArray]:
        """Read the outputs, kW and kvar: (3,) of phases a, b, c, or (1,) of all together.

        Raises as `command`.
        """
        self.connect()
        points = TABLES[self._measurement].points
        active, reactive = FACTORS[self._measurement]
        first, last = points["W"].offset, points[reactive].offset
        if self._measurement == MEASUREMENT:
            first = min(first, points["WL1"].offset)
        registers = self._read(self._starts[self._measurement] + first, last - first + 1)
        for name in (active, reactive):  # of the same answer as the numbers they scale
            self._same_factor(name, registers[points[name].offset - first])

        def read(name: str) -> int | None:
            point = points[name]
            return decode(point.kind, registers[point.offset - first :][: point.words])

        kinds = (active.removesuffix("_SF"), reactive.removesuffix("_SF"))
        slots: tuple[str, ...] = ("L1", "L2", "L3")
        totals_only = self._measurement != MEASUREMENT or all(
            read(kind + slot) is None for kind in kinds for slot in slots
        )
        slots = ("",) if totals_only else slots
        found = [self._numbers(read, kind, slots) for kind in kinds]
        return found[0], found[1]

    def _numbers(
        self, read: Callable[[str], int | None], kind: str, slots: tuple[str, ...]
    ) -> FloatArray:
        values = []
        for slot in slots:
            value = scaled(read(kind + slot), self._factors[f"{kind}_SF"])
            if value is None:
                raise DeviceRefusedError(
                    f"{self.address}: {kind}{slot} is not implemented", DeviceFault.NO_NUMBER
                )
            values.append(value / 1000.0)
        return np.array(values, float)

    def _limit(self, p_w: float, q_var: float) -> None:
        """Command as shares of the active rating: what model 123 takes, which knows no charging."""
        if p_w < 0.0:
            raise DeviceRefusedError(
                f"{self.address}: the command is {p_w:g} W, and model 123 limits what is fed in",
                DeviceFault.COMMAND_OUT_OF_RANGE,
            )
        share, reactive = (self._factors[name] for name in FACTORS[LIMITS])
        self._write({"WMaxLimPct": unscaled(100.0 * p_w / self._rated_w, share)})
        self._write({"WMaxLim_Ena": 1})
        self._write({"VArWMaxPct": unscaled(100.0 * q_var / self._rated_w, reactive)})
        self._write({"VArPct_Mod": OF_RATING, "VArPct_Ena": 1})

    # -------------------------------------------------------------------------- registers
    def _refuse_changed(self, model: int, names: tuple[str, ...]) -> None:
        """Refuse to scale by factors that a model no longer has."""
        points = [TABLES[model].points[name] for name in names]
        first = min(point.offset for point in points)
        count = max(point.offset for point in points) - first + 1
        registers = self._read(self._starts[model] + first, count)
        for point in points:
            self._same_factor(point.name, registers[point.offset - first])

    def _same_factor(self, name: str, register: int) -> None:
        held, found = self._factors[name], decode("sf", [register])
        if found != held:
            self.close()  # the next connection reads all of them anew
            raise DeviceRefusedError(
                f"{self.address}: scale factor {name} was {held} and is {found}",
                DeviceFault.SCALE_CHANGED,
            )

    def _scan(self) -> dict[int, int]:
        """Find each model's first point, walking the chain from its signature."""
        for base in BASES:
            try:
                found = self._read(base, 2)
            except DeviceRefusedError:  # no registers there
                continue
            if tuple(found) == SIGNATURE:
                return self._chain(base + 2)
        self.close()
        raise DeviceRefusedError(
            f"{self.address}: no SunSpec signature at {BASES} under unit {self._unit}",
            DeviceFault.NO_SUCH_UNIT,
        )

    def _chain(self, at: int) -> dict[int, int]:
        starts: dict[int, int] = {}
        for _ in range(_MODELS_AT_MOST):
            model, length = self._read(at, 2)
            if model == END:
                return starts
            table = TABLES.get(model)
            if table is None or length == table.length:  # another length is another model
                starts.setdefault(model, at + 2)
            at += 2 + length
            if at > 0xFFFD:
                break
        self.close()
        raise DeviceRefusedError(
            f"{self.address}: the chain of SunSpec models has no end", DeviceFault.NO_MODELS
        )

    def _first_of(self, starts: Mapping[int, int], wanted: Iterable[int]) -> int:
        for model in wanted:
            if model in starts:
                return model
        self.close()
        raise DeviceRefusedError(
            f"{self.address}: no SunSpec model {' or '.join(map(str, wanted))}; found "
            f"{', '.join(map(str, starts))}",
            DeviceFault.NO_MODELS,
        )

    def _read_factor(self, model: int, name: str) -> int:
        value = self._read_point(model, name)
        if value is None or not -10 <= value <= 10:
            self.close()
            raise DeviceRefusedError(
                f"{self.address}: {name} is {value}; a scale factor is -10 to 10",
                DeviceFault.NO_NUMBER,
            )
        return value

    def _read_rating(self, model: int) -> float:
        name, factor = RATINGS[model]
        watts = scaled(self._read_point(model, name), self._read_factor(model, factor))
        if not watts:
            self.close()
            raise DeviceRefusedError(
                f"{self.address}: {name} of model {model} is {watts}; set-points of model 123 are "
                "shares of it",
                DeviceFault.NO_NUMBER,
            )
        return watts

    def _read_point(self, model: int, name: str) -> int | None:
        point = TABLES[model].points[name]
        return decode(point.kind, self._read(self._starts[model] + point.offset, point.words))

    def _write(self, values: dict[str, int]) -> None:
        """Write neighbouring points in one request; anything not declared is a mistake."""
        table = TABLES[self._controls].points
        unknown = [name for name in values if name not in (*WRITABLE, *WRITABLE_LIMITS)]
        if unknown:
            raise ValueError(f"{unknown[0]} may not be written here")
        points = [table[name] for name in values]
        registers: list[int] = []
        for point in points:
            if point.offset != points[0].offset + len(registers):
                raise ValueError(f"{point.name} may not be written here")
            registers += encode(point.kind, values[point.name], point.words)
        at = self._starts[self._controls] + points[0].offset
        self._ask(
            lambda: self._client.write_registers(at, registers, device_id=self._unit),
            f"writing {', '.join(values)}",
        )

    def _read(self, at: int, count: int) -> list[int]:
        registers: list[int] = []
        while len(registers) < count:
            part = min(_AT_ONCE, count - len(registers))
            where = at + len(registers)
            answer = self._ask(
                lambda where=where, part=part: self._client.read_holding_registers(  # type: ignore[misc]
                    where, count=part, device_id=self._unit
                ),
                f"reading {part} registers at {where}",
            )
            if len(answer) != part:
                raise DeviceRefusedError(f"{self.address}: {len(answer)} registers, {part} asked")
            registers += answer
        return registers

    def _ask(self, call: Callable[[], object], what: str) -> list[int]:
        try:
            answer = call()
        except (ModbusException, OSError) as error:
            self.close()
            raise DeviceLostError(f"{self.address}: {what}: {error}") from error
        if answer.isError():  # type: ignore[attr-defined]
            raise DeviceRefusedError(f"{self.address}: {what}: {answer}")
        return list(getattr(answer, "registers", None) or [])


def probe_device(address: str, *, unit: int, deadline_s: float) -> dict[str, Any]:
    """Look at a device without writing to it: its models, and its output of phases a, b, c.

    Raises
    ------
    ConfigError
        If the address is none.
    FederationError
        If it does not answer, or not as a SunSpec DER.
    """
    found = host_and_port(address)
    if found is None:
        raise ConfigError(
            f"{address!r} is not HOST:PORT; write for example 127.0.0.1:5020 or [::1]:5020"
        )
    device = SunspecDevice(*found, unit=unit, deadline_s=deadline_s)
    try:
        p_kw, q_kvar = device.measure()
        return {"models": device.models, "p_kw": p_kw.tolist(), "q_kvar": q_kvar.tolist()}
    except (DeviceLostError, DeviceRefusedError) as error:
        raise FederationError(str(error)) from error
    finally:
        device.close()
