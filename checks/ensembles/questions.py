"""The primary comparison of every claim about trained ensembles: one statistic, its direction, and the smallest effect of interest.

They are part of the protocol: fixed and committed before the seeds that they are asked of were trained.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sharpdiv.checks.ensembles.crossed import Estimate, Primary, Table, estimated
from sharpdiv.checks.ensembles.quantities import (
    MAIN_SHARPNESS,
    SHARPNESS,
    against_rival,
    at_equal_loss,
    calibration,
    der,
    gap,
    improvement_rate,
    inside_against_across,
    least_clear,
    log_ratio,
    mean_of,
    robustness,
    sharpness,
    steepness,
    training_loss,
)
from sharpdiv.checks.ensembles.study import Study

__all__ = ["QUESTIONS", "Question"]


@dataclass(frozen=True)
class Question:
    """One claim and the comparison that decides it."""

    id: str
    """with {} for the data set"""
    family: Literal["paper", "ours"]
    """which Holm's adjustment is over: the paper's claims, or ours about what explains them"""
    title: str
    """one line"""
    statement: str
    """what holds if the effect has its direction"""
    source: str
    """where it is stated"""
    statistic: Callable[[Study], Table] | None
    """0 if there is no effect; None for ``every_metric``"""
    tells: str
    """the statistic in words"""
    direction: int
    """sign of the effect that is stated"""
    delta: float = 0.0
    """smallest effect of interest; 0 where none has a meaning"""
    reason: str = ""
    """for it"""
    needs: tuple[str, ...] = ()
    """conditions that not every design has"""
    shows: tuple[str, ...] = ()
    """keys of ``LEVELS``, described for every condition"""
    beside: tuple[tuple[str, Callable[[Study], Table]], ...] = ()
    """further statistics, described and not decided"""
    by_validation: bool = False
    """whether rho is chosen by validation"""
    about: tuple[str, ...] = ("Reasons",)
    """claims of the paper that it is about"""

    def primary(self, study: Study) -> Primary:
        """The comparison.

        Args:
            study: whole blocks of the conditions.

        Returns:
            What ``decide`` takes.
        """
        if self.statistic is None:
            return least_clear(study)
        return self.decided_by(estimated(self.statistic(study)))

    def decided_by(self, found: Estimate) -> Primary:
        """The comparison from its estimate.

        Args:
            found: of the statistic.

        Returns:
            What ``decide`` takes.
        """
        within = found.p_within(self.delta) if self.delta else float("nan")
        return Primary(found.p, 0 if found.obstacle else int(np.sign(found.value)), self.direction, within)


_D_REASON = "5%, a quarter of what SAM does to D on the pilot's seeds of CIFAR-10"
_PAPER_GAIN = "the same share of the error as in the paper's Fig. 7 on CIFAR-10"
_SGD_START = "ours: SGD until the exchange, rule paper"
_THEIRS = "the authors' code: SAM until the exchange, its rule for the data set"

_OTHER_SHARPNESS = (
    *(
        (f"the same at equal {SHARPNESS[name]}", gap("sharpbalance-mid", mean_of("D"), sharpness(name)))
        for name in ("worst_l2_adaptive", "average_l2_adaptive", "one_step", "hessian_trace", "fisher_trace")
    ),
    ("the same of shuffled sets", gap("shuffled", mean_of("D"), sharpness(MAIN_SHARPNESS))),
    ("the same of SAM after the exchange only", gap("late-sam", mean_of("D"), sharpness(MAIN_SHARPNESS))),
    ("the same by DER", gap("sharpbalance-mid", der, sharpness(MAIN_SHARPNESS))),
    ("the same at equal training loss", gap("sharpbalance-mid", mean_of("D"), training_loss)),
)

QUESTIONS = (
    Question(
        "c1-{}-sharpness",
        "paper",
        "C1: SAM lowers sharpness",
        "SAM's networks are flatter than SGD's.",
        "C1, Fig. 4",
        log_ratio(sharpness(MAIN_SHARPNESS), "sam-mid", "sgd"),
        "log of the ratio of sharpness, SAM to SGD",
        -1,
        0.05,
        "5%, as for D",
        shows=("sharpness", "training accuracy", "training loss"),
        about=("C1",),
    ),
    Question(
        "c1-{}",
        "paper",
        "C1: the flatter ensemble is less diverse",
        "SAM's ensembles have the smaller D, variance of the softmax over members.",
        "C1, Fig. 4",
        log_ratio(mean_of("D"), "sam-mid", "sgd"),
        "log of the ratio of D, SAM to SGD",
        -1,
        0.05,
        _D_REASON,
        shows=("D", "training accuracy", "training loss"),
        about=("C1",),
    ),
    Question(
        "c1-{}-der",
        "paper",
        "C1: the same by DER",
        "SAM's ensembles have the smaller DER, disagreement over member error.",
        "C1, Fig. 1c and 4",
        log_ratio(der, "sam-mid", "sgd"),
        "log of the ratio of DER, SAM to SGD",
        -1,
        0.05,
        _D_REASON,
        shows=("DER", "member error"),
        beside=(
            ("of it by disagreement", log_ratio(mean_of("disagreement"), "sam-mid", "sgd")),
            ("of it by member error, whose rise lowers DER", log_ratio(mean_of("member error"), "sam-mid", "sgd")),
        ),
        about=("C1",),
    ),
    Question(
        "c1-{}-eir",
        "paper",
        "C1: the flatter ensemble improves less on its members",
        "SAM's ensembles have the smaller improvement rate.",
        "C1, Fig. 4",
        log_ratio(improvement_rate, "sam-mid", "sgd"),
        "log of the ratio of EIR, SAM to SGD",
        -1,
        0.05,
        _D_REASON,
        shows=("EIR of three", "member error", "ensemble error"),
        about=("C1",),
    ),
    Question(
        "c2-{}",
        "paper",
        "C2: flatter members are more robust",
        "At the rho that is best by validation SAM's members have a smaller error on corrupted images than SGD's.",
        "C2, Fig. 4",
        robustness,
        "log of the ratio of members' corrupted error, SAM to SGD",
        -1,
        0.05,
        f"{_PAPER_GAIN}: 25.81% to 24.55%",
        shows=("member error on corrupted images", "member error"),
        about=("C2",),
    ),
    Question(
        "c3-{}",
        "paper",
        "C3: by every metric of diversity and measure of sharpness",
        "SAM lowers every metric of diversity and every measure of sharpness.",
        "C3, Fig. 4 and appendix",
        None,
        "logs of ratios, SAM to SGD; the least clear one decides (an intersection-union test), or one that clearly rises",
        -1,
        about=("C3",),
    ),
    Question(
        "c4-{}-width",
        "paper",
        "C4: the trade-off is steeper in narrower networks",
        "Log D changes more for a change of log sharpness in networks of half the width.",
        "C4, Fig. 5",
        steepness("narrow"),
        "slope of log D against log sharpness, SAM against SGD: half the width minus the main networks",
        1,
        0.5,
        "a fifth of the slope on the pilot's seeds of CIFAR-10",
        ("narrow-sgd", "narrow-sam"),
        beside=(
            ("change of log sharpness there", log_ratio(sharpness(MAIN_SHARPNESS), "narrow-sam", "narrow-sgd")),
            ("change of log sharpness in the main networks", log_ratio(sharpness(MAIN_SHARPNESS), "sam-mid", "sgd")),
        ),
        shows=("D", "sharpness"),
        about=("C4",),
    ),
    Question(
        "c4-{}-sparsity",
        "paper",
        "C4: the trade-off is steeper in sparser networks",
        "Log D changes more for a change of log sharpness in networks with a fifth of the weights.",
        "C4, Fig. 5",
        steepness("sparse"),
        "slope of log D against log sharpness, SAM against SGD: sparse minus dense networks",
        1,
        0.5,
        "a fifth of the slope on the pilot's seeds of CIFAR-10",
        ("sparse-sgd", "sparse-sam"),
        beside=(
            ("change of log sharpness there", log_ratio(sharpness(MAIN_SHARPNESS), "sparse-sam", "sparse-sgd")),
            ("change of log sharpness in the main networks", log_ratio(sharpness(MAIN_SHARPNESS), "sam-mid", "sgd")),
        ),
        shows=("D", "sharpness"),
        about=("C4",),
    ),
    Question(
        "c5-{}",
        "paper",
        "C5: SharpBalance is more diverse at equal sharpness",
        "At its sharpness SharpBalance has a larger D than the curve of SGD and SAM.",
        f"C5, Fig. 1c; {_SGD_START}",
        gap("sharpbalance-mid", mean_of("D"), sharpness(MAIN_SHARPNESS)),
        "log of the ratio of D, SharpBalance to the curve of SGD and SAM over rho, read at SharpBalance's sharpness",
        1,
        0.05,
        _D_REASON,
        shows=("D", "sharpness", "training loss"),
        beside=_OTHER_SHARPNESS,
        about=("C5",),
    ),
    Question(
        "c6-{}",
        "paper",
        "C6: SharpBalance's ensembles are the most accurate",
        "Each at the rho that is best by validation, SharpBalance's ensembles of three have a smaller error than the better of "
        "SAM's and SGD's.",
        f"C6, Fig. 7; {_SGD_START}",
        against_rival("block error"),
        "log of the ratio of ensemble errors, SharpBalance to the rival",
        -1,
        0.03,
        f"{_PAPER_GAIN}: 3.94% to 3.82%",
        shows=("ensemble error", "member error"),
        by_validation=True,
        about=("C6",),
    ),
    Question(
        "c6-{}-corrupted",
        "paper",
        "C6: the same on corrupted images",
        "Each at the rho that is best by validation on clean images, SharpBalance's ensembles of three have a smaller error on "
        "corrupted images than the better of SAM's and SGD's.",
        f"C6, Fig. 7; {_SGD_START}",
        against_rival("corrupted block error"),
        "log of the ratio of ensemble errors on corrupted images, SharpBalance to the rival",
        -1,
        0.042,
        f"{_PAPER_GAIN}: 23.68% to 22.68%",
        shows=("ensemble error on corrupted images",),
        by_validation=True,
        about=("C6",),
    ),
    Question(
        "c7-{}",
        "paper",
        "C7: SharpBalance's ensembles have the lowest NLL",
        "Each at the rho that is best by validation, SharpBalance's ensembles of three have a smaller negative log-likelihood than "
        "the better of SAM's and SGD's.",
        f"C7, appendix; {_SGD_START}",
        against_rival("NLL"),
        "log of the ratio of NLL, SharpBalance to the rival",
        -1,
        0.03,
        "as for the error in C6",
        shows=("NLL of three",),
        beside=(("the same by ECE, test points held fixed", calibration(corrupted=False)),),
        by_validation=True,
        about=("C7",),
    ),
    Question(
        "c7-{}-corrupted",
        "paper",
        "C7: the same on corrupted images",
        "Each at the rho that is best by validation on clean images, SharpBalance's ensembles of three have a smaller negative "
        "log-likelihood on corrupted images than the better of SAM's and SGD's.",
        f"C7, appendix; {_SGD_START}",
        against_rival("corrupted NLL"),
        "log of the ratio of NLL on corrupted images, SharpBalance to the rival",
        -1,
        0.042,
        "as for the error in C6",
        shows=("NLL of three on corrupted images",),
        beside=(("the same by ECE, test points held fixed", calibration(corrupted=True)),),
        by_validation=True,
        about=("C7",),
    ),
    Question(
        "equal-loss-{}",
        "ours",
        "The trade-off at equal training loss",
        "SAM's ensembles have a smaller D than SGD's of the same training loss.",
        "C1 without underfitting",
        at_equal_loss,
        "log of the ratio of D, SAM to the line of log D against log training loss through SGD with fewer epochs and with as many",
        -1,
        0.05,
        _D_REASON,
        shows=("D", "training loss"),
        about=("C1",),
    ),
    Question(
        "equal-loss-{}-sharpbalance",
        "ours",
        "SharpBalance's diversity at equal training loss",
        "At its training loss SharpBalance has a larger D than the curve of SGD and SAM.",
        f"C5 without underfitting; {_SGD_START}",
        gap("sharpbalance-mid", mean_of("D"), training_loss),
        "log of the ratio of D, SharpBalance to the curve of SGD and SAM over rho, read at SharpBalance's training loss",
        1,
        0.05,
        _D_REASON,
        about=("C5",),
    ),
    Question(
        "coupling-{}",
        "ours",
        "Members that exchanged scores are more diverse than others",
        "Pairs of SharpBalance's members within an ensemble have a larger D than pairs across ensembles.",
        f"what the sets are for; {_SGD_START}",
        inside_against_across,
        "log of the ratio of D, pairs that exchanged scores to pairs that did not",
        1,
        0.05,
        _D_REASON,
    ),
    Question(
        "sets-{}-diversity",
        "ours",
        "The sets add diversity",
        "SharpBalance has a larger D than the same on shuffled sets, which have its sizes and overlaps and know nothing of "
        "sharpness.",
        f"what the sets are for; {_SGD_START}",
        log_ratio(mean_of("D"), "sharpbalance-mid", "shuffled"),
        "log of the ratio of D, SharpBalance to shuffled sets",
        1,
        0.05,
        _D_REASON,
    ),
    Question(
        "sets-{}",
        "ours",
        "The sets add accuracy",
        "SharpBalance's ensembles have a smaller error than those on shuffled sets.",
        f"what the sets are for; {_SGD_START}",
        log_ratio(mean_of("block error"), "sharpbalance-mid", "shuffled"),
        "log of the ratio of ensemble errors, SharpBalance to shuffled sets",
        -1,
        0.03,
        "as for C6",
    ),
    Question(
        "late-{}-diversity",
        "ours",
        "SharpBalance is more diverse than SAM applied late",
        "SharpBalance has a larger D than SAM on all samples from the exchange on.",
        f"is it the sets, or applying SAM late? {_SGD_START}",
        log_ratio(mean_of("D"), "sharpbalance-mid", "late-sam"),
        "log of the ratio of D, SharpBalance to late SAM",
        1,
        0.05,
        _D_REASON,
    ),
    Question(
        "late-{}",
        "ours",
        "SharpBalance is more accurate than SAM applied late",
        "SharpBalance's ensembles have a smaller error than those of SAM on all samples from the exchange on.",
        f"is it the sets, or applying SAM late? {_SGD_START}",
        log_ratio(mean_of("block error"), "sharpbalance-mid", "late-sam"),
        "log of the ratio of ensemble errors, SharpBalance to late SAM",
        -1,
        0.03,
        "as for C6",
    ),
    Question(
        "code-{}",
        "ours",
        "The authors' sets add accuracy",
        "Ensembles trained as the authors' code does have a smaller error than with its random sets, which are smaller, too.",
        _THEIRS,
        log_ratio(mean_of("block error"), "code", "code-random"),
        "log of the ratio of ensemble errors, the code's sets to its random ones",
        -1,
        0.03,
        "as for C6",
    ),
    Question(
        "code-{}-start",
        "ours",
        "SharpBalance from SGD is more diverse than the authors' code, which starts from SAM",
        "SharpBalance after plain training has a larger D than as the authors' code runs it; start, rule and epoch of the exchange "
        "differ together.",
        f"{_SGD_START}; {_THEIRS}",
        log_ratio(mean_of("D"), "sharpbalance-mid", "code"),
        "log of the ratio of D, ours to the authors' code",
        1,
        0.05,
        _D_REASON,
    ),
    Question(
        "code-{}-accuracy",
        "ours",
        "The authors' code gives more accurate ensembles than SAM",
        "Ensembles trained as the authors' code does have a smaller error than SAM's at the same rho.",
        f"C6 as the code runs it; {_THEIRS}",
        log_ratio(mean_of("block error"), "code", "sam-mid"),
        "log of the ratio of ensemble errors, the authors' code to SAM",
        -1,
        0.03,
        "as for C6",
        about=("C6",),
    ),
)
"""All questions; each is asked on every data set whose design has its conditions."""
