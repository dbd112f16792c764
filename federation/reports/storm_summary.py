"""What many storms say of a network: restored share as a distribution, with exact intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from gridproof.federation.campaigns.storms import LAST_PHASE, StormDraw, StormRun
from gridproof.federation.reports.storm_report import (
    AuditCounts,
    FailureCounts,
    LaterReport,
    QuantileReport,
    StormReport,
    StormsInAc,
    SuppliedShare,
)
from gridproof.federation.statistics.shares import quantile, quantile_interval, share_of
from gridproof.federation.tables.table import Table, share, text
from gridproof.scenarios.arrays import FloatArray
from gridproof.scenarios.restoration import PHASE_NAMES

__all__ = ["LEVELS", "restored_shares", "storm_summary", "storm_table"]

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


def restored_shares(draws: Sequence[StormDraw]) -> FloatArray:
    """(draw, time) supplied share of every draw that has a plan."""
    kept = [one.supplied_share for one in draws if one.planned]
    return np.array(kept, float).reshape(len(kept), len(PHASE_NAMES))


def storm_summary(
    run: StormRun, draws: Sequence[StormDraw], confidence: float = 0.95
) -> StormReport:
    """Figures of a run.

    Quantiles have intervals by order statistics, shares Clopper-Pearson ones; draws are
    independent, the loads of one draw share its failures, so that AC counts draws. A draw
    without a plan has no share and is counted beside. ``optimal`` counts proven plans; the
    others are as good as their ``worst_gap`` says.
    """
    planned = [one for one in draws if one.planned]
    failures = np.array([len(one.failed) for one in draws], float)
    shares, gaps = restored_shares(draws), [one.gap for one in planned if one.gap is not None]
    spread = float(failures.std(ddof=1)) if len(draws) > 1 else None
    seconds = [one.seconds for one in planned if one.seconds is not None]
    return StormReport(
        study=run.study.name,
        storm=asdict(run.storm),
        seed=run.seed,
        draws=len(draws),
        planned=len(planned),
        without_plan=len(draws) - len(planned),
        optimal=sum(one.optimal for one in planned),
        worst_gap=max(gaps, default=None),
        confidence=confidence,
        failures=FailureCounts(
            mean=float(failures.mean()),
            standard_deviation=spread,
            min=int(failures.min()),
            max=int(failures.max()),
        ),
        supplied_share={
            name: _distribution(shares[:, time], confidence)
            for time, name in enumerate(PHASE_NAMES)
        }
        if planned
        else None,
        damaged_buses_mean=_mean([one.damaged_buses for one in planned]),
        dead_safe_buses_mean=_mean([one.dead_safe_buses for one in planned]),
        audit=AuditCounts(
            faults=sum(len(one.audit_faults) for one in planned),
            draws_with_faults=tuple(one.index for one in planned if one.audit_faults),
        ),
        ac=_ac(PHASE_NAMES[LAST_PHASE], _first(planned), run.loads, confidence),
        later=_later(run, planned, confidence),
        seconds={key: float(sum(one[key] for one in seconds)) for key in ("plan", "ac")},
    )


def storm_table(found: StormReport) -> Table:
    """Load supplied phase by phase, over the storms that have a plan; from `storm_summary`."""
    columns = [text("phase"), replace(share("mean"), unit="")]
    for level, title in _QUANTILES.items():
        columns.append(replace(share(title, key=level), unit=""))
        columns.append(share("from", key=f"{level} from", joined="{}\n({}"))
        columns.append(share("to", key=f"{level} to", joined="{}\u2013{})"))
    rows = []
    shares = dict(found.supplied_share or {})
    shares |= {f"then {one.name}": one.supplied_share for one in found.later or ()}
    for name, one in shares.items():
        held = [one.quantiles[level] for level in _QUANTILES]
        rows.append((name, one.mean, *(end for at in held for end in (at.value, *at.interval))))
    return Table(
        name="supplied",
        title=f"Load supplied over {found.planned} storms, %, with "
        f"{100.0 * found.confidence:g} % intervals",
        columns=tuple(columns),
        rows=tuple(rows),
    )


_QUANTILES = {"0.05": "5 % quantile", "0.5": "median", "0.95": "95 % quantile"}


def _distribution(values: FloatArray, confidence: float) -> SuppliedShare:
    spread = float(values.std(ddof=1)) if len(values) > 1 else None
    return SuppliedShare(
        mean=float(values.mean()),
        standard_error=None if spread is None else spread / len(values) ** 0.5,
        min=float(values.min()),
        max=float(values.max()),
        quantiles={
            f"{level:g}": QuantileReport(
                value=quantile(values, level),
                interval=quantile_interval(values, level, confidence, ends=(0.0, 1.0)),
            )
            for level in LEVELS
        },
    )


def _mean(rows: Sequence[tuple[int, ...]]) -> tuple[float, ...] | None:
    return tuple(np.array(rows, float).mean(axis=0).tolist()) if rows else None


@dataclass(frozen=True, slots=True, kw_only=True)
class _InAc:
    """What one plan of one draw met in AC."""

    outcomes: Mapping[str, int]
    supplied_share: float
    v_min_pu: float | None


def _later(
    run: StormRun, planned: Sequence[StormDraw], confidence: float
) -> tuple[LaterReport, ...] | None:
    found = []
    for k, response in enumerate(run.later):
        made = [one.later[k] for one in planned if len(one.later) > k]
        if not made:
            break
        tried = [
            _InAc(outcomes=one.outcomes, supplied_share=one.supplied_share, v_min_pu=one.v_min_pu)
            for one in made
        ]
        found.append(
            LaterReport(
                name=response.name,
                planned=len(made),
                optimal=sum(one.optimal for one in made),
                supplied_share=_distribution(
                    np.array([one.supplied_share for one in made]), confidence
                ),
                damaged_buses_mean=float(np.mean([one.damaged_buses for one in made])),
                dead_safe_buses_mean=float(np.mean([one.dead_safe_buses for one in made])),
                audit_faults=sum(len(one.audit_faults) for one in made),
                ac=_ac(response.name, tried, run.loads, confidence),
            )
        )
    return tuple(found) or None


def _first(planned: Sequence[StormDraw]) -> list[_InAc]:
    return [
        _InAc(
            outcomes=one.outcomes or {},
            supplied_share=one.supplied_share[LAST_PHASE],
            v_min_pu=one.v_min_pu,
        )
        for one in planned
    ]


def _ac(phase: str, planned: Sequence[_InAc], loads: int, confidence: float) -> StormsInAc:
    counts: dict[str, int] = {}
    for one in planned:
        for name, number in one.outcomes.items():
            counts[name] = counts.get(name, 0) + number
    erred = sum(bool(_unjudged(dict(one.outcomes))) for one in planned)
    judged = [one for one in planned if not _unjudged(dict(one.outcomes))]
    whole = sum(one.outcomes.get("feasible", 0) == loads for one in judged)
    share = share_of(whole, len(judged), confidence)
    supplied = [one.supplied_share for one in judged]
    lows = [one.v_min_pu for one in planned if one.v_min_pu is not None]
    return StormsInAc(
        phase=phase,
        loads_per_draw=loads,
        outcomes=counts,
        draws_judged=len(judged),
        draws_erred=erred,
        draws_feasible_at_all_loads=whole,
        share=share.value if share.trials else None,
        supplied_share_mean=float(np.mean(supplied)) if supplied else None,
        draws_serving_nothing=sum(one <= 0.0 for one in supplied),
        interval=(share.low, share.high),
        v_min_pu=min(lows, default=None),
    )


def _unjudged(outcomes: Mapping[str, int] | None) -> int:
    return sum((outcomes or {}).get(name, 0) for name in ("erred", "stale"))
