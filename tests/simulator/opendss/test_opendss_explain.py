"""Who does not do as told is named, though all others do: one made an impedance on purpose."""

from __future__ import annotations

import re

import numpy as np
import pytest
from gridproof.simulator.opendss.engine import OpenDssEngine

pytestmark = pytest.mark.engine_thread

_IMPEDANCE = 2  # the number of the model whose power goes with the square of its voltage


@pytest.fixture
def engine(ieee37):
    engine = OpenDssEngine(ieee37.scenario)
    engine.hold(ieee37.whole)
    yield engine
    engine.close()


def turned(engine, kind: str, handle) -> None:
    circuit = engine._circuit
    circuit.set_integer(handle, circuit.property_number(kind, "model"), _IMPEDANCE)


def test_a_load_among_many_is_named_with_what_its_voltage_leaves_of_it(ieee37, engine) -> None:
    draws = ieee37.draws(1)
    told = ieee37.answer(ieee37.whole, draws)
    assert engine.explain(draws, told) == ""
    loads = ieee37.scenario.feeder.loads
    k = loads.ids.index("s738a")
    turned(engine, "load", engine._elements.loads[k])
    said = engine.explain(draws, told)
    (slot,) = np.flatnonzero(draws.p_kw[0, 0, k])
    across = engine.observe(draws, told).v_ll_pu[0, loads.bus[k], slot]
    wanted = draws.p_kw[0, 0, k].sum()
    found = re.match(r"load s738a at bus 738 draws ([\d.]+) of ([\d.]+) kW \(1 of \d+ loads", said)
    assert found, said
    assert float(found[1]) == pytest.approx(wanted * across**2, rel=1e-3)
    assert float(found[2]) == pytest.approx(wanted, rel=1e-4)
    assert abs(float(found[1]) - wanted) > 5e-3 * wanted


def test_a_der_among_many_is_named_with_what_its_voltage_leaves_of_it(ieee37, engine) -> None:
    draws = ieee37.draws(1)
    told = ieee37.answer(ieee37.whole, draws)
    ders = ieee37.scenario.ders
    g, phase = ders.ids.index("der738"), 1
    turned(
        engine, "generator", engine._elements.generators[engine._elements.generator_of[g, phase]]
    )
    said = engine.explain(draws, told)
    seen = engine.observe(draws, told).v_pu[0, ders.bus[g], phase]
    wanted = told.p_kw[0, g, phase]
    found = re.match(r"DER der738, phase b, gives ([\d.]+) of ([\d.]+) kW", said)
    assert found, said
    assert float(found[1]) == pytest.approx(wanted * seen**2, rel=1e-3)
    assert float(found[2]) == pytest.approx(wanted, rel=1e-4)
    assert abs(float(found[1]) - wanted) > 5e-3 * wanted
