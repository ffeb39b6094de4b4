"""Numbers of a finding that stay numbers: a value with its error, interval and unit, which also knows how it is printed."""

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = [
    "Agreement",
    "PValue",
    "Quantity",
    "Row",
    "Several",
    "Value",
    "beside_theory",
    "count",
    "number",
    "p_text",
    "percent",
    "several",
    "span",
]


def p_text(p: float, name: str = "p") -> str:
    """A p-value as it can be told: none is 0.

    Returns:
        Text such as ``p = 0.012``.
    """
    return f"{name} < 1e-12" if p < 1e-12 else f"{name} = {p:.2g}"


@dataclass(frozen=True)
class Quantity:
    """One number; ``str`` is how a report prints it."""

    value: float | int
    """of what was measured or computed"""
    stderr: float | None = None
    """standard error"""
    low: float | None = None
    """lower end of the 95% interval"""
    high: float | None = None
    """its upper end"""
    p: float | None = None
    """two-sided p-value of no effect"""
    detectable: float | None = None
    """effect that would be seen with 80% power"""
    adjusted: float | None = None
    """p-value after Holm's adjustment over the family"""
    unit: str = ""
    """printed behind the value, with a blank if there is one"""
    name: str = ""
    """of one of several, printed before it with what separates them"""
    form: str = ".4g"
    """format of the value"""

    def __str__(self) -> str:
        parts = [f"{self.name}{self.value:{self.form}}"]
        if self.stderr is not None:
            parts.append(f" ± {self.stderr:.2g}")
        if self.low is not None and self.high is not None:
            parts.append(f" [{self.low:{self.form}}, {self.high:{self.form}}]")
        parts.append(self.unit)
        if self.p is not None:
            parts.append(f", {p_text(self.p)}")
        if self.detectable is not None:
            parts.append(f" (80% power: {self.detectable:.2g})")
        if self.adjusted is not None:
            parts.append(f", adjusted {p_text(self.adjusted)}")
        return "".join(parts)


@dataclass(frozen=True)
class PValue(Quantity):
    """The p-value of a test, whose ``name`` says of which."""

    def __str__(self) -> str:
        return p_text(self.value, self.name)


@dataclass(frozen=True)
class Several:
    """Values that one line tells together."""

    parts: "tuple[Value, ...]"
    """in the order that the line's label names"""
    between: str = ", "
    """printed between them"""

    def __str__(self) -> str:
        return self.between.join(map(str, self.parts))


@dataclass(frozen=True)
class Agreement(Several):
    """What theory predicts, and behind it what was measured, in this order."""

    draws: int | None = None
    """independent ones that the measured value is of"""


Value = Quantity | Several | str
"""What a line of a finding tells: numbers, or words where there is none."""
Row = tuple[str, Value]
"""A line of a finding: what was measured, and its value."""


def number(value: float, stderr: float | None = None, *, form: str = ".4g", name: str = "", unit: str = "") -> Quantity:
    """Value for a report, four significant digits unless told otherwise, with its standard error if there is one.

    Args:
        value: to be shown.
        stderr: of it.
        form: how many digits.
        name: of one of several.
        unit: printed behind it.

    Returns:
        A quantity such as ``0.1234 ± 0.0012``.
    """
    return Quantity(float(value), None if stderr is None else float(stderr), form=form, name=name, unit=unit)


def count(value: int, unit: str = "") -> Quantity:
    """How many, for a report.

    Args:
        value: a whole number.
        unit: of what, with a blank before it.

    Returns:
        The quantity.
    """
    return Quantity(int(value), form="d", unit=unit)


def percent(value: float, form: str = ".2g", *, name: str = "") -> Quantity:
    """A share for a report.

    Args:
        value: of 1.
        form: how many digits of the percentage.
        name: of one of several.

    Returns:
        The percentage.
    """
    return Quantity(100 * float(value), form=form, unit="%", name=name)


def several(parts: Sequence[Value], between: str = ", ") -> Several:
    """Values in one line.

    Args:
        parts: in order.
        between: printed between them.

    Returns:
        All together.
    """
    return Several(tuple(parts), between)


def beside_theory(theory: Value, measured: Value, draws: int | None = None, *more: Value) -> Agreement:
    """What theory says beside what was measured.

    Args:
        theory: predicted value.
        measured: value with its standard error.
        draws: independent ones that the measured value is of.
        more: what the line tells behind them.

    Returns:
        Both in one line, whose ratio a forest plot shows.
    """
    return Agreement((theory, measured, *more), draws=draws)


def span(low: float, high: float, *, form: str = ".4g") -> Several:
    """From the smallest to the largest.

    Args:
        low: smallest value.
        high: largest one.
        form: how many digits.

    Returns:
        Both, such as ``0.1 to 0.2``.
    """
    return Several((number(low, form=form), number(high, form=form)), " to ")
