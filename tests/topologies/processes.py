"""Federations of real processes for the tests: their commands, and what is left of them."""

import os
import sys
import time
from pathlib import Path

CHILD = Path(__file__).parent / "child.py"


def command(out: Path, role: str, behaviour: str, settings, key: str | None = None):
    """What the supervisor starts as one federate, given a broker's address."""
    return lambda address: [
        *(sys.executable, "-W", "error", str(CHILD), role),
        *(f"{address.host}:{address.port}", key or address.key, settings.to_json()),
        *(str(out), behaviour),
    ]


def still_running(mark: str) -> list[str]:
    """Processes whose command line holds ``mark`` and that are not merely unreaped."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            dead = (path.parent / "stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
            if mark.encode() in path.read_bytes() and not dead:
                found.append(path.parent.name)
        except OSError:
            continue
    return found


def wait_for(condition, deadline_s: float) -> None:
    until = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < until, f"not within {deadline_s} s"
        time.sleep(0.05)


def patience() -> float:
    """How much longer than on a free machine things may take now."""
    return max(1.0, os.getloadavg()[0] / (2 * (os.cpu_count() or 1)))
