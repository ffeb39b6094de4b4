"""Steps of training in units of plain ones, and the work of SAM's own beside other people's."""

from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap

from benchmarks.timing import Row, compared, in_turn
from sharpdiv.empirical.data.splits import ImageData, TrainingImages
from sharpdiv.empirical.models import ResNet, folded
from sharpdiv.empirical.optim.sam import SAM
from sharpdiv.empirical.optim.sharpbalance import sharpbalance_step

__all__ = ["rows"]


def rows() -> Iterator[Row]:
    """All of this file."""
    yield from _steps()
    yield from _own_work()
    yield _evaluation()
    yield _stacked()


def _steps() -> Iterator[Row]:
    """Steps with two passes on a share f of the batch; (1 + f) passes are the least possible."""
    torch.manual_seed(0)
    images = torch.randint(256, (1024, 3, 32, 32), dtype=torch.uint8)
    labels = torch.randint(10, (1024,))
    half = torch.full((3,), 0.5)
    data = ImageData("random", images, labels, images[:0], labels[:0], images, labels, 10, half, half)
    source = TrainingImages(data, torch.device("cpu"), augment="crop-flip")
    draws, index = source.draw(torch.Generator().manual_seed(0)), torch.arange(128)
    model = ResNet(width=16, blocks=(1, 1, 1, 1))
    optimizer = SAM(model.parameters(), torch.optim.SGD, 0.1, lr=0.0, momentum=0.9)

    def step(share: float, autocast: torch.dtype | None = None) -> None:
        inputs = source.batch(index, draws)
        sharpbalance_step(model, optimizer, inputs, labels[:128], torch.arange(128) < 128 * share, autocast=autocast)

    def plain() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(data.normalize(images[:128])), labels[:128]).backward()
        optimizer.base.step()

    of = "one block a stage, width 16, batch 128"
    yield compared(f"SGD step with crops and flips, {of}", 10, partial(step, 0.0), a_bare_step=plain)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # the stub lacks it
    for name, autocast in (("float32", None), ("bfloat16", torch.bfloat16)):
        sgd = partial(step, 0.0, autocast)
        for share in (0.5, 1.0):
            what = f"step with SAM on a share {share:g}, {name}, channels last"
            yield compared(what, 10, partial(step, share, autocast), SGD_step=sgd)


def _own_work() -> Iterator[Row]:
    """A step of SAM whose passes cost nothing, for 11 million weights."""
    weights = list(ResNet(width=64, blocks=(2, 2, 2, 2)).parameters())
    gradients = [torch.randn_like(p) * 0.01 for p in weights]
    options: dict[str, Any] = {"lr": 1e-6, "momentum": 0.9}

    def closure() -> Any:
        for p, gradient in zip(weights, gradients, strict=True):
            p.grad = gradient
        return torch.zeros(())

    def stepping(optimizer: torch.optim.Optimizer) -> Callable[[], object]:
        def step() -> None:
            optimizer.zero_grad()
            optimizer.step(closure)

        return step

    sgd = stepping(torch.optim.SGD(weights, **options))
    peers = {"three_line_SAM": _three_lines(weights, closure, options), **_pytorch_optimizer(weights, closure, options)}
    for what, adaptive in (("SAM", False), ("adaptive SAM", True)):
        ours = stepping(SAM(weights, torch.optim.SGD, rho=0.05, adaptive=adaptive, **options))
        yield compared(f"{what}'s step with empty passes, 11 million weights", 10, ours, SGD_step=sgd, **peers)


def _three_lines(
    weights: list[nn.Parameter], closure: Callable[[], Tensor], options: dict[str, Any]
) -> Callable[[], object]:
    """SAM as it is often written: a loop over the weights."""
    base = torch.optim.SGD(weights, **options)

    @torch.no_grad()
    def step() -> None:
        closure()
        norm = torch.stack([p.grad.norm() for p in weights if p.grad is not None]).norm()
        kept = [p.clone() for p in weights]
        for p in weights:
            p.add_(p.grad * (0.05 / (norm + 1e-12)))
        base.zero_grad()
        closure()
        for p, old in zip(weights, kept, strict=True):
            p.copy_(old)
        base.step()

    return step


def _pytorch_optimizer(
    weights: list[nn.Parameter], closure: Callable[[], Tensor], options: dict[str, Any]
) -> dict[str, Callable[[], object]]:
    if find_spec("pytorch_optimizer") is None:
        return {}
    import pytorch_optimizer

    optimizer = pytorch_optimizer.SAM(weights, torch.optim.SGD, rho=0.05, **options)

    def step() -> None:
        closure()
        optimizer.first_step(zero_grad=True)
        closure()
        optimizer.second_step(zero_grad=True)

    return {"pytorch_optimizer": step}


@torch.inference_mode()
def _evaluation() -> Row:
    """Batch norm folded into the convolutions, in batches of 100."""
    model = ResNet(width=16, blocks=(2, 2, 2, 2)).eval()
    network, images = folded(model), torch.randn(500, 3, 32, 32)

    def by(network: nn.Module, size: int) -> Callable[[], object]:
        return torch.inference_mode()(
            lambda: [network(x.contiguous(memory_format=torch.channels_last)) for x in images.split(size)]
        )

    ours, whole = by(network, 100), by(model, 500)
    seconds = in_turn(5, ours=ours, whole=whole)
    return Row(
        "outputs of 500 images, ResNet-18 of width 16", seconds["ours"], {"the network as it is": seconds["whole"]}
    )


def _stacked() -> Row:
    """Gradients of three members at once, which a CPU does not reward."""
    members = [ResNet(width=16, blocks=(1, 1, 1, 1)) for _ in range(3)]
    inputs, targets = torch.randn(3, 128, 3, 32, 32), torch.randint(10, (3, 128))
    weights, buffers = stack_module_state(members)

    def loss(w: dict[str, Tensor], b: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return nn.functional.cross_entropy(functional_call(members[0], (w, b), (x,)), y)

    def sequential() -> None:
        for model, x, y in zip(members, inputs, targets, strict=True):
            torch.autograd.grad(nn.functional.cross_entropy(model(x), y), list(model.parameters()))

    def stacked() -> object:
        return vmap(grad(loss))(weights, buffers, inputs, targets)

    return compared("gradients of three members, stacked, batch 128", 3, stacked, in_turn=sequential)
