"""Scripts, not tests: an adapter on two processes, and how far its weights are from the plain loop's over both halves."""

import os
import sys
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from sharpdiv.empirical.optim.sam import SAM
from tests.empirical.networks import batch

PROCESSES, STEPS = 2, 3


def difference(first: nn.Module, second: nn.Module) -> float:
    pairs = zip(first.parameters(), second.parameters(), strict=True)
    return max(float((a - b).detach().abs().max()) for a, b in pairs)


def lightning(k: int) -> float:
    import lightning.pytorch as pl

    from sharpdiv.empirical.adapters.lightning import SAMCallback

    class Network(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.net = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3))

        def training_step(self, samples: list[Tensor]) -> Tensor:
            inputs, targets = (part[self.global_rank :: PROCESSES] for part in samples)
            return nn.functional.cross_entropy(self.net(inputs), targets)

        def configure_optimizers(self) -> SAM:
            return SAM(self.parameters(), torch.optim.SGD, rho=0.5, lr=0.1, momentum=0.9)

    data = DataLoader(TensorDataset(*batch(0, 12 * k * STEPS)), batch_size=12)
    module, twin = Network(), Network()
    options: dict[str, Any] = {"accelerator": "cpu", "devices": PROCESSES, "strategy": "ddp_fork", "max_epochs": 1}
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    options |= {"accumulate_grad_batches": k, "callbacks": [SAMCallback()], "use_distributed_sampler": False, **quiet}
    pl.Trainer(**options).fit(module, data)
    optimizer, batches = twin.configure_optimizers(), list(data)
    for step in range(STEPS):

        def closure(step: int = step) -> None:
            optimizer.zero_grad()
            for inputs, targets in batches[step * k : (step + 1) * k]:
                (nn.functional.cross_entropy(twin.net(inputs), targets) / k).backward()

        optimizer.step(closure)
    return difference(module, twin)


def transformers(k: int) -> float:
    from tests.empirical.adapters import test_transformers as single

    class Halves(single.InOrder):
        """The k micro-batches of each process in the order of the steps."""

        def get_train_dataloader(self) -> Any:
            rank = int(os.environ["RANK"])
            return [one for i, one in enumerate(micro_batches()) if i % PROCESSES == rank]

    def micro_batches() -> Iterator[dict[str, Tensor]]:
        rows = (single.sentences() * k * STEPS)[: single.SIZE * PROCESSES * k * STEPS]
        for i in range(0, len(rows), single.SIZE):
            part = rows[i : i + single.SIZE]
            yield {name: torch.stack([row[name] for row in part]) for name in part[0]}

    single.InOrder = Halves  # type: ignore[misc]
    options: dict[str, Any] = {"gradient_accumulation_steps": k, "num_train_epochs": 1, "ddp_backend": "gloo"}
    found = single.trained(single.bert(), single.sentences(), logging_strategy="no", **options).model
    model, micro = single.bert(), list(micro_batches())
    optimizer = single.sam(model)
    for step in range(STEPS):

        def closure(step: int = step) -> None:
            optimizer.zero_grad()
            for loss in single.by_token(model, micro[step * k * PROCESSES : (step + 1) * k * PROCESSES]):
                loss.backward()

        optimizer.step(closure)
    return difference(found, model)


if __name__ == "__main__":
    torch.set_num_threads(1)
    measured = {"lightning": lightning, "transformers": transformers}[sys.argv[1]]
    for accumulated in (1, 2):
        print("difference", measured(accumulated), flush=True)
