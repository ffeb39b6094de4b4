"""Claims about ensembles of random-feature networks, the model in which a member is a network with features of its own."""

import numpy as np

from sharpdiv.checks.claim import Claim, Finding, Row, Verdict, number
from sharpdiv.checks.closed_forms.agreement import Z, standard_errors
from sharpdiv.checks.effect import of_agreements
from sharpdiv.checks.evidence import Evidence
from sharpdiv.checks.quantity import beside_theory, several, span
from sharpdiv.theory.random_features.closed_forms import random_feature_tradeoff
from sharpdiv.theory.random_features.setting import RandomFeatureSetting
from sharpdiv.theory.random_features.simulation import simulate_random_features

__all__ = ["CLAIMS"]

_SETTINGS = (
    (RandomFeatureSetting(600, 300, 400, "relu", 10, 0.3), 1),
    (RandomFeatureSetting(600, 300, 400, "relu", 22, 0.3), 1),
    (RandomFeatureSetting(600, 300, 400, "relu", 20, 0.3, label_noise=0.3), 1),
    (RandomFeatureSetting(600, 300, 500, "erf", 20, 0.3), 1),
    (RandomFeatureSetting(600, 300, 500, "erf", 40, 0.3, label_noise=0.2), 1),
    (RandomFeatureSetting(600, 300, 400, "tanh", 15, 0.3), 1),
    (RandomFeatureSetting(600, 300, 400, "linear", 15, 0.1), 1),
    (RandomFeatureSetting(600, 200, 300, "relu", 9, 0.3), 3),
    (RandomFeatureSetting(600, 300, 400, "erf", 15, 0.3), 3),
    (RandomFeatureSetting(600, 300, 400, "relu", 15, 0.3, label_noise=0.3), 2),
)
_NAMES = ("diversity", "member_error", "ensemble_error", "eir")


def _agreement(_: Evidence) -> Finding:
    worst, scores, kappas = 0.0, [], []
    numbers: list[Row] = []
    for setting, blocks in _SETTINGS:
        critical = random_feature_tradeoff(setting, 0.0, blocks=blocks).critical_rho or 0.0
        rho = np.array([0.4 * critical])
        theory = random_feature_tradeoff(setting, rho, blocks=blocks)
        measured = simulate_random_features(
            setting, rho, blocks=blocks, draws=16, networks=3, test_samples=1500, seed=60
        )
        samples = setting.n // blocks
        for name in _NAMES:
            estimate, value = getattr(measured, name), getattr(theory, name)[0]
            mean, error = estimate.mean[0], standard_errors(estimate)[0]
            worst = max(worst, abs(mean / value - 1) - Z * error / value)
            # Finite size: 1.7/d was the largest deviation at d = 75, and blocks have fewer samples.
            scores.append(max(abs(mean - value) - 3 / min(setting.d, samples) * value, 0) / error)
            if name in {"diversity", "eir"}:
                what = f"{setting.activation}, p={setting.features}, d={setting.d}, k={setting.steps}"
                what += f", s={blocks}" if blocks > 1 else ""
                what += f", s_e^2={setting.label_noise:g}" if setting.label_noise else ""
                label = f"{what}: {'D' if name == 'diversity' else 'EIR'}: theory, simulation"
                numbers.append((label, beside_theory(number(value), number(mean, error), 16)))
        kappas.append(theory.sharpness[0] / measured.sharpness.mean[0] - 1)
    return Finding(
        Verdict.HOLDS if np.max(scores) <= Z and worst <= 0.05 and np.max(np.abs(kappas)) <= 0.05 else Verdict.FAILS,
        (
            *numbers,
            ("largest relative difference beyond 4 standard errors", number(max(worst, 0.0), form=".4f")),
            ("largest |z| after 3/d", number(np.max(scores), form=".2f")),
            ("kappa: theory / simulation - 1, range", span(min(kappas), max(kappas), form=".4f")),
        ),
        "In the Gaussian-equivalent limit; that it holds for these activations is measured here and not proven.",
        of_agreements(numbers),
    )


def _no_tradeoff(_: Evidence) -> Finding:
    setting = RandomFeatureSetting()
    critical = random_feature_tradeoff(setting, 0.0).critical_rho or 0.0
    rho = np.array([0.0, 0.25, 0.5]) * critical
    theory = random_feature_tradeoff(setting, rho)
    measured = simulate_random_features(setting, rho, draws=8, networks=3, test_samples=1500, seed=61)
    trend = np.sign(theory.sharpness[-1] - theory.sharpness[0]) != np.sign(theory.diversity[-1] - theory.diversity[0])
    seen = np.sign(measured.sharpness.mean[-1] - measured.sharpness.mean[0]) != np.sign(
        measured.diversity.mean[-1] - measured.diversity.mean[0]
    )
    lines = [
        (
            f"rho = {r:.3g}: kappa, D, EIR in theory; D measured",
            several([several([number(k), number(d), number(e)]), number(m, s)], "; "),
        )
        for r, k, d, e, m, s in zip(
            rho,
            theory.sharpness,
            theory.diversity,
            theory.eir,
            measured.diversity.mean,
            standard_errors(measured.diversity),
            strict=True,
        )
    ]
    return Finding(
        Verdict.FAILS if trend and seen else Verdict.INCONCLUSIVE,
        tuple(lines),
        "A network with random features starts at 0 and differs from other members by its features: SAM speeds its fitting, so it "
        "gets flatter *and* more diverse. The trade-off of Theorem 1 comes from forgetting the initialisation. The paper makes no "
        "statement about this model.",
        reasons={Verdict.FAILS: "SAM makes them flatter and more diverse"},
    )


CLAIMS = (
    Claim(
        id="random-features",
        subject="implementation",
        title="Ensembles of random-feature networks",
        statement="Diversity over feature draws, member and ensemble error, EIR and member sharpness of SAM and "
        "SharpBalance ensembles.",
        source="derived here (Gaussian equivalence; Mei and Montanari 2022, Hu and Lu 2023)",
        method="10 settings around (n, p, d) = (600, 400, 300), ReLU, erf, tanh and linear: 16 data draws of 3 networks "
        "each with the "
        "activation itself.",
        tolerance="within 5% and within 4 standard errors after 3/d (or 3 over a block's samples) for finite size; kappa within 5%",
        seed=60,
        check=_agreement,
        figures=("random_features",),
    ),
    Claim(
        id="random-features-tradeoff",
        subject="transfer",
        title="The trade-off in ensembles of random-feature networks",
        statement="Raising rho lowers sharpness and diversity together (C1), for networks with features of their own "
        "whose second layer is "
        "trained.",
        source="our transfer of C1, which the paper states of trained networks, to the random-feature model",
        about=("C1",),
        where="closed forms",
        method="Closed form and simulation at (n, p, d) = (600, 400, 300), ReLU, k = 10, rho up to half of the critical one.",
        tolerance="refuted if sharpness falls and diversity rises in both",
        seed=61,
        check=_no_tradeoff,
        figures=("random_features",),
    ),
)
