"""One heap for all threads: what glibc gives back to the system is asked for again at once.

glibc gives each thread a heap of its own and trims it whenever its top falls free, so every
batch's arrays were fresh pages, zeroed by the kernel: a tenth of a campaign's processor time.
One heap that keeps some free memory costs less of both. Results do not depend on it.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache

__all__ = ["share_heap"]

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_KEPT_BYTES, _LARGE_BYTES = 64 << 20, 16 << 20


@cache
def share_heap() -> bool:
    """Have threads that start from now on use the main heap; False where it is not glibc's.

    It keeps up to 64 MiB of free memory, and arrays beyond 16 MiB still come and go. Whoever
    set a ``MALLOC_…_`` variable has decided already.
    """
    if any(name.startswith("MALLOC_") for name in os.environ):
        return False
    if "CS_GNU_LIBC_VERSION" not in getattr(os, "confstr_names", ()):
        return False
    set_option = ctypes.CDLL(None).mallopt
    options = {
        _M_ARENA_MAX: 1,
        _M_TRIM_THRESHOLD: _KEPT_BYTES,
        _M_MMAP_THRESHOLD: _LARGE_BYTES,
    }
    taken = [bool(set_option(option, value)) for option, value in options.items()]
    return all(taken)
