"""What only networks of the paper's size can show: not run here, with the command, the paper's numbers and the cost."""

from functools import partial

from checks.claim import Claim, Finding, Verdict
from checks.designs import PLANS, of_methods
from checks.evidence import Evidence
from empirical import RunConfig
from empirical.plan import gpu_hours

__all__ = ["CLAIMS"]

_RATE = 20e12
_COMMAND = "sharpdiv reproduce --profile paper --device cuda"
_MAIN, _SHAPES = PLANS["paper"], PLANS["paper-shapes"]
_CIFAR10 = tuple(run for run in _MAIN if run.data == "cifar10")
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


def _on_gpu(runs: tuple[RunConfig, ...], numbers: tuple[tuple[str, str], ...], _: Evidence) -> Finding:
    hours = gpu_hours(runs, _RATE)
    return Finding(
        Verdict.NOT_RUN,
        numbers,
        f"Needs {len(runs)} ensembles of ResNet-18 or its variants on a GPU: {hours:.0f} GPU hours of training at an assumed "
        f"{_RATE / 1e12:g} TFLOP/s that nobody measured here (operations are counted); measuring comes on top. The command trains "
        f"all {len(_MAIN + _SHAPES)} ensembles of the profile, {gpu_hours(_MAIN + _SHAPES, _RATE):.0f} hours.",
    )


_TABLE = tuple(
    (f"paper: {data}, {method}, ensemble / member mean", value)
    for data, values in _HEADLINE.items()
    for method, value in zip(("deep ensemble", "SAM", "SharpBalance"), values, strict=True)
)
_ON_GPU: tuple[tuple[str, str, str, str, tuple[RunConfig, ...], tuple[tuple[str, str], ...]], ...] = (
    (
        "figure1c-paper-size",
        "Figure 1c at the paper's size: diversity at equal sharpness",
        "On CIFAR-10 SharpBalance is more diverse than SAM at matched sharpness.",
        "C5, Fig. 1c",
        _CIFAR10,
        (
            ("paper: sharpness, read off its axis", "about 0.2 to 0.65"),
            ("paper: diversity, read off its axis; its unit is not stated, and DER is below 1", "about 1 to 7"),
            ("paper: corrupted ensemble accuracy in percent, read off its colours", "75.5 to 77.5"),
        ),
    ),
    (
        "figure4-paper-size",
        "Figure 4 at the paper's size",
        "On CIFAR-10, CIFAR-100 and TinyImageNet raising rho lowers sharpness and the ensemble improvement rate, and raises the "
        "members' accuracy on corrupted images.",
        "C1, C2, Fig. 4",
        of_methods(_MAIN, "sgd", "sam"),
        _FIGURE_ONLY,
    ),
    (
        "figure5-paper-size",
        "Figure 5 at the paper's size",
        "On CIFAR-10 the trade-off is steeper in narrower and in sparser networks.",
        "C4, Fig. 5",
        _SHAPES + of_methods(_CIFAR10, "sgd", "sam"),
        _FIGURE_ONLY,
    ),
    (
        "figure7-paper-size",
        "Figure 7 at the paper's size: the headline table",
        "SharpBalance has the highest ensemble accuracy on all six data sets, ensembles of three ResNet-18.",
        "C6, Fig. 7",
        _MAIN,
        _TABLE,
    ),
    (
        "calibration-paper-size",
        "Calibration at the paper's size",
        "SharpBalance has the lowest ECE and NLL at every ensemble size.",
        "C7, appendix",
        _MAIN,
        _FIGURE_ONLY,
    ),
    (
        "cost-paper-size",
        "Cost at the paper's size",
        "SharpBalance takes little more time than SAM.",
        "C8",
        of_methods(_CIFAR10, "sam", "sharpbalance"),
        (("paper", "a small overhead; no number that this project has a record of"),),
    ),
    (
        "c3-everywhere",
        "C3: the trade-off on every data set and metric",
        "The trade-off shows on CIFAR-10, CIFAR-100 and TinyImageNet with every diversity and sharpness metric.",
        "C3, Fig. 4 and appendix",
        of_methods(_MAIN, "sgd", "sam"),
        _FIGURE_ONLY,
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
            "Not checked by this version; the profile has the paper's data sets, networks and ensembles.",
            "none",
            None,
            partial(_on_gpu, runs, numbers),
            _COMMAND,
        )
        for id_, title, statement, source, runs, numbers in _ON_GPU
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
            "none",
        )
        for id_, title, statement, reason in _ELSEWHERE
    ),
)
