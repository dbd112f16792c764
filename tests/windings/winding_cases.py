"""Small feeders, each with the windings of one kind between the former's side and the far one."""

from __future__ import annotations

import itertools

_HEAD = """Clear
New Circuit.c bus1=s basekv=12.47 pu=1.0 r1=1e-6 x1=1e-6 r0=1e-6 x0=1e-6
New Line.l0 bus1=s bus2=n r1=0.2 x1=0.4 r0=0.5 x0=1.1 c1=0 c0=0 length=1 normamps=400
New Load.n1 bus1=n.1 phases=1 kv=7.2 kw=15 kvar=5
New Load.n2 bus1=n.2 phases=1 kv=7.2 kw=5 kvar=5
"""
_LINE = """New Line.l1 bus1=f bus2=m r1=0.0002 x1=0.0003 r0=0.0003 x0=0.0008 c1=0 c0=0 length=1
~ normamps=4000
"""
_TAIL = "Set VoltageBases=[12.47 0.24]\nCalcVoltageBases\nSolve\n"
_NAMES = {"d": "delta", "y": "wye"}


def _load(name: str, bus: str, kw: float, kvar: float, conn: str = "delta") -> str:
    phases = 3 if "." not in bus else 1
    kv = 0.24 if conn == "delta" or phases == 3 else 0.1386
    return (
        f"New Load.{name} bus1={bus} phases={phases} conn={conn} kv={kv} kw={kw} kvar={kvar} "
        "vminpu=0.5 vmaxpu=1.5\n"
    )


def _single(name: str, near: str, far: str, **other: float) -> str:
    """A single unit between nodes of ``n`` and ``f``; two nodes are a delta winding."""
    values = {"kva": 100.0, "xhl": 3.0, "tap": 1.0} | other
    kvs = " ".join(
        f"{line if nodes.count('.') == 2 else line / 3**0.5:.9f}"
        for nodes, line in ((near, 12.47), (far, 0.24))
    )
    return (
        f"New Transformer.{name} phases=1 windings=2 buses=(n{near} f{far}) kvs=({kvs}) "
        f"kvas=({values['kva']} {values['kva']}) xhl={values['xhl']} %rs=(0.4 0.4) "
        f"wdg=2 tap={values['tap']}\n"
    )


def _three(name: str, buses: str, conns: str, kvs: str, kva: float = 300.0, **other: str) -> str:
    lead = other.get("lead", "lag")
    return (
        f"New Transformer.{name} phases=3 windings=2 buses=({buses}) conns=({conns}) "
        f"kvs=({kvs}) kvas=({kva} {kva}) xhl={other.get('xhl', 5)} %rs=(0.4 0.4) leadlag={lead}\n"
    )


def _between(near: str, far: str, how: str, lead: str) -> str:
    if how == "unit":
        conns = f"{_NAMES[near]} {_NAMES[far]}"
        return _three("t", "n f", conns, "12.47 0.24", 1500.0, lead=lead)
    text = ""
    for k in range(3):
        other = (k + (2 if near != far and lead == "lead" else 1)) % 3
        pair, one = f".{k + 1}.{other + 1}", f".{k + 1}"
        ends = (pair if side == "d" else one for side in (near, far))
        text += _single(f"t{k}", *ends, kva=500.0, xhl=6.0)
    return text


def _pair_case(near: str, far: str, how: str, lead: str, loaded: bool) -> str:
    text = _HEAD + _between(near, far, how, lead) + _LINE
    if loaded:
        text += _load("ab", "m.1.2", 7.5, 2.5)
        text += _load("abc", "m", 7.5, 3.0, _NAMES[far])
        if far == "y":
            text += _load("a", "m.1", 10.0, 4.0, "wye") + _load("b", "m.2", 2.5, 1.0, "wye")
    return text + _TAIL


PAIRS = {
    f"{near}{far}-{how}-{lead}-{'loaded' if loaded else 'empty'}": _pair_case(
        near, far, how, lead, loaded
    )
    for near, far, how, lead, loaded in itertools.product(
        "dy", "dy", ("unit", "bank"), ("lead", "lag"), (True, False)
    )
    if near != far or lead == "lag"
}
"""Every pair of connections, one unit or a bank, lead or lag, loaded or empty at the far side.

The former's side comes first, so that ``dy`` is fed from its delta and ``yd`` from its wye.
"""

_FAR = _load("x", "m.1.2", 3.0, 1.0) + _load("y", "m", 6.0, 2.0)
_OTHERS = {
    "open wye, open delta": _single("a", ".1", ".1.2") + _single("b", ".2", ".2.3") + _LINE + _FAR,
    "open wye, open delta, empty": _single("a", ".1", ".1.2") + _single("b", ".2", ".2.3") + _LINE,
    "open delta on both sides": (
        _single("a", ".1.2", ".1.2") + _single("b", ".2.3", ".2.3") + _LINE + _FAR
    ),
    "one pair from a phase": _single("a", ".1", ".1.2") + _load("x", "f.1.2", 6, 2),
    "one pair from a pair": _single("a", ".2.3", ".2.3") + _load("x", "f.2.3", 6, 2),
    "one phase from a pair": _single("a", ".1.2", ".1") + _load("x", "f.1", 6, 2, "wye"),
    "side by side": (
        _single("a", ".1", ".1")
        + _single("b", ".1", ".1", kva=50, xhl=5)
        + _load("x", "f.1", 6, 2, "wye")
    ),
    "side by side, other taps": (
        _single("a", ".1", ".1")
        + _single("b", ".1", ".1", kva=50, xhl=5, tap=1.002)
        + _load("x", "f.1", 6, 2, "wye")
    ),
    "wye-delta side by side": (
        _three("a", "n f", "wye delta", "12.47 0.24", 150.0)
        + _three("b", "n f", "wye delta", "12.47 0.24", 300.0, xhl="6")
        + _LINE
        + _FAR
    ),
    "delta-wye side by side": (
        _three("a", "n f", "delta wye", "12.47 0.24", 150.0)
        + _three("b", "n f", "delta wye", "12.47 0.24", 300.0, xhl="6")
        + _LINE
        + _load("x", "m.1", 9, 3, "wye")
    ),
    "written from its far side": (_three("a", "f n", "delta wye", "0.24 12.47") + _LINE + _FAR),
    "side by side, one turned": (
        _three("a", "f n", "delta wye", "0.24 12.47", 150.0)
        + _three("b", "n f", "wye delta", "12.47 0.24", 300.0, xhl="6")
        + _LINE
        + _FAR
    ),
    "wye-delta bank of unlike units": (
        _single("a", ".1", ".1.2")
        + _single("b", ".2", ".2.3", kva=50, xhl=5, tap=1.001)
        + _single("c", ".3", ".3.1")
        + _LINE
        + _FAR
    ),
    "delta-delta bank of unlike units": (
        _single("a", ".1.2", ".1.2")
        + _single("b", ".2.3", ".2.3", kva=50, xhl=5, tap=1.001)
        + _single("c", ".3.1", ".3.1")
        + _LINE
        + _FAR
    ),
    "wye-delta, then delta-wye": (
        _three("a", "n f", "wye delta", "12.47 0.24")
        + _three("b", "f m", "delta wye", "0.24 0.24")
        + _load("x", "m.1", 3, 1, "wye")
    ),
    "delta-wye, then wye-delta": (
        _three("a", "n f", "delta wye", "12.47 0.24")
        + _LINE
        + _three("b", "m e", "wye delta", "0.24 0.24")
        + _load("x", "m.1", 3, 1, "wye")
        + _load("y", "e.1.2", 2, 1)
    ),
    "wye-wye, then wye-delta": (
        _three("a", "n f", "wye wye", "12.47 0.24", 1500.0)
        + _three("b", "f e", "wye delta", "0.24 0.24", 300.0)
        + _load("x", "f.1", 30, 10, "wye")
        + _load("y", "e.1.2", 2, 1)
    ),
    "a grounding bank on the way": (
        _three("a", "n f", "wye delta", "12.47 0.24", 1500.0)
        + "New Line.l2 bus1=n bus2=e r1=0.2 x1=0.4 r0=0.5 x0=1.1 c1=0 c0=0 length=1 normamps=400\n"
        + "New Load.x bus1=e.3 phases=1 kv=7.2 kw=30 kvar=10\n"
    ),
}
OTHERS = {name: _HEAD + text + _TAIL for name, text in _OTHERS.items()}
"""Banks that are open, unlike, turned, side by side or one behind the other."""
