"""The schema says what the reader takes, and the reference leaves nothing out."""

import json
import tomllib
from copy import deepcopy
from pathlib import Path

import jsonschema
import pytest
from gridproof.federation.cli.main import app
from gridproof.federation.config.study import StudyConfig
from gridproof.federation.config.study_file import Origin, parse_sections
from gridproof.federation.reports.reference import reference_page, sections_of
from gridproof.federation.studies.planner_options import planner_faults
from gridproof.federation.studies.shipped import list_studies
from gridproof.federation.studies.study_schema import study_keys, study_schema
from gridproof.optimizer.planner import FAMILIES
from gridproof.scenarios.errors import ConfigError
from pydantic import BaseModel
from typer.testing import CliRunner

ROOT = Path(__file__).parents[3]
SHIPPED = {study.name: tomllib.loads(study.path.read_text()) for study in list_studies()}
BASE = SHIPPED["ieee37-networked"]


@pytest.fixture(scope="module")
def schema():
    return jsonschema.Draft202012Validator(study_schema())


def test_it_is_a_schema(schema):
    schema.check_schema(schema.schema)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_studies_are_valid(schema, name):
    assert [error.message for error in schema.iter_errors(SHIPPED[name])] == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("campaign", "samples"), 0),
        (("campaign", "sample"), 10),
        (("campaign", "recourse"), "none"),
        (("campaign", "stop"), {"width": 0.1}),
        (("limits", "v_min_pu"), "0.95"),
        (("uncertainty", "loads"), "some"),
        (("uncertainty", "spread"), 1.5),
        (("ders", "fleet", "der701", "bus"), 1.5),
        (("planner", "family"), "other"),
        (("planner", "reserve_h"), 1.0),
        (("planner", "gap"), "small"),
        (("feeder", "path"), ""),
        (("nothing",), {}),
    ],
)
def test_what_the_reader_refuses_is_not_valid(schema, path, value):
    study = deepcopy(BASE)
    place = study
    for name in path[:-1]:
        place = place.setdefault(name, {})
    place[path[-1]] = value
    assert list(schema.iter_errors(study))
    origin = Origin(label="s.toml")
    sections, _, faults = parse_sections(study, origin)
    if "planner" in sections:
        faults = [*faults, *planner_faults(sections["planner"], origin)]
    assert faults


def keys_of(model, before=""):
    """Walk the models themselves, another way than the schema goes."""
    for name, field in model.model_fields.items():
        yield before + name
        for inner in models_in(field.annotation):
            yield from (key.split(".", 1)[-1] for key in keys_of(inner, f"{name}."))


def models_in(annotation):
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in getattr(annotation, "__args__", ()) for found in models_in(part)]


def test_every_key_of_every_section_is_told_with_its_meaning():
    told = {section.name: section for section in study_keys()}
    for name, field in StudyConfig.model_fields.items():
        (model,) = models_in(field.annotation)
        last = {key.replace("[]", "").split(".")[-1] for key in (k.key for k in told[name].keys)}
        assert {key.split(".")[-1] for key in keys_of(model)} <= last
        assert all(key.meaning and key.kind for key in told[name].keys)
    for family, (options, _) in FAMILIES.items():
        keys = told[f'planner, family = "{family}"'].keys
        assert {key.key for key in keys} == set(options.__dataclass_fields__)
        assert all(key.meaning and key.kind for key in keys)


def test_the_page_is_what_the_models_say():
    page = (ROOT / "docs" / "study.md").read_text(encoding="utf-8")
    assert page == reference_page(), "make it anew: gridproof schema --markdown > docs/study.md"


def test_a_part_of_it_is_shown_and_what_there_is_not_is_told():
    (section,) = sections_of("campaign.stop")
    assert [key.key for key in section.keys][:2] == ["stop", "stop.kind"]
    with pytest.raises(ConfigError, match="did you mean samples"):
        sections_of("campaign.smples")
    with pytest.raises(ConfigError, match="no section"):
        sections_of("capaign")


def test_the_command_prints_each_form():
    def said(*words):
        result = CliRunner().invoke(app, ["schema", *words], catch_exceptions=False)
        assert result.exit_code == 0
        return result.stdout

    assert json.loads(said("--json")) == study_schema()
    assert said("--markdown") == reference_page()
    assert "spread_down" in said("uncertainty")
    assert "zeta_<direction>" in said("--columns")
    assert CliRunner().invoke(app, ["schema", "--json", "--columns"]).exit_code == 2
