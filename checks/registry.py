"""All claims: this package's, and those that other installed packages contribute."""

from importlib.metadata import EntryPoint, entry_points

from sharpdiv.checks.ascents import claims as ascents
from sharpdiv.checks.claim import Claim
from sharpdiv.checks.closed_forms import claims as closed_forms
from sharpdiv.checks.ensembles import claims as ensembles
from sharpdiv.checks.ensembles import norms, rule
from sharpdiv.checks.kernels import frozen_features, lazy_limit, lazy_to_rich, real_training
from sharpdiv.empirical.errors import InputError

__all__ = ["CLAIMS", "GROUP", "all_claims"]

GROUP = "sharpdiv.claims"
"""Group of entry points, each a sequence of claims."""

CLAIMS: tuple[Claim, ...] = (
    *closed_forms.CLAIMS,
    *frozen_features.CLAIMS,
    *lazy_limit.CLAIMS,
    *lazy_to_rich.CLAIMS,
    *real_training.CLAIMS,
    *ascents.CLAIMS,
    *rule.CLAIMS,
    *ensembles.CLAIMS,
    *norms.CLAIMS,
)
"""Claims of this package, in the order of the report."""


def all_claims() -> tuple[Claim, ...]:
    """Claims of this package, and behind them those that installed packages declare as entry points.

    Returns:
        All, by different ids.

    Raises:
        InputError: if an entry point is something else than claims, or an id is there twice.
    """
    claims = list(CLAIMS)
    for entry in sorted(entry_points(group=GROUP), key=lambda each: each.name):
        claims += _contributed(entry)
    ids = [claim.id for claim in claims]
    if twice := sorted({name for name in ids if ids.count(name) > 1}):
        raise InputError(
            f"more than one claim has the id {', '.join(twice)}; ids are unique over all installed packages"
        )
    return tuple(claims)


def _contributed(entry: EntryPoint) -> list[Claim]:
    found = list(entry.load())
    if wrong := [type(each).__name__ for each in found if not isinstance(each, Claim)]:
        raise InputError(f"entry point {entry.name} = {entry.value} of {GROUP} must hold claims, got {wrong[0]}")
    return found
