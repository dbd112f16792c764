"""The command ``storm``: a restoration study's network in storms drawn from a damage model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from gridproof.federation.campaigns.later_responses import read_responses
from gridproof.federation.campaigns.storms import LAST_PHASE, StormDraw, StormRun, run_storms
from gridproof.federation.cli.options import (
    AsJson,
    Overrides,
    Quiet,
    StudyName,
    keeping,
    note,
    stdout,
)
from gridproof.federation.cli.options import print_json as print_object
from gridproof.federation.files import json_text, write_whole
from gridproof.federation.reports.storm_report import LaterReport, StormReport
from gridproof.federation.reports.storm_summary import restored_shares, storm_summary, storm_table
from gridproof.federation.studies.study import load_study
from gridproof.federation.tables.terminal import TableView
from gridproof.federation.wording import decimals, served_words
from gridproof.scenarios.damage import StormDamage
from gridproof.scenarios.errors import ConfigError

__all__ = ["storm"]


def storm(  # noqa: PLR0917  (typer reads a command's options from its parameters)
    study: StudyName,
    overrides: Overrides = None,
    draws: Annotated[int, typer.Option("--draws", min=1, help="Storms to draw.")] = 100,
    rate: Annotated[
        float, typer.Option("--rate-per-km", help="Failures per km of overhead line.")
    ] = 0.1,
    buried: Annotated[
        float, typer.Option("--buried-factor", help="What burying a line leaves of its rate.")
    ] = 0.1,
    sigma: Annotated[
        float, typer.Option("--sigma", help="Spread of local intensity; 0: independent lines.")
    ] = 0.0,
    reach: Annotated[float, typer.Option("--correlation-km", help="How far a gust reaches.")] = 2.0,
    loads: Annotated[int, typer.Option("--loads", min=1, help="AC load draws a storm.")] = 20,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Draw i follows from it and i.")] = 1,
    then: Annotated[
        list[str] | None,
        typer.Option(
            "--then",
            metavar="RESPONSE",
            help="A later response: crews, repair:N or repair:all; repeat for more, in order.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Where draws go; those there are kept."),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Draw failures, plan and audit each restoration, try it under AC: restored share."""
    try:
        damage = StormDamage(
            rate_per_km=rate, buried_factor=buried, sigma=sigma, correlation_km=reach
        )
    except ValueError as error:
        raise ConfigError(f"storm: {error}") from error
    chosen = load_study(study, list(overrides or ()))
    root = out or Path("campaigns") / f"storm-{chosen.name}"
    later = read_responses(then or ())
    run = StormRun(study=chosen, storm=damage, seed=seed, loads=loads, later=later)

    def tell(one: StormDraw) -> None:
        if not quiet:
            note(draw_words(one, draws))

    with keeping(root):
        made = run_storms(run, root, draws, tell=tell)
    found = storm_summary(run, made)
    title = "independent" if sigma == 0.0 else f"gusts of {reach:g} km"
    figures = _figures(title, made, root) if found.planned else ()
    document = replace(found, figures=figures)
    write_whole(root / "summary.json", json_text(document.to_json()))
    if as_json:
        print_object(document)
        return
    stdout().print(TableView(storm_table(document)))
    stdout().print(_words(document))


def _figures(title: str, made: Sequence[StormDraw], root: Path) -> tuple[str, ...]:
    from gridproof.federation.reports.families.restoration_figures import figure_storms  # noqa: PLC0415  (matplotlib)

    files = figure_storms({title: restored_shares(made)}, root / "restored")
    return tuple(path.name for path in files)


def draw_words(one: StormDraw, draws: int) -> str:
    """Say what became of one draw."""
    head = f"[{one.index + 1}/{draws}] {len(one.failed)} failures: "
    if not one.planned:
        return head + f"no plan, search ended {one.termination}"
    faults = f"; {len(one.audit_faults)} audit faults" if one.audit_faults else ""
    gap = "" if one.optimal else f"; not proven, gap {one.gap:.1e}" if one.gap else "; not proven"
    return f"{head}{decimals(100.0 * one.supplied_share[LAST_PHASE], 2)} % supplied{gap}{faults}"


def _words(found: StormReport) -> str:
    ac, low, high = found.ac, *(100.0 * v for v in found.ac.interval)
    share = "–" if ac.share is None else f"{decimals(100.0 * ac.share, 2)} %"
    failures = found.failures
    return (
        f"failures a storm: {decimals(failures.mean, 2)} on average, {failures.min} to "
        f"{failures.max}\n"
        f"plans: {found.planned} of {found.draws}, {found.optimal} proven optimal\n"
        f"audit faults: {found.audit.faults}\n"
        f"AC after reconfiguration: {share} of storms feasible at all {ac.loads_per_draw} "
        f"loads ({decimals(low, 2)}–{decimals(high, 2)}); {ac.draws_erred} erred; of the load "
        f"{served_words(ac.supplied_share_mean)} on average, nothing in "
        f"{ac.draws_serving_nothing} of them" + "".join(map(_later_words, found.later or ()))
    )


def _later_words(one: LaterReport) -> str:
    ac, low, high = one.ac, *(100.0 * v for v in one.ac.interval)
    share = "–" if ac.share is None else f"{decimals(100.0 * ac.share, 2)} %"
    return (
        f"\nAC then, {one.name}: {share} of {ac.draws_judged} storms ({decimals(low, 2)}–"
        f"{decimals(high, 2)}), of the load {served_words(ac.supplied_share_mean)} on average; "
        f"{one.optimal} of {one.planned} proven, {one.audit_faults} faults"
    )
