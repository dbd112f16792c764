"""What a re-dispatch lacks where none exists: which limits stand in the way, and of what.

A realization without a re-dispatch is never solved, so no voltage or loading of it is known. What
is known is the program that had no solution: its limits with slack say what they have to give.
It is asked of the first few: each costs about what planning an island does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from gridproof.federation.tables.table import Table, count, number, share, text
from gridproof.federation.wording import decimals, whole
from gridproof.scenarios.arrays import FloatArray
from gridproof.scenarios.commitment import running
from gridproof.scenarios.errors import SolverError
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.scenario import Scenario

if TYPE_CHECKING:  # Pyomo is slow to import, and is needed only where something lacks
    from gridproof.optimizer.partitioning.shortfalls import Shortfall

__all__ = ["Lack", "Lacking", "asked_at_most", "lacking_of", "lacking_table"]

_ASKED = 20
_BUSES = 3000  # so many buses, times realizations, are asked about: two seconds of a processor
_EACH_S = 20.0
_BY_PROGRAM = ("linear", "ac")

_OF_DER = {
    "active": "active power",
    "total": "active power of all phases",
    "reactive": "reactive power",
    "apparent": "apparent power",
    "power_factor": "power factor",
    "capability": "capability curve",
    "ramp_active": "ramp of active power",
    "ramp_reactive": "ramp of reactive power",
}
_LIMITS = {
    **_OF_DER, "line": "current", "transformer": "transformer", "voltage": "voltage",
    "missing_active": "active power missing", "missing_reactive": "reactive power missing",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Lack:
    """One limit that stands in the way of a re-dispatch.

    Attributes
    ----------
    kind, element, upper
        Which limit, of what, and whether its upper end is meant; kinds are those of
        `optimizer.partitioning.shortfalls.Shortfall`.
    count
        Realizations that lack there.
    mean, most
        By how much it would have to give, summed over the phases.
    unit
        Of both.
    """

    kind: str
    element: str
    upper: bool
    count: int
    mean: float
    most: float
    unit: str

    @property
    def limit(self) -> str:
        """The limit in words."""
        words = _LIMITS[self.kind]
        if self.kind == "voltage":
            return f"{'greatest' if self.upper else 'least'} {words}"
        both = self.upper or self.kind in {"power_factor", "capability"}
        return words if both else f"least {words}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lacking:
    """What stands in the way where no re-dispatch exists.

    Attributes
    ----------
    asked, lost
        Realizations that were asked about, of those without a re-dispatch.
    rows
        Limits, most often first.
    """

    asked: int
    lost: int
    rows: tuple[Lack, ...] = ()

    def words(self) -> str:
        """Say it in a sentence."""
        what = f"{whole(self.lost)} realizations have no re-dispatch"
        if not self.asked:
            return f"{what}; what they lack was not asked."
        if not self.rows:
            return f"{what}; what the first {self.asked} lack could not be told."
        first = self.rows[0]
        mean = decimals(first.mean, 4 if first.unit == "pu" else 1)
        return (
            f"{what}. Of the first {self.asked} of them {first.count} lack most often at the "
            f"{first.limit} of {first.element}: {mean} {first.unit} on average."
        )


def asked_at_most(scenario: Scenario, steps: int, recourse: str) -> int:
    """Return how many realizations may be asked about: none where no program answered them."""
    carries = steps > 1 and not scenario.fleet.empty  # limits then depend on what came before
    if recourse not in _BY_PROGRAM or carries:
        return 0
    return min(max(1, _ASKED // steps), _BUSES // len(scenario.feeder.buses.ids))


def lacking_of(
    plan: Plan, scenario: Scenario, time: int, zetas: Sequence[FloatArray], lost: int
) -> Lacking:
    """Ask what re-dispatch lacks at each of some realizations that have none.

    Parameters
    ----------
    plan, scenario, time
        The step.
    zetas
        (direction,) of each.
    lost
        How many there are in all.
    """
    if not zetas:
        return Lacking(asked=0, lost=lost)
    # Pyomo takes a second to import
    from gridproof.optimizer.network.first_stage import FirstStage  # noqa: PLC0415
    from gridproof.optimizer.network.network import Network  # noqa: PLC0415
    from gridproof.optimizer.partitioning.shortfalls import redispatch_shortfalls  # noqa: PLC0415

    network = Network.of(running(plan, scenario, time), time)
    stage, found = FirstStage.of(plan, time), []
    for zeta in zetas:
        try:
            found.append(redispatch_shortfalls(network, stage, zeta, time_limit_s=_EACH_S))
        except SolverError:  # of this one nothing is said
            continue
    return Lacking(asked=len(found), lost=lost, rows=_counted(found))


def _counted(found: Sequence[Sequence[Shortfall]]) -> tuple[Lack, ...]:
    amounts: dict[tuple[str, str, bool, str], list[float]] = {}
    for one in found:
        of_one: dict[tuple[str, str, bool, str], float] = {}
        for lack in one:
            key = (lack.kind, lack.element, lack.upper, lack.unit)
            of_one[key] = of_one.get(key, 0.0) + lack.amount
        for key, amount in of_one.items():
            amounts.setdefault(key, []).append(amount)
    rows = (
        Lack(kind=kind, element=element, upper=upper, unit=unit, count=len(held),
             mean=float(np.mean(held)), most=max(held))
        for (kind, element, upper, unit), held in amounts.items()
    )  # fmt: skip
    return tuple(sorted(rows, key=lambda one: (-one.count, -one.most, one.element, one.kind)))


def lacking_table(found: Lacking | None) -> Table | None:
    """List what stands in the way; nothing where every realization has a re-dispatch."""
    if found is None or not found.rows:
        return None
    return Table(
        name="lacking",
        title="What a re-dispatch lacks where none exists: limits, and how far they would have to "
        "give",
        columns=(
            text("element"), text("limit"), count("realizations"), share("share"),
            number("mean", 4), number("most", 4), text("unit"),
        ),
        rows=tuple(
            (one.element, one.limit, one.count, one.count / found.asked, one.mean, one.most,
             one.unit)
            for one in found.rows
        ),
        note=f"Asked of the first {found.asked} of {whole(found.lost)} without a re-dispatch, all "
        "other limits held; more than one way to give may exist.",
        shown=15,
    )  # fmt: skip
