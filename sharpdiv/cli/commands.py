"""The table of commands: what each does, in one line, and where its function is; nothing is imported before it is called."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

__all__ = ["COMMANDS", "COMPLETION", "Command", "load"]


@dataclass(frozen=True)
class Command:
    """One command; where ``module:function`` is, ``module`` is one beside this one."""

    summary: str
    """first line of its function's docstring"""
    function: str = ""
    """``module:function``; none if one of the variants has to be named"""
    variants: Mapping[str, str] = field(default_factory=dict)
    """``module:function`` by second word"""
    prepare: str = ""
    """``module:function`` that rewrites the arguments before they are parsed"""


def load(reference: str) -> Callable[..., Any]:
    """The function that a table entry names, its module now imported."""
    module, _, name = reference.partition(":")
    return getattr(import_module(f"sharpdiv.cli.{module}"), name)


COMMANDS: dict[str, Command] = {
    "theory": Command(
        "Closed forms: diversity, sharpness, errors and EIR, one point for each rho.",
        "theory:theory",
        {
            "random-features": "random_features:theory_random_features",
            "two-layer": "two_layer:theory_two_layer",
            "diagonal": "diagonal:theory_diagonal",
        },
    ),
    "simulate": Command(
        "The Monte Carlo referee: the same numbers from drawn data, with standard errors.",
        "simulate:simulate",
        {
            "random-features": "random_features:simulate_random_features",
            "two-layer": "two_layer:simulate_two_layer",
            "diagonal": "diagonal:simulate_diagonal",
        },
    ),
    "explore": Command("Theory behind sliders in your browser: curves of SAM and SharpBalance.", "explore:explore"),
    "check": Command("Check the paper's claims and print the table of verdicts.", "check:check"),
    "data": Command(
        "Data sets: list, fetch or verify.",
        variants={"list": "data:list_data", "fetch": "data:fetch_data", "verify": "data:verify_data"},
    ),
    "train": Command(
        "Train one ensemble; what is trained already is skipped, what was interrupted resumes.",
        "train:train",
        prepare="train:from_file",
    ),
    "measure": Command(
        "Measure trained runs, or networks that are not ours: sharpness, diversity, accuracy, calibration, corruptions.",
        "measure:measure",
    ),
    "metrics": Command("Diversity, accuracy and calibration of predictions of any framework.", "metrics:metrics"),
    "compare": Command(
        "Put measured runs beside what the tangent kernels of their own networks predict.", "compare:compare"
    ),
    "between": Command(
        "Loss between the members of ensembles: the barrier of every pair, and the plane through three members.",
        "between:between",
    ),
    "figures": Command("Render the figures from results, as PNG, SVG and PDF.", "report:figures"),
    "report": Command(
        "Check every claim and write one HTML file with verdicts, plots, figures and numbers, which opens without a network.",
        "report:report",
    ),
    "reproduce": Command(
        "The main job: train and measure ensembles, run the lazy-to-rich dial, check every claim, draw figures, "
        "write the report.",
        "report:reproduce",
    ),
}
"""Commands by name."""

COMPLETION = Command("Print a script that completes commands and options in a shell.", "completion:completion")
"""``sharpdiv completion``, which is about the program itself like ``help`` and ``version``."""
