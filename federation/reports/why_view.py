"""Why blocks are dead, for people: what lacks, in figures, or what serving them would cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from gridproof.federation.jsonable import read_as
from gridproof.federation.records.plan_report import BlockAnswer
from gridproof.federation.tables.table import Place, Table, number, prose, text
from gridproof.federation.tables.terminal import TableView
from gridproof.federation.wording import decimals
from rich.console import RenderableType
from rich.text import Text

if TYPE_CHECKING:  # Pyomo is slow to import, and nothing here runs it
    from gridproof.optimizer.partitioning.shortfalls import Shortfall
    from gridproof.optimizer.partitioning.why import DeadBlock

__all__ = ["why_lines", "why_summary", "why_table", "why_view"]

_SHOWN = 4
_MEANING = {
    "impossible": "cannot be served",
    "dearer": "dearer than shedding it",
    "no_dearer": "could be served at no greater cost",
    "undecided": "not decided",
}


def why_summary(found: Sequence[DeadBlock]) -> tuple[BlockAnswer, ...]:
    """Say of each dead block what was found, and the same in words."""
    return tuple(
        read_as(BlockAnswer, {**asdict(one), "standing": one.standing.value, "words": _words(one)})
        for one in found
    )


def why_view(found: Sequence[BlockAnswer]) -> RenderableType:
    """Set what stands against each dead block."""
    if not found:
        return Text("Every block is live: nothing stands against any")
    return TableView(why_table(found))


def why_lines(found: Sequence[BlockAnswer]) -> list[str]:
    """Say what must be known of the whole list."""
    lines = ["Each block is asked about alone: serving one may rule out another."]
    if any(one.standing == "undecided" for one in found):
        lines.append("Not decided: raise planner.time_limit_s.")
    return lines


def why_table(found: Sequence[BlockAnswer]) -> Table:
    """Set what stands against each dead block; the step is told to a terminal if there are more."""
    several = len({one.step for one in found}) > 1
    against = "what stands against serving it"
    return Table(
        name="dead-blocks",
        title="Why blocks are dead",
        columns=(
            text("block"),
            text("step", place=Place.TERMINAL if several else Place.PAGE),
            number("nominal demand", 1, "kW", short="demand"),
            prose(against, key="standing"),
            prose(against, words="\n".join, joined="{}\n{}"),
        ),
        rows=tuple(
            (
                one.block,
                str(one.step),
                one.demand_kw,
                _MEANING[one.standing],
                tuple(one.words),
            )
            for one in found
        ),
        note=" ".join(why_lines(found)),
    )


def _words(one: DeadBlock) -> tuple[str, ...]:
    if one.no_former:
        return (
            "no DER that can form an island can be joined to it: every way there is locked open, "
            "or no DER beyond has can_form",
        )
    if one.standing == "undecided":
        found = _alternative(one)
        return (f"a time limit came before an answer{'; ' + found if found else ''}",)
    if one.standing != "impossible":
        return (_alternative(one),)
    return _impossible(one)


def _impossible(one: DeadBlock) -> tuple[str, ...]:
    if not one.shortfalls:
        return (
            "no plan of this study has it live: the search proves it, but no one limit could be "
            "named",
        )
    lines = [_at(one)]
    told = _by_phases(one.shortfalls)
    lines += told[:_SHOWN]
    if len(told) > _SHOWN:
        lines.append(f"and {len(told) - _SHOWN} more (all in --json)")
    if one.polygon_sides is not None:
        lines.append(
            "only the polygon that the linear model puts inside each rating stands against it: "
            f"limits.polygon_sides = {one.polygon_sides} leaves nothing lacking here"
        )
    if one.margin_alone:
        lines.append(
            "only the margin that the planner keeps (planner.ac_margin, ac_margin_at) stands "
            "against it"
        )
    return tuple(lines)


def _at(one: DeadBlock) -> str:
    if one.realization == "nominal":
        return "at the nominal load, the least found to lack:"
    where = f" with {one.realization}" if one.realization else " at some realization"
    return f"the nominal load can be served; not{where}, where the least found to lack is:"


def _by_phases(shortfalls: Sequence[Shortfall]) -> list[str]:
    """One line for each shortfall; phases that lack alike share one."""
    phases: dict[str, list[str]] = {}
    for lack in shortfalls:
        phases.setdefault(_lack(lack, "{}"), []).append(lack.phase)
    return [
        line.format(
            "" if not held[0] else f", phase{'s' if len(held) > 1 else ''} {', '.join(held)}"
        )
        for line, held in phases.items()
    ]


def _lack(lack: Shortfall, phase: str) -> str:
    amount, name = _figure(lack.amount, lack.unit), lack.element.replace("{", "{{")
    name = name.replace("}", "}}")
    limit = "" if lack.limit is None else _figure(lack.limit, lack.unit)
    if lack.kind.startswith("missing"):
        what = "is lacking" if lack.upper else "too much"
        return f"bus {name}{phase}: {amount} {what}; no DER or branch can bring it there"
    if lack.kind == "voltage":
        side, edge = ("above", "greatest") if lack.upper else ("below", "least")
        return f"bus {name}{phase}: voltage {amount} {side} the {edge} allowed, {limit}"
    if lack.kind in {"line", "transformer"}:
        return f"{lack.kind} {name}{phase}: {amount} beyond its {limit}"
    if lack.kind.startswith("ramp"):
        way = "up" if lack.upper else "down"
        return f"DER {name}{phase}: re-dispatch {way} by {amount} more than its {limit} ramp"
    power = "(reactive) " if lack.kind == "reactive" else ""
    by_active = {"power_factor": "its power factor", "capability": "its capability curve"}
    if lack.kind not in {"apparent", *by_active} and not lack.upper:
        return f"DER {name}{phase}: {amount} {power}below the least it can make, {limit}"
    allowed = by_active.get(lack.kind)
    end = f"its {limit}" if allowed is None else f"what {allowed} allows"
    return f"DER {name}{phase}: lacks {amount} {power}beyond {end}"


def _figure(value: float, unit: str) -> str:
    digits = 4 if unit == "pu" else 1 if abs(value) >= 10.0 else 2 if abs(value) >= 0.1 else 4
    return f"{decimals(value, digits)} {unit}"


def _alternative(one: DeadBlock) -> str:
    other = one.alternative
    if other is None:
        return ""
    known = "unknown" if one.plan_usd is None else f"{decimals(one.plan_usd, 2)} USD"
    least = (
        ""
        if other.cost_usd - other.bound_usd <= 1e-3 * max(1.0, abs(other.cost_usd))
        else f" (at least {decimals(other.bound_usd, 2)})"
    )
    return (
        f"with it live a plan costs {decimals(other.cost_usd, 2)} USD{least} and serves "
        f"{decimals(other.served_kw, 1)} kW; this plan costs {known}"
    )
