"""What a person has vouched for: feeders they compiled, devices they named.

A feeder file is a program of OpenDSS, and a set-point moves a machine. A study that a campaign
wrote (``study.json``) may have come from anybody, so it decides neither. Its feeder is compiled if
it ships with the program, if the command line names it, or if this user has compiled the same
file, content and place alike, from a study of their own before: which ones is kept in their own
state folder, where no archive and no directory that somebody sends can write. Its devices are
commanded if the command line names them.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from gridproof.federation.config.study_file import apply_overrides
from gridproof.federation.files import write_result
from gridproof.federation.studies.shipped import shipped_root
from gridproof.scenarios.errors import ConfigError
from gridproof.simulator.opendss.dss_files import files_of

if TYPE_CHECKING:
    from gridproof.federation.config.study import StudyConfig

__all__ = [
    "NOTHING",
    "Trust",
    "feeder_refusal",
    "named_devices",
    "own_feeder",
    "remember_feeder",
    "trust_of",
    "trust_words",
]

_LEADS_ELSEWHERE = ("/proc", "/dev", "/sys")


class _Vouched(Protocol):
    """What is asked of a study here."""

    @property
    def config(self) -> StudyConfig:
        """The validated study."""

    @property
    def own_feeder(self) -> Path | None:
        """The feeder's file, None for one that ships."""

    @property
    def commanded(self) -> frozenset[str]:
        """DERs whose devices somebody vouched for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """What the caller vouches for, beyond what a study says.

    Attributes
    ----------
    feeder
        A feeder file the caller names, taken in place of the study's.
    devices
        ``DER=HOST:PORT`` of the study that the caller names.
    kind
        A class of somebody's own that the caller lets speak to the study's devices.
    whole
        Whether the caller vouches for everything the study says: it wrote the study itself.
    """

    feeder: Path | None = None
    devices: Sequence[str] = ()
    kind: str | None = None
    whole: bool = False

    def commanded(
        self, at: Mapping[str, str], overrides: Sequence[str], code: str | None = None
    ) -> frozenset[str]:
        """Return the DERs whose devices may be commanded.

        Parameters
        ----------
        at
            Addresses of the study's devices, overrides included.
        overrides
            ``section.key=value`` entries: what they say of devices the caller said.
        code
            The class that the study has speak to them, where it is not ours: none is commanded
            unless the caller named it, too.

        Raises
        ------
        ConfigError
            If a device is named that the study has not.
        """
        if self.whole:
            return frozenset(at)
        for entry in self.devices:
            if entry not in (f"{der}={address}" for der, address in at.items()):
                has = ", ".join(f"{der}={address}" for der, address in at.items()) or "none"
                raise ConfigError(
                    f"--device {entry} is no device of the study, which has {has}; name one it has"
                )
        if code is not None and code not in (self.kind, _section(overrides).get("kind")):
            return frozenset()
        said = named_devices(overrides)
        return frozenset(
            der
            for der, address in at.items()
            if f"{der}={address}" in self.devices or said.get(der) == address
        )


NOTHING = Trust()
"""A caller who vouches for nothing."""


def named_devices(overrides: Sequence[str]) -> Mapping[str, str]:
    """Return the addresses of devices that overrides name, by DER."""
    at = _section(overrides).get("at", {})
    return {str(der): str(address) for der, address in at.items()} if isinstance(at, dict) else {}


def _section(overrides: Sequence[str]) -> Mapping[str, Any]:
    section = apply_overrides({}, overrides, "")[0].get("devices", {})
    return section if isinstance(section, dict) else {}


def trust_of(study: _Vouched) -> Trust:
    """Return what was vouched for when a study was loaded, to load it once more."""
    at = study.config.devices.at
    devices = tuple(f"{der}={at[der]}" for der in sorted(study.commanded))
    kind = study.config.devices.code if devices else None
    return Trust(feeder=study.own_feeder, devices=devices, kind=kind)


def trust_words(study: _Vouched) -> list[str]:
    """Return the words that tell a federate's command what its caller vouched for."""
    trust = trust_of(study)
    feeder = () if trust.feeder is None else ("--feeder", str(trust.feeder))
    kind = () if trust.kind is None else ("--device-kind", trust.kind)
    return [*feeder, *(word for entry in trust.devices for word in ("--device", entry)), *kind]


def own_feeder(path: Path) -> Path | None:
    """Return a feeder file's place, None for one that ships with the program."""
    where = path.resolve()
    return None if where.is_relative_to(shipped_root().resolve()) else where


def remember_feeder(path: Path) -> None:
    """Keep that this user compiles a feeder they named; where nothing can be kept, nothing is."""
    record, where = _record(), own_feeder(path)
    if record is None or where is None or _line(where) in _lines(record):
        return
    text = "".join(f"{line}\n" for line in [*sorted(_lines(record)), _line(where)])
    with suppress(ConfigError):
        write_result(record, text.encode("utf-8", "surrogateescape"), mode=0o600)


def feeder_refusal(path: Path) -> tuple[str, str] | None:
    """Say why a feeder that only a written study names is not compiled, and what to do.

    None if it may be compiled.
    """
    where = own_feeder(path)
    if where is None:
        return None
    if any(one.is_relative_to(root) for one in (path, where) for root in _LEADS_ELSEWHERE):
        return "leads through the system's own files", "name the feeder itself: --feeder FILE"
    record = _record()
    lines = set() if record is None else _lines(record)
    if _line(where) in lines:
        return None
    known = any(line.partition("  ")[2] == str(where) for line in lines)
    wrong = "has changed since you compiled it" if known else "is no feeder you have compiled here"
    return (
        f"{wrong}, and a feeder file is a program",
        f"if you would run it, name it: --feeder {where}, or --set feeder.path={where}",
    )


def _line(where: Path) -> str:
    """Return the record's line of a feeder: digest of all files it leads to, and its place."""
    told = hashlib.sha256()
    for file in files_of(where):
        told.update(f"{len(str(file))}:{file}".encode("utf-8", "surrogateescape"))
        with suppress(OSError):
            told.update(hashlib.sha256(file.read_bytes()).digest())
    return f"{told.hexdigest()}  {where}"


def _lines(record: Path) -> set[str]:
    try:
        return set(record.read_text(encoding="utf-8", errors="surrogateescape").splitlines())
    except OSError:
        return set()


def _record() -> Path | None:
    """Return the file that keeps this user's feeders; None where they have no home."""
    asked = os.environ.get("XDG_STATE_HOME", "")
    if Path(asked).is_absolute():
        return Path(asked) / "gridproof" / "feeders"
    with suppress(RuntimeError):
        return Path.home() / ".local" / "state" / "gridproof" / "feeders"
    return None
