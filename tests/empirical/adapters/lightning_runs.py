"""A small network under Lightning's Trainer, and the plain loop that it must equal."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from sharpdiv.empirical.optim.sam import SAM
from tests.empirical.networks import batch, mlp, state

pl: Any = pytest.importorskip("lightning.pytorch", reason="the extra lightning is not installed")
torchmetrics: Any = pytest.importorskip("torchmetrics", reason="the extra lightning is not installed")

__all__ = [
    "BATCHES",
    "EPOCHS",
    "WARNINGS",
    "Network",
    "Options",
    "fitted",
    "groups",
    "loader",
    "pl",
    "plain",
    "sam",
    "same",
    "trainer_of",
]

WARNINGS = [
    # Lightning's own use of PyTorch's trees of containers.
    pytest.mark.filterwarnings(r"ignore:`isinstance\(treespec, LeafSpec\)` is deprecated:FutureWarning"),
    # On machines with more cores.
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
]
"""Marks of tests that run Lightning: what it says of itself."""

BATCHES, EPOCHS = 5, 2
Options = dict[str, Any]


class Network(pl.LightningModule):
    """The small network, trained by whatever optimizer a function makes of it."""

    def __init__(self, optimizers: Callable[[nn.Module], Any], rate: float = 0.0) -> None:
        super().__init__()
        self.net, self.optimizers_of = mlp(0), optimizers
        self.dropout = nn.Dropout(rate)
        self.accuracy = torchmetrics.Accuracy("multiclass", num_classes=3)
        self.losses: list[float] = []

    def training_step(self, samples: tuple[Tensor, Tensor]) -> Tensor:
        outputs = self.net(self.dropout(samples[0]))
        loss = nn.functional.cross_entropy(outputs, samples[1])
        self.accuracy(outputs, samples[1])
        self.log("loss", loss, on_step=True, on_epoch=True)
        self.log_dict({"accuracy": self.accuracy}, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self) -> Any:
        return self.optimizers_of(self.net)

    def on_train_batch_end(self, outputs: Any, *_: Any) -> None:
        self.losses.append(float(outputs["loss"]))


def loader() -> DataLoader[Any]:
    return DataLoader(TensorDataset(*batch(3, 12 * BATCHES)), batch_size=12)


def trainer_of(*callbacks: Any, **options: Any) -> Any:
    return pl.Trainer(
        **{
            "max_epochs": EPOCHS,
            "accelerator": "cpu",
            "devices": 1,
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "log_every_n_steps": 1,
            "callbacks": list(callbacks),
            **options,
        }
    )


def sam(net: nn.Module, **options: Any) -> SAM:
    return SAM(net.parameters(), **{"base_optimizer": torch.optim.SGD, "rho": 0.5, "lr": 0.1, "model": net, **options})


def groups(k: int) -> Iterator[list[list[Tensor]]]:
    """Micro-batches of each step; those of an epoch's end are fewer."""
    batches = list(loader())
    for _ in range(EPOCHS):
        yield from (batches[i : i + k] for i in range(0, BATCHES, k))


def plain(
    net: nn.Module,
    optimizer: SAM,
    k: int = 1,
    after: Callable[[], object] = lambda: None,
    context: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> list[Tensor]:
    """What a loop of one's own leaves."""
    for number, micro in enumerate(groups(k)):
        torch.manual_seed(number)

        def closure(micro: list[list[Tensor]] = micro) -> None:
            optimizer.zero_grad()
            for inputs, targets in micro:
                with context():
                    loss = nn.functional.cross_entropy(net(inputs), targets)
                (loss / k).backward()

        optimizer.step(closure)
        after()
    return state(net)


def fitted(optimizers: Callable[[nn.Module], Any], *callbacks: Any, **options: Any) -> list[Tensor]:
    module = Network(optimizers)
    trainer_of(*callbacks, **options).fit(module, loader())
    return state(module.net)


def same(first: list[Tensor], second: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
