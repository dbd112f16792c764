"""Where things stand on a drawing: bus positions, and labels that keep off one another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gridproof.federation.plain_text import shown
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray
from gridproof.scenarios.feeder import Feeder
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra

__all__ = ["bus_positions", "place_labels"]

_SIDES = np.array([(1, 1), (1, -1), (-1, 1), (-1, -1), (0, 1), (0, -1), (1, 0), (-1, 0)])
_REACHES = np.array([0.75, 1.0, 1.8, 2.8])
_SPRUNG_AT_MOST = 600  # buses; a second and a half of a processor, and 13 s for a thousand
_SCALE = 0.5
_OPEN = 1e4  # an open line against a closed one


def bus_positions(feeder: Feeder) -> FloatArray:
    """(bus, 2) drawing coordinates: the feeder's own, else such that few wires cross.

    Where at least half the buses have coordinates, the others stand at the mean of their
    neighbours'; where fewer have, all are laid out anew: by distances along the feeder, and in
    rings about the source where there are so many that this would take long.
    """
    known: BoolArray = np.asarray(np.isfinite(feeder.buses.xy).all(axis=1))
    neighbours = _neighbours(feeder)
    if 2 * int(known.sum()) < len(known) or len(np.unique(feeder.buses.xy[known], axis=0)) < 2:
        return _free(feeder, neighbours)
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


def _free(feeder: Feeder, neighbours: Sequence[Sequence[int]]) -> FloatArray:
    """Places for a feeder without any: parts that hang together side by side, each drawn freely."""
    place, left = np.full((len(neighbours), 2), np.nan), 0.0
    for part in _parts(feeder, neighbours):
        own = _springs(part, neighbours) if len(part) <= _SPRUNG_AT_MOST else _fan(part, feeder)
        own = own - own.min(axis=0) if len(part) > 1 else np.zeros((1, 2))
        place[part] = own + np.array([left, 0.0])
        left += float(own[:, 0].max()) + 1.0
    return place


def _parts(feeder: Feeder, neighbours: Sequence[Sequence[int]]) -> list[IntArray]:
    """Buses that hang together, each part from its source on, breadth first."""
    seen, parts = np.zeros(len(neighbours), dtype=bool), []
    for root in [*feeder.sources.bus.tolist(), *range(len(neighbours))]:
        if seen[root]:
            continue
        seen[root], part = True, [root]
        for bus in part:  # grows while it is read
            for other in neighbours[bus]:
                if not seen[other]:
                    seen[other] = True
                    part.append(other)
        parts.append(np.array(part, np.int64))
    return parts


def _springs(part: IntArray, neighbours: Sequence[Sequence[int]]) -> FloatArray:
    """Kamada-Kawai: distances on paper like those along the feeder; few wires cross.

    It starts from a drawing without crossings where there is one, which it then evens out.
    """
    import networkx as nx  # noqa: PLC0415  (a fifth of a second, and most feeders have coordinates)

    if len(part) <= 2:
        return np.stack([np.arange(len(part)), np.zeros(len(part))], axis=1).astype(float)
    graph = nx.Graph()
    graph.add_nodes_from(part.tolist())
    graph.add_edges_from((k, other) for k in part.tolist() for other in neighbours[k] if other != k)
    flat, _ = nx.check_planarity(graph)
    start = nx.planar_layout(graph) if flat else nx.circular_layout(graph)
    found = nx.kamada_kawai_layout(graph, pos=start, scale=_SCALE * float(np.sqrt(len(part))))
    at = np.array([found[k] for k in part.tolist()], float)
    _, axes = np.linalg.eigh(np.cov(at.T))
    turned = at @ axes[:, ::-1]  # the longer way lies across the page
    return np.asarray(turned * np.where(turned[0] > turned.mean(axis=0), -1.0, 1.0))


def _fan(part: IntArray, feeder: Feeder) -> FloatArray:
    """Rings about the source: a bus as far out as it is deep, branches apart by their leaves.

    The tree goes over what stands closed, over what is open only where nothing else leads.
    """
    order, parent, depth = _grown(part, feeder)
    children: dict[int, list[int]] = {}
    for bus in order[1:]:
        children.setdefault(parent[bus], []).append(bus)
    leaves = dict.fromkeys(order, 0)
    for bus in reversed(order):
        leaves[bus] = max(1, leaves[bus])
        if parent[bus] >= 0:
            leaves[parent[bus]] += leaves[bus]
    begin = {order[0]: 0.0}
    for bus in order:
        begun = begin[bus]
        for child in sorted(children.get(bus, ()), key=lambda one: (-leaves[one], one)):
            begin[child], begun = begun, begun + leaves[child]
    turn = 2.0 * np.pi / leaves[order[0]]
    at = [depth[k] * np.exp(1j * turn * (begin[k] + leaves[k] / 2.0)) for k in part.tolist()]
    return np.stack([np.real(at), np.imag(at)], axis=1)


def _grown(part: IntArray, feeder: Feeder) -> tuple[list[int], dict[int, int], dict[int, int]]:
    """Buses of a part from its first on, each with the bus it hangs at, and how deep."""
    lines, windings = feeder.lines, feeder.transformers
    one = np.concatenate([lines.from_bus, windings.from_bus])
    other = np.concatenate([lines.to_bus, windings.to_bus])
    weight = np.where(np.concatenate([lines.closed, np.ones(len(windings.ids), bool)]), 1.0, _OPEN)
    count = len(feeder.buses.ids)
    wires = coo_array((weight, (one, other)), shape=(count, count)).tocsr()
    far, before = dijkstra(wires, directed=False, indices=int(part[0]), return_predecessors=True)
    order = [int(k) for k in part[np.argsort(far[part], kind="stable")]]
    parent, depth = {order[0]: -1}, {order[0]: 0}
    for bus in order[1:]:
        parent[bus] = int(before[bus])
        depth[bus] = depth[parent[bus]] + 1
    return order, parent, depth


def place_labels(
    axes: Any,
    labels: Sequence[tuple[str, FloatArray, float, dict[str, Any]]],
    segments: FloatArray,
    taken: Sequence[tuple[FloatArray, float, float]] = (),
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
    taken
        Further marks to keep off: anchor in data coordinates, how far below it, and radius
        (points).
    """
    renderer = axes.figure.canvas.get_renderer()
    lines = axes.transData.transform(np.asarray(segments).reshape(-1, 2)).reshape(-1, 2, 2)
    steps = np.linspace(0.0, 1.0, 100)[:, None]
    dots = np.concatenate([one + steps * (other - one) for one, other in lines])
    marks = axes.transData.transform(np.array([anchor for _, anchor, _, _ in labels]))
    radii = np.array([radius for _, _, radius, _ in labels])[:, None]
    boxes = np.concatenate([marks - radii, marks + radii], axis=1)
    pixels = axes.figure.dpi / 72.0
    for anchor, below, radius in taken:
        middle = axes.transData.transform(anchor) - np.array([0.0, below * pixels])
        box = np.concatenate([middle - radius * pixels, middle + radius * pixels])
        boxes = np.vstack([boxes, box])
    frame = axes.get_window_extent(renderer)
    for text, anchor, radius, style in labels:
        artist = axes.text(*anchor, shown(text), ha="center", va="center", **style)
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
