"""One module per figure: a function from results to a matplotlib figure. None of them trains."""

from collections.abc import Callable, Iterable
from functools import partial
from io import BytesIO
from pathlib import Path

from matplotlib.figure import Figure

from checks import Evidence
from empirical.store import write_atomically
from figures import (
    exact_sharpness,
    finite_size,
    improvement_rate,
    normalised,
    phase_diagram,
    random_features,
    sam_simulation,
    sharpbalance_simulation,
    theory_tradeoff,
    tradeoff_measured,
)
from figures.style import style

__all__ = ["FIGURES", "drawable", "render"]

FIGURES: dict[str, Callable[[Evidence], Figure]] = {
    "theory_tradeoff": theory_tradeoff.draw,
    "sam_simulation": sam_simulation.draw,
    "sharpbalance_simulation": sharpbalance_simulation.draw,
    "tradeoff_measured": tradeoff_measured.draw,
    "tradeoff_cifar10_jpeg": partial(tradeoff_measured.draw, data="cifar10-jpeg"),
    "exact_sharpness": exact_sharpness.draw,
    "finite_size": finite_size.draw,
    "improvement_rate": improvement_rate.draw,
    "phase_diagram": phase_diagram.draw,
    "normalised": normalised.draw,
    "random_features": random_features.draw,
}
"""Every figure by name: the paper's Fig. 1b, Fig. 2, the SharpBalance pair, Fig. 1c on two data sets, and six beyond the paper."""

_DATA = {"tradeoff_measured": "digits", "tradeoff_cifar10_jpeg": "cifar10-jpeg"}
"""Data sets whose measured ensembles a figure shows."""


def drawable(evidence: Evidence) -> list[str]:
    """Figures that can be drawn from some evidence.

    Returns:
        Keys of ``FIGURES``.
    """
    return [name for name in FIGURES if name not in _DATA or evidence.of(_DATA[name]).runs]


def render(names: Iterable[str], evidence: Evidence, folder: Path) -> list[Path]:
    """Draw figures and write each as PNG and PDF, the same bytes for the same results.

    Args:
        names: keys of ``FIGURES``.
        evidence: measured ensembles.
        folder: where to write.

    Returns:
        The files written.
    """
    written = []
    for name in names:
        with style():
            figure = FIGURES[name](evidence)
            for kind, metadata in (("png", {"Software": None}), ("pdf", {"CreationDate": None})):
                buffer = BytesIO()
                figure.savefig(buffer, format=kind, metadata=metadata)
                path = folder / f"{name}.{kind}"
                write_atomically(path, buffer.getvalue())
                written.append(path)
    return written
