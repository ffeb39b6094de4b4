"""One member of the dial: predicted from its tangent kernel, and trained at one alpha; both are kept in files."""

from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from sharpdiv.checks.kernels.dials import (
    ASCENT_STEPS,
    BLOCKS,
    CONSTANTS,
    RADIUS,
    RATE,
    SPLIT_SEED,
    Dial,
    Network,
    Optimizer,
)
from sharpdiv.empirical.curvature.tangent_kernel import tangent_kernel
from sharpdiv.empirical.data.splits import digits
from sharpdiv.empirical.devices import exact_device, float32_products
from sharpdiv.empirical.errors import DivergenceError
from sharpdiv.empirical.lazy.training import LazyProblem, lazy_network, train_lazy
from sharpdiv.empirical.store import digest, load_tensors, save_tensors
from sharpdiv.theory.kernels import (
    LinearizedNetwork,
    bin_modes,
    linearize,
)

__all__ = ["data_of", "folder_of", "member_of", "predict_member", "train_member"]


@lru_cache(maxsize=4)
def data_of(train_samples: int, test_samples: int, exact: bool) -> tuple[Tensor, Tensor, Float[Tensor, "samples 10"]]:
    """Training images, test images, and the labels of both as ones and zeros."""
    data = digits(train_samples, SPLIT_SEED)
    train, test = (data.normalize(images) for images in (data.train_images, data.test_images[:test_samples]))
    labels = torch.cat([data.train_labels, data.test_labels[:test_samples]])
    kind = torch.float64 if exact else torch.float32
    return train.to(kind), test.to(kind), nn.functional.one_hot(labels, data.classes).to(kind)


def member_of(dial: Dial, network: Network, seed: int, device: torch.device) -> tuple[nn.Module, list[Tensor]]:
    """A network at its initialization, and its data."""
    device = exact_device(device) if network.head_only else device
    data = [t.to(device) for t in data_of(dial.train_samples, dial.test_samples, network.head_only)]
    model = lazy_network(network.width, network.activation, network.norm, data[0], seed)
    if network.head_only:
        model.requires_grad_(requires_grad=False)
        model.head.requires_grad_()
    return model, data


def _own(dial: Dial, optimizer: Optimizer, seed: int) -> Bool[Tensor, " train"]:
    """Training samples of a member."""
    index = torch.arange(dial.train_samples)
    return index % BLOCKS == seed % BLOCKS if optimizer == "blocks" else index >= 0


@float32_products()
def predict_member(root: Path, dial: Dial, network: Network, seed: int, device: torch.device) -> None:
    """Predictions from the tangent kernel, for every optimizer."""
    path = folder_of(root, dial, network) / f"kernel-{seed}.safetensors"
    if path.exists():
        load_tensors(path)
        return
    model, (train, test, labels) = member_of(dial, network, seed, device)
    among, across = (block.cpu().numpy() for block in tangent_kernel(model, train, test))
    tensors: dict[str, Tensor] = {}
    for optimizer in network.optimizers:
        own = _own(dial, optimizer, seed)
        member = linearize(among, across, labels.cpu().double().numpy(), None if own.all() else np.flatnonzero(own))
        found = _predictions(dial, optimizer, member)
        if optimizer == "sam":
            binned = bin_modes(member, dial.train_samples)
            found |= {f"bins.{name}": getattr(binned, name) for name in ("weights", "moments", "added")}
        tensors |= {f"{optimizer}.{name}": torch.from_numpy(np.asarray(value)) for name, value in found.items()}
    save_tensors(path, tensors)


def _predictions(dial: Dial, optimizer: Optimizer, member: LinearizedNetwork) -> dict[str, Any]:
    """Everything that is predicted of one member, with the learning rate and the radii that training is to use."""
    normalized = optimizer == "normalized"
    rate, radius = RATE / member.largest, RADIUS / member.surface[0].max() ** 0.5
    rho = np.array(dial.radii(optimizer)) / member.largest
    if normalized:  # lengths, whose first step has that radius
        rho = rho * member.spectrum.integrate(lambda x: x) ** 0.5
    trainings = [
        member.training(rate, rho, steps, optimizer="normalized-sam" if normalized else "sam")
        for steps in dial.snapshots
    ]
    by_step = [
        (member.predictions(t)[:, dial.train_samples :], member.training_loss(t), member.sharpness(t, radius))
        for t in trainings
    ]
    predictions, loss, kappa = (np.stack(values, axis=1) for values in zip(*by_step, strict=True))
    return {"rate": rate, "rho": rho, "radius": radius, "predictions": predictions, "loss": loss, "sharpness": kappa}


@float32_products()
def train_member(root: Path, dial: Dial, network: Network, seed: int, alpha: float, device: torch.device) -> None:
    """The same member trained, for every optimizer; what diverges is NaN."""
    folder = folder_of(root, dial, network)
    path = folder / f"trained-{seed}-{alpha:g}.safetensors"
    if path.exists():
        load_tensors(path)
        return
    settings = load_tensors(folder / f"kernel-{seed}.safetensors")[0]
    model, (train, test, labels) = member_of(dial, network, seed, device)
    tensors: dict[str, Tensor] = {}
    for optimizer in network.optimizers:
        problem = LazyProblem(train, labels[: len(train)], test, _own(dial, optimizer, seed).to(train.device))
        options: dict[str, Any] = {
            "alpha": alpha,
            "learning_rate": float(settings[f"{optimizer}.rate"]),
            "radius": float(settings[f"{optimizer}.radius"]),
            "normalize": optimizer == "normalized",
            "iterations": ASCENT_STEPS,
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


def folder_of(root: Path, dial: Dial, network: Network) -> Path:
    """Where a network's members are; its name ends in a hash of all that they depend on."""
    members = {name: getattr(dial, name) for name in ("fractions", "snapshots", "train_samples", "test_samples")}
    which = {name: value for name, value in asdict(network).items() if name != "alphas"}
    return root / "dial" / f"{network.name}-{digest({**members, **which, **CONSTANTS})[:12]}"
