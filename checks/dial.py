"""The lazy-to-rich dial: small networks predicted from their tangent kernels at initialisation, and then trained.

For every network and seed the kernel is taken once; theory turns it into predictions for every optimizer and step. The same
initialisation is trained at every alpha, and both are kept side by side:

    runs/dial/<network>/kernel-<seed>.safetensors          predictions, and the learning rates and radii they are for
    runs/dial/<network>/trained-<seed>-<alpha>.safetensors what training gave
    runs/reproduce/<results>                                inner products of errors, losses, sharpness of both

The learning rate is ``0.5 / x_max`` and SAM's radius ``fraction / x_max``, x_max the largest eigenvalue of the member's own
kernel, so that every member is stable up to the fraction 3 in the lazy limit.
"""

import math
import time
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from empirical import DivergenceError, PlannedRun
from empirical.data import TEST_ORDER, digits
from empirical.lazy import LazyProblem, lazy_network, train_lazy
from empirical.models import Activation, Normalization
from empirical.provenance import provenance
from empirical.runs import Progress
from empirical.store import digest, load_tensors, save_tensors
from empirical.tangent import tangent_kernel
from empirical.workers import Piece, choose_device, single_thread, work
from theory import (
    BinnedModes,
    LinearizedNetwork,
    Training,
    bin_modes,
    ensemble_errors,
    linearize,
    two_point_measure,
)

__all__ = ["DIALS", "LIMIT", "RADIUS", "RATE", "Dial", "Network", "plan_dial", "run_dial"]

Optimizer = Literal["sam", "blocks", "normalised"]
"""full-batch SAM on all training samples; on disjoint blocks, one for each member in turn; with ascents of a fixed length"""

RATE = 0.5
"""learning rate times the largest eigenvalue"""
LIMIT = 2 / RATE - 1
"""fraction ``rho x_max`` at which SAM stops contracting the top mode, ``eta x (1 + rho x) = 2``"""
RADIUS = 0.02
"""radius of the sharpness times the root of the largest eigenvalue: so small that the gradient decides, and an ascent from 0 finds
the maximum also where training has emptied the sharpest direction"""
BLOCKS = 3
"""disjoint blocks of the training samples; member i has block i mod 3"""
_ASCENT_STEPS = 10
_SPLIT_SEED = 0
_NORMALISED = 0.2
"""factor of the fractions for normalised SAM, whose radius grows as the gradient shrinks"""
_CONSTANTS = {
    "rate": RATE,
    "radius": RADIUS,
    "blocks": BLOCKS,
    "ascent_steps": _ASCENT_STEPS,
    "split_seed": _SPLIT_SEED,
    "normalised": _NORMALISED,
    "order": TEST_ORDER,
}
"""What every member depends on besides its dial and network."""


@dataclass(frozen=True)
class Network:
    """One network of the dial."""

    width: int = 8
    """channels of the first stage"""
    activation: Activation = "relu"
    """relu or gelu"""
    norm: Normalization = "none"
    """none, group, or batch, whose statistics are frozen at initialisation"""
    head_only: bool = False
    """train the last layer alone, in float64: then the linearisation is exact"""
    alphas: tuple[float, ...] = (1.0, 3.0, 10.0, 30.0, 100.0)
    """scales of the outputs"""
    optimizers: tuple[Optimizer, ...] = ("sam", "blocks")
    """ways to train; gradient descent is the fraction 0 of each"""

    @property
    def name(self) -> str:
        """Short and readable."""
        return f"{self.activation}-{self.norm}-{self.width}" + ("-head" if self.head_only else "")


@dataclass(frozen=True)
class Dial:
    """Networks, and what is done with each."""

    results: str
    """name of the file of results"""
    networks: tuple[Network, ...]
    """to predict and train"""
    fractions: tuple[float, ...] = (0.0, 1.0, 2.0, 2.85)
    """``rho x_max``, up to 0.95 of the limit"""
    snapshots: tuple[int, ...] = (5, 10, 20, 30, 40)
    """steps k at which members are looked at"""
    members: int = 6
    """of an ensemble"""
    rich_members: int = 12
    """the same where alpha is at most 3: there members differ more"""
    train_samples: int = 200
    """digits to train on"""
    test_samples: int = 400
    """the first test digits"""

    def seeds(self, alpha: float) -> range:
        """Seeds of the members at one alpha, those of a smaller ensemble first.

        Returns:
            0, 1, ...
        """
        return range(self.rich_members if alpha <= 3 else self.members)

    def radii(self, optimizer: Optimizer) -> tuple[float, ...]:
        """Fractions for an optimizer; of the first step for normalised SAM.

        Returns:
            As many as there are fractions.
        """
        return tuple(_NORMALISED * f for f in self.fractions) if optimizer == "normalised" else self.fractions


def _head(alpha: float) -> Network:
    """The network of which only the last layer is trained, by every optimizer."""
    return Network(head_only=True, alphas=(alpha,), optimizers=("sam", "blocks", "normalised"))


DIALS = {
    "quick": Dial(
        "dial-quick.json",
        (Network(activation="gelu", alphas=(1.0, 100.0), optimizers=("sam",)), _head(1.0)),
        fractions=(0.0, 2.0),
        snapshots=(10, 20),
        members=3,
        rich_members=3,
    ),
    "cpu": Dial(
        "dial.json",
        (
            _head(100.0),
            Network(activation="gelu", optimizers=("sam", "blocks", "normalised")),
            Network(),
            Network(norm="group"),
            Network(norm="batch"),
            Network(width=16),
        ),
    ),
}
"""Dials by profile; ``plan_dial`` says what they take."""


def run_dial(
    dial: Dial,
    root: Path,
    *,
    device: str = "cpu",
    workers: int | None = None,
    progress: Progress = lambda *_: None,
) -> dict[str, Any]:
    """Predict and train whatever of a dial is not done yet.

    Args:
        dial: to run.
        root: folder of all runs.
        device: ``cpu``, ``cuda`` or ``mps`` (which has no float64: leave out networks with ``head_only``).
        workers: processes; default one per CPU core, and 1 on a GPU.
        progress: told after every finished piece.

    Returns:
        Predictions and measurements of every network, as JSON values.
    """
    place = choose_device(device)
    kernels: list[Piece] = []
    trainings: list[Piece] = []
    for network in dial.networks:
        seeds = range(max(len(dial.seeds(alpha)) for alpha in network.alphas))
        kernels += [(1, partial(_predict, root, dial, network, seed, place)) for seed in seeds]
        trainings += [
            (2, partial(_train, root, dial, network, seed, alpha, place))
            for alpha in network.alphas
            for seed in dial.seeds(alpha)
        ]
    work([kernels, trainings], place, workers, partial(progress, "dial"))
    settings = {name: value for name, value in asdict(dial).items() if name not in {"networks", "results"}}
    networks = [{"network": asdict(n) | {"name": n.name}, **_assemble(root, dial, n)} for n in dial.networks]
    return {"dial": settings | _CONSTANTS | {"limit": LIMIT}, "provenance": provenance(place), "networks": networks}


def plan_dial(dial: Dial, root: Path, device: str = "cpu") -> list[PlannedRun]:
    """What a dial will take, in the terms of ``plan_runs``; kernels and their eigenvalues are not counted.

    Args:
        dial: to run.
        root: folder of all runs.
        device: ``cpu``, ``cuda`` or ``mps``.

    Returns:
        A plan for each network; its members are counted once for each alpha.
    """
    place = choose_device(device)
    plans = []
    for network in dial.networks:
        folder = _folder(root, dial, network)
        members = [(seed, alpha) for alpha in network.alphas for seed in dial.seeds(alpha)]
        left = sum(not (folder / f"trained-{seed}-{alpha:g}.safetensors").exists() for seed, alpha in members)
        looks = len(dial.snapshots) * (_ASCENT_STEPS + 3)
        steps = len(network.optimizers) * (2 * len(dial.fractions) - 1) * dial.snapshots[-1]
        passes = left * (steps + len(network.optimizers) * len(dial.fractions) * looks)
        seconds = passes * _seconds_of_pass(dial, network, place) if passes else 0.0
        plans.append(PlannedRun(f"dial {network.name}", len(members) - left, len(members), passes, seconds))
    return plans


def _seconds_of_pass(dial: Dial, network: Network, device: torch.device) -> float:
    """Time of a forward and backward pass over the training images, after one to warm up."""
    with single_thread():
        model, (train, _, _) = _member(dial, network, 0, device)
        for _ in range(2):
            start = time.perf_counter()
            model(train).square().sum().backward()
        return time.perf_counter() - start


# ------------------------------------------------------------------------------------------------------------ one member


@lru_cache(maxsize=4)
def _data(train_samples: int, test_samples: int, exact: bool) -> tuple[Tensor, Tensor, Float[Tensor, "samples 10"]]:
    """Training images, test images, and the labels of both as ones and zeros."""
    data = digits(train_samples, _SPLIT_SEED)
    train, test = (data.normalize(images) for images in (data.train_images, data.test_images[:test_samples]))
    labels = torch.cat([data.train_labels, data.test_labels[:test_samples]])
    kind = torch.float64 if exact else torch.float32
    return train.to(kind), test.to(kind), nn.functional.one_hot(labels, data.classes).to(kind)


def _member(dial: Dial, network: Network, seed: int, device: torch.device) -> tuple[nn.Module, list[Tensor]]:
    """A network at its initialisation, and its data."""
    data = [t.to(device) for t in _data(dial.train_samples, dial.test_samples, network.head_only)]
    model = lazy_network(network.width, network.activation, network.norm, data[0], seed)
    if network.head_only:
        model.requires_grad_(requires_grad=False)
        model.head.requires_grad_()
    return model, data


def _own(dial: Dial, optimizer: Optimizer, seed: int) -> Bool[Tensor, " train"]:
    """Training samples of a member."""
    index = torch.arange(dial.train_samples)
    return index % BLOCKS == seed % BLOCKS if optimizer == "blocks" else index >= 0


def _predict(root: Path, dial: Dial, network: Network, seed: int, device: torch.device) -> None:
    """Predictions from the tangent kernel, for every optimizer."""
    path = _folder(root, dial, network) / f"kernel-{seed}.safetensors"
    if path.exists():
        load_tensors(path)
        return
    model, (train, test, labels) = _member(dial, network, seed, device)
    among, across = (block.cpu().numpy() for block in tangent_kernel(model, train, test))
    tensors: dict[str, Tensor] = {}
    for optimizer in network.optimizers:
        own = _own(dial, optimizer, seed)
        member = linearize(among, across, labels.double().cpu().numpy(), None if own.all() else np.flatnonzero(own))
        found = _predictions(dial, optimizer, member)
        if optimizer == "sam":
            binned = bin_modes(member, dial.train_samples)
            found |= {f"bins.{name}": getattr(binned, name) for name in ("weights", "moments", "added")}
        tensors |= {f"{optimizer}.{name}": torch.from_numpy(np.asarray(value)) for name, value in found.items()}
    save_tensors(path, tensors)


def _predictions(dial: Dial, optimizer: Optimizer, member: LinearizedNetwork) -> dict[str, Any]:
    """Everything that is predicted of one member, with the learning rate and the radii that training is to use."""
    normalised = optimizer == "normalised"
    rate, radius = RATE / member.largest, RADIUS / member.surface[0].max() ** 0.5
    rho = np.array(dial.radii(optimizer)) / member.largest
    if normalised:  # lengths, whose first step has that radius
        rho = rho * member.spectrum.integrate(lambda x: x) ** 0.5
    trainings = [member.training(rate, rho, steps, normalised=normalised) for steps in dial.snapshots]
    by_step = [
        (member.predictions(t)[:, dial.train_samples :], member.training_loss(t), member.sharpness(t, radius))
        for t in trainings
    ]
    predictions, loss, kappa = (np.stack(values, axis=1) for values in zip(*by_step, strict=True))
    return {"rate": rate, "rho": rho, "radius": radius, "predictions": predictions, "loss": loss, "sharpness": kappa}


def _train(root: Path, dial: Dial, network: Network, seed: int, alpha: float, device: torch.device) -> None:
    """The same member trained, for every optimizer; what diverges is NaN."""
    folder = _folder(root, dial, network)
    path = folder / f"trained-{seed}-{alpha:g}.safetensors"
    if path.exists():
        load_tensors(path)
        return
    settings = load_tensors(folder / f"kernel-{seed}.safetensors")[0]
    model, (train, test, labels) = _member(dial, network, seed, device)
    tensors: dict[str, Tensor] = {}
    for optimizer in network.optimizers:
        problem = LazyProblem(train, labels[: len(train)], test, _own(dial, optimizer, seed).to(device))
        options: dict[str, Any] = {
            "alpha": alpha,
            "learning_rate": float(settings[f"{optimizer}.rate"]),
            "radius": float(settings[f"{optimizer}.radius"]),
            "normalize": optimizer == "normalised",
            "iterations": _ASCENT_STEPS,
        }
        for index, rho in enumerate(settings[f"{optimizer}.rho"].tolist()):
            key = f"{optimizer}.{index}"
            try:
                member = train_lazy(model, problem, dial.snapshots, rho=rho, **options)
            except DivergenceError:
                continue
            tensors |= {
                f"{key}.predictions": member.predictions,
                f"{key}.loss": member.training_loss,
                f"{key}.sharpness": member.sharpness,
            }
    save_tensors(path, tensors)


def _folder(root: Path, dial: Dial, network: Network) -> Path:
    """Where a network's members are; its name ends in a hash of all that they depend on."""
    members = {name: getattr(dial, name) for name in ("fractions", "snapshots", "train_samples", "test_samples")}
    which = {name: value for name, value in asdict(network).items() if name != "alphas"}
    return root / "dial" / f"{network.name}-{digest({**members, **which, **_CONSTANTS})[:12]}"


# ------------------------------------------------------------------------------------------------------------ an ensemble


@dataclass(frozen=True)
class _Members:
    """One optimizer's members; what diverged is NaN."""

    predictions: Float[np.ndarray, "members fractions snapshots test classes"]
    loss: Float[np.ndarray, "members fractions snapshots"]
    sharpness: Float[np.ndarray, "members fractions snapshots"]


def _assemble(root: Path, dial: Dial, network: Network) -> dict[str, Any]:
    """Predictions and measurements of ensembles, without those of single test samples."""
    folder = _folder(root, dial, network)
    labels = _data(dial.train_samples, dial.test_samples, network.head_only)[2][dial.train_samples :].double().numpy()
    seeds = max((dial.seeds(alpha) for alpha in network.alphas), key=len)
    kernels = [load_tensors(folder / f"kernel-{seed}.safetensors")[0] for seed in seeds]
    predicted = {name: _predicted(kernels, name) for name in network.optimizers}
    measured: dict[str, Any] = {}
    for alpha in network.alphas:
        files = [load_tensors(folder / f"trained-{seed}-{alpha:g}.safetensors")[0] for seed in dial.seeds(alpha)]
        measured[f"{alpha:g}"] = {
            name: _comparison(_measured(files, predicted[name], name), predicted[name], labels)
            for name in network.optimizers
        }
    return {
        "largest": _rounded(np.array([RATE / float(k["sam.rate"]) for k in kernels])),
        "predicted": {name: _numbers(members, labels) for name, members in predicted.items()},
        "spectrum": _spectrum_only(dial, kernels),
        "measured": measured,
    }


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


def _numbers(members: _Members, labels: np.ndarray) -> dict[str, Any]:
    """Inner products of the members' errors (lower triangle), from which every diversity and error follows; loss; sharpness."""
    triangle = np.tril_indices(len(members.loss))
    return {
        "products": _rounded(_products(members, labels)[..., *triangle]),
        "loss": _rounded(members.loss),
        "sharpness": _rounded(members.sharpness),
    }


def _comparison(measured: _Members, predicted: _Members, labels: np.ndarray) -> dict[str, Any]:
    """Numbers of a measured ensemble, and its distance from the prediction for the same members, before any rounding."""
    count = len(measured.loss)
    same = _Members(predicted.predictions[:count], predicted.loss[:count], predicted.sharpness[:count])
    errors = {name: value / _summary(same, labels)[name] - 1 for name, value in _summary(measured, labels).items()}
    gap = np.square(measured.predictions - same.predictions).mean(axis=(0, 3, 4))
    size = np.square(same.predictions - labels.mean(axis=0)).mean(axis=(0, 3, 4))
    return {
        **_numbers(measured, labels),
        "relative_error": {name: _rounded(value) for name, value in errors.items()},
        "distance": _rounded(np.sqrt(gap / size)),
    }


def _summary(members: _Members, labels: np.ndarray) -> dict[str, Float[np.ndarray, "fractions snapshots"]]:
    means = {"loss": members.loss.mean(axis=0), "sharpness": members.sharpness.mean(axis=0)}
    return ensemble_errors(_products(members, labels)) | means


def _spectrum_only(dial: Dial, kernels: list[dict[str, Tensor]]) -> dict[str, Any]:
    """Prediction for SAM on all data from the binned spectra of the first members alone, beside the exact one."""
    names = ("weights", "moments", "added")
    first = kernels[: dial.members]
    measure = two_point_measure([BinnedModes(*(k[f"sam.bins.{n}"].double().numpy() for n in names)) for k in first])
    trainings = [Training(RATE, np.array(dial.fractions)[None], steps) for steps in dial.snapshots]
    values = {
        "diversity": np.stack([measure.diversity(t) for t in trainings], axis=1),
        "loss": np.stack([measure.training_loss(t) for t in trainings], axis=1),
        "sharpness": np.stack([measure.sharpness(t, RADIUS) for t in trainings], axis=1),
    }
    return {name: _rounded(value) for name, value in values.items()}


def _rounded(values: np.ndarray) -> Any:
    """Nested lists of five significant digits; what is not finite is None."""

    def rounded(nested: Any) -> Any:
        if isinstance(nested, list):
            return [rounded(value) for value in nested]
        return float(f"{nested:.5g}") if math.isfinite(nested) else None

    return rounded(values.tolist())
