"""How a page looks to people: on a phone, in the dark, and to those who do not see it."""

from typing import Any

import pytest

__all__ = ["LOOKS", "in_dark_mode", "on_a_phone", "too_wide", "violations"]

LOOKS = [
    pytest.param(True, True, id="phone-dark"),
    pytest.param(False, True, id="wide-dark", marks=pytest.mark.long),
    pytest.param(True, False, id="phone-light", marks=pytest.mark.long),
    pytest.param(False, False, id="wide-light", marks=pytest.mark.long),
]
"""On a phone or not, in the dark or not."""
_SERIOUS = {"serious", "critical"}
_WIDER_THAN_THE_WINDOW = """() => {
  const own = ['auto', 'scroll', 'hidden', 'clip'];
  const scrolls = (e) => e && (own.includes(getComputedStyle(e).overflowX) || scrolls(e.parentElement));
  if (document.documentElement.scrollWidth <= window.innerWidth) return [];
  return [...document.body.querySelectorAll('*')]
    .filter((e) => e.getBoundingClientRect().right > window.innerWidth + 1 && !scrolls(e.parentElement))
    .map((e) => e.outerHTML.slice(0, 80));
}"""


def on_a_phone(page: Any) -> None:
    """390 pixels wide."""
    page.set_viewport_size({"width": 390, "height": 844})


def in_dark_mode(page: Any) -> None:
    """As the system's dark mode asks for it."""
    page.emulate_media(color_scheme="dark")


def too_wide(page: Any) -> list[str]:
    """What makes the whole page scroll sideways; what scrolls by itself, such as a wide table, does not."""
    return list(page.evaluate(_WIDER_THAN_THE_WINDOW))


def violations(page: Any, *, leave_out: str | None = None) -> list[str]:
    """What axe-core finds serious or critical.

    Args:
        page: Page that has loaded.
        leave_out: CSS selector of what is not ours.

    Returns:
        For each finding its rule, what it says, and the first elements that it is about.
    """
    from axe_playwright_python.sync_playwright import Axe

    context = {"exclude": [leave_out]} if leave_out else None
    found = Axe().run(page, context=context).response["violations"]
    return [
        f"{each['id']} ({each['impact']}): {each['help']}: {[node['html'][:120] for node in each['nodes'][:3]]}"
        for each in found
        if each["impact"] in _SERIOUS
    ]
