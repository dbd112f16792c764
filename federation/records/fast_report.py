"""What the fast engine settled of a campaign, and what OpenDSS answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gridproof.federation.jsonable import Jsonable
from gridproof.federation.trial.guarded import SolvedBy
from gridproof.federation.wording import whole

__all__ = ["FastReport"]

_WORDS: Mapping[SolvedBy, str] = {
    SolvedBy.NEAR_LIMIT: "as near to a limit as the guard",
    SolvedBy.NO_SOLUTION: "for which it found no solution",
    SolvedBy.OUT_OF_RANGE: "with a load at a voltage where its model may not hold",
    SolvedBy.MISSED_LOAD: "that it served another load than asked",
    SolvedBy.AUDIT: "to audit it",
    SolvedBy.OTHER_NETWORK: "whose switches stood otherwise than planned",
    SolvedBy.NOT_MODELLED: "of a network that it does not model",
    SolvedBy.FAILED_AUDIT: "in stretches where an audit failed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FastReport(Jsonable):
    """Who answered the realizations of a campaign with the fast engine.

    Attributes
    ----------
    guard
        OpenDSS answers what is as near to a limit, pu or share of a rating.
    rows
        Answered in all, over the steps that are told of together.
    audited, largest_difference
        Answered by both and compared, and the largest difference of a margin; None where nothing
        was compared, or one alone found a solution.
    by_opendss
        By reason, how many OpenDSS answered.
    done_again
        Stretches of 2048 realizations that OpenDSS did again as a whole, since an audited margin
        differed by more than a tenth of the guard.
    """

    guard: float
    rows: int
    audited: int
    largest_difference: float | None
    by_opendss: Mapping[str, int]
    done_again: int

    def words(self) -> list[str]:
        """Sentences without full stops."""
        again = sum(self.by_opendss.values())
        lines = [f"fast engine: OpenDSS answered {whole(again)} of {whole(self.rows)} realizations"]
        lines += [
            f"  {whole(self.by_opendss[reason.name.lower()])} {words}"
            for reason, words in _WORDS.items()
            if reason.name.lower() in self.by_opendss
        ]
        if self.audited and self.largest_difference is not None:
            lines.append(
                f"fast engine: of {whole(self.audited)} audited realizations no margin is further "
                f"than {self.largest_difference:.1e} from OpenDSS's; guard {self.guard:g}"
            )
        elif self.audited:
            lines.append(
                f"fast engine: of {whole(self.audited)} audited realizations some has a solution "
                "by one of both alone"
            )
        else:
            lines.append("fast engine: nothing was audited")
        if self.done_again:
            lines.append(
                f"THE FAST ENGINE FAILED ITS AUDIT in {self.done_again} stretches of 2048 "
                "realizations: all of theirs are OpenDSS's numbers"
            )
        return lines
