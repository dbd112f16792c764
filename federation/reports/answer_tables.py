"""What a search for the worst, or for the rarest, found, as tables."""

from __future__ import annotations

from collections.abc import Mapping

from gridproof.federation.records.probe_report import LimitMargin, RareReport
from gridproof.federation.tables.table import Table, Tone, count, number, text
from gridproof.federation.wording import place_words

__all__ = ["level_table", "margin_table"]


def margin_table(margins: Mapping[str, LimitMargin], *, name: str, digits: int = 4) -> Table:
    """Say of each kind of limit how near a realization comes to it, and where."""
    return Table(
        name=name,
        title="Its margins; below zero is outside",
        columns=(text("limit"), number("margin", digits), text("where")),
        rows=tuple(
            (f"{kind}, {one.unit}", one.margin, place_words(one.element, one.phase))
            for kind, one in margins.items()
        ),
        tones=tuple(Tone.BAD if one.margin < 0.0 else None for one in margins.values()),
    )


def level_table(answer: RareReport) -> Table:
    """Say of each level of a subset simulation how far it reached."""
    return Table(
        name="levels",
        title="Levels",
        columns=(
            count("level"),
            number("threshold", 5, nothing="none"),
            number("share", 3),
            number("accepted", 2),
        ),
        rows=tuple(
            (number_of, level.threshold, level.share, level.accepted)
            for number_of, level in enumerate(answer.levels, start=1)
        ),
    )
