"""What a result was made with: versions and host, kept beside every campaign."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

__all__ = ["compiler_versions", "environment_record", "versions"]

_DISTRIBUTIONS = {
    "gridproof": "gridproof",
    "numpy": "numpy",
    "scipy": "scipy",
    "pyomo": "pyomo",
    "highs": "highspy",
    "opendss": "dss_python_backend",
    "opendssdirect": "opendssdirect.py",
    "helics": "helics",
    "pyarrow": "pyarrow",
}


def versions() -> dict[str, str]:
    """Version of Python and of every library a result may depend on, by its common name.

    ``opendss`` is the version of the compiled engine, not of the wrapper around it.
    """
    found = {"python": platform.python_version()}
    for name, distribution in _DISTRIBUTIONS.items():
        found[name] = _version(distribution)
    return found


def compiler_versions() -> dict[str, str]:
    """Version of what compiles the loops of the fast engine: its numbers may depend on it, too."""
    return {name: _version(name) for name in ("numba", "llvmlite")}


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:  # run from a checkout that was never installed
        return "not installed"


def environment_record(
    seed: int, overrides: Sequence[str] = (), *, fast: bool = False
) -> dict[str, Any]:
    """Describe what a campaign starts with, and in; runs are appended as they end.

    Parameters
    ----------
    seed
        Of the draws.
    overrides
        What was said on top of the study's file; its values are in the study, the saying is here.
    fast
        Whether its flows are solved by the fast engine.
    """
    return {
        "seed": seed,
        "overrides": list(overrides),
        "versions": versions() | (compiler_versions() if fast else {}),
        "host": {
            "system": platform.system(),
            "release": platform.release(),
            "machine": platform.machine(),
            "cpus": os.cpu_count(),
        },
        "runs": [],
    }
