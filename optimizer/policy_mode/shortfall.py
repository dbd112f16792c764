"""How many kW of reserve a set asks for beyond all there is, hour by hour.

Whatever the response, what is bought in sum is at least the largest total of the set::

    Σ_i up_i ≥ Σ_i max r_i(w) ≥ max Σ_i r_i(w) = max s·w,        and of surpluses likewise

so that a dispatch bound by these sums alone is a relaxation: where it lacks reserve no plan
exists, over that set with those who may answer. It has no component of a disturbance in it and is
solved in milliseconds, before the program that would take a minute to say less.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from gridproof.optimizer.policy_mode.hedge import Hedge, needs
from gridproof.optimizer.policy_mode.microgrid import Disturbance, Microgrid
from gridproof.optimizer.policy_mode.model import Columns, add_dispatch
from gridproof.optimizer.solver.program import Program, Term
from gridproof.optimizer.solver.solve import solve_arrays
from gridproof.scenarios.arrays import FloatArray
from gridproof.scenarios.proof import Termination

__all__ = ["Shortfall", "shortfall"]

_NOTHING = 1e-3  # kW, as of a row that counts as held


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shortfall:
    """The least reserve that is lacking in sum over all steps.

    Attributes
    ----------
    lacking_kw
        (time,) up and down together; 0 where there is enough.
    need_up_kw, need_down_kw
        (time,) largest deficit and surplus of the set.
    start_h
        (time,) start of each step, hours from that of the first.
    answering
        Names of the DERs that may answer.
    both_ways
        Whether only those take part who answer both ways.
    """

    lacking_kw: FloatArray
    need_up_kw: FloatArray
    need_down_kw: FloatArray
    start_h: FloatArray
    answering: tuple[str, ...]
    both_ways: bool

    @property
    def proven(self) -> bool:
        """Whether reserve is lacking, which no plan can mend."""
        return bool(self.lacking_kw.max(initial=0.0) > _NOTHING)

    def told(self) -> str:
        """Say when how much is lacking, of what and of whom."""
        worst = int(self.lacking_kw.argmax())
        short = int((self.lacking_kw > _NOTHING).sum())
        who = "those who answer both ways" if self.both_ways else "interruptible loads and DERs"
        return (
            f"{self.start_h[worst]:g} h after the start {self.lacking_kw[worst]:.0f} kW of reserve "
            "are lacking: "
            f"the set asks for {self.need_up_kw[worst]:.0f} kW up and "
            f"{self.need_down_kw[worst]:.0f} kW down, both held ready, of {who} "
            f"({', '.join(self.answering)}); {short} of {len(self.lacking_kw)} steps lack some, "
            f"{self.lacking_kw.sum():.0f} kW in sum"
        )


def shortfall(
    grid: Microgrid, disturbance: Disturbance, held: Hedge, response: str
) -> Shortfall | None:
    """Return the least lack of reserve; None where the method is no set (joint CVaR), or no time.

    Parameters
    ----------
    grid, disturbance, held, response
        As for `dispatch.dispatch`; a network only takes plans away.
    """
    if held.samples is not None and response == "shared":
        return None
    need = needs(held, disturbance.shape)
    m = Program()
    c = add_dispatch(m, grid)
    sides = _answers(grid, c, response)
    steps = len(need[0])
    short = m.columns(2 * steps, upper=np.inf).reshape(2, steps)
    for terms, most, slack in zip(sides, need, short, strict=True):
        m.rows("reserve", *terms, (1.0, slack), lower=most)
    arrays = m.arrays()
    cost = np.zeros(len(arrays.cost))
    cost[short] = 1.0
    answer, x = solve_arrays(replace(arrays, cost=cost))
    if answer.termination is not Termination.OPTIMAL:
        return None  # without any reserve, too, there is no dispatch
    both = response == "affine"
    prices = grid.prices
    offers = np.isfinite(prices.reserve_up_usd_per_kw) | np.isfinite(prices.reserve_down_usd_per_kw)
    who = grid.responders if both else tuple(np.flatnonzero(offers).tolist())
    return Shortfall(
        lacking_kw=np.maximum(x[short].sum(axis=0), 0.0),
        need_up_kw=need[0],
        need_down_kw=need[1],
        start_h=np.cumsum(grid.duration_h) - grid.duration_h,
        answering=tuple(grid.ders.ids[g] for g in who),
        both_ways=both,
    )


def _answers(grid: Microgrid, c: Columns, response: str) -> tuple[list[Term], list[Term]]:
    """Columns of reserve up and down of those who take part."""
    if response == "affine":
        at = grid.responders
        return [(1.0, c.up[:, g]) for g in at], [(1.0, c.down[:, g]) for g in at]
    every = (c.up, c.interrupt)
    up = [(1.0, one[:, k]) for one in every for k in range(one.shape[1])]
    return up, [(1.0, c.down[:, k]) for k in range(c.down.shape[1])]
