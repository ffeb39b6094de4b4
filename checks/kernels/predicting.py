"""Predictions of an ensemble from its members' tangent kernels, in the quantities that networks are measured by.

The model of the theory and how it is tied to trained networks are described where runs are compared, in ``compare.py``.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor, nn

from sharpdiv.checks.kernels.compared import ComparedRun
from sharpdiv.checks.kernels.dials import LIMIT, RADIUS, RATE
from sharpdiv.empirical.curvature.tangent_kernel import tangent_kernel
from sharpdiv.empirical.curvature.untouched import untouched
from sharpdiv.empirical.devices import float32_products
from sharpdiv.empirical.lazy.training import freeze_batch_norm
from sharpdiv.theory.kernels import LinearizedNetwork, ensemble_errors, linearize
from sharpdiv.theory.theorems.tradeoff import improvement_rate

__all__ = ["in_units", "linearized", "measured", "predicted", "steps_to"]

_STEPS = tuple(5 * 2**j for j in range(15))


@float32_products()
def linearized(
    model: nn.Module,
    train: Float[Tensor, "train ..."],
    test: Float[Tensor, "test ..."],
    labels: Float[np.ndarray, "samples classes"],
) -> LinearizedNetwork:
    """A network at its weights, with batch norm frozen on the training samples.

    Args:
        model: network at its initialization, which is as before afterwards.
        train: inputs that it trains on, on its device.
        test: inputs that predictions are made for.
        labels: labels of the former, then of the latter, one column for each class.

    Returns:
        The member.
    """
    with untouched(model):
        freeze_batch_norm(model, train)
        kernel = tangent_kernel(model, train, test)
    among, across = (part.cpu().numpy() for part in kernel)
    return linearize(among, across, labels)


def steps_to(
    reached: float, members: Sequence[LinearizedNetwork], labels: Int[np.ndarray, " train"]
) -> tuple[int, float]:
    """The first of some numbers of steps at which gradient descent has a training accuracy, and its accuracy there.

    Args:
        reached: training accuracy.
        members: networks that are trained in closed form.
        labels: classes of their training samples.

    Returns:
        The number, which is the last one where none suffices, and the accuracy.
    """
    for steps in _STEPS:
        outputs = [m.predictions(m.training(RATE / m.largest, np.zeros(1), steps))[0, : len(labels)] for m in members]
        accuracy = float(np.mean([p.argmax(axis=1) == labels for p in outputs]))
        if accuracy >= reached:
            break
    return steps, accuracy


def predicted(
    members: Sequence[LinearizedNetwork], strength: float, steps: int, train_samples: int
) -> dict[str, float]:
    """The prediction for an ensemble.

    Args:
        members: its members.
        strength: radius of SAM as a share of the largest one, which is at 0.95 of the limit of stability.
        steps: number of steps.
        train_samples: number of training samples, the first ones of the members'.

    Returns:
        Values by quantity.
    """
    outputs, kappas = [], []
    for member in members:
        radius = 0.95 * LIMIT * strength / member.largest
        training = member.training(RATE / member.largest, np.array([radius]), steps)
        outputs.append(member.predictions(training)[0, train_samples:])
        kappas.append(float(member.sharpness(training, RADIUS / member.largest**0.5)[0]))
    h = np.stack(outputs)
    errors = h - members[0].labels[train_samples:]
    squared = ensemble_errors(np.einsum("mtc,ntc->mn", errors, errors) / h.shape[1])
    classes = h.argmax(axis=2)
    first, second = np.triu_indices(len(h), 1)
    disagreement = float((classes[first] != classes[second]).mean())
    values = {name: float(value) for name, value in squared.items()}
    return values | {"disagreement": disagreement, "sharpness": float(np.mean(kappas))}


def measured(metric: Callable[[str], float], sharpness: float) -> dict[str, float]:
    """The same of probabilities, in the conventions of ``ensemble_errors``.

    Args:
        metric: function from a name in what ``diversity`` gives to its value.
        sharpness: mean over members.

    Returns:
        Values by quantity.
    """
    member, ensemble = metric("brier_mean"), metric("brier_ensemble")
    return {
        "diversity": metric("variance"),
        "member_error": member,
        "ensemble_error": ensemble,
        "eir": float(improvement_rate(np.asarray(member), np.asarray(ensemble))),
        "disagreement": metric("disagreement"),
        "sharpness": sharpness,
    }


def in_units(points: Sequence[ComparedRun]) -> tuple[ComparedRun, ...]:
    """Points with sharpness in units of its mean at the smallest rho, on both sides.

    Args:
        points: ensembles, those of the smallest rho first.

    Returns:
        The same ensembles.
    """
    first = [p for p in points if (p.method, p.rho) == (points[0].method, points[0].rho)]
    of_measured = float(np.mean([p.measured["sharpness"] for p in first]))
    of_predicted = float(np.mean([p.predicted["sharpness"] for p in first if p.predicted]))
    return tuple(
        replace(
            p,
            measured={**p.measured, "sharpness": p.measured["sharpness"] / of_measured},
            predicted=p.predicted and {**p.predicted, "sharpness": p.predicted["sharpness"] / of_predicted},
        )
        for p in points
    )
