"""What a rule answers though it does not happen: the forming DER makes it good.

An affine rule answers a disturbance ``w`` whole. Two parts of it need not come:

- **more sun** than an inverter carries beside its reactive power: of ``p - w`` it gives no more
  than its rating leaves, and up to ``lost`` is missing;
- **what a load that is curtailed would have added**: of a load served in the share ``1 - x`` also
  its error is, so that up to ``x |w| ≤ shed · max |w| / load`` is missing, of either sign.

Both are bounded over the set, as columns and as multiples of what is shed, and kept in the forming
DER's reserve and in every row of the network, at whichever end makes the row worse.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from gridproof.optimizer.policy_mode.microgrid import Disturbance, Microgrid
from gridproof.optimizer.policy_mode.model import Columns
from gridproof.optimizer.policy_mode.shapes import Shape, bound
from gridproof.optimizer.solver.program import Program
from gridproof.scenarios.arrays import FloatArray, IntArray

__all__ = ["Gaps", "add_gaps"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Gaps:
    """Columns and multiples that bound what does not come.

    Attributes
    ----------
    lost
        (time, renewable) columns, kW of sun.
    shed
        (time, load) columns of what is curtailed.
    more, less
        (load,) largest added and largest dropped demand of the set, as shares of the load.
    """

    lost: IntArray
    shed: IntArray
    more: FloatArray
    less: FloatArray

    @property
    def columns(self) -> IntArray:
        """(time, gap) all columns, the sun first."""
        return np.concatenate([self.lost, self.shed], axis=1)

    @property
    def up(self) -> FloatArray:
        """(gap,) kW that the forming DER gives on top of its answer, a kW of each column."""
        return np.concatenate([np.ones(self.lost.shape[1]), self.less])

    @property
    def down(self) -> FloatArray:
        """(gap,) kW that it gives less."""
        return np.concatenate([np.zeros(self.lost.shape[1]), self.more])

    def worst(self, of_p: FloatArray, of_shed: FloatArray) -> FloatArray:
        """(row, gap) slopes of rows at whichever end makes them worse.

        Parameters
        ----------
        of_p
            (row, renewable) effect of a kW that a renewable gives.
        of_shed
            (row, load) effect of a kW that a load takes less.
        """
        sheds = np.maximum(of_shed, 0.0) * self.more + np.maximum(-of_shed, 0.0) * self.less
        return np.hstack([np.maximum(-of_p, 0.0), sheds])


def add_gaps(m: Program, grid: Microgrid, d: Disturbance, c: Columns, over: Shape | None) -> Gaps:
    """Add the columns of lost sun, bounded over the set; all is 0 where no set is held."""
    own = grid.fleet.renewables
    most = np.zeros((len(d.shape), len(own.ids)))
    more = less = np.zeros(len(grid.load_ids))
    if over is not None:
        most = _most(over, d.shape, -d.of_der[:, own.der])
        load = np.maximum(grid.load_kw, 1e-9)
        served = np.where(grid.load_kw > 0.0, 1.0 / load, 0.0)
        more = (_most(over, d.shape, d.of_load) * served).max(axis=0)
        less = (_most(over, d.shape, -d.of_load) * served).max(axis=0)
    lost = m.columns(most.size, upper=most.ravel()).reshape(most.shape)
    return Gaps(lost=lost, shed=c.shed, more=more, less=less)


def _most(over: Shape, shape: FloatArray, of_w: FloatArray) -> FloatArray:
    """(time, place) most that the set brings to places where (component, place) of it lands."""
    places = np.flatnonzero(np.abs(of_w).max(axis=0, initial=0.0))
    found = np.zeros((len(shape), of_w.shape[1]))
    slope = np.einsum("tj,ji->tij", shape, of_w[:, places])
    top, _ = bound(over, slope.reshape(-1, of_w.shape[0]))
    found[:, places] = np.maximum(top, 0.0).reshape(len(shape), len(places))
    return found
