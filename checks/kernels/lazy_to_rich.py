"""Claims about the way out of the lazy limit, checked on the dial of small networks (``alpha_sweep.py``)."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import chain

import numpy as np

from sharpdiv.checks.claim import Claim, Finding, Row, Verdict, number
from sharpdiv.checks.evidence import Evidence
from sharpdiv.checks.kernels.alpha_curves import (
    COMPARED_AT,
    SYMBOLS,
    change,
    changes_at_equal_loss,
    curves,
)
from sharpdiv.checks.kernels.alpha_network import DialNetwork
from sharpdiv.checks.kernels.dials import BLOCKS
from sharpdiv.checks.kernels.lazy_limit import COMMAND, SETTING, missing, percent
from sharpdiv.checks.kernels.ranks import spearman
from sharpdiv.checks.members import jackknife
from sharpdiv.checks.quantity import Several, Value, several
from sharpdiv.checks.statistics import LEVEL, Comparison, aligned, judge

__all__ = ["CLAIMS"]

_SIGNS = ("diversity", "sharpness", "eir")
_LOSS_WITHIN = (20, 30, 40)  # steps
_D_WITHIN = 0.05


def _error(network: DialNetwork, alpha: float, quantity: str) -> float:
    """Largest relative error of a prediction over rho; NaN if a member diverged."""
    column = network.snapshots.index(COMPARED_AT)
    return float(np.abs(network.measured[alpha]["sam"].relative_error[quantity][:, column]).max())


def _rich(evidence: Evidence) -> Finding:
    """How far the lazy prediction carries, by alpha and network, and how its error falls."""
    networks = evidence.trained_in_all_layers
    numbers = [row for network in networks for row in _error_rows(network)]
    at_one = [_error(network, 1.0, "diversity") <= _D_WITHIN for network in networks if 1.0 in network.measured]
    if not at_one:
        return missing("networks at alpha = 1")
    verdict = Verdict.HOLDS if all(at_one) else Verdict.CONDITIONAL if any(at_one) else Verdict.FAILS
    remark = f"D is predicted within {_D_WITHIN:.0%} in {sum(at_one)} of {len(at_one)} networks at alpha = 1."
    return Finding(
        verdict, tuple(numbers), remark, reasons={Verdict.FAILS: f"D is more than {_D_WITHIN:.0%} off in every network"}
    )


def _error_rows(network: DialNetwork) -> list[Row]:
    rows: list[Row] = []
    for quantity in ("diversity", "sharpness", "member_error", "ensemble_error", "loss"):
        errors = several([percent(_error(network, alpha, quantity), f"{alpha:g}: ") for alpha in network.alphas])
        rows.append((f"{network.name}: {SYMBOLS[quantity]}, largest relative error over rho by alpha", errors))
    column = network.snapshots.index(COMPARED_AT)
    distances = [of["sam"].distance[:, column].mean() for of in network.measured.values()]
    by_alpha = several([percent(d, f"{alpha:g}: ") for alpha, d in zip(network.alphas, distances, strict=True)])
    if len(network.alphas) > 1:
        slope = np.polyfit(np.log(network.alphas), np.log(distances), 1)[0]
        by_alpha = several([by_alpha, number(slope, form=".2f", name="like alpha to the ")], "; ")
    return [*rows, (f"{network.name}: distance of the functions by alpha", by_alpha)]


def _sign_flip(evidence: Evidence) -> Finding:
    """Change of D from gradient descent to the largest rho at equal loss, predicted and measured by the same members."""
    networks = [network for network in evidence.trained_in_all_layers if 1.0 in network.measured]
    if not networks:
        return missing("networks at alpha = 1")
    rows, predicted, measured = [], [], []
    for network in networks:
        for steps in _LOSS_WITHIN:
            theory, trained, level = changes_at_equal_loss(network, 1.0, "diversity", steps)
            label = f"{network.name}, loss {number(level)}, which all reach within {steps} steps"
            predicted.append(jackknife(label, theory, "log ratio of D in theory"))
            measured.append(jackknife(label, trained, "log ratio of D at alpha = 1"))
        by_alpha = [
            _both(alpha, theory[0], trained[0])
            for alpha in network.alphas
            for theory, trained, _ in [changes_at_equal_loss(network, alpha, "diversity", _LOSS_WITHIN[-1])]
        ]
        label = f"{network.name}, loss that all reach within {_LOSS_WITHIN[-1]} steps"
        rows.append((f"{label}: log ratio of D in theory and trained by alpha", several(by_alpha, "; ")))
    rise = judge(predicted, 1)
    fall = judge(measured, -1, rows=(*rows, *rise.numbers), remark=f"That D rises in theory: {rise.verdict}.")
    worse = next(v for v in (Verdict.FAILS, Verdict.INCONCLUSIVE, Verdict.HOLDS) if v in {rise.verdict, fall.verdict})
    reasons = fall.reasons if fall.verdict == worse else {Verdict.FAILS: "D does not rise in theory"}
    return replace(fall, verdict=worse, reasons=reasons)


def _both(alpha: float, theory: float, trained: float, form: str = "+.2g") -> Several:
    """What theory says and what training gives, for one alpha."""
    return several([number(theory, form=form, name=f"{alpha:g}: "), number(trained, form=form)])


_Found = tuple[list[Comparison], list[Row]]
"""Comparisons and rows of one network."""


def _of_each(check: Callable[[DialNetwork], _Found], evidence: Evidence) -> Finding:
    """Verdict on what a check finds in the trained networks, all of them one family."""
    found = [check(network) for network in evidence.trained_in_all_layers]
    if not found:
        return missing("the dial")
    comparisons, rows = zip(*found, strict=True)
    return judge(list(chain(*comparisons)), 1, rows=list(chain(*rows)))


def _signs_at_equal_loss(network: DialNetwork) -> _Found:
    """Signs of the changes of D, kappa and EIR over rho where all radii have one training loss; those of errors are told."""
    found = []
    rows: list[Row] = []
    for quantity in (*_SIGNS, "member_error", "ensemble_error"):
        by_alpha = []
        for alpha in network.alphas:
            label = f"{network.name}, alpha = {alpha:g}, {SYMBOLS[quantity]}"
            theory, trained, _ = changes_at_equal_loss(network, alpha, quantity, _LOSS_WITHIN[-1])
            found += [_aligned(label, theory, trained)] if quantity in _SIGNS else []
            by_alpha.append(_both(alpha, theory[0], trained[0]))
        label = f"{network.name}: log ratio of {SYMBOLS[quantity]} in theory and trained by alpha"
        rows.append((label, several(by_alpha, "; ")))
    return found, rows


def _signs(network: DialNetwork) -> _Found:
    """Signs of dD/drho, dkappa/drho and dEIR/drho, and rank correlation of prediction and measurement."""
    found = []
    ranks: dict[str, list[Value]] = {quantity: [] for quantity in _SIGNS}
    both: list[Value] = []
    for alpha in network.alphas:
        members = network.trained_members(alpha)
        theory = curves(network, "sam", members=members).at(COMPARED_AT)
        trained = curves(network, "sam", alpha).at(COMPARED_AT)
        for quantity in _SIGNS:
            label = f"{network.name}, alpha = {alpha:g}, {SYMBOLS[quantity]}"
            found.append(_aligned(label, change(theory[quantity]), change(trained[quantity])))
            rank = float(spearman(theory[quantity][0], trained[quantity][0]))
            ranks[quantity].append(number(rank, form=".2g", name=f"{alpha:g}: "))
        of_theory, of_trained = (float(spearman(v["diversity"][0], v["sharpness"][0])) for v in (theory, trained))
        both.append(_both(alpha, of_theory, of_trained, form=".2g"))
    rows: list[Row] = [
        (
            f"{network.name}: rank correlation of predicted and trained {SYMBOLS[quantity]} over rho by alpha",
            several(values),
        )
        for quantity, values in ranks.items()
    ]
    label = f"{network.name}: rank correlation of D and kappa over rho, in theory and trained, by alpha"
    return found, [*rows, (label, several(both, "; "))]


def _aligned(label: str, theory: np.ndarray, trained: np.ndarray) -> Comparison:
    """A trained ensemble's change over rho, counted in the direction of the same members' prediction."""
    predicted, measured = (jackknife(label, side) for side in (theory, trained))
    return aligned(predicted, measured, "log ratio over rho in the predicted direction")


def _on_blocks(quantity: str, direction: int, evidence: Evidence) -> Finding:
    """A quantity of SharpBalance on disjoint blocks relative to SAM on all data, without SAM and at the largest rho."""
    networks = [network for network in evidence.trained_in_all_layers if "blocks" in network.network.optimizers]
    if not networks:
        return missing("the dial")
    found, rows = [], []
    for network in networks:
        ends = network.fractions[0], network.fractions[-1]
        for alpha in (None, *network.alphas):
            members = None if alpha else network.members
            sam, blocks = (
                curves(network, method, alpha, members=members, apart=True).at(COMPARED_AT)[quantity]
                for method in ("sam", "blocks")
            )
            ratio = np.log(blocks / sam)
            name = f"{network.name}, {f'alpha = {alpha:g}' if alpha else 'theory'}"
            statistic = f"log ratio of {SYMBOLS[quantity]} on blocks to that on all data"
            pair = [
                jackknife(f"{name}, rho x_max = {end:g}", ratio[:, place], statistic)
                for end, place in zip(ends, (0, -1), strict=True)
            ]
            found += pair if alpha else []
            rows += [] if alpha else [comparison.row() for comparison in pair]
    return judge(found, direction, rows=rows)


def _diverse_blocks(evidence: Evidence) -> Finding:
    return _on_blocks("diversity", 1, evidence)


def _better_blocks(evidence: Evidence) -> Finding:
    return _on_blocks("ensemble_error", -1, evidence)


_TOLERANCE = (
    "95% t intervals over members of the jackknife's pseudo-values, which correct an ensemble's own value for its bias; test "
    f"points held fixed; holds if every comparison is on the claimed side with p < {LEVEL:g}, fails if one is on the other with "
    f"p < {LEVEL:g} after Holm's adjustment over all of them"
)

CLAIMS = (
    Claim(
        id="lazy-rich",
        subject="networks",
        title="Rung 4: the quadratic model at alpha = 1",
        statement="Networks with outputs of order one (alpha = 1) have the diversity that the quadratic model of the "
        "theory predicts.",
        source="Theorem 1",
        about=("Theorems",),
        where="kernels beside networks",
        method=SETTING + ".",
        tolerance=f"fails if the largest relative error of D over rho is above {_D_WITHIN:.0%} for every network",
        seed=None,
        check=_rich,
        command=COMMAND,
        figures=("predicted_measured", "bridge"),
    ),
    Claim(
        id="lazy-sign-flip",
        subject="networks",
        title="D against rho: the sign flips out of the lazy limit",
        statement="At equal training loss D rises from gradient descent to the largest rho of full-batch SAM in the lazy limit, "
        "and falls in networks trained on f - f_0 at alpha = 1.",
        source="Theorem 1",
        about=("Theorems",),
        where="kernels beside networks",
        method=f"{SETTING}; three levels of the loss, common to both sides: those that the slowest radius of either reaches within "
        f"{', '.join(map(str, _LOSS_WITHIN))} steps; D interpolated between snapshots; log ratios of the largest rho to none, by "
        "alpha those of the ensemble itself.",
        tolerance=_TOLERANCE + ", in theory and of networks apart",
        seed=None,
        check=_sign_flip,
        command=COMMAND,
        figures=("bridge",),
    ),
    Claim(
        id="lazy-signs",
        subject="networks",
        title="Signs of dD/drho, dkappa/drho and dEIR/drho",
        statement="Diversity, sharpness and improvement rate of networks trained by full-batch SAM on f - f_0 change with rho in "
        "the direction that theory predicts.",
        source="Theorem 1",
        about=("Theorems",),
        where="kernels beside networks",
        method=f"{SETTING}; from gradient descent to the largest rho at k = {COMPARED_AT}; rank correlations over "
        "the four radii at that k.",
        tolerance=_TOLERANCE,
        seed=None,
        check=partial(_of_each, _signs),
        command=COMMAND,
        figures=("bridge",),
    ),
    Claim(
        id="lazy-signs-at-equal-loss",
        subject="networks",
        title="The same signs at equal training loss",
        statement="At equal training loss diversity, sharpness and improvement rate of networks trained by full-batch SAM on "
        "f - f_0 change with rho in the direction that theory predicts.",
        source="Theorem 1",
        about=("Theorems",),
        where="kernels beside networks",
        method=f"{SETTING}; from gradient descent to the largest rho at the loss that the slowest radius of either side "
        "reaches within "
        f"{_LOSS_WITHIN[-1]} steps, interpolated between snapshots; log ratios of the largest rho to none, by alpha those of the "
        "ensemble itself.",
        tolerance=_TOLERANCE,
        seed=None,
        check=partial(_of_each, _signs_at_equal_loss),
        command=COMMAND,
        figures=("bridge",),
    ),
    Claim(
        id="lazy-blocks",
        subject="networks",
        title="SharpBalance on disjoint blocks, lazy to rich: diversity",
        statement="Ensembles with one member on each of three disjoint blocks are more diverse than with all members on "
        "all data, at every "
        "alpha, without SAM and with it.",
        source="C5, Theorem 2",
        about=("C5",),
        where="kernels beside networks",
        method=f"{SETTING}; {BLOCKS} blocks, two members on each (four at alpha <= 3); D over pairs on different blocks, at "
        f"k = {COMPARED_AT}; rho x_max = 0 is plain gradient descent on blocks, the control.",
        tolerance=_TOLERANCE,
        seed=None,
        check=_diverse_blocks,
        command=COMMAND,
        figures=("predicted_measured",),
    ),
    Claim(
        id="lazy-blocks-error",
        subject="networks",
        title="SharpBalance on disjoint blocks, lazy to rich: error",
        statement="Ensembles with one member on each of three disjoint blocks have a smaller squared error than with all "
        "members on all "
        "data, at every alpha, without SAM and with it.",
        source="C6, Theorem 2",
        about=("C6",),
        where="kernels beside networks",
        method=f"{SETTING}; {BLOCKS} blocks, two members on each (four at alpha <= 3); error of ensembles of {BLOCKS}, at "
        f"k = {COMPARED_AT}: each member has a third of the data.",
        tolerance=_TOLERANCE,
        seed=None,
        check=_better_blocks,
        command=COMMAND,
        figures=("predicted_measured",),
    ),
)
