"""What came of one row of the policy-mode publication, as a value, and as it is kept."""

from __future__ import annotations

from dataclasses import dataclass

from gridproof.federation.jsonable import Jsonable

__all__ = ["AcBreaches", "PolicyModeFigures"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AcBreaches(Jsonable):
    """(Realization, step) pairs that AC physics leaves outside a limit.

    Attributes
    ----------
    pairs, solved
        All that were tried, and those that were solved.
    network
        Outside a voltage, current or transformer limit.
    voltage, current, transformer, capability, ramp, damage, energy, reserve
        By kind of limit.
    in_set, in_set_breached
        Solved pairs that were drawn inside the set a plan is proven over, and how many of those
        left any limit; None without such a set.
    """

    pairs: int
    solved: int
    network: int
    voltage: int
    current: int
    transformer: int
    capability: int
    ramp: int
    damage: int
    energy: int
    reserve: int
    in_set: int | None
    in_set_breached: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyModeFigures(Jsonable):
    """One row in figures, in the order in which it is written; shares are between 0 and 1.

    Attributes
    ----------
    mode, method, response, network, varied
        What was asked for.
    cost_usd, energy_usd, reserve_usd
        The plan; these and all that follow are None where there is none.
    violated_share
        Of (draw, hour) pairs of the actual distribution, those short of reserve.
    worst_hour, worst_hour_at, any_hour
        Share of the worst hour, which one, and of days with any such hour.
    on_sampled
        ``violated_share`` on draws of the distribution that the log was sampled from.
    outside_set, outside_set_sampled
        Share of pairs that are drawn outside the set.
    reserve_up_kw
        Mean over the hours.
    ac_breaches, ac
        Pairs outside a network limit under AC, and all kinds; None where that was not tried.
    seconds, processor_seconds
        Wall and processor time of planning.
    proof, termination, robust
        What is proven, or why there is no plan, and how the search ended.
    """

    mode: str
    method: str
    response: str
    network: str
    varied: str | None
    cost_usd: float | None = None
    energy_usd: float | None = None
    reserve_usd: float | None = None
    violated_share: float | None = None
    worst_hour: float | None = None
    worst_hour_at: int | None = None
    any_hour: float | None = None
    on_sampled: float | None = None
    outside_set: float | None = None
    outside_set_sampled: float | None = None
    reserve_up_kw: float | None = None
    ac_breaches: int | None = None
    ac: AcBreaches | None = None
    seconds: float
    processor_seconds: float
    proof: str
    termination: str | None
    robust: bool
