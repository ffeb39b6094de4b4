"""What was planned on each data set, which ensembles of it are whole, and what to bear in mind about them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from checks.claim import Finding, Verdict
from checks.evidence import REPLICATES, Evidence
from checks.judging import LEVEL
from empirical import RunConfig
from empirical.profiles import PROFILES
from empirical.store import digest

__all__ = [
    "AT_FIXED_POINTS",
    "DESIGNS",
    "MAIN",
    "ON_GPU",
    "PLANS",
    "TOLERANCE",
    "Design",
    "of_methods",
    "on_whole",
    "setting",
]

PLANS: dict[str, tuple[RunConfig, ...]] = {
    part.results.removesuffix(".json"): part.runs for profile in PROFILES.values() for part in profile
}
"""Runs of every part of a profile, by the name of its results."""

_DIGESTS = {digest(run.to_json()) for runs in PLANS.values() for run in runs}


def _tolerance(interval: str, of_one: str) -> str:
    return (
        f"mean over ensembles; {interval}; after each the difference that the test sees with 80% power, by itself and if ensembles "
        f"vary as these do. Holds if every comparison is on the claimed side with p < {LEVEL:g}; fails if one is on the other with "
        f"p < {LEVEL:g} after Holm's adjustment over all of them; one that cannot be made counts as unclear. One ensemble has "
        f"{of_one} and no p"
    )


TOLERANCE = _tolerance(
    "the squared half-widths of its 95% t interval over ensembles and of its normal one over test points, by "
    f"{REPLICATES:,} bootstrap replicates, are added (95 to 99% coverage), and p-values follow from such intervals",
    "intervals over test points only",
)
"""When a claim about trained ensembles counts as met."""

AT_FIXED_POINTS = _tolerance("95% t interval over ensembles, test points held fixed", "no interval")
"""The same where nothing is resampled."""


@dataclass(frozen=True)
class Design:
    """The main design of a data set: all methods in the same networks."""

    runs: tuple[RunConfig, ...]
    """its plan"""
    command: str
    """what trains and measures it"""
    caution: str = ""
    """what to bear in mind"""


DESIGNS = {
    "digits": Design(
        PLANS["digits"],
        "make reproduce",
        "The profile's weight decay and number of epochs were chosen so that SAM's effect shows, on trial runs that included the "
        "first ensemble's seeds.",
    ),
    "cifar10-jpeg": Design(PLANS["cifar10-jpeg"], "sharpdiv reproduce --profile cpu --data cifar10-jpeg"),
    "fashion-mnist": Design(PLANS["fashion-mnist"], "sharpdiv reproduce --profile cpu --data fashion-mnist"),
}

ON_GPU = "sharpdiv reproduce --profile paper --device cuda"
"""What trains and measures the data sets of the paper, which have no design here."""

MAIN: dict[str, tuple[RunConfig, ...]] = {data: design.runs for data, design in DESIGNS.items()} | {
    data: PLANS[f"paper-{data}"] for data in ("cifar10", "cifar100", "tiny-imagenet")
}
"""All methods in the same networks, by data set: the designs here, then the paper's."""


def _command(data: str) -> str:
    return DESIGNS[data].command if data in DESIGNS else f"{ON_GPU} --data {data}"


def of_methods(plan: Sequence[RunConfig], *methods: str) -> tuple[RunConfig, ...]:
    """The runs of a plan by some methods.

    Returns:
        In the order of the plan.
    """
    return tuple(run for run in plan if run.method in methods)


def setting(plan: Sequence[RunConfig]) -> str:
    """Networks, images and methods of a plan, for a claim.

    Returns:
        One sentence; how many of the ensembles were measured is in the remark of ``on_whole``.
    """
    first = plan[0]
    ensembles = {run.seeds for run in plan}
    radii = {
        name: sorted({f"{run.rho:g}" for run in of_methods(plan, method)})
        for method, name in (("sam", "SAM"), ("sharpbalance", "SharpBalance"))
    }
    methods = "; ".join(f"{name} at rho {', '.join(rhos)}" for name, rhos in radii.items() if rhos)
    return (
        f"{first.data}: {len(ensembles)} planned {'ensemble' if len(ensembles) == 1 else 'ensembles'} of {len(first.seeds)} "
        f"residual networks of width {first.width}, {first.train_samples:,} images, {first.epochs} epochs; {methods} "
        f"({_command(first.data)})"
    )


def on_whole(check: Callable[[Evidence], Finding], plan: Sequence[RunConfig], evidence: Evidence) -> Finding:
    """A check on the ensembles of which all planned runs are there.

    Args:
        check: of those ensembles.
        plan: runs on one data set.
        evidence: of any data set.

    Returns:
        What it finds, with a remark on how many ensembles entered; what is lacking if there are none.
    """
    found = evidence.whole(plan)
    here = evidence.of(plan[0].data)
    if not found.runs:
        return Finding(Verdict.NOT_RUN, remark=_lacking(plan, here))
    planned, finding = len({run.seeds for run in plan}), check(found)
    entered = f"{found.ensembles} of {planned} planned {'ensemble' if planned == 1 else 'ensembles'} entered."
    if found.ensembles == 1:
        entered += " What one ensemble shows is of these networks, not of other seeds: no p, no verdict."
    if strange := sum(digest(run["config"]) not in _DIGESTS for run in here.runs):
        entered += f" Measured runs that belong to no profile, and were ignored: {strange}."
    return replace(finding, remark=f"{finding.remark} {entered}".strip())


def _lacking(plan: Sequence[RunConfig], here: Evidence) -> str:
    digests = {digest(run["config"]) for run in here.runs}
    missing = [run for run in plan if digest(run.to_json()) not in digests]
    run = f"run {_command(plan[0].data)}."
    if len(missing) == len(plan):
        return f"No measured ensembles of {' and '.join(sorted({r.method for r in plan}))} on {plan[0].data}; {run}"
    return f"Measured, but not yet for a whole ensemble: {missing[0].run_id} is first of {len(missing)} missing runs; {run}"
