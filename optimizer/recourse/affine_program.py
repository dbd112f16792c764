"""The affine rule that keeps the largest least margin over a box, as one linear program.

With margins ``m + a ω + k r`` of linearised limits, ``r = r₀ + R ω`` and ``|ω| ≤ 1``::

    max  t - ε Σ |R|
    s.t. m_y + k_y r₀ - Σ_d |a_yd + k_y R_d| ≥ t      every limit y
         t ≤ t_max

The worst of a linear function over a box is its absolute sum, which a variable ``z_yd`` for each
term bounds from above.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from gridproof.optimizer.solver.solve import Arrays, solve_arrays
from gridproof.scenarios.arrays import FloatArray
from scipy import sparse

__all__ = ["AffineChoice", "best_affine_rule"]

MOST_MARGIN = 0.3
"""As far inside as is worth while, of half the band or of rating; the linear re-dispatch's own."""

_ECONOMY = 1e-5  # of margin that a kVA of gain must be worth


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AffineChoice:
    """The rule found.

    Attributes
    ----------
    margin
        ``t``: least margin over the box, by the linearisation; ``-inf`` if none was found.
    offset, gain
        (control,) ``r₀`` and (control, coordinate) ``R``.
    """

    margin: float
    offset: FloatArray
    gain: FloatArray


def best_affine_rule(
    margin: FloatArray, by_load: FloatArray, by_control: FloatArray
) -> AffineChoice:
    """Choose offsets and gains of the controls.

    Parameters
    ----------
    margin
        (limit,) ``m``, on one scale.
    by_load, by_control
        (limit, coordinate) ``a`` and (limit, control) ``k``.
    """
    width, controls = by_load.shape[1], by_control.shape[1]
    if not controls:
        least = margin - np.abs(by_load).sum(axis=1)
        return AffineChoice(
            margin=float(least.min(initial=MOST_MARGIN)),
            offset=np.zeros(0),
            gain=np.zeros((0, width)),
        )
    arrays = _arrays(margin, by_load, by_control)
    _, x = solve_arrays(arrays, tolerance=1e-9)
    gains = controls * width
    if not np.isfinite(x).all():
        return AffineChoice(
            margin=-np.inf, offset=np.zeros(controls), gain=np.zeros((controls, width))
        )
    return AffineChoice(
        margin=float(x[-1]),
        offset=x[2 * gains : 2 * gains + controls],
        gain=(x[:gains] - x[gains : 2 * gains]).reshape(controls, width),
    )


def _arrays(margin: FloatArray, by_load: FloatArray, by_control: FloatArray) -> Arrays:
    """Columns: R⁺ and R⁻ (control, coordinate), r₀ (control), z (limit, coordinate), t."""
    limits, width = by_load.shape
    controls = by_control.shape[1]
    gains, terms = controls * width, limits * width
    through = sparse.kron(by_control, sparse.eye_array(width), format="csr")  # (term, gain)
    ones = sparse.eye_array(terms, format="csr")
    none_r = sparse.csr_array((terms, controls))
    none_t = sparse.csr_array((terms, 1))
    each = sparse.kron(sparse.eye_array(limits), np.ones((1, width)), format="csr")
    matrix = sparse.block_array(
        [
            [-through, through, none_r, ones, none_t],
            [through, -through, none_r, ones, none_t],
            [
                sparse.csr_array((limits, gains)),
                sparse.csr_array((limits, gains)),
                sparse.csr_array(by_control),
                -each,
                sparse.csr_array(-np.ones((limits, 1))),
            ],
        ],
        format="csc",
    )
    flat = by_load.ravel()
    columns = matrix.shape[1]
    cost = np.zeros(columns)
    cost[: 2 * gains], cost[-1] = _ECONOMY, -1.0
    lower = np.zeros(columns)
    lower[2 * gains : 2 * gains + controls] = -np.inf
    lower[-1] = -np.inf
    upper = np.full(columns, np.inf)
    upper[-1] = MOST_MARGIN
    return Arrays(
        cost=cost,
        constant=0.0,
        matrix=sparse.csc_array(matrix),
        row_lower=np.concatenate([flat, -flat, -margin]),
        row_upper=np.full(2 * terms + limits, np.inf),
        lower=lower,
        upper=upper,
        integer=np.zeros(columns, bool),
    )
