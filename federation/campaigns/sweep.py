"""One study at several values of a key: a table, a figure, and a campaign for each point.

Points share a plan where they ask for the same one, and draws: point to point only the swept
key differs. Late set-points tie each realization to those before it, so intervals are widened
by the autocorrelation that the verdicts show.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.campaigns.steps import step_stores
from gridproof.federation.config.study_file import dotted, split_entry
from gridproof.federation.files import folder_name, json_text, write_whole
from gridproof.federation.jsonable import IF_KNOWN, Jsonable
from gridproof.federation.records.intervals import Intervals, feasible_of_judged, outcomes_in_order
from gridproof.federation.records.losses import served_share
from gridproof.federation.records.measures import MEASURES, measured_chunks, planned_cost
from gridproof.federation.records.stopping import counted_chunks
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.statistics.means import Moments
from gridproof.federation.studies.study import Study, load_study
from gridproof.federation.wording import title_as_run
from gridproof.scenarios.arrays import content_digest
from gridproof.scenarios.errors import ConfigError
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.verdict import Outcome

__all__ = [
    "NOT_COVERED",
    "Axis",
    "Point",
    "Sweep",
    "SweepReport",
    "run_sweep",
    "spoken_intervals",
    "spoken_tried",
]

NOT_COVERED = (
    "each interval is of its own point; at so many points together some may miss more often",
    "all points draw the same realizations, so two points are closer than their intervals look: "
    "gridproof compare tells them apart pair by pair",
    "each plan is as its search found it: nothing here covers a plan searched for anew",
)
"""What the intervals of a sweep do not say."""


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
class Point(Jsonable):
    """One campaign of a sweep.

    Attributes
    ----------
    settings
        What distinguishes it, ``{key: value}`` as written.
    campaign
        Its directory's name.
    tried
        Realizations; fewer than asked for where a rule ended it.
    counts
        Realizations by outcome.
    share, low, high
        Feasible share of those judged, None without any, and its interval.
    served
        Share of the load that the plan serves, as drawn; None where no realization is feasible.
    served_kw, unserved_kwh, redispatch_usd
        Means of `federation.records.measures.MEASURES`: a realization that fails counts as dark.
    planned_cost
        What the plan says that it costs, without re-dispatch.
    interval_kind, confidence
        What that interval is (`federation.records.intervals`), and how sure.
    widening
        Realizations for one independent one, by the verdicts' autocorrelation; 1 if none.
    age_s
        Mean age of the set-points in force, None where nothing is late.
    """

    settings: Mapping[str, str]
    campaign: str
    tried: int
    counts: Mapping[str, int]
    share: float | None
    served: float | None
    served_kw: float | None
    unserved_kwh: float | None
    redispatch_usd: float | None
    planned_cost: float | None
    low: float
    high: float
    interval_kind: str
    confidence: float
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

    def report(self) -> SweepReport:
        """Return what is printed and kept as JSON."""
        return SweepReport(
            study=self.study,
            samples=self.samples,
            confidence=self.confidence,
            not_covered=NOT_COVERED,
            over=self.over.key,
            by=None if self.by is None else self.by.key,
            points=self.points,
            reference=self.reference,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepReport(Jsonable):
    """What is told of a sweep.

    Attributes
    ----------
    study, samples, confidence
        What all points share.
    not_covered
        What their intervals do not say.
    over, by
        The keys that are swept.
    points, reference
        Its campaigns, and the one that they are compared with.
    figures
        Files drawn of it; left out where none were.
    """

    study: str
    samples: int
    confidence: float
    not_covered: tuple[str, ...]
    over: str
    by: str | None
    points: tuple[Point, ...]
    reference: Point | None
    figures: tuple[str, ...] | None = field(default=None, metadata=IF_KNOWN)


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
        title=title_as_run(
            first.config.study.title or first.name,
            [*overrides, *(f"{one.key} as swept" for one in (over, by) if one is not None)],
        ),
        samples=first.config.campaign.samples,
        confidence=first.config.campaign.confidence,
        over=over,
        by=by,
        points=tuple(points if reference is None else points[:-1]),
        reference=None if reference is None else points[-1],
    )
    write_whole(out / "sweep.json", json_text(sweep.report().to_json()))
    return sweep


def spoken_intervals(sweep: Sweep) -> str:
    """Name the intervals of a sweep: ``95 % exact``; every kind there is where points differ."""
    points = (*sweep.points, *([sweep.reference] if sweep.reference else []))
    found = dict.fromkeys(f"{100.0 * p.confidence:g} % {p.interval_kind}" for p in points)
    return " or ".join(found)


def spoken_tried(sweep: Sweep) -> str:
    """Say how many realizations a point has, as tried: ``2048``, or ``2048 to 20480``."""
    tried = [p.tried for p in (*sweep.points, *([sweep.reference] if sweep.reference else []))]
    return str(min(tried)) if min(tried) == max(tried) else f"{min(tried)} to {max(tried)}"


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
    chunks, _ = counted_chunks(result.store)
    order = outcomes_in_order(result.store, chunks)
    feasible = feasible_of_judged(order)
    intervals = Intervals.of(result.store.study["config"]).seen(feasible)
    low, high = intervals.share(int(feasible.sum()), len(feasible))
    kinds, numbers = np.unique(order, return_counts=True)
    return Point(
        settings=settings,
        campaign=name,
        tried=len(order),
        counts={Outcome(k).name.lower(): int(n) for k, n in zip(kinds, numbers, strict=True)},
        share=float(feasible.mean()) if len(feasible) else None,
        served=served_share([result.store], chunks),
        **_worth(result.store, chunks),
        low=low,
        high=high,
        interval_kind=intervals.kind,
        confidence=intervals.confidence,
        widening=intervals.widening,
        age_s=_mean_age_s(result.store, chunks) if config.faults.declared else None,
    )


def _worth(store: CampaignStore, chunks: Sequence[int]) -> dict[str, float | None]:
    """Means of what is measured beside the share, and the planned cost, by their fields."""
    moments = [Moments() for _ in MEASURES]
    for values, sound in measured_chunks(step_stores(store) if store.steps else [store], chunks):
        for one, column in zip(moments, values[sound].T, strict=True):
            one.add(column[np.isfinite(column)])
    cost = planned_cost(store)
    found = {
        measure.key: one.mean if one.count else None
        for measure, one in zip(MEASURES, moments, strict=True)
    }
    del found["feasible"]  # told with its interval
    return {**found, "planned_cost": None if cost is None else cost.value}


def _mean_age_s(store: CampaignStore, chunks: Sequence[int]) -> float:
    ages = [table.column("age_s").to_numpy() for table in store.tables(["age_s"], chunks)]
    return float(np.concatenate(ages).mean())
