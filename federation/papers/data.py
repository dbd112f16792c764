"""A publication's studies as data: which rows to run, and the figures it printed.

One TOML file per publication under ``configs/papers``; rows are overrides of a shipped study,
so each can be run by hand with ``gridproof run STUDY --set …``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from gridproof.federation.config.base import Section
from gridproof.federation.config.study_file import did_you_mean, read_toml
from gridproof.federation.families.resiliency_study import load_day
from gridproof.federation.papers.policy_modes import PolicyModePaper
from gridproof.federation.papers.resiliency_data import ResiliencyPaper
from gridproof.federation.papers.restoration_data import RestorationPaper
from gridproof.federation.studies.shipped import shipped_root
from gridproof.scenarios.errors import ConfigError
from pydantic import Field, ValidationError, model_validator

__all__ = ["CampaignRows", "Paper", "PaperData", "PlanRows", "load_paper", "paper_names"]

Numbers = Annotated[tuple[float, ...], Field(strict=False)]
Texts = Annotated[tuple[str, ...], Field(strict=False)]
Levels = Annotated[
    tuple[Annotated[float, Field(ge=0.0, le=100.0)], ...], Field(strict=False, min_length=1)
]
Table = Literal["out_of_sample", "ac_robustness", "mended", "crossed", "centring"]
PlanTable = Literal["costs", "search", "unpartitioned"]


class _Paper(Section):
    title: str
    authors: str
    study: str
    notes: Texts = ()


class PlanRows(Section):
    """Plans of one method, one for each level of uncertainty.

    Attributes
    ----------
    key
        Name of the method in file names and tables.
    about
        What it is, in words.
    set
        Overrides of the study.
    levels_percent
        Spread of the uncertain loads, %.
    tables
        Where they stand; nowhere if left out.
    twin_of
        Key of the plans that differ from these by one setting alone, with which they are compared.
    printed
        Figures of the publication by the name of ours, one for each level.
    """

    key: str
    about: str
    set: Texts
    levels_percent: Levels
    tables: Annotated[tuple[PlanTable, ...], Field(strict=False)] = ()
    twin_of: str | None = None
    printed: dict[str, Numbers] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_for_each_level(self) -> PlanRows:
        for name, values in self.printed.items():
            _same_length(f"plans {self.key}: printed.{name}", values, self.levels_percent)
        return self


class CampaignRows(Section):
    """Campaigns of one plan's key, recourse and judge, one for each level.

    Attributes
    ----------
    table
        The table they belong to.
    plan
        Key of the plans they try.
    recourse, judge
        As a study's ``[campaign]`` has them.
    levels_percent
        Spread of the uncertain loads, %.
    printed_feasible_percent
        The publication's shares; empty where it has none.
    """

    table: Table
    plan: str
    recourse: str
    judge: str
    levels_percent: Levels
    printed_feasible_percent: Numbers = ()

    @model_validator(mode="after")
    def _one_for_each_level(self) -> CampaignRows:
        if self.printed_feasible_percent:
            place = f"campaigns of {self.table}: printed_feasible_percent"
            _same_length(place, self.printed_feasible_percent, self.levels_percent)
        return self

    def printed(self, position: int) -> float | None:
        """Share the publication printed for a level, %."""
        shares = self.printed_feasible_percent
        return shares[position] if shares else None


class PaperData(Section):
    """A publication: its rows and what it printed."""

    paper: _Paper
    plans: Annotated[tuple[PlanRows, ...], Field(strict=False, min_length=1)]
    campaigns: Annotated[tuple[CampaignRows, ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _campaigns_have_plans(self) -> PaperData:
        levels = {rows.key: set(rows.levels_percent) for rows in self.plans}
        for rows in self.campaigns:
            missing = set(rows.levels_percent) - levels.get(rows.plan, set())
            if missing:
                raise ValueError(
                    f"campaigns of {rows.table} try plan {rows.plan} at {sorted(missing)} %, "
                    "which [[plans]] does not make"
                )
        for twin in self.plans:
            if twin.twin_of is not None and twin.twin_of not in levels:
                raise ValueError(f"plans {twin.key} are twins of {twin.twin_of}, which is no key")
        return self


def paper_names() -> tuple[str, ...]:
    """Names of the publications whose studies are shipped."""
    return tuple(sorted(path.stem for path in (shipped_root() / "papers").glob("*.toml")))


Paper = PaperData | RestorationPaper | PolicyModePaper | ResiliencyPaper
"""The file of any publication."""

_KINDS: dict[str, type[RestorationPaper | PolicyModePaper | ResiliencyPaper]] = {
    "restoration": RestorationPaper,
    "policy_modes": PolicyModePaper,
    "resiliency": ResiliencyPaper,
}


def load_paper(name: str) -> Paper:
    """Read a publication's file; ``kind`` in ``[paper]`` says which sort it is.

    Raises
    ------
    ConfigError
        If there is none of the name, or it contradicts itself.
    """
    if name not in paper_names():
        near = did_you_mean(name, paper_names(), "papers")
        raise ConfigError(f"{name}: no paper of this name is shipped; {near}")
    raw = read_toml(shipped_root() / "papers" / f"{name}.toml", f"papers/{name}.toml")
    try:
        kind = raw.get("paper", {}).get("kind")
        if "day" in raw:
            raw = {**raw, "instance": load_day(shipped_root() / "feeders" / str(raw["day"]))}
        return _KINDS[kind].model_validate(raw) if kind in _KINDS else PaperData.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(
            [
                f"papers/{name}.toml: {'.'.join(map(str, one['loc'])) or 'file'}: {one['msg']}"
                for one in error.errors()
            ]
        ) from error


def _same_length(place: str, values: Sequence[float], levels: Sequence[float]) -> None:
    if len(values) != len(levels):
        raise ValueError(f"{place} has {len(values)} values for {len(levels)} levels")
