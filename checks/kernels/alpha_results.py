"""Ensembles of the dial from their members: inner products of errors, losses, sharpness, and the distance from theory."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from sharpdiv.checks.kernels.alpha_members import data_of, folder_of
from sharpdiv.checks.kernels.alpha_network import DialNetwork, Measured, Predicted
from sharpdiv.checks.kernels.dials import RADIUS, RATE, Dial, Network
from sharpdiv.empirical.store import load_tensors
from sharpdiv.theory.filters import Training
from sharpdiv.theory.kernels import (
    BinnedModes,
    ensemble_errors,
    two_point_measure,
)

__all__ = ["assemble"]


@dataclass(frozen=True)
class _Members:
    """One optimizer's members; what diverged is NaN."""

    predictions: Float[np.ndarray, "members fractions snapshots test classes"]
    loss: Float[np.ndarray, "members fractions snapshots"]
    sharpness: Float[np.ndarray, "members fractions snapshots"]


def assemble(root: Path, dial: Dial, network: Network) -> DialNetwork:
    """Predictions and measurements of ensembles, without those of single test samples."""
    folder = folder_of(root, dial, network)
    labels = data_of(dial.train_samples, dial.test_samples, network.head_only)[2][dial.train_samples :].double().numpy()
    seeds = max((dial.seeds(alpha) for alpha in network.alphas), key=len)
    kernels = [load_tensors(folder / f"kernel-{seed}.safetensors")[0] for seed in seeds]
    predicted = {name: _predicted(kernels, name) for name in network.optimizers}
    measured: dict[float, dict[str, Measured]] = {}
    for alpha in sorted(network.alphas):
        files = [load_tensors(folder / f"trained-{seed}-{alpha:g}.safetensors")[0] for seed in dial.seeds(alpha)]
        measured[alpha] = {
            name: _comparison(_measured(files, predicted[name], name), predicted[name], labels)
            for name in network.optimizers
        }
    return DialNetwork(
        network=network,
        fractions=dial.fractions,
        snapshots=dial.snapshots,
        members=dial.members,
        largest=np.array([RATE / float(k["sam.rate"]) for k in kernels]),
        predicted={name: _numbers(members, labels) for name, members in predicted.items()},
        spectrum=_spectrum_only(dial, kernels),
        measured=measured,
    )


def _predicted(kernels: list[dict[str, Tensor]], optimizer: str) -> _Members:
    names = ("predictions", "loss", "sharpness")
    return _Members(*(torch.stack([k[f"{optimizer}.{name}"] for k in kernels]).double().numpy() for name in names))


def _measured(files: list[dict[str, Tensor]], like: _Members, optimizer: str) -> _Members:
    """What training gave, in the shapes of the prediction for as many members."""
    arrays = [np.full((len(files), *a.shape[1:]), np.nan) for a in (like.predictions, like.loss, like.sharpness)]
    for member, tensors in enumerate(files):
        for index in range(like.loss.shape[1]):
            for array, name in zip(arrays, ("predictions", "loss", "sharpness"), strict=True):
                if (value := tensors.get(f"{optimizer}.{index}.{name}")) is not None:
                    array[member, index] = value.double().numpy()
    return _Members(*arrays)


def _products(members: _Members, labels: np.ndarray) -> Float[np.ndarray, "fractions snapshots members members"]:
    errors = members.predictions - labels
    return np.einsum("mxktc,nxktc->xkmn", errors, errors) / len(labels)


def _numbers(members: _Members, labels: np.ndarray) -> Predicted:
    """Inner products of the members' errors (lower triangle), loss, sharpness."""
    triangle = np.tril_indices(len(members.loss))
    return Predicted(_products(members, labels)[..., *triangle], members.loss, members.sharpness)


def _comparison(measured: _Members, predicted: _Members, labels: np.ndarray) -> Measured:
    """Numbers of a measured ensemble, and its distance from the prediction for the same members, before any rounding."""
    count = len(measured.loss)
    same = _Members(predicted.predictions[:count], predicted.loss[:count], predicted.sharpness[:count])
    errors = {name: value / _summary(same, labels)[name] - 1 for name, value in _summary(measured, labels).items()}
    gap = np.square(measured.predictions - same.predictions).mean(axis=(0, 3, 4))
    size = np.square(same.predictions - labels.mean(axis=0)).mean(axis=(0, 3, 4))
    return Measured(**vars(_numbers(measured, labels)), relative_error=errors, distance=np.sqrt(gap / size))


def _summary(members: _Members, labels: np.ndarray) -> dict[str, Float[np.ndarray, "fractions snapshots"]]:
    means = {"loss": members.loss.mean(axis=0), "sharpness": members.sharpness.mean(axis=0)}
    return ensemble_errors(_products(members, labels)) | means


def _spectrum_only(dial: Dial, kernels: list[dict[str, Tensor]]) -> dict[str, Float[np.ndarray, "fractions snapshots"]]:
    """Prediction for SAM on all data from the binned spectra of the first members alone, beside the exact one."""
    names = ("weights", "moments", "added")
    first = kernels[: dial.members]
    measure = two_point_measure([BinnedModes(*(k[f"sam.bins.{n}"].double().numpy() for n in names)) for k in first])
    trainings = [Training(RATE, np.array(dial.fractions)[None], steps) for steps in dial.snapshots]
    return {
        "diversity": np.stack([measure.diversity(t) for t in trainings], axis=1),
        "loss": np.stack([measure.training_loss(t) for t in trainings], axis=1),
        "sharpness": np.stack([measure.sharpness(t, RADIUS) for t in trainings], axis=1),
    }
