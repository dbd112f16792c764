"""A campaign that an earlier version began goes on: what decides has the words it had then."""

import hashlib
import json

import pytest
from gridproof.federation.studies.fingerprint import _LATER, decisive
from gridproof.federation.studies.study import load_study

KEPT = {
    "ieee123-networked": "e5c43180817ab14a",
    "ieee123-policy-modes": "0bd75628040cbaf3",
    "ieee123-restoration": "542c6a22fe796295",
    "ieee33-resiliency-case4": "32b183c93270edeb",
    "ieee37-day": "51e51aff26902308",
    "ieee37-latency": "04425be8755621ac",
    "ieee37-networked": "bbf126e827c8e669",
    "mv315-case4": "638cd7a47bcd7a0f",
}
"""Digests from before there was any of the keys that came later."""


@pytest.mark.parametrize("name", KEPT)
def test_a_key_that_came_later_changes_no_study_that_does_not_state_it(name):
    text = json.dumps(decisive(load_study(name).config), sort_keys=True)
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == KEPT[name]


@pytest.mark.parametrize(
    ("entries", "place"),
    [
        (["campaign.engine=fast"], ("campaign", "engine")),
        (["planner.max_served_kw=900.0"], ("planner", "max_served_kw")),
        (["realtime.step_s=1", "realtime.start=12:00:00"], ("realtime", "start")),
    ],
)
def test_what_is_stated_otherwise_is_there(entries, place):
    found = decisive(load_study("ieee37-networked", entries).config)
    assert place[1] in found[place[0]]


def test_the_guard_of_an_engine_that_has_none_decides_nothing():
    studies = [load_study("ieee37-networked", more) for more in ([], ["campaign.guard=0.5"])]
    assert decisive(studies[0].config) == decisive(studies[1].config)


def test_keys_that_came_later_are_keys():
    config = load_study("ieee37-networked").config.model_dump(mode="json")
    for section, before in _LATER.items():
        assert set(before) <= set(config[section])
