"""The policy-mode publication's study: every mode by every method, each row kept when it is done.

::

    DIR/rows/cyber-dro_components-affine-three_phase.json      one row's figures
    DIR/plans/….json                                           its plan
    DIR/campaigns/…/                                           its AC campaign, where it has one

A row that is there whole is only read, so that a run which was stopped goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Annotated, Literal

from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.config.base import Section
from gridproof.federation.files import json_text, read_json, write_whole
from gridproof.federation.jsonable import read_as
from gridproof.federation.papers.backing import breached_pairs
from gridproof.federation.papers.policy_mode_draws import (
    coordinates,
    held_for,
    inside_set,
    share_outside,
)
from gridproof.federation.papers.policy_mode_row import AcBreaches, PolicyModeFigures
from gridproof.federation.studies.study import Study, load_study
from gridproof.federation.wording import decimals
from gridproof.optimizer.planner import make_planner
from gridproof.optimizer.policy_mode.frequencies import Frequencies, frequencies
from gridproof.optimizer.policy_mode.options import METHODS
from gridproof.scenarios.arrays import FloatArray
from gridproof.scenarios.errors import PlanError, StoreError
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.plan_file import plan_from_json, plan_to_json
from pydantic import Field

if TYPE_CHECKING:
    from gridproof.optimizer.policy_mode.hedge import Hedge

__all__ = ["Effort", "PolicyModePaper", "Row", "RowSpec", "Sweep", "run_policy_modes", "study_of"]

MODES = ("forecast", "weather", "cyber", "all")


class _About(Section):
    kind: Literal["policy_modes"]
    title: str
    authors: str
    study: str
    notes: Annotated[tuple[str, ...], Field(strict=False)] = ()


class PolicyModePaper(Section):
    """The publication's file."""

    paper: _About


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much is run.

    Attributes
    ----------
    draws
        Of the linear judge, each of all steps.
    ac_draws
        Of each AC campaign, each of all steps.
    logs
        Training logs of the table over logs.
    modes
        Which are planned for.
    sweeps
        Whether parameters are varied, too.
    """

    draws: int = 10_000
    ac_draws: int = 210  # of 24 steps: 5 040 pairs
    logs: int = 20
    modes: tuple[str, ...] = MODES
    sweeps: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RowSpec:
    """One plan: a mode and how it is planned for.

    Attributes
    ----------
    mode, method, response, network
        As ``[events] mode`` and ``[planner]`` name them.
    more
        Further overrides of the study, a short name first.
    ac
        Whether it is tried in AC.
    """

    mode: str
    method: str
    response: str
    network: str
    more: tuple[str, tuple[str, ...]] = ("", ())
    ac: bool = False

    @property
    def key(self) -> str:
        """Name of its files."""
        parts = [self.mode, self.method, self.response, self.network, self.more[0]]
        return "-".join(part for part in parts if part)

    @property
    def overrides(self) -> list[str]:
        """What it sets in the study."""
        return [
            f"events.mode={self.mode}",
            f"planner.method={self.method}",
            f"planner.response={self.response}",
            f"planner.network={self.network}",
            *self.more[1],
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What came of one plan; figures are None where no plan exists."""

    spec: RowSpec
    figures: PolicyModeFigures


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """Rows over one parameter."""

    key: str
    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyModeRun:
    """All rows: modes by method, and over parameters and logs."""

    data: PolicyModePaper
    rows: tuple[Row, ...]
    sweeps: tuple[Sweep, ...]
    out: Path = field(default_factory=Path)


def study_of(data: PolicyModePaper, spec: RowSpec, *more: str) -> Study:
    """Load the study as a row sets it."""
    return load_study(data.paper.study, [*spec.overrides, *more])


def run_policy_modes(
    data: PolicyModePaper, out: Path, *, effort: Effort, tell: Callable[[str], None]
) -> PolicyModeRun:
    """Run every row that is not there yet, and read all.

    Raises
    ------
    GridproofError
        As planning and campaigns do; finished rows stay.
    """
    desk = _Desk(data=data, out=out, effort=effort)
    for folder in ("rows", "plans", "campaigns"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    specs = list(_modes_by_method(effort.modes))
    varied = _sweeps(effort) if effort.sweeps else ()
    sweeps = {key: (title, list(rows)) for key, title, rows in varied}
    total, done = len(specs) + sum(len(rows) for _, rows in sweeps.values()), 0

    def each(spec: RowSpec) -> Row:
        nonlocal done
        row = desk.row(spec)
        done += 1
        cost, short = row.figures.cost_usd, row.figures.violated_share
        found = (
            f"no plan: {row.figures.proof}"
            if cost is None or short is None
            else f"{decimals(cost, 0)} USD, {decimals(100.0 * short, 2)} % short"
        )
        tell(f"[{done}/{total}] {spec.key}: {found}")
        return row

    return PolicyModeRun(
        data=data,
        rows=tuple(map(each, specs)),
        sweeps=tuple(
            Sweep(key=key, title=title, rows=tuple(map(each, rows)))
            for key, (title, rows) in sweeps.items()
        ),
        out=out,
    )


def _modes_by_method(modes: Sequence[str]) -> Iterator[RowSpec]:
    """All methods with a shared response; affine and the network where they differ most."""
    for mode in modes:
        for method in METHODS:
            yield RowSpec(mode=mode, method=method, response="shared", network="copperplate")
        for method in ("sample_box", "support_box", "dro_components"):
            yield RowSpec(mode=mode, method=method, response="affine", network="copperplate")
        for method, response in (
            ("deterministic", "shared"), ("cvar", "shared"), ("dro_components", "affine"),
        ):  # fmt: skip
            yield RowSpec(
                mode=mode, method=method, response=response, network="three_phase", ac=True
            )


def _sweeps(effort: Effort) -> Iterator[tuple[str, str, Iterator[RowSpec]]]:
    """Rows over radius, ρ, β, the log's length and the log itself; mode cyber, shared."""

    def over(name: str, values: tuple[str, ...], method: str, *fixed: str) -> Iterator[RowSpec]:
        for value in values:
            yield RowSpec(
                mode="cyber", method=method, response="shared", network="copperplate",
                more=(f"{name.rsplit('.', 1)[-1]}={value}", (f"{name}={value}", *fixed)),
            )  # fmt: skip

    radii = ("0.0", "0.01", "0.02", "0.05", "0.1", "0.3", "1.0")
    yield (
        "radius",
        "Over the radius (scale of the literal one), components",
        over("planner.radius_scale", radii, "dro_components"),
    )
    yield (
        "rho",
        "Over ρ, components",
        over("planner.rho", ("0.01", "0.05", "0.1", "0.2"), "dro_components"),
    )
    yield (
        "beta",
        "Over β, components",
        over("planner.beta", ("0.5", "0.8", "0.95", "0.99"), "dro_components"),
    )
    lengths = ("20", "50", "100", "400", "1600")
    yield (
        "length_total",
        "Over the log's length, the set over the total",
        over("events.log_samples", lengths, "dro_total"),
    )
    yield "length_cvar", "Over the log's length, CVaR", over("events.log_samples", lengths, "cvar")
    seeds = tuple(str(1000 + k) for k in range(effort.logs))
    yield "logs_cvar", "Over training logs, CVaR", over("events.log_seed", seeds, "cvar")
    yield (
        "logs_components",
        "Over training logs, components",
        over("events.log_seed", seeds, "dro_components"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Desk:
    """What every row is run with."""

    data: PolicyModePaper
    out: Path
    effort: Effort

    def row(self, spec: RowSpec) -> Row:
        path = self.out / "rows" / f"{spec.key}.json"
        stamp = {"draws": self.effort.draws, "ac_draws": self.effort.ac_draws if spec.ac else 0}
        if path.exists():
            remedy = "delete it and run again: that row is made anew"
            kept = read_json(path, remedy)
            if kept.get("effort") == stamp:
                try:
                    return Row(spec=spec, figures=read_as(PolicyModeFigures, kept.get("row")))
                except ValueError as error:
                    raise StoreError(
                        f"{path} is no row of this study ({error}); {remedy}"
                    ) from error
        figures = self._made(spec)
        write_whole(path, json_text({"effort": stamp, "row": figures.to_json()}))
        return Row(spec=spec, figures=figures)

    def _made(self, spec: RowSpec) -> PolicyModeFigures:
        study = study_of(self.data, spec)
        of_row = partial(
            PolicyModeFigures,
            mode=spec.mode,
            method=spec.method,
            response=spec.response,
            network=spec.network,
            varied=spec.more[0] or None,
        )
        asked = study.config.planner
        began, spent = perf_counter(), process_time()
        try:
            plan = make_planner(asked.family, asked.options).plan(study.scenario)
        except PlanError as error:  # what is proven, and what is merely not found
            return of_row(
                seconds=perf_counter() - began,
                processor_seconds=process_time() - spent,
                proof=str(error),
                termination=error.proof.termination.value if error.proof else None,
                robust=False,
            )
        taken = perf_counter() - began, process_time() - spent
        write_whole(self.out / "plans" / f"{spec.key}.json", plan_to_json(plan) + "\n")
        held = held_for(study)
        actual, sampled = (self._drawn(spec.mode, which) for which in ("actual", "sampled"))
        short = self._counted(study, plan, actual)
        ac = self._in_ac(spec, plan, held) if spec.ac else None
        return of_row(
            cost_usd=plan.costs["objective"],
            energy_usd=plan.costs.get("energy"),
            reserve_usd=plan.costs.get("reserve"),
            violated_share=short.pairs,
            worst_hour=short.worst_step,
            worst_hour_at=short.worst_step_at,
            any_hour=short.any_step,
            on_sampled=self._counted(study, plan, sampled).pairs,
            outside_set=share_outside(study.scenario, held, actual),
            outside_set_sampled=share_outside(study.scenario, held, sampled),
            reserve_up_kw=_up_kw(plan) / len(plan.closed),
            ac_breaches=None if ac is None else ac.network,
            ac=ac,
            seconds=taken[0],
            processor_seconds=taken[1],
            proof=plan.proof.over or "nothing beyond its own samples",
            termination=plan.proof.termination.value,
            robust=plan.proof.robust,
        )

    def _drawn(self, mode: str, which: str) -> tuple[FloatArray, ...]:
        return coordinates(self.data.paper.study, mode, which, self.effort.draws)

    @staticmethod
    def _counted(study: Study, plan: Plan, drawn: tuple[FloatArray, ...]) -> Frequencies:
        return frequencies(plan, study.scenario, drawn.__getitem__, len(drawn))

    def _in_ac(self, spec: RowSpec, plan: Plan, held: Hedge) -> AcBreaches:
        """Pairs in which the AC physics leaves a limit, by kind, of those that were solved."""
        count = self.effort.ac_draws
        study = study_of(self.data, spec, f"campaign.samples={count}")
        own = plan_from_json(plan_to_json(plan), study.scenario)
        store = run_campaign(study, self.out / "campaigns" / spec.key, plan=own).store
        drawn = coordinates(self.data.paper.study, spec.mode, "actual", count)
        inside = inside_set(study.scenario, held, drawn) if plan.proof.robust else None
        return breached_pairs(store, study.scenario.limits.tolerance, inside)


def _up_kw(plan: Plan) -> float:
    return 0.0 if plan.reserves is None else float(plan.reserves.up_kw.sum())
