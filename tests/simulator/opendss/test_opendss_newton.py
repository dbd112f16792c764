"""A flow whose fixed point does not settle is tried again, and what is then said is true."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.realization import Realizations
from gridproof.scenarios.snapshot import Snapshots
from gridproof.scenarios.verdict import Outcome, judge
from gridproof.simulator.opendss.engine import MAX_ITERATIONS, OpenDssEngine
from gridproof.simulator.opendss.newton import EVALUATIONS, Newton
from gridproof.simulator.reader.feeder import read_feeder

pytestmark = pytest.mark.engine_thread

KV, R_OHM, X_OHM, SOURCE_PU = 12.47, 6.0, 9.0, 1.03
TWO_BUSES = f"""
clear
set defaultbasefrequency=60
new circuit.nose bus1=head basekv={KV} pu=1 r1=0 x1=0.001 r0=0 x0=0.001
new line.feed phases=3 bus1=head bus2=near length=1 r1=0.1 x1=0.1 r0=0.1 x0=0.1 c1=0 c0=0 normamps=4000
new line.long phases=3 bus1=near bus2=far length=1 r1={R_OHM} x1={X_OHM} r0={R_OHM} x0={X_OHM} c1=0 c0=0 normamps=4000
new load.mill phases=3 bus1=far conn=wye model=1 kv={KV} kw=1000 kvar=0
set voltagebases=[{KV}]
calcvoltagebases
solve
"""  # noqa: E501


@pytest.fixture(scope="module")
def two_buses(ieee37, tmp_path_factory):
    path = tmp_path_factory.mktemp("nose") / "nose.dss"
    path.write_text(TWO_BUSES, encoding="utf-8")
    feeder = read_feeder(path, switches=("feed",))
    scenario = ieee37.make_scenario(feeder, {"near": 60_000.0}, ("mill",))
    plan = ieee37.make_plan(scenario, set(), {"dernear": SOURCE_PU}, energized={"near"})
    return scenario, plan


def demands(kw: np.ndarray, kvar: np.ndarray) -> Realizations:
    """One load's three equal slots, a realization for each total."""
    slots = [np.repeat(total[:, None, None, None] / 3.0, 3, axis=3) for total in (kw, kvar)]
    count = len(kw)
    return Realizations(
        index=np.arange(count), zeta=np.zeros((count, 1)), p_kw=slots[0], q_kvar=slots[1]
    )


def upper_v_pu(kw: np.ndarray, kvar: np.ndarray) -> np.ndarray:
    """|v|⁴ + (2 Re(z s*) - e²) |v|² + |z s|² = 0, the greater root; NaN beyond the nose."""
    z = complex(R_OHM, X_OHM + 1e-6 * KV**2 / 3.0)  # with the source's own, 1e-6 pu on 1 MVA
    e = SOURCE_PU * KV * 1e3 / np.sqrt(3.0)
    s = (kw + 1j * kvar) * 1e3 / 3.0
    b, c = 2.0 * np.real(z * np.conj(s)) - e * e, np.abs(z * s) ** 2
    with np.errstate(invalid="ignore"):
        return np.sqrt((np.sqrt(b * b - 4.0 * c) - b) / 2.0) / (KV * 1e3 / np.sqrt(3.0))


@pytest.mark.parametrize("kvar_per_kw", [0.0, 0.3, -0.4])
def test_up_to_the_nose_a_solution_is_found_and_beyond_it_none(ieee37, two_buses, kvar_per_kw):
    scenario, plan = two_buses
    kw = np.linspace(1000.0, 12_000.0, 2201)
    nose = kw[np.isfinite(upper_v_pu(kw, kvar_per_kw * kw))].max()
    kw = np.concatenate([kw[::20], nose * (1.0 - np.logspace(-1, -5, 30))])
    kvar = kvar_per_kw * kw
    truth = upper_v_pu(kw, kvar)
    exists = truth >= 0.5  # below, a load is no constant power any more
    assert 0 < exists.sum() < len(kw)
    seen = observed(ieee37, scenario, plan, demands(kw, kvar))
    np.testing.assert_array_equal(seen.converged, exists)
    again = exists & (seen.iterations > MAX_ITERATIONS)
    assert again.any(), "no row that the fixed point alone gives up"
    far = scenario.feeder.buses.ids.index("far")
    error = np.abs(seen.v_pu[:, far] - truth[:, None])
    assert np.nanmax(error[again]) < 1e-6
    assert np.nanmax(error) < 2e-5  # where the fixed point creeps it ends early
    outcome = judge(seen, plan, scenario).outcome
    assert (outcome[~exists] == Outcome.NO_SOLUTION).all()
    assert set(outcome[exists]) <= {Outcome.FEASIBLE, Outcome.VIOLATED}
    assert (seen.iterations <= MAX_ITERATIONS + EVALUATIONS).all()


@pytest.mark.parametrize("name", ["whole", "parts"])
def test_newton_alone_finds_what_the_fixed_point_finds(ieee37, name):
    plan, draws = getattr(ieee37, name), ieee37.draws(24)
    scale = np.linspace(0.0, 8.0, 24)[:, None, None, None]
    draws = replace(draws, p_kw=draws.p_kw * scale, q_kvar=draws.q_kvar * scale)
    usual = observed(ieee37, ieee37.scenario, plan, draws)
    newton = observed(ieee37, ieee37.scenario, plan, draws, max_iterations=2)
    assert usual.converged.all()
    assert newton.converged.all()
    assert (usual.iterations <= MAX_ITERATIONS).all()
    assert (newton.iterations > 2).all()
    for field in ("v_pu", "v_ll_pu"):
        np.testing.assert_allclose(getattr(newton, field), getattr(usual, field), atol=1e-7)
    np.testing.assert_allclose(newton.current_a, usual.current_a, rtol=1e-5, atol=1e-4)


def test_same_bytes_whatever_the_batch_and_its_order(ieee37, two_buses):
    scenario, plan = two_buses
    kw = np.array([2000.0, 5900.0, 11_000.0, 6050.0, 1500.0, 6020.0, 6080.0, 3000.0])
    draws = demands(kw, 0.0 * kw)
    whole = observed(ieee37, scenario, plan, draws)
    assert (whole.iterations > MAX_ITERATIONS).sum() >= 2
    assert (whole.iterations <= MAX_ITERATIONS).sum() >= 2
    back = observed(ieee37, scenario, plan, rows(draws, np.arange(len(kw))[::-1]))
    for k in range(len(kw)):
        alone = observed(ieee37, scenario, plan, rows(draws, np.array([k])))
        for name in ("converged", "iterations", "v_pu", "current_a", "der_p_kw", "losses_kw"):
            wanted = getattr(whole, name)[k].tobytes()
            assert getattr(alone, name)[0].tobytes() == wanted
            assert getattr(back, name)[len(kw) - 1 - k].tobytes() == wanted


def rows(draws: Realizations, which: np.ndarray) -> Realizations:
    return Realizations(
        index=draws.index[which],
        zeta=draws.zeta[which],
        p_kw=draws.p_kw[which],
        q_kvar=draws.q_kvar[which],
    )


def observed(ieee37, scenario, plan: Plan, draws: Realizations, **options: int) -> Snapshots:
    engine = OpenDssEngine(scenario, **options)
    try:
        engine.hold(plan)
        return engine.observe(draws, ieee37.answer(plan, draws))
    finally:
        engine.close()


class Arctan:
    """In a circuit's place: a map whose fixed point is where ``arctan(v - root)`` is zero."""

    def __init__(self, base_v: float, root: float, start: float) -> None:
        self._base, self._root, self._start = base_v, root, start

    def mapping(self):
        def step(volts: np.ndarray) -> np.ndarray:
            v = volts / self._base
            return (v - np.arctan(v.real - self._root) - 1j * v.imag) * self._base

        return (lambda: np.array([self._start * self._base], complex)), step


@pytest.mark.parametrize("distance", [1.45, -1.7, 2.5, -6.0])
def test_a_step_that_overshoots_is_shortened(distance):
    """Beyond 1.3918 from its root Newton's method swings ever wider on an arctan."""
    ahead = distance - (1.0 + distance**2) * np.arctan(distance)
    assert abs(ahead) > abs(distance)
    circuit = Arctan(2400.0, 0.9, 0.9 + distance)
    found, evaluations = Newton(circuit, np.array([2400.0]), tolerance=1e-9).solve()
    assert found is not None
    assert found[0] / 2400.0 == pytest.approx(0.9, abs=1e-9)
    assert evaluations < 60
