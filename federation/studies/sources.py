"""Where a study's text comes from: a shipped name, a file, a pipe, or what a run wrote."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gridproof.federation.config.study_file import did_you_mean
from gridproof.federation.files import folder_name, read_text
from gridproof.federation.studies.piped import STDIN, piped_study
from gridproof.federation.studies.shipped import list_studies
from gridproof.scenarios.errors import ConfigError
from gridproof.scenarios.strict_json import load_json

__all__ = ["RESOLVED_FORMAT", "locate", "read_resolved"]

RESOLVED_FORMAT = "gridproof-study/1"


def locate(given: str) -> tuple[Path, str, str | None]:
    """Find the study's file, its name in messages, and its text if it came through a pipe.

    What comes through a pipe lies in the working directory, as far as its feeder is concerned.
    """
    text = piped_study(given)
    if text is not None:
        suffix = ".json" if text.lstrip().startswith("{") else ".toml"
        return Path(f"piped{suffix}"), "standard input" if given == STDIN else given, text
    path = Path(given)
    if path.suffix in (".toml", ".json") or len(path.parts) > 1:
        if path.is_file():
            return path, given, None
        raise ConfigError(f"{given}: no such file; give the path of a study, or a shipped name")
    shipped = {study.name: study.path for study in list_studies()}
    if given in shipped:
        return shipped[given], f"studies/{given}.toml", None
    near = did_you_mean(given, shipped, "shipped studies")
    raise ConfigError(f"{given}: no shipped study has this name, and it is no .toml file; {near}")


def read_resolved(path: Path, label: str, text: str | None) -> Mapping[str, Any]:
    """Read what `federation.studies.study.write_resolved` wrote; raises `ConfigError`."""
    try:
        document = load_json(read_text(path) if text is None else text)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{label}: cannot be read as JSON ({error}); start a new run") from error
    wanted = {"format": str, "name": str, "fingerprint": str, "config": dict}
    if (
        not isinstance(document, dict)
        or document.get("format") != RESOLVED_FORMAT
        or not all(isinstance(document.get(key), kind) for key, kind in wanted.items())
    ):
        raise ConfigError(f"{label}: not a study that a run wrote ({RESOLVED_FORMAT})")
    if folder_name(document["name"]) != document["name"]:
        raise ConfigError(
            f"{label}: name = {document['name'][:60]!r} must be a name that a folder can bear; "
            "restore the file, or start a new run"
        )
    return document
