"""The law of W for any covariance: free moments by hand, the isotropic law, its own equations, and drawn matrices."""

from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from sharpdiv.theory.errors import DomainError
from sharpdiv.theory.spectra import covariance as covariance_
from sharpdiv.theory.spectra.covariance import GeneralizedMarchenkoPastur
from sharpdiv.theory.spectra.marchenko_pastur import MarchenkoPastur
from tests.laws import Mutation, law

ratios = st.floats(0.1, 20)
covariances = st.lists(st.sampled_from([0.0, 0.02, 0.3, 1.0, 1.1, 7.0, 40.0]), min_size=1, max_size=5).filter(any)

NO_ATOM = Mutation(
    "no atom at 0",
    "sharpdiv.theory.spectra.covariance.GeneralizedMarchenkoPastur._atom",
    lambda f: property(lambda self: np.zeros(self._values.size)),
)
RATIO = Mutation(
    "z = t (1 + c)",
    "sharpdiv.theory.spectra.fixed_point.FixedPoint._newton",
    lambda f: lambda self, t, z, tolerance: f(self, t, z * 1.01, tolerance),
)


def spectrum(ratio: float, covariance: list[float], **options: Any) -> GeneralizedMarchenkoPastur:
    return GeneralizedMarchenkoPastur(ratio, np.array(covariance), **options)


@law(NO_ATOM, RATIO, examples=30, ratio=ratios, covariance=covariances)
def test_moments_by_hand(ratio: float, covariance: list[float]) -> None:
    """``tau W = r s_1``, ``tau W^2 = r^2 s_2 + r s_1^2``, ``tau W^3 = r^3 s_3 + 3 r^2 s_1 s_2 + r s_1^3``, s_j = tau Sigma^j."""
    s1, s2, s3 = (np.mean(np.array(covariance) ** j) for j in (1, 2, 3))
    law_ = spectrum(ratio, covariance)
    expected = [1.0, ratio * s1, ratio**2 * s2 + ratio * s1**2, ratio**3 * s3 + 3 * ratio**2 * s1 * s2 + ratio * s1**3]
    found = law_.integrate(lambda x: x ** np.arange(4)[:, None])
    assert found == pytest.approx(expected, rel=1e-10)


@law(RATIO, examples=20, ratio=st.floats(0.1, 20).filter(lambda r: abs(r - 1) > 1e-3), log_gap=st.floats(-3, 3))
def test_the_isotropic_law_is_marchenko_pastur(ratio: float, log_gap: float) -> None:
    ours, known = spectrum(ratio, [1.0, 1.0, 1.0]), MarchenkoPastur(ratio)
    assert (ours.smallest, ours.largest) == pytest.approx((known.smallest, known.largest), rel=1e-12)

    def q(x: np.ndarray) -> np.ndarray:
        return np.asarray((1 - 1.7 * x / known.largest) ** 40)

    assert float(ours.integrate(q)) == pytest.approx(float(known.integrate(q)), rel=1e-10, abs=1e-13)
    gap = np.array(10.0**log_gap * (1 + 1e-20j))
    left, right = ours.resolvent(q)(gap), known.resolvent(q)(gap)
    assert (float(left.real), float(left.imag)) == pytest.approx((float(right.real), float(right.imag)), rel=1e-7)


@law(
    Mutation(
        "eigenvectors in the order of values",
        "sharpdiv.theory.spectra.covariance.np.unique",
        lambda f: lambda x, **k: (lambda v, g: (v, np.sort(g)))(*f(x, **k)),
    ),
    RATIO,
    examples=20,
    ratio=ratios,
    covariance=covariances,
)
def test_equivalents_by_hand(ratio: float, covariance: list[float]) -> None:
    """``E W = r Sigma`` and ``E W^2 = r^2 Sigma^2 + r tau(Sigma) Sigma``, in the order the covariance was given in."""
    sigma = np.array(covariance[::-1])
    law_ = GeneralizedMarchenkoPastur(ratio, sigma)
    scale = law_.largest
    assert law_.equivalent(lambda x: x) == pytest.approx(ratio * sigma, abs=1e-11 * scale)
    second = ratio**2 * sigma**2 + ratio * sigma.mean() * sigma
    assert law_.equivalent(lambda x: x**2) == pytest.approx(second, abs=1e-11 * scale**2)
    assert float(law_.mean_squared(lambda x: x)) == pytest.approx(np.mean((ratio * sigma) ** 2), rel=1e-9)


@law(
    Mutation(
        "fluctuation without 1/r",
        "sharpdiv.theory.spectra.covariance.GeneralizedMarchenkoPastur.fluctuation",
        lambda f: lambda self, *a: self.ratio * 1.01 * f(self, *a),
    ),
    Mutation(
        "sandwich left out",
        "sharpdiv.theory.spectra.covariance.GeneralizedMarchenkoPastur.fluctuation",
        lambda f: lambda self, g, e, b: f(self, g, e, np.ones_like(b)),
    ),
    examples=15,
    ratio=ratios,
    covariance=covariances,
)
def test_two_resolvents_by_hand(ratio: float, covariance: list[float]) -> None:
    """``E[W B W] - EW B EW = r tau(Sigma B) Sigma``, so a linear filter has a known fluctuation."""
    sigma = np.array(covariance)
    rng = np.random.default_rng(sigma.size)
    energy, sandwich = rng.random(sigma.size), rng.random(sigma.size) + 0.1
    law_ = spectrum(ratio, covariance, degree=15)
    expected = ratio * np.mean(sigma * sandwich) * (sigma @ energy)
    found = float(law_.fluctuation(lambda x: 3 - 2 * x, energy, sandwich))
    assert found == pytest.approx(4 * expected, rel=1e-8, abs=1e-10 * law_.largest**2)


@law(
    Mutation(
        "the edge 1% too far",
        "sharpdiv.theory.spectra.fixed_point.FixedPoint.upper_t",
        lambda f: property(lambda self: 1.01 * f.func(self)),
    ),
    examples=30,
    ratio=ratios,
    covariance=covariances,
    log_gap=st.floats(-8, 4),
)
def test_stieltjes_transform_solves_its_equation(ratio: float, covariance: list[float], log_gap: float) -> None:
    """``z G - 1 = c(t)``, so G itself gives ``t = z / (r + c)``, and t gives G again."""
    law_ = spectrum(ratio, covariance)
    z = law_.largest + 10.0**log_gap
    G = float(law_.stieltjes(np.array(10.0**log_gap)))
    c = z * G - 1
    # z G = t tau(1/(t - Sigma)) = 1 + c(t).
    t = z / (ratio + c)
    again = np.mean(1 / (t - np.array(covariance))) * t / z
    assert again == pytest.approx(G, rel=1e-6)


def test_a_weighted_law_is_a_quadratic_form() -> None:
    """Against drawn matrices: d = 300, 40 draws, 4 standard errors and 3/d for finite size."""
    rng = np.random.default_rng(0)
    sigma, d, n = np.repeat([0.2, 1.0, 3.0], 100), 300, 450
    law_ = GeneralizedMarchenkoPastur(n / d, sigma)
    v = rng.standard_normal(d) * np.repeat([1.0, 0.0, 0.5], 100)

    def f(x: np.ndarray) -> np.ndarray:
        return np.asarray((1 - x / law_.largest) ** 5)

    data = rng.standard_normal((40, n, d)) * np.sqrt(sigma / d)
    eigenvalues, vectors = np.linalg.eigh(data.swapaxes(1, 2) @ data)
    applied = np.einsum("kij,kj->ki", vectors, f(eigenvalues) * (v @ vectors))
    for values, expected in (
        (applied @ v, float(law_.weighted(v**2).integrate(f))),
        (applied**2 @ sigma, float(law_.quadratic(f, v**2, 5))),
    ):
        assert abs(values.mean() - expected) <= 4 * values.std() / np.sqrt(40) + 3 / d * expected


def test_blocks_and_test_points() -> None:
    law_ = spectrum(4.0, [1.0, 3.0])
    assert law_.blocks(2).ratio == 2.0
    assert float(law_.at_test.integrate(np.ones_like)) == pytest.approx(2.0)
    assert float(law_.at_test.integrate(lambda x: x)) == pytest.approx(4 * (1 + 9) / 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: spectrum(0.0, [1.0]), "ratio"),
        (lambda: spectrum(2.0, []), "shape"),
        (lambda: spectrum(2.0, [-1.0]), "covariance eigenvalues must be finite and non-negative, got -1.0"),
        (lambda: spectrum(2.0, [float("nan")]), "covariance eigenvalues"),
        (lambda: spectrum(2.0, [0.0, 0.0]), "not all be zero"),
        (lambda: spectrum(2.0, [1.0], weights=np.array([-1.0])), "weights must be"),
        (lambda: spectrum(2.0, [1.0, 2.0], shares=np.array([0.5, 0.6])), "sum to 1"),
        (lambda: spectrum(2.0, [1.0], degree=-1), "degree"),
    ],
)
def test_bad_input_is_a_typed_error(make: Any, message: str) -> None:
    with pytest.raises(DomainError, match=message):
        make()


@pytest.mark.parametrize(
    "covariance", [[1e-40, 1e40], [1e-30, 1.0, 1e30], [1e-12, 1.0], [1.0, 1.01, 1.02], [1e-20, 1.0]]
)
@pytest.mark.parametrize("ratio", [0.1, 0.5, 3.0])
def test_eigenvalues_any_orders_of_magnitude_apart(covariance: list[float], ratio: float) -> None:
    """Mass and mean, and the ends of the support where z' = 0; brentq did not converge for some of these."""
    law_ = spectrum(ratio, covariance)
    sigma = np.array(covariance)
    assert float(law_.integrate(np.ones_like)) == pytest.approx(1, rel=1e-11)
    assert float(law_.integrate(lambda x: x / sigma.max())) == pytest.approx(
        ratio * np.mean(sigma / sigma.max()), rel=1e-11
    )
    assert 0 <= law_.smallest < law_.largest < (1 + ratio**0.5) ** 2 * sigma.max()


@law(
    Mutation(
        "one contour for all parts",
        "sharpdiv.theory.spectra.fixed_point.FixedPoint.bands",
        lambda f: lambda self, degree: [self.edges],
    ),
    Mutation(
        "each part blind to the others",
        "sharpdiv.theory.spectra.covariance._projected",
        lambda f: lambda *args: (f(*args)[0], 0 * f(*args)[1]),
    ),
    small=st.sampled_from([1e-4, 1e-8, 1e-12, 1e-20]),
)
def test_small_eigenvalues_keep_their_digits(small: float) -> None:
    """Two eigenvalues s and 1 of equal shares at r = 3: what is left of W near 0 is known to first order in s.

    Of the large eigenvector a share ``s p / (r - p)``, p = 1/2, lies in the lower part of the support (perturbation of the null
    space), where a filter that has contracted everything else is 1. So ``tau(Sigma a^2) = s p (1 + p/(r - p))``.
    """
    law_ = spectrum(3.0, [small, 1.0], degree=4000)
    left = float(law_.at_test.integrate(lambda x: (1 - 0.15 * x) ** 2000 * (np.abs(x) < 0.5)))
    assert left == pytest.approx(small / 2 * (1 + 0.5 / 2.5), rel=max(1e-6, 3000 * small), abs=0)


def test_a_thousand_steps_of_three_close_values() -> None:
    """A long polynomial on three bulks that all but touch; D is too small to simulate: the isotropic law is the referee."""
    near, equal = (spectrum(3.0, values, degree=8004) for values in ([1.0, 1.0 + 1e-9, 1.0 + 2e-9], [1.0]))

    def q(x: np.ndarray) -> np.ndarray:
        return np.asarray((1 - 0.05 * x * (1 + 0.05 * x)) ** 2000)

    known = float(MarchenkoPastur(3.0, degree=4002).integrate(q))
    assert float(near.integrate(q)) == pytest.approx(known, rel=1e-5)
    assert float(equal.integrate(q)) == pytest.approx(known, rel=1e-6)


@law(
    Mutation(
        "partial fractions everywhere",
        "sharpdiv.theory.spectra.covariance._NEAR",
        lambda _: 1e-12,
    ),
    examples=10,
    seed=st.integers(0, 100),
)
def test_sums_over_pairs(seed: int) -> None:
    """Against the plain double sum; the points nearest to each other are 1e-4 apart."""
    rng = np.random.default_rng(seed)
    values, weights = rng.random(9), rng.random((2, 9))
    t = np.linspace(1, 2, 70) + 0.1j
    u = np.append(t + 1e-4, t.conj())
    exact = np.einsum("ms,ts,us->mtu", weights, 1 / (t[:, None] - values), 1 / (u[:, None] - values))
    assert np.abs(covariance_._pair_sums(t, u, values, weights) / exact - 1).max() < 1e-13


def test_two_point_functions_of_too_high_degree_are_refused_before_they_fill_the_memory() -> None:
    sigma = np.array([1.0, 2.0])
    with pytest.raises(DomainError, match="at most 600, got 601; lower steps"):
        spectrum(2.0, [1.0, 2.0]).quadratic(np.ones_like, sigma, 601)
