"""Sets out of samples: (9)-(14) of the policy-mode paper, and what it is compared with.

With ``v = Σ^(-1/2)(w - μ)`` of the samples ``w_k``, a distribution within Wasserstein distance ε
of the log leaves the cube ``‖v‖_∞ ≤ σ`` with at most probability ρ if moving the cheapest ρ of
all mass out of it costs ε or more. Sample k stands ``(σ - z_k)+`` from the outside, with
``z_k = ‖v_k‖_∞``, in every p-norm (one coordinate moves), and the cheapest are the largest z::

    Σ over the ρ-tail of q_k (σ - z_k)+ = ε,      q_k ≤ 1/N,  Σ q_k = ρ          (`cube_sigma`)

The paper prints neither σ nor ``v^(i)``. Its radius ε(N) is a heuristic (`literal_radius`): for
three or more components it does not cover the distance between log and truth with probability β.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from gridproof.optimizer.policy_mode.shapes import Ellipsoid, Rectangle, Tail, tail_weights
from gridproof.scenarios.arrays import BoolArray, FloatArray, frozen
from gridproof.scenarios.errors import ScenarioError
from gridproof.scenarios.sets import Wasserstein
from scipy.optimize import brentq
from scipy.special import logsumexp, ndtri

__all__ = [
    "Ambiguity",
    "Log",
    "components",
    "cube_sigma",
    "ellipsoid",
    "literal_constant",
    "literal_radius",
    "sample_box",
    "support_box",
    "symmetric_root",
    "tail",
    "total",
    "worst_leaving",
]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Log:
    """What happened, and what could.

    Attributes
    ----------
    ids
        Component names, ``event@area``.
    samples
        (sample, component) kW of deficit at shape 1.
    lower, upper
        (component,) physical range Ξ, kW.

    Raises
    ------
    ScenarioError
        If there are fewer than two samples, one has another width, is not a number, or lies
        outside the physical range; with the row and column of each.
    """

    ids: tuple[str, ...]
    samples: FloatArray
    lower: FloatArray
    upper: FloatArray

    def __post_init__(self) -> None:
        n = len(self.ids)
        object.__setattr__(self, "samples", _table(self.samples, self.ids))
        object.__setattr__(self, "lower", frozen(self.lower, float, (n,)))
        object.__setattr__(self, "upper", frozen(self.upper, float, (n,)))
        faults = []
        if len(self.samples) < 2:
            faults.append(
                f"the training log has N = {len(self.samples)} samples; a covariance needs at "
                "least 2"
            )
        faults += [
            f"component {name}: its range is {a:g} to {b:g} kW; it must not end below its start"
            for name, a, b in zip(self.ids, self.lower, self.upper, strict=True)
            if not a <= b
        ]
        faults += self._cells(~np.isfinite(self.samples), "is not a number; give kW")
        edge = 1e-6 * np.maximum(1.0, self.upper - self.lower)
        out = (self.samples < self.lower - edge) | (self.samples > self.upper + edge)
        faults += self._cells(out, "is outside the physical range; mend the log or widen `support`")
        if faults:
            raise ScenarioError(faults)

    def _cells(self, wrong: BoolArray, what: str) -> list[str]:
        return [
            f"training log, row {k + 1}, column {self.ids[j]}: {self.samples[k, j]:g} {what} "
            f"({self.lower[j]:g} to {self.upper[j]:g} kW)"
            for k, j in np.argwhere(wrong).tolist()
        ]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ambiguity:
    """The set (13) and how it came about.

    Attributes
    ----------
    shape
        ``{ μ + T v : ‖v‖_∞ ≤ σ } ∩ Ξ``.
    epsilon
        Radius of the ball that was used.
    literal_epsilon
        ε(N) as printed.
    distances
        (sample,) ``z_k = ‖v_k‖_∞``.
    """

    shape: Wasserstein
    epsilon: float
    literal_epsilon: float
    distances: FloatArray


def components(
    log: Log,
    *,
    rho: float,
    beta: float = 0.95,
    radius_scale: float = 1.0,
    epsilon: float | None = None,
    gamma: float = 0.01,
    cut: bool = True,
) -> Ambiguity:
    """Return the set over components, (9)-(14).

    Parameters
    ----------
    log
        Samples and physical range.
    rho, beta
        Admitted share of violations, and confidence of the printed radius; both in (0, 1).
    radius_scale
        κ: the radius is ``κ ε(N)``; 1 is literal.
    epsilon
        The radius itself, instead.
    gamma
        Share of the support box's own covariance in ``(1-γ)Σ̂ + γ diag((hi-lo)²/12)``.
    cut
        Whether the set is cut with the physical range.

    Raises
    ------
    ScenarioError
        On a parameter out of range, or a covariance that γ does not mend.
    """
    _check(rho=rho, beta=beta, radius_scale=radius_scale, epsilon=epsilon, gamma=gamma)
    mean = np.clip(log.samples.mean(axis=0), log.lower, log.upper)
    root = symmetric_root(_covariance(log, gamma), log.ids, gamma)
    v = np.linalg.solve(root, (log.samples - mean).T).T
    literal = literal_radius(v, beta)
    radius = radius_scale * literal if epsilon is None else epsilon
    z = np.abs(v).max(axis=1)
    far = np.full(len(log.ids), np.inf)
    shape = Wasserstein(
        mean=mean,
        root=root,
        sigma=cube_sigma(z, rho, radius),
        lower=log.lower if cut else -far,
        upper=log.upper if cut else far,
    )
    return Ambiguity(
        shape=shape, epsilon=radius, literal_epsilon=literal, distances=frozen(z, float)
    )


def total(
    log: Log,
    shape: FloatArray,
    *,
    rho: float,
    beta: float = 0.95,
    radius_scale: float = 1.0,
    epsilon: float | None = None,
    gamma: float = 0.01,
    cut: bool = True,
) -> tuple[Ambiguity, ...]:
    """Return the set over each step's total deficit (m = 1), kW.

    Parameters
    ----------
    shape
        (time, component) what a component of 1 kW does at each step.

    Returns
    -------
    tuple of (time,) Ambiguity
        Intervals; a step at which nothing can happen has one of no width.
    """
    box = Rectangle(lower=log.lower, upper=log.upper)
    found = []
    for row in np.asarray(shape, float):
        low, high = -box.support(-row).value, box.support(row).value
        one = Log(
            ids=("total",),
            samples=(log.samples @ row)[:, None],
            lower=np.array([low]),
            upper=np.array([high]),
        )
        if high - low <= 1e-9:
            _check(rho=rho, beta=beta, radius_scale=radius_scale, epsilon=epsilon, gamma=gamma)
            still = Wasserstein(mean=np.array([low]), root=np.eye(1), sigma=0.0)
            found.append(
                Ambiguity(
                    shape=still,
                    epsilon=0.0,
                    literal_epsilon=0.0,
                    distances=np.zeros(len(log.samples)),
                )
            )
            continue
        found.append(
            components(
                one,
                rho=rho,
                beta=beta,
                radius_scale=radius_scale,
                epsilon=epsilon,
                gamma=gamma,
                cut=cut,
            )
        )
    return tuple(found)


def sample_box(log: Log) -> Rectangle:
    """Return the robust box (6) of what happened."""
    return Rectangle(lower=log.samples.min(axis=0), upper=log.samples.max(axis=0))


def support_box(log: Log) -> Rectangle:
    """Return the robust box (6) of what could happen."""
    return Rectangle(lower=log.lower, upper=log.upper)


def ellipsoid(log: Log, *, rho: float, gamma: float = 0.01) -> Ellipsoid:
    """Return the set that stands for the Gaussian chance constraint (7), ρ/2 on either side."""
    _check(rho=rho, gamma=gamma)
    root = symmetric_root(_covariance(log, gamma), log.ids, gamma)
    return Ellipsoid(mean=log.samples.mean(axis=0), root=root, radius=float(ndtri(1.0 - rho / 2.0)))


def tail(log: Log, *, rho: float) -> Tail:
    """Return the set that stands for CVaR (8) of single rows."""
    _check(rho=rho)
    return Tail(samples=log.samples, rho=rho)


def cube_sigma(distances: FloatArray, rho: float, epsilon: float) -> float:
    """Half-width σ of the cube that mass ρ leaves only at cost ε.

    ``CVaR_ρ(z) + ε/ρ`` where ``ε ≥ ρ (max z - CVaR_ρ(z))``; below, the root of a piecewise-linear
    function, one sorted pass. At ε = 0 the limit from above: the least sample of the ρ-tail.

    Parameters
    ----------
    distances
        (sample,) ``z_k``.
    rho
        In (0, 1); a fractional ``ρN`` counts its last sample in part.
    epsilon
        Radius, at least 0.
    """
    weights = tail_weights(len(distances), rho)
    z = np.sort(distances)[::-1][: len(weights)]
    mean = float(weights @ z) / rho
    if epsilon >= rho * (z[0] - mean):
        return mean + epsilon / rho
    # cost of σ = z_j, of the samples from j on; falls to 0 at the last
    mass = np.cumsum(weights[::-1])[::-1]
    moved = np.cumsum((weights * z)[::-1])[::-1]
    cost = z * mass - moved
    j = int(np.flatnonzero(cost <= epsilon)[0])  # z_j ≤ σ < z_(j-1)
    return float((epsilon + moved[j]) / mass[j])


def worst_leaving(distances: FloatArray, sigma: float, epsilon: float) -> float:
    """Largest probability of leaving the cube within the ball: a fractional knapsack.

    Parameters
    ----------
    distances
        (sample,) ``z_k``.
    sigma, epsilon
        Half-width of the cube and radius of the ball.
    """
    cost = np.sort(np.maximum(sigma - distances, 0.0)) / len(distances)
    spent = np.concatenate([[0.0], np.cumsum(cost)])
    whole = int(np.searchsorted(spent, epsilon, side="right")) - 1
    if whole >= len(cost):
        return 1.0
    return float(whole + (epsilon - spent[whole]) / cost[whole]) / len(cost)


def literal_constant(v: FloatArray) -> float:
    """``C = 2 min over α > 0 of sqrt((1 + ln mean exp(α ‖v_k‖₁²)) / (2α))``, as printed.

    With ``L(α)`` the log of the mean, the least value is where ``α L' - L = 1``, a divergence
    that grows with α; it is sought over ``ln α``. Where it never comes to 1 (few samples) the
    least value is the limit at infinity.
    """
    q = np.abs(v).sum(axis=1) ** 2
    if not q.max(initial=0.0) > 0.0:
        return 0.0
    q = q / (unit := float(q.max()))

    def short_of_one(log_alpha: float) -> float:
        alpha = np.exp(log_alpha)
        weight = np.exp(alpha * q - logsumexp(alpha * q))
        return float(alpha * (weight @ q) - _log_mean(alpha * q) - 1.0)

    low, high = -30.0, 30.0
    if short_of_one(high) <= 0.0:
        return float(2.0 * np.sqrt(unit / 2.0))
    alpha = float(np.exp(brentq(short_of_one, low, high, xtol=1e-12)))
    return float(2.0 * np.sqrt(unit * (1.0 + _log_mean(alpha * q)) / (2.0 * alpha)))


def literal_radius(v: FloatArray, beta: float) -> float:
    """``ε(N) = C sqrt(ln(1/(1-β)) / N)``, as printed; a heuristic (see the module)."""
    return float(literal_constant(v) * np.sqrt(np.log(1.0 / (1.0 - beta)) / len(v)))


def symmetric_root(covariance: FloatArray, ids: Sequence[str], gamma: float) -> FloatArray:
    """Symmetric root of a positive definite matrix.

    Raises
    ------
    ScenarioError
        Naming a component whose variance is nothing beside the largest.
    """
    values, vectors = np.linalg.eigh(covariance)
    if not values[0] > 1e-12 * max(float(values[-1]), 1e-300):
        at = int(np.abs(vectors[:, 0]).argmax())
        raise ScenarioError(
            f"component {ids[at]}: the covariance is singular with covariance_floor = {gamma:g}; "
            "it never moved in the log and nothing is added: give a floor above 0 and a physical "
            "range of some width, or leave the component out"
        )
    return np.asarray((vectors * np.sqrt(values)) @ vectors.T)


def _covariance(log: Log, gamma: float) -> FloatArray:
    sample = np.atleast_2d(np.cov(log.samples, rowvar=False, ddof=1))
    return np.asarray((1.0 - gamma) * sample + gamma * np.diag((log.upper - log.lower) ** 2 / 12.0))


def _log_mean(x: FloatArray) -> float:
    return float(logsumexp(x) - np.log(len(x)))


def _table(samples: FloatArray, ids: tuple[str, ...]) -> FloatArray:
    """Return samples as a table of the components' width."""
    for k, row in enumerate(samples):
        if np.ndim(row) != 1 or len(row) != len(ids):
            raise ScenarioError(
                f"training log, row {k + 1}: {np.size(row)} values; the mode has {len(ids)} "
                f"components ({', '.join(ids)})"
            )
    return frozen(np.asarray(samples, float).reshape(-1, len(ids)), float)


def _check(**given: float | None) -> None:
    """Refuse parameters out of range, all at once."""
    faults = []
    for name, value in given.items():
        if value is None:
            continue
        if name in ("rho", "beta") and not 0.0 < value < 1.0:
            faults.append(f"[risk] {name} = {value:g} must lie in (0, 1)")
        if name in ("radius_scale", "epsilon") and not 0.0 <= value < np.inf:
            faults.append(f"[risk] {name} = {value:g} must be a number of at least 0")
        if name == "gamma" and not 0.0 <= value <= 1.0:
            faults.append(f"[risk] covariance_floor = {value:g} must lie in [0, 1]")
    if faults:
        raise ScenarioError(faults)
