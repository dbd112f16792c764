"""What each column of a campaign's parts means, and its unit: for those who read them elsewhere.

A part is Parquet with a row for each realization (and step): one line of pandas, Polars or Arrow.
"""

from __future__ import annotations

from dataclasses import dataclass

from gridproof.federation.records.rows import MARGIN_UNITS, STEP
from gridproof.scenarios.verdict import MarginKind

__all__ = ["ROW_COLUMNS", "RowColumn", "meaning_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RowColumn:
    """One column, or one for each name that stands in its place in angle brackets.

    Attributes
    ----------
    name
        As in the file; ``zeta_<direction>`` is one for each direction.
    unit
        What its numbers are in; empty of words, counts and pure numbers.
    meaning
        What it says; null where nothing was solved, if not said otherwise.
    where
        Which campaigns have it; all if empty.
    """

    name: str
    unit: str
    meaning: str
    where: str = ""

    def names(self, column: str) -> bool:
        """Whether a column of a file is this one."""
        stem, mark, _ = self.name.partition("<")
        return column.startswith(stem) and len(column) > len(stem) if mark else column == stem


def _of_limits() -> tuple[RowColumn, ...]:
    where = {
        MarginKind.DAMAGE: "restoration",
        MarginKind.ENERGY: "storages or renewables",
        MarginKind.RESERVE: "[events]",
    }
    found = []
    for kind in MarginKind:
        name, unit = kind.value, MARGIN_UNITS[kind.value]
        held = where.get(kind, "")
        found += [
            RowColumn(
                name=f"margin_{name}", unit=unit, where=held,
                meaning=f"least margin to a {name} limit; below zero is outside",
            ),
            RowColumn(
                name=f"element_{name}", unit="", where=held, meaning="element with that margin"
            ),
            RowColumn(
                name=f"phase_{name}", unit="", where=held,
                meaning="its phase (a, b, c), or pair (ab, bc, ca)",
            ),
        ]  # fmt: skip
    return tuple(found)


_FAULTS, _REAL, _DEVICES = "[faults] or [devices]", "[realtime]", "[devices]"
_FAST = 'engine = "fast"'

ROW_COLUMNS = (
    RowColumn(name="index", unit="", meaning="realization; with the seed it decides the draw"),
    RowColumn(name=STEP, unit="", meaning="step, counted from 0", where="several steps"),
    RowColumn(
        name="zeta_<direction>", unit="",
        meaning="drawn coordinate of an uncertain load (or phase, or event), in [-1, 1] of a box",
    ),
    RowColumn(name="load_kw", unit="kW", meaning="demand drawn, all blocks, served or not"),
    RowColumn(name="outcome", unit="", meaning="how it ended, by the judge; see below"),
    RowColumn(
        name="outcome_linear", unit="", meaning="the same by the linear model",
        where='judge = "both"',
    ),
    *_of_limits(),
    RowColumn(name="served_kw", unit="kW", meaning="what the physics served"),
    RowColumn(name="forming_kw", unit="kW", meaning="output of all grid-forming DERs"),
    RowColumn(name="forming_kvar", unit="kvar", meaning="reactive output of all of them"),
    RowColumn(name="losses_kw", unit="kW", meaning="losses in lines and transformers"),
    RowColumn(
        name="redispatch_usd", unit="USD",
        meaning="what moving every DER from its planned power costs, losses included",
    ),
    RowColumn(name="iterations", unit="", meaning="of the power flow"),
    RowColumn(
        name="rounds", unit="", meaning="further re-dispatches after what AC showed",
        where='recourse = "ac"',
    ),
    RowColumn(
        name="age_s", unit="s", meaning="age of the set-points in force, the feeder's time",
        where=_FAULTS,
    ),
    RowColumn(
        name="outside_s", unit="s", meaning="how long the state was outside a limit", where=_FAULTS
    ),
    RowColumn(
        name="switches_stuck", unit="", meaning="switches that did not act", where=_FAULTS
    ),
    *(
        RowColumn(
            name=f"{word}_{unit.lower()}_<der>", unit=unit, where=_FAULTS,
            meaning=f"{power} power of that DER as {said}, all phases",
        )
        for unit, power in (("kW", "active"), ("kvar", "reactive"))
        for word, said in (("commanded", "asked for"), ("applied", "it was given"))
    ),
    RowColumn(
        name="device_age_s", unit="s", meaning="wall-clock age of the oldest measurement",
        where=_DEVICES,
    ),
    RowColumn(
        name="device_loop_s", unit="s", where=_DEVICES,
        meaning="wall-clock time from the first command written to the last measurement read",
    ),
    RowColumn(name="devices_lost", unit="", meaning="devices without an answer", where=_DEVICES),
    RowColumn(
        name="device_fault_<der>", unit="", where=_DEVICES,
        meaning="code of what is wrong with that device, 0 if nothing",
    ),
    RowColumn(
        name="fast_reason", unit="", where=_FAST,
        meaning="code of why OpenDSS answered, 0 if the fast engine did",
    ),
    RowColumn(
        name="fast_difference", unit="", where=_FAST,
        meaning="largest difference of a margin that the audit found; no number if not audited",
    ),
    RowColumn(
        name="lateness_s", unit="s", meaning="how late the step began, the feeder's time",
        where=_REAL,
    ),
    RowColumn(
        name="loads_age_s", unit="s", meaning="age of the loads that were answered", where=_REAL
    ),
    RowColumn(
        name="setpoints_age_s", unit="s", meaning="age of the set-points as applied", where=_REAL
    ),
)  # fmt: skip
"""Columns of a part, in their order."""


def meaning_of(column: str) -> RowColumn | None:
    """Return what a column of a part is; None where it is none of ours."""
    fitting = [one for one in ROW_COLUMNS if one.names(column)]
    return max(fitting, key=lambda one: len(one.name.partition("<")[0]), default=None)
