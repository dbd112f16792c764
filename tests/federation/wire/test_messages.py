"""The text messages and their schemas."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gridproof.federation.wire.messages import (
    Catalogue,
    Status,
    SwitchStates,
    catalogue_of,
    parse,
    read_plan,
    schemas,
    switch_states_of,
)
from gridproof.scenarios.errors import FederationError
from gridproof.scenarios.feeder import Connection
from gridproof.scenarios.plan_file import plan_to_json
from gridproof.scenarios.proof import Proof, Termination
from gridproof.scenarios.provenance import Scope, differences, facts_of, scope_of

WIRE = Path(__file__).parents[3] / "docs" / "wire"


def test_the_committed_schemas_are_those_of_the_code() -> None:
    committed = {
        path.name.removesuffix(".schema.json"): json.loads(path.read_text())
        for path in WIRE.glob("*.schema.json")
    }
    assert committed == schemas(), "run: python -m gridproof.federation.wire.messages docs/wire"


def test_messages_survive_the_wire(tiny_scenario, tiny_plan) -> None:
    scenario = tiny_scenario()
    for message in (
        catalogue_of(scenario, 40),
        switch_states_of(tiny_plan(scenario, closed=(True, False))),
        Status(federate="feeder", phase="running", sequence=4, done=8, total=40),
    ):
        assert parse(type(message), message.encode(), "x/y") == message


def test_switch_states_have_the_shape_of_oedisi(tiny_scenario, tiny_plan) -> None:
    states = switch_states_of(tiny_plan(tiny_scenario(), closed=(True, False)))
    assert json.loads(states.encode()) == {
        "ids": ["Line.s0", "Line.s1"], "values": [1, 0], "time": None,
    }  # fmt: skip


def test_the_catalogue_lists_every_number_with_unit_and_sign(tiny_scenario) -> None:
    scenario = tiny_scenario(size=2, switches=((0, 1),), ders=(0,))
    catalogue = catalogue_of(scenario, 5)
    zeta, p, q = catalogue.realizations
    assert (zeta.ids, zeta.unit) == (("d0", "d1"), "1")
    assert p.ids == ("d0.a", "d0.b", "d0.c", "d1.a", "d1.b", "d1.c")
    assert (p.unit, p.positive, q.unit, q.positive) == ("kW", "consumed", "kvar", "consumed")
    found, injected, _, source = catalogue.setpoints
    assert (injected.ids, injected.positive) == (("g0.a", "g0.b", "g0.c"), "injected")
    assert (found.width, source.ids, source.unit) == (1, ("g0",), "pu")
    assert [column.quantity for column in catalogue.measurements] == [
        "index", "solved", "v", "v_ll", "current", "transformer", "p", "q", "system",
    ]  # fmt: skip


def test_a_delta_load_is_listed_by_its_pairs(tiny_scenario) -> None:
    scenario = tiny_scenario(size=1, switches=(), ders=(0,))
    feeder = scenario.feeder
    loads = replace(
        feeder.loads, connection=(Connection.DELTA,), slots=np.array([[True, False, True]])
    )
    from gridproof.scenarios.feeder import Feeder

    delta = Feeder(
        name="tiny", path="", buses=feeder.buses, lines=feeder.lines,
        transformers=feeder.transformers, loads=loads, capacitors=feeder.capacitors,
        sources=feeder.sources,
    )  # fmt: skip
    catalogue = catalogue_of(replace(scenario, feeder=delta))
    assert catalogue.realizations[1].ids == ("d0.ab", "d0.ca")


@pytest.mark.parametrize(
    ("model", "payload", "message"),
    [
        (Status, b"", "x/y: message"),
        (Status, b"\xff", "x/y: message"),
        (Status, b"[]", "x/y: message"),
        (Status, b'{"federate":"a","phase":"bored","sequence":1}', "x/y: phase.*found 'bored'"),
        (Status, b'{"federate":"a","phase":"done","sequence":-1}', "x/y: sequence.*found '-1'"),
        (Status, b'{"federate":"a","phase":"done","sequence":"1"}', "x/y: sequence"),
        (SwitchStates, b'{"ids":["Line.a"],"values":[2]}', r"x/y: values\.0.*found '2'"),
        (SwitchStates, b'{"ids":["Line.a"],"values":[1],"more":0}', "x/y: more"),
        (Catalogue, b'{"format":"gridproof-catalogue/1"}', "x/y: format.*catalogue/2"),
    ],
)
def test_a_wrong_message_is_named_by_port_and_field(model, payload, message) -> None:
    with pytest.raises(FederationError, match=message):
        parse(model, payload, "x/y")


def test_a_plan_of_another_study_is_tried_and_proven_of_its_own(tiny_scenario, tiny_plan) -> None:
    scenario, wider = tiny_scenario(), tiny_scenario(spread=0.5)
    proof = Proof(termination=Termination.OPTIMAL, incumbent=3.0, bound=3.0, robust=True)
    plan = replace(tiny_plan(scenario), proof=proof, costs={}, made_for=facts_of(scenario))
    back = read_plan(plan_to_json(plan).encode(), scenario, "planner/plan")
    assert plan_to_json(back) == plan_to_json(plan)
    assert scope_of(back, scenario) is Scope.HERE
    abroad = read_plan(plan_to_json(plan).encode(), wider, "planner/plan")
    assert scope_of(abroad, wider) is Scope.ELSEWHERE
    assert [d.what for d in differences(abroad.made_for, wider)] == ["uncertainty.spread"]
    stranger = plan_to_json(replace(plan, scenario_digest=""))
    assert read_plan(stranger.encode(), scenario, "planner/plan").scenario_digest == ""
    forged = plan_to_json(plan).replace('"iterations": 0', '"iterations": 1')
    assert not read_plan(forged.encode(), scenario, "planner/plan").proof.certified
    with pytest.raises(FederationError, match=r"planner/plan: key 'proof' is given twice"):
        read_plan((forged.rstrip("}\n") + ', "proof": {}}').encode(), scenario, "planner/plan")
    with pytest.raises(FederationError, match="utf-8"):
        read_plan(b"\xff\xfe", scenario, "planner/plan")
