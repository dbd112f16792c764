"""How often each element was outside its limits, drawn behind it on a one-line diagram.

The width of a halo and its darkness both grow with the share, and the most frequent bear
their share in words, so the map reads the same in colour, in grey and aloud.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gridproof.federation.records.profile import Profile
from gridproof.scenarios.arrays import FloatArray
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.verdict import MarginKind
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.lines import Line2D

__all__ = ["draw_halos", "halo_legend", "haloed_ders"]

_SHADES = LinearSegmentedColormap.from_list("halo", ["#f7d9a8", "#ee9a3a", "#a4400c", "#5a2000"])
_NAMED_AT_MOST = 6
_INK = "#222222"


def draw_halos(axes: Any, scenario: Scenario, place: FloatArray, profile: Profile) -> list[Any]:
    """Draw what was ever breached; returns labels for `federation.reports.layout.place_labels`.

    Parameters
    ----------
    axes
        Of the diagram; halos go behind everything.
    scenario, place
        Elements, and (bus, 2) where the buses stand.
    profile
        What was counted.
    """
    feeder = scenario.feeder
    labels: list[tuple[float, MarginKind, str, FloatArray]] = []
    for kind, table in (
        (MarginKind.CURRENT, feeder.lines),
        (MarginKind.TRANSFORMER, feeder.transformers),
    ):
        share = profile.share(kind)
        for k in np.flatnonzero(share).tolist():
            ends = place[[table.from_bus[k], table.to_bus[k]]]
            for colour, width, order in _casing(share[k], core=4.0):
                axes.plot(
                    *ends.T, color=colour, linewidth=width, zorder=order, solid_capstyle="round"
                )
            labels.append((float(share[k]), kind, table.ids[k], ends.mean(axis=0)))
    for kind, ids, bus, marker, core in (
        (MarginKind.VOLTAGE, feeder.buses.ids, np.arange(len(place)), "o", 6.0),
        (MarginKind.CAPABILITY, scenario.ders.ids, scenario.ders.bus, "s", 16.0),
        (MarginKind.RAMP, scenario.ders.ids, scenario.ders.bus, "s", 16.0),
    ):
        share = profile.share(kind)
        for k in np.flatnonzero(share).tolist():
            for colour, size, order in _casing(share[k], core=core):
                axes.plot(
                    *place[bus[k]], marker=marker, markersize=size, markerfacecolor=colour,
                    markeredgewidth=0.0, zorder=order,
                )  # fmt: skip
            labels.append((float(share[k]), kind, ids[k], place[bus[k]]))
    return _worded(labels)


def _worded(found: Sequence[tuple[float, MarginKind, str, FloatArray]]) -> list[Any]:
    """One label for each of the elements most often outside, all its kinds in it."""
    by_element: dict[tuple[str, float, float], list[tuple[float, str]]] = {}
    for share, kind, name, where in found:
        key = (name, float(where[0]), float(where[1]))
        by_element.setdefault(key, []).append((share, kind.value))
    order = sorted(by_element, key=lambda key: (-max(by_element[key])[0], key))
    style = {
        "fontsize": 8,
        "color": _INK,
        "weight": "bold",
        "bbox": {"boxstyle": "round,pad=0.12", "fc": "white", "ec": "#999999", "lw": 0.6},
    }
    return [
        (
            "\n".join(
                f"{key[0]}: {kind} {100.0 * share:.3g} %"
                for share, kind in sorted(by_element[key], reverse=True)
            ),
            np.array(key[1:]),
            15.0,
            style,
        )
        for key in order[:_NAMED_AT_MOST]
    ]


def halo_legend(profile: Profile) -> list[Line2D]:
    """Legend entries: three shares; empty where nothing was ever breached."""
    if not any(counts.any() for counts in profile.breached.values()):
        return []
    return [
        Line2D(
            [],
            [],
            color=_SHADES(_tone(share)),
            linewidth=_width(share),
            solid_capstyle="butt",
            label=f"outside in {100.0 * share:g} %",
        )
        for share in (0.01, 0.1, 1.0)
    ]


def haloed_ders(profile: Profile) -> tuple[int, ...]:
    """Positions of the DERs that have a halo."""
    outside = profile.breached[MarginKind.CAPABILITY] + profile.breached[MarginKind.RAMP]
    return tuple(np.flatnonzero(outside).tolist())


def _casing(share: float, core: float) -> tuple[tuple[Any, float, float], ...]:
    """Colour, width and layer of the halo and of the white core that what is drawn stands on."""
    return (
        (_SHADES(_tone(share)), core + _width(share), 0.5 + 0.1 * share),
        ("white", core, 0.8),
    )


def _tone(share: float) -> float:
    return 0.15 + 0.85 * float(np.sqrt(share))


def _width(share: float) -> float:
    """Points around the core; a share of a thousandth still shows."""
    return 3.0 + 9.0 * float(np.sqrt(share))
