"""A plan, what was proven about it, and its file format.

The file is JSON keyed by ids, so that a plan made elsewhere can be written by hand or by
another tool; ``gridproof check PLAN STUDY`` audits it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from scenarios.arrays import BoolArray, FloatArray, IntArray, frozen, index_of
from scenarios.errors import ConfigError
from scenarios.proof import Proof, Termination

if TYPE_CHECKING:
    from scenarios.realization import Realizations
    from scenarios.scenario import Scenario

__all__ = [
    "Plan",
    "Proof",
    "Setpoints",
    "Termination",
    "plan_from_json",
    "plan_schema",
    "plan_to_json",
]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Setpoints:
    """What the planner answers a batch of realizations with.

    Attributes
    ----------
    index
        (realization,) the realizations answered, in the order asked.
    found
        (realization,) false where no re-dispatch exists; its numbers are then the base's.
    p_kw, q_kvar
        (realization, der, 3) injections; the grid-forming DER's are what the linear model
        expects of it, the physics decides.
    source_v_pu
        (realization, der) magnitude held by each grid-forming DER, NaN for the others.
    """

    index: IntArray
    found: BoolArray
    p_kw: FloatArray
    q_kvar: FloatArray
    source_v_pu: FloatArray

    def __post_init__(self) -> None:
        n = len(self.index)
        object.__setattr__(self, "index", frozen(self.index, np.int64, (n,)))
        object.__setattr__(self, "found", frozen(self.found, bool, (n,)))
        object.__setattr__(self, "p_kw", frozen(self.p_kw, float, (n, -1, 3)))
        object.__setattr__(self, "q_kvar", frozen(self.q_kvar, float, (n, -1, 3)))
        object.__setattr__(self, "source_v_pu", frozen(self.source_v_pu, float, (n, -1)))

    def __len__(self) -> int:
        return len(self.index)

    def take(self, rows: IntArray | BoolArray) -> Setpoints:
        """Return the set-points at some positions, in their order, or where a mask is true."""
        return Setpoints(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plan:
    """Switch states, roles and base set-points, with the proof that came with them.

    Attributes
    ----------
    family
        Optimizer family, or ``external``.
    scenario_digest
        ``Scenario.digest()`` it was made for; empty if made elsewhere.
    switch_ids, block_ids, der_ids
        Axes of the arrays below.
    closed
        (time, switch) true = closed.
    energized
        (time, block).
    grid_forming
        (time, der).
    source_v_pu
        (time, der) magnitude held by each grid-forming DER, NaN for the others.
    p_kw, q_kvar
        (time, der, 3) base set-points, injection positive.
    costs_usd
        ``shed``, ``generation``, ``redispatch`` (worst case) and ``objective``.
    proof
        What was shown.
    partial_ids, served_share
        Loads that some step serves in part, and (time, load of these) the share of its demand
        that each is asked for; every other load of a live block is served whole.
    """

    family: str
    scenario_digest: str
    switch_ids: tuple[str, ...]
    block_ids: tuple[str, ...]
    der_ids: tuple[str, ...]
    closed: BoolArray
    energized: BoolArray
    grid_forming: BoolArray
    source_v_pu: FloatArray
    p_kw: FloatArray
    q_kvar: FloatArray
    costs_usd: Mapping[str, float]
    proof: Proof
    partial_ids: tuple[str, ...] = ()
    served_share: FloatArray = field(default_factory=lambda: np.ones((0, 0)))

    def __post_init__(self) -> None:
        times = len(self.closed)
        if not self.partial_ids:
            object.__setattr__(self, "served_share", np.ones((times, 0)))
        shapes: dict[str, tuple[object, tuple[int, ...]]] = {
            "closed": (bool, (times, len(self.switch_ids))),
            "energized": (bool, (times, len(self.block_ids))),
            "grid_forming": (bool, (times, len(self.der_ids))),
            "source_v_pu": (float, (times, len(self.der_ids))),
            "p_kw": (float, (times, len(self.der_ids), 3)),
            "q_kvar": (float, (times, len(self.der_ids), 3)),
            "served_share": (float, (times, len(self.partial_ids))),
        }
        for name, (kind, shape) in shapes.items():
            object.__setattr__(self, name, frozen(getattr(self, name), kind, shape))  # type: ignore[arg-type]

    def share_of(self, load_ids: Sequence[str]) -> FloatArray:
        """(time, load) share of each load's demand that the plan asks for."""
        share = np.ones((len(self.closed), len(load_ids)))
        where = index_of(load_ids)
        share[:, [where[name] for name in self.partial_ids]] = self.served_share
        return share

    def asked(self, drawn: Realizations, scenario: Scenario) -> Realizations:
        """Return the demand the plan asks for: what was drawn, less what it sheds."""
        if not self.partial_ids:
            return drawn
        share = self.share_of(scenario.feeder.loads.ids)[None, :, :, None]
        return replace(drawn, p_kw=drawn.p_kw * share, q_kvar=drawn.q_kvar * share)


# ---------------------------------------------------------------------------------- file

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Triple = Annotated[list[float], Field(min_length=3, max_length=3)]
_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)


class _DerFile(BaseModel):
    model_config = _STRICT
    grid_forming: list[bool]
    source_v_pu: list[float | None]
    p_kw: list[Triple]
    q_kvar: list[Triple]


class _ProofFile(BaseModel):
    model_config = _STRICT
    termination: Termination = Termination.EXTERNAL
    incumbent_usd: float | None = None
    bound_usd: float | None = None
    asked_gap: float = 1e-4
    robust: bool = False
    iterations: int = 0
    realizations_kept: int = 0
    seconds: dict[str, float] = Field(default_factory=dict)


class _PlanFile(BaseModel):
    model_config = _STRICT
    format: Literal["gridproof-plan/1"]
    family: str = "external"
    scenario_digest: str = ""
    switches: dict[str, list[Literal["open", "closed"]]]
    energized_blocks: dict[str, list[bool]]
    ders: dict[str, _DerFile]
    served_share: dict[str, list[Share]] = Field(default_factory=dict)
    costs_usd: dict[str, float] = Field(default_factory=dict)
    proof: _ProofFile = Field(default_factory=_ProofFile)


def plan_to_json(plan: Plan) -> str:
    """Serialise a plan; ``plan_from_json`` reads it back without loss.

    A non-finite number (no bound known, no voltage held) is written as ``null``.
    """
    times = range(len(plan.closed))
    file = _PlanFile(
        format="gridproof-plan/1",
        family=plan.family,
        scenario_digest=plan.scenario_digest,
        switches={
            name: ["closed" if plan.closed[t, k] else "open" for t in times]
            for k, name in enumerate(plan.switch_ids)
        },
        energized_blocks={
            name: plan.energized[:, k].tolist() for k, name in enumerate(plan.block_ids)
        },
        ders={
            name: _DerFile(
                grid_forming=plan.grid_forming[:, k].tolist(),
                source_v_pu=[_finite(v) for v in plan.source_v_pu[:, k].tolist()],
                p_kw=plan.p_kw[:, k].tolist(),
                q_kvar=plan.q_kvar[:, k].tolist(),
            )
            for k, name in enumerate(plan.der_ids)
        },
        served_share={
            name: plan.served_share[:, k].tolist() for k, name in enumerate(plan.partial_ids)
        },
        costs_usd=dict(plan.costs_usd),
        proof=_ProofFile(
            termination=plan.proof.termination,
            incumbent_usd=_finite(plan.proof.incumbent_usd),
            bound_usd=_finite(plan.proof.bound_usd),
            asked_gap=plan.proof.asked_gap,
            robust=plan.proof.robust,
            iterations=plan.proof.iterations,
            realizations_kept=plan.proof.realizations_kept,
            seconds=dict(plan.proof.seconds),
        ),
    )
    return file.model_dump_json(indent=1, exclude=None if plan.partial_ids else {"served_share"})


def plan_schema() -> dict[str, Any]:
    """Return the JSON schema of the plan file, for the wire's contract."""
    return _PlanFile.model_json_schema()


def plan_from_json(text: str, scenario: Scenario, where: str = "plan") -> Plan:
    """Read a plan for a scenario; axes come out in the scenario's own order.

    Parameters
    ----------
    text
        JSON as ``plan_to_json`` writes it; a plan made elsewhere may leave out
        ``scenario_digest``, ``served_share``, ``costs_usd`` and ``proof``, and a substation
        that forms nothing.
    scenario
        What the plan is for; ids not in it, or missing from the file, are faults.
    where
        Name used in messages, normally the file's path.

    Raises
    ------
    ConfigError
        With every fault found.
    """
    file = _parse(text, where)
    feeder, steps = scenario.feeder, len(scenario.hours)
    substation = dict(zip(scenario.ders.ids, scenario.ders.is_substation.tolist(), strict=True))
    needed = tuple(name for name, own in substation.items() if not own)
    faults = [
        *_id_faults(where, "switches", file.switches, feeder.switch_ids),
        *_id_faults(where, "energized_blocks", file.energized_blocks, feeder.blocks.ids),
        *_id_faults(where, "ders", file.ders, scenario.ders.ids, needed=needed),
        *_unknown(where, "served_share", file.served_share, feeder.loads.ids),
        *_step_faults(where, file, steps),
    ]
    if faults:
        raise ConfigError(faults)
    ders = [file.ders.get(name, _idle(steps)) for name in scenario.ders.ids]
    closed = [[state == "closed" for state in file.switches[k]] for k in feeder.switch_ids]
    held = [[np.nan if v is None else v for v in der.source_v_pu] for der in ders]
    return Plan(
        family=file.family,
        scenario_digest=file.scenario_digest,
        switch_ids=feeder.switch_ids,
        block_ids=feeder.blocks.ids,
        der_ids=scenario.ders.ids,
        closed=_columns(closed, steps),
        energized=_columns([file.energized_blocks[k] for k in feeder.blocks.ids], steps),
        grid_forming=_columns([der.grid_forming for der in ders], steps),
        source_v_pu=_columns(held, steps),
        p_kw=_columns([der.p_kw for der in ders], steps, 3),
        q_kvar=_columns([der.q_kvar for der in ders], steps, 3),
        costs_usd=MappingProxyType(dict(file.costs_usd)),
        proof=_proof(file.proof),
        partial_ids=tuple(file.served_share),
        served_share=_columns(list(file.served_share.values()), steps),
    )


def _parse(text: str, where: str) -> _PlanFile:
    try:
        return _PlanFile.model_validate_json(text)
    except ValidationError as error:
        faults = [
            f"{where}: {'.'.join(str(part) for part in item['loc']) or 'file'}: {item['msg']}"
            f" (found {str(item.get('input'))[:60]!r}); see docs/wire.md for the plan format"
            for item in error.errors()
        ]
        raise ConfigError(faults) from error


def _proof(file: _ProofFile) -> Proof:
    return Proof(
        termination=file.termination,
        incumbent_usd=np.inf if file.incumbent_usd is None else file.incumbent_usd,
        bound_usd=-np.inf if file.bound_usd is None else file.bound_usd,
        asked_gap=file.asked_gap,
        robust=file.robust,
        iterations=file.iterations,
        realizations_kept=file.realizations_kept,
        seconds=MappingProxyType(dict(file.seconds)),
    )


def _columns(rows: Sequence[Sequence[Any]], steps: int, width: int = 0) -> NDArray[Any]:
    """Stack per-element rows of steps into (time, element[, width])."""
    shape = (len(rows), steps, width) if width else (len(rows), steps)
    return np.array(rows).reshape(shape).swapaxes(0, 1)


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _idle(steps: int) -> _DerFile:
    """Make the entry of a substation that a plan does not name: it feeds nothing."""
    rest = [[0.0, 0.0, 0.0]] * steps
    return _DerFile(
        grid_forming=[False] * steps, source_v_pu=[None] * steps, p_kw=rest, q_kvar=rest
    )


def _id_faults(
    where: str,
    field_name: str,
    given: Mapping[str, object],
    wanted: tuple[str, ...],
    needed: tuple[str, ...] | None = None,
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


def _step_faults(where: str, file: _PlanFile, steps: int) -> list[str]:
    lengths = {f"switches.{k}": len(v) for k, v in file.switches.items()}
    lengths |= {f"energized_blocks.{k}": len(v) for k, v in file.energized_blocks.items()}
    lengths |= {f"served_share.{k}": len(v) for k, v in file.served_share.items()}
    for name, der in file.ders.items():
        for field_name in ("grid_forming", "source_v_pu", "p_kw", "q_kvar"):
            lengths[f"ders.{name}.{field_name}"] = len(getattr(der, field_name))
    return [
        f"{where}: {field_name} has {length} steps; the study has {steps}"
        for field_name, length in lengths.items()
        if length != steps
    ]
