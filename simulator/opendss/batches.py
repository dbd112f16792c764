"""Elements of one class told together: one call into C for a row of numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from gridproof.scenarios.arrays import FloatArray
from gridproof.scenarios.errors import EngineError
from gridproof.simulator.opendss.circuit import DssCircuit

__all__ = ["Batch", "Powers"]

_KEEP_Y = 2  # the library's SetterFlags.AvoidFullRecalc; importing that would load it


class Batch:
    """Elements of one class whose numbers are set together, by one call into C."""

    def __init__(self, circuit: DssCircuit, handles: Sequence[Any]) -> None:
        self.size = len(handles)
        self._pointer = circuit.ffi.new("void*[]", list(handles))
        self._ffi, self._lib = circuit.ffi, circuit.raw

    def write(self, position: int, values: FloatArray, *, keep_y: bool = False) -> None:
        """Set property number ``position`` of every element; ``values`` is (element,)."""
        if self.size:
            row = np.ascontiguousarray(values, dtype=np.float64)
            if row.shape != (self.size,):
                raise EngineError(f"{row.shape} values given for a batch of {self.size} elements")
            flags = _KEEP_Y if keep_y else 0
            address = self._ffi.cast("double *", row.ctypes.data)
            self._lib.Batch_Float64Array(self._pointer, self.size, position, 0, address, flags)

    def row_writer(self, position: int, rows: FloatArray) -> Any:
        """Make ``write(i)``, which sets the property from row ``i`` and leaves Y as it is.

        Parameters
        ----------
        position
            Number of the property.
        rows
            (realization, element), C-ordered; the writer keeps it alive.
        """
        if rows.shape[1:] != (self.size,) or not rows.flags.c_contiguous or rows.dtype != float:
            raise EngineError(f"rows {rows.shape} cannot feed a batch of {self.size} elements")
        first = self._ffi.cast("double *", rows.ctypes.data)
        pointer, size, call = self._pointer, self.size, self._lib.Batch_Float64Array

        def write(row: int, _rows: FloatArray = rows) -> None:  # which holds what is pointed at
            call(pointer, size, position, 0, first + row * size, _KEEP_Y)

        return write if size else (lambda _row: None)


class Powers:
    """kW and kvar of elements of one class, from one realization to the next.

    Written is what differs from what was written last: where set-points stay, or one load in
    five is uncertain, most writes would say what is there already. What an element is told
    does not depend on what it was told before, so results do not either.

    Parameters
    ----------
    circuit, handles
        The elements.
    columns
        Numbers of the properties kW and kvar.
    """

    def __init__(
        self, circuit: DssCircuit, handles: Sequence[Any], columns: tuple[int, int]
    ) -> None:
        self._circuit, self._handles, self._columns = circuit, tuple(handles), columns
        self._told: tuple[FloatArray, FloatArray] | None = None  # None: write all
        self._telling: tuple[FloatArray, FloatArray] | None = None
        self._places, self._batch = np.zeros(0, np.int64), Batch(circuit, ())

    def writer(self, kw: FloatArray, kvar: FloatArray) -> Callable[[int], None]:
        """Make ``write(i)``, to be called for every row in order; it leaves Y as it is.

        Parameters
        ----------
        kw, kvar
            (realization, element), one row at least. Say `written` once all are.
        """
        told, self._told = self._told, None
        self._telling = kw[-1].copy(), kvar[-1].copy()
        moved = np.ones(len(self._handles), bool)
        if told is not None:
            moved = ((kw != told[0]) | (kvar != told[1])).any(axis=0)
        places = np.flatnonzero(moved)
        if not np.array_equal(places, self._places):
            self._places = places
            self._batch = Batch(self._circuit, [self._handles[k] for k in places])
        parts = np.ascontiguousarray(kw[:, places]), np.ascontiguousarray(kvar[:, places])
        write_kw, write_kvar = (
            self._batch.row_writer(column, part)
            for column, part in zip(self._columns, parts, strict=True)
        )

        def write(row: int) -> None:
            write_kw(row)  # kW before kvar: setting kW rescales kvar
            write_kvar(row)

        return write

    def written(self) -> None:
        """Trust that every row was written; without this the next writer writes all."""
        self._told = self._telling
