"""Charts show the curves: as SVG, which is well-formed and says its values, and as a picture."""

import io
import re
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from sharpdiv.cli.show import number
from sharpdiv.explore.charts import Chart, charts
from sharpdiv.explore.models import Model, Preset
from sharpdiv.explore.picture import png
from sharpdiv.explore.question import Question, answer
from sharpdiv.explore.svg import svg
from sharpdiv.theory.setting import Setting
from tests.explore.questions import PRESETS, asked

CASES = [pytest.param(*case, marks=[pytest.mark.slow] if case[0].variant == ("diagonal",) else []) for case in PRESETS]
IDS = [f"{model.title}: {preset.title}" for model, preset in PRESETS]
DIVERGING = Question(problem=Setting(learning_rate=0.5, steps=20), places=9)


def _drawn(chart: Chart) -> ET.Element:
    return ET.fromstring(svg(chart).replace("&#160;", " "))  # noqa: S314


@pytest.mark.parametrize(("model", "preset"), CASES, ids=IDS)
def test_svg_is_well_formed_and_inside(model: Model, preset: Preset) -> None:
    for chart in charts(asked(model, preset), 2, preset.drawn):
        drawn = _drawn(chart)
        _, _, width, height = map(float, drawn.attrib["viewBox"].split())
        for circle in drawn.iter("circle"):
            assert 0 <= float(circle.attrib["cx"]) <= width
            assert 0 <= float(circle.attrib["cy"]) <= height
        assert len(list(drawn.iter("path"))) >= 3  # the frame and both methods
        assert "nan" not in svg(chart)


def test_a_chart_says_its_values() -> None:
    question = Question()
    found = answer(question)
    tradeoff, diversity, *_ = charts(question, 100)
    assert _drawn(diversity).attrib["aria-label"] == (
        f"Diversity at rho = {number(float(question.rho[100]))}: SAM {number(float(found['sam'].columns()['diversity'][100]))}, "
        f"SharpBalance {number(float(found['sharpbalance'].columns()['diversity'][100]))}"
    )
    assert "rho" not in _drawn(tradeoff).attrib["aria-label"]


def test_a_path_goes_through_its_points() -> None:
    (chart,) = (c for c in charts(Question(places=11), 0) if c.title == "Ensemble improvement rate")
    line = next(line for line in chart.lines if line.method == "sharpbalance")
    path = next(p for p in _drawn(chart).iter("path") if "sharpbalance solid" in p.attrib["class"])
    x, y = np.array(re.findall(r"[-\d.]+", path.attrib["d"]), float).reshape(-1, 2).T
    plot = next(_drawn(chart).iter("svg")).find("svg")
    assert plot is not None
    width, height = float(plot.attrib["width"]), float(plot.attrib["height"])
    np.testing.assert_allclose(x / width, chart.horizontal.at(line.x), atol=1e-3)
    np.testing.assert_allclose(1 - y / height, chart.vertical.at(line.y), atol=1e-3)


def test_what_is_not_stable_is_dotted_and_shaded() -> None:
    question = Question(highest=0.4)
    (_, chart, *_) = charts(question, 0)
    dotted = [line for line in chart.lines if line.style == "dotted"]
    assert [line.method for line in dotted] == ["sam"]
    critical = dict(chart.edges)["sam"]
    assert critical is not None
    assert dotted[0].x[0] < critical < dotted[0].x[1]
    assert [r.attrib["class"] for r in _drawn(chart).iter("rect")] == ["unstable sam"]
    assert f"critical ρ = {number(critical)}" in svg(chart)


def test_where_no_rho_is_stable() -> None:
    for chart in charts(DIVERGING, 0):
        _drawn(chart)
    assert "SAM: no stable ρ" in svg(charts(DIVERGING, 0)[1])


def test_the_picture_is_a_png() -> None:
    image = Image.open(io.BytesIO(png(charts(Question(places=20), 3))))
    assert image.format == "PNG"
    assert min(image.size) > 800
    assert np.unique(np.asarray(image.convert("L"))).size > 50  # not blank
