"""Networks between the lazy and the rich regime: centred outputs scaled by alpha, trained on squared loss by full-batch SAM.

``h(w) = alpha [(f(w) - fbar(w)) - (f(w_0) - fbar(w_0))]`` with fbar the mean output over a member's own training samples, and the
loss ``|h - y|^2 / (2 n alpha^2)`` with centred labels y (lazy training as in Chizat et al. 2019). The larger alpha, the less the
weights have to move, and the closer training is to that of the tangent kernel at initialization.
"""

import math
from copy import deepcopy
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from sharpdiv.empirical.curvature.recording import evaluation_mode
from sharpdiv.empirical.curvature.worst_case import worst_case_sharpness
from sharpdiv.empirical.errors import DivergenceError, InputError
from sharpdiv.empirical.models import Activation, Normalization, ResNet
from sharpdiv.empirical.optim.sam import SAM

__all__ = ["LazyProblem", "LazyTraining", "freeze_batch_norm", "lazy_network", "train_lazy"]

_DIVERGED = 1e6  # times the loss at the start


@dataclass(frozen=True)
class LazyProblem:
    """Data that a member is trained and tested on.

    Examples:
        >>> import torch
        >>> from sharpdiv import LazyProblem
        >>> images, labels = torch.zeros(4, 1, 8, 8), torch.eye(2).repeat(2, 1)  # one-hot labels of two classes
        >>> problem = LazyProblem(images, labels, test=images, own=torch.tensor([True, True, True, False]))
        >>> int(problem.own.sum())  # the member trains on three of the four images
        3
    """

    train: Float[Tensor, "train ..."]
    """all training images"""
    labels: Float[Tensor, "train classes"]
    """labels of the training images, a column for each class"""
    test: Float[Tensor, "test ..."]
    """test images"""
    own: Bool[Tensor, " train"]
    """mask of the training images, True for those that this member sees"""


@dataclass(frozen=True)
class LazyTraining:
    """A member at some steps of its training.

    Example: see ``train_lazy``.
    """

    predictions: Float[Tensor, "snapshots test classes"]
    """predicted labels of the test images: h plus the mean label of the member's own training samples"""
    training_loss: Float[Tensor, " snapshots"]
    """``|h - y|^2 / (2 n)`` on the member's own training samples"""
    sharpness: Float[Tensor, " snapshots"]
    """worst-case increase of that loss on all training images, in a ball of the weights with radius ``radius / alpha``"""


def train_lazy(
    model: nn.Module,
    problem: LazyProblem,
    snapshots: tuple[int, ...],
    *,
    alpha: float,
    learning_rate: float,
    rho: float,
    radius: float,
    normalize: bool = False,
    iterations: int = 10,
) -> LazyTraining:
    """Train a copy of a network in evaluation mode (``freeze_batch_norm``) by full-batch SAM on its own training samples.

    Args:
        model: network at its initialization; only parameters with ``requires_grad`` are trained.
        problem: the member's data.
        snapshots: numbers of steps after which the member is looked at, increasing.
        alpha: scale of the outputs.
        learning_rate: learning rate eta.
        rho: rho of un-normalized SAM, 0 for gradient descent; with ``normalize`` the length of the ascent, times alpha.
        radius: radius of the ball of the sharpness, times alpha.
        normalize: whether the ascent has a fixed length.
        iterations: number of ascent steps of the sharpness; 10 suffice where the radius is so small that the gradient decides,
            larger radii take 50 or more.

    Returns:
        The member at every snapshot.

    Raises:
        InputError: if a number is outside its domain, the problem's lengths differ, labels have not a column for each output,
            the member sees no image, or the model has no trainable parameters.
        DivergenceError: if the loss is not finite, or above a million times its start.

    Examples:
        >>> import torch
        >>> from sharpdiv import LazyProblem, train_lazy
        >>> images, labels = torch.tensor([[1.0], [-1.0]]), torch.tensor([[1.0], [-1.0]])
        >>> problem = LazyProblem(images, labels, test=torch.tensor([[2.0]]), own=torch.tensor([True, True]))
        >>> model = torch.nn.Linear(1, 1, bias=False)  # h = t x with t = alpha (w - w_0); a step takes half of 1 - t
        >>> options = {"alpha": 10.0, "learning_rate": 0.5, "rho": 0.0, "radius": 0.1}
        >>> found = train_lazy(model, problem, (0, 1, 2), **options)
        >>> found.predictions.flatten().double().round(decimals=3).tolist()  # t = 0, 1/2, 3/4 at x = 2
        [0.0, 1.0, 1.5]
    """
    _require(problem, snapshots, alpha=alpha, learning_rate=learning_rate, radius=radius)
    network = _ScaledNetwork(deepcopy(model), int(problem.own.sum()), alpha)
    optimizer = _sam(network, rho / alpha if normalize else rho, normalize, learning_rate)
    with evaluation_mode(network):
        views = _views(network, problem)
        start = float(_half_mean_square(network(views.own[0]), views.own[1]).detach())

        def closure() -> Tensor:
            optimizer.zero_grad()
            loss = _half_mean_square(network(views.own[0]), views.own[1])
            (loss / alpha**2).backward()
            return loss

        kept = []
        for step in range(snapshots[-1] + 1):
            if step:
                optimizer.step(closure)
            if step in snapshots:
                kept.append(_look(network, views, radius / alpha, iterations))
                if not kept[-1][1] <= _DIVERGED * start:  # NaN is not
                    raise DivergenceError(
                        f"full-batch SAM diverged within {step} steps at alpha {alpha:g} (loss {kept[-1][1]:g}, "
                        f"{start:g} at the start); lower rho {rho:g} or the learning rate {learning_rate:g}"
                    )
    predictions, losses, sharpness = zip(*kept, strict=True)
    read = (torch.tensor(values, dtype=torch.float64) for values in (losses, sharpness))
    return LazyTraining(torch.stack(predictions) + views.intercept, *read)


def _sam(network: nn.Module, rho: float, normalize: bool, learning_rate: float) -> SAM:
    trained = [p for p in network.parameters() if p.requires_grad]
    if not trained:
        raise InputError("the model has no trainable parameters")
    return SAM(trained, torch.optim.SGD, rho, normalize=normalize, lr=learning_rate)


def _require(problem: LazyProblem, snapshots: tuple[int, ...], **positive: float) -> None:
    if not snapshots or list(snapshots) != sorted(set(snapshots)) or snapshots[0] < 0:
        raise InputError(f"snapshots must be increasing numbers of steps, got {snapshots}")
    for name, value in positive.items():
        if not (math.isfinite(value) and value > 0):
            raise InputError(f"{name} must be finite and positive, got {value}")
    lengths = {"images": len(problem.train), "labels": len(problem.labels), "own": len(problem.own)}
    if len(set(lengths.values())) > 1:
        raise InputError(f"a problem needs one label and one entry of own for each training image, got {lengths}")
    if not problem.own.any():
        raise InputError("a member needs at least one training image of its own")


class _ScaledNetwork(nn.Module):
    """Outputs less their mean over the first images of a batch, which are a member's own, times alpha."""

    def __init__(self, model: nn.Module, own: int, alpha: float) -> None:
        super().__init__()
        self.model, self.own, self.alpha = model, own, alpha

    def forward(self, images: Tensor) -> Tensor:
        outputs = self.model(images)
        return self.alpha * (outputs - outputs[: self.own].mean(dim=0))


@dataclass(frozen=True)
class _Views:
    """Images, each set with a member's own first, and what the scaled network should give there: h - y is their difference."""

    own: tuple[Tensor, Tensor]
    train: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]
    intercept: Tensor


@torch.no_grad()
def _views(network: _ScaledNetwork, problem: LazyProblem) -> _Views:
    """The three sets with their targets, the outputs at initialization added to the labels instead of taken off h."""
    own, intercept = problem.own, problem.labels[problem.own].mean(dim=0)
    mine, rest = problem.train[own], problem.train[~own]
    labels = torch.cat([problem.labels[own], problem.labels[~own]]) - intercept
    train = torch.cat([mine, rest])
    at_start = network(train)
    if at_start.shape != labels.shape:
        raise InputError(f"labels must have the outputs' shape {tuple(at_start.shape)}, got {tuple(labels.shape)}")
    tested = torch.cat([mine, problem.test])
    targets = labels + at_start
    return _Views((mine, targets[: len(mine)]), (train, targets), (tested, network(tested)), intercept)


def _look(network: _ScaledNetwork, views: _Views, radius: float, iterations: int) -> tuple[Tensor, float, float]:
    """Test predictions h, training loss and sharpness as the network is now."""
    with torch.no_grad():
        h = (network(views.test[0]) - views.test[1])[network.own :]
        loss = float(_half_mean_square(network(views.own[0]), views.own[1]))
    if not math.isfinite(loss):
        return h, loss, math.nan
    kappa = worst_case_sharpness(
        network, [views.train], radius, adaptive=False, loss=_half_mean_square, iterations=iterations
    )
    return h, loss, kappa


def _half_mean_square(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - targets).square().sum() / (2 * len(targets))


def lazy_network(
    width: int, activation: Activation, norm: Normalization, images: Float[Tensor, "samples _ _ _"], seed: int
) -> ResNet:
    """A residual network of three stages, one block each, with outputs of order one at its initialization.

    PyTorch's own initialization shrinks signals from layer to layer without norms, so that alpha would mean something else at
    every depth: convolutions are drawn from N(0, 2 / inputs) instead (He et al. 2015). Batch norm is frozen on the images.

    Args:
        width: channels of the first stage.
        activation: nonlinearity of the network.
        norm: norm behind every convolution.
        images: all training images; the network has their precision and device.
        seed: seed of the initialization.

    Returns:
        The network in evaluation mode.

    Examples:
        >>> import torch
        >>> from sharpdiv import lazy_network
        >>> images = torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(0))
        >>> model = lazy_network(width=4, activation="gelu", norm="none", images=images, seed=0)
        >>> tuple(model(images).shape), model.training
        ((8, 10), False)
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = ResNet(width, (1, 1, 1), images.shape[1], norm=norm, activation=activation)
        for module in model.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    model.to(images).eval()
    freeze_batch_norm(model, images)
    return model


@torch.no_grad()
def freeze_batch_norm(model: nn.Module, images: Float[Tensor, "samples ..."]) -> None:
    """Set the running statistics of every batch norm to those of some images, which evaluation mode then uses.

    Args:
        model: network at its initialization.
        images: all training images, as one batch.

    Examples:
        >>> import torch
        >>> from sharpdiv import freeze_batch_norm
        >>> norm = torch.nn.BatchNorm1d(1)
        >>> freeze_batch_norm(norm, torch.tensor([[1.0], [3.0]]))
        >>> norm.running_mean, norm.running_var
        (tensor([2.]), tensor([2.]))
    """
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    with evaluation_mode(model):
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the mean over all batches seen, of which there is one
            norm.train()
        try:
            model(images)
        finally:
            for norm, momentum in zip(norms, momenta, strict=True):
                norm.momentum = momentum
