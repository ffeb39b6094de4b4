"""Anybody's ensembles beside what their tangent kernels at initialisation predict, as ``compare.py`` does it for runs of ours.

The networks were trained by SGD (rho = 0) or SAM from the same initial weights. What ``compare.py`` says of the prediction holds.
"""

from collections.abc import Iterable, Mapping

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor, nn

from sharpdiv.checks.kernels.compared import ComparedRun, KernelComparison
from sharpdiv.checks.kernels.predicting import in_units, linearized, measured, predicted, steps_to
from sharpdiv.empirical.batches import Batches
from sharpdiv.empirical.ensembles.checkpoints import Checkpoints
from sharpdiv.empirical.ensembles.fixed import FixedBatches, joined
from sharpdiv.empirical.ensembles.members import device_of
from sharpdiv.empirical.ensembles.result import MeasuredEnsemble
from sharpdiv.empirical.errors import InputError, NotMeasuredError
from sharpdiv.empirical.provenance import provenance
from sharpdiv.empirical.runs.ensembles import Progress
from sharpdiv.theory.kernels import LinearizedNetwork

__all__ = ["compare_ensembles"]


def compare_ensembles(
    initial: Iterable[nn.Module],
    ensembles: Mapping[float, MeasuredEnsemble],
    train: Batches,
    test: Batches,
    *,
    name: str = "networks",
    train_samples: int = 200,
    test_samples: int = 400,
    progress: Progress = lambda *_: None,
) -> KernelComparison:
    """Prediction and measurement of ensembles that were trained from the same initial networks by SAM of different radii.

    Args:
        initial: the members at their initialization, in the order of the ensembles' members; ``Checkpoints`` for one at a time.
        ensembles: by rho, the radius of SAM's ascent they were trained with (0 for SGD): what ``measure_ensemble`` gives, with
            training data.
        train: the training data, of which kernels are taken on the first: one of (samples x classes)^2 numbers for each member.
        test: the test data they were measured on.
        name: what the comparison is called in figures.
        train_samples: number of training samples that kernels are taken on.
        test_samples: number of test samples that predictions are made for.
        progress: listener, told after every kernel.

    Returns:
        The comparison, with sharpness by the measure that was asked for first.

    Raises:
        InputError: if there are fewer than two radii, ensembles differ in size, settings or test data, or data do not fit.
        NotMeasuredError: if an ensemble was measured without training data or sharpness.

    Examples:
        >>> import copy, torch
        >>> from sharpdiv import MeasureConfig, measure_ensemble
        >>> from sharpdiv.checks.kernels.compare_own import compare_ensembles
        >>> _ = torch.manual_seed(0)
        >>> initial, batch = [torch.nn.Linear(2, 3) for _ in range(2)], (torch.randn(20, 2), torch.randint(3, (20,)))
        >>> how = MeasureConfig(sharpness=("one_step",), replicates=10)
        >>> found = {rho: measure_ensemble(initial, batch, train=batch, how=how) for rho in (0.0, 0.1)}  # not trained at all
        >>> compared = compare_ensembles(initial, found, batch, batch, train_samples=20, test_samples=20)
        >>> compared.rhos, compared.points[0].predicted["sharpness"]  # in units of that at the smallest rho
        ([0.0, 0.1], 1.0)
    """
    rhos = sorted(ensembles)
    _check(ensembles, rhos)
    first = ensembles[rhos[0]]
    classes = first.probs.shape[2]
    inputs, labels = _samples(train, "training", train_samples, classes)
    others, test_labels = _samples(test, "test", test_samples, classes)
    if not np.array_equal(test_labels, first.labels[:test_samples]):
        raise InputError("the test data are not those the ensembles were measured on: their first labels differ")
    count, device = len(first.members), torch.device("cpu")
    members: list[LinearizedNetwork] = []
    both = np.concatenate([labels, test_labels])
    for model in initial:
        device = device_of(model, f"initial network {len(members) + 1}")
        members.append(linearized(model, inputs.to(device), others.to(device), np.eye(classes)[both]))
        progress("kernels", len(members), count)
    if len(members) != count:
        raise InputError(f"expected the initial network of each of the {count} members, got {len(members)}")
    reached = float(np.mean(first.of_members("train_accuracy")))
    steps, accuracy = steps_to(reached, members, labels)
    return KernelComparison(
        config={"name": name, "members": list(first.members)},
        kernel={"train_samples": train_samples, "test_samples": test_samples},
        provenance=provenance(device) | (initial.provenance() if isinstance(initial, Checkpoints) else {}),
        steps=steps,
        accuracy_predicted=accuracy,
        accuracy_measured=reached,
        sharpness=first.how.sharpness[0],
        points=in_units(
            [_point(name, rho, ensembles[rho], members, rho / rhos[-1], steps, train_samples) for rho in rhos]
        ),
    )


def _check(ensembles: Mapping[float, MeasuredEnsemble], rhos: list[float]) -> None:
    """Whether ensembles were measured in one way, of one size."""
    if len(rhos) < 2 or not (rhos[0] >= 0 and np.isfinite(rhos).all()):
        raise InputError(f"expected ensembles of at least two values of rho, none below 0; got {rhos}")
    first = ensembles[rhos[0]]
    for rho in rhos:
        found = ensembles[rho]
        if len(found.members) != len(first.members):
            raise InputError(
                f"ensembles must be of one size; that of rho {rho:g} has {len(found.members)} members, the first "
                f"{len(first.members)}"
            )
        if found.how != first.how:
            raise InputError(f"ensembles must be measured with the same settings; that of rho {rho:g} was not")
        if not np.array_equal(found.labels, first.labels):
            raise InputError(f"ensembles must be measured on the same test data; that of rho {rho:g} was not")
        if not found.fit or not found.sharpness_by_measure:
            raise NotMeasuredError(
                f"the ensemble of rho {rho:g} needs its sharpness and training accuracy: measure with train="
            )


def _samples(data: Batches, name: str, count: int, classes: int) -> tuple[Tensor, Int[np.ndarray, " samples"]]:
    """Inputs and labels of the first samples."""
    if count < 1:
        raise InputError(f"the number of {name} samples must be at least 1, got {count}")
    ((inputs, labels),) = joined(FixedBatches(data, name).first(count), count)
    if len(labels) < count:
        raise InputError(f"the number of {name} samples must be from 1 to {len(labels)}, got {count}")
    if not isinstance(inputs, Tensor):
        raise InputError(f"tangent kernels need inputs that are one tensor, got {type(inputs).__name__}")
    if labels.is_floating_point() or labels.ndim != 1 or labels.min() < 0 or labels.max() >= classes:
        raise InputError(f"labels of the {name} data must be integers from 0 to {classes - 1}")
    return inputs, labels.cpu().numpy()


def _point(
    name: str,
    rho: float,
    found: MeasuredEnsemble,
    members: list[LinearizedNetwork],
    strength: float,
    steps: int,
    train_samples: int,
) -> ComparedRun:
    """One ensemble, measured and predicted, with sharpness as it comes."""
    sharpness = float(np.mean(found.sharpness(found.how.sharpness[0])))
    return ComparedRun(
        run=f"{name}-rho{rho:g}",
        method="sam" if rho else "sgd",
        rho=rho,
        seeds=tuple(range(len(members))),  # their places stand for the seeds, which nobody knows
        measured=measured(found.metric, sharpness),
        predicted=predicted(members, strength, steps, train_samples),
    )
