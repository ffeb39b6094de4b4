"""A made-up network of the dial, in which what a check looks for is planted."""

import numpy as np

from sharpdiv.checks.kernels.alpha_network import DialNetwork, Measured, Predicted
from sharpdiv.checks.kernels.dials import Network

__all__ = ["FRACTIONS", "MEMBERS", "STEPS", "fake_network"]

FRACTIONS, STEPS, MEMBERS = (0.0, 1.0, 2.85), (10, 20, 30, 40), 9
_SHAPE = (len(FRACTIONS), len(STEPS))


def _ensemble(diversity: np.ndarray, loss: np.ndarray, sharpness: np.ndarray) -> Predicted:
    """Members whose errors have the given unbiased variance around a common error of 1.

    They are far apart in many directions, so that D is nearly the same without any of them.
    """
    rng = np.random.default_rng(0)
    base = rng.standard_normal((MEMBERS, 400))
    base = (base - base.mean(axis=0)) / np.sqrt(base.var(axis=0, ddof=1).mean())
    products = 1 + np.einsum("xk,mt,nt->xkmn", diversity, base, base) / 400
    rows, columns = np.tril_indices(MEMBERS)
    spread = 1 + 0.01 * rng.standard_normal((MEMBERS, 1, 1))
    changing = 1 + 0.01 * rng.standard_normal((MEMBERS, len(FRACTIONS), 1))
    return Predicted(products[..., rows, columns], loss * spread, sharpness * changing)


def fake_network(
    alphas: dict[float, tuple[float, float]],
    theory: float = 0.2,
    *,
    network: Network | None = None,
    blocks: float = 0.2,
) -> DialNetwork:
    """D changes by a share from the fraction 0 to the largest, sharpness falls by a fifth.

    Args:
        alphas: the share and the relative error of D, by alpha.
        theory: the share in theory.
        network: the network that it is called; ReLU without norm unless given.
        blocks: D of the blocks, where SAM at the fraction 0 has 0.1.

    Returns:
        Results of a network.
    """
    x = np.array(FRACTIONS)[:, None] / FRACTIONS[-1]
    loss = np.array([0.4, 0.3, 0.25, 0.2]) - 0.05 * x
    rising, falling = x * np.ones(len(STEPS)), 1 - 0.2 * x * np.ones(len(STEPS))
    quantities = ("diversity", "member_error", "ensemble_error", "eir", "loss", "sharpness")
    measured = {
        alpha: {
            name: Measured(
                **vars(_ensemble(scale * (1 + slope * rising), loss, falling)),
                relative_error={quantity: np.full(_SHAPE, error) for quantity in quantities},
                distance=np.full(_SHAPE, error),
            )
            for name, scale in (("sam", 0.1), ("blocks", blocks), ("normalized", 0.1))
        }
        for alpha, (slope, error) in alphas.items()
    }
    exact = 0.1 * (1 + theory * rising)
    predicted = {
        name: _ensemble(scale * exact, loss, falling) for name, scale in (("sam", 1), ("blocks", 2), ("normalized", 1))
    }
    sam = predicted["sam"]
    return DialNetwork(
        network=network or Network(),
        fractions=FRACTIONS,
        snapshots=STEPS,
        members=MEMBERS,
        largest=np.ones(MEMBERS),
        predicted=predicted,
        spectrum={"diversity": exact, "loss": sam.loss.mean(axis=0), "sharpness": sam.sharpness.mean(axis=0)},
        measured=measured,
    )
