"""docs/security.md: every promise names a test, and every test it names is there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`((?:[\w/]+\.py|…)(?:::\w+)?)`", PAGE)


def test_every_test_of_the_page_is_there() -> None:
    file, missing = "", []
    for place in NAMED:
        path, _, name = place.partition("::")
        file = file if path == "…" else path
        found = list((ROOT / "tests").rglob(f"**/{file}"))
        if not any(f"def {name}(" in one.read_text() or not name for one in found):
            missing.append(f"{file}::{name}")
    assert not missing


def test_every_promise_has_a_test() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("|")]
    start = [k for k, line in enumerate(rows) if line.startswith("| promise")]
    assert start
    promises = [line for line in rows[start[0] :] if not line.startswith(("| promise", "|---"))]
    assert all(line.rstrip(" |").endswith("`") for line in promises), promises
