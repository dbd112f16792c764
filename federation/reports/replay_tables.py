"""One realization opened, as tables: its margins, its DERs, its lowest and fullest elements."""

from __future__ import annotations

from gridproof.federation.records.replay_report import ReplayedStep, ReplayReport
from gridproof.federation.reports.answer_tables import margin_table
from gridproof.federation.tables.table import Table, number, text
from gridproof.federation.tables.terminal import TableView, facts_view
from gridproof.federation.wording import decimals
from rich.console import RenderableType
from rich.text import Text

__all__ = ["replay_view"]

_SHOWN = 8


def replay_view(report: ReplayReport, step: ReplayedStep) -> list[RenderableType]:
    """Set one step of a realization for a terminal."""
    views: list[RenderableType] = [facts_view(_facts(report, step))]
    views += (
        [TableView(margin_table(step.margins, name="margins", digits=5))] if step.margins else []
    )
    views.append(TableView(_ders(step)))
    if step.buses:
        views += [TableView(_voltages(step)), TableView(_loading(step))]
    return views if len(report.steps) == 1 else [*views, Text(_others(report, step))]


def _facts(report: ReplayReport, step: ReplayedStep) -> list[tuple[str, str]]:
    which = f"#{report.index}" if not report.named else report.named
    outcome = step.outcome.replace("_", " ")
    if step.outcome == "no_recourse" and step.buses:
        outcome += "; what follows is with the plan's own set-points"
    facts = [("realization", which), ("outcome", outcome)]
    if step.kept_outcome is not None:
        same = step.outcome == step.kept_outcome and not step.margins_apart
        other = f"{step.kept_outcome.replace('_', ' ')}, margins {step.margins_apart:.1e} apart"
        facts.append(("campaign's row", "the same" if same else other))
    if len(report.steps) > 1:
        facts.insert(1, ("step", f"{step.step}, {step.name}"))
    facts.append(("recourse, judge", f"{report.recourse}, {report.judge}"))
    if step.served_kw is not None and step.asked_kw is not None and step.losses_kw is not None:
        facts.append(
            (
                "served",
                f"{decimals(step.served_kw, 2)} of {decimals(step.asked_kw, 2)} kW asked where it "
                f"lives, losses {decimals(step.losses_kw, 2)} kW",
            )
        )
    drawn = ", ".join(f"{name} {decimals(z, 3, sign=True)}" for name, z in step.zeta.items())
    facts.append(("draw", drawn or "nothing is drawn"))
    if report.alone_apart_pu is not None:
        facts.append(("OpenDSS alone", f"solves the file to within {report.alone_apart_pu:.1e} pu"))
    return facts


def _ders(step: ReplayedStep) -> Table:
    return Table(
        name="ders",
        title="DERs",
        columns=(
            text("DER"),
            text("role"),
            number("told", 2, "kW"),
            number("told", 2, "kvar"),
            number("gave", 2, "kW"),
            number("gave", 2, "kvar"),
        ),
        rows=tuple(
            (
                name,
                f"forms at {decimals(one.held_pu, 4)} pu" if one.held_pu is not None else "follows",
                _sum(one.told_kw),
                _sum(one.told_kvar),
                _sum(one.gave_kw),
                _sum(one.gave_kvar),
            )
            for name, one in step.ders.items()
        ),
    )


def _voltages(step: ReplayedStep) -> Table:
    found = [
        (v, name, "abc"[phase])
        for name, bus in step.buses.items()
        for phase, v in enumerate(bus.v_pu)
        if v is not None
    ]
    found.sort(key=lambda one: one[0])
    ends = found if len(found) <= _SHOWN else [*found[: _SHOWN // 2], *found[-_SHOWN // 2 :]]
    return Table(
        name="voltages",
        title="Lowest and highest voltages",
        columns=(text("bus"), text("phase"), number("voltage", 5, "pu")),
        rows=tuple((name, phase, v) for v, name, phase in ends),
    )


def _loading(step: ReplayedStep) -> Table:
    flows: list[tuple[str, float, str, float | None]] = [
        (
            f"line {name}",
            max((a for a in one.current_a if a is not None), default=0.0),
            "A",
            one.share_of_rating,
        )
        for name, one in step.lines.items()
    ]
    flows += [
        (f"transformer {name}", unit.kva, "kVA", unit.share_of_rating)
        for name, unit in step.transformers.items()
    ]
    rated = sorted((one for one in flows if one[3] is not None), key=lambda one: -(one[3] or 0.0))
    return Table(
        name="loading",
        title="Fullest lines and transformers",
        columns=(text("element"), number("flow", 2), text("unit"), number("of rating", 4)),
        rows=tuple(rated[:_SHOWN]),
    )


def _others(report: ReplayReport, shown: ReplayedStep) -> str:
    words = [
        f"{one.name}: {one.outcome.replace('_', ' ')}" for one in report.steps if one is not shown
    ]
    return "Other steps (--step opens one): " + ", ".join(words)


def _sum(values: tuple[float | None, ...]) -> float | None:
    known = [one for one in values if one is not None]
    return sum(known) if known else None
