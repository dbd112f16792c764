"""A switch that a file disables is an open tie: it changes no flow until a plan closes it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from gridproof.federation.inquiries.feeder_facts import as_it_stands, observed
from gridproof.scenarios.errors import ConfigError
from gridproof.simulator.opendss.engine import OpenDssEngine
from gridproof.simulator.reader.agreement import columns_flow, farthest_apart, opendss_flow
from gridproof.simulator.reader.feeder import read_feeder

OHM = "r1=0.2 x1=0.4 r0=0.5 x0=1.1 c1=9 c0=4 length=1"
FEEDER = f"""Clear
New Circuit.tied bus1=s basekv=12.47 pu=1.0
New Line.sb bus1=s bus2=b switch=yes {OHM}
New Line.sc bus1=s bus2=c switch=yes {OHM}
New Line.cd bus1=c.2 bus2=d.2 phases=1 {OHM}
{{tie}}
New Load.b bus1=b kv=12.47 kw=900 kvar=300
New Load.c bus1=c kv=12.47 kw=300 kvar=90
New Load.d bus1=d.2 phases=1 kv=7.2 kw=30 kvar=9
Set VoltageBases=[12.47]
CalcVoltageBases
Solve
"""
TIE = f"New Line.tie bus1=b bus2=c switch=yes enabled=no {OHM}"


def written(tmp_path, tie):
    path = tmp_path / f"tied{len(list(tmp_path.iterdir()))}.dss"
    path.write_text(FEEDER.format(tie=tie))
    return path


def test_what_a_recloser_has_opened_stays_open(tmp_path):
    """OpenDSS resets it when a mode is set; columns, and OpenDSS by itself, have the line open."""
    trips = "New Recloser.r monitoredobj=Line.sb monitoredterm=1 phasetrip=1 phasefast=A\n"
    path = written(tmp_path, f"{trips}New Capacitor.b bus1=b kv=12.47 kvar=600")
    path.write_text(path.read_text().replace("bus2=b switch=yes", "bus2=b"))
    feeder = read_feeder(path)
    assert not feeder.lines.closed[feeder.lines.ids.index("sb")]
    scenario, plan = as_it_stands(feeder)
    seen = observed(OpenDssEngine(scenario), scenario, plan)
    live = np.isfinite(seen.v_pu[0])
    assert not live[feeder.buses.ids.index("b")].any()
    theirs = np.abs(opendss_flow(path, feeder))
    np.testing.assert_allclose(seen.v_pu[0][live], theirs[live], atol=1e-6)


def flow(feeder, **states):
    """Voltages with switches as told, from the AC engine."""
    closed = feeder.lines.closed.copy()
    for name, shut in states.items():
        closed[feeder.lines.ids.index(name)] = shut
    lines = replace(feeder.lines, closed=closed)
    scenario, plan = as_it_stands(replace(feeder, lines=lines))
    engine = OpenDssEngine(scenario, tolerance=1e-10)
    try:
        return observed(engine, scenario, plan).v_pu[0]
    finally:
        engine.close()


def by_bus(feeder, v):
    return np.array([v[feeder.buses.ids.index(name)] for name in "sbcd"])


@pytest.mark.parametrize("how", [TIE, TIE.replace("enabled=no", "") + "\nDisable Line.tie"])
def test_it_is_read_open_and_changes_nothing(tmp_path, how):
    path = written(tmp_path, how)
    feeder = read_feeder(path)
    tie = feeder.lines.ids.index("tie")
    assert feeder.lines.switchable[tie]
    assert not feeder.lines.closed[tie]
    bare = opendss_flow(path, feeder)
    assert farthest_apart(feeder, columns_flow(feeder, bare), bare) < 1e-7
    without = read_feeder(written(tmp_path, ""))
    np.testing.assert_allclose(
        by_bus(feeder, flow(feeder)), by_bus(without, flow(without)), atol=1e-9
    )


def test_closed_it_is_the_line_that_the_file_has(tmp_path):
    feeder = read_feeder(written(tmp_path, TIE))
    enabled = read_feeder(written(tmp_path, TIE.replace("enabled=no", "")))
    np.testing.assert_array_equal(
        feeder.lines.r_ohm[feeder.lines.ids.index("tie")],
        enabled.lines.r_ohm[enabled.lines.ids.index("tie")],
    )
    one = by_bus(feeder, flow(feeder, sc=False, tie=True))
    other = by_bus(enabled, flow(enabled, sc=False))
    np.testing.assert_allclose(one, other, atol=1e-9)
    assert np.nanmax(np.abs(one - by_bus(feeder, flow(feeder)))) > 1e-4


@pytest.mark.parametrize(
    "tie",
    [
        TIE.replace("switch=yes", ""),  # no switch: it does not exist
        TIE.replace("bus2=c", "bus2=nowhere"),
        TIE.replace("bus1=b bus2=c", "bus1=b.1 bus2=d.1 phases=1"),  # d has no phase a
    ],
)
def test_what_ties_nothing_stays_out(tmp_path, tie):
    feeder = read_feeder(written(tmp_path, tie))
    assert "tie" not in feeder.lines.ids
    assert "nowhere" not in feeder.buses.ids
    assert feeder.buses.phases[feeder.buses.ids.index("d")].tolist() == [False, True, False]


def test_of_a_file_that_opendss_refuses_its_machines_are_no_fault(tmp_path):
    zero = "New Line.tie bus1=b bus2=c linecode=unheard"
    machine = "New Generator.g bus1=b kv=12.47 kw=90\nNew PVSystem.p bus1=b kv=12.47 kva=5 pmpp=5"
    with pytest.raises(ConfigError) as caught:
        read_feeder(written(tmp_path, f"{zero}\n{machine}"))
    (refused,) = caught.value.faults
    assert "OpenDSS refused the file" in refused
    assert "unheard" in refused
