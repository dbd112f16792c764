"""What each event risks, and which modes cover it, as tables."""

from __future__ import annotations

from collections.abc import Sequence

from gridproof.federation.records.mode_report import EventRisk, ModeCandidate
from gridproof.federation.tables.table import Table, Tone, number, prose, share, text

__all__ = ["candidate_table", "risk_table"]


def risk_table(risks: Sequence[EventRisk]) -> Table:
    """Say of each event how likely it is, what it takes away, and its part of the whole risk."""
    return Table(
        name="risks",
        title="Events within an hour",
        columns=(
            text("event"),
            share("probability"),
            number("impact", 1, "kW"),
            number("risk", 2, "kW"),
            share("share"),
            text("alone breaks a limit"),
        ),
        rows=tuple(
            (
                row.event,
                row.probability,
                row.impact_kw,
                row.risk_kw,
                row.share,
                row.breaks_a_limit,
            )
            for row in risks
        ),
    )


def candidate_table(modes: Sequence[ModeCandidate]) -> Table:
    """Say of each mode what of the risk it covers, what it costs, and why it is chosen or not."""
    return Table(
        name="modes",
        title="Modes",
        columns=(
            text("", key="chosen", words=lambda chosen: "\u2192" if chosen else ""),
            text("mode"),
            share("risk covered"),
            number("cost", 0, "USD"),
            prose("why"),
        ),
        rows=tuple(
            (row.chosen, "+".join(row.modes), row.share, row.cost_usd, row.reason) for row in modes
        ),
        tones=tuple(Tone.LIVE if row.chosen else None for row in modes),
    )
