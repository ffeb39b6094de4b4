"""Does what SAM does to the weights' norm tell what it does to diversity? Asked after the networks were seen: exploratory.

In models in which one weight multiplies another, SAM shrinks weights and diversity falls with their norm (``models``,
``two-layer``). What is kept of trained networks is the norm of all convolutions and the last layer; behind batch norm a
convolution's own scale multiplies nothing.
"""

from functools import partial

import numpy as np
from jaxtyping import Float

from sharpdiv.checks.claim import Claim, Finding, Verdict
from sharpdiv.checks.ensembles.conditions import CURVE
from sharpdiv.checks.ensembles.missing import command, judged, missing, waiting
from sharpdiv.checks.ensembles.study import Condition, Study
from sharpdiv.checks.evidence import Evidence
from sharpdiv.checks.kernels.ranks import spearman
from sharpdiv.checks.quantity import number, several
from sharpdiv.checks.statistics import Comparison, judge
from sharpdiv.empirical.runs.profiles import DESIGNS, LABELS, Design

__all__ = ["CLAIMS"]

_DESIGNS = ("digits", "fashion-mnist", "cifar10-jpeg")


def _changes(study: Study) -> tuple[Float[np.ndarray, "blocks rho"], Float[np.ndarray, "blocks rho"]]:
    """Changes of the logarithms of norm and D from SGD to each rho of SAM, in each block of seeds."""
    norms, diversities = (
        np.stack([logarithm(study.conditions[name]) for name in CURVE], axis=1) for logarithm in (_norm, _diversity)
    )
    return norms[:, 1:] - norms[:, :1], diversities[:, 1:] - diversities[:, :1]


def _norm(condition: Condition) -> Float[np.ndarray, " blocks"]:
    return np.array([np.log(np.mean(record.of_members("weight_norm"))) for record in condition.blocks])


def _diversity(condition: Condition) -> Float[np.ndarray, " blocks"]:
    return np.array([np.log(record.probs.var(axis=0, ddof=1).sum(axis=1).mean()) for record in condition.blocks])


def _check(design: Design, evidence: Evidence) -> Finding:
    study = evidence.study(design)
    if study is None:
        return Finding(Verdict.NOT_RUN, remark=missing(design, len(evidence.blocks(design))))
    norms, diversities = _changes(study)
    zero = np.zeros((len(norms), 1))  # SGD itself
    slopes = (norms * diversities).sum(axis=1) / (norms**2).sum(axis=1)
    ranks = spearman(np.hstack([zero, norms]), np.hstack([zero, diversities]))
    what = "log D against log norm, from SGD over three rho of SAM"
    found = judge(
        [
            Comparison("slope in a block", slopes, statistic=what),
            Comparison("rank correlation in a block", ranks, statistic=what),
        ],
        1,
        rows=[
            (
                f"{LABELS[name]}: change of log norm, of log D; rank correlation over blocks",
                several([number(x.mean()), number(y.mean()), number(float(spearman(x, y)))], "; "),
            )
            for name, x, y in zip(CURVE[1:], norms.T, diversities.T, strict=True)
        ],
        remark=f"{study.blocks} of {len(design.blocks)} blocks of seeds.",
    )
    if judged(design, study.blocks):
        return found
    return Finding(
        Verdict.INCONCLUSIVE, found.numbers, found.remark, found.effects, reasons=waiting(design, study.blocks)
    )


CLAIMS = tuple(
    Claim(
        id=f"norms-{name}",
        subject="networks",
        title="The change of the weights' norm tells that of diversity",
        statement="Where SAM changes the norm of a network's weights, log D changes with it, in the same direction, over rho.",
        source=f"what explains the trade-off in models where weights multiply each other; here on {name}",
        about=("Reasons",),
        where=name,
        design=name,
        method="norm of all convolutions and the last layer, mean over members; D; changes of both from SGD, in each block of "
        "seeds",
        tolerance="slope and rank correlation both above 0 by their own two-sided p-values over blocks, at 0.05; it fails if "
        "one is below 0 after Holm's adjustment",
        seed=None,
        check=partial(_check, DESIGNS[name]),
        command=command(DESIGNS[name]),
    )
    for name in _DESIGNS
)
