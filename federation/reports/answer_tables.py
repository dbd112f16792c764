"""What a search for the worst, or for the rarest, found, as tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gridproof.federation.tables.table import Table, Tone, count, number, text
from gridproof.federation.wording import place_words

__all__ = ["level_table", "worst_margin_table"]


def worst_margin_table(answer: Mapping[str, Any]) -> Table:
    """Say of each kind of limit how near the worst realization comes to it, and where."""
    margins = answer["margins"]
    return Table(
        name="worst-margins",
        title="Its margins; below zero is outside",
        columns=(text("limit"), number("margin", 4), text("where")),
        rows=tuple(
            (f"{kind}, {one['unit']}", one["margin"], place_words(one["element"], one["phase"]))
            for kind, one in margins.items()
        ),
        tones=tuple(Tone.BAD if one["margin"] < 0.0 else None for one in margins.values()),
    )


def level_table(answer: Mapping[str, Any]) -> Table:
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
            (number_of, level["threshold"], level["share"], level["accepted"])
            for number_of, level in enumerate(answer["levels"], start=1)
        ),
    )
