"""Formulas of the site as MathML, which browsers draw themselves: no script and no network."""

import html
import re

from latex2mathml.converter import convert

__all__ = ["on_page_content"]

_FORMULA = re.compile(r'<(span|div) class="arithmatex">(?:\\\(|\\\[)(.*?)(?:\\\)|\\\])</\1>', flags=re.S)


def on_page_content(content: str, **_: object) -> str:
    """MkDocs' hook: every formula that the Markdown extension ``arithmatex`` found.

    Args:
        content: HTML of a page.

    Returns:
        The same with MathML.
    """

    def formula(found: re.Match[str]) -> str:
        display = "block" if found[1] == "div" else "inline"
        # What the converter takes for a letter is a relation, and is spaced as one.
        return convert(html.unescape(found[2]), display=display).replace("<mi>&#x0007E;</mi>", "<mo>&#x0223C;</mo>")

    return _FORMULA.sub(formula, content)
