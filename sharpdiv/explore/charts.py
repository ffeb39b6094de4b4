"""What is drawn: the trade-off, and each quantity over rho, as lines, points and scales."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from jaxtyping import Float

from sharpdiv.explore.question import Question, answer
from sharpdiv.explore.scales import Scale, fitting

__all__ = ["NAMES", "SYMBOLS", "Chart", "Line", "Point", "charts"]

NAMES = {
    "rho": "radius of SAM's ascent",
    "diversity": "diversity",
    "sharpness": "sharpness",
    "trace": "trace of the Hessian",
    "member_error": "error of one member",
    "ensemble_error": "error of the ensemble",
    "eir": "ensemble improvement rate",
}
SYMBOLS = {"rho": "ρ", "diversity": "D", "sharpness": "κ", "trace": "tr H", "eir": "EIR"}
"""Of the quantities that have one."""
Drawn = Mapping[str, tuple[float, float]]
_BOUNDS = ("sharpness_lower", "sharpness_upper")


@dataclass(frozen=True)
class Line:
    """A curve, or a part of one."""

    method: str
    """or ``bound``"""
    x: Float[np.ndarray, " rho"]
    y: Float[np.ndarray, " rho"]
    style: str = "solid"
    """``solid``, ``dashed`` for errors of ensembles and for bounds, ``dotted`` where the method is not stable, ``broad`` below the
    part that the paper draws"""


@dataclass(frozen=True)
class Point:
    """A curve's place at one rho."""

    method: str
    x: float
    y: float
    start: bool = False
    """whether this is rho = 0, gradient descent"""


@dataclass(frozen=True)
class Chart:
    """One panel."""

    title: str
    x: str
    """quantity along x"""
    y: str
    """quantity along y"""
    horizontal: Scale
    vertical: Scale
    lines: tuple[Line, ...]
    points: tuple[Point, ...]
    rho: float | None = None
    """where values are read off, if x is rho"""
    edges: tuple[tuple[str, float | None], ...] = ()
    """critical rho of each method, if x is rho; None if none is stable"""


def charts(question: Question, place: int, drawn: Drawn = MappingProxyType({})) -> tuple[Chart, ...]:
    """All panels of a question.

    Args:
        question: What is asked.
        place: Index of rho at which values are read off.
        drawn: Range of rho of each method that the paper draws.

    Returns:
        The trade-off first.

    Raises:
        DomainError: if a number is outside its domain, or the curves overflow.
        ConvergenceError: if an equation was not solved.

    Examples:
        >>> from sharpdiv.explore.charts import charts
        >>> from sharpdiv.explore.question import Question
        >>> [chart.title for chart in charts(Question(), 0)][:2]
        ['Diversity against sharpness', 'Diversity']
    """
    curves, flat = answer(question), question.model.flatness
    sharpness = NAMES[flat][0].upper() + NAMES[flat][1:]
    return (
        _tradeoff(curves, flat, place, drawn),
        _over_rho(curves, "Diversity", ("diversity",), place, drawn),
        _over_rho(curves, sharpness, (flat,), place, drawn),
        _over_rho(curves, "Errors of one member and of the ensemble", ("member_error", "ensemble_error"), place, drawn),
        _over_rho(curves, "Ensemble improvement rate", ("eir",), place, drawn),
    )


def _tradeoff(curves: dict[str, Any], flat: str, place: int, drawn: Drawn) -> Chart:
    lines: list[Line] = []
    points = []
    for method, curve in curves.items():
        x, y = getattr(curve, flat), curve.diversity
        lines += [*_drawn(method, x, y, curve.rho, drawn), *_parts(method, x, y, curve.stable)]
        points += [Point(method, x[0], y[0], start=True)] if curve.rho[0] == 0 else []
        points.append(Point(method, x[place], y[place]))
    return Chart(
        title=f"Diversity against {NAMES[flat]}",
        x=flat,
        y="diversity",
        horizontal=_scale(curves, (flat,)),
        vertical=_scale(curves, ("diversity",)),
        lines=tuple(lines),
        points=tuple(points),
    )


def _over_rho(curves: dict[str, Any], title: str, names: tuple[str, ...], place: int, drawn: Drawn) -> Chart:
    lines: list[Line] = []
    points = []
    for curve in curves.values():
        known = [getattr(curve, name, np.full(1, np.nan)) for name in _BOUNDS if "sharpness" in names]
        lines += [Line("bound", curve.rho, values, "dashed") for values in known if not np.isnan(values).all()]
    for method, curve in curves.items():
        for name in names:
            style = "dashed" if name == "ensemble_error" else "solid"
            values = getattr(curve, name)
            lines += _drawn(method, curve.rho, values, curve.rho, drawn)
            lines += _parts(method, curve.rho, values, curve.stable, style)
            points.append(Point(method, curve.rho[place], values[place]))
    rho = curves["sam"].rho
    return Chart(
        title=title,
        x="rho",
        y=names[0],
        horizontal=Scale(float(rho[0]), float(rho[-1])),
        vertical=_scale(curves, names),
        lines=tuple(lines),
        points=tuple(points),
        rho=float(rho[place]),
        edges=tuple((method, curve.critical_rho) for method, curve in curves.items()),
    )


def _parts(method: str, x: np.ndarray, y: np.ndarray, stable: np.ndarray, style: str = "solid") -> list[Line]:
    """The stable part, and dotted what is beyond it."""
    edge = int(stable.sum())  # stable below one rho
    beyond = slice(max(edge - 1, 0), None)
    parts = (Line(method, x[:edge], y[:edge], style), Line(method, x[beyond], y[beyond], "dotted"))
    return [part for part in parts if part.x.size > 1]


def _drawn(method: str, x: np.ndarray, y: np.ndarray, rho: np.ndarray, drawn: Drawn) -> list[Line]:
    """What the paper draws of a curve."""
    if method not in drawn:
        return []
    low, high = drawn[method]
    shown = (rho >= low) & (rho <= high)
    return [Line(method, x[shown], y[shown], "broad")] if shown.any() else []


def _scale(curves: dict[str, Any], names: tuple[str, ...]) -> Scale:
    found = [(getattr(curve, name), curve.stable) for curve in curves.values() for name in names]
    return fitting(np.concatenate([v[s] for v, s in found]), np.concatenate([v[~s] for v, s in found]))
