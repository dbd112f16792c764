"""What ships with the program: studies, and feeders found by name or beside a study."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from gridproof.scenarios.errors import ConfigError

__all__ = ["ShippedStudy", "feeder_file", "list_studies", "shipped_root"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShippedStudy:
    """One line of ``gridproof studies``."""

    name: str
    title: str
    path: Path


def shipped_root() -> Path:
    """Find the shipped studies and feeders, in the installed package or in a checkout.

    Raises
    ------
    ConfigError
        If neither is there: the installation is broken.
    """
    root = Path(__file__).resolve().parents[2] / "configs"
    if (root / "studies").is_dir():
        return root
    raise ConfigError(f"no studies in {root}; install gridproof again")


def list_studies() -> tuple[ShippedStudy, ...]:
    """List the shipped studies by name."""
    found = []
    for path in sorted((shipped_root() / "studies").glob("*.toml")):
        about = tomllib.loads(path.read_text(encoding="utf-8")).get("study", {})
        found.append(ShippedStudy(name=path.stem, title=str(about.get("title", "")), path=path))
    return tuple(found)


def feeder_file(given: str, folder: Path | None) -> Path | None:
    """Find a file beside the study, else a shipped feeder by its folder's name.

    Without a folder, only an absolute path or a shipped name is one: a campaign directory is
    data, and a file that came with it is not compiled.
    """
    if folder is not None and (folder / given).is_file():
        return folder / given
    if folder is None and Path(given).is_absolute() and Path(given).is_file():
        return Path(given)
    if Path(given).name != given or given == "..":
        return None
    masters = sorted((shipped_root() / "feeders" / given).glob("*.dss"))
    return masters[0] if len(masters) == 1 else None
