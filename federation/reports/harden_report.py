"""A finished counter-example loop in figures and words."""

from __future__ import annotations

from pathlib import Path

from gridproof.federation.inquiries.harden_figures import (
    FailingPlace,
    HardenPrice,
    HardenReport,
    RoundReport,
)
from gridproof.federation.inquiries.harden_rounds import HardenRound
from gridproof.federation.inquiries.harden_settings import HardenSettings
from gridproof.federation.inquiries.hardening import End, Hardening
from gridproof.federation.records.environment import versions
from gridproof.federation.tables.files import markdown_text
from gridproof.federation.tables.table import (
    Column,
    Table,
    Tone,
    count,
    interval,
    number,
    share,
)
from gridproof.federation.tables.terminal import TableView
from gridproof.federation.wording import decimals
from rich.console import RenderableType
from rich.text import Text

__all__ = ["harden_markdown", "harden_summary", "harden_view", "round_line", "rounds_table"]

_SHOWN_PLACES = 4


def round_line(one: HardenRound, settings: HardenSettings) -> str:
    """Say in one line how a round ended."""
    verdict = "shown" if one.shown else "not shown"
    told = "" if one.certificate is None else f"{one.certificate.verdict} over all loads"
    if one.tried is not None:
        told = (
            f"{decimals(100.0 * one.tried.value, 2)} % feasible, at least "
            f"{decimals(100.0 * one.bound, 2)} %"
        )
    return (
        f"round {one.number}: ac_margin {_kept(_round(one, one.out.parent))} pu, "
        f"{decimals(one.plan.served_kw, 0)} kW served, {told or 'not to be proven'}: "
        f"{100.0 * settings.share:g} % {verdict}"
    )


def harden_summary(done: Hardening, study: str, root: Path) -> HardenReport:
    """Put a loop into one object, the one that ``--json`` prints.

    ``price`` compares the last plan with the first. ``error_control`` says what the asked
    confidence covers.
    """
    settings, rounds = done.settings, tuple(_round(one, root) for one in done.rounds)
    first, last = rounds[0], rounds[-1]
    return HardenReport(
        study=study,
        asked_share=settings.share,
        confidence=settings.confidence,
        shown=done.end is End.SHOWN,
        end=done.end.value,
        why=done.why,
        rounds=rounds,
        price=HardenPrice(
            served_kw=first.served_kw - last.served_kw,
            served_share=_ratio(first.served_kw - last.served_kw, first.served_kw),
            objective_usd=_difference(last.objective_usd, first.objective_usd),
            energized_blocks=first.energized_blocks - last.energized_blocks,
            ac_margin_pu=round(last.ac_margin_pu - first.ac_margin_pu, 6),
            margins_at_pu=last.margins_at_pu,
        ),
        advice=_advice(done),
        error_control=(
            f"round k draws realizations of its own (seed + k - 1) and may err with "
            f"{1.0 - settings.confidence:g} / (k (k + 1)), which sums to "
            f"{1.0 - settings.confidence:g} over any number of rounds; bounds are exact and "
            "one-sided, and what could not be judged counts against the plan; a plan that is "
            "proven spends nothing"
        ),
        versions=versions(),
    )


def _advice(done: Hardening) -> str:
    """Say what a wider margin cannot mend, where that is what stood in the way."""
    last, settings = done.rounds[-1], done.settings
    missing = last.found.outcomes.get("no_recourse", 0)
    if done.end is End.SHOWN or missing <= (1.0 - settings.share) * last.found.samples:
        return ""
    remedy = (
        "the plan is robust only inside narrower limits"
        if last.plan.proof.robust
        else "the plan was made without the uncertainty set: choose a robust method"
    )
    return (
        f"{missing} realizations of the last round have no re-dispatch in the planner's own model, "
        f"which a wider AC margin does not aim at; {remedy}"
    )


def _round(one: HardenRound, root: Path) -> RoundReport:
    return RoundReport(
        round=one.number,
        directory=one.out.relative_to(root).as_posix(),
        ac_margin_pu=one.margins.everywhere,
        margins_at_pu=one.margins.by_kind(),
        seed=one.seed,
        energized_blocks=one.plan.energized_blocks,
        served_kw=one.plan.served_kw,
        objective_usd=one.plan.objective_usd,
        certified=one.plan.proof.certified,
        grid_forming=one.plan.grid_forming,
        certificate=None if one.certificate is None else one.certificate.verdict,
        worst=None if one.certificate is None else one.certificate.worst,
        samples=one.found.samples,
        feasible=one.found.feasible,
        feasible_share=None if one.tried is None else one.tried.value,
        interval=None if one.tried is None else (one.tried.low, one.tried.high),
        alpha=one.alpha,
        one_sided_bound=one.bound,
        shown=one.shown,
        failures=one.found.outcomes,
        deepest_pu=one.found.depths_pu[0] if one.found.depths_pu else None,
        fails_at=tuple(
            FailingPlace(
                limit=place.kind,
                element=place.element,
                realizations=place.count,
                worst_margin=place.worst,
                worst_index=place.index,
            )
            for place in one.found.places
        ),
    )


def _kept(one: RoundReport) -> str:
    """Say what was kept clear: everywhere, and at how many elements more."""
    more = sum(len(table) for table in one.margins_at_pu.values())
    return decimals(one.ac_margin_pu, 4) + (f" +{more}" if more else "")


def _kept_where(one: RoundReport) -> str:
    alike: dict[tuple[str, float], list[str]] = {}
    for kind, table in one.margins_at_pu.items():
        for name, value in table.items():
            alike.setdefault((kind, value), []).append(name)
    own = [
        f"{kind} {', '.join(names)}: {decimals(value, 4)} pu"
        for (kind, value), names in alike.items()
    ]
    return f"; kept clear at {'; '.join(own)}" if own else ""


def _difference(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole > 0.0 else None


def harden_view(summary: HardenReport) -> list[RenderableType]:
    """Set a loop for a terminal: the rounds, how it ended, what it cost."""
    failures = "\n".join(_failures(one) for one in summary.rounds)
    views: list[RenderableType] = [
        TableView(rounds_table(summary)),
        Text(failures),
        Text(_ending(summary)),
    ]
    views += [Text(summary.advice)] if summary.advice else []
    return [*views, Text(f"Error control: {summary.error_control}.")]


def harden_markdown(summary: HardenReport) -> str:
    """Set a loop for a Markdown file, every failing element listed."""
    lines = [
        f"# {summary.study}: {100.0 * summary.asked_share:g} % feasible at "
        f"{100.0 * summary.confidence:g} % confidence\n",
        markdown_text(rounds_table(summary)).rstrip(),
        f"\n{_ending(summary)}\n",
        *([f"{summary.advice}\n"] if summary.advice else []),
        f"Error control: {summary.error_control}.\n",
        "## Counter-examples\n",
    ]
    for one in summary.rounds:
        lines.append(_failures(one))
        lines += [
            f"- {place.limit} at {place.element}: {place.realizations} realizations, "
            f"worst margin {decimals(place.worst_margin, 4)} in #{place.worst_index}"
            for place in one.fails_at
        ]
        lines.append("")
    return "\n".join(lines)


def rounds_table(summary: HardenReport) -> Table:
    """Set the rounds of a loop: what each plan keeps clear, serves and costs, and was shown."""
    return Table(
        name="rounds",
        title=f"Rounds, {100.0 * summary.asked_share:g} % asked at "
        f"{100.0 * summary.confidence:g} % confidence",
        columns=(
            count("round", short="#"),
            Column(title="AC margin", short="margin", unit="pu", numeric=True),
            count("live blocks", short="live"),
            number("served", 0, "kW"),
            number("cost", 0, "USD"),
            Column(title="all loads"),
            share("share"),
            *interval("interval", share("from"), share("to"), unit=""),
            share("bound"),
        ),
        rows=tuple(
            (
                one.round,
                _kept(one),
                one.energized_blocks,
                one.served_kw,
                one.objective_usd,
                "" if one.certificate is None else one.certificate.value,
                one.feasible_share,
                *(one.interval or (None, None)),
                one.one_sided_bound,
            )
            for one in summary.rounds
        ),
        tones=tuple(Tone.GOOD if one.shown else None for one in summary.rounds),
    )


def _failures(one: RoundReport) -> str:
    """Say what failed in a round and, most frequent first, where."""
    if not one.samples:
        return f"round {one.round}: {_certified(one)}{_kept_where(one)}"
    if not one.failures:
        return f"round {one.round}: nothing fails{_kept_where(one)}"
    kinds = [f"{count} {name.replace('_', ' ')}" for name, count in one.failures.items()]
    places = [
        f"{place.limit} {place.element} ({place.realizations})"
        for place in one.fails_at[:_SHOWN_PLACES]
    ]
    where = f"; worst at {', '.join(places)}" if places else ""
    return f"round {one.round}: {', '.join(kinds)}{where}{_kept_where(one)}"


def _certified(one: RoundReport) -> str:
    if one.certificate is None:
        return "no proof speaks of it"
    told = f"{one.certificate} over all loads that can be drawn"
    worst = one.worst
    if worst is None:
        return told
    margin = f"{decimals(worst.margin, 5)} {worst.unit}"
    return f"{told}; least margin {margin}, {worst.kind} of {worst.element}"


def _ending(summary: HardenReport) -> str:
    price, first, last = summary.price, summary.rounds[0], summary.rounds[-1]
    asked = f"{100.0 * summary.asked_share:g} %"
    how = "" if last.samples else ", proven for every load that can be drawn,"
    head = f"{asked} shown{how}" if summary.shown else f"{asked} not shown: {summary.end}"
    head += f" ({summary.why})" if summary.why else ""
    cost = price.objective_usd
    words = (
        f"{head} after {len(summary.rounds)} rounds; served "
        f"{decimals(first.served_kw, 0)} -> "
        f"{decimals(last.served_kw, 0)} kW ({decimals(-price.served_kw, 0, sign=True)} kW)"
    )
    words += "" if cost is None else f", cost {decimals(cost, 0, sign=True)} USD"
    return words + f", ac_margin {_kept(first)} -> {_kept(last)} pu"
