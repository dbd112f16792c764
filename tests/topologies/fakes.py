"""Federates' work without any optimizer or simulator: proportional re-dispatch, a linear grid."""

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from gridproof.federation.members.jobs import FeederJob, PlannerJob
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.realization import Realizations, draw
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.setpoints import Setpoints
from gridproof.scenarios.snapshot import Snapshots
from gridproof.scenarios.verdict import Verdicts

SEED = 7


def tiny() -> tuple[Scenario, Plan]:
    """The tiny scenario and plan of the shared fixtures; a child process has no fixtures."""
    place = Path(__file__).parents[1] / "conftest.py"
    spec = importlib.util.spec_from_file_location("shared_fixtures", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    scenario = module._scenario()
    return scenario, module._plan(scenario)


class ShareRecourse:
    """Scales the base set-points with the demand; finds none above ``most`` of nominal."""

    def __init__(self, scenario: Scenario, plan: Plan, most: float = np.inf) -> None:
        self._nominal_kw, self._plan, self._most = scenario.load_p_kw[0].sum(), plan, most

    def respond(self, realizations: Realizations) -> Setpoints:
        share = realizations.p_kw[:, 0].sum(axis=(1, 2)) / self._nominal_kw
        wide = share[:, None, None]
        return Setpoints(
            index=realizations.index,
            found=share <= self._most,
            p_kw=self._plan.p_kw[0] * wide,
            q_kvar=self._plan.q_kvar[0] * wide,
            source_v_pu=np.tile(self._plan.source_v_pu[0], (len(share), 1)),
        )


class SagEngine:
    """Every bus sags by the same share of the demand that its DERs do not cover."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self.held: list[Plan] = []
        self.closed = False

    def hold(self, plan: Plan, time: int = 0) -> None:  # noqa: ARG002
        self.held.append(plan)

    def observe(self, realizations: Realizations, setpoints: Setpoints) -> Snapshots:
        feeder, n = self._scenario.feeder, len(realizations)
        asked_kw = realizations.p_kw[:, 0].sum(axis=(1, 2))
        sag = 1.0 - 0.0004 * asked_kw
        level = np.broadcast_to(sag[:, None, None], (n, len(feeder.buses.ids), 3))
        return Snapshots(
            index=realizations.index,
            converged=np.ones(n, bool),
            iterations=np.full(n, 3),
            v_pu=level,
            v_ll_pu=level,
            current_a=np.ones((n, len(feeder.lines.ids), 3)),
            transformer_kva=np.zeros((n, 0)),
            der_p_kw=setpoints.p_kw,
            der_q_kvar=setpoints.q_kvar,
            delivered_kw=asked_kw,
            requested_kw=asked_kw,
            losses_kw=np.zeros(n),
        )

    def close(self) -> None:
        self.closed = True


class ListSink:
    """Keeps everything in order."""

    def __init__(self) -> None:
        self.plans: list[Plan] = []
        self.batches: list[tuple[Realizations, Setpoints, Snapshots, Verdicts]] = []

    def accept(self, plan: Plan) -> None:
        self.plans.append(plan)

    def write(self, realizations, setpoints, snapshots, verdicts, second=None) -> None:
        assert second is None  # one engine judges here
        self.batches.append((realizations, setpoints, snapshots, verdicts))

    @property
    def indices(self) -> list[int]:
        return [int(k) for batch in self.batches for k in batch[3].index]

    def verdict_bytes(self) -> bytes:
        parts = [batch[3] for batch in self.batches]
        columns = ("index", "outcome", "margin", "element", "phase")
        return b"".join(
            np.concatenate([getattr(v, name) for v in parts]).tobytes() for name in columns
        )


def batches(total: int, size: int) -> list[tuple[int, int]]:
    return [(first, min(size, total - first)) for first in range(0, total, size)]


def planner_job(
    scenario: Scenario,
    plan: Plan,
    *,
    make_plan: Callable[[], Plan] | None = None,
    most: float = np.inf,
    respond: Callable[[Realizations], Setpoints] | None = None,
) -> PlannerJob:
    def make_recourse(made: Plan):
        recourse = ShareRecourse(scenario, made, most)
        if respond is not None:
            recourse.respond = respond
        return recourse

    return PlannerJob(
        scenario=scenario, make_plan=make_plan or (lambda: plan), make_recourse=make_recourse
    )


def feeder_job(
    scenario: Scenario,
    sink: ListSink,
    ranges: Sequence[tuple[int, int]] = ((0, 4), (4, 4), (8, 2)),
    engine: SagEngine | None = None,
) -> FeederJob:
    return FeederJob(
        scenario=scenario,
        make_engine=lambda plan: engine or SagEngine(scenario),  # noqa: ARG005
        draw=lambda first, count: draw(scenario, SEED, first, count),
        ranges=ranges,
        sink=sink,
    )
