"""The Lanczos method against dense eigenvalues of matrices with spectra that are made to be hard for it."""

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor

from sharpdiv.empirical.curvature import lanczos
from sharpdiv.empirical.errors import DivergenceError
from sharpdiv.theory.errors import ConvergenceError
from tests.laws import Mutation, law

SPECTRA = {
    "spread": np.geomspace(1e-3, 1e3, 120),
    "like a network's": np.concatenate([np.full(100, 1e-3), -np.linspace(0, 1, 40), [3.0, 8.0, 9.0, 30.0]]),
    "close": np.concatenate([np.linspace(0, 1, 100), [1.001, 1.002, 1.003]]),
    "negative": -np.linspace(1, 2, 60),
    "few": np.array([2.0, 1.0, -1.0]),
}


def matrix(values: np.ndarray, seed: int) -> Tensor:
    """A symmetric matrix with these eigenvalues, in random directions."""
    directions = np.linalg.qr(np.random.default_rng(seed).standard_normal((len(values), len(values))))[0]
    return torch.as_tensor(directions * values @ directions.T)


def start(size: int, seed: int = 0) -> Tensor:
    return torch.as_tensor(np.random.default_rng(seed).standard_normal(size))


@law(
    Mutation(
        "components too large",
        "sharpdiv.empirical.curvature.lanczos._orthogonal",
        lambda f: lambda v, basis: (f(v, basis)[0] * (1 + 1e-6), f(v, basis)[1]),
    ),
    Mutation(
        "stops at once",
        "sharpdiv.empirical.curvature.lanczos._Ritz.within",
        lambda _: lambda *_: True,
    ),
    examples=20,
    name=st.sampled_from(sorted(SPECTRA)),
    seed=st.integers(0, 1000),
    count=st.integers(1, 3),
)
def test_the_largest_of_a_dense_matrix(name: str, seed: int, count: int) -> None:
    """To 1e-8 of the largest magnitude: the tolerance, and the rounding of doubles."""
    dense = matrix(SPECTRA[name], seed)
    largest = lanczos.largest_eigenvalues
    found = largest(lambda v: dense @ v, start(len(dense), seed), count, 1e-9, np.random.default_rng(seed))
    expected = np.sort(SPECTRA[name])[::-1][:count]
    assert found == pytest.approx(expected, rel=0, abs=1e-8 * np.abs(SPECTRA[name]).max())


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_space_that_closes_is_left_for_a_new_direction(count: int) -> None:
    """Two distinct eigenvalues close the space after two products; a zero matrix at once."""
    values = torch.tensor([5.0, 5.0, 1.0, 1.0], dtype=torch.float64)
    generator = np.random.default_rng(0)
    found = lanczos.largest_eigenvalues(lambda v: values * v, torch.ones_like(values), count, 1e-9, generator)
    assert found == pytest.approx({1: [5], 2: [5, 1], 4: [5, 5, 1, 1]}[count], rel=1e-12)
    zeros = lanczos.largest_eigenvalues(torch.zeros_like, torch.ones_like(values), count, 1e-9, generator)
    assert zeros.tolist() == [0] * count


def test_few_products_where_one_eigenvalue_stands_out() -> None:
    """Ten decades of separation in four products, where a space of 20 vectors would be filled before anybody asks."""
    values, asked = torch.cat([torch.linspace(0, 1, 500), torch.tensor([50.0])]).double(), []

    def product(v: Tensor) -> Tensor:
        asked.append(1)
        return values * v

    (found,) = lanczos.largest_eigenvalues(product, start(501), 1, 1e-2, np.random.default_rng(0))
    assert found == pytest.approx(50, rel=1e-4)
    assert len(asked) <= 5


def test_single_precision_ends_at_its_rounding() -> None:
    dense = matrix(SPECTRA["like a network's"], 0).float()
    found = lanczos.largest_eigenvalues(
        lambda v: dense @ v, start(len(dense)).float(), 2, 1e-12, np.random.default_rng(0)
    )
    assert found == pytest.approx([30, 9], rel=1e-5)


@law(
    Mutation(
        "orthogonal once",
        "sharpdiv.empirical.curvature.lanczos._orthogonal",
        lambda _: lambda v, basis: ((basis @ v).double().numpy(), v - (basis @ v) @ basis),
    ),
)
def test_what_is_left_of_a_vector_is_orthogonal_to_rounding() -> None:
    """Of a vector that lies in the space but for 1e-4: what is left is orthogonal to a few units of rounding of its own length."""
    generator = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(400, 10, generator=generator))[0].T.contiguous()
    vector = torch.randn(10, generator=generator) @ basis + 1e-4 * torch.randn(400, generator=generator)
    rest = lanczos._orthogonal(vector, basis)[1]
    assert float((basis @ rest).norm() / rest.norm()) < 20 * torch.finfo(torch.float32).eps


def test_what_has_no_number_or_no_end_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    with pytest.raises(DivergenceError, match="not finite"):
        lanczos.largest_eigenvalues(lambda v: v * float("inf"), start(5), 1, 1e-3, generator)
    monkeypatch.setattr(lanczos, "_RESTARTS", 1)
    dense = matrix(np.linspace(0, 1, 200), 0)
    with pytest.raises(ConvergenceError, match="tolerance 1e-12"):
        lanczos.largest_eigenvalues(lambda v: dense @ v, start(200), 1, 1e-12, generator)
