"""What can be taken away: Python and commands that give the curves again, and the curves as a table."""

import csv
import io
import shlex
from dataclasses import fields

import numpy as np

from sharpdiv.explore.question import METHODS, Question, answer

__all__ = ["commands", "python_code", "table"]


def python_code(question: Question) -> str:
    """A script that computes the curves again.

    Args:
        question: What is asked.

    Returns:
        Python that leaves ``sam`` and ``sharpbalance``.

    Examples:
        >>> from sharpdiv.explore.question import Question
        >>> from sharpdiv.explore.taking_away import python_code
        >>> print(python_code(Question()).splitlines()[-2])
        sharpbalance = sharpbalance_tradeoff(setting, rho, blocks=10)
    """
    model = question.model
    setting = ", ".join(f"{name}={value!r}" for name, value in _given(question).items())
    return "\n".join(
        [
            "import numpy as np",
            "",
            model.imports,
            "",
            f"setting = {type(question.problem).__name__}({setting})",
            f"rho = np.linspace({question.lowest!r}, {question.highest!r}, {question.places})",
            f"sam = {model.sam.__name__}(setting, rho, members={question.members})",
            f"sharpbalance = {model.sharpbalance.__name__}(setting, rho, blocks={question.blocks})",
            f"print(sam.diversity, sam.{model.flatness}, sharpbalance.diversity, sharpbalance.{model.flatness})",
        ]
    )


def commands(question: Question, rho: float) -> dict[str, str]:
    """Commands that print what is read off.

    Args:
        question: What is asked.
        rho: Where it is read off.

    Returns:
        A command by method.

    Examples:
        >>> from sharpdiv.explore.question import Question
        >>> from sharpdiv.explore.taking_away import commands
        >>> commands(Question(), 0.1)["sharpbalance"]
        'sharpdiv theory sharpbalance --rho 0.1 --blocks 10'
    """
    options = [
        word for name, value in _given(question).items() for word in (f"--{name.replace('_', '-')}", repr(value))
    ]
    sizes = {"sam": ["--members", str(question.members)], "sharpbalance": ["--blocks", str(question.blocks)]}
    start = ["sharpdiv", "theory", *question.model.variant]
    return {method: shlex.join([*start, method, "--rho", f"{rho:g}", *sizes[method], *options]) for method in METHODS}


def table(question: Question) -> str:
    """The curves as comma-separated values.

    Args:
        question: What is asked.

    Returns:
        A row for each method and rho, with every digit; a cell is empty where there is no value.

    Raises:
        DomainError: if a number is outside its domain, or the curves overflow.
        ConvergenceError: if an equation was not solved.

    Examples:
        >>> from sharpdiv.explore.question import Question
        >>> from sharpdiv.explore.taking_away import table
        >>> table(Question()).split(",", maxsplit=4)[:4]
        ['method', 'rho', 'diversity', 'member_error']
    """
    columns = {method: curve.columns() for method, curve in answer(question).items()}
    names = list(dict.fromkeys(name for each in columns.values() for name in each))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["method", *names])
    for method, each in columns.items():
        for i in range(question.places):
            writer.writerow([method, *(_cell(each[name][i]) if name in each else "" for name in names)])
    return text.getvalue()


def _given(question: Question) -> dict[str, float]:
    """Fields of the setting that are not the default ones."""
    usual = question.model.problem()
    values = {item.name: getattr(question.problem, item.name) for item in fields(usual)}
    return {name: value for name, value in values.items() if value != getattr(usual, name)}


def _cell(value: np.generic) -> str:
    return "" if isinstance(value, np.floating) and not np.isfinite(value) else repr(value.item())
