"""What a feeder has done of its campaign, where stretches of it may have to be done anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["AuditFailed", "Progress"]


class AuditFailed(Exception):
    """Estimates of a stretch are not to be trusted; nothing of the batch was kept."""


@dataclass(slots=True, kw_only=True, eq=False)
class Progress:
    """Realizations done, by the stretch they are of.

    Attributes
    ----------
    span
        Realizations of a stretch; None where none is done anew.
    done
        Realizations done, those that were forgotten since left out.
    """

    span: int | None
    done: int = 0
    _begins: dict[int, int] = field(default_factory=dict)
    _of: dict[int, int] = field(default_factory=dict)
    _again: set[int] = field(default_factory=set)

    def was_done_again(self, first: int) -> bool:
        """Whether the stretch of a realization was done anew, and so is whole."""
        if self.span is None:
            return False
        self._begins.setdefault(first // self.span, first)
        return first // self.span in self._again

    def add(self, first: int, count: int) -> None:
        """Count a batch."""
        self.done += count
        if self.span is not None:
            stretch = first // self.span
            self._of[stretch] = self._of.get(stretch, 0) + count

    def start_again(self, first: int, ranges: Sequence[tuple[int, int]]) -> int:
        """Forget a stretch; returns how many of it an earlier run had done, which come on top."""
        assert self.span is not None
        stretch = first // self.span
        self._again.add(stretch)
        self.done -= self._of.pop(stretch, 0)
        return self._begins[stretch] - ranges[0][0]
