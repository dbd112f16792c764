"""Two shares on the same realizations: their difference, its interval, and McNemar's test.

Only realizations on which the two disagree tell them apart: ``b`` that only the first finds
feasible, ``c`` that only the second does, of ``n``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from gridproof.federation.jsonable import Interval, Jsonable
from gridproof.federation.statistics.sequential import confidence_sequence

__all__ = [
    "PairedDifference",
    "anytime_difference",
    "mcnemar_p",
    "paired_difference",
    "tango_interval",
]


_STEP = 1e-10


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedDifference(Jsonable):
    """Difference of two paired shares, ``(b - c) / n``, with its interval and test.

    Attributes
    ----------
    value
        None without a trial.
    interval, confidence
        Its interval; all of [-1, 1] without a trial.
    p_value
        Of "both shares are equal".
    """

    value: float | None
    interval: Interval
    confidence: float
    p_value: float

    @classmethod
    def unknown(cls, confidence: float) -> PairedDifference:
        """Return what is known without a trial."""
        return cls(value=None, interval=(-1.0, 1.0), confidence=confidence, p_value=1.0)


def mcnemar_p(first_only: int, second_only: int) -> float:
    """Exact two-sided p-value of "both shares are equal".

    Under it ``b`` is binomial(b + c, 1/2): McNemar, Psychometrika 12 (1947) 153-157, in its
    exact form, ``min(1, 2 P(X ≤ min(b, c)))``. 1 where there is no disagreement at all.
    """
    from scipy.special import bdtr  # noqa: PLC0415  (a fifth of a second of every start)

    differing = first_only + second_only
    return min(1.0, 2.0 * float(bdtr(min(first_only, second_only), differing, 0.5)))


def tango_interval(
    first_only: int, second_only: int, trials: int, confidence: float = 0.95
) -> tuple[float, float]:
    """Score interval of the difference of two paired shares, ``(b - c) / n``.

    The Δ whose score statistic is not beyond the normal quantile,

    ``|b - c - nΔ| ≤ z · sqrt(n (2 p̃ + Δ (1 - Δ)))``,

    with ``p̃`` the likelihood's estimate of the second-only share when the difference is Δ, the
    larger root of ``2n p² + (-b - c + (2n - b + c) Δ) p - c Δ (1 - Δ) = 0``: Tango, Statistics
    in Medicine 17 (1998) 891-908. Never leaves [-1, 1] and does not shrink to a point where
    there is no disagreement.

    Raises
    ------
    ValueError
        If the counts do not fit, or the confidence is outside (0, 1).
    """
    from scipy.special import ndtri  # noqa: PLC0415  (a fifth of a second of every start)

    b, c, n = first_only, second_only, trials
    if min(b, c) < 0 or b + c > n or n < 1 or not 0.0 < confidence < 1.0:
        raise ValueError(f"{b} and {c} of {n} at confidence {confidence} cannot be")
    from scipy.optimize import brentq  # noqa: PLC0415  (slow to import, and few commands ask)

    z = float(ndtri(0.5 + confidence / 2.0))

    def beyond(delta: float, sign: float) -> float:
        return sign * (b - c - n * delta) - z * _spread(b, c, n, delta)

    def bound(sign: float) -> float:
        """Where the statistic passes the quantile, outward from the estimate."""
        start = (b - c) / n - sign * _STEP  # at the estimate itself the statistic may be 0 / 0
        if beyond(-sign, sign) <= 0.0:
            return -sign
        return float(brentq(beyond, start, -sign, args=(sign,), xtol=1e-14))

    return bound(1.0), bound(-1.0)


def _spread(b: int, c: int, n: int, delta: float) -> float:
    middle = -b - c + (2 * n - b + c) * delta
    root = math.sqrt(max(0.0, middle * middle + 8.0 * n * c * delta * (1.0 - delta)))
    second = (root - middle) / (4.0 * n)
    return math.sqrt(max(0.0, n * (2.0 * second + delta * (1.0 - delta))))


def paired_difference(
    first_only: int, second_only: int, trials: int, confidence: float = 0.95
) -> PairedDifference:
    """Difference of two paired shares with Tango's interval and McNemar's test."""
    if trials == 0:
        return PairedDifference.unknown(confidence)
    return PairedDifference(
        value=(first_only - second_only) / trials,
        interval=tango_interval(first_only, second_only, trials, confidence),
        confidence=confidence,
        p_value=mcnemar_p(first_only, second_only),
    )


def anytime_difference(
    first_only: int, second_only: int, trials: int, confidence: float = 0.95
) -> PairedDifference:
    """Difference of two paired shares that is valid whenever one looks.

    With ``[l_b, u_b]`` and ``[l_c, u_c]`` the confidence sequences of the shares ``b / n`` and
    ``c / n`` at ``1 - α/2`` each, ``[l_b - u_c, u_b - l_c]`` misses the difference at some ``n``
    with probability at most ``α``. The p-value is ``min(1, 1 / M)``, ``M`` the beta mixture of
    `confidence_sequence` on ``b`` of the ``b + c`` that disagree, against one half: by Ville's
    inequality it is at most ``α`` at some ``n`` with probability at most ``α``.
    """
    from scipy.special import betaln  # noqa: PLC0415  (a fifth of a second of every start)

    if trials == 0:
        return PairedDifference.unknown(confidence)
    each = 1.0 - (1.0 - confidence) / 2.0
    (b_low, b_high), (c_low, c_high) = (
        confidence_sequence(count, trials, each) for count in (first_only, second_only)
    )
    differing = first_only + second_only
    evidence = (
        float(betaln(0.5 + first_only, 0.5 + second_only) - betaln(0.5, 0.5))
        + differing * math.log(2.0)
    )  # fmt: skip
    return PairedDifference(
        value=(first_only - second_only) / trials,
        interval=(b_low - c_high, b_high - c_low),
        confidence=confidence,
        p_value=math.exp(min(0.0, -evidence)),
    )
