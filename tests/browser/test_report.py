"""The HTML report as readers meet it: from a file, without a network, by mouse, by keyboard, on a phone and in the dark."""

import time
from typing import Any

import pytest
from PIL import Image

from sharpdiv.checks.report.html import Picture, Report, html
from sharpdiv.empirical.runs.profiles import DESIGNS
from tests.browser.looks import LOOKS, in_dark_mode, on_a_phone, too_wide, violations
from tests.checks.planted import planted_evidence
from tests.checks.report.findings import MADE_UP as ALL
from tests.checks.report.findings import PIXEL

MADE_UP = [pair for pair in ALL if not pair[0].design.startswith("paper")]
"""A third less to look through: those of the paper's size are like the others of a data set."""
OPENED = "c1-digits"
PLOT = f"#plot-{OPENED}"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A report of every claim, with trained networks and one figure."""
    folder = tmp_path_factory.mktemp("report")
    (folder / "picture.png").write_bytes(PIXEL)
    Image.new("RGB", (2, 1)).save(folder / "picture-dark.png")
    words = ("D falls.", "A caption.", "A picture in words.")
    picture = Picture(folder / "picture.png", *words, dark=folder / "picture-dark.png")
    names = {name for claim, _ in MADE_UP for name in claim.figures}
    report = Report(MADE_UP, planted_evidence(DESIGNS["digits"], 2), dict.fromkeys(names, picture))
    (folder / "report.html").write_text(html(report), encoding="utf-8")
    return (folder / "report.html").as_uri()


def shown(page: Any) -> list[str]:
    """Ids of the claims that are left by the filters."""
    return list(page.eval_on_selector_all("details.claim:not([hidden])", "all => all.map(each => each.id)"))


def test_it_opens_from_a_file(page: Any, address: str) -> None:
    begun = time.perf_counter()
    page.goto(address)
    page.get_by_role("heading", level=1).wait_for()
    print(f"opened in {time.perf_counter() - begun:.2f} s")
    assert len(shown(page)) == len(MADE_UP)
    assert not page.evaluate("'Plotly' in window")  # read when a plot is asked for


def test_filters_and_search(page: Any, address: str) -> None:
    page.goto(address)
    for name, kept in (
        ("About", lambda claim, _: "C5" in claim.about),
        ("Where", lambda claim, _: claim.where == "digits"),
        ("Whose", lambda claim, _: claim.subject == "transfer"),
        ("Verdict", lambda _, finding: finding.verdict == "fails"),
    ):
        value = {"About": "C5", "Where": "digits", "Whose": "transfer", "Verdict": "fails"}[name]
        page.get_by_label(name, exact=True).select_option(value)
        assert set(shown(page)) == {claim.id for claim, finding in MADE_UP if kept(claim, finding)}
        page.get_by_role("button", name="Clear").click()
        page.wait_for_function(f"document.getElementById('shown').textContent.startsWith('{len(MADE_UP)} of')")
    page.get_by_label("Search").fill("LOWER bound of sharpness")
    assert "theorem1-lower" in shown(page)
    assert len(shown(page)) < 10
    page.get_by_label("Search").fill("nothing like that")
    assert page.get_by_role("status").inner_text() == f"0 of {len(MADE_UP)} claims"


def test_a_cell_of_the_matrix_shows_its_claims(page: Any, address: str) -> None:
    page.goto(address)
    cell = page.locator("button.cell[data-topic=C1][data-where=digits]").first
    verdict = cell.get_attribute("data-verdict")
    cell.focus()
    page.keyboard.press("Enter")
    page.wait_for_function(f"!document.getElementById('shown').textContent.startsWith('{len(MADE_UP)}')")
    expected = {
        claim.id
        for claim, finding in MADE_UP
        if "C1" in claim.about and claim.where == "digits" and finding.verdict == verdict
    }
    assert set(shown(page)) == expected


def test_a_claim_opens_with_its_plot_figure_and_numbers(page: Any, address: str) -> None:
    page.goto(address)
    page.locator(f"#{OPENED} > summary").focus()
    page.keyboard.press("Enter")
    page.locator(f"{PLOT} .main-svg").first.wait_for()
    assert "-0.25 [-0.5, -0.01], n = 24" in page.locator(PLOT).text_content()
    figure = page.get_by_alt_text("A picture in words.").locator("visible=true").first
    assert figure.evaluate("image => image.decode().then(() => image.naturalWidth)") == 1
    numbers = page.locator(f"#{OPENED} details.numbers")
    assert not numbers.get_by_role("table").is_visible()
    numbers.locator("summary").click()
    assert numbers.get_by_role("table").is_visible()


def test_a_link_opens_its_claim(page: Any, address: str) -> None:
    page.goto(f"{address}#theorem1-lower")
    assert page.locator("#theorem1-lower").evaluate("claim => claim.open")
    page.locator("#theorem1-lower math").first.wait_for()


def test_a_point_tells_its_numbers(page: Any, address: str) -> None:
    page.goto(address)
    page.locator("#networks-digits > summary").click()
    point = page.locator("#points-digits .scatterlayer .trace").first.locator(".point").first
    point.wait_for()
    point.scroll_into_view_if_needed()
    place = point.bounding_box()
    page.mouse.move(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)
    hover = page.locator("#points-digits .hoverlayer .hovertext").first
    hover.wait_for()
    for word in ("rho = ", "seed ", "accuracy ", "sharpness ", "D of its ensemble "):
        assert word in hover.text_content()


def test_figures_are_dark_in_the_dark(page: Any, address: str) -> None:
    in_dark_mode(page)
    page.goto(f"{address}#{OPENED}")
    figure = page.get_by_alt_text("A picture in words.").locator("visible=true").first
    width = "image => image.decode().then(() => image.naturalWidth)"
    assert figure.evaluate(width) == 2
    page.emulate_media(color_scheme="light")
    assert figure.evaluate(width) == 1


@pytest.mark.parametrize(("phone", "dark"), LOOKS)
def test_it_is_readable(page: Any, address: str, dark: bool, phone: bool) -> None:
    """Nothing wider than the window, nothing serious by axe-core, with a claim and the networks open."""
    if phone:
        on_a_phone(page)
    if dark:
        in_dark_mode(page)
    page.goto(f"{address}#{OPENED}")
    page.locator(f"{PLOT} .main-svg").first.wait_for()
    page.locator("#networks-digits > summary").click()
    page.locator("#points-digits .main-svg").first.wait_for()
    assert too_wide(page) == []
    assert violations(page) == []
    ink = page.evaluate("getComputedStyle(document.body).color")
    assert (ink == "rgb(230, 233, 235)") is dark
