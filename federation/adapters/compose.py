"""A compose file: three containers on a network of their own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import yaml

__all__ = ["compose_text"]

_HEAD = """\
# docker compose up --abort-on-container-failure
# The image is what `docker build -t gridproof .` makes of a checkout, or what GRIDPROOF_IMAGE
# names. The broker listens inside this network only: the wire is not encrypted, so do not
# publish its ports.
"""


def compose_text(
    name: str,
    commands: Mapping[str, Sequence[str]],
    environments: Mapping[str, Mapping[str, str]],
) -> str:
    """Return the text of a compose file.

    Parameters
    ----------
    name
        The project's: lower-case letters, digits and hyphens.
    commands
        By service, in their order; a service other than ``broker`` starts after it and works in
        the folder that the file lies in.
    environments
        By service, what it finds in its environment.
    """
    document = {
        "name": _Said(name),
        "networks": {"federation": {"internal": True}},
        "services": {
            key: _service(key, command, environments[key]) for key, command in commands.items()
        },
    }
    text: str = yaml.dump(
        document, Dumper=_Dumper, sort_keys=False, default_flow_style=None, allow_unicode=True,
        width=math.inf,
    )  # fmt: skip
    return _HEAD + text


def _service(
    name: str, command: Sequence[str], environment: Mapping[str, str]
) -> dict[str, object]:
    held: dict[str, object] = {
        "image": _Said("${GRIDPROOF_IMAGE:-gridproof}"),
        "networks": ["federation"],
        "working_dir": "/work",
        **({"environment": {k: _Said(v) for k, v in environment.items()}} if environment else {}),
        "command": [_Said(word.replace("$", "$$")) for word in command],  # $ names a variable
    }
    return held if name == "broker" else held | {
        "volumes": [_Said(".:/work")], "depends_on": ["broker"],
    }  # fmt: skip


class _Said(str):
    """Text that is quoted whatever it says: a word such as 1e3 is a number to some readers."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]  # PyYAML has no types
    """Writes `_Said` in quotes, and what stands twice twice: people read these files."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002
        return True


_Dumper.add_representer(
    list,
    lambda dumper, words: dumper.represent_sequence(
        "tag:yaml.org,2002:seq", words, flow_style=True
    ),
)
_Dumper.add_representer(
    _Said, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"')
)
