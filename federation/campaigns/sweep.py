"""One study at several values of a key: a table, a figure, and a campaign for each point.

Points share a plan where they ask for the same one, and draws: point to point only the swept
key differs. Late set-points tie each realization to those before it, so intervals are widened
by the autocorrelation that the verdicts show.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from federation.campaigns.campaign import run_campaign
from federation.files import folder_name, json_text, write_whole
from federation.records.losses import UnservedEnergy, served_share
from federation.records.store import CampaignStore
from federation.statistics.shares import share_of
from federation.studies.study import Study, load_study
from federation.studies.study_file import dotted, split_entry
from scenarios.arrays import BoolArray, content_digest
from scenarios.errors import ConfigError
from scenarios.plan import Plan

__all__ = ["Axis", "Point", "Sweep", "effective_trials", "run_sweep"]

_LAGS_AT_MOST = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A key and the values it takes, as written."""

    key: str
    values: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Axis:
        """Read ``section.key=v1,v2,…``.

        Raises
        ------
        ConfigError
            If it is not of that form or holds a value twice.
        """
        path, rest = split_entry(text)
        values = tuple(value.strip() for value in rest.split(","))
        if len(path) < 2 or not all(values) or len(set(values)) < len(values):
            raise ConfigError(
                f'"{text}" is not of the form section.key=v1,v2,…, each value once; '
                "write for example faults.latency_s=0,10,20"
            )
        return cls(key=dotted(path), values=values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One campaign of a sweep.

    Attributes
    ----------
    settings
        What distinguishes it, ``{key: value}`` as written.
    campaign
        Its directory's name.
    counts
        Realizations by outcome.
    share, low, high
        Feasible share of those judged, and its interval.
    served
        Share of the load that the plan serves, as drawn; None where no realization is feasible.
    widening
        Realizations for one independent one, by the verdicts' autocorrelation; 1 if none.
    age_s
        Mean age of the set-points in force, None where nothing is late.
    """

    settings: dict[str, str]
    campaign: str
    counts: dict[str, int]
    share: float
    served: float | None
    low: float
    high: float
    widening: float
    age_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """A finished sweep: points in the order of ``by``, then ``over``."""

    study: str
    title: str
    samples: int
    confidence: float
    over: Axis
    by: Axis | None
    points: tuple[Point, ...]
    reference: Point | None

    def to_dict(self) -> dict[str, Any]:
        """Return what is printed and kept as JSON."""
        return {
            "study": self.study,
            "samples": self.samples,
            "confidence": self.confidence,
            "over": self.over.key,
            "by": None if self.by is None else self.by.key,
            "points": [_as_dict(point) for point in self.points],
            "reference": None if self.reference is None else _as_dict(self.reference),
        }


def run_sweep(
    study: str,
    overrides: Sequence[str],
    out: Path,
    *,
    over: Axis,
    by: Axis | None = None,
    reference: str | None = None,
    mode: str | None = None,
    tell: Callable[[Point], None] = lambda _: None,
) -> Sweep:
    """Run a campaign at every point; those that are there already are only read.

    Parameters
    ----------
    study, overrides
        The study all points share.
    out
        One directory of campaigns, with ``sweep.json``.
    over, by
        The key on the figure's axis, and the one that tells its lines apart.
    reference
        ``section.key=value`` of one more campaign to compare with.
    mode
        As for `federation.campaigns.campaign.run_campaign`.
    tell
        Hears of each point as it is finished.

    Raises
    ------
    GridproofError
        Whatever a campaign raises; finished points stay.
    """
    lines: Sequence[tuple[str, str] | None] = (
        (None,) if by is None else tuple((by.key, value) for value in by.values)
    )
    chosen = [
        dict([(over.key, value), *([line] if line else [])])
        for line in lines
        for value in over.values
    ]
    if reference is not None:
        path, value = split_entry(reference)
        chosen.append({dotted(path): value})
    studies = [_load(study, overrides, settings) for settings in chosen]
    plans: dict[str, Plan] = {}
    points = []
    for settings, loaded in zip(chosen, studies, strict=True):
        point = _try(loaded, settings, out, plans, mode)
        tell(point)
        points.append(point)
    first = studies[0]
    sweep = Sweep(
        study=first.name,
        title=first.config.study.title,
        samples=first.config.campaign.samples,
        confidence=first.config.campaign.confidence,
        over=over,
        by=by,
        points=tuple(points if reference is None else points[:-1]),
        reference=None if reference is None else points[-1],
    )
    write_whole(out / "sweep.json", json_text(sweep.to_dict()))
    return sweep


def effective_trials(feasible: BoolArray, lags: int) -> float:
    """How many realizations are worth one independent one: ``1 + 2 Σ ρ_k``, at least 1.

    Parameters
    ----------
    feasible
        (realization,) in order.
    lags
        How far back a realization can depend on another.
    """
    x = feasible.astype(float) - feasible.mean()
    variance = float(x @ x)
    if variance == 0.0:
        return 1.0
    rho = [float(x[k:] @ x[:-k]) / variance for k in range(1, min(lags, len(x) - 1) + 1)]
    return max(1.0, 1.0 + 2.0 * sum(rho))


def _load(study: str, overrides: Sequence[str], settings: dict[str, str]) -> Study:
    return load_study(study, [*overrides, *(f"{k}={v}" for k, v in settings.items())])


def _try(
    study: Study, settings: dict[str, str], out: Path, plans: dict[str, Plan], mode: str | None
) -> Point:
    config = study.config
    same = content_digest((study.scenario.digest(), config.planner.model_dump_json()))
    name = folder_name("-".join(f"{k.split('.')[-1]}={value}" for k, value in settings.items()))
    result = run_campaign(study, out / name, mode=mode, plan=plans.get(same))
    plans[same] = result.plan
    rows = _rows(result.store, ("outcome", *(("age_s",) if config.faults.declared else ())))
    outcome = rows["outcome"]
    judged = outcome[outcome != "erred"]
    feasible = judged == "feasible"
    widening = 1.0
    if config.faults.declared:
        faults = config.faults
        reach_s = faults.latency_s + faults.jitter_s + 2.0 * faults.ride_through_s
        if faults.loss:  # so many in a row are lost once in a thousand times
            reach_s += faults.command_every_s * math.log(1e-3) / math.log(faults.loss)
        widening = effective_trials(
            feasible, min(_LAGS_AT_MOST, 1 + math.ceil(reach_s / faults.interval_s))
        )
    trials = int(len(feasible) / widening)
    count = round(feasible.mean() * trials) if len(feasible) else 0
    share = share_of(count, trials, config.campaign.confidence)
    names, numbers = np.unique(outcome, return_counts=True)
    return Point(
        settings=settings,
        campaign=name,
        counts=dict(zip(names.tolist(), numbers.tolist(), strict=True)),
        share=float(feasible.mean()) if len(feasible) else math.nan,
        served=_served(result.store),
        low=share.low,
        high=share.high,
        widening=widening,
        age_s=float(rows["age_s"].mean()) if "age_s" in rows else None,
    )


def _served(store: CampaignStore) -> float | None:
    energy = UnservedEnergy(hours=1.0)
    for table in store.tables(["outcome", "load_kw", "served_kw"], store.finished()):
        energy.add(table)
    return served_share(energy.figures())


def _rows(store: CampaignStore, columns: Sequence[str]) -> dict[str, Any]:
    tables = list(store.tables(columns, store.finished()))
    return {
        name: np.concatenate([np.array(table.column(name).to_pylist()) for table in tables])
        for name in columns
    }


def _as_dict(point: Point) -> dict[str, Any]:
    return {name: getattr(point, name) for name in Point.__dataclass_fields__}
