"""Predictions from tangent kernels against a linear model that is trained step by step in its weights."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume
from hypothesis import strategies as st

from sharpdiv.theory.errors import DomainError
from sharpdiv.theory.filters import Filter, Training
from sharpdiv.theory.kernels import LinearizedNetwork, bin_modes, ensemble_errors, linearize, two_point_measure
from tests.laws import Mutation, law

TRAIN, TEST, CLASSES, WEIGHTS = 9, 5, 3, 40
SEEDS = st.integers(0, 10_000)


@dataclass(frozen=True)
class Linear:
    """``f(x)_c = J[x, c] w``, trained in w: what the kernels are to predict."""

    jacobian: np.ndarray
    labels: np.ndarray
    own: np.ndarray

    @cached_property
    def centred(self) -> np.ndarray:
        return self.jacobian - self.jacobian[self.own].mean(axis=0)

    @cached_property
    def targets(self) -> np.ndarray:
        return self.labels - self.labels[self.own].mean(axis=0)

    def gradient(self, w: np.ndarray, samples: np.ndarray) -> np.ndarray:
        j, y = self.centred[samples], self.targets[samples]
        return np.einsum("icp,ic->p", j, j @ w - y) / len(samples)

    def loss(self, w: np.ndarray, samples: np.ndarray) -> float:
        return float(((self.centred[samples] @ w - self.targets[samples]) ** 2).sum() / (2 * len(samples)))

    def train(self, rate: float, rho: float, steps: int, *, normalized: bool = False) -> np.ndarray:
        w = np.zeros(WEIGHTS)
        for _ in range(steps):
            ascent = self.gradient(w, self.own)
            length = rho / np.linalg.norm(ascent) if normalized else rho
            w = w - rate * self.gradient(w + length * ascent, self.own)
        return w

    def predictions(self, w: np.ndarray) -> np.ndarray:
        return np.asarray(self.centred @ w + self.labels[self.own].mean(axis=0))

    def sharpness(self, w: np.ndarray, radius: float) -> float:
        """Fixed-point ascent ``e = radius g(w + e) / |g(w + e)|``, which rises to a maximum of a convex quadratic on the sphere.

        From several starts at once: the problem has at most one local maximum that is not global (Martinez 1994).
        """
        rows = self.centred[:TRAIN].reshape(-1, WEIGHTS)
        matrix, gradient = rows.T @ rows / TRAIN, self.gradient(w, np.arange(TRAIN))
        e = np.vstack([gradient, np.random.default_rng(0).standard_normal((6, WEIGHTS))])
        for _ in range(3000):
            e *= radius / np.linalg.norm(e, axis=1, keepdims=True)
            e = gradient + e @ matrix
        e *= radius / np.linalg.norm(e, axis=1, keepdims=True)
        return max(self.loss(w + step, np.arange(TRAIN)) for step in e) - self.loss(w, np.arange(TRAIN))

    def linearized(self) -> LinearizedNetwork:
        kernel = np.einsum("icp,jep->icje", self.jacobian, self.jacobian[:TRAIN])
        return linearize(kernel[:TRAIN], kernel[TRAIN:], self.labels, self.own if len(self.own) < TRAIN else None)


def linear(seed: int, own: int = TRAIN) -> Linear:
    rng = np.random.default_rng(seed)
    jacobian = rng.standard_normal((TRAIN + TEST, CLASSES, WEIGHTS)) + rng.standard_normal((1, CLASSES, WEIGHTS))
    return Linear(jacobian, rng.standard_normal((TRAIN + TEST, CLASSES)), rng.permutation(TRAIN)[:own])


BLOCK_IGNORED = Mutation(
    "the block ignored",
    f"{__name__}.linearize",
    lambda f: lambda train, test, y, _=None: f(train, test, y),
)
FITTED_AT_ONCE = Mutation(
    "modes fitted at once",
    "sharpdiv.theory.kernels._learnt",
    lambda _: lambda t, x: np.divide(1, x, out=0 * x, where=x > 1e-9) + 0 * t.radii[0][:, None],
)
RATE_OF_GRADIENT_DESCENT = Mutation(
    "SAM's ascent left out",
    "sharpdiv.theory.optimizers.Training",
    lambda f: lambda rate, radii, repeats: f(rate, 0 * radii, repeats),
)
KERNEL_NOT_OVER_N = Mutation(
    "K instead of K/n",
    "sharpdiv.theory.kernels._diagonalise",
    lambda f: lambda kernel: (len(kernel) * f(kernel)[0], f(kernel)[1]),
)


@law(
    FITTED_AT_ONCE,
    RATE_OF_GRADIENT_DESCENT,
    KERNEL_NOT_OVER_N,
    BLOCK_IGNORED,
    seed=SEEDS,
    own=st.sampled_from([4, TRAIN]),
    x=st.floats(0.2, 2.5),
)
def test_predictions_are_those_of_training_in_the_weights(seed: int, own: int, x: float) -> None:
    model = linear(seed, own)
    member = model.linearized()
    rate, rho = 0.5 / member.largest, x / member.largest
    for steps in (0, 1, 7):
        training = member.training(rate, np.array([rho]), steps)
        w = model.train(rate, rho, steps)
        # Rounding of some hundred operations on numbers of order one.
        np.testing.assert_allclose(member.predictions(training)[0], model.predictions(w), atol=1e-10)
        assert member.training_loss(training)[0] == pytest.approx(model.loss(w, model.own), rel=1e-10)


NOT_NORMALISED = Mutation(
    "the radius not divided by the gradient",
    "sharpdiv.theory.kernels.optimizer_named",
    lambda f: lambda _: f("sam"),
)


@law(NOT_NORMALISED, BLOCK_IGNORED, seed=SEEDS, own=st.sampled_from([4, TRAIN]), x=st.floats(0.05, 0.3))
def test_normalized_sam_divides_by_the_members_own_gradient(seed: int, own: int, x: float) -> None:
    model = linear(seed, own)
    member = model.linearized()
    rate = 0.5 / member.largest
    rho = x / member.largest * float(np.linalg.norm(model.gradient(np.zeros(WEIGHTS), model.own)))
    training = member.training(rate, np.array([rho]), 5, optimizer="normalized-sam")
    assume(np.isfinite(member.predictions(training)).all())  # the gradient may shrink until a step does not contract
    w = model.train(rate, rho, 5, normalized=True)
    np.testing.assert_allclose(member.predictions(training)[0], model.predictions(w), atol=1e-10)


GRADIENT_WITHOUT_N = Mutation(
    "the gradient not divided by n",
    "sharpdiv.theory.kernels.trust_region_maximum",
    lambda f: lambda values, gradient, radius: f(values, TRAIN**0.5 * gradient, radius),
)


@law(
    GRADIENT_WITHOUT_N,
    BLOCK_IGNORED,
    examples=10,
    seed=SEEDS,
    own=st.sampled_from([4, TRAIN]),
    radius=st.floats(0.01, 1.0),
)
def test_sharpness_is_the_maximum_in_the_weights_over_all_training_samples(seed: int, own: int, radius: float) -> None:
    model = linear(seed, own)
    member = model.linearized()
    rate, rho = 0.5 / member.largest, 1.0 / member.largest
    kappa = member.sharpness(member.training(rate, np.array([rho]), 5), radius)[0]
    # The ascent comes from below and converges linearly; 1e-6 is far below what a wrong factor changes.
    assert kappa == pytest.approx(model.sharpness(model.train(rate, rho, 5), radius), rel=1e-6)


@law(KERNEL_NOT_OVER_N, seed=SEEDS, scale=st.floats(0.1, 10.0))
def test_a_kernel_in_other_units_trains_alike_at_rates_in_those_units(seed: int, scale: float) -> None:
    """And training on the samples twice over changes nothing: K/n is what counts."""
    model = linear(seed)
    member = model.linearized()
    other = replace(model, jacobian=scale**0.5 * model.jacobian).linearized()
    rate, rho = 0.5 / member.largest, np.array([1.0 / member.largest])
    ours, theirs = member.training(rate, rho, 6), other.training(rate / scale, rho / scale, 6)
    np.testing.assert_allclose(member.predictions(ours), other.predictions(theirs), atol=1e-10)
    kappa = other.sharpness(theirs, 0.1 / scale**0.5)
    assert kappa == pytest.approx(member.sharpness(ours, 0.1), rel=1e-8)  # to which the secular equation is solved
    both = np.concatenate([np.arange(TRAIN), np.arange(TRAIN)])
    kernel = np.einsum("icp,jep->icje", model.jacobian, model.jacobian[both])
    twice = linearize(kernel[both], kernel[TRAIN:], np.concatenate([model.labels[both], model.labels[TRAIN:]]))
    np.testing.assert_allclose(twice.predictions(ours)[0, len(both) :], member.predictions(ours)[0, TRAIN:], atol=1e-10)
    assert twice.sharpness(ours, 0.1) == pytest.approx(member.sharpness(ours, 0.1), rel=1e-8)


RADIUS_FIXED = Mutation(
    "radius fixed",
    "sharpdiv.theory.kernels.trust_region_maximum",
    lambda f: lambda values, gradient, _: f(values, gradient, 1.0),
)


@law(RADIUS_FIXED, seed=SEEDS, scale=st.floats(0.1, 10.0), radius=st.floats(0.01, 1.0))
def test_labels_in_other_units_scale_the_predictions(seed: int, scale: float, radius: float) -> None:
    """Predictions by the factor, losses by its square, and sharpness too where the radius grows with them."""
    model = linear(seed)
    member, other = model.linearized(), replace(model, labels=scale * model.labels).linearized()
    training = member.training(0.5 / member.largest, np.array([1.0 / member.largest]), 6)
    np.testing.assert_allclose(other.predictions(training), scale * member.predictions(training), atol=1e-10)
    assert other.training_loss(training) == pytest.approx(scale**2 * member.training_loss(training), rel=1e-10)
    kappa = other.sharpness(training, scale * radius)
    assert kappa == pytest.approx(scale**2 * member.sharpness(training, radius), rel=1e-8)


NO_BESSEL = Mutation(
    "population variance",
    f"{__name__}.ensemble_errors",
    lambda f: lambda p: f(p) | {"diversity": f(p)["diversity"] * (1 - 1 / len(p))},
)


@law(NO_BESSEL, seed=SEEDS, members=st.integers(2, 6))
def test_errors_of_an_ensemble_are_those_of_its_predictions(seed: int, members: int) -> None:
    rng = np.random.default_rng(seed)
    predictions, labels = rng.standard_normal((members, 7, 3)), rng.standard_normal((7, 3))
    errors = predictions - labels
    found = ensemble_errors(np.einsum("mtc,ntc->mn", errors, errors) / 7)
    member = (errors**2).sum(axis=2).mean()
    ensemble = (errors.mean(axis=0) ** 2).sum(axis=1).mean()
    assert found["diversity"] == pytest.approx(predictions.var(axis=0, ddof=1).sum(axis=1).mean(), rel=1e-10)
    assert found["member_error"] == pytest.approx(member, rel=1e-10)
    assert found["ensemble_error"] == pytest.approx(ensemble, rel=1e-10)
    assert found["eir"] == pytest.approx(1 - ensemble / member, rel=1e-9)
    assert found["eir"] == pytest.approx((1 - 1 / members) * found["diversity"] / member, rel=1e-9)


@dataclass(frozen=True)
class Members:
    """Three members with the same labels at the same rates in units of their own largest eigenvalue, and their measure."""

    models: list[Linear]
    rho: float = 1.0
    steps: int = 6

    @cached_property
    def linearized(self) -> list[LinearizedNetwork]:
        return [model.linearized() for model in self.models]

    @property
    def trainings(self) -> list[Filter]:
        rates = [(0.5 / m.largest, np.array([self.rho / m.largest])) for m in self.linearized]
        return [m.training(*rate, self.steps) for m, rate in zip(self.linearized, rates, strict=True)]

    @property
    def exact(self) -> tuple[float, float]:
        """Diversity on the test samples, and mean training loss."""
        pairs = list(zip(self.linearized, self.trainings, strict=True))
        tests = np.stack([member.predictions(training)[0, TRAIN:] for member, training in pairs])
        loss = np.mean([member.training_loss(training)[0] for member, training in pairs])
        return float(tests.var(axis=0, ddof=1).sum(axis=1).mean()), float(loss)

    def binned(self, bins: int) -> tuple[float, float]:
        measure = two_point_measure([bin_modes(member, TRAIN, bins) for member in self.linearized])
        training = Training(0.5, np.array([[self.rho]]), self.steps)
        return float(measure.diversity(training)[0]), float(measure.training_loss(training)[0])


def members(seed: int, spectrum: Callable[[int], np.ndarray] | None = None, rho: float = 1.0) -> Members:
    labels = np.random.default_rng(seed).standard_normal((TRAIN + TEST, CLASSES))
    models = [replace(linear(seed + i), labels=labels) for i in range(3)]
    if spectrum is not None:
        models = [replace(m, jacobian=with_spectrum(m, spectrum(i))) for i, m in enumerate(models)]
    return Members(models, rho)


def with_spectrum(model: Linear, eigenvalues: np.ndarray) -> np.ndarray:
    """Outputs on the training samples changed so that their centred K/n has these eigenvalues, beside 0 for each class."""
    left, _, right = np.linalg.svd(model.centred[:TRAIN].reshape(-1, WEIGHTS), full_matrices=False)
    singular = np.append(np.sqrt(TRAIN * eigenvalues), np.zeros(CLASSES))
    return np.concatenate([(left * singular @ right).reshape(TRAIN, CLASSES, WEIGHTS), model.jacobian[TRAIN:]])


COUNTED_TWICE = Mutation(
    "population covariance",
    "sharpdiv.theory.kernels.TwoPointMeasure",
    lambda f: lambda nodes, weights, covariance: f(nodes, weights, 2 / 3 * covariance),
)
BINS_INDEPENDENT = Mutation(
    "no covariance between bins",
    "sharpdiv.theory.kernels.TwoPointMeasure",
    lambda f: lambda nodes, weights, covariance: f(nodes, weights, np.diag(np.diag(covariance))),
)
WEIGHTS_ADDED = Mutation(
    "weights added over members",
    "sharpdiv.theory.kernels.TwoPointMeasure",
    lambda f: lambda nodes, weights, covariance: f(nodes, 3 * weights, covariance),
)


@law(
    COUNTED_TWICE,
    BINS_INDEPENDENT,
    WEIGHTS_ADDED,
    examples=20,
    seed=SEEDS,
    rho=st.floats(0.0, 2.5),
    gap=st.floats(1, 4),
)
def test_bins_with_one_eigenvalue_each_lose_nothing(seed: int, rho: float, gap: float) -> None:
    """Eigenvalues that members share up to their scale, a factor 1.2 apart, where a bin spans 10^(6/100) = 1.15."""
    shared = members(seed, lambda i: gap**i * 1.2 ** -np.arange(CLASSES * (TRAIN - 1)), rho)
    # Rounding of some hundred operations on numbers of order one, conditioned to 1e2.
    assert shared.binned(100) == pytest.approx(shared.exact, rel=1e-9)


def test_binning_errors_fall_with_the_width_of_a_bin() -> None:
    """Nodes are within a bin of their eigenvalues, so that each tenfold number of bins takes most of the error away."""
    generic = members(5)
    errors = [np.abs(np.array(generic.binned(bins)) / generic.exact - 1) for bins in (4, 40, 400, 4000)]
    assert all((fine < coarse / 5).all() for coarse, fine in pairwise(errors))
    assert (errors[-1] < np.log(1e6) / 4000).all()  # a bin's relative width


def test_sharpness_from_the_spectrum_of_one_member_is_its_own() -> None:
    model = linear(3)
    model = replace(model, jacobian=with_spectrum(model, 1.2 ** -np.arange(CLASSES * (TRAIN - 1))))
    member = model.linearized()
    measure = two_point_measure([bin_modes(member, TRAIN, 100)] * 2)
    training = member.training(0.5 / member.largest, np.array([1.0 / member.largest]), 6)
    kappa = measure.sharpness(Training(0.5, np.array([[1.0]]), 6), 0.1)
    assert kappa == pytest.approx(member.sharpness(training, 0.1 / member.largest**0.5), rel=1e-8)


def test_a_radius_outside_the_domain_has_no_value() -> None:
    member = linear(0).linearized()
    training = member.training(0.5 / member.largest, np.array([0.0, 1e6]), 4, optimizer="normalized-sam")
    kappa = member.sharpness(training, 0.1)
    assert np.isfinite(kappa[0])
    assert np.isnan(kappa[1])


def test_bad_input_is_refused() -> None:
    model = linear(0)
    kernel = np.einsum("icp,jep->icje", model.jacobian, model.jacobian[:TRAIN])
    with pytest.raises(DomainError, match="test kernel must have shape"):
        linearize(kernel[:TRAIN], kernel[: TEST - 1], model.labels)
    with pytest.raises(DomainError, match="not finite"):
        linearize(kernel[:TRAIN] * np.nan, kernel[TRAIN:], model.labels)
    with pytest.raises(DomainError, match="labels are not finite"):
        linearize(kernel[:TRAIN], kernel[TRAIN:], model.labels * np.nan)
    with pytest.raises(DomainError, match="is zero"):
        linearize(0 * kernel[:TRAIN], kernel[TRAIN:], model.labels)
    for block in ([], [0, TRAIN], [-1]):
        with pytest.raises(DomainError, match="indices of the 9 training samples"):
            linearize(kernel[:TRAIN], kernel[TRAIN:], model.labels, np.array(block, dtype=int))
    with pytest.raises(DomainError, match="at least 2 members"):
        ensemble_errors(np.ones((1, 1)))
    binned = bin_modes(model.linearized(), TRAIN, 4)
    with pytest.raises(DomainError, match="at least 2"):
        two_point_measure([binned])
    with pytest.raises(DomainError, match="2 bins"):
        bin_modes(model.linearized(), TRAIN, 1)
