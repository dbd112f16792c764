"""The plan file as a schema, and every fault it can have before it is held against its proof."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from gridproof.scenarios.errors import ConfigError
from gridproof.scenarios.proof import Termination
from gridproof.scenarios.provenance import NEEDED, NOT_STATED, differences
from gridproof.scenarios.strict_json import load_json
from pydantic import BaseModel, ConfigDict, Field, ValidationError

if TYPE_CHECKING:
    from gridproof.scenarios.scenario import Scenario

__all__ = [
    "AffineDerFile",
    "AffineFile",
    "DerFile",
    "PlanFile",
    "ProofFile",
    "ReserveFile",
    "RuleFile",
    "faults_of",
    "parse_plan_file",
]

Share = Annotated[float, Field(ge=0.0, le=1.0)]
_FIRST = re.compile(r'"format"\s*:\s*"gridproof-plan/1"')
_SAME_COST = 1e-4
"""Relative difference at which a bound and a cost count as equal: what a solver is asked for."""

Triple = Annotated[list[float], Field(min_length=3, max_length=3)]
_STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class DerFile(BaseModel):
    """One DER: role, held voltage and set-points of every step."""

    model_config = _STRICT
    grid_forming: list[bool]
    source_v_pu: list[float | None]
    p_kw: list[Triple]
    q_kvar: list[Triple]


class ProofFile(BaseModel):
    """What is said to have been shown; believed only of a file whose digest is its own."""

    model_config = _STRICT
    termination: Termination = Termination.EXTERNAL
    incumbent: float | None = None
    bound: float | None = None
    asked_gap: float = 1e-4
    robust: bool = False
    iterations: int = 0
    realizations_kept: int = 0
    seconds: dict[str, float] = Field(default_factory=dict)
    over: str = ""


class ReserveFile(BaseModel):
    """Room that one DER holds about its base set-points, kW of all phases, at every step."""

    model_config = _STRICT
    up_kw: list[Annotated[float, Field(ge=0.0)]]
    down_kw: list[Annotated[float, Field(ge=0.0)]]


class RuleFile(BaseModel):
    """How DERs move with a draw; rows by step, a number for each direction."""

    model_config = _STRICT
    directions: list[str]
    gain: dict[str, list[list[float]]]
    gain_down: dict[str, list[list[float]]] | None = None
    weight: list[list[float]] | None = None
    load_gain: dict[str, list[list[float]]] = Field(default_factory=dict)


class AffineDerFile(BaseModel):
    """How one DER follows a draw: by step and phase, and of the gains by direction."""

    model_config = _STRICT
    offset_p_kw: list[Triple]
    offset_q_kvar: list[Triple]
    gain_p_kw: list[Annotated[list[list[float]], Field(min_length=3, max_length=3)]]
    gain_q_kvar: list[Annotated[list[list[float]], Field(min_length=3, max_length=3)]]


class AffineFile(BaseModel):
    """How active and reactive power of every phase follow a draw; DERs left out stay."""

    model_config = _STRICT
    directions: list[str]
    ders: dict[str, AffineDerFile]


_DIGEST = Field(
    default="",
    description="SHA-256 that binds proof and costs to the decisions; without it, or with "
    "another, nothing counts as proven",
)


class _Sealed(BaseModel):
    """What files of every format share: a digest of all they say but itself."""

    model_config = _STRICT

    def seal(self) -> str:
        """SHA-256 of all the file says but this; in whatever order it says it."""
        stated = self.model_dump(mode="json", exclude={"digest"}, exclude_defaults=True)
        text = json.dumps(stated, sort_keys=True, allow_nan=False)
        return hashlib.sha256(text.encode("utf-8", errors="surrogatepass")).hexdigest()


class PlanFile(_Sealed):
    """A plan, keyed by ids."""

    format: Literal["gridproof-plan/2"]
    family: str = "external"
    scenario_digest: str = ""
    switches: dict[str, list[Literal["open", "closed"]]]
    energized_blocks: dict[str, list[bool]]
    ders: dict[str, DerFile]
    served_share: dict[str, list[Share]] = Field(default_factory=dict)
    reserves: dict[str, ReserveFile] = Field(default_factory=dict)
    rule: RuleFile | None = None
    affine: AffineFile | None = None
    committed: dict[str, list[bool]] = Field(default_factory=dict)
    costs: dict[str, float] = Field(default_factory=dict)
    cost_unit: str = "USD"
    proof: ProofFile = Field(default_factory=ProofFile)
    made_for: dict[str, str] = Field(default_factory=dict)
    remark: str = ""
    digest: str = _DIGEST


class _FirstProofFile(BaseModel):
    """The proof as format 1 has it."""

    model_config = _STRICT
    termination: Termination = Termination.EXTERNAL
    incumbent_usd: float | None = None
    bound_usd: float | None = None
    asked_gap: float = 1e-4
    robust: bool = False
    iterations: int = 0
    realizations_kept: int = 0
    seconds: dict[str, float] = Field(default_factory=dict)


class _FirstPlanFile(_Sealed):
    """A plan as format 1 has it: no reserves, no rule, every cost called USD."""

    format: Literal["gridproof-plan/1"]
    family: str = "external"
    scenario_digest: str = ""
    switches: dict[str, list[Literal["open", "closed"]]]
    energized_blocks: dict[str, list[bool]]
    ders: dict[str, DerFile]
    served_share: dict[str, list[Share]] = Field(default_factory=dict)
    costs_usd: dict[str, float] = Field(default_factory=dict)
    proof: _FirstProofFile = Field(default_factory=_FirstProofFile)
    made_for: dict[str, str] = Field(default_factory=dict)
    remark: str = ""
    digest: str = _DIGEST

    def today(self) -> PlanFile:
        """Return the same plan as today's format has it; a good digest stays a good one."""
        stated = self.model_dump(exclude={"format", "costs_usd", "proof", "digest"})
        proof = self.proof.model_dump()
        proof["incumbent"], proof["bound"] = proof.pop("incumbent_usd"), proof.pop("bound_usd")
        made = PlanFile.model_validate(
            {
                **stated,
                "format": "gridproof-plan/2",
                "costs": self.costs_usd,
                "proof": proof,
                "digest": self.digest,
            }
        )
        if self.digest and self.digest == self.seal():
            made = made.model_copy(update={"digest": made.seal()})
        return made


def parse_plan_file(text: str, where: str) -> PlanFile:
    """Read a file's text, of this format or an earlier; ids are not held against anything yet.

    Raises
    ------
    ConfigError
        With every place that is not as the schema has it; or for a key given twice.
    """
    try:
        first = _FirstPlanFile if _FIRST.search(text) else PlanFile
        file = first.model_validate_json(text)
        load_json(text)
    except ValidationError as error:
        faults = [
            f"{where}: {'.'.join(str(part) for part in item['loc']) or 'file'}: {item['msg']}"
            f" (found {str(item.get('input'))[:60]!r}); see docs/wire.md for the plan format"
            for item in error.errors()
        ]
        raise ConfigError(faults) from error
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from error
    return file.today() if isinstance(file, _FirstPlanFile) else file


def faults_of(file: PlanFile, scenario: Scenario, where: str) -> list[str]:
    """Say all that keeps a file from being a plan for a scenario; empty if nothing does."""
    feeder, substation = scenario.feeder, scenario.ders.is_substation.tolist()
    needed = [name for name, own in zip(scenario.ders.ids, substation, strict=True) if not own]
    faults = [
        *_id_faults(where, "switches", file.switches, feeder.switch_ids),
        *_id_faults(where, "energized_blocks", file.energized_blocks, feeder.blocks.ids),
        *_id_faults(where, "ders", file.ders, scenario.ders.ids, needed=needed),
        *_unknown(where, "served_share", file.served_share, feeder.loads.ids),
        *_unknown(where, "reserves", file.reserves, scenario.ders.ids),
        *_unknown(where, "committed", file.committed, scenario.ders.ids),
        *_step_faults(where, file, len(scenario.hours)),
        *_rule_faults(where, file.rule, scenario),
        *_affine_faults(where, file.affine, scenario),
        *_bound_faults(where, file),
    ]
    return faults or _network_faults(where, file, scenario)


def idle_der(steps: int) -> DerFile:
    """Make the entry of a substation that a plan does not name: it feeds nothing."""
    rest = [[0.0, 0.0, 0.0]] * steps
    return DerFile(grid_forming=[False] * steps, source_v_pu=[None] * steps, p_kw=rest, q_kvar=rest)


def _id_faults(
    where: str,
    field_name: str,
    given: Mapping[str, object],
    wanted: tuple[str, ...],
    needed: Sequence[str] | None = None,
) -> list[str]:
    missing = [
        f"{where}: {field_name}.{name} is missing; state it for every step"
        for name in (wanted if needed is None else needed)
        if name not in given
    ]
    return [*_unknown(where, field_name, given, wanted), *missing]


def _unknown(
    where: str, field_name: str, given: Mapping[str, object], wanted: tuple[str, ...]
) -> list[str]:
    known = ", ".join(wanted[:12]) + (f" and {len(wanted) - 12} more" if len(wanted) > 12 else "")
    return [
        f"{where}: {field_name}.{name} is not in the study; it has {known}"
        for name in given
        if name not in wanted
    ]


def _bound_faults(where: str, file: PlanFile) -> list[str]:
    """Find a proof that contradicts itself: no plan may cost less than the least there is."""
    stated = {
        "costs.objective": file.costs.get("objective"),
        "costs.total": file.costs.get("total"),
        "proof.incumbent": file.proof.incumbent,
    }
    bound = file.proof.bound
    if bound is None:
        return []
    return [
        f"{where}: proof.bound = {bound:g} is above {name} = {cost:g}; a bound is what no plan "
        "costs less than: restore the file, or take its proof out"
        for name, cost in stated.items()
        if cost is not None and bound > cost + _SAME_COST * max(1.0, abs(cost))
    ]


def _step_faults(where: str, file: PlanFile, steps: int) -> list[str]:
    lengths = {f"switches.{k}": len(v) for k, v in file.switches.items()}
    lengths |= {f"energized_blocks.{k}": len(v) for k, v in file.energized_blocks.items()}
    lengths |= {f"served_share.{k}": len(v) for k, v in file.served_share.items()}
    lengths |= {f"committed.{k}": len(v) for k, v in file.committed.items()}
    for name, reserve in file.reserves.items():
        lengths[f"reserves.{name}.up_kw"] = len(reserve.up_kw)
        lengths[f"reserves.{name}.down_kw"] = len(reserve.down_kw)
    for name, der in file.ders.items():
        for field_name in ("grid_forming", "source_v_pu", "p_kw", "q_kvar"):
            lengths[f"ders.{name}.{field_name}"] = len(getattr(der, field_name))
    return [
        f"{where}: {field_name} has {length} steps; the study has {steps}"
        for field_name, length in lengths.items()
        if length != steps
    ]


def _rule_faults(where: str, rule: RuleFile | None, scenario: Scenario) -> list[str]:
    """Find what keeps a response rule from being one of the study's steps and directions."""
    if rule is None:
        return []
    steps, width = len(scenario.hours), len(rule.directions)
    tables = {f"gain.{name}": rows for name, rows in rule.gain.items()}
    faults = _unknown(where, "rule.gain", rule.gain, scenario.ders.ids)
    if rule.gain_down is not None:
        faults += _unknown(where, "rule.gain_down", rule.gain_down, scenario.ders.ids)
        tables |= {f"gain_down.{name}": rows for name, rows in rule.gain_down.items()}
        tables["weight"] = rule.weight or []
    faults += _unknown(where, "rule.load_gain", rule.load_gain, scenario.feeder.loads.ids)
    tables |= {f"load_gain.{name}": rows for name, rows in rule.load_gain.items()}
    if rule.load_gain and rule.weight is None:
        tables["weight"] = []
    for name, rows in tables.items():
        if len(rows) != steps or any(len(row) != width for row in rows):
            faults.append(
                f"{where}: rule.{name} has {len(rows)} rows of "
                f"{sorted({len(row) for row in rows})} numbers; it needs {steps}, one a step, of "
                f"{width}, one a direction"
            )
    return faults


def _affine_faults(where: str, rule: AffineFile | None, scenario: Scenario) -> list[str]:
    """Find what keeps an affine rule from being one of the study's steps."""
    if rule is None:
        return []
    steps, width = len(scenario.hours), len(rule.directions)
    faults = _unknown(where, "affine.ders", rule.ders, scenario.ders.ids)
    for name, der in rule.ders.items():
        for key in ("offset_p_kw", "offset_q_kvar", "gain_p_kw", "gain_q_kvar"):
            rows = getattr(der, key)
            if len(rows) != steps:
                faults.append(
                    f"{where}: affine.ders.{name}.{key} has {len(rows)} steps; the study has "
                    f"{steps}"
                )
        wrong = {len(row) for gain in (der.gain_p_kw, der.gain_q_kvar) for s in gain for row in s}
        if wrong - {width}:
            faults.append(
                f"{where}: affine.ders.{name} has gains of {sorted(wrong)} numbers; it needs "
                f"{width}, one a direction"
            )
    return faults


def _network_faults(where: str, file: PlanFile, scenario: Scenario) -> list[str]:
    """Find what the plan needs and this scenario has otherwise than what it was made for."""
    return [
        f"{where}: made for another network: {one.what} {one.made_for}, the study's "
        f"{one.tried_at}; plan this one, or take made_for out to try the decisions all the same"
        for one in differences(file.made_for, scenario)
        if one.what in NEEDED and one.made_for != NOT_STATED
    ]
