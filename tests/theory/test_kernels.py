"""Predictions from tangent kernels against a linear model that is trained step by step in its weights."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import strategies as st

from tests.laws import Mutation, law
from theory import (
    BinnedModes,
    DomainError,
    LinearizedNetwork,
    Training,
    bin_modes,
    ensemble_errors,
    linearize,
    two_point_measure,
)

TRAIN, TEST, CLASSES, WEIGHTS = 9, 5, 3, 40
SEEDS = st.integers(0, 10_000)


@dataclass(frozen=True)
class Linear:
    """``f(x)_c = J[x, c] w``, trained in w: what the kernels are to predict."""

    jacobian: np.ndarray
    labels: np.ndarray
    own: np.ndarray

    @property
    def centred(self) -> np.ndarray:
        return self.jacobian - self.jacobian[self.own].mean(axis=0)

    @property
    def targets(self) -> np.ndarray:
        return self.labels - self.labels[self.own].mean(axis=0)

    def gradient(self, w: np.ndarray, samples: np.ndarray) -> np.ndarray:
        j, y = self.centred[samples], self.targets[samples]
        return np.einsum("icp,ic->p", j, j @ w - y) / len(samples)

    def loss(self, w: np.ndarray, samples: np.ndarray) -> float:
        return float(((self.centred[samples] @ w - self.targets[samples]) ** 2).sum() / (2 * len(samples)))

    def train(self, rate: float, rho: float, steps: int, *, normalised: bool = False) -> np.ndarray:
        w = np.zeros(WEIGHTS)
        for _ in range(steps):
            ascent = self.gradient(w, self.own)
            length = rho / np.linalg.norm(ascent) if normalised else rho
            w = w - rate * self.gradient(w + length * ascent, self.own)
        return w

    def predictions(self, w: np.ndarray) -> np.ndarray:
        return np.asarray(self.centred @ w + self.labels[self.own].mean(axis=0))

    def sharpness(self, w: np.ndarray, radius: float) -> float:
        """Fixed-point ascent ``e = radius g(w + e) / |g(w + e)|``, which rises to a maximum of a convex quadratic on the sphere.

        From several starts: the problem has at most one local maximum that is not global (Martinez 1994).
        """
        everything, best = np.arange(TRAIN), -np.inf
        for start in np.vstack([self.gradient(w, everything), np.random.default_rng(0).standard_normal((6, WEIGHTS))]):
            e = radius * start / np.linalg.norm(start)
            for _ in range(3000):
                g = self.gradient(w + e, everything)
                e = radius * g / np.linalg.norm(g)
            best = max(best, self.loss(w + e, everything) - self.loss(w, everything))
        return best

    def linearized(self) -> LinearizedNetwork:
        kernel = np.einsum("icp,jep->icje", self.jacobian, self.jacobian[:TRAIN])
        return linearize(kernel[:TRAIN], kernel[TRAIN:], self.labels, self.own if len(self.own) < TRAIN else None)


def linear(seed: int, own: int = TRAIN) -> Linear:
    rng = np.random.default_rng(seed)
    jacobian = rng.standard_normal((TRAIN + TEST, CLASSES, WEIGHTS)) + rng.standard_normal((1, CLASSES, WEIGHTS))
    return Linear(jacobian, rng.standard_normal((TRAIN + TEST, CLASSES)), rng.permutation(TRAIN)[:own])


FITTED_AT_ONCE = Mutation(
    "modes fitted at once",
    "theory.kernels._learnt",
    lambda _: lambda t, x: np.divide(1, x, out=0 * x, where=x > 1e-9) + 0 * t.radii[0][:, None],
)
RATE_OF_GRADIENT_DESCENT = Mutation(
    "SAM's ascent left out",
    "theory.kernels.Training",
    lambda f: lambda rate, radii, repeats: f(rate, 0 * radii, repeats),
)
KERNEL_NOT_OVER_N = Mutation(
    "K instead of K/n",
    "theory.kernels._diagonalise",
    lambda f: lambda kernel: (len(kernel) * f(kernel)[0], f(kernel)[1]),
)


@law(
    FITTED_AT_ONCE,
    RATE_OF_GRADIENT_DESCENT,
    KERNEL_NOT_OVER_N,
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
    "theory.kernels.normalised_training",
    lambda _: lambda setting, rho, spectrum: Training(setting.learning_rate, rho[None], setting.steps),
)


@law(NOT_NORMALISED, seed=SEEDS, x=st.floats(0.05, 0.3))
def test_normalised_sam_divides_by_the_members_own_gradient(seed: int, x: float) -> None:
    model = linear(seed)
    member = model.linearized()
    rate = 0.5 / member.largest
    rho = x / member.largest * float(np.linalg.norm(model.gradient(np.zeros(WEIGHTS), model.own)))
    training = member.training(rate, np.array([rho]), 5, normalised=True)
    w = model.train(rate, rho, 5, normalised=True)
    np.testing.assert_allclose(member.predictions(training)[0], model.predictions(w), atol=1e-10)


GRADIENT_WITHOUT_N = Mutation(
    "the gradient not divided by n",
    "theory.kernels.trust_region_maximum",
    lambda f: lambda values, gradient, radius: f(values, TRAIN**0.5 * gradient, radius),
)


@law(GRADIENT_WITHOUT_N, examples=10, seed=SEEDS, own=st.sampled_from([4, TRAIN]), radius=st.floats(0.01, 1.0))
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
    other = Linear(scale**0.5 * model.jacobian, model.labels, model.own).linearized()
    rate, rho = 0.5 / member.largest, np.array([1.0 / member.largest])
    ours, theirs = member.training(rate, rho, 6), other.training(rate / scale, rho / scale, 6)
    np.testing.assert_allclose(member.predictions(ours), other.predictions(theirs), atol=1e-10)
    both = np.concatenate([np.arange(TRAIN), np.arange(TRAIN)])
    kernel = np.einsum("icp,jep->icje", model.jacobian, model.jacobian[both])
    twice = linearize(kernel[both], kernel[TRAIN:], np.concatenate([model.labels[both], model.labels[TRAIN:]]))
    np.testing.assert_allclose(twice.predictions(ours)[0, len(both) :], member.predictions(ours)[0, TRAIN:], atol=1e-10)


NO_BESSEL = Mutation(
    "population variance",
    "tests.theory.test_kernels.ensemble_errors",
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


def measured_bins(seed: int, bins: int) -> tuple[list[LinearizedNetwork], list[BinnedModes]]:
    members = [linear(seed + i).linearized() for i in range(3)]
    return members, [bin_modes(member, TRAIN, bins) for member in members]


COUNTED_TWICE = Mutation(
    "population covariance",
    "theory.kernels.TwoPointMeasure",
    lambda f: lambda nodes, weights, covariance: f(nodes, weights, 2 / 3 * covariance),
)


@law(COUNTED_TWICE, examples=10, seed=SEEDS, x=st.floats(0.0, 2.5))
def test_fine_bins_give_the_exact_diversity_loss_and_sharpness(seed: int, x: float) -> None:
    """One eigenvalue in a bin at most (all but surely): what remains is its distance from the bin's node over members."""
    members, binned = measured_bins(seed, 800)
    measure = two_point_measure(binned)
    exact = [m.training(0.5 / m.largest, np.array([x / m.largest]), 6) for m in members]
    tests = np.stack([m.predictions(t)[0, TRAIN:] for m, t in zip(members, exact, strict=True)])
    loss = np.mean([m.training_loss(t)[0] for m, t in zip(members, exact, strict=True)])
    # Labels and so intercepts differ between these members, which the measure of modes leaves out.
    tests = tests - np.stack([m.intercept for m in members])[:, None]
    diversity = tests.var(axis=0, ddof=1).sum(axis=1).mean()
    training = Training(0.5, np.array([[x]]), 6)
    # Eigenvalues move by a bin's relative width at most, ln(1e6) / 800 = 1.7%, and (1 - a) / x by no more than that; D is
    # quadratic in it. The loss moves by up to 2k x d ln q / dx times that.
    assert measure.diversity(training)[0] == pytest.approx(diversity, rel=0.05)
    assert measure.training_loss(training)[0] == pytest.approx(loss, rel=0.1)


def test_sharpness_from_the_spectrum_of_one_member_is_its_own() -> None:
    member = linear(3).linearized()
    measure = two_point_measure([bin_modes(member, TRAIN, 800)] * 2)
    training = member.training(0.5 / member.largest, np.array([1.0 / member.largest]), 6)
    kappa = measure.sharpness(Training(0.5, np.array([[1.0]]), 6), 0.1)
    assert kappa == pytest.approx(member.sharpness(training, 0.1 / member.largest**0.5), rel=0.05)


def test_a_radius_outside_the_domain_has_no_value() -> None:
    member = linear(0).linearized()
    training = member.training(0.5 / member.largest, np.array([0.0, 1e6]), 4, normalised=True)
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
    with pytest.raises(DomainError, match="is zero"):
        linearize(0 * kernel[:TRAIN], kernel[TRAIN:], model.labels)
    with pytest.raises(DomainError, match="at least 2 members"):
        ensemble_errors(np.ones((1, 1)))
    binned = bin_modes(model.linearized(), TRAIN, 4)
    with pytest.raises(DomainError, match="at least 2"):
        two_point_measure([binned])
    with pytest.raises(DomainError, match="2 bins"):
        bin_modes(model.linearized(), TRAIN, 1)
