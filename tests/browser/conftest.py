"""A real browser for pages of ours, with the network off; what it complains about fails the test."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
OURS = ("file:", "data:", "blob:", "about:", "http://127.0.0.1:", "ws://127.0.0.1:")
"""Whatever else a page asks for is the network."""
SWITCHES = (
    "--no-sandbox",  # containers have no user namespaces
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # workers and sockets, too
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of this folder needs a browser, also where nobody said so."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker("browser")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium of the system, in a user folder of its own."""
    playwright = pytest.importorskip("playwright.sync_api", reason="the extra browser is not installed")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no chromium: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=chromium, args=list(SWITCHES), headless=True)
        yield started
        started.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """An empty page, wide and light; fails the test on console errors, uncaught errors and requests to the network."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light")
    context.set_default_timeout(20_000)
    complaints: list[str] = []

    def asked(url: str) -> None:
        if not url.startswith(OURS):
            complaints.append(f"asked the network for {url}")

    opened = context.new_page()
    context.on("request", lambda request: asked(request.url))
    opened.on("websocket", lambda socket: asked(socket.url))
    context.on("console", lambda said: complaints.append(f"console: {said.text}") if said.type == "error" else None)
    context.on("weberror", lambda error: complaints.append(f"uncaught: {error.error}"))
    yield opened
    context.close()
    assert complaints == []
