"""Methods side by side: the set, or the samples, that each holds its reserves for.

==================  =======================================================================
deterministic       (3): no disturbance
gaussian            (7): an ellipsoid of the samples' moments, ρ/2 on either side
cvar                (8): samples; jointly two-sided where the response is shared, else by row
sample_box          (6): the box of what happened
support_box         (6): the box of what could
dro_total           (15): the parallelotope of each step's total (m = 1)
dro_components      (15): the parallelotope of all components
==================  =======================================================================
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from gridproof.optimizer.policy_mode.ambiguity import (
    Log,
    components,
    ellipsoid,
    sample_box,
    support_box,
    tail,
    total,
)
from gridproof.optimizer.policy_mode.options import METHODS
from gridproof.optimizer.policy_mode.shapes import Ellipsoid, Rectangle, Shape, Tail
from gridproof.scenarios.arrays import BoolArray, FloatArray
from gridproof.scenarios.errors import ScenarioError
from gridproof.scenarios.sets import Wasserstein

__all__ = ["Hedge", "Settings", "hedge", "needs", "outside"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Parameters of `ambiguity`, for all methods.

    Attributes
    ----------
    rho, beta, gamma, cut
        As in `ambiguity.components`.
    radius_scale, radius_scale_total
        κ of the set over components and of the one over the total; 1 is literal.
    epsilon
        A radius instead of either, in standard deviations.
    """

    rho: float = 0.05
    beta: float = 0.95
    gamma: float = 0.01
    cut: bool = True
    radius_scale: float = 1.0
    radius_scale_total: float = 1.0
    epsilon: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Hedge:
    """What a dispatch is held against.

    Attributes
    ----------
    method
        One of `options.METHODS`.
    shape
        The set of ``w``, or None for ``dro_total``.
    totals
        (time,) intervals of each step's total, of ``dro_total``.
    samples
        (sample, component) of ``cvar``.
    rho
        Tail share.
    says
        The set in words, for what is said to be proven.
    """

    method: str
    shape: Shape | None
    totals: tuple[Shape, ...]
    samples: FloatArray | None
    rho: float
    says: str


def hedge(method: str, log: Log, shape: FloatArray, settings: Settings) -> Hedge:
    """Build what one method holds its reserves for.

    Parameters
    ----------
    method
        One of `options.METHODS`.
    log
        Training samples and physical range.
    shape
        (time, component) ``s_j(t)``.
    settings
        Parameters.

    Raises
    ------
    ScenarioError
        On an unknown method, or a shape of another width.
    """
    s = settings
    if np.shape(shape)[1:] != (len(log.ids),):
        raise ScenarioError(
            f"the shape has {np.shape(shape)[1:]} components; the log has {len(log.ids)}"
        )
    over: Shape | None = None
    totals: tuple[Shape, ...] = ()
    says = ""
    if method == "deterministic":
        over, says = Rectangle(lower=0.0 * log.lower, upper=0.0 * log.lower), "no disturbance"
    elif method == "gaussian":
        over, says = ellipsoid(log, rho=s.rho, gamma=s.gamma), "an ellipsoid of two moments"
    elif method == "cvar":
        over, says = tail(log, rho=s.rho), f"the {s.rho:g}-tails of {len(log.samples)} samples"
    elif method == "sample_box":
        over, says = sample_box(log), f"the box of {len(log.samples)} samples"
    elif method == "support_box":
        over, says = support_box(log), "the box of what is physically possible"
    elif method == "dro_components":
        found = components(
            log, rho=s.rho, beta=s.beta, radius_scale=s.radius_scale, epsilon=s.epsilon,
            gamma=s.gamma, cut=s.cut,
        )  # fmt: skip
        over = found.shape
        says = f"the Wasserstein set over {len(log.ids)} components, radius {found.epsilon:.4g}"
        says += ", cut with what is physically possible" if found.shape.cut else ""
    elif method == "dro_total":
        each = total(
            log, shape, rho=s.rho, beta=s.beta, radius_scale=s.radius_scale_total,
            epsilon=s.epsilon, gamma=s.gamma, cut=s.cut,
        )  # fmt: skip
        totals = tuple(one.shape for one in each)
        says = "the Wasserstein set over the total of each step, radius up to "
        says += f"{max(one.epsilon for one in each):.4g}"
    else:
        raise ScenarioError(f"unknown method {method!r}; there are {', '.join(METHODS)}")
    samples = log.samples if method == "cvar" else None
    return Hedge(method=method, shape=over, totals=totals, samples=samples, rho=s.rho, says=says)


def needs(held: Hedge, shape: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(time,) largest total deficit and largest total surplus of each step's set, kW, from 0 up."""
    if held.totals:
        ends = [(o.support(np.ones(1)).value, o.support(-np.ones(1)).value) for o in held.totals]
    else:
        assert held.shape is not None
        ends = [(held.shape.support(row).value, held.shape.support(-row).value) for row in shape]
    up, down = np.maximum(np.array(ends, float).reshape(-1, 2), 0.0).T
    return up, down


def outside(held: Hedge, w: FloatArray) -> BoolArray | None:
    """(draw,) whether (draw, component) disturbances lie outside the set.

    None of tails of samples and of sets over totals, which are no sets of ``w``.
    """
    if held.shape is None or isinstance(held.shape, Tail):
        return None
    shape = held.shape
    if isinstance(shape, Ellipsoid):
        far = np.linalg.norm(np.linalg.solve(shape.root, (w - shape.mean).T), axis=0)
        return np.asarray(far > shape.radius * (1.0 + _EDGE))
    edge = _EDGE * np.maximum(1.0, np.abs(w).max(axis=1, initial=0.0))[:, None]
    out = ((w < shape.lower - edge) | (w > shape.upper + edge)).any(axis=1)
    if isinstance(shape, Wasserstein):
        v = np.linalg.solve(shape.root, (w - shape.mean).T)
        out |= np.abs(v).max(axis=0) > shape.sigma * (1.0 + _EDGE)
    return np.asarray(out)


_EDGE = 1e-9
