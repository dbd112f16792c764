"""Estimates against OpenDSS, on small feeders with loads and transformers of every kind."""

from __future__ import annotations

from contextlib import closing
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from gridproof.federation.inquiries.feeder_facts import as_it_stands
from gridproof.scenarios.lanes import LANES
from gridproof.scenarios.load_models import LoadModel
from gridproof.scenarios.realization import Realizations
from gridproof.scenarios.setpoints import Setpoints
from gridproof.scenarios.verdict import judge
from gridproof.simulator.fast.engine import FastEngine
from gridproof.simulator.fast.factors import Factors, order_of
from gridproof.simulator.fast.room import Room
from gridproof.simulator.reader.feeder import read_feeder
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import sparse

HEAD = """Clear
New Circuit.small bus1=s basekv=12.47 pu={pu} r1={r} x1={x} r0={r} x0={x}
New Line.one bus1=s bus2=a r1=0.3 x1=0.6 r0=0.8 x0=1.9 c1=9 c0=4 length=1
New Line.two bus1=a.2 bus2=b.2 phases=1 r1=0.3 x1=0.5 r0=0.3 x0=0.5 c1=0 c0=0 length=1
New Transformer.t phases=3 windings=2 buses=(a l) conns=({conns}) kvs=(12.47 4.16) kvas=(900 900)
~ xhl=4 %rs=(0.5 0.5)
New Line.low bus1=l bus2=k r1=0.05 x1=0.1 r0=0.1 x0=0.3 c1=0 c0=0 length=1
New Capacitor.c bus1=k kv=4.16 kvar=60
"""
TAIL = """Set VoltageBases=[12.47 4.16]
CalcVoltageBases
Set Tolerance=1e-9
Solve
"""
PLACES = (
    "bus1=a kv=12.47", "bus1=a kv=12.47 conn=delta", "bus1=b.2 phases=1 kv=7.2",
    "bus1=a.3.1 phases=1 conn=delta kv=12.47", "bus1=k kv=4.16", "bus1=k kv=4.16 conn=delta",
    "bus1=l.1 phases=1 kv=2.4", "bus1=s kv=12.47", "bus1=k.2.3 phases=1 conn=delta kv=4.16",
)  # fmt: skip
MODELS = (
    LoadModel.CONSTANT_POWER, LoadModel.CONSTANT_IMPEDANCE, LoadModel.CONSTANT_CURRENT,
    LoadModel.VOLTAGE_REDUCTION, LoadModel.exponential(0.7, 2.6),
    LoadModel.polynomial((0.3, 0.5, 0.2), (0.1, 0.2, 0.7)),
)  # fmt: skip
UNSETTLED = {"index", "iterations"}


def fast_of(folder: Path, models, *, pu=1.02, x=1.0, conns="delta wye", kw=60.0):
    """A feeder with a load at every place, and its plan as it stands."""
    lines = [
        f"New Load.l{k} {PLACES[k]} kw={kw + 7 * k} kvar={20 + 3 * k}" for k in range(len(models))
    ]
    path = folder / "small.dss"
    path.write_text(
        HEAD.format(pu=pu, r=0.1 * x, x=x, conns=conns) + "\n".join(lines) + "\n" + TAIL
    )
    scenario, plan = as_it_stands(read_feeder(path))
    return replace(scenario, load_model=tuple(models)), plan


def asked(scenario, plan, scales) -> tuple[Realizations, Setpoints]:
    """Every load times a number of its own, one row each."""
    count = len(scales)
    wide = np.asarray(scales, float)[:, None, :, None]
    batch = Realizations(
        index=np.arange(count),
        zeta=np.zeros((count, len(scenario.direction_ids))),
        p_kw=scenario.load_p_kw[None, :1] * wide,
        q_kvar=scenario.load_q_kvar[None, :1] * wide,
    )
    told = Setpoints(
        index=batch.index,
        found=np.ones(count, bool),
        p_kw=np.repeat(plan.p_kw[:1], count, axis=0),
        q_kvar=np.repeat(plan.q_kvar[:1], count, axis=0),
        source_v_pu=np.repeat(plan.source_v_pu[:1], count, axis=0),
    )
    return batch, told


def differences(one, other) -> dict[str, float]:
    """Largest difference of each field, as a share of the field's largest number."""
    found = {}
    for name in {field.name for field in fields(one)} - UNSETTLED - {"converged"}:
        a, b = getattr(one, name), getattr(other, name)
        np.testing.assert_array_equal(np.isnan(a), np.isnan(b))
        largest = max(np.nanmax(np.abs(b), initial=0.0), 1.0)  # nothing asked for, nothing missed
        found[name] = float(np.nanmax(np.abs(a - b), initial=0.0) / largest)
    return found


def agree(scenario, plan, scales, within=2e-9) -> bool:
    """Hold every row that the engine vouches for against OpenDSS; whether there was one."""
    with closing(FastEngine(scenario, tolerance=1e-13)) as engine:
        engine.hold(plan)
        estimate = engine.estimate(*asked(scenario, plan, scales))
        seen = engine.observe(*asked(scenario, plan, scales))
    if estimate is None or not (estimate.trusted & estimate.snapshots.converged).all():
        return False  # left to OpenDSS
    assert seen.converged.all()
    found = differences(estimate.snapshots, seen)
    assert max(found.values()) < within, found
    judged_alike(estimate, scenario, plan)
    return True


def judged_alike(estimate, scenario, plan) -> None:
    """What was judged while it was read is what `judge` finds in the snapshots, to the bit."""
    read = judge(estimate.snapshots, plan, scenario, worst=estimate.worst)
    found = judge(estimate.snapshots, plan, scenario)
    for field in fields(found):
        np.testing.assert_array_equal(getattr(read, field.name), getattr(found, field.name))


CASES = {
    "models": st.lists(st.sampled_from(MODELS), min_size=len(PLACES), max_size=len(PLACES)),
    "scales": st.lists(
        st.lists(st.floats(0.0, 1.7), min_size=len(PLACES), max_size=len(PLACES)),
        min_size=1,
        max_size=LANES + 3,
    ),
    "pu": st.floats(0.97, 1.05),
    "x": st.sampled_from([1e-5, 0.05, 1.0]),
    "conns": st.sampled_from(["delta wye", "wye wye", "wye delta"]),
}


@pytest.mark.slow
@settings(max_examples=40, deadline=None, derandomize=True)
@given(**CASES)
def test_voltages_flows_and_source_power_are_those_of_opendss(
    tmp_path_factory, models, scales, **head
):
    folder = tmp_path_factory.mktemp("small")
    assume(agree(*fast_of(folder, models, **head), scales, within=2e-7))


def test_every_model_at_once(tmp_path):
    models = [MODELS[k % len(MODELS)] for k in range(len(PLACES))]
    scales = np.linspace(0.0, 1.8, LANES + 3)[:, None] * np.linspace(0.5, 1.0, len(PLACES))
    assert agree(*fast_of(tmp_path, models, x=0.05), scales)


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_every_load_model(tmp_path, model):
    scales = np.linspace(0.2, 1.8, 5)[:, None] * np.ones(len(PLACES))
    assert agree(*fast_of(tmp_path, [model] * len(PLACES)), scales)


def test_a_row_does_not_depend_on_its_company(tmp_path):
    scenario, plan = fast_of(tmp_path, [LoadModel.CONSTANT_POWER] * len(PLACES))
    scales = np.random.default_rng(3).uniform(0.3, 1.6, (2 * LANES + 5, len(PLACES)))
    scales[7] = 60.0  # has no solution, and must not hold up or spoil those beside it
    with closing(FastEngine(scenario)) as engine:
        engine.hold(plan)
        batch, told = asked(scenario, plan, scales)
        whole = engine.estimate(batch, told)
        assert not whole.snapshots.converged[7]
        judged_alike(whole, scenario, plan)
        order = np.random.default_rng(4).permutation(len(scales))
        engine.observe(batch, told)  # what OpenDSS solved before is no matter either
        for rows in (order, np.arange(5, 9), np.array([11])):
            part = engine.estimate(batch.take(rows), told.take(rows))
            for name in ("v_pu", "current_a", "der_p_kw", "delivered_kw", "iterations"):
                expected = getattr(whole.snapshots, name)[rows]
                assert getattr(part.snapshots, name).tobytes() == expected.tobytes(), name
            np.testing.assert_array_equal(part.trusted, whole.trusted[rows])


def test_what_leaves_the_range_of_the_models_is_not_trusted(tmp_path):
    scenario, plan = fast_of(tmp_path, [LoadModel.CONSTANT_POWER] * len(PLACES))
    scales = np.linspace(1.0, 60.0, 40)[:, None] * np.ones(len(PLACES))
    with closing(FastEngine(scenario)) as engine:
        engine.hold(plan)
        batch, told = asked(scenario, plan, scales)
        estimate, seen = engine.estimate(batch, told), engine.observe(batch, told)
    believed = estimate.trusted & estimate.snapshots.converged
    assert believed[0]
    assert not believed[-1]
    assert seen.converged[believed].all()
    apart = np.abs(estimate.snapshots.v_pu - seen.v_pu)[believed]
    assert np.nanmax(apart) < 1e-6


def test_a_network_that_its_factors_do_not_solve_is_left_to_opendss(tmp_path, monkeypatch):
    scenario, plan = fast_of(tmp_path, [LoadModel.CONSTANT_POWER] * len(PLACES))
    of = Factors.of

    def wrong(*told):
        made = of(*told)
        return replace(made, inverse=made.inverse * 1.001)

    monkeypatch.setattr(Factors, "of", wrong)
    with closing(FastEngine(scenario)) as engine:
        engine.hold(plan)
        assert engine.estimate(*asked(scenario, plan, np.ones((2, len(PLACES))))) is None


@settings(max_examples=20, deadline=None, derandomize=True)
@given(size=st.integers(1, 12), seed=st.integers(0, 10**6))
def test_the_factors_are_of_the_matrix(size, seed):
    draw = np.random.default_rng(seed)
    there = draw.random((size, size)) < 0.3
    there |= there.T
    np.fill_diagonal(there, True)
    rows, columns = np.nonzero(there)
    blocks = draw.normal(size=(len(rows), 4))
    blocks[rows == columns] += np.array([1.0, 0.0, 0.0, 1.0]) * 3.0 * size
    pattern = sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=there.shape)
    order = order_of(pattern, draw.random(size) < 0.5)
    position = np.empty(size, np.int64)
    position[order.node] = np.arange(size)
    made = Factors.of(order, position[rows], position[columns], blocks)

    def dense(start, at, values, diagonal):
        whole = np.zeros((size, 2, size, 2))
        for i in range(size):
            whole[i, :, i, :] = diagonal[i].reshape(2, 2)
            for k in range(start[i], start[i + 1]):
                whole[i, :, at[k], :] = values[k].reshape(2, 2)
        return whole.reshape(2 * size, 2 * size)

    unit = np.tile([1.0, 0.0, 0.0, 1.0], (size, 1))
    none = np.zeros(size + 1, np.int64)
    lower = dense(made.lower_start, made.lower_at, made.lower, unit)
    upper = dense(made.upper_start, made.upper_at, made.upper, unit)
    inverse = dense(none, none, made.upper, made.inverse)
    whole = np.zeros((size, 2, size, 2))
    whole[position[rows], :, position[columns], :] = blocks.reshape(-1, 2, 2)
    np.testing.assert_allclose(
        lower @ np.linalg.inv(inverse) @ upper, whole.reshape(2 * size, 2 * size), atol=1e-10
    )


def test_memory_is_used_again_only_once_nobody_holds_it():
    room = Room()
    one = room.array((3, 4))
    one[:] = 1.0
    part, other = one[1:], room.array((4, 3))
    other[:] = 2.0
    del one  # a view of it is still held
    again = room.array((3, 4))
    again[:] = 3.0
    assert (part == 1.0).all()
    assert (other == 2.0).all()
    before = other.__array_interface__["data"]
    del other
    assert room.array((2, 6)).__array_interface__["data"] == before
