"""The devices on the lines: what opens and closes each line end."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np
from gridproof.scenarios.arrays import SILENT, BoolArray, IntArray, frozen

__all__ = ["Device", "LineDevices"]


class Device(StrEnum):
    """What opens and closes a line end."""

    NONE = "none"  # a conductor without a switch
    MANUAL = "manual"  # moved by a crew on site: not before the end of this horizon
    REMOTE = "remote"  # moved by the operator from t = 2
    RECLOSER = "recloser"  # opens by itself at t = 1
    BREAKER = "breaker"  # opens by itself at t = 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LineDevices:
    """What each line of a feeder is and how it is switched.

    Attributes
    ----------
    line_ids
        The feeder's lines, in its order.
    underground
        (line,) true for a cable, which has a switch at each end; an overhead line has one.
    device
        (line, 2) device at the ``from`` and the ``to`` end; both alike on an overhead line.
    protection_remote
        Whether the operator can move breakers and reclosers too; if not, one that opened by
        itself stays open.
    open_strikes
        Whether an overhead line that failed while open takes its two ends down as a closed one
        does: (10) of the restoration paper without ``sw_l,0``.
    """

    line_ids: tuple[str, ...]
    underground: BoolArray
    device: tuple[tuple[Device, Device], ...]
    protection_remote: bool = True
    open_strikes: bool = field(default=False, metadata={SILENT: True})

    def __post_init__(self) -> None:
        object.__setattr__(self, "underground", frozen(self.underground, bool, self._shape))
        if len(self.device) != len(self.line_ids):
            raise ValueError(f"{len(self.device)} devices given for {len(self.line_ids)} lines")

    @property
    def _shape(self) -> tuple[int]:
        return (len(self.line_ids),)

    def is_any(self, *kinds: Device) -> BoolArray:
        """(line, 2) true where an end has one of the given devices."""
        return np.array([[end in kinds for end in pair] for pair in self.device], bool).reshape(
            len(self.line_ids), 2
        )

    @property
    def protective_end(self) -> BoolArray:
        """(line, 2) ends that open by themselves on a fault."""
        return self.is_any(Device.RECLOSER, Device.BREAKER)

    @property
    def protective(self) -> BoolArray:
        """(line,) lines that stop a failure at t = 1: ``l_ar`` or ``l_cb``."""
        return np.asarray(self.protective_end.any(axis=1), bool)

    @property
    def operable_end(self) -> BoolArray:
        """(line, 2) ends the operator can move from the control room."""
        guards = (Device.RECLOSER, Device.BREAKER) if self.protection_remote else ()
        return self.is_any(Device.REMOTE, *guards)

    @property
    def moving(self) -> BoolArray:
        """(line,) lines that protection or the operator may move: a feeder's switches."""
        return np.asarray((self.operable_end | self.protective_end).any(axis=1), bool)

    def buried(self, lines: IntArray) -> LineDevices:
        """Return the devices with some lines as cables that have a remote switch at each end."""
        device, cable = list(self.device), self.underground.copy()
        for k in lines.tolist():
            device[k], cable[k] = (Device.REMOTE, Device.REMOTE), True
        return replace(self, underground=cable, device=tuple(device))
