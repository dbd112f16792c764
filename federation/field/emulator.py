"""A DER as a Modbus/TCP server with SunSpec models: what stands in for a device on one machine.

It accepts active and reactive set-points (model 704), follows them at once or at a ramp, splits
them evenly over its phases, and reports what it does (model 701). It refuses set-points beyond
its rating, modes that it does not have, and writes to anything but its set-points, as a device
should.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from gridproof.federation.field.sunspec import (
    COMMON,
    CONTROLS,
    END,
    MEASUREMENT,
    SIGNATURE,
    TABLES,
    VARS,
    WATTS,
    WRITABLE,
    decode,
    encode,
    scaled,
    unscaled,
)
from gridproof.scenarios.errors import DeadlinePassed, FederationError
from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

__all__ = ["EmulatedDer", "Emulator", "Rating"]

logging.getLogger("pymodbus").addHandler(logging.NullHandler())

_BASE = 40000
_FIT = 0x7FFF  # largest reading of a 16-bit measurement
_PF_SF = -3
_START_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rating:
    """What an emulated DER can do.

    Attributes
    ----------
    p_kw, q_kvar
        Greatest output of all phases together; reactive either way.
    phases
        Letters of the phases it feeds.
    ramp_kw_per_s
        Fastest change of its whole output; None for at once.
    """

    p_kw: float
    q_kvar: float
    phases: str = "abc"
    ramp_kw_per_s: float | None = None


class EmulatedDer:
    """Registers and behaviour of one DER, without a network.

    Parameters
    ----------
    rating
        What it can do.
    clock
        Seconds, for the ramp.
    """

    def __init__(self, rating: Rating, clock: Callable[[], float] = time.monotonic) -> None:
        self.rating, self._clock = rating, clock
        self._p_kw = self._q_kvar = 0.0
        self._seen_s = clock()
        top_w = 1000.0 * max(rating.p_kw, rating.q_kvar)
        self._measured_sf = max(0, math.ceil(math.log10(1.05 * top_w / _FIT)))
        self.starts: dict[int, int] = {}
        self.registers = self._layout()

    def _layout(self) -> list[int]:
        registers = list(SIGNATURE)
        for model in (COMMON, MEASUREMENT, CONTROLS):
            table = TABLES[model]
            registers += [model, table.length]
            self.starts[model] = len(registers)
            for point in table.points.values():
                if point.kind == "string":
                    registers += [0] * point.words
                else:
                    registers += encode(point.kind, None, point.words)
        registers += [END, 0]
        for name, text in {"Mn": "gridproof", "Md": "emulated DER", "SN": "1", "Vr": "1"}.items():
            self._put_text(registers, name, text)
        fixed = {"ACType": 2 if len(self.rating.phases) == 3 else 0, "St": 1, "ConnSt": 1}
        fixed |= dict.fromkeys(("W_SF", "VA_SF", "Var_SF"), self._measured_sf) | {"PF_SF": _PF_SF}
        for name, value in {**fixed, "DERMode": 1, "Alrm": 0}.items():
            self._put(registers, MEASUREMENT, name, value)
        for name in ("WSetEna", "VarSetEna", "WSet", "VarSet", "WSet_SF", "VarSet_SF"):
            self._put(registers, CONTROLS, name, 0)
        return registers

    def _put(self, registers: list[int], model: int, name: str, value: int | None) -> None:
        point = TABLES[model].points[name]
        at = self.starts[model] + point.offset
        registers[at : at + point.words] = encode(point.kind, value, point.words)

    def _put_text(self, registers: list[int], name: str, text: str) -> None:
        point = TABLES[COMMON].points[name]
        raw = text.encode().ljust(2 * point.words, b"\0")
        at = self.starts[COMMON] + point.offset
        registers[at : at + point.words] = [
            int.from_bytes(raw[k : k + 2], "big") for k in range(0, len(raw), 2)
        ]

    def commanded(self, registers: list[int]) -> tuple[float, float]:
        """Return the set-points now in force, kW and kvar; 0 where not enabled."""
        found = []
        for kind in ("W", "Var"):
            number = {name: self._get(registers, name) for name in (f"{kind}SetEna", f"{kind}Set")}
            value = scaled(number[f"{kind}Set"], self._get(registers, f"{kind}Set_SF")) or 0.0
            found.append(value / 1000.0 if number[f"{kind}SetEna"] == 1 else 0.0)
        return found[0], found[1]

    def _get(self, registers: list[int], name: str) -> int | None:
        point = TABLES[CONTROLS].points[name]
        at = self.starts[CONTROLS] + point.offset
        return decode(point.kind, registers[at : at + point.words])

    def refresh(self, registers: list[int]) -> None:
        """Move towards the set-points and write down the output."""
        now_s = self._clock()
        most = math.inf
        if self.rating.ramp_kw_per_s is not None:
            most = self.rating.ramp_kw_per_s * (now_s - self._seen_s)
        self._seen_s = now_s
        p, q = self.commanded(registers)
        p = max(0.0, min(self.rating.p_kw, p))  # whatever its registers say, it can do no more
        q = max(-self.rating.q_kvar, min(self.rating.q_kvar, q))
        self._p_kw += max(-most, min(most, p - self._p_kw))
        self._q_kvar += max(-most, min(most, q - self._q_kvar))
        outputs = {"W": self._p_kw, "Var": self._q_kvar, "VA": math.hypot(self._p_kw, self._q_kvar)}
        lead = 1.0 if not outputs["VA"] else self._p_kw / outputs["VA"]
        self._put(registers, MEASUREMENT, "PF", unscaled(lead, _PF_SF))
        for name, value in outputs.items():
            each = value / len(self.rating.phases)
            self._measure(registers, name, value)
            for letter, slot in zip("abc", ("L1", "L2", "L3"), strict=True):
                self._measure(registers, name + slot, each * (letter in self.rating.phases))

    def _measure(self, registers: list[int], name: str, value_kw: float) -> None:
        self._put(registers, MEASUREMENT, name, unscaled(1000.0 * value_kw, self._measured_sf))

    def refuses(self, at: int, values: list[int]) -> ExcCodes | None:
        """Say whether a write at register ``at`` (from the base) is one the device takes."""
        start, points = self.starts[CONTROLS], TABLES[CONTROLS].points
        allowed = {
            start + points[name].offset + k for name in WRITABLE for k in range(points[name].words)
        }
        if not set(range(at, at + len(values))) <= allowed:
            return ExcCodes.ILLEGAL_ADDRESS
        after = list(self.registers)
        after[at : at + len(values)] = values
        for name in WRITABLE:  # what no published device takes: a mode that is not in its model
            known, value = points[name].symbols, self._get(after, name)
            if known and value is not None and value not in known.values():
                return ExcCodes.ILLEGAL_VALUE
        for kind, mode in (("WSet", WATTS), ("VarSet", VARS)):  # of percentages it has none
            if self._get(after, f"{kind}Ena") == 1 and self._get(after, f"{kind}Mod") != mode:
                return ExcCodes.ILLEGAL_VALUE
        p, q = self.commanded(after)
        slack = 1.0 + 1e-9
        inside = -1e-9 <= p <= self.rating.p_kw * slack and abs(q) <= self.rating.q_kvar * slack
        return None if inside else ExcCodes.ILLEGAL_VALUE


class Emulator:
    """Serves an `EmulatedDer` on a thread of its own until closed.

    Parameters
    ----------
    der
        The device.
    host, port
        Where it listens; port 0 takes a free one, see `port`.
    unit
        Modbus unit identifier it answers to.

    Raises
    ------
    FederationError
        If the port is taken.
    """

    def __init__(
        self, der: EmulatedDer, host: str = "127.0.0.1", port: int = 0, unit: int = 1
    ) -> None:
        self.der, self.host, self.port = der, host, port
        self._unit = unit
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._failures: list[BaseException] = []
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="emulated-der", daemon=True)
        self._thread.start()
        if not self._ready.wait(_START_S):
            raise DeadlinePassed("a listening emulator", f"{host}:{port}", _START_S)
        if self._failures:
            self._thread.join()
            raise FederationError(
                f"the emulated device cannot listen at {host}:{port} ({self._failures[0]}); "
                "give another --port"
            ) from self._failures[0]

    def close(self) -> None:
        """Stop serving and drop every connection; idempotent."""
        if self._thread.is_alive() and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(_START_S)

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        except BaseException as error:  # the thread ends here; the constructor raises it
            self._failures.append(error)
        finally:
            self._loop.close()
            self._ready.set()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        data = SimData(_BASE, values=list(self.der.registers), datatype=DataType.REGISTERS)
        device = SimDevice(id=self._unit, simdata=[data], action=self._act)
        server = ModbusTcpServer(device, address=(self.host, self.port))
        await server.serve_forever(background=True)
        listening = cast(asyncio.Server, server.transport)
        self.port = listening.sockets[0].getsockname()[1]
        self._ready.set()
        try:
            await self._stop.wait()
        finally:
            await server.shutdown()  # type: ignore[no-untyped-call]

    async def _act(  # noqa: PLR0917
        self,
        function: int,
        start: int,
        address: int,
        count: int,  # noqa: ARG002  (the library's signature)
        registers: list[int],
        values: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        """Answer one request: refuse a bad write, bring readings up to date."""
        if values is None:
            self.der.refresh(registers)
            return None
        if function not in (6, 16):
            return ExcCodes.ILLEGAL_FUNCTION
        self.der.registers = list(registers)
        return self.der.refuses(address - start, [int(value) for value in values])
