"""Commands about a feeder file that has no study yet: ``feeder`` and ``init``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from gridproof.federation.cli.options import AsJson, print_json, stdout
from gridproof.federation.files import write_result
from gridproof.federation.inquiries.feeder_facts import FeederFacts, feeder_facts
from gridproof.federation.inquiries.feeder_study import Proposal, propose, study_text
from gridproof.federation.tables.table import Table, count, number, prose, text
from gridproof.federation.tables.terminal import TableView
from gridproof.federation.wording import decimals
from gridproof.scenarios.errors import ConfigError
from gridproof.scenarios.feeder import Feeder
from gridproof.simulator.reader.feeder import read_feeder
from gridproof.simulator.reader.machines import machines_of
from gridproof.simulator.reader.refusals import condensed

__all__ = ["feeder", "init"]

_File = Annotated[
    Path, typer.Argument(metavar="FILE", help="Main file of an OpenDSS feeder (.dss).")
]
_All = Annotated[bool, typer.Option("--all", help="Name every element that is refused.")]


def feeder(file: _File, as_json: AsJson = False, every: _All = False) -> None:
    """Say what is in a feeder file, and how far what is read of it can be trusted."""
    facts = feeder_facts(_read(file, every))
    if as_json:
        print_json(facts.to_json())
        return
    console = stdout()
    for table in (_about(facts), _blocks(facts)):
        console.print(TableView(table))


def init(  # noqa: PLR0917
    file: _File,
    lost: Annotated[
        str, typer.Option("--lost", metavar="LINE", help="Line whose opening loses the grid.")
    ] = "",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="STUDY",
            help="Study to write; FILE's name with .toml, in this folder, if left out.",
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Write over a study that is there.")
    ] = False,
    as_json: AsJson = False,
    every: _All = False,
) -> None:
    """Write a study for a feeder file: switches, DERs and limits proposed from the file itself."""
    path = Path.cwd() / f"{file.stem}.toml" if out is None else out
    if path.exists() and not force:
        raise ConfigError(f"{path}: is there already; give --out another, or --force")
    read = _read(file, every)
    machines = machines_of(Path(read.path))
    facts = feeder_facts(read, machines)
    proposal = propose(read, facts, machines, lost)
    named = os.path.relpath(file.resolve(), path.resolve().parent)
    write_result(path, study_text(proposal, Path(named).as_posix(), facts))
    if as_json:
        print_json({"study": str(path), "proposal": proposal.to_json(), "feeder": facts.to_json()})
        return
    console = stdout()
    for table in (_blocks(facts), _ders(proposal), _doubts(proposal)):
        if table.rows:
            console.print(TableView(table))
    typer.echo(f"{path} is written; next: gridproof run {path}")


def _read(file: Path, every: bool) -> Feeder:
    try:
        return read_feeder(file)
    except ConfigError as error:
        faults = list(error.faults)
        raise ConfigError(faults if every else condensed(faults)) from error


def _about(facts: FeederFacts) -> Table:
    apart = facts.agreement
    rows: list[tuple[str, str]] = [
        ("nodes", f"{facts.nodes} at {facts.buses} buses"),
        ("load", f"{decimals(facts.load_kw, 1)} kW, {decimals(facts.load_kvar, 1)} kvar"),
        *((kind, str(number_of)) for kind, number_of in facts.elements.items()),
        ("switches", _switches(facts)),
        ("voltage bases", ", ".join(f"{kv:g}" for kv in facts.bases_kv) + " kV to neutral"),
        ("loops that no switch opens", str(len(facts.loops))),
        ("lines without a rating", _named(facts.unrated_lines)),
    ]
    for what, value, rest, digits in (
        ("losses", facts.losses_kw, "kW", 1),
        ("lowest voltage", facts.v_min_pu, f"pu at {facts.v_min_bus}", 4),
        ("highest voltage", facts.v_max_pu, f"pu at {facts.v_max_bus}", 4),
    ):
        if value is not None:
            rows.append((what, f"{decimals(value, digits)} {rest}"))
    for what, value in (
        ("columns against OpenDSS", apart.columns_pu),
        ("AC engine against OpenDSS", apart.engine_pu),
        ("linear model against AC", apart.linear_pu),
    ):
        rows.append((what, "not known" if value is None else f"{value:.1e} pu"))
    rows += [("remark", remark) for remark in apart.remarks]
    return Table(
        name="feeder",
        title=f"{facts.name}, its machines passed over",
        columns=(text("what"), prose("found")),
        rows=tuple(rows),
    )


def _switches(facts: FeederFacts) -> str:
    return _named([f"{n}{'' if shut else ' (open)'}" for n, shut in facts.switches.items()])


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return ", ".join(names[:12]) + more or "none"


def _blocks(facts: FeederFacts) -> Table:
    return Table(
        name="blocks",
        title="What stays connected with every switch open",
        columns=(
            text("block"),
            count("buses"),
            number("load", 1, "kW"),
            number("machines of the file", 1, "kW"),
            text("substation"),
        ),
        rows=tuple(
            (one.block, one.buses, one.load_kw, one.machines_kw, "yes" if one.substation else "")
            for one in facts.blocks
        ),
        shown=40,
    )


def _ders(proposal: Proposal) -> Table:
    return Table(
        name="ders",
        title="DERs proposed",
        columns=(
            text("DER"),
            text("bus"),
            text("phases"),
            number("capacity", 1, "kW"),
            text("forms"),
            prose("from"),
        ),
        rows=tuple(
            (
                der.name,
                der.bus,
                der.phases,
                der.capacity_kw,
                "yes" if der.can_form else "",
                der.origin or "assumed",
            )
            for der in proposal.ders
        ),
    )


def _doubts(proposal: Proposal) -> Table:
    return Table(
        name="doubts",
        title="Assumed, or doubtful",
        columns=(prose("what"),),
        rows=tuple((doubt,) for doubt in proposal.doubts),
    )
