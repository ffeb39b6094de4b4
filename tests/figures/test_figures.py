"""Every figure draws, labelled: from the committed results, and of the grid of ensembles from made-up ones."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from checks import Evidence, load_evidence
from checks.designs import MAIN, PLANS
from empirical import RunConfig, StoreError
from figures import FIGURES, calibration_size, drawable, phase_diagram, render, tradeoff_shapes, variants
from figures.measured import bars, compared, designs, rho_of
from figures.style import style
from tests.checks.fakes import fake_run

RESULTS = Path(__file__).parents[2] / "results"
OF_ENSEMBLES = (
    "tradeoff_measured",
    "tradeoff_cifar10",
    "tradeoff_cifar10_jpeg",
    "tradeoff_fashion_mnist",
    "tradeoff_datasets",
    "tradeoff_shapes",
    "headline_bars",
    "diversity_metrics",
    "severity",
    "calibration_size",
    "sharpness_measures",
    "variants",
)
OF_LAZY_NETWORKS = ("bridge", "predicted_measured", "lazy_comparison")


def _run(config: RunConfig) -> dict[str, Any]:
    """All that figures read of a result, with sharpness and diversity that fall with rho."""
    rho, data = config.rho, config.data
    run = fake_run(config.seeds[0], config.method, rho, 1 - rho, 0.3 + rho / 2, 0, data, members=len(config.seeds))
    run |= {"config": config.to_json()}
    value = 1 - rho + 0.001 * config.seeds[0]
    sizes = list(range(1, 1 + len(run["config"]["seeds"])))
    curve = {"size": sizes, "ece": [value / size for size in sizes], "nll": [value / size for size in sizes]}
    names = ("worst_l2_adaptive", "worst_l2", *([] if data == "digits" else ["hessian_trace", "one_step"]))
    return run | {
        "metrics": dict.fromkeys(("disagreement", "der", "eir", "variance", "kl", "logit_variance"), value),
        "cka": {"blocks.0": 0.9, "blocks.1": 1 - value / 2},
        "by_size": curve,
        "corrupted_by_size": curve,
        "members": {"sharpness": {name: [value + 0.01 * size for size in sizes] for name in names}},
        "corrupted": {
            "noise": {name: [0.8, 0.7, 0.6, 0.5, value / 2] for name in ("accuracy_ensemble", "accuracy_mean")}
        },
    }


def _plan(plan: tuple[RunConfig, ...], ensembles: int = 9) -> list[dict[str, Any]]:
    seeds = list(dict.fromkeys(run.seeds for run in plan))[:ensembles]
    return [_run(run) for run in plan if run.seeds in seeds]


def _main(data: str) -> list[dict[str, Any]]:
    return _plan(MAIN[data])


def _evidence(*runs: Iterable[dict[str, Any]]) -> Evidence:
    return Evidence(tuple(run for group in runs for run in group))


def _grid() -> Evidence:
    main = (_main("digits"), _main("fashion-mnist"), _main("cifar10-jpeg"), _main("cifar10"))
    parts = (_plan(PLANS[f"fashion-mnist-{part}"]) for part in ("variants", "widths", "sparsities", "sizes"))
    return _evidence(*main, *parts)


def _check_labels(figure: Figure) -> None:
    panels = [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]
    assert panels
    for axes in panels:
        place = axes.get_subplotspec()
        assert place
        assert axes.get_ylabel() or not place.is_first_col()
        twins = axes.get_shared_x_axes().get_siblings(axes)
        assert any(twin.get_xlabel() for twin in twins) or not place.is_last_row()
    assert figure.legends or any(axes.get_legend() for axes in panels)


@pytest.fixture(autouse=True)
def few_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shape checks of the tests make each of the 243 comparisons six times as slow."""
    monkeypatch.setattr(phase_diagram, "_RATIOS", np.geomspace(0.5, 200, 8))


@pytest.mark.parametrize("name", drawable(load_evidence(RESULTS)))
def test_every_panel_is_labelled(name: str) -> None:
    with style():
        _check_labels(FIGURES[name](load_evidence(RESULTS)))


@pytest.mark.parametrize("name", OF_ENSEMBLES)
def test_every_panel_of_the_grid_is_labelled(name: str) -> None:
    assert name in drawable(_grid())
    with style():
        _check_labels(FIGURES[name](_grid()))


@pytest.mark.parametrize("name", ["sam_simulation", "tradeoff_shapes"])
def test_files_are_written_and_the_same_each_time(name: str, tmp_path: Path) -> None:
    paths = render([name], _grid(), tmp_path)
    assert [p.name for p in paths] == [f"{name}.png", f"{name}.pdf"]
    first = [p.read_bytes() for p in paths]
    assert first == [p.read_bytes() for p in render([name], _grid(), tmp_path)]


@pytest.mark.parametrize("name", [*OF_ENSEMBLES, *OF_LAZY_NETWORKS])
def test_measured_figures_need_results(name: str) -> None:
    assert name not in drawable(Evidence())
    with pytest.raises(StoreError, match=r"run sharpdiv reproduce|sharpdiv compare"):
        FIGURES[name](Evidence())


def test_all_figures_but_those_of_measured_networks_need_none() -> None:
    assert set(FIGURES) - set(drawable(Evidence())) == {*OF_ENSEMBLES, *OF_LAZY_NETWORKS}


def test_a_data_set_without_a_whole_ensemble_is_left_out() -> None:
    plain = [run for run in _main("digits") if run["config"]["method"] != "sharpbalance"]
    evidence = _evidence(plain, _main("cifar10-jpeg"))
    assert list(designs(evidence)) == ["cifar10-jpeg"]
    assert "tradeoff_measured" not in drawable(evidence)
    assert "tradeoff_datasets" in drawable(evidence)


def test_methods_are_compared_at_the_largest_rho_they_have_in_common() -> None:
    shown = compared(_evidence(_main("digits")))["digits"]
    assert rho_of(shown) == 0.2  # SAM has 0.4 too
    assert {run["config"]["method"] for run in shown.runs} == {"sgd", "sam", "sharpbalance"}


def test_shapes_are_compared_on_the_same_ensembles_and_radii() -> None:
    panels = tradeoff_shapes.shapes(_grid())
    assert {name: list(series) for name, series in panels.items()} == {
        "width": [8, 16, 32],
        "sparsity": [0.0, 0.5, 0.8],
    }
    for series in panels.values():
        for evidence in series.values():
            assert list(evidence.by_rho("sgd", "sam")) == [0.0, 0.1, 0.3]
            assert evidence.ensembles == 3


def test_shapes_that_are_not_measured_are_left_out() -> None:
    sparse = _plan(PLANS["fashion-mnist-sparsities"])
    assert list(tradeoff_shapes.shapes(_evidence(_main("fashion-mnist"), sparse))) == ["sparsity"]
    assert "tradeoff_shapes" not in drawable(_evidence(_main("fashion-mnist")))


def test_sizes_are_those_of_the_largest_ensembles_that_all_methods_have() -> None:
    def members(evidence: Evidence) -> dict[str, int]:
        found = calibration_size.largest(evidence)
        return {data: len(shown.runs[0]["config"]["seeds"]) for data, shown in found.items()}

    assert members(_grid()) == {"digits": 3, "fashion-mnist": 6, "cifar10-jpeg": 3, "cifar10": 3}
    sixes = [run for run in _grid().runs if len(run["config"]["seeds"]) == 6]
    assert members(_evidence(_main("fashion-mnist"), sixes[:2])) == {"fashion-mnist": 3}


def test_variants_are_compared_on_the_same_ensembles() -> None:
    shown = variants.variants(_grid())
    assert len(shown) == 6
    assert {evidence.ensembles for evidence in shown.values()} == {3}
    growing = _evidence(_main("fashion-mnist"), _plan(PLANS["fashion-mnist-variants"], ensembles=1))
    assert {evidence.ensembles for evidence in variants.variants(growing).values()} == {1}
    assert not variants.variants(_evidence(_main("fashion-mnist")))


def test_bars_are_t_intervals_over_ensembles_and_of_one_over_test_points() -> None:
    """1, 2 and 3 have a standard error of 1 / sqrt(3), and t = 4.3027 with two degrees of freedom."""
    values, lengths = bars(np.array([[[1.0], [2.0], [3.0]]]))
    np.testing.assert_allclose(values, [2])
    np.testing.assert_allclose(lengths, np.full((2, 1), 4.3027 / np.sqrt(3)), rtol=1e-4)
    values, lengths = bars(np.array([[[2.0]], [[1.0]], [[3.0]], [[2.0]]]))
    np.testing.assert_allclose(lengths, np.full((2, 1), 1.95996), rtol=1e-4)
