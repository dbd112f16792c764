"""Figure: the one-line diagram of a plan, and how often its elements are outside their limits.

Files hold no date, so equal content means equal bytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from gridproof.federation.records.profile import Profile
from gridproof.federation.reports.drawing import Drawing, save_figure
from gridproof.federation.reports.families.views import view_of
from gridproof.federation.reports.halos import draw_halos, halo_legend, haloed_ders
from gridproof.federation.reports.hover import Told, pieces, spots
from gridproof.federation.reports.lacking import Lacking
from gridproof.federation.reports.lacking_marks import draw_lacking, lacking_legend
from gridproof.federation.reports.layout import bus_positions, place_labels
from gridproof.federation.reports.map_marks import (
    BELOW_PT,
    draw_buses,
    draw_ders,
    draw_switches,
    draw_wires,
    map_legend,
)
from gridproof.federation.reports.map_words import BusLoads, bus_words, der_words, line_words
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.scenario import Scenario
from matplotlib import rc_context

__all__ = ["figure_one_line"]

_INK = "#222222"


def figure_one_line(
    plan: Plan,
    scenario: Scenario,
    path: Path,
    time: int = 0,
    *,
    profile: Profile | None = None,
    lacking: Lacking | None = None,
    png: bool = True,
) -> tuple[Path, ...]:
    """Draw the plan on the feeder's map.

    Live blocks are solid and green, dead ones dashed and red; closed switches and
    grid-forming DERs are blue and filled, open switches hollow. Loads are triangles, outlined
    where they are uncertain. What is known of an element is told where a pointer rests on it.

    Parameters
    ----------
    plan, scenario
        What is drawn.
    path
        Where to; ``.svg`` and ``.png`` are written beside each other.
    png
        Whether the second is wanted.
    time
        The step.
    profile
        How often each element was outside its limits; drawn as halos if given.
    lacking
        What stands in the way where no re-dispatch exists; crosses, if given.

    Returns
    -------
    tuple of Path
        The files written.
    """
    with rc_context({"text.parse_math": False}):  # an id may hold a dollar sign
        figure = _one_line(plan, scenario, time, profile, lacking)
    return save_figure(figure, path, png=png)


def _one_line(
    plan: Plan, scenario: Scenario, time: int, profile: Profile | None, lacking: Lacking | None
) -> Drawing:
    place, loads = bus_positions(scenario.feeder), BusLoads.of(scenario, time)
    figure = Drawing(*_size(place))
    axes = figure.add_subplot()
    axes.set_axis_off()
    axes.set_aspect("equal" if _wide_enough(place) else "auto")
    segments = draw_wires(axes, plan, scenario, place, time)
    labels = [] if profile is None else draw_halos(axes, scenario, place, profile)
    labels += [] if lacking is None else draw_lacking(axes, scenario, place, lacking)
    haloed = () if profile is None else haloed_ders(profile)
    labels += draw_ders(axes, plan, scenario, place, time, haloed=haloed)
    labels += draw_switches(axes, plan, scenario, place, time)
    labels += draw_buses(axes, plan, scenario, place, time, loads=loads)
    axes.margins(0.08)
    figure.suptitle(
        _title(plan, scenario, time), x=0.01, y=0.995, va="top", ha="left", fontsize=11, color=_INK
    )
    handles = map_legend(unsure=bool(loads.moving.any()))
    handles += [] if profile is None else halo_legend(profile)
    handles += lacking_legend(lacking)
    figure.legend(handles=handles, loc="lower center", ncols=5, fontsize=8, frameon=False,
                  handlelength=2.6)  # fmt: skip
    figure.place(left=0.05, right=0.05, top=0.3, bottom=0.35 + 0.19 * (len(handles) // 5), gap=0.0)
    loaded = np.unique(scenario.ders.bus[loads.p_kw[scenario.ders.bus] != 0.0])
    place_labels(axes, labels, segments, [(place[k], BELOW_PT, 5.0) for k in loaded.tolist()])
    figure.told += _told(axes, plan, scenario, place, time, profile=profile, loads=loads)
    return figure


def _title(plan: Plan, scenario: Scenario, time: int) -> str:
    live, forming = int(plan.energized[time].sum()), int(plan.grid_forming[time].sum())
    step = f", {scenario.step_names[time]}" if len(plan.closed) > 1 else ""
    view = view_of(scenario)
    source = "grid-forming DER" if view is None else view.source
    return (
        f"{scenario.name}{step}: {live} of {len(plan.block_ids)} blocks live, "
        f"{forming} {source}{'' if forming == 1 else 's'}"
    )


def _told(
    axes: Any,
    plan: Plan,
    scenario: Scenario,
    place: Any,
    time: int,
    *,
    profile: Profile | None,
    loads: BusLoads,
) -> list[Told]:
    """Lines first, so that what stands on them is on top."""
    feeder = scenario.feeder
    closed = np.asarray(feeder.lines.closed, bool).copy()
    switches = np.asarray(feeder.switches, int)
    closed[switches] = plan.closed[time]
    ends = place[np.stack([feeder.lines.from_bus, feeder.lines.to_bus], axis=1)]
    alive = plan.energized[time][feeder.blocks.of_bus]
    every = range(len(closed))
    return [
        pieces(axes, ends, line_words(scenario, closed, profile, every)),
        spots(axes, place, bus_words(scenario, alive, loads, profile), reach=5.0),
        spots(axes, ends[switches].mean(axis=1),
              line_words(scenario, closed, profile, switches.tolist())),
        spots(axes, place[scenario.ders.bus], der_words(plan, scenario, time, profile), reach=8.0),
    ]  # fmt: skip


def _wide_enough(place: Any) -> bool:
    span = np.ptp(place, axis=0)
    return bool(span.min() > 0.25 * span.max())


def _size(place: Any) -> tuple[float, float]:
    span = np.ptp(place, axis=0)
    shape = float(np.clip(span[1] / max(span[0], 1e-9), 0.3, 1.0)) if _wide_enough(place) else 0.6
    return 9.5, 9.5 * shape + 1.2
