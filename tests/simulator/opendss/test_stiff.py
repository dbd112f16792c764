"""Lines of next to no impedance: what is supplied and served is told as if they were longer."""

from __future__ import annotations

import pytest
from gridproof.federation.inquiries.feeder_facts import as_it_stands, observed
from gridproof.scenarios.verdict import Outcome, judge
from gridproof.simulator.opendss.engine import OpenDssEngine
from gridproof.simulator.reader.agreement import columns_flow, farthest_apart, opendss_flow
from gridproof.simulator.reader.feeder import read_feeder

BAR = "r1={ohm} x1={ohm} r0={ohm} x0={ohm} c1=0 c0=0 length=1"
FEEDER = f"""Clear
New Circuit.bars bus1=s basekv=46 pu=1.0 r1=1.0 x1=10 r0=5 x0=34
New Line.head bus1=s bus2=h {BAR}
New Line.tap bus1=h.2 bus2=p.2 phases=1 {BAR}
New Line.one bus1=p.2 bus2=q.2 phases=1 r1=3 x1=4 r0=3 x0=4 c1=0 c0=0 length=1
New Line.far bus1=h bus2=m r1=3 x1=6 r0=8 x0=19 c1=9 c0=4 length=1
New Line.bar bus1=m bus2=n {BAR}
New Line.end bus1=n bus2=e r1=1 x1=2 r0=3 x0=6 c1=0 c0=0 length=1
New Transformer.t phases=3 windings=2 buses=(n l) conns=(delta wye) kvs=(46 12.47) kvas=(900 900)
~ xhl=6
New Line.low bus1=l bus2=k {BAR}
New Load.s bus1=s kv=46 kw=120 kvar=40
New Load.h bus1=h.1.2 phases=1 conn=delta kv=46 kw=150 kvar=60
New Load.p bus1=p.2 phases=1 kv=26.558 kw=90 kvar=20
New Load.q bus1=q.2 phases=1 kv=26.558 kw=45 kvar=20
New Load.m bus1=m.1 phases=1 kv=26.558 kw=60 kvar=20 model=2
New Load.n bus1=n kv=46 kw=200 kvar=60
New Load.e bus1=e.3 phases=1 kv=26.558 kw=70 kvar=10
New Load.k bus1=k kv=12.47 kw=300 kvar=100
Set VoltageBases=[46 12.47]
CalcVoltageBases
Set Tolerance=1e-9
Solve
"""


def seen(tmp_path, ohm):
    path = tmp_path / "bars.dss"
    path.write_text(FEEDER.format(ohm=ohm))
    feeder = read_feeder(path)
    scenario, plan = as_it_stands(feeder)
    engine = OpenDssEngine(scenario, tolerance=1e-11)
    try:
        found = observed(engine, scenario, plan)
    finally:
        engine.close()
    path.write_text(FEEDER.format(ohm=max(ohm, 1e-5)))  # one that OpenDSS itself can hold
    bare = opendss_flow(path, feeder)
    assert farthest_apart(feeder, columns_flow(feeder, bare), bare) < 1e-7
    return feeder, found, judge(found, plan, scenario)


@pytest.mark.parametrize("ohm", [1e-8, 1e-10, 1e-12])
def test_supply_and_delivery_are_those_of_a_longer_bar(tmp_path, ohm):
    _, longer, _ = seen(tmp_path, 1e-4)
    _, found, verdicts = seen(tmp_path, ohm)
    assert found.converged.all()
    assert verdicts.outcome[0] != Outcome.ERRED
    assert found.delivered_kw[0] == pytest.approx(found.requested_kw[0], abs=2e-3)
    for name in ("der_p_kw", "der_q_kvar", "losses_kw", "transformer_kva", "current_a"):
        assert getattr(found, name) == pytest.approx(getattr(longer, name), abs=5e-3), name


def test_only_what_a_double_cannot_hold_is_lengthened(tmp_path):
    bars = ["head", "tap", "bar", "low"]
    for ohm, lengthened in ((1e-5, False), (1e-10, True)):
        feeder, _, _ = seen(tmp_path, ohm)
        place = [feeder.lines.ids.index(name) for name in bars]
        r = feeder.lines.r_ohm[place, 1, 1]
        assert (r > 1.001 * ohm).all() == lengthened
        assert r.max() < 2e-6 if lengthened else r == pytest.approx(ohm, rel=1e-4)
