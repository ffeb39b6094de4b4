"""Curvature of small networks against the linear operators of curvlinops, its Hessian and its empirical Fisher matrix."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from sharpdiv.empirical.batches import Batch
from sharpdiv.empirical.curvature.eigenvalues import hessian_eigenvalues
from sharpdiv.empirical.curvature.fisher import fisher_trace
from sharpdiv.empirical.curvature.per_sample import per_sample_sharpness
from sharpdiv.empirical.curvature.trace import hessian_trace
from tests.oracle.curved import NETWORKS, our_hessian, problem

curvlinops: Any = pytest.importorskip(
    "curvlinops",
    reason="curvlinops is not in the extra oracle, as it depends on torchvision through backpack; install it to compare",
)

pytestmark = pytest.mark.filterwarnings("ignore")  # theirs, of libraries that they use
ROUNDING = 1e-8  # float64: sums of a few thousand products, conditioned to better than 1e4


@pytest.fixture(autouse=True)
def attention_step_by_step() -> Iterator[None]:
    """Fused attention has no second derivative, and layers that run as one operation no forward derivative."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    with sdpa_kernel(SDPBackend.MATH):
        yield
    torch.backends.mha.set_fastpath_enabled(before)


def dense(kind: Any, model: nn.Module, batches: list[Batch]) -> Tensor:
    """One of their matrices, column by column."""
    operator = kind(model, nn.CrossEntropyLoss(), [p for p in model.parameters() if p.requires_grad], batches)
    found: Tensor = operator @ torch.eye(operator.shape[1], dtype=torch.float64)
    return found


@pytest.mark.parametrize("name", NETWORKS)
def test_the_hessian(name: str) -> None:
    """Its products with all unit vectors, its largest eigenvalues, and its trace by their estimator and by ours.

    Theirs are forward over reverse derivatives, which ``dense_hessian`` says are wrong for the scale of a layer norm: it is frozen.
    """
    model, batches = problem(name)
    for norm in (m for m in model.modules() if isinstance(m, nn.LayerNorm)):
        norm.weight.requires_grad_(False)
    expected = dense(curvlinops.HessianLinearOperator, model, batches)
    assert torch.allclose(our_hessian(model, batches), expected, rtol=0, atol=ROUNDING * float(expected.abs().max()))
    largest = torch.linalg.eigvalsh(expected).flip(0)[:3].numpy()
    assert hessian_eigenvalues(model, batches, 3, tolerance=1e-8) == pytest.approx(largest, rel=1e-7)
    found = hessian_trace(model, batches, draws=200)
    assert abs(found.mean - float(expected.trace())) < 4 * found.stderr  # once in 10^4 seeds
    torch.manual_seed(0)
    theirs = float(curvlinops.hutchinson_trace(expected, num_matvecs=100))
    # Half as many draws, each for both batches at once, whose deviations add up where ours are independent: at most 4 times the
    # variance of ours.
    assert abs(found.mean - theirs) < 4 * 5**0.5 * found.stderr


@pytest.mark.parametrize("name", NETWORKS)
def test_the_empirical_fisher_matrix(name: str) -> None:
    """Its trace, over all weights and layer by layer; of one sample, its one eigenvalue is the squared norm of the gradient."""
    model, batches = problem(name)
    exact = float(dense(curvlinops.EFLinearOperator, model, batches).trace())
    assert fisher_trace(model, batches).mean == pytest.approx(exact, rel=ROUNDING)
    (inputs, labels), found = batches[0], per_sample_sharpness(model, *batches[0])
    assert isinstance(inputs, Tensor)
    for i, score in enumerate(found.tolist()):
        one = dense(curvlinops.EFLinearOperator, model, [(inputs[i : i + 1], labels[i : i + 1])])
        assert float(torch.linalg.eigvalsh(one)[-1]) == pytest.approx(score, rel=ROUNDING)
    total = 0.0
    for layer in [m for m in model.modules() if any(True for _ in m.parameters(recurse=False))]:
        model.requires_grad_(False)
        for p in layer.parameters(recurse=False):
            p.requires_grad_(True)
        of_layer = fisher_trace(model, batches).mean
        assert of_layer == pytest.approx(
            float(dense(curvlinops.EFLinearOperator, model, batches).trace()), rel=ROUNDING
        )
        total += of_layer
    assert total == pytest.approx(exact, rel=ROUNDING)
