"""Profiles on disk: one small file beside each part of a campaign, written before it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from gridproof.federation.files import write_whole
from gridproof.federation.records.bounded import read_table
from gridproof.federation.records.profile import Profile, element_ids, slot_names
from gridproof.scenarios.errors import StoreError
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.scenario import Scenario

__all__ = ["decode_profile", "encode_profile", "keep_profiles", "profile_path", "read_profile"]

_KEY = "gridproof"
_VOLTAGE = "profile"

_SCHEMA = pa.schema(
    [
        pa.field("quantity", pa.string()),  # profile, or the kind of limit that was breached
        pa.field("element", pa.string()),
        pa.field("phase", pa.string()),
        pa.field("count", pa.int64()),
        pa.field("low_pu", pa.float64()),
        pa.field("high_pu", pa.float64()),
        pa.field("total_npu", pa.int64()),
        pa.field("first_bin", pa.int32()),
        pa.field("bins", pa.list_(pa.int32())),
    ]
)


def profile_path(root: Path, chunk: int, step: int | None = None) -> Path:
    """File of a chunk's profile, at one of several steps if one is named."""
    of_step = "" if step is None else f"-step{step:02d}"
    return root / "profiles" / f"profile-{chunk:08d}{of_step}.parquet"


def encode_profile(
    profile: Profile, scenario: Scenario, *, chunk: int, fingerprint: str, plan_digest: str
) -> bytes:
    """Encode a chunk's profile; the bytes depend on the arguments alone."""
    stamp = {
        "fingerprint": fingerprint,
        "plan": plan_digest,
        "chunk": chunk,
        "solved": profile.solved,
    }
    table = _table(profile, scenario)
    table = table.replace_schema_metadata({_KEY: json.dumps(stamp, sort_keys=True)})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", compression_level=3, write_page_checksum=True)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def keep_profiles(root: Path, chunk: int, profiles: Sequence[bytes], steps: Sequence[int]) -> None:
    """Write a chunk's profiles, each whole or not at all; the chunk's part comes after them.

    Raises
    ------
    StoreError
        If the disk refuses.
    """
    folder = root / "profiles"
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise StoreError(f"{folder} cannot be made: {error}") from error
    for step, data in zip(steps, profiles, strict=True):
        write_whole(profile_path(root, chunk, step if len(steps) > 1 else None), data)


def read_profile(
    root: Path,
    chunks: Sequence[int],
    scenario: Scenario,
    plan: Plan,
    belonging: tuple[str, str],
    *,
    time: int = 0,
    stepped: bool = False,
    begun: Mapping[int, bytes] | None = None,
) -> tuple[Profile, int]:
    """Add up the profiles of some chunks of one step; also says how many chunks have none.

    ``belonging`` are the campaign's fingerprint and the plan's digest; ``begun`` the profiles of
    chunks that are not whole; ``stepped`` says whether the campaign has several steps.

    Raises
    ------
    StoreError
        If a profile is torn, or of another configuration or plan.
    """
    whole, missing = Profile.of(scenario, plan, time), 0
    names = _names(whole, scenario)
    for chunk in chunks:
        path = profile_path(root, chunk, time if stepped else None)
        data = (begun or {}).get(chunk)
        if data is None and not path.is_file():
            missing += 1
            continue
        expected = (*belonging, chunk)
        _read_one(whole, path if data is None else pa.py_buffer(data), path, names, expected)
    return whole, missing


def decode_profile(
    data: bytes,
    scenario: Scenario,
    plan: Plan,
    *,
    chunk: int,
    fingerprint: str,
    plan_digest: str,
    time: int = 0,
) -> Profile:
    """Read what `encode_profile` made; raises `StoreError` as `read_profile` does."""
    found = Profile.of(scenario, plan, time)
    expected = (fingerprint, plan_digest, chunk)
    where = Path(f"the profile of chunk {chunk}")
    _read_one(found, pa.py_buffer(data), where, _names(found, scenario), expected)
    return found


def _read_one(
    whole: Profile,
    source: Any,
    path: Path,
    names: tuple[list[str], list[str], list[str | None]],
    expected: tuple[Any, str, int],
) -> None:
    """Add one profile to another; ``path`` names it."""
    try:
        table = read_table(source)
        stamp = json.loads((table.schema.metadata or {})[_KEY.encode()])
        if (stamp["fingerprint"], stamp["plan"], stamp["chunk"]) != expected:
            raise StoreError(f"{path} belongs to another campaign or plan; delete it")
        _add(whole, table, names, int(stamp["solved"]))
    except (pa.ArrowException, OSError, LookupError, ValueError, TypeError) as error:
        raise StoreError(
            f"{path} is torn or not a profile ({str(error).splitlines()[0]}); delete it: "
            "the report goes on without it"
        ) from error


def _names(profile: Profile, scenario: Scenario) -> tuple[list[str], list[str], list[str | None]]:
    """Quantity, element and phase of every row, in the order of the file."""
    buses, slots = scenario.feeder.buses.ids, slot_names(scenario)
    quantity = [_VOLTAGE] * len(profile.bus)
    element = [buses[k] for k in profile.bus]
    phase: list[str | None] = [slots[k] for k in profile.phase]
    for kind, ids in element_ids(scenario).items():
        quantity += [kind.value] * len(ids)
        element += ids
        phase += [None] * len(ids)
    return quantity, element, phase


def _table(profile: Profile, scenario: Scenario) -> pa.Table:
    quantity, element, phase = _names(profile, scenario)
    slots, rest = len(profile.bus), len(quantity) - len(profile.bus)
    filled = profile.histogram > 0
    some = filled.any(axis=1)
    first = np.where(some, filled.argmax(axis=1), 0)
    stop = np.where(some, filled.shape[1] - filled[:, ::-1].argmax(axis=1), 0)
    bins: list[Any] = [profile.histogram[k, first[k] : stop[k]] for k in range(slots)]
    blank = [None] * rest
    breached = [int(n) for counts in profile.breached.values() for n in counts]
    columns = {
        "quantity": quantity,
        "element": element,
        "phase": phase,
        "count": [profile.solved] * slots + breached,
        "low_pu": profile.low_pu.tolist() + blank,
        "high_pu": profile.high_pu.tolist() + blank,
        "total_npu": profile.total_npu.tolist() + blank,
        "first_bin": first.tolist() + blank,
        "bins": bins + blank,
    }
    return pa.table(columns, schema=_SCHEMA)


def _add(
    whole: Profile,
    table: pa.Table,
    names: tuple[list[str], list[str], list[str | None]],
    solved: int,
) -> None:
    """Add a file's counts; its rows must be the ones expected, in their order."""
    have = tuple(table.column(name).to_pylist() for name in ("quantity", "element", "phase"))
    if have != names:
        raise ValueError("its rows are not the elements of this study")
    slots = len(whole.bus)
    one = table.slice(0, slots)
    whole.solved += solved
    np.minimum(whole.low_pu, one.column("low_pu").to_numpy(), out=whole.low_pu)
    np.maximum(whole.high_pu, one.column("high_pu").to_numpy(), out=whole.high_pu)
    whole.total_npu += one.column("total_npu").to_numpy()
    if slots:
        bins = one.column("bins").combine_chunks()
        lengths = bins.value_lengths().to_numpy(zero_copy_only=False)
        starts = one.column("first_bin").to_numpy() - (np.cumsum(lengths) - lengths)
        row = np.repeat(np.arange(slots), lengths)
        column = np.arange(lengths.sum()) + np.repeat(starts, lengths)
        whole.histogram[row, column] += bins.flatten().to_numpy()
    counts = table.column("count").to_numpy()[slots:]
    start = 0
    for kind in whole.breached:
        stop = start + len(whole.breached[kind])
        whole.breached[kind] += counts[start:stop]
        start = stop
