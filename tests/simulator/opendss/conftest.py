"""The IEEE 37-node networked feeder as a scenario, made from its tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from gridproof.scenarios.feeder import Feeder
from gridproof.scenarios.fleet import Ders
from gridproof.scenarios.limits import Limits
from gridproof.scenarios.load_models import LoadModel
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.proof import Proof, Termination
from gridproof.scenarios.realization import Realizations, draw
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.setpoints import Setpoints
from gridproof.scenarios.sets import Box
from gridproof.simulator.reader.feeder import read_feeder

FEEDER = Path(__file__).parents[3] / "configs/feeders/ieee37-networked/ieee37_networked.dss"
SWITCHES = (
    "799r-701", "702-705", "702-713", "702-703", "703-727", "708-709", "734-737",
    "729-742", "725-731", "725-741",
)  # fmt: skip
CAPACITY_KW = {"701": 460, "705": 300, "720": 160, "730": 510, "744": 230, "734": 100, "738": 420}
UNCERTAIN = ("s722b", "s718a", "s730c", "s728", "s733a", "s738a")


def make_scenario(feeder: Feeder, capacity_kw: dict[str, float], uncertain, **changes) -> Scenario:
    count = len(capacity_kw)
    third = np.repeat(np.array(list(capacity_kw.values()), float)[:, None] / 3.0, 3, axis=1)
    ders = Ders(
        ids=tuple(f"der{bus}" for bus in capacity_kw),
        bus=np.array([feeder.buses.ids.index(bus) for bus in capacity_kw]),
        phases=np.ones((count, 3), bool),
        p_min_kw=np.zeros((count, 3)),
        p_max_kw=third,
        q_min_kvar=-0.75 * third,
        q_max_kvar=0.75 * third,
        s_max_kva=np.full((count, 3), np.inf),
        ramp_kw=0.3 * third,
        ramp_kvar=0.3 * third,
        cost_usd_per_kw=np.full(count, 12.0),
        redispatch_cost_usd_per_kw=np.full(count, 12.0),
        can_form=np.ones(count, bool),
    )
    values = {
        "name": feeder.name,
        "feeder": feeder,
        "ders": ders,
        "hours": np.zeros(1),
        "load_p_kw": feeder.loads.p_kw[None],
        "load_q_kvar": feeder.loads.q_kvar[None],
        "load_model": (LoadModel.CONSTANT_POWER,) * len(feeder.loads.ids),
        "uncertainty": Box(load_ids=tuple(uncertain), spread=np.full(len(uncertain), 0.25)),
        "limits": Limits(),
        "locked": np.zeros(len(feeder.switches), bool),
        "shed_usd": np.ones(len(feeder.blocks.ids)),
    }
    return Scenario(**(values | changes))


def make_plan(scenario: Scenario, closed, forming: dict[str, float], energized=None) -> Plan:
    """A plan by names: closed switches, forming DERs with their magnitudes, live blocks."""
    feeder, ders = scenario.feeder, scenario.ders
    forms = np.array([name in forming for name in ders.ids])
    live = np.ones(len(feeder.blocks.ids), bool) if energized is None else np.array(
        [name in energized for name in feeder.blocks.ids]
    )  # fmt: skip
    p = np.where(live[feeder.blocks.of_bus[ders.bus]][:, None], 0.8 * ders.p_max_kw, 0.0)
    q = 0.5 * p
    return Plan(
        family="external",
        scenario_digest="",
        switch_ids=feeder.switch_ids,
        block_ids=feeder.blocks.ids,
        der_ids=ders.ids,
        closed=np.array([[name in closed for name in feeder.switch_ids]]),
        energized=live[None],
        grid_forming=forms[None],
        source_v_pu=np.array([[forming.get(name, np.nan) for name in ders.ids]]),
        p_kw=p[None],
        q_kvar=q[None],
        costs={},
        proof=Proof(termination=Termination.EXTERNAL, incumbent=np.inf, bound=-np.inf),
    )


def answer(plan: Plan, realizations: Realizations, **changes) -> Setpoints:
    """The plan's own set-points for every realization."""
    n = len(realizations)
    values = {
        "index": realizations.index,
        "found": np.ones(n, bool),
        "p_kw": np.repeat(plan.p_kw, n, axis=0),
        "q_kvar": np.repeat(plan.q_kvar, n, axis=0),
        "source_v_pu": np.repeat(plan.source_v_pu, n, axis=0),
    }
    return Setpoints(**(values | changes))


class Ieee37:
    """The study's scenario, two plans on it and a batch of draws."""

    def __init__(self) -> None:
        feeder = read_feeder(FEEDER, switches=SWITCHES)
        self.scenario = make_scenario(feeder, CAPACITY_KW, UNCERTAIN)
        self.whole = make_plan(
            self.scenario,
            {"702-705", "702-713", "702-703", "703-727", "708-709", "734-737"},
            {"der701": 1.02},
            energized=set(feeder.blocks.ids) - {"sourcebus"},
        )
        self.parts = make_plan(
            self.scenario,
            {"702-705", "703-727", "725-741"},
            {"der701": 1.02, "der730": 1.01, "der738": 1.0},
            energized=set(feeder.blocks.ids) - {"sourcebus", "708"},
        )

    def draws(self, count: int, first: int = 0) -> Realizations:
        return draw(self.scenario, 7, first, count)

    make_scenario = staticmethod(make_scenario)
    make_plan = staticmethod(make_plan)
    answer = staticmethod(answer)
    feeder_path = FEEDER


@pytest.fixture(scope="session")
def ieee37() -> Ieee37:
    return Ieee37()
