"""What a certificate costs by the size of its island: processor seconds and memory, each by itself.

A made-up feeder of so many live nodes, fed from its substation: a tree of lines of one to three
phases with a load on every second bus, of which 1 000 at most may each differ from nominal by 10 %,
at set-points that stay. Every size runs in a process of its own; reading and holding the feeder is
told apart from the certificate.

``python -m benchmarks.proof [NODES …]``
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time

import numpy as np
from gridproof.federation.certificates.affine_answers import affine_answer
from gridproof.federation.studies.study import Study, load_study
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.proof import Proof, Termination
from gridproof.scenarios.scenario import Scenario
from gridproof.simulator.opendss.engine import OpenDssEngine
from gridproof.simulator.proof.certificate import certify
from gridproof.simulator.proof.reach import reach_of

NODES = (37, 123, 1000, 4000, 8500)
_UNCERTAIN = 1000
_MW = 3.0


def made(folder: Path, nodes: int) -> Study:
    """Write a feeder of about so many live nodes, and a study of it; read both."""
    rng = np.random.default_rng(nodes)
    buses, count = [("head", (1, 2, 3))], 3
    lines = [
        "clear",
        "new circuit.made bus1=head basekv=12.47 pu=1.02 r1=0.001 x1=0.01 r0=0.001 x0=0.01",
    ]
    while count < nodes:
        up, phases = buses[int(rng.integers(len(buses) // 3, len(buses)))]
        if len(phases) == 3 and rng.random() < 0.5:
            phases = tuple(sorted(rng.choice(phases, int(rng.integers(1, 3)), replace=False)))
        at, bus = "".join(f".{phase}" for phase in phases), f"n{len(buses)}"
        lines.append(
            f"new line.{bus} bus1={up}{at} bus2={bus}{at} phases={len(phases)} r1=0.2 x1=0.4 "
            f"r0=0.5 x0=1.1 c1=3 c0=2 length={rng.uniform(0.02, 0.1):.4f} units=km normamps=800"
        )
        buses.append((bus, phases))
        count += len(phases)
    loaded = buses[1::2]
    kw = 1000.0 * _MW / len(loaded)
    lines += [
        f"new load.{bus} bus1={bus}.{phases[0]} phases=1 kv=7.199557 kw={kw:.4f} kvar={kw / 4:.4f}"
        for bus, phases in loaded
    ]
    lines += ["set voltagebases=[12.47]", "calcvoltagebases", "solve"]
    (folder / "made.dss").write_text("\n".join(lines) + "\n")
    uncertain = json.dumps([bus for bus, _ in loaded[:_UNCERTAIN]])
    (folder / "made.toml").write_text(
        '[feeder]\npath = "made.dss"\nload_model = "constant_power"\n'
        "[limits]\nv_min_pu = 0.90\nv_max_pu = 1.05\n[substation]\nlost = false\n[ders.fleet]\n"
        f"[uncertainty]\nloads = {uncertain}\nspread = 0.10\n"
        '[campaign]\nsamples = 1\nrecourse = "fixed"\n'
    )
    return load_study(folder / "made.toml")


def held(scenario: Scenario) -> Plan:
    """All of it is live, and the substation feeds it."""
    feeder, ders = scenario.feeder, scenario.ders
    return Plan(
        family="external",
        scenario_digest="",
        switch_ids=feeder.switch_ids,
        block_ids=feeder.blocks.ids,
        der_ids=ders.ids,
        closed=np.ones((1, len(feeder.switch_ids)), bool),
        energized=np.ones((1, len(feeder.blocks.ids)), bool),
        grid_forming=ders.is_substation[None],
        source_v_pu=np.where(ders.is_substation, 1.02, np.nan)[None],
        p_kw=np.zeros((1, len(ders.ids), 3)),
        q_kvar=np.zeros((1, len(ders.ids), 3)),
        costs={},
        proof=Proof(termination=Termination.EXTERNAL, incumbent=np.inf, bound=-np.inf),
    )


def one(nodes: int) -> dict[str, object]:
    """Certify one size; what is printed of it."""
    with TemporaryDirectory() as folder:
        scenario = made(Path(folder), nodes).scenario
        plan = held(scenario)
        engine = OpenDssEngine(scenario)
        engine.hold(plan)
        (network,) = engine.networks()
        engine.close()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wall, cpu = perf_counter(), process_time()
    answer, reach = affine_answer("fixed", plan, scenario), reach_of(scenario.uncertainty)
    found = certify(network, scenario, plan, answer, reach)
    least, kind = min((bound.least, bound.kind.value) for bound in found.bounds)
    return {
        "nodes": len(network.node_at),
        "loads": scenario.uncertainty.size,
        "wall_s": perf_counter() - wall,
        "cpu_s": process_time() - cpu,
        "before_mb": before / 1024,
        "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "verdict": found.missing or ("proven" if least >= 0.0 else "open"),
        "least": least,
        "kind": kind,
        "remainder_pu": found.remainder_pu,
    }


def main(arguments: list[str]) -> int:
    """Print a line for every size."""
    if arguments[:1] == ["--one"]:
        print(json.dumps(one(int(arguments[1]))))
        return 0
    print(f"{'nodes':>6} {'loads':>6} {'cpu s':>7} {'wall s':>7} {'MB before':>9} {'MB':>6}  says")
    for nodes in map(int, arguments) if arguments else NODES:
        command = [sys.executable, "-m", "benchmarks.proof", "--one", str(nodes)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        said = json.loads(done.stdout)
        apart = said["remainder_pu"] or np.nan
        print(
            f"{said['nodes']:6} {said['loads']:6} {said['cpu_s']:7.2f} {said['wall_s']:7.2f} "
            f"{said['before_mb']:9.0f} {said['mb']:6.0f}  {said['verdict']}, least margin "
            f"{said['least']:.3f} ({said['kind']}), tangent within {apart:.1e} pu",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
