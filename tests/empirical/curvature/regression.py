"""Logistic regression, whose Hessian is in every textbook."""

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["logistic_loss", "logistic_regression"]


def logistic_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    return nn.functional.binary_cross_entropy_with_logits(outputs[:, 0], targets)


def logistic_regression(seed: int) -> tuple[nn.Linear, list[tuple[Tensor, Tensor]], np.ndarray]:
    """A model, data in batches of 3, 7 and 10, and the Hessian of the mean loss, ``X' diag(p (1 - p)) X / n``."""
    random = np.random.default_rng(seed)
    X, w = random.standard_normal((20, 6)), random.standard_normal(6)
    model = nn.Linear(6, 1, bias=False).double()
    with torch.no_grad():
        model.weight.copy_(torch.from_numpy(w))
    parts = zip(np.split(X, [3, 10]), np.split(random.integers(2, size=20), [3, 10]), strict=True)
    batches = [(torch.from_numpy(x), torch.from_numpy(y).double()) for x, y in parts]
    p = 1 / (1 + np.exp(-X @ w))
    return model, batches, X.T @ ((p * (1 - p))[:, None] * X) / len(X)
