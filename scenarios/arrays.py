"""Read-only columns: how every value type of this folder holds its numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import Field, fields, is_dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = [
    "PHASES",
    "SILENT",
    "BoolArray",
    "FloatArray",
    "IntArray",
    "content_digest",
    "frozen",
    "index_of",
    "ordered_product",
    "unsaid",
]

PHASES = ("a", "b", "c")
"""Names of phase slots 0, 1, 2; a delta load's slots are the pairs ab, bc, ca."""

SILENT = "silent"
"""Metadata key of a dataclass field that a digest leaves out while it says nothing.

True: while it has its default; a function: while that says so of the value.
"""

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


def frozen(values: Any, dtype: DTypeLike, shape: tuple[int, ...] | None = None) -> NDArray[Any]:
    """Return a read-only C-ordered array; copies unless the input already is one.

    Parameters
    ----------
    values
        Anything numpy can turn into an array.
    dtype
        Element type wanted.
    shape
        Exact shape wanted; ``-1`` matches any length of that axis.

    Raises
    ------
    ValueError
        If the shape differs.
    """
    array = np.ascontiguousarray(values, dtype=dtype)
    if shape is not None:
        fits = array.ndim == len(shape) and all(
            want in (-1, have) for want, have in zip(shape, array.shape, strict=True)
        )
        if not fits:
            raise ValueError(f"shape {array.shape} found where {shape} is needed")
    if array.flags.writeable:
        array = array.copy() if array is values or array.base is not None else array
        array.setflags(write=False)
    return array


def index_of(ids: Sequence[str]) -> dict[str, int]:
    """Map each id to its position."""
    return {name: position for position, name in enumerate(ids)}


def ordered_product(rows: FloatArray, table: FloatArray) -> FloatArray:
    """``rows @ table``, added up in one order: a library's product rounds by the batch's size.

    Parameters
    ----------
    rows
        (row, k), each answered as if it were alone.
    table
        (k, column).
    """
    total = np.zeros((len(rows), table.shape[1]))
    for k in range(len(table)):
        total += rows[:, k, None] * table[k]
    return total


def content_digest(value: Any) -> str:
    """SHA-256 (hex) of a value built of frozen dataclasses, arrays, strings and numbers.

    Two values with equal content have equal digests in any process and on any machine of
    the same byte order; ``-0.0`` and ``0.0`` count as equal.
    """
    sink = hashlib.sha256()
    _feed(sink, value)
    return sink.hexdigest()


def _feed(sink: Any, value: Any) -> None:
    if is_dataclass(value) and not isinstance(value, type):
        sink.update(f"<{type(value).__name__}".encode())
        for field in fields(value):
            if not field.compare:  # a value's origin (a path, say) is not its content
                continue
            if unsaid(field, getattr(value, field.name)):
                continue  # came later: where it is not used, digests are what they were
            sink.update(f"|{field.name}=".encode())
            _feed(sink, getattr(value, field.name))
        sink.update(b">")
    elif isinstance(value, np.ndarray):
        array = value + 0.0 if value.dtype.kind == "f" else value
        sink.update(f"[{array.dtype.str}{array.shape}".encode())
        sink.update(np.ascontiguousarray(array).tobytes())
    elif isinstance(value, Enum):
        sink.update(value.name.encode())
    elif isinstance(value, (tuple, list)):
        sink.update(f"({len(value)}".encode())
        for item in value:
            _feed(sink, item)
            sink.update(b",")
    elif isinstance(value, Mapping):
        _feed(sink, sorted(value.items()))
    else:
        sink.update(_scalar_bytes(value))


def unsaid(field: Field[Any], value: Any) -> bool:
    """Whether a field that came later says nothing; its metadata tell what nothing is."""
    silent = field.metadata.get(SILENT)
    if callable(silent):
        return bool(silent(value))
    if isinstance(value, np.ndarray):
        return False  # an array that is given is said, whatever is in it
    return bool(silent) and bool(value == field.default)


def _scalar_bytes(value: Any) -> bytes:
    plain = value.item() if isinstance(value, np.generic) else value
    if isinstance(plain, str):  # its length first: text cannot then pass for structure
        return f"str{len(plain)}:{plain}".encode()
    if isinstance(plain, float):
        return f"float:{plain + 0.0!r}".encode()
    if plain is None or isinstance(plain, (int, bool)):
        return f"{type(plain).__name__}:{plain}".encode()
    raise TypeError(f"cannot digest a {type(value).__name__}")
