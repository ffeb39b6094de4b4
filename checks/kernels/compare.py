"""A user's own runs beside what their tangent kernels at initialisation predict: the lazy limit of the very same networks.

Kernels are taken at each member's initialisation on the first training images, with batch norm frozen there, and members are
trained in closed form by full-batch un-normalized SAM, the model of the theory. Two numbers connect it with the runs, which have
another loss, batches, a schedule and normalized ascents: the number of steps is the first at which gradient descent has the
training accuracy of the runs with the smallest rho; radii are proportional to the runs', the largest at 0.95 of the limit of
stability. So the prediction is about directions over rho, at the strongest SAM that the theory allows. SharpBalance on
sharpness-aware sets has no closed form and is shown without one.

D and errors are squared ones of predicted labels and of probabilities, EIR is made of those; disagreement is that of the largest
outputs. Sharpness is the first measure of the runs, in units of that at the smallest rho; predicted is the increase of the squared
loss in a small ball.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int
from torch import nn

from sharpdiv.checks.kernels.compared import ComparedRun, KernelComparison
from sharpdiv.checks.kernels.predicting import in_units, linearized, measured, predicted, steps_to
from sharpdiv.empirical.data.splits import load_data
from sharpdiv.empirical.engines.workers import choose_device
from sharpdiv.empirical.errors import InputError, StoreError
from sharpdiv.empirical.provenance import provenance
from sharpdiv.empirical.runs.config import RunConfig
from sharpdiv.empirical.runs.ensembles import Progress
from sharpdiv.empirical.runs.folders import open_run
from sharpdiv.empirical.runs.member import new_member
from sharpdiv.empirical.runs.record import RunRecord, load_record
from sharpdiv.theory.kernels import LinearizedNetwork

__all__ = ["compare_runs"]

_MAY_DIFFER = {"method", "rho", "seeds", "switch_epoch", "first_phase", "top_fraction", "rule", "adaptive", "m"}


def compare_runs(
    paths: Sequence[Path],
    *,
    train_samples: int = 200,
    test_samples: int = 400,
    device: str = "cpu",
    progress: Progress = lambda *_: None,
) -> KernelComparison:
    """Prediction and measurement of some runs that differ in method, rho and seeds only.

    Args:
        paths: folders of measured runs, or their records (``.npz``).
        train_samples: number of training images that kernels are taken on, the first ones.
        test_samples: number of test images that predictions are made for, the first ones.
        device: device that kernels are taken on.
        progress: listener, told after every kernel.

    Returns:
        The comparison.

    Raises:
        InputError: if there are fewer than two runs, they differ in more than method, rho and seeds or were not measured in one
            way, are of one rho only, have not the same seeds at every rho of SGD and SAM, are of adaptive or m-sharp SAM, or have
            not so many images.
        StoreError: if a run is not measured.
    """
    runs = sorted(
        map(_measured_run, paths),
        key=lambda run: (run.config.method == "sharpbalance", run.config.rho, run.config.seeds),
    )
    _check_alike([run.config for run in runs])
    _check_measured_alike(runs)
    first = runs[0].config
    place = choose_device(device)
    seeds = sorted({seed for run in runs for seed in run.config.seeds})
    members, labels = _linearized(first, seeds, (train_samples, test_samples), place, progress)
    plain = [r for r in runs if (r.config.method, r.config.rho) == (first.method, first.rho)]
    reached = float(np.mean([run.of_members("train_accuracy") for run in plain]))
    steps, accuracy = steps_to(reached, list(members.values()), labels[:train_samples])
    return KernelComparison(
        config={name: value for name, value in first.to_json().items() if name not in _MAY_DIFFER},
        kernel={"train_samples": train_samples, "test_samples": test_samples},
        provenance=provenance(place),
        steps=steps,
        accuracy_predicted=accuracy,
        accuracy_measured=reached,
        sharpness=runs[0].first_measure,
        points=in_units(_points(runs, members, steps, train_samples)),
    )


def _measured_run(path: Path) -> RunRecord:
    if path.suffix == ".npz":
        return load_record(path)
    if not (record := path / "record.npz").exists():
        raise StoreError(f"{open_run(path).run_id} is not measured: sharpdiv measure {path}")
    return load_record(record)


def _check_alike(configs: Sequence[RunConfig]) -> None:
    if len(configs) < 2:
        raise InputError(f"compare needs at least two runs, of different rho; got {len(configs)}")
    first = configs[0].to_json()
    for config in configs[1:]:
        other = config.to_json()
        if different := sorted(name for name in first if name not in _MAY_DIFFER and first[name] != other[name]):
            raise InputError(
                f"runs to compare may differ in method, rho and seeds; {config.run_id} differs in {', '.join(different)}"
            )
    plain = [config for config in configs if config.method != "sharpbalance"]
    rhos = {config.rho for config in plain}
    if len(rhos) < 2:
        raise InputError("compare needs runs of SGD or SAM at two values of rho at least")
    ensembles = {config.seeds for config in plain}
    if missing := sorted({(rho, s) for rho in rhos for s in ensembles} - {(c.rho, c.seeds) for c in plain}):
        rho, seeds = missing[0]
        raise InputError(
            f"compare needs the same seeds at every rho of SGD and SAM; no run has rho {rho:g} with {seeds}"
        )
    if any(config.adaptive or config.m for config in configs):
        raise InputError("adaptive and m-sharp SAM have no closed form; compare runs of plain SAM")


def _check_measured_alike(runs: Sequence[RunRecord]) -> None:
    for run in runs[1:]:
        if different := run.measured_otherwise_than(runs[0]):
            raise InputError(
                f"runs to compare must be measured in one way; {run.config.run_id} differs in {', '.join(different)}: "
                "measure it again with sharpdiv measure"
            )


def _linearized(
    config: RunConfig, seeds: Sequence[int], samples: tuple[int, int], device: torch.device, progress: Progress
) -> tuple[dict[int, LinearizedNetwork], Int[np.ndarray, " samples"]]:
    """Members of a run at their initialisation, by seed, and the labels of the first training and test images."""
    data = load_data(config.data, config.train_samples, config.validation_samples, config.split_seed)
    sets = ((data.train_images, data.train_labels), (data.test_images, data.test_labels))
    for name, (images, _), count in zip(("training", "test"), sets, samples, strict=True):
        if not 1 <= count <= len(images):
            raise InputError(f"the number of {name} images must be from 1 to {len(images)}, got {count}")
    train, test = (data.normalize(images[:n].to(device)) for (images, _), n in zip(sets, samples, strict=True))
    labels = torch.cat([labels[:n] for (_, labels), n in zip(sets, samples, strict=True)]).numpy()
    members = {}
    for count, seed in enumerate(seeds, start=1):
        model: nn.Module = new_member(config, data, seed, device).model
        members[seed] = linearized(model, train, test, np.eye(data.classes)[labels])
        progress("kernels", count, len(seeds))
    return members, labels


def _points(
    runs: Sequence[RunRecord], members: dict[int, LinearizedNetwork], steps: int, train_samples: int
) -> list[ComparedRun]:
    """Every run, measured and predicted, with sharpness as it comes."""
    strongest = max(run.config.rho for run in runs if run.config.method != "sharpbalance")
    points = []
    for run in runs:
        config = run.config
        sharpness = float(np.mean(run.sharpness(run.first_measure)))
        place = (config.run_id, config.method, config.rho, config.seeds, measured(run.metric, sharpness))
        if config.method == "sharpbalance":
            points.append(ComparedRun(*place, None, "no closed form for SharpBalance on sharpness-aware sets"))
        else:
            own = [members[seed] for seed in config.seeds]
            points.append(ComparedRun(*place, predicted(own, config.rho / strongest, steps, train_samples)))
    return points
