"""A balanced network as a feeder: one row per bus and line stands for three equal phases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray
from gridproof.scenarios.feeder import (
    Buses,
    Capacitors,
    Connection,
    Feeder,
    Lines,
    Loads,
    Sources,
    Transformers,
)
from gridproof.scenarios.load_models import LoadModel

__all__ = ["BalancedRows", "balanced_feeder"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BalancedRows:
    """One row per bus and line of a single-voltage network.

    Attributes
    ----------
    base_kv
        Line-to-line.
    x_km, y_km, p_kw, q_kvar, source_v_pu
        (bus,) place, demand of three phases, and held voltage (NaN where no substation).
    ends
        (line, 2) bus positions.
    r_ohm, x_ohm, rating_a, closed
        (line,) positive-sequence impedance, ampacity, state (1 closed, 0 open).
    """

    name: str
    base_kv: float
    bus_ids: tuple[str, ...]
    line_ids: tuple[str, ...]
    x_km: FloatArray
    y_km: FloatArray
    p_kw: FloatArray
    q_kvar: FloatArray
    source_v_pu: FloatArray
    ends: IntArray
    r_ohm: FloatArray
    x_ohm: FloatArray
    rating_a: FloatArray
    closed: FloatArray | BoolArray


def balanced_feeder(rows: BalancedRows, *, switchable: BoolArray | None = None) -> Feeder:
    """Build the feeder: uncoupled phases, each with the positive-sequence impedance.

    Parameters
    ----------
    switchable
        (line,) what plans may switch; none if not given.
    """
    buses, lines = len(rows.bus_ids), len(rows.line_ids)
    loaded = np.flatnonzero(rows.p_kw + rows.q_kvar)
    held = np.flatnonzero(np.isfinite(rows.source_v_pu))
    own = np.eye(3)
    return Feeder(
        name=rows.name,
        path="",
        buses=Buses(
            ids=rows.bus_ids,
            base_kv=np.full(buses, rows.base_kv / np.sqrt(3.0)),
            phases=np.ones((buses, 3), bool),
            xy=np.stack([rows.x_km, rows.y_km], axis=1),
        ),
        lines=Lines(
            ids=rows.line_ids,
            from_bus=rows.ends[:, 0],
            to_bus=rows.ends[:, 1],
            phases=np.ones((lines, 3), bool),
            r_ohm=rows.r_ohm[:, None, None] * own,
            x_ohm=rows.x_ohm[:, None, None] * own,
            b_siemens=np.zeros((lines, 3, 3)),
            rating_a=rows.rating_a,
            switchable=np.zeros(lines, bool) if switchable is None else switchable,
            closed=np.asarray(rows.closed, float) > 0.5,
        ),
        transformers=_no_transformers(),
        loads=Loads(
            ids=tuple(rows.bus_ids[i] for i in loaded),
            bus=loaded,
            connection=(Connection.WYE,) * len(loaded),
            model=(LoadModel.CONSTANT_POWER,) * len(loaded),
            slots=np.ones((len(loaded), 3), bool),
            p_kw=np.repeat(rows.p_kw[loaded, None] / 3.0, 3, axis=1),
            q_kvar=np.repeat(rows.q_kvar[loaded, None] / 3.0, 3, axis=1),
        ),
        capacitors=Capacitors(
            ids=(), bus=np.zeros(0, np.int64), connection=(), q_kvar=np.zeros((0, 3))
        ),
        sources=Sources(
            ids=tuple(rows.bus_ids[i] for i in held), bus=held, v_pu=rows.source_v_pu[held]
        ),
    )


def _no_transformers() -> Transformers:
    none, whole = np.zeros(0), np.zeros(0, np.int64)
    return Transformers(
        ids=(),
        from_bus=whole,
        to_bus=whole,
        windings=np.zeros((0, 3), bool),
        from_connection=(),
        to_connection=(),
        from_kv=none,
        to_kv=none,
        ratio=none,
        r_pu=none,
        x_pu=none,
        rating_kva=none,
        regulating=np.zeros(0, bool),
    )
