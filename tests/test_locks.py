"""The locks: every line with version and digests, no index named; who installs asks for them."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LOCKS = {path.name: path.read_text(encoding="utf-8") for path in ROOT.glob("requirements*.lock")}
PINNED = re.compile(r"(?P<name>[a-z0-9._-]+)(\[[a-z0-9,_-]+\])?==(?P<version>[^\s;]+)( ; [^\\]+)?")


def pins(text: str) -> list[tuple[re.Match[str] | None, str, list[str]]]:
    """Each requirement of a lock: what its first line matches, that line, and its digests."""
    joined = re.sub(r"\\\n", " ", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE))
    return [
        (PINNED.match(line), line, re.findall(r"--hash=(\S+)", line))
        for line in joined.splitlines()
    ]


@pytest.mark.parametrize("name", sorted(LOCKS))
def test_every_line_of_a_lock_has_digests(name):
    for pin, line, digests in pins(LOCKS[name]):
        assert pin, f"{name}: {line} is not pinned with =="
        assert digests, f"{name}: {line} has no digest"
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", one) for one in digests), line


def test_locks_name_no_index():
    for name, text in LOCKS.items():
        assert not re.search(r"://|--(extra-)?index-url|--find-links|@ ", text), name


def test_locks_agree_with_each_other_and_with_what_is_asked_for():
    held = {
        name: {(p["name"], p["version"], p[4] or "") for p, *_ in pins(text) if p}
        for name, text in LOCKS.items()
    }
    assert held["requirements.lock"] <= held["requirements-dev.lock"]
    versions = {name: {pair[:2] for pair in pairs} for name, pairs in held.items()}
    assert versions["requirements-build.lock"] <= versions["requirements-dev.lock"]
    assert versions["requirements.lock"] <= versions["requirements-docs.lock"]
    tools, pages = versions["requirements-dev.lock"], versions["requirements-docs.lock"]
    shared = {name for name, _ in tools} & {name for name, _ in pages}  # in one environment
    assert {p for p in tools if p[0] in shared} == {p for p in pages if p[0] in shared}
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for lock, wanted in (
        ("requirements.lock", asked["project"]["dependencies"]),
        ("requirements-build.lock", asked["build-system"]["requires"]),
        ("requirements-dev.lock", asked["project"]["optional-dependencies"]["dev"]),
        ("requirements-docs.lock", asked["project"]["optional-dependencies"]["docs"]),
    ):
        names = {
            re.sub(r"[._-]+", "-", re.match(r"[\w.-]+", one).group()).lower() for one in wanted
        }
        assert names - {p for p, _ in versions[lock]} == set(), lock


def test_whatever_installs_by_a_lock_asks_for_digests():
    files = [ROOT / "Makefile", ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / ".ci" / "run"]
    lines = [
        line
        for path in (*files, *(ROOT / "docs").rglob("*.md"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"install\b.*-r \S*requirements", line)
    ]
    assert len(lines) >= 6
    assert all("--require-hashes" in line for line in lines), lines
    made = files[0].read_text(encoding="utf-8").splitlines()
    own = [line for line in made if "install" in line and "-e ." in line]
    assert own, "the Makefile no longer installs gridproof itself"
    assert all("--no-deps" in line and "--no-build-isolation" in line for line in own)
