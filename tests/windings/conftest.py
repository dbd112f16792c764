"""The cases' module, and a feeder of each, written and read once."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from gridproof.scenarios.feeder import Feeder
from gridproof.simulator.reader.feeder import read_feeder

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def winding_feeder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Feeder]:
    """Feeder of a case by its name."""
    from winding_cases import OTHERS, PAIRS

    folder, known = tmp_path_factory.mktemp("windings"), dict[str, Feeder]()

    def read(name: str) -> Feeder:
        if name not in known:
            path = folder / f"case{len(known)}.dss"
            path.write_text((PAIRS | OTHERS)[name])
            known[name] = read_feeder(path)
        return known[name]

    return read
