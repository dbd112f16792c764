"""Rows that wait for their chunk come back as they went; on the disk they take no memory."""

import tempfile

import pyarrow as pa
import pytest
from gridproof.federation.records.shelf import Shelf
from gridproof.scenarios.errors import StoreError


def table(first):
    words = pa.array(["feasible", "violated"]).take(pa.array([0, 1, None, 0]))
    return pa.table(
        {"index": pa.array(range(first, first + 4)), "outcome": words.dictionary_encode()}
    )


@pytest.mark.parametrize("on_disk", [False, True])
def test_what_was_laid_away_comes_back_in_any_order(on_disk):
    shelf = Shelf(on_disk=on_disk)
    laid = [shelf.lay(table(first)) for first in (0, 4, 8)]
    assert [one.rows for one in laid] == [4, 4, 4]
    for k in (2, 0, 1, 2):
        assert shelf.get(laid[k]).equals(table(4 * k))


def test_on_the_disk_no_arrow_memory_is_held():
    before, shelf = pa.total_allocated_bytes(), Shelf(on_disk=True)
    laid = [shelf.lay(table(first)) for first in range(0, 4000, 4)]
    assert pa.total_allocated_bytes() == before
    assert shelf.get(laid[-1]).column("index")[0].as_py() == 3996


def test_a_folder_that_is_full_is_named_with_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(StoreError, match=r"gone .*set TMPDIR"):
        Shelf(on_disk=True).lay(table(0))
