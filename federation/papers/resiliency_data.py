"""The resiliency publication as data: a declared instance, and the rows of its tables."""

from __future__ import annotations

from typing import Annotated, Literal

from gridproof.federation.config.base import Section
from gridproof.federation.config.resiliency_day import Instance
from pydantic import Field, model_validator

__all__ = ["TERMS", "ResiliencyPaper", "RowOfTable", "TableRows"]

Numbers = Annotated[tuple[float, ...], Field(strict=False)]
Texts = Annotated[tuple[str, ...], Field(strict=False)]

TERMS = (
    "objective", "energy", "interruption", "emission", "grid", "gas", "response", "chp", "storage",
)  # fmt: skip
"""Columns of the printed tables, k$: OF = TEC + TCIC + TCEM, and TEC of the last five, (9)."""


class _About(Section):
    kind: Literal["resiliency"]
    title: str
    authors: str
    notes: Texts = ()


class RowOfTable(Section):
    """One printed row.

    Attributes
    ----------
    case
        I to IV.
    crews, mobile
        How many switches may be closed and generators placed; 0 where a case has none.
    gamma
        Budget of hours, of each bus and of the price.
    outage_hour
        From 1.
    printed_kusd
        In the order of `TERMS`.
    """

    case: Literal["I", "II", "III", "IV"]
    crews: int = Field(ge=0)
    mobile: int = Field(ge=0)
    gamma: int = Field(ge=0)
    outage_hour: int = Field(ge=1)
    printed_kusd: Numbers

    @property
    def key(self) -> str:
        """Name of its files: what it is, so that a row of two tables is run once."""
        parts = (self.case, f"crews{self.crews}", f"mobile{self.mobile}", f"gamma{self.gamma}")
        return "-".join((*parts, f"hour{self.outage_hour}"))

    @model_validator(mode="after")
    def _whole(self) -> RowOfTable:
        if len(self.printed_kusd) != len(TERMS):
            raise ValueError(
                f"printed_kusd has {len(self.printed_kusd)} figures; give {', '.join(TERMS)}"
            )
        return self


class TableRows(Section):
    """One printed table."""

    key: str
    title: str
    rows: Annotated[tuple[RowOfTable, ...], Field(strict=False, min_length=1)]


class ResiliencyPaper(Section):
    """The publication's file.

    Attributes
    ----------
    day
        The instance's file, among the shipped feeders.
    instance
        What it holds.
    """

    paper: _About
    day: str
    instance: Instance
    tables: Annotated[tuple[TableRows, ...], Field(strict=False, min_length=1)]
