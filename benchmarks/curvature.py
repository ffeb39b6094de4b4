"""Sharpness of networks in units of their own passes, and beside other people's ways to it."""

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import Tensor, nn
from torch.func import functional_call, grad, jacrev, vmap

from benchmarks.networks import NETWORKS
from benchmarks.timing import Row, Work, compared
from sharpdiv.empirical.curvature.eigenvalues import hessian_eigenvalues
from sharpdiv.empirical.curvature.hessian_products import hessian_product
from sharpdiv.empirical.curvature.loss_surface import LossSurface
from sharpdiv.empirical.curvature.per_sample import per_sample_sharpness
from sharpdiv.empirical.curvature.recording import evaluation_mode
from sharpdiv.empirical.curvature.sample_gradients import slow_norms
from sharpdiv.empirical.curvature.tangent_kernel import tangent_kernel
from sharpdiv.empirical.curvature.trace import hessian_trace
from sharpdiv.empirical.curvature.worst_case import worst_case_sharpness
from sharpdiv.empirical.models import ResNet

__all__ = ["rows"]

_LOSS = nn.functional.cross_entropy


def rows() -> Iterator[Row]:
    """All of this file."""
    for width, repeats in ((16, 5), (64, 3)):
        yield _scores(width, repeats)
    yield from _any_network()
    yield from _hessian()
    yield _tangent_kernel()
    yield _worst_case()


def _images(count: int) -> tuple[Tensor, Tensor]:
    return torch.randn(count, 3, 32, 32), torch.randint(10, (count,))


def _passes(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Callable[[], object]:
    """A gradient of the mean loss."""
    weights = list(model.parameters())
    return lambda: torch.autograd.grad(_LOSS(model(batch[0]), batch[1]), weights)


def _scores(width: int, repeats: int) -> Row:
    """Per-sample squared gradient norms of a ResNet-18, by passes and against vmap over per-sample gradients."""
    torch.manual_seed(0)
    model, (x, y) = ResNet(width=width, blocks=(2, 2, 2, 2)).eval(), _images(64)
    weights = {name: p.detach() for name, p in model.named_parameters()}

    def loss(weights: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return _LOSS(functional_call(model, weights, (x[None],)), y[None])

    def by_vmap() -> object:
        with evaluation_mode(model):
            gradients = vmap(grad(loss), in_dims=(None, 0, 0), chunk_size=16)(weights, x, y)
        return sum(g.flatten(1).square().sum(1) for g in gradients.values())

    what = f"per-sample sharpness, ResNet-18 of width {width}, batch 64"
    ours = lambda: per_sample_sharpness(model, x, y)  # noqa: E731
    return compared(what, repeats, ours, a_gradient=_passes(model, (x, y)), vmap=by_vmap)


def _any_network() -> Iterator[Row]:
    """The same of networks of other kinds, and by the route of layers that we do not know."""
    for name, (make, inputs_of) in NETWORKS.items():
        torch.manual_seed(0)
        model, x, y = make().eval(), inputs_of(32), torch.randint(10, (32,))
        yield compared(
            f"per-sample sharpness, {name}",
            3,
            lambda: per_sample_sharpness(model, x, y),  # noqa: B023
            a_gradient=_passes(model, (x, y)),
            a_gradient_for_each_sample=lambda: slow_norms(model, (x, y), _LOSS),  # noqa: B023
        )


def _hessian() -> Iterator[Row]:
    """Largest eigenvalue and trace of a ResNet-18's Hessian, whose products are in units of gradients."""
    torch.manual_seed(0)
    model, batch = ResNet(width=16, blocks=(2, 2, 2, 2)).eval(), _images(64)
    surface, gradient = LossSurface(model, _LOSS), _passes(model, batch)
    vector = torch.randn_like(surface.weights)
    kept = hessian_product(surface, batch)
    yield compared(
        "a Hessian product on a kept graph, ResNet-18 of width 16", 3, lambda: kept(vector), a_gradient=gradient
    )

    def arpack() -> object:
        def product(v: np.ndarray) -> np.ndarray:
            return hessian_product(surface, batch)(torch.as_tensor(v.ravel())).numpy()

        operator = LinearOperator((len(vector), len(vector)), product, dtype=np.float32)
        return eigsh(operator, 1, which="LA", return_eigenvectors=False, tol=1e-2, v0=vector.numpy())

    top = lambda: hessian_eigenvalues(model, [batch], tolerance=1e-2)  # noqa: E731
    theirs = _pyhessian(model, batch)
    yield compared("largest Hessian eigenvalue, tolerance 1e-2", 1, top, ARPACK=arpack, **theirs[0])
    trace = lambda: hessian_trace(model, [batch], 20)  # noqa: E731
    yield compared("trace of the Hessian, 20 draws", 1, trace, **(theirs[1] or {"a_gradient": gradient}))


def _pyhessian(model: nn.Module, batch: tuple[Tensor, Tensor]) -> tuple[dict[str, Work], dict[str, Work]]:
    """The same two by PyHessian."""
    if find_spec("pyhessian") is None:
        return {}, {}
    from pyhessian import hessian

    def new() -> Any:
        return hessian(model, nn.CrossEntropyLoss(), data=batch, cuda=False)

    # It stops where a relative change is below tol, and divides by the trace without its sign: below 0 it stops at once.
    all_draws = float("-inf")
    return (
        {"PyHessian": lambda: new().eigenvalues(tol=1e-2)},
        {"PyHessian": lambda: new().trace(maxIter=20, tol=all_draws)},
    )


def _tangent_kernel() -> Row:
    """By layers, against Jacobians of all weights."""
    model = ResNet(width=8, blocks=(1, 1, 1), channels=1, norm="none")
    train, test = torch.randn(60, 1, 16, 16), torch.randn(120, 1, 16, 16)
    weights = {name: p.detach() for name, p in model.named_parameters()}

    def by_jacobians() -> object:
        jacobian = vmap(jacrev(lambda w, x: functional_call(model, w, (x[None],))[0]), in_dims=(None, 0))
        parts = [j.flatten(2) for j in jacobian(weights, torch.cat([train, test])).values()]
        rows = torch.cat(parts, dim=2).flatten(0, 1)
        return rows @ rows[:600].T

    ours = lambda: tangent_kernel(model, train, test)  # noqa: E731
    return compared("tangent kernel, width 8, 180 x 60 images, 10 classes", 2, ours, Jacobians=by_jacobians)


def _worst_case() -> Row:
    """Auto-PGD of 20 steps needs 21 passes."""
    torch.manual_seed(0)
    model, batch = ResNet(width=16, blocks=(1, 1, 1, 1)).eval(), _images(128)
    once = _passes(model, batch)
    ours = lambda: worst_case_sharpness(model, [batch])  # noqa: E731
    return compared("worst-case sharpness, 20 steps", 2, ours, its_21_gradients=lambda: [once() for _ in range(21)])
