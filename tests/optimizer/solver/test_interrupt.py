"""A search of HiGHS can be interrupted from the thread that waits for it."""

from __future__ import annotations

import dataclasses
import gc
import signal
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from gridproof.federation.members.threads import run_members
from gridproof.optimizer.solver import interrupt, solve
from gridproof.optimizer.solver.solve import Arrays, solve_arrays
from gridproof.scenarios.proof import Termination
from scipy import sparse

SOON_S = 5.0


def hard() -> Arrays:
    """A market split of 50 binaries: HiGHS needs far longer than any test."""
    rng = np.random.default_rng(3)
    rows, columns = 6, 50
    matrix = rng.integers(0, 100, (rows, columns)).astype(float)
    half = np.floor(matrix.sum(axis=1) / 2.0)
    slack = np.eye(rows)
    whole = np.hstack([matrix, slack, -slack])
    return Arrays(
        cost=np.concatenate([np.zeros(columns), np.ones(2 * rows)]),
        constant=0.0,
        matrix=sparse.csc_array(whole),
        row_lower=half,
        row_upper=half,
        lower=np.zeros(columns + 2 * rows),
        upper=np.concatenate([np.ones(columns), np.full(2 * rows, np.inf)]),
        integer=np.arange(columns + 2 * rows) < columns,
    )


def busy() -> bool:
    return any(thread.name == "highs-busy" for thread in threading.enumerate())


def settled() -> bool:
    until = time.monotonic() + SOON_S
    while busy() and time.monotonic() < until:
        time.sleep(0.02)
    return not busy()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_search_in_the_main_thread(number):
    def terminated(_number, _frame):
        raise KeyboardInterrupt

    before = signal.signal(number, terminated)
    timer = threading.Timer(1.0, signal.raise_signal, (number,))
    try:
        timer.start()
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            solve_arrays(hard(), time_limit_s=40.0)
        assert 0.5 < time.monotonic() - began < 1.0 + SOON_S
    finally:
        timer.cancel()
        signal.signal(number, before)
    assert settled()


def test_a_federate_that_searches_is_thrown_out_of_it():
    def plans(_note):
        solve_arrays(hard(), time_limit_s=40.0)

    def fails(_note):
        time.sleep(1.0)
        raise ValueError("the other one failed")

    began = time.monotonic()
    with pytest.raises(ValueError, match="the other one failed") as caught:
        run_members(
            {"planner": plans, "feeder": fails},
            lambda _reason: None,
            wall_deadline_s=None,
            look=lambda: None,
        )
    assert time.monotonic() - began < 1.0 + SOON_S
    assert not getattr(caught.value, "__notes__", [])  # its thread came out
    assert settled()


def test_the_next_search_is_as_if_nothing_had_happened():
    arrays = hard()
    small = Arrays(
        cost=-np.arange(1.0, 5.0),
        constant=0.0,
        matrix=sparse.csc_array(np.array([[2.0, 3.0, 4.0, 5.0]])),
        row_lower=np.array([-np.inf]),
        row_upper=np.array([9.0]),
        lower=np.zeros(4),
        upper=np.ones(4),
        integer=np.ones(4, bool),
    )
    first, values = solve_arrays(small)
    timer = threading.Timer(0.5, signal.raise_signal, (signal.SIGINT,))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        solve_arrays(arrays, time_limit_s=40.0)
    again, same = solve_arrays(small)
    assert (first.termination, first.incumbent) == (Termination.OPTIMAL, -7.0)
    assert (again.incumbent, again.bound) == (first.incumbent, first.bound)
    np.testing.assert_array_equal(same, values)


def test_a_time_limit_is_still_one_and_an_error_still_arrives(monkeypatch):
    answer, _ = solve_arrays(hard(), time_limit_s=0.5)
    assert answer.termination is Termination.TIME_LIMIT

    class Broken:
        def getOptionValue(self, _):
            return None, 0

        def setCallback(self, *_):
            raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        interrupt.run_highs(Broken(), ())
    assert solve.run_highs is interrupt.run_highs


def test_searches_of_other_numbers_of_workers_follow_one_another():
    """HiGHS refuses a search that asks for another number than the first of its thread."""
    easy, ended = dataclasses.replace(hard(), integer=np.zeros(62, bool)), []
    for workers in (0, 1, 2, 1, 0):
        highs = solve.load(easy)
        highs.setOptionValue("threads", workers)
        interrupt.run_highs(highs, ())
        ended.append(highs.modelStatusToString(highs.getModelStatus()))
    assert ended == ["Optimal"] * 5
    where = set()
    for workers in (0, 1, 0):
        probe = SimpleNamespace(
            getOptionValue=lambda _, told=workers: (None, told),
            setCallback=lambda *_: None,
            run=lambda: where.add(threading.get_ident()),
        )
        interrupt.run_highs(probe, ())
    assert len(where) == 2


@pytest.mark.slow
def test_a_thread_takes_its_helper_with_it():
    """HiGHS keeps workers per thread: those left behind would add up."""

    def helpers():
        return {thread for thread in threading.enumerate() if thread.name.startswith("highs")}

    easy = dataclasses.replace(hard(), integer=np.zeros(62, bool))
    before, seen = helpers(), set()

    def solves():
        assert solve_arrays(easy)[0].termination is Termination.OPTIMAL
        seen.update(helpers() - before)

    thread = threading.Thread(target=solves)
    thread.start()
    thread.join()
    assert len(seen) == 1
    until = time.monotonic() + SOON_S
    while helpers() - before and time.monotonic() < until:
        gc.collect()
        time.sleep(0.02)
    assert helpers() <= before
