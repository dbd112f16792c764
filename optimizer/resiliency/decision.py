"""What the first stage decided, as values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from gridproof.optimizer.resiliency.case import ResiliencyCase
from gridproof.optimizer.resiliency.first_stage import FirstStage
from gridproof.optimizer.resiliency.grid import Grid, energised
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray, frozen

__all__ = ["Decision", "idle", "load_mw"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Decision:
    """Commitment, switching and placement.

    Attributes
    ----------
    running
        (hour, chp).
    closed
        (hour, tie).
    placed
        (site,).
    """

    running: BoolArray
    closed: BoolArray
    placed: BoolArray

    def __post_init__(self) -> None:
        for name, shape in (("running", (-1, -1)), ("closed", (-1, -1)), ("placed", (-1,))):
            object.__setattr__(self, name, frozen(getattr(self, name), bool, shape))

    def moves(self, case: ResiliencyCase) -> tuple[BoolArray, BoolArray]:
        """(hour, chp) starts and stops."""
        before = np.vstack([case.chps.on_before[None], self.running[:-1]])
        return self.running & ~before, before & ~self.running

    def cost(self, case: ResiliencyCase) -> float:
        """First-stage cost, k$: running, starts and stops."""
        started, stopped = self.moves(case)
        own, step = case.chps, case.horizon.step_h
        usd = (self.running @ (step * own.running_usd_per_h)).sum()
        usd += (started @ own.start_usd).sum() + (stopped @ own.stop_usd).sum()
        return float(usd) / 1e3

    def alive(self, case: ResiliencyCase, grid: Grid) -> BoolArray:
        """(hour, block) whether its island has a source that forms."""
        return energised(case, grid, self.running, self.closed, self.placed)

    def values(
        self, case: ResiliencyCase, grid: Grid, stage: FirstStage
    ) -> tuple[IntArray, FloatArray]:
        """Columns of a first stage and their values here."""
        started, stopped = self.moves(case)
        pairs = (
            (stage.running, self.running),
            (stage.started, started),
            (stage.stopped, stopped),
            (stage.closed, self.closed),
            (stage.placed, self.placed),
            (stage.alive, self.alive(case, grid)),
        )
        columns = np.concatenate([c.ravel() for c, _ in pairs])
        return columns, np.concatenate([v.ravel().astype(float) for _, v in pairs])


def idle(case: ResiliencyCase, grid: Grid) -> Decision:
    """Return a decision that is always allowed: every CHP as before, nothing switched or placed."""
    hours = case.horizon.hours
    return Decision(
        running=np.tile(case.chps.on_before, (hours, 1)),
        closed=np.zeros((hours, len(grid.ties)), bool),
        placed=np.zeros(len(case.sites), bool),
    )


def load_mw(case: ResiliencyCase, up: FloatArray) -> FloatArray:
    """(hour, bus) MW: (2) with ``w⁺ = up``; ``w⁻`` never pays, as cost grows with every load."""
    return case.demand.p_kw / 1e3 * (1.0 + case.budgets.load_share * up)
