"""Points, bars and their intervals, read back from the axes, are the estimates of the study."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.figure import Figure
from numpy.testing import assert_allclose

from sharpdiv.checks.ensembles.conditions import BALANCE, CURVE
from sharpdiv.checks.ensembles.crossed import Table, estimated
from sharpdiv.checks.ensembles.quantities import DIVERSITY, LEVELS, SHARPNESS, sharpness
from sharpdiv.checks.ensembles.study import Condition, Study
from sharpdiv.checks.results import load_evidence
from sharpdiv.empirical.runs.profiles import DESIGNS
from sharpdiv.figures.ensembles.headline_bars import methods
from sharpdiv.figures.ensembles.measured import METHODS, by_block, interval, studies
from sharpdiv.figures.ensembles.set_rules import COMPARISONS
from sharpdiv.figures.registry import FIGURES
from sharpdiv.figures.style import style
from tests.figures.made_up import made_up_evidence

EVIDENCE = made_up_evidence(("fashion-mnist",))
STUDY = studies(EVIDENCE)["fashion-mnist"]
SHARP, D = LEVELS["sharpness"], LEVELS["D"]
RHO = [DESIGNS["fashion-mnist"].conditions[name].rho for name in CURVE[1:]]

Quantity = Callable[[Study, str, str], Table]


def _draw(name: str) -> Figure:
    with style():
        return FIGURES[name].draw(EVIDENCE)


def _bars(axes: Axes) -> list[tuple[np.ndarray, np.ndarray]]:
    """Points and, in the last direction that has any, ends of the intervals of each line with error bars."""
    found = [each for each in axes.containers if isinstance(each, ErrorbarContainer)]
    ends = [np.array(line.lines[2][-1].get_segments()) for line in found]
    return [(np.array(line.lines[0].get_xydata()), end) for line, end in zip(found, ends, strict=True)]


def _of(quantity: Quantity, names: Sequence[str]) -> np.ndarray:
    return np.array([quantity(STUDY, name, STUDY.units(name))[0, 0] for name in names])


def _ratio(quantity: Quantity, name: str, other: str) -> tuple[float, float, float]:
    units = STUDY.units(name, other)
    found = estimated(np.log(quantity(STUDY, name, units) / quantity(STUDY, other, units)))
    low, high = np.exp(found.interval())
    return float(np.exp(found.value)), float(low), float(high)


def test_the_interval_is_that_of_the_estimate() -> None:
    table = D(STUDY, "sgd", "seeds")
    found = estimated(table)
    assert_allclose(interval(table), [found.value, *found.interval()])
    logarithm = estimated(np.log(table))
    assert_allclose(interval(table, positive=True), np.exp([logarithm.value, *logarithm.interval()]))


def test_a_number_of_every_block_and_image_is_estimated_as_the_study_does() -> None:
    found = by_block(STUDY, "sgd", lambda record: record.corrupted_wrong[-1].mean(axis=0))
    assert_allclose(found, STUDY.mean("sgd", "corrupted block error", "blocks"))


def test_the_trade_off_passes_through_the_means_and_every_triple_is_there() -> None:
    left, middle, right, *_ = _draw("tradeoff_fashion_mnist").axes
    for (points, ends), names in zip(_bars(left), (CURVE[:1], CURVE[1:], BALANCE), strict=True):
        assert_allclose(points, np.stack([_of(SHARP, names), _of(D, names)], axis=1))
        assert ((ends[:, 0, 1] < points[:, 1]) & (points[:, 1] < ends[:, 1, 1])).all()
    assert [float(text.get_text()) for text in left.texts] == [*RHO, *RHO]
    triples = np.concatenate([np.asarray(cloud.get_offsets()) for cloud in left.collections[:2]])
    alone = Study({"sgd": Condition(STUDY.conditions["sgd"].blocks[:1])})
    assert_allclose(triples[0], [quantity(alone, "sgd", "seeds")[0, 0] for quantity in (SHARP, D)])
    assert len(triples) == len(CURVE + BALANCE) * STUDY.blocks
    for axes, quantity in ((middle, D), (right, SHARP)):
        for (points, ends), names in zip(_bars(axes), (CURVE[1:], BALANCE), strict=True):
            assert_allclose(points[:, 0], RHO, rtol=0.02)
            read = np.column_stack([points[:, 1], ends[:, :, 1]])
            assert_allclose(read, [_ratio(quantity, name, "sgd") for name in names])


def test_data_sets_show_eir_and_robustness_of_every_rho() -> None:
    upper, lower = _draw("tradeoff_datasets").axes
    accuracy = 100 * (1 - _of(LEVELS["member error on corrupted images"], CURVE))
    for axes, values in ((upper, _of(LEVELS["EIR of three"], CURVE)), (lower, accuracy)):
        points = np.concatenate([point for point, _ in _bars(axes)])
        assert_allclose(points, np.stack([_of(SHARP, CURVE), values], axis=1))


def test_slopes_of_other_shapes_are_told() -> None:
    axes, *_ = _draw("tradeoff_shapes").axes
    pairs = (("sgd", "sam-mid"), ("narrow-sgd", "narrow-sam"), ("sparse-sgd", "sparse-sam"))
    for (points, _), text, names in zip(_bars(axes), axes.texts, pairs, strict=True):
        assert_allclose(points, np.stack([_of(SHARP, names), _of(D, names)], axis=1))
        slope = np.diff(np.log(_of(D, names))) / np.diff(np.log(_of(SHARP, names)))
        assert f"slope {slope[0]:.2f} [" in text.get_text()


def test_bars_are_accuracies_at_the_rho_that_validation_chooses() -> None:
    conditions = [condition for condition, _ in methods(STUDY).values()]
    assert conditions == ["sgd", "sam-high", "sharpbalance-high", "code"]  # made up so that a larger rho is better
    for axes, images in zip(_draw("headline_bars").axes, ("", " on corrupted images"), strict=True):
        if images:  # of the authors' code others were taken
            conditions = conditions[:3]
        bars = [each[0] for each in axes.containers if isinstance(each, BarContainer) and each[0].get_height()]
        errors = [f"{who} error{images}" for _ in conditions for who in ("ensemble", "member")]
        expected = [
            100 * (1 - LEVELS[error](STUDY, condition, "blocks")[0, 0])
            for condition, error in zip(np.repeat(conditions, 2), errors, strict=True)
        ]
        assert_allclose([bar.get_height() for bar in bars], expected)


def test_other_metrics_of_diversity_are_those_of_the_study() -> None:
    names = ("disagreement", "DER", "KL divergence", "variance of logits", "1 - CKA, last stage")
    for axes, name in zip(_draw("diversity_metrics").axes, names, strict=True):
        points = np.concatenate([point for point, _ in _bars(axes)])
        assert_allclose(points[:, 1], _of(DIVERSITY[name], CURVE + BALANCE))


@pytest.mark.parametrize("row", [0, 1])
def test_measures_of_sharpness_are_ratios_to_sgd(row: int) -> None:
    axes, names = _draw("sharpness_measures").axes[row], (CURVE[1:], BALANCE)[row]
    for (points, ends), measure in zip(_bars(axes), SHARPNESS, strict=True):
        read = np.column_stack([points[:, 1], ends[:, :, 1]])
        assert_allclose(read, [_ratio(sharpness(measure), name, "sgd") for name in names])


@pytest.mark.slow
def test_the_title_counts_the_measures_of_sharpness_whose_bar_ends_below_one() -> None:
    """Of the committed results: those that are made up are all below."""
    committed = load_evidence(Path(__file__).parents[2] / "results")
    with style():
        panels = FIGURES["sharpness_measures"].draw(committed).axes
    sets = len(panels) // 2  # the upper row is SAM's, the lower SharpBalance's
    below = [sum(e[-1, 1, 1] < 1 for _, e in _bars(axes)) for axes in panels]
    sam, balance = below[:sets], below[sets:]
    told = re.findall(r"(\d+) of 6", FIGURES["sharpness_measures"].words(committed).finding)
    assert list(map(int, told)) == [count for both in zip(sam, balance, strict=True) for count in both]
    assert 0 < sam[0] < 6


def test_severities_are_the_accuracy_under_each_and_its_gain() -> None:
    def accuracies(name: str, kind: int) -> np.ndarray:
        """Of the ensemble (0) or its members (1), from a pass over corruptions and severities one by one."""
        wrong = np.stack([record.corrupted_wrong for record in STUDY.conditions[name].blocks])
        wrong = wrong[:, -1:] if kind == 0 else wrong[:, :-1]
        return np.array([100 * (1 - wrong[:, :, [level, 5 + level]].mean()) for level in range(5)])

    upper, lower = _draw("severity").axes
    drawn = [accuracies(name, kind) for kind in (0, 1) for name in METHODS]
    assert_allclose([points[:, 1] for points, _ in _bars(upper)], drawn)
    gains = [accuracies(name, kind) - accuracies("sgd", kind) for kind in (0, 1) for name in list(METHODS)[1:]]
    assert_allclose([points[:, 1] for points, _ in _bars(lower)], gains, atol=1e-9)
    apart = np.diff(np.sort([points[:, 0] for points, _ in _bars(upper)], axis=0), axis=0)
    assert (apart > 0.05).all(), "bars lie upon each other"


def test_calibration_is_the_mean_over_triples_for_every_size() -> None:
    rows = [(images, metric) for images in ("by_size", "corrupted_by_size") for metric in ("ece", "nll")]
    for axes, (images, metric) in zip(_draw("calibration_size").axes, rows, strict=True):
        for (points, ends), name in zip(_bars(axes), METHODS, strict=True):
            assert (ends[:, 0, 1] > 0).all(), "neither can be below 0"
            kept = [record.summary[images][metric] for record in STUDY.conditions[name].blocks]
            assert_allclose(points[:, 1], np.mean(kept, axis=0))
        assert list(axes.get_xticks()) == [1, 2, 3]


def test_comparisons_of_the_sets_are_ratios_in_their_rows() -> None:
    panels = _draw("variants").axes
    errors = (LEVELS["ensemble error"], LEVELS["ensemble error on corrupted images"])
    for axes, quantity in zip(panels, (D, SHARP, *errors), strict=True):
        ((points, ends),) = _bars(axes)
        rows = range(len(COMPARISONS)) if quantity is not errors[1] else (0, 4)  # the others are of other images
        assert_allclose(points[:, 1], rows)
        read = np.column_stack([points[:, 0], ends[:, :, 0]])
        assert_allclose(read, [_ratio(quantity, *COMPARISONS[row]) for row in rows])
    assert panels[0].get_yticklabels()[2].get_text() == "SharpBalance\nover SharpBalance on shuffled sets"
    assert panels[0].yaxis_inverted()
