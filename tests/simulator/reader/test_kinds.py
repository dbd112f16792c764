"""Every kind of element that a feeder may hold, one small input each, against OpenDSS itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from gridproof.scenarios.feeder import Connection
from gridproof.scenarios.lindist import DELTA_ACTIVE, DELTA_REACTIVE, PHASOR, pair_shares
from gridproof.scenarios.load_models import LoadModel
from gridproof.simulator.linear.flow import LinearFlow
from gridproof.simulator.reader.agreement import columns_flow, farthest_apart, opendss_flow
from gridproof.simulator.reader.feeder import read_feeder

HEAD = """Clear
New Circuit.kinds bus1=s basekv=12.47 pu=1.02 r1=0.2 x1=1.1 r0=0.3 x0=1.4
New Line.main bus1=s bus2=m r1=0.3 x1=0.6 r0=0.8 x0=1.9 c1=9 c0=4 length=2 units=km
"""
TAIL = """
New Load.rest bus1=m kv=12.47 kw=900 kvar=300
Set VoltageBases=[12.47 4.16 0.48 0.208]
CalcVoltageBases
Solve
"""
SERVICE = """
New Transformer.tap phases=1 windings=3 buses=(m.2 h.1.0 h.0.2) kvs=(7.2 0.12 0.12)
~ kvas=(25 25 25) %Rs=(0.6 1.2 1.2) xhl=2.04 xht=2.04 xlt=1.36 %noloadloss=0.2 %imag=0.5
New Line.drop bus1=h.1.2 bus2=k.1.2 phases=2 rmatrix=(0.3 | 0.1 0.3) xmatrix=(0.2 | 0.1 0.2)
~ cmatrix=(0 | 0 0) length=0.1 units=km
New Load.one bus1=k.1 phases=1 kv=0.12 kw=5 kvar=1
New Load.two bus1=k.2 phases=1 kv=0.12 kw=3 kvar=1
New Load.across bus1=k.1.2 phases=1 conn=delta kv=0.24 kw=6 kvar=2 model=2
New Load.both bus1=k.1.2 phases=2 conn=wye kv=0.208 kw=4 kvar=1
"""
KINDS = {
    "service": SERVICE,
    "service_between_phases": SERVICE.replace("(m.2 h.1.0", "(m.2.3 h.1.0").replace("7.2", "12.47"),
    "another_phase": """
New Transformer.turn phases=1 buses=(m.3 h.1) kvs=(7.2 0.12) kvas=(25 25) xhl=2 %loadloss=1
New Load.l bus1=h.1 phases=1 kv=0.12 kw=10 kvar=2
""",
    "load_models": """
New Load.three bus1=m kv=12.47 kw=90 kvar=30 model=3
New Load.four bus1=m kv=12.47 kw=90 kvar=30 model=4 cvrwatts=0.8 cvrvars=3
New Load.six bus1=m.1 phases=1 kv=7.2 kw=90 kvar=30 model=6
New Load.seven bus1=m.2.3 phases=1 conn=delta kv=12.47 kw=90 kvar=30 model=7
New Load.zip bus1=m kv=12.47 kw=90 kvar=30 model=8 zipv=(0.5 0.3 0.2 0.1 0.2 0.7 0)
""",
    "delta_on_one_node": """
New Load.one bus1=m.1 phases=1 conn=delta kv=12.47 kw=90 kvar=30
New Load.two bus1=m.3.0 phases=1 conn=delta kv=12.47 kw=90 kvar=30 model=2
""",
    "reactors": """
New Reactor.series bus1=m bus2=n phases=3 r=0.2 x=2
New Reactor.shunt bus1=n phases=3 kv=12.47 kvar=300
New Reactor.delta bus1=n phases=3 conn=delta kv=12.47 kvar=150
New Load.n bus1=n kv=12.47 kw=200 kvar=50
""",
    "series_capacitor": """
New Capacitor.series bus1=m bus2=n phases=3 kv=12.47 kvar=9000
New Load.n bus1=n kv=12.47 kw=200 kvar=50
""",
    "series_capacitor_rated_for_its_own_voltage": """
New Capacitor.series bus1=m bus2=n phases=3 kv=2 kvar=900
New Load.n bus1=n kv=12.47 kw=200 kvar=50
""",
    "delta_on_one_node_rated_to_earth": """
New Load.one bus1=m.1 phases=1 conn=delta kv=7.2 kw=90 kvar=30 model=2
""",
    "open_wye_open_delta_against_its_phases": """
New Transformer.b phases=1 buses=(m.2 n.1.2) conns=(wye delta) kvs=(7.2 4.16) kvas=(250 250) xhl=3
New Transformer.c phases=1 buses=(m.3 n.2.3) conns=(wye delta) kvs=(7.2 4.16) kvas=(250 250) xhl=3
New Load.n bus1=n conn=delta kv=4.16 kw=200 kvar=50
""",
    "magnetising": """
New Transformer.t phases=3 buses=(m n) conns=(delta wye) kvs=(12.47 0.48) kvas=(500 500)
~ xhl=4 %loadloss=1 %noloadloss=0.5 %imag=2 wdg=2 tap=1.025
New Load.n bus1=n kv=0.48 kw=200 kvar=50
""",
    "parallel": """
New Line.cable1 bus1=m bus2=n r1=0.3 x1=0.4 r0=0.6 x0=1.1 c1=200 c0=200 length=1 units=km
New Line.cable2 bus1=m bus2=n r1=0.5 x1=0.4 r0=0.9 x0=1.3 c1=200 c0=200 length=1 units=km
New Transformer.a phases=3 buses=(n l) conns=(delta wye) kvs=(12.47 0.48) kvas=(500 500) xhl=4
New Transformer.b phases=3 buses=(n l) conns=(delta wye) kvs=(12.47 0.48) kvas=(300 300) xhl=5
New Load.l bus1=l kv=0.48 kw=400 kvar=100
""",
    "two_conductors_on_a_node": """
New LineCode.two nphases=2 rmatrix=(0.8 | 0.2 0.9) xmatrix=(0.9 | 0.3 0.8) cmatrix=(9 | -2 9)
~ units=km
New Line.l phases=1 bus1=m.2 bus2=n.2 linecode=two length=2 units=km
New Load.n bus1=n.2 phases=1 kv=7.2 kw=200 kvar=50
""",
    "a_part_that_nothing_feeds": """
New Line.gate bus1=m bus2=n switch=yes r1=0.01 x1=0.01 r0=0.01 x0=0.01 c1=0 c0=0 length=1
New Line.dark bus1=n bus2=k r1=0.3 x1=0.6 r0=0.8 x0=1.9 c1=9 c0=4 length=2 units=km
New Load.k bus1=k kv=12.47 kw=200 kvar=50
Open Line.gate 1
""",
    "machines": """
New Generator.g bus1=m kv=12.47 kw=400 pf=0.9
New PVSystem.p bus1=m kv=12.47 kva=300 pmpp=300
New Storage.b bus1=m kv=12.47 kwrated=200 state=discharging
New IndMach012.i bus1=m kv=12.47 kw=100
New StorageController.s element=Line.main elementList=(b)
""",
}


@pytest.fixture
def written(tmp_path: Path):
    def write(kind: str, tail: str = TAIL) -> Path:
        path = tmp_path / f"{kind}.dss"
        path.write_text(HEAD + KINDS[kind] + tail)
        return path

    return write


@pytest.mark.parametrize("kind", KINDS)
def test_columns_alone_give_the_voltages_of_opendss(kind, written):
    path = written(kind)
    feeder = read_feeder(path)
    theirs = opendss_flow(path, feeder)
    assert theirs is not None
    ours = columns_flow(feeder, theirs)
    assert ours is not None
    assert farthest_apart(feeder, ours, theirs) < 1e-6


def test_a_fault_in_a_column_shows(written):
    """What the agreement is worth: a hundredth of one column is seen."""
    from dataclasses import replace

    path = written("service")
    feeder = read_feeder(path)
    theirs = opendss_flow(path, feeder)
    units = replace(feeder.transformers, x_shared_pu=feeder.transformers.x_shared_pu * 1.01)
    ours = columns_flow(replace(feeder, transformers=units), theirs)
    assert farthest_apart(feeder, ours, theirs) > 1e-5


@pytest.mark.parametrize("kind", ["service", "service_between_phases", "another_phase"])
def test_the_linear_model_follows_a_service(kind, written):
    path = written(kind)
    feeder = read_feeder(path)
    theirs = np.abs(opendss_flow(path, feeder))
    source = feeder.sources
    flow = LinearFlow(
        feeder,
        feeder.lines.closed,
        feeder.buses.phases,
        [(int(source.bus[0]), phase) for phase in range(3)],
        feeder.loads.model,
        behind={int(source.bus[0]): (source.r_ohm[0], source.x_ohm[0])},
    )
    loads = feeder.loads
    none = np.zeros((2, len(feeder.buses.ids), 3))
    solved = flow.solve(loads.p_kw, loads.q_kvar, none, np.full(3, source.v_pu[0]))
    assert solved.converged
    apart = np.abs(solved.v_pu - theirs)
    assert np.nanmax(apart) < 5e-3
    assert (np.isfinite(solved.v_pu) == np.isfinite(theirs)).all()


def test_legs_of_a_service_stand_against_each_other(written):
    feeder = read_feeder(written("service"))
    k = feeder.buses.ids.index("k")
    np.testing.assert_allclose(feeder.buses.phasor[k, :2], [PHASOR[1], -PHASOR[1]], atol=1e-12)
    assert feeder.transformers.primary.tolist() == [1]
    assert feeder.buses.pair_base[k, 0] == pytest.approx(2.0)
    across = feeder.loads.ids.index("across")
    assert feeder.loads.connection[across] is Connection.DELTA
    assert feeder.loads.v_rated_pu[across] == pytest.approx(0.24 / 2 / feeder.buses.base_kv[k])


def test_machines_of_the_file_do_nothing(written, tmp_path):
    with_them = read_feeder(written("machines"))
    bare = tmp_path / "bare.dss"
    bare.write_text(HEAD + TAIL)
    without = read_feeder(bare)
    assert with_them.loads.ids == without.loads.ids
    one, other = opendss_flow(Path(with_them.path), with_them), opendss_flow(bare, without)
    np.testing.assert_allclose(one, other, atol=1e-9)


def test_pair_shares_are_those_of_balanced_phases():
    active, reactive = pair_shares(PHASOR)
    np.testing.assert_allclose(active, DELTA_ACTIVE, atol=1e-15)
    np.testing.assert_allclose(reactive, DELTA_REACTIVE, atol=1e-15)
    np.testing.assert_allclose(pair_shares(PHASOR[[0, 0, 0]])[0], 0.0)


def test_a_load_model_is_known_by_its_name():
    assert LoadModel.exponential(1.0, 2.0) is LoadModel.VOLTAGE_REDUCTION
    odd = LoadModel.exponential(0.8, 3.0)
    assert LoadModel(str(odd)) is odd
    assert odd.active == ((1.0, 0.8),)
    mixed = LoadModel.polynomial((0.5, 0.3, 0.2), (0.0, 0.0, 1.0))
    assert mixed.active == ((0.5, 2.0), (0.3, 1.0), (0.2, 0.0))
    assert mixed.reactive == ((1.0, 0.0),)
    with pytest.raises(ValueError, match="constant"):
        LoadModel("constant")
