"""``sharpdiv compare``: measured runs beside their lazy predictions."""

from pathlib import Path
from typing import Annotated

import tyro

from sharpdiv.checks.evidence import Evidence
from sharpdiv.checks.kernels.compare import compare_runs
from sharpdiv.checks.kernels.compared import QUANTITIES, KernelComparison
from sharpdiv.cli.options import RUNS, Device, Flat, Json
from sharpdiv.cli.own import given
from sharpdiv.cli.own_compare import OwnInitial, compare_own
from sharpdiv.cli.progress import progress
from sharpdiv.cli.show import number, show, table
from sharpdiv.empirical.store import save_json
from sharpdiv.figures.registry import render

__all__ = ["compare"]


def compare(
    run: Annotated[tuple[Path, ...], tyro.conf.Positional],
    own: Annotated[OwnInitial, Flat],
    *,
    train_samples: int = 200,
    test_samples: int = 400,
    out: Path = RUNS / "compare",
    device: Device = "cpu",
    json: Json = None,
) -> int:
    """Put measured runs beside what the tangent kernels of their own networks predict.

    The runs may differ in method, rho and seeds; those of SGD and SAM need the same seeds at every rho. The numbers and a
    figure are written to the folder --out. Networks that are not ours are compared with --model, --initial, --rho and --data.

    Args:
        run: folders or records (.npz) of measured runs, at least two of SGD or SAM.
        own: networks that are not ours.
        train_samples: first training images, which kernels are taken on: one of (images x classes)^2 numbers for each seed.
        test_samples: first test images, which predictions are made for.
        out: folder for comparison.json and the figure.
        device: where kernels are taken.
        json: where else to write the numbers.
    """
    with progress("kernels") as report:
        if given(own):
            found = compare_own(own, run, (train_samples, test_samples), device, report)
        else:
            found = compare_runs(
                run, train_samples=train_samples, test_samples=test_samples, device=device, progress=report
            )
    save_json(out / "comparison.json", found.to_json())
    paths = [out / "comparison.json", *render(["lazy_comparison"], Evidence(comparisons=(found,)), out)]
    show(found.to_json(), json, "\n".join([_text(found), *map(str, paths)]))
    return 0


def _text(found: KernelComparison) -> str:
    """Predicted, measured for each run and quantity; below, their rank correlation over rho."""
    rows = []
    for point in found.points:
        predicted = point.predicted or dict.fromkeys(QUANTITIES)
        cells = (f"{number(predicted[name])}, {number(point.measured[name])}" for name in QUANTITIES)
        rows.append([point.method, number(point.rho), *cells])
    rows.append(["rank correlation", "", *(number(found.rank_correlation(name)) for name in QUANTITIES)])
    reached = f"training accuracy {number(found.accuracy_predicted)}, the runs' {number(found.accuracy_measured)}"
    reasons = dict.fromkeys(point.reason for point in found.points if point.reason)
    return "\n".join(
        [
            f"Predicted at k = {found.steps} ({reached}), measured; sharpness ({found.sharpness}) by the smallest rho's.",
            table(("method", "rho", *QUANTITIES), rows, left={"method"}, keys=2),
            *(f"- = no prediction: {reason}" for reason in reasons),
        ]
    )
