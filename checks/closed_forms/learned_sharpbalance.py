"""SharpBalance in networks that learn features: diversity at equal sharpness with sets of samples, and with disjoint blocks."""

import numpy as np
from jaxtyping import Float

from sharpdiv.checks.claim import Claim, Finding, Row, Verdict, number
from sharpdiv.checks.closed_forms.agreement import Z
from sharpdiv.checks.closed_forms.paired_draws import diagonal_draws, two_layer_draws
from sharpdiv.checks.effect import Effect
from sharpdiv.checks.evidence import Evidence
from sharpdiv.checks.members import jackknife, shares_of_members
from sharpdiv.checks.quantity import several
from sharpdiv.checks.statistics import Comparison
from sharpdiv.theory.feature_learning.diagonal.closed_forms import diagonal_tradeoff
from sharpdiv.theory.feature_learning.diagonal.setting import DiagonalSetting
from sharpdiv.theory.feature_learning.tradeoff import LearnedTradeoff
from sharpdiv.theory.feature_learning.two_layer.closed_forms import two_layer_tradeoff
from sharpdiv.theory.feature_learning.two_layer.setting import TwoLayerSetting
from sharpdiv.theory.feature_learning.two_layer.training import train_networks

__all__ = ["CLAIMS"]

_TWO_LAYER = TwoLayerSetting(n=40, d=120, width=120, m=1, learning_rate=0.05, target_loss=1e-5)
_DIAGONAL = DiagonalSetting(n=60, d=180, m=1)
_SAM = {"two-layer": (0.0, 0.002, 0.004, 0.006), "diagonal": (0.0, 0.2, 0.4)}
_SETS = {"two-layer": 0.007, "diagonal": 0.7}
"""Rho with ascents on half of the samples: flatter than gradient descent, and within SAM's range."""
_ON_BLOCKS = {"two-layer": 0.001, "diagonal": 0.2}
_BLOCKS, _SHARE, _SEED = 4, 0.5, 93
_DRAWS = {"two-layer": 8, "diagonal": 20}
_LEAST = 0.05
"""Smallest log ratio of D of interest."""

_Curve = tuple[Float[np.ndarray, "subsets _"], Float[np.ndarray, "subsets _"]]
"""Trace and D, of all draws and without each in turn."""


def _two_layer_curve(rho: tuple[float, ...], share: float) -> _Curve:
    """Members whose ascents are on random sets of samples of their own; D is ``s_w^2 (d - n) |a|^2``, exactly."""
    found = np.array(
        [[_of_a_draw(radius, share, _SEED + draw) for radius in rho] for draw in range(_DRAWS["two-layer"])]
    )
    traces, diversities = np.moveaxis(found, -1, 0)
    weights = shares_of_members(len(found))
    return weights @ traces, weights @ diversities


def _of_a_draw(rho: float, share: float, seed: int) -> tuple[float, float]:
    """Trace and D of four networks on drawn data."""
    one, rng = _TWO_LAYER, np.random.default_rng(seed)
    left, _, right = np.linalg.svd(rng.standard_normal((one.n, one.d)), full_matrices=False)
    X, teacher = np.sqrt(one.d) * left @ right, rng.standard_normal(one.d)
    y = np.tile(X @ teacher / np.linalg.norm(teacher), (4, 1))
    a = np.sqrt(one.second_variance) * rng.standard_normal((4, one.width))
    W = np.sqrt(one.first_variance) * rng.standard_normal((4, one.width, one.d))
    aware = rng.random((4, one.n)).argsort(axis=1) < share * one.n
    a, W = train_networks(one, rho * aware, X, y, a, W)
    squares = float((a**2).sum(axis=1).mean())
    trace = squares * one.d + float(((W @ X.T) ** 2).sum(axis=(1, 2)).mean()) / one.n
    return trace, one.first_variance * one.null_dimensions * squares


def _diagonal_curve(rho: tuple[float, ...], share: float) -> _Curve:
    draws = diagonal_draws(_DIAGONAL, rho, draws=_DRAWS["diagonal"], seed=_SEED, share=share)
    return draws.means("trace"), draws.means("diversity")


_CURVES = {"two-layer": _two_layer_curve, "diagonal": _diagonal_curve}


def _blocks_curve(model: str, rho: tuple[float, ...]) -> _Curve:
    if model == "two-layer":
        draws = two_layer_draws(_TWO_LAYER, rho, draws=_DRAWS[model], seed=_SEED, blocks=_BLOCKS)
    else:
        draws = diagonal_draws(_DIAGONAL, rho, draws=_DRAWS["diagonal"], seed=_SEED, blocks=_BLOCKS)
    return draws.means("trace"), draws.means("diversity")


def _gap(curve: _Curve, sam: _Curve) -> Float[np.ndarray, " subsets"]:
    """Log of D at the last rho over SAM's D at the same trace, or at the lowest or highest trace that SAM has here."""
    pairs = zip(*(np.log(values) for values in (*curve, *sam)), strict=True)
    # SAM's trace falls with rho.
    return np.array([d[-1] - np.interp(t[-1], by_trace[::-1], by_d[::-1]) for t, d, by_trace, by_d in pairs])


def _theory(model: str, rho: tuple[float, ...], blocks: int = 1) -> _Curve:
    found: LearnedTradeoff
    if model == "two-layer":
        found = two_layer_tradeoff(_TWO_LAYER, rho, blocks=blocks)
    else:
        found = diagonal_tradeoff(_DIAGONAL, rho, blocks=blocks)
    return found.trace[None], found.diversity[None]


def _of_model(model: str) -> tuple[list[Row], Comparison, Comparison, float]:
    """Rows, and the gaps of sets and of blocks, trained, and of blocks in theory."""
    radii, curve = _SAM[model], _CURVES[model]
    sam = curve(radii, 1.0)
    of_sets, of_blocks = curve((0.0, _SETS[model]), _SHARE), _blocks_curve(model, (0.0, _ON_BLOCKS[model]))
    sets, blocks = (jackknife(model, _gap(each, sam)) for each in (of_sets, of_blocks))
    predicted = float(_gap(_theory(model, (0.0, _ON_BLOCKS[model]), _BLOCKS), _theory(model, radii))[0])
    effect = np.log(of_sets[1][0, -1] / sam[1][0, 0])
    shown = [("SAM", radii, sam), (f"half the samples ascend, rho = {_SETS[model]:g}", (0.0, _SETS[model]), of_sets)]
    shown.append((f"{_BLOCKS} blocks, rho = {_ON_BLOCKS[model]:g}", (0.0, _ON_BLOCKS[model]), of_blocks))
    rows: list[Row] = [
        (
            f"{model}, {what}: traces; D, trained",
            several([several([number(x) for x in each[0].tolist()]) for each in found], "; "),
        )
        for what, _, found in shown
    ]
    rows += [
        (f"{model}, sets: log ratio of D to SAM's at the same trace", number(sets.value, sets.stderr)),
        (f"{model}, sets: log ratio of D to gradient descent's", number(float(effect))),
        (
            f"{model}, blocks: log ratio of D to SAM's at the same trace in theory; trained",
            several([number(predicted), number(blocks.value, blocks.stderr)], "; "),
        ),
    ]
    return rows, sets, blocks, predicted


def _sharpbalance(_: Evidence) -> Finding:
    found = [_of_model(model) for model in _SAM]
    of_sets = [_larger(sets) for _, sets, _, _ in found]
    of_blocks = [_larger(blocks) is True and predicted > _LEAST for *_, blocks, predicted in found]
    verdict = Verdict.INCONCLUSIVE
    if not all(of_blocks) and None not in of_blocks:
        verdict = Verdict.FAILS
    elif all(of_blocks) and None not in of_sets:
        verdict = Verdict.HOLDS if all(of_sets) else Verdict.INCONCLUSIVE if any(of_sets) else Verdict.CONDITIONAL
    return Finding(
        verdict,
        tuple(row for rows, *_ in found for row in rows),
        "With disjoint blocks, not with sets: those only change how far the weights shrink, of which D is a function, up to a few "
        "percent; blocks also change what members fit."
        if verdict == Verdict.CONDITIONAL
        else "",
        reasons={Verdict.CONDITIONAL: "on disjoint blocks, not with sets"},
        effects=tuple(
            _effect(c, what) for _, *both, _ in found for c, what in zip(both, ("sets", "blocks"), strict=True)
        ),
    )


def _effect(gap: Comparison, what: str) -> Effect:
    return Effect(
        label=f"{gap.label}, {what}",
        estimate=gap.value,
        low=gap.low,
        high=gap.high,
        unit="log ratio of D to SAM's at the same trace, trained",
        delta=_LEAST,
        direction=1,
        n=gap.ensembles,
        of="draws",
        decides=True,
    )


def _larger(gap: Comparison) -> bool | None:
    """Whether D is larger; None where that is not decided."""
    if gap.value > max(_LEAST, Z * gap.stderr):
        return True
    return False if gap.value + 2 * gap.stderr < _LEAST else None


CLAIMS = (
    Claim(
        id="feature-learning-sharpbalance",
        subject="transfer",
        title="SharpBalance at equal sharpness in networks that learn features",
        statement="At an equal trace of the Hessian ensembles of SharpBalance are more diverse than SAM's (C5), in two-layer and "
        "in diagonal linear networks: with sets of samples that ascend, and with disjoint blocks of data.",
        source="our transfer of C5, which the paper states of trained networks, to two-layer and diagonal linear networks",
        about=("C5",),
        where="closed forms",
        method="Per-sample SAM, members with the same start trained with ascents on half the samples, a random set for each, and "
        f"on {_BLOCKS} disjoint blocks; n = 40, d = p = 120, orthogonal rows, {_DRAWS['two-layer']} data draws, and n = 60, "
        f"d = 180, alpha = 0.3, {_DRAWS['diagonal']} data draws. SAM's D is interpolated at the trace; where that is "
        "below all of SAM's, its D at its lowest one is taken, which is larger.",
        tolerance=f"larger: log ratio of D above {_LEAST:g} and above four standard errors (jackknife over draws); not larger: "
        f"{_LEAST:g} is more than two above; holds if larger with sets and blocks in both models, within conditions if with blocks "
        "only",
        seed=_SEED,
        check=_sharpbalance,
    ),
)
