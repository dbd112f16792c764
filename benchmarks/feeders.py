"""Every OpenDSS master under a folder, read and held against OpenDSS itself, one line a file.

``python -m benchmarks.feeders DIR [--seconds N]``. A master is a file that makes a circuit and that
no other file of its folder redirects to. Each is read in a process of its own, so that seconds and
memory are its own and one that never ends stops nothing. Read: nodes, seconds, MB, and the three
errors in pu: an AC flow from the reader's columns alone, and the AC engine, against bare OpenDSS;
the linear model against the AC engine. Refused: the first reason, and how many there are.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from pathlib import Path

from gridproof.simulator.opendss.dss_files import files_of

_MAKES = re.compile(r"^\s*new\s+(object\s*=\s*)?\"?circuit\.", re.IGNORECASE | re.MULTILINE)


def masters(folder: Path) -> list[Path]:
    """Files that make a circuit; one that another redirects to gives way to that one."""
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() == ".dss" and p.is_file())
    makes = {path for path in files if _MAKES.search(path.read_text(errors="replace"))}
    leads: dict[Path, set[Path]] = {path: set(files_of(path)) - {path.resolve()} for path in files}
    found = set(makes)
    for path in makes:
        above = [
            one
            for one in files
            if path.resolve() in leads[one]
            and one.parent == path.parent
            and not one.name.lower().startswith("run")
            and one not in makes
        ]
        if above:
            found.discard(path)
            found.add(min(above, key=lambda one: len(leads[one])))
    return sorted(found)


def one(path: Path) -> dict[str, object]:
    """Read one master; everything that is printed of it."""
    import resource  # noqa: PLC0415  (not everywhere)

    from gridproof.federation.inquiries.feeder_facts import feeder_facts  # noqa: PLC0415
    from gridproof.scenarios.errors import ConfigError  # noqa: PLC0415
    from gridproof.simulator.reader.feeder import read_feeder  # noqa: PLC0415

    began = time.perf_counter()
    try:
        feeder = read_feeder(path)
    except ConfigError as error:
        return {"refused": len(error.faults), "why": error.faults[0]}
    read_s = time.perf_counter() - began
    facts = feeder_facts(feeder)
    return {
        "nodes": facts.nodes,
        "seconds": read_s,
        "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        **facts.agreement.to_json(),
    }


def line(name: str, found: dict[str, object]) -> str:
    """Set one file's line."""
    if "why" in found:
        more = f" (and {found['refused'] - 1} more)" if found.get("refused", 1) > 1 else ""  # type: ignore[operator]
        return f"{name:48} refused  {str(found['why'])[:160]}{more}"
    errors = "  ".join(
        f"{'-':>8}" if found[key] is None else f"{found[key]:8.1e}"
        for key in ("columns_pu", "engine_pu", "linear_pu")
    )
    remarks = "; ".join(found["remarks"])[:120]  # type: ignore[arg-type]
    figures = f"{found['nodes']:6} {found['seconds']:6.1f} {found['mb']:6.0f}"
    return f"{name:48} {figures}  {errors}  {remarks}"


def main(arguments: list[str]) -> int:
    """Print a line for every master, and the count of those read."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.feeders")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=300.0, help="most for one file")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.one:
        print(json.dumps(one(given.folder)))
        return 0
    found = masters(given.folder)
    titles = "".join(f"{word:>10}" for word in ("columns", "engine", "linear"))
    print(f"{'feeder':48} {'nodes':>6} {'s':>6} {'MB':>6}{titles}")
    read = 0
    for path in found:
        command = [sys.executable, "-m", "benchmarks.feeders", str(path), "--one"]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=given.seconds, check=False
            )
            told = done.stdout.strip().splitlines()
            said = json.loads(told[-1]) if done.returncode == 0 and told else {}
            said = said or {"why": (done.stderr.strip().splitlines() or ["ended"])[-1]}
        except subprocess.TimeoutExpired:
            said = {"why": f"did not end within {given.seconds:g} s"}
        read += "why" not in said
        print(line(str(path.relative_to(given.folder)), said), flush=True)
    print(f"{read} of {len(found)} read")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
