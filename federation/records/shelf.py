"""Where rows wait for the rest of their chunk: in memory, or on the disk where steps are many."""

from __future__ import annotations

from dataclasses import dataclass, field
from tempfile import TemporaryFile, gettempdir
from typing import IO
from weakref import finalize

import pyarrow as pa
from gridproof.federation.records.rows import Rows
from gridproof.scenarios.errors import StoreError

__all__ = ["Laid", "Shelf"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Laid:
    """Rows that were laid away: how many, and where they are found again."""

    rows: int
    place: int
    size: int = 0


@dataclass(slots=True, weakref_slot=True, kw_only=True, eq=False)
class Shelf:
    """Keeps tables until they are asked for.

    A chunk is lived through step by step, so its rows grow with its steps. On the disk they take
    no memory, whatever their number.

    Attributes
    ----------
    on_disk
        Whether tables go to a file without a name, which ends with this process.
    """

    on_disk: bool
    _kept: list[Rows | pa.Table] = field(default_factory=list)
    _file: IO[bytes] | None = None

    def lay(self, rows: Rows | pa.Table) -> Laid:
        """Lay rows away; on the disk they are a table.

        Raises
        ------
        StoreError
            If the disk refuses.
        """
        if not self.on_disk:
            self._kept.append(rows)
            return Laid(rows=len(rows), place=len(self._kept) - 1)
        table = rows.table() if isinstance(rows, Rows) else rows
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
        data = sink.getvalue()
        try:
            if self._file is None:
                self._file = TemporaryFile(prefix="gridproof-")  # noqa: SIM115  (as long as this)
                finalize(self, self._file.close)
            place = self._file.seek(0, 2)
            self._file.write(data)
        except OSError as error:
            raise StoreError(
                f"{gettempdir()} does not take the rows of a chunk that is not whole yet: {error}; "
                "make room there, or set TMPDIR to a folder that has some, and resume"
            ) from error
        return Laid(rows=table.num_rows, place=place, size=data.size)

    def get(self, laid: Laid) -> Rows | pa.Table:
        """Return what was laid away; it stays where it is."""
        if self._file is None:
            return self._kept[laid.place]
        self._file.seek(laid.place)
        return pa.ipc.open_stream(self._file.read(laid.size)).read_all()
