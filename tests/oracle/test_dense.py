"""Curvature of small networks against their whole Hessian by differences of gradients."""

import numpy as np
import pytest
import torch

from sharpdiv.empirical.curvature import eigenvalues, trace
from tests.laws import Mutation, law
from tests.oracle.curved import NETWORKS, dense_hessian, our_hessian, problem

pytestmark = pytest.mark.slow  # make test-oracle runs them
ROUNDING = 1e-8  # of differences of gradients, 1e-11, against entries of up to 0.3; products sum a few hundred of them
UNWEIGHTED = Mutation(
    "batches of different sizes count alike",
    "sharpdiv.empirical.curvature.eigenvalues.shares",
    lambda _: lambda batches: np.full(len(batches), 1 / len(batches)),
)
DOUBLE = Mutation(
    "twice the product",
    "sharpdiv.empirical.curvature.trace.hessian_product",
    lambda f: lambda surface, b: lambda v: 2 * f(surface, b)(v),
)


@pytest.mark.parametrize("name", NETWORKS)
def test_products(name: str) -> None:
    model, batches = problem(name)
    expected = dense_hessian(model, batches)
    assert torch.allclose(our_hessian(model, batches), expected, rtol=0, atol=ROUNDING * float(expected.abs().max()))


@law(UNWEIGHTED)
def test_largest_eigenvalues() -> None:
    for name in NETWORKS:
        model, batches = problem(name)
        expected = torch.linalg.eigvalsh(dense_hessian(model, batches)).flip(0)[:4].numpy()
        found = eigenvalues.hessian_eigenvalues(model, batches, 4, tolerance=1e-8)
        assert found == pytest.approx(expected, rel=1e-7)  # ten times the tolerance asked for


@law(DOUBLE)
def test_hutchinsons_trace() -> None:
    for name in NETWORKS:
        model, batches = problem(name)
        found = trace.hessian_trace(model, batches, draws=200)
        # 4 standard errors, which themselves are known to 1 / sqrt(800) = 4%: once in 10^4 seeds.
        assert abs(found.mean - float(dense_hessian(model, batches).trace())) < 4 * found.stderr
        assert found.stderr < 0.2 * abs(found.mean)
