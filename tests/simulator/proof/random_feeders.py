"""Feeders and studies made up by a seed, as files that the program reads like anyone's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from gridproof.federation.studies.study import Study, load_study

__all__ = ["write_feeder"]

_LN, _LL = 7.199557, 12.47


def write_feeder(folder: Path, seed: int, **study: str) -> Study:
    """A tree fed from a substation behind its impedance, or formed by a DER once that is lost.

    Lines of one to three phases; loads of every model, in wye and delta; a capacitor; a transformer
    in front of part of it; DERs that follow on three phases or on one.

    Parameters
    ----------
    folder
        Where ``feeder.dss`` and ``study.toml`` go.
    seed
        Decides all.
    study
        Further lines of the study's ``limits``, ``campaign`` and ``uncertainty``, by section.
    """
    rng = np.random.default_rng(seed)
    lost = bool(rng.random() < 0.5)
    buses = [("n0", (1, 2, 3), _LL)]
    lines = [
        "clear",
        "new circuit.made bus1=head basekv=12.47 pu=1.02 angle=30 r1=0.4 x1=2.5 r0=1.0 x0=4.0",
        "new line.gate bus1=head bus2=n0 switch=yes r1=0.01 x1=0.01 r0=0.01 x0=0.01 c1=0 c0=0 "
        "length=1",
    ]
    for k in range(1, int(rng.integers(4, 8))):
        up, phases, kv = buses[int(rng.integers(0, len(buses)))]
        own = phases
        if rng.random() < 0.5:
            count = int(rng.integers(1, len(phases) + 1))
            own = tuple(sorted(rng.choice(phases, count, replace=False).tolist()))
        nodes = "".join(f".{phase}" for phase in own)
        km = rng.uniform(0.3, 3.0)
        lines.append(
            f"new line.l{k} bus1={up}{nodes} bus2=n{k}{nodes} phases={len(own)} r1=0.2 x1=0.4 "
            f"r0=0.5 x0=1.1 c1=3 c0=2 length={km:.4f} units=km normamps=400"
        )
        buses.append((f"n{k}", own, kv))
    if rng.random() < 0.6:
        conns = ("wye wye", "delta wye")[int(rng.integers(0, 2))]
        lines.append(
            f"new transformer.t phases=3 windings=2 buses=(n0 low) conns=({conns}) "
            "kvs=(12.47 0.48) kvas=(500 500) xhl=4 %rs=(0.5 0.5)"
        )
        lines.append("new load.low bus1=low phases=3 kv=0.48 kw=60 kvar=20")
    if rng.random() < 0.5:
        lines.append("new capacitor.c bus1=n0 phases=3 kv=12.47 kvar=90")
    loads = ["low"] if any("load.low" in line for line in lines) else []
    for k in range(int(rng.integers(3, 7))):
        bus, phases, _ = buses[int(rng.integers(0, len(buses)))]
        model = int(rng.choice([1, 1, 2, 4, 5]))
        if len(phases) == 3 and rng.random() < 0.4:
            where, count, kv = f"{bus}.1.2.3", 3, _LL
            conn = "delta" if rng.random() < 0.5 else "wye"
        elif len(phases) > 1 and rng.random() < 0.4:
            where, count, kv, conn = f"{bus}.{phases[0]}.{phases[1]}", 1, _LL, "delta"
        else:
            where, count, kv, conn = f"{bus}.{rng.choice(phases)}", 1, _LN, "wye"
        kw = rng.uniform(20.0, 200.0)
        more = " cvrwatts=1 cvrvars=2" if model == 4 else ""
        lines.append(
            f"new load.d{k} bus1={where} phases={count} conn={conn} kv={kv} kw={kw:.3f} "
            f"kvar={kw * rng.uniform(0.1, 0.6):.3f} model={model}{more}"
        )
        loads.append(f"d{k}")
    lines += ["set voltagebases=[12.47 0.48]", "calcvoltagebases", "solve"]
    (folder / "feeder.dss").write_text("\n".join(lines) + "\n")
    side, phases, _ = buses[-1]
    fleet = [f'big = {{ bus = "n0", capacity_kw = {rng.uniform(600, 2400):.1f} }}']
    follows = "".join("abc"[phase - 1] for phase in phases)
    fleet.append(
        f'side = {{ bus = "{side}", capacity_kw = 60, phases = "{follows}", can_form = false }}'
    )
    moving = sorted(rng.choice(loads, min(len(loads), 4), replace=False).tolist())
    sections = {
        "feeder": 'path = "feeder.dss"\nload_model = "as_modelled"\n'
        + ('locked_open = ["gate"]' if lost else ""),
        "limits": study.get("limits", "v_min_pu = 0.94\nv_max_pu = 1.06"),
        "ders.fleet": "\n".join(fleet),
        "uncertainty": f"loads = {moving}\nspread = {study.get('spread', '0.3')}".replace("'", '"'),
        "campaign": "samples = 16\n" + study.get("campaign", 'recourse = "fixed"'),
    }
    text = "".join(f"[{name}]\n{body}\n" for name, body in sections.items())
    (folder / "study.toml").write_text(text)
    return load_study(folder / "study.toml")
