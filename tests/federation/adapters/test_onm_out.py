"""Our plans as PowerModelsONM's output: read back, they are the same plans."""

import json
from dataclasses import replace

import numpy as np
import pytest
from gridproof.federation.adapters.onm import plan_from_onm
from gridproof.federation.adapters.onm_out import onm_output
from gridproof.federation.cli.main import app
from gridproof.federation.studies.study import load_study
from gridproof.optimizer.planner import make_planner
from typer.testing import CliRunner


def same(one, other, scenario):
    np.testing.assert_array_equal(one.closed, other.closed)
    np.testing.assert_array_equal(one.energized, other.energized)
    np.testing.assert_array_equal(one.grid_forming, other.grid_forming)
    np.testing.assert_allclose(one.p_kw, other.p_kw, atol=1e-8)
    np.testing.assert_allclose(one.q_kvar, other.q_kvar, atol=1e-8)
    # a file says the mean of a bus's phases, which a former holds alike on all of them
    np.testing.assert_allclose(
        one.source_v_pu[one.grid_forming], other.source_v_pu[other.grid_forming], atol=1e-8
    )
    assert scenario.ders.ids == one.der_ids == other.der_ids


@pytest.mark.parametrize("study", ["toy", pytest.param("ieee37-day", marks=pytest.mark.slow)])
def test_what_is_written_is_read_as_the_same_plan(study, toy):
    loaded = load_study(toy if study == "toy" else study)
    scenario = loaded.scenario
    plan = make_planner("partitioning", loaded.config.planner.options).plan(scenario)
    document = json.loads(json.dumps(onm_output(plan, scenario), allow_nan=False))
    same(plan_from_onm(json.dumps(document), scenario), plan, scenario)
    dead = {
        name
        for name, bus in zip(scenario.feeder.loads.ids, scenario.feeder.loads.bus, strict=True)
        if not plan.energized[0][scenario.feeder.blocks.of_bus[bus]]
    }
    assert set(document["Device action timeline"][0]["Shedded loads"]) == dead
    volts = document["Powerflow output"][0]["bus"]
    assert set(volts) == set(scenario.feeder.buses.ids)


def test_a_storage_charges_where_it_is_positive(toy):
    scenario = load_study(
        toy, ["ders.fleet.west.storage={ energy_kwh = 100, schedule_kw = [-20] }"]
    ).scenario
    plan = make_planner("partitioning", {"method": "nominal"}).plan(scenario)
    p_kw = plan.p_kw.copy()
    p_kw[0, scenario.ders.ids.index("west")] = -20.0 / 3.0
    plan = replace(plan, p_kw=p_kw)
    west = onm_output(plan, scenario)["Powerflow output"][0]["storage"]["west"]
    assert sum(west["real power setpoint (kW)"]) == pytest.approx(20.0)


def test_the_command_writes_a_file_that_the_command_reads(toy, tmp_path):
    file = tmp_path / "onm.json"
    done = CliRunner().invoke(app, ["plan", str(toy), "--onm", str(file)])
    assert done.exit_code == 0, done.output
    checked = CliRunner().invoke(app, ["check", str(file), str(toy)])
    assert checked.exit_code == 0, checked.output
