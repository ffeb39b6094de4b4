"""One module per figure: a function from results to a matplotlib figure. None of them trains."""

from collections.abc import Callable, Iterable, Sized
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from checks import Evidence
from empirical.store import write_atomically
from figures import (
    bridge,
    calibration_size,
    diversity_metrics,
    exact_sharpness,
    finite_size,
    headline_bars,
    improvement_rate,
    lazy_comparison,
    normalised,
    phase_diagram,
    predicted_measured,
    random_features,
    sam_simulation,
    severity,
    sharpbalance_simulation,
    sharpness_measures,
    theory_tradeoff,
    tradeoff_datasets,
    tradeoff_measured,
    tradeoff_shapes,
    variants,
)
from figures.measured import studies
from figures.style import style

__all__ = ["FIGURES", "drawable", "render"]

FIGURES: dict[str, Callable[[Evidence], Figure]] = {
    "theory_tradeoff": theory_tradeoff.draw,
    "sam_simulation": sam_simulation.draw,
    "sharpbalance_simulation": sharpbalance_simulation.draw,
    "tradeoff_measured": tradeoff_measured.draw,
    "tradeoff_cifar10": partial(tradeoff_measured.draw, design="paper-cifar10"),
    "tradeoff_cifar10_jpeg": partial(tradeoff_measured.draw, design="cifar10-jpeg"),
    "tradeoff_fashion_mnist": partial(tradeoff_measured.draw, design="fashion-mnist"),
    "tradeoff_datasets": tradeoff_datasets.draw,
    "tradeoff_shapes": tradeoff_shapes.draw,
    "headline_bars": headline_bars.draw,
    "diversity_metrics": diversity_metrics.draw,
    "severity": severity.draw,
    "calibration_size": calibration_size.draw,
    "sharpness_measures": sharpness_measures.draw,
    "variants": variants.draw,
    "exact_sharpness": exact_sharpness.draw,
    "finite_size": finite_size.draw,
    "improvement_rate": improvement_rate.draw,
    "phase_diagram": phase_diagram.draw,
    "normalised": normalised.draw,
    "random_features": random_features.draw,
    "bridge": bridge.draw,
    "predicted_measured": predicted_measured.draw,
    "lazy_comparison": lazy_comparison.draw,
}
"""Every figure by name.

Of the paper: 1b, 2, the SharpBalance pair, 1c on four data sets, 4, 5, 7 and four of the appendix. The others are beyond it.
"""


def _whole(evidence: Evidence) -> list[dict[str, Any]]:
    """Networks of the dial that are trained in all layers."""
    return [network for network in evidence.networks if not network["network"]["head_only"]]


def _trained(design: str, evidence: Evidence) -> Sized:
    return studies(evidence).keys() & {design}


_NEEDS: dict[str, Callable[[Evidence], Sized]] = {
    "tradeoff_measured": partial(_trained, "digits"),
    "tradeoff_cifar10": partial(_trained, "paper-cifar10"),
    "tradeoff_cifar10_jpeg": partial(_trained, "cifar10-jpeg"),
    "tradeoff_fashion_mnist": partial(_trained, "fashion-mnist"),
    "tradeoff_datasets": studies,
    "tradeoff_shapes": tradeoff_shapes.shapes,
    "headline_bars": headline_bars.held_out,
    "diversity_metrics": studies,
    "severity": studies,
    "calibration_size": studies,
    "sharpness_measures": studies,
    "variants": studies,
    "bridge": _whole,
    "predicted_measured": _whole,
    "lazy_comparison": lambda evidence: evidence.comparisons,
}
"""What a figure shows of some evidence, if it shows measured networks."""


def drawable(evidence: Evidence) -> list[str]:
    """Figures that can be drawn from some evidence.

    Returns:
        Keys of ``FIGURES``.
    """
    return [name for name in FIGURES if name not in _NEEDS or len(_NEEDS[name](evidence))]


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
