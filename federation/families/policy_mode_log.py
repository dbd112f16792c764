"""The log of disturbances that a planner learns from: read, or drawn."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from gridproof.federation.config.events import EventsConfig
from gridproof.federation.config.study_file import did_you_mean
from gridproof.federation.files import table_text
from gridproof.optimizer.policy_mode.events import Event, draw, width
from gridproof.scenarios.arrays import FloatArray
from gridproof.scenarios.errors import ConfigError
from gridproof.scenarios.realization import uniforms

__all__ = ["log_of"]

_LOG = 16
"""Stream of the counter-based generator."""


def log_of(
    config: EventsConfig, events: Sequence[Event], ids: tuple[str, ...], folder: Path | None
) -> FloatArray:
    """(sample, component) kW that were seen: a table's, or drawn from the sampled distribution.

    Raises
    ------
    ConfigError
        If the table cannot be read, lacks a component, or a cell is no number: row and column.
    """
    if config.log is None:
        numbers = uniforms(config.log_seed, 0, config.log_samples, width(events), _LOG)
        return draw(events, numbers)
    path = Path(config.log) if folder is None else folder / config.log
    return _read_log(path, ids)


def _read_log(path: Path, ids: tuple[str, ...]) -> FloatArray:
    """(sample, component) of a CSV with the components in its header; others are not read."""
    try:
        with table_text(path) as file:
            header, *lines = [row for row in csv.reader(file) if any(row)] or [[]]
    except (OSError, csv.Error, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"[events] log: {path} cannot be read: {reason}; name a CSV") from error
    missing = [name for name in ids if name not in header]
    if missing:
        raise ConfigError(
            [
                f"{path}: column {k} is missing; {did_you_mean(k, header, 'columns')}"
                for k in missing
            ]
        )
    if len(lines) < 2:
        raise ConfigError(f"{path}: {len(lines)} rows of disturbances; at least 2 are needed")
    columns, faults = [header.index(name) for name in ids], list[str]()
    table = np.zeros((len(lines), len(ids)))
    for i, line in enumerate(lines):
        for j, k in enumerate(columns):
            text = line[k].strip() if k < len(line) else ""
            try:
                table[i, j] = float(text)
            except ValueError:
                table[i, j] = np.nan
            if not np.isfinite(table[i, j]):
                faults.append(
                    f'{path}: row {i + 2}, column {ids[j]}: "{text}" is not a finite number of kW'
                )
    if faults:
        raise ConfigError(faults[:12])
    return table
