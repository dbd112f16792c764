"""What became of the exchanges with a campaign's devices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gridproof.federation.field.device_faults import FAULT_WORDS, DeviceFault
from gridproof.federation.jsonable import Jsonable

__all__ = ["DevicesReport"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicesReport(Jsonable):
    """Exchanges with the devices of a campaign.

    Attributes
    ----------
    exchanges
        Commands that were answered or were to be, of each device.
    faults
        By DER, how often each thing was wrong; nothing of one with which nothing was.
    loop_median_s, loop_max_s
        Wall-clock time from the first command written to the last measurement read.
    """

    exchanges: int
    faults: Mapping[str, Mapping[str, int]]
    loop_median_s: float
    loop_max_s: float

    def words(self) -> list[str]:
        """One line for each device with which something was wrong."""
        return [
            f"device {name}: of {self.exchanges} exchanges "
            + ", ".join(
                f"{count} {FAULT_WORDS[DeviceFault[fault.upper()]]}"
                for fault, count in found.items()
            )
            for name, found in self.faults.items()
        ]
