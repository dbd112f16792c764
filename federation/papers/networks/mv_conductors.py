"""Conductors of a generated network: the smallest that carry and hold what they must."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from gridproof.federation.papers.networks.mv_layout import Layout
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray

__all__ = ["Section", "normal_voltage", "size_sections"]

# resistance and reactance per km, ampacity: the usual 20 kV sizes, rounded
_OVERHEAD = np.array(
    [[0.603, 0.38, 190.0], [0.438, 0.37, 240.0], [0.224, 0.35, 345.0], [0.146, 0.34, 460.0]]
)
_CABLE = np.array(
    [[0.320, 0.125, 210.0], [0.206, 0.118, 270.0], [0.125, 0.110, 360.0], [0.078, 0.105, 480.0]]
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Section:
    """(line,) positive-sequence impedance of the whole line, ohm, and rating, ampere."""

    r_ohm: FloatArray
    x_ohm: FloatArray
    rating_a: FloatArray


def size_sections(
    layout: Layout,
    p_kw: FloatArray,
    q_kvar: FloatArray,
    cable: BoolArray,
    *,
    base_kv: float,
    reserve: float,
    source_v_pu: float,
    least_v_pu: float,
) -> Section:
    """Choose a conductor for each line.

    A closed line carries ``reserve`` times its normal current; a tie is as strong as the
    stronger of its two feeders at the places it joins. Then, while a bus is below
    ``least_v_pu``, every line on its way to the substation is made one size larger.

    Raises
    ------
    ValueError
        If a line's current is beyond the catalogue, or the largest sizes do not hold the
        voltage.
    """
    s_kva = np.hypot(layout.downstream(p_kw), layout.downstream(q_kvar))
    need = reserve * s_kva / (np.sqrt(3.0) * base_kv * least_v_pu)
    at_bus = np.zeros(len(layout.xy_km))
    at_bus[layout.ends[: layout.closed_count, 1]] = need
    need = np.concatenate([need, at_bus[layout.ends[layout.closed_count :]].max(axis=1)])
    ampacity = np.where(cable[:, None], _CABLE[:, 2], _OVERHEAD[:, 2])
    if (need > ampacity[:, -1]).any():
        k = int(np.argmax(need / ampacity[:, -1]))
        raise ValueError(
            f"a line must carry {need[k]:.0f} A and the largest conductor carries "
            f"{ampacity[k, -1]:.0f} A; ask for fewer buses per feeder or less reserve"
        )
    size: IntArray = np.argmax(ampacity >= need[:, None], axis=1)
    up = dict(
        zip(layout.ends[: layout.closed_count, 1].tolist(), range(layout.closed_count), strict=True)
    )
    while True:
        section = _section(layout, cable, size)
        v = normal_voltage(layout, section, p_kw, q_kvar, base_kv=base_kv, source_v_pu=source_v_pu)
        worst = int(np.argmin(v))
        if v[worst] >= least_v_pu:
            return section
        way = []
        bus = worst
        while bus in up:
            way.append(up[bus])
            bus = int(layout.ends[up[bus], 0])
        if (size[way] == ampacity.shape[1] - 1).all():
            raise ValueError(f"the largest conductors leave a bus at {v[worst]:.3f} pu")
        size[way] = np.minimum(size[way] + 1, ampacity.shape[1] - 1)


def normal_voltage(
    layout: Layout,
    section: Section,
    p_kw: FloatArray,
    q_kvar: FloatArray,
    *,
    base_kv: float,
    source_v_pu: float,
) -> FloatArray:
    """(bus,) voltage with the ties open, by the linear model ``w_j = w_i - 2 (r p + x q)``."""
    p, q = layout.downstream(p_kw) / 1e3, layout.downstream(q_kvar) / 1e3
    r, x = (z[: layout.closed_count] / base_kv**2 for z in (section.r_ohm, section.x_ohm))
    drop = 2.0 * (r * p + x * q)  # MW over kV² and ohm: per unit
    w = np.full(len(layout.xy_km), source_v_pu**2)
    for k, (parent, child) in enumerate(layout.ends[: layout.closed_count].tolist()):
        w[child] = w[parent] - drop[k]
    v: FloatArray = np.sqrt(np.maximum(w, 0.0))
    return v


def _section(layout: Layout, cable: BoolArray, size: IntArray) -> Section:
    chosen = np.where(cable[:, None], _CABLE[size], _OVERHEAD[size])
    return Section(
        r_ohm=np.round(chosen[:, 0] * layout.length_km, 6),
        x_ohm=np.round(chosen[:, 1] * layout.length_km, 6),
        rating_a=chosen[:, 2],
    )
