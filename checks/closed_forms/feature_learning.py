"""Claims that ensembles that learn features, of two-layer and of diagonal networks, are predicted as training finds them."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sharpdiv.checks.claim import Claim, Finding, Verdict
from sharpdiv.checks.closed_forms.agreement import Z
from sharpdiv.checks.closed_forms.paired_draws import Draws, diagonal_draws, two_layer_draws
from sharpdiv.checks.effect import Effect
from sharpdiv.checks.evidence import Evidence
from sharpdiv.checks.quantity import Several, count, number, several
from sharpdiv.checks.statistics import Comparison
from sharpdiv.theory.feature_learning.diagonal.closed_forms import diagonal_tradeoff
from sharpdiv.theory.feature_learning.diagonal.setting import DiagonalSetting
from sharpdiv.theory.feature_learning.tradeoff import LearnedTradeoff
from sharpdiv.theory.feature_learning.two_layer.closed_forms import two_layer_tradeoff
from sharpdiv.theory.feature_learning.two_layer.edge import critical_rho
from sharpdiv.theory.feature_learning.two_layer.setting import TwoLayerSetting

__all__ = ["CLAIMS"]

_SEED = 20261130
"""Of the ten settings that are drawn: a date, chosen when code, sizes, ranges and tolerance had been settled on ten others (seed
90). One of the new diagonal settings diverged at the learning rate that all had, 1.5: since then it is lower and falls with rho."""
_DRAWS = 6
_SHARE = 0.05
_SIZE = 3.0
"""Relative allowance for finite size is this over n."""
_SYMBOLS = {"diversity": "D", "trace": "trace", "eir": "EIR", "sharpness": "kappa"}
_RATIO = "log ratio of "


@dataclass(frozen=True)
class Point:
    """A setting, and the rho at which it is compared with gradient descent."""

    setting: TwoLayerSetting | DiagonalSetting
    rho: float
    drawn: bool = False

    @property
    def theory(self) -> LearnedTradeoff:
        """The prediction at 0 and rho."""
        if isinstance(self.setting, TwoLayerSetting):
            return two_layer_tradeoff(self.setting, (0.0, self.rho))
        return diagonal_tradeoff(self.setting, (0.0, self.rho))

    def training(self, seed: int) -> Draws:
        """The same, trained."""
        if isinstance(self.setting, TwoLayerSetting):
            return two_layer_draws(self.setting, (0.0, self.rho), draws=_DRAWS, seed=seed)
        return diagonal_draws(self.setting, (0.0, self.rho), draws=_DRAWS, seed=seed)

    @property
    def name(self) -> str:
        """Short and readable: what differs from the defaults of the claim."""
        one = self.setting
        found = [f"d = {one.d}, m = {one.group}"]
        if isinstance(one, TwoLayerSetting):
            found += [f"p = {one.width}", "orthogonal rows" if one.whitened else "Gaussian rows"]
            found += ["f - f_0"] * one.subtract_initial
        else:
            found += [f"alpha = {one.alpha:.2g}", f"spread {one.spread:.2g}"]
            found += [f"density {one.density:g}"] * (one.density < 1)
        found += [f"s_e^2 = {one.label_noise:.2g}"] * (one.label_noise > 0)
        return ", ".join([*found, f"rho = {self.rho:.2g}"]) + (" (drawn)" if self.drawn else "")


def _two_layer(m: int, **given: Any) -> TwoLayerSetting:
    """Steps of a tenth and more of what is stable; n = 30."""
    d, rows = given.get("d", 90), 1 if given.get("whitened", True) else 2
    return TwoLayerSetting(
        **{"n": 30, "d": d, "width": d, "m": m, "learning_rate": 4.5 / d / rows, "target_loss": 1e-5} | given
    )


def _two_layer_points() -> list[Point]:
    """Twelve settings, each of three m four times.

    Returns:
        Seven by hand, then five drawn.
    """
    noisy = {"whitened": False, "label_noise": 0.3}
    points = [Point(_two_layer(m, **given), 0.004 * m) for given in ({}, noisy) for m in (30, 6, 1)]
    points.append(Point(_two_layer(1, subtract_initial=True), 0.004))
    rng = np.random.default_rng(_SEED)
    for m in (30, 6, 1, 30, 6):
        d = int(rng.integers(60, 151))
        setting = _two_layer(
            m,
            d=d,
            width=int(rng.integers(d // 3, 4 * d // 3)),
            teacher_norm=float(rng.uniform(0.7, 1.5)),
            label_noise=float(rng.choice([0.0, 0.2, 0.4])),
            whitened=bool(rng.random() < 0.5),
            subtract_initial=bool(rng.random() < 0.2),
        )
        points.append(Point(setting, float(rng.uniform(0.1, 0.4)) * (critical_rho(setting) or 0.0), drawn=True))
    return points


def _diagonal_points() -> list[Point]:
    """Twelve settings, each of three m four times.

    Returns:
        Seven by hand, then five drawn.
    """
    plain = [Point(DiagonalSetting(n=50, d=150, m=m), rho) for m, rho in ((1, 0.4), (2, 0.7), (5, 1.2))]
    others: list[tuple[float, dict[str, Any]]] = [
        (1.2, {"m": 5, "label_noise": 0.2}),
        (0.4, {"m": 1, "density": 0.2, "learning_rate": 1.5}),
        (0.7, {"m": 2, "spread": 0.8, "learning_rate": 1.5}),
        (1.2, {"m": 5, "d": 200}),
    ]
    points = plain + [Point(DiagonalSetting(**{"n": 50, "d": 150} | given), rho) for rho, given in others]
    rng = np.random.default_rng(_SEED + 1)
    for m in (1, 2, 5, 1, 2):
        setting = DiagonalSetting(
            n=50,
            d=int(rng.integers(100, 251)),
            m=m,
            alpha=float(np.exp(rng.uniform(np.log(0.15), np.log(0.5)))),
            spread=float(rng.uniform(0.3, 0.7)),
            density=float(rng.choice([1.0, 0.2])),
            label_noise=float(rng.choice([0.0, 0.2])),
        )
        rho = m * float(rng.uniform(0.15, 0.35))
        # Steps are stable up to eta lambda (1 + rho trace / m) = 2, and the prediction is that of small ones.
        faster = 1 + rho * float(diagonal_tradeoff(setting, 0.0).trace[0]) / m
        points.append(Point(replace(setting, learning_rate=0.6 / faster), rho, drawn=True))
    return points


@dataclass(frozen=True)
class _Comparison:
    """One number of theory beside the same of training."""

    label: str
    theory: float
    measured: Comparison
    samples: int

    @property
    def excess(self) -> float:
        """Distance over what is allowed; NaN where there is no prediction."""
        return self._distance / (self._allowed + _SIZE / self.samples * abs(self.theory))

    @property
    def close(self) -> bool:
        """Whether it is near also without the allowance for finite size."""
        return self._distance <= self._allowed

    @property
    def _distance(self) -> float:
        return abs(self.theory - self.measured.value)

    @property
    def _allowed(self) -> float:
        return max(_SHARE * abs(self.theory), Z * self.measured.stderr)


def _compared(point: Point, theory: LearnedTradeoff, draws: Draws) -> list[_Comparison]:
    """Logarithms of ratios to rho = 0, and levels there."""
    orthogonal = isinstance(point.setting, TwoLayerSetting) and point.setting.whitened
    found = []
    for name, symbol in _SYMBOLS.items():
        if name == "sharpness" and not orthogonal:
            continue  # of Gaussian rows it is the edge of the limit law, of diagonal networks it has no limit
        values, samples = getattr(theory, name), point.setting.n
        ratio = float(np.log(values[1] / values[0]))
        found.append(_Comparison(f"{_RATIO}{symbol}", ratio, draws.change(name), samples))
        found.append(_Comparison(symbol, float(values[0]), draws.level(name), samples))
    return found


def _agreement(points: list[Point]) -> Finding:
    found = [(point, _compared(point, point.theory, point.training(100 * i))) for i, point in enumerate(points)]
    rows = [
        (
            f"{point.name}: log ratios of D, trace, EIR in theory; trained",
            _both(changes),
        )
        for point, compared in found
        for changes in [[c for c in compared if c.label.startswith(_RATIO) and "kappa" not in c.label]]
    ]
    everything = [(point, comparison) for point, compared in found for comparison in compared]
    excess = np.array([comparison.excess for _, comparison in everything])
    place, worst = everything[int(np.argmax(excess))]
    of_d = [c for _, c in everything if c.label == f"{_RATIO}D"]
    ratios = [c for _, c in everything if c.label.startswith(_RATIO)]
    return Finding(
        Verdict.HOLDS if np.all(excess <= 1) else Verdict.FAILS,
        (
            *rows,
            (f"largest of {len(excess)} distances over what is allowed", number(excess.max(), form=".2f")),
            ("which is that of", f"{worst.label}, {place.name}"),
            (
                f"log ratios within {_SHARE:.0%} or {Z:g} standard errors, without the allowance for size",
                several([count(sum(c.close for c in ratios)), count(len(ratios))], " of "),
            ),
            ("sum of log ratios of D: trained over theory", number(_total(of_d), form=".3f")),
        ),
        effects=tuple(_effect(point, each) for point, each in everything if each.label == f"{_RATIO}D"),
    )


def _both(compared: list[_Comparison]) -> Several:
    """Of theory, and behind them trained."""
    trained = [number(c.measured.value, c.measured.stderr) for c in compared]
    return several([several([number(c.theory) for c in compared]), several(trained)], "; ")


def _effect(point: Point, compared: _Comparison) -> Effect:
    """The trained change of log D as a share of the predicted one."""
    ends = sorted(np.array([compared.measured.low, compared.measured.high]) / compared.theory)
    return Effect(
        label=point.name,
        estimate=compared.measured.value / compared.theory,
        low=float(ends[0]),
        high=float(ends[1]),
        unit="trained / predicted log ratio of D",
        reference=1.0,
        n=compared.measured.ensembles,
        of="draws",
        decides=True,
    )


def _total(compared: list[_Comparison]) -> float:
    """Of changes without their signs: a prediction that is too large everywhere shows here."""
    return sum(c.measured.value * np.sign(c.theory) for c in compared) / sum(abs(c.theory) for c in compared)


def _two_layer_agreement(_: Evidence) -> Finding:
    return _agreement(_two_layer_points())


def _diagonal_agreement(_: Evidence) -> Finding:
    return _agreement(_diagonal_points())


_TOLERANCE = (
    f"logarithms of ratios to rho = 0, and levels there, within {_SHARE:.0%} or {Z:g} standard errors (jackknife over {_DRAWS} "
    f"draws, paired over rho), plus {_SIZE:g}/n of themselves for finite size: what the theory leaves out is of order 1/n, and the "
    f"factor {_SIZE:g} is not derived but covers a pilot's"
)
_SELECTION = "seven settings by hand and five drawn by the generator of seed"

CLAIMS = (
    Claim(
        id="two-layer",
        subject="implementation",
        title="Two-layer linear networks",
        statement="Diversity, trace of the Hessian, EIR and, on orthogonal rows, kappa of ensembles of two-layer linear networks "
        "change with rho as predicted, for full-batch SAM, groups of m samples and per-sample SAM.",
        source="derived here (section 13 of theory/README.md)",
        method=f"12 settings at n = 30, each of m = 30, 6 and 1 four times: {_SELECTION} {_SEED} (d, p, |beta|, label noise, rows, "
        f"f - f_0, rho from 0.1 to 0.4 of the critical one); {_DRAWS} data draws of 3 networks each, trained by SAM's own steps to "
        "a loss of 1e-5.",
        tolerance=_TOLERANCE,
        seed=_SEED,
        check=_two_layer_agreement,
    ),
    Claim(
        id="diagonal",
        subject="implementation",
        title="Diagonal linear networks",
        statement="Diversity, trace of the Hessian and EIR of ensembles of diagonal networks change with rho as predicted, for "
        "per-sample SAM and groups of few samples.",
        source="derived here (section 14 of theory/README.md; hypentropy interpolators: Woodworth et al. 2020)",
        method=f"12 settings at n = 50, each of m = 1, 2 and 5 four times: {_SELECTION} {_SEED + 1} (d, alpha, spread, density, "
        f"label noise, rho/m from 0.15 to 0.35, below the critical rho; learning rate 0.6 / (1 + rho trace / m)); {_DRAWS} data "
        "draws of 3 networks each, trained by SAM's own steps to a loss of 1e-5.",
        tolerance=_TOLERANCE,
        seed=_SEED + 1,
        check=_diagonal_agreement,
    ),
)
