"""A campaign's memory does not grow with its length: none of its rows stays once it is kept.

The physics is left out, so that a long campaign is a quick one: every batch is answered with
one and the same solved state. What is drawn, judged, put into rows and kept is as ever.
"""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SAMPLES, ROOM_MIB = 80 * 2048, 8.0

TRIED = """
import re, sys
from dataclasses import replace
from pathlib import Path
from gridproof.federation.campaigns import campaign, study_jobs
from gridproof.federation.records.parts import ChunkSink
from gridproof.federation.studies.study import load_study
from gridproof.federation.records.summary import campaign_summary
from gridproof.simulator.linear.engine import LinearEngine

held, seen, (toy, out, how) = [], {}, sys.argv[1:]
if how == "hoarding":  # what a sink would do that forgot nothing: does the test notice?
    take = ChunkSink._hand_over
    def hoard(self, chunk, step, part):
        held.append(self._opened(chunk))
        take(self, chunk, step, part)
    ChunkSink._hand_over = hoard

class Once(LinearEngine):
    solved = None
    def observe(self, realizations, setpoints):
        if self.solved is None or len(self.solved) != len(realizations):
            self.solved = super().observe(realizations, setpoints)
        asked = realizations.p_kw[:, 0].sum(axis=(1, 2))
        return replace(
            self.solved, index=realizations.index, delivered_kw=asked, requested_kw=asked
        )

study_jobs._ENGINES = {"linear": Once}

def mib():
    return int(re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024

def watch(tally):
    if tally.done >= tally.total / 4:
        seen.setdefault("quarter", mib())

entries = ["campaign.judge=linear", "campaign.recourse=fixed", "campaign.batch=1024"]
study = load_study(toy, [*entries, "planner.method=nominal", "campaign.samples=%d"])
result = campaign.run_campaign(study, Path(out), mode="local", progress=watch)
tried = mib()
campaign_summary(result.store)
print(tried - seen["quarter"], mib() - tried)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads memory from /proc")
@pytest.mark.parametrize("how", ["as it is", "hoarding"])
def test_three_quarters_of_a_campaign_take_no_memory(toy, tmp_path, how):
    done = subprocess.run(
        [sys.executable, "-c", TRIED % SAMPLES, str(toy), str(tmp_path / "c"), how],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    grown, summed = map(float, done.stdout.split())
    if how == "hoarding":
        assert grown > 1.5 * ROOM_MIB
    else:
        assert grown < ROOM_MIB
        assert summed < 4.0 * ROOM_MIB
