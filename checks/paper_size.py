"""What only networks of the paper's size can show: judged where there are results, with the paper's numbers; else what it costs."""

from collections.abc import Callable, Sequence
from functools import partial

from checks.calibration import lowest, threes
from checks.claim import Claim, Finding, Verdict
from checks.cost import CLAIMS as COST
from checks.cost import cost
from checks.designs import AT_FIXED_POINTS, DESIGNS, MAIN, ON_GPU, PLANS, TOLERANCE, of_methods, on_whole
from checks.ensembles import chosen_accuracy, improvement_rate, matched_diversity, robust_members, tradeoff
from checks.everywhere import every_metric
from checks.evidence import Evidence
from checks.shapes import steeper
from empirical import RunConfig
from empirical.plan import gpu_hours
from empirical.profiles import PROFILES

__all__ = ["CLAIMS"]

_RATE = 20e12
_SHAPES = PLANS["paper-shapes"]
_DATA = {data: runs for data, runs in MAIN.items() if data not in DESIGNS}
_CIFAR10 = _DATA["cifar10"]
_DENSE = of_methods(_CIFAR10, "sgd", "sam")
Part = tuple[tuple[RunConfig, ...], Callable[[Evidence], Finding]]
"""Plan on one data set, and the check that its ensembles go through."""
_FIGURE_ONLY = (("paper", "a figure; no numbers are published"),)

_HEADLINE = {
    "CIFAR10-C": ("75.83 / 74.19", "76.32 / 75.45", "77.32 / 76.12"),
    "CIFAR100-C": ("50.67 / 47.66", "51.29 / 49.41", "52.46 / 50.43"),
    "TinyImageNet-C": ("29.64 / 26.30", "30.82 / 28.37", "31.98 / 29.27"),
    "CIFAR10": ("95.58 / 94.74", "96.06 / 95.66", "96.18 / 95.73"),
    "CIFAR100": ("79.28 / 76.77", "79.50 / 77.81", "79.84 / 78.06"),
    "TinyImageNet": ("69.60 / 65.75", "70.69 / 68.26", "70.83 / 68.36"),
}
"""Accuracy in percent, ensemble / member mean, of SGD, SAM and SharpBalance (Fig. 7)."""


def _not_run(reason: str, _: Evidence) -> Finding:
    return Finding(Verdict.NOT_RUN, remark=reason)


def _on_gpu(parts: Sequence[Part], numbers: tuple[tuple[str, str], ...], evidence: Evidence) -> Finding:
    """The least favourable verdict of the parts that are there; it cannot hold while one is not."""
    found = [(plan[0].data, on_whole(check, plan, evidence)) for plan, check in parts]
    here = [(data, finding) for data, finding in found if finding.verdict != Verdict.NOT_RUN]
    if not here:
        return Finding(Verdict.NOT_RUN, numbers, _price(parts))
    verdicts = {finding.verdict for _, finding in here}
    worst = next(v for v in (Verdict.FAILS, Verdict.INCONCLUSIVE, Verdict.CONDITIONAL, Verdict.HOLDS) if v in verdicts)
    if len(here) < len(found) and worst != Verdict.FAILS:
        worst = Verdict.INCONCLUSIVE
    rows = [(f"{data}: {label}", value) for data, finding in here for label, value in finding.numbers]
    remarks = (f"{data}: {finding.verdict}. {finding.remark}" for data, finding in found)
    return Finding(worst, (*numbers, *rows), " ".join(dict.fromkeys(remarks)))


def _price(parts: Sequence[Part]) -> str:
    needed = tuple(dict.fromkeys(run for plan, _ in parts for run in plan))
    data = {run.data for run in needed}
    trained = [run for part in PROFILES["paper"] for run in part.runs if run.data in data]
    return (
        f"Needs {len(needed)} ensembles of ResNet-18 or its variants on a GPU: {gpu_hours(needed, _RATE):.0f} GPU hours of "
        f"training at an assumed {_RATE / 1e12:g} TFLOP/s that nobody measured here (operations are counted); measuring comes on "
        f"top. The command trains all {len(trained)} ensembles of the profile on these data, {gpu_hours(trained, _RATE):.0f} hours."
    )


def _command(parts: Sequence[Part]) -> str:
    data = list(dict.fromkeys(plan[0].data for plan, _ in parts))
    return ON_GPU if len(data) == len(_DATA) else f"{ON_GPU} --data {' '.join(data)}"


def _everywhere(*checks: Callable[[Evidence], Finding], methods: tuple[str, ...]) -> tuple[Part, ...]:
    """Checks on every data set of the paper."""
    return tuple((of_methods(plan, *methods), check) for plan in _DATA.values() for check in checks)


_TABLE = tuple(
    (f"paper: {data}, {method}, ensemble / member mean", value)
    for data, values in _HEADLINE.items()
    for method, value in zip(("deep ensemble", "SAM", "SharpBalance"), values, strict=True)
)
_BY_PART = "; each data set and check is a family of its own, and one that fails makes the whole fail"
_ON_GPU: tuple[tuple[str, str, str, str, tuple[Part, ...], tuple[tuple[str, str], ...], str], ...] = (
    (
        "figure1c-paper-size",
        "Figure 1c at the paper's size: diversity at equal sharpness",
        "On CIFAR-10 SharpBalance is more diverse than SAM at matched sharpness.",
        "C5, Fig. 1c",
        ((_CIFAR10, matched_diversity),),
        (
            ("paper: sharpness, read off its axis", "about 0.2 to 0.65"),
            ("paper: diversity, read off its axis; its unit is not stated, and DER is below 1", "about 1 to 7"),
            ("paper: corrupted ensemble accuracy in percent, read off its colours", "75.5 to 77.5"),
        ),
        TOLERANCE,
    ),
    (
        "figure4-paper-size",
        "Figure 4 at the paper's size",
        "On CIFAR-10, CIFAR-100 and TinyImageNet raising rho lowers sharpness, disagreement, DER and the ensemble improvement "
        "rate, and raises the members' accuracy on corrupted images.",
        "C1, C2, Fig. 4",
        _everywhere(tradeoff, improvement_rate, robust_members, methods=("sgd", "sam")),
        _FIGURE_ONLY,
        TOLERANCE + _BY_PART,
    ),
    (
        "figure5-paper-size",
        "Figure 5 at the paper's size",
        "On CIFAR-10 the trade-off is steeper in narrower and in sparser networks.",
        "C4, Fig. 5",
        (
            (_DENSE + tuple(run for run in _SHAPES if not run.sparsity), partial(steeper, "width", 1)),
            (_DENSE + tuple(run for run in _SHAPES if run.sparsity), partial(steeper, "sparsity", 1)),
        ),
        _FIGURE_ONLY,
        TOLERANCE + _BY_PART,
    ),
    (
        "figure7-paper-size",
        "Figure 7 at the paper's size: the headline table",
        "Each method at its best rho, SharpBalance has the highest ensemble accuracy on all six data sets, ensembles of three "
        "ResNet-18.",
        "C6, Fig. 7",
        _everywhere(chosen_accuracy, methods=("sgd", "sam", "sharpbalance")),
        _TABLE,
        TOLERANCE + _BY_PART,
    ),
    (
        "calibration-paper-size",
        "Calibration at the paper's size",
        "At every rho SharpBalance has lower ECE and NLL than SGD and than SAM at equal rho, of ensembles of three.",
        "C7, appendix",
        tuple(
            (threes(plan), partial(lowest, field))
            for plan in _DATA.values()
            for field in ("by_size", "corrupted_by_size")
        ),
        _FIGURE_ONLY,
        AT_FIXED_POINTS + _BY_PART,
    ),
    (
        "cost-paper-size",
        "Cost at the paper's size",
        COST[0].statement,
        "C8",
        ((of_methods(_CIFAR10, "sam", "sharpbalance"), cost),),
        (("paper", "a small overhead; no number that this project has a record of"),),
        COST[0].tolerance,
    ),
    (
        "c3-everywhere",
        "C3: the trade-off on every data set and metric",
        "The trade-off shows on CIFAR-10, CIFAR-100 and TinyImageNet with every diversity and sharpness metric.",
        "C3, Fig. 4 and appendix",
        _everywhere(every_metric, methods=("sgd", "sam")),
        _FIGURE_ONLY,
        AT_FIXED_POINTS + _BY_PART,
    ),
)
_ELSEWHERE = (
    (
        "appendix-transformers",
        "Appendix: ViT-T/16 and ALBERT",
        "The trade-off and SharpBalance's advantage show on fine-tuned transformers.",
        "This toolkit trains residual networks only.",
    ),
    (
        "appendix-rivals",
        "Appendix: comparison with EoA and SAM+",
        "SharpBalance ensembles beat ensembles of averages and SAM+.",
        "Neither rival is part of this toolkit.",
    ),
)

CLAIMS = (
    *(
        Claim(
            id_,
            "paper",
            title,
            statement,
            source,
            "As the claims of the same number on smaller networks, once there are results of the profile, which has the paper's "
            "data sets, networks and ensembles; sharpdiv check --results FOLDER reads them.",
            tolerance,
            2024,
            partial(_on_gpu, parts, numbers),
            _command(parts),
        )
        for id_, title, statement, source, parts, numbers, tolerance in _ON_GPU
    ),
    *(
        Claim(
            id_,
            "paper",
            title,
            statement,
            "appendix",
            "Not checked by this version.",
            "none",
            None,
            partial(_not_run, reason),
            "none yet",
        )
        for id_, title, statement, reason in _ELSEWHERE
    ),
)
