"""What a device is to a campaign, whatever protocol it speaks.

A class that keeps this contract is a protocol. It is made once for each DER and used from one
thread; `release` may be called from another, when nothing else is. None of its calls may take
longer than its deadline.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from gridproof.federation.field.device_faults import DeviceFault
from gridproof.scenarios.arrays import FloatArray

__all__ = ["Device", "DeviceLostError", "DeviceRefusedError", "MakeDevice", "Place"]


class DeviceLostError(Exception):
    """No answer, or no connection; the run goes on."""


class DeviceRefusedError(Exception):
    """An answer that cannot be taken, or a command that may not be sent; the run goes on.

    Parameters
    ----------
    said
        What is wrong, with the device's address.
    fault
        Its name.
    """

    def __init__(self, said: str, fault: DeviceFault = DeviceFault.REFUSED) -> None:
        super().__init__(said)
        self.fault = fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a device is.

    Attributes
    ----------
    der
        Id of the DER that it is.
    host, port
        Of its address in the study.
    unit
        Modbus unit identifier; what a protocol without one makes of it is its own affair.
    deadline_s
        Longest wait for a connection, and for one answer, s.
    """

    der: str
    host: str
    port: int
    unit: int
    deadline_s: float


class Device(Protocol):
    """One DER that can be commanded and read."""

    def command(self, p_kw: float, q_kvar: float) -> None:
        """Set active and reactive power of all phases together, positive = injected.

        Raises
        ------
        DeviceLostError
            If it does not answer within the deadline; a later call tries to connect anew.
        DeviceRefusedError
            If it does not take it.
        """
        ...

    def measure(self) -> tuple[FloatArray, FloatArray]:
        """Return kW and kvar: (3,) of phases a, b, c, or (1,) of all together.

        Raises as `command`. What was measured before the last command is no answer.
        """
        ...

    def release(self) -> None:
        """Give the DER back to itself: no set-point is in force any more; raises as `command`."""
        ...

    def close(self) -> None:
        """Let go of the connection; idempotent, and never an exception."""
        ...


MakeDevice = Callable[[Place], Device]
"""Makes the device at a place; connects to nothing yet."""
