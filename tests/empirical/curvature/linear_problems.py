"""Linear models with a quadratic loss, whose gradient and Hessian are known."""

import numpy as np
import torch
from torch import Tensor, nn

from tests.laws import Mutation

__all__ = ["PLAIN", "half_squares", "linear_model", "linear_problem", "quadratic"]

PLAIN = Mutation(
    "not adaptive",
    "sharpdiv.empirical.curvature.loss_surface.LossSurface.magnitudes",
    lambda f: lambda surface, _: f(surface, False),
)


def half_squares(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - targets).square().sum() / 2


def linear_model(weights: Tensor) -> nn.Linear:
    model = nn.Linear(len(weights), 1, bias=False).double()
    with torch.no_grad():
        model.weight.copy_(weights)
    return model


def linear_problem(seed: int) -> tuple[nn.Linear, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(9, 5, generator=generator, dtype=torch.float64)
    model = linear_model(torch.randn(5, generator=generator))
    return model, inputs, torch.randn(9, 1, generator=generator, dtype=torch.float64)


def quadratic(model: nn.Linear, inputs: Tensor, targets: Tensor, adaptive: bool) -> tuple[np.ndarray, np.ndarray]:
    """Hessian and gradient of ``half_squares`` in ``u = d / |w|``: ``S X'X S`` and ``S X'(Xw - y)`` with ``S = diag |w|``."""
    w, X = model.weight.detach().numpy()[0], inputs.numpy()
    scale = np.abs(w) if adaptive else np.ones(len(w))
    return scale[:, None] * (X.T @ X) * scale, scale * (X.T @ (X @ w - targets.numpy()[:, 0]))
