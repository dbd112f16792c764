"""Where things stand on a drawing: bus positions, and labels that keep off one another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray
from gridproof.scenarios.feeder import Feeder

__all__ = ["bus_positions", "place_labels"]

_SIDES = np.array([(1, 1), (1, -1), (-1, 1), (-1, -1), (0, 1), (0, -1), (1, 0), (-1, 0)])
_REACHES = np.array([0.75, 1.0, 1.8])


def bus_positions(feeder: Feeder) -> FloatArray:
    """(bus, 2) drawing coordinates: the feeder's own, else those of a tree.

    Where at least half the buses have coordinates, the others stand at the mean of their
    neighbours'; where fewer have, all are laid out as a tree from the source: depth to the
    right, branches above one another.
    """
    known: BoolArray = np.asarray(np.isfinite(feeder.buses.xy).all(axis=1))
    neighbours = _neighbours(feeder)
    if 2 * int(known.sum()) < len(known) or len(np.unique(feeder.buses.xy[known], axis=0)) < 2:
        return _tree(feeder, neighbours)
    place = feeder.buses.xy.copy()
    while not known.all():
        ready = {
            bus: [other for other in neighbours[bus] if known[other]]
            for bus in np.flatnonzero(~known)
        }
        ready = {bus: near for bus, near in ready.items() if near}
        if not ready:  # not connected to anything that is drawn
            place[~known] = place[known].mean(axis=0)
            break
        span = np.ptp(place[known], axis=0).max()
        for bus, near in ready.items():
            aside = np.zeros(2) if len(near) > 1 else span * np.array([-0.03, 0.03])
            place[bus] = place[near].mean(axis=0) + aside
        known = known.copy()
        known[list(ready)] = True
    return place


def _neighbours(feeder: Feeder) -> list[list[int]]:
    found: list[list[int]] = [[] for _ in feeder.buses.ids]
    for table in (feeder.lines, feeder.transformers):
        for one, other in zip(table.from_bus.tolist(), table.to_bus.tolist(), strict=True):
            found[one].append(other)
            found[other].append(one)
    return found


def _tree(feeder: Feeder, neighbours: Sequence[Sequence[int]]) -> FloatArray:
    """Depth-first tree; leaves take the next free row, a parent the mean of its children's."""
    place = np.full((len(neighbours), 2), np.nan)
    row = 0.0
    roots = [*feeder.sources.bus.tolist(), *range(len(neighbours))]
    for root in roots:
        if np.isfinite(place[root, 0]):
            continue
        order, parent = [], {root: -1}
        place[root, 0] = 0.0
        stack = [root]
        while stack:  # by hand: feeders are deeper than the interpreter's stack
            bus = stack.pop()
            order.append(bus)
            for other in neighbours[bus]:
                if not np.isfinite(place[other, 0]):
                    place[other, 0], parent[other] = place[bus, 0] + 1.0, bus
                    stack.append(other)
        rows: dict[int, list[float]] = {}
        for bus in reversed(order):
            if bus in rows:
                place[bus, 1] = float(np.mean(rows[bus]))
            else:
                place[bus, 1], row = -row, row + 1.0
            rows.setdefault(parent[bus], []).append(float(place[bus, 1]))
    return place


def place_labels(
    axes: Any,
    labels: Sequence[tuple[str, FloatArray, float, dict[str, Any]]],
    segments: FloatArray,
) -> None:
    """Write labels beside their points, where they cover least of lines and other labels.

    Greedy: each label in turn takes the best of eight sides at two distances.

    Parameters
    ----------
    axes
        Matplotlib axes whose limits are final.
    labels
        Text, anchor in data coordinates, radius of the marker there (pixels), text
        properties; the most important first.
    segments
        (segment, 2, 2) lines to keep off, data coordinates.
    """
    renderer = axes.figure.canvas.get_renderer()
    lines = axes.transData.transform(np.asarray(segments).reshape(-1, 2)).reshape(-1, 2, 2)
    steps = np.linspace(0.0, 1.0, 100)[:, None]
    dots = np.concatenate([one + steps * (other - one) for one, other in lines])
    marks = axes.transData.transform(np.array([anchor for _, anchor, _, _ in labels]))
    radii = np.array([radius for _, _, radius, _ in labels])[:, None]
    boxes = np.concatenate([marks - radii, marks + radii], axis=1)
    frame = axes.get_window_extent(renderer)
    for text, anchor, radius, style in labels:
        artist = axes.text(*anchor, text, ha="center", va="center", **style)
        extent = artist.get_window_extent(renderer)
        half = np.array([extent.width, extent.height]) / 2.0
        gap = np.array([radius, radius]) + (0.0 if radius > 8.0 else 1.0)
        centre = axes.transData.transform(anchor)
        reached = 2.0 * half + 1.8 * gap  # no side at any distance lies further out
        near = dots[(np.abs(dots - centre) <= reached).all(axis=1)]
        middles = centre + (_SIDES * (half + gap * _REACHES[:, None, None])).reshape(-1, 2)
        tried = np.concatenate([middles - half, middles + half], axis=1)
        outside = (tried[:, :2].min(axis=1) < min(frame.x0, frame.y0)) | (
            (tried[:, 2] > frame.x1) | (tried[:, 3] > frame.y1)
        )
        far = 12.0 * np.repeat(np.abs(_REACHES - 1.0), len(_SIDES))
        cover = _overlap(tried, boxes) + 6.0 * _inside(tried, near) + far + 1e4 * outside
        best = int(cover.argmin())
        artist.set_position(axes.transData.inverted().transform(middles[best]))
        boxes = np.vstack([boxes, tried[best]])


def _overlap(tried: FloatArray, boxes: FloatArray) -> FloatArray:
    """(box,) pixels of each of ``tried`` that are covered by ``boxes``."""
    one = tried[:, None, :]
    wide = np.minimum(one[..., 2], boxes[:, 2]) - np.maximum(one[..., 0], boxes[:, 0])
    high = np.minimum(one[..., 3], boxes[:, 3]) - np.maximum(one[..., 1], boxes[:, 1])
    covered: FloatArray = (np.clip(wide, 0.0, None) * np.clip(high, 0.0, None)).sum(axis=1)
    return covered


def _inside(tried: FloatArray, dots: FloatArray) -> IntArray:
    """(box,) how many dots lie in each of ``tried``."""
    one = tried[:, None, :]
    within = ((dots >= one[..., :2]) & (dots <= one[..., 2:])).all(axis=2)
    return np.asarray(within.sum(axis=1), np.int64)
