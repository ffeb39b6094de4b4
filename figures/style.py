"""One look for all figures: sizes of a paper's columns, colours by meaning on light and dark pages, the stable range."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sharpdiv.theory.estimate import Estimate

__all__ = [
    "ALPHAS",
    "COLORS",
    "COLUMN",
    "MARKERS",
    "PAGE",
    "SYMBOLS",
    "THEMES",
    "TITLE_SIZE",
    "Theme",
    "mark_unstable",
    "new_figure",
    "plot_simulation",
    "saved",
    "style",
]

COLUMN, PAGE = 3.25, 6.75
"""Widths in inches: one column of a paper, and two."""
SMALL, TITLE_SIZE = 6.5, 8.0
"""Sizes of type in points: the smallest, and that of a figure's title."""
SYMBOLS = {"ρ": r"$\rho$", "κ": r"$\kappa$", "η": r"$\eta$", "α": r"$\alpha$", "σ": r"$\sigma$"}
"""Letters of captions as pictures set them."""

Theme = Literal["light", "dark"]
_PAPER: dict[Theme, str] = {"light": "#ffffff", "dark": "#0d1117"}
_PALETTE = {
    # Methods: Okabe and Ito's colours, lighter on dark.
    "gd": ("#000000", "#ffffff"),
    "sam": ("#0072b2", "#58b4f0"),
    "sharpbalance": ("#d55e00", "#ff8c3b"),
    "control": ("#009e73", "#2fd6a5"),
    "normalized": ("#cc79a7", "#e8a4c9"),
    "code": ("#b08900", "#f0c541"),
    # What is no method.
    "ink": ("#1a1a1a", "#e6edf3"),
    "muted": ("#6e6e6e", "#9aa4ae"),
    "faint": ("#c8c8c8", "#3d444d"),
    "paper": (_PAPER["light"], _PAPER["dark"]),
    # Quantities: Tol's.
    "sharpness": ("#332288", "#a99df5"),
    "diversity": ("#aa3377", "#f07ab8"),
    "eir": ("#708a1e", "#c3dc62"),
    "error": ("#8c564b", "#d3a196"),
    # Networks and data sets.
    "first": ("#4477aa", "#82b4e6"),
    "second": ("#117733", "#5fcf86"),
    "third": ("#999933", "#d6d66b"),
    "fourth": ("#882255", "#e07fb3"),
    "fifth": ("#555555", "#c4c4c4"),
    # Scales of the outputs, from lazy to rich: one ramp (plasma), that no line of another meaning has.
    "alpha-100": ("#0d0887", "#8f8bff"),
    "alpha-30": ("#7e03a8", "#c76bea"),
    "alpha-10": ("#cc4778", "#ef7fa6"),
    "alpha-3": ("#e8762f", "#f8a165"),
    "alpha-1": ("#e0b000", "#f7e14a"),
}
"""What a colour means, and its colour on a light and on a dark page."""
THEMES: dict[Theme, list[str]] = {
    "light": [light for light, _ in _PALETTE.values()],
    "dark": [dark for _, dark in _PALETTE.values()],
}
"""Pages, and the cycle of colours on each."""
COLORS = {name: f"C{place}" for place, name in enumerate(_PALETTE)}
"""Colours by meaning, as places of the cycle: Matplotlib looks them up in the theme that is drawn."""
MARKERS = {"gd": "o", "sam": "^", "sharpbalance": "s", "control": "D", "normalized": "P", "code": "v"}
"""One for each method."""
ALPHAS = {scale: COLORS[f"alpha-{scale:g}"] for scale in (100.0, 30.0, 10.0, 3.0, 1.0)}
"""One colour for each scale of the outputs."""


@contextmanager
def style(theme: Theme = "light") -> Iterator[None]:
    """Matplotlib settings of all figures, for the time of the context.

    Args:
        theme: The page they are for.

    Yields:
        Nothing.
    """
    colors = dict(zip(COLORS, THEMES[theme], strict=True))
    ink = dict.fromkeys(("text.color", "axes.labelcolor", "xtick.labelcolor", "ytick.labelcolor"), colors["ink"])
    lines = dict.fromkeys(("axes.edgecolor", "xtick.color", "ytick.color"), colors["muted"])
    paper = dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor"), colors["paper"])
    settings: dict[Any, Any] = {
        "font.size": 7.5,
        "axes.titlesize": 7.5,
        "axes.labelsize": 7.5,
        "xtick.labelsize": SMALL,
        "ytick.labelsize": SMALL,
        "legend.fontsize": SMALL,
        "legend.title_fontsize": SMALL,
        "legend.frameon": False,
        "legend.handlelength": 2.2,
        "lines.linewidth": 1.3,
        "lines.markersize": 3.5,
        "axes.linewidth": 0.6,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.formatter.limits": (-3, 4),
        "axes.formatter.use_mathtext": True,
        "grid.color": colors["muted"],
        "grid.alpha": 0.2,
        "grid.linewidth": 0.5,
        "hatch.linewidth": 0.5,
        "hatch.color": colors["ink"],
        "axes.prop_cycle": cycler(color=THEMES[theme]),
        "figure.dpi": 200,
        "savefig.dpi": 200,
        "pdf.fonttype": 42,
        # Same input, same file: no creation date, no random identifiers.
        "svg.hashsalt": "sharpdiv",
    }
    with mpl.rc_context(settings | ink | lines | paper):
        yield


def saved(figure: Figure, kind: str, **about: str) -> bytes:
    """A figure as a file, the same bytes each time: no date, no version.

    Args:
        figure: The figure, within ``style``.
        kind: png, svg or pdf.
        **about: Title and description, by the format's own keys.

    Returns:
        The content.
    """
    stamps = {"png": ("Software",), "svg": ("Date", "Creator"), "pdf": ("CreationDate",)}
    buffer = BytesIO()
    figure.draw_without_rendering()  # the layout makes room for ticks as they were; once more for those that it made
    figure.savefig(buffer, format=kind, metadata=dict.fromkeys(stamps[kind]) | about)
    return buffer.getvalue()


def new_figure(rows: int, columns: int, *, width: float = PAGE, height: float = 2.1) -> tuple[Figure, list[Axes]]:
    """A figure that no global state knows of, with its axes in reading order.

    Args:
        rows: Number of rows of panels.
        columns: Number of columns of panels.
        width: Width of the figure in inches, ``COLUMN`` or ``PAGE``.
        height: Height of a panel in inches.

    Returns:
        Figure and axes.
    """
    figure = Figure(figsize=(width, height * rows + 0.3), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    return figure, list(grid.ravel())


def plot_simulation(
    axes: Axes, x: np.ndarray, measured: Estimate, marker: str = "o", *, again: bool = False, **look: Any
) -> None:
    """Simulated means with their standard errors, on top of the theory's line; ``again`` leaves them out of the legend."""
    label = "_simulation" if again else "simulation, mean ± standard error"
    usual: dict[str, Any] = {
        "fmt": marker,
        "ms": 3,
        "elinewidth": 0.9,
        "color": COLORS["gd"],
        "zorder": 3,
        "label": label,
    }
    axes.errorbar(x, measured.mean, measured.stderr, **usual | look)


def mark_unstable(axes: Axes, critical_rho: float | None, label: str = "unstable") -> None:
    """Shade the values of rho at which SAM does not contract every direction; all of them if the critical rho is None."""
    low, high = axes.get_xlim()
    edge = low if critical_rho is None else critical_rho
    if edge >= high:
        return
    axes.axvspan(edge, high, color=COLORS["muted"], alpha=0.15, lw=0, label=label)
    axes.axvline(edge, color=COLORS["muted"], lw=0.8, ls="--")
    axes.set_xlim(low, high)
