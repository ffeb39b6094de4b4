"""A claim is data: what is said, by whom, how it is checked, and what came out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, get_args

from sharpdiv.checks.effect import Effect
from sharpdiv.checks.evidence import Evidence
from sharpdiv.checks.quantity import Quantity, Row, Value, number
from sharpdiv.empirical.errors import InputError

__all__ = ["Claim", "Effect", "Finding", "Quantity", "Row", "Subject", "Value", "Verdict", "number"]


class Verdict(StrEnum):
    """Outcome of a check."""

    HOLDS = "holds"
    CONDITIONAL = "holds within stated conditions"
    FAILS = "fails"
    NO_EFFECT = "no effect"
    INCONCLUSIVE = "inconclusive"
    NOT_RUN = "not run"


@dataclass(frozen=True)
class Finding:
    """What a check found."""

    verdict: Verdict
    """outcome"""
    numbers: tuple[Row, ...] = ()
    """what was measured: label and value, which ``str`` prints"""
    remark: str = ""
    """conditions of the verdict, or the reason for none"""
    effects: tuple[Effect, ...] = ()
    """comparisons with their intervals, for a forest plot"""
    confirmed: bool | None = None
    """judged on networks trained after the rule was committed, or exploratory; None where the distinction has no meaning"""
    reasons: Mapping[Verdict, str] = field(default_factory=dict)
    """in a few words, by verdict: within which conditions it holds if it does within some, why it fails, what is missing"""
    decisive: str = ""
    """label of the line in ``numbers`` that a summary tells; otherwise the deciding effect that speaks most against the claim, or
    the first line"""

    def __post_init__(self) -> None:
        if not isinstance(self.verdict, Verdict):
            raise InputError(f"a finding's verdict must be one of Verdict, got {self.verdict!r}")
        if self.decisive and self.decisive not in dict(self.numbers):
            raise InputError(f"a finding's decisive line must be one of its numbers, got {self.decisive!r}")

    @property
    def reason(self) -> str:
        """What lies behind the verdict, in a few words; empty if nothing needs saying."""
        return self.reasons.get(self.verdict, "")

    @property
    def texts(self) -> dict[str, str]:
        """Every line as it is printed."""
        return {label: str(value) for label, value in self.numbers}


Subject = Literal["paper", "transfer", "implementation", "networks"]
"""Whose statement: the paper's, the paper's carried over to another model by us, ours about this package, one about networks."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One statement and the way to check it."""

    id: str
    """short name, as ``sharpdiv check --only`` takes it"""
    subject: Subject
    """``paper``, ``transfer`` or ``networks``: a failure is a finding; ``implementation``: a bug, ``sharpdiv check`` exits 1"""
    title: str
    """one line"""
    statement: str
    """exactly what is checked"""
    source: str
    """where it is stated"""
    method: str
    """how it is checked"""
    tolerance: str
    """when it counts as met, and why then"""
    seed: int | None
    """of the random draws, None if there are none"""
    check: Callable[[Evidence], Finding]
    """does it"""
    about: tuple[str, ...] = ()
    """what of the paper, or beyond it, it is about: rows of the report's first tables"""
    where: str = ""
    """where it was checked: the column of those tables"""
    design: str = ""
    """of the trained ensembles it is about, if so"""
    command: str = ""
    """what produces the evidence; the check itself unless given"""
    formula: str = ""
    """the statement in LaTeX, where it is a formula"""
    figures: tuple[str, ...] = ()
    """names of registered figures that show it"""

    def __post_init__(self) -> None:
        if self.subject not in get_args(Subject):
            raise InputError(
                f"claim {self.id}: subject must be one of {', '.join(get_args(Subject))}; got {self.subject!r}"
            )
        if isinstance(self.about, str):  # type: ignore[unreachable]  # of untyped callers
            raise InputError(f"claim {self.id}: about must be a tuple of names, got the text {self.about!r}")

    @property
    def run_with(self) -> str:
        """Command that produces this claim's numbers."""
        return self.command or f"sharpdiv check --only {self.id}"
