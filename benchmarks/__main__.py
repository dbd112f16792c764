"""Run every benchmark, or those named: ``python -m benchmarks [engine federation …]``.

Each subject runs in a process of its own, so that none inherits another's warm caches, loaded
libraries or leftover threads. Every subject prints both sides of its ratios.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
_HOURS = {"mutation"}  # run by its own name alone


def subjects() -> list[str]:
    """Names of all benchmarks: modules beside this one without an underscore, mutation apart."""
    return sorted(
        path.stem
        for path in HERE.glob("*.py")
        if not path.stem.startswith("_") and path.stem not in _HOURS
    )


def main(names: list[str]) -> int:
    """Run the named subjects, all if none is named; the number of those that failed."""
    unknown = sorted(set(names) - set(subjects()))
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are {', '.join(subjects())}")
        return 2
    failed = []
    for name in names or subjects():
        print(f"\n== {name} ==", flush=True)
        done = subprocess.run(
            [sys.executable, "-m", f"benchmarks.{name}"], check=False, cwd=HERE.parent
        )
        if done.returncode:
            failed.append(name)
    if failed:
        print(f"\nfailed: {', '.join(failed)}")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
