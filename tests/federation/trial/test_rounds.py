"""Further rounds: who is asked again, with what, and what comes of each realization."""

from dataclasses import fields, replace

import numpy as np
import pytest
from gridproof.federation.members.jobs import FeederJob, PlannerJob
from gridproof.federation.members.session import SessionSettings, run_session
from gridproof.federation.studies.study import load_study
from gridproof.federation.trial.rounds import ROUNDS_COLUMN, Tried, mend
from gridproof.optimizer.planner import make_planner
from gridproof.optimizer.recourse.policies import make_recourse
from gridproof.scenarios.errors import ConfigError, FederationError
from gridproof.scenarios.realization import Realizations, draw
from gridproof.scenarios.setpoints import Setpoints
from gridproof.scenarios.snapshot import Snapshots
from gridproof.scenarios.verdict import MarginKind, Outcome, Verdicts, judge
from gridproof.simulator.opendss.engine import OpenDssEngine

COUNT = 48


# ------------------------------------------------------------------ the protocol, with a script
def _realizations(count: int) -> Realizations:
    return Realizations(
        index=np.arange(10, 10 + count),
        zeta=np.zeros((count, 1)),
        p_kw=np.ones((count, 1, 1, 3)),
        q_kvar=np.ones((count, 1, 1, 3)),
    )


def _setpoints(index: np.ndarray, found: np.ndarray, kw: float) -> Setpoints:
    wide = np.full((len(index), 1, 3), kw)
    return Setpoints(
        index=index, found=found, p_kw=wide, q_kvar=wide, source_v_pu=np.ones((len(index), 1))
    )


class _Script:
    """Physics by a table: outcome of realization ``index`` at its n-th try."""

    def __init__(self, outcomes: dict[int, list[Outcome]], given_up: dict[int, int]) -> None:
        self._outcomes, self._given_up = outcomes, given_up
        self.asked: list[list[int]] = []

    def observe(self, some: Realizations, told: Setpoints) -> tuple[Snapshots, Verdicts]:
        np.testing.assert_array_equal(some.index, told.index)
        count = len(some)
        tries = told.p_kw[:, 0, 0].astype(int)
        outcome = [
            self._outcomes[i][k] for i, k in zip(some.index.tolist(), tries.tolist(), strict=True)
        ]
        solved = np.array([o is not Outcome.NO_SOLUTION for o in outcome], bool)
        wide = np.broadcast_to(tries[:, None, None], (count, 1, 3)).astype(float)
        seen = Snapshots(
            index=some.index,
            converged=solved,
            iterations=tries,
            v_pu=wide,
            v_ll_pu=wide,
            current_a=wide,
            transformer_kva=np.zeros((count, 0)),
            der_p_kw=wide,
            der_q_kvar=wide,
            delivered_kw=np.ones(count),
            requested_kw=np.ones(count),
            losses_kw=np.zeros(count),
        )
        kinds = len(MarginKind)
        return seen, Verdicts(
            index=some.index,
            outcome=np.array([int(o) for o in outcome], dtype=np.int64),
            margin=np.where(solved[:, None], tries[:, None] * np.ones(kinds), np.nan),
            element=np.zeros((count, kinds)),
            phase=np.zeros((count, kinds)),
        )

    def ask(self, number: int, measured: Snapshots) -> Setpoints:
        self.asked.append(measured.index.tolist())
        np.testing.assert_array_equal(measured.iterations, number - 1)  # of the try before
        found = np.array([self._given_up.get(i) != number for i in measured.index.tolist()], bool)
        return _setpoints(measured.index, found, float(number))


FINE, BAD, NONE, ERR = Outcome.FEASIBLE, Outcome.VIOLATED, Outcome.NO_SOLUTION, Outcome.ERRED


def _mended(outcomes, *, found=None, given_up=None, rounds=3):
    batch = _realizations(len(outcomes))
    there = np.ones(len(outcomes), bool) if found is None else np.array(found)
    script = _Script(dict(zip(batch.index.tolist(), outcomes, strict=True)), given_up or {})
    answer = _setpoints(batch.index, there, 0.0)
    settled = mend(batch, answer, rounds=rounds, observe=script.observe, ask=script.ask)
    return settled, script


def test_only_what_is_outside_a_limit_is_asked_again():
    settled, script = _mended([[FINE], [BAD, FINE], [BAD, BAD, FINE], [NONE], [ERR]])
    assert script.asked == [[11, 12], [12]]
    assert settled.verdicts.outcome.tolist() == [FINE, FINE, FINE, NONE, ERR]
    assert settled.trace[ROUNDS_COLUMN].tolist() == [0, 1, 2, 0, 0]
    assert settled.setpoints.p_kw[:, 0, 0].tolist() == [0, 1, 2, 0, 0]  # what it passed with
    assert settled.snapshots.iterations.tolist() == [0, 1, 2, 0, 0]


def test_what_no_round_mends_is_not_mended():
    settled, script = _mended([[BAD, BAD, BAD, BAD]], rounds=3)
    assert len(script.asked) == 3
    assert settled.verdicts.outcome.tolist() == [Outcome.NOT_MENDED]
    assert settled.verdicts.margin[0, 0] == 3.0  # of the last try
    settled, script = _mended([[BAD, FINE]], rounds=0)
    assert script.asked == []
    assert settled.verdicts.outcome.tolist() == [Outcome.NOT_MENDED]


def test_what_the_planner_gives_up_is_not_tried_again():
    settled, script = _mended([[BAD, FINE], [BAD, BAD, FINE]], given_up={10: 1})
    assert script.asked == [[10, 11], [11]]
    assert settled.verdicts.outcome.tolist() == [Outcome.NOT_MENDED, FINE]
    assert settled.setpoints.p_kw[:, 0, 0].tolist() == [0, 2]


def test_a_try_without_a_solution_keeps_the_one_before():
    settled, script = _mended([[BAD, NONE]])
    assert len(script.asked) == 1
    assert settled.verdicts.outcome.tolist() == [Outcome.NOT_MENDED]
    assert settled.snapshots.iterations.tolist() == [0]


def test_without_linear_recourse_the_base_is_tried_and_may_be_mended():
    settled, script = _mended(
        [[FINE], [BAD, FINE], [BAD, BAD], [NONE]], found=[False] * 4, rounds=1
    )
    assert script.asked == [[11, 12]]
    none = Outcome.NO_RECOURSE
    assert settled.verdicts.outcome.tolist() == [FINE, FINE, none, none]
    assert np.isnan(settled.verdicts.margin[2:]).all()
    assert np.isfinite(settled.verdicts.margin[:2]).all()
    assert settled.setpoints.found.tolist() == [True, True, False, False]


def test_a_recourse_that_cannot_correct_says_so():
    batch = _realizations(2)
    tried = Tried(object(), batch, _setpoints(batch.index, np.ones(2, bool), 0.0))
    with pytest.raises(FederationError, match=r'recourse = "ac"'):
        tried.again(_Script({10: [BAD]}, {}).observe(
            batch.take(np.array([0])), _setpoints(batch.index[:1], np.ones(1, bool), 0.0)
        )[0])  # fmt: skip


# ------------------------------------------------------------------ the whole, on the 37-bus case
class _Kept:
    def __init__(self) -> None:
        self.parts: list[tuple] = []
        self.traces: list[np.ndarray] = []

    def accept(self, plan) -> None:
        pass

    def keep_trace(self, trace) -> None:
        self.traces.append(trace[ROUNDS_COLUMN])

    def write(self, *batch) -> None:
        self.parts.append(batch)

    def bytes(self) -> bytes:
        columns = [
            np.concatenate([getattr(part[k], field.name) for part in self.parts])
            for k in (1, 2, 3)
            for field in fields(self.parts[0][k])
        ]
        return b"".join(c.tobytes() for c in [*columns, np.concatenate(self.traces)])

    @property
    def verdicts(self) -> list[Verdicts]:
        return [part[3] for part in self.parts]


@pytest.fixture(scope="module")
def nominal():
    asked = ["uncertainty.spread=0.15", "planner.method=nominal", "campaign.recourse=ac"]
    study = load_study("ieee37-networked", asked)
    planner = make_planner(study.config.planner.family, study.config.planner.options)
    plan = planner.plan(study.scenario)
    return study.scenario, plan, make_recourse("ac", plan, study.scenario)


def _run(nominal, transport: str, batch: int, *, rounds: int = 8, recourse=None):
    scenario, plan, ready = nominal
    sink = _Kept()
    feeder = FeederJob(
        scenario=scenario,
        make_engine=lambda _: OpenDssEngine(scenario),
        draw=lambda start, count: draw(scenario, 1, start, count),
        ranges=[(k, min(batch, COUNT - k)) for k in range(0, COUNT, batch)],
        sink=sink,
        keep_trace=sink.keep_trace if rounds else None,
        rounds=rounds,
    )
    planner = PlannerJob(
        scenario=scenario, make_plan=lambda: plan, make_recourse=lambda _: recourse or ready
    )
    run_session(planner, feeder, SessionSettings(transport=transport, batch=batch))
    return sink


def test_linear_violations_are_mended_and_every_feasible_one_is_an_ac_solution(nominal):
    scenario, plan, _ = nominal
    before = _run(nominal, "local", COUNT, rounds=0)
    after = _run(nominal, "local", COUNT)
    was, now = before.verdicts[0].outcome, after.verdicts[0].outcome
    assert (was == Outcome.VIOLATED).sum() >= 3
    assert (now[was == Outcome.VIOLATED] == Outcome.FEASIBLE).all()
    assert (now[was == Outcome.FEASIBLE] == Outcome.FEASIBLE).all()
    taken = after.traces[0]
    assert (taken[was == Outcome.FEASIBLE] == 0).all()
    assert (taken[was == Outcome.VIOLATED] >= 1).all()
    engine = OpenDssEngine(scenario)
    engine.hold(plan)
    realizations, setpoints, *_ = after.parts[0]
    rows = np.flatnonzero(now == Outcome.FEASIBLE)
    seen = engine.observe(realizations.take(rows), setpoints.take(rows))
    engine.close()
    assert (judge(seen, plan, scenario).outcome == Outcome.FEASIBLE).all()


@pytest.mark.slow
def test_bytes_are_the_same_by_any_transport_batch_and_history(nominal):
    scenario, plan, _ = nominal
    one = _run(nominal, "local", COUNT).bytes()
    assert _run(nominal, "local", 7).bytes() == one
    assert _run(nominal, "inproc", 19).bytes() == one
    assert (
        _run(nominal, "local", COUNT, recourse=make_recourse("ac", plan, scenario)).bytes() == one
    )


def test_corrections_make_the_model_exact_where_it_was_tried(nominal):
    """The corrected answer's own prediction comes true to second order: errors fall by rounds."""
    scenario, plan, recourse = nominal
    engine = OpenDssEngine(scenario)
    engine.hold(plan)
    batch = draw(scenario, 1, 0, COUNT)
    answer = recourse.respond(batch)
    seen = engine.observe(batch, answer)
    rows = np.flatnonzero(answer.found & (judge(seen, plan, scenario).outcome == Outcome.VIOLATED))
    batch, answer, seen = batch.take(rows), answer.take(rows), seen.take(rows)
    forming = plan.grid_forming[0]
    errors = []
    for _ in range(4):
        errors.append(np.abs(answer.p_kw - seen.der_p_kw)[:, forming].max())
        answer = recourse.correct(batch, answer, seen)
        assert answer.found.all()
        seen = engine.observe(batch, answer)
    engine.close()
    assert errors[0] > 1.0  # kW that the lossless model leaves out
    assert errors[1] < 0.5 * errors[0]
    assert errors[3] < 0.05 * errors[0]


def test_what_was_not_measured_is_given_up(nominal):
    scenario, _, recourse = nominal
    batch = draw(scenario, 1, 0, 2)
    answer = recourse.respond(batch)
    engine = OpenDssEngine(scenario)
    engine.hold(nominal[1])
    seen = engine.observe(batch, answer)
    engine.close()
    blank = replace(seen, converged=np.array([True, False]), v_pu=np.full_like(seen.v_pu, np.nan))
    reply = recourse.correct(batch, answer, blank)
    assert reply.found.tolist() == [False, False]
    assert reply.p_kw.tobytes() == answer.p_kw.tobytes()


@pytest.mark.slow
def test_a_planner_without_corrections_ends_the_federation(nominal):
    scenario, plan, _ = nominal
    with pytest.raises(FederationError, match="which this recourse cannot use"):
        _run(nominal, "local", COUNT, recourse=make_recourse("linear", plan, scenario))


@pytest.mark.parametrize(
    ("override", "part"),
    [
        ("campaign.judge=linear", "corrects by AC measurements"),
        ("realtime.step_s=1.0", "takes further exchanges"),
        ("campaign.ac_rounds=0", "ac_rounds = 0 must lie in"),
    ],
)
def test_what_corrections_cannot_go_with_is_refused(override, part):
    with pytest.raises(ConfigError, match=part):
        load_study("ieee37-networked", ["campaign.recourse=ac", override])
