"""Claims about what SAM does to networks with a weight that multiplies another: the trade-off, groups of m, SharpBalance."""

from dataclasses import replace

import numpy as np

from sharpdiv.checks.claim import Claim, Effect, Finding, Row, Verdict, number
from sharpdiv.checks.closed_forms.agreement import Z
from sharpdiv.checks.closed_forms.paired_draws import Draws, diagonal_draws, two_layer_draws
from sharpdiv.checks.evidence import Evidence
from sharpdiv.checks.members import jackknife
from sharpdiv.checks.quantity import Quantity, several
from sharpdiv.checks.statistics import Comparison
from sharpdiv.theory.feature_learning.diagonal.closed_forms import diagonal_tradeoff
from sharpdiv.theory.feature_learning.diagonal.setting import DiagonalSetting
from sharpdiv.theory.feature_learning.tradeoff import LearnedTradeoff
from sharpdiv.theory.feature_learning.two_layer.closed_forms import two_layer_tradeoff
from sharpdiv.theory.feature_learning.two_layer.setting import TwoLayerSetting

__all__ = ["CLAIMS"]

_TWO_LAYER = TwoLayerSetting(n=40, d=120, width=120, m=1, learning_rate=0.05, target_loss=1e-5)
_DIAGONAL = DiagonalSetting(n=60, d=180, m=1)
_TOGETHER = ("trace", "diversity", "eir")
_DRAWS, _SEED = 8, 92
_GROUPS = (1, 4, 10, 40)
_POWER = (-1.1, -0.9)


def _shown(theory: LearnedTradeoff, draws: Draws, what: str) -> list[Row]:
    """Log ratios at every rho, in theory and trained."""
    rows: list[Row] = []
    for place in range(1, len(theory.rho)):
        predicted = several([number(_ratio(theory, name, place)) for name in _TOGETHER])
        trained = several([_with_error(draws.change(name, place)) for name in _TOGETHER])
        rows.append(
            (
                f"{what}, rho = {theory.rho[place]:g}: log ratios of trace, D, EIR in theory; trained",
                several([predicted, trained], "; "),
            )
        )
    return rows


def _ratio(theory: LearnedTradeoff, name: str, place: int = -1) -> float:
    values = getattr(theory, name)
    return float(np.log(values[place] / values[0]))


def _effects(
    draws: Draws, what: str, *, decides: bool = True, directions: tuple[int, ...] = (-1, -1, -1)
) -> list[Effect]:
    """Trained changes at the largest rho."""
    changes = [
        replace(draws.change(name), label=f"{symbol}, {what}", statistic="log ratio to rho = 0, trained")
        for name, symbol in zip(_TOGETHER, ("trace", "D", "EIR"), strict=True)
    ]
    shown = [c.effect(d, decides=decides) for c, d in zip(changes, directions, strict=True)]
    return [effect for effect in shown if effect]


def _with_error(measured: Comparison) -> Quantity:
    return number(measured.value, measured.stderr)


def _clear(measured: Comparison) -> int:
    """Sign of what is beyond four standard errors, else 0."""
    return int(np.sign(measured.value)) if abs(measured.value) > Z * measured.stderr else 0


def _together(theory: LearnedTradeoff, draws: Draws) -> Verdict:
    """Whether all three fall at the largest rho, in theory and trained; it fails if one rises in both."""
    signs = {(np.sign(_ratio(theory, name)), _clear(draws.change(name))) for name in _TOGETHER}
    if signs == {(-1, -1)}:
        return Verdict.HOLDS
    return Verdict.FAILS if (1, 1) in signs else Verdict.INCONCLUSIVE


def _two_layer_tradeoff(_: Evidence) -> Finding:
    rows: list[Row] = []
    effects, verdicts = [], {}
    for what, given, rho in (
        ("f, m = 1", {}, (0.0, 0.002, 0.004)),
        ("f, full batch", {"m": None}, (0.0, 0.16)),
        ("f - f_0, m = 1", {"subtract_initial": True}, (0.0, 0.004)),
    ):
        setting = replace(_TWO_LAYER, **given)
        theory, draws = two_layer_tradeoff(setting, rho), two_layer_draws(setting, rho, draws=_DRAWS, seed=_SEED)
        rows += _shown(theory, draws, what)
        effects += _effects(draws, what, decides=what == "f, m = 1")
        verdicts[what] = _together(theory, draws)
    others = "; ".join(f"{what}: {verdict}" for what, verdict in verdicts.items() if what != "f, m = 1")
    return Finding(verdicts["f, m = 1"], tuple(rows), f"The same of {others}.", tuple(effects))


def _diagonal_tradeoff(_: Evidence) -> Finding:
    rho = (0.0, 0.2, 0.4)
    theory, draws = diagonal_tradeoff(_DIAGONAL, rho), diagonal_draws(_DIAGONAL, rho, draws=_DRAWS, seed=_SEED)
    return Finding(
        _together(theory, draws), tuple(_shown(theory, draws, "m = 1")), effects=tuple(_effects(draws, "m = 1"))
    )


def _two_layer_groups(_: Evidence) -> Finding:
    """Exponent of m in the slope of log D, which is that of log |a|^2, by rho."""
    rates, theory, trained = 0.002, [], []
    rows: list[Row] = []
    for m in _GROUPS:
        setting, rho = replace(_TWO_LAYER, m=m), (0.0, rates * m)
        theory.append(-_ratio(two_layer_tradeoff(setting, rho), "diversity") / rho[1])
        means = two_layer_draws(setting, rho, draws=_DRAWS, seed=_SEED).means("diversity")
        slopes = -np.log(means[:, 1] / means[:, 0]) / rho[1]
        trained.append(slopes)
        found = _with_error(jackknife(f"m = {m}", slopes))
        rows.append(
            (
                f"m = {m}: fall of log |a|^2 over rho in theory; trained",
                several([number(theory[-1]), found], "; "),
            )
        )
    sizes = np.log(_GROUPS)
    predicted = float(np.polyfit(sizes, np.log(theory), 1)[0])
    measured = jackknife("exponent", np.polyfit(sizes, np.log(np.array(trained)), 1)[0])
    low, high = _POWER
    inside = low < predicted < high and low < measured.value - Z * measured.stderr
    inside = inside and measured.value + Z * measured.stderr < high
    rows.append(("exponent of m in theory; trained", several([number(predicted), _with_error(measured)], "; ")))
    effect = replace(measured, statistic="exponent of m in the fall of log D, trained").effect(stated=_POWER)
    return Finding(
        Verdict.HOLDS if inside else Verdict.FAILS,
        tuple(rows),
        effects=(effect,) if effect else (),
        decisive="exponent of m in theory; trained",
    )


def _diagonal_groups(_: Evidence) -> Finding:
    """Sign of the change of D, per sample and full batch."""
    rows: list[Row] = []
    effects, found = [], {}
    for m, rho in ((1, 0.3), (4, 1.0), (None, 4.0)):
        setting = replace(_DIAGONAL, n=40, d=120, m=m, learning_rate=1.0)
        draws = diagonal_draws(setting, (0.0, rho), draws=_DRAWS, seed=_SEED)
        found[m] = {name: draws.change(name) for name in _TOGETHER}
        label = f"m = {m or setting.n}, rho = {rho:g}: log ratios of trace, D, EIR, trained"
        rows.append((label, several([_with_error(each) for each in found[m].values()])))
        side = {1: -1, None: 1}.get(m, 0)
        effects += _effects(draws, f"m = {m or setting.n}", decides=bool(side), directions=(-1, side, 0))
    signs = tuple(_clear(found[m]["diversity"]) for m in (1, None))
    falls = all(_clear(each["trace"]) == -1 for each in found.values())
    verdict = Verdict.HOLDS if signs == (-1, 1) and falls else Verdict.INCONCLUSIVE if 0 in signs else Verdict.FAILS
    return Finding(verdict, tuple(rows), effects=tuple(effects))


_TOLERANCE = (
    "holds if trace, D and EIR fall from rho = 0 to the largest one in theory and, by more than four standard errors, trained; "
    "fails if one rises in both"
)
_TRAINED = (
    f"{_DRAWS} data draws of 3 networks each, the same at every rho, trained by SAM's own steps to a loss of 1e-5"
)
_TRANSFER = "our transfer of C1, which the paper states of trained networks, to"

CLAIMS = (
    Claim(
        id="two-layer-tradeoff",
        subject="transfer",
        title="The trade-off in two-layer linear networks",
        statement="Raising rho of per-sample SAM lowers the trace of the Hessian, D and EIR together (C1) in ensembles of "
        "two-layer linear networks that train f.",
        source=f"{_TRANSFER} the two-layer linear network",
        about=("C1",),
        where="closed forms",
        method=f"Closed form and training at n = 40, d = p = 120, orthogonal rows; {_TRAINED}.",
        tolerance=_TOLERANCE,
        seed=_SEED,
        check=_two_layer_tradeoff,
        figures=("sign",),
    ),
    Claim(
        id="two-layer-groups",
        subject="transfer",
        title="The trade-off in two-layer linear networks goes like 1/m",
        statement="The fall of log |a|^2, and of log D with it, by rho is proportional to 1/m, m the samples of an ascent, from "
        "per-sample SAM to full batch.",
        source="derived here (section 13 of theory/README.md); m-sharpness: Foret et al. 2021, Andriushchenko and Flammarion 2022",
        about=("Reasons",),
        where="closed forms",
        method=f"n = 40, d = p = 120, orthogonal rows, m = 1, 4, 10 and 40 at rho = 0.002 m; {_TRAINED} and the same for every m.",
        tolerance="the exponent of m in theory, and that of training with four standard errors, in "
        f"[{_POWER[0]:g}, {_POWER[1]:g}], as part of what acts, 1 in 1 + n/m, does not depend on m",
        seed=_SEED,
        check=_two_layer_groups,
        figures=("sign",),
    ),
    Claim(
        id="diagonal-tradeoff",
        subject="transfer",
        title="The trade-off in diagonal linear networks",
        statement="Raising rho of per-sample SAM lowers the trace of the Hessian, D and EIR together (C1) in ensembles of diagonal "
        "linear networks.",
        source=f"{_TRANSFER} the diagonal linear network",
        about=("C1",),
        where="closed forms",
        method=f"Closed form and training at n = 60, d = 180, alpha = 0.3, spread 0.5; {_TRAINED}.",
        tolerance=_TOLERANCE,
        seed=_SEED,
        check=_diagonal_tradeoff,
        figures=("sign",),
    ),
    Claim(
        id="diagonal-groups",
        subject="transfer",
        title="In diagonal linear networks the sign of the trade-off depends on m",
        statement="Per-sample SAM lowers D in ensembles of diagonal linear networks and full-batch SAM raises it; both lower the "
        "trace of the Hessian.",
        source="derived here (section 14 of theory/README.md)",
        about=("Reasons",),
        where="closed forms",
        method=f"n = 40, d = 120, alpha = 0.3, spread 0.5; {_TRAINED}; there is no closed form for full batch.",
        tolerance="every sign by more than four standard errors",
        seed=_SEED,
        check=_diagonal_groups,
        figures=("sign",),
    ),
)
