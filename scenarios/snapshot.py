"""What the physics said: a batch of solved time steps as arrays."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray, frozen

__all__ = ["Snapshots"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Snapshots:
    """A batch of solved realizations of one time step under one held plan.

    Attributes
    ----------
    index
        (realization,) which realizations these are.
    converged
        (realization,) false where no solution of the power flow was found; its numbers mean
        nothing.
    iterations
        (realization,) of the power flow; 0 for a linear model.
    v_pu
        (realization, bus, 3) line-to-neutral magnitude; NaN where a phase is missing or dead.
    v_ll_pu
        (realization, bus, 3) line-to-line magnitude of pairs ab, bc, ca on the line-to-line
        base; NaN where a pair is missing or dead.
    current_a
        (realization, line, 3) larger of the two ends' magnitudes; 0 in dead parts.
    transformer_kva
        (realization, transformer) apparent power of the whole unit, larger of both sides.
    der_p_kw, der_q_kvar
        (realization, der, 3) what each DER supplies, the grid-forming one included.
    delivered_kw, requested_kw
        (realization,) load served by the physics and load asked for at the solved voltages,
        energised blocks only.
    losses_kw
        (realization,) series losses; 0 for a lossless model.
    """

    index: IntArray
    converged: BoolArray
    iterations: IntArray
    v_pu: FloatArray
    v_ll_pu: FloatArray
    current_a: FloatArray
    transformer_kva: FloatArray
    der_p_kw: FloatArray
    der_q_kvar: FloatArray
    delivered_kw: FloatArray
    requested_kw: FloatArray
    losses_kw: FloatArray

    def __post_init__(self) -> None:
        n = len(self.index)
        shapes: dict[str, tuple[object, tuple[int, ...]]] = {
            "index": (np.int64, (n,)),
            "converged": (bool, (n,)),
            "iterations": (np.int64, (n,)),
            "v_pu": (float, (n, -1, 3)),
            "v_ll_pu": (float, (n, -1, 3)),
            "current_a": (float, (n, -1, 3)),
            "transformer_kva": (float, (n, -1)),
            "der_p_kw": (float, (n, -1, 3)),
            "der_q_kvar": (float, (n, -1, 3)),
            "delivered_kw": (float, (n,)),
            "requested_kw": (float, (n,)),
            "losses_kw": (float, (n,)),
        }
        for name, (kind, shape) in shapes.items():
            object.__setattr__(self, name, frozen(getattr(self, name), kind, shape))  # type: ignore[arg-type]

    def __len__(self) -> int:
        return len(self.index)

    def take(self, rows: IntArray | BoolArray) -> Snapshots:
        """Return the snapshots at some positions, in their order, or where a mask is true."""
        return Snapshots(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})
