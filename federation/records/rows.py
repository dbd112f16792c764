"""One row per realization: what a campaign keeps of each, and the columns it is kept in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
from gridproof.federation.trial.trial import Trace
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray
from gridproof.scenarios.limits import VoltageTest
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.realization import Realizations
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.snapshot import Snapshots
from gridproof.scenarios.verdict import MarginKind, Outcome, Verdicts, kinds_of

__all__ = [
    "MARGIN_UNITS",
    "OUTCOME_NAMES",
    "STEP",
    "Rows",
    "counted",
    "element_names",
    "joint_outcome",
    "row_schema",
    "rows_of",
    "slot_names",
    "with_kinds",
]

OUTCOME_NAMES: tuple[str, ...] = tuple(outcome.name.lower() for outcome in Outcome)
"""Outcome names as files and people have them, in the order of their codes."""

_UNITS = {MarginKind.VOLTAGE: "pu", MarginKind.DAMAGE: "-1 is live"}
MARGIN_UNITS: dict[str, str] = {kind.value: _UNITS.get(kind, "of rating") for kind in MarginKind}

STEP = "step"
"""Column that says which step a row is of, where a campaign lives through several."""

_ZETA = "zeta_"
_NOTHING_SOLVED = (Outcome.NO_RECOURSE, Outcome.NO_SOLUTION)
_OUTCOME_TYPE = pa.dictionary(pa.int8(), pa.string())
_PHASES, _PAIRS = ("a", "b", "c"), ("ab", "bc", "ca")


@lru_cache(maxsize=8)
def row_schema(
    scenario: Scenario,
    traced: tuple[str, ...] = (),
    *,
    both: bool = False,
    stepped: bool = False,
) -> pa.Schema:
    """Columns of a campaign's parts; those ``traced`` come last.

    ``zeta_<direction>`` are the drawn coordinates; ``load_kw`` the demand drawn, all blocks;
    ``served_kw`` what the physics served; ``forming_kw`` and ``forming_kvar`` the output of
    all grid-forming DERs; ``redispatch_usd`` what moving every DER from its planned power
    costs, ``Σ c_g |p - p_base|`` over DERs and phases, losses included. For each kind of
    margin its worst value (pu, or share of rating) with the element and the phase (or pair)
    it belongs to. Null where nothing was solved.
    With ``both`` judges, ``outcome_linear`` is the linear one's; the rest is AC's.
    """
    fields = [
        pa.field("index", pa.int64(), nullable=False),
        *([pa.field(STEP, pa.int16(), nullable=False)] if stepped else []),
        *(pa.field(f"zeta_{name}", pa.float64()) for name in scenario.direction_ids),
        pa.field("load_kw", pa.float64()),
        pa.field("outcome", _OUTCOME_TYPE),
        *([pa.field("outcome_linear", _OUTCOME_TYPE)] if both else []),
    ]
    for kind in kinds_of(scenario):
        fields += [
            pa.field(f"margin_{kind.value}", pa.float64()),
            pa.field(f"element_{kind.value}", pa.string()),
            pa.field(f"phase_{kind.value}", pa.string()),
        ]
    fields += [
        pa.field(name, pa.float64())
        for name in ("served_kw", "forming_kw", "forming_kvar", "losses_kw", "redispatch_usd")
    ]
    fields += [pa.field("iterations", pa.int64())]
    return pa.schema([*fields, *(pa.field(name, pa.float64()) for name in traced)])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """Rows as arrays: a table is made of many batches' at once, as each costs every column anew.

    Attributes
    ----------
    schema
        Of the table.
    zeta
        (row, direction) drawn coordinates.
    numbers
        (row,) by column; of an outcome its code, of a name its position in ``names``, or -1.
    names
        What positions stand for, by column.
    solved
        (row,) whether what the physics says is a number.
    """

    schema: pa.Schema
    zeta: FloatArray
    numbers: Mapping[str, FloatArray | IntArray]
    names: Mapping[str, tuple[str, ...]]
    solved: BoolArray

    def __len__(self) -> int:
        """How many."""
        return len(self.solved)

    def take(self, rows: slice | IntArray) -> Rows:
        """Return some of them."""
        numbers = {name: values[rows] for name, values in self.numbers.items()}
        return replace(self, zeta=self.zeta[rows], numbers=numbers, solved=self.solved[rows])

    def traced(self, trace: Trace | None, names: Sequence[str]) -> Rows:
        """Append the numbers kept beside a batch's verdicts.

        Raises
        ------
        ValueError
            If they are missing or of another batch.
        """
        if trace is None or set(trace) != set(names):
            raise ValueError(f"a batch came without its trace {', '.join(names)}")
        more = [pa.field(name, pa.float64()) for name in names]
        own = {name: np.asarray(trace[name], float) for name in names}
        schema = pa.schema([*self.schema, *more])
        return replace(self, schema=schema, numbers={**self.numbers, **own})

    @classmethod
    def joined(cls, batches: Sequence[Rows]) -> Rows:
        """Join batches, in the order of index."""
        first = batches[0]
        zeta = np.empty((first.zeta.shape[1], sum(map(len, batches))))  # columns side by side
        begin = 0
        for one in batches:
            zeta[:, begin : begin + len(one)] = one.zeta.T
            begin += len(one)
        whole = replace(
            first,
            zeta=zeta.T,
            numbers={k: np.concatenate([one.numbers[k] for one in batches]) for k in first.numbers},
            solved=np.concatenate([one.solved for one in batches]),
        )
        index = whole.numbers["index"]
        in_order = (index[1:] >= index[:-1]).all()
        return whole if in_order else whole.take(np.argsort(index, kind="stable"))

    def table(self) -> pa.Table:
        """Make the table."""
        drawn = (pa.array(column) for column in np.ascontiguousarray(self.zeta.T))
        columns = [
            next(drawn) if field.name.startswith(_ZETA) else self._column(field)
            for field in self.schema
        ]
        return pa.Table.from_arrays(columns, schema=self.schema)

    def _column(self, field: pa.Field) -> pa.Array:
        values = self.numbers[field.name]
        if field.type == _OUTCOME_TYPE:
            return pa.DictionaryArray.from_arrays(values.astype(np.int8), pa.array(OUTCOME_NAMES))
        if field.name in self.names:
            return _named(self.names[field.name], values.astype(np.int64))
        if field.name in _PHYSICAL:
            return pa.array(values, field.type, mask=~self.solved)
        return pa.array(values, field.type, from_pandas=field.name.startswith("margin_"))


def rows_of(
    scenario: Scenario,
    plan: Plan,
    realizations: Realizations,
    snapshots: Snapshots,
    verdicts: Verdicts,
    *,
    second: Verdicts | None = None,
    time: int = 0,
    stepped: bool = False,
) -> Rows:
    """Turn one batch into rows.

    Parameters
    ----------
    scenario, plan
        Name the elements and say which DERs are grid-forming.
    realizations, verdicts
        Of equal length and order.
    snapshots
        Of the realizations that were put to the physics; those without recourse may be
        missing.
    second
        The linear judge's verdicts on the same batch, where there are two judges.
    time
        The step.
    stepped
        Whether rows say which step they are of.

    Raises
    ------
    ValueError
        If realizations and verdicts do not speak of the same indices.
    """
    for judged in (verdicts, verdicts if second is None else second):
        if not np.array_equal(realizations.index, judged.index):
            raise ValueError("realizations and verdicts of a batch are not of the same indices")
    order, present = _align(realizations.index, snapshots.index)
    solved = present & ~np.isin(verdicts.outcome, _NOTHING_SOLVED)
    numbers: dict[str, FloatArray | IntArray] = {"index": realizations.index}
    names: dict[str, tuple[str, ...]] = {}
    if stepped:
        numbers[STEP] = np.full(len(realizations), time, np.int64)
    numbers["load_kw"] = _row_sums(realizations.demand_at(time)[0])
    numbers["outcome"] = verdicts.outcome
    if second is not None:
        numbers["outcome_linear"] = second.outcome
    for kind in kinds_of(scenario):
        k, own = list(MarginKind).index(kind), kind.value
        numbers[f"margin_{own}"] = verdicts.margin[:, k]
        numbers[f"element_{own}"] = verdicts.element[:, k]
        numbers[f"phase_{own}"] = verdicts.phase[:, k]
        names[f"element_{own}"] = element_names(scenario, kind)
        names[f"phase_{own}"] = slot_names(scenario, kind)
    for name, values in _seen(scenario, plan, snapshots, time).items():
        numbers[name] = np.where(solved, values[order], 0) if len(values) else np.zeros(len(solved))
    return Rows(
        schema=row_schema(scenario, both=second is not None, stepped=stepped),
        zeta=realizations.zeta,
        numbers=numbers,
        names=names,
        solved=solved,
    )


_PHYSICAL = (
    "served_kw",
    "forming_kw",
    "forming_kvar",
    "losses_kw",
    "redispatch_usd",
    "iterations",
)
"""Columns that are null where nothing was solved."""


def _seen(
    scenario: Scenario, plan: Plan, snapshots: Snapshots, time: int
) -> dict[str, FloatArray | IntArray]:
    """(snapshot,) what each of `_PHYSICAL` has."""
    forming = plan.grid_forming[time]
    moved = np.abs(snapshots.der_p_kw - plan.p_kw[time])
    price = scenario.ders.redispatch_cost_usd_per_kw[:, None]
    seen = (
        snapshots.delivered_kw,
        _row_sums(snapshots.der_p_kw[:, forming]),
        _row_sums(snapshots.der_q_kvar[:, forming]),
        snapshots.losses_kw,
        _row_sums(price * moved),
        snapshots.iterations,
    )
    return dict(zip(_PHYSICAL, seen, strict=True))


def with_kinds(rows: pa.Table, columns: Sequence[str] | None = None) -> pa.Table:
    """Append kinds of limits that a part's scenario has none of: margins without end, no element.

    Those that are asked for, or all.
    """
    for kind in MarginKind:
        for stem in ("margin", "element", "phase"):
            name = f"{stem}_{kind.value}"
            if name in rows.column_names or (columns is not None and name not in columns):
                continue
            if stem == "margin":
                rows = rows.append_column(name, pa.array(np.full(len(rows), np.inf)))
            else:
                rows = rows.append_column(name, pa.nulls(len(rows), pa.string()))
    return rows


def outcome_codes(column: pa.ChunkedArray) -> IntArray:
    """Codes of `Outcome` of an ``outcome`` column, whatever the codes of its file are."""
    found = []
    for piece in column.chunks:
        if not pa.types.is_dictionary(piece.type):
            piece = piece.dictionary_encode()  # noqa: PLW2901  (the same names)
        code = np.array([Outcome[name.upper()] for name in piece.dictionary.to_pylist()], np.int64)
        found.append(code[piece.indices.to_numpy(zero_copy_only=False)])
    return np.concatenate(found) if found else np.zeros(0, np.int64)


def joint_outcome(codes: IntArray) -> IntArray:
    """(realization,) what became of each over its steps, from (step, realization) codes.

    Feasible if it is so at every step, else what the first step that fails says; one that *erred*
    anywhere says nothing of the plan.
    """
    failed = codes != Outcome.FEASIBLE
    first = np.where(failed.any(axis=0), failed.argmax(axis=0), 0)
    found = codes[first, np.arange(codes.shape[1])]
    return np.asarray(np.where((codes == Outcome.ERRED).any(axis=0), Outcome.ERRED, found))


def counted(codes: IntArray) -> dict[Outcome, int]:
    """Count outcomes by their codes."""
    numbers = np.bincount(codes, minlength=max(Outcome) + 1)
    return {kind: int(numbers[kind]) for kind in Outcome}


def _row_sums(values: FloatArray) -> FloatArray:
    """Sum each row's elements one after the other.

    numpy chooses its order of summation by the array's length and layout, so the last bit of
    its sums would follow the batch size.
    """
    total = np.zeros(len(values))
    for column in values.reshape(len(values), -1).T:
        total += column
    return total


def _align(wanted: Any, have: Any) -> tuple[Any, Any]:
    """Row of ``have`` for each of ``wanted`` (0 where missing), and whether there is one."""
    if len(have) == 0:
        return np.zeros(len(wanted), np.int64), np.zeros(len(wanted), bool)
    sorter = np.argsort(have, kind="stable")
    place = np.minimum(np.searchsorted(have, wanted, sorter=sorter), len(have) - 1)
    order = sorter[place]
    present = have[order] == wanted
    return np.where(present, order, 0), present


def element_names(scenario: Scenario, kind: MarginKind) -> tuple[str, ...]:
    """Names of what a kind of limit is measured at, by position."""
    feeder = scenario.feeder
    ids = {
        MarginKind.VOLTAGE: feeder.buses.ids,
        MarginKind.CURRENT: feeder.lines.ids,
        MarginKind.TRANSFORMER: feeder.transformers.ids,
        MarginKind.CAPABILITY: scenario.ders.ids,
        MarginKind.RAMP: scenario.ders.ids,
        MarginKind.ENERGY: scenario.ders.ids,
        MarginKind.RESERVE: scenario.ders.ids,
        MarginKind.DAMAGE: feeder.lines.ids,
    }
    return ids[kind]


def slot_names(scenario: Scenario, kind: MarginKind) -> tuple[str, ...]:
    """Phases, or pairs of them where voltages are judged line to line."""
    pairs = scenario.limits.voltage_test is VoltageTest.LINE_TO_LINE
    return _PAIRS if kind is MarginKind.VOLTAGE and pairs else _PHASES


def _named(names: tuple[str, ...], positions: IntArray) -> pa.Array:
    return _words(names).take(pa.array(positions, pa.int64(), mask=positions < 0))


@lru_cache(maxsize=32)
def _words(names: tuple[str, ...]) -> pa.Array:
    return pa.array(names, pa.string())
