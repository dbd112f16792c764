"""The policy-mode publication's tables: modes by method, and what each parameter does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gridproof.federation.papers.paper_table import paper_table
from gridproof.federation.papers.policy_mode_row import PolicyModeFigures
from gridproof.federation.papers.policy_modes import PolicyModeRun, Row, Sweep
from gridproof.federation.tables.table import Table

__all__ = ["policy_mode_tables"]

_COLUMNS = (
    ("cost_usd", "cost, USD", 0),
    ("reserve_usd", "reserves, USD", 0),
    ("reserve_up_kw", "up, kW", 0),
    ("violated_percent", "short, % of pairs", 2),
    ("worst_hour_percent", "worst hour, %", 2),
    ("any_hour_percent", "any hour, %", 1),
    ("on_sampled_percent", "on sampled, %", 2),
    ("outside_percent", "outside the set, %", 2),
    ("seconds", "s", 2),
)


def policy_mode_tables(run: PolicyModeRun) -> tuple[Table, ...]:
    """Make every table that has rows."""
    done = dict.fromkeys(row.spec.mode for row in run.rows)
    tables = [_of_mode(mode, run.rows) for mode in done]
    tables += [_ac(run.rows), *(_of_sweep(sweep) for sweep in run.sweeps)]
    logs = [s for s in run.sweeps if s.key.startswith("logs_")]
    return tuple(tables) + ((_logs(logs),) if logs else ())


def _percents(figures: PolicyModeFigures) -> dict[str, Any]:
    """Set a row for a table: what it says, and its shares in percent."""
    shares = {
        "violated_percent": figures.violated_share,
        "worst_hour_percent": figures.worst_hour,
        "any_hour_percent": figures.any_hour,
        "on_sampled_percent": figures.on_sampled,
        "outside_percent": figures.outside_set,
    }
    shown = {key: None if one is None else 100.0 * one for key, one in shares.items()}
    return {**figures.to_json(), **shown}


def _of_mode(mode: str, rows: Sequence[Row]) -> Table:
    own = [row for row in rows if row.spec.mode == mode]
    return paper_table(
        name=f"mode_{mode}",
        title=f"Mode {mode}: method beside method, reserves tried on the actual distribution",
        columns=(
            ("method", "method", 0),
            ("response", "response", 0),
            ("network", "network", 0),
            *_COLUMNS,
        ),
        rows=tuple(_percents(row.figures) for row in own),
    )


def _ac(rows: Sequence[Row]) -> Table:
    own = [row for row in rows if row.figures.ac is not None]
    return paper_table(
        name="ac",
        title="AC physics: (draw, hour) pairs outside a limit, by kind",
        columns=(
            ("mode", "mode", 0),
            ("method", "method", 0),
            ("response", "response", 0),
            ("pairs", "pairs", 0),
            ("solved", "solved", 0),
            ("network", "network", 0),
            ("capability", "capability", 0),
            ("energy", "energy", 0),
            ("reserve", "reserve", 0),
            ("in_set", "in the set", 0),
            ("in_set_breached", "of these any", 0),
        ),
        rows=tuple(
            {
                "mode": row.spec.mode,
                "method": row.spec.method,
                "response": row.spec.response,
                **row.figures.ac.to_json(),
            }
            for row in own
            if row.figures.ac is not None
        ),
    )


def _of_sweep(sweep: Sweep) -> Table:
    return paper_table(
        name=sweep.key,
        title=sweep.title,
        columns=(("varied", "set", 0), ("method", "method", 0), *_COLUMNS),
        rows=tuple(_percents(row.figures) for row in sweep.rows),
    )


def _logs(sweeps: Sequence[Sweep]) -> Table:
    """Say how often one training log breaks ρ on the actual distribution."""
    rows = []
    for sweep in sweeps:
        shares = np.array([row.figures.violated_share for row in sweep.rows], float)
        worst = np.array([row.figures.worst_hour for row in sweep.rows], float)
        rows.append(
            {
                "method": sweep.rows[0].spec.method,
                "logs": len(shares),
                "above_rho": int((shares > _RHO).sum()),
                "worst_hour_above_rho": int((worst > _RHO).sum()),
                "least_percent": 100.0 * float(shares.min()),
                "mean_percent": 100.0 * float(shares.mean()),
                "most_percent": 100.0 * float(shares.max()),
            }
        )
    return paper_table(
        name="logs",
        title="How many training logs lead to more than ρ = 5 % of violated pairs",
        columns=(
            ("method", "method", 0),
            ("logs", "logs", 0),
            ("above_rho", "above ρ", 0),
            ("worst_hour_above_rho", "worst hour above ρ", 0),
            ("least_percent", "least %", 2),
            ("mean_percent", "mean %", 2),
            ("most_percent", "most %", 2),
        ),
        rows=tuple(rows),
    )


_RHO = 0.05
