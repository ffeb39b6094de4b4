"""Both theorems' simulation written the obvious way: a loop over rho, data draws, blocks and initialisations.

The baseline of the benchmark. It shares no code with ``theory``: explicit SAM steps, explicit variance over predictions on drawn
test points, and sharpness by 50 steps of projected gradient ascent, as in the authors' notebook.
"""

import numpy as np

__all__ = ["simulate_plainly"]


def simulate_plainly(
    n: int,
    d: int,
    steps: int,
    eta: float,
    sigma2: float,
    radius: float,
    rhos: list[float],
    draws: int,
    inits: int,
    seed: int,
    blocks: int = 1,
) -> dict[str, np.ndarray]:
    """Diversity and sharpness ``(rho, draws)`` at test points of variance 1/d.

    Returns:
        One array for each of ``diversity`` and ``sharpness``.
    """
    rng = np.random.default_rng(seed)
    diversity, sharpness = np.empty((len(rhos), draws)), np.empty((len(rhos), draws))
    for i, rho in enumerate(rhos):
        for j in range(draws):
            A = rng.standard_normal((n, d)) / np.sqrt(d)
            teacher = np.sqrt(sigma2) * rng.standard_normal(d)
            tests = rng.standard_normal((1000, d)) / np.sqrt(d)
            within, means = [], []
            for rows in np.array_split(A, blocks):
                W = rows.T @ rows
                predictions, weights = [], []
                for _ in range(inits):
                    w = np.sqrt(sigma2) * rng.standard_normal(d)
                    for _ in range(steps):
                        gradient = W @ (w - teacher)
                        w = w - eta * (W @ (w + rho * gradient - teacher))
                    weights.append(w)
                    predictions.append(tests @ w)
                within.append(np.mean(np.var(predictions, axis=0, ddof=1)))
                means.append(np.mean(weights, axis=0))
            between = np.mean(np.var([tests @ mean for mean in means], axis=0))
            # The means of finitely many initialisations scatter by themselves.
            diversity[i, j] = np.mean(within) * (1 - (1 - 1 / blocks) / inits) + between
            sharpness[i, j] = _ascend(A.T @ A, np.mean(means, axis=0) - teacher, radius)
    return {"diversity": diversity, "sharpness": sharpness}


def _ascend(W: np.ndarray, error: np.ndarray, radius: float) -> float:
    """Largest increase of ``e'We/2`` over 50 projected gradient steps inside the ball."""
    start = error @ W @ error / 2
    move = np.zeros_like(error)
    for _ in range(50):
        move = move + W @ (error + move)
        norm = np.linalg.norm(move)
        if norm > radius:
            move = move * (radius / norm)
    return float((error + move) @ W @ (error + move) / 2 - start)
