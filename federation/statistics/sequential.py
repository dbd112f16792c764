"""Looking at a share as often as one likes: an anytime-valid interval and what it decides.

An exact interval of fixed length says nothing once its own figure decided when to stop. The
interval here holds at all moments at once, so a campaign may end at any of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Decision", "StoppingRule", "confidence_sequence"]

_PRIOR = 0.5
"""``a = b`` of the mixing beta law: Jeffreys' one, which stays tight at shares near 0 and 1."""


def confidence_sequence(count: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Interval of a Bernoulli share that is valid at every ``n`` at once.

    With ``s`` successes in ``n`` trials, ``α = 1 - confidence``, ``a = b = 1/2`` and ``B`` the
    beta function, the likelihood ratio of the beta mixture against share ``p``::

        M_n(p) = B(a + s, b + n - s) / (B(a, b) p^s (1 - p)^(n - s))

    is a martingale of mean 1 under the true ``p``, so by Ville's inequality
    ``P(there is an n with M_n(p) ≥ 1/α) ≤ α``. The interval is ``{p : M_n(p) < 1/α}``; it is
    one piece, because ``log M_n`` is convex in ``p`` (Ville 1939; Robbins, Ann. Math. Statist. 41,
    1970; Howard, Ramdas, McAuliffe, Sekhon, Ann. Statist. 49, 2021).

    Parameters
    ----------
    count, trials
        ``s`` of ``n``, in the order the trials came.
    confidence
        Probability that the true share lies in the intervals of all ``n`` together.

    Returns
    -------
    low, high
        ``(0, 1)`` without a trial.

    Raises
    ------
    ValueError
        If ``count`` is not in [0, ``trials``] or ``confidence`` not in (0, 1).
    """
    from scipy.special import betaln  # noqa: PLC0415  (a fifth of a second of every start)

    if not 0 <= count <= trials:
        raise ValueError(f"count {count} must lie in [0, trials = {trials}]")
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence {confidence} must lie strictly between 0 and 1")
    if trials == 0:
        return 0.0, 1.0
    from scipy.optimize import brentq  # noqa: PLC0415  (a quarter of a worker's start)

    failures = trials - count
    mixture = betaln(_PRIOR + count, _PRIOR + failures) - betaln(_PRIOR, _PRIOR)
    edge = mixture + math.log1p(-confidence)  # log M_n(p) - log(1/α), the p-part left out

    def excess(log_odds: float) -> float:
        """Return ``log M_n(p) - log(1/α)`` at ``p = 1 / (1 + exp(-log_odds))``."""
        log_p = -math.log1p(math.exp(-log_odds)) if log_odds > 0 else log_odds - _softplus(log_odds)
        log_q = log_p - log_odds
        return float(edge - count * log_p - failures * log_q)

    middle = math.log((count + 1e-9) / (failures + 1e-9))
    low = _share(brentq(excess, -800.0, middle, xtol=1e-12)) if count else 0.0
    high = _share(brentq(excess, middle, 800.0, xtol=1e-12)) if failures else 1.0
    return low, high


def _softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def _share(log_odds: float) -> float:
    return 1.0 / (1.0 + math.exp(-log_odds)) if log_odds > -700.0 else math.exp(log_odds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Why a campaign may end.

    Attributes
    ----------
    reason
        ``width``, ``shown`` or ``refuted``.
    count, trials
        Feasible of judged, when it was taken.
    low, high
        The interval then.
    """

    reason: str
    count: int
    trials: int
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StoppingRule:
    """When enough has been seen of the feasible share.

    Attributes
    ----------
    kind
        ``width``: the interval is at most ``width`` wide. ``target``: it lies wholly at or
        above ``share`` (*shown*), or wholly below (*refuted*); the probability of ever
        deciding wrongly is at most ``1 - confidence``, however often one looks.
    confidence
        Of the interval sequence.
    width, share
        The number of its kind.
    """

    kind: str
    confidence: float
    width: float = 1.0
    share: float = 0.0

    @classmethod
    def of(cls, campaign: Mapping[str, Any]) -> StoppingRule | None:
        """Read the rule of a resolved ``[campaign]`` section; None if it has none."""
        stop = campaign.get("stop")
        if not stop:
            return None
        return cls(
            kind=str(stop["kind"]),
            confidence=float(stop.get("confidence") or campaign["confidence"]),
            width=float(stop.get("width") or 1.0),
            share=float(stop.get("share") or 0.0),
        )

    def look(self, count: int, trials: int) -> Decision | None:
        """Decide on ``count`` feasible of ``trials`` judged; None to go on."""
        low, high = confidence_sequence(count, trials, self.confidence)
        reason = None
        if self.kind == "width" and trials and high - low <= self.width:
            reason = "width"
        elif self.kind == "target" and low >= self.share:
            reason = "shown"
        elif self.kind == "target" and high < self.share:
            reason = "refuted"
        if reason is None:
            return None
        return Decision(reason=reason, count=count, trials=trials, low=low, high=high)
