"""What was trained on each data set, how its intervals are drawn, and what to bear in mind about them."""

from dataclasses import dataclass

from checks.claim import Finding, Verdict
from checks.evidence import Evidence

__all__ = ["DESIGNS", "POWER", "Design", "lacking"]

POWER = "; after it the difference that would have been seen with 80% power, 2.8 standard errors"
"""What ``power`` adds to an interval, for a tolerance."""


@dataclass(frozen=True)
class Design:
    """The main design of a data set."""

    setting: str
    """networks, images, methods"""
    tolerance: str
    """of the bootstrap intervals"""
    command: str
    """what trains and measures it"""
    caution: str
    """what to bear in mind"""
    ensembles: int
    """how many it has for each method and rho"""


_INTERVAL = (
    "95% percentile interval of 2,000 bootstrap replicates, over ensembles and then over test points (sharpness: over "
    f"ensembles){POWER}; inconclusive if the interval contains 0"
)
_ONE_ENSEMBLE = (
    "95% percentile interval of 2,000 bootstrap replicates, over test points (sharpness: over the three "
    f"members){POWER}; inconclusive if the interval contains 0"
)

DESIGNS = {
    "digits": Design(
        "digits: 3 ensembles of 3 residual networks of width 8 on 200 images, SAM at 4 values of rho (sharpdiv reproduce)",
        _INTERVAL,
        "make reproduce",
        "Intervals over so few ensembles are narrower than they should be. The profile's weight decay and number of epochs were "
        "chosen so that SAM's effect shows, on trial runs that included the first ensemble's seeds.",
        3,
    ),
    "cifar10-jpeg": Design(
        "cifar10-jpeg (CIFAR-10 as JPEG): 1 ensemble of 3 residual networks of width 16, one block a stage, 10,000 images, "
        "60 epochs, SAM at 3 values of rho (sharpdiv reproduce --profile cpu)",
        _ONE_ENSEMBLE,
        "sharpdiv reproduce --profile cpu",
        "One ensemble: the intervals do not say what other seeds would give.",
        1,
    ),
    "fashion-mnist": Design(
        "fashion-mnist: 3 ensembles of 3 residual networks of width 8, one block a stage, 4,000 images, 25 epochs, SAM at 5 "
        "values of rho (sharpdiv reproduce --profile cpu)",
        _INTERVAL,
        "sharpdiv reproduce --profile cpu",
        "Intervals over so few ensembles are narrower than they should be.",
        3,
    ),
}


def lacking(data: str, evidence: Evidence, *methods: str) -> Finding | None:
    """The finding if the main design has no runs of a method.

    Args:
        data: data set.
        evidence: its main design.
        *methods: that a check needs.

    Returns:
        None if nothing is lacking.
    """
    there = {run["config"]["method"] for run in evidence.runs}
    if missing := [method for method in methods if method not in there]:
        reason = f"No measured ensembles of {' and '.join(missing)} on {data}; run {DESIGNS[data].command}."
        return Finding(Verdict.NOT_RUN, remark=reason)
    return None
