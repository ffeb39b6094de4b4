"""Theory against PyTorch: frozen random features on the digits, where the closed forms must hold to sampling error.

Members train the second layer by un-normalized SAM in PyTorch and are measured there. The prediction knows the
features' eigenvalues and never takes a step: diversity, errors and sharpness are filters of an ``EmpiricalSpectrum``.
"""

from dataclasses import dataclass

import numpy as np
import torch

from sharpdiv.checks.claim import Claim, Finding, Row, Verdict, number
from sharpdiv.checks.effect import of_agreements
from sharpdiv.checks.evidence import Evidence
from sharpdiv.checks.quantity import beside_theory
from sharpdiv.empirical.data.splits import digits
from sharpdiv.empirical.lazy.random_features import RandomFeatures, head_sharpness, train_heads
from sharpdiv.theory.filters import critical_rho, sam_filter
from sharpdiv.theory.spectra.empirical import EmpiricalSpectrum
from sharpdiv.theory.theorems.sharpness import trust_region_maximum

__all__ = ["CLAIMS"]

_FEATURES, _MEMBERS, _STEPS, _SIGMA2, _RADIUS, _SEED = 100, 48, 10, 0.5, 0.3, 11
_RHO_FRACTIONS = (0.0, 0.3, 0.8)


@dataclass(frozen=True)
class _Problem:
    """Features and targets in the eigenbasis of W = Z'Z."""

    eigenvalues: np.ndarray
    """of W, ``(features,)``"""
    teacher: np.ndarray
    """least-squares solution w*, ``(features, outputs)``, in the eigenbasis"""
    test: np.ndarray
    """test features, ``(samples, features)``, in the eigenbasis"""
    test_targets: np.ndarray
    """``(samples, outputs)``"""


def _compare(_: Evidence) -> Finding:
    train, test, targets, test_targets = _features()
    problem = _diagonalise(train.numpy(), targets.numpy(), test.numpy(), test_targets.numpy())
    spectrum = EmpiricalSpectrum(problem.eigenvalues)
    rate = 0.3 / spectrum.largest
    starts = _starts(targets.shape[1])
    numbers: list[Row] = []
    scores: list[float] = []
    differences: list[float] = []
    for fraction in _RHO_FRACTIONS:
        rho = fraction * (critical_rho(spectrum, rate) or 0.0)
        weights = train_heads(train, targets, starts, rate, rho, _STEPS)
        predictions = (test @ weights).numpy()
        measured = _measure(predictions[:-1], problem.test_targets)
        kappas = np.array([head_sharpness(train, targets, w, _RADIUS, iterations=30) for w in weights])
        measured["kappa of a member"] = (kappas[:-1].mean(), kappas[:-1].std(ddof=1) / np.sqrt(_MEMBERS))
        predicted = _predict(problem, rate, rho)
        for name, (value, stderr) in measured.items():
            expected, own_error = predicted[name]
            scores.append(abs(value - expected) / np.hypot(stderr, own_error))
            both = beside_theory(number(expected), number(value, stderr), _MEMBERS)
            numbers.append((f"{name} at rho = {rho:.3g}: theory, PyTorch", both))
        mean_kappa = predicted["kappa of the mean"][0]
        differences.append(abs(kappas[-1] / mean_kappa - 1))
        both = beside_theory(number(mean_kappa, form=".6g"), number(kappas[-1], form=".6g"))
        numbers.append((f"kappa of the mean at rho = {rho:.3g}: theory, PyTorch", both))
    return Finding(
        Verdict.HOLDS if np.max(scores) <= 4 and np.max(differences) <= 1e-3 else Verdict.FAILS,
        (
            *numbers,
            ("largest |z|", number(np.max(scores), form=".2f")),
            ("largest relative difference of the mean's kappa", number(np.max(differences), form=".1e")),
        ),
        effects=of_agreements(numbers),
    )


def _features() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Features of training and test images, and the targets of both."""
    data = digits(train_samples=200)
    images = data.normalize(data.train_images)
    layer = RandomFeatures(images, _FEATURES, seed=_SEED)
    targets, test_targets = (
        torch.nn.functional.one_hot(labels, data.classes).double() - 1 / data.classes
        for labels in (data.train_labels, data.test_labels)
    )
    return layer(images), layer(data.normalize(data.test_images)), targets, test_targets


def _starts(outputs: int) -> torch.Tensor:
    """Initial second layers; one more member starts at 0: training is affine, so it ends at the exact mean of the ensemble."""
    generator = torch.Generator().manual_seed(_SEED)
    shape = (_MEMBERS, _FEATURES, outputs)
    starts = _SIGMA2**0.5 * torch.randn(shape, generator=generator, dtype=torch.float64)
    return torch.cat([starts, torch.zeros(1, *shape[1:], dtype=torch.float64)])


def _diagonalise(features: np.ndarray, targets: np.ndarray, test: np.ndarray, test_targets: np.ndarray) -> _Problem:
    """Eigenbasis from the singular values, so that the null space has eigenvalue exactly 0."""
    left, singular, right = np.linalg.svd(features)
    singular[singular < 1e-10 * singular[0]] = 0
    eigenvalues = np.zeros(features.shape[1])
    eigenvalues[: singular.size] = singular**2
    teacher = np.zeros((features.shape[1], targets.shape[1]))
    rank = np.count_nonzero(singular)
    teacher[:rank] = left.T[:rank] @ targets / singular[:rank, None]
    return _Problem(eigenvalues, teacher, test @ right.T, test_targets)


def _measure(predictions: np.ndarray, targets: np.ndarray) -> dict[str, tuple[float, float]]:
    """Diversity and EIR of predictions ``(members, samples, outputs)``, each with a standard error.

    Groups of four members and the outputs have independent initialisations: 120 estimates of D give it its error. That of
    EIR is a jackknife over members.

    Returns:
        Value and standard error by name.
    """
    members = len(predictions)
    groups = predictions.reshape(-1, 4, *predictions.shape[1:])
    variance = groups.var(axis=1, ddof=1).mean(axis=1)
    diversity = (float(variance.mean()), float(variance.std(ddof=1) / np.sqrt(variance.size)))
    rates = [_improvement(np.delete(predictions, i, axis=0), targets, members) for i in range(members)]
    spread = float(np.sqrt((members - 1) * np.var(rates)))
    return {"D": diversity, "EIR": (_improvement(predictions, targets, members), spread)}


def _improvement(predictions: np.ndarray, targets: np.ndarray, members: int) -> float:
    """EIR of an ensemble of ``members``, without bias from how many were left in.

    The error of a mean of m members is ``bias + variance/m``; both are estimated without bias from those given.

    Returns:
        The rate.
    """
    member = np.mean((predictions - targets) ** 2)
    variance = predictions.var(axis=0, ddof=1).mean()
    return float((1 - 1 / members) * variance / member)


def _predict(problem: _Problem, rate: float, rho: float) -> dict[str, tuple[float, float]]:
    """Closed forms, each with the standard error of its own Monte Carlo over initialisations (0 if it has none)."""
    residual = sam_filter(problem.eigenvalues, rate, np.array(rho)) ** _STEPS
    energy = np.mean(problem.test**2, axis=0)  # u_i' Sigma u_i of the test features
    spectrum = EmpiricalSpectrum(problem.eigenvalues, energy)
    diversity = _SIGMA2 * float(spectrum.integrate(lambda x: sam_filter(x, rate, np.array(rho)) ** (2 * _STEPS)))
    mean_prediction = problem.test @ ((1 - residual[:, None]) * problem.teacher)
    bias = float(np.mean((mean_prediction - problem.test_targets) ** 2))

    at_mean = problem.eigenvalues * residual * np.linalg.norm(problem.teacher, axis=1)
    noise = np.random.default_rng(_SEED).standard_normal((400, *problem.teacher.shape)) * np.sqrt(_SIGMA2)
    at_member = problem.eigenvalues * residual * np.linalg.norm(noise - problem.teacher, axis=2)
    kappa_mean, kappa = (
        trust_region_maximum(problem.eigenvalues[None], gradient, _RADIUS) for gradient in (at_mean[None], at_member)
    )
    return {
        "D": (diversity, 0.0),
        "EIR": ((1 - 1 / _MEMBERS) * diversity / (diversity + bias), 0.0),
        "kappa of a member": (float(kappa.mean()), float(kappa.std(ddof=1) / np.sqrt(kappa.size))),
        "kappa of the mean": (float(kappa_mean[0]), 0.0),
    }


CLAIMS = (
    Claim(
        id="theory-vs-pytorch",
        subject="implementation",
        title="Theory against PyTorch where the model is exact",
        statement="Members with frozen random ReLU features on the digits, second layer trained by full-batch un-normalized SAM: "
        "D and EIR on held-out digits and sharpness on the training set equal the filters of the features' empirical "
        "spectrum.",
        source="theory and training code of this project",
        method="100 features, 200 images, 10 steps, 48 members in PyTorch (float64); rho at 0, 30% and 80% of the critical one; "
        "sharpness by Auto-PGD there, by the secular equation here.",
        tolerance="every |z| <= 4 (9 comparisons, normal errors); the mean's kappa, without sampling error, within 1e-3 (30 ascent "
        "steps find the maximum from below)",
        seed=_SEED,
        check=_compare,
    ),
)
