"""C5 in theory over stable settings: the best of SharpBalance against the best of SAM at equal sharpness, and at single rho."""

from dataclasses import dataclass
from itertools import product

import numpy as np

from sharpdiv.checks.claim import Claim, Finding, Row, Verdict, number
from sharpdiv.checks.closed_forms.agreement import Z, standard_errors
from sharpdiv.checks.evidence import Evidence
from sharpdiv.checks.quantity import count, several
from sharpdiv.theory.filters import critical_rho
from sharpdiv.theory.setting import Setting
from sharpdiv.theory.simulation import simulate
from sharpdiv.theory.spectra.marchenko_pastur import MarchenkoPastur
from sharpdiv.theory.theorems.comparison import largest_diversity_at
from sharpdiv.theory.theorems.sam import sam_tradeoff
from sharpdiv.theory.theorems.sharpbalance import sharpbalance_tradeoff

__all__ = ["CLAIMS"]

_RATES = (0.1, 0.3)  # eta x_+ of all the data
_RATIOS = (2, 6, 20, 60)
_STEPS = (1, 3, 10, 100)
_BLOCKS = (2, 3, 5, 10)
_SAMPLES = 400
_NO_DIVERSITY = 1e-15
"""Diversity of weights that are trained to rounding: sharpness is at its floor, and equal in eleven digits at any rho there."""


@dataclass(frozen=True)
class _Compared:
    """One setting in which both methods reach a sharpness."""

    best: float
    """smallest ratio, over sharpness, of SharpBalance's largest diversity to SAM's"""
    diversity: float
    """SharpBalance's diversity there"""
    at_any_rho: float
    """the same ratio with SharpBalance's diversity at each rho, beyond its own minimum of sharpness, too"""


def _compared(rate: float, ratio: int, steps: int, blocks: int) -> _Compared | None:
    """Stable SAM and stable SharpBalance in the limit; None where they reach no sharpness in common."""
    setting = Setting(ratio * 400, 400, steps, rate / MarchenkoPastur(float(ratio)).largest)
    edges = [critical_rho(MarchenkoPastur(r), setting.learning_rate) or 0.0 for r in (float(ratio), ratio / blocks)]
    sam = sam_tradeoff(setting, np.linspace(0, edges[0], _SAMPLES, endpoint=False))
    balance = sharpbalance_tradeoff(setting, np.linspace(0, edges[1], _SAMPLES, endpoint=False), blocks=blocks)
    theirs = largest_diversity_at(sam, balance.sharpness)
    if np.all(np.isnan(theirs)):
        return None
    ours = np.fmax(largest_diversity_at(balance, balance.sharpness), balance.diversity)
    worst = int(np.nanargmin(ours / theirs))
    at_any_rho = float(np.nanmin(balance.diversity / theirs))
    return _Compared(float(ours[worst] / theirs[worst]), float(balance.diversity[worst]), at_any_rho)


def _c5(_: Evidence) -> Finding:
    """Every setting in the limit, and a single rho at which SAM is more diverse, confirmed by simulation."""
    grid = list(product(_RATES, _RATIOS, _STEPS, _BLOCKS))
    found = [each for each in (_compared(*case) for case in grid) if each is not None]
    lost = [each for each in found if not each.best > 1]
    beyond = sum(not each.at_any_rho > 1 for each in found)
    matters = any(not each.diversity < _NO_DIVERSITY for each in lost)
    measured, numbers = _counter_example()
    conditional = Verdict.CONDITIONAL if beyond or lost else Verdict.HOLDS
    return Finding(
        Verdict.FAILS if matters else conditional if measured or not beyond else Verdict.INCONCLUSIVE,
        (
            (f"settings of {len(grid)} in which both reach a sharpness in common", count(len(found))),
            ("of these, with a SAM at least as diverse as the most diverse SharpBalance", count(len(lost))),
            (
                "largest D at which that happens (D before training is 0.1)",
                number(max((x.diversity for x in lost), default=0.0), form=".1e"),
            ),
            ("of these, with a SAM at least as diverse as SharpBalance at some rho", count(beyond)),
            *numbers,
        ),
        "Best against best. It does not hold for any rho: beyond the rho at which its own sharpness is least, SharpBalance has two "
        "rho of one sharpness, and a SAM can be more diverse than the worse of them. The counter-example is such a rho: r=60, "
        "k=10, s=2, eta x_+ = 0.3, rho at 0.8 of the blocks' critical one. The phase diagram shows every rho.",
        reasons={Verdict.CONDITIONAL: "best against best; not for every rho"},
        decisive="of these, with a SAM at least as diverse as the most diverse SharpBalance",
    )


def _counter_example() -> tuple[bool, tuple[Row, ...]]:
    """A rho of the phase diagram at which a SAM of equal sharpness is more diverse: whether simulation agrees, and numbers."""
    setting = Setting(24_000, 400, 10, 0.3 / MarchenkoPastur(60.0).largest, teacher_norm=None)
    critical = MarchenkoPastur(30.0)
    rho = 0.8 * (2 / (setting.learning_rate * critical.largest) - 1) / critical.largest
    balance = sharpbalance_tradeoff(setting, rho, blocks=2)
    edge = critical_rho(MarchenkoPastur(60.0), setting.learning_rate) or 0.0
    stable = np.linspace(0, edge, 2000, endpoint=False)
    sam = sam_tradeoff(setting, stable)
    crossings = np.flatnonzero(np.diff(np.sign(sam.sharpness - balance.sharpness[0])))
    best = int(crossings[np.argmax(sam.diversity[crossings])]) if crossings.size else 0
    matched = float(stable[best])
    ours = simulate(setting, rho, blocks=2, draws=6, inits=4, seed=49)
    theirs = simulate(setting, matched, draws=6, inits=4, seed=50)
    ratio = ours.diversity.mean[0] / theirs.diversity.mean[0]
    error = ratio * np.hypot(
        standard_errors(ours.diversity)[0] / ours.diversity.mean[0],
        standard_errors(theirs.diversity)[0] / theirs.diversity.mean[0],
    )
    return bool(crossings.size and ratio + Z * error < 1), (
        (
            "at the counter-example, kappa of SharpBalance and of SAM in the limit",
            several([number(balance.sharpness[0]), number(sam.sharpness[best])]),
        ),
        ("kappa measured", several([number(ours.sharpness.mean[0]), number(theirs.sharpness.mean[0])])),
        ("D of SharpBalance / D of SAM in the limit", number(float(balance.diversity[0] / sam.diversity[best]))),
        ("the same measured", number(float(ratio), float(error))),
    )


CLAIMS = (
    Claim(
        id="c5-theory",
        subject="paper",
        title="C5 in theory over stable settings, best against best",
        statement="At equal sharpness the most diverse SharpBalance is more diverse than the most diverse SAM, wherever both are "
        "stable.",
        source="C5, Theorems 1 and 2 as in the authors' notebook",
        about=("C5",),
        where="closed forms",
        method="Exact limits at 400 stable rho of each method in 128 settings (eta x_+ 0.1 and 0.3, r from 2 to 60, k from 1 to "
        "100, s from 2 to 10); one rho at which SAM is more diverse by simulation at n=24000, d=400, 6 data draws for each method.",
        tolerance="fails if SAM's best is at least as diverse where D is above 1e-15, rounding; the single rho is confirmed if the "
        "ratio of diversities is more than 4 standard errors below 1",
        seed=49,
        check=_c5,
        figures=("phase_diagram",),
    ),
)
