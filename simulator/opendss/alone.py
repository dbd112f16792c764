"""A solved circuit as one text, which OpenDSS alone solves to the same numbers.

OpenDSS writes its own circuit (``save circuit``); what that leaves out is added: where terminals
stand open, taps, voltage bases that a dead source would not find again, and how it is solved.
"""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from gridproof.scenarios.arrays import BoolArray
from gridproof.scenarios.errors import EngineError
from gridproof.simulator.opendss.circuit import ComplexArray, DssCircuit
from gridproof.simulator.opendss.contexts import borrow, give_back, refusal

__all__ = ["solved_alone", "written_alone"]

_PART = re.compile(r"^\s*redirect\s+(?P<name>\S+)", re.IGNORECASE)
_LEFT_OUT = re.compile(r"^\s*(!|//|buscoords\b|redirect\s+buscoords)", re.IGNORECASE)


def written_alone(
    circuit: DssCircuit,
    volts: ComplexArray,
    live: BoolArray,
    tolerance: float,
    max_iterations: int,
) -> tuple[str, float]:
    """Write a circuit as it was last solved, and hold the text to what it gives alone.

    Parameters
    ----------
    circuit, volts, live
        What was solved: (1 + node,) volt, earth first, and which of them are live.
    tolerance, max_iterations
        How.

    Returns
    -------
    text, apart_pu
        And the largest difference of a live node's voltage when OpenDSS compiles it alone.
    """
    text = _circuit_text(circuit, tolerance, max_iterations)
    again, bases = solved_alone(text), dict(_bases(circuit.active))
    apart = [
        abs(again[name] - complex(volts[k])) / (1000.0 * bases[name.rpartition(".")[0]])
        for k, name in enumerate(circuit.nodes, start=1)
        if live[k]
    ]
    return text, max(apart, default=0.0)


def _circuit_text(circuit: DssCircuit, tolerance: float, max_iterations: int) -> str:
    """Write the circuit as it stands: what it holds, what is open, its taps and its powers."""
    with TemporaryDirectory(prefix="gridproof-") as folder:
        saved = Path(folder) / "saved"
        circuit.text(f'save circuit dir="{saved}"')
        lines = _inlined(saved / "Master.dss")
    lines += [f'SetkVBase bus="{name}" kVLN={kv!r}' for name, kv in _bases(circuit.active)]
    lines += _taps(circuit.active)
    lines += _open_terminals(circuit)
    lines += [
        "Set mode=snapshot controlmode=off loadmult=1 genmult=1 algorithm=normal",
        f"Set tolerance={tolerance:g} maxiterations={max_iterations:d}",
        "Solve",
    ]
    return "\n".join(lines) + "\n"


def solved_alone(text: str) -> dict[str, complex]:
    """Compile a text in a circuit of its own; volt by lower-case node name.

    Raises
    ------
    EngineError
        If OpenDSS refuses it, or finds no solution.
    """
    context = borrow()
    try:
        with TemporaryDirectory(prefix="gridproof-") as folder:
            path = Path(folder) / "alone.dss"
            path.write_text(text, encoding="utf-8")
            context.Text.Command(f'Compile "{path}"')
        if not context.Solution.Converged():
            raise EngineError("the circuit that was written out has no solution in OpenDSS alone")
        names = [str(name).lower() for name in context.Circuit.YNodeOrder()]
        volts: ComplexArray = np.array(context.Circuit.YNodeVArray()).view(np.complex128)
    except refusal() as error:
        raise EngineError(f"OpenDSS refused the circuit that was written out: {error}") from error
    finally:
        give_back(context)
    return dict(zip(names, volts.tolist(), strict=True))


def _inlined(master: Path) -> list[str]:
    lines: list[str] = []
    for line in master.read_text(encoding="utf-8", errors="replace").splitlines():
        part = _PART.match(line)
        if not line.strip() or _LEFT_OUT.match(line):
            continue
        lines += [line] if part is None else _inlined(master.parent / part["name"])
    return lines


def _bases(active: Any) -> list[tuple[str, float]]:
    """Return the base of each bus that has one, kV line to neutral."""
    found = []
    for name in active.AllBusNames:
        active.SetActiveBus(name)
        kv = float(active.ActiveBus.kVBase)
        found += [(str(name).lower(), kv)] if kv > 0.0 else []
    return found


def _taps(active: Any) -> list[str]:
    lines, units = [], active.Transformers
    at = units.First
    while at:
        for winding in range(1, int(units.NumWindings) + 1):
            units.Wdg = winding
            lines.append(f'Edit "Transformer.{units.Name}" wdg={winding} tap={float(units.Tap)!r}')
        at = units.Next
    return lines


def _open_terminals(circuit: DssCircuit) -> list[str]:
    lines = []
    for kind in sorted(circuit.kinds()):
        for name, handle in circuit.handles(kind).items():
            lines += [
                f'Open "{kind}.{name}" {terminal}'
                for terminal in range(1, circuit.terminals(handle) + 1)
                if circuit.is_open(handle, terminal)
            ]
    return lines
