"""The AC engine against a bare OpenDSS loop on the same circuit at the same tolerance.

The bare loop sets every load's kW and kvar by one batch call each, solves, and copies the
node voltages; it measures nothing, masks nothing, and leaves DERs at their set-points. It is
timed from a warm start (OpenDSS's own way) and from the engine's fixed start.

``python -m benchmarks.engine [FEEDER.dss …]``; without a path: the shipped IEEE 37 study
feeder, islanded. Another feeder gets one grid-forming DER in its source's place.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from gridproof.scenarios.feeder import Feeder
from gridproof.scenarios.fleet import Ders
from gridproof.scenarios.limits import Limits
from gridproof.scenarios.load_models import LoadModel
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.proof import Proof, Termination
from gridproof.scenarios.realization import Realizations, draw
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.setpoints import Setpoints
from gridproof.scenarios.sets import Box
from gridproof.simulator.opendss.engine import OpenDssEngine
from gridproof.simulator.opendss.engine_thread import on_engine_thread
from gridproof.simulator.reader.feeder import read_feeder

from benchmarks._bench import Row, compare, table

__all__ = ["bare_loop", "run"]

ISLANDED = Path(__file__).parents[1] / "configs/feeders/ieee37-networked/ieee37_networked.dss"
SWITCHES = (
    "799r-701", "702-705", "702-713", "702-703", "703-727", "708-709", "734-737",
    "729-742", "725-731", "725-741",
)  # fmt: skip
CAPACITY_KW = {"701": 460, "705": 300, "720": 160, "730": 510, "744": 230, "734": 100, "738": 420}
OPEN = {"799r-701", "703-727", "708-709", "729-742", "725-731"}
FORMING = ("701", "744")


def run(paths: Sequence[Path] = (), batch: int = 256, repeats: int = 15) -> list[Row]:
    """Time the engine and the bare loop on each feeder, islanded IEEE 37 if none is given."""
    rows = []
    for path in paths or (ISLANDED,):
        scenario, plan = _islanded_ieee37() if path == ISLANDED else _whole(path)
        engine = OpenDssEngine(scenario)
        engine.hold(plan)
        realizations = draw(scenario, 1, 0, batch)
        setpoints = _answer(plan, realizations)
        for start in ("warm", "fixed"):
            bare = bare_loop(engine, realizations, fixed_start=start == "fixed")
            subject = f"{scenario.feeder.name}, {len(scenario.feeder.loads.ids)} loads, {start}"
            ours: Callable[[], object] = lambda e=engine, r=realizations, s=setpoints: (  # noqa: E731
                e.observe(r, s)
            )
            rows.append(compare(subject, ours, bare, units=batch, repeats=repeats))
        if not engine.observe(realizations, setpoints).converged.all():
            raise RuntimeError(f"{path}: not every flow converged; the timing means nothing")
        engine.close()
    return rows


@on_engine_thread
def bare_loop(
    engine: OpenDssEngine, realizations: Realizations, *, fixed_start: bool
) -> Callable[[], object]:
    """Make a loop of raw calls of the C library on the engine's own held circuit."""
    circuit = engine._circuit
    ffi, raw, context = circuit.ffi, circuit.raw, circuit._context
    places = engine._held.served
    loads = ffi.new("void*[]", [engine._elements.loads[k] for k in places])
    count, (kw_at, kvar_at) = len(places), engine._elements.load_columns
    kw = np.ascontiguousarray(realizations.p_kw[:, 0, places].sum(axis=-1))
    kvar = np.ascontiguousarray(realizations.q_kvar[:, 0, places].sum(axis=-1))
    volts = np.empty((len(kw), circuit.active.NumNodes + 1), complex)

    @on_engine_thread
    def loop() -> None:
        pointer = ffi.new("double**")
        raw.ctx_YMatrix_getVpointer(context, pointer)
        live = np.frombuffer(ffi.buffer(pointer[0], 16 * volts.shape[1]), complex)
        kw_row, kvar_row = (ffi.cast("double*", part.ctypes.data) for part in (kw, kvar))
        put, solve = raw.Batch_Float64Array, raw.ctx_Solution_SolveNoControl
        forget = raw.ctx_YMatrix_Set_SolutionInitialized
        for row in range(len(volts)):
            put(loads, count, kw_at, 0, kw_row + row * count, 2)
            put(loads, count, kvar_at, 0, kvar_row + row * count, 2)
            if fixed_start:
                forget(context, 0)
            solve(context)
            volts[row] = live

    return loop


# ------------------------------------------------------------------------------- subjects


def _islanded_ieee37() -> tuple[Scenario, Plan]:
    """Two islands of the study feeder without its substation."""
    feeder = read_feeder(ISLANDED, switches=SWITCHES)
    scenario = _scenario(feeder, CAPACITY_KW, 0.25)
    return scenario, _plan(scenario, OPEN, FORMING)


def _whole(path: Path) -> tuple[Scenario, Plan]:
    """Take a feeder with one forming DER where its source stands, all loads moving."""
    feeder = read_feeder(path)
    bus = feeder.buses.ids[feeder.sources.bus[0]]
    scenario = _scenario(feeder, {bus: 10.0 * feeder.loads.p_kw.sum()}, 0.1)
    return scenario, _plan(scenario, (), (bus,))


def _scenario(feeder: Feeder, capacity_kw: dict[str, float], spread: float) -> Scenario:
    count, loads = len(capacity_kw), len(feeder.loads.ids)
    third = np.repeat(np.array(list(capacity_kw.values()), float)[:, None] / 3.0, 3, axis=1)
    return Scenario(
        name=feeder.name,
        feeder=feeder,
        ders=Ders(
            ids=tuple(capacity_kw),
            bus=np.array([feeder.buses.ids.index(bus) for bus in capacity_kw]),
            phases=np.ones((count, 3), bool),
            p_min_kw=np.zeros((count, 3)),
            p_max_kw=third,
            q_min_kvar=-0.75 * third,
            q_max_kvar=0.75 * third,
            s_max_kva=np.full((count, 3), np.inf),
            ramp_kw=0.3 * third,
            ramp_kvar=0.3 * third,
            cost_usd_per_kw=np.full(count, 12.0),
            redispatch_cost_usd_per_kw=np.full(count, 12.0),
            can_form=np.ones(count, bool),
        ),
        hours=np.zeros(1),
        load_p_kw=feeder.loads.p_kw[None],
        load_q_kvar=feeder.loads.q_kvar[None],
        load_model=(LoadModel.CONSTANT_POWER,) * loads,
        uncertainty=Box(load_ids=feeder.loads.ids, spread=np.full(loads, spread)),
        limits=Limits(),
        locked=np.zeros(len(feeder.switches), bool),
        shed_usd=np.ones(len(feeder.blocks.ids)),
    )


def _plan(scenario: Scenario, opened: Sequence[str] | set[str], forming: Sequence[str]) -> Plan:
    feeder, ders = scenario.feeder, scenario.ders
    forms = np.array([name in forming for name in ders.ids])
    closed = np.array([name not in opened for name in feeder.switch_ids], bool)
    return Plan(
        family="external",
        scenario_digest="",
        switch_ids=feeder.switch_ids,
        block_ids=feeder.blocks.ids,
        der_ids=ders.ids,
        closed=closed[None],
        energized=np.ones((1, len(feeder.blocks.ids)), bool),
        grid_forming=forms[None],
        source_v_pu=np.where(forms, 1.0, np.nan)[None],
        p_kw=0.6 * ders.p_max_kw[None],
        q_kvar=0.3 * ders.p_max_kw[None],
        costs={},
        proof=Proof(termination=Termination.EXTERNAL, incumbent=np.inf, bound=-np.inf),
    )


def _answer(plan: Plan, realizations: Realizations) -> Setpoints:
    """Set-points that differ from one realization to the next, as a recourse's do."""
    count = len(realizations)
    factor = 1.0 + 0.1 * realizations.zeta[:, :1, None]
    return Setpoints(
        index=realizations.index,
        found=np.ones(count, bool),
        p_kw=plan.p_kw * factor,
        q_kvar=plan.q_kvar * factor,
        source_v_pu=np.repeat(plan.source_v_pu, count, axis=0),
    )


if __name__ == "__main__":
    print(table(run([Path(name) for name in sys.argv[1:]]), "engine", "bare loop"))
