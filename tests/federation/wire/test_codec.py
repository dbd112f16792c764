"""The nouns through the numeric messages and back."""

from dataclasses import replace

import numpy as np
import pytest
from gridproof.federation.wire.codec import Codec
from gridproof.scenarios.carried import Carried
from gridproof.scenarios.errors import FederationError
from gridproof.scenarios.realization import draw
from gridproof.scenarios.resources import Fleet, Renewables, Storages
from gridproof.scenarios.setpoints import Setpoints
from gridproof.scenarios.snapshot import Snapshots
from gridproof.scenarios.verdict import MarginKind, Outcome, Verdicts, kinds_of
from hypothesis import given, settings
from hypothesis import strategies as st


def same(one: object, other: object) -> None:
    assert type(one) is type(other)
    for name in one.__dataclass_fields__:
        left, right = getattr(one, name), getattr(other, name)
        np.testing.assert_array_equal(left, right, err_msg=name)
        assert left.dtype == right.dtype


@pytest.fixture(scope="module")
def scenario(tiny_scenario):
    """Loads on one or two slots, a DER on one phase that cannot form, buses missing phases."""
    whole = tiny_scenario(size=3, ders=(0, 1, 2), can_form=(True, False, True), steps=2)
    feeder = whole.feeder
    slots = np.array([[1, 1, 1], [0, 1, 0], [1, 0, 1]], bool)
    has = np.array([[1, 1, 1], [0, 0, 1], [1, 1, 0]], bool)
    phases = feeder.buses.phases.copy()
    phases[3] = (True, True, False)
    loads = replace(
        feeder.loads,
        slots=slots,
        p_kw=feeder.loads.p_kw * slots,
        q_kvar=feeder.loads.q_kvar * slots,
    )
    lines = replace(feeder.lines, phases=np.roll(feeder.lines.phases & [1, 1, 0], 1, axis=0) != 0)
    ders = replace(whole.ders, phases=has)
    buses = replace(feeder.buses, phases=phases)
    from gridproof.scenarios.feeder import Feeder

    small = Feeder(
        name="tiny", path="", buses=buses, lines=lines, transformers=feeder.transformers,
        loads=loads, capacitors=feeder.capacitors, sources=feeder.sources,
    )  # fmt: skip
    return replace(
        whole,
        feeder=small,
        ders=ders,
        load_p_kw=whole.load_p_kw * slots,
        load_q_kvar=whole.load_q_kvar * slots,
    )


@pytest.fixture(scope="module")
def codec(scenario):
    return Codec.of(scenario, 100, clock=lambda: 5.0, steps=(0, 1))


@pytest.fixture(scope="module")
def lasting(scenario):
    """The same with a storage behind the first DER and a renewable behind the third."""
    storages = Storages(
        ids=("store",), der=[0], energy_max_kwh=[50.0], energy_min_kwh=[5.0], start_kwh=[20.0],
        charge_efficiency=[0.9], discharge_efficiency=[0.95], end_min_kwh=[5.0],
    )  # fmt: skip
    renewables = Renewables(ids=("sun",), der=[2], available_kw=[[3.0], [7.0]], spread=[0.5])
    return replace(scenario, fleet=Fleet(storages=storages, renewables=renewables))


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**40), st.integers(0, 7), st.integers(1, 2**40), st.integers(0, 1))
def test_realizations(  # noqa: PLR0917  (four drawn numbers and two fixtures)
    scenario, codec, first, count, sequence, step
) -> None:
    batch = draw(scenario, 11, first, count)
    payload = codec.pack_realizations(batch, sequence=sequence, round=sequence % 5, step=step)
    header, back = codec.read_realizations(payload, "feeder/realizations")
    found = (header.sequence, header.round, header.count, header.step)
    assert found == (sequence, sequence % 5, count, step)
    if count:  # one step alone: no later one is seen
        assert back.first_step == step
        for name in ("index", "zeta", "p_kw", "q_kvar"):
            np.testing.assert_array_equal(getattr(back, name), getattr(batch.at(step), name))
    assert len(payload) == 48 + 8 * count * (3 + 2 * 6)  # ζ, then p and q of 6 slots
    assert codec.read_carried(payload, "feeder/realizations") is None


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**40), st.integers(1, 7), st.integers(0, 1))
def test_what_is_carried_and_what_is_available(lasting, first, count, step) -> None:
    codec, batch = Codec.of(lasting, 100, steps=(0, 1)), draw(lasting, 11, first, count)
    outputs = np.random.default_rng(count).normal(size=(count, 3, 3)) * lasting.ders.phases
    brought = Carried(energy_kwh=np.linspace(5.0, 50.0, count)[:, None], p_kw=outputs)
    payload = codec.pack_realizations(batch, sequence=1, step=step, carried=brought)
    _, back = codec.read_realizations(payload, "feeder/realizations")
    np.testing.assert_array_equal(back.available_at(step), batch.available_at(step))
    assert batch.zeta.shape[1] == 4  # three loads and the sun
    carried = codec.read_carried(payload, "feeder/realizations")
    np.testing.assert_array_equal(carried.energy_kwh, brought.energy_kwh)
    if step:
        np.testing.assert_array_equal(carried.p_kw, outputs)
    else:
        assert np.isnan(carried.p_kw).all()  # nothing came before the first


def test_a_step_that_is_not_tried_is_refused(scenario, codec) -> None:
    batch = draw(scenario, 11, 0, 2)
    payload = codec.pack_realizations(batch, sequence=1, step=1)
    with pytest.raises(FederationError, match="step is 1; the catalogue tries 0"):
        Codec.of(scenario, 100).read_realizations(payload, "feeder/realizations")


def _setpoints(scenario, seed: int, count: int) -> Setpoints:
    source = np.random.default_rng(seed)
    has = scenario.ders.phases
    forms = source.random((count, len(has))) < 0.5
    return Setpoints(
        index=np.arange(40, 40 + count),
        found=source.random(count) < 0.7,
        p_kw=source.normal(size=(count, len(has), 3)) * has,
        q_kvar=source.normal(size=(count, len(has), 3)) * has,
        source_v_pu=np.where(
            forms & scenario.ders.can_form, 1.0 + source.random(forms.shape), np.nan
        ),
    )


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6), st.integers(1, 6))
def test_setpoints(scenario, codec, seed, count) -> None:
    answer = _setpoints(scenario, seed, count)
    payload = codec.pack_setpoints(answer, sequence=1)
    _, back = codec.read_setpoints(payload, "planner/setpoints")
    same(back, answer)
    assert len(payload) == 48 + 8 * count * (1 + 2 * 6 + 2)  # found, p, q, two that can form


def _snapshots(scenario, seed: int, count: int) -> Snapshots:
    source = np.random.default_rng(seed)
    feeder, has = scenario.feeder, scenario.ders.phases
    phases = feeder.buses.phases
    pairs = phases & np.roll(phases, -1, axis=1)

    def voltage(there):
        values = source.random((count, *there.shape))
        return np.where(there & (values > 0.1), values, np.nan)

    return Snapshots(
        index=np.arange(7, 7 + count),
        converged=source.random(count) < 0.8,
        iterations=source.integers(0, 9, count),
        v_pu=voltage(phases),
        v_ll_pu=voltage(pairs),
        current_a=source.random((count, *feeder.lines.phases.shape)) * feeder.lines.phases,
        transformer_kva=np.zeros((count, 0)),
        der_p_kw=source.normal(size=(count, *has.shape)) * has,
        der_q_kvar=source.normal(size=(count, *has.shape)) * has,
        delivered_kw=source.random(count),
        requested_kw=source.random(count),
        losses_kw=source.random(count),
    )


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6), st.integers(1, 6))
def test_measurements(scenario, codec, seed, count) -> None:
    seen = _snapshots(scenario, seed, count)
    payload = codec.pack_measurements(seen, sequence=1)
    same(codec.read_measurements(payload, "feeder/measurements")[1], seen)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6), st.integers(1, 6))
def test_verdicts(scenario, lasting, seed, count) -> None:
    source = np.random.default_rng(seed)
    kinds = len(MarginKind)
    for one in (scenario, lasting):
        judged = np.isin(list(MarginKind), kinds_of(one))  # energy only where something stores
        margin = source.choice([np.nan, np.inf, -0.25, 0.5], (count, kinds))
        verdicts = Verdicts(
            index=np.arange(count),
            outcome=source.integers(0, len(Outcome), count),
            margin=np.where(judged, margin, np.inf),
            element=np.where(judged, source.integers(-1, 40, (count, kinds)), -1),
            phase=np.where(judged, source.integers(-1, 3, (count, kinds)), -1),
        )
        codec = Codec.of(one, 100)
        payload = codec.pack_verdicts(verdicts, sequence=1)
        same(codec.read_verdicts(payload, "feeder/verdicts")[1], verdicts)
    assert set(kinds_of(lasting)) - set(kinds_of(scenario)) == {MarginKind.ENERGY}
    assert MarginKind.DAMAGE not in kinds_of(lasting)  # nothing failed here


def test_a_code_or_place_that_is_none_is_refused(scenario, codec) -> None:
    kinds = len(MarginKind)
    verdicts = Verdicts(
        index=np.arange(1), outcome=np.array([9]), margin=np.zeros((1, kinds)),
        element=np.zeros((1, kinds)), phase=np.zeros((1, kinds)),
    )  # fmt: skip
    with pytest.raises(FederationError, match="outcome holds a code that is none of 0 to 6"):
        codec.read_verdicts(codec.pack_verdicts(verdicts, sequence=1), "x/y")
    lost = replace(verdicts, outcome=np.array([1]), element=np.full((1, kinds), -2))
    with pytest.raises(FederationError, match="element must be whole numbers from -1"):
        codec.read_verdicts(codec.pack_verdicts(lost, sequence=1), "x/y")


def test_a_gap_or_a_number_in_no_slot_is_not_sent(scenario, codec) -> None:
    batch = draw(scenario, 11, 0, 3)
    with pytest.raises(FederationError, match="must run without gaps"):
        codec.pack_realizations(replace(batch, index=np.array([0, 2, 3])), sequence=1)
    spilt = batch.p_kw.copy()
    spilt[1, 0, 1, 0] = 1.0  # load d1 has slot b alone
    with pytest.raises(FederationError, match="slot its element does not have"):
        codec.pack_realizations(replace(batch, p_kw=spilt), sequence=1)
    answer = _setpoints(scenario, 1, 2)
    with pytest.raises(FederationError, match="that cannot form"):
        codec.pack_setpoints(replace(answer, source_v_pu=np.ones((2, 3))), sequence=1)


def test_catalogues_agree_or_say_where_they_do_not(scenario, codec, tiny_scenario) -> None:
    codec.agree(Codec.of(scenario, 3, steps=(0, 1)).catalogue, "feeder/catalogue")
    anonymous = codec.catalogue.model_copy(update={"scenario_digest": ""})
    codec.agree(anonymous, "feeder/catalogue")
    other = Codec.of(tiny_scenario(size=3, ders=(0, 1, 2), steps=2), steps=(0, 1)).catalogue
    with pytest.raises(FederationError, match=r"feeder/catalogue: scenario_digest.*same study"):
        codec.agree(other, "feeder/catalogue")
    with pytest.raises(FederationError, match=r"feeder/catalogue: realizations differ: .*d1\.a"):
        codec.agree(other.model_copy(update={"scenario_digest": ""}), "feeder/catalogue")
