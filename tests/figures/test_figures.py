"""Every figure draws, labelled; what cannot be drawn is not offered; files are the same each time."""

import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from sharpdiv.checks.evidence import Evidence
from sharpdiv.checks.results import load_evidence
from sharpdiv.empirical.errors import StoreError
from sharpdiv.empirical.runs.profiles import DESIGNS
from sharpdiv.figures.registry import FIGURES, drawable, render
from sharpdiv.figures.style import style
from sharpdiv.figures.theory import phase_diagram
from tests.figures.made_up import made_up_evidence, made_up_records

RESULTS = Path(__file__).parents[2] / "results"
OF_ONE_DESIGN = {
    "tradeoff_measured": "digits",
    "tradeoff_cifar10": "paper-cifar10",
    "tradeoff_cifar10_jpeg": "cifar10-jpeg",
    "tradeoff_fashion_mnist": "fashion-mnist",
}
OF_EVERY_DESIGN = {
    "tradeoff_datasets",
    "headline_bars",
    "diversity_metrics",
    "severity",
    "calibration_size",
    "sharpness_measures",
    "variants",
}
OF_ENSEMBLES = {*OF_ONE_DESIGN, *OF_EVERY_DESIGN, "tradeoff_shapes"}
OF_LAZY_NETWORKS = {"bridge", "predicted_measured", "lazy_comparison"}
OF_PLANES = {"plane"}
DIAGRAMS = {"idea", "sharpbalance_training"}
SLOW = {"finite_size", "models", "random_features", "sharpbalance_simulation", "sign"}
"""Drawn in more than three seconds."""

_made_up = cache(made_up_evidence)
_committed = cache(load_evidence)


def _check_labels(figure: Figure) -> None:
    panels = [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]
    assert panels
    for axes in panels:
        place = axes.get_subplotspec()
        assert place
        assert axes.get_ylabel() or not place.is_first_col()
        twins = axes.get_shared_x_axes().get_siblings(axes)
        assert any(twin.get_xlabel() for twin in twins) or not place.is_last_row()
    several = any(len(axes.get_lines()) > 1 for axes in panels)
    assert figure.legends or any(axes.get_legend() for axes in panels) or not several


@pytest.fixture(autouse=True)
def few_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shape checks of the tests make each of the 243 comparisons six times as slow."""
    monkeypatch.setattr(phase_diagram, "_RATIOS", np.geomspace(0.5, 200, 8))


@pytest.mark.long
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=[pytest.mark.slow] * (n in SLOW))
        for n in drawable(_committed(RESULTS))
        if n not in DIAGRAMS
    ],
)
def test_every_panel_is_labelled(name: str) -> None:
    with style():
        _check_labels(FIGURES[name].draw(_committed(RESULTS)))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(OF_ENSEMBLES))
def test_figures_of_ensembles_tell_what_they_show(name: str) -> None:
    """Axes, intervals and the number of seeds."""
    evidence = _made_up()
    with style():
        figure = FIGURES[name].draw(evidence)
    _check_labels(figure)
    (legend,) = figure.legends
    assert "95% interval" in legend.get_title().get_text().replace("\n", " ")
    texts = [axes.get_title() for axes in figure.axes] + [text.get_text() for text in legend.get_texts()]
    shown = {OF_ONE_DESIGN[name]} if name in OF_ONE_DESIGN else set(DESIGNS)
    if name == "tradeoff_shapes":
        shown = {"fashion-mnist", "paper-cifar10"}
    assert sum("9 seeds" in text for text in texts) == len(shown)


@pytest.mark.long
@pytest.mark.parametrize("name", [pytest.param("sam_simulation", marks=pytest.mark.slow), "tradeoff_shapes"])
def test_files_are_written_and_the_same_each_time(name: str, tmp_path: Path) -> None:
    paths = render([name], _made_up(("fashion-mnist",)), tmp_path)
    kinds = (".png", ".svg", ".pdf", "-dark.png", "-dark.svg")
    assert [p.name for p in paths] == [f"{name}{kind}" for kind in kinds]
    first = [p.read_bytes() for p in paths]
    assert first == [p.read_bytes() for p in render([name], _made_up(("fashion-mnist",)), tmp_path)]


@pytest.mark.parametrize("name", sorted(OF_ENSEMBLES | OF_LAZY_NETWORKS | OF_PLANES))
def test_measured_figures_need_results(name: str) -> None:
    with pytest.raises(StoreError, match=r"run sharpdiv reproduce|sharpdiv compare"):
        FIGURES[name].draw(Evidence())


def test_all_figures_but_those_of_measured_networks_need_none() -> None:
    assert set(FIGURES) - set(drawable(Evidence())) == OF_ENSEMBLES | OF_LAZY_NETWORKS | OF_PLANES


@pytest.mark.parametrize("design", DESIGNS)
def test_a_design_is_shown_in_its_own_figure_and_in_those_of_every_design(design: str) -> None:
    found = OF_ENSEMBLES & set(drawable(_made_up((design,), blocks=2)))
    own = {name for name, of in OF_ONE_DESIGN.items() if of == design}
    shapes = {"tradeoff_shapes"} if "narrow-sgd" in DESIGNS[design].conditions else set()
    assert found == OF_EVERY_DESIGN | own | shapes


def test_one_block_shows_no_spread_and_a_block_that_lacks_a_condition_does_not_count() -> None:
    assert not OF_ENSEMBLES & set(drawable(_made_up(("digits",), blocks=1)))
    broken = Evidence(tuple(made_up_records(DESIGNS["digits"], 2)[:-1]))
    assert not OF_ENSEMBLES & set(drawable(broken))


def test_methods_are_not_compared_at_the_best_rho_without_images_to_choose_on() -> None:
    records = made_up_records(DESIGNS["digits"], 2)
    evidence = Evidence(tuple(replace(r, summary=r.summary | {"validation": None}) for r in records))
    assert OF_EVERY_DESIGN - set(drawable(evidence)) == {"headline_bars"}


def test_planes_say_what_is_seen_and_of_how_many() -> None:
    """On one scale of colors, members at their places."""
    runs = _committed(RESULTS).planes
    evidence = Evidence(planes=runs)
    words = FIGURES["plane"].words(evidence)
    least = min(barrier for run in runs for barrier in run.barriers["train"].of_pairs("loss"))
    assert f"the training loss rises by {least:.2g} nats or more" in words.finding
    assert "200 training and 1297 test images, seeds 1004, 1005, 1006." in words.caption
    with style():
        figure = FIGURES["plane"].draw(evidence)
    panels = [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]
    assert len(panels) == 6
    for axes, run in zip(panels, [*runs, *runs], strict=True):
        (members,) = axes.get_lines()
        np.testing.assert_array_equal(members.get_xydata(), run.planes["test"].members)


def test_planes_tell_how_sharp_the_members_are_where_that_was_measured() -> None:
    """Methods at one rho are not at one sharpness."""
    with style():
        titles = [axes.get_title() for axes in FIGURES["plane"].draw(_committed(RESULTS)).axes[:3]]
    found = [float(re.search(r"sharpness ([\d.]+) nats", title)[1]) for title in titles]  # type: ignore[index]
    assert found[1] < found[0]
