"""A plan as tables: its islands, DERs and switches; made once, for the terminal and the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gridproof.federation.tables.table import Table, Tone, number, prose, text
from gridproof.federation.wording import formers_of

__all__ = ["der_table", "island_table", "switch_table"]

_ROLES = {"grid-forming": Tone.LIVE, "substation": Tone.LIVE, "off": Tone.QUIET}
_INFINITE = "\u221e"


def island_table(plan: Mapping[str, Any]) -> Table:
    """Who forms each island, and what it must carry; what was asked for where not all is served."""
    islands = plan["islands"]
    shed = any(one["served_kw"] < one["demand_kw"] for one in islands)
    return Table(
        name="islands",
        title="Islands of the plan",
        columns=(
            text("grid-forming DER", short="forming DER", tone=Tone.LIVE),
            prose("blocks"),
            number("nominal demand", 1, "kW", short="demand"),
            *([number("asked", 1, "kW")] if shed else []),
            number("DER capacity", 1, "kW", short="capacity", nothing=_INFINITE),
        ),
        rows=tuple(
            (
                formers_of(one, plan["ders"]),
                ", ".join(one["blocks"]),
                one["demand_kw"],
                *([one["served_kw"]] if shed else []),
                one["capacity_kw"],
            )
            for one in islands
        ),
    )


def der_table(plan: Mapping[str, Any]) -> Table:
    """Set-points of the DERs."""
    ders = plan["ders"]
    return Table(
        name="ders",
        title="Set-points of the DERs",
        columns=(
            text("DER"),
            text("bus"),
            text("block"),
            text("role"),
            number("P", 1, "kW"),
            number("of", 0, "kW", nothing=_INFINITE),
            number("Q", 1, "kvar"),
            number("held voltage", 4, "pu", short="held V"),
        ),
        rows=tuple(
            (
                name,
                *(der[key] for key in ("bus", "block", "role", "p_kw", "capacity_kw", "q_kvar")),
                der["source_v_pu"],
            )
            for name, der in ders.items()
        ),
        tones=tuple(_ROLES.get(der["role"]) for der in ders.values()),
    )


def switch_table(plan: Mapping[str, Any]) -> Table:
    """Which switches are closed."""
    return Table(
        name="switches",
        title="Switch states",
        columns=(text("switch"), text("state")),
        rows=tuple(plan["switches"].items()),
    )
