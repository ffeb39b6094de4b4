"""Curvature of a trained network's loss: largest Hessian eigenvalues and trace, from Hessian-vector products alone.

The Hessian is the one that automatic differentiation sees. A network of piecewise linear activations (ReLU) has the curvature of
its pieces only: what its kinks add when the loss is averaged over a neighbourhood is not there.
"""

import math
from collections.abc import Callable, Iterable

import numpy as np
import torch
from jaxtyping import Float
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh
from torch import Tensor, nn

from empirical.errors import DivergenceError, InputError
from empirical.estimates import Estimate, stratified_mean
from empirical.loss_surface import Batch, Loss, LossSurface, checked
from empirical.per_sample import evaluation_mode

__all__ = ["ConvergenceError", "hessian_eigenvalues", "hessian_trace"]

_RESTARTS = 100  # of the Lanczos iteration, each with up to max(20, 2 count + 1) products


class ConvergenceError(RuntimeError):
    """An iterative solver stopped before its tolerance was met."""


def hessian_eigenvalues(
    model: nn.Module,
    batches: Iterable[Batch],
    count: int = 1,
    loss: Loss = nn.functional.cross_entropy,
    tolerance: float = 1e-3,
    seed: int = 0,
) -> Float[np.ndarray, " count"]:
    """Largest eigenvalues of the Hessian of the mean loss over all samples of all batches, in all trainable weights.

    By the implicitly restarted Lanczos method in the model's precision. It starts from one vector, so an eigenvalue that is
    exactly multiple may be reported fewer times than it occurs.

    Args:
        model: any module; measured in evaluation mode, which is restored. Its weights are never written to.
        batches: fixed (inputs, targets) pairs, un-augmented, of any sizes; read once and kept.
        count: eigenvalues wanted, fewer than there are weights.
        loss: mean loss of outputs and targets.
        tolerance: relative error of an eigenvalue, positive. Rounding of float32 products takes over below 1e-6; the default
            is far below the spread between samples of the data.
        seed: of the start vector.

    Returns:
        Eigenvalues in algebraic order, the largest first.

    Raises:
        InputError: if the count is below 1 or not below the number of weights, the tolerance not positive and finite, or there
            is no batch or weight.
        DivergenceError: if a product is not finite.
        ConvergenceError: if the tolerance was not met.

    References:
        Lehoucq, Sorensen and Yang (1998), "ARPACK users' guide".
    """
    if not (math.isfinite(tolerance) and tolerance > 0):
        raise InputError(f"tolerance must be positive and finite, got {tolerance}")
    surface, fixed = LossSurface(model, loss), list(checked(batches))
    size = len(surface.weights)
    if not 1 <= count < size:
        raise InputError(f"count must be at least 1 and below the number of weights, {size}, got {count}")
    generator = np.random.default_rng(seed)
    operator = _operator(surface, fixed)
    start = generator.standard_normal(size).astype(operator.dtype)
    options = {"tol": tolerance, "maxiter": _RESTARTS, "v0": start, "rng": generator}
    with evaluation_mode(model), torch.enable_grad():
        try:
            values = eigsh(operator, count, which="LA", return_eigenvectors=False, **options)
        except ArpackError as error:
            if not operator.matvec(start).any():  # ARPACK refuses the zero matrix
                return np.zeros(count)
            raise ConvergenceError(f"Lanczos failed at tolerance {tolerance:g}, raise it: {error}") from error
    return np.sort(values)[::-1].astype(np.float64)


def hessian_trace(
    model: nn.Module,
    batches: Iterable[Batch],
    draws: int = 20,
    loss: Loss = nn.functional.cross_entropy,
    seed: int = 0,
) -> Estimate:
    """Trace of the Hessian of the mean loss over all samples of all batches, in all trainable weights.

    Hutchinson's estimator (1989): ``v'Hv`` has mean ``tr H`` and variance ``2 sum_{i != j} H_ij^2`` for v of independent random
    signs. Each batch has its own draws, which is never less precise than the same draws for all: the part of the variance
    that the batches share is divided by their number.

    Args:
        model: any module; measured in evaluation mode, which is restored. Its weights are never written to.
        batches: fixed (inputs, targets) pairs, un-augmented, of any sizes; read once and kept.
        draws: random vectors for each batch, at least 2; 8 batches have 160 in all, PyHessian takes up to 100.
        loss: mean loss of outputs and targets.
        seed: of the signs, which are made on the model's device: another kind of device draws others.

    Returns:
        Mean and standard error over the draws.

    Raises:
        InputError: if there are fewer than two draws, or there is no batch or weight.
        DivergenceError: if a product is not finite.

    References:
        Yao, Gholami, Keutzer and Mahoney (2020), "PyHessian: neural networks through the lens of the Hessian".
    """
    if draws < 2:
        raise InputError(f"draws must be at least 2 to have a standard error, got {draws}")
    surface, fixed = LossSurface(model, loss), list(checked(batches))
    generator = torch.Generator(surface.weights.device).manual_seed(seed)

    def quadratic_forms(batch: Batch) -> Float[Tensor, " draws"]:
        product = _product(surface, batch)
        signs = (_signs(surface.weights, generator) for _ in range(draws))
        return torch.stack([v @ product(v) for v in signs])

    return stratified_mean(surface.per_batch(fixed, quadratic_forms), _shares(fixed))


def _operator(surface: LossSurface, batches: list[Batch]) -> LinearOperator:
    """The Hessian of all samples as SciPy sees it; batch after batch, so memory holds the graph of one."""
    weights = surface.weights
    # NumPy has no bfloat16, and a sum in it would be useless.
    dtype = torch.promote_types(weights.dtype, torch.float32)
    shares = _shares(batches).tolist()

    def product(vector: np.ndarray) -> np.ndarray:
        v = torch.tensor(vector.ravel(), dtype=weights.dtype, device=weights.device)
        total = torch.zeros_like(weights, dtype=dtype)
        for share, batch in zip(shares, batches, strict=True):
            total.add_(_product(surface, batch)(v), alpha=share)
        found = total.cpu().numpy()
        if not np.isfinite(found).all():
            raise DivergenceError("a Hessian-vector product is not finite; is the model trained?")
        return found

    return LinearOperator((len(weights), len(weights)), matvec=product, dtype=str(dtype).removeprefix("torch."))


def _product(surface: LossSurface, batch: Batch) -> Callable[[Float[Tensor, " weights"]], Float[Tensor, " weights"]]:
    """Product of a batch's Hessian with vectors: the gradient's graph is built once, differentiated for each vector."""
    # Two backward passes. Forward over reverse, reverse over forward and vmap over vectors need forward derivatives or memory.
    point = surface.weights.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(surface(point, batch), point, create_graph=True)

    def product(v: Float[Tensor, " weights"]) -> Float[Tensor, " weights"]:
        if not gradient.requires_grad:  # the loss is linear in the weights
            return torch.zeros_like(v)
        return torch.autograd.grad(gradient, point, v, retain_graph=True)[0]

    return product


def _shares(batches: list[Batch]) -> Float[np.ndarray, " batches"]:
    """Fraction of all samples that is in each batch."""
    sizes = np.array([len(inputs) for inputs, _ in batches])
    return sizes / sizes.sum()


def _signs(weights: Float[Tensor, " weights"], generator: torch.Generator) -> Float[Tensor, " weights"]:
    return torch.empty_like(weights).bernoulli_(0.5, generator=generator).mul_(2).sub_(1)
