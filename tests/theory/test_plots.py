"""Lines and points of curves: the columns themselves, dotted where SAM is not stable, with rho where there is no axis of it."""

import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.testing import assert_allclose

from sharpdiv.theory.curves import Curves
from sharpdiv.theory.errors import MissingPackageError
from sharpdiv.theory.feature_learning.diagonal.closed_forms import diagonal_tradeoff
from sharpdiv.theory.feature_learning.diagonal.setting import DiagonalSetting
from sharpdiv.theory.feature_learning.two_layer.closed_forms import two_layer_tradeoff
from sharpdiv.theory.feature_learning.two_layer.setting import TwoLayerSetting
from sharpdiv.theory.plots import plot_columns, tell_rho
from sharpdiv.theory.random_features.closed_forms import random_feature_tradeoff
from sharpdiv.theory.random_features.setting import RandomFeatureSetting
from sharpdiv.theory.setting import Setting
from sharpdiv.theory.simulation import simulate
from sharpdiv.theory.theorems.sam import sam_tradeoff
from sharpdiv.theory.theorems.sharpbalance import sharpbalance_tradeoff
from tests.laws import Mutation, law

RHO = (0.0, 0.1, 0.2)
SETTING = Setting(n=60, d=20)
CURVES: dict[str, Curves] = {
    "sam": sam_tradeoff(SETTING, RHO),
    "sharpbalance": sharpbalance_tradeoff(SETTING, RHO, blocks=2),
    "random features": random_feature_tradeoff(RandomFeatureSetting(n=40, d=20, features=30), RHO),
    "two-layer": two_layer_tradeoff(TwoLayerSetting(n=20, d=40, width=30, m=5), (0.0, 0.001)),
    "diagonal": diagonal_tradeoff(DiagonalSetting(n=40, d=120), RHO),
    "simulation": simulate(SETTING, RHO, draws=2, inits=3),
}


def _axes() -> Axes:
    return Figure().subplots()


@pytest.mark.parametrize("name", CURVES)
def test_every_curve_has_a_table_a_plot_and_a_view(name: str) -> None:
    curve = CURVES[name]
    frame = curve.to_frame()
    assert list(frame["rho"]) == curve.columns()["rho"].tolist()
    axes = curve.plot(x="rho", ax=_axes())
    assert axes.get_xlabel() == r"$\rho$"
    assert_allclose(np.asarray(axes.get_lines()[0].get_ydata()), frame["diversity"])
    assert curve._repr_html_().count("<tr>") == 1 + len(frame)


@law(
    Mutation(
        "one line for all of it",
        "sharpdiv.theory.curves.Curves.columns",
        lambda f: lambda self: _without_stable(f(self)),
    ),
    count=st.integers(2, 30),
    end=st.floats(0.2, 0.5),
)
def test_stable_and_unstable_parts_make_the_curve(count: int, end: float) -> None:
    curve, axes = sam_tradeoff(Setting(), np.linspace(0, end, count)), _axes()
    plot_columns(axes, curve, x="rho")
    assert len(axes.get_lines()) == 2
    solid, dotted = axes.get_lines()
    assert (solid.get_linestyle(), dotted.get_linestyle()) == ("-", ":")
    assert_allclose(np.asarray(solid.get_xdata()), curve.rho[curve.stable])
    assert set(curve.rho[~curve.stable]) <= set(np.asarray(dotted.get_xdata()).tolist())
    joined = curve.stable.any() and np.asarray(dotted.get_xdata())[0] == curve.rho[curve.stable][-1]
    assert joined


def _without_stable(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: column for name, column in columns.items() if name != "stable"}


def test_measured_points_have_bars_of_one_standard_error() -> None:
    measured, axes = simulate(SETTING, RHO, draws=3, inits=3), _axes()
    plot_columns(axes, measured, x="rho")
    (bars,) = axes.containers
    segments = np.array(bars.lines[2][0].get_segments())  # type: ignore[attr-defined]
    stderr = np.asarray(measured.diversity.stderr)
    assert_allclose(segments[:, 1, 1] - segments[:, 0, 1], 2 * stderr)


def test_rho_is_told_where_it_is() -> None:
    curve, axes = sam_tradeoff(Setting(), np.linspace(0, 0.15, 151)), _axes()
    tell_rho(axes, curve, (0.05, 0.1), color="red")
    for text, rho in zip(axes.texts, (0.05, 0.1), strict=True):
        place = np.argmin(abs(curve.rho - rho))
        assert text.get_text() == f"{rho:g}"
        assert_allclose(text.xy, (curve.sharpness[place], curve.diversity[place]))  # type: ignore[attr-defined]


@pytest.mark.parametrize(("package", "call"), [("matplotlib.figure", "plot"), ("pandas", "to_frame")])
def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch, package: str, call: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    curve: Any = CURVES["sam"]
    with pytest.raises(
        MissingPackageError, match=rf"{call} needs \w+, which is not installed: pip install '.\[plot\]'"
    ):
        getattr(curve, call)()
