"""The protocols that a study's devices may speak: ours by name, anybody's by module and class."""

from __future__ import annotations

import importlib
from typing import cast

from gridproof.federation.field.device import MakeDevice
from gridproof.scenarios.errors import ConfigError

__all__ = ["make_of"]

_CALLS = ("command", "measure", "release", "close")


def make_of(kind: str) -> MakeDevice:
    """Return what makes a device of a kind.

    Parameters
    ----------
    kind
        ``sunspec``, ``mqtt``, or ``module:Class`` of somebody else's, which is imported: whether
        it may be is decided before.

    Raises
    ------
    ConfigError
        If there is no such kind, or what it needs is not installed.
    """
    if kind == "sunspec":
        from gridproof.federation.field.modbus_client import SunspecDevice  # noqa: PLC0415  (optional)

        return lambda at: SunspecDevice(at.host, at.port, unit=at.unit, deadline_s=at.deadline_s)
    if kind == "mqtt":
        from gridproof.federation.field.mqtt_client import MqttDevice  # noqa: PLC0415  (optional)

        return MqttDevice
    module, _, name = kind.partition(":")
    try:
        made = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        wanted = "sunspec, mqtt, or module:Class of your own"
        raise ConfigError(f"[devices] kind = {kind!r} is not {wanted}: {error}") from error
    lacks = [part for part in _CALLS if not callable(getattr(made, part, None))]
    if lacks:
        raise ConfigError(
            f"[devices] kind = {kind!r} has no {', '.join(lacks)}; docs/device.md has the contract"
        )
    return cast(MakeDevice, made)
