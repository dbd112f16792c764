"""How late a campaign against the wall clock was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gridproof.federation.jsonable import Jsonable

__all__ = ["LISTED", "Overrun", "PaceReport", "Spread"]

LISTED = 20
"""How many overruns are listed, of however many there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread(Jsonable):
    """Median, 99th percentile and greatest of a time, s of the feeder's world."""

    p50: float
    p99: float
    max: float

    def words(self) -> str:
        """All three."""
        return f"{self.p50:.4g} / {self.p99:.4g} / {self.max:.4g} s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrun(Jsonable):
    """A step that was not done when the next was due.

    Attributes
    ----------
    index
        Its realization.
    lateness_s
        How late it began.
    loads_age_s
        How old the loads were that were answered, when the physics took the set-points.
    """

    index: int
    lateness_s: float
    loads_age_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PaceReport(Jsonable):
    """How late a campaign was.

    Attributes
    ----------
    steps
        Realizations that were tried against the clock.
    step_s
        Time between two of them, s of the feeder's world, as all times here.
    lateness_s, loads_age_s
        Of all steps.
    overruns
        Steps that were not done when the next was due.
    listed
        The first of them.
    """

    steps: int
    step_s: float
    lateness_s: Spread
    loads_age_s: Spread
    overruns: int
    listed: Sequence[Overrun]

    def words(self) -> list[str]:
        """Say it, a line each."""
        head = (
            f"real time: {self.steps} steps of {self.step_s:g} s; lateness "
            f"{self.lateness_s.words()}, age of the loads answered {self.loads_age_s.words()} "
            "(median / 99 % / most)"
        )
        if not self.overruns:
            return [head, "real time: every step was done before the next was due"]
        first = ", ".join(f"#{one.index} {one.lateness_s:.4g} s late" for one in self.listed)
        more = ", …" if self.overruns > len(self.listed) else ""
        return [
            head,
            f"real time: of {self.steps} steps {self.overruns} not done when the next was due: "
            f"{first}{more}",
        ]
