"""The one door to numba: loops compiled once, kept on disk, and run without the interpreter."""

from __future__ import annotations

from typing import Any

from numba import njit

__all__ = ["compiled"]

compiled: Any = njit(cache=True, nogil=True, error_model="numpy")
