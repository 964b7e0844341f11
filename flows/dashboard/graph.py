"""A layered drawing of a lineage: inputs above what was made from them, few crossings, long edges led round the boxes.

The method is Sugiyama's (Sugiyama, Tagawa, Toda 1981): layers by the longest way from an artifact without inputs,
places within a layer by the mean of the neighbours' places, swept down and up a few times; an edge over several layers
passes through a narrow place in each, which all long edges of one input share.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

BOX_WIDTH, BOX_HEIGHT = 196.0, 58.0
GAP_X, GAP_Y, BEND_WIDTH, MARGIN = 16.0, 40.0, 8.0, 8.0
SWEEPS = 8

Edge = tuple[str, str]
Spot = tuple[str, int]
"""A node's place: its name and -1; or that of its long edges in a layer: its name and the layer."""


@dataclass(frozen=True)
class Box:
    """Where a node lies."""

    name: str
    x: float
    y: float
    layer: int
    width: float = BOX_WIDTH
    height: float = BOX_HEIGHT


@dataclass(frozen=True)
class Wire:
    """An edge as an SVG path."""

    start: str
    end: str
    path: str


@dataclass(frozen=True)
class Layout:
    """Everything drawn; boxes in reading order."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    wires: tuple[Wire, ...]


def layered(names: Sequence[str], inputs: Mapping[str, Iterable[str]]) -> Layout:
    """The layout of some artifacts; inputs that are not among them are left out, a ring is broken somewhere."""
    known = set(names)
    edges = [
        (one, name) for name in names for one in dict.fromkeys(inputs.get(name, ())) if one in known and one != name
    ]
    depth = _depths(names, edges)
    edges = [(start, end) for start, end in edges if depth[start] < depth[end]]
    layers: list[list[Spot]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for name in names:
        layers[depth[name]].append((name, -1))
    ways: dict[Edge, list[Spot]] = {}
    for start, end in edges:
        bends = [(start, layer) for layer in range(depth[start] + 1, depth[end])]
        for bend in bends:
            if bend not in layers[bend[1]]:
                layers[bend[1]].append(bend)
        ways[start, end] = [(start, -1), *bends, (end, -1)]
    links = list(dict.fromkeys(step for way in ways.values() for step in pairwise(way)))
    _order(layers, links)
    middles, width = _place(layers, links)
    tops = {spot: MARGIN + number * (BOX_HEIGHT + GAP_Y) for number, layer in enumerate(layers) for spot in layer}
    boxes = [
        Box(spot[0], middles[spot] - BOX_WIDTH / 2, tops[spot], number)
        for number, layer in enumerate(layers)
        for spot in sorted(layer, key=lambda one: middles[one])
        if spot[1] == -1
    ]
    wires = [Wire(start, end, _path(way, middles, tops)) for (start, end), way in ways.items()]
    height = 2 * MARGIN + len(layers) * (BOX_HEIGHT + GAP_Y) - GAP_Y if layers else 0.0
    return Layout(width, height, tuple(boxes), tuple(wires))


def _depths(names: Sequence[str], edges: Sequence[Edge]) -> dict[str, int]:
    """The longest way from a node without inputs; the nodes of a ring end where it is cut."""
    before: dict[str, list[str]] = {name: [] for name in names}
    after: dict[str, list[str]] = {name: [] for name in names}
    for start, end in edges:
        before[end].append(start)
        after[start].append(end)
    waiting = {name: len(starts) for name, starts in before.items()}
    depth = dict.fromkeys(names, 0)
    left = dict.fromkeys(names)
    ready = [name for name in names if not waiting[name]]
    while left:
        if not ready:  # a ring: no store makes one, a damaged record may
            ready = [next(iter(left))]
        name = ready.pop()
        if name not in left:
            continue
        del left[name]
        for end in after[name]:
            if end in left:
                depth[end] = max(depth[end], depth[name] + 1)
                waiting[end] -= 1
                if not waiting[end]:
                    ready.append(end)
    return depth


def _order(layers: list[list[Spot]], links: Sequence[tuple[Spot, Spot]]) -> None:
    """Sort every layer by the mean place of its neighbours in the layer before, then in the one behind, and again."""
    up: dict[Spot, list[Spot]] = {}
    down: dict[Spot, list[Spot]] = {}
    for one, two in links:
        down.setdefault(one, []).append(two)
        up.setdefault(two, []).append(one)
    for sweep in range(SWEEPS):
        near = up if sweep % 2 == 0 else down
        place = {spot: number / max(1, len(layer)) for layer in layers for number, spot in enumerate(layer)}
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            means = {
                spot: sum(place[one] for one in near[spot]) / len(near[spot]) if spot in near else place[spot]
                for spot in layer
            }
            layer.sort(key=lambda spot: means[spot])
            place |= {spot: number / max(1, len(layer)) for number, spot in enumerate(layer)}


def _place(layers: list[list[Spot]], links: Sequence[tuple[Spot, Spot]]) -> tuple[dict[Spot, float], float]:
    """The middle of every spot, and the width of it all: near its neighbours, as far as its layer leaves room."""
    widths = {spot: BOX_WIDTH if spot[1] == -1 else BEND_WIDTH for layer in layers for spot in layer}
    spans = [sum(widths[spot] + GAP_X for spot in layer) - GAP_X for layer in layers]
    inner = max(spans, default=0.0)
    middles: dict[Spot, float] = {}
    for layer, span in zip(layers, spans, strict=True):
        x = MARGIN + (inner - span) / 2
        for spot in layer:
            middles[spot] = x + widths[spot] / 2
            x += widths[spot] + GAP_X
    near: dict[Spot, list[Spot]] = {}
    for one, two in links:
        near.setdefault(one, []).append(two)
        near.setdefault(two, []).append(one)
    for sweep in range(SWEEPS):
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            _settle(layer, widths, middles, near, inner)
    return middles, inner + 2 * MARGIN


def _settle(
    layer: list[Spot], widths: dict[Spot, float], middles: dict[Spot, float], near: dict[Spot, list[Spot]], inner: float
) -> None:
    """Move each spot of a layer to the mean of its neighbours, kept in order, apart, and inside."""
    wanted = [
        sum(middles[one] for one in near[spot]) / len(near[spot]) if spot in near else middles[spot] for spot in layer
    ]
    least = MARGIN
    for spot, x in zip(layer, wanted, strict=True):
        middles[spot] = max(x, least + widths[spot] / 2)
        least = middles[spot] + widths[spot] / 2 + GAP_X
    most = MARGIN + inner
    for spot in reversed(layer):
        middles[spot] = min(middles[spot], most - widths[spot] / 2)
        most = middles[spot] - widths[spot] / 2 - GAP_X


def _path(way: Sequence[Spot], middles: Mapping[Spot, float], tops: Mapping[Spot, float]) -> str:
    x, y = middles[way[0]], tops[way[0]] + BOX_HEIGHT
    path = f"M{x:.1f},{y:.1f}"
    for spot in way[1:]:
        to_x, to_y = middles[spot], tops[spot]
        half = (to_y - y) / 2
        path += f" C{x:.1f},{y + half:.1f} {to_x:.1f},{to_y - half:.1f} {to_x:.1f},{to_y:.1f}"
        x, y = to_x, to_y
        if spot[1] != -1:
            y = to_y + BOX_HEIGHT
            path += f" L{x:.1f},{y:.1f}"
    return path
