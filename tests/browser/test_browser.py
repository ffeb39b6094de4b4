"""The browser itself: it shows a page, and what is wrong with one fails a test."""

from pathlib import Path
from typing import Any

import pytest

from tests.browser.looks import in_dark_mode, on_a_phone, too_wide, violations

pytest_plugins = ["pytester"]

_PAGE = """<!doctype html><html lang="en"><title>Page</title><style>
body {{ color: #111; background: #fff }}
@media (prefers-color-scheme: dark) {{ body {{ color: #eee; background: #111 }} }}
</style><main><h1>Sharpness</h1>{more}</main></html>"""


@pytest.fixture
def write(tmp_path: Path) -> Any:
    """Writes the page with more in it; gives its address."""

    def written(more: str = "") -> str:
        (tmp_path / "page.html").write_text(_PAGE.format(more=more), encoding="utf-8")
        return (tmp_path / "page.html").as_uri()

    return written


def test_a_page_is_shown(page: Any, write: Any) -> None:
    page.goto(write("<script>document.querySelector('h1').textContent += ' and diversity'</script>"))
    assert page.get_by_role("heading").inner_text() == "Sharpness and diversity"
    assert violations(page) == []
    assert too_wide(page) == []


def test_the_dark_and_the_phone(page: Any, write: Any) -> None:
    page.goto(
        write(
            "<p style='width: 800px'>A wide paragraph</p><div style='overflow: auto'><p style='width: 900px'>x</p></div>"
        )
    )
    assert too_wide(page) == []
    on_a_phone(page)
    (found,) = too_wide(page)
    assert "A wide paragraph" in found
    in_dark_mode(page)
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(17, 17, 17)"


def test_what_axe_finds(page: Any, write: Any) -> None:
    page.goto(write("<p style='color: #ccc; background: #fff'>faint</p><img src='data:,' id='mute'>"))
    contrast, name = sorted(violations(page))
    assert contrast.startswith("color-contrast (serious)")
    assert name.startswith("image-alt (critical)")
    assert len(violations(page, leave_out="#mute")) == 1


PLANTED = {
    "<script>console.error('a planted error')</script>": "console: a planted error",
    "<script>undefined_function()</script>": "uncaught: undefined_function is not defined",
    "<script src='https://example.com/a.js'></script>": "asked the network for https://example.com/a.js",
    "<script src='https://93.184.216.34/b.js'></script>": "asked the network for https://93.184.216.34/b.js",
    "<script>new WebSocket('wss://example.com/')</script>": "asked the network for wss://example.com/",
}


@pytest.mark.long
def test_what_is_wrong_fails_a_test(browser: Any, pytester: pytest.Pytester) -> None:
    """Each page passes its test and fails after it, by what was planted and what follows from that."""
    pytester.makeconftest(Path(__file__).with_name("conftest.py").read_text(encoding="utf-8"))
    pytester.makepyfile(
        f"""
        import pytest

        @pytest.mark.parametrize("more", {list(PLANTED)!r})
        def test_page(page, more, tmp_path):
            (tmp_path / "page.html").write_text({_PAGE.format(more="MORE")!r}.replace("MORE", more))
            page.goto((tmp_path / "page.html").as_uri())
            page.wait_for_timeout(300)
        """
    )
    found = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-W", "ignore", "-vv")
    found.assert_outcomes(passed=len(PLANTED), errors=len(PLANTED))
    assert [complaint for complaint in PLANTED.values() if complaint not in found.stdout.str()] == []
