"""Faults between a planner's command and a device, as functions of (seed, index).

The model (``docs/faults.md`` derives it). Realization ``i`` is the loads at
``t_i = (i + 1) T``; between draws they move in a straight line, ``ζ(t)``, from nominal at
time 0. The planner sends set-points at ``0, c, 2c, …``; command ``k`` answers the loads
measured at ``k c`` and arrives at ``k c + L + J u_k`` unless it is lost. At any time a device
follows the newest command that has arrived, or its base set-point while none has. Every
random number belongs to a command or to a realization by its number, so batches, workers
and restarts change no byte.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from gridproof.federation.config.faults import FaultsConfig
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray
from gridproof.scenarios.errors import ConfigError
from gridproof.scenarios.fleet import Ders
from gridproof.scenarios.realization import Realizations, realize, uniforms
from gridproof.scenarios.scenario import Scenario

__all__ = [
    "COMMANDS_AT_MOST",
    "Commands",
    "check_faults",
    "commands_in_force",
    "faults_of_config",
    "follow_ramp",
    "instants",
    "loads_at",
    "measured",
    "quantised",
    "ride_instants",
    "stuck",
]

COMMANDS_AT_MOST = 64
"""Commands asked for one realization at most: a slower ramp or longer ride-through is refused."""

_COMMANDS, _SWITCHES, _METERS = 1, 101, 102  # streams of the counter-based generator
_LOOKBACK = 512  # so many commands lost in a row, and a device goes back to its base set-point
_EPSILON_S = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Commands:
    """Which command each device follows.

    Attributes
    ----------
    number
        (realization, instant) of the command in force; -1 where none has arrived yet.
    sent_s
        (realization, instant) when the loads it answers were measured; 0 where there is none:
        the base set-points answer the nominal loads of time 0.
    """

    number: IntArray
    sent_s: FloatArray


def faults_of_config(faults: FaultsConfig, scenario: Scenario) -> list[str]:
    """Every contradiction between the section and the feeder, one sentence each."""
    known = scenario.feeder.switch_ids
    found = [
        f"[faults] {name}: switch {switch} is not one of the study's; switches: {', '.join(known)}"
        for name, given in (
            ("stuck_switches", faults.stuck_switches),
            ("slow_switches_s", tuple(faults.slow_switches_s)),
        )
        for switch in given
        if switch not in known
    ]
    needed = len(instants(faults, scenario.ders))
    if needed > COMMANDS_AT_MOST:
        found.append(
            f"[faults] a realization would need the planner's answer at {needed} instants, "
            f"{COMMANDS_AT_MOST} at most are asked; raise command_every_s or ramp_kw_per_s, or "
            "lower ride_through_s"
        )
    return found


def check_faults(faults: FaultsConfig, scenario: Scenario) -> None:
    """Refuse a section that contradicts the feeder; raises `ConfigError` with every fault."""
    found = faults_of_config(faults, scenario)
    if found:
        raise ConfigError(found)


# ------------------------------------------------------------------------------------ time


def instants(faults: FaultsConfig, ders: Ders) -> FloatArray:
    """(instant,) when a realization's devices are looked at, s after its time, newest first.

    Those that the ride-through needs before and after its time, then those from which a
    ramp-limited device still remembers: it has forgotten after crossing its whole
    re-dispatch band. Its own time stands at position `ride_instants`.
    """
    period, memory = faults.command_every_s, 0
    if faults.ramp_kw_per_s is not None:
        band = 2.0 * max(ders.ramp_kw.max(initial=0.0), ders.ramp_kvar.max(initial=0.0))
        memory = int(np.ceil(band / (faults.ramp_kw_per_s * period) - _EPSILON_S))
    ride = ride_instants(faults)
    return np.asarray(np.arange(ride, -(ride + memory) - 1, -1) * period)


def ride_instants(faults: FaultsConfig) -> int:
    """How many instants in a row a state may be outside the limits."""
    return round(faults.ride_through_s / faults.command_every_s)


def commands_in_force(faults: FaultsConfig, seed: int, times_s: FloatArray) -> Commands:
    """Find the newest command that has arrived by each time.

    Parameters
    ----------
    faults, seed
        Delays and losses, and the study's seed.
    times_s
        (realization, instant), each at least 0.
    """
    period = faults.command_every_s
    first = np.floor((times_s - faults.latency_s) / period + _EPSILON_S).astype(np.int64)
    back = int(np.ceil(faults.jitter_s / period)) + _LOOKBACK
    oldest = np.maximum(first - back, 0)
    low = int(oldest.min()) if oldest.size else 0
    chance = uniforms(seed, low, max(int(first.max(initial=0)), low) - low + 1, 2, stream=_COMMANDS)
    sent = (low + np.arange(len(chance))) * period
    arrives = sent + faults.latency_s + faults.jitter_s * chance[:, 0]
    arrives = np.where(chance[:, 1] < faults.loss, np.inf, arrives)
    number = first.copy()
    for _ in range(back + 1):
        under_way = arrives[np.maximum(number - low, 0)] > times_s + _EPSILON_S
        under_way &= number >= oldest
        if not under_way.any():
            break
        number = number - under_way
    number = np.where(number < oldest, -1, number)
    return Commands(number=number, sent_s=np.maximum(number, 0) * period)


def loads_at(
    draw: Callable[[int, int], Realizations],
    scenario: Scenario,
    faults: FaultsConfig,
    times_s: FloatArray,
    index: IntArray,
) -> Realizations:
    """Return the loads at any times: on the straight line between the draws before and after.

    Parameters
    ----------
    draw
        ``(first, count)`` to realizations.
    scenario, faults
        What they belong to, and the time between draws.
    times_s
        (row,), each at least 0; nominal at 0, realization ``i`` at ``(i + 1) T``.
    index
        (row,) numbers the rows are given.
    """
    place = times_s / faults.interval_s
    before = np.floor(place + _EPSILON_S).astype(np.int64)
    share = np.clip(place - before, 0.0, 1.0)
    share = np.where(share < _EPSILON_S, 0.0, share)[:, None]
    after = before + (share[:, 0] > 0.0)
    first, last = int(before.min()), int(after.max())  # draw 0 is place 1; place 0 is nominal
    begin = max(0, first - 1)
    known = draw(begin, max(1, last - begin)).zeta
    if first == 0:
        known = np.concatenate([np.zeros((1, known.shape[1])), known])
    zeta = (1.0 - share) * known[before - first] + share * known[after - first]
    return realize(scenario, zeta, index)


# --------------------------------------------------------------------------- what is wrong


def measured(
    batch: Realizations,
    scenario: Scenario,
    faults: FaultsConfig,
    seed: int,
    number: IntArray,
) -> Realizations:
    """Return what meters report of the uncertain loads: each off by a normal error.

    ``ζ' = clip(((1 + spread ζ)(1 + noise · n) - 1) / spread, ±1)``: a meter is off by a share
    of the load, and a reading outside the declared set is taken to be at its edge. Loads that
    are not uncertain are known.

    Parameters
    ----------
    batch
        The loads as they are.
    scenario, faults, seed
        Whose spread, the error's size, and the study's seed.
    number
        (row,) the command each row is measured for; its error is a function of that number.
    """
    if not faults.noise:
        return batch
    from scipy.special import ndtri  # noqa: PLC0415  (a quarter of a federate's start)

    known = np.maximum(number, 0)
    low = int(known.min())
    spread = scenario.direction_spread
    chance = uniforms(seed, low, int(known.max()) - low + 1, len(spread), stream=_METERS)
    error = ndtri(np.clip(chance, 1e-12, 1.0 - 1e-12))[known - low]
    moving = (spread > 0.0) & (number[:, None] >= 0)
    load = (1.0 + spread * batch.zeta) * (1.0 + faults.noise * error)
    told = np.clip((load - 1.0) / np.where(spread > 0.0, spread, 1.0), *scenario.direction_range)
    return realize(scenario, np.where(moving, told, batch.zeta), batch.index)


def quantised(values: FloatArray, step_kw: float) -> FloatArray:
    """Round to multiples of a device's step, ties to even; unchanged for a step of 0."""
    return values if step_kw == 0.0 else np.round(values / step_kw) * step_kw


def follow_ramp(commanded: FloatArray, most_kw: float) -> FloatArray:
    """Return outputs of devices that move at most ``most_kw`` from one instant to the next.

    Parameters
    ----------
    commanded
        (realization, instant, …) commands in force, the newest instant first.
    most_kw
        Largest change between neighbouring instants.

    Returns
    -------
    ndarray of the same shape
        ``y_m = y_{m+1} + clip(u_m - y_{m+1}, ±most)``, started settled at the oldest.
    """
    output = np.array(commanded)
    for m in range(commanded.shape[1] - 2, -1, -1):
        before = output[:, m + 1]
        output[:, m] = before + np.clip(commanded[:, m] - before, -most_kw, most_kw)
    return output


def stuck(
    faults: FaultsConfig,
    scenario: Scenario,
    seed: int,
    index: IntArray,
    times_s: FloatArray,
) -> BoolArray:
    """(realization, switch) whether a switch is still as the feeder's file has it.

    Parameters
    ----------
    faults, scenario, seed
        Which switches, and the chance of each.
    index, times_s
        (realization,) numbers, without gaps, and times since the plan's command at time 0.
    """
    names = scenario.feeder.switch_ids
    held = np.zeros((len(index), len(names)), bool)
    if faults.stuck_probability and len(index):
        chance = uniforms(seed, int(index[0]), len(index), len(names), stream=_SWITCHES)
        held |= chance < faults.stuck_probability
    for k, name in enumerate(names):
        held[:, k] |= name in faults.stuck_switches
        held[:, k] |= times_s < faults.slow_switches_s.get(name, 0.0)
    return held
