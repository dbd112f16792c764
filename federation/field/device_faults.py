"""What can be wrong with a device at one exchange, each by a name of its own."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["FAULT_COLUMN", "FAULT_WORDS", "DeviceFault"]

FAULT_COLUMN = "device_fault_"
"""Stem of the columns that keep a device's fault beside each verdict; its DER's id follows."""


class DeviceFault(IntEnum):
    """Why an exchange with a device brought no output; 0 is none."""

    NONE = 0
    LOST = 1
    NO_SUCH_UNIT = 2
    NO_MODELS = 3
    REFUSED = 4
    SCALE_CHANGED = 5
    NO_NUMBER = 6
    READING_OUT_OF_RANGE = 7
    COMMAND_OUT_OF_RANGE = 8


FAULT_WORDS = {
    DeviceFault.LOST: "without an answer",
    DeviceFault.NO_SUCH_UNIT: "without a SunSpec device under this unit identifier",
    DeviceFault.NO_MODELS: "without the models that are needed",
    DeviceFault.REFUSED: "refused by it",
    DeviceFault.SCALE_CHANGED: "with another scale factor than before",
    DeviceFault.NO_NUMBER: "with a reading that is no number",
    DeviceFault.READING_OUT_OF_RANGE: "with a reading beyond what it can do",
    DeviceFault.COMMAND_OUT_OF_RANGE: "with a command beyond what it can do, not sent",
}
"""What is said of an exchange; each follows a number."""
