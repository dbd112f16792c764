"""Contexts are lent one at a time, come back empty, and a closed engine touches none."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from gridproof.federation.studies.study import load_study
from gridproof.scenarios.errors import EngineError
from gridproof.scenarios.realization import draw
from gridproof.simulator.opendss import contexts
from gridproof.simulator.opendss.engine import OpenDssEngine
from gridproof.simulator.opendss.engine_thread import NAME


@pytest.mark.engine_thread
def test_a_context_in_use_is_lent_to_nobody_else():
    one, other = contexts.borrow(), contexts.borrow()
    try:
        one.Text.Command("New Circuit.mine")
        assert int(other.Basic.NumCircuits()) == 0
    finally:
        contexts.give_back(one)
        contexts.give_back(other)


@pytest.mark.engine_thread
def test_a_context_given_back_is_lent_again_without_circuit_or_frequency():
    lent = contexts.borrow()
    lent.Text.Command("Clear")
    lent.Text.Command("Set DefaultBaseFrequency=50")
    lent.Text.Command("New Circuit.foreign")
    contexts.give_back(lent)
    again = contexts.borrow()
    try:
        assert again is lent
        assert int(again.Basic.NumCircuits()) == 0
        again.Text.Command("New Circuit.next")
        again.Text.Command("? vsource.source.basefreq")
        assert float(again.Text.Result()) == 60.0
    finally:
        contexts.give_back(again)


def test_many_engines_in_many_threads_need_few_contexts():
    scenario = load_study("ieee37-networked").scenario
    before = len(contexts._idle)
    for _ in range(20):
        thread = threading.Thread(target=lambda: OpenDssEngine(scenario).close())
        thread.start()
        thread.join()
    assert len(contexts._idle) <= before + 1


def test_a_closed_engine_refuses_and_closes_twice():
    study = load_study("ieee37-networked")
    engine = OpenDssEngine(study.scenario)
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine._circuit.check("holding a plan")
    with pytest.raises(EngineError):
        engine.observe(draw(study.scenario, 1, 0, 2), None)


LOADED_BY = """
import sys, threading
import gridproof.federation.cli.main
import gridproof.simulator.reader.feeder, gridproof.simulator.opendss.engine
assert not {"dss", "dss_python_backend", "opendssdirect"} & set(sys.modules), "import loads it"
import importlib.abc
threads = []
class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "dss_python_backend":
            threads.append(threading.current_thread().name)
sys.meta_path.insert(0, Finder())
gridproof.simulator.reader.feeder.read_feeder(sys.argv[1])
print(threads)
"""


def test_the_library_is_loaded_by_the_thread_that_calls_it(tmp_path):
    """Loaded by another, it crashed at this one's first call, in some processes every time."""
    path = Path(__file__).parents[3] / "configs/feeders/ieee13/ieee13.dss"
    done = subprocess.run(
        [sys.executable, "-c", LOADED_BY, str(path)],
        cwd=Path(__file__).parents[3], capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"['{NAME}']"


def test_a_call_from_another_thread_is_refused_before_the_library_can_crash() -> None:
    with pytest.raises(RuntimeError, match="on thread MainThread; call it by on_engine_thread"):
        contexts.borrow()
