"""What a plan holds ready: reserves, and a rule by which they answer without a solver."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from gridproof.scenarios.arrays import FloatArray, frozen, ordered_product

__all__ = ["AffineRule", "Reserves", "ResponseRule"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reserves:
    """Room that is bought about the base set-points.

    Attributes
    ----------
    up_kw, down_kw
        (time, der) not negative, all phases together.
    """

    up_kw: FloatArray
    down_kw: FloatArray

    def __post_init__(self) -> None:
        for name in ("up_kw", "down_kw"):
            object.__setattr__(self, name, frozen(getattr(self, name), float, (-1, -1)))
        if self.up_kw.shape != self.down_kw.shape:
            raise ValueError(
                f"reserves up are {self.up_kw.shape}, down {self.down_kw.shape}; both are "
                "(time, der)"
            )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ResponseRule:
    """How every DER moves with a draw: ``p(ζ) = p⁰ + A_t ζ``, in equal parts on its phases.

    An affine rule; ``gain_down`` makes it one for each sign of what a step lacks, as where
    reserves up and down are shared by different DERs.

    Attributes
    ----------
    direction_ids
        What each coordinate of a draw moves, in the scenario's order.
    gain
        (time, der, direction) kW per unit of the coordinate; where ``gain_down`` is given,
        for draws whose ``weight · ζ`` is not negative.
    gain_down
        (time, der, direction) the same for the others; None where one gain serves all.
    weight
        (time, direction) kW that a step lacks per unit of the coordinate; needed with
        ``gain_down``.
    load_ids, load_gain
        Loads that can be cut at once, and (time, load, direction) kW less that each asks per unit
        of the coordinate, where ``weight · ζ`` is positive; all slots in proportion.
    """

    direction_ids: tuple[str, ...]
    gain: FloatArray
    gain_down: FloatArray | None = None
    weight: FloatArray | None = None
    load_ids: tuple[str, ...] = ()
    load_gain: FloatArray = field(default_factory=lambda: np.zeros((0, 0, 0)))

    def __post_init__(self) -> None:
        m = len(self.direction_ids)
        object.__setattr__(self, "gain", frozen(self.gain, float, (-1, -1, m)))
        if self.gain_down is not None:
            if self.weight is None:
                raise ValueError("a rule of two signs needs the weights that tell them apart")
            shape = self.gain.shape
            object.__setattr__(self, "gain_down", frozen(self.gain_down, float, shape))
            object.__setattr__(self, "weight", frozen(self.weight, float, (shape[0], m)))
        if not self.load_ids:
            object.__setattr__(self, "load_gain", np.zeros((len(self.gain), 0, m)))
        elif self.weight is None:
            raise ValueError("loads are cut where something is lacking; the rule needs weights")
        size = (len(self.gain), len(self.load_ids), m)
        object.__setattr__(self, "load_gain", frozen(self.load_gain, float, size))

    def answer_kw(self, zeta: FloatArray, time: int) -> FloatArray:
        """(realization, der) change of output at one step; each row as if it were alone."""
        up = ordered_product(zeta, self.gain[time].T)
        if self.gain_down is None or self.weight is None:
            return up
        lacking = ordered_product(zeta, self.weight[time][:, None])[:, 0]
        return np.where(lacking[:, None] >= 0.0, up, ordered_product(zeta, self.gain_down[time].T))

    def cut_kw(self, zeta: FloatArray, time: int) -> FloatArray:
        """(realization, load) demand that is cut at one step; 0 where nothing is lacking."""
        if self.weight is None:
            return np.zeros((len(zeta), 0))
        lacking = ordered_product(zeta, self.weight[time][:, None])[:, 0]
        cut = ordered_product(zeta, self.load_gain[time].T)
        return np.where(lacking[:, None] > 0.0, np.maximum(cut, 0.0), 0.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AffineRule:
    """How active and reactive power of every phase follow a draw: ``s(ζ) = s⁰ + r_t + R_t ζ``.

    Attributes
    ----------
    direction_ids
        What each coordinate of a draw moves, in the scenario's order.
    offset_p_kw, offset_q_kvar
        (time, der, 3) ``r``, whatever the draw; ramps are counted from the plan's own ``s⁰``.
    gain_p_kw, gain_q_kvar
        (time, der, 3, direction) ``R``, per unit of the coordinate.
    """

    direction_ids: tuple[str, ...]
    offset_p_kw: FloatArray
    offset_q_kvar: FloatArray
    gain_p_kw: FloatArray
    gain_q_kvar: FloatArray

    def __post_init__(self) -> None:
        m = len(self.direction_ids)
        object.__setattr__(self, "offset_p_kw", frozen(self.offset_p_kw, float, (-1, -1, 3)))
        shape = self.offset_p_kw.shape
        object.__setattr__(self, "offset_q_kvar", frozen(self.offset_q_kvar, float, shape))
        for name in ("gain_p_kw", "gain_q_kvar"):
            object.__setattr__(self, name, frozen(getattr(self, name), float, (*shape, m)))

    def change(self, zeta: FloatArray, time: int) -> tuple[FloatArray, FloatArray]:
        """(realization, der, 3) kW and kvar beside the base; each row as if it were alone."""
        shape, width = self.offset_p_kw.shape[1:], len(self.direction_ids)

        def answer(offset: FloatArray, gain: FloatArray) -> FloatArray:
            moved = ordered_product(zeta, gain[time].reshape(-1, width).T)
            return np.asarray(offset[time] + moved.reshape(-1, *shape))

        return (
            answer(self.offset_p_kw, self.gain_p_kw),
            answer(self.offset_q_kvar, self.gain_q_kvar),
        )
