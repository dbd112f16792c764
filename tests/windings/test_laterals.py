"""What stands in a lateral is what the whole equations put there, for every winding."""

import numpy as np
import pytest
from gridproof.optimizer.network.first_stage import FirstStage
from gridproof.optimizer.network.laterals import Laterals
from gridproof.optimizer.network.network import Network
from gridproof.optimizer.network.statemap import island_state
from test_planner import TELLING, _scenario
from winding_cases import OTHERS


def _stage(scenario):
    one = np.ones(1, bool)
    return FirstStage(
        closed=np.ones(len(scenario.feeder.switches), bool),
        energized=np.ones(len(scenario.feeder.blocks.ids), bool),
        forming=one,
        source_w=np.ones(1),
        p=np.zeros((1, 3)),
        q=np.zeros((1, 3)),
    )


def _inner(scenario):
    """Inner voltages and flows, by the lateral's maps and by the island's whole equations."""
    network = Network.of(scenario)
    laterals = Laterals.of(network)
    if laterals is None:
        return None
    state = island_state(network, _stage(scenario), tuple(range(len(scenario.feeder.blocks.ids))))
    w = {tuple(at): value for at, value in zip(state.nodes.tolist(), state.w.constant, strict=True)}
    flows = [
        {tuple(at): value for at, value in zip(state.channels.tolist(), maps.constant, strict=True)}
        for maps in (state.flow_p, state.flow_q)
    ]
    system = laterals.system
    constant = system.constant(network.nominal)
    found, expected = [], []
    for (kind, at, k), row in system.column.items():
        if kind == "theta":
            continue
        bus = at if kind == "w" else network.branches[at].end
        root = max(
            int(system.root[bus]),
            int(system.root[network.branches[at].start]) if kind != "w" else -1,
        )
        held = np.array([w.get((root, phase), 0.0) for phase in range(3)])
        found.append(system.of_root[row, :3] @ held + constant[row])
        expected.append({"w": w, "p": flows[0], "q": flows[1]}[kind][at, k])
    return np.array(found), np.array(expected)


@pytest.mark.parametrize("name", [*TELLING, *OTHERS])
def test_a_lateral_follows_from_its_root(winding_feeder, name):
    pair = _inner(_scenario(winding_feeder(name), "n"))
    if pair is not None:
        np.testing.assert_allclose(*pair, atol=1e-9)


def test_most_windings_stand_in_laterals(winding_feeder):
    with_some = [
        name
        for name in (*TELLING, *OTHERS)
        if Laterals.of(Network.of(_scenario(winding_feeder(name), "n"))) is not None
    ]
    assert len(with_some) > len([*TELLING, *OTHERS]) / 2
