"""From a study's ``[campaign]`` section to its sampler, with every fault of both told."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from gridproof.federation.config.campaign import DESIGNS, CampaignConfig
from gridproof.federation.config.study import StudyConfig
from gridproof.federation.config.study_file import Origin, did_you_mean
from gridproof.federation.families.policy_mode_study import event_sampler
from gridproof.federation.files import table_text
from gridproof.federation.studies.outside_loads import OUTSIDE, OutsideLoads
from gridproof.scenarios.arrays import BoolArray, FloatArray
from gridproof.scenarios.budget_sampling import Budgeted
from gridproof.scenarios.errors import ConfigError
from gridproof.scenarios.sampling import (
    Empirical,
    LatinHypercube,
    Sampler,
    Sobol,
    TruncatedNormal,
    Uniform,
    Vertices,
)
from gridproof.scenarios.scenario import Scenario

__all__ = ["history_path", "make_sampler", "sampler_of", "sampling_faults"]


_OWNERS: Mapping[str, str] = {
    "std_share": "truncated_normal",
    "correlation": "truncated_normal",
    "correlation_matrix": "truncated_normal",
    "history": "empirical",
}
_TOO_MANY = 8
"""Faults of a history that are listed one by one."""

_MOST_STRATA = 1 << 25  # 256 MiB of permutations
_OUTSIDE = 1e-9  # a kW value printed with a few digits may pass the set's edge by its rounding


def sampling_faults(config: CampaignConfig, origin: Origin) -> list[str]:
    """Find options that belong to another sampler, or that a sampler lacks."""
    faults = []
    for key, owner in _OWNERS.items():
        value = getattr(config, key)
        if value is not None and config.sampler != owner:
            wrong = f'is an option of sampler "{owner}", not of "{config.sampler}"'
            faults.append(
                origin.fault(("campaign", key), value, wrong, f'leave it out or choose "{owner}"')
            )
    place = origin.place(("campaign", "sampler"))
    if config.sampler == "truncated_normal" and config.std_share is None:
        faults.append(
            f'{place} = "truncated_normal" needs std_share; 0.5 puts the set\'s edges at two '
            "standard deviations"
        )
    if config.sampler == "empirical" and config.history is None:
        faults.append(f'{place} = "empirical" needs history; name a CSV file of past loads')
    if config.sampler == "sobol" and config.samples > 2**30:
        faults.append(f'{place} = "sobol" has 2^30 points; ask for fewer samples')
    if config.correlation is not None and config.correlation_matrix is not None:
        faults.append(
            f"{origin.place(('campaign', 'correlation'))} and correlation_matrix are both given; "
            "keep one of the two"
        )
    if config.stop is not None and config.sampler in DESIGNS:
        faults.append(
            f"{origin.place(('campaign', 'stop'))} needs independent draws, which sampler "
            f'"{config.sampler}" does not make; leave stop out, or choose "uniform"'
        )
    return faults


def history_path(config: CampaignConfig, folder: Path) -> Path | None:
    """Where the history lies; relative to the study's folder."""
    return None if config.history is None else folder / config.history


def sampler_of(config: StudyConfig, scenario: Scenario, folder: Path, origin: Origin) -> Sampler:
    """Build the sampler of a study: of its events, or of what its loads may be."""
    if config.campaign.sampler == "events" and not scenario.disturbances.empty:
        seed = config.campaign.seed
        return event_sampler(config.events, config.ders, scenario, seed, folder)
    if config.campaign.sampler == "budgeted":
        return _budgeted(config.campaign, scenario, origin)
    return make_sampler(config.campaign, scenario, folder, origin)


def _budgeted(config: CampaignConfig, scenario: Scenario, origin: Origin) -> Budgeted:
    if scenario.supply is None or config.per_phase:
        wrong = "draws whole loads of a study that states a budget of hours"
        remedy = "leave per_phase out" if config.per_phase else 'choose "uniform"'
        raise ConfigError(origin.fault(("campaign", "sampler"), "budgeted", wrong, remedy))
    return Budgeted(
        seed=config.seed,
        width=len(scenario.direction_ids),
        steps=len(scenario.hours),
        gamma=float(scenario.supply.load_gamma),
    )


def make_sampler(
    config: CampaignConfig, scenario: Scenario, folder: Path, origin: Origin
) -> Sampler:
    """Build the sampler of a study.

    Parameters
    ----------
    config
        The section, without faults of its own.
    scenario
        Its directions are what the sampler moves.
    folder
        Where the study lies.
    origin
        Names places in messages.

    Raises
    ------
    ConfigError
        With every fault of the correlation matrix, or of the history by row and column.
    """
    width = len(scenario.direction_ids)
    if config.sampler == "latin_hypercube" and config.samples * width > _MOST_STRATA:
        raise ConfigError(
            f"{origin.fault(('campaign', 'samples'), config.samples, 'is too long a design')}: "
            f"latin_hypercube keeps {width} permutations of it in memory; ask for at most "
            f"{_MOST_STRATA // width}, or choose sobol"
        )
    makers: Mapping[str, Callable[[], Sampler]] = {
        "uniform": lambda: Uniform(seed=config.seed, width=width),
        "vertices": lambda: Vertices(
            seed=config.seed, samples=config.samples, moving=scenario.direction_spread > 0.0
        ),
        "latin_hypercube": lambda: LatinHypercube(
            seed=config.seed, width=width, samples=config.samples
        ),
        "sobol": lambda: Sobol(seed=config.seed, width=width, samples=config.samples),
        "truncated_normal": lambda: _truncated_normal(config, scenario, origin),
        "empirical": lambda: _empirical(config, scenario, folder, origin),
        OUTSIDE: lambda: OutsideLoads(scenario=scenario, clip=config.history_outside == "clip"),
    }
    return makers[config.sampler]()


def _truncated_normal(
    config: CampaignConfig, scenario: Scenario, origin: Origin
) -> TruncatedNormal:
    names = scenario.direction_ids
    key = "correlation" if config.correlation_matrix is None else "correlation_matrix"
    if config.correlation_matrix is None:
        correlation = np.full((len(names), len(names)), config.correlation or 0.0)
        np.fill_diagonal(correlation, 1.0)
    else:
        rows = config.correlation_matrix
        if len(rows) != len(names) or any(len(row) != len(names) for row in rows):
            found = f"has {len(rows)} rows of {sorted({len(row) for row in rows})} numbers"
            raise ConfigError(
                f"{origin.place(('campaign', key))} {found}; it needs {len(names)} rows of "
                f"{len(names)}, for {', '.join(names)}"
            )
        correlation = np.array(rows, float).reshape(len(names), len(names))
    try:
        return TruncatedNormal(
            seed=config.seed, std_share=config.std_share or 0.0, correlation=correlation
        )
    except ValueError as error:
        remedy = f"with {len(names)} directions it must lie above {-1.0 / max(1, len(names) - 1):g}"
        raise ConfigError(
            f"{origin.place(('campaign', key))} is no correlation matrix: {error}; "
            + (remedy if key == "correlation" else "mend the matrix")
        ) from error


def _empirical(
    config: CampaignConfig, scenario: Scenario, folder: Path, origin: Origin
) -> Empirical:
    path = history_path(config, folder)
    assert path is not None  # sampling_faults has seen to it
    place = origin.fault(("campaign", "history"), config.history, "").rstrip()
    try:
        lines = list(csv.reader(table_text(path)))
    except (OSError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{place}: {path} cannot be read: {reason}; name a CSV file") from error
    history = _History(str(path), lines, scenario)
    table = history.read(config.history_unit)
    spread = scenario.direction_spread
    low, high = scenario.direction_range
    with np.errstate(divide="ignore", invalid="ignore"):
        zeta = np.where(spread > 0.0, (table - 1.0) / spread, 0.0)
    moved = (spread == 0.0) & (np.abs(table - 1.0) > _OUTSIDE)
    outside = (zeta > high + _OUTSIDE) | (zeta < low - _OUTSIDE) | moved
    if config.history_outside == "refuse" and outside.any():
        raise ConfigError(_outside_faults(history, scenario, table, outside))
    unit = (zeta - (low + high) / 2.0) / ((high - low) / 2.0)
    return Empirical(seed=config.seed, history=np.clip(unit, -1.0, 1.0))


class _History:
    """A CSV of past loads, held against the directions of a scenario."""

    def __init__(self, name: str, lines: list[list[str]], scenario: Scenario) -> None:
        self.name, self._scenario = name, scenario
        self._header = [cell.strip().lower() for cell in lines[0]] if lines else []
        self._lines = [(k, line) for k, line in enumerate(lines[1:], start=2) if any(line)]

    @property
    def rows(self) -> list[int]:
        """The file's own number of each row of loads, from 1 at its header."""
        return [row for row, _ in self._lines]

    def read(self, unit: str) -> FloatArray:
        """(row, direction) multiples of nominal load; raises ConfigError with every fault."""
        directions, faults = self._scenario.direction_ids, self._header_faults()
        nominal = self._nominal_kw()
        if unit == "kw":
            faults += [
                f"{self.name}: {name} has a nominal load of 0 kW, so kW say nothing of it; use "
                'history_unit = "multiplier"'
                for name, kw in zip(directions, nominal, strict=True)
                if kw <= 0.0
            ]
        if faults:
            raise ConfigError(faults)
        columns = [self._header.index(name) for name in directions]
        values = np.array(
            [[self._number(line, k, faults, row) for k in columns] for row, line in self._lines]
        ).reshape(len(self._lines), len(columns))
        if faults:
            more = len(faults) - _TOO_MANY
            shown = faults[:_TOO_MANY]
            raise ConfigError(
                shown + ([f"{self.name}: {more} more of the kind"] if more > 0 else [])
            )
        return values / nominal if unit == "kw" else values

    def _header_faults(self) -> list[str]:
        if not self._lines:
            return [f"{self.name}: holds no row of loads; it needs a header and a row per moment"]
        faults = [
            f"{self.name}: column {name} is missing; {did_you_mean(name, self._header, 'columns')}"
            for name in self._scenario.direction_ids
            if name not in self._header
        ]
        faults += [
            f"{self.name}: column {name} is there {self._header.count(name)} times; keep one"
            for name in self._scenario.direction_ids
            if self._header.count(name) > 1
        ]
        return faults

    def _nominal_kw(self) -> FloatArray:
        """(direction,) nominal demand of a load, all its slots, or of one slot."""
        scenario, p = self._scenario, self._scenario.load_p_kw[0]
        if scenario.draws_per_phase:
            slots = scenario.uncertain_slots
            return np.asarray(p[slots[:, 0], slots[:, 1]])
        total = dict(zip(scenario.feeder.loads.ids, p.sum(axis=1).tolist(), strict=True))
        return np.array([total[name] for name in scenario.direction_ids])

    def _number(self, line: list[str], column: int, faults: list[str], row: int) -> float:
        text = line[column].strip() if column < len(line) else ""
        where = f"{self.name}: row {row}, column {self._header[column]}"
        try:
            value = float(text)
        except ValueError:
            faults.append(f'{where}: "{text}" is not a number; every row needs every load')
            return math.nan
        if not math.isfinite(value) or value < 0.0:
            faults.append(f"{where}: {text} must be a finite number of at least 0")
        return value


def _declared(scenario: Scenario, k: int) -> str:
    """Say between what multiples of nominal a direction moves."""
    spread, (low, high) = scenario.direction_spread[k], scenario.direction_range
    if (low[k], high[k]) == (-1.0, 1.0):
        return f"1 ± {spread:g}"
    return f"{1.0 + low[k] * spread:g} to {1.0 + high[k] * spread:g}"


def _outside_faults(
    history: _History, scenario: Scenario, table: FloatArray, outside: BoolArray
) -> list[str]:
    """One sentence for each direction that leaves the set: how often, and the worst row."""
    faults = []
    for k in np.flatnonzero(outside.any(axis=0)):
        worst = int(np.abs(table[:, k] - 1.0).argmax())
        faults.append(
            f"{history.name}: column {scenario.direction_ids[k]} leaves the declared set, "
            f"{_declared(scenario, int(k))}, in {int(outside[:, k].sum())} of {len(table)} "
            f"rows; the worst is row {history.rows[worst]} at {table[worst, k]:g} times nominal; "
            'widen [uncertainty] spread, or set history_outside = "clip"'
        )
    return faults
