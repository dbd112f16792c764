"""What many storms say of a network: restored share as a distribution, with exact intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from gridproof.federation.campaigns.storms import LAST_PHASE, StormDraw, StormRun
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
) -> dict[str, Any]:
    """Figures of a run.

    Quantiles have intervals by order statistics, shares Clopper-Pearson ones; draws are
    independent, the loads of one draw share its failures, so that AC counts draws. A draw
    without a plan has no share and is counted beside. ``optimal`` counts proven plans; the
    others are as good as their ``worst_gap`` says.
    """
    planned = [one for one in draws if one.planned]
    failures = np.array([len(one.failed) for one in draws], float)
    shares, gaps = restored_shares(draws), [one.gap for one in planned if one.gap is not None]
    return {
        "study": run.study.name,
        "storm": asdict(run.storm),
        "seed": run.seed,
        "draws": len(draws),
        "planned": len(planned),
        "without_plan": len(draws) - len(planned),
        "optimal": sum(one.optimal for one in planned),
        "worst_gap": max(gaps, default=None),
        "confidence": confidence,
        "failures": {
            "mean": float(failures.mean()),
            "standard_deviation": float(failures.std(ddof=1)) if len(draws) > 1 else None,
            "min": int(failures.min()),
            "max": int(failures.max()),
        },
        "supplied_share": {
            name: _distribution(shares[:, time], confidence)
            for time, name in enumerate(PHASE_NAMES)
        }
        if planned
        else None,
        "damaged_buses_mean": _mean([one.damaged_buses for one in planned]),
        "dead_safe_buses_mean": _mean([one.dead_safe_buses for one in planned]),
        "audit": {
            "faults": sum(len(one.audit_faults) for one in planned),
            "draws_with_faults": [one.index for one in planned if one.audit_faults],
        },
        "ac": _ac(planned, run.loads, confidence),
        "seconds": {
            key: float(sum(one.seconds[key] for one in planned if one.seconds is not None))
            for key in ("plan", "ac")
        },
    }


def storm_table(found: Mapping[str, Any]) -> Table:
    """Load supplied phase by phase, over the storms that have a plan; from `storm_summary`."""
    columns = [text("phase"), replace(share("mean"), unit="")]
    for level, title in _QUANTILES.items():
        columns.append(replace(share(title, key=level), unit=""))
        columns.append(share("from", key=f"{level} from", joined="{}\n({}"))
        columns.append(share("to", key=f"{level} to", joined="{}\u2013{})"))
    rows = []
    for name, one in (found["supplied_share"] or {}).items():
        held = [one["quantiles"][level] for level in _QUANTILES]
        rows.append(
            (name, one["mean"], *(end for at in held for end in (at["value"], *at["interval"])))
        )
    return Table(
        name="supplied",
        title=f"Load supplied over {found['planned']} storms, %, with "
        f"{100.0 * found['confidence']:g} % intervals",
        columns=tuple(columns),
        rows=tuple(rows),
    )


_QUANTILES = {"0.05": "5 % quantile", "0.5": "median", "0.95": "95 % quantile"}


def _distribution(values: FloatArray, confidence: float) -> dict[str, Any]:
    spread = float(values.std(ddof=1)) if len(values) > 1 else None
    return {
        "mean": float(values.mean()),
        "standard_error": None if spread is None else spread / len(values) ** 0.5,
        "min": float(values.min()),
        "max": float(values.max()),
        "quantiles": {
            f"{level:g}": {
                "value": quantile(values, level),
                "interval": list(quantile_interval(values, level, confidence, ends=(0.0, 1.0))),
            }
            for level in LEVELS
        },
    }


def _mean(rows: Sequence[tuple[int, ...]]) -> list[float] | None:
    return np.array(rows, float).mean(axis=0).tolist() if rows else None


def _ac(planned: Sequence[StormDraw], loads: int, confidence: float) -> dict[str, Any]:
    counts: dict[str, int] = {}
    for one in planned:
        for name, number in (one.outcomes or {}).items():
            counts[name] = counts.get(name, 0) + number
    erred = sum(bool(_unjudged(one.outcomes)) for one in planned)
    judged = [one for one in planned if not _unjudged(one.outcomes)]
    whole = sum((one.outcomes or {}).get("feasible", 0) == loads for one in judged)
    share = share_of(whole, len(judged), confidence)
    supplied = [one.supplied_share[LAST_PHASE] for one in judged]
    lows = [one.v_min_pu for one in planned if one.v_min_pu is not None]
    return {
        "phase": PHASE_NAMES[LAST_PHASE],
        "loads_per_draw": loads,
        "outcomes": counts,
        "draws_judged": len(judged),
        "draws_erred": erred,
        "draws_feasible_at_all_loads": whole,
        "share": share.value if share.trials else None,
        "supplied_share_mean": float(np.mean(supplied)) if supplied else None,
        "draws_serving_nothing": sum(one <= 0.0 for one in supplied),
        "interval": [share.low, share.high],
        "v_min_pu": min(lows, default=None),
    }


def _unjudged(outcomes: Mapping[str, int] | None) -> int:
    return sum((outcomes or {}).get(name, 0) for name in ("erred", "stale"))
