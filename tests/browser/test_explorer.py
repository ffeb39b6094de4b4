"""The explorer in a real browser: what is read off is what the command line prints, and nothing but this machine is asked."""

import os
import re
import shlex
import signal
import statistics
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sharpdiv.cli import main
from sharpdiv.explore.question import Question
from sharpdiv.explore.taking_away import python_code, table
from tests.browser.looks import LOOKS, in_dark_mode, on_a_phone, too_wide, violations
from tests.explore.questions import PRESETS

pytest.importorskip("marimo", reason="the extra explore is not installed")

MARIMO = '[data-testid="notebook-actions-dropdown"]'
"""Not ours: its button has no name."""
QUANTITIES = ("diversity", "sharpness", "sharpness_lower", "sharpness_upper", "member_error", "ensemble_error", "eir")


@contextmanager
def started() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server in a process group of its own, and its address; ended in any case."""
    with subprocess.Popen(
        [sys.executable, "-m", "sharpdiv", "explore", "--no-browser"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r"http://127\.0\.0\.1:\d+/", line)
            assert found, line
            yield process, found[0]
        finally:
            process.kill()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with started() as (_, found):
        yield found


@pytest.fixture
def explorer(page: Any, address: str) -> Any:
    page.goto(address)
    page.wait_for_selector(".readout")
    return page


def press(page: Any, dial: str, key: str, times: int = 1) -> None:
    """Move a slider by the keyboard."""
    thumb = page.locator(f"{dial} [role=slider]")
    thumb.focus()
    for _ in range(times):
        thumb.press(key)


def caption(page: Any) -> str:
    return str(page.locator(".readout caption").inner_text())


def read_off(page: Any, method: str) -> dict[str, str]:
    return {
        name: page.locator(f"[data-quantity={name}] [data-method={method}]").inner_text()
        for name in (*QUANTITIES, "stable", "critical_rho")
    }


def printed(capsys: pytest.CaptureFixture[str], command: str) -> dict[str, str]:
    """The table that a command prints for one rho."""
    assert main.run(shlex.split(command)[1:]) == 0
    names, values, *_ = capsys.readouterr().out.splitlines()
    return dict(zip(names.split(), values.split(), strict=True))


def test_the_slider_of_rho_reads_off_what_the_command_line_prints(
    explorer: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    points = explorer.locator(".chart .point.here.sam")
    before = points.nth(1).get_attribute("cy")
    assert caption(explorer) == "At ρ = 0.1"
    press(explorer, ".rho", "ArrowRight", times=4)
    explorer.wait_for_function("document.querySelector('.readout caption').innerText == 'At ρ = 0.104'")
    assert points.nth(1).get_attribute("cy") != before
    sam, balance = explorer.locator(".away pre").nth(1).inner_text().strip().splitlines()
    assert sam.startswith("sharpdiv theory sam --rho 0.104")
    for method, command in (("sam", sam), ("sharpbalance", balance)):
        there = printed(capsys, command)
        assert read_off(explorer, method).items() <= there.items()
    assert printed(capsys, "sharpdiv theory sam --rho 0.104").items() >= read_off(explorer, "sam").items()


def test_a_dial_changes_every_curve(explorer: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """But SAM's improvement rate, which does not depend on eta."""
    lines = explorer.locator(".chart .line.sam.solid")
    before = [lines.nth(i).get_attribute("d") for i in range(lines.count())]
    press(explorer, "[data-dial=learning_rate]", "ArrowLeft")
    explorer.wait_for_function(
        "(was) => document.querySelector('.chart .line.sam.solid').getAttribute('d') != was", arg=before[0]
    )
    after = [lines.nth(i).get_attribute("d") for i in range(lines.count())]
    assert sum(a != b for a, b in zip(after, before, strict=True)) >= 3
    there = printed(capsys, "sharpdiv theory sharpbalance --rho 0.1 --learning-rate 0.008")
    assert read_off(explorer, "sharpbalance").items() <= there.items()


@pytest.mark.long
def test_the_papers_settings(explorer: Any) -> None:
    explorer.get_by_role("button", name="Fig. 2").click()
    explorer.wait_for_function("document.querySelector('.readout caption').innerText == 'At ρ = 0.4'")
    assert read_off(explorer, "sam")["stable"] == "no"
    assert explorer.locator(".chart .unstable.sam").count() == 4
    assert "critical ρ = 0.1897" in explorer.locator(".chart").nth(1).text_content()
    assert explorer.locator(".chart .line.sam.broad").count() == 6


@pytest.mark.long
def test_what_is_out_of_range_is_said_in_a_sentence(explorer: Any) -> None:
    press(explorer, "[data-dial=n]", "Home")
    press(explorer, "[data-dial=blocks]", "End")
    explorer.get_by_role("alert").wait_for()
    said = explorer.get_by_role("alert").inner_text()
    assert said == "blocks must lie between 1 and n = 20, got 50: every block needs a row of the data"
    assert "Traceback" not in explorer.content()
    press(explorer, "[data-dial=blocks]", "Home")
    explorer.wait_for_selector(".readout")


@pytest.mark.long
def test_a_range_that_is_none_is_said_in_a_sentence(explorer: Any) -> None:
    ends = explorer.locator(".span input")
    ends.nth(1).fill("-1")
    ends.nth(1).press("Enter")
    explorer.get_by_role("alert").wait_for()
    assert "the range of rho must begin at 0 or more" in explorer.get_by_role("alert").inner_text()


@pytest.mark.parametrize("ends", [(None, 1.0), (0.0, None)])
def test_an_emptied_end_of_the_range_is_said_in_a_sentence(ends: tuple[float | None, float | None]) -> None:
    """What a number that was cleared gives."""
    from sharpdiv.explore import page

    ((model, preset), *_) = PRESETS
    assert page.rho(model, preset, ends).value >= 0
    assert "needs a number at both ends" in page.results(model, preset, model.start(), ends, 0.1).text


@pytest.mark.long
@pytest.mark.parametrize(("model", "command"), [("Two-layer network", "two-layer"), ("Diagonal network", "diagonal")])
def test_networks_that_learn_features(
    explorer: Any, model: str, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    explorer.get_by_text(model, exact=True).click()
    explorer.wait_for_selector("[data-quantity=trace]", timeout=60_000)
    sam = explorer.locator(".away pre").nth(1).inner_text().strip().splitlines()[0]
    assert sam.startswith(f"sharpdiv theory {command} sam")
    there = printed(capsys, sam)
    for name in ("diversity", "trace", "member_error", "ensemble_error", "eir"):
        assert explorer.locator(f"[data-quantity={name}] [data-method=sam]").inner_text() == there[name]


@pytest.mark.long
def test_what_is_taken_away(explorer: Any, tmp_path: Path) -> None:
    code = explorer.locator(".away pre").nth(0)
    assert code.inner_text().strip() == python_code(Question())
    explorer.context.grant_permissions(["clipboard-read", "clipboard-write"])
    code.hover()
    explorer.locator(".codehilite-wrapper button").first.click()
    assert explorer.evaluate("navigator.clipboard.readText()").strip() == python_code(Question())
    for button, start in (
        ("Save CSV", table(Question()).encode()),
        ("Save PNG", b"\x89PNG\r\n"),
    ):
        with explorer.expect_download() as download:
            explorer.get_by_text(button).click()
        file = tmp_path / download.value.suggested_filename
        download.value.save_as(file)
        assert file.read_bytes().startswith(start)


@pytest.mark.long
@pytest.mark.parametrize(("phone", "dark"), LOOKS)
def test_looks(page: Any, address: str, dark: bool, phone: bool) -> None:
    if dark:
        in_dark_mode(page)
    if phone:
        on_a_phone(page)
    page.goto(address)
    page.wait_for_selector(".readout")
    page.wait_for_timeout(500)
    ink = page.evaluate("getComputedStyle(document.querySelector('.chart text')).fill")
    assert (min(map(int, re.findall(r"\d+", ink))) > 128) == dark
    assert too_wide(page) == []
    assert violations(page, leave_out=MARIMO) == []
    if phone:  # figures stay in view while the last dial is turned
        page.locator("[data-dial=blocks]").scroll_into_view_if_needed()
        assert page.locator(".panels").bounding_box()["y"] >= 0
        assert page.locator("figure").first.bounding_box()["width"] <= 390


@pytest.mark.long
def test_how_long_a_slider_takes(explorer: Any) -> None:
    """From the key to the number on the page, in the browser's own clock; printed, as it is the machine's."""
    times = explorer.evaluate(
        """async () => {
          const thumb = document.querySelector('.rho marimo-slider').shadowRoot.querySelector('[role=slider]');
          const times = [];
          for (let i = 0; i < 20; i++) {
            const caption = document.querySelector('.readout caption');
            const changed = new Promise((done) => {
              const observer = new MutationObserver(() => { observer.disconnect(); done(); });
              observer.observe(caption, {subtree: true, characterData: true, childList: true});
            });
            const start = performance.now();
            thumb.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowRight', bubbles: true, cancelable: true}));
            await changed;
            times.push(performance.now() - start);
            await new Promise((done) => setTimeout(done, 100));
          }
          return times;
        }"""
    )
    print(f"a slider's answer: median {statistics.median(times):.0f} ms, largest {max(times):.0f} ms")
    assert len(times) == 20


def test_it_listens_on_this_machine_only(address: str) -> None:
    port = int(address.rsplit(":", 1)[1].strip("/"))
    text = Path("/proc/net/tcp").read_text(encoding="ascii") + Path("/proc/net/tcp6").read_text(encoding="ascii")
    listening = [line.split()[1] for line in text.splitlines() if line.split()[3] == "0A"]
    assert [where for where in listening if int(where.split(":")[1], 16) == port] == [f"0100007F:{port:04X}"]


def test_it_answers_to_no_other_name(address: str) -> None:
    request = urllib.request.Request(address, headers={"Host": "elsewhere.example"})  # noqa: S310
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)  # noqa: S310
    assert refused.value.code == 400
    refused.value.close()


@pytest.mark.long
def test_interrupted_it_ends_with_the_sessions_of_its_pages(page: Any) -> None:
    """Also of the processes that it started nothing is left."""
    with started() as (process, address):
        page.goto(address)
        page.wait_for_selector(".readout")
        page.goto("about:blank")
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out, err) == (0, "", "")
        with pytest.raises(ProcessLookupError):
            os.killpg(process.pid, 0)
