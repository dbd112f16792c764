"""The schema of a study: every key documented, bounded, and named with its unit."""

import re

import pytest
from gridproof.federation.config.ders import DerConfig, DerDefaults
from gridproof.federation.config.study import StudyConfig
from pydantic import BaseModel, ValidationError

MINIMAL = {"feeder": {"path": "x.dss"}}


def models(model: type[BaseModel] = StudyConfig):
    yield model
    kinds = [field.annotation for field in model.model_fields.values()]
    for kind in kinds:  # grows as it is read: tables, lists and what may be left out
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from models(kind)
        kinds += getattr(kind, "__args__", ())


def test_every_key_is_documented():
    seen = 0
    for model in models():
        assert model.__doc__
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{name}"
            seen += 1
    assert seen > 40


def test_every_quantity_bears_its_unit_or_is_a_share_or_a_count():
    unitless = {
        "reactive_limit", "ramp", "spread", "confidence", "samples", "seed", "batch",
        "grid_forming_per_island", "std_share", "correlation", "correlation_matrix", "width",
        "spreads", "spread_down", "spread_up", "spreads_down", "spreads_up", "observers", "port",
        "share", "factor", "loss", "noise", "stuck_probability", "unit", "tolerance", "ac_rounds",
        "alpha", "beta", "unserved", "lost_bus", "switching", "buried", "step",
        "log_samples", "log_seed", "probability", "uniform", "support", "deviation", "cut", "bias",
        "probability_factor", "uniform_factor", "deviation_factor",
        "crews", "mobile", "gamma", "outage_hour",
        "load_profile", "polygon_sides", "profile", "charge_efficiency", "discharge_efficiency",
            "guard", "power_factor",
    }  # fmt: skip
    for model in models():
        for name, field in model.model_fields.items():
            if "float" in str(field.annotation) or field.annotation is int:
                assert name in unitless or re.search(
                    r"_(share|kw|kva|kvar|kwh|kw_per_h|pu|a|s|h|usd|usd_per_kw|usd_per_kwh)$", name
                ), name


def test_unknown_keys_are_refused_in_every_section():
    for section in StudyConfig.model_fields:
        if section == "planner":  # its keys are the family's; see test_study
            continue
        values = {**MINIMAL, section: {**MINIMAL.get(section, {}), "bogus": 1}}
        with pytest.raises(ValidationError, match="bogus"):
            StudyConfig.model_validate(values)


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("uncertainty", "spread", -0.01),
        ("uncertainty", "spread", 1.01),
        ("uncertainty", "spread", float("nan")),
        ("uncertainty", "spread", "0.1"),
        ("campaign", "samples", 0),
        ("campaign", "samples", 1.5),
        ("campaign", "samples", True),
        ("campaign", "seed", -1),
        ("campaign", "seed", 2**64),
        ("campaign", "confidence", 1.0),
        ("campaign", "judge", "dc"),
        ("limits", "line_rating_a", float("inf")),
        ("limits", "grid_forming_per_island", 0),
        ("federation", "step_deadline_s", 0),
    ],
)
def test_bounds_are_kept(section, key, value):
    with pytest.raises(ValidationError):
        StudyConfig.model_validate({**MINIMAL, section: {key: value}})


def test_a_bus_may_be_written_as_a_number_and_in_upper_case():
    assert DerConfig(bus=701, capacity_kw=1).bus == "701"
    assert DerConfig(bus="B7", capacity_kw=1).bus == "b7"
    with pytest.raises(ValidationError):
        DerConfig(bus=True, capacity_kw=1)


def test_a_der_takes_the_defaults_it_does_not_state():
    defaults = DerDefaults(ramp=0.1, cost_usd_per_kw=5.0, can_form=False)
    der = DerConfig(bus="b", capacity_kw=30, ramp=0.2).resolved(defaults)
    assert (der.ramp, der.cost_usd_per_kw, der.can_form, der.phases) == (0.2, 5.0, False, "abc")


def test_the_band_must_have_width():
    with pytest.raises(ValidationError, match="must lie below v_max_pu"):
        StudyConfig.model_validate({**MINIMAL, "limits": {"v_min_pu": 1.06}})


def test_a_config_survives_its_own_json():
    config = StudyConfig.model_validate(
        {
            **MINIMAL,
            "ders": {"fleet": {"one": {"bus": 7, "capacity_kw": 3}}},
            "planner": {"gap": 0.1},
        }
    )
    assert StudyConfig.model_validate(config.model_dump(mode="json")) == config
