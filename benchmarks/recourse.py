"""The linear recourse against one warm-started linear program a realization.

Both sides settle the same realizations of the networked IEEE 37 case with the same program, by
regions and rays or kept alive in HiGHS with its last basis, and are timed in one run,
interleaved. The recourse's side includes holding every demand against its coordinates in the
set, and the set-points themselves.

Compiled walks, which campaigns with ``engine = "fast"`` have, are set beside regions written out,
on realizations that neither side has seen before; learning is left out of both.

``python -m benchmarks.recourse [REALIZATIONS [REPEATS]]``
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from time import perf_counter

import numpy as np
from gridproof.federation.studies.study import load_study
from gridproof.optimizer.planner import make_planner
from gridproof.optimizer.recourse.linear import LinearRecourse
from gridproof.optimizer.recourse.policies import make_recourse
from gridproof.optimizer.solver.parametric import ParametricProgram
from gridproof.optimizer.solver.solve_again import LinearProgram
from gridproof.scenarios.arrays import BoolArray, FloatArray
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.proof import Termination
from gridproof.scenarios.realization import draw
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.setpoints import Setpoints

from benchmarks._bench import Row, compare, table

__all__ = ["run"]

LEVELS = ("0.10", "0.15", "0.25")
METHODS = ("nominal", "column_and_constraint")
ALL_LEVELS = ("0.0", *LEVELS)


def _planned(level: str, method: str) -> tuple[Scenario, Plan]:
    asked = [f"uncertainty.spread={level}", f"planner.method={method}"]
    study = load_study("ieee37-networked", asked)
    planner = make_planner(study.config.planner.family, study.config.planner.options)
    return study.scenario, planner.plan(study.scenario)


def _one_by_one(program: ParametricProgram, parameters: FloatArray) -> BoolArray:
    rows, solver = program.form.rows, LinearProgram(program.arrays())
    every, feasible = np.arange(len(rows.lower)), np.zeros(len(parameters), dtype=bool)
    for k, theta in enumerate(parameters):
        moved = rows.shift @ theta
        solver.set_rows(every, rows.lower - moved, rows.upper - moved)
        feasible[k] = solver.run() is Termination.OPTIMAL
    return feasible


def _answered(level: str, method: str, count: int, repeats: int) -> Row:
    scenario, plan = _planned(level, method)
    realizations = draw(scenario, 1, 0, count)
    recourse, every = LinearRecourse(plan, scenario), np.arange(count)

    def by_products() -> BoolArray:
        return recourse.respond(realizations).found

    def one_by_one() -> BoolArray:
        feasible = np.ones(count, dtype=bool)
        for island in recourse.islands:
            program = island.program(boxed=True).program
            feasible &= _one_by_one(program, island.parameters(realizations, every, 0, boxed=True))
        return feasible

    if not np.array_equal(by_products(), one_by_one()):
        raise RuntimeError(f"the two differ at {level}, {method}; the timing means nothing")
    share = by_products().mean()
    subject = f"±{100 * float(level):.0f} %, {method}, {100 * share:.1f} % feasible"
    return compare(subject, by_products, one_by_one, units=count, repeats=repeats)


def _rate(level: str, method: str, count: int) -> str:
    """Realizations that linear recourse answers in a second: those first asked, and more."""
    scenario, plan = _planned(level, method)
    began = perf_counter()
    recourse = make_recourse("linear", plan, scenario)
    recourse.respond(draw(scenario, 1, 0, 1))
    built = perf_counter() - began
    rates = []
    for part in range(2):
        seconds = 0.0
        for first in range(part * count, (part + 1) * count, 256):
            batch = draw(scenario, 1, first, min(256, (part + 1) * count - first))
            began = perf_counter()
            recourse.respond(batch)
            seconds += perf_counter() - began
        rates.append(count / seconds)
    return (
        f"±{100 * float(level):.0f} %, {method}: {rates[0]:.0f}/s, then {rates[1]:.0f}/s; "
        f"built in {built:.2f} s"
    )


def _walked(name: str, count: int, repeats: int) -> Row:
    """Compiled walks against regions that are written out, every time other realizations."""
    study = load_study(name)
    planner = make_planner(study.config.planner.family, study.config.planner.options)
    plan = planner.plan(study.scenario)
    found: dict[bool, list[Setpoints]] = {True: [], False: []}

    def side(*, quick: bool) -> Callable[[], None]:
        recourse = make_recourse("linear", plan, study.scenario, quick=quick)

        def respond() -> None:
            drawn = draw(study.scenario, 1, count * len(found[quick]), count)
            found[quick].append(recourse.respond(drawn))

        return respond

    sides = side(quick=True), side(quick=False)
    row = compare(f"{name}, compiled walks", *sides, units=count, repeats=repeats)
    for one, other in zip(found[True], found[False], strict=True):
        apart = np.abs(one.p_kw - other.p_kw).max()
        if not np.array_equal(one.found, other.found) or apart > 1e-6:
            raise RuntimeError(f"the two differ on {name}; the timing means nothing")
    return row


def run(count: int = 10_000, repeats: int = 3) -> None:
    """Print all tables."""
    walked = [_walked(name, count, repeats) for name in ("ieee37-networked", "ieee123-networked")]
    print(table(walked, "compiled walks", "regions written out"))
    rows = [_answered(level, method, count, repeats) for level in LEVELS for method in METHODS]
    print(f"Linear recourse, {count} realizations, found equal on every one")
    print(table(rows, "regions and rays", "one program each"))
    print(f"\nLinear recourse, twice {count // 2} realizations in batches of 256")
    for level in ALL_LEVELS:
        for method in METHODS:
            print(_rate(level, method, count // 2))


if __name__ == "__main__":
    run(*(int(argument) for argument in sys.argv[1:]))
