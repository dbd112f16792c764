"""How a disturbance is answered, as rows.

- **shared** `r_i(w) = up_i / Σ up · (s·w)`, and with ``down`` where ``s·w < 0``: only the sums of
  the reserves matter, and resources that answer one way take part.
- **affine** `r(w) = A (s ∘ w)`, ``Σ_i A_ij = 1``, of those that answer both ways; each keeps
  ``-down_i ≤ r_i(w) ≤ up_i`` for every w of the set.

A row ``a·w ≤ b`` over ``{ μ + T v : |v| ≤ σ, lower ≤ w ≤ upper }`` is, by duality and exactly::

    a·μ + σ Σ y + π⁺·(upper - μ) + π⁻·(μ - lower) ≤ b,   -y ≤ T (a - π⁺ + π⁻) ≤ y,   π ≥ 0

and over a set of corners one row each: (15b), the reference for few components.
"""

from __future__ import annotations

import numpy as np
from gridproof.optimizer.policy_mode.gaps import Gaps
from gridproof.optimizer.policy_mode.hedge import Hedge, needs
from gridproof.optimizer.policy_mode.microgrid import Disturbance, Microgrid
from gridproof.optimizer.policy_mode.model import Columns
from gridproof.optimizer.policy_mode.shapes import Rectangle, Shape
from gridproof.optimizer.solver.program import Program, Term
from gridproof.scenarios.arrays import FloatArray, IntArray
from gridproof.scenarios.errors import ScenarioError
from gridproof.scenarios.sets import Wasserstein
from scipy import sparse

__all__ = ["add_affine", "add_corners", "add_duals", "add_shared", "add_totals"]


def add_shared(m: Program, c: Columns, held: Hedge, shape: FloatArray) -> None:
    """Buy as much in sum as the set needs; of ``cvar`` as (8) asks, both sides at once."""
    every = [c.up, c.interrupt]
    up = [(1.0, one[:, k]) for one in every for k in range(one.shape[1])]
    down = [(1.0, c.down[:, k]) for k in range(c.down.shape[1])]
    if held.samples is None:
        most, least = needs(held, shape)
        m.rows("reserve", *up, lower=most)
        m.rows("reserve", *down, lower=least)
        return
    delta = held.samples @ shape.T  # (sample, time)
    count, steps = delta.shape
    t = m.columns(steps, lower=-np.inf, upper=np.inf)
    short = m.columns(count * steps, upper=np.inf).reshape(count, steps)
    bought = m.columns(2 * steps, upper=np.inf).reshape(2, steps)
    for side, terms in ((0, up), (1, down)):
        m.rows("bought", *terms, (-1.0, bought[side]), lower=0.0, upper=0.0)
    for side, sign in ((0, 1.0), (1, -1.0)):  # short_k ≥ ±δ_k - bought - t
        m.rows(
            "tail", (1.0, short.ravel()), (1.0, np.tile(bought[side], count)),
            (1.0, np.tile(t, count)), lower=sign * delta.ravel(),
        )  # fmt: skip
    mean = [(1.0 / (held.rho * count), short[k]) for k in range(count)]
    m.rows("cvar", (1.0, t), *mean, upper=0.0)


def add_affine(m: Program, grid: Microgrid, d: Disturbance) -> IntArray:
    """Add ``A`` with ``Σ_i A_ij = 1``, and nothing bought by those that cannot answer both ways.

    Returns
    -------
    ndarray of shape (time, responder, component)
        Columns, 0 where a component does not show at a step.
    """
    responders = grid.responders
    if grid.forming not in responders:
        raise ScenarioError(
            f"DER {grid.ders.ids[grid.forming]} forms and offers no reserve both ways; the forming "
            "DER answers what is left: give it prices for both"
        )
    shows = np.abs(d.shape) > 0.0  # (time, component)
    steps, wide, size = len(d.shape), len(responders), len(d.ids)
    live = np.repeat(shows[:, None, :], wide, axis=1).ravel()
    A = m.columns(
        steps * wide * size,
        lower=np.where(live, -np.inf, 0.0),
        upper=np.where(live, np.inf, 0.0),
    ).reshape(steps, wide, size)
    one = shows.astype(float).ravel()
    m.rows("answered", *[(1.0, A[:, i].ravel()) for i in range(wide)], lower=one, upper=one)
    return A


def add_totals(
    m: Program, grid: Microgrid, c: Columns, held: Hedge, *, d: Disturbance, A: IntArray
) -> None:
    """Answer a total alone, ``A_ij = α_i``, each within its part of the step's interval."""
    steps, wide, _ = A.shape
    alpha = m.columns(steps * wide, lower=-np.inf, upper=np.inf).reshape(steps, wide)
    live = np.argwhere(np.repeat((np.abs(d.shape) > 0.0)[:, None, :], wide, axis=1))
    at = tuple(live.T)
    m.rows("by total", (1.0, A[at]), (-1.0, alpha[at[0], at[1]]), lower=0.0, upper=0.0)
    for end in (1.0, -1.0):
        edge = np.array([end * one.support(np.array([end])).value for one in held.totals])
        for i, g in enumerate(grid.responders):
            m.rows("reserve", (1.0, c.up[:, g]), (-edge, alpha[:, i]), lower=0.0)
            m.rows("reserve", (1.0, c.down[:, g]), (edge, alpha[:, i]), lower=0.0)


def add_corners(
    m: Program, grid: Microgrid, c: Columns, corners: FloatArray, *, d: Disturbance, A: IntArray
) -> None:
    """Hold every reserve at every corner, (corner, component): the literal (15b)."""
    steps = len(d.shape)
    for i, g in enumerate(grid.responders):
        for t in range(steps):
            moved = sparse.csr_array(corners * d.shape[t])
            ones = np.ones(len(corners), dtype=np.int64)
            m.rows("reserve", (1.0, c.up[t, g] * ones), (-moved, A[t, i]), lower=0.0)
            m.rows("reserve", (1.0, c.down[t, g] * ones), (moved, A[t, i]), lower=0.0)


def add_duals(
    m: Program,
    grid: Microgrid,
    c: Columns,
    shape: Shape,
    *,
    d: Disturbance,
    A: IntArray,
    gaps: Gaps | None = None,
) -> None:
    """Hold every reserve over the set by duality: exact, without a corner.

    ``gaps`` are what the forming DER makes good on top of its answer.

    Raises
    ------
    ScenarioError
        Of a set that is not a polyhedron given by its sides; those take `robust`.
    """
    mean, root, sigma, room = _sides(shape)
    s, (steps, m_) = d.shape, d.shape.shape
    turned = _by_step(root[None] * s[:, None, :])  # T (s ∘ A_i)
    each = _by_step(np.tile(np.ones((1, 1, m_)), (steps, 1, 1)))
    for i, g in enumerate(grid.responders):
        own = A[:, i].ravel()
        for sign, bought in ((1.0, c.up[:, g]), (-1.0, c.down[:, g])):
            y = m.columns(steps * m_, upper=np.inf)
            terms: list[Term] = [(1.0, bought), (-sigma * each, y)]
            terms.append((_by_step(-sign * (mean * s)[:, None, :]), own))
            if gaps is not None and g == grid.forming:
                on_top = gaps.up if sign > 0.0 else gaps.down
                terms += [(-kw, gaps.columns[:, k]) for k, kw in enumerate(on_top) if kw > 0.0]
            relief = []
            for side, finite in room:
                if finite.any():
                    pi = m.columns(steps * int(finite.sum()), upper=np.inf)
                    price = -np.abs(side[finite])[None, None]
                    terms.append((_by_step(np.tile(price, (steps, 1, 1))), pi))
                    dual = np.sign(side[finite]) * root[:, finite]
                    relief.append((_by_step(np.tile(dual[None], (steps, 1, 1))), pi))
            m.rows("reserve", *terms, lower=0.0)
            for way in (1.0, -1.0):  # y ≥ ± T (a - π⁺ + π⁻)
                rows = [(way * dual, pi) for dual, pi in relief]
                m.rows("dual", (1.0, y), (-way * sign * turned, own), *rows, lower=0.0)


def _by_step(blocks: FloatArray) -> sparse.csr_array:
    """Lay (time, row, column) blocks along a diagonal; what is 0 is left out."""
    steps, high, wide = blocks.shape
    t, k, j = np.nonzero(blocks)
    at = (t * high + k, t * wide + j)
    return sparse.csr_array((blocks[t, k, j], at), shape=(steps * high, steps * wide))


def _sides(
    shape: Shape,
) -> tuple[FloatArray, FloatArray, float, list[tuple[FloatArray, np.ndarray]]]:
    """μ, T, σ, and the box's room above (positive) and below (negative) the mean."""
    if isinstance(shape, Rectangle):
        half = (shape.upper - shape.lower) / 2.0
        return (shape.upper + shape.lower) / 2.0, np.diag(half), 1.0, []
    if not isinstance(shape, Wasserstein):
        raise ScenarioError(
            f"a {type(shape).__name__.lower()} has no sides to take the dual of; ask for "
            'form = "worst"'
        )
    if not shape.cut:
        return shape.mean, shape.root, shape.sigma, []
    above, below = shape.upper - shape.mean, shape.lower - shape.mean
    edge = 1e-300  # a side at the mean itself is a side
    return (
        shape.mean,
        shape.root,
        shape.sigma,
        [
            (np.maximum(above, edge), np.isfinite(above)),
            (np.minimum(below, -edge), np.isfinite(below)),
        ],
    )
