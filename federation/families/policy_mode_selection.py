"""Which mode to plan for: risks of a study's events, and the cheapest modes that cover enough."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from gridproof.federation.config.study import StudyConfig
from gridproof.federation.families.policy_mode_study import (
    disturbances_of,
    events_of,
    shapes_of,
)
from gridproof.optimizer.policy_mode.events import expected_kw
from gridproof.scenarios.arrays import BoolArray, FloatArray, index_of
from gridproof.scenarios.scenario import Scenario

if TYPE_CHECKING:
    from gridproof.optimizer.policy_mode.selection import Selection

__all__ = ["select_mode"]

_PRICED_BY = {"method": "dro_components", "response": "shared", "network": "copperplate"}


def select_mode(
    config: StudyConfig, scenario: Scenario, folder: Path | None = None, cover: float | None = None
) -> Selection:
    """Choose the cheapest union of modes that covers enough of the total risk, with reasons.

    A mode's price is what the day costs under it: the set over its components, a shared response
    and no network, which orders modes as the whole program does and takes hundredths of a second.
    An event breaks a limit where the largest there can be of it, answered by nobody, takes the
    forming unit beyond its capability at some hour of the day without disturbances.

    Parameters
    ----------
    config, scenario
        The study; the scenario's own disturbances do not matter.
    folder
        Where the study lies.
    cover
        Share of the total risk; the study's ``risk_share`` if left out.

    Raises
    ------
    ScenarioError
        Where no union of modes covers as much, or none of those that do has a plan.
    """
    # solver libraries take a third of a second, and most studies name their mode
    from gridproof.optimizer.policy_mode.dispatch import dispatch  # noqa: PLC0415
    from gridproof.optimizer.policy_mode.hedge import hedge  # noqa: PLC0415
    from gridproof.optimizer.policy_mode.options import PolicyModeOptions  # noqa: PLC0415
    from gridproof.optimizer.policy_mode.planner import (  # noqa: PLC0415
        disturbance_of,
        log_of,
        microgrid_of,
        settings_of,
    )
    from gridproof.optimizer.policy_mode.selection import risks, select  # noqa: PLC0415

    own, feeder = config.events, scenario.feeder
    events = events_of(own, config.ders, feeder, folder)
    shapes = shapes_of(config.ders, config.horizon.load_profile)
    options = PolicyModeOptions(**{**config.planner.options, **_PRICED_BY})

    def under(chosen: tuple[str, ...]) -> Scenario:
        made = disturbances_of(
            own, events, chosen, feeder, scenario.ders, shapes=shapes, folder=folder
        )
        return replace(scenario, disturbances=made)

    def price(chosen: tuple[str, ...], method: str = options.method) -> tuple[float, FloatArray]:
        one = under(chosen)
        grid, what = microgrid_of(one, options), disturbance_of(one)
        held = hedge(method, log_of(one), what.shape, settings_of(options))
        done = dispatch(grid, what, held, time_limit_s=options.time_limit_s)
        room = grid.ders.p_max_kw[grid.forming].sum() - done.p_kw[:, grid.forming]
        return done.cost_usd, room

    places = tuple(dict.fromkeys(p for one in events.values() for p in one.locations))
    column = index_of(places)
    size = (len(events), len(places))
    probability, impact, breaks = np.zeros(size), np.zeros(size), np.zeros(size, bool)
    room = price(tuple(events), "deterministic")[1]
    for i, (name, event) in enumerate(events.items()):
        at = [column[place] for place in event.locations]
        probability[i, at], impact[i, at] = event.probability, expected_kw(event)
        largest = event.base_kw * max(event.sign * end for end in event.support)
        breaks[i, at] = _breaks(largest, shapes[own.kinds[name].shape], room)
    found = risks(tuple(events), probability, impact, breaks)
    share = own.risk_share if cover is None else cover
    return select(found, own.modes, lambda chosen: price(chosen)[0], cover=share)


def _breaks(largest_kw: FloatArray, shape: FloatArray, room_kw: FloatArray) -> BoolArray:
    """(location,) whether the largest event exceeds the forming unit's room at some hour."""
    return np.asarray((largest_kw[:, None] * shape > room_kw).any(axis=1))
