"""The record of a run that other processes do: written by whoever started them, if they cannot.

A feeder that runs as a process of its own records its run as it ends. One that is killed cannot,
and one whose peer was ended first takes that for the reason; who started both knows better.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from gridproof.federation.files import json_text
from gridproof.federation.records.begun import begun_chunks
from gridproof.federation.records.footers import footer_of
from gridproof.federation.records.store import CampaignStore
from gridproof.scenarios.errors import StoreError

__all__ = ["recorded", "rows_there"]


def rows_there(store: CampaignStore) -> int:
    """Realizations that a campaign directory holds, those of chunks that are begun included."""
    chunks = {*store.finished(), *begun_chunks(store)}
    try:
        rows = sum(footer_of(store.rows_path(chunk))[0] for chunk in chunks)
        return rows // len(store.tried)
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise StoreError(f"{store.root}/begun holds a torn file ({error}); delete it") from error


@contextmanager
def recorded(store: CampaignStore, mode: str) -> Iterator[None]:
    """See to it that a run that ends by an exception is recorded, and by the right reason.

    Parameters
    ----------
    store
        The campaign that others write to while the body runs.
    mode
        Kept in the record.
    """
    before, rows = len(_runs(store)), rows_there(store)
    started_s, started = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
    try:
        yield
    except BaseException as error:
        ended = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
        try:
            runs = _runs(store)
            if len(runs) > before and ended == "interrupted":
                _replace_last(store, {**runs[-1], "ended": ended})
            elif len(runs) == before and store.read("plan.json") is not None:
                store.record_run(
                    {
                        "mode": mode,
                        "started": started,
                        "seconds": round(time.monotonic() - started_s, 6),
                        "realizations": rows_there(store) - rows,
                        "ended": ended,
                    }
                )
        except StoreError as refused:
            error.add_note(f"and the run could not be recorded: {refused}")
        raise


def _runs(store: CampaignStore) -> list[dict[str, Any]]:
    return list(store.environment.get("runs", []))


def _replace_last(store: CampaignStore, run: dict[str, Any]) -> None:
    environment = store.environment
    environment["runs"] = [*environment["runs"][:-1], run]
    store.write("environment.json", json_text(environment))
