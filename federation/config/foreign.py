"""A planner of somebody else's: who answers a campaign is part of what the campaign is.

Two planners in one campaign would be two things in one figure. Ours is known by the study's
``[planner]`` and ``[campaign] recourse``; a foreign one by its own word: the command it is
started with, and the content of every file that command names.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gridproof.scenarios.errors import ConfigError

__all__ = ["FOREIGN", "ForeignPlanner", "answerer_words", "own_word", "refuse_ours", "source_words"]

FOREIGN = "foreign"
"""What the family and the recourse of a planner that is not ours are called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignPlanner:
    """A planner that is not ours, or who sends a campaign its loads.

    Attributes
    ----------
    command
        Its words, the broker's place left open (``{broker}``).
    digest
        SHA-256 over the words and the content of each file they name.
    """

    command: tuple[str, ...]
    digest: str

    @classmethod
    def of(cls, command: Sequence[str]) -> ForeignPlanner:
        """Read who a command starts.

        Raises
        ------
        ConfigError
            If a file it names cannot be read.
        """
        told = hashlib.sha256()
        for word in command:
            told.update(f"{len(word.encode())}:{word}".encode())
            path = Path(word)
            try:
                if path.is_file():
                    told.update(hashlib.sha256(path.read_bytes()).digest())
            except OSError as error:
                raise ConfigError(f"--planner, --source: {word} cannot be read: {error}") from error
        return cls(command=tuple(command), digest=told.hexdigest())

    @classmethod
    def from_record(
        cls, record: Mapping[str, Any] | None, where: str, key: str = "answers"
    ) -> ForeignPlanner | None:
        """Read the ``answers`` of a ``study.json``, or its ``loads``; None where it has none.

        Raises
        ------
        ConfigError
            If it is something else.
        """
        if record is None:
            return None
        try:
            command, digest = tuple(map(str, record["command"])), str(record["digest"])
        except (KeyError, TypeError) as error:
            raise ConfigError(f"{where}: {key} lacks {error}; start a new run") from error
        return cls(command=command, digest=digest)

    def record(self) -> dict[str, Any]:
        """Return the ``answers`` of a ``study.json``."""
        return {"family": FOREIGN, "recourse": FOREIGN, **self.told()}

    def told(self) -> dict[str, Any]:
        """Return its words and their digest: the ``loads`` of a ``study.json``."""
        return {"command": list(self.command), "digest": self.digest}


def own_word(study: Mapping[str, Any]) -> str:
    """Return what our planner says of itself for a ``study.json``: its family and recourse."""
    config = study["config"]
    family = config.get("planner", {}).get("family", "partitioning")
    return f"gridproof: family {family}, recourse {config['campaign'].get('recourse')}"


def answerer_words(study: Mapping[str, Any]) -> str:
    """Name who answers the campaign of a ``study.json``."""
    foreign = study.get("answers")
    if foreign is None:
        config = study.get("config", {})
        family = config.get("planner", {}).get("family", "partitioning")
        recourse = config.get("campaign", {}).get("recourse")
        return f"our own (family {family}, recourse {recourse})"
    return f"a foreign one, {json.dumps(shlex.join(foreign['command']))} ({foreign['digest']:.12})"


def source_words(study: Mapping[str, Any]) -> str | None:
    """Name who sent the loads of the campaign of a ``study.json``; None where they were drawn."""
    sent = study.get("loads")
    return None if sent is None else f"{shlex.join(sent['command'])} ({sent['digest']:.12})"


def refuse_ours(foreign: ForeignPlanner | None, root: Path | str) -> None:
    """Refuse to let our planner answer what another began.

    Raises
    ------
    ConfigError
        Naming the planner, and how to go on with it.
    """
    if foreign is None:
        return
    command = shlex.join(foreign.command)
    again = shlex.join(
        ["gridproof", "launch", f"{root}/study.json", "--out", str(root), "--planner", command]
    )
    raise ConfigError(
        f"{root} is answered by a foreign planner, {command} ({foreign.digest:.12}); ours would "
        f"put two planners in one figure. Go on with: {again}"
    )
