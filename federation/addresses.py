"""``HOST:PORT``, with the brackets of an IPv6 address: ``[::1]:5020``."""

from __future__ import annotations

import re

__all__ = ["ADDRESS_PATTERN", "host_and_port"]

ADDRESS_PATTERN = r"^(?:\[[0-9A-Fa-f:.]+(?:%\w+)?\]|[^\s:\[\]]+):\d{1,5}$"
_PORTS = range(1, 65536)


def host_and_port(address: str) -> tuple[str, int] | None:
    """Take an address apart; None if it is none.

    An IPv6 address is told from its port by brackets, which the host comes back without.
    """
    if re.fullmatch(ADDRESS_PATTERN, address) is None:
        return None
    host, _, port = address.rpartition(":")
    return (host.strip("[]"), int(port)) if int(port) in _PORTS else None
