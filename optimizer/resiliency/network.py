"""The feeder of a resiliency case, as a balanced single line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray, frozen

__all__ = ["Network"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Network:
    """The feeder as a balanced single line.

    Attributes
    ----------
    bus_ids, line_ids
        Names.
    from_bus, to_bus
        (line,) positions.
    r_ohm, x_ohm
        (line,) series impedance of a phase.
    p_max_kw, q_max_kvar
        (line,) limits of (36); a single number serves all.
    tie
        (line,) normally open; crews may close it after the outage. Any other line is closed.
    damaged
        (line,) open from the outage on.
    base_kv
        Line-to-line.
    root
        Position of the bus that the main grid feeds.
    root_v_pu
        Magnitude there.
    v_min_pu, v_max_pu
        Band of (37).
    squared_voltage
        Whether the rows (34)-(35) speak of v² (LinDistFlow) rather than of v, as printed.
    """

    bus_ids: tuple[str, ...]
    line_ids: tuple[str, ...]
    from_bus: IntArray
    to_bus: IntArray
    r_ohm: FloatArray
    x_ohm: FloatArray
    p_max_kw: FloatArray
    q_max_kvar: FloatArray
    tie: BoolArray
    damaged: BoolArray
    base_kv: float
    root: int = 0
    root_v_pu: float = 1.0
    v_min_pu: float = 0.95
    v_max_pu: float = 1.05
    squared_voltage: bool = False

    def __post_init__(self) -> None:
        n = len(self.line_ids)
        kinds = {"from_bus": np.int64, "to_bus": np.int64, "tie": bool, "damaged": bool}
        for name in ("p_max_kw", "q_max_kvar"):
            if np.ndim(getattr(self, name)) == 0:
                object.__setattr__(self, name, np.full(n, getattr(self, name), float))
        for name in (
            "from_bus", "to_bus", "r_ohm", "x_ohm", "p_max_kw", "q_max_kvar", "tie", "damaged",
        ):  # fmt: skip
            held = frozen(getattr(self, name), kinds.get(name, float), (n,))
            object.__setattr__(self, name, held)

    def faults(self) -> Iterator[str]:
        """Every contradiction, one sentence each."""
        buses = len(self.bus_ids)
        for k, name in enumerate(self.line_ids):
            ends = (int(self.from_bus[k]), int(self.to_bus[k]))
            if not all(0 <= end < buses for end in ends) or ends[0] == ends[1]:
                yield f"line {name} joins bus positions {ends}; name two of the {buses} buses"
            if self.tie[k] and self.damaged[k]:
                yield f"line {name} is a tie and damaged; it can be one of them"
            if not (self.r_ohm[k] >= 0.0 and np.isfinite(self.x_ohm[k])):
                yield f"line {name}: r_ohm = {self.r_ohm[k]:g}, x_ohm = {self.x_ohm[k]:g}; finite"
            for what in ("p_max_kw", "q_max_kvar"):
                if not 0.0 <= getattr(self, what)[k] < np.inf:
                    yield f"line {name}: {what} = {getattr(self, what)[k]:g} must be at least 0"
        if not 0 <= self.root < buses:
            yield f"the root is at bus position {self.root}; there are {buses} buses"
        if not 0.0 < self.v_min_pu <= self.root_v_pu <= self.v_max_pu:
            yield (
                f"root_v_pu = {self.root_v_pu:g} must lie in the band v_min_pu = "
                f"{self.v_min_pu:g} to v_max_pu = {self.v_max_pu:g}"
            )
        if not self.base_kv > 0.0:
            yield f"base_kv = {self.base_kv:g} must be positive"
