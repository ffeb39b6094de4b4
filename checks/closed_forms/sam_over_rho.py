"""Claims about the trade-off along SAM's rho in the paper's model: where it holds, where it turns, and what it leaves of EIR."""

import numpy as np

from sharpdiv.checks.claim import Claim, Finding, Verdict, number
from sharpdiv.checks.closed_forms.agreement import FOUR_ERRORS, agreement, all_within, largest, z_scores
from sharpdiv.checks.effect import of_agreements
from sharpdiv.checks.evidence import Evidence
from sharpdiv.checks.quantity import count, several
from sharpdiv.theory.filters import monotone_rho
from sharpdiv.theory.setting import Setting
from sharpdiv.theory.simulation import simulate
from sharpdiv.theory.spectra.marchenko_pastur import MarchenkoPastur
from sharpdiv.theory.theorems.sam import sam_tradeoff

__all__ = ["CLAIMS"]

_PAPER = Setting()  # n=3000, d=150, k=3, eta=0.01: the paper's theory figures


def _contracting(_: Evidence) -> Finding:
    rng = np.random.default_rng(8)
    rises = 0
    for _draw in range(100):
        ratio = float(np.exp(rng.uniform(-2, 3.5)))
        setting = Setting(n=max(1, round(400 * ratio)), d=400, steps=int(rng.integers(1, 15)), radius=0.1)
        limit = MarchenkoPastur(setting.ratio)
        rate = float(rng.uniform(0.02, 0.99) / limit.largest)
        setting = Setting(n=setting.n, d=400, steps=setting.steps, learning_rate=rate, radius=0.1)
        curve = sam_tradeoff(setting, np.linspace(0, monotone_rho(limit, rate), 30))
        rises += not (np.all(np.diff(curve.diversity) <= 0) and np.all(np.diff(curve.sharpness) <= 0))
    largest_rho = monotone_rho(MarchenkoPastur(_PAPER.ratio), _PAPER.learning_rate)
    return Finding(
        Verdict.HOLDS if not rises else Verdict.FAILS,
        (
            ("settings of 100 in which D or kappa rises somewhere", count(rises)),
            ("largest rho with 0 <= q <= 1 at r = 20, eta = 0.01", number(largest_rho)),
        ),
        "Here the trade-off stands: a larger rho lowers sharpness and diversity together.",
    )


def _unstable(_: Evidence) -> Finding:
    rho = np.linspace(0.3, 0.5, 21)
    curve = sam_tradeoff(_PAPER, rho)
    falls = bool(np.all(np.diff(curve.sharpness) < 0))
    return Finding(
        Verdict.HOLDS if falls else Verdict.FAILS,
        (
            ("critical rho", number(curve.critical_rho or np.nan)),
            ("kappa at rho = 0.3, 0.5", several([number(curve.sharpness[0]), number(curve.sharpness[-1])])),
            ("D at rho = 0.3, 0.5", several([number(curve.diversity[0]), number(curve.diversity[-1])])),
        ),
        "The range lies beyond the critical rho, where SAM diverges. D and kappa rise together there: they trade off, with the "
        "opposite sign of rho.",
        reasons={Verdict.FAILS: "all of it is beyond the critical rho, where SAM diverges"},
    )


def _turning_points(_: Evidence) -> Finding:
    rho = np.linspace(0, 0.1897, 3795)
    curve = sam_tradeoff(_PAPER, rho)
    diversity, sharpness = rho[np.argmin(curve.diversity)], rho[np.argmin(curve.sharpness)]
    return Finding(
        Verdict.CONDITIONAL if sharpness != diversity else Verdict.HOLDS,
        (
            ("rho at which kappa turns", number(sharpness, form=".4f")),
            ("rho at which D turns", number(diversity, form=".4f")),
            ("critical rho", number(curve.critical_rho or np.nan)),
        ),
        "Both fall up to the first turning point and rise beyond the second. Between the two, sharpness already grows while "
        "diversity still falls: there lower sharpness comes with *higher* diversity, the opposite of the trade-off.",
        reasons={Verdict.CONDITIONAL: "up to the rho at which kappa turns"},
    )


def _constant_eir(_: Evidence) -> Finding:
    rho = np.linspace(0, 0.15, 4)
    predicted = sam_tradeoff(_PAPER, rho).eir
    measured = simulate(_PAPER, rho, draws=40, inits=2, seed=9).eir
    law = (1 - 1 / 3) * _PAPER.init_variance / (_PAPER.init_variance + _PAPER.omega**2 / _PAPER.d)
    scores = z_scores(measured, np.full_like(rho, law))
    constant = np.all(np.abs(predicted - law) <= 1e-14) and all_within(scores) == Verdict.HOLDS
    falls = np.all(np.diff(predicted) < 0) and np.all(np.diff(measured.mean) < 0)
    diversity = sam_tradeoff(_PAPER, rho).diversity
    rows = agreement("EIR", rho, measured, predicted, 40)
    return Finding(
        Verdict.FAILS if constant else Verdict.HOLDS if falls else Verdict.INCONCLUSIVE,
        (
            ("EIR by the law (1 - 1/m) sigma^2 / (sigma^2 + omega^2/d)", number(law)),
            *rows,
            ("D falls over the same rho from, to", several([number(diversity[0]), number(diversity[-1])])),
            largest(scores),
        ),
        "In the model of Theorem 1, without label noise, diversity falls with rho but the improvement rate does not move: the "
        "theorem's D alone does not explain a falling EIR. The paper makes no statement about EIR in this model.",
        of_agreements(rows),
        reasons={Verdict.FAILS: "without label noise EIR does not move with rho"},
        decisive="EIR by the law (1 - 1/m) sigma^2 / (sigma^2 + omega^2/d)",
    )


CLAIMS = (
    Claim(
        id="tradeoff-contracting",
        subject="paper",
        title="The trade-off where every mode contracts monotonically",
        statement="While 0 <= 1 - eta x (1 + rho x) <= 1 on the support, D and kappa both fall as rho grows.",
        formula=r"0 \le 1 - \eta x (1 + \rho x) \le 1",
        source="C1 in theory; proven pathwise in this range",
        about=("C1",),
        where="closed forms",
        method="Exact limits on 30 values of rho in each of 100 seeded settings.",
        tolerance="no increase at all",
        seed=8,
        check=_contracting,
        figures=("theory_tradeoff",),
    ),
    Claim(
        id="tradeoff-figure2-range",
        subject="paper",
        title="Raising rho lowers sharpness in the notebook's range",
        statement="For rho in [0.3, 0.5] (n=3000, d=150, k=3, eta=0.01) raising rho lowers sharpness.",
        source="C1, in the range of rho of the notebook's figure of SAM (Fig. 2)",
        about=("C1",),
        where="closed forms",
        method="Exact limit on 21 values of rho.",
        tolerance="falls at every step",
        seed=None,
        check=_unstable,
        figures=("sam_simulation",),
    ),
    Claim(
        id="tradeoff-turning-points",
        subject="paper",
        title="Where the trade-off turns",
        statement="Sharpness and diversity move together with rho throughout the stable range (n=3000, d=150, k=3, eta=0.01).",
        source="C1 in theory",
        about=("C1",),
        where="closed forms",
        method="Minima of the exact D and kappa on a grid of spacing 5e-5 up to the critical rho.",
        tolerance="grid spacing",
        seed=None,
        check=_turning_points,
        figures=("sam_simulation",),
    ),
    Claim(
        id="eir-falls-in-theory",
        subject="transfer",
        title="EIR falls with rho in the model of Theorem 1",
        statement="Raising rho lowers the ensemble improvement rate (C1) in the isotropic model without label noise.",
        formula=r"\mathrm{EIR} = \left( 1 - \frac{1}{m} \right) \frac{\sigma^2}{\sigma^2 + \omega^2 / d}",
        source="our transfer of C1, which the paper states of trained networks, to the model of Theorem 1",
        about=("C1",),
        where="closed forms",
        method="Closed form, and simulation of 40 data draws at n=3000, d=150, m=3.",
        tolerance="refuted if the closed form is constant to 1e-14 and simulation agrees with it: " + FOUR_ERRORS,
        seed=9,
        check=_constant_eir,
        figures=("improvement_rate",),
    ),
)
