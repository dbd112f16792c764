"""DRO dispatch on a copperplate: (3) to (8) and (15) with one model, one method beside another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from time import perf_counter
from types import MappingProxyType

import numpy as np
from gridproof.optimizer.policy_mode.gaps import Gaps
from gridproof.optimizer.policy_mode.hedge import Hedge
from gridproof.optimizer.policy_mode.microgrid import Disturbance, Microgrid
from gridproof.optimizer.policy_mode.model import Columns, add_dispatch
from gridproof.optimizer.policy_mode.options import RESPONSES
from gridproof.optimizer.policy_mode.response import (
    add_affine,
    add_corners,
    add_duals,
    add_shared,
    add_totals,
)
from gridproof.optimizer.policy_mode.robust import Lazy, StepRows, search, solved
from gridproof.optimizer.policy_mode.shapes import Ellipsoid, Tail, Worst
from gridproof.optimizer.policy_mode.shortfall import shortfall
from gridproof.optimizer.solver.program import Program
from gridproof.optimizer.solver.solve import Answer, Arrays
from gridproof.scenarios.arrays import FloatArray, IntArray
from gridproof.scenarios.errors import NoPlanExists, PlanNotFound, ScenarioError
from gridproof.scenarios.proof import Proof, Termination
from gridproof.scenarios.sets import Wasserstein

__all__ = ["FORMS", "Dispatch", "dispatch", "read", "refuse", "refuse_shortfall", "reserve_rows"]

FORMS = ("dual", "corners", "worst")
_MOST_CORNERS = 12


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dispatch:
    """What is set, what is bought, and how disturbances are answered.

    Attributes
    ----------
    method, response
        How it came about.
    cost_usd
        (4) plus the reserves' prices, over all steps.
    costs_usd
        The same by part: energy, storage, spilled, shed, reserve, reactive.
    p_kw
        (time, der) set-points, discharge positive.
    up_kw, down_kw
        (time, der) reserves.
    interrupt_kw
        (time, load) up-reserve of interruptible load.
    energy_kwh
        (time, storage) stored at each step's end.
    spill_kw, shed_kw
        (time, renewable) and (time, load).
    both_ways_kw
        Most that any storage charges and discharges at once; no plan should.
    der, A
        (responder,) positions and (time, responder, component) response: of an affine one,
        ``r(w) = A_t (s_t ∘ w)`` kW; empty where it is shared.
    proven
        What is held for every disturbance of which set, in words; empty if nothing is.
    proof
        Termination, cost, bound; ``robust`` as `proven` says.
    """

    method: str
    response: str
    cost_usd: float
    costs_usd: Mapping[str, float]
    p_kw: FloatArray
    up_kw: FloatArray
    down_kw: FloatArray
    interrupt_kw: FloatArray
    energy_kwh: FloatArray
    spill_kw: FloatArray
    shed_kw: FloatArray
    both_ways_kw: float
    der: IntArray
    A: FloatArray
    proven: str
    proof: Proof
    seconds: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))


def dispatch(
    grid: Microgrid,
    disturbance: Disturbance,
    held: Hedge,
    *,
    response: str = "shared",
    form: str = "dual",
    time_limit_s: float = 60.0,
) -> Dispatch:
    """Dispatch over all steps without a network.

    Parameters
    ----------
    grid, disturbance
        What can be moved, and what may happen.
    held
        What it is held against (`hedge.hedge`).
    response
        ``"shared"`` or ``"affine"``.
    form
        How an affine response is held over the set: ``"dual"`` (exact), ``"corners"`` (the
        literal (15b), few components, a set that nothing cuts) or ``"worst"`` (lazy; what
        ellipsoids and tails take in any case).
    time_limit_s
        Wall time.

    Raises
    ------
    NoPlanExists, PlanNotFound
        As proven, or as time ran out.
    """
    _check(grid, disturbance, held, response, form)
    began, m = perf_counter(), Program()
    if response == "affine":
        refuse_shortfall(grid, disturbance, held, response, began)
    columns = add_dispatch(m, grid)
    A = np.zeros((len(disturbance.shape), 0, len(disturbance.ids)), dtype=np.int64)
    if response == "shared":
        add_shared(m, columns, held, disturbance.shape)
    else:
        A = add_affine(m, grid, disturbance)
        if isinstance(held.shape, Ellipsoid | Tail):
            form = "worst"
        _add_responses(m, grid, columns, held, d=disturbance, A=A, form=form)
    arrays = m.arrays()
    if response == "affine" and held.shape is not None and form == "worst":
        rows = reserve_rows(grid, columns, disturbance)
        ended = search(
            arrays, rows, A, disturbance.shape, Worst(held.shape), time_limit_s=time_limit_s
        )
    else:
        ended = _as_lazy(*solved(arrays, time_limit_s=time_limit_s))
    if ended.termination is Termination.INFEASIBLE and response == "shared":
        refuse_shortfall(grid, disturbance, held, response, began)
    refuse(ended, held, response, perf_counter() - began)
    what = f"reserves over {held.says}"
    return read(
        grid, columns, A, ended, arrays, held=held, response=response, proven=what,
        seconds=perf_counter() - began,
    )  # fmt: skip


def reserve_rows(
    grid: Microgrid, c: Columns, d: Disturbance, gaps: Gaps | None = None
) -> list[StepRows]:
    """``-down ≤ A (s ∘ w) ≤ up`` of every responder, for `robust.search`.

    ``gaps`` are what the forming DER makes good on top of its answer.
    """
    at = np.array(grid.responders)
    n, steps = len(at), len(d.shape)
    both, instead = np.concatenate([c.up[:, at], c.down[:, at]], axis=1), np.zeros((2 * n, 0))
    if gaps is not None:
        both = np.concatenate([both, gaps.columns], axis=1)
        own = (at == grid.forming).astype(float)
        instead = np.vstack([np.outer(own, gaps.up), np.outer(own, gaps.down)])
    return [
        StepRows(
            name="reserve",
            columns=both,
            B=np.hstack([-np.eye(2 * n), instead]),
            constant=np.zeros((steps, 2 * n)),
            right=np.zeros(2 * n),
            G=np.vstack([np.eye(n), -np.eye(n)]),
            D=np.zeros((2 * n, len(d.ids))),
        )
    ]


def _add_responses(
    m: Program,
    grid: Microgrid,
    c: Columns,
    held: Hedge,
    *,
    d: Disturbance,
    A: IntArray,
    form: str,
) -> None:
    if held.totals:
        add_totals(m, grid, c, held, d=d, A=A)
        return
    assert held.shape is not None
    if form == "dual":
        add_duals(m, grid, c, held.shape, d=d, A=A)
    elif form == "corners":
        cut = isinstance(held.shape, Wasserstein) and held.shape.cut
        if isinstance(held.shape, Ellipsoid | Tail) or cut or len(d.ids) > _MOST_CORNERS:
            raise ScenarioError(
                f"{len(d.ids)} components of {held.says}: corners are listed of up to "
                f'{_MOST_CORNERS} that nothing cuts; ask for form = "dual"'
            )
        add_corners(m, grid, c, np.array(list(held.shape.vertices())), d=d, A=A)


def _check(grid: Microgrid, d: Disturbance, held: Hedge, response: str, form: str) -> None:
    faults = []
    steps = len(grid.duration_h)
    if len(d.shape) != steps:
        faults.append(f"disturbances are given for {len(d.shape)} steps; there are {steps}")
    wide = {"der": (d.of_der.shape[1], len(grid.ders.ids))}
    wide["load"] = (d.of_load.shape[1], len(grid.load_ids))
    faults += [
        f"disturbances land on {found} {what}s; there are {wanted}"
        for what, (found, wanted) in wide.items()
        if found != wanted
    ]
    size = None if held.shape is None else held.shape.size
    if size is not None and size != len(d.ids):
        faults.append(f"the set has {size} components, the disturbance {len(d.ids)}")
    if held.totals and len(held.totals) != steps:
        faults.append(f"the set has {len(held.totals)} steps; there are {steps}")
    if response not in RESPONSES:
        faults.append(f"unknown response {response!r}; there are {', '.join(RESPONSES)}")
    if form not in FORMS:
        faults.append(f"unknown form {form!r}; there are {', '.join(FORMS)}")
    if faults:
        raise ScenarioError(faults)


def _as_lazy(answer: Answer, x: FloatArray) -> Lazy:
    return Lazy(
        termination=answer.termination, x=x, rounds=1,
        objective=answer.incumbent if answer.found else answer.bound, rows=0,
        programs=0, worst_kw=0.0, broken=0,
    )  # fmt: skip


def refuse_shortfall(
    grid: Microgrid, disturbance: Disturbance, held: Hedge, response: str, began: float
) -> None:
    """Raise `NoPlanExists` where the set asks for more reserve than there is, and say when."""
    lack = shortfall(grid, disturbance, held, response)
    if lack is None or not lack.proven:
        return
    proof = Proof(
        termination=Termination.INFEASIBLE, incumbent=np.inf, bound=np.inf,
        seconds=MappingProxyType({"total": perf_counter() - began}),
    )  # fmt: skip
    raise NoPlanExists(f"no plan exists: {_said(held, response)}: {lack.told()}; {_REMEDY}", proof)


def refuse(ended: Lazy, held: Hedge, response: str, seconds: float) -> None:
    """Raise what a search without any plan comes to."""
    if ended.termination is not Termination.INFEASIBLE and np.isfinite(ended.x).all():
        return
    proven = ended.termination is Termination.INFEASIBLE
    bound = ended.objective if np.isfinite(ended.objective) else -np.inf
    proof = Proof(
        termination=ended.termination,
        incumbent=np.inf,
        bound=np.inf if proven else bound,
        iterations=ended.rounds,
        seconds=MappingProxyType({"total": seconds}),
    )
    what = _said(held, response)
    if proven:
        raise NoPlanExists(f"no plan exists: {what}: {ended.binds or _NO_RULE}; {_REMEDY}", proof)
    least = f"every plan costs at least {bound:.2f} USD" if np.isfinite(bound) else "nothing"
    raise PlanNotFound(
        f"no plan was found in {seconds:.1f} s: {what}; neither is it proven that there is none; "
        f"known is: {least}",
        proof,
    )


_REMEDY = "a smaller radius, a larger rho or more reserve may help"
_NO_RULE = "in sum there is reserve enough, but no response shares it out within every unit's own"


def _said(held: Hedge, response: str) -> str:
    return f"{held.method}, {response} response, held for {held.says}"


def read(
    grid: Microgrid,
    c: Columns,
    A: IntArray,
    ended: Lazy,
    arrays: Arrays,
    *,
    held: Hedge,
    response: str,
    proven: str,
    seconds: float,
) -> Dispatch:
    """Read a solution."""
    x = ended.x
    spent = arrays.cost * x
    energy = spent[c.p].sum()
    parts = {
        "energy": energy,
        "storage": spent[c.charge].sum() + spent[c.discharge].sum(),
        "spilled": spent[c.spill].sum(),
        "shed": spent[c.shed].sum(),
        "reserve": spent[c.up].sum() + spent[c.down].sum() + spent[c.interrupt].sum(),
    }
    parts["reactive"] = ended.objective - sum(parts.values())
    done = ended.termination is Termination.OPTIMAL
    both = np.minimum(x[c.charge], x[c.discharge])
    return Dispatch(
        method=held.method,
        response=response,
        cost_usd=ended.objective,
        costs_usd=MappingProxyType({name: float(usd) for name, usd in parts.items()}),
        p_kw=x[c.p],
        up_kw=x[c.up],
        down_kw=x[c.down],
        interrupt_kw=x[c.interrupt],
        energy_kwh=x[c.energy],
        spill_kw=x[c.spill],
        shed_kw=x[c.shed],
        both_ways_kw=float(both.max(initial=0.0)),
        der=np.array(grid.responders if A.size else (), dtype=np.int64),
        A=x[A] if A.size else np.zeros(A.shape),
        proven=proven if done else "",
        proof=Proof(
            termination=ended.termination,
            incumbent=ended.objective if done else np.inf,
            bound=ended.objective,
            robust=done and bool(proven),
            iterations=ended.rounds,
            realizations_kept=ended.rows,
            seconds=MappingProxyType({"total": seconds}),
        ),
    )
