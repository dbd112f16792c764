"""What is in a feeder file, and how far what is read of it can be trusted."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from gridproof.federation.config.study import FeederConfig, StudyConfig, SubstationConfig
from gridproof.federation.jsonable import Jsonable
from gridproof.federation.studies.build import build_scenario
from gridproof.scenarios.arrays import BoolArray, FloatArray
from gridproof.scenarios.centres import floating_centres
from gridproof.scenarios.errors import EngineError
from gridproof.scenarios.feeder import Feeder
from gridproof.scenarios.graph import connected_components
from gridproof.scenarios.loops import unswitchable_loops
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.proof import Proof, Termination
from gridproof.scenarios.realization import realize
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.setpoints import Setpoints
from gridproof.scenarios.snapshot import Snapshots
from gridproof.simulator.engine import Engine
from gridproof.simulator.linear.engine import LinearEngine
from gridproof.simulator.opendss.engine import OpenDssEngine
from gridproof.simulator.reader.agreement import columns_flow, farthest_apart, opendss_flow
from gridproof.simulator.reader.machines import Machine, machines_of

__all__ = ["Agreement", "BlockFacts", "FeederFacts", "Laden", "as_it_stands", "feeder_facts"]

LADEN = 0.72
"""Share of a rating above which loads above nominal, and the sides of a polygon, pass it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockFacts(Jsonable):
    """One block: what stays connected with every switch open."""

    block: str
    buses: int
    load_kw: float
    machines_kw: float
    substation: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement(Jsonable):
    """Largest differences over all live nodes, pu; None where one of the two has no solution.

    Attributes
    ----------
    columns_pu
        An AC flow from the reader's columns alone against OpenDSS's own.
    engine_pu
        The AC engine against OpenDSS's own, magnitudes.
    linear_pu
        The linear model against the AC engine, magnitudes.
    remarks
        Why one is missing.
    """

    columns_pu: float | None
    engine_pu: float | None
    linear_pu: float | None
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Laden(Jsonable):
    """What carries more than `LADEN` of its rating in the file as it stands.

    Attributes
    ----------
    kind, name
        ``line`` or ``transformer``, and its id.
    carried, rated, unit
        What its worst phase, or all of a transformer, carries of its rating, A or kVA.
    """

    kind: str
    name: str
    carried: float
    rated: float
    unit: str

    def __str__(self) -> str:
        carried = f"{self.carried:.4g} of its {self.rated:.4g} {self.unit}"
        return f"{self.kind} {self.name} carries {carried}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FeederFacts(Jsonable):
    """What is in a feeder file.

    Attributes
    ----------
    nodes
        Phases of all buses.
    load_kw, load_kvar
        Nominal demand.
    elements
        How many, by kind.
    switches
        Ids, and whether each is closed in the file.
    bases_kv
        Line-to-neutral voltage bases.
    loops
        Loops that no switch opens, each by its elements.
    unrated_lines
        Lines whose file states no rating; none is held of them.
    losses_kw, v_min_pu, v_max_pu, v_min_bus, v_max_bus
        Of the file as it stands, its machines aside; None where it has no solution.
    laden
        What carries more than `LADEN` of its rating there: transformers, then lines, worst first.
    """

    path: str
    name: str
    buses: int
    nodes: int
    load_kw: float
    load_kvar: float
    elements: dict[str, int]
    bases_kv: tuple[float, ...]
    switches: dict[str, bool]
    blocks: tuple[BlockFacts, ...]
    loops: tuple[tuple[str, ...], ...]
    unrated_lines: tuple[str, ...]
    losses_kw: float | None
    v_min_pu: float | None
    v_min_bus: str
    v_max_pu: float | None
    v_max_bus: str
    agreement: Agreement
    laden: tuple[Laden, ...] = ()

    @property
    def overloads(self) -> tuple[Laden, ...]:
        """What carries more than its rating."""
        return tuple(one for one in self.laden if one.carried > one.rated)


def as_it_stands(feeder: Feeder) -> tuple[Scenario, Plan]:
    """Return the scenario of a feeder that its own sources feed, and its state as a plan.

    Loads follow their voltage as the file has them, and a switch is a line in the state it has
    there: a loop that closed switches form is one of lines.
    """
    lines = replace(feeder.lines, switchable=np.zeros(len(feeder.lines.ids), bool))
    feeder = replace(feeder, lines=lines)
    config = StudyConfig(
        feeder=FeederConfig(path=feeder.path or feeder.name, load_model="as_modelled"),
        substation=SubstationConfig(lost=False),
    )
    scenario = build_scenario(feeder.name, config, feeder)
    ders, count = scenario.ders, len(scenario.ders.ids)
    closed = feeder.lines.closed[feeder.switches]
    return scenario, Plan(
        family="as it stands",
        scenario_digest="",
        switch_ids=feeder.switch_ids,
        block_ids=feeder.blocks.ids,
        der_ids=ders.ids,
        closed=closed[None],
        energized=_reached(feeder, closed)[None],
        grid_forming=np.ones((1, count), bool),
        source_v_pu=np.asarray(feeder.sources.v_pu)[None],
        p_kw=np.zeros((1, count, 3)),
        q_kvar=np.zeros((1, count, 3)),
        costs={},
        proof=Proof(termination=Termination.EXTERNAL, incumbent=np.inf, bound=-np.inf),
    )


def _reached(feeder: Feeder, closed: BoolArray) -> BoolArray:
    """(block,) what the sources reach over closed switches."""
    ends = feeder.switch_blocks[closed]
    label = connected_components(len(feeder.blocks.ids), ends[:, 0], ends[:, 1])
    return np.asarray(np.isin(label, label[feeder.blocks.of_bus[feeder.sources.bus]]))


def observed(engine: Engine, scenario: Scenario, plan: Plan) -> Snapshots:
    """Solve the nominal realization of a plan that commands no DER."""
    none = np.zeros(plan.p_kw.shape)
    engine.hold(plan)
    told = Setpoints(
        index=np.zeros(1, np.int64),
        found=np.ones(1, bool),
        p_kw=none,
        q_kvar=none,
        source_v_pu=plan.source_v_pu,
    )
    return engine.observe(realize(scenario, np.zeros((1, 0))), told)


def feeder_facts(feeder: Feeder, machines: tuple[Machine, ...] | None = None) -> FeederFacts:
    """Look at a feeder that was read.

    Parameters
    ----------
    feeder
        As `simulator.reader.feeder.read_feeder` returns it.
    machines
        Of its file; read from there if not given.
    """
    found = machines_of(Path(feeder.path)) if machines is None else machines
    agreement, seen = _agreement(feeder)
    solved = seen is not None and bool(seen.converged[0])
    v = np.array(seen.v_pu[0]) if seen is not None and solved else np.full((1, 3), np.nan)
    low, high = _extreme(v, feeder, -1.0), _extreme(v, feeder, 1.0)
    return FeederFacts(
        path=feeder.path,
        name=feeder.name,
        buses=len(feeder.buses.ids),
        nodes=int(feeder.buses.phases.sum()),
        load_kw=float(feeder.loads.p_kw.sum()),
        load_kvar=float(feeder.loads.q_kvar.sum()),
        elements=_elements(feeder, found),
        bases_kv=tuple(sorted({round(float(kv), 6) for kv in feeder.buses.base_kv})),
        switches={
            name: bool(feeder.lines.closed[k])
            for name, k in zip(feeder.switch_ids, feeder.switches, strict=True)
        },
        blocks=_blocks(feeder, found),
        loops=tuple(unswitchable_loops(feeder)),
        unrated_lines=feeder.lines.unrated_ids,
        losses_kw=float(seen.losses_kw[0]) if seen is not None and solved else None,
        v_min_pu=low[0],
        v_min_bus=low[1],
        v_max_pu=high[0],
        v_max_bus=high[1],
        agreement=agreement,
        laden=() if seen is None or not solved else _laden(feeder, seen),
    )


def _laden(feeder: Feeder, seen: Snapshots) -> tuple[Laden, ...]:
    """Name the transformers, then the lines, that carry most of their rating, worst first."""
    units, lines = feeder.transformers, feeder.lines
    amps = np.nan_to_num(seen.current_a[0]).max(axis=1, initial=0.0)
    found = []
    for kind, ids, carried, rated, unit in (
        ("transformer", units.ids, seen.transformer_kva[0], units.rating_kva, "kVA"),
        ("line", lines.ids, amps, lines.rating_a, "A"),
    ):
        share = np.nan_to_num(carried) / rated
        for k in np.argsort(-share, kind="stable").tolist():
            if share[k] <= LADEN:
                break
            found.append(
                Laden(
                    kind=kind,
                    name=ids[k],
                    carried=float(carried[k]),
                    rated=float(rated[k]),
                    unit=unit,
                )
            )
    return tuple(found)


def _agreement(feeder: Feeder) -> tuple[Agreement, Snapshots | None]:
    remarks: list[str] = []
    bare = opendss_flow(Path(feeder.path), feeder)
    columns = None if bare is None else columns_flow(feeder, bare)
    if bare is None:
        remarks.append("OpenDSS finds no solution of the file as it stands")
    elif columns is None:
        remarks.append("the flow from the columns does not settle")
    around = int(feeder.buses.neutral.sum())
    if around:
        remarks.append(
            f"{around} buses have a neutral of their own: AC has it, the columns and the linear "
            "model take it for earth"
        )
    scenario, plan = as_it_stands(feeder)
    ac, linear = (_seen(kind, scenario, plan, remarks) for kind in (OpenDssEngine, LinearEngine))
    apart = None
    if ac is not None and bare is not None:
        apart = _largest(
            np.abs(bare), ac.v_pu[0], _counted_from_earth(ac.v_pu[0], np.abs(bare), feeder)
        )
    return (
        Agreement(
            columns_pu=None
            if columns is None or bare is None
            else farthest_apart(feeder, columns, bare),
            engine_pu=apart,
            linear_pu=None
            if ac is None or linear is None
            else _largest(linear.v_pu[0], ac.v_pu[0]),
            remarks=tuple(remarks),
        ),
        ac,
    )


def _seen(
    kind: type[OpenDssEngine] | type[LinearEngine],
    scenario: Scenario,
    plan: Plan,
    remarks: list[str],
) -> Snapshots | None:
    name = "AC engine" if kind is OpenDssEngine else "linear model"
    try:
        with closing(kind(scenario)) as engine:
            seen = observed(engine, scenario, plan)
    except EngineError as error:
        remarks.append(f"{name}: {error}")
        return None
    if not seen.converged[0]:
        remarks.append(f"{name}: no solution")
        return None
    return seen


def _counted_from_earth(v: FloatArray, bare: FloatArray, feeder: Feeder) -> BoolArray:
    """(bus, 3) nodes whose magnitudes both count from earth: not those that only deltas feed."""
    floating = floating_centres(feeder, feeder.lines.closed, feeder.sources.bus).bus
    use = np.isfinite(v) & np.isfinite(bare)
    use[floating] = False
    return np.asarray(use)


def _largest(one: FloatArray, other: FloatArray, use: BoolArray | None = None) -> float | None:
    apart = np.abs(one - other)
    apart = apart[np.isfinite(apart) if use is None else use & np.isfinite(apart)]
    return float(apart.max()) if apart.size else None


def _extreme(v: FloatArray, feeder: Feeder, sign: float) -> tuple[float | None, str]:
    if not np.isfinite(v).any():
        return None, ""
    at = int(np.nanargmax(sign * v))
    return float(v.flat[at]), feeder.buses.ids[at // 3]


def _elements(feeder: Feeder, machines: tuple[Machine, ...]) -> dict[str, int]:
    lines, units = feeder.lines.ids, feeder.transformers
    services = int((units.primary >= 0).sum())
    in_series = sum(name.startswith(("reactor.", "capacitor.")) for name in lines)
    shunts = Counter(name.split(".")[0] for name in feeder.capacitors.ids if "." in name)
    found = {
        "lines": len(lines) - in_series,
        "reactors and capacitors in series": in_series,
        "transformers": len(units.ids) - services,
        "service transformers": services,
        "loads": len(feeder.loads.ids),
        "shunt capacitors": len(feeder.capacitors.ids) - sum(shunts.values()),
        "shunt reactors": shunts["reactor"],
        "magnetising branches": shunts["transformer"],
        "sources": len(feeder.sources.ids),
        **{f"{kind} (passed over)": n for kind, n in Counter(m.kind for m in machines).items()},
    }
    return {kind: n for kind, n in found.items() if n}


def _blocks(feeder: Feeder, machines: tuple[Machine, ...]) -> tuple[BlockFacts, ...]:
    count, of_bus = len(feeder.blocks.ids), feeder.blocks.of_bus
    load = np.bincount(feeder.block_of_load, feeder.loads.p_kw.sum(axis=1), minlength=count)
    place = {name: k for k, name in enumerate(feeder.buses.ids)}
    supply = np.zeros(count)
    for one in machines:
        if one.bus in place:
            supply[of_bus[place[one.bus]]] += one.capacity_kw
    fed = set(of_bus[feeder.sources.bus].tolist())
    return tuple(
        BlockFacts(
            block=name,
            buses=int((of_bus == k).sum()),
            load_kw=float(load[k]),
            machines_kw=float(supply[k]),
            substation=k in fed,
        )
        for k, name in enumerate(feeder.blocks.ids)
    )
