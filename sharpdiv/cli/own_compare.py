"""``sharpdiv compare --model``: ensembles of networks that are not ours, beside their lazy predictions."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from sharpdiv.checks.kernels.compare_own import compare_ensembles
from sharpdiv.checks.kernels.compared import KernelComparison
from sharpdiv.cli.errors import UsageError
from sharpdiv.cli.own import NAME, users_data
from sharpdiv.cli.progress import Report
from sharpdiv.cli.users_code import users_code
from sharpdiv.empirical.ensembles.checkpoints import Checkpoints
from sharpdiv.empirical.ensembles.named import named_factory, working_folder
from sharpdiv.empirical.ensembles.result import MeasuredEnsemble

__all__ = ["OwnInitial", "compare_own"]


@dataclass(frozen=True)
class OwnInitial:
    """Initial networks that are not ours, and what they were trained on."""

    model: Annotated[str | None, tyro.conf.arg(metavar=NAME)] = None
    """networks that are not runs of ours, as in sharpdiv measure; RUN are then the files or folders of its --out"""
    initial: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="FILE")] = ()
    """state dicts of the members before they were trained, in the order of their checkpoints"""
    rho: tuple[float, ...] = ()
    """radius of SAM that each RUN was trained with, 0 for SGD"""
    data: Annotated[str | None, tyro.conf.arg(metavar=NAME)] = None
    """data of your own, as in sharpdiv measure"""
    train_data: Annotated[str | None, tyro.conf.arg(metavar=NAME)] = None
    """training data of your own, if --data are test data alone"""


def compare_own(
    own: OwnInitial, measured: Sequence[Path], samples: tuple[int, int], device: str, report: Report
) -> KernelComparison:
    """Compare ensembles that sharpdiv measure has written.

    Args:
        own: initial networks and data.
        measured: files, or folders of them.
        samples: numbers of training and test samples.
        device: where kernels are taken.
        report: told of progress.
    """
    if not (own.model and own.initial and own.rho and own.data):
        raise UsageError("networks that are not runs of ours need --model, --initial, --rho and --data")
    if len(own.rho) != len(measured) or len(set(own.rho)) < len(own.rho):
        raise UsageError(f"--rho needs a value of its own for each of the {len(measured)} ensembles, got {own.rho}")
    files = [path / "predictions.npz" if path.is_dir() else path for path in measured]
    ensembles = {rho: MeasuredEnsemble.load(file) for rho, file in zip(own.rho, files, strict=True)}
    with working_folder(), users_code(own.model, own.data, *filter(None, [own.train_data])):
        initial = Checkpoints(named_factory(own.model), own.initial, device=device)
        data = users_data(own.data, own.train_data, ensembles[own.rho[0]].how.sharpness_batch)
        if data.train is None:
            raise UsageError("kernels are taken on training data: --train-data, or a pair in --data")
        train_samples, test_samples = samples
        return compare_ensembles(
            initial,
            ensembles,
            data.train,
            data.test,
            name=own.model,
            train_samples=train_samples,
            test_samples=test_samples,
            progress=report,
        )
