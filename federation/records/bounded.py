"""Parquet that may be anybody's, read only as far as it is small.

A few kilobytes may say a page of two gigabytes, or one long word a million times. Rows, columns and
bytes are therefore counted before anything is made of them, from the header of every page, for a
footer may say less than the pages do. What is too large is told as Arrow tells of a torn file.
"""

from __future__ import annotations

import stat
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from gridproof.federation.records.rows import OUTCOME_NAMES

__all__ = [
    "MOST_BYTES",
    "MOST_COLUMNS",
    "MOST_ROWS",
    "column_names",
    "opened",
    "read_table",
    "refuse_odd",
]

MOST_BYTES = 256 << 20
"""Of a file, of its pages unpacked, and of its words written out."""
MOST_ROWS = 1 << 21
MOST_COLUMNS = 4096
_MOST_VALUES = 1 << 25
_MOST_FOOTER = 16 << 20
_DEEPEST = 16
_CODES, _COUNTS, _WORDS = (
    ("outcome", "outcome_linear"),
    ("index", "step", "iterations"),
    (
        "element_",
        "phase_",
    ),
)
_ENCODINGS = {0, 2, 3, 4, 8}
"""Plain, dictionaries, run lengths: none that makes long words of short pages."""


@contextmanager
def opened(source: Path | pa.Buffer) -> Iterator[pq.ParquetFile]:
    """Open a file whose footer is small and says that it is.

    Raises
    ------
    pyarrow.ArrowInvalid
        If it is too large in rows, columns or bytes.
    OSError
        If it cannot be read, or is no regular file.
    """
    given: Any = source
    if isinstance(source, Path):
        about = source.stat()
        if not stat.S_ISREG(about.st_mode):
            raise OSError(f"{source} is no regular file")
        size = about.st_size
    else:
        size, given = source.size, pa.BufferReader(source)
    _refuse(size, MOST_BYTES, "bytes")
    limits = {"thrift_string_size_limit": _MOST_FOOTER, "thrift_container_size_limit": 1 << 18}
    with pq.ParquetFile(given, page_checksum_verification=True, **limits) as file:
        about = file.metadata
        _refuse(about.serialized_size, _MOST_FOOTER, "bytes of footer")
        _refuse(about.num_columns, MOST_COLUMNS, "columns")
        groups = [about.row_group(k) for k in range(about.num_row_groups)]
        _refuse(max([about.num_rows, sum(one.num_rows for one in groups)]), MOST_ROWS, "rows")
        columns = [one.column(k) for one in groups for k in range(one.num_columns)]
        _refuse(sum(one.total_uncompressed_size for one in columns), MOST_BYTES, "bytes unpacked")
        yield file


def column_names(path: Path) -> list[str]:
    """Columns of a part."""
    with opened(path) as file:
        return list(file.schema_arrow.names)


def read_table(
    source: Path | pa.Buffer, columns: Sequence[str] | None = None, group: int | None = None
) -> pa.Table:
    """Read a file, or some columns or one group of rows of it, if it is small.

    Raises
    ------
    pyarrow.ArrowException, OSError
        As `opened`, and where a page is damaged.
    """
    with opened(source) as file:
        plain = file.schema_arrow
        data = source.read_bytes() if isinstance(source, Path) else source
        names = list(plain.names if columns is None else columns)
        _refuse_pages(file.metadata, memoryview(data).cast("B"), set(names), group)
    words = [field.name for field in plain if pa.types.is_string(field.type)]
    reader = pa.BufferReader(data)
    with pq.ParquetFile(reader, page_checksum_verification=True, read_dictionary=words) as file:
        found = (
            file.read(columns=names, use_threads=False)
            if group is None
            else file.read_row_group(group, columns=names, use_threads=False)
        )
    _refuse(sum(map(_written_out, found.columns)), MOST_BYTES, "bytes of words")
    if not found.num_columns:
        return found  # a cast of no column forgets how many rows there are
    fields = [plain.field(name) for name in found.column_names]
    return found.cast(pa.schema(fields, metadata=found.schema.metadata))


def refuse_odd(table: pa.Table, wanted: Sequence[str] = ()) -> None:
    """Refuse rows whose columns are not what a part has under these names.

    Of those that are ``wanted`` every part has these: index and outcome.

    Raises
    ------
    pyarrow.ArrowInvalid
        Naming the first such column.
    """
    for name in wanted:
        if name in ("index", "outcome") and name not in table.column_names:
            raise pa.ArrowInvalid(f"it has no column {name}")
    for field, column in zip(table.schema, table.columns, strict=True):
        name, kind = field.name, field.type
        if name in _CODES:
            names = set(column.unique().to_pylist()) if _of_words(kind) else {None}
            sound = names <= set(OUTCOME_NAMES)
        elif name.startswith(_WORDS):
            sound = pa.types.is_string(kind) or pa.types.is_null(kind)
        elif name in _COUNTS:
            sound = pa.types.is_integer(kind) and not (column.null_count and name != "iterations")
        else:
            sound = pa.types.is_floating(kind) or pa.types.is_null(kind)
        if not sound or table.column_names.count(name) > 1:
            raise pa.ArrowInvalid(f"its column {name[:60]} is {kind}, which no part has")


def _of_words(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind.value_type if pa.types.is_dictionary(kind) else kind))


def _written_out(column: pa.ChunkedArray) -> int:
    """Bytes of a column whose words stand in a dictionary, each written out, at most."""
    if not pa.types.is_dictionary(column.type):
        return 0
    import pyarrow.compute as pc  # noqa: PLC0415  (a fifth of a second of every start)

    total = 0
    for chunk in column.chunks:
        longest = pc.max(pc.binary_length(chunk.dictionary)).as_py() or 0
        total += longest * len(chunk)
    return total


def _refuse(count: int, most: int, what: str) -> None:
    if not 0 <= count <= most:
        raise pa.ArrowInvalid(f"it has {count} {what}, and at most {most} are read")


# ------------------------------------------------------------------------ headers of pages


def _refuse_pages(
    about: pq.FileMetaData, data: memoryview, names: Container[str], group: int | None
) -> None:
    """Add up what the pages that will be read say themselves that they hold.

    A part of a study of steps has a group a step, read one at a time: going through the pages of
    all of them each time costs more the more steps there are, and bounds nothing.
    """
    size = values = 0
    for number in range(about.num_row_groups) if group is None else (group,):
        for place in range(about.num_columns):
            column = about.row_group(number).column(place)
            if column.path_in_schema.split(".")[0] not in names:
                continue
            start = column.data_page_offset
            if column.dictionary_page_offset:
                start = min(start, column.dictionary_page_offset)
            end = start + column.total_compressed_size
            if not 0 <= start <= end <= len(data):
                raise pa.ArrowInvalid("a column lies outside of the file")
            while start < end:
                header, start = _struct(data, start, 0)
                packed = int(header.get(3, -1))
                held: Any = next((header[key] for key in (5, 7, 8) if key in header), {})
                if packed < 0 or not isinstance(held, dict):
                    raise pa.ArrowInvalid("a page has no size")
                encoding = held.get(4 if 8 in header else 2, 0)
                if encoding not in _ENCODINGS:
                    raise pa.ArrowInvalid(f"a page has the encoding {encoding}, which no part has")
                size, values = size + int(header.get(2, -1)), values + int(held.get(1, 0))
                _refuse(int(header.get(2, -1)), MOST_BYTES, "bytes in a page")
                _refuse(size, MOST_BYTES, "bytes unpacked")
                _refuse(values, _MOST_VALUES, "values")
                start += packed


def _struct(data: memoryview, at: int, depth: int) -> tuple[dict[int, Any], int]:
    """Read one structure of Thrift's compact protocol: its fields, and where it ends."""
    fields: dict[int, Any] = {}
    number = 0
    if depth > _DEEPEST:
        raise pa.ArrowInvalid("a page's header is too deep")
    while True:
        head, at = _byte(data, at), at + 1
        if head == 0:
            return fields, at
        if head >> 4:
            number += head >> 4
        else:
            number, at = _integer(data, at)
        fields[number], at = _value(data, at, head & 15, depth)


def _value(data: memoryview, at: int, kind: int, depth: int) -> tuple[Any, int]:
    if kind in (1, 2):  # true and false stand in the kind
        return kind == 1, at
    if kind == 3:
        return _byte(data, at), at + 1
    if kind in (4, 5, 6):
        return _integer(data, at)
    if kind == 7:
        return None, at + 8
    if kind == 8:
        length, at = _unsigned(data, at)
        return None, at + length
    if kind == 12:
        return _struct(data, at, depth + 1)
    raise pa.ArrowInvalid(f"a page's header holds a value of kind {kind}")


def _integer(data: memoryview, at: int) -> tuple[int, int]:
    value, at = _unsigned(data, at)
    return (value >> 1) ^ -(value & 1), at


def _unsigned(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte, at = _byte(data, at), at + 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise pa.ArrowInvalid("a number of a page's header has no end")


def _byte(data: memoryview, at: int) -> int:
    if at >= len(data):
        raise pa.ArrowInvalid("a page's header has no end")
    return data[at]
