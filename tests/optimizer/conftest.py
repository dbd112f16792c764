"""What the constraint tests share: graphs, models of nothing but binaries, feasibility by HiGHS."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import highspy
import pyomo.environ as pyo
import pytest
from gridproof.optimizer.partitioning.topology import BlockGraph

_OPTIMAL, _INFEASIBLE = highspy.HighsModelStatus.kOptimal, highspy.HighsModelStatus.kInfeasible


def _graph(size: int, ends: Sequence[tuple[int, int]], formers: Sequence[int] = ()) -> BlockGraph:
    return BlockGraph(
        block_ids=tuple(f"b{i}" for i in range(size)),
        switch_ids=tuple(f"s{k}" for k in range(len(ends))),
        ends=tuple(ends),
        former_blocks=tuple(formers),
    )


def _decisions(graph: BlockGraph) -> Any:
    """A model with the three kinds of binaries and a row that keeps each in the file."""
    m = pyo.ConcreteModel()
    m.closed = pyo.Var(range(len(graph.ends)), domain=pyo.Binary)
    m.energized = pyo.Var(range(len(graph.block_ids)), domain=pyo.Binary)
    m.forming = pyo.Var(range(len(graph.former_blocks)), domain=pyo.Binary)
    every = [*m.closed.values(), *m.energized.values(), *m.forming.values()]
    m.present = pyo.Constraint(expr=sum(every) <= len(every))
    m.cost = pyo.Objective(expr=0 * every[0])
    return m


@dataclass(frozen=True)
class Solver:
    """A model held by HiGHS once, asked again and again with chosen variables fixed."""

    highs: Any
    columns: tuple[int, ...]

    def feasible(self, values: Sequence[int]) -> bool:
        for column, value in zip(self.columns, values, strict=True):
            self.highs.changeColBounds(column, value, value)
        self.highs.run()
        status = self.highs.getModelStatus()
        assert status in (_OPTIMAL, _INFEASIBLE), status
        return bool(status == _OPTIMAL)


@pytest.fixture(scope="session")
def make_graph() -> Callable[..., BlockGraph]:
    return _graph


@pytest.fixture(scope="session")
def decisions() -> Callable[[BlockGraph], Any]:
    return _decisions


@pytest.fixture(scope="session")
def hold(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Solver]:
    """Hand a Pyomo model to HiGHS through one LP file; ``free`` names the variables to fix."""
    folder = tmp_path_factory.mktemp("models")

    def held(m: Any, *kinds: str) -> Solver:
        path = Path(folder) / "model.lp"
        m.write(str(path), io_options={"symbolic_solver_labels": True})
        highs = highspy.Highs()
        highs.silent()
        assert highs.readModel(str(path)) == highspy.HighsStatus.kOk
        where = {name: k for k, name in enumerate(highs.getLp().col_names_)}
        columns = [where[f"{kind}({k})"] for kind in kinds for k in getattr(m, kind)]
        return Solver(highs=highs, columns=tuple(columns))

    return held
