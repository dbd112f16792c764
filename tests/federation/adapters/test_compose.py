"""The compose file says the same to YAML's readers whatever its words hold."""

import yaml
from gridproof.federation.adapters.compose import compose_text
from hypothesis import given
from hypothesis import strategies as st

EARLIER = """\
name: "gridproof-toy"
networks:
  federation: {internal: true}
services:
  broker:
    image: "${GRIDPROOF_IMAGE:-gridproof}"
    networks: [federation]
    working_dir: /work
    command: ["helics_broker", "-f2", "--brokerkey=a$$b"]
  planner:
    image: "${GRIDPROOF_IMAGE:-gridproof}"
    networks: [federation]
    working_dir: /work
    command: ["gridproof", "federate", "planner", "toy", "--set", "a.b=1e3"]
    volumes: [".:/work"]
    depends_on: [broker]
"""
"""As it was written before a YAML writer did, line by line."""
COMMANDS = {
    "broker": ["helics_broker", "-f2", "--brokerkey=a$b"],
    "planner": ["gridproof", "federate", "planner", "toy", "--set", "a.b=1e3"],
}


def test_it_says_what_it_said_before() -> None:
    text = compose_text("gridproof-toy", COMMANDS, {name: {} for name in COMMANDS})
    assert yaml.safe_load(text) == yaml.safe_load(EARLIER)
    assert text.startswith("# docker compose up")
    assert text.endswith(EARLIER)  # to the letter, where nothing is strange


@given(words=st.lists(st.text(), min_size=1, max_size=5))
def test_every_word_of_a_command_arrives(words) -> None:
    read = yaml.safe_load(
        compose_text("p", {"broker": [], "planner": words}, {"broker": {}, "planner": {}})
    )
    got = read["services"]["planner"]["command"]
    assert [word.replace("$$", "$") for word in got] == words
    assert all("$" not in word.replace("$$", "") for word in got)  # no variable is named


@given(word=st.from_regex(r"[0-9][0-9_.:]{0,3}(e[0-9])?|yes|no|on|null|~|0o7|0x1f", fullmatch=True))
def test_a_word_like_a_number_is_text_to_every_reader(word) -> None:
    assert f'"{word}"' in compose_text("p", {"broker": [word]}, {"broker": {}})
