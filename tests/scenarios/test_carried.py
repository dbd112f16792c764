"""What a realization carries from step to step: energy is neither made nor lost unaccounted."""

from dataclasses import replace

import numpy as np
import pytest
from gridproof.scenarios.carried import Passage, carry, deliver, start
from gridproof.scenarios.errors import ScenarioError
from gridproof.scenarios.realization import draw
from gridproof.scenarios.resources import Crews, Fleet, Renewables, Storages
from gridproof.scenarios.setpoints import Setpoints
from gridproof.scenarios.snapshot import Snapshots
from gridproof.scenarios.verdict import MarginKind, Outcome, judge
from hypothesis import given, settings
from hypothesis import strategies as st

ENERGY = list(MarginKind).index(MarginKind.ENERGY)
RAMP = list(MarginKind).index(MarginKind.RAMP)


@pytest.fixture(scope="module")
def scenario(tiny_scenario):
    """A former, a storage and a renewable in three blocks, three steps of half an hour."""
    whole = tiny_scenario(size=3, ders=(0, 1, 2), steps=3)
    ders = whole.ders
    low = np.where(np.arange(3)[:, None] == 1, -ders.p_max_kw, 0.0)
    return replace(
        whole,
        ders=replace(ders, p_min_kw=low),
        duration_h=np.full(3, 0.5),
        fleet=Fleet(
            storages=Storages(
                ids=("store",), der=[1], energy_max_kwh=[60.0], energy_min_kwh=[10.0],
                start_kwh=[30.0], charge_efficiency=[0.9], discharge_efficiency=[0.8],
                end_min_kwh=[20.0],
            ),
            renewables=Renewables(
                ids=("sun",), der=[2], available_kw=[[0.0], [45.0], [90.0]], spread=[0.2]
            ),
        ),
    )  # fmt: skip


def told(batch, p_kw) -> Setpoints:
    """Each DER's total on three equal phases."""
    n = len(batch)
    values = np.broadcast_to(np.asarray(p_kw, float), (n, 3))[:, :, None] / 3.0
    return Setpoints(
        index=batch.index, found=np.ones(n, bool), p_kw=np.tile(values, (1, 1, 3)),
        q_kvar=np.zeros((n, 3, 3)), source_v_pu=np.tile([1.0, np.nan, np.nan], (n, 1)),
    )  # fmt: skip


def seen(scenario, batch, setpoints, converged=True) -> Snapshots:
    """A physics that does as it is told, far inside every limit."""
    n, feeder = len(batch), scenario.feeder
    return Snapshots(
        index=batch.index, converged=np.full(n, converged), iterations=np.ones(n, int),
        v_pu=np.ones((n, len(feeder.buses.ids), 3)), v_ll_pu=np.ones((n, len(feeder.buses.ids), 3)),
        current_a=np.zeros((n, len(feeder.lines.ids), 3)), transformer_kva=np.zeros((n, 0)),
        der_p_kw=setpoints.p_kw, der_q_kvar=setpoints.q_kvar, delivered_kw=np.ones(n),
        requested_kw=np.ones(n), losses_kw=np.zeros(n),
    )  # fmt: skip


def test_a_schedule_alone_is_counted_on(scenario):
    """Each part of a fleet without the other: a schedule holds, a sun's least bounds."""
    schedule = np.array([[-12.0], [np.nan], [9.0]])
    own = replace(scenario.fleet.storages, schedule_kw=schedule)
    alone = replace(scenario, fleet=Fleet(storages=own))
    for time, kw in ((0, -12.0), (2, 9.0)):
        held = alone.ders_at(time)
        assert held.p_min_kw[1].sum() == pytest.approx(kw)
        assert held.p_max_kw[1].sum() == pytest.approx(kw)
    assert np.array_equal(alone.ders_at(1).p_max_kw, scenario.ders.p_max_kw)
    sun = replace(scenario, fleet=Fleet(renewables=scenario.fleet.renewables))
    most = [sun.ders_at(time).p_max_kw[2].sum() for time in range(3)]
    whole = scenario.ders.p_max_kw[2].sum()
    assert most == pytest.approx([0.0, min(whole, 36.0), min(whole, 72.0)])


ROUNDED_KW = 1.01e-9 * 500.0  # a cut smaller than this share of a DER's capability is none
POWER = st.floats(-200.0, 200.0)


@given(st.lists(st.tuples(POWER, POWER), min_size=3, max_size=3), st.integers(1, 4))
@settings(max_examples=80, deadline=None)
def test_the_band_holds_whatever_is_asked_and_the_account_closes(scenario, asked, count):
    batch, carried = draw(scenario, 3, 0, count), start(scenario, count)
    given_kwh = np.zeros(count)
    for time, (storage, sun) in enumerate(asked):
        delivery = deliver(scenario, time, batch, told(batch, [5.0, storage, sun]), carried)
        p = delivery.setpoints.p_kw.sum(axis=2)
        # what is missing is what was asked less what is given, never of the other sign
        np.testing.assert_allclose(delivery.missing_kw[:, 1], storage - p[:, 1], atol=1e-6)
        assert (delivery.missing_kw[:, 1] * storage >= -1e-9).all()
        assert (p[:, 2] <= batch.available_at(time)[:, 0] + ROUNDED_KW).all()
        after = carry(scenario, time, carried, seen(scenario, batch, delivery.setpoints))
        moved = after.energy_kwh[:, 0] - carried.energy_kwh[:, 0]
        given_kwh += np.where(p[:, 1] > 0.0, p[:, 1] / 0.8, p[:, 1] * 0.9) * 0.5
        np.testing.assert_allclose(30.0 - given_kwh, after.energy_kwh[:, 0], atol=1e-9)
        assert (moved * storage <= 1e-9).all()
        leaked_kwh = (time + 1) * ROUNDED_KW * 0.5 / 0.8  # by cuts too small to be any
        assert (after.energy_kwh >= 10.0 - leaked_kwh).all()
        assert (after.energy_kwh <= 60.0 + leaked_kwh).all()
        carried = after


def test_a_batch_is_not_seen_in_the_account(scenario):
    batch = draw(scenario, 3, 0, 50)
    asked = told(batch, np.random.default_rng(1).uniform(-90.0, 90.0, (50, 3)))
    whole = deliver(scenario, 1, batch, asked, start(scenario, 50))
    for rows in (np.arange(7), np.arange(7, 50)):
        part = deliver(scenario, 1, batch.take(rows), asked.take(rows), start(scenario, len(rows)))
        assert part.setpoints.p_kw.tobytes() == whole.setpoints.p_kw[rows].tobytes()


def judged(scenario, plan, time, asked, carried, *, before_kw=None):
    batch = draw(scenario, 3, 0, len(carried))
    if before_kw is not None:
        carried = replace(carried, p_kw=told(batch, before_kw).p_kw)
    delivery = deliver(scenario, time, batch, told(batch, asked), carried)
    snapshots = seen(scenario, batch, delivery.setpoints)
    passage = Passage(
        before=carried,
        after=carry(scenario, time, carried, snapshots),
        missing_kw=delivery.missing_kw,
        lost_kw=delivery.lost_kw,
    )
    return judge(snapshots, plan, scenario, time, passage)


def test_energy_that_is_not_there_is_a_violation_with_its_element(scenario, tiny_plan):
    plan = tiny_plan(scenario, p_kw=0.0)
    # 20 kWh above the floor give 0.8 * 20 / 0.5 h = 32 kW; 33 kW are asked
    verdict = judged(scenario, plan, 0, [0.0, 33.0, 0.0], start(scenario, 2))
    assert (verdict.outcome == Outcome.VIOLATED).all()
    assert verdict.margin[0, ENERGY] == pytest.approx(-1.0 * 0.5 / 50.0)
    assert verdict.element[0, ENERGY] == 1
    verdict = judged(scenario, plan, 0, [0.0, 31.0, 0.0], start(scenario, 2))
    left = (0.5 * 1.0 / 0.8) / 50.0
    assert verdict.margin[0, ENERGY] == pytest.approx(left)
    assert (verdict.outcome == Outcome.FEASIBLE).all()


def test_the_last_step_must_end_with_what_the_next_day_needs(scenario, tiny_plan):
    plan = tiny_plan(scenario, p_kw=0.0)
    asked = [0.0, 20.0, 0.0]  # 30 kWh less 12.5: above the floor, below what must be left
    assert judged(scenario, plan, 1, asked, start(scenario, 1)).margin[0, ENERGY] > 0.0
    last = judged(scenario, plan, 2, asked, start(scenario, 1))
    assert last.margin[0, ENERGY] == pytest.approx((17.5 - 20.0) / 50.0)


def test_sun_that_does_not_shine_is_a_violation(scenario, tiny_plan):
    verdict = judged(
        scenario, tiny_plan(scenario, p_kw=0.0), 0, [0.0, 0.0, 6.0], start(scenario, 1)
    )
    assert verdict.margin[0, ENERGY] == pytest.approx(-6.0 / 120.0)
    assert verdict.element[0, ENERGY] == 2


def test_what_a_small_roof_lacks_counts_as_a_share_of_a_kilowatt(scenario, tiny_plan):
    """Its capability is 0.6 kW, and a share of that would be three times as much."""
    most = scenario.ders.p_max_kw.copy()
    most[2] = 0.2
    small = replace(scenario, ders=replace(scenario.ders, p_max_kw=most))
    plan = tiny_plan(small, p_kw=0.0)
    verdict = judged(small, plan, 0, [0.0, 0.0, 0.3], start(small, 1))
    assert verdict.margin[0, ENERGY] == pytest.approx(-0.3)
    assert verdict.element[0, ENERGY] == 2


def test_a_ramp_from_the_step_before_is_judged_where_one_is_stated(scenario, tiny_plan):
    slow = np.full((3, 3), np.inf)
    slow[0] = 8.0  # kW an hour on a phase: 4 within half an hour
    limited = replace(scenario, ders=replace(scenario.ders, ramp_kw_per_h=slow))
    plan = tiny_plan(limited, p_kw=0.0)
    gentle = judged(limited, plan, 1, [9.0, 0.0, 0.0], start(limited, 1), before_kw=[0.0, 0.0, 0.0])
    steep = judged(limited, plan, 1, [15.0, 0.0, 0.0], start(limited, 1), before_kw=[0.0, 0.0, 0.0])
    first = judged(limited, plan, 0, [15.0, 0.0, 0.0], start(limited, 1))
    assert gentle.margin[0, RAMP] == pytest.approx((4.0 - 3.0) / 40.0)
    assert steep.margin[0, RAMP] == pytest.approx((4.0 - 5.0) / 40.0)
    assert first.margin[0, RAMP] == pytest.approx((12.0 - 5.0) / 40.0)  # nothing came before


def test_a_flow_without_solution_moves_no_energy(scenario):
    batch, carried = draw(scenario, 3, 0, 2), start(scenario, 2)
    lost = seen(scenario, batch, told(batch, [0.0, 20.0, 0.0]), converged=False)
    assert (carry(scenario, 0, carried, lost).energy_kwh == carried.energy_kwh).all()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"start_kwh": [70.0]}, "store: start_kwh = 70"),
        ({"energy_min_kwh": [60.0]}, "its band is 60 to 60"),
        ({"charge_efficiency": [0.0]}, "charge_efficiency = 0 must lie in (0, 1]"),
        ({"discharge_efficiency": [1.2]}, "discharge_efficiency = 1.2"),
        ({"end_min_kwh": [5.0]}, "end_min_kwh = 5"),
        ({"der": [9]}, "DER position 9"),
    ],
)
def test_a_storage_that_cannot_be_is_refused_by_name(scenario, changes, named):
    storages = replace(scenario.fleet.storages, **changes)
    with pytest.raises(ScenarioError) as refused:
        replace(scenario, fleet=replace(scenario.fleet, storages=storages))
    assert any(named in fault for fault in refused.value.faults)


def test_a_fleet_names_what_a_family_does_not_know(scenario):
    crews = Crews(ids=("north",), switchings=[2.0])
    fleet = replace(scenario.fleet, crews=crews)
    assert fleet.beyond({"storages"}) == ("renewables", "crews")
    assert Fleet().beyond(()) == ()
