"""Named sets of ensembles that the main job trains."""

from empirical.config import Method, RunConfig

__all__ = ["PROFILES"]

_SEEDS = ((13, 17, 27), (31, 37, 41), (43, 47, 53))
"""Three ensembles of three; 13, 17, 27 are the paper's first, its others are not published."""

_QUICK: tuple[tuple[Method, tuple[float, ...]], ...] = (
    ("sgd", (0.0,)),
    ("sam", (0.05, 0.1, 0.2, 0.4)),
    ("sharpbalance", (0.1, 0.2)),
)

PROFILES: dict[str, tuple[RunConfig, ...]] = {
    "quick": tuple(RunConfig(method, rho, seeds) for seeds in _SEEDS for method, radii in _QUICK for rho in radii),
}
"""``quick``: the digits, minutes on two cores."""
