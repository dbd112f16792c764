"""Laws every engine obeys, tried on two blocks with wye, delta and a transformer."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from gridproof.scenarios.errors import EngineError
from gridproof.scenarios.fleet import Ders
from gridproof.scenarios.limits import Limits
from gridproof.scenarios.load_models import LoadModel
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.proof import Proof, Termination
from gridproof.scenarios.realization import Realizations, draw
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.setpoints import Setpoints
from gridproof.scenarios.sets import Box
from gridproof.scenarios.snapshot import Snapshots
from gridproof.simulator.engine import Engine
from gridproof.simulator.linear.engine import LinearEngine
from gridproof.simulator.opendss.engine import OpenDssEngine
from gridproof.simulator.reader.feeder import read_feeder
from hypothesis import given, settings
from hypothesis import strategies as st

CIRCUIT = """clear
new circuit.small basekv=12.47 pu=1.0 bus1=head MVAsc3=20000 MVAsc1=21000
new line.head-one bus1=head bus2=one length=1 units=km r1=0.2 x1=0.4 r0=0.5 x0=1.1 c1=0 c0=0
~ switch=no normamps=300
new line.gate bus1=one bus2=two switch=yes r1=1e-3 x1=1e-3 r0=1e-3 x0=1e-3 c1=0 c0=0 length=1
~ normamps=300
new line.two-three bus1=two bus2=three length=2 units=km r1=0.2 x1=0.4 r0=0.5 x0=1.1 c1=3 c0=2
~ normamps=300
new line.lateral phases=1 bus1=two.2 bus2=four.2 length=0.5 units=km r1=0.3 x1=0.4 r0=0.5 x0=1.1
~ c1=0 c0=0 normamps=100
new transformer.step phases=3 windings=2 buses=(three five) conns=(wye wye) kvs=(12.47 0.48)
~ kvas=(500 500) xhl=4 %loadloss=1
new load.wye bus1=one phases=3 conn=wye kv=12.47 kw=300 kvar=90
new load.delta bus1=three.1.2 phases=1 conn=delta kv=12.47 kw=60 kvar=20
new load.side bus1=four.2 phases=1 conn=wye kv=7.2 kw=40 kvar=10
new load.low bus1=five phases=3 conn=wye kv=0.48 kw=90 kvar=30
set voltagebases=[12.47 0.48]
calcvoltagebases
solve
"""


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Scenario:
    path = Path(tmp_path_factory.mktemp("small")) / "small.dss"
    path.write_text(CIRCUIT)
    feeder = read_feeder(path, switches=("head-one", "gate"))
    third = np.repeat([[200.0], [100.0], [50.0]], 3, axis=1)
    names = ("one", "three", "two")
    return Scenario(
        name="small",
        feeder=feeder,
        ders=Ders(
            ids=("g1", "g3", "g2"),
            bus=np.array([feeder.buses.ids.index(name) for name in names]),
            phases=np.ones((3, 3), bool),
            p_min_kw=np.zeros((3, 3)),
            p_max_kw=third,
            q_min_kvar=-third,
            q_max_kvar=third,
            s_max_kva=np.full((3, 3), np.inf),
            ramp_kw=third,
            ramp_kvar=third,
            cost_usd_per_kw=np.ones(3),
            redispatch_cost_usd_per_kw=np.ones(3),
            can_form=np.array([True, True, False]),
        ),
        hours=np.zeros(1),
        load_p_kw=feeder.loads.p_kw[None],
        load_q_kvar=feeder.loads.q_kvar[None],
        load_model=(LoadModel.CONSTANT_POWER,) * len(feeder.loads.ids),
        uncertainty=Box(load_ids=feeder.loads.ids, spread=np.full(len(feeder.loads.ids), 0.3)),
        limits=Limits(),
        locked=np.zeros(len(feeder.switches), bool),
        shed_usd=np.ones(len(feeder.blocks.ids)),
    )


def plan_of(scenario: Scenario, *, gate: bool, forming: dict[str, float]) -> Plan:
    forms = np.array([name in forming for name in scenario.ders.ids])
    p = 0.2 * scenario.ders.p_max_kw
    return Plan(
        family="external",
        scenario_digest="",
        switch_ids=scenario.feeder.switch_ids,
        block_ids=scenario.feeder.blocks.ids,
        der_ids=scenario.ders.ids,
        closed=np.array([[name == "gate" and gate for name in scenario.feeder.switch_ids]]),
        energized=np.ones((1, len(scenario.feeder.blocks.ids)), bool),
        grid_forming=forms[None],
        source_v_pu=np.array([[forming.get(name, np.nan) for name in scenario.ders.ids]]),
        p_kw=p[None],
        q_kvar=0.4 * p[None],
        costs={},
        proof=Proof(termination=Termination.EXTERNAL, incumbent=np.inf, bound=-np.inf),
    )


def answer(plan: Plan, realizations: Realizations) -> Setpoints:
    count = len(realizations)
    factor = 1.0 + 0.2 * realizations.zeta[:, :1, None]
    v = np.repeat(plan.source_v_pu, count, axis=0) + 0.01 * np.round(realizations.zeta[:, 1:2])
    return Setpoints(
        index=realizations.index,
        found=np.ones(count, bool),
        p_kw=plan.p_kw * factor,
        q_kvar=plan.q_kvar * factor,
        source_v_pu=v,
    )


def pick(realizations: Realizations, rows: list[int]) -> Realizations:
    return Realizations(
        index=realizations.index[rows],
        zeta=realizations.zeta[rows],
        p_kw=realizations.p_kw[rows],
        q_kvar=realizations.q_kvar[rows],
    )


FIELDS = tuple(Snapshots.__dataclass_fields__)


def row_bytes(snapshots: Snapshots, row: int) -> dict[str, bytes]:
    return {name: getattr(snapshots, name)[row].tobytes() for name in FIELDS}


@pytest.fixture(scope="class")
def engine(request: pytest.FixtureRequest, small: Scenario):
    engine = request.cls.engine_type(small)
    yield engine
    engine.close()


class EngineContract:
    """Inherit, and give ``engine_type``."""

    engine_type: type

    @pytest.fixture
    def joined(self, small: Scenario) -> Plan:
        return plan_of(small, gate=True, forming={"g1": 1.01})

    @pytest.fixture
    def split(self, small: Scenario) -> Plan:
        return plan_of(small, gate=False, forming={"g1": 1.0, "g3": 1.02})

    @pytest.fixture
    def half(self, small: Scenario) -> Plan:
        return plan_of(small, gate=False, forming={"g1": 1.0})

    def observe(self, engine: Engine, plan: Plan, realizations: Realizations) -> Snapshots:
        engine.hold(plan)
        return engine.observe(realizations, answer(plan, realizations))

    def test_is_an_engine(self, engine: Engine) -> None:
        assert isinstance(engine, Engine)

    def test_echoes_index_and_has_the_feeders_shapes(self, engine, small, joined) -> None:
        realizations = pick(draw(small, 3, 40, 5), [4, 0, 2])
        seen = self.observe(engine, joined, realizations)
        feeder = small.feeder
        assert seen.index.tolist() == [44, 40, 42]
        assert seen.converged.all()
        assert seen.v_pu.shape == seen.v_ll_pu.shape == (3, len(feeder.buses.ids), 3)
        assert seen.current_a.shape == (3, len(feeder.lines.ids), 3)
        assert seen.transformer_kva.shape == (3, len(feeder.transformers.ids))
        assert seen.der_p_kw.shape == seen.der_q_kvar.shape == (3, 3, 3)

    def test_missing_phases_are_nan_and_the_others_are_not(self, engine, small, joined) -> None:
        seen = self.observe(engine, joined, draw(small, 3, 0, 2))
        has = small.feeder.buses.phases.copy()
        has[small.feeder.buses.ids.index("head")] = False  # its only line is open
        assert np.array_equal(~np.isnan(seen.v_pu[0]), has)
        assert np.array_equal(~np.isnan(seen.v_ll_pu[0]), has & np.roll(has, -1, axis=1))

    def test_dead_parts_are_nan_and_draw_nothing(self, engine, small, half) -> None:
        seen = self.observe(engine, half, draw(small, 3, 0, 3))
        dead = [small.feeder.buses.ids.index(name) for name in ("two", "three", "four", "five")]
        assert seen.converged.all()
        assert np.isnan(seen.v_pu[:, dead]).all()
        assert np.isnan(seen.v_ll_pu[:, dead]).all()
        assert not seen.current_a.any()
        assert not seen.transformer_kva.any()
        assert not seen.der_p_kw[:, 1:].any()
        wye = small.feeder.loads.ids.index("wye")
        asked = draw(small, 3, 0, 3).p_kw[:, 0, wye].sum(axis=1)
        np.testing.assert_allclose(seen.requested_kw, asked, rtol=1e-12)
        np.testing.assert_allclose(seen.delivered_kw, asked, rtol=1e-6)

    def test_an_open_switch_carries_nothing(self, engine, small, split) -> None:
        seen = self.observe(engine, split, draw(small, 3, 0, 3))
        gate = small.feeder.lines.ids.index("gate")
        assert not seen.current_a[:, gate].any()
        assert not np.isnan(seen.v_pu[:, small.feeder.buses.ids.index("three")]).any()

    def test_power_balances(self, engine, small, joined) -> None:
        seen = self.observe(engine, joined, draw(small, 3, 0, 6))
        supplied = seen.der_p_kw.sum(axis=(1, 2))
        np.testing.assert_allclose(supplied, seen.delivered_kw + seen.losses_kw, rtol=1e-9)
        np.testing.assert_allclose(seen.delivered_kw, seen.requested_kw, rtol=1e-6)

    def test_a_forming_der_holds_its_magnitude(self, engine, small, joined) -> None:
        realizations = draw(small, 3, 0, 12)
        asked = answer(joined, realizations).source_v_pu[:, 0]
        assert len(np.unique(asked)) > 1
        seen = self.observe(engine, joined, realizations)
        one = small.feeder.buses.ids.index("one")
        np.testing.assert_allclose(
            seen.v_pu[:, one], np.repeat(asked[:, None], 3, axis=1), atol=2e-6
        )

    def test_no_load_can_make_it_raise(self, engine, small, joined) -> None:
        base = draw(small, 3, 0, 2)
        heavy = Realizations(
            index=base.index, zeta=base.zeta, p_kw=base.p_kw * 2000.0, q_kvar=base.q_kvar * 2000.0
        )
        seen = self.observe(engine, joined, heavy)
        assert not seen.converged.any()
        after = self.observe(engine, joined, base)
        assert after.converged.all()

    def test_another_plan_in_between_changes_no_bit(self, engine, small, joined, split, half):
        realizations = draw(small, 3, 0, 7)
        first = self.observe(engine, joined, realizations)
        self.observe(engine, split, realizations)
        self.observe(engine, half, realizations)
        again = self.observe(engine, joined, realizations)
        fresh_engine = self.engine_type(small)
        fresh = self.observe(fresh_engine, joined, realizations)
        fresh_engine.close()
        for row in range(7):
            assert row_bytes(first, row) == row_bytes(again, row) == row_bytes(fresh, row)

    def test_order_and_batch_size_change_no_bit(self, engine, small) -> None:
        realizations = draw(small, 11, 0, 90)
        plan = plan_of(small, gate=True, forming={"g1": 1.01})
        whole = self.observe(engine, plan, realizations)

        @settings(max_examples=25, deadline=None, database=None)
        @given(order=st.permutations(range(90)), cuts=st.sets(st.integers(1, 89), max_size=6))
        def split_anyhow(order: list[int], cuts: set[int]) -> None:
            for first, last in itertools.pairwise([0, *sorted(cuts), 90]):
                rows = list(order[first:last])
                part = pick(realizations, rows)
                seen = engine.observe(part, answer(plan, part))
                for place, row in enumerate(rows):
                    assert row_bytes(seen, place) == row_bytes(whole, row)

        split_anyhow()

    def test_an_empty_batch_is_answered(self, engine, small, joined) -> None:
        assert len(self.observe(engine, joined, pick(draw(small, 3, 0, 2), []))) == 0

    def test_set_points_of_other_realizations_are_refused(self, engine, small, joined) -> None:
        engine.hold(joined)
        with pytest.raises(EngineError, match=r"realization|index"):
            engine.observe(draw(small, 3, 0, 2), answer(joined, draw(small, 3, 5, 2)))

    def test_nothing_is_observed_without_a_plan(self, small, joined) -> None:
        engine = self.engine_type(small)
        realizations = draw(small, 3, 0, 1)
        with pytest.raises(EngineError, match="plan"):
            engine.observe(realizations, answer(joined, realizations))
        engine.hold(joined)
        engine.close()
        with pytest.raises(EngineError):
            engine.observe(realizations, answer(joined, realizations))


class TestOpenDssEngine(EngineContract):
    engine_type = OpenDssEngine


class TestLinearEngine(EngineContract):
    engine_type = LinearEngine
