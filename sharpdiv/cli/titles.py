"""What a plot of the theory's commands says of itself: which ensembles of which model, and its parameters."""

from dataclasses import fields
from typing import Any

from sharpdiv.cli.ensembles import Ensemble, Model
from sharpdiv.theory.setting import Setting

__all__ = ["Titles", "of_ensembles", "of_problem"]

Titles = tuple[str, str]
"""Title of a plot, and the parameters below it, as pictures set them."""

_METHODS = {"gd": "Gradient descent", "sam": "SAM", "sharpbalance": "SharpBalance"}
_SYMBOLS = {
    "n": "$n$",
    "d": "$d$",
    "m": "$m$",
    "steps": "$k$",
    "learning_rate": r"$\eta$",
    "init_variance": r"$\sigma^2$",
}
"""Of parameters that are letters in the paper; others are words."""


def of_ensembles(model: str, ensemble: Ensemble, setting: Any, **further: Any) -> Titles:
    """Titles of a plot of some ensembles.

    Args:
        model: What they are trained on, in words.
        ensemble: Which they are, with their blocks filled in.
        setting: A dataclass of parameters; those that are None are not told.
        **further: Parameters beside it, likewise.

    Returns:
        As in ``("SAM, 3 members, quadratic problem", "$n$ = 3000, $d$ = 150")``.
    """
    who = f"{ensemble.blocks} blocks" if ensemble.blocks else f"{ensemble.size} members"
    found = {item.name: getattr(setting, item.name) for item in fields(setting)} | further
    parameters = (_told(name, value) for name, value in found.items() if value is not None)
    return f"{_METHODS[ensemble.method]}, {who}, {model}", ", ".join(parameters)


def of_problem(ensemble: Ensemble, setting: Setting, model: Model, *, finite: bool = False) -> Titles:
    """Titles of a plot of the quadratic problem.

    Args:
        ensemble: Which ensembles, with their blocks filled in.
        setting: Its parameters.
        model: Covariance and optimizer, told where they are not the paper's.
        finite: Exact at (n, d) instead of the limit.

    Returns:
        As of ``of_ensembles``.
    """
    optimizer = None if model.steps == "sam" else model.steps
    covariance = model.data_spectrum or model.data_covariance
    model_in_words = "quadratic problem" + (", exact at this size" if finite else "")
    return of_ensembles(
        model_in_words, ensemble, setting, optimizer=optimizer, covariance=covariance and covariance.name
    )


def _told(name: str, value: Any) -> str:
    shown = {True: "yes", False: "no"}[value] if isinstance(value, bool) else value
    if isinstance(value, float):
        shown = f"{value:g}"
    plain = str(shown).replace("$", r"\$")
    return f"{_SYMBOLS.get(name, name.replace('_', ' '))}\u00a0=\u00a0{plain}"
