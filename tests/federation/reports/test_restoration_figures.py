"""The data of the restoration figures against counts made here, and the files they become."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from gridproof.federation.papers.networks.mv_network import (
    MvNetwork,
    draw_failures,
    generate_network,
)
from gridproof.federation.reports.families.restoration_figures import (
    LineState,
    figure_stages,
    figure_supplied,
    stage_maps,
    supplied_shares,
)
from gridproof.optimizer.restoration.planner import RestorationPlanner
from gridproof.scenarios.restoration import Outage
from gridproof.scenarios.restoration_scenario import with_failures
from gridproof.scenarios.restoration_states import states_of


def test_the_maps_tell_what_the_plan_holds_and_draw_alike_twice(tmp_path: Path) -> None:
    network = generate_network(MvNetwork(seed=1, buses=60))
    names = draw_failures(network, 2, 4)
    made = {f"case {k}": with_failures(network, names, buried=2 * k) for k in (0, 1, 2)}
    cases = {name: Outage.of(one) for name, one in made.items()}
    plans = {name: states_of(RestorationPlanner().plan(one), one) for name, one in made.items()}
    shares = supplied_shares(cases, plans)
    for name, case in cases.items():
        plan, maps = plans[name], stage_maps(case, plans[name])
        assert shares[name] == tuple(m.supplied_share for m in maps)
        for time, stage in enumerate(maps):
            live = [s in (LineState.SUPPLIED, LineState.NEWLY_CLOSED) for s in stage.state]
            fed = plan.energized[time].sum() - case.substation.sum()
            assert sum(live) == fed  # trees: as many live lines as buses that are no source
            opened = sum(
                s in (LineState.OPENED_PROTECTION, LineState.OPENED_REMOTE) for s in stage.state
            )
            assert opened == (case.feeder.lines.closed & ~plan.closed[time]).sum()
            assert stage.damaged_buses + stage.dead_safe_buses == (~plan.energized[time]).sum()
        assert set(maps[0].state) == {LineState.SUPPLIED, LineState.NORMALLY_OPEN}
        assert LineState.OPENED_PROTECTION in maps[1].state
    assert np.ptp([share[1] for share in shares.values()]) == 0.0
    case, plan = cases["case 1"], plans["case 1"]
    first = [
        path.read_bytes()
        for part in (
            figure_supplied(shares, tmp_path / "supplied"),
            figure_stages(case, stage_maps(case, plan), tmp_path / "stages"),
        )
        for path in part
    ]
    again = figure_stages(case, stage_maps(case, plan), tmp_path / "again")
    assert [path.read_bytes() for path in again] == first[2:]
    assert {path.suffix for path in tmp_path.iterdir()} == {".svg", ".png"}
