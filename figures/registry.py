"""Every figure of this package by name, and which can be drawn from some results."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path

import threadpoolctl

from sharpdiv.checks.evidence import Evidence
from sharpdiv.empirical.engines.workers import processes, shared
from sharpdiv.empirical.store import write_atomically

# Each module registers its figure.
from sharpdiv.figures.diagrams import idea, training  # noqa: F401
from sharpdiv.figures.ensembles import (  # noqa: F401
    calibration_size,
    diversity_metrics,
    headline_bars,
    plane,
    set_rules,
    severity,
    sharpness_measures,
    tradeoff_datasets,
    tradeoff_measured,
    width_and_sparsity,
)
from sharpdiv.figures.figure import FIGURES
from sharpdiv.figures.kernels import lazy_comparison, lazy_to_rich, predicted_measured  # noqa: F401
from sharpdiv.figures.style import THEMES, saved, style
from sharpdiv.figures.theory import (  # noqa: F401
    exact_sharpness,
    finite_size,
    improvement_rate,
    models,
    normalized,
    paper_ranges,
    phase_diagram,
    random_features,
    sam_simulation,
    sharpbalance_simulation,
    sign,
    theory_tradeoff,
)

__all__ = ["FIGURES", "drawable", "render"]


def drawable(evidence: Evidence) -> list[str]:
    """Figures that can be drawn from some evidence.

    Returns:
        Keys of ``FIGURES``.
    """
    return [name for name, figure in FIGURES.items() if figure.drawable(evidence)]


def render(names: Iterable[str], evidence: Evidence, folder: Path, *, workers: int = 1) -> list[Path]:
    """Draw figures and write each as PNG, SVG and PDF, the first two also for dark pages; the same bytes for the same results.

    Args:
        names: keys of ``FIGURES``.
        evidence: measured ensembles.
        folder: where to write ``NAME.png``, ``NAME-dark.png``, ``NAME.svg``, ``NAME-dark.svg`` and ``NAME.pdf``.
        workers: figures drawn at once, if more than one each in a process of its own.

    Returns:
        The files written.
    """
    if workers == 1:
        return [path for name in names for path in _render(name, evidence, folder)]
    with processes(workers, evidence) as pool:
        return [path for paths in pool.map(partial(_render_shared, folder), names) for path in paths]


def _render_shared(folder: Path, name: str) -> list[Path]:
    return _render(name, shared(), folder)


def _render(name: str, evidence: Evidence, folder: Path) -> list[Path]:
    words, written = FIGURES[name].words(evidence), []
    kinds = {"png": "Description", "svg": "Description", "pdf": "Subject"}
    for theme in THEMES:
        # What is drawn has small matrices, which threads of linear algebra only wait for each other on.
        with style(theme), threadpoolctl.threadpool_limits(1):
            figure = FIGURES[name].titled(evidence)
            for kind, key in kinds.items():
                if theme == "light" or kind != "pdf":
                    written.append(folder / f"{name}{'-dark' if theme == 'dark' else ''}.{kind}")
                    write_atomically(written[-1], saved(figure, kind, **{"Title": words.finding, key: words.alt}))
    return written
