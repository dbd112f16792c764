"""Threads that use one heap keep their pages: the same arrays, batch after batch, cost no fault."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FAULTS = """
import resource, sys, threading
import numpy as np
from gridproof.federation.members.arena import share_heap

def work():
    for _ in range(30):  # what a heap learns, it learns from the first ones
        batch()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(100):
        batch()
    found.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

def batch():
    arrays = [np.ones(30_000) for _ in range(8)]

found = []
told = share_heap() if sys.argv[1] == "shared" else None
thread = threading.Thread(target=work)
thread.start()
thread.join()
print(told, found[0])
"""


def faults(which, **more):
    env = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", FAULTS, which],
        cwd=ROOT, env={**env, **more}, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    told, count = done.stdout.split()
    return told, int(count)


@pytest.mark.skipif(
    "CS_GNU_LIBC_VERSION" not in getattr(os, "confstr_names", ()), reason="this is not glibc"
)
def test_one_heap_keeps_its_pages_and_a_choice_made_outside_stands():
    apart, shared = faults("apart")[1], faults("shared")
    assert shared[0] == "True"
    assert shared[1] < apart / 10
    assert faults("shared", MALLOC_ARENA_MAX="4")[0] == "False"
