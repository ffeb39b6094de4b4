"""Labels of points that cover no mark and no other label: placed when the figure is drawn, as only then all sizes are known."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.lines import Line2D
from matplotlib.path import Path
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox, BboxBase, Transform

__all__ = ["keep_apart"]

_DISTANCES = (2.5, 4.0, 6.0, 9.0, 13.0, 18.0, 24.0, 31.0)
"""Of a label's edge from its point, in points of type; those that are tried."""
_LED = 8.0
"""A label that is farther off has a thin line to its point."""
_DIRECTIONS = np.arange(16) * 2 * np.pi / 16
_ROOM = 1.0
"""Around a label, in points of type."""
_FOREIGN = 50
"""Pixels of marks that may be covered before a label, or its line, is put nearer to another label's point than to its own."""

Pixels = Float[np.ndarray, "points 2"]


def keep_apart(axes: Axes) -> None:
    """Have the annotations of points moved to where they cover nothing, each as near its point as that goes.

    An annotation takes part if its text is placed by an offset in points from a place in the data. Tried are places around the
    point, nearest first, and at each distance those in the direction of the offset first. What counts as covered are lines,
    bars, markers, other texts and the panel's legend; areas that are shaded do not.

    Args:
        axes: Whose annotations, made before or after.

    Examples:
        >>> from matplotlib.figure import Figure
        >>> from sharpdiv.figures.labels import keep_apart
        >>> axes = Figure().subplots()
        >>> line = axes.plot([0, 1], [0, 1])
        >>> label = axes.annotate("middle", (0.5, 0.5), xytext=(3, 3), textcoords="offset points")
        >>> keep_apart(axes)
        >>> axes.figure.draw_without_rendering()
        >>> label.xyann == (3, 3)  # there the line would run through it
        False
    """
    if not any(isinstance(each, _Apart) for each in axes.artists):
        axes.add_artist(_Apart())


class _Apart(Artist):
    """Places the labels of its panel just before they are drawn, and draws their lines."""

    def __init__(self) -> None:
        super().__init__()
        self.set_zorder(2.9)  # texts are drawn at 3
        self.set_in_layout(False)
        self._wishes: dict[Annotation, tuple[float, float]] = {}

    def draw(self, renderer: RendererBase) -> None:
        axes = self.axes
        assert isinstance(axes, Axes)
        labels = [text for text in axes.texts if isinstance(text, Annotation) and text.anncoords == "offset points"]
        marks = np.concatenate([np.empty((0, 2)), *_marks(axes, labels, renderer)])
        points = [axes.transData.transform(label.xy) for label in labels]
        for place, label in enumerate(labels):
            others = np.array(points[:place] + points[place + 1 :]).reshape(-1, 2)
            wish = self._wishes.setdefault(label, label.xyann)
            box, led = _placed(label, wish, points[place], marks, others, renderer)
            marks = np.concatenate([marks, _filled(box)])
            if led:
                ends = np.array([points[place], _nearest(box, points[place])])
                marks = np.concatenate([marks, _along(ends)])
                line = Line2D(*ends.T, color=label.get_color(), lw=0.5)
                line.set_figure(axes.figure)
                line.draw(renderer)


def _placed(
    label: Annotation,
    wish: tuple[float, float],
    point: np.ndarray,
    marks: Pixels,
    others: Pixels,
    renderer: RendererBase,
) -> tuple[Bbox, bool]:
    """Move a label to the first place that is best; its box then, and whether it needs a line to its point."""
    label.set(ha="center", va="center", in_layout=False)
    assert label.axes is not None
    unit, before, panel = _unit(renderer), label.get_window_extent(renderer), label.axes.bbox
    size, best = np.array([before.width, before.height]), np.inf
    offset, found, led = np.zeros(2), before, False
    for distance, direction in _candidates(wish):
        middle = direction * (unit * distance + size / 2)
        box = Bbox([point + middle - size / 2, point + middle + size / 2])
        roomy, far = box.padded(unit * _ROOM), distance > _LED
        foreign = _passes(box, point, others, 2 * unit) if far else _foreign(box, point, others)
        cost = _covered(marks, roomy) + _FOREIGN * foreign
        if cost < best and all(panel.contains(*corner) for corner in roomy.corners()):
            best, offset, found, led = cost, middle / unit, box, far
        if best == 0:
            break
    label.xyann = (float(offset[0]), float(offset[1]))
    return found, led


def _candidates(wish: tuple[float, float]) -> Iterator[tuple[float, np.ndarray]]:
    """Distances and directions from the point, in the order of preference; the wish is the offset that a label came with."""
    away = np.abs(np.angle(np.exp(1j * (_DIRECTIONS - np.arctan2(wish[1], wish[0])))))
    directions = _DIRECTIONS[np.argsort(away.round(6), kind="stable")]
    for distance in _DISTANCES:
        for angle in directions.tolist():
            yield distance, np.array([np.cos(angle), np.sin(angle)])


def _passes(box: Bbox, point: np.ndarray, others: Pixels, room: float) -> bool:
    """Whether the line from a label to its point would come by the point of another one."""
    line = _along(np.array([point, _nearest(box, point)]))
    return any(_covered(line, Bbox([other - room, other + room])) for other in others)


def _foreign(box: Bbox, point: np.ndarray, others: Pixels) -> bool:
    """Whether a label would be nearer to the point of another one, or hardly farther."""
    own = np.hypot(*(_nearest(box, point) - point))
    return any(np.hypot(*(_nearest(box, other) - other)) < 1.5 * own for other in others)


def _nearest(box: Bbox, point: np.ndarray) -> np.ndarray:
    return np.clip(point, [box.x0, box.y0], [box.x1, box.y1])


def _unit(renderer: RendererBase) -> float:
    """Pixels of a point of type."""
    return float(np.asarray(renderer.points_to_pixels(1)))


def _covered(marks: Pixels, box: Bbox) -> int:
    return int(((marks > box.min) & (marks < box.max)).all(axis=1).sum())


# ------------------------------------------------------------------------------------------------- marks, pixel by pixel


def _marks(axes: Axes, labels: list[Annotation], renderer: RendererBase) -> Iterator[Pixels]:
    """All that a label must not cover, as pixels."""
    unit = _unit(renderer)
    for line in axes.get_lines():
        transform, marker = line.get_transform(), line.get_marker()
        if line.get_linestyle() != "None":
            half = unit * line.get_linewidth() / 2
            for along in _polylines(line.get_path(), transform, axes.bbox):
                yield from (along + half * np.array(side) for side in ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0)))
        if marker not in {"None", "none", "", " ", None}:
            yield from _markers(line.get_xydata(), unit * line.get_markersize(), transform)
    for collection in axes.collections:
        if isinstance(collection, PathCollection):
            yield from _markers(
                collection.get_offsets(), unit * np.sqrt(np.max(collection.get_sizes())), axes.transData
            )
        elif isinstance(collection, LineCollection):
            for path in collection.get_paths():
                yield from _polylines(path, collection.get_transform(), axes.bbox)
    texts = [text for text in axes.texts if not any(text is label for label in labels)]
    for artist in [*texts, *filter(None, [axes.get_legend()])]:
        yield _filled(artist.get_window_extent(renderer))


def _polylines(path: Path, transform: Transform, panel: BboxBase) -> Iterator[Pixels]:
    """Pixels along a line, of what is inside the panel."""
    inside: Any = panel.padded(1).extents
    drawn = path.transformed(transform).cleaned(remove_nans=True, clip=tuple(inside))
    lines = map(np.asarray, drawn.to_polygons(closed_only=False))
    yield from (_along(line) for line in lines if len(line) > 1)


def _along(line: Pixels) -> Pixels:
    """Points of a line, a pixel apart."""
    length = np.append(0, np.cumsum(np.hypot(*np.diff(line, axis=0).T)))
    at = np.linspace(0, length[-1], int(length[-1]) + 2)
    return np.column_stack([np.interp(at, length, coordinate) for coordinate in line.T])


def _markers(places: Any, size: float, transform: Transform) -> Iterator[Pixels]:
    shown = transform.transform(np.asarray(places, dtype=float))
    yield from (_filled(Bbox([at - size / 2, at + size / 2])) for at in shown[np.isfinite(shown).all(axis=1)])


def _filled(box: BboxBase) -> Pixels:
    """Points all over a box, two pixels apart."""
    x, y = (np.linspace(low, high, int((high - low) / 2) + 2) for low, high in zip(box.min, box.max, strict=True))
    return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
