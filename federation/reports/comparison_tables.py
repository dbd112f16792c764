"""Two campaigns beside each other, as tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gridproof.federation.tables.table import Table, count, number, share, text

__all__ = ["gained_table", "paired_table"]


def paired_table(crossed: Mapping[str, Any]) -> Table:
    """Count realizations by what they are under the first campaign, and under the second."""
    return Table(
        name="paired",
        title="First (rows) against second (columns), realizations",
        columns=(
            text("first"),
            count("feasible in the second", short="second feasible"),
            count("not feasible in the second", short="second not"),
        ),
        rows=(
            ("feasible", crossed["both_feasible"], crossed["first_only"]),
            ("not", crossed["second_only"], crossed["neither"]),
        ),
    )


def gained_table(margins: Mapping[str, Any]) -> Table:
    """Say by kind of limit what margin the second campaign gains on the first."""
    return Table(
        name="margins-gained",
        title="Margin of the second less that of the first",
        columns=(
            text("limit"),
            number("mean", 4),
            number("least", 4),
            number("50 % quantile", 4, short="50 %"),
            number("greatest", 4),
            share("gained in"),
        ),
        rows=tuple(
            (
                f"{kind}, {one['unit']}",
                one["mean"],
                one["min"],
                one["quantiles"]["0.5"],
                one["max"],
                one["gained"] / one["count"],
            )
            for kind, one in margins.items()
        ),
    )
