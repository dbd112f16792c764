"""A campaign on disk: whole or not there, of one configuration, readable while it grows.

::

    DIR/
      study.json          what was asked: the resolved configuration and its fingerprint
      environment.json    what it ran on: versions, host, and the times of each run
      plan.json           the plan that was tried
      scenario.json       what it was tried on: feeder, DERs, loads, limits; no report needs more
      parts/part-00000000.parquet   realizations 0 … 2047, and so on
      parts.sha256        the digest of each part as it was finished (`digests`)
      begun/part-00000001.parquet   what a run that stopped had done of the next (`begun`)
      logs/                         what federates wrote that ran as processes of their own

Part ``k`` holds realizations ``k · 2048 …``, at every step if several are tried, one group of rows
after the other: its bounds, and every byte in it, depend on the configuration alone, not on
batches, workers or restarts. A part that is there is whole: it is renamed once it is on the disk.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
from gridproof.federation.config.foreign import FOREIGN, own_word
from gridproof.federation.files import UNFINISHED, json_text, read_json, read_text, write_whole
from gridproof.federation.records.bounded import opened, read_table, refuse_odd
from gridproof.federation.records.campaign_report import FirstCause
from gridproof.federation.records.digests import note_part, refuse_changed
from gridproof.federation.records.footers import torn
from gridproof.federation.records.lock import LOCK_NAME
from gridproof.federation.records.parts import (
    CHUNK_ROWS,
    FORMAT,
    STAMP_KEY,
    batches,
    causes_in_stamp,
    chunk_range,
    encode_part,
)
from gridproof.federation.records.refusals import check_part, refuse_other
from gridproof.federation.records.rows import joint_outcome, outcome_codes, with_kinds
from gridproof.scenarios.arrays import IntArray
from gridproof.scenarios.errors import StoreError

ANSWERED = "answered.json"
"""Where a campaign directory keeps what the planner that answers it said of itself."""
LOGS = "logs"
"""Folder of what federates wrote that ran as processes of their own."""

__all__ = ["ANSWERED", "CHUNK_ROWS", "FORMAT", "LOGS", "CampaignStore", "step_root"]

_PART = re.compile(r"part-(\d{8})\.parquet")


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignStore:
    """A campaign directory; `create` to write into it, `open` to read it.

    Attributes
    ----------
    root
        The directory.
    study
        ``study.json``: ``name``, ``fingerprint`` and the resolved ``config``.
    only
        The one step that is looked at, of a campaign that tries several; None for all.
    """

    root: Path
    study: Mapping[str, Any]
    only: int | None = None

    @classmethod
    def create(cls, root: Path, study_text: str, environment: Mapping[str, Any]) -> CampaignStore:
        """Start a campaign in ``root``, or take up the one of the same fingerprint there.

        Parameters
        ----------
        root
            An empty or missing directory, or a campaign's.
        study_text
            ``study.json`` as `federation.studies.study.write_resolved` writes it.
        environment
            Needs ``versions``; parts made with other versions are never mixed.

        Raises
        ------
        StoreError
            If the directory holds something else, or a campaign of another fingerprint or
            made with other versions, or cannot be written.
        """
        study = json.loads(study_text)
        if (root / "study.json").exists():
            store = cls.open(root)
            refuse_other(store, study, environment)
            store._drop_unfinished()
            store._make_folder()
            return store
        try:
            begun = ("parts", "environment.json", LOCK_NAME)  # all a start that was killed leaves
            if root.exists() and any(
                path.name not in begun and not UNFINISHED.fullmatch(path.name)
                for path in root.iterdir()
            ):
                raise StoreError(
                    f"{root} exists and is not a campaign directory (no study.json); "
                    "give another --out or empty it"
                )
        except OSError as error:
            raise StoreError(
                f"{root} cannot hold a campaign ({error}); give another --out"
            ) from error
        store = cls(root=root, study=study)
        store._make_folder()
        write_whole(root / "environment.json", json_text(environment))
        write_whole(root / "study.json", study_text)  # last: its presence makes a campaign
        return store

    @classmethod
    def open(cls, root: Path) -> CampaignStore:
        """Open a campaign directory for reading.

        Raises
        ------
        StoreError
            If it is not one, or its ``study.json`` cannot be understood.
        """
        path = root / "study.json"
        if not path.is_file():
            raise StoreError(
                f"{root} is not a campaign directory: it holds no study.json; give the directory "
                "that --out named"
            )
        study = read_json(path)
        try:
            whole = (
                study["fingerprint"] and 0 < int(study["config"]["campaign"]["samples"]) <= 10**9
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise StoreError(f"{path} lacks {error}; restore it, or delete {root}") from error
        if not whole:
            raise StoreError(f"{path} asks for none or too many; restore it, or delete {root}")
        return cls(root=root, study=study)

    # ------------------------------------------------------------------------- documents

    @property
    def samples(self) -> int:
        """Realizations the whole campaign holds."""
        return int(self.study["config"]["campaign"]["samples"])

    @property
    def step(self) -> int:
        """The step of the plan that the campaign tries, or that is looked at."""
        if self.only is not None:
            return self.only
        return int(self.study["config"]["campaign"].get("step") or 0)

    @property
    def recourse(self) -> str:
        """Who moves after the load is known: a policy of our planner's, or ``foreign``."""
        word = self.answered_word
        if "answers" in self.study or (word is not None and word != own_word(self.study)):
            return FOREIGN
        return str(self.study["config"]["campaign"]["recourse"])

    @property
    def answered_word(self) -> str | None:
        """What the planner that answers said of itself; None where nothing is kept."""
        if not (self.root / ANSWERED).is_file():
            return None
        word = read_json(self.root / ANSWERED).get("word")
        if not isinstance(word, str):
            raise StoreError(f"{self.root / ANSWERED} lacks a word; restore it, or delete it")
        return word

    @property
    def steps(self) -> tuple[str, ...]:
        """Names of the steps, where several are tried; empty where one is, or is looked at."""
        return () if self.only is not None else tuple(self.study.get("steps", ()))

    @property
    def tried(self) -> tuple[int, ...]:
        """Steps that every part holds, in order; one of a time before has a directory a step."""
        return tuple(self.study.get("rows_by_step", ())) or (self.step,)

    @property
    def stepped(self) -> bool:
        """Whether parts hold several steps."""
        return len(self.tried) > 1

    def of_step(self, step: int) -> CampaignStore | None:
        """Look at one of several steps alone; None if it was not begun.

        A view on the same directory, or, of a time before, the step's own directory.
        """
        if self.stepped:
            return replace(self, only=step) if step in self.tried else None
        root = step_root(self.root, step)
        return CampaignStore.open(root) if (root / "study.json").is_file() else None

    @property
    def environment(self) -> dict[str, Any]:
        """``environment.json``.

        Raises
        ------
        StoreError
            If it is torn, or not what a campaign writes; parts do not depend on it.
        """
        path = self.root / "environment.json"
        remedy = (
            f"restore it, or make the campaign anew in another --out; {self.root}/parts is whole"
        )
        record = read_json(path, remedy)
        runs, made = record.get("runs", []), record.get("versions", {})
        sound = isinstance(runs, list) and all(
            isinstance(run, dict)
            and all(isinstance(run.get(key), int | float) for key in ("seconds", "realizations"))
            for run in runs
        )
        if not sound or not isinstance(made, dict):
            raise StoreError(f"{path} is not the record of a campaign's runs; {remedy}")
        return record

    def read(self, name: str) -> str | None:
        """Text of a document of the campaign, None if it is not there yet."""
        path = self.root / name
        try:
            return read_text(path) if path.exists() else None
        except (OSError, UnicodeDecodeError) as error:
            raise StoreError(f"{path} cannot be read: {error}") from error

    def write(self, name: str, text: str) -> None:
        """Write a document of the campaign, whole or not at all."""
        write_whole(self.root / name, text)

    def record_run(self, run: Mapping[str, Any]) -> None:
        """Append one run (mode, times, realizations done) to ``environment.json``."""
        environment = self.environment
        environment["runs"] = [*environment.get("runs", []), dict(run)]
        write_whole(self.root / "environment.json", json_text(environment))

    # ----------------------------------------------------------------------------- parts

    def chunk_range(self, chunk: int) -> tuple[int, int]:
        """First realization and count of a chunk."""
        return chunk_range(chunk, self.samples)

    def part_path(self, chunk: int) -> Path:
        """File of a chunk."""
        return self.root / "parts" / f"part-{chunk:08d}.parquet"

    def rows_path(self, chunk: int) -> Path:
        """File that holds a chunk's rows: its part, or what was kept of it so far."""
        path = self.part_path(chunk)
        begun = self.root / "begun" / path.name
        return begun if not path.exists() and begun.exists() else path

    def write_part(self, chunk: int, table: pa.Table, plan_digest: str) -> None:
        """Write one chunk; when this returns, it is on the disk under its own name.

        Raises
        ------
        StoreError
            If the rows are not the chunk's, or the disk refuses; finished parts stay whole.
        """
        data = encode_part(
            chunk,
            (table,),
            samples=self.samples,
            fingerprint=str(self.study["fingerprint"]),
            plan_digest=plan_digest,
        )
        self.keep_part(chunk, data)

    def keep_part(self, chunk: int, data: bytes) -> None:
        """Write a part that is encoded already; raises `StoreError` as `write_part` does."""
        note_part(self.part_path(chunk), data)  # first: a part that is there has its digest
        write_whole(self.part_path(chunk), data)

    def finished(
        self, plan_digest: str | None = None, *, besides: Collection[int] = ()
    ) -> tuple[int, ...]:
        """Chunks whose parts are whole and as they were finished, in order.

        Those ``besides`` which one asks are left out, and not read again.

        Raises
        ------
        StoreError
            For a torn, foreign or changed file, or one of another fingerprint or plan; names it
            and says what to do.
        """
        folder = self.root / "parts"
        chunks = []
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if UNFINISHED.fullmatch(path.name):
                continue  # of a writer at work, or one that was killed
            match = _PART.fullmatch(path.name)
            if match is None:
                raise StoreError(f"{path} does not belong to a campaign; move it elsewhere")
            chunk = int(match[1])
            if chunk in besides:
                continue
            check_part(self, path, chunk, plan_digest)
            chunks.append(chunk)
        refuse_changed(self.root, map(self.part_path, chunks))
        return tuple(chunks)

    def missing_ranges(self, batch: int, finished: Sequence[int]) -> tuple[tuple[int, int], ...]:
        """Batches ``(first, count)`` still to do; none crosses the bounds of a chunk."""
        return tuple(
            one for chunk in self.missing(finished) for one in batches(chunk, self.samples, batch)
        )

    def missing(self, finished: Sequence[int]) -> tuple[int, ...]:
        """Chunks still to do, in order."""
        done = set(finished)
        return tuple(k for k in range(-(-self.samples // CHUNK_ROWS)) if k not in done)

    def tables(self, columns: Sequence[str] | None, chunks: Sequence[int]) -> Iterator[pa.Table]:
        """Yield the chunks' rows one chunk at a time; never holds more than one.

        Of a chunk that was begun and is not whole the rows that are kept. Without ``columns``
        all of them.

        Raises
        ------
        StoreError
            If a part cannot be read through.
        """
        for chunk in chunks:
            path = self.rows_path(chunk)
            try:
                group = None if self.only is None else self.tried.index(self.only)
                found = read_table(path, columns, group)
                refuse_odd(found, () if columns is None else columns)
                yield found if columns is None else with_kinds(found, list(columns))
            except (pa.ArrowException, OSError) as error:
                raise StoreError(torn(path, error)) from error

    def outcomes(self, chunks: Sequence[int]) -> Iterator[IntArray]:
        """Yield (realization,) codes of each chunk: over all steps where parts hold several.

        Raises
        ------
        StoreError
            If a part cannot be read through.
        """
        for table in self.tables(["outcome"], chunks):
            codes = outcome_codes(table.column("outcome"))
            steps = len(self.tried) if self.only is None else 1
            yield joint_outcome(codes.reshape(steps, -1))

    def first_cause(self, chunks: Sequence[int]) -> FirstCause | None:
        """Return the first realization that erred and why, where a part says so.

        Of a campaign of several steps the first at the step that is looked at, or at any of them.
        """
        for chunk in sorted(chunks):
            try:
                with opened(self.rows_path(chunk)) as file:
                    stamp = json.loads((file.schema_arrow.metadata or {})[STAMP_KEY.encode()])
            except (pa.ArrowException, OSError) as error:
                raise StoreError(torn(self.rows_path(chunk), error)) from error
            causes = causes_in_stamp(stamp, self.tried)
            here = [causes[step] for step in causes if self.only in (None, step)]
            if here:
                index, said = min(here)
                return FirstCause(first=index, said=said)
        return None

    def _make_folder(self) -> None:
        folder = self.root / "parts"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"{self.root} cannot hold a campaign ({error}); give another --out"
            ) from error

    def _drop_unfinished(self) -> None:
        folders = [path for path in self.root.iterdir() if path.is_dir()]
        for folder in (self.root, *folders):
            for path in folder.glob(".*.tmp"):
                if UNFINISHED.fullmatch(path.name):
                    path.unlink(missing_ok=True)


def step_root(root: Path, step: int) -> Path:
    """Return the directory that one of several steps has a campaign in, or its page."""
    return root / f"step-{step}"
