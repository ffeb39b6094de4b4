"""Laws of the exact sharpness, against dense duals, brute force and limits known by hand."""

from dataclasses import replace
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import strategies as st

from sharpdiv.theory.errors import DomainError
from sharpdiv.theory.filters import Training, critical_rho, phi
from sharpdiv.theory.setting import Setting
from sharpdiv.theory.spectra.base import tangent_resolvent
from sharpdiv.theory.spectra.data_law import data_law
from sharpdiv.theory.spectra.empirical import EmpiricalSpectrum
from sharpdiv.theory.spectra.marchenko_pastur import MarchenkoPastur
from sharpdiv.theory.theorems import sam, sharpbalance, sharpness
from sharpdiv.theory.theorems.blocks import block_moments, q_exact
from sharpdiv.theory.theorems.sharpness import dual_sharpness, trust_region_maximum
from tests.laws import Mutation, law
from tests.reference import dual_maximum

seeds = st.integers(0, 10_000)
radii = st.floats(0.01, 10)

UPPER_END = Mutation(
    "an equation solved for twice the radius",
    "sharpdiv.theory.theorems.sharpness._dual_minimum",
    lambda f: lambda e, x, w, t, n, r: f(e, x, w, t, n, 2 * r) / 4,
)
HALF_GRADIENT = Mutation(
    "omega instead of omega^2 in the resolvent",
    "sharpdiv.theory.theorems.sam.dual_sharpness",
    lambda f: lambda resolvent, top, g2, r: f(lambda gap: resolvent(gap) / 2, top, g2, r),
)


FIVE_PERCENT = Mutation(
    "5% too much gradient",
    "sharpdiv.theory.theorems.subordination.dual_sharpness",
    lambda f: lambda resolvent, top, g2, r: f(lambda gap: 1.05 * resolvent(gap), top, 1.05 * g2, r),
)


def random_problem(seed: int, d: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    data = rng.standard_normal((int(rng.integers(2, 10)), d)) / np.sqrt(d)
    return data.T @ data, rng.standard_normal(d)


@law(UPPER_END, seed=seeds, radius=radii)
def test_one_draw_is_the_dense_dual(seed: int, radius: float) -> None:
    matrix, gradient = random_problem(seed)
    eigenvalues, vectors = np.linalg.eigh(matrix)
    exact = float(sharpness.trust_region_maximum(eigenvalues.clip(0), gradient @ vectors, radius))
    assert exact == pytest.approx(dual_maximum(matrix, gradient, radius), rel=1e-7)


@law(
    Mutation(
        "curvature term dropped",
        "sharpdiv.theory.theorems.sharpness.trust_region_maximum",
        lambda f: lambda x, g, r: f(0 * x, g, r),
    ),
    seed=seeds,
    radius=radii,
)
def test_no_feasible_point_is_higher(seed: int, radius: float) -> None:
    matrix, gradient = random_problem(seed)
    eigenvalues, vectors = np.linalg.eigh(matrix)
    exact = float(sharpness.trust_region_maximum(eigenvalues.clip(0), gradient @ vectors, radius))
    e = np.random.default_rng(seed).standard_normal((4000, 6))
    e[-1], e[-2] = gradient, vectors[:, -1] * np.sign(vectors[:, -1] @ gradient)
    e *= radius / np.linalg.norm(e, axis=1, keepdims=True)
    values = np.einsum("si,ij,sj->s", e, matrix, e) / 2 + e @ gradient
    assert values.max() <= exact * (1 + 1e-9)


@law(
    Mutation(
        "off by the radius", "sharpdiv.theory.theorems.sharpness._dual_minimum", lambda f: lambda *a: f(*a) + 0.1 * a[5]
    ),
    seed=seeds,
    radius=radii,
    c=st.floats(0.1, 10),
)
def test_one_draw_is_homogeneous(seed: int, radius: float, c: float) -> None:
    """``kappa(c rho_0, c g) = c^2 kappa(rho_0, g)``."""
    matrix, gradient = random_problem(seed)
    eigenvalues = np.linalg.eigvalsh(matrix).clip(0)
    here = float(sharpness.trust_region_maximum(eigenvalues, gradient, radius))
    assert float(sharpness.trust_region_maximum(eigenvalues, c * gradient, c * radius)) == pytest.approx(
        c**2 * here, rel=1e-9
    )


def test_the_hard_case_by_hand() -> None:
    """W = diag(1, 3), g = (1, 0): the multiplier is 3, e_1 = g/(3-1) = 1/2, and the top direction fills the radius."""
    value = trust_region_maximum(np.array([1.0, 3.0]), np.array([1.0, 0.0]), 2.0)
    e1, e2 = 0.5, np.sqrt(4 - 0.25)
    assert float(value) == pytest.approx((e1**2 + 3 * e2**2) / 2 + e1, rel=1e-14)


def test_without_gradient_the_top_eigenvector_fills_the_radius() -> None:
    assert float(trust_region_maximum(np.array([0.5, 2.0]), np.zeros(2), 3.0)) == pytest.approx(9.0)


def test_a_flat_objective_grows_along_the_gradient() -> None:
    assert float(trust_region_maximum(np.zeros(3), np.array([3.0, 4.0, 0.0]), 2.0)) == pytest.approx(10.0)


@law(
    Mutation("no half", "sharpdiv.theory.theorems.sharpness.dual_sharpness", lambda f: lambda *a: 2 * f(*a)),
    seed=seeds,
    radius=radii,
)
def test_limit_on_an_empirical_spectrum_is_the_one_draw_solution(seed: int, radius: float) -> None:
    """Two codes: a complex-step derivative of the resolvent, and the explicit secular sum."""
    matrix, gradient = random_problem(seed)
    eigenvalues = np.linalg.eigvalsh(matrix).clip(0)
    spectrum = EmpiricalSpectrum(eigenvalues, gradient**2)
    dual = sharpness.dual_sharpness(
        spectrum.resolvent(np.ones_like), spectrum.largest, np.array([gradient @ gradient]), radius
    )
    assert float(dual[0]) == pytest.approx(float(trust_region_maximum(eigenvalues, gradient, radius)), rel=1e-9)


limits: dict[str, Any] = {
    "ratio": st.floats(0.2, 20),
    "fraction": st.floats(0.05, 1.8),
    "share": st.floats(0, 0.95),
    "steps": st.integers(0, 12),
    "radius": st.floats(1e-3, 3),
}


def limit_problem(ratio: float, fraction: float, share: float, steps: int, radius: float) -> tuple[Setting, np.ndarray]:
    d = 1000
    setting = Setting(n=max(1, round(d * ratio)), d=d, steps=steps, radius=radius, teacher_norm=1.0)
    spectrum = MarchenkoPastur(setting.ratio)
    setting = replace(setting, learning_rate=fraction / spectrum.largest)
    return setting, np.array([share * (critical_rho(spectrum, setting.learning_rate) or 0.0)])


@law(HALF_GRADIENT, **limits)
def test_limit_lies_between_the_proven_bounds(
    ratio: float, fraction: float, share: float, steps: int, radius: float
) -> None:
    """Moving along the mean gradient, and bounding the curvature by the upper edge."""
    setting, rho = limit_problem(ratio, fraction, share, steps, radius)
    curve = sam.sam_tradeoff(setting, rho)
    linear = curve.sharpness_upper - radius**2 / 2 * MarchenkoPastur(setting.ratio).largest
    assert curve.sharpness[0] <= curve.sharpness_upper[0] * (1 + 1e-9)
    assert curve.sharpness[0] >= (linear + radius**2 / 2 * MarchenkoPastur(setting.ratio).smallest)[0] * (1 - 1e-9)


@law(
    Mutation(
        "radius fixed",
        "sharpdiv.theory.theorems.sam.dual_sharpness",
        lambda f: lambda res, top, g2, r: f(res, top, g2, 1.0),
    ),
    c=st.floats(0.2, 5),
    **limits,
)
def test_limits_are_homogeneous(
    ratio: float, fraction: float, share: float, steps: int, radius: float, c: float
) -> None:
    setting, rho = limit_problem(ratio, fraction, share, steps, radius)
    scaled = replace(setting, radius=c * radius, teacher_norm=c)
    here, there = sam.sam_tradeoff(setting, rho).sharpness, sam.sam_tradeoff(scaled, rho).sharpness
    assert there[0] == pytest.approx(c**2 * here[0], rel=1e-8)
    here, there = (sharpbalance.sharpbalance_tradeoff(s, rho, blocks=3).sharpness for s in (setting, scaled))
    assert there[0] == pytest.approx(c**2 * here[0], rel=1e-7)


@law(
    FIVE_PERCENT,
    ratio=st.floats(0.3, 20),
    radius=st.floats(1e-2, 3),
    blocks=st.integers(2, 8),
)
def test_without_training_blocks_do_not_matter(ratio: float, radius: float, blocks: int) -> None:
    """At k = 0 the mean weights are 0 whatever the blocks: free subordination must give Theorem 1's sharpness."""
    setting = Setting(n=round(1000 * ratio), d=1000, steps=0, radius=radius, teacher_norm=1.0)
    balance = sharpbalance.sharpbalance_tradeoff(setting, 0.0, blocks=blocks).sharpness
    # Near the edge both quadratures are good to 1e-7.
    assert balance[0] == pytest.approx(sam.sam_tradeoff(setting, 0.0).sharpness[0], rel=1e-6)


def test_small_radius_is_the_norm_of_the_gradient() -> None:
    """``kappa / (rho_0 omega) -> sqrt(Q)`` for both methods, without cancellation down to rho_0 / omega = 1e-8."""
    setting = Setting(n=1500, d=300, steps=3, learning_rate=0.02, radius=1e-8, teacher_norm=1.0)
    curve = sharpbalance.sharpbalance_tradeoff(setting, 0.2, blocks=3)
    training = Training(setting.learning_rate, np.array([[0.2]]), setting.steps)
    moments = block_moments(setting, training, MarchenkoPastur(setting.ratio / 3), 3)
    assert curve.sharpness[0] == pytest.approx(1e-8 * np.sqrt(q_exact(*moments)[0]) / 3, rel=1e-6)


@pytest.mark.parametrize(
    ("eigenvalues", "gradient", "radius"),
    [([1.0], [1.0], 0.0), ([1.0], [1.0], float("nan")), ([-1.0], [1.0], 1.0), ([1.0], [float("nan")], 1.0)],
)
def test_bad_input_is_a_typed_error(eigenvalues: list[float], gradient: list[float], radius: float) -> None:
    with pytest.raises(DomainError):
        trust_region_maximum(np.array(eigenvalues), np.array(gradient), radius)


def test_dual_refuses_a_gradient_that_is_no_number() -> None:
    for value, message in (
        (np.nan, "the gradient overflows"),
        (np.inf, "the gradient overflows"),
        (-1e-20, "got -1e-20"),
    ):
        with pytest.raises(DomainError, match=message) as found:
            dual_sharpness(lambda gap: gap, 1.0, np.array([1.0, value]), 1.0)
        assert "\n" not in str(found.value)


TINY = [1e-8, 1e-12, 1e-16, 1e-20, 1e-30]


@law(
    Mutation(
        "the tangent at every gap",
        "sharpdiv.theory.spectra.marchenko_pastur.tangent_resolvent",
        lambda _: tangent_everywhere,
    ),
)
def test_at_a_tiny_radius_sharpness_is_the_gradients_norm() -> None:
    """``kappa = rho_0 |g| + O(rho_0^2)`` with ``|g|^2 = omega^2 phi(2k,2)``, or ``omega^2 Q / s^2``, to 1e-9 and better."""
    settings = (
        Setting(n=300, d=100, steps=5, learning_rate=0.05, teacher_norm=1.0),
        Setting(n=50, d=100, steps=40, learning_rate=0.3, teacher_norm=30.0),
        Setting(n=3000, d=150, steps=3, learning_rate=0.01, teacher_norm=1e-6),
    )
    for setting, rho in zip(settings, (0.05, 0.2, 0.4), strict=True):
        law_, block = MarchenkoPastur(setting.ratio), MarchenkoPastur(setting.ratio / 3)
        steps = Training(setting.learning_rate, np.array([[rho]]), setting.steps)
        norm = setting.omega * np.sqrt(phi(2 * setting.steps, 2, law_, setting.learning_rate, rho))
        of_blocks = setting.omega / 3 * np.sqrt(q_exact(*block_moments(setting, steps, block, 3)))
        for radius in TINY:
            there = replace(setting, radius=radius * setting.omega)
            rest = 10 * radius * law_.largest * setting.omega / min(norm, of_blocks[0])  # the next order, and a margin
            kappa = sam.sam_tradeoff(there, rho).sharpness / there.radius
            assert kappa == pytest.approx([norm], rel=1e-12 + rest, abs=0), (setting, radius)
            kappa = sharpbalance.sharpbalance_tradeoff(there, rho, blocks=3).sharpness / there.radius
            assert kappa == pytest.approx(of_blocks, rel=1e-11 + rest, abs=0), (setting, radius)


def tangent_everywhere(*args: Any) -> Any:
    return replace(tangent_resolvent(*args), far=np.inf)


@pytest.mark.parametrize("name", ["sharpness", "sharpness_ensemble", "sharpness_member"])
@pytest.mark.parametrize("covariance", [[1.0], [0.2, 1.0, 5.0], [1e-6, 1.0]])
def test_tiny_radii_at_every_place_and_covariance(name: str, covariance: list[float]) -> None:
    """Kappa over the radius has a limit, and stays there."""
    setting = Setting(n=200, d=100, steps=7, learning_rate=0.02, label_noise=0.1)
    values = []
    for radius in (1e-10, 1e-16, 1e-25):
        there = replace(setting, radius=radius)
        curve = sam.sam_tradeoff(there, 0.1, law=data_law(there, covariance=np.array(covariance)))
        values.append(float(getattr(curve, name)[0]) / radius)
    assert values == pytest.approx([values[-1]] * 3, rel=1e-9, abs=0)


@pytest.mark.parametrize(
    ("ratio", "steps", "rate", "rho", "radius"),
    [(3.0, 5, 0.05, 0.05, 1e-16), (3.0, 20, 0.25, 0.1, 1e-9), (1.5, 6, 0.2, 0.4, 0.3), (4.0, 20, 0.1, 0.0, 1e-3)],
)
def test_sharpness_in_fifty_digits(ratio: float, steps: int, rate: float, rho: float, radius: float) -> None:
    """The dual by the trapezoidal rule in the angle, from its definition, in mpmath; the second setting is unstable."""
    setting = Setting(round(100 * ratio), 100, steps, rate, radius=radius, teacher_norm=1.0)
    found = float(sam.sam_tradeoff(setting, rho).sharpness[0])
    with mpmath.workdps(50):
        exact = exact_sharpness(mpmath.mpf(ratio), steps, mpmath.mpf(rate), mpmath.mpf(rho), mpmath.mpf(radius))
        assert abs(found / exact - 1) <= 1e-12


def exact_sharpness(ratio: Any, steps: int, rate: Any, rho: Any, radius: Any, count: int = 300) -> Any:
    root = mpmath.sqrt(ratio)
    angles = [mpmath.pi * (2 * j + 1) / (2 * count) for j in range(count)]
    nodes = [1 + ratio + 2 * root * mpmath.cos(angle) for angle in angles]
    top, energy = (root + 1) ** 2, []
    for x, angle in zip(nodes, angles, strict=True):
        weight = 2 * ratio * mpmath.sin(angle) ** 2 / (x * count)
        energy.append(weight * (x * (1 - rate * x * (1 + rho * x)) ** steps) ** 2)

    def power(gap: Any, exponent: int) -> Any:
        return sum(e / (top + gap - x) ** exponent for e, x in zip(energy, nodes, strict=True))

    norm = mpmath.sqrt(sum(energy))
    low, high = mpmath.log(norm / radius / 10**8), mpmath.log(norm / radius * 2)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if power(mpmath.exp(middle), 2) > radius**2 else (low, middle)
    gap = mpmath.exp(low)
    return ((top + gap) * radius**2 + power(gap, 1)) / 2
