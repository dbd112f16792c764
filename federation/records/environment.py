"""What a result was made with: versions and host, kept beside every campaign."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

__all__ = ["environment_record", "versions"]

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
        try:
            found[name] = version(distribution)
        except PackageNotFoundError:  # run from a checkout that was never installed
            found[name] = "not installed"
    return found


def environment_record(seed: int, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Describe what a campaign starts with, and in; runs are appended as they end.

    Parameters
    ----------
    seed
        Of the draws.
    overrides
        What was said on top of the study's file; its values are in the study, the saying is here.
    """
    return {
        "seed": seed,
        "overrides": list(overrides),
        "versions": versions(),
        "host": {
            "system": platform.system(),
            "release": platform.release(),
            "machine": platform.machine(),
            "cpus": os.cpu_count(),
        },
        "runs": [],
    }
