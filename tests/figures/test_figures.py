"""Every figure draws, labelled, from the committed results."""

from pathlib import Path

import numpy as np
import pytest

from checks import Evidence, load_evidence
from empirical import StoreError
from figures import FIGURES, drawable, phase_diagram, render
from figures.style import style

RESULTS = Path(__file__).parents[2] / "results"


@pytest.fixture(autouse=True)
def few_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shape checks of the tests make each of the 243 comparisons six times as slow."""
    monkeypatch.setattr(phase_diagram, "_RATIOS", np.geomspace(0.5, 200, 8))


@pytest.mark.parametrize("name", FIGURES)
def test_every_panel_is_labelled(name: str) -> None:
    with style():
        figure = FIGURES[name](load_evidence(RESULTS))
    panels = [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]
    assert panels
    for axes in panels:
        assert axes.get_ylabel()
        assert axes.get_xlabel() or axes.get_shared_x_axes().get_siblings(axes)
    assert figure.legends or any(axes.get_legend() for axes in panels)


def test_files_are_written_and_the_same_each_time(tmp_path: Path) -> None:
    paths = render(["sam_simulation"], Evidence(), tmp_path)
    assert [p.name for p in paths] == ["sam_simulation.png", "sam_simulation.pdf"]
    first = [p.read_bytes() for p in paths]
    assert first == [p.read_bytes() for p in render(["sam_simulation"], Evidence(), tmp_path)]


def test_measured_figures_need_results() -> None:
    for name in ("tradeoff_measured", "tradeoff_cifar10_jpeg"):
        assert name not in drawable(Evidence())
        with pytest.raises(StoreError, match="sharpdiv reproduce"):
            FIGURES[name](Evidence())
    assert set(drawable(load_evidence(RESULTS))) == set(FIGURES)
