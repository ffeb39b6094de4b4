"""Networks whose first layer is frozen: the model in which training is exactly the quadratic problem of the theory.

A member predicts ``Z w`` with fixed random features ``Z = relu(X F')`` and a trained second layer w. Its squared loss
is ``|Z (w - w*)|^2 / 2`` up to a constant, w* the least-squares solution, so W = Z'Z has the empirical spectrum of the
features.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sharpdiv.empirical.curvature.worst_case import worst_case_sharpness
from sharpdiv.empirical.optim.sam import SAM

__all__ = ["RandomFeatures", "half_squared_error", "head_sharpness", "train_heads"]


class RandomFeatures(nn.Module):
    """Frozen random layer ``relu(x F') / sqrt(features)`` with its training mean removed.

    F has independent normal entries of variance ``1 / inputs``.

    Args:
        images: training images, flattened and standardized over the whole set; they fix the mean.
        features: number of features.
        seed: seed of F.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.lazy.random_features import RandomFeatures
        >>> images = torch.randn(100, 1, 4, 4, generator=torch.Generator().manual_seed(0))
        >>> features = RandomFeatures(images, features=8, seed=0)(images)
        >>> tuple(features.shape), bool(features.mean(dim=0).abs().max() < 1e-12)
        ((100, 8), True)
    """

    def __init__(self, images: Float[Tensor, "samples ..."], features: int, seed: int) -> None:
        super().__init__()
        flat = images.flatten(1).double()
        generator = torch.Generator().manual_seed(seed)
        projection = torch.randn(flat.shape[1], features, generator=generator, dtype=torch.float64)
        self.projection: Tensor
        self.mean: Tensor
        self.register_buffer("projection", (projection / flat.shape[1] ** 0.5).to(images.device))
        self.register_buffer("mean", torch.zeros(features, dtype=torch.float64, device=images.device))
        self.mean = self(images).mean(dim=0)

    def forward(self, images: Float[Tensor, "samples ..."]) -> Float[Tensor, "samples features"]:
        """Features of a batch.

        Args:
            images: images, flattened here.

        Returns:
            The features, in double precision.
        """
        hidden = torch.relu(images.flatten(1).double() @ self.projection)
        return hidden / hidden.shape[1] ** 0.5 - self.mean


def half_squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Half the sum of squared errors over samples and outputs.

    Args:
        outputs: predictions.
        targets: labels of the same shape.

    Returns:
        A scalar.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.lazy.random_features import half_squared_error
        >>> half_squared_error(torch.tensor([3.0, 1.0]), torch.tensor([1.0, 1.0]))
        tensor(2.)
    """
    return (outputs - targets).square().sum() / 2


def train_heads(
    features: Float[Tensor, "samples features"],
    targets: Float[Tensor, "samples outputs"],
    starts: Float[Tensor, "members features outputs"],
    learning_rate: float,
    rho: float,
    steps: int,
) -> Float[Tensor, "members features outputs"]:
    """Train one second layer per member by full-batch un-normalized SAM, all members in one tensor.

    The un-normalized ascent acts on each member's own gradient, so stacking members changes nothing.

    Args:
        features: Z, the features of all training samples.
        targets: labels of the samples, a column for each output.
        starts: initial weights of every member.
        learning_rate: learning rate eta.
        rho: rho of un-normalized SAM, 0 for gradient descent.
        steps: number of steps k.

    Returns:
        Trained weights of every member.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.lazy.random_features import train_heads
        >>> one, start = torch.ones(1, 1), torch.ones(1, 1, 1)  # the loss is w^2 / 2 and w starts at 1
        >>> weights = train_heads(one, torch.zeros(1, 1), start, learning_rate=0.5, rho=0.2, steps=2)
        >>> round(weights.item(), 4)  # (1 - 0.5 (1 + 0.2))^2
        0.16
    """
    weights = nn.Parameter(starts.clone())
    optimizer = SAM([weights], torch.optim.SGD, rho, normalize=False, lr=learning_rate)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = half_squared_error(features @ weights, targets)
        loss.backward()
        return loss

    for _ in range(steps):
        optimizer.step(closure)
    return weights.detach()


def head_sharpness(
    features: Float[Tensor, "samples features"],
    targets: Float[Tensor, "samples outputs"],
    weights: Float[Tensor, "features outputs"],
    radius: float,
    iterations: int,
) -> float:
    """Worst-case sharpness of one trained second layer on the whole training set, in a plain l2 ball.

    Args:
        features: Z, the features of all training samples.
        targets: labels of the samples, a column for each output.
        weights: weights of the second layer.
        radius: radius of the ball.
        iterations: number of ascent steps.

    Returns:
        The increase of half the sum of squared errors.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.lazy.random_features import head_sharpness
        >>> one = torch.ones(1, 1)  # the loss is w^2 / 2 and w is 1
        >>> round(head_sharpness(one, torch.zeros(1, 1), one, radius=0.5, iterations=10), 4)  # (1.5^2 - 1) / 2
        0.625
    """
    count, outputs = weights.shape
    head = nn.Linear(count, outputs, bias=False)
    head.weight = nn.Parameter(weights.T.contiguous())
    return worst_case_sharpness(
        head, [(features, targets)], radius, adaptive=False, loss=half_squared_error, iterations=iterations
    )
