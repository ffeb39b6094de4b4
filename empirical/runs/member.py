"""Training of one member: one loop for every method, which differ only in the samples they treat with SAM."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn

from sharpdiv.empirical.data.splits import ImageData, TrainingImages
from sharpdiv.empirical.devices import float32_products, moved
from sharpdiv.empirical.errors import DivergenceError, StoreError
from sharpdiv.empirical.models import ResNet
from sharpdiv.empirical.optim.methods import METHODS
from sharpdiv.empirical.optim.sam import SAM
from sharpdiv.empirical.optim.sharpbalance import sam_samples, sharpbalance_step
from sharpdiv.empirical.runs.config import RunConfig
from sharpdiv.empirical.store import load_tensors, save_tensors

__all__ = ["Member", "batches_of_epoch", "load_member", "new_member", "save_member", "stream", "train"]


@dataclass
class Member:
    """A network in training.

    Example: see ``train``.
    """

    seed: int
    """seed of initialisation, data order and augmentation"""
    model: ResNet
    """the network"""
    optimizer: SAM
    """SGD with momentum inside SAM"""
    losses: list[float] = field(default_factory=list)
    """mean training loss in every epoch done"""
    sam_samples: list[int] = field(default_factory=list)
    """number of samples that went through a SAM step in every epoch done"""

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return len(self.losses)


def new_member(config: RunConfig, data: ImageData, seed: int, device: torch.device) -> Member:
    """A freshly initialised member.

    Args:
        config: configuration of the run.
        data: data that fixes channels and classes.
        seed: seed of the member.
        device: device of the network.

    Returns:
        A member at epoch 0; its initialisation depends on the seed alone.

    Examples:
        >>> import torch
        >>> from sharpdiv import RunConfig, digits
        >>> from sharpdiv.empirical.runs.member import new_member
        >>> config = RunConfig("sgd", width=2, blocks=(1,), train_samples=50)
        >>> members = [new_member(config, digits(50), seed, torch.device("cpu")) for seed in (0, 0, 1)]
        >>> weights = [member.model.head.weight for member in members]
        >>> members[0].epoch, torch.equal(weights[0], weights[1]), torch.equal(weights[0], weights[2])
        (0, True, False)
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream(seed, 0))
        _, channels, height, _ = data.train_images.shape
        stem_stride = config.stem_stride or (2 if height >= 64 else 1)
        model = ResNet(config.width, config.blocks, channels, data.classes, stem_stride, config.sparsity)
    model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # the stub lacks it
    return Member(seed, model, METHODS[config.method].optimizer(model.parameters(), config))


def train(
    member: Member,
    config: RunConfig,
    data: ImageData,
    until: int,
    aware: Bool[Tensor, " train"],
    after_epoch: Callable[[Member], None] = lambda _: None,
) -> None:
    """Train a member in place up to an epoch.

    Order and augmentation are functions of seed and epoch, and the rate is one of the epoch: with weights and momentum they
    are all the state there is, so a resumed member ends with the bits of an undisturbed one.

    Args:
        member: member at an earlier epoch.
        config: configuration of the run.
        data: data whose training images are used.
        until: epoch to stop at.
        aware: mask of the training samples, on the CPU, True for those treated with SAM: none is SGD, all SAM, some SharpBalance.
        after_epoch: listener, told after every epoch, to write a checkpoint for example.

    Raises:
        DivergenceError: if the loss stops being finite, or samples are marked for SAM but no step applied it.

    Examples:
        >>> import torch
        >>> from sharpdiv import RunConfig, digits
        >>> from sharpdiv.empirical.runs.member import new_member, train
        >>> config, data = RunConfig("sam", rho=0.1, width=2, blocks=(1,), train_samples=50), digits(train_samples=50)
        >>> member = new_member(config, data, seed=0, device=torch.device("cpu"))
        >>> train(member, config, data, until=2, aware=torch.ones(50, dtype=torch.bool))
        >>> member.epoch, member.sam_samples
        (2, [50, 50])
    """
    device = next(member.model.parameters()).device
    images = TrainingImages(data, device, config.augment)
    network: nn.Module = torch.compile(member.model) if config.compile else member.model  # type: ignore[assignment]
    start = member.epoch
    member.model.train()
    while member.epoch < until:
        with float32_products(tf32=config.precision == "tf32"):
            _train_epoch(member, network, config, images, aware)
        if not np.isfinite(member.losses[-1]):
            raise DivergenceError(
                f"{config.method} member with seed {member.seed} diverged in epoch {member.epoch - 1} "
                f"(loss {member.losses[-1]}); lower the learning rate {config.learning_rate} or rho {config.rho}"
            )
        # Silence would be a lie: samples are marked, but every batch has too few of them.
        if bool(aware.any()) and not any(member.sam_samples[start:]):
            raise DivergenceError(
                f"{config.method} member with seed {member.seed} took no SAM step; are batches too small?"
            )
        after_epoch(member)


def _train_epoch(
    member: Member, network: nn.Module, config: RunConfig, images: TrainingImages, aware: Bool[Tensor, " train"]
) -> None:
    """One pass over the training images; the device is waited for once, at the end."""
    generator = torch.Generator().manual_seed(stream(member.seed, 1, member.epoch))
    order = torch.randperm(len(images.labels), generator=generator)
    augmentation = images.draw(generator)
    batches = batches_of_epoch(order, config.batch_size)
    on_device = moved(order, images.device).split([len(batch) for batch in batches])
    total = torch.zeros((), device=images.device)
    for number, (batch, index) in enumerate(zip(batches, on_device, strict=True)):
        for group in member.optimizer.param_groups:
            group["lr"] = config.learning_rate_at(member.epoch + number / len(batches))
        loss = sharpbalance_step(
            network,
            member.optimizer,
            images.batch(index, augmentation),
            images.labels[index],
            aware[batch],
            m=config.m,
            autocast=torch.bfloat16 if config.precision == "bfloat16" else None,
        )
        total += loss * len(batch)
    member.sam_samples.append(sum(sam_samples(aware[batch]) for batch in batches))
    member.losses.append(float(total) / len(images.labels))


def batches_of_epoch(order: Int[Tensor, " samples"], size: int) -> list[Int[Tensor, " batch"]]:
    """Consecutive batches; a last one of a single sample, which batch norm cannot use, joins the one before.

    Args:
        order: samples in the order of the epoch.
        size: samples of a batch.

    Returns:
        The batches.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.runs.member import batches_of_epoch
        >>> [batch.tolist() for batch in batches_of_epoch(torch.arange(5), size=2)]
        [[0, 1], [2, 3, 4]]
    """
    batches = list(order.split(size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def save_member(path: Path, member: Member, run: str) -> None:
    """Write weights, buffers, momentum and history; with the configuration they determine all further training.

    Args:
        path: path of the file.
        member: member to write.
        run: id of its run.

    Example: see ``load_member``.
    """
    tensors = {f"model.{name}": value for name, value in member.model.state_dict().items()}
    for name, parameter in member.model.named_parameters():
        if "momentum_buffer" in member.optimizer.state[parameter]:
            tensors[f"momentum.{name}"] = member.optimizer.state[parameter]["momentum_buffer"]
    tensors["history.loss"] = torch.tensor(member.losses, dtype=torch.float64)
    tensors["history.sam_samples"] = torch.tensor(member.sam_samples, dtype=torch.int64)
    save_tensors(path, tensors, {"run": run, "seed": repr(member.seed)})


def load_member(
    path: Path, config: RunConfig, data: ImageData, seed: int, device: torch.device, run: str | None = None
) -> Member:
    """Read what ``save_member`` wrote.

    Args:
        path: path of the file.
        config: configuration that the member trains on with.
        data: data of the run.
        seed: seed of the member.
        device: device of the network.
        run: id of the run whose member it is, if not that of ``config``.

    Returns:
        A member that trains on as if it had never stopped.

    Raises:
        StoreError: if the file is damaged or is another network's or seed's.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import torch
        >>> from sharpdiv import RunConfig, digits
        >>> from sharpdiv.empirical.runs.member import load_member, new_member, save_member
        >>> config, data, device = RunConfig("sgd", width=2, blocks=(1,)), digits(train_samples=200), torch.device("cpu")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_member(Path(folder) / "member", new_member(config, data, 13, device), config.run_id)
        ...     load_member(Path(folder) / "member", config, data, 13, device).epoch
        0
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
        member.losses = tensors["history.loss"].tolist()
        member.sam_samples = tensors["history.sam_samples"].tolist()
    except (KeyError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise StoreError(f"{path} does not hold the expected network: {reason}") from error
    for name, parameter in member.model.named_parameters():
        if (momentum := tensors.get(f"momentum.{name}")) is not None:
            # Copied, so that it keeps the parameter's memory format and with it the order of every sum.
            member.optimizer.state[parameter]["momentum_buffer"] = torch.empty_like(parameter).copy_(momentum)
    return member


def stream(*key: int) -> int:
    """Seed of an independent random stream for each key.

    Args:
        *key: non-negative numbers that tell streams apart, such as seed, purpose and epoch.

    Returns:
        A number below 2^32.

    Examples:
        >>> from sharpdiv.empirical.runs.member import stream
        >>> stream(0, 1) == stream(0, 1), stream(0, 1) == stream(1, 0)
        (True, False)
    """
    return int(np.random.SeedSequence(key).generate_state(1, np.uint32)[0])
