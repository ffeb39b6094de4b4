"""Training of one member: one loop for every method, which differ only in the samples they treat with SAM."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from empirical.config import RunConfig
from empirical.data import ImageData
from empirical.errors import DivergenceError, StoreError
from empirical.models import ResNet
from empirical.sam import SAM
from empirical.sharpbalance import sam_samples, sharpbalance_step
from empirical.store import load_tensors, save_tensors

__all__ = ["Member", "load_member", "new_member", "save_member", "stream", "train"]


@dataclass
class Member:
    """A network in training."""

    seed: int
    """of initialisation and data order"""
    model: ResNet
    """the network"""
    optimizer: SAM
    """SGD with momentum inside SAM"""
    epoch: int = 0
    """epochs done"""
    sam_samples: int = 0
    """samples that went through a SAM step so far"""
    loss: float = float("nan")
    """mean training loss of the last epoch"""


def new_member(config: RunConfig, data: ImageData, seed: int, device: torch.device) -> Member:
    """A freshly initialised member.

    Returns:
        Epoch 0; the initialisation depends on the seed alone.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream(seed, 0))
        channels = data.train_images.shape[1]
        model = ResNet(config.width, config.blocks, config.stages, channels, data.classes)
    model.to(device)
    optimizer = SAM(
        model.parameters(),
        torch.optim.SGD,
        config.rho,
        lr=config.learning_rate,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
    )
    return Member(seed, model, optimizer)


def train(member: Member, config: RunConfig, data: ImageData, until: int, aware: Bool[Tensor, " train"]) -> None:
    """Train a member in place up to an epoch.

    Args:
        member: at an earlier epoch.
        config: of the run.
        data: whose training images are used.
        until: epoch to stop at.
        aware: on the CPU, True for training samples treated with SAM: none is SGD, all is SAM, some is SharpBalance.

    Raises:
        DivergenceError: if the loss stops being finite, or samples are marked for SAM but no step applied it.
    """
    device = next(member.model.parameters()).device
    images = data.normalize(data.train_images).to(device)
    labels = data.train_labels.to(device)
    marked = bool(aware.any()) and until > member.epoch
    before = member.sam_samples
    member.model.train()
    while member.epoch < until:
        for group in member.optimizer.param_groups:
            group["lr"] = config.learning_rate_at(member.epoch)
        # The order depends on seed and epoch only: a resumed member sees what an undisturbed one would.
        generator = torch.Generator().manual_seed(stream(member.seed, 1, member.epoch))
        total = torch.zeros((), device=device)
        for batch in _batches(torch.randperm(len(labels), generator=generator), config.batch_size):
            index = batch.to(device)
            loss = sharpbalance_step(member.model, member.optimizer, images[index], labels[index], aware[batch])
            total += loss * len(batch)
            member.sam_samples += sam_samples(aware[batch])
        member.loss = float(total) / len(labels)
        if not np.isfinite(member.loss):
            raise DivergenceError(
                f"{config.method} member with seed {member.seed} diverged in epoch {member.epoch} "
                f"(loss {member.loss}); lower the learning rate {config.learning_rate} or rho {config.rho}"
            )
        member.epoch += 1
    if marked and member.sam_samples == before:
        raise DivergenceError(
            f"{config.method} member with seed {member.seed} took no SAM step; are batches too small?"
        )


def _batches(order: Int[Tensor, " samples"], size: int) -> list[Int[Tensor, " batch"]]:
    """Consecutive batches; a last one of a single sample, which batch norm cannot use, joins the one before."""
    batches = list(order.split(size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def save_member(path: Path, member: Member, run: str) -> None:
    """Write weights, buffers and momentum; with the epoch they determine all further training."""
    tensors = {f"model.{name}": value for name, value in member.model.state_dict().items()}
    for name, parameter in member.model.named_parameters():
        if "momentum_buffer" in member.optimizer.state[parameter]:
            tensors[f"momentum.{name}"] = member.optimizer.state[parameter]["momentum_buffer"]
    metadata = {"epoch": member.epoch, "sam_samples": member.sam_samples, "loss": member.loss, "seed": member.seed}
    save_tensors(path, tensors, {"run": run, **{name: repr(value) for name, value in metadata.items()}})


def load_member(
    path: Path, config: RunConfig, data: ImageData, seed: int, device: torch.device, run: str | None = None
) -> Member:
    """Read what ``save_member`` wrote.

    Args:
        path: of the file.
        config: that the member trains on with.
        data: its data.
        seed: its seed.
        device: where to put it.
        run: id of the run whose member it is, if not that of ``config``.

    Returns:
        A member that trains on as if it had never stopped.

    Raises:
        StoreError: if the file is damaged or is another network's or seed's.
    """
    tensors, metadata = load_tensors(path)
    expected = {"run": run or config.run_id, "seed": repr(seed)}
    for name, value in expected.items():
        if metadata.get(name) != value:
            raise StoreError(f"{path} is of {name} {metadata.get(name)}, expected {value}; delete it and run again")
    member = new_member(config, data, seed, device)
    try:
        weights = {name.removeprefix("model."): t for name, t in tensors.items() if name.startswith("model.")}
        member.model.load_state_dict(weights)
        member.epoch, member.sam_samples = int(metadata["epoch"]), int(metadata["sam_samples"])
        member.loss = float(metadata["loss"])
    except (KeyError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise StoreError(f"{path} does not hold the expected network: {reason}") from error
    for name, parameter in member.model.named_parameters():
        if (momentum := tensors.get(f"momentum.{name}")) is not None:
            member.optimizer.state[parameter]["momentum_buffer"] = momentum.to(device)
    return member


def stream(*key: int) -> int:
    """Seed of an independent random stream for each key, such as (seed, purpose, epoch)."""
    return int(np.random.SeedSequence(key).generate_state(1, np.uint32)[0])
