"""A balanced MV network as files: two tables, a list of failures, and an OpenDSS script.

The tables hold what a script cannot: whether a line is overhead or underground and what
switches it. Numbers are written as they are held, so that reading gives the network back.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import numpy as np
from gridproof.federation.files import table_text, write_result
from gridproof.scenarios.arrays import BoolArray, index_of
from gridproof.scenarios.balanced import BalancedRows, balanced_feeder
from gridproof.scenarios.devices import Device, LineDevices
from gridproof.scenarios.errors import ConfigError
from gridproof.scenarios.feeder import Feeder
from gridproof.scenarios.restoration import Outage
from gridproof.scenarios.restoration_scenario import restoration_scenario
from gridproof.scenarios.scenario import Scenario

__all__ = ["dss_script", "read_devices", "read_failures", "read_network", "write_network"]

_BUS = ("bus", "x_km", "y_km", "p_kw", "q_kvar", "source_v_pu")
_LINE = (
    "line", "from_bus", "to_bus", "r_ohm", "x_ohm", "rating_a",
    "closed", "kind", "from_device", "to_device",
)  # fmt: skip
_DEVICES = ("line", "kind", "from_device", "to_device")
_KINDS = ("overhead", "underground")


def write_network(scenario: Scenario, folder: Path) -> None:
    """Write ``buses.csv``, ``lines.csv``, ``failures.csv`` and ``<name>.dss``."""
    case = Outage.of(scenario)
    feeder, devices = case.feeder, case.devices
    p, q = case.bus_demand()
    r, x = case.impedance_ohm()
    held = dict(zip(feeder.sources.bus.tolist(), feeder.sources.v_pu.tolist(), strict=True))
    buses = [
        (name, *feeder.buses.xy[i].tolist(), round(p[i], 4), round(q[i], 4), held.get(i, ""))
        for i, name in enumerate(feeder.buses.ids)
    ]
    lines = [
        (
            name,
            *(feeder.buses.ids[i] for i in case.ends[k]),
            round(r[k], 6),
            round(x[k], 6),
            float(feeder.lines.rating_a[k]),
            int(feeder.lines.closed[k]),
            _KINDS[int(devices.underground[k])],
            *devices.device[k],
        )
        for k, name in enumerate(feeder.lines.ids)
    ]
    failures = [(feeder.lines.ids[k],) for k in case.failed]
    folder.mkdir(parents=True, exist_ok=True)
    for name, head, rows in (
        ("buses", _BUS, buses), ("lines", _LINE, lines), ("failures", ("line",), failures)
    ):  # fmt: skip
        sink = StringIO(newline="")
        writer = csv.writer(sink, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(rows)
        write_result(folder / f"{name}.csv", sink.getvalue())
    write_result(folder / f"{feeder.name}.dss", dss_script(scenario))


def dss_script(scenario: Scenario) -> str:
    """Write the network before the event for OpenDSS: stiff sources, no shunts, ties open."""
    case = Outage.of(scenario)
    feeder = case.feeder
    base_kv = float(feeder.buses.base_kv[0]) * np.sqrt(3.0)
    p, q = case.bus_demand()
    r, x = case.impedance_ohm()
    stiff = "r1=0 x1=0.0001 r0=0 x0=0.0001"
    out = [
        f"// {feeder.name}: a generated {base_kv:g} kV network; see the tables beside this file.",
        "Clear",
        "Set DefaultBaseFrequency=50",
    ]
    for k, (bus, v) in enumerate(zip(feeder.sources.bus, feeder.sources.v_pu, strict=True)):
        what = f"Circuit.{feeder.name}" if k == 0 else f"Vsource.{feeder.buses.ids[bus]}"
        out.append(f"New {what} bus1={feeder.buses.ids[bus]} basekv={base_kv:g} pu={v:g} {stiff}")
    for k, name in enumerate(feeder.lines.ids):
        one, other = (feeder.buses.ids[i] for i in case.ends[k])
        out.append(
            f"New Line.{name} phases=3 bus1={one} bus2={other} length=1 r1={r[k]:.6f} "
            f"x1={x[k]:.6f} r0={r[k]:.6f} x0={x[k]:.6f} c1=0 c0=0 "
            f"normamps={feeder.lines.rating_a[k]:g}"
        )
    for i in np.flatnonzero(p + q):
        name = feeder.buses.ids[i]
        out.append(
            f"New Load.{name} phases=3 bus1={name} conn=wye model=1 kV={base_kv:g} "
            f"kW={p[i]:.4f} kvar={q[i]:.4f} vminpu=0.5 vmaxpu=1.5"
        )
    out += [f"Open Line.{feeder.lines.ids[k]} 1" for k in np.flatnonzero(~feeder.lines.closed)]
    out += [f"Set VoltageBases=[{base_kv:g}]", "CalcVoltageBases", "BusCoords buses.csv", "Solve"]
    return "\n".join(out) + "\n"


def read_network(folder: Path, base_kv: float = 20.0) -> Scenario:
    """Read the tables back, failures included.

    Raises
    ------
    ConfigError
        With every fault of the files; ScenarioError, one of them, if they contradict.
    """
    faults: list[str] = []
    buses = list(_rows(folder / "buses.csv", _BUS, faults))
    lines = list(_rows(folder / "lines.csv", _LINE, faults))
    failures = list(_rows(folder / "failures.csv", ("line",), faults))
    where = index_of([row["bus"] for row in buses])
    for row in lines:
        for end in ("from_bus", "to_bus"):
            if row[end] not in where:
                faults.append(
                    f"{folder / 'lines.csv'}: {end} of line {row['line']} is {row[end]!r}, "
                    "which buses.csv does not have; name one it has"
                )
    columns = _columns(folder, buses, lines, faults)
    devices, cable = _device_columns(folder / "lines.csv", lines, faults)
    if faults:
        raise ConfigError(faults)
    feeder = balanced_feeder(
        BalancedRows(
            name=folder.name,
            base_kv=base_kv,
            bus_ids=tuple(where),
            line_ids=tuple(row["line"] for row in lines),
            ends=np.array([[where[r["from_bus"]], where[r["to_bus"]]] for r in lines]),
            **columns,
        )
    )
    known = LineDevices(line_ids=feeder.lines.ids, underground=cable, device=devices)
    return restoration_scenario(folder.name, feeder, known, [row["line"] for row in failures])


def read_devices(path: Path, feeder: Feeder) -> LineDevices:
    """Read a table of devices for a feeder compiled elsewhere, in the feeder's order of lines.

    Columns ``line, kind, from_device, to_device`` are needed; others are not looked at.

    Raises
    ------
    ConfigError
        If the two do not hold the same lines, or a device is unknown.
    """
    faults: list[str] = []
    rows = list(_rows(path, _DEVICES, faults, exactly=False))
    table = {row["line"].lower(): row for row in rows}
    for name in sorted(table.keys() ^ set(feeder.lines.ids)) if not faults else ():
        which = "the table alone" if name in table else "the feeder alone"
        faults.append(f"{path}: line {name} is in {which}; both must have it")
    if faults:
        raise ConfigError(faults)
    pairs, cable = _device_columns(path, [table[name] for name in feeder.lines.ids], faults)
    if faults:
        raise ConfigError(faults)
    return LineDevices(line_ids=feeder.lines.ids, underground=cable, device=pairs)


def read_failures(path: Path) -> tuple[str, ...]:
    """Read the ids of the failed lines, in the table's order, from its column ``line``.

    Raises
    ------
    ConfigError
        If there is no such file or column.
    """
    faults: list[str] = []
    found = tuple(row["line"].lower() for row in _rows(path, ("line",), faults, exactly=False))
    if faults:
        raise ConfigError(faults)
    return found


def _rows(
    path: Path, head: tuple[str, ...], faults: list[str], *, exactly: bool = True
) -> Iterator[dict[str, str]]:
    if not path.is_file():
        faults.append(f"{path}: no such file; it must have columns {', '.join(head)}")
        return
    try:
        text = table_text(path)
    except OSError as error:
        faults.append(f"{path} cannot be read: {error.strerror or error}; name a CSV file")
        return
    with text as source:
        reader = csv.DictReader(source, restval="")
        found = tuple(reader.fieldnames or ())
        if found != head and (exactly or not set(head) <= set(found)):
            faults.append(f"{path}: columns are {', '.join(found)}; they must be {', '.join(head)}")
            return
        yield from reader


def _columns(
    folder: Path, buses: list[dict[str, str]], lines: list[dict[str, str]], faults: list[str]
) -> dict[str, np.ndarray]:
    """Read the numeric columns of both tables, each fault named."""
    out: dict[str, np.ndarray] = {}
    for table, rows, names in (("buses", buses, _BUS[1:]), ("lines", lines, _LINE[3:7])):
        for name in names:
            values = np.full(len(rows), np.nan)
            for k, row in enumerate(rows):
                text = row[name]
                try:
                    values[k] = float(text) if text else np.nan
                except ValueError:
                    faults.append(
                        f"{folder / table}.csv: {name} of row {k + 1} is {text!r}, no number"
                    )
            if name != "source_v_pu" and np.isnan(values).any():
                k = int(np.argmax(np.isnan(values)))
                faults.append(f"{folder / table}.csv: {name} of row {k + 1} is missing; state it")
            out[name] = values
    return out


def _device_columns(
    path: Path, lines: list[dict[str, str]], faults: list[str]
) -> tuple[tuple[tuple[Device, Device], ...], BoolArray]:
    known = {device.value: device for device in Device}
    pairs, cable = [], np.zeros(len(lines), bool)
    for k, row in enumerate(lines):
        if row["kind"] not in _KINDS:
            faults.append(
                f"{path}: kind of line {row['line']} is {row['kind']!r}; it must "
                f"be one of {', '.join(_KINDS)}"
            )
        cable[k] = row["kind"] == "underground"
        pair = []
        for end in ("from_device", "to_device"):
            if row[end] not in known:
                faults.append(
                    f"{path}: {end} of line {row['line']} is {row[end]!r}; it "
                    f"must be one of {', '.join(known)}"
                )
            pair.append(known.get(row[end], Device.NONE))
        pairs.append((pair[0], pair[1]))
    return tuple(pairs), cable
