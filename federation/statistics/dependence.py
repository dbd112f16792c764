"""Verdicts that lean on those before them: how many independent ones they are worth."""

from __future__ import annotations

from gridproof.scenarios.arrays import BoolArray, FloatArray

__all__ = ["effective_trials"]


def effective_trials(values: BoolArray | FloatArray, lags: int) -> float:
    """How many realizations are worth one independent one: ``1 + 2 Σ ρ_k``, at least 1.

    Parameters
    ----------
    values
        (realization,) in order.
    lags
        How far back a realization can depend on another.
    """
    if not len(values):
        return 1.0
    x = values.astype(float) - values.mean()
    variance = float(x @ x)
    if variance == 0.0:
        return 1.0
    rho = [float(x[k:] @ x[:-k]) / variance for k in range(1, min(lags, len(x) - 1) + 1)]
    return max(1.0, 1.0 + 2.0 * sum(rho))
