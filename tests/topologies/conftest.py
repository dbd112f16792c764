"""Every federation of these tests is small, and nothing of it may stay."""

import gc
import importlib.util
import os
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from gridproof.federation.wire.helics_broker import close_library

HERE = Path(__file__).parent


def _load(name: str):
    spec = importlib.util.spec_from_file_location(f"topologies_{name}", HERE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def fakes():
    """The module of fakes beside this file."""
    return _load("fakes")


@pytest.fixture(scope="session")
def processes():
    """The module beside this file that starts real federates."""
    return _load("processes")


@pytest.fixture
def scenario(fakes):
    return fakes.tiny()[0]


@pytest.fixture
def plan(fakes):
    return fakes.tiny()[1]


def children() -> set[int]:
    found = set()
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError):  # a thread that ends meanwhile
            found |= {int(child) for child in (task / "children").read_text().split()}
    return found


@pytest.fixture(autouse=True)
def nothing_is_left(request):
    """No thread, child process or open federate may outlive a test."""
    threads, processes = set(threading.enumerate()), children()
    lasting = {"opendss"}  # lives as long as the process, see simulator.opendss.engine_thread
    yield
    gc.collect()
    if not request.node.get_closest_marker("leaves_a_thread"):
        now = {t for t in threading.enumerate() if t.name not in lasting}
        assert now <= threads
    assert children() <= processes
    close_library()  # refuses while a broker or federate of ours is open
    assert os.getpid()


@pytest.fixture(scope="session")
def write_toy():
    """Write the toy study of the federation's tests, and its feeder, into a folder."""
    place = HERE.parent / "federation" / "conftest.py"
    spec = importlib.util.spec_from_file_location("toy_study", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module._write_toy
