"""What failed in a campaign: which limit, where, how often and how deep."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.studies.planner_margins import ELEMENT_OF
from gridproof.scenarios.arrays import FloatArray
from gridproof.scenarios.limits import Limits
from gridproof.scenarios.verdict import MarginKind

__all__ = ["CounterExamples", "Place", "counter_examples"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """An element that was the worst of its kind of limit in failing realizations.

    Attributes
    ----------
    kind, element
        The limit and where.
    count
        Failing realizations in which it was outside and the worst of its kind.
    worst
        Its least margin, pu or share of rating; negative.
    index
        The realization of that.
    """

    kind: str
    element: str
    count: int
    worst: float
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CounterExamples:
    """Every realization of a campaign that was not feasible.

    Attributes
    ----------
    samples, feasible
        All realizations, and those inside every limit.
    outcomes
        Count of every other outcome that occurred, by name.
    depths_pu
        Deepest violation of each solved failing realization, as the ``ac_margin`` that keeps
        as much clear, pu, deepest first.
    depths_at
        The same by element, ``(kind, id)`` as the planner's ``ac_margin_at`` has them: how deep
        each was outside wherever it was the worst of its kind of limit, deepest first.
    without_depth
        Failing realizations that were not solved.
    places
        Where, most frequent first.
    """

    samples: int
    feasible: int
    outcomes: dict[str, int]
    depths_pu: tuple[float, ...]
    depths_at: dict[tuple[str, str], tuple[float, ...]]
    without_depth: int
    places: tuple[Place, ...]

    @classmethod
    def none(cls) -> CounterExamples:
        """Return those of a plan that was not tried."""
        return cls(
            samples=0,
            feasible=0,
            outcomes={},
            depths_pu=(),
            depths_at={},
            without_depth=0,
            places=(),
        )


def counter_examples(store: CampaignStore, limits: Limits) -> CounterExamples:
    """Read a campaign's failing realizations.

    A voltage margin is a depth in pu as it stands; a margin that is a share of rating is
    brought to pu by the width of the band, as the planner's ``ac_margin`` brings pu to shares.

    Parameters
    ----------
    store
        The campaign; read part by part.
    limits
        Supplies the band and the tolerance.

    Raises
    ------
    StoreError
        If a part cannot be read.
    """
    band = limits.v_max_pu - limits.v_min_pu
    names = [f"{stem}_{kind.value}" for kind in MarginKind for stem in ("margin", "element")]
    outcomes: Counter[str] = Counter()
    count: Counter[tuple[str, str]] = Counter()
    least: dict[tuple[str, str], tuple[float, int]] = {}
    depths: list[float] = []
    depths_at: dict[tuple[str, str], list[float]] = {}
    without = 0
    for table in store.tables(["index", "outcome", *names], store.finished()):
        outcomes.update(table.column("outcome").to_pylist())
        failed = np.array(table.column("outcome").to_pylist()) != "feasible"
        index = table.column("index").to_numpy()
        deepest = np.full(len(failed), np.nan)
        for kind in MarginKind:
            margin = table.column(f"margin_{kind.value}").to_numpy()
            scale = 1.0 if kind is MarginKind.VOLTAGE else band
            deepest = np.fmax(deepest, -scale * margin)
            outside = np.flatnonzero(failed & (margin < -limits.tolerance))
            element = table.column(f"element_{kind.value}").to_pylist()
            for row in outside.tolist():
                place, value = (kind.value, str(element[row])), float(margin[row])
                count[place] += 1
                at = depths_at.setdefault((ELEMENT_OF[kind], place[1]), [])
                at.append(-scale * value)
                if place not in least or value < least[place][0]:
                    least[place] = (value, int(index[row]))
        known = failed & (deepest > 0.0)
        depths += deepest[known].tolist()
        without += int((failed & ~known).sum())
    ordered: FloatArray = -np.sort(-np.array(depths, float))
    feasible = outcomes.pop("feasible", 0)
    return CounterExamples(
        samples=feasible + sum(outcomes.values()),
        feasible=feasible,
        outcomes=dict(sorted(outcomes.items())),
        depths_pu=tuple(ordered.tolist()),
        depths_at={at: tuple(sorted(own, reverse=True)) for at, own in sorted(depths_at.items())},
        without_depth=without,
        places=tuple(
            Place(
                kind=key[0], element=key[1], count=number, worst=least[key][0], index=least[key][1]
            )
            for key, number in sorted(count.items(), key=lambda item: (-item[1], item[0]))
        ),
    )
