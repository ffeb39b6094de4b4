"""Formulas for a browser without a network: LaTeX as MathML."""

import re

from latex2mathml.converter import convert
from markupsafe import Markup, escape

__all__ = ["mathml", "prose"]

_MARKS = (
    (re.compile(r"\*\*([^\s*<>][^*<>]*)\*\*"), r"<strong>\1</strong>"),
    (re.compile(r"(?<![\w*])\*([^\W\d_][^*<>]*[^\W\d_.]|[^\w\s*<>] [^*<>]*[^\W\d_])\*(?![\w*])"), r"<em>\1</em>"),
    (re.compile(r"`([^`<>]+)`"), r"<code>\1</code>"),
)


def mathml(latex: str, *, display: bool = True) -> Markup:
    """A formula.

    Args:
        latex: without dollar signs.
        display: whether it stands by itself.

    Returns:
        A ``math`` element.
    """
    return Markup(convert(latex, display="block" if display else "inline"))  # noqa: S704


def prose(text: str) -> Markup:
    """A sentence of a claim, escaped, with the marks of Markdown that claims use: emphasis, code, a formula alone.

    Args:
        text: of a claim or finding.

    Returns:
        HTML.
    """
    if re.fullmatch(r"\$[^$]+\$", text):
        # In Markdown a backslash before punctuation is doubled.
        return mathml(text[1:-1].replace("\\\\", "\\"), display=False)
    marked = str(escape(text))
    for mark, element in _MARKS:
        marked = mark.sub(element, marked)
    return Markup(marked)  # noqa: S704
