"""From the circuit that OpenDSS compiled to a ``Feeder``: the only place data comes from.

Whatever a ``.dss`` file leaves to OpenDSS (units, line codes, geometry, defaults, bank
connections) is read back after compiling, so planner and simulator cannot disagree about
data. The file is compiled in a context of its own; no engine's circuit is disturbed.

What is not carried over: a transformer's magnetising branch and anti-float shunt, time
curves, and every meter, monitor and protection device. Regulators keep the tap that the
file's own solve left.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gridproof.scenarios.errors import ConfigError
from gridproof.scenarios.feeder import Buses, Feeder, Sources
from gridproof.simulator.opendss.compiling import compile_feeder
from gridproof.simulator.opendss.contexts import borrow, give_back, refusal
from gridproof.simulator.opendss.dss_files import place_of
from gridproof.simulator.opendss.engine_thread import on_engine_thread
from gridproof.simulator.reader.elements import (
    Reading,
    active_admittance,
    elements_of,
    lines_table,
)
from gridproof.simulator.reader.faults import raw_faults
from gridproof.simulator.reader.services import slot_angles
from gridproof.simulator.reader.settings import rated_faults, setting_faults
from gridproof.simulator.reader.shunts import capacitors_table, loads_table
from gridproof.simulator.reader.transformers import transformers_table
from numpy.typing import NDArray

__all__ = ["read_feeder"]


@on_engine_thread
def read_feeder(path: Path, *, switches: Sequence[str] | None = None) -> Feeder:
    """Compile a ``.dss`` file and read the feeder from the compiled circuit.

    Parameters
    ----------
    path
        The master file; what it redirects to is found beside it.
    switches
        Ids of the lines a plan may switch. If not given: the lines with ``switch=yes`` and
        those a ``SwtControl`` acts on.

    Returns
    -------
    Feeder
        Ids are OpenDSS names in lower case without the class, in OpenDSS's order.

    Raises
    ------
    ConfigError
        With every fault found: no such file, an error of OpenDSS (chained), a load on a bus
        nothing feeds, a rating or impedance that is not positive, a name given twice, an
        element the feeder's columns cannot hold.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"{path}: no such file; give the path of an OpenDSS master file (.dss)")
    context = borrow()
    try:
        return _read(context, path, switches)
    except UnicodeDecodeError as error:
        place = place_of(path, re.compile("[\udc80-\udcff]"))
        raise ConfigError(
            f"{place}: a name holds bytes that are no UTF-8 text; save the file as UTF-8"
        ) from error
    finally:
        give_back(context)


def _read(context: Any, path: Path, switches: Sequence[str] | None) -> Feeder:
    error = _compile(context, path)
    faults = [] if error is None else [f"{path}: OpenDSS refused the file: {_one_line(error)}"]
    if error is None or _was_read_whole(context):
        faults += raw_faults(context, str(path))
    if error is None:
        faults += setting_faults(context, path, alone=not faults)
    if not faults and context.RegControls.Count() and not context.Solution.Converged():
        faults.append(
            f"{path}: its own power flow does not converge, so regulator taps cannot be read; "
            "check loads and voltages, or set the taps and remove the RegControls"
        )
    if error is not None:
        raise ConfigError(faults) from error
    reading = Reading(context=context, where=str(path), buses=_bus_positions(context))
    reading.faults += faults
    buses = _buses_table(reading)
    if not reading.faults:
        reading.faults += rated_faults(reading)
    loads = loads_table(reading)
    capacitors, sources = capacitors_table(reading), _sources_table(reading)
    if faults:  # impedances of what is known to be wrong say nothing more
        raise ConfigError(reading.faults)
    feeder = Feeder(
        name=str(context.Circuit.Name()).lower(),
        path=str(path),
        buses=buses,
        transformers=transformers_table(reading),
        loads=loads,
        capacitors=capacitors,
        sources=sources,
        lines=lines_table(reading, switches),  # last: it closes every line of the private circuit
    )
    if reading.faults:
        raise ConfigError(reading.faults)
    return feeder


def _compile(context: Any, path: Path) -> Exception | None:
    """Compile and solve; the error, if there was one."""
    try:
        compile_feeder(context, path)
    except refusal() as error:
        return error
    return None


def _was_read_whole(context: Any) -> bool:
    """Whether OpenDSS got as far as solving; of half a file nothing else can be said."""
    try:
        if not int(context.Basic.NumCircuits()) or not context.Circuit.YNodeOrder():
            return False
        context.Circuit.SetActiveElement(str(context.Circuit.AllElementNames()[-1]))
        return bool(len(context.CktElement.NodeOrder()))  # what came after has no nodes yet
    except refusal():
        return False


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _bus_positions(context: Any) -> dict[str, int]:
    return {str(name).lower(): k for k, name in enumerate(context.Circuit.AllBusNames())}


def _buses_table(reading: Reading) -> Buses:
    context, count = reading.context, len(reading.buses)
    base, phases, neutral = np.zeros(count), np.zeros((count, 3), bool), np.zeros(count, bool)
    xy = np.full((count, 2), np.nan)
    # CalcVoltageBases solves; where a fault already named makes that solution no number,
    # every base is 0 and says nothing of its own
    spoiled = bool(reading.faults) and not np.isfinite(context.Circuit.AllBusMagPu()).all()
    for name, k in reading.buses.items():
        context.Circuit.SetActiveBus(name)
        base[k] = context.Bus.kVBase()  # line to neutral
        nodes = np.array(context.Bus.Nodes(), np.int64)
        phases[k, nodes[nodes <= 3] - 1] = True
        neutral[k] = (nodes > 3).any()
        if (nodes > 3).sum() > 1:
            shown = ", ".join(str(node) for node in sorted(nodes[nodes > 3].tolist()))
            reading.fault(
                f"Bus {name}",
                f"nodes {shown} stand beside phases 1, 2, 3; one neutral beside them can be held",
            )
        if base[k] <= 0.0 and not spoiled:
            reading.fault(
                f"Bus {name}",
                "has no voltage base; put `Set VoltageBases=[…]` and `CalcVoltageBases` after "
                "the last element and before any switch is opened",
            )
        if context.Bus.Coorddefined():
            xy[k] = context.Bus.X(), context.Bus.Y()
    reading.base_kv = base
    buses = Buses(
        ids=tuple(reading.buses),
        base_kv=base,
        phases=phases,
        xy=xy,
        angle_rad=slot_angles(reading),
        neutral=neutral,
    )
    reading.pair_base, reading.turned = buses.pair_base, buses.turned
    return buses


def _sources_table(reading: Reading) -> Sources:
    ids, buses, magnitudes, impedances = [], [], [], []
    phases = list[list[bool]]()
    for name in elements_of(reading.context, "Vsources"):
        bus, nodes = reading.terminal(0)
        owner, own = f"Vsource.{name}", [node for node in nodes if node]
        if sorted(own)[-3:] != [1, 2, 3] and not (len(own) == 1 and own[0] <= 3):
            told = f"feeds nodes {nodes}; phases 1, 2, 3, or one of them, can be held"
            reading.fault(owner, told)
        elif len(own) == 1 and bus in buses:
            told = "is a source of one phase beside another at its bus; give it one source of three"
            reading.fault(owner, told)
        ids.append(name)
        buses.append(bus)
        vsource, base = reading.context.Vsources, reading.base_kv[bus]
        base *= np.sqrt(3.0) if len(own) > 1 else 1.0
        magnitudes.append(vsource.PU() * vsource.BasekV() / base if base > 0 else np.nan)
        impedances.append(_source_impedance(reading, own))
        phases.append([slot + 1 in own for slot in range(3)])
    ohm = np.array(impedances, complex).reshape(-1, 3, 3)
    return Sources(
        ids=tuple(ids),
        bus=np.array(buses, np.int64),
        v_pu=np.array(magnitudes),
        r_ohm=ohm.real,
        x_ohm=ohm.imag,
        phases=np.array(phases, bool).reshape(-1, 3),
    )


def _source_impedance(reading: Reading, nodes: list[int]) -> NDArray[np.complex128]:
    """Series impedance of the active source by phase; however the file states it, Y has it."""
    Y, z = active_admittance(reading.context), np.zeros((3, 3), complex)
    half = len(nodes)
    if len(Y) != 2 * half or not np.isfinite(Y).all() or not Y.any():
        return z  # a fault of its own
    if half == 1 or sorted(nodes) == [1, 2, 3]:
        at = np.array(nodes) - 1
        z[np.ix_(at, at)] = np.linalg.inv((Y[:half, :half] - Y[:half, half:]) / 2.0)
    return z
