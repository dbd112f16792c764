"""A part that somebody sends is small before it is read, whatever its footer says."""

import io
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from gridproof.federation.records.bounded import MOST_COLUMNS, MOST_ROWS, opened, read_table
from gridproof.federation.records.footers import check_whole
from gridproof.scenarios.errors import StoreError

FEW = 2048


def packed(table, **options):
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", **options)
    return sink.getvalue()


WORD = "x" * (2 << 20)
# Built by the test that asks, not when this file is imported: each takes about a second.
BOMBS = {
    "one long word, often": lambda: packed(
        pa.table({"outcome": pa.chunked_array([pa.array([WORD] * 8)] * (FEW // 8))})
    ),
    "one long list, often": lambda: packed(pa.table({"a": pa.array([[0.0] * (1 << 15)] * FEW)})),
    "rows": lambda: packed(pa.table({"a": np.zeros(MOST_ROWS + 1, np.int8)})),
    "columns": lambda: packed(pa.table({f"c{k}": [0] for k in range(MOST_COLUMNS + 1)})),
    "bytes unpacked": lambda: packed(
        pa.table({f"c{k}": np.zeros(MOST_ROWS) for k in range(17)}), use_dictionary=False
    ),
    "another encoding": lambda: packed(
        pa.table({"a": [WORD[:1000]] * FEW}),
        use_dictionary=False,
        column_encoding="DELTA_BYTE_ARRAY",
    ),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_and_takes_no_memory(name, tmp_path) -> None:
    path = tmp_path / "part-00000000.parquet"
    path.write_bytes(BOMBS[name]())
    before = pa.total_allocated_bytes()
    with pytest.raises((pa.ArrowException, OSError)):
        read_table(path)
    assert pa.total_allocated_bytes() - before < 1 << 20
    with pytest.raises(StoreError, match="part-00000000"):
        check_whole([path])


def test_what_pages_say_is_believed_over_the_footer() -> None:
    """The sizes that a footer states may be as small as one likes; pages are what is unpacked."""
    data = bytearray(packed(pa.table({"a": np.zeros(FEW)}), use_dictionary=False))
    about = pq.ParquetFile(pa.BufferReader(bytes(data))).metadata.row_group(0).column(0)
    at = about.data_page_offset
    assert data[at : at + 3][0] == 0x15  # field 1, a number: the kind of page
    assert data[at + 2] == 0x15  # field 2, a number: its size
    size = data[at + 3 : at + 6]
    end = next(k for k, byte in enumerate(size) if byte < 128) + 1
    zigzag = (300 << 20) << 1
    number = bytes(
        (zigzag >> shift & 127) | (128 if shift < 28 else 0) for shift in range(0, 35, 7)
    )
    spoilt = bytes(data[: at + 3]) + number + bytes(data[at + 3 + end :])
    with pytest.raises(pa.ArrowException):
        read_table(pa.py_buffer(spoilt))


@pytest.mark.parametrize("options", [{}, {"use_dictionary": False}, {"data_page_version": "2.0"}])
def test_what_is_small_is_read_as_it_is(options, tmp_path) -> None:
    rng = np.random.default_rng(1)
    table = pa.table(
        {
            "word": [["a", "bcd", None][k % 3] for k in range(FEW)],
            "kind": pa.array(["x", "y"] * (FEW // 2)).dictionary_encode(),
            "number": rng.normal(size=FEW), "index": np.arange(FEW),
            "bins": [list(range(k % 5)) for k in range(FEW)], "whether": [True, None] * (FEW // 2),
        },
        metadata={"stamp": "ours"},
    )  # fmt: skip
    path = tmp_path / "a.parquet"
    path.write_bytes(packed(table, write_page_checksum=True, row_group_size=512, **options))
    with pq.ParquetFile(path) as file:
        wanted = file.read()
        assert read_table(path).equals(wanted, check_metadata=True)
        assert read_table(path, ["index", "word"]).equals(file.read(columns=["index", "word"]))
        assert read_table(path, None, 2).equals(file.read_row_group(2))
    assert read_table(pa.py_buffer(path.read_bytes())).equals(wanted)


def test_no_cut_or_flipped_file_does_anything_else_than_be_refused(tmp_path) -> None:
    rng = np.random.default_rng(7)
    whole = packed(pa.table({"a": np.arange(300.0), "b": ["x", "yy", "z"] * 100}))
    for _ in range(300):
        spoilt = bytearray(whole[: rng.integers(1, len(whole) + 1)])
        for at in rng.integers(0, len(spoilt), rng.integers(0, 4)):
            spoilt[at] = rng.integers(256)
        try:
            read_table(pa.py_buffer(bytes(spoilt)))
        except (pa.ArrowException, OSError, ValueError):
            continue


@pytest.mark.skipif(os.name == "nt", reason="no such files")
def test_what_is_no_file_is_not_waited_for(tmp_path) -> None:
    os.mkfifo(tmp_path / "part-00000000.parquet")
    with (
        pytest.raises(OSError, match="no regular file"),
        opened(tmp_path / "part-00000000.parquet"),
    ):
        pass
