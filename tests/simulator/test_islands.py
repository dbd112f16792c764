"""What is live: closed conductors from grid-forming DERs, per phase, through windings."""

from __future__ import annotations

import numpy as np
import pytest
from gridproof.simulator.islands import live_components, live_phases
from gridproof.simulator.reader.feeder import read_feeder
from hypothesis import given, settings
from hypothesis import strategies as st

LATERAL = """
Clear
New Circuit.tiny bus1=s basekv=4.16
New Line.main bus1=s bus2=m r1=0.1 x1=0.2 r0=0.3 x0=0.6
New Line.lat phases=1 bus1=m.3 bus2=l.3 r1=0.1 x1=0.2
New Transformer.t phases=3 windings=2 xhl=2
~ buses=(m y) conns=(delta wye) kvs=(4.16 0.48) kvas=(100 100)
New Transformer.open phases=1 windings=2 xhl=2
~ buses=(m.1.2 o.1.2) conns=(delta delta) kvs=(4.16 4.16) kvas=(100 100)
Set VoltageBases=[4.16 0.48]
CalcVoltageBases
Solve
"""


@pytest.fixture(scope="module")
def lateral(tmp_path_factory):
    path = tmp_path_factory.mktemp("feeder") / "lateral.dss"
    path.write_text(LATERAL)
    return read_feeder(path)


def live(feeder, seeds: dict[str, str], closed=None) -> dict[str, str]:
    seed = np.zeros((len(feeder.buses.ids), 3), bool)
    for bus, phases in seeds.items():
        seed[feeder.buses.ids.index(bus), ["abc".index(p) for p in phases]] = True
    found = live_phases(feeder, feeder.lines.closed if closed is None else closed, seed)
    return {
        bus: "".join("abc"[p] for p in np.flatnonzero(row))
        for bus, row in zip(feeder.buses.ids, found, strict=True)
    }


def test_phases_are_followed_one_by_one(lateral):
    assert live(lateral, {"s": "abc"}) == {"s": "abc", "m": "abc", "l": "c", "y": "abc", "o": "ab"}
    assert live(lateral, {"s": "ab"})["l"] == ""
    assert live(lateral, {"l": "c"}) == {"s": "c", "m": "c", "l": "c", "y": "", "o": ""}


def test_a_delta_winding_needs_both_of_its_phases(lateral):
    # the bank lags: its delta pairs are ac, ba, cb for the wye's a, b, c
    assert live(lateral, {"m": "ab"})["y"] == "b"
    assert live(lateral, {"y": "b"})["m"] == "ab"
    assert live(lateral, {"y": "c"})["m"] == "bc"


def test_an_open_line_carries_nothing(lateral):
    closed = np.array([name != "main" for name in lateral.lines.ids])
    assert live(lateral, {"s": "abc"}, closed)["m"] == ""


def test_two_islands_and_a_dead_block(tiny_scenario, tiny_plan):
    scenario = tiny_scenario(4, ((0, 1), (1, 2), (2, 3)), ders=(0, 3))
    plan = tiny_plan(scenario, closed=(True, False, False), forming=(True, True))
    found = live_components(scenario, plan)
    assert found.of_bus.tolist() == [0, 0, 0, 0, -1, -1, 1, 1]
    assert found.formers == ((0,), (1,))
    assert found.live.all(axis=1).tolist() == [True] * 4 + [False] * 2 + [True] * 2


def test_one_island_with_two_formers_and_none_without(tiny_scenario, tiny_plan):
    scenario = tiny_scenario(3)
    both = live_components(scenario, tiny_plan(scenario, forming=(True, True)))
    assert both.formers == ((0, 1),)
    none = live_components(scenario, tiny_plan(scenario, forming=(False, False)))
    assert none.formers == ()
    assert not none.live.any()
    assert (none.of_bus == -1).all()


@settings(deadline=None, max_examples=40)
@given(st.lists(st.booleans(), min_size=5, max_size=5), st.integers(0, 5))
def test_life_is_reachability_on_a_chain(tiny_scenario, closed, former):
    scenario = tiny_scenario(6, tuple((i, i + 1) for i in range(5)), ders=(former,))
    seeds = np.zeros((12, 3), bool)
    seeds[2 * former] = True
    state = scenario.feeder.lines.closed.copy()
    state[scenario.feeder.switches] = closed
    found = live_phases(scenario.feeder, state, seeds).any(axis=1)
    for block in range(6):
        between = closed[min(block, former) : max(block, former)]
        assert found[2 * block] == found[2 * block + 1] == all(between)
