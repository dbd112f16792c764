"""The one door to numba: loops compiled once, kept on disk, and run without the interpreter."""

from __future__ import annotations

from typing import Any

from numba import njit

__all__ = ["compiled", "inlined", "part"]

compiled: Any = njit(cache=True, nogil=True, error_model="numpy")
"""What Python calls. It is kept on disk by the kinds of its arguments, so these are numpy's alone:
what is kept must be readable when ours have moved."""

part: Any = njit(nogil=True, error_model="numpy")
"""What compiled loops call."""

inlined: Any = njit(nogil=True, error_model="numpy", forceinline=True)
"""What they call at every turn: to hand over arrays costs more than what is done with them."""
