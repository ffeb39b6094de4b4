"""The HTML report: whole, safe and without the network; how it behaves is tested in tests/browser."""

import json
import re
from base64 import b64decode
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sharpdiv.checks.claim import Effect, Finding, Verdict
from sharpdiv.checks.ensembles.verdicts import Beside
from sharpdiv.checks.report.formulas import mathml, prose
from sharpdiv.checks.report.html import Picture, Report, figures_shown, html
from sharpdiv.checks.report.plots import forest
from sharpdiv.checks.report.points import points
from sharpdiv.empirical.runs.profiles import DESIGNS
from sharpdiv.figures.registry import FIGURES
from tests.checks.planted import planted_evidence
from tests.checks.report.findings import MADE_UP, PIXEL, hostile
from tests.laws import Mutation, law


def data_of(text: str, name: str) -> Any:
    """What a script element holds."""
    told = text.partition(f'<script type="application/json" id="{name}">')[2].partition("</script>")[0]
    return json.loads(told, parse_constant=pytest.fail)  # a browser knows no NaN


def without_plotly(text: str) -> str:
    before, _, rest = text.partition('<script type="text/plain" id="plotly">')
    return before + rest.partition("</script>")[2]


@pytest.fixture(scope="module")
def whole() -> str:
    return html(Report(MADE_UP))


def test_every_claim_is_there_once_with_every_number(whole: str) -> None:
    text = unescape(whole)
    for claim, finding in MADE_UP:
        assert whole.count(f'<details class="claim" id="{claim.id}"') == 1
        assert claim.tolerance.split("*")[0] in text
        assert finding.remark in text
    assert text.count("<td>-0.25 [-0.5, -0.01], p = 0.012, adjusted p = 0.04</td>") == len(MADE_UP)
    assert data_of(whole, "plots").keys() == {f"plot-{claim.id}" for claim, _ in MADE_UP}


@law(Mutation("NaN as it is", "sharpdiv.checks.report.html.plain", lambda _: lambda value: value))
def test_what_is_not_finite_costs_one_point_and_not_all_plots() -> None:
    claim, finding = MADE_UP[0]
    one = finding.effects[0]
    lost = replace(finding, effects=(replace(one, low=float("-inf"), high=float("nan")), one))
    try:
        plots = data_of(html(Report([(claim, lost)])), "plots")
    except pytest.fail.Exception as error:
        raise AssertionError(error) from error
    errors = plots[f"plot-{claim.id}"]["data"][0]["error_x"]
    assert errors["array"][0] is errors["arrayminus"][0] is None
    assert errors["array"][1] is not None


@law(Mutation("whatever there is", "sharpdiv.checks.report.plots.of_one_quantity", lambda _: lambda effects: effects))
def test_an_axis_has_one_quantity() -> None:
    """Logs of ratios go with the log of the ratio that decides, and not with a slope."""
    one = MADE_UP[0][1].effects[0]
    for unit, rows in (("log of the ratio of D", 2), ("slope of log D against log sharpness", 1)):
        effects = (replace(one, unit=unit), replace(one, unit="log ratio", decides=False))
        drawn = forest(effects)
        assert sum(len(trace["x"]) for trace in drawn["data"]) == rows
        assert drawn["layout"]["xaxis"]["title"]["text"].replace("<br>", " ") == unit


def test_nothing_is_asked_of_the_network(whole: str) -> None:
    page = without_plotly(whole)
    asked = re.findall(r"""(?:src|href|srcset|action|data)\s*=\s*["']?([^"'\s>]+)|url\(([^)]*)\)|@import""", page)
    assert [found for found in asked if re.match(r"(?:https?:)?//", "".join(found))] == []
    assert "<link" not in page.replace('<link rel="icon" href="data:,">', "")


def test_it_is_not_large(whole: str) -> None:
    assert len(whole.encode()) < 8_000_000


def _unsafe(environment: Callable[[], Any]) -> Callable[[], Any]:
    def made() -> Any:
        found = environment.__wrapped__()  # type: ignore[attr-defined]
        found.autoescape = False
        return found

    return made


@law(
    Mutation("nothing escaped", "sharpdiv.checks.report.html._environment", _unsafe),
)
def test_markup_of_a_claim_is_words() -> None:
    finding = Finding(
        Verdict.HOLDS,
        (("<script>alert('x')</script>", "</script><script>alert('x')</script>"),),
        "<script>alert('x')</script>",
        (Effect(label="</script><script>alert('x')", estimate=1.0, low=0.0, high=2.0, unit="<b>"),),
    )
    text = html(Report([(hostile(), finding)], beside=[Beside("evil", Verdict.HOLDS, Verdict.FAILS, "<script>alert")]))
    assert "<script>alert" not in text
    assert text.count("<script") == 4


def test_figures_are_shown_with_their_words(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PIXEL)
    shown = figures_shown(MADE_UP)
    assert set(shown) <= FIGURES.keys()
    picture = Picture(tmp_path / "a.png", "It <falls>.", "A caption.", 'The "picture" in words.')
    text = html(Report(MADE_UP, pictures={shown[0]: picture, "of no claim": picture}))
    assert data_of(text, "images").keys() == {shown[0]}
    assert data_of(text, "images")[shown[0]].keys() == {"light"}
    assert data_of(text, "images")[shown[0]]["light"].startswith("data:image/png;base64,iVBOR")
    assert 'alt="The &#34;picture&#34; in words."' in text
    assert "It &lt;falls&gt;." in text


def test_what_was_not_run_shows_no_figure_of_something_else() -> None:
    assert not figures_shown([(claim, Finding(Verdict.NOT_RUN)) for claim, _ in MADE_UP])


def test_figures_look_as_they_were_drawn_on_both_pages(tmp_path: Path) -> None:
    """Eight colours and all between them and the page's, which is there most often."""
    hues, paths = np.random.default_rng(0).uniform(0, 255, (8, 1, 1, 3)), {}
    share = np.linspace(0, 1, 200)[:, None]
    for page, paper in (("light", 255), ("dark", 13)):
        pixels = np.full((200, 200, 3), paper, np.uint8)
        pixels[60:] = np.repeat(share * hues + (1 - share) * paper, 18, axis=1).reshape(-1, 200, 3)[:140]
        paths[page] = tmp_path / f"{page}.png"
        Image.fromarray(pixels).save(paths[page])
    (name,) = figures_shown(MADE_UP)[:1]
    picture = Picture(paths["light"], "It falls.", "A caption.", "In words.", dark=paths["dark"])
    images = data_of(html(Report(MADE_UP, pictures={name: picture})), "images")[name]
    assert images.keys() == paths.keys()
    for page, path in paths.items():
        content = b64decode(images[page].partition(",")[2])
        shown, drawn = (np.asarray(Image.open(each).convert("RGB"), int) for each in (BytesIO(content), path))
        assert abs(shown - drawn).max() <= 20
        assert abs(shown - drawn)[:60].max() <= 4


def test_every_trained_network_is_a_point() -> None:
    evidence = planted_evidence(DESIGNS["digits"], 2)
    found = points(evidence)
    assert {name: len(of) for name, of in found.items()} == {"digits": sum(len(r.predicted) for r in evidence.records)}
    record = evidence.records[0]
    point = next(p for p in found["digits"] if (p.rho, p.seed) == (record.config.rho, record.config.seeds[1]))
    assert point.accuracy == pytest.approx((record.predicted[1] == record.labels).mean())
    assert point.diversity == pytest.approx(float(np.var(record.probs, axis=0, ddof=1).sum(axis=1).mean()))
    plot = data_of(html(Report(MADE_UP[:1], evidence)), "plots")["points-digits"]
    hover = plot["data"][0]
    assert hover["customdata"][0][:2] == [hover["customdata"][0][0], found["digits"][0].seed]
    for word in ("rho", "seed", "accuracy", "sharpness", "D of its ensemble"):
        assert word in hover["hovertemplate"]


def test_a_forest_plot_has_estimate_interval_band_and_size() -> None:
    effect = MADE_UP[0][1].effects[0]
    plot = forest([effect])
    (trace,) = plot["data"]
    assert list(trace["x"]) == [-0.25]
    assert list(trace["error_x"]["array"]) == pytest.approx([0.24])
    assert list(trace["error_x"]["arrayminus"]) == pytest.approx([0.25])
    band, line = plot["layout"]["shapes"]
    assert (band["x0"], band["x1"], line["x0"]) == (-0.05, 0.05, 0.0)
    assert "n = 24" in plot["layout"]["annotations"][0]["text"]
    assert "annotations" not in forest([effect] * 60)["layout"] or not forest([effect] * 60)["layout"]["annotations"]


def test_verdicts_beside_the_committed_ones_are_shown_where_there_are_any(whole: str) -> None:
    assert "beside-title" not in whole
    rows = [Beside("c1-digits", Verdict.HOLDS, Verdict.FAILS, "9 seeds here, 24 there")]
    text = html(Report(MADE_UP, beside=rows))
    assert "0 of 1 are the same" in text
    assert "9 seeds here, 24 there" in text


def test_formulas_and_marks() -> None:
    assert mathml(r"\frac{a}{b}").startswith("<math")
    assert prose("it gets *more* diverse, |w*| <b> and `code`") == (
        "it gets <em>more</em> diverse, |w*| &lt;b&gt; and <code>code</code>"
    )
    assert prose("**Verdicts**: *✓ holds*, *– not run*; 2 * 3 * 4, 2*x*y") == (
        "<strong>Verdicts</strong>: <em>✓ holds</em>, <em>– not run</em>; 2 * 3 * 4, 2*x*y"
    )
    assert "<msup>" in prose("$x^2$")
