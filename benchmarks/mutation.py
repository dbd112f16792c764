"""Break the code on purpose and count which breaks the tests notice.

``python -m benchmarks.mutation [--only PATH …] [--sample N --seed S] [--budget S] [--retry]``

Mutants are those of `benchmarks._mutants`. Each is tried in a copy of the tree, never in the
checkout. Which tests run a line is measured once, file of tests by file of tests, on the
unbroken copy; one that fails there ends the run. A mutant is tried by the tests that run its
statement, those of the folder that mirrors the code first, then by whatever else stands in their
files, up to the first that fails or the budget of seconds. The test that failed is then run
alone on the unbroken copy: only if it passes, the mutant counts as killed. One whose tests do
not end within three times their time is killed, too.

All is kept in ``--out``: what each test runs, and a line for each mutant tried, which another
run does not try again. ``--retry`` tries survivors anew, once there are new tests or with a
larger budget. Printed are the score by file, with Wilson's 95 % interval, and every survivor.
Needs a system that forks.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib
import json
import math
import os
import random
import re
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from benchmarks._mutants import Mutant, mutants_of

__all__ = ["SCOPE", "Bench", "main", "wilson"]

ROOT = Path(__file__).resolve().parents[1]
SCOPE = (
    "optimizer",
    "simulator",
    "scenarios/verdict.py",
    "scenarios/margins.py",
    "federation/statistics",
)
"""What is broken if nothing is named."""

TRIED_BY = (
    "tests/optimizer", "tests/simulator", "tests/scenarios", "tests/contracts", "tests/windings",
    "tests/independent", "tests/federation/statistics", "tests/federation/trial",
    "tests/federation/records/test_losses.py", "tests/federation/records/test_intervals.py",
    "tests/federation/records/test_stopping.py", "tests/federation/reports/test_answers.py",
)  # fmt: skip
"""Tests that may notice a break in it."""

_HOUSE = ("scenarios", "optimizer", "simulator", "federation")
_COPIED = (
    *_HOUSE, "gridproof", "configs", "tests", "examples", "benchmarks", "docs", "pyproject.toml",
    "README.md", "CONTRIBUTING.md", "CHANGELOG.md",
)  # fmt: skip
_LIBRARIES = (
    "numpy", "scipy.sparse", "scipy.optimize", "scipy.stats", "highspy", "pyomo.environ",
    "pydantic", "pyarrow.parquet",
)  # fmt: skip
_LEAST_S = 20.0  # a mutant's tests may always take this long
_FAILED = re.compile(r"^(?:FAILED|ERROR) (tests/.*?)(?: - .*)?$", re.MULTILINE)
_TOOK = re.compile(r"^([\d.]+)s (?:setup|call|teardown) +(tests/.*)$", re.MULTILINE)


class Bench:
    """A copy of the tree in which one file at a time is broken, and what is known of its tests."""

    def __init__(self, out: Path, tests: Sequence[str] = TRIED_BY) -> None:
        self.out, self.copy = out.resolve(), out.resolve() / "copy"
        shutil.rmtree(self.copy, ignore_errors=True)
        self.copy.mkdir(parents=True)
        for name in _COPIED:
            if (ROOT / name).is_dir():
                skipped = shutil.ignore_patterns("__pycache__", ".hypothesis")
                shutil.copytree(ROOT / name, self.copy / name, ignore=skipped)
            elif (ROOT / name).exists():
                shutil.copy2(ROOT / name, self.copy / name)
        for name in _LIBRARIES:  # once, for all the forks
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
        self.known: dict[str, dict[str, Any]] = {}
        self.sound: dict[str, bool] = {}
        self._measure(tests)

    # ------------------------------------------------------------------------ which tests run what

    def _measure(self, tests: Sequence[str]) -> None:
        """Learn what each file of tests runs, where that is not known of it as it stands."""
        place = self.out / "tests.json"
        kept = json.loads(place.read_text()) if place.exists() else {}
        house = _digest(path for part in _HOUSE for path in (self.copy / part).rglob("*.py"))
        for file in sorted({file for name in tests for file in _test_files(self.copy / name)}):
            shared = [p / "conftest.py" for p in file.parents if (p / "conftest.py").exists()]
            name, key = str(file.relative_to(self.copy)), f"{house} {_digest([file, *shared])}"
            if kept.get(name, {}).get("key") != key:
                print(f"measuring {name}", flush=True)
                kept[name] = {"key": key, **self._covered(name)}
                place.write_text(json.dumps(kept))
            self.known[name] = kept[name]

    def _covered(self, name: str) -> dict[str, Any]:
        data = self.out / "coverage"
        watched = [f"--cov={part}" for part in _HOUSE]
        os.environ["COVERAGE_FILE"] = str(data)
        ended, said = self.run(
            [
                name,
                "--cov-context=test",
                "--cov-report=",
                "--durations=0",
                "--durations-min=0",
                *watched,
            ],
            3600.0,
        )
        if ended not in (0, 5):  # 5: every test of the file is left for `make bench`
            raise SystemExit(f"{name} fails without a break; mend that first\n{said[-2000:]}")
        seconds: Counter[str] = Counter()
        for took, test in _TOOK.findall(said):
            seconds[test] += float(took)
        covers = covers_of(data, self.copy) if ended == 0 else {}
        every = {test: k for k, test in enumerate(seconds)}
        for lines in covers.values():
            for line, found in lines.items():
                lines[line] = [every[test] for test in found]
        return {"seconds": seconds, "covers": covers}

    def tests_of(self, file: str, mutant: Mutant, budget_s: float) -> tuple[list[str], float]:
        """Tests to try a mutant by, the likeliest first, and the seconds they should take."""
        first: set[str] = set()
        rest: set[str] = set()
        for own in self.known.values():
            lines = own["covers"].get(file, {})
            hit = {
                test
                for line, tests in lines.items()
                if mutant.lines is None or mutant.lines[0] <= int(line) <= mutant.lines[1]
                for test in tests
            }
            every = [*own["seconds"]]
            first |= {every[k] for k in hit}
            rest |= set(every) if hit else set()
        mirror = f"tests/{Path(file).parent}"
        chosen, total = [], 0.0
        for test in sorted(
            rest | first,
            key=lambda t: (t not in first, not t.startswith(mirror), self._seconds(t), t),
        ):
            if self.sound.get(test, True) and total + self._seconds(test) <= budget_s:
                chosen.append(test)
                total += self._seconds(test)
        return chosen, total

    def _seconds(self, test: str) -> float:
        return float(self.known[test.partition("::")[0]]["seconds"].get(test, 0.005))

    # --------------------------------------------------------------------------------- one mutant

    def attempt(self, file: str, mutant: Mutant, budget_s: float) -> tuple[str, str, int]:
        """Try one mutant: ``killed``, ``timed_out`` or ``survived``, by which test, of how many."""
        compile(mutant.source, file, "exec")
        while True:
            tests, seconds = self.tests_of(file, mutant, budget_s)
            if not tests:
                return "survived", "no test runs it", 0
            path = self.copy / file
            whole = path.read_bytes()
            path.write_text(mutant.source, encoding="utf-8")
            try:
                ended, said = self.run(tests, _LEAST_S + 3.0 * seconds)
            finally:
                path.write_bytes(whole)  # whatever happens
            if ended in (0, 5, None):
                return ("timed_out" if ended is None else "survived"), "", len(tests)
            failed = _FAILED.findall(said)
            if not failed or "::" not in failed[0]:  # not even read, or the process died of it
                return "killed", failed[0] if failed else f"exit {ended}", len(tests)
            if failed[0] not in self.sound:
                self.sound[failed[0]] = self.run([failed[0]], 300.0)[0] == 0
            if self.sound[failed[0]]:
                return "killed", failed[0], len(tests)
            print(f"left out, for it fails alone: {failed[0]}", flush=True)

    def run(self, arguments: Sequence[str], limit_s: float) -> tuple[int | None, str]:
        """Run pytest in a fork; its exit code, None if it was ended, and what it printed."""
        log = self.out / "pytest.log"
        log.write_bytes(b"")
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            os.setsid()
            self._in_fork(log, arguments)
        ends = monotonic() + limit_s
        while True:
            done, status = os.waitpid(child, os.WNOHANG)
            late = monotonic() > ends
            if done or late:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child, signal.SIGKILL)  # the children it started, too
            if done:
                return os.waitstatus_to_exitcode(status), log.read_text(errors="replace")
            if late:
                os.waitpid(child, 0)
                return None, log.read_text(errors="replace")
            sleep(0.02)

    def _in_fork(self, log: Path, arguments: Sequence[str]) -> None:
        code = 70
        try:
            to = os.open(log, os.O_WRONLY)
            os.dup2(to, 1)
            os.dup2(to, 2)
            os.chdir(self.copy)
            # nothing of the checkout may answer in the copy's place, and no file be left stale
            os.environ |= {"PYTHONPATH": str(self.copy), "PYTHONDONTWRITEBYTECODE": "1"}
            sys.dont_write_bytecode = True
            signal.signal(signal.SIGINT, signal.default_int_handler)  # a job ignores it
            sys.path[:] = [str(self.copy), *(p for p in sys.path if Path(p).resolve() != ROOT)]
            import pytest  # noqa: PLC0415

            own = ["-q", "-x", "-rfE", "-p", "no:cacheprovider", "--hypothesis-seed=0"]
            code = int(pytest.main([*own, *arguments]))
            sys.stdout.flush()
        finally:
            os._exit(code)


def covers_of(data: Path, root: Path) -> dict[str, dict[str, list[Any]]]:
    """By file and line the tests that ran it."""
    from coverage import CoverageData  # noqa: PLC0415

    read, covers = CoverageData(str(data)), {}
    read.read()
    for file in read.measured_files():
        covers[str(Path(file).relative_to(root))] = {
            str(line): sorted({test.rpartition("|")[0] for test in tests if test})
            for line, tests in read.contexts_by_lineno(file).items()
            if any(tests)
        }
    return covers


def wilson(count: int, trials: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """Wilson's interval of a share (J. Amer. Statist. Assoc. 22, 1927, 209-212)."""
    if not trials:
        return 0.0, 1.0
    share, wide = count / trials, z * z / trials
    middle = (share + wide / 2.0) / (1.0 + wide)
    half = z / (1.0 + wide) * math.sqrt(share * (1.0 - share) / trials + wide / (4.0 * trials))
    return max(0.0, middle - half), min(1.0, middle + half)


def _digest(files: Iterable[Path]) -> str:
    whole = hashlib.sha256()
    for file in sorted(files):
        whole.update(file.read_bytes())
    return whole.hexdigest()[:16]


def _test_files(path: Path) -> list[Path]:
    return [path] if path.is_file() else [*path.rglob("test_*.py")]


def _drawn(only: Sequence[str], sample: int | None, seed: int) -> list[tuple[str, Mutant]]:
    files = sorted({file for name in only for file in _code_files(ROOT / name)})
    every = [
        (str(file.relative_to(ROOT)), one)
        for file in files
        for one in mutants_of(file.read_text(encoding="utf-8"))
    ]
    if sample is None or sample >= len(every):
        return every
    return [every[k] for k in sorted(random.Random(seed).sample(range(len(every)), sample))]


def _code_files(path: Path) -> list[Path]:
    return [path] if path.is_file() else [*path.rglob("*.py")]


def _told(tries: Sequence[dict[str, Any]]) -> None:
    """Print the score, by file and in all, and the survivors."""
    by_file: dict[str, Counter[str]] = {}
    for one in tries:
        by_file.setdefault(one["file"], Counter())[one["ended"]] += 1
    total = sum(by_file.values(), Counter())
    print(f"\n{'file':<44}{'killed':>8}{'of':>6}{'score':>9}   95 % interval")
    for file, count in [*sorted(by_file.items()), ("all", total)]:
        trials = sum(count.values())
        killed = trials - count["survived"]
        low, high = wilson(killed, trials)
        share = f"{100 * killed / max(1, trials):.1f} %"
        print(f"{file:<44}{killed:>8}{trials:>6}{share:>9}   {100 * low:.1f} to {100 * high:.1f} %")
    print(f"{total['timed_out']} of the killed by a time-out")
    for one in tries:
        if one["ended"] == "survived":
            why = f"  ({one['by']})" if one["by"] else ""
            print(f"survived  {one['file']}:{one['line']}  {one['said']}{why}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; 1 if something survived."""
    parser = argparse.ArgumentParser(prog="benchmarks.mutation", description=__doc__)
    parser.add_argument("--only", nargs="+", default=SCOPE, help="files and folders to break")
    parser.add_argument("--sample", type=int, default=None, help="mutants drawn, all if not said")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--budget", type=float, default=60.0, help="seconds of tests for a mutant")
    parser.add_argument("--retry", action="store_true", help="try survivors anew")
    parser.add_argument("--out", type=Path, default=ROOT / ".mutation")
    parser.add_argument("--tests", nargs="+", default=TRIED_BY, help="tests that may notice")
    asked = parser.parse_args(arguments)
    drawn = _drawn(asked.only, asked.sample, asked.seed)
    asked.out.mkdir(parents=True, exist_ok=True)
    place = asked.out / "results.jsonl"
    known = [json.loads(line) for line in place.read_text().splitlines()] if place.exists() else []
    done = {one["digest"]: one for one in known}
    bench, tries = Bench(asked.out, asked.tests), []
    for file, mutant in drawn:
        digest = hashlib.sha256(f"{file}\n{mutant.source}".encode()).hexdigest()[:16]
        one = done.get(digest)
        if one is None or (asked.retry and one["ended"] == "survived"):
            began = monotonic()
            ended, by, tests = bench.attempt(file, mutant, asked.budget)
            one = {"file": file, "line": mutant.line, "kind": mutant.kind, "said": mutant.said}
            one |= {"ended": ended, "by": by, "tests": tests, "digest": digest}
            with place.open("a") as kept:
                kept.write(json.dumps(one) + "\n")
            print(f"{ended:<10}{monotonic() - began:6.1f} s  {file}:{mutant.line}  {mutant.said}")
        tries.append(one)
    _told(tries)
    return int(any(one["ended"] == "survived" for one in tries))


if __name__ == "__main__":
    sys.exit(main())
