"""Independent references: the obvious loops, written from the definitions and sharing no code with the rooms."""

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from torch import nn

__all__ = ["dual_maximum", "sam_iterates", "sharpness_per_sample"]


def sam_iterates(
    data: np.ndarray, teacher: np.ndarray, start: np.ndarray, learning_rate: float, rho: float, steps: int
) -> np.ndarray:
    """Weights after explicit SAM steps ``w - eta grad(w + rho grad(w))`` on ``|A(w - w*)|^2 / 2``; ``start`` is (..., d)."""
    weights = start
    for _ in range(steps):
        gradient = (weights - teacher) @ data.T @ data
        ahead = weights + rho * gradient
        weights = weights - learning_rate * ((ahead - teacher) @ data.T @ data)
    return weights


def dual_maximum(matrix: np.ndarray, gradient: np.ndarray, radius: float) -> float:
    """``max_{|e| <= radius} e'We/2 + e'g`` by scalar minimisation of the dual, with dense solves."""
    top = float(np.linalg.eigvalsh(matrix)[-1])

    def dual(log_gap: float) -> float:
        shifted = (top + np.exp(log_gap)) * np.eye(len(matrix)) - matrix
        return float(((top + np.exp(log_gap)) * radius**2 + gradient @ np.linalg.solve(shifted, gradient)) / 2)

    best = min((dual(x), x) for x in np.linspace(-14, 14, 113))
    return float(minimize_scalar(dual, bounds=(best[1] - 0.5, best[1] + 0.5), options={"xatol": 1e-9}).fun)


def sharpness_per_sample(model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Squared gradient norms by one backward pass for each sample, in evaluation mode."""
    model.eval()
    parameters = [p for p in model.parameters() if p.requires_grad]
    norms = []
    for x, y in zip(inputs, targets, strict=True):
        loss = nn.functional.cross_entropy(model(x[None]), y[None])
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        norms.append(sum(g.square().sum() for g in gradients if g is not None))
    return torch.stack([torch.as_tensor(n) for n in norms])
