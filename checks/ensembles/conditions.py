"""Conditions of the protocol's designs, and which of them validation chooses."""

from typing import Literal

import numpy as np

from sharpdiv.checks.ensembles.study import Study
from sharpdiv.empirical.errors import NotMeasuredError

__all__ = ["BALANCE", "CURVE", "best_balance", "chosen", "rival"]

CURVE = ("sgd", "sam-low", "sam-mid", "sam-high")
"""Conditions of the trade-off: SGD is rho = 0."""
BALANCE = ("sharpbalance-low", "sharpbalance-mid", "sharpbalance-high")
"""Conditions of SharpBalance, rho rising."""


def chosen(study: Study, names: tuple[str, ...], of: Literal["members", "ensembles"]) -> str:
    """The condition with the best accuracy on validation images, mean over all blocks; the first of equals.

    Args:
        study: study of the conditions.
        names: names of the conditions to choose from.
        of: whose accuracy decides.

    Returns:
        One of the names.

    Raises:
        NotMeasuredError: if a record has no validation images.
    """

    def accuracy(name: str) -> float:
        blocks = study.conditions[name].blocks
        found = [record.validation for record in blocks if record.validation is not None]
        if len(found) < len(blocks):
            raise NotMeasuredError("there are no validation images to choose rho on")
        if of == "ensembles":
            return float(np.mean([each.ensemble for each in found]))
        return float(np.mean([each.members for each in found]))

    return max(names, key=accuracy)


def rival(study: Study) -> str:
    """What SharpBalance has to beat: the better of SGD and of SAM at its best rho, by validation.

    Args:
        study: study of the conditions.

    Returns:
        Name of the condition.
    """
    return chosen(study, CURVE, "ensembles")


def best_balance(study: Study) -> str:
    """SharpBalance at its best rho, by validation.

    Args:
        study: study of the conditions.

    Returns:
        Name of the condition.
    """
    return chosen(study, BALANCE, "ensembles")
