"""What `make` installs is what was locked: every package with its version and its digests."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LOCKS = ("requirements.lock", "requirements-dev.lock")


@pytest.mark.parametrize("name", LOCKS)
def test_every_locked_package_has_its_digests(name) -> None:
    text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
    packages = [line for line in text.splitlines() if re.match(r"[A-Za-z0-9]", line)]
    assert len(packages) > 30
    bare = [one for one in packages if not re.search(r"--hash=sha256:[0-9a-f]{64}", one)]
    assert not bare
    assert all("==" in one for one in packages)


def test_make_installs_nothing_else() -> None:
    made = (ROOT / "Makefile").read_text(encoding="utf-8")
    installs = [line for line in made.splitlines() if "$(PIP) install" in line]
    assert len(installs) == 3
    assert all("--require-hashes -r" in one or "--no-deps -e ." in one for one in installs)
