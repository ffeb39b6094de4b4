"""A made-up network of the dial, in which what a check looks for is planted."""

from typing import Any

import numpy as np

__all__ = ["FRACTIONS", "MEMBERS", "STEPS", "fake_network"]

FRACTIONS, STEPS, MEMBERS = (0.0, 1.0, 2.85), (10, 20, 30, 40), 9
_SHAPE = (len(FRACTIONS), len(STEPS))


def _ensemble(diversity: np.ndarray, loss: np.ndarray, sharpness: np.ndarray) -> dict[str, Any]:
    """Members whose errors have the given unbiased variance around a common error of 1, in the results' format.

    They are far apart in many directions, so that D is nearly the same without any of them.
    """
    rng = np.random.default_rng(0)
    base = rng.standard_normal((MEMBERS, 400))
    base = (base - base.mean(axis=0)) / np.sqrt(base.var(axis=0, ddof=1).mean())
    products = 1 + np.einsum("xk,mt,nt->xkmn", diversity, base, base) / 400
    rows, columns = np.tril_indices(MEMBERS)
    spread = 1 + 0.01 * rng.standard_normal((MEMBERS, 1, 1))
    changing = 1 + 0.01 * rng.standard_normal((MEMBERS, len(FRACTIONS), 1))
    return {
        "products": products[..., rows, columns].tolist(),
        "loss": (loss * spread).tolist(),
        "sharpness": (sharpness * changing).tolist(),
    }


def fake_network(alphas: dict[str, tuple[float, float]], theory: float = 0.2, **options: Any) -> dict[str, Any]:
    """D changes by a share from the fraction 0 to the largest, sharpness falls by a fifth.

    Args:
        alphas: the share and the relative error of D, by alpha.
        theory: the share in theory.
        **options: ``name``, ``head_only``, and ``blocks``, D of the blocks, where SAM at the fraction 0 has 0.1.

    Returns:
        As the results have it.
    """
    x = np.array(FRACTIONS)[:, None] / FRACTIONS[-1]
    loss = np.array([0.4, 0.3, 0.25, 0.2]) - 0.05 * x
    rising, falling = x * np.ones(len(STEPS)), 1 - 0.2 * x * np.ones(len(STEPS))
    quantities = ("diversity", "member_error", "ensemble_error", "eir", "loss", "sharpness")
    measured = {
        alpha: {
            name: _ensemble(scale * (1 + slope * rising), loss, falling)
            | {
                "relative_error": dict.fromkeys(quantities, np.full(_SHAPE, error).tolist()),
                "distance": np.full(_SHAPE, error).tolist(),
            }
            for name, scale in (("sam", 0.1), ("blocks", options.get("blocks", 0.2)), ("normalised", 0.1))
        }
        for alpha, (slope, error) in alphas.items()
    }
    exact = 0.1 * (1 + theory * rising)
    predicted = {
        name: _ensemble(scale * exact, loss, falling) for name, scale in (("sam", 1), ("blocks", 2), ("normalised", 1))
    }
    mean = {name: np.mean(predicted["sam"][name], axis=0).tolist() for name in ("loss", "sharpness")}
    return {
        "network": {
            "name": options.get("name", "relu-none-8"),
            "head_only": options.get("head_only", False),
            "optimizers": ["sam", "blocks"],
        },
        "dial": {"fractions": list(FRACTIONS), "snapshots": list(STEPS), "members": MEMBERS},
        "predicted": predicted,
        "spectrum": {"diversity": exact.tolist(), **mean},
        "measured": measured,
    }
